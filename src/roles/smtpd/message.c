/* message.c: see message.h. */
#include "message.h"
#include "auth/domain.h"
#include "base/clock.h"
#include "proto/mime/header.h"
#include "roles/messages.h"
#include <errno.h>
#include <unistd.h>

enum { KEPT_BYTES = 128 * 1024 };

void bh_message_init(struct bh_message *message)
{
    *message = (struct bh_message){
        .recipients = bh_buf_make(BH_MESSAGE_RECIPIENTS_MAX), .head = bh_buf_make(BH_MESSAGE_HEAD_MAX), .file = -1};
}

static void empty(struct bh_buf *buf)
{
    if (buf->cap > KEPT_BYTES)
        bh_buf_free(buf);
    bh_buf_clear(buf);
}

void bh_message_reset(struct bh_message *message)
{
    struct bh_buf recipients = message->recipients, head = message->head;

    if (message->file >= 0)
        (void)close(message->file);
    empty(&recipients);
    empty(&head);
    bh_message_init(message);
    message->recipients = recipients;
    message->head = head;
}

void bh_message_free(struct bh_message *message)
{
    bh_message_reset(message);
    bh_buf_free(&message->recipients);
    bh_buf_free(&message->head);
}

bh_str bh_mailbox_text(const struct bh_smtp_mailbox *mailbox)
{
    if (!mailbox->domain.n)
        return mailbox->local;
    return bh_str_range(mailbox->local.p, mailbox->domain.p + mailbox->domain.n);
}

bh_err bh_message_set_sender(struct bh_message *message, const struct bh_smtp_path *path, bh_str envid)
{
    bh_str text = path->null ? BH_STR("") : bh_mailbox_text(&path->mailbox);

    if (text.n > BH_SMTP_PATH_MAX || envid.n > BH_MESSAGE_ENVID_MAX)
        return BH_E_LIMIT;
    memcpy(message->mail_from, text.p, text.n);
    message->mail_from_n = text.n;
    if (envid.n)
        memcpy(message->envid, envid.p, envid.n);
    message->envid_n = envid.n;
    return BH_OK;
}

bh_err bh_message_add_recipient(struct bh_message *message, const struct bh_smtp_mailbox *mailbox, bh_str notify,
                                bh_str orcpt)
{
    size_t before = message->recipients.n;
    bh_err err;

    bh_rec_recipient_put(&message->recipients, &(struct bh_rec_recipient){bh_mailbox_text(mailbox), notify, orcpt});
    err = bh_buf_err(&message->recipients);
    if (err) {
        message->recipients.err = BH_OK;
        bh_buf_truncate(&message->recipients, before);
    }
    return err;
}

bool bh_has_8bit(bh_str bytes)
{
    uint64_t word, all = 0;
    size_t i = 0;

    for (; i + sizeof(word) <= bytes.n; i += sizeof(word)) {
        memcpy(&word, bytes.p + i, sizeof(word));
        all |= word;
    }
    for (; i < bytes.n; i++)
        all |= (unsigned char)bytes.p[i];
    return (all & 0x8080808080808080) != 0;
}

static void write_file(struct bh_message *message, bh_str bytes)
{
    while (bytes.n && !message->write_failed) {
        ssize_t n = write(message->file, bytes.p, bytes.n);

        if (n > 0)
            bytes = bh_str_skip(bytes, (size_t)n);
        else if (errno != EINTR)
            message->write_failed = true;
    }
}

/* Looks for the empty line behind the header, from where the last look ended. */
static void find_header_end(struct bh_message *message, size_t from)
{
    bh_str head = bh_buf_view(&message->head), rest = bh_str_skip(head, from > 3 ? from - 3 : 0);
    size_t at = bh_str_search(rest, BH_STR("\r\n\r\n"));

    if (!message->header_n && at < rest.n)
        message->header_n = head.n - rest.n + at + 4;
}

bool bh_message_add_text(struct bh_message *message, bh_str chunk)
{
    size_t before = message->head.n;

    message->size += chunk.n;
    message->has_8bit = message->has_8bit || bh_has_8bit(chunk);
    message->has_nul = message->has_nul || memchr(chunk.p, '\0', chunk.n);
    if (message->file < 0) {
        bh_buf_add(&message->head, chunk);
        if (bh_buf_err(&message->head))
            message->write_failed = true;
        return message->head.n > BH_MESSAGE_INLINE;
    }
    write_file(message, chunk);
    if (!message->header_n && message->head.n + chunk.n <= BH_MESSAGE_HEAD_MAX) {
        bh_buf_add(&message->head, chunk);
        find_header_end(message, before);
    }
    return false;
}

void bh_message_use_file(struct bh_message *message, int file, uint64_t body_file)
{
    message->file = file;
    message->body_file = body_file;
    write_file(message, bh_buf_view(&message->head));
    find_header_end(message, 0);
}

void bh_message_end_text(struct bh_message *message)
{
    if (message->file >= 0 && !message->write_failed)
        message->write_failed = fsync(message->file) != 0;
}

/* What every door refuses. */
static bool is_sound(struct bh_message *message, struct bh_arena *arena, struct bh_check_verdict *ret_verdict)
{
    if (!message->has_nul)
        return true;
    bh_check_refuse(arena, BH_CHECK_NUL, BH_STR(""), ret_verdict);
    return false;
}

static void judge_header(struct bh_message *message, struct bh_arena *arena, size_t max_hops,
                         struct bh_check_facts *ret_facts, struct bh_check_verdict *ret_verdict)
{
    struct bh_check_limits limits = {.max_hops = max_hops};

    bh_check_header(arena, &limits, bh_buf_view(&message->head), ret_facts, ret_verdict);
}

bool bh_message_read_wishes(struct bh_message *message, bh_time_ms now)
{
    bh_str header = bh_str_sub(bh_buf_view(&message->head), 0, message->header_n ? message->header_n : message->head.n);
    struct bh_header_iter it = bh_header_iter_make(header, 1000, 256 * 1024);
    struct bh_header_field field;
    struct bh_wishes wishes;

    if (bh_wishes_read(header, &wishes))
        return false;
    if (wishes.stream.n)
        memcpy(message->stream, wishes.stream.p, wishes.stream.n);
    message->stream_n = wishes.stream.n;
    while (bh_header_next(&it, &field) == BH_MORE) {
        bh_str value = bh_str_trim(field.value);

        if (bh_str_eq_ci(field.name, BH_STR("X-Behalf-Campaign"))) {
            if (value.n > BH_MESSAGE_CAMPAIGN_MAX || bh_str_find(value, '\n') < value.n)
                return false;
            if (value.n)
                memcpy(message->campaign, value.p, value.n);
            message->campaign_n = value.n;
        } else if (bh_str_eq_ci(field.name, BH_STR("X-Behalf-Send-At"))) {
            if (bh_time_parse_rfc3339(value, &message->send_at) != BH_OK ||
                message->send_at > now + (int64_t)BH_HOLD_MAX_S * 1000)
                return false;
        }
    }
    return true;
}

/* The author's address and domain, kept beyond the arena. */
static bool keep_author(struct bh_message *message, const struct bh_author *author)
{
    struct bh_buf domain = {.p = message->from_domain, .cap = BH_MESSAGE_DOMAIN_MAX, .max = BH_MESSAGE_DOMAIN_MAX};

    if (author->address.n > BH_SMTP_PATH_MAX || bh_domain_to_ascii(author->domain, &domain) || bh_buf_err(&domain))
        return false;
    memcpy(message->header_from, author->address.p, author->address.n);
    message->header_from_n = author->address.n;
    message->from_domain_n = domain.n;
    return true;
}

void bh_message_judge(struct bh_message *message, struct bh_arena *arena, size_t max_hops,
                      struct bh_check_verdict *ret_verdict)
{
    struct bh_check_facts facts;

    if (!is_sound(message, arena, ret_verdict))
        return;
    judge_header(message, arena, max_hops, &facts, ret_verdict);
    if (ret_verdict->code)
        return;
    message->smtputf8 = message->smtputf8 || facts.header_8bit;
    if (!keep_author(message, &facts.author))
        bh_check_refuse(arena, BH_CHECK_BAD_FROM, BH_STR("its domain is not a name that DNS can hold"), ret_verdict);
}

void bh_message_judge_inbound(struct bh_message *message, struct bh_arena *arena, size_t max_hops,
                              struct bh_check_verdict *ret_verdict)
{
    struct bh_check_facts facts;

    if (!is_sound(message, arena, ret_verdict))
        return;
    judge_header(message, arena, max_hops, &facts, ret_verdict);
    if (ret_verdict->rule != BH_CHECK_HOPS) /* a bounce's odd header is the parser's business, not the gate's */
        *ret_verdict = (struct bh_check_verdict){.rule = BH_CHECK_OK};
}

/* What was written to the file, from `at` on. */
static bh_err hash_file(const struct bh_message *message, uint64_t at, struct bh_dkim_body *body)
{
    char part[32 * 1024];

    while (at < message->size) {
        ssize_t n = pread(message->file, part, sizeof(part), (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return BH_E_IO;
        bh_dkim_body_add(body, bh_str_of(part, (size_t)n));
        at += (uint64_t)n;
    }
    return BH_OK;
}

bh_err bh_message_body_hash(const struct bh_message *message, struct bh_dkim *dkim,
                            uint8_t ret_hash[BH_DKIM_HASH_BYTES])
{
    bh_str head = bh_buf_view(&message->head);
    size_t at = bh_str_search(head, BH_STR("\r\n\r\n"));
    struct bh_dkim_body *body = bh_dkim_body_new(dkim, BH_DKIM_RELAXED);
    bh_err err = BH_OK;

    if (!body)
        return BH_E_NOMEM;
    if (message->file >= 0)
        err = at < head.n ? hash_file(message, at + 4, body) : BH_E_IO;
    else
        bh_dkim_body_add(body, bh_str_skip(head, at + 4));
    if (!err)
        err = bh_dkim_body_end(body, ret_hash, NULL);
    bh_dkim_body_free(body);
    return err;
}

const char *bh_message_protocol(const struct bh_smtp_server_facts *facts, bool smtputf8)
{
    static const char *const names[2][2][2] = {{{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
                                               {{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}}};

    return facts->esmtp ? names[smtputf8][facts->tls][facts->authenticated] : "SMTP";
}
