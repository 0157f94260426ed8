/* intake.c: SUBMIT: from a request to rows in the open transaction. See commit.c for when it is answered. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

enum { FEW_RECIPIENTS = 8 };

struct intake {
    struct bh_queued *q;
    const struct bh_requester *from;
    const struct bh_msg_submit *submit;
    struct content_recipient few[FEW_RECIPIENTS];
    struct content_recipient *recipients;
    uint32_t recipient_count;
    struct body_file *file;
    struct batch *batch; /* NULL: it is alone */
};

bh_err route_of(uint8_t destination, bh_str address, char route[BH_QUEUE_ROUTE_MAX], bh_str *ret_route)
{
    size_t at = bh_str_rfind(address, '@');
    bh_str domain = bh_str_skip(address, at + 1);

    if (destination == BH_TO_STEWARD) {
        *ret_route = BH_STR(STEWARD_ROUTE);
        return BH_OK;
    }
    if (at == address.n || domain.n == 0 || domain.n > BH_QUEUE_ROUTE_MAX)
        return BH_E_SYNTAX;
    for (size_t i = 0; i < domain.n; i++)
        route[i] = bh_to_lower(domain.p[i]);
    *ret_route = bh_str_of(route, domain.n);
    return BH_OK;
}

static void refuse(struct intake *in, uint16_t code, const char *enhanced, const char *reason)
{
    struct bh_msg_submit_reply reply = {.code = code, .enhanced = bh_str_c(enhanced), .reason = bh_str_c(reason)};

    in->q->stats.refused++;
    if (in->batch) {
        batch_refuse(in->batch, code, enhanced, reason);
        return;
    }
    in->q->options.ops->submit_reply(in->q->options.ctx, in->from, &reply);
}

static bool texts_fit(const struct bh_msg_submit *s)
{
    const bh_str texts[] = {s->header_from, s->from_domain, s->mail_from, s->envid,
                            s->client,      s->helo,        s->protocol,  s->body_hash};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].n > BH_SUBMIT_TEXT_MAX)
            return false;
    return s->campaign.n <= BH_QUEUE_CAMPAIGN_MAX && s->stream.n <= BH_SUBMIT_STREAM_MAX;
}

/* Reads the list of recipients. False: refused. */
static bool read_recipients(struct intake *in)
{
    struct bh_cur list = bh_cur_make(in->submit->recipients);
    struct bh_rec_recipient record;
    uint32_t most = in->q->options.recipients_max, cap = FEW_RECIPIENTS;
    bh_err err;

    while ((err = bh_rec_recipient_next(&list, &record)) == BH_MORE) {
        char route[BH_QUEUE_ROUTE_MAX];
        bh_str view;

        if (in->recipient_count == most)
            return refuse(in, 452, "4.5.3", "too many recipients"), false;
        if (record.address.n > BH_SUBMIT_TEXT_MAX || record.notify.n > 100 || record.orcpt.n > BH_SUBMIT_TEXT_MAX ||
            route_of(in->submit->destination, record.address, route, &view))
            return refuse(in, 501, "5.1.3", "a recipient's address has no usable domain"), false;
        if (in->recipient_count == cap) {
            struct content_recipient *old = in->recipients == in->few ? NULL : in->recipients;
            struct content_recipient *more = reallocarray(old, cap * 2, sizeof(*more));

            if (!more)
                return refuse(in, 451, "4.3.0", "out of memory"), false;
            if (!old)
                memcpy(more, in->few, sizeof(in->few));
            in->recipients = more;
            cap *= 2;
        }
        in->recipients[in->recipient_count++] = (struct content_recipient){record.address, record.notify, record.orcpt};
    }
    if (err != BH_DONE || !in->recipient_count)
        return refuse(in, 501, "5.5.4", "no recipients"), false;
    return true;
}

static bool check_body(struct intake *in)
{
    const struct bh_msg_submit *s = in->submit;

    if (s->size > in->q->options.message_size_max)
        return refuse(in, 552, "5.3.4", "the message is larger than this server takes"), false;
    if (!s->body_file && (s->body.n != s->size || s->size > BH_INLINE_BODY_MAX))
        return refuse(in, 451, "4.3.0", "the body does not have the size that was said"), false;
    if (!s->body_file)
        return true;
    in->file = body_file_find(&in->q->files, in->from->peer, s->body_file);
    if (!in->file)
        return refuse(in, 451, "4.3.0", "the body's file is not there any more"), false;
    return true;
}

static bool is_open(struct intake *in)
{
    if (in->q->draining)
        return refuse(in, 421, "4.3.2", "shutting down, try again soon"), false;
    if (in->q->group.closed_until > now_of(in->q))
        return refuse(in, 452, "4.3.1", "the mail system cannot store messages now"), false;
    if (!floor_allows(in->q, in->submit->size))
        return refuse(in, 452, "4.3.1", "the queue is full, try again later"), false;
    return true;
}

static bh_time_ms send_at(const struct intake *in)
{
    bh_time_ms now = now_of(in->q);

    return in->submit->send_at > now ? in->submit->send_at : now;
}

static struct bh_message_row make_row(const struct intake *in, uint64_t id)
{
    const struct bh_msg_submit *s = in->submit;
    bh_time_ms now = now_of(in->q);
    struct bh_retry_policy schedule;

    policy_schedule(in->q, s->customer_id, bh_str_of(NULL, 0), &schedule);
    return (struct bh_message_row){
        .id = id,
        .destination = s->destination == BH_TO_STEWARD ? BH_TO_STEWARD : BH_TO_WORLD,
        .customer = s->customer_id,
        .domain = s->domain_id,
        .header_from = s->header_from,
        .from_domain = s->from_domain,
        .mail_from = s->mail_from,
        .envid = s->envid,
        .size = (int64_t)s->size,
        .flags = (s->eight_bit ? BH_MESSAGE_8BIT : 0u) | (s->smtputf8 ? BH_MESSAGE_SMTPUTF8 : 0u) |
                 (s->ret_full ? BH_MESSAGE_RET_FULL : 0u),
        .accepted_at = now,
        .expires_at = send_at(in) + (int64_t)schedule.expire_s * 1000,
        .credential = (int64_t)s->credential_id,
        .client = s->client,
        .helo = s->helo,
        .protocol = s->protocol,
        .body_hash = s->body_hash,
        .campaign = s->campaign,
        .stream = s->stream,
    };
}

static void insert_rows(const struct intake *in, const struct bh_message_row *row)
{
    struct bh_queued *q = in->q;

    group_begin(q);
    bh_message_insert(q->store, row);
    bh_body_insert(q->store, row->id,
                   in->file ? bh_str_of(NULL, 0)
                            : bh_str_of(in->submit->body.p ? in->submit->body.p : "", in->submit->body.n));
    for (uint32_t i = 0; i < in->recipient_count; i++) {
        char route[BH_QUEUE_ROUTE_MAX];
        struct bh_recipient_row r = {.message = row->id,
                                     .idx = i,
                                     .address = in->recipients[i].address,
                                     .notify = in->recipients[i].notify,
                                     .orcpt = in->recipients[i].orcpt,
                                     .state = BH_RECIPIENT_QUEUED,
                                     .next_at = send_at(in)};
        bh_err err = route_of(row->destination, r.address, route, &r.route);

        (void)err; /* read_recipients has tried it */
        bh_recipient_insert(q->store, &r);
    }
    write_event(q, BH_EVENT_ACCEPTED, row->id, BH_EVENT_WHOLE, row->customer, 250, bh_str_of(NULL, 0),
                bh_str_of(NULL, 0));
}

static void take_in(struct intake *in)
{
    struct bh_queued *q = in->q;
    struct bh_message_row row = make_row(in, bh_id_next(&q->message_ids, now_of(q), q->options.random));
    bool has_file = in->file != NULL;
    struct pending_submit *pending = malloc(sizeof(*pending));
    struct content *content =
        pending ? content_new(&row,
                              has_file ? bh_str_of(NULL, 0)
                                       : bh_str_of(in->submit->body.p ? in->submit->body.p : "", in->submit->body.n),
                              0, in->recipients, in->recipient_count)
                : NULL;
    bh_err err = content ? BH_OK : BH_E_NOMEM;

    if (!err && has_file)
        err = body_file_link(&q->files, in->file, row.id, in->submit->size);
    if (err) {
        free(pending);
        content_free(content);
        refuse(in, 451, "4.3.0", bh_err_text(err));
        return;
    }
    insert_rows(in, &row);
    if (in->batch)
        batch_add(in->batch, row.id);
    *pending = (struct pending_submit){.from = *in->from,
                                       .batch = in->batch,
                                       .content = content,
                                       .recipient_count = in->recipient_count,
                                       .send_at = send_at(in),
                                       .has_file = has_file};
    bh_list_push(&q->group.submits, &pending->node);
    q->options.ops->want_turn(q->options.ctx);
}

static void run_intake(struct intake *in, bool take)
{
    in->recipients = in->few;
    if (!texts_fit(in->submit))
        refuse(in, 501, "5.5.4", "an argument is too long");
    else if (is_open(in) && check_body(in) && read_recipients(in) && take)
        take_in(in);
    if (in->recipients != in->few)
        free(in->recipients);
}

void bh_queued_submit(struct bh_queued *q, const struct bh_requester *from, const struct bh_msg_submit *submit)
{
    struct intake in = {.q = q, .from = from, .submit = submit};

    run_intake(&in, true);
}

void intake_batched(struct bh_queued *q, struct batch *batch, const struct bh_msg_submit *submit, bool take)
{
    struct intake in = {.q = q, .from = &batch->from, .submit = submit, .batch = batch};

    run_intake(&in, take);
}

bh_err bh_queued_body_file(struct bh_queued *q, const struct bh_requester *from, uint64_t size_limit,
                           uint64_t *ret_number, int *ret_fd)
{
    struct body_file *file;
    bh_err err;

    if (size_limit > q->options.message_size_max)
        return BH_E_LIMIT;
    if (q->draining || q->group.closed_until > now_of(q) || !floor_allows(q, size_limit))
        return BH_E_BUSY;
    err = body_file_make(&q->files, from->peer, size_limit, &file);
    if (!err) {
        *ret_number = file->number;
        *ret_fd = file->fd;
    }
    return err;
}

void bh_queued_requester_down(struct bh_queued *q, const void *peer)
{
    body_files_drop_peer(&q->files, peer);
}
