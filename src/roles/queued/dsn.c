/* dsn.c: delivery status notifications to submitters who asked for them (RFC 3461 NOTIFY). The notice is a message of
 * ourselves with the null sender: it is made when the result is decided and committed together with it, so that neither
 * is ever without the other, and is then delivered as any message is. A message with the null sender gets none.
 *
 *      result ─▶ dsn_prepare (reads the message) ─▶ commit: result and notice ─▶ dsn_schedule
 */
#include "mail/dsn.h"
#include "internal.h"
#include "roles/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HEADER_AT_HAND = 64 * 1024, NOTICE_MAX = 512 * 1024, FULL_MAX = 256 * 1024 };

struct dsn {
    enum bh_dsn_kind kind;
    struct bh_queued *q;
    struct pending_result *result;
    char status[16];
    char remote[320];
    struct content *content; /* the notice; NULL: none is wanted after all */
    bool told;               /* of the delay, earlier */
    bh_time_ms accepted_at;
    dsn_ready *ready;
};

void dsn_free(struct dsn *dsn)
{
    if (!dsn)
        return;
    content_free(dsn->content);
    free(dsn);
}

static bool kind_of(enum bh_event_kind event, enum bh_dsn_kind *ret_kind)
{
    *ret_kind = event == BH_EVENT_DELIVERED  ? BH_DSN_RELAYED
                : event == BH_EVENT_DEFERRED ? BH_DSN_DELAYED
                                             : BH_DSN_FAILED;
    return event == BH_EVENT_DELIVERED || event == BH_EVENT_DEFERRED || event == BH_EVENT_BOUNCED ||
           event == BH_EVENT_EXPIRED;
}

/* ---- the message that it is about ---- */

/* The start of a body that is in a file, at most `most` bytes of it. */
static bh_str read_file(struct bh_queued *q, uint64_t message, struct bh_buf *into, size_t most)
{
    int fd = body_file_read(&q->files, message);
    char *room = fd >= 0 ? bh_buf_reserve(into, most) : NULL;
    ssize_t n = room ? pread(fd, room, most, 0) : -1;

    if (n > 0)
        bh_buf_commit(into, (size_t)n);
    if (fd >= 0)
        (void)close(fd);
    return bh_buf_view(into);
}

static struct content *make_content(struct dsn *dsn, const struct bh_message_row *about, bh_str text, uint64_t id)
{
    struct bh_queued *q = dsn->q;
    const struct bh_config *config = q->options.config;
    bh_time_ms now = now_of(q);
    char from[300];
    int n = snprintf(from, sizeof(from), "mailer-daemon@%.*s", BH_FMT(config->platform));
    struct bh_message_row row = {.id = id,
                                 .destination = BH_TO_WORLD,
                                 .header_from = bh_str_of(from, (size_t)n),
                                 .from_domain = config->platform,
                                 .size = (int64_t)text.n,
                                 .flags = BH_MESSAGE_NOTICE | (about->flags & BH_MESSAGE_SMTPUTF8),
                                 .accepted_at = now,
                                 .expires_at = now + (int64_t)q->options.retry.expire_s * 1000,
                                 .client = BH_STR("local"),
                                 .protocol = BH_STR("LOCAL")};
    struct content_recipient to = {.address = about->mail_from, .notify = BH_STR("NEVER")};

    return content_new(&row, text, 0, &to, 1);
}

static void write_notice(struct dsn *dsn, const struct bh_message_row *about, const struct bh_message_delivery *to,
                         bh_str original)
{
    struct bh_queued *q = dsn->q;
    uint64_t id = bh_id_next(&q->message_ids, now_of(q), q->options.random);
    const struct pending_result *r = dsn->result;
    struct bh_buf out = bh_buf_make(NOTICE_MAX);
    char name[BH_MESSAGE_ID_CHARS + 1], from[300], message_id[330];
    int from_n = snprintf(from, sizeof(from), "mailer-daemon@%.*s", BH_FMT(q->options.config->platform));
    int n;

    bh_message_id_text(id, name);
    n = snprintf(message_id, sizeof(message_id), "%s@%.*s", name + 4, BH_FMT(q->options.config->platform));
    if (bh_dsn_write(&(struct bh_dsn){.kind = dsn->kind,
                                      .from = bh_str_of(from, (size_t)from_n),
                                      .to = about->mail_from,
                                      .message_id = bh_str_of(message_id, (size_t)n),
                                      .reporting_mta = q->options.config->hostname,
                                      .now = now_of(q),
                                      .arrived_at = about->accepted_at,
                                      .retry_until = about->expires_at,
                                      .envid = about->envid,
                                      .orcpt = to->orcpt,
                                      .recipient = to->address,
                                      .status = bh_str_c(dsn->status),
                                      .remote = bh_str_c(dsn->remote),
                                      .code = r->code,
                                      .text = r->text,
                                      .original = original,
                                      .whole = (about->flags & BH_MESSAGE_RET_FULL) && about->size <= FULL_MAX &&
                                               (uint64_t)about->size == original.n,
                                      .eight_bit = (about->flags & BH_MESSAGE_8BIT) != 0},
                     &out) == BH_OK)
        dsn->content = make_content(dsn, about, bh_buf_view(&out), id);
    bh_buf_free(&out);
}

static void take_message(void *ctx, const struct bh_row *row)
{
    struct dsn *dsn = ctx;
    struct bh_queued *q = dsn->q;
    struct bh_message_row about;
    struct bh_message_delivery to;
    struct bh_buf file = bh_buf_make(FULL_MAX + 1);
    size_t most;
    bh_str original;

    bh_message_from_row(row, &about);
    bh_message_delivery_from_row(row, &to);
    if (about.mail_from.n && bh_dsn_is_asked(to.notify, dsn->kind) &&
        (dsn->kind != BH_DSN_DELAYED ||
         (!dsn->told && now_of(q) - about.accepted_at >= (bh_time_ms)q->options.config->delay_notice_s * 1000))) {
        most = about.flags & BH_MESSAGE_RET_FULL && about.size <= FULL_MAX ? (size_t)about.size : HEADER_AT_HAND;
        original = to.body.p ? to.body : read_file(q, about.id, &file, most);
        write_notice(dsn, &about, &to, original);
    }
    bh_buf_free(&file);
}

static void message_read(void *ctx, const struct bh_result *result)
{
    struct dsn *dsn = ctx;

    (void)result; /* what cannot be read now is not told; the event is there in any case */
    dsn->ready(dsn->q, dsn->result);
}

static void read_message(struct dsn *dsn)
{
    bh_message_select_delivery(dsn->q->store, dsn->result->message, dsn->result->idx, take_message, message_read, dsn);
}

static void take_told(void *ctx, const struct bh_row *row)
{
    struct dsn *dsn = ctx;

    dsn->told = bh_row_int(row, 0) > 0;
}

static void told_read(void *ctx, const struct bh_result *result)
{
    (void)result;
    read_message(ctx);
}

bool dsn_prepare(struct bh_queued *q, struct pending_result *r, bh_str status, bh_str remote, dsn_ready *ready)
{
    struct dsn *dsn;
    enum bh_dsn_kind kind;

    if (!(r->item->flags & ITEM_NOTIFY) || !q->options.config || !kind_of(r->kind, &kind))
        return false;
    dsn = calloc(1, sizeof(*dsn));
    if (!dsn)
        return false;
    *dsn = (struct dsn){.kind = kind, .q = q, .result = r, .ready = ready};
    (void)!bh_str_to_c(status, dsn->status, sizeof(dsn->status));
    (void)!bh_str_to_c(remote, dsn->remote, sizeof(dsn->remote));
    r->dsn = dsn;
    if (kind == BH_DSN_DELAYED)
        bh_event_select_notified(q->store, r->message, (int32_t)r->idx, take_told, told_read, dsn);
    else
        read_message(dsn);
    return true;
}

/* ---- with the commit ---- */

void dsn_write(struct bh_queued *q, const struct pending_result *r)
{
    const struct content *c = r->dsn ? r->dsn->content : NULL;
    char route[BH_QUEUE_ROUTE_MAX], id[BH_MESSAGE_ID_CHARS + 1];
    struct bh_recipient_row row = {.state = BH_RECIPIENT_QUEUED};

    if (!c)
        return;
    row.message = c->row.id;
    row.address = c->recipients[0].address;
    row.notify = c->recipients[0].notify;
    row.orcpt = BH_STR("");
    row.next_at = c->row.accepted_at;
    bh_message_id_text(c->row.id, id);
    if (route_of(BH_TO_WORLD, row.address, route, &row.route))
        return;
    bh_message_insert(q->store, &c->row);
    bh_body_insert(q->store, c->row.id, c->body);
    bh_recipient_insert(q->store, &row);
    write_event(q, BH_EVENT_ACCEPTED, c->row.id, BH_EVENT_WHOLE, 0, 250, bh_str_of(NULL, 0), bh_str_of(NULL, 0));
    write_event(q, BH_EVENT_NOTIFIED, r->message, (int32_t)r->idx, r->customer, 0, bh_str_c(id), bh_str_of(NULL, 0));
}

void dsn_schedule(struct bh_queued *q, struct pending_result *r)
{
    struct content *c = r->dsn ? r->dsn->content : NULL;

    if (!c)
        return;
    r->dsn->content = NULL;
    schedule_content(q, c, 1, false, c->row.accepted_at);
    contents_keep(&q->contents, c);
}
