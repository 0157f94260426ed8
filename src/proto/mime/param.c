/* param.c: see param.h.
 *
 * First every "name=value" becomes a piece as it stands; then pieces of one name ("title*0*", "title*1") are put
 * together in the order of their numbers. A number that is none counts as 0. */
#include "param.h"
#include "base/buf.h"
#include "charset.h"
#include "encoded_word.h"

struct piece {
    bh_str name;  /* lower case, without "*0*" */
    bh_str value; /* raw bytes where `encoded`, else decoded text */
    uint32_t section;
    bool encoded; /* percent-encoding, "charset'language'" in front of the first */
    bool sectioned;
    bool done;
};

struct reader {
    struct bh_arena *arena;
    const char *p;
    const char *end;
    struct bh_buf word;
    struct bh_buf text;
    struct piece pieces[BH_PARAM_MAX];
    size_t count;
    bool cut;
    bool failed;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bh_str keep(struct reader *r, bh_str s)
{
    bh_str copy = bh_arena_dup(r->arena, s);

    r->failed = r->failed || !copy.p;
    return copy;
}

static void skip_comment(struct reader *r)
{
    size_t depth = 0;

    for (; r->p < r->end; r->p++) {
        if (*r->p == '\\' && r->end - r->p > 1)
            r->p++;
        else if (*r->p == '(')
            depth++;
        else if (*r->p == ')' && --depth == 0)
            break;
    }
    if (r->p < r->end)
        r->p++;
}

/* Blanks and comments; true where a line was folded. */
static bool skip_blanks(struct reader *r)
{
    bool fold = false;

    while (r->p < r->end && (is_blank(*r->p) || *r->p == '(')) {
        fold = fold || *r->p == '\n';
        if (*r->p == '(')
            skip_comment(r);
        else
            r->p++;
    }
    return fold;
}

/* Bytes in lower case up to one of `stops`, blanks and comments left out; a fold stops too once something was read,
 * unless what follows belongs to the word. */
static bh_str read_word(struct reader *r, const char *stops, char goes_on)
{
    bh_buf_clear(&r->word);
    while (r->p < r->end) {
        char c = *r->p;
        if (is_blank(c) || c == '(') {
            bool fold = skip_blanks(r);
            if (fold && r->word.n && r->p < r->end && *r->p != goes_on)
                break;
            continue;
        }
        if (c && strchr(stops, c))
            break;
        bh_buf_char(&r->word, bh_to_lower(c));
        r->p++;
    }
    return keep(r, bh_buf_view(&r->word));
}

/* From '"' to its end: the bytes without backslashes. Folds stay for the decoder. */
static void read_quoted(struct reader *r)
{
    for (r->p++; r->p < r->end; r->p++) {
        char c = *r->p;
        if (c == '"') {
            r->p++;
            return;
        }
        if (c == '\\' && r->end - r->p > 1)
            c = *++r->p;
        bh_buf_char(&r->word, c);
    }
}

/* An unquoted value ends at ';' or at a fold; blanks at its ends and comments are no part of it. */
static void read_bare(struct reader *r)
{
    while (r->p < r->end && *r->p != ';') {
        size_t encoded = bh_encoded_word_length(bh_str_range(r->p, r->end));
        if (encoded) {
            bh_buf_add(&r->word, bh_str_of(r->p, encoded));
            r->p += encoded;
        } else if (*r->p == '(') {
            skip_comment(r);
        } else if (*r->p == '\r' || *r->p == '\n') {
            break;
        } else {
            bh_buf_char(&r->word, *r->p++);
        }
    }
}

/* Text of a value: encoded words decoded, line ends out. Between words of a bare value blanks mean nothing. */
static bh_str decode_text(struct reader *r, bh_str raw, bool quoted)
{
    struct bh_text text;

    bh_buf_clear(&r->text);
    text = bh_text_make(&r->text);
    text.literal = quoted;
    if (!quoted && bh_str_search(raw, BH_STR("=?")) == raw.n) {
        bh_utf8_repair(&r->text, raw);
    } else if (quoted) {
        bh_text_add_quoted(&text, raw);
    } else {
        text.literal = true;
        for (size_t i = 0; i < raw.n;) {
            size_t n = bh_encoded_word_length(bh_str_skip(raw, i));
            n = n ? n : 1;
            if (n > 1 || !is_blank(raw.p[i]))
                bh_text_add(&text, bh_str_sub(raw, i, n));
            i += n;
        }
    }
    return keep(r, bh_buf_view(&r->text));
}

/* "title*0*" is title, section 0, encoded. */
static struct piece piece_of(bh_str name)
{
    struct piece piece = {0};
    bh_str rest;
    uint64_t section;

    while (name.n && name.p[0] == '*')
        name = bh_str_skip(name, 1);
    piece.name = bh_str_cut(name, '*', &rest);
    if (!rest.p)
        return piece;
    piece.encoded = rest.n == 0 || rest.p[rest.n - 1] == '*';
    while (rest.n && rest.p[rest.n - 1] == '*')
        rest.n--;
    piece.sectioned = rest.n > 0;
    if (bh_str_to_u64(rest, 99999, &section) == BH_OK)
        piece.section = (uint32_t)section;
    return piece;
}

static void read_param(struct reader *r)
{
    struct piece piece = piece_of(read_word(r, "=;", '='));
    bool quoted = false;

    if (r->p == r->end || *r->p != '=')
        return;
    for (r->p++; r->p < r->end && is_blank(*r->p); r->p++)
        ;
    bh_buf_clear(&r->word);
    if (r->p < r->end && *r->p == '"') {
        quoted = true;
        read_quoted(r);
    } else {
        read_bare(r);
    }
    bh_str raw = quoted ? bh_buf_view(&r->word) : bh_str_trim(bh_buf_view(&r->word));
    if (piece.name.n == 0 || (raw.n == 0 && !quoted))
        return;
    if (r->count == BH_PARAM_MAX) {
        r->cut = true;
        return;
    }
    piece.value = piece.encoded ? keep(r, raw) : decode_text(r, raw, quoted);
    r->pieces[r->count++] = piece;
}

/* ---- RFC 2231 ---- */

static int hex_digit(char c)
{
    c = bh_to_lower(c);
    return bh_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void percent_decode(struct bh_buf *out, bh_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && s.n - i >= 3 && hex_digit(s.p[i + 1]) >= 0 && hex_digit(s.p[i + 2]) >= 0) {
            bh_buf_char(out, (char)(hex_digit(s.p[i + 1]) << 4 | hex_digit(s.p[i + 2])));
            i += 2;
        } else {
            bh_buf_char(out, s.p[i]);
        }
    }
}

/* The piece of `name` with the smallest section that was not used yet. */
static struct piece *next_piece(struct reader *r, bh_str name)
{
    struct piece *best = NULL;

    for (size_t i = 0; i < r->count; i++) {
        struct piece *piece = &r->pieces[i];
        if (!piece->done && bh_str_eq(piece->name, name) && (!best || piece->section < best->section))
            best = piece;
    }
    return best;
}

/* "charset'language'value": takes the first two off. Some repeat "charset'" in later sections. */
static bh_str take_charset(bh_str value, bool first, bh_str *charset, bh_str *language)
{
    bh_str rest, tail, head = bh_str_cut(value, '\'', &rest);

    if (!first)
        return rest.p && charset->n && bh_str_eq_ci(head, *charset) ? rest : value;
    if (!rest.p)
        return value;
    *language = bh_str_cut(rest, '\'', &tail);
    if (!tail.p) {
        *language = (bh_str){NULL, 0};
        return value;
    }
    *charset = head;
    return tail;
}

static void add_encoded(struct reader *r, bh_str charset, bh_str value)
{
    bh_buf_clear(&r->word);
    percent_decode(&r->word, value);
    if (bh_charset_to_utf8(&r->text, charset, bh_buf_view(&r->word)))
        bh_utf8_repair(&r->text, bh_buf_view(&r->word));
}

/* One parameter out of all pieces of its name. A parameter without sections stands for itself; the first counts. */
static struct bh_param join(struct reader *r, bh_str name)
{
    struct bh_param param = {.name = name};
    bh_str charset = {NULL, 0};
    struct piece *piece;
    bool first = true;

    bh_buf_clear(&r->text);
    while ((piece = next_piece(r, name))) {
        piece->done = true;
        if (!first && !piece->sectioned)
            continue;
        if (piece->encoded) {
            bh_str value = take_charset(piece->value, first, &charset, &param.language);
            add_encoded(r, charset, value);
        } else {
            bh_buf_add(&r->text, piece->value);
        }
        first = false;
    }
    param.value = keep(r, bh_buf_view(&r->text));
    return param;
}

static bh_err build(struct reader *r, struct bh_content_type *type)
{
    struct bh_param *params = bh_arena_array(r->arena, r->count, sizeof *params);

    if (!params)
        return BH_E_NOMEM;
    for (size_t i = 0; i < r->count; i++)
        if (!r->pieces[i].done)
            params[type->param_count++] = join(r, r->pieces[i].name);
    type->params = params;
    type->cut = r->cut;
    return r->failed ? BH_E_NOMEM : BH_OK;
}

static bh_err read_all(struct reader *r, struct bh_content_type *type)
{
    type->type = read_word(r, "/;", '/');
    if (type->type.n == 0)
        return BH_E_SYNTAX;
    if (r->p < r->end && *r->p == '/') {
        r->p++;
        type->subtype = read_word(r, ";", 0);
    }
    while (r->p < r->end && !r->failed && !r->cut) {
        if (*r->p == ';')
            r->p++;
        else
            read_param(r);
    }
    return build(r, type);
}

bh_err bh_content_type_parse(struct bh_arena *arena, bh_str value, struct bh_content_type *ret_type)
{
    struct reader r = {.arena = arena, .p = value.p, .end = value.n ? value.p + value.n : value.p};
    struct bh_content_type type = {0};
    bh_err err;

    r.word = bh_buf_make(value.n + 1);
    r.text = bh_buf_make(3 * value.n + 16);
    err = read_all(&r, &type);
    bh_buf_free(&r.word);
    bh_buf_free(&r.text);
    if (!err)
        *ret_type = type;
    return err;
}

bh_str bh_content_type_param(const struct bh_content_type *type, const char *name)
{
    for (size_t i = 0; i < type->param_count; i++)
        if (bh_str_eq(type->params[i].name, bh_str_c(name)))
            return type->params[i].value;
    return (bh_str){NULL, 0};
}
