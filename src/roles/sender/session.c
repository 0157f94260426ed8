/* session.c: one connection to a site: a channel (io/chan.h) under an SMTP client (proto/smtp/client.h).
 *
 *     connecting (connect.c) ─▶ talking ⇄ idle ─▶ quitting
 *
 * Each input or progress runs `pump`: take events, give the client deliveries while it has room, write what it wants to
 * say. A session that has nothing to do stays open for a while, since the next message to the site would otherwise pay
 * for connection, greeting and handshake again. */
#include "sender.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDLE_MS = 5 * 1000, IOV_MAX_HERE = 16, INSIDE_MAX = 2, TLSA_MAX = 64, TRAIL_MAX = 1500 };

/* What is kept of a try: its site may look up anew meanwhile. */
struct target {
    struct bh_tls_plan plan;
    size_t index;
    struct address address;
    char host[256], tls_name[256];
    struct bh_buf tlsa;
};

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
    struct connecting *connecting; /* until there is a channel */
    struct target targets[BH_SESSION_TRIES_MAX];
    size_t target_count;
    const struct target *target; /* the one that is connected */
    bool shaking;
    bool tls_noted;
    bool tls_useless; /* and not needed: the site goes on in clear */
    bool was_ready;   /* EHLO went well */
    bool worked;      /* took a delivery */
    bool quitting;
    bool over;
    char domain[256];
    char remote[256 + INET6_ADDRSTRLEN + 16];
    char helo[256];
    char tls_text[160];
    char local[320]; /* "192.0.2.10 as mta1.example" */
    char source[INET6_ADDRSTRLEN];
    struct bh_buf trail;
    uint32_t messages_max, taken; /* 0: any number */
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
                                                     .phase = bh_smtp_phase_text(result->phase),
                                                     .policy = bh_tls_plan_text(&session->target->plan),
                                                     .local = bh_str_c(session->local),
                                                     .trail = bh_buf_view(&session->trail)});
}

static bool lacks_8bitmime(const struct bh_smtp_result *result)
{
    return result->local && result->status.class == 5 && result->status.subject == 6 && result->status.detail == 3;
}

static void take_result(struct session *session, const struct bh_smtp_result *result)
{
    struct delivery *delivery = result->tag;

    forget_inside(session, delivery);
    if (lacks_8bitmime(result) && !delivery->seven_bit) {
        bh_delivery_downgrade(delivery);
        return;
    }
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

/* A server beyond tells our bounce address, where failures are read. Success is told to the submitter by ourselves. */
static bh_str wanted_notices(const struct delivery *delivery)
{
    bool never = delivery->null_sender || bh_str_eq_ci(delivery->message.notify, BH_STR("NEVER"));

    return never ? BH_STR("NEVER") : BH_STR("FAILURE");
}

static bool give(struct session *session, struct delivery *delivery)
{
    struct bh_smtp_client_message message = {.tag = delivery,
                                             .mail_from = delivery->mail_from,
                                             .rcpt_to = delivery->message.recipient,
                                             .pieces = delivery->pieces,
                                             .piece_count = delivery->piece_count,
                                             .more_follows = delivery->rest_bytes > 0,
                                             .size_bytes = delivery->size,
                                             .has_8bit = delivery->message.eight_bit && !delivery->seven_bit,
                                             .needs_smtputf8 = delivery->message.smtputf8,
                                             .ret = BH_STR("HDRS"),
                                             .envid = bh_str_c(delivery->envid),
                                             .notify = wanted_notices(delivery),
                                             .orcpt = delivery->orcpt};
    bh_err err = bh_smtp_client_send(session->client, &message);

    if (err) {
        bh_delivery_end(delivery,
                        &(struct delivery_end){.verdict = err == BH_E_SYNTAX ? BH_BOUNCED : BH_DEFERRED,
                                               .enhanced = err == BH_E_SYNTAX ? "5.6.0" : "4.3.0",
                                               .text = err == BH_E_SYNTAX
                                                           ? BH_STR("the message or an address breaks SMTP's rules")
                                                           : bh_str_c(bh_err_text(err)),
                                               .remote = bh_str_c(session->remote),
                                               .phase = "prepare",
                                               .local = bh_str_c(session->local)});
        return false;
    }
    session->inside[session->inside[0] ? 1 : 0] = delivery;
    session->taken++;
    session->worked = true;
    return true;
}

static bool may_take_more(const struct session *session)
{
    return !session->messages_max || session->taken < session->messages_max;
}

static void fill(struct session *session)
{
    while (!session->quitting && bh_smtp_client_has_room(session->client) && may_take_more(session)) {
        struct delivery *delivery = bh_site_next(session->site);

        if (!delivery)
            break;
        (void)give(session, delivery);
    }
    if (bh_smtp_client_owes(session->client)) /* refused without a word sent: no input will ask for the result */
        bh_loop_defer(session->sender->role->loop, &session->broken);
    if (is_empty(session) && session->was_ready && !session->quitting)
        bh_timer_set(&session->idle, may_take_more(session) ? IDLE_MS : 0);
    else
        bh_timer_clear(&session->idle);
}

/* ---- writing ---- */

/* The session can go on no more; what was inside is told at the end of the turn, since nothing else may ever come. */
static void break_off(struct session *session, bh_err err, bh_str why)
{
    bh_smtp_client_fail(session->client, err, why);
    bh_loop_defer(session->sender->role->loop, &session->broken);
}

/* Of the two that may be inside, only the client knows whose text is going out. */
static void feed_body(struct session *session, struct delivery *delivery)
{
    bh_str piece;
    bool last;

    if (!bh_delivery_next_rest(delivery, &piece, &last) || bh_smtp_client_body(session->client, piece, last) != BH_OK)
        break_off(session, BH_E_IO, BH_STR("the message cannot be read from the spool"));
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
        void *whose;

        if (!count && bh_smtp_client_wants_body(session->client, &whose)) {
            feed_body(session, whose);
            count = bh_smtp_client_output(session->client, iov, IOV_MAX_HERE);
        }
        if (!count)
            return;
        for (size_t i = 0; i < count; i++)
            total += iov[i].iov_len;
        if (bh_chan_send(session->chan, iov, count, &taken) != BH_OK) {
            break_off(session, BH_E_CLOSED, BH_STR("the connection broke while writing"));
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

static void free_session(struct session *session)
{
    bh_connect_cancel(session->connecting);
    bh_chan_close(session->chan);
    bh_smtp_client_free(session->client);
    bh_timer_free(&session->idle);
    bh_deferred_cancel(&session->broken);
    for (size_t i = 0; i < session->target_count; i++)
        bh_buf_free(&session->targets[i].tlsa);
    bh_buf_free(&session->trail);
    free(session);
}

static void close_session(struct session *session, const char *why)
{
    struct site *site = session->site;
    enum session_end end = session->worked ? SESSION_WORKED : session->tls_useless ? SESSION_AGAIN : SESSION_FAILED;

    if (end == SESSION_FAILED && session->target)
        bh_site_address_failed(site, session->target->index);
    session->sender->connections--;
    bh_site_session_gone(site, session, end, why);
    free_session(session);
}

/* ---- TLS ---- */

/* One line for the reports, once a session. */
static void note_tls(struct session *session, const char *failure, const char *reason)
{
    if (session->tls_noted)
        return;
    session->tls_noted = true;
    bh_site_note_tls(session->site, session->target->index, &session->target->plan, failure, bh_str_c(session->source),
                     bh_str_c(reason));
}

static void start_tls(struct session *session)
{
    static const enum bh_tls_verify verify[] = {[BH_TLS_CHECK_NONE] = BH_TLS_VERIFY_NONE,
                                                [BH_TLS_CHECK_WATCH] = BH_TLS_VERIFY_WATCH,
                                                [BH_TLS_CHECK_NAME] = BH_TLS_VERIFY_NAME,
                                                [BH_TLS_CHECK_DANE] = BH_TLS_VERIFY_DANE};
    const struct target *target = session->target;
    bh_str input = bh_chan_input(session->chan), records[TLSA_MAX];
    struct bh_cur list = bh_cur_make(bh_buf_view(&target->tlsa));
    struct bh_tls_want want = {.name = bh_str_c(target->tls_name),
                               .verify = verify[target->plan.check],
                               .other_name = bh_str_c(session->domain),
                               .tlsa = records};

    while (bh_cur_left(&list) && want.tlsa_count < TLSA_MAX)
        records[want.tlsa_count++] = bh_cur_str(&list);
    bh_chan_consume(session->chan, input.n);
    session->shaking = true;
    if (bh_chan_start_tls_as(session->chan, session->sender->tls, &want) != BH_OK)
        bh_smtp_client_fail(session->client, BH_E_CRYPTO, BH_STR("TLS cannot be started"));
}

/* The handshake failed: perhaps in clear then, if nobody minds. */
static void tls_failed(struct session *session, const char *why)
{
    static const enum bh_tls_failure failures[] = {[BH_TLS_CERT_FINE] = BH_TLS_FAIL_OTHER,
                                                   [BH_TLS_CERT_NAME] = BH_TLS_FAIL_NAME,
                                                   [BH_TLS_CERT_EXPIRED] = BH_TLS_FAIL_EXPIRED,
                                                   [BH_TLS_CERT_UNTRUSTED] = BH_TLS_FAIL_NOT_TRUSTED};
    enum bh_tls_failure failure = failures[bh_chan_tls_verdict(session->chan)];

    note_tls(session, bh_tls_failure_type(&session->target->plan, failure), why);
    if (session->target->plan.step != BH_TLS_MAY)
        return;
    session->tls_useless = true;
    bh_site_no_tls(session->site, session->target->index);
}

static void tls_up(struct session *session)
{
    static const char *const proofs[] = {[BH_TLS_CHECK_NONE] = "",
                                         [BH_TLS_CHECK_WATCH] = "",
                                         [BH_TLS_CHECK_NAME] = " verified",
                                         [BH_TLS_CHECK_DANE] = " DANE"};
    const struct bh_tls_plan *plan = &session->target->plan;
    char plain[128];

    session->shaking = false;
    bh_chan_tls_text(session->chan, plain, sizeof(plain));
    (void)snprintf(session->tls_text, sizeof(session->tls_text), "%s%s%s", plain, proofs[plan->check],
                   bh_chan_tls_resumed(session->chan) ? " resumed" : "");
    if (plan->check == BH_TLS_CHECK_WATCH && bh_chan_tls_verdict(session->chan) != BH_TLS_CERT_FINE)
        tls_failed(session, "the certificate does not prove the host's name"), session->tls_useless = false;
    else
        note_tls(session, plan->failure, plan->failure ? "the host is not in the policy" : "");
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
            if (!session->tls_text[0] && session->target->plan.step == BH_TLS_MAY)
                note_tls(session, bh_tls_failure_type(&session->target->plan, BH_TLS_FAIL_NOT_OFFERED), "");
            break;
        case BH_SMTP_CLIENT_STARTTLS:
            write_out(session);
            start_tls(session);
            bh_chan_set_timeout(session->chan, bh_smtp_client_timeout_ms(session->client));
            return;
        case BH_SMTP_CLIENT_OVER:
            (void)snprintf(why, sizeof(why), "%s: %.*s", session->remote, BH_FMT(bh_str_sub(result.text, 0, 200)));
            if (session->target->plan.step == BH_TLS_MUST && !session->was_ready &&
                bh_smtp_client_facts(session->client).esmtp)
                note_tls(session, bh_tls_failure_type(&session->target->plan, BH_TLS_FAIL_NOT_OFFERED), why);
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
    if (!session->chan || !session->was_ready || session->quitting || session->over ||
        !bh_smtp_client_has_room(session->client) || !may_take_more(session))
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

/* The handshake is done. */
static void on_up(void *ctx)
{
    struct session *session = ctx;

    tls_up(session);
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

    if (session->shaking)
        tls_failed(session, why);
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

static void name_local(struct session *session)
{
    struct sockaddr_storage from = {0};
    socklen_t bytes = sizeof(from);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&from;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&from;

    if (getsockname(bh_chan_fd(session->chan), (struct sockaddr *)&from, &bytes) == 0)
        (void)inet_ntop(from.ss_family,
                        from.ss_family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr,
                        session->source, sizeof(session->source));
    (void)snprintf(session->local, sizeof(session->local), "%s as %s", session->source, session->helo);
}

static enum bh_smtp_client_tls tls_mode(enum bh_tls_step step)
{
    return step == BH_TLS_NEVER ? BH_SMTP_TLS_NEVER
           : step == BH_TLS_MAY ? BH_SMTP_TLS_IF_OFFERED
                                : BH_SMTP_TLS_REQUIRED;
}

static void on_connected(void *ctx, struct bh_chan *chan, size_t which, bh_str trail)
{
    struct session *session = ctx;

    session->connecting = NULL;
    if (!chan) {
        char why[TRAIL_MAX];

        (void)snprintf(why, sizeof(why), "%.*s", BH_FMT(trail));
        close_session(session, why);
        return;
    }
    if (trail.n)
        bh_buf_printf(&session->trail, "%s%.*s", session->trail.n ? "; " : "", BH_FMT(trail));
    session->chan = chan;
    session->target = &session->targets[which];
    bh_address_text(&session->target->address, session->target->host, session->remote, sizeof(session->remote));
    session->config.tls = tls_mode(session->target->plan.step);
    name_local(session);
    bh_chan_hand_over(chan, &ops, session);
    bh_chan_set_timeout(chan, bh_smtp_client_timeout_ms(session->client));
}

static void take_targets(struct session *session, const struct session_wish *wish)
{
    for (size_t i = 0; i < wish->count && i < BH_SESSION_TRIES_MAX; i++) {
        struct target *target = &session->targets[session->target_count++];
        const struct session_try *try = &wish->tries[i];

        target->plan = try->plan;
        target->index = try->index;
        target->address = *try->address;
        memcpy(target->host, try->host->name, sizeof(target->host));
        memcpy(target->tls_name, try->host->tls_name, sizeof(target->tls_name));
        target->tlsa = bh_buf_make(64 * 1024 + 4);
        if (try->plan.check == BH_TLS_CHECK_DANE)
            bh_buf_add(&target->tlsa, bh_buf_view(&try->host->records));
    }
}

struct session *bh_session_open(struct sender *sender, struct site *site, const struct session_wish *wish)
{
    struct session *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    bh_list_init(&session->link);
    bh_deferred_init(&session->broken, on_broken, session);
    session->sender = sender;
    session->site = site;
    session->messages_max = wish->messages_max;
    session->trail = bh_buf_make(TRAIL_MAX);
    bh_buf_add(&session->trail, bh_site_trail(site));
    take_targets(session, wish);
    (void)!bh_str_to_c(wish->helo, session->helo, sizeof(session->helo));
    (void)!bh_str_to_c(wish->domain, session->domain, sizeof(session->domain));
    session->config = (struct bh_smtp_client_config){.helo = bh_str_c(session->helo)};
    session->client = bh_smtp_client_new(&session->config);
    if (session->client && bh_timer_init(sender->role->loop, &session->idle, on_idle, session) == BH_OK)
        session->connecting = bh_connect_begin(sender, site, wish, on_connected, session);
    if (!session->connecting) {
        free_session(session);
        return NULL;
    }
    sender->connections++;
    return session;
}

/* At the end of the process: no results, queued takes what was in hand for ready. */
void bh_session_close(struct session *session)
{
    bh_list_remove(&session->link);
    session->sender->connections--;
    free_session(session);
}
