/* session.c: one connection to a site: a channel (io/chan.h) under an SMTP client (proto/smtp/client.h).
 *
 *     connecting ─▶ talking ⇄ idle ─▶ quitting
 *
 * Each input or progress runs `pump`: take events, give the client deliveries while it has room, write what it wants to
 * say. A session that has nothing to do stays open for a while, since the next message to the site would otherwise pay
 * for connection, greeting and handshake again. */
#include "sender.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECT_MS = 30 * 1000, IDLE_MS = 5 * 1000, IOV_MAX_HERE = 16, INSIDE_MAX = 2, INPUT_MAX = 64 * 1024 };

void bh_site_no_tls(struct site *site);

struct session {
    struct bh_list link;
    struct sender *sender;
    struct site *site;
    struct bh_chan *chan;
    struct bh_smtp_client_config config; /* the client looks at it all its life */
    struct bh_smtp_client *client;
    struct bh_timer idle;
    struct bh_deferred broken; /* a write failed: what follows from it is seen to at the end of the turn */
    struct delivery *inside[INSIDE_MAX];
    bool connected; /* TCP */
    bool was_ready; /* EHLO went well */
    bool worked;    /* took a delivery */
    bool quitting;
    bool over;
    enum bh_smtp_client_tls tls;
    char host[256];
    char remote[256 + INET6_ADDRSTRLEN + 16];
    char helo[256];
    char tls_text[128];
};

struct bh_list *bh_session_link(struct session *session)
{
    return &session->link;
}

struct session *bh_session_of(struct bh_list *link)
{
    return BH_CONTAINER_OF(link, struct session, link);
}

/* ---- results ---- */

static void forget_inside(struct session *session, const struct delivery *delivery)
{
    for (size_t i = 0; i < INSIDE_MAX; i++)
        if (session->inside[i] == delivery)
            session->inside[i] = NULL;
}

static bool is_empty(const struct session *session)
{
    return !session->inside[0] && !session->inside[1];
}

static enum bh_delivery_verdict verdict_of(const struct bh_smtp_result *result)
{
    if (result->outcome == BH_SMTP_DELIVERED)
        return BH_DELIVERED;
    /* a whole server that says 5xx to everybody is no statement about this recipient */
    if (result->outcome == BH_SMTP_PERM && !result->session_fault)
        return BH_BOUNCED;
    return BH_DEFERRED;
}

static void end_delivery(struct session *session, struct delivery *delivery, const struct bh_smtp_result *result)
{
    char enhanced[32] = "";

    if (result->status.class)
        (void)snprintf(enhanced, sizeof(enhanced), "%u.%u.%u", result->status.class, result->status.subject,
                       result->status.detail);
    bh_delivery_end(delivery, &(struct delivery_end){.verdict = verdict_of(result),
                                                     .code = result->code,
                                                     .enhanced = enhanced,
                                                     .text = result->text,
                                                     .remote = bh_str_c(session->remote),
                                                     .tls = session->tls_text,
                                                     .phase = bh_smtp_phase_text(result->phase)});
}

static void take_result(struct session *session, const struct bh_smtp_result *result)
{
    struct delivery *delivery = result->tag;

    forget_inside(session, delivery);
    /* a session that had served others and broke before this one's end of DATA: once more, on a new connection */
    if (result->session_fault && result->outcome == BH_SMTP_TEMP && session->was_ready && !delivery->tried_again &&
        delivery->body_fd < 0) {
        delivery->tried_again = true;
        bh_site_add(delivery);
        return;
    }
    end_delivery(session, delivery, result);
}

/* ---- giving it work ---- */

static bool give(struct session *session, struct delivery *delivery)
{
    struct bh_smtp_client_message message = {.tag = delivery,
                                             .mail_from = delivery->mail_from,
                                             .rcpt_to = delivery->message.recipient,
                                             .pieces = delivery->pieces,
                                             .piece_count = delivery->piece_count,
                                             .more_follows = delivery->rest_bytes > 0,
                                             .size_bytes = delivery->size,
                                             .has_8bit = delivery->message.eight_bit,
                                             .needs_smtputf8 = delivery->message.smtputf8};
    bh_err err = bh_smtp_client_send(session->client, &message);

    if (err) {
        bh_delivery_end(delivery,
                        &(struct delivery_end){.verdict = err == BH_E_SYNTAX ? BH_BOUNCED : BH_DEFERRED,
                                               .enhanced = err == BH_E_SYNTAX ? "5.6.0" : "4.3.0",
                                               .text = err == BH_E_SYNTAX
                                                           ? BH_STR("the message or an address breaks SMTP's rules")
                                                           : bh_str_c(bh_err_text(err)),
                                               .remote = bh_str_c(session->remote),
                                               .phase = "prepare"});
        return false;
    }
    session->inside[session->inside[0] ? 1 : 0] = delivery;
    session->worked = true;
    return true;
}

static void fill(struct session *session)
{
    while (!session->quitting && bh_smtp_client_has_room(session->client)) {
        struct delivery *delivery = bh_site_next(session->site);

        if (!delivery)
            break;
        (void)give(session, delivery);
    }
    if (bh_smtp_client_owes(session->client)) /* refused without a word sent: no input will ask for the result */
        bh_loop_defer(session->sender->role->loop, &session->broken);
    if (is_empty(session) && session->was_ready && !session->quitting)
        bh_timer_set(&session->idle, IDLE_MS);
    else
        bh_timer_clear(&session->idle);
}

/* ---- writing ---- */

static void feed_body(struct session *session)
{
    struct delivery *delivery =
        session->inside[0] && session->inside[0]->rest_bytes ? session->inside[0] : session->inside[1];
    bh_str piece;
    bool last;

    if (!delivery || !bh_delivery_next_rest(delivery, &piece, &last) ||
        bh_smtp_client_body(session->client, piece, last) != BH_OK)
        bh_smtp_client_fail(session->client, BH_E_IO, BH_STR("the message cannot be read from the spool"));
}

/* How long the server may take for what comes next. A byte of a reply does not start it anew, or a server could hold a
 * delivery for weeks; a whole reply does, and text that it took. */
static void restart_timeout(struct session *session)
{
    bool idle = is_empty(session) && session->was_ready && !session->quitting;

    bh_chan_set_timeout(session->chan, idle ? 0 : bh_smtp_client_timeout_ms(session->client));
}

static void write_out(struct session *session)
{
    struct iovec iov[IOV_MAX_HERE];

    if (session->over)
        return;
    for (;;) {
        size_t count = bh_smtp_client_output(session->client, iov, IOV_MAX_HERE), total = 0, taken;

        if (!count && bh_smtp_client_wants_body(session->client)) {
            feed_body(session);
            if (session->over)
                return;
            count = bh_smtp_client_output(session->client, iov, IOV_MAX_HERE);
        }
        if (!count)
            return;
        for (size_t i = 0; i < count; i++)
            total += iov[i].iov_len;
        if (bh_chan_send(session->chan, iov, count, &taken) != BH_OK) {
            bh_smtp_client_fail(session->client, BH_E_CLOSED, BH_STR("the connection broke while writing"));
            bh_loop_defer(session->sender->role->loop, &session->broken);
            return;
        }
        bh_smtp_client_sent(session->client, taken);
        if (taken)
            restart_timeout(session);
        if (taken < total)
            return;
    }
}

/* ---- events ---- */

static void close_session(struct session *session, const char *why)
{
    struct site *site = session->site;
    bool worked = session->worked;

    session->sender->connections--;
    bh_site_session_gone(site, session, worked, why);
    bh_chan_close(session->chan);
    bh_smtp_client_free(session->client);
    bh_timer_free(&session->idle);
    bh_deferred_cancel(&session->broken);
    free(session);
}

static void start_tls(struct session *session)
{
    bh_str input = bh_chan_input(session->chan);

    bh_chan_consume(session->chan, input.n);
    if (bh_chan_start_tls(session->chan, session->sender->tls, bh_str_c(session->host), false) != BH_OK)
        bh_smtp_client_fail(session->client, BH_E_CRYPTO, BH_STR("TLS cannot be started"));
}

/* What there is to know, then what there is to do. May free the session. */
static void pump(struct session *session)
{
    uint32_t replies = bh_smtp_client_facts(session->client).replies;
    char why[320] = "the session is over";
    bool more = true;

    while (more) {
        bh_str input = bh_chan_input(session->chan), rest = input;
        struct bh_smtp_result result;
        enum bh_smtp_client_event event = bh_smtp_client_next(session->client, &rest, &result);

        bh_chan_consume(session->chan, input.n - rest.n);
        switch (event) {
        case BH_SMTP_CLIENT_RESULT:
            take_result(session, &result);
            break;
        case BH_SMTP_CLIENT_READY:
            session->was_ready = true;
            break;
        case BH_SMTP_CLIENT_STARTTLS:
            write_out(session);
            start_tls(session);
            bh_chan_set_timeout(session->chan, bh_smtp_client_timeout_ms(session->client));
            return;
        case BH_SMTP_CLIENT_OVER:
            (void)snprintf(why, sizeof(why), "%s: %.*s", session->remote, BH_FMT(bh_str_sub(result.text, 0, 200)));
            session->over = true;
            more = false;
            break;
        case BH_SMTP_CLIENT_MORE:
        default:
            more = false;
            break;
        }
    }
    if (!session->over)
        fill(session);
    write_out(session);
    if (session->over) {
        close_session(session, why);
        return;
    }
    if (bh_smtp_client_facts(session->client).replies != replies)
        restart_timeout(session);
}

bool bh_session_offer(struct session *session)
{
    if (!session->was_ready || session->quitting || session->over || !bh_smtp_client_has_room(session->client))
        return false;
    fill(session);
    write_out(session);
    return true;
}

static void on_input(void *ctx)
{
    pump(ctx);
}

static void on_writable(void *ctx)
{
    struct session *session = ctx;

    write_out(session);
}

/* Connected, or the handshake is done. */
static void on_up(void *ctx)
{
    struct session *session = ctx;

    if (!session->connected) {
        session->connected = true;
        bh_chan_set_timeout(session->chan, bh_smtp_client_timeout_ms(session->client));
        return;
    }
    bh_chan_tls_text(session->chan, session->tls_text, sizeof(session->tls_text));
    bh_smtp_client_tls_up(session->client);
    pump(session);
}

static void on_broken(void *ctx)
{
    pump(ctx);
}

static void on_down(void *ctx, bh_err err, const char *why)
{
    struct session *session = ctx;

    if (err == BH_E_CRYPTO && session->tls == BH_SMTP_TLS_IF_OFFERED && !session->was_ready)
        bh_site_no_tls(session->site);
    bh_smtp_client_fail(session->client, err, bh_str_c(why));
    pump(session);
}

static void on_idle(void *ctx)
{
    struct session *session = ctx;

    session->quitting = true;
    bh_smtp_client_quit(session->client);
    pump(session);
}

static const struct bh_chan_ops ops = {on_up, on_input, on_writable, on_down};

/* ---- opening ---- */

static void name_remote(struct session *session, const struct address *address)
{
    char literal[INET6_ADDRSTRLEN] = "?";
    uint16_t port = 0;

    if (address->to.any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->to.v4.sin_addr, literal, sizeof(literal));
        port = ntohs(address->to.v4.sin_port);
    } else {
        (void)inet_ntop(AF_INET6, &address->to.v6.sin6_addr, literal, sizeof(literal));
        port = ntohs(address->to.v6.sin6_port);
    }
    (void)snprintf(session->host, sizeof(session->host), "%s", address->host);
    (void)snprintf(session->remote, sizeof(session->remote), "%s [%s]:%u", address->host, literal, port);
}

/* The source addresses of the configuration in turn, of the family that is needed. */
static socklen_t choose_source(struct sender *sender, const struct address *address, struct sockaddr_storage *ret_from)
{
    const struct bh_config *c = sender->role->config;

    *ret_from = (struct sockaddr_storage){0};
    for (size_t i = 0; c->egress_bind && i < c->egress_count; i++) {
        char literal[INET6_ADDRSTRLEN];
        struct sockaddr_in *v4 = (struct sockaddr_in *)ret_from;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_from;

        if (bh_str_to_c(c->egress[sender->next_source++ % c->egress_count], literal, sizeof(literal)) != BH_OK)
            continue;
        if (address->to.any.sa_family == AF_INET && inet_pton(AF_INET, literal, &v4->sin_addr) == 1) {
            v4->sin_family = AF_INET;
            return sizeof(*v4);
        }
        if (address->to.any.sa_family == AF_INET6 && inet_pton(AF_INET6, literal, &v6->sin6_addr) == 1) {
            v6->sin6_family = AF_INET6;
            return sizeof(*v6);
        }
    }
    return 0;
}

struct session *bh_session_open(struct sender *sender, struct site *site, const struct address *address, bh_str helo,
                                enum bh_smtp_client_tls tls)
{
    struct session *session = calloc(1, sizeof(*session));
    struct sockaddr_storage from;
    socklen_t from_bytes = choose_source(sender, address, &from);

    if (!session)
        return NULL;
    bh_list_init(&session->link);
    bh_deferred_init(&session->broken, on_broken, session);
    session->sender = sender;
    session->site = site;
    session->tls = tls;
    name_remote(session, address);
    (void)!bh_str_to_c(helo, session->helo, sizeof(session->helo));
    session->config = (struct bh_smtp_client_config){.tls = tls, .helo = bh_str_c(session->helo)};
    session->client = bh_smtp_client_new(&session->config);
    if (session->client && bh_timer_init(sender->role->loop, &session->idle, on_idle, session) == BH_OK)
        (void)!bh_chan_connect(sender->role->loop, &address->to.any, address->bytes,
                               from_bytes ? (struct sockaddr *)&from : NULL, from_bytes, INPUT_MAX, &ops, session,
                               &session->chan);
    if (!session->chan) {
        bh_smtp_client_free(session->client);
        bh_timer_free(&session->idle);
        free(session);
        return NULL;
    }
    bh_chan_set_timeout(session->chan, CONNECT_MS);
    sender->connections++;
    return session;
}

/* At the end of the process: no results, queued takes what was in hand for ready. */
void bh_session_close(struct session *session)
{
    bh_list_remove(&session->link);
    session->sender->connections--;
    bh_chan_close(session->chan);
    bh_smtp_client_free(session->client);
    bh_timer_free(&session->idle);
    bh_deferred_cancel(&session->broken);
    free(session);
}
