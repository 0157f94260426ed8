/* tool_options.c: see tool_options.h. */
#include "tool_options.h"
#include "base/clock.h"
#include <behalf/ip.h>
#include <behalf/unbound_resolver.h>
#include <behalf/zonefile_resolver.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* RFC 7208 4.6.4 wants at least 20 seconds for a check that makes progress; a single question that gets no answer for
 * 5 seconds, the time that stub resolvers wait, ends in a temperror. */
enum { DNS_FILE_MAX = 64 << 20, QUESTION_MAX_MS = 5 * 1000, STEP_MAX_MS = 20 * 1000 };

struct bh_tool {
    struct bh_zonefile_resolver *zonefile;
    struct bh_unbound_resolver *unbound;
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

/* ADDR, ADDR:PORT or [ADDR]:PORT as libunbound writes it, ADDR@PORT. A bare IPv6 address has no port. */
static bool unbound_address(bh_str text, struct bh_buf *out)
{
    bool is_bracketed = bh_str_starts(text, BH_STR("["));
    size_t end = is_bracketed ? bh_str_find(text, ']') : bh_str_find(text, ':');
    bh_str port = bh_str_skip(text, is_bracketed ? end + 1 : end);
    struct bh_ip ip;
    uint64_t number = 53;

    if (!is_bracketed && !bh_ip_parse(text, &ip)) {
        port = (bh_str){NULL, 0};
    } else {
        text = bh_str_sub(text, is_bracketed, end - is_bracketed);
        if (bh_ip_parse(text, &ip))
            return false;
    }
    if (port.n && (port.p[0] != ':' || bh_str_to_u64(bh_str_skip(port, 1), 65535, &number) || !number))
        return false;
    bh_buf_printf(out, "%.*s@%u", BH_FMT(text), (unsigned)number);
    bh_buf_char(out, '\0');
    return !bh_buf_err(out);
}

static int open_unbound(const char *noun, const char *address, struct bh_tool *tool)
{
    struct bh_buf forward = bh_buf_make(80);
    struct bh_unbound_config config = {.mode = BH_UNBOUND_RESOLV_CONF, .query_max_ms = QUESTION_MAX_MS};
    const char *forwards[1];
    const char *why = "";
    int status = BH_EXIT_OK;

    if (address && !unbound_address(bh_str_c(address), &forward)) {
        status = bh_cli_fail(noun, "--resolver %s is not ADDR or ADDR:PORT", address);
    } else {
        if (address) {
            config.mode = BH_UNBOUND_FORWARD;
            forwards[0] = forward.p;
            config.forwards = forwards;
            config.forward_count = 1;
        }
        if (bh_unbound_resolver_new(&config, &tool->unbound, &why))
            status = bh_cli_fail(noun, "no resolver: %s", why);
    }
    bh_buf_free(&forward);
    return status;
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
        *ret_exit = open_unbound(noun, options->resolver, tool);
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
    bh_unbound_resolver_free(tool->unbound);
    free(tool);
}

struct bh_resolver *bh_tool_resolver(struct bh_tool *tool)
{
    return tool->zonefile ? bh_zonefile_resolver_base(tool->zonefile) : bh_unbound_resolver_base(tool->unbound);
}

bh_time_ms bh_tool_now(const struct bh_tool *tool)
{
    return tool->now;
}

bool bh_tool_wait(struct bh_tool *tool, const bool *done)
{
    return *done || (tool->unbound && !bh_unbound_resolver_run(tool->unbound, done, STEP_MAX_MS));
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
