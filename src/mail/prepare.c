/* prepare.c: see prepare.h. Two passes over the fields: the first sees what is missing and how much stays, the second
 * copies what stays behind the added fields. Fields are copied as they are, byte by byte: foreign signatures cover
 * them. */
#include "prepare.h"
#include "auth/tags.h"
#include "base/clock.h"
#include "proto/mime/header.h"
#include "wishes.h"

enum { max_fields = 20000, max_tags = 32, max_added = 4096 };

/* ---- what goes ---- */

static bool is_own_signature(const struct bh_prepare *prepare, bh_str value)
{
    struct bh_tag tags[max_tags];
    const struct bh_tag *domain, *selector;
    size_t count;

    if (prepare->own_count == 0 || bh_tag_list_read(value, tags, max_tags, &count))
        return false;
    domain = bh_tag_find(tags, count, "d");
    selector = bh_tag_find(tags, count, "s");
    for (size_t i = 0; domain && i < prepare->own_count && i < BH_PREPARE_OWN_MAX; i++) {
        const struct bh_own_signature *own = &prepare->own[i];
        if (bh_str_eq_ci(domain->value, own->domain) &&
            (own->selector.n == 0 || (selector && bh_str_eq_ci(selector->value, own->selector))))
            return true;
    }
    return false;
}

/* The authserv-id of an Authentication-Results value: its first word, comments before it skipped (RFC 8601 2.2). */
static bh_str authserv_id(bh_str value)
{
    size_t i = 0, start, depth = 0;

    for (; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' && depth && i + 1 < value.n)
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && depth)
            depth--;
        else if (!depth && !bh_is_wsp(c) && c != '\r' && c != '\n')
            break;
    }
    start = i < value.n && value.p[i] == '"' ? ++i : i;
    while (i < value.n && value.p[i] != ';' && value.p[i] != '"' && value.p[i] != '(' && !bh_is_wsp(value.p[i]) &&
           value.p[i] != '\r' && value.p[i] != '\n')
        i++;
    return bh_str_sub(value, start, i - start);
}

static bool must_go(const struct bh_prepare *prepare, const struct bh_header_field *field)
{
    static const char *const always[] = {"Bcc", "Resent-Bcc", "Return-Path", "X-Behalf-Campaign", "X-Behalf-Send-At"};

    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (bh_str_eq_ci(field->name, bh_str_c(always[i])))
            return true;
    if (bh_wishes_is_field(field->name))
        return true;
    if (prepare->feedback.unsubscribe.n && (bh_str_eq_ci(field->name, BH_STR("List-Unsubscribe")) ||
                                            bh_str_eq_ci(field->name, BH_STR("List-Unsubscribe-Post"))))
        return true;
    if (bh_str_eq_ci(field->name, BH_STR("DKIM-Signature")))
        return is_own_signature(prepare, field->value);
    if (prepare->authserv_id.n && bh_str_eq_ci(field->name, BH_STR("Authentication-Results")))
        return bh_str_eq_ci(authserv_id(field->value), prepare->authserv_id);
    return false;
}

/* ---- what comes ---- */

/* A stranger's word in a structured field: what is no letter, digit or -._:[] becomes '?'. */
static void add_word(struct bh_buf *out, bh_str word)
{
    word = bh_str_sub(word, 0, 255);
    for (size_t i = 0; i < word.n; i++) {
        char c = word.p[i];
        bool fine = bh_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == ':' || c == '[' || c == ']';
        bh_buf_char(out, fine ? c : '?');
    }
}

/* An address fits into <> when it is printable without blanks and brackets; UTF-8 is left out with the rest, since
 * Received must stay ASCII for relays without SMTPUTF8. */
static bool is_plain_address(bh_str address)
{
    if (address.n == 0 || address.n > 320)
        return false;
    for (size_t i = 0; i < address.n; i++)
        if (address.p[i] <= 32 || address.p[i] > 126 || address.p[i] == '<' || address.p[i] == '>')
            return false;
    return true;
}

/* "from helo (name [address])", RFC 5321 4.4 TCP-info. */
static void add_received_from(struct bh_buf *out, const struct bh_received_facts *facts)
{
    if (facts->helo.n == 0 && facts->client_address.n == 0)
        return;
    bh_buf_add(out, BH_STR("from "));
    add_word(out, facts->helo.n ? facts->helo : BH_STR("unknown"));
    if (facts->client_address.n) {
        bh_buf_add(out, BH_STR(" ("));
        if (facts->client_name.n) {
            add_word(out, facts->client_name);
            bh_buf_char(out, ' ');
        }
        bh_buf_char(out, '[');
        if (bh_str_find(facts->client_address, ':') < facts->client_address.n)
            bh_buf_add(out, BH_STR("IPv6:"));
        add_word(out, facts->client_address);
        bh_buf_add(out, BH_STR("])"));
    }
    bh_buf_add(out, BH_STR("\r\n\t"));
}

static void add_received(struct bh_buf *out, const struct bh_prepare *prepare)
{
    const struct bh_received_facts *facts = &prepare->received;

    bh_buf_add(out, BH_STR("Received: "));
    add_received_from(out, facts);
    bh_buf_add(out, BH_STR("by "));
    add_word(out, facts->by);
    if (facts->with.n) {
        bh_buf_add(out, BH_STR(" with "));
        add_word(out, facts->with);
    }
    if (facts->id.n) {
        bh_buf_add(out, BH_STR(" id "));
        add_word(out, facts->id);
    }
    if (is_plain_address(facts->recipient)) {
        bh_buf_add(out, BH_STR("\r\n\tfor <"));
        bh_buf_add(out, facts->recipient);
        bh_buf_char(out, '>');
    }
    bh_buf_add(out, BH_STR(";\r\n\t"));
    bh_time_rfc5322(out, prepare->accepted_at);
    bh_buf_add(out, BH_STR("\r\n"));
}

static void add_message_id(struct bh_buf *out, const struct bh_prepare *prepare)
{
    bh_buf_add(out, BH_STR("Message-ID: <"));
    add_word(out, prepare->message_id_left);
    bh_buf_char(out, '@');
    add_word(out, prepare->message_id_domain.n ? prepare->message_id_domain : prepare->received.by);
    bh_buf_add(out, BH_STR(">\r\n"));
}

static void add_date(struct bh_buf *out, const struct bh_prepare *prepare)
{
    bh_buf_add(out, BH_STR("Date: "));
    bh_time_rfc5322(out, prepare->accepted_at);
    bh_buf_add(out, BH_STR("\r\n"));
}

/* Where complaints and unsubscriptions come back to (RFC 9477, RFC 2369, RFC 8058). Addresses of our own making and
 * words: nothing here is a stranger's. */
static void add_feedback(struct bh_buf *out, const struct bh_prepare *prepare, bool has_feedback_id)
{
    const struct bh_feedback_facts *f = &prepare->feedback;

    if (f->complaints.n) {
        bh_buf_printf(out, "CFBL-Address: %.*s; report=arf\r\n", BH_FMT(f->complaints));
        bh_buf_add(out, BH_STR("CFBL-Feedback-ID: "));
        add_word(out, f->id);
        bh_buf_add(out, BH_STR("\r\n"));
    }
    if (f->stream_id.n && !has_feedback_id)
        bh_buf_printf(out, "Feedback-ID: %.*s\r\n", BH_FMT(f->stream_id));
    if (f->unsubscribe.n)
        bh_buf_printf(out, "List-Unsubscribe: <mailto:%.*s?subject=unsubscribe>", BH_FMT(f->unsubscribe));
    if (f->unsubscribe.n && f->unsubscribe_url.n)
        bh_buf_printf(out, ",\r\n\t<%.*s>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click",
                      BH_FMT(f->unsubscribe_url));
    if (f->unsubscribe.n)
        bh_buf_add(out, BH_STR("\r\n"));
}

/* ---- together ---- */

struct survey {
    bool has_date;
    bool has_feedback_id;
    bool has_message_id;
    size_t kept_bytes;
    size_t removed;
};

static bool is_blank_value(bh_str value)
{
    return bh_str_trim(value).n == 0;
}

/* A missing value and an empty one are the same to a reader; an empty one is replaced. */
static bool is_empty_id_or_date(const struct bh_header_field *field)
{
    return is_blank_value(field->value) &&
           (bh_str_eq_ci(field->name, BH_STR("Date")) || bh_str_eq_ci(field->name, BH_STR("Message-ID")));
}

static bool stays(const struct bh_prepare *prepare, const struct bh_header_field *field)
{
    return !is_empty_id_or_date(field) && !must_go(prepare, field);
}

static bh_err survey_fields(const struct bh_prepare *prepare, struct survey *survey)
{
    struct bh_header_iter it = bh_header_iter_make(prepare->header, max_fields, BH_PREPARE_HEADER_MAX);
    struct bh_header_field field;
    bh_err err;

    while ((err = bh_header_next(&it, &field)) == BH_MORE) {
        if (!stays(prepare, &field)) {
            survey->removed++;
            continue;
        }
        survey->kept_bytes += field.whole.n;
        survey->has_date = survey->has_date || bh_str_eq_ci(field.name, BH_STR("Date"));
        survey->has_feedback_id = survey->has_feedback_id || bh_str_eq_ci(field.name, BH_STR("Feedback-ID"));
        survey->has_message_id = survey->has_message_id || bh_str_eq_ci(field.name, BH_STR("Message-ID"));
    }
    if (err != BH_DONE)
        return err;
    bh_str block = bh_header_block(&it);
    return block.n == 0 || bh_str_ends(block, BH_STR("\r\n")) ? BH_OK : BH_E_INVALID;
}

static void copy_fields(const struct bh_prepare *prepare, char *to)
{
    struct bh_header_iter it = bh_header_iter_make(prepare->header, max_fields, BH_PREPARE_HEADER_MAX);
    struct bh_header_field field;

    while (bh_header_next(&it, &field) == BH_MORE) {
        if (stays(prepare, &field)) {
            memcpy(to, field.whole.p, field.whole.n);
            to += field.whole.n;
        }
    }
}

bh_err bh_prepare_header(struct bh_arena *arena, const struct bh_prepare *prepare, struct bh_prepared *ret_prepared)
{
    struct bh_buf added = bh_buf_make(max_added);
    struct survey survey = {0};
    struct bh_prepared prepared = {0};
    char *block = NULL;
    bh_err err = prepare->received.by.n ? survey_fields(prepare, &survey) : BH_E_INVALID;

    if (err)
        return err;
    add_received(&added, prepare);
    if (!survey.has_message_id)
        add_message_id(&added, prepare);
    if (!survey.has_date)
        add_date(&added, prepare);
    add_feedback(&added, prepare, survey.has_feedback_id);
    err = bh_buf_err(&added);
    if (!err && !(block = bh_arena_alloc(arena, added.n + survey.kept_bytes)))
        err = BH_E_NOMEM;
    if (!err) {
        memcpy(block, added.p, added.n);
        copy_fields(prepare, block + added.n);
        prepared.header = bh_str_of(block, added.n + survey.kept_bytes);
        prepared.added_bytes = added.n;
        prepared.removed = survey.removed;
        prepared.has_date_added = !survey.has_date;
        prepared.has_message_id_added = !survey.has_message_id;
        *ret_prepared = prepared;
    }
    bh_buf_free(&added);
    return err;
}
