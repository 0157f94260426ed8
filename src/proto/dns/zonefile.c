/* Master files. Each call of _next reads whole entries until one is a record. The owner, TTL and class of an entry are
 * optional and the latter two come in either order, so fields are read until one is a type. */
#include "zonefile.h"
#include "generate.h"

void bh_dns_zonefile_begin(struct bh_dns_zonefile *file, bh_str text, const struct bh_dns_name *origin,
                           uint32_t default_ttl_s, bh_dns_zonefile_directive *directive, void *directive_ctx)
{
    *file = (struct bh_dns_zonefile){.lexer = bh_dns_lexer_make(text),
                                     .ttl_s = default_ttl_s,
                                     .rdata = bh_buf_make(BH_DNS_RDATA_MAX + 1),
                                     .generate.text = bh_buf_make(BH_DNS_GENERATE_TEXT_MAX),
                                     .directive = directive,
                                     .directive_ctx = directive_ctx};
    bh_dns_name_set(&file->origin, origin ? bh_dns_name_view(origin) : bh_dns_root());
    if (bh_str_starts(text, BH_STR("\xef\xbb\xbf"))) /* a byte order mark, as editors leave it */
        file->lexer.at = 3;
}

void bh_dns_zonefile_end(struct bh_dns_zonefile *file)
{
    bh_buf_free(&file->rdata);
    bh_buf_free(&file->generate.text);
}

void bh_dns_zonefile_allow_generate(struct bh_dns_zonefile *file, uint32_t records)
{
    file->generate.allowed = true;
    file->generate.left = records;
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

    if (bh_str_eq_ci(keyword, BH_STR("$INCLUDE")))
        return fail(file, err, "$INCLUDE is not supported: put the records into one file");
    if (file->directive)
        err = file->directive(file->directive_ctx, keyword, &file->lexer, &file->origin);
    if (err == BH_E_UNSUPPORTED)
        return fail(file, err, "this directive is not supported");
    return err ? fail(file, err, "the directive's arguments are wrong") : BH_OK;
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
    if (record->type == BH_DNS_NSEC3 || record->type == BH_DNS_NSEC3PARAM)
        return fail(file, BH_E_UNSUPPORTED, "NSEC3 is not supported: sign the zone with NSEC");
    if (!has_ttl)
        record->ttl_s = file->ttl_s;
    else if (!file->fixed_ttl)
        file->ttl_s = record->ttl_s;
    return BH_OK;
}

/* `record` has all but the data. */
static bh_err parse_data(struct bh_dns_zonefile *file, struct bh_dns_lexer *lexer, struct bh_dns_zonefile_record record,
                         struct bh_dns_zonefile_record *ret_record)
{
    bh_err err;

    bh_buf_clear(&file->rdata);
    err = bh_dns_rdata_parse(record.type, lexer, &file->origin, &file->rdata);
    if (err == BH_E_LIMIT)
        return fail(file, err, "the record data are too long (a string holds at most 255 bytes)");
    if (err)
        return fail(file, err, "the record data do not fit the type");
    record.rdata = bh_buf_view(&file->rdata);
    *ret_record = record;
    return BH_MORE;
}

static bh_err parse_record(struct bh_dns_zonefile *file, struct bh_dns_zonefile_record *ret_record)
{
    struct bh_dns_zonefile_record record = {.owner = file->owner, .klass = BH_DNS_CLASS_IN, .line = file->lexer.line};
    bh_err err = parse_meta(file, &record);

    return err ? err : parse_data(file, &file->lexer, record, ret_record);
}

/* ---- $GENERATE ---- */

static bh_err begin_generate(struct bh_dns_zonefile *file)
{
    struct bh_dns_token range, owner;
    bh_err err = bh_dns_lexer_next(&file->lexer, &range);

    if (err == BH_MORE)
        err = bh_dns_lexer_next(&file->lexer, &owner);
    if (err != BH_MORE)
        return fail(file, err, "$GENERATE needs a range, an owner, a type and data");
    if (bh_dns_generate_range(&file->generate, range.text))
        return fail(file, BH_E_SYNTAX, "this is not a range (1-10 or 0-100/5)");
    file->generate.owner = owner.text;
    file->pattern = (struct bh_dns_zonefile_record){.klass = BH_DNS_CLASS_IN, .line = file->lexer.line};
    err = parse_meta(file, &file->pattern);
    if (err)
        return err;
    err = bh_dns_generate_data(&file->generate, &file->lexer);
    if (err)
        return fail(file, err, "$GENERATE needs a range, an owner, a type and data");
    file->generate.running = true;
    return BH_OK;
}

/* The owner of the last entry stays what it was: a line that starts with a blank goes on with that one, as in BIND. */
static bh_err next_generated(struct bh_dns_zonefile *file, struct bh_dns_zonefile_record *ret_record)
{
    struct bh_dns_generate *generate = &file->generate;
    struct bh_dns_lexer lexer;
    bh_err err;

    if (generate->left == 0)
        return fail(file, BH_E_LIMIT, "$GENERATE makes too many records");
    err = bh_dns_generate_expand(generate, generate->owner);
    if (err)
        return fail(file, err, "the braces behind a $ are wrong: ${offset,width,base} with base d, o, x, X, n or N");
    err = parse_name(file, bh_buf_view(&generate->text), &file->pattern.owner);
    if (err)
        return err;
    err = bh_dns_generate_expand(generate, generate->data);
    if (err)
        return fail(file, err, "the braces behind a $ are wrong: ${offset,width,base} with base d, o, x, X, n or N");
    lexer = bh_dns_lexer_make(bh_buf_view(&generate->text));
    lexer.depth = generate->depth;
    bh_dns_generate_advance(generate);
    return parse_data(file, &lexer, file->pattern, ret_record);
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
    if (bh_str_eq_ci(keyword, BH_STR("$GENERATE")) && file->generate.allowed)
        return begin_generate(file);
    return call_directive(file, keyword);
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

    if (file->generate.running)
        return next_generated(file, ret_record);
    while (lexer->at < lexer->text.n) {
        bool inherits = bh_is_wsp(lexer->text.p[lexer->at]);
        bh_err err = parse_entry(file, inherits, ret_record);

        if (err != BH_DONE && err != BH_MORE)
            return err;
        if (!bh_dns_lexer_next_entry(lexer))
            lexer->at = lexer->text.n;
        if (err == BH_MORE)
            return BH_MORE;
        if (file->generate.running)
            return next_generated(file, ret_record);
    }
    return BH_DONE;
}
