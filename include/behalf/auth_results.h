/* behalf/auth_results.h: Authentication-Results (RFC 8601, with 8616): read, write, and take out forged ones.
 *
 * The field tells other programs of the same organisation what was verified at its border. It is worth nothing
 * unless the border removes those that came from outside with its own name in them: bh_auth_results_strip. */
#ifndef BEHALF_AUTH_RESULTS_H
#define BEHALF_AUTH_RESULTS_H

#include <behalf/arc.h>
#include <behalf/arena.h>
#include <behalf/dkim.h>
#include <behalf/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "smtp.mailfrom=a@example.com" */
struct bh_auth_property {
    bh_str type;  /* "smtp", "header", "body", "policy" */
    bh_str name;  /* "mailfrom" */
    bh_str value; /* quotes and escapes taken off */
};

struct bh_auth_method {
    bh_str method;    /* "spf" */
    unsigned version; /* 1 unless written otherwise */
    bh_str result;    /* "pass" */
    bh_str reason;    /* reason="…"; empty where there is none */
    bh_str comment;   /* written behind the result, in brackets; read as the first comment there */
    const struct bh_auth_property *properties;
    size_t property_count;
};

struct bh_auth_results {
    bh_str authserv_id;
    unsigned version;
    const struct bh_auth_method *methods; /* none = "none": nothing was verified */
    size_t method_count;
};

/* Reads what is behind the colon of one field (RFC 8601 2.2); the result is in the arena or points into `value`.
 * BH_E_SYNTAX; BH_E_LIMIT for more than 100 methods, 50 properties of one, 64 KiB, or comments nested over 16 deep;
 * BH_E_NOMEM. */
BH_API BH_MUST bh_err bh_auth_results_read(struct bh_arena *arena, bh_str value, struct bh_auth_results *ret_results);

/* The text "authserv-id; method=result …", folded, without field name and final CRLF; words are quoted where they
 * must be, and bytes that could end the field are left out. BH_E_INVALID for an empty authserv-id, BH_E_NOMEM. */
BH_API BH_MUST bh_err bh_auth_results_write(struct bh_arena *arena, const struct bh_auth_results *results,
                                            bh_str *ret_text);

/* A field that `authserv_id` may have written, as far as anyone can tell from it: its id is ours or below it, or it is
 * too broken to have one. */
BH_API bool bh_auth_results_claims(bh_str value, bh_str authserv_id);

/* The header block without Authentication-Results fields that claim to be ours (RFC 8601 5), and *ret_removed of
 * them; `header` itself where there are none. What is behind the last field, the empty line or a whole body, stays
 * as it is. BH_E_LIMIT over 64 MiB, BH_E_NOMEM. */
BH_API BH_MUST bh_err bh_auth_results_strip(struct bh_arena *arena, bh_str header, bh_str authserv_id,
                                            bh_str *ret_header, size_t *ret_removed);

/* One entry per signature, at most 20 (RFC 8601 2.7.1, RFC 6008), or one with "none". In the arena. BH_E_NOMEM. */
BH_API BH_MUST bh_err bh_auth_results_of_dkim(struct bh_arena *arena, const struct bh_dkim_verify *verify,
                                              const struct bh_auth_method **ret_methods, size_t *ret_count);

#ifdef __cplusplus
}
#endif
#endif
