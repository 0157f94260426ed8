/* notice.c: see notice.h. */
#include "notice.h"
#include "base/clock.h"
#include "base/text.h"
#include "proto/mime/address.h"

enum {
    DAY_MS = 24 * 3600 * 1000,
    KEEP_DAYS = 30,
    ARENA_BYTES = 1 << 20,
    CONTACTS_MAX = 20,
    LINE_MAX = 900,
    ADDRESS_MAX = 254
};

bool bh_contact_valid(struct bh_arena *arena, bh_str address)
{
    struct bh_addr_spec spec;
    bh_str domain;

    return address.n <= ADDRESS_MAX && !bh_addr_spec_parse(arena, address, 0, &spec) && bh_str_eq(spec.raw, address) &&
           !spec.quoted && !spec.literal && !spec.cfws && !bh_domain_a_labels(arena, spec.domain, &domain);
}

/* ---- making ---- */

static bh_err is_too_much(struct bh_controld *core, const struct bh_notice *notice, bool *ret_drop)
{
    bh_time_ms now = bh_controld_now(core), last = 0;
    int64_t today = 0;
    bh_err err = bh_notice_last(core->store, bh_str_c(notice->kind), notice->customer, notice->about, &last);

    if (!err)
        err = bh_notice_count(core->store, notice->customer, now - DAY_MS, &today);
    if (err)
        return err;
    *ret_drop = last > now - DAY_MS && last > 0;
    if (!*ret_drop && today >= BH_NOTICES_PER_DAY) {
        core->out->log(core->out_ctx, BH_LOG_WARN, "too many notices today, this one is dropped", notice->subject);
        *ret_drop = true;
    }
    return BH_OK;
}

bh_err bh_notice_send(struct bh_controld *core, const struct bh_notice *notice)
{
    struct bh_notice_row row = {.kind = bh_str_c(notice->kind),
                                .customer_id = notice->customer,
                                .about = notice->about,
                                .subject = notice->subject,
                                .body = notice->text,
                                .at = bh_controld_now(core)};
    bool drop;
    int64_t id;
    bh_err err;

    if (notice->text.n > BH_NOTICE_TEXT_MAX)
        return BH_E_LIMIT;
    err = is_too_much(core, notice, &drop);
    if (err || drop)
        return err;
    err = bh_notice_prune(core->store, row.at - (bh_time_ms)KEEP_DAYS * DAY_MS);
    if (!err)
        err = bh_notice_insert(core->store, &row, &id);
    if (!err)
        core->out->settle(core->out_ctx);
    return err;
}

/* ---- the message ---- */

struct sending {
    struct bh_controld *core;
    struct bh_arena *arena; /* holds this */
    struct bh_notice_row notice;
    bh_str contacts[CONTACTS_MAX];
    size_t contact_count;
    bool for_customer; /* the operator gets what a customer without contact should have had */
};

static void add_contact(void *ctx, bh_str address)
{
    struct sending *sending = ctx;

    if (sending->contact_count < CONTACTS_MAX)
        sending->contacts[sending->contact_count++] = bh_arena_dup(sending->arena, address);
}

static bh_err find_contacts(struct sending *sending)
{
    struct bh_controld *core = sending->core;
    bh_err err = BH_OK;

    if (sending->notice.customer_id)
        err = bh_contact_list(core->store, sending->notice.customer_id, add_contact, sending);
    if (err || sending->contact_count)
        return err;
    sending->for_customer = sending->notice.customer_id != 0;
    for (size_t i = 0; i < core->contact_count; i++)
        add_contact(sending, core->contacts[i]);
    return BH_OK;
}

static void put_ascii(struct bh_buf *out, bh_str text)
{
    for (size_t i = 0; i < text.n; i++)
        bh_buf_char(out, text.p[i] >= ' ' && text.p[i] < 127 ? text.p[i] : '?');
}

/* Body lines end in CRLF and are broken where SMTP's limit is near: at a blank, or hard. */
static void put_line(struct bh_buf *out, bh_str line)
{
    while (line.n > LINE_MAX) {
        size_t at = bh_str_rfind(bh_str_sub(line, 0, LINE_MAX), ' ');

        if (at == 0 || at >= LINE_MAX)
            at = LINE_MAX;
        put_ascii(out, bh_str_sub(line, 0, at));
        bh_buf_add(out, BH_STR("\r\n"));
        line = bh_str_skip(line, at);
    }
    put_ascii(out, line);
    bh_buf_add(out, BH_STR("\r\n"));
}

static void put_text(struct bh_buf *out, bh_str text)
{
    while (text.n) {
        bh_str line = bh_str_cut(text, '\n', &text);

        put_line(out, line);
    }
}

static void put_header(struct sending *sending, struct bh_buf *out)
{
    struct bh_controld *core = sending->core;
    bh_str platform = core->platform.domain;
    unsigned char random[12];

    bh_random_fill(core->random, random, sizeof(random));
    bh_buf_add(out, BH_STR("Date: "));
    bh_time_rfc5322(out, bh_controld_now(core));
    bh_buf_printf(out, "\r\nFrom: behalf notices <notices@%.*s>\r\nTo: ", BH_FMT(platform));
    for (size_t i = 0; i < sending->contact_count; i++)
        bh_buf_printf(out, "%s<%.*s>", i ? ",\r\n " : "", BH_FMT(sending->contacts[i]));
    bh_buf_add(out, BH_STR("\r\nSubject: "));
    put_ascii(out, bh_str_sub(sending->notice.subject, 0, LINE_MAX));
    bh_buf_add(out, BH_STR("\r\nMessage-ID: <"));
    bh_hex_encode(out, bh_str_of((const char *)random, sizeof(random)));
    bh_buf_printf(out,
                  "@%.*s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                  "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
                  BH_FMT(platform));
}

static void put_message(struct sending *sending, struct bh_buf *out)
{
    const struct bh_notice_row *notice = &sending->notice;

    put_header(sending, out);
    if (sending->for_customer)
        bh_buf_printf(out,
                      "The customer %.*s has no contact address (behalf customer set %.*s --contact ADDR),\r\n"
                      "so this comes to you:\r\n\r\n",
                      BH_FMT(notice->customer), BH_FMT(notice->customer));
    put_text(out, notice->body);
    bh_buf_printf(out, "\r\n-- \r\nbehalf at %.*s\r\n", BH_FMT(sending->core->platform.domain));
}

/* ---- submitting ---- */

static void end_sending(struct sending *sending, uint64_t message)
{
    struct bh_controld *core = sending->core;

    if (bh_notice_sent(core->store, sending->notice.id, bh_controld_now(core), message))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot store that a notice was sent",
                       bh_str_c(bh_store_error(core->store)));
    else if (message)
        bh_controld_event(core, BH_EVENT_NOTICE_SENT, sending->notice.customer_id, 0,
                          json_pack("{s:s%, s:s%}", "kind", sending->notice.kind.p, sending->notice.kind.n, "subject",
                                    sending->notice.subject.p, sending->notice.subject.n));
    core->out->log(core->out_ctx, message ? BH_LOG_INFO : BH_LOG_WARN,
                   message ? "notice queued" : "notice to nobody: no contact is set", sending->notice.subject);
}

static void on_submitted(void *ctx, bh_err err, const struct bh_msg_submit_reply *reply)
{
    struct sending *sending = ctx;
    struct bh_controld *core = sending->core;
    bool done = !err && reply->ok;

    core->notice_on_its_way = false;
    if (done)
        end_sending(sending, reply->message_id);
    else
        core->notices_wait = true; /* until the next wake */
    bh_arena_free(sending->arena);
    if (done && !core->notices_flushing)
        bh_notice_flush(core);
}

static bh_err submit(struct sending *sending, bh_str body)
{
    struct bh_controld *core = sending->core;
    struct bh_buf recipients = bh_buf_make(1 << 16);
    bh_str from = bh_arena_printf(sending->arena, "notices@%.*s", BH_FMT(core->platform.domain));
    struct bh_domain own;
    struct bh_msg_submit message = {.destination = BH_TO_WORLD,
                                    .header_from = from,
                                    .from_domain = core->platform.domain,
                                    .mail_from = from,
                                    .client = BH_STR("local"),
                                    .protocol = BH_STR("LOCAL"),
                                    .size = body.n,
                                    .body = body};
    bh_err err = bh_domain_by_name(core->store, sending->arena, core->platform.domain, 0, &own);

    for (size_t i = 0; i < sending->contact_count; i++)
        bh_rec_recipient_put(&recipients, &(struct bh_rec_recipient){sending->contacts[i], BH_STR(""), BH_STR("")});
    if (!err)
        err = bh_buf_err(&recipients);
    if (!err) {
        message.customer_id = (uint32_t)own.customer_id;
        message.domain_id = (uint32_t)own.id;
        message.recipients = bh_arena_dup(sending->arena, bh_buf_view(&recipients));
        core->notice_on_its_way = true;
        err = core->out->submit(core->out_ctx, &message, -1, on_submitted, sending);
        if (err)
            core->notice_on_its_way = false;
    }
    bh_buf_free(&recipients);
    return err;
}

/* Takes over `sending`. */
static bh_err send_one(struct sending *sending)
{
    struct bh_buf message = bh_buf_make(BH_NOTICE_TEXT_MAX * 2);
    bh_str body = {NULL, 0};
    bh_err err = find_contacts(sending);

    if (!err && !sending->contact_count) {
        end_sending(sending, 0);
        bh_arena_free(sending->arena);
        return BH_OK;
    }
    if (!err) {
        put_message(sending, &message);
        err = bh_buf_err(&message);
    }
    if (!err) {
        body = bh_arena_dup(sending->arena, bh_buf_view(&message));
        err = body.p ? submit(sending, body) : BH_E_NOMEM;
    }
    bh_buf_free(&message);
    if (err)
        bh_arena_free(sending->arena);
    return err;
}

static bh_err next_waiting(struct bh_controld *core, struct sending **ret_sending)
{
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    struct sending *sending = arena ? bh_arena_alloc(arena, sizeof(*sending)) : NULL;
    bh_err err = BH_E_NOMEM;

    if (sending) {
        *sending = (struct sending){.core = core, .arena = arena};
        err = bh_notice_waiting(core->store, arena, &sending->notice);
    }
    if (err)
        bh_arena_free(arena);
    else
        *ret_sending = sending;
    return err;
}

/* An answer may come at once or later; one notice is on its way at a time. */
void bh_notice_flush(struct bh_controld *core)
{
    struct sending *sending;
    bh_err err = BH_OK;

    core->notices_flushing = true;
    while (!err && !core->notice_on_its_way && !core->notices_wait) {
        err = next_waiting(core, &sending);
        if (!err)
            err = send_one(sending);
    }
    core->notices_flushing = false;
    if (err && err != BH_E_NOT_FOUND) {
        core->notices_wait = true;
        core->out->log(core->out_ctx, BH_LOG_DEBUG, "notices wait", bh_str_c(bh_err_text(err)));
    }
}
