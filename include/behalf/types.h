/* behalf/types.h: the few types that every public header of libbehalf speaks.
 *
 * Bytes from outside are views: pointer and length, never NUL-terminated, and they may hold NUL.
 * Functions that can fail return bh_err; a *verdict* (SPF fail, DKIM permerror, …) is not an error and has
 * its own enum beside the function that reaches it. */
#ifndef BEHALF_TYPES_H
#define BEHALF_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BH_MUST __attribute__((warn_unused_result))
#define BH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define BH_API __attribute__((visibility("default")))
#else
#define BH_MUST
#define BH_PRINTF(fmt, args)
#define BH_API
#endif

/* A view of bytes. By value; owns nothing; `p` may be NULL when n is 0. */
typedef struct bh_str {
    const char *p;
    size_t n;
} bh_str;

/* Time is passed in, never read: milliseconds since the Unix epoch. */
typedef int64_t bh_time_ms;

/* 0, or negative. Every code has one class (bh_err_class), which tells what may be done about it. */
typedef int bh_err;

enum {
    BH_OK = 0,
    BH_MORE = 0,            /* an iterator wrote its output and may be called again */
    BH_DONE = -1,           /* an iterator has nothing more; not a failure */
    BH_E_SYNTAX = -2,       /* PEER: the input breaks its grammar */
    BH_E_RANGE = -3,        /* PEER: a number or enum outside its range */
    BH_E_TRUNCATED = -4,    /* PEER: the input ends too early */
    BH_E_VERSION = -5,      /* PEER: another protocol version or build */
    BH_E_LIMIT = -6,        /* LIMIT: a configured or documented bound was reached */
    BH_E_NOMEM = -7,        /* LIMIT: memory, or the arena's cap */
    BH_E_AGAIN = -8,        /* TEMP: would block, try later */
    BH_E_TIMEOUT = -9,      /* TEMP */
    BH_E_BUSY = -10,        /* TEMP: somebody else holds it */
    BH_E_IO = -11,          /* TEMP: the system refused (errno tells) */
    BH_E_CLOSED = -12,      /* TEMP: the peer went away */
    BH_E_NOT_FOUND = -13,   /* PERM */
    BH_E_EXISTS = -14,      /* PERM */
    BH_E_DENIED = -15,      /* PERM: not allowed, or a MAC that does not verify */
    BH_E_UNSUPPORTED = -16, /* PERM */
    BH_E_CRYPTO = -17,      /* PERM: a key or signature that the library refuses */
    BH_E_INVALID = -18,     /* PERM: a request that makes no sense as it stands */
    BH_E_BUG = -19,         /* BUG: one of our own invariants is broken */
    BH_E_LAST = -19
};

enum bh_err_class { BH_CLASS_OK, BH_CLASS_TEMP, BH_CLASS_PERM, BH_CLASS_LIMIT, BH_CLASS_PEER, BH_CLASS_BUG };

/* The class of any code; BH_OK and BH_DONE are BH_CLASS_OK, unknown codes BH_CLASS_BUG. */
BH_API enum bh_err_class bh_err_class(bh_err err);

/* A short lower-case English text for `err` ("not found"). Static; never NULL. */
BH_API const char *bh_err_text(bh_err err);

#ifdef __cplusplus
}
#endif
#endif
