/* auth_tool.h: what `behalf dkim`, `arc` and `verify` share: a message in memory, a key file, an engine, and signatures
 * as JSON and as words. */
#ifndef BH_CLI_AUTH_TOOL_H
#define BH_CLI_AUTH_TOOL_H

#include "cli.h"
#include "tool_options.h"
#include <behalf/arc.h>
#include <behalf/dkim.h>

struct bh_auth_message {
    struct bh_buf bytes; /* the whole, line ends made CRLF */
    bh_str body;
};

/* Everything that one run needs; zeroed to start with. */
struct bh_auth_tool {
    const char *noun;
    struct bh_tool *tool; /* resolver; NULL for signers */
    bh_time_ms now;
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    struct bh_auth_message message;
};

/* Opens all of it and reads the message from `path` (NULL or "-": stdin). Without `resolve` no resolver is opened.
 * False after telling what is wrong: return *ret_exit. End with bh_auth_tool_close in either case. */
bool bh_auth_tool_open(struct bh_auth_tool *run, const struct bh_tool_options *options, bool resolve, const char *path,
                       int *ret_exit);
void bh_auth_tool_close(struct bh_auth_tool *run);

/* A private key from a file; NULL after telling what is wrong. */
struct bh_dkim_key *bh_auth_key(const char *noun, const char *path);

/* [{result, domain, selector, algorithm, reason, …}] */
json_t *bh_auth_dkim_json(const struct bh_dkim_verify *verify);
/* "dkim=pass d=… s=… (…)", a line per signature. */
void bh_auth_dkim_print(const struct bh_dkim_verify *verify);

/* Verifies the message's signatures and waits; NULL when the arena is exhausted. End with bh_dkim_verify_free. */
struct bh_dkim_verify *bh_auth_dkim_verify(struct bh_auth_tool *run);

/* The same for the ARC chain. */
struct bh_arc_verify *bh_auth_arc_verify(struct bh_auth_tool *run);
json_t *bh_auth_arc_json(const struct bh_arc_verify *verify);
void bh_auth_arc_print(const struct bh_arc_verify *verify);

/* A stranger's text on stdout, without control bytes. */
void bh_auth_print(bh_str text);

/* "relaxed/simple" and so on. */
bool bh_auth_canon(const char *text, enum bh_dkim_canon *ret_header, enum bh_dkim_canon *ret_body);

#endif
