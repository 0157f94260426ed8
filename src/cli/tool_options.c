/* tool_options.c: see tool_options.h. */
#include "tool_options.h"
#include "base/clock.h"
#include <behalf/zonefile_resolver.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DNS_FILE_MAX = 64 << 20 };

struct bh_tool {
    struct bh_zonefile_resolver *zonefile;
    bh_time_ms now;
};

static int open_zonefile(const char *noun, const char *path, struct bh_tool *tool)
{
    struct bh_buf text;
    unsigned line = 0;
    const char *why = "";
    bh_err err = bh_cli_read(path, DNS_FILE_MAX, false, &text);

    if (err)
        return bh_cli_fail(noun, "cannot read --dns %s: %s", path, err == BH_E_IO ? strerror(errno) : bh_err_text(err));
    err = bh_zonefile_resolver_new(bh_buf_view(&text), &tool->zonefile, &line, &why);
    bh_buf_free(&text);
    if (err)
        return bh_cli_fail(noun, "%s line %u: %s", path, line, why);
    return BH_EXIT_OK;
}

static int open_time(const char *noun, const char *text, struct bh_tool *tool)
{
    uint64_t seconds;

    tool->now = bh_clock_now();
    if (!text)
        return BH_EXIT_OK;
    if (bh_str_to_u64(bh_str_c(text), INT64_MAX / 1000, &seconds))
        return bh_cli_fail(noun, "--now %s is not a number of seconds", text);
    tool->now = (bh_time_ms)seconds * 1000;
    return BH_EXIT_OK;
}

bool bh_tool_open(const char *noun, const struct bh_tool_options *options, struct bh_tool **ret_tool, int *ret_exit)
{
    struct bh_tool *tool = calloc(1, sizeof(*tool));

    if (!tool)
        abort();
    *ret_exit = open_time(noun, options->now, tool);
    if (!*ret_exit && options->dns)
        *ret_exit = open_zonefile(noun, options->dns, tool);
    else if (!*ret_exit)
        *ret_exit = bh_cli_fail(noun, "--dns FILE is needed");
    if (*ret_exit) {
        bh_tool_close(tool);
        return false;
    }
    *ret_tool = tool;
    return true;
}

void bh_tool_close(struct bh_tool *tool)
{
    if (!tool)
        return;
    bh_zonefile_resolver_free(tool->zonefile);
    free(tool);
}

struct bh_resolver *bh_tool_resolver(struct bh_tool *tool)
{
    return bh_zonefile_resolver_base(tool->zonefile);
}

bh_time_ms bh_tool_now(const struct bh_tool *tool)
{
    return tool->now;
}

bool bh_tool_wait(struct bh_tool *tool, const bool *done)
{
    return *done;
}

json_t *bh_tool_json(bh_str text)
{
    json_t *json = json_stringn(text.p ? text.p : "", text.n);
    char *clean;

    if (json || !text.n)
        return json;
    clean = malloc(text.n);
    if (!clean)
        abort();
    for (size_t i = 0; i < text.n; i++)
        clean[i] = text.p[i] < ' ' || text.p[i] > '~' ? '?' : text.p[i];
    json = json_stringn(clean, text.n);
    free(clean);
    return json;
}

json_t *bh_tool_json_lines(bh_str lines)
{
    json_t *array = json_array();

    while (lines.n)
        (void)json_array_append_new(array, bh_tool_json(bh_str_cut(lines, '\n', &lines)));
    return array;
}

void bh_tool_print_lines(bh_str lines)
{
    while (lines.n) {
        bh_str line = bh_str_cut(lines, '\n', &lines);

        (void)printf("  %.*s\n", BH_FMT(line));
    }
}
