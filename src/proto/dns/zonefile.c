/* Master files. Each call of _next reads whole entries until one is a record. The owner, TTL and class of an entry are
 * optional and the latter two come in either order, so fields are read until one is a type. */
#include "zonefile.h"

void bh_dns_zonefile_begin(struct bh_dns_zonefile *file, bh_str text, const struct bh_dns_name *origin,
                           uint32_t default_ttl_s, bh_dns_zonefile_directive *directive, void *directive_ctx)
{
    *file = (struct bh_dns_zonefile){.lexer = bh_dns_lexer_make(text),
                                     .ttl_s = default_ttl_s,
                                     .rdata = bh_buf_make(BH_DNS_RDATA_MAX + 1),
                                     .directive = directive,
                                     .directive_ctx = directive_ctx};
    bh_dns_name_set(&file->origin, origin ? bh_dns_name_view(origin) : bh_dns_root());
    if (bh_str_starts(text, BH_STR("\xef\xbb\xbf"))) /* a byte order mark, as editors leave it */
        file->lexer.at = 3;
}

void bh_dns_zonefile_end(struct bh_dns_zonefile *file)
{
    bh_buf_free(&file->rdata);
}

/* Keeps the first explanation. */
static bh_err fail(struct bh_dns_zonefile *file, bh_err err, const char *why)
{
    if (!file->why) {
        file->why = why;
        file->error_line = file->lexer.line;
    }
    return err == BH_DONE ? BH_E_SYNTAX : err;
}

static bh_err parse_name(struct bh_dns_zonefile *file, bh_str text, struct bh_dns_name *ret_name)
{
    bh_err err = BH_OK;

    if (bh_str_eq(text, BH_STR("@")))
        *ret_name = file->origin;
    else
        err = bh_dns_name_parse(text, &file->origin, ret_name);
    if (err == BH_E_LIMIT)
        return fail(file, err, "the name is too long");
    return err ? fail(file, err, "this is not a domain name") : BH_OK;
}

/* The argument of $ORIGIN and $TTL, and nothing behind it. */
static bh_err parse_argument(struct bh_dns_zonefile *file, bh_str *ret_text)
{
    struct bh_dns_token token, more;
    bh_err err = bh_dns_lexer_next(&file->lexer, &token);

    if (err)
        return fail(file, err, "the directive lacks its argument");
    err = bh_dns_lexer_next(&file->lexer, &more);
    if (err != BH_DONE)
        return fail(file, BH_E_SYNTAX, "something follows the directive's argument");
    *ret_text = token.text;
    return BH_OK;
}

static bh_err parse_ttl_directive(struct bh_dns_zonefile *file)
{
    bh_str text = {0};
    bh_err err = parse_argument(file, &text);

    if (err)
        return err;
    err = bh_dns_ttl_parse(text, &file->ttl_s);
    if (err)
        return fail(file, err, "this is not a TTL");
    file->fixed_ttl = true;
    return BH_OK;
}

static bh_err call_directive(struct bh_dns_zonefile *file, bh_str keyword)
{
    bh_err err = BH_E_UNSUPPORTED;

    if (file->directive)
        err = file->directive(file->directive_ctx, keyword, &file->lexer, &file->origin);
    if (err == BH_E_UNSUPPORTED)
        return fail(file, err, "this directive is not supported");
    return err ? fail(file, err, "the directive's arguments are wrong") : BH_OK;
}

static bh_err parse_directive(struct bh_dns_zonefile *file, bh_str keyword)
{
    if (bh_str_eq_ci(keyword, BH_STR("$ORIGIN"))) {
        bh_str text = {0};
        bh_err err = parse_argument(file, &text);

        return err ? err : parse_name(file, text, &file->origin);
    }
    if (bh_str_eq_ci(keyword, BH_STR("$TTL")))
        return parse_ttl_directive(file);
    return call_directive(file, keyword);
}

/* TTL and class, in either order and both optional, then the type. A class that stands where a type should (as in
 * "IN" twice) is an error. */
static bh_err parse_meta(struct bh_dns_zonefile *file, struct bh_dns_zonefile_record *record)
{
    bool has_ttl = false, has_class = false;
    struct bh_dns_token token;

    for (;;) {
        bh_err err = bh_dns_lexer_next(&file->lexer, &token);

        if (err)
            return fail(file, err, "the entry has no type");
        if (!has_ttl && token.text.n && bh_is_digit(token.text.p[0])) {
            if (bh_dns_ttl_parse(token.text, &record->ttl_s))
                return fail(file, BH_E_SYNTAX, "this is not a TTL");
            has_ttl = true;
        } else if (!has_class && bh_dns_class_parse(token.text, &record->klass) == BH_OK) {
            has_class = true;
        } else if (bh_dns_type_parse(token.text, &record->type) == BH_OK) {
            break;
        } else {
            return fail(file, BH_E_SYNTAX, "this is not a record type");
        }
    }
    if (!has_ttl)
        record->ttl_s = file->ttl_s;
    else if (!file->fixed_ttl)
        file->ttl_s = record->ttl_s;
    return BH_OK;
}

static bh_err parse_record(struct bh_dns_zonefile *file, struct bh_dns_zonefile_record *ret_record)
{
    struct bh_dns_zonefile_record record = {.klass = BH_DNS_CLASS_IN, .line = file->lexer.line};
    bh_err err = parse_meta(file, &record);

    if (err)
        return err;
    bh_buf_clear(&file->rdata);
    err = bh_dns_rdata_parse(record.type, &file->lexer, &file->origin, &file->rdata);
    if (err == BH_E_LIMIT)
        return fail(file, err, "the record data are too long (a string holds at most 255 bytes)");
    if (err)
        return fail(file, err, "the record data do not fit the type");
    record.owner = file->owner;
    record.rdata = bh_buf_view(&file->rdata);
    *ret_record = record;
    return BH_MORE;
}

/* An entry with text. Its first token is the owner unless the line starts with a blank. BH_DONE: it was no record. */
static bh_err parse_entry(struct bh_dns_zonefile *file, bool inherits, struct bh_dns_zonefile_record *ret_record)
{
    struct bh_dns_lexer start = file->lexer;
    struct bh_dns_token token;
    bh_err err = bh_dns_lexer_next(&file->lexer, &token);

    if (err)
        return err == BH_DONE ? BH_DONE : fail(file, err, "a quote or parenthesis does not match");
    if (inherits) {
        file->lexer = start;
        if (!file->has_owner)
            return fail(file, BH_E_SYNTAX, "the first record has no owner");
        return parse_record(file, ret_record);
    }
    if (!token.quoted && token.text.n && token.text.p[0] == '$') {
        err = parse_directive(file, token.text);
        return err ? err : BH_DONE;
    }
    err = parse_name(file, token.text, &file->owner);
    if (err)
        return err;
    file->has_owner = true;
    return parse_record(file, ret_record);
}

bh_err bh_dns_zonefile_next(struct bh_dns_zonefile *file, struct bh_dns_zonefile_record *ret_record)
{
    struct bh_dns_lexer *lexer = &file->lexer;

    while (lexer->at < lexer->text.n) {
        bool inherits = bh_is_wsp(lexer->text.p[lexer->at]);
        bh_err err = parse_entry(file, inherits, ret_record);

        if (err != BH_DONE && err != BH_MORE)
            return err;
        if (!bh_dns_lexer_next_entry(lexer))
            lexer->at = lexer->text.n;
        if (err == BH_MORE)
            return BH_MORE;
    }
    return BH_DONE;
}
