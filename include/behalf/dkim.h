/* behalf/dkim.h: DKIM signatures, made and verified: RFC 6376 with 8301, 8463 (Ed25519), 8616 (non-ASCII domains).
 *
 * A `struct bh_dkim` is made once per thread and keeps what is dear to make again: fetched algorithms and parsed
 * public keys. Everything of one message comes from the caller's arena. No clock, no sockets, no logging.
 *
 * Verify: bh_dkim_verify_new with the message's header, bh_dkim_verify_body with the body in any pieces (nothing of
 * it is kept), bh_dkim_verify_end with a resolver; then the call-back, with one entry per signature.
 * Sign: hash the body (bh_dkim_body_*), bh_dkim_prepare gives the 32 bytes to sign and the field without its
 * signature, bh_dkim_finish puts the signature in. The private key may be in another process (behalf/dkim_key.h). */
#ifndef BEHALF_DKIM_H
#define BEHALF_DKIM_H

#include <behalf/arena.h>
#include <behalf/dkim_key.h>
#include <behalf/resolver.h>
#include <behalf/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* RFC 8601 2.7.1, used so:
 *   none       the message has no signature (never the result of a signature)
 *   fail       the body hash or the signature does not match the message
 *   policy     a signature that was not looked at, because the message has more than `max_signatures`
 *   neutral    the signature's own text is not usable: syntax, missing tag, unknown version, algorithm, canon
 *   temperror  DNS gave no answer
 *   permerror  it can never verify: From not signed, expired, rsa-sha1 and short RSA keys (RFC 8301), i= outside
 *              d=, no key, key revoked or broken, or not for this use */
enum bh_dkim_result {
    BH_DKIM_NONE,
    BH_DKIM_PASS,
    BH_DKIM_FAIL,
    BH_DKIM_POLICY,
    BH_DKIM_NEUTRAL,
    BH_DKIM_TEMPERROR,
    BH_DKIM_PERMERROR
};

enum bh_dkim_canon { BH_DKIM_SIMPLE, BH_DKIM_RELAXED };

/* The RFC 8601 word: "pass". Static. */
BH_API const char *bh_dkim_result_text(enum bh_dkim_result result);

struct bh_dkim_config {
    size_t max_signatures;   /* verified per message, counted from the top; 0 = 10 */
    size_t max_fields;       /* of a header; 0 = 20,000 */
    size_t max_header_bytes; /* 0 = 4 MiB */
    size_t max_cached_keys;  /* public keys kept, least recently used out first; 0 = 1000, about 2 KiB each */
    uint64_t seed[2];        /* random, for hash tables that strangers fill */
    bool explain;            /* on failure spend up to 64 more header hashes to find out what was changed */
};

struct bh_dkim;

/* NULL when out of memory or OpenSSL lacks SHA-256. Owner: the caller. Not for use by two threads at once. */
BH_API struct bh_dkim *bh_dkim_new(const struct bh_dkim_config *config);
BH_API void bh_dkim_free(struct bh_dkim *dkim);

/* The body of a message: a view of what follows the empty line that ends its header; empty where there is none. */
BH_API bh_str bh_dkim_message_body(bh_str message);

/* ---- body hash (RFC 6376 3.4.3, 3.4.4, 3.7) ---- */

struct bh_dkim_body;

/* Hashes one body in one canonicalisation. NULL when out of memory. Owner: the caller. `dkim` must outlive it. */
BH_API struct bh_dkim_body *bh_dkim_body_new(struct bh_dkim *dkim, enum bh_dkim_canon canon);
BH_API void bh_dkim_body_add(struct bh_dkim_body *body, bh_str piece);
/* The hash, and in *ret_bytes (may be NULL) the canonical length, the most that l= may say. Once per body. */
BH_API BH_MUST bh_err bh_dkim_body_end(struct bh_dkim_body *body, uint8_t ret_hash[BH_DKIM_HASH_BYTES],
                                       uint64_t *ret_bytes);
BH_API void bh_dkim_body_free(struct bh_dkim_body *body);

/* ---- sign ---- */

struct bh_dkim_signing {
    enum bh_dkim_key_type key_type; /* a= rsa-sha256 or ed25519-sha256 */
    bh_str domain;                  /* d=, A-labels or UTF-8 */
    bh_str selector;                /* s= */
    bh_str identity;                /* i=; empty = left out */
    enum bh_dkim_canon header_canon;
    enum bh_dkim_canon body_canon;
    int64_t signed_at_s;  /* t=; negative = left out */
    int64_t expires_at_s; /* x=; negative = left out, else after t= */
    int64_t body_length;  /* l=; negative = left out, as it should be */
    uint8_t body_hash[BH_DKIM_HASH_BYTES];
    const bh_str *names; /* h= in order, a name once per instance; once more than it occurs = oversigned */
    size_t name_count;   /* at most 500 */
};

struct bh_dkim_unsigned {
    uint8_t hash[BH_DKIM_HASH_BYTES]; /* to be signed */
    bh_str field;                     /* "DKIM-Signature: … b=", folded, CRLF between its lines, none at its end */
};

/* The names to sign for `header` into names[max], each as often as it occurs: the usual ones (RFC 6376 5.4.1) and
 * those about lists and feedback. From, To, Cc, Subject, Date, Message-ID, Reply-To, the threading and the MIME fields
 * come once more (oversigned), so that none can be added; Sender and List-* do not, because lists add them rightly.
 * BH_E_LIMIT when max is too small: 500 are enough for all but hostile headers. The views are static. */
BH_API BH_MUST bh_err bh_dkim_default_names(bh_str header, bh_str *names, size_t max, size_t *ret_count);

/* `header` is the header block, or a message from its first byte. All of the result is in the arena. BH_E_INVALID
 * for a request that no verifier would accept (From not in h=, bad domain, i= outside d=, x= before t=),
 * BH_E_LIMIT for a header beyond the bounds, BH_E_NOMEM. */
BH_API BH_MUST bh_err bh_dkim_prepare(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header,
                                      const struct bh_dkim_signing *signing, struct bh_dkim_unsigned *ret_unsigned);

/* The complete field with its final CRLF, to be put before the message's first byte. */
BH_API BH_MUST bh_err bh_dkim_finish(struct bh_arena *arena, const struct bh_dkim_unsigned *unsigned_field,
                                     const uint8_t *signature, size_t length, bh_str *ret_field);

/* ---- verify ---- */

struct bh_dkim_signature {
    enum bh_dkim_result result;
    bh_str reason;                     /* for people: "good signature", "body hash differs: …" */
    bh_str domain;                     /* d=; these views are empty where the field could not be read */
    bh_str selector;                   /* s= */
    bh_str identity;                   /* i= as written; empty = "@" and the domain */
    bh_str algorithm;                  /* a= */
    bh_str b_start;                    /* the first 8 characters of b=, for header.b (RFC 6008) */
    size_t field;                      /* its place among all fields of the header, from 0 */
    int64_t signed_at_s, expires_at_s; /* negative = absent */
    unsigned key_bits;                 /* 0 until a key was read */
    bool testing;                      /* t=y in the key: the domain is testing DKIM */
    bool partial_body;                 /* l= leaves a part of the body unsigned */
    bool key_secure;                   /* the key came with DNSSEC */
};

struct bh_dkim_verify;
typedef void bh_dkim_verify_done(void *ctx, const struct bh_dkim_verify *verify);

/* Reads the header: a block, or a message from its first byte; it must outlive the verification. Never fails on
 * what a stranger wrote: a header beyond the bounds gives a verification without signatures whose overall
 * result is permerror. NULL when the arena is exhausted. End with bh_dkim_verify_free, also before the call-back. */
BH_API struct bh_dkim_verify *bh_dkim_verify_new(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header,
                                                 bh_time_ms now);
/* Any number of pieces, in order. */
BH_API void bh_dkim_verify_body(struct bh_dkim_verify *verify, bh_str piece);
/* Fetches keys and calls `done` once, perhaps before it returns. Signatures that failed by then ask nothing. */
BH_API void bh_dkim_verify_end(struct bh_dkim_verify *verify, struct bh_resolver *resolver, bh_dkim_verify_done *done,
                               void *ctx);
/* Cancels what is under way; `done` is not called any more. The arena's memory stays. NULL is fine. */
BH_API void bh_dkim_verify_free(struct bh_dkim_verify *verify);

BH_API size_t bh_dkim_verify_count(const struct bh_dkim_verify *verify);
BH_API const struct bh_dkim_signature *bh_dkim_verify_get(const struct bh_dkim_verify *verify, size_t index);
/* pass if one passes; else the first signature's result; none without signatures, permerror for a header beyond the
 * bounds (then `*ret_reason` says which). ret_reason may be NULL. */
BH_API enum bh_dkim_result bh_dkim_verify_result(const struct bh_dkim_verify *verify, bh_str *ret_reason);

#ifdef __cplusplus
}
#endif
#endif
