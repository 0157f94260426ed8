/* import.c: see import.h. Lookups are by sorting, so that a hostile file costs no more than an honest one. */
#include "import.h"
#include <stddef.h>
#include <stdlib.h>

static const bh_str none = {"", 0};

static struct bh_import_row empty_row(size_t line)
{
    return (struct bh_import_row){.line = line,
                                  .domain = none,
                                  .customer = none,
                                  .approach = none,
                                  .bounces = none,
                                  .selector = none,
                                  .key_file = none,
                                  .selector_prefix = none,
                                  .bounce_label = none,
                                  .link_label = none,
                                  .img_label = none,
                                  .bounce_target = none,
                                  .link_target = none,
                                  .dkim_target = none,
                                  .note = none,
                                  .problem = none};
}

/* The next line without its end; false when there is none. */
static bool next_line(bh_str *rest, size_t *line, bh_str *ret_line)
{
    if (!rest->n)
        return false;
    *ret_line = bh_str_cut(*rest, '\n', rest);
    if (!rest->p)
        *rest = none;
    if (ret_line->n && ret_line->p[ret_line->n - 1] == '\r')
        ret_line->n--;
    ++*line;
    return true;
}

static size_t count_lines(bh_str text)
{
    size_t count = 1;

    for (size_t i = 0; i < text.n; i++)
        count += text.p[i] == '\n';
    return count;
}

/* ---- CSV ---- */

static const struct column {
    const char *name;
    size_t at;
} columns[] = {
#define COLUMN(member)                                                                                                 \
    {                                                                                                                  \
#member, offsetof(struct bh_import_row, member)                                                                \
    }
    COLUMN(domain),        COLUMN(customer),     COLUMN(approach),    COLUMN(bounces),         COLUMN(selector),
    COLUMN(key_file),      COLUMN(bounce_label), COLUMN(link_label),  COLUMN(selector_prefix), COLUMN(img_label),
    COLUMN(bounce_target), COLUMN(link_target),  COLUMN(dkim_target),
#undef COLUMN
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), FIELDS_MAX = 32 };

/* Inside quotes, from behind the first: doubled ones are one. Moves *rest behind the field; false: no end. */
static bool take_quoted(struct bh_arena *arena, bh_str *rest, bh_str *ret_field)
{
    char *room = bh_arena_alloc(arena, rest->n + 1);
    size_t n = 0, at = 0;

    if (!room)
        return false;
    for (; at < rest->n; at++) {
        if (rest->p[at] == '"' && at + 1 < rest->n && rest->p[at + 1] == '"')
            at++;
        else if (rest->p[at] == '"')
            break;
        room[n++] = rest->p[at];
    }
    if (at == rest->n)
        return false;
    *ret_field = bh_str_of(room, n);
    *rest = bh_str_skip(*rest, at + 1);
    return true;
}

/* The fields of one line. NULL, or what is wrong. */
static const char *split(struct bh_arena *arena, bh_str line, bh_str fields[FIELDS_MAX], size_t *ret_count)
{
    size_t count = 0;

    for (;;) {
        bh_str rest = bh_str_trim(line);

        if (count == FIELDS_MAX)
            return "there are too many fields";
        if (rest.n && *rest.p == '"') {
            line = bh_str_skip(rest, 1);
            if (!take_quoted(arena, &line, &fields[count]))
                return "a quote is not closed";
            line = bh_str_trim(line);
            if (line.n && *line.p != ',')
                return "something stands behind a closing quote";
            line = line.n ? bh_str_skip(line, 1) : (bh_str){NULL, 0};
        } else {
            fields[count] = bh_str_cut(line, ',', &line);
        }
        fields[count] = bh_str_trim(fields[count]);
        count++;
        if (!line.p)
            break;
    }
    *ret_count = count;
    return NULL;
}

struct heading {
    const struct column *columns[FIELDS_MAX];
    size_t count;
};

static const struct column *column_by_name(bh_str name)
{
    for (size_t i = 0; i < COLUMNS; i++)
        if (bh_str_eq_ci(name, bh_str_c(columns[i].name)))
            return &columns[i];
    return NULL;
}

static bh_err read_heading(struct bh_arena *arena, bh_str line, struct heading *heading, bh_str *ret_why)
{
    bh_str fields[FIELDS_MAX];
    const char *wrong = split(arena, line, fields, &heading->count);
    bool has_domain = false;

    if (wrong) {
        *ret_why = bh_str_c(wrong);
        return BH_E_SYNTAX;
    }
    for (size_t i = 0; i < heading->count; i++) {
        heading->columns[i] = column_by_name(fields[i]);
        if (!heading->columns[i]) {
            *ret_why = bh_arena_printf(arena, "the heading has the unknown column \"%.*s\"", BH_FMT(fields[i]));
            return BH_E_SYNTAX;
        }
        has_domain = has_domain || heading->columns[i] == &columns[0];
    }
    *ret_why = BH_STR("the first line must be a heading, with a column \"domain\"");
    return has_domain ? BH_OK : BH_E_SYNTAX;
}

static struct bh_import_row read_row(struct bh_arena *arena, const struct heading *heading, bh_str line, size_t number)
{
    struct bh_import_row row = empty_row(number);
    bh_str fields[FIELDS_MAX];
    size_t count = 0;
    const char *wrong = split(arena, line, fields, &count);

    if (!wrong && count != heading->count)
        wrong = "there are not as many fields as in the heading";
    for (size_t i = 0; !wrong && i < count; i++)
        memcpy((char *)&row + heading->columns[i]->at, &fields[i], sizeof(fields[i]));
    if (!wrong && !row.domain.n)
        wrong = "the domain is missing";
    if (!wrong && !row.selector.n != !row.key_file.n)
        wrong = "selector and key_file belong together";
    if (wrong)
        row.problem = bh_str_c(wrong);
    return row;
}

bh_err bh_import_csv(struct bh_arena *arena, bh_str text, struct bh_import *ret_import, bh_str *ret_why)
{
    struct heading heading = {.count = 0};
    struct bh_import import = {.count = 0};
    size_t number = 0, lines;
    bh_str line;
    bh_err err = BH_E_SYNTAX;

    *ret_why = BH_STR("the file is empty");
    if (bh_str_starts(text, BH_STR("\xef\xbb\xbf")))
        text = bh_str_skip(text, 3);
    lines = count_lines(text);
    if (lines > BH_IMPORT_ROWS_MAX)
        return BH_E_LIMIT;
    if (next_line(&text, &number, &line))
        err = read_heading(arena, line, &heading, ret_why);
    if (err)
        return err;
    import.rows = bh_arena_array(arena, lines, sizeof(*import.rows));
    if (!import.rows)
        return BH_E_NOMEM;
    while (next_line(&text, &number, &line))
        if (bh_str_trim(line).n)
            import.rows[import.count++] = read_row(arena, &heading, line, number);
    *ret_import = import;
    return BH_OK;
}

/* ---- OpenDKIM ---- */

struct table_key {
    bh_str name, domain, selector, file;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* "first rest" of a line; false for comments and empty lines. */
static bool take_pair(bh_str line, bh_str *ret_first, bh_str *ret_rest)
{
    size_t n = 0;

    line = bh_str_trim(line);
    if (!line.n || *line.p == '#')
        return false;
    while (n < line.n && !is_blank(line.p[n]))
        n++;
    *ret_first = bh_str_sub(line, 0, n);
    *ret_rest = bh_str_trim(bh_str_skip(line, n));
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    return bh_str_cmp(((const struct table_key *)a)->name, ((const struct table_key *)b)->name);
}

static size_t read_key_table(bh_str text, struct table_key *keys)
{
    size_t count = 0, number = 0;
    bh_str line, value;

    while (next_line(&text, &number, &line)) {
        struct table_key *key = &keys[count];

        if (!take_pair(line, &key->name, &value))
            continue;
        key->domain = bh_str_cut(value, ':', &value);
        key->selector = bh_str_cut(value, ':', &key->file);
        count++;
    }
    if (count)
        qsort(keys, count, sizeof(*keys), compare_keys);
    return count;
}

/* Of "*@example.com", "user@*.example.com", ".example.com", "example.com"; empty for "*". */
static bh_str domain_of_pattern(bh_str pattern)
{
    size_t at = bh_str_rfind(pattern, '@');

    if (at < pattern.n)
        pattern = bh_str_skip(pattern, at + 1);
    if (bh_str_starts(pattern, BH_STR("*")))
        pattern = bh_str_skip(pattern, 1);
    if (bh_str_starts(pattern, BH_STR(".")))
        pattern = bh_str_skip(pattern, 1);
    return pattern;
}

static const char *judge_key(const struct table_key *key, bh_str from, bh_str domain)
{
    if (!key->selector.n || !key->file.p || !key->file.n)
        return "its line in the key table is not domain:selector:file";
    if (*key->file.p != '/' && *key->file.p != '.')
        return "its key stands in the key table itself; put it in a file";
    if (!domain.n || bh_str_find(domain, '%') < domain.n || bh_str_find(domain, '*') < domain.n)
        return "it is for no domain that can be told";
    if (from.n && !bh_str_is_at_or_below(from, domain) && !bh_str_is_at_or_below(domain, from))
        return "it signs mail of another domain, where it is not aligned";
    return NULL;
}

static struct bh_import_row signing_row(struct bh_arena *arena, const struct table_key *keys, size_t count,
                                        bh_str pattern, bh_str name, size_t number)
{
    struct bh_import_row row = empty_row(number);
    bh_str from = bh_str_lower(arena, domain_of_pattern(pattern));
    struct table_key wanted = {.name = name};
    const struct table_key *key = count ? bsearch(&wanted, keys, count, sizeof(*keys), compare_keys) : NULL;
    const char *wrong = "the key table has no such key";

    row.domain = from.n ? from : pattern;
    if (key) {
        row.domain = bh_str_eq(key->domain, BH_STR("%")) ? from : bh_str_lower(arena, key->domain);
        row.selector = key->selector;
        row.key_file = key->file.p ? key->file : none;
        wrong = judge_key(key, from, row.domain);
    }
    if (wrong)
        row.problem = bh_arena_printf(arena, "key \"%.*s\": %s", BH_FMT(name), wrong);
    return row;
}

static int compare_rows(const void *a, const void *b)
{
    const struct bh_import_row *one = *(struct bh_import_row *const *)a, *two = *(struct bh_import_row *const *)b;
    int order = bh_str_cmp(one->domain, two->domain);

    return order ? order : (one->line > two->line) - (one->line < two->line);
}

/* The first row of each domain stays; one with another selector leaves a note there. */
static bh_err drop_repeated(struct bh_arena *arena, struct bh_import *import)
{
    struct bh_import_row **sorted = bh_arena_array(arena, import->count + 1, sizeof(struct bh_import_row *));
    struct bh_import_row *first = NULL;
    size_t kept = 0;

    if (!sorted)
        return BH_E_NOMEM;
    for (size_t i = 0; i < import->count; i++)
        sorted[i] = &import->rows[i];
    if (import->count)
        qsort(sorted, import->count, sizeof(struct bh_import_row *), compare_rows);
    for (size_t i = 0; i < import->count; i++) {
        struct bh_import_row *row = sorted[i];

        if (row->problem.n)
            continue;
        if (!first || !bh_str_eq(first->domain, row->domain)) {
            first = row;
            continue;
        }
        if (!bh_str_eq_ci(first->selector, row->selector) && !first->note.n)
            first->note = bh_arena_printf(arena, "line %zu signs with selector %.*s, too: not taken over", row->line,
                                          BH_FMT(row->selector));
        row->line = 0;
    }
    for (size_t i = 0; i < import->count; i++)
        if (import->rows[i].line)
            import->rows[kept++] = import->rows[i];
    import->count = kept;
    return BH_OK;
}

bh_err bh_import_opendkim(struct bh_arena *arena, bh_str key_table, bh_str signing_table, struct bh_import *ret_import)
{
    struct bh_import import = {.count = 0};
    size_t lines = count_lines(signing_table), key_lines = count_lines(key_table), key_count, number = 0;
    struct table_key *keys;
    bh_str line, pattern, name;
    bh_err err;

    if (lines > BH_IMPORT_ROWS_MAX || key_lines > BH_IMPORT_ROWS_MAX)
        return BH_E_LIMIT;
    keys = bh_arena_array(arena, key_lines + 1, sizeof(*keys));
    import.rows = bh_arena_array(arena, lines + 1, sizeof(*import.rows));
    if (!keys || !import.rows)
        return BH_E_NOMEM;
    key_count = read_key_table(key_table, keys);
    while (next_line(&signing_table, &number, &line))
        if (take_pair(line, &pattern, &name))
            import.rows[import.count++] = signing_row(arena, keys, key_count, pattern, name, number);
    err = drop_repeated(arena, &import);
    if (!err)
        *ret_import = import;
    return err;
}
