/* tool_options.h: what the pure tools (spf, dmarc, dkim, arc, verify) share: who answers DNS, which time it is, and
 * strings of strangers in JSON. They never ask the daemon. */
#ifndef BH_CLI_TOOL_OPTIONS_H
#define BH_CLI_TOOL_OPTIONS_H

#include "cli.h"
#include <behalf/resolver.h>

struct bh_tool_options {
    const char *dns;      /* --dns FILE: a text of zone-file lines, nothing else is asked */
    const char *resolver; /* --resolver ADDR[:PORT]; without both, /etc/resolv.conf */
    const char *now;      /* --now EPOCH */
    bool strict;          /* --strict: exit 2 unless the verdict is pass */
};

/* The lines for a noun's option table. */
#define BH_TOOL_OPTION_LINES(options)                                                                                  \
    {.name = "dns", .value = &(options).dns}, {.name = "resolver", .value = &(options).resolver},                      \
        {.name = "now", .value = &(options).now},                                                                      \
    {                                                                                                                  \
        .name = "strict", .flag = &(options).strict                                                                    \
    }

#define BH_TOOL_OPTION_HELP                                                                                            \
    "  --dns FILE             answer DNS from these zone-file lines and nothing else\n"                                \
    "  --resolver ADDR[:PORT] ask this resolver instead of those of /etc/resolv.conf\n"                                \
    "  --now EPOCH            seconds since 1970, instead of the clock\n"                                              \
    "  --json                 one JSON object\n"                                                                       \
    "  --strict               exit 2 unless the result is pass\n"

struct bh_tool;

/* Opens the resolver and reads the time. False after telling what is wrong on stderr: return *ret_exit. */
bool bh_tool_open(const char *noun, const struct bh_tool_options *options, struct bh_tool **ret_tool, int *ret_exit);
void bh_tool_close(struct bh_tool *tool);
struct bh_resolver *bh_tool_resolver(struct bh_tool *tool);
bh_time_ms bh_tool_now(const struct bh_tool *tool);
/* Lets the resolver work until *done is true (a completion callback sets it), 20 seconds at most. False when it is not:
 * the caller ends its check as one whose time is over. No single question waits longer than 5 seconds. */
bool bh_tool_wait(struct bh_tool *tool, const bool *done);

/* A JSON string; bytes that are not UTF-8 become '?'. */
json_t *bh_tool_json(bh_str text);
/* Lines ended by LF as an array of strings. */
json_t *bh_tool_json_lines(bh_str lines);
/* Prints lines indented by two blanks. */
void bh_tool_print_lines(bh_str lines);

#endif
