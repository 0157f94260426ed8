/* read.c: see read.h. */
#include "read.h"
#include "proto/mime/header.h"

enum { TOKEN_CHARS = 48, DOMAIN_MAX = 253, FIELDS_MAX = 2000, HEADER_MAX = 256 * 1024, TEXT_MAX = 1000 };

/* ---- addresses that look like ours ---- */

static bool is_token_char(char c)
{
    return bh_is_lower(bh_to_lower(c)) || (c >= '2' && c <= '7');
}

static bool is_domain_char(char c)
{
    return bh_is_lower(bh_to_lower(c)) || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

/* The address around the @ at `at`, or empty. */
static bh_str token_at(bh_str text, size_t at)
{
    size_t end = at + 1;

    if (at < TOKEN_CHARS || bh_to_lower(text.p[at - TOKEN_CHARS]) != 'b' ||
        (at > TOKEN_CHARS && is_token_char(text.p[at - TOKEN_CHARS - 1])))
        return bh_str_of(NULL, 0);
    for (size_t i = at - TOKEN_CHARS; i < at; i++)
        if (!is_token_char(text.p[i]))
            return bh_str_of(NULL, 0);
    while (end < text.n && end - at <= DOMAIN_MAX && is_domain_char(text.p[end]))
        end++;
    while (end > at + 1 && text.p[end - 1] == '.')
        end--;
    return end > at + 1 ? bh_str_sub(text, at - TOKEN_CHARS, TOKEN_CHARS + end - at) : bh_str_of(NULL, 0);
}

static void find_tokens(bh_str message, struct bh_buf *out)
{
    bh_str found[BH_READ_TOKENS_MAX];
    size_t count = 0;

    for (size_t at = bh_str_find(message, '@'); at < message.n && count < BH_READ_TOKENS_MAX;) {
        bh_str token = token_at(message, at);
        bool known = token.n == 0;

        for (size_t i = 0; i < count && !known; i++)
            known = bh_str_eq_ci(found[i], token);
        if (!known) {
            found[count++] = token;
            bh_rec_read_text_put(out, &(struct bh_rec_read_text){token});
        }
        at += 1 + bh_str_find(bh_str_skip(message, at + 1), '@');
    }
}

/* ---- the lists and fields ---- */

static bh_str shorter(bh_str text)
{
    return bh_str_sub(text, 0, TEXT_MAX);
}

static void put_recipients(const struct bh_bounce *bounce, struct bh_buf *out)
{
    for (size_t i = 0; i < bounce->count && i < BH_READ_RECIPIENTS_MAX; i++) {
        const struct bh_bounce_recipient *r = &bounce->recipients[i];
        struct bh_refusal refusal;
        bh_str reply;

        bh_refusal_parse(r->smtp_reply, &refusal, &reply);
        bh_rec_read_recipient_put(out, &(struct bh_rec_read_recipient){.address = shorter(r->address),
                                                                       .original = shorter(r->original),
                                                                       .action = (uint8_t)r->action,
                                                                       .status = shorter(r->status),
                                                                       .refusal_class = (uint8_t)r->class,
                                                                       .reason = shorter(r->reason),
                                                                       .code = refusal.code,
                                                                       .smtp_reply = shorter(r->smtp_reply),
                                                                       .diagnostic = shorter(r->diagnostic),
                                                                       .remote = shorter(r->remote_mta)});
    }
}

static void put_feedback(const struct bh_feedback *f, struct bh_msg_read_reply *reply)
{
    reply->is_failure_report = f->is_failure_report;
    reply->feedback_type = shorter(f->type);
    reply->user_agent = shorter(f->user_agent);
    reply->source_ip = shorter(f->source_ip);
    reply->reported_domain = shorter(f->reported_domain);
    reply->auth_failure = shorter(f->auth_failure);
    reply->arrival_date = shorter(f->arrival_date);
    reply->dkim_domain = shorter(f->dkim_domain);
    reply->dkim_selector = shorter(f->dkim_selector);
    reply->incidents = f->incidents;
}

static void put_header(bh_str message, struct bh_msg_read_reply *reply)
{
    struct bh_header_iter it = bh_header_iter_make(message, FIELDS_MAX, HEADER_MAX);
    struct bh_header_field field;

    while (bh_header_next(&it, &field) == BH_MORE) {
        if (bh_str_eq_ci(field.name, BH_STR("Subject")) && !reply->subject.n)
            reply->subject = shorter(bh_str_trim(field.value));
        if (bh_str_eq_ci(field.name, BH_STR("From")) && !reply->header_from.n)
            reply->header_from = shorter(bh_str_trim(field.value));
    }
}

bh_err bh_read_message(struct bh_arena *arena, const struct bh_bounce_rules *rules, bh_str message,
                       struct bh_buf *recipients, struct bh_buf *tokens, struct bh_msg_read_reply *ret_reply)
{
    struct bh_bounce bounce;
    bh_err err = bh_bounce_read(arena, rules, message, &bounce);

    if (err)
        return err;
    *ret_reply = (struct bh_msg_read_reply){.ok = 1,
                                            .kind = (uint8_t)bounce.kind,
                                            .recipient_count = (uint32_t)bounce.count,
                                            .reporting_mta = shorter(bounce.reporting_mta)};
    put_recipients(&bounce, recipients);
    find_tokens(message, tokens);
    if (bounce.has_feedback)
        put_feedback(&bounce.feedback, ret_reply);
    ret_reply->recipients = bh_buf_view(recipients);
    ret_reply->tokens = bh_buf_view(tokens);
    put_header(message, ret_reply);
    return bh_buf_err(recipients) ? bh_buf_err(recipients) : bh_buf_err(tokens);
}
