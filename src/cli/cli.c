/* cli.c: options, reading, and printing for all subcommands. See cli.h. */
#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int bh_cli_fail(const char *noun, const char *format, ...)
{
    struct bh_buf text = bh_buf_make(1 << 17);
    va_list args;

    va_start(args, format);
    bh_buf_vprintf(&text, format, args);
    va_end(args);
    for (size_t i = 0; i < text.n; i++) /* a stranger's escape sequences do not reach the terminal */
        if (((unsigned char)text.p[i] < ' ' && text.p[i] != '\n' && text.p[i] != '\t') || text.p[i] == 0x7f)
            text.p[i] = '?';
    (void)fflush(stdout);
    (void)fprintf(stderr, "behalf %s: %.*s\n", noun, BH_FMT(bh_buf_view(&text)));
    bh_buf_free(&text);
    return BH_EXIT_USAGE;
}

void bh_cli_print_text(const char *text)
{
    for (; *text; text++) /* a stranger's escape sequences do not reach the terminal */
        (void)putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static const struct bh_cli_option *find_option(const struct bh_cli_option *options, bh_str name)
{
    for (; options && options->name; options++)
        if (bh_str_eq(bh_str_c(options->name), name))
            return options;
    return NULL;
}

/* Stores one option; false after telling what is wrong with it. */
static bool take_option(const char *noun, const struct bh_cli_option *option, const char *value)
{
    if (option->flag) {
        *option->flag = true;
        return true;
    }
    if (option->value) {
        *option->value = value;
        return true;
    }
    if (option->many->count == sizeof(option->many->values) / sizeof(option->many->values[0])) {
        (void)bh_cli_fail(noun, "too many --%s", option->name);
        return false;
    }
    option->many->values[option->many->count++] = value;
    return true;
}

/* One argument that starts with "--". `*at` is moved over a value in the next argument. */
static bool parse_option(struct bh_cli *cli, char **argv, int argc, int *at, const struct bh_cli_option *options)
{
    const char *arg = argv[*at] + 2;
    size_t n = strcspn(arg, "=");
    const struct bh_cli_option *option = find_option(options, bh_str_of(arg, n));
    const char *value = arg[n] == '=' ? arg + n + 1 : NULL;

    if (!option && bh_str_eq(bh_str_of(arg, n), BH_STR("json"))) {
        cli->json = true;
        return true;
    }
    if (!option) {
        (void)bh_cli_fail(argv[0], "unknown option --%.*s; see behalf %s --help", (int)n, arg, argv[0]);
        return false;
    }
    if (option->flag && value) {
        (void)bh_cli_fail(argv[0], "--%s takes no value", option->name);
        return false;
    }
    if (!option->flag && !value && *at + 1 < argc)
        value = argv[++*at];
    if (!option->flag && !value) {
        (void)bh_cli_fail(argv[0], "--%s needs a value; see behalf %s --help", option->name, argv[0]);
        return false;
    }
    return take_option(argv[0], option, value);
}

bool bh_cli_options(struct bh_cli *cli, int *argc, char **argv, const struct bh_cli_option *options, const char *help,
                    int *ret_exit)
{
    int operands = 1;
    bool only_operands = false;

    for (int i = 1; i < *argc; i++) {
        if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[operands++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            (void)fputs(help, stdout);
            *ret_exit = BH_EXIT_OK;
            return false;
        } else if (argv[i][1] != '-') {
            *ret_exit = bh_cli_fail(argv[0], "unknown option %s; see behalf %s --help", argv[i], argv[0]);
            return false;
        } else if (!parse_option(cli, argv, *argc, &i, options)) {
            *ret_exit = BH_EXIT_USAGE;
            return false;
        }
    }
    *argc = operands;
    argv[operands] = NULL;
    return true;
}

static bh_err read_all(int fd, struct bh_buf *out)
{
    for (;;) {
        char *room = bh_buf_reserve(out, out->max - out->n < 65536 ? out->max - out->n : 65536);
        ssize_t got;
        char more;

        if (!room)
            return bh_buf_err(out);
        if (out->n == out->max) /* full: only an end of file is fine now */
            return read(fd, &more, 1) == 0 ? BH_OK : BH_E_LIMIT;
        got = read(fd, room, out->max - out->n < 65536 ? out->max - out->n : 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return BH_E_IO;
        if (got == 0)
            return BH_OK;
        bh_buf_commit(out, (size_t)got);
    }
}

static void add_crlf(struct bh_buf *out, bh_str text)
{
    char last = '\0';

    while (text.n) {
        size_t at = bh_str_find(text, '\n');

        bh_buf_add(out, bh_str_sub(text, 0, at));
        if (at)
            last = text.p[at - 1];
        if (at == text.n)
            return;
        if (!(last == '\r' && at))
            bh_buf_char(out, '\r');
        bh_buf_char(out, '\n');
        last = '\n';
        text = bh_str_skip(text, at + 1);
    }
}

bh_err bh_cli_read(const char *path, size_t max, bool crlf, struct bh_buf *ret_bytes)
{
    bool is_stdin = !path || strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct bh_buf raw = bh_buf_make(max);
    bh_err err;

    if (fd < 0)
        return BH_E_IO;
    err = read_all(fd, &raw);
    if (!is_stdin)
        (void)close(fd);
    if (!err && crlf) {
        struct bh_buf wide = bh_buf_make(max * 2);

        add_crlf(&wide, bh_buf_view(&raw));
        bh_buf_free(&raw);
        raw = wide;
        err = bh_buf_err(&raw);
    }
    if (err)
        bh_buf_free(&raw);
    else
        *ret_bytes = raw;
    return err;
}

void bh_cli_print_json(json_t *value)
{
    (void)json_dumpf(value, stdout, isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);
    (void)fputc('\n', stdout);
    json_decref(value);
}

struct bh_cli_table {
    const char *const *headings;
    size_t columns;
    bh_str *cells;
    size_t count;
    size_t cap;
    struct bh_arena *arena;
};

struct bh_cli_table *bh_cli_table_new(const char *const *headings, size_t columns)
{
    struct bh_cli_table *table = calloc(1, sizeof(*table));

    if (!table || !(table->arena = bh_arena_new(256 << 20)))
        abort(); /* a command line tool without memory has nothing better to do */
    table->headings = headings;
    table->columns = columns;
    return table;
}

void bh_cli_table_cell(struct bh_cli_table *table, bh_str text)
{
    bh_str copy = bh_arena_dup(table->arena, text);

    if (table->count == table->cap) {
        table->cap = table->cap ? table->cap * 2 : 64;
        table->cells = reallocarray(table->cells, table->cap, sizeof(*table->cells));
    }
    if (!table->cells || !copy.p)
        abort();
    for (size_t i = 0; i < copy.n; i++) /* a stranger's escape sequences do not reach the terminal */
        if ((unsigned char)copy.p[i] < ' ' || copy.p[i] == 0x7f)
            ((char *)(uintptr_t)copy.p)[i] = '?';
    table->cells[table->count++] = copy;
}

/* Columns on screen: UTF-8 continuation bytes take none. Good enough for addresses and names. */
static size_t shown_width(bh_str cell)
{
    size_t width = 0;

    for (size_t i = 0; i < cell.n; i++)
        width += (cell.p[i] & 0xc0) != 0x80;
    return width;
}

static size_t column_width(const struct bh_cli_table *table, size_t column)
{
    size_t width = strlen(table->headings[column]);

    for (size_t i = column; i < table->count; i += table->columns)
        if (shown_width(table->cells[i]) > width)
            width = shown_width(table->cells[i]);
    return width;
}

static void print_for_people(const struct bh_cli_table *table)
{
    for (size_t i = 0; i < table->columns + table->count; i++) {
        size_t column = i % table->columns;
        bh_str cell = i < table->columns ? bh_str_c(table->headings[i]) : table->cells[i - table->columns];
        bool last = column == table->columns - 1;

        (void)printf("%.*s", BH_FMT(cell));
        if (!last)
            (void)printf("%*s", (int)(column_width(table, column) - shown_width(cell) + 2), "");
        else
            (void)putchar('\n');
    }
}

void bh_cli_table_print(struct bh_cli_table *table)
{
    if (isatty(STDOUT_FILENO)) {
        print_for_people(table);
    } else {
        for (size_t i = 0; i < table->count; i++)
            (void)printf("%.*s%c", BH_FMT(table->cells[i]), i % table->columns == table->columns - 1 ? '\n' : '\t');
    }
    bh_arena_free(table->arena);
    free(table->cells);
    free(table);
}
