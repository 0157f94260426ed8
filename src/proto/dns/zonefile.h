/* zonefile.h: a pull parser for master files (RFC 1035 5): one record per call, from a text in memory.
 *
 * Knows $ORIGIN, $TTL (RFC 2308 4), inherited owners and TTLs, parentheses, quotes, escapes, comments, RFC 3597 types
 * and, where the caller allows it, BIND's $GENERATE. $INCLUDE is refused: the library opens no files. Other
 * $-directives go to the caller. */
#ifndef BH_PROTO_DNS_ZONEFILE_H
#define BH_PROTO_DNS_ZONEFILE_H

#include "rdata.h"

struct bh_dns_zonefile_record {
    struct bh_dns_name owner;
    uint32_t ttl_s;
    uint16_t type;
    uint16_t klass;
    bh_str rdata;  /* wire form; valid until the next call */
    unsigned line; /* where the record starts */
};

/* Called for a directive that the parser does not know, `keyword` with its `$`; takes its arguments with
 * bh_dns_lexer_next. An error ends the parsing with it; BH_E_UNSUPPORTED says that the directive is unknown. */
typedef bh_err bh_dns_zonefile_directive(void *ctx, bh_str keyword, struct bh_dns_lexer *arguments,
                                         const struct bh_dns_name *origin);

/* A $GENERATE that is under way (generate.c). */
struct bh_dns_generate {
    bool allowed, running;
    uint32_t value, stop, step;
    bh_str owner;   /* text with $ in it */
    bh_str data;    /* likewise; the rest of the entry, or what stands in quotes */
    unsigned depth; /* parentheses open where `data` begins */
    uint32_t left;  /* records that may still be made by all $GENERATE of the file */
    struct bh_buf text;
};

struct bh_dns_zonefile {
    struct bh_dns_lexer lexer;
    struct bh_dns_generate generate;
    struct bh_dns_zonefile_record pattern; /* TTL, class, type and line of the $GENERATE */
    struct bh_dns_name origin;
    struct bh_dns_name owner;
    bool has_owner;
    uint32_t ttl_s; /* for a record without one: $TTL, else the last one given, else the caller's */
    bool fixed_ttl; /* by $TTL */
    struct bh_buf rdata;
    bh_dns_zonefile_directive *directive;
    void *directive_ctx;
    const char *why;     /* after an error: what is wrong, static, for people */
    unsigned error_line; /* and where */
};

/* Starts on `text`, which must outlive the parser. `origin` NULL: the root. Records without any TTL get
 * `default_ttl_s`. `directive` may be NULL: unknown directives are errors then. End it with bh_dns_zonefile_end. */
void bh_dns_zonefile_begin(struct bh_dns_zonefile *file, bh_str text, const struct bh_dns_name *origin,
                           uint32_t default_ttl_s, bh_dns_zonefile_directive *directive, void *directive_ctx);
void bh_dns_zonefile_end(struct bh_dns_zonefile *file);
/* Allows $GENERATE and so many records made by it; without this call it is refused: a line can make a million. */
void bh_dns_zonefile_allow_generate(struct bh_dns_zonefile *file, uint32_t records);

/* The next record. BH_MORE with *ret_record written, BH_DONE at the end; an error (class PEER or LIMIT) with
 * file->why and file->error_line set, after which only bh_dns_zonefile_end may be called. */
BH_MUST bh_err bh_dns_zonefile_next(struct bh_dns_zonefile *file, struct bh_dns_zonefile_record *ret_record);

#endif
