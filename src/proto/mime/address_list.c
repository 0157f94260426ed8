/* address_list.c: the lenient reader of address lists.
 *
 * One walk over the value. For the element being read two things grow side by side: `name`, what the words mean,
 * and `raw`, what stands there without comments. Where a <...> comes, it is the address and the words are the name;
 * where none comes, `raw` is the address. ',' ends an element, ':' makes the words a group's name, ';' ends a group. */
#include "address.h"
#include "base/buf.h"
#include "encoded_word.h"

struct reader {
    struct bh_arena *arena;
    const char *p;
    const char *end;
    struct bh_buf name;
    struct bh_buf comment;
    struct bh_buf raw;
    struct bh_buf angle;
    struct bh_buf scratch;
    struct bh_text words;
    bool has_angle;
    size_t group;
    size_t max;
    struct bh_address_list list;
    bool failed;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void start_element(struct reader *r)
{
    bh_buf_clear(&r->name);
    bh_buf_clear(&r->comment);
    bh_buf_clear(&r->raw);
    bh_buf_clear(&r->angle);
    r->has_angle = false;
    r->words = bh_text_make(&r->name);
}

static bh_str keep(struct reader *r, bh_str s)
{
    bh_str copy;

    if (s.n == 0)
        return (bh_str){NULL, 0};
    copy = bh_arena_dup(r->arena, s);
    r->failed = r->failed || !copy.p;
    return copy;
}

/* Local part and domain of what the element calls its address; a route before it is skipped (RFC 5322 4.4). */
static void split_address(struct reader *r, struct bh_address *address)
{
    struct bh_addr_spec spec;
    bh_str text = address->text;

    if (text.n && text.p[0] == '@')
        text = bh_str_skip(text, bh_str_find(text, ':') + 1);
    if (text.n && bh_addr_spec_parse(r->arena, text, BH_ADDR_UTF8, &spec) == BH_OK) {
        address->local = spec.local;
        address->domain = spec.domain;
    }
}

static void end_element(struct reader *r)
{
    struct bh_address address = {.group = r->group};
    bh_str name = bh_str_trim(bh_buf_view(&r->name));

    if (r->has_angle) {
        /* the name's edges: only blanks that were inside quotes are there */
        address.name = keep(r, bh_buf_view(&r->name));
        address.text = keep(r, bh_str_trim(bh_buf_view(&r->angle)));
    } else {
        address.text = keep(r, bh_str_trim(bh_buf_view(&r->raw)));
    }
    address.comment = keep(r, bh_buf_view(&r->comment));
    if ((address.text.n || address.comment.n || (r->has_angle && name.n)) && !r->failed) {
        if (r->list.count < r->max) {
            split_address(r, &address);
            r->list.items[r->list.count++] = address;
        } else {
            r->list.cut = true;
        }
    }
    start_element(r);
}

static void start_group(struct reader *r)
{
    if (r->list.group_count == r->max) {
        r->list.cut = true;
    } else {
        r->list.groups[r->list.group_count] = (struct bh_address_group){.name = keep(r, bh_buf_view(&r->name)),
                                                                        .comment = keep(r, bh_buf_view(&r->comment)),
                                                                        .before = r->list.count};
        r->group = r->list.group_count++;
    }
    start_element(r);
}

/* The character that a backslash at r->p stands before; a fold between the two is skipped. */
static char escaped_char(struct reader *r)
{
    const char *p = r->p + 1;

    if (p < r->end && (*p == '\r' || *p == '\n'))
        while (r->end - p > 1 && is_blank(*p))
            p++;
    if (p < r->end)
        r->p = p;
    return *r->p;
}

/* Reads from '(' to its ')', nested ones kept with their parentheses, into `comment`. */
static void read_comment(struct reader *r)
{
    struct bh_text text;
    size_t depth = 1;

    bh_buf_clear(&r->scratch);
    for (r->p++; r->p < r->end; r->p++) {
        char c = *r->p;
        if (c == '\\')
            c = escaped_char(r);
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            break;
        bh_buf_char(&r->scratch, c);
    }
    if (r->p < r->end)
        r->p++;
    if (bh_str_trim(bh_buf_view(&r->scratch)).n == 0)
        return;
    if (r->comment.n)
        bh_buf_char(&r->comment, ' ');
    text = bh_text_make(&r->comment);
    bh_text_add(&text, bh_buf_view(&r->scratch));
}

/* Copies a quoted string as written to `raw`; its meaning to `scratch`. */
static void read_quoted(struct reader *r, struct bh_buf *raw)
{
    bh_buf_clear(&r->scratch);
    bh_buf_char(raw, *r->p++);
    for (; r->p < r->end; r->p++) {
        char c = *r->p;
        bh_buf_char(raw, c);
        if (c == '"') {
            r->p++;
            return;
        }
        if (c == '\\' && r->end - r->p > 1) {
            c = *++r->p;
            bh_buf_char(raw, c);
        }
        bh_buf_char(&r->scratch, c);
    }
}

/* Blanks as they are; a fold vanishes whole, as addresses are folded between their tokens. */
static void read_blanks(struct reader *r, struct bh_buf *raw)
{
    const char *start = r->p;
    bool fold = false;

    for (; r->p < r->end && is_blank(*r->p); r->p++)
        fold = fold || *r->p == '\r' || *r->p == '\n';
    if (!fold)
        bh_buf_add(raw, bh_str_range(start, r->p));
    if (raw == &r->raw)
        bh_text_add(&r->words, bh_str_range(start, r->p));
}

static void read_angle(struct reader *r)
{
    bool first = !r->has_angle;
    struct bh_buf *into = first ? &r->angle : &r->raw;

    r->has_angle = true;
    for (r->p++; r->p < r->end && *r->p != '>';) {
        if (*r->p == '"')
            read_quoted(r, into);
        else if (*r->p == '(')
            read_comment(r);
        else if (is_blank(*r->p))
            read_blanks(r, into);
        else
            bh_buf_char(into, *r->p++);
    }
    if (r->p < r->end)
        r->p++;
}

static bool ends_word(char c)
{
    return is_blank(c) || c == '"' || c == '(' || c == '<' || c == ',' || c == ';' || c == ':' || c == '[';
}

/* An atom, an encoded word, or whatever stands there. */
static void read_word(struct reader *r)
{
    const char *start = r->p;
    size_t encoded = bh_encoded_word_length(bh_str_range(r->p, r->end));

    if (encoded) {
        r->p += encoded;
    } else if (*r->p == '[') { /* a domain literal may hold ':' */
        while (r->p < r->end && *r->p != ']' && *r->p != ',' && *r->p != '<')
            r->p++;
    } else {
        r->p++;
        while (r->p < r->end && !ends_word(*r->p) && !(*r->p == '=' && r->end - r->p > 1 && r->p[1] == '?'))
            r->p++;
    }
    bh_buf_add(&r->raw, bh_str_range(start, r->p));
    bh_text_add(&r->words, bh_str_range(start, r->p));
}

static void read_one(struct reader *r)
{
    switch (*r->p) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        read_blanks(r, &r->raw);
        break;
    case '"':
        read_quoted(r, &r->raw);
        bh_text_add_quoted(&r->words, bh_buf_view(&r->scratch));
        break;
    case '(':
        read_comment(r);
        break;
    case '<':
        read_angle(r);
        break;
    case ',':
        r->p++;
        end_element(r);
        break;
    case ';':
        r->p++;
        end_element(r);
        r->group = BH_NO_GROUP;
        break;
    case ':':
        if (r->group == BH_NO_GROUP && !r->has_angle) {
            r->p++;
            start_group(r);
            break;
        }
        read_word(r);
        break;
    default:
        read_word(r);
    }
}

/* As many elements as the value can hold, at most `max`. */
static size_t count_bound(bh_str value, size_t max)
{
    size_t n = 2;

    for (size_t i = 0; i < value.n && n < max; i++)
        n += value.p[i] == ',' || value.p[i] == ';' || value.p[i] == ':';
    return n < max ? n : max;
}

bh_err bh_address_list_parse(struct bh_arena *arena, bh_str value, size_t max, struct bh_address_list *ret_list)
{
    size_t room = value.n * 3 + 16; /* a byte becomes three at most (U+FFFD) */
    struct reader r = {.arena = arena, .p = value.p, .group = BH_NO_GROUP};

    r.end = value.n ? value.p + value.n : value.p;
    r.name = r.comment = r.raw = r.angle = r.scratch = bh_buf_make(room);
    r.max = count_bound(value, max);
    r.list.items = bh_arena_array(arena, r.max, sizeof *r.list.items);
    r.list.groups = bh_arena_array(arena, r.max, sizeof *r.list.groups);
    r.failed = !r.list.items || !r.list.groups;
    start_element(&r);
    while (r.p < r.end && !r.failed && !r.list.cut)
        read_one(&r);
    if (!r.failed)
        end_element(&r);
    bh_buf_free(&r.name);
    bh_buf_free(&r.comment);
    bh_buf_free(&r.raw);
    bh_buf_free(&r.angle);
    bh_buf_free(&r.scratch);
    if (r.failed)
        return BH_E_NOMEM;
    *ret_list = r.list;
    return BH_OK;
}
