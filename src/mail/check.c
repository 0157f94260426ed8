/* check.c: the rules of check.h, the cheapest first. A table holds what each rule says. */
#include "check.h"
#include "auth/domain.h"
#include "proto/mime/header.h"

struct rule_text {
    const char *name;
    uint16_t code;
    const char *enhanced;
    const char *reason;
    const char *fix;
};

static const struct rule_text rule_texts[] = {
    [BH_CHECK_OK] = {"ok", 0, "2.0.0", "", ""},
    [BH_CHECK_BARE_LF] = {"bare-lf", 550, "5.6.0", "a line ends with LF alone",
                          "end every line with CRLF; most mail libraries do so when given SMTP line ends"},
    [BH_CHECK_BARE_CR] = {"bare-cr", 550, "5.6.0", "a CR stands without its LF",
                          "end every line with CRLF and encode other CRs (quoted-printable or base64)"},
    [BH_CHECK_NUL] = {"nul", 550, "5.6.0", "the message holds a NUL byte",
                      "send binary parts with Content-Transfer-Encoding: base64"},
    [BH_CHECK_LONG_LINE] = {"long-line", 550, "5.6.0", "a line is longer than 998 octets",
                            "fold header lines, and send long text as quoted-printable or base64"},
    [BH_CHECK_HEADER_SIZE] = {"header-size", 552, "5.3.4", "the header is too large", "send fewer or shorter fields"},
    [BH_CHECK_HEADER_FIELDS] = {"header-fields", 552, "5.3.4", "the header has too many fields", "send fewer fields"},
    [BH_CHECK_NOT_A_FIELD] = {"not-a-field", 550, "5.6.0", "a line of the header is no field",
                              "write each field as 'Name: value' and an empty line before the body"},
    [BH_CHECK_BLANK_NAME] = {"blank-name", 550, "5.6.0", "a field has a blank before its colon",
                             "write 'Name: value'; many programs take such a line for the end of the header"},
    [BH_CHECK_NO_HEADER_END] = {"no-header-end", 550, "5.6.0", "the message ends inside its header",
                                "end the last line with CRLF and put an empty line before the body"},
    [BH_CHECK_HOPS] = {"hops", 554, "5.4.6", "too many Received fields: the message is in a loop",
                       "look for a forwarding rule that sends it back"},
    [BH_CHECK_NO_FROM] = {"no-from", 550, "5.6.0", "the message has no From field",
                          "add one From field with the sending customer's address"},
    [BH_CHECK_SEVERAL_FROM] = {"several-from", 550, "5.6.0", "the message has more than one From field",
                               "send exactly one From field"},
    [BH_CHECK_SEVERAL_AUTHORS] = {"several-authors", 550, "5.6.0", "the From field names several authors",
                                  "name one author in From; put the others in Reply-To or Cc"},
    [BH_CHECK_BAD_FROM] = {"bad-from", 550, "5.6.0", "the From field gives no certain author",
                           "write it as: From: Name <local@domain.example>"},
    [BH_CHECK_NOMEM] = {"memory", 451, "4.3.1", "no memory to check the message", "try again later"},
};

const char *bh_check_rule_name(enum bh_check_rule rule)
{
    return (size_t)rule < sizeof rule_texts / sizeof *rule_texts ? rule_texts[rule].name : "unknown";
}

void bh_check_refuse(struct bh_arena *arena, enum bh_check_rule rule, bh_str detail,
                     struct bh_check_verdict *ret_verdict)
{
    const struct rule_text *text = &rule_texts[rule];
    struct bh_check_verdict verdict = {.rule = rule,
                                       .code = text->code,
                                       .enhanced = text->enhanced,
                                       .reason = bh_str_c(text->reason),
                                       .fix = bh_str_c(text->fix)};

    if (detail.n) {
        bh_str reason = bh_arena_printf(arena, "%s: %.*s", text->reason, BH_FMT(detail));
        if (reason.p)
            verdict.reason = reason;
    }
    *ret_verdict = verdict;
}

static struct bh_check_limits with_defaults(const struct bh_check_limits *limits)
{
    struct bh_check_limits all = limits ? *limits : (struct bh_check_limits){0};

    all.max_line_bytes = all.max_line_bytes ? all.max_line_bytes : 998;
    all.max_header_bytes = all.max_header_bytes ? all.max_header_bytes : 256 * 1024;
    all.max_fields = all.max_fields ? all.max_fields : 1000;
    all.max_hops = all.max_hops ? all.max_hops : 100;
    return all;
}

/* ---- lines ---- */

/* One line without its line end: no CR, no NUL, not too long. */
static enum bh_check_rule judge_line(bh_str line, size_t max)
{
    if (line.n > max)
        return BH_CHECK_LONG_LINE;
    if (line.n && memchr(line.p, '\r', line.n))
        return BH_CHECK_BARE_CR;
    if (line.n && memchr(line.p, '\0', line.n))
        return BH_CHECK_NUL;
    return BH_CHECK_OK;
}

static enum bh_check_rule judge_lines(bh_str message, size_t max, size_t *ret_line)
{
    const char *p = message.p, *end = message.n ? message.p + message.n : message.p;
    enum bh_check_rule rule = BH_CHECK_OK;

    for (*ret_line = 1; p < end && !rule; (*ret_line)++) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        const char *stop = lf ? lf : end;
        bool crlf = lf && lf > p && lf[-1] == '\r';
        rule = judge_line(bh_str_range(p, crlf ? lf - 1 : stop), max);
        if (!rule && lf && !crlf)
            rule = BH_CHECK_BARE_LF;
        if (rule)
            break;
        p = lf ? lf + 1 : end;
    }
    return rule;
}

/* ---- header ---- */

static bool has_8bit(bh_str s)
{
    uint64_t eight, high = 0;
    size_t i = 0;

    for (; s.n - i >= sizeof eight && !high; i += sizeof eight) {
        memcpy(&eight, s.p + i, sizeof eight);
        high = eight & 0x8080808080808080ULL;
    }
    for (; i < s.n && !high; i++)
        high = (unsigned char)s.p[i] & 0x80;
    return high;
}

/* The counts that decide, gathered in one pass. */
struct gathered {
    size_t from_count;
    bh_str odd_line;
    bool blank_name; /* a blank between a name and its colon (RFC 5322 4.5.8) */
};

static void gather(const struct bh_header_field *field, struct bh_check_facts *facts, struct gathered *seen)
{
    facts->fields++;
    seen->blank_name |= field->name.n && field->name.p[field->name.n] != ':';
    if (field->name.n == 0 && seen->odd_line.n == 0)
        seen->odd_line = field->whole;
    else if (bh_str_eq_ci(field->name, BH_STR("From")) && ++seen->from_count == 1)
        facts->from = field->value;
    else if (bh_str_eq_ci(field->name, BH_STR("Received")))
        facts->received++;
    else if (bh_str_eq_ci(field->name, BH_STR("Date")))
        facts->has_date = true;
    else if (bh_str_eq_ci(field->name, BH_STR("Message-ID")) && !facts->has_message_id) {
        facts->message_id = bh_str_trim(field->value);
        facts->has_message_id = facts->message_id.n > 0;
    }
}

static enum bh_check_rule read_fields(const struct bh_check_limits *limits, bh_str message,
                                      struct bh_check_facts *facts, struct gathered *seen)
{
    struct bh_header_iter it = bh_header_iter_make(message, limits->max_fields, limits->max_header_bytes);
    struct bh_header_field field;
    bh_err err;

    while ((err = bh_header_next(&it, &field)) == BH_MORE)
        gather(&field, facts, seen);
    facts->header = bh_header_block(&it);
    if (err == BH_E_LIMIT)
        return facts->fields >= limits->max_fields ? BH_CHECK_HEADER_FIELDS : BH_CHECK_HEADER_SIZE;
    facts->body = bh_header_body(&it);
    facts->header_8bit = has_8bit(facts->header);
    if (it.flags & BH_HEADER_BARE_LF)
        return BH_CHECK_BARE_LF;
    if (it.flags & BH_HEADER_BARE_CR)
        return BH_CHECK_BARE_CR;
    if (it.flags & BH_HEADER_NUL)
        return BH_CHECK_NUL;
    if (it.flags & BH_HEADER_NO_NAME)
        return BH_CHECK_NOT_A_FIELD;
    /* fields without a body are a message (RFC 5322 3.5); half a line is not */
    if (it.flags & BH_HEADER_UNTERMINATED && facts->header.n && !bh_str_ends(facts->header, BH_STR("\r\n")))
        return BH_CHECK_NO_HEADER_END;
    return BH_CHECK_OK;
}

/* Legal where it is quoted, but a program that looks for the last '@', for <...> or for encoded words sees another
 * address there, and so another domain than the one that was judged. */
static bool local_misleads(bh_str local)
{
    for (size_t i = 0; i < local.n; i++)
        if (local.p[i] && strchr("@<>,;:\"\\", local.p[i]))
            return true;
    return bh_str_search(local, BH_STR("=?")) < local.n;
}

static bool holds_at(const char *from, const char *to)
{
    return to > from && memchr(from, '@', (size_t)(to - from));
}

/* Why other programs may see another author than the grammar does; NULL where they cannot. */
static const char *find_doubt(bh_str from, const struct bh_author *author)
{
    const char *end = from.p + from.n, *behind = author->address.p + author->address.n;

    if (local_misleads(author->local))
        return "a local part that can be read as another address";
    if (holds_at(behind, end) || (!author->display.n && holds_at(from.p, author->address.p)))
        return "an @ in a comment beside the address";
    if (!bh_domain_is_exact(author->domain))
        return "a domain that is not written as IDNA writes it";
    return NULL;
}

static enum bh_check_rule judge_from(struct bh_arena *arena, size_t count, struct bh_check_facts *facts,
                                     const char **ret_detail)
{
    enum bh_author_fault fault;

    if (count != 1)
        return count ? BH_CHECK_SEVERAL_FROM : BH_CHECK_NO_FROM;
    fault = bh_author_parse(arena, facts->from, &facts->author);
    if (fault == BH_AUTHOR_NOMEM)
        return BH_CHECK_NOMEM;
    if (fault == BH_AUTHOR_SEVERAL)
        return BH_CHECK_SEVERAL_AUTHORS;
    *ret_detail = fault ? bh_author_fault_text(fault) : find_doubt(facts->from, &facts->author);
    return *ret_detail ? BH_CHECK_BAD_FROM : BH_CHECK_OK;
}

/* The first bytes of a line that is no field, harmless for a reply. */
static bh_str printable(struct bh_arena *arena, bh_str s)
{
    bh_str line = bh_str_trim(bh_str_sub(s, 0, 40)), copy = bh_arena_dup(arena, line);

    for (size_t i = 0; i < copy.n; i++)
        if ((unsigned char)copy.p[i] < 32 || (unsigned char)copy.p[i] > 126)
            ((char *)(uintptr_t)copy.p)[i] = '?';
    return copy.p ? bh_arena_printf(arena, "\"%.*s\"", BH_FMT(copy)) : copy;
}

void bh_check_header(struct bh_arena *arena, const struct bh_check_limits *limits, bh_str message,
                     struct bh_check_facts *ret_facts, struct bh_check_verdict *ret_verdict)
{
    struct bh_check_limits all = with_defaults(limits);
    struct bh_check_facts facts = {0};
    struct gathered seen = {0};
    const char *doubt = NULL;
    bh_str detail = {NULL, 0};
    enum bh_check_rule rule = read_fields(&all, message, &facts, &seen);

    if (rule == BH_CHECK_NOT_A_FIELD)
        detail = printable(arena, seen.odd_line);
    if (!rule && facts.received > all.max_hops)
        rule = BH_CHECK_HOPS;
    if (!rule)
        rule = judge_from(arena, seen.from_count, &facts, &doubt);
    if (!rule && seen.blank_name)
        rule = BH_CHECK_BLANK_NAME;
    if (rule == BH_CHECK_BAD_FROM)
        detail = bh_str_c(doubt);
    bh_check_refuse(arena, rule, detail, ret_verdict);
    *ret_facts = facts;
}

void bh_check_message(struct bh_arena *arena, const struct bh_check_limits *limits, bh_str message,
                      struct bh_check_facts *ret_facts, struct bh_check_verdict *ret_verdict)
{
    struct bh_check_limits all = with_defaults(limits);
    size_t line = 0;
    enum bh_check_rule rule = judge_lines(message, all.max_line_bytes, &line);

    *ret_facts = (struct bh_check_facts){0};
    if (rule) {
        bh_check_refuse(arena, rule, bh_arena_printf(arena, "line %zu", line), ret_verdict);
        return;
    }
    bh_check_header(arena, limits, message, ret_facts, ret_verdict);
    ret_facts->body_8bit = has_8bit(ret_facts->body);
}
