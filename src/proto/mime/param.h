/* param.h: Content-Type and Content-Disposition (RFC 2045 5.1, RFC 2183) with the parameters of RFC 2231.
 *
 * Lenient: comments and blanks anywhere, a fold in place of a ';', unclosed quotes, encoded words in values (RFC 2047
 * forbids them there, everybody sends them), sections of a parameter in any order. Values come out as UTF-8. */
#ifndef BH_PROTO_MIME_PARAM_H
#define BH_PROTO_MIME_PARAM_H

#include "base/str.h"

enum { BH_PARAM_MAX = 64 /* parameters, sections counted one by one; more are not read */ };

struct bh_param {
    bh_str name;     /* lower case */
    bh_str value;    /* decoded; never NULL p, may be empty */
    bh_str language; /* RFC 2231 5; empty where there is none */
};

struct bh_content_type {
    bh_str type;    /* "text", lower case; of a disposition "attachment" */
    bh_str subtype; /* "plain"; empty where there is none */
    const struct bh_param *params;
    size_t param_count;
    bool cut; /* more parameters than BH_PARAM_MAX */
};

/* Reads a field's value; everything is in the arena. BH_E_SYNTAX where there is no type, BH_E_NOMEM. */
BH_MUST bh_err bh_content_type_parse(struct bh_arena *arena, bh_str value, struct bh_content_type *ret_type);
/* The value of a parameter (`name` in lower case), or {NULL, 0}. */
bh_str bh_content_type_param(const struct bh_content_type *type, const char *name);

#endif
