/* dkim_internal.h: what the signer, the verifier and ARC share: the engine, body hashes, header hashes, keys. */
#ifndef BH_AUTH_DKIM_INTERNAL_H
#define BH_AUTH_DKIM_INTERNAL_H

#include "base/list.h"
#include "canon.h"
#include "pubkey.h"
#include "sig.h"
#include <openssl/evp.h>

struct bh_dkim {
    struct bh_dkim_config config; /* zeros replaced by the defaults */
    EVP_MD *sha256;               /* fetched once: a fetch costs more than hashing a short header */
    EVP_MD_CTX *header_ctx;
    struct bh_pubkey_cache *keys;
};

bh_err bh_dkim_read_header(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header, struct bh_hindex *ret_index);

/* ---- body hashes: any number of (canon, l=) of one body in one pass ---- */

struct bh_body_job {
    enum bh_dkim_canon canon;
    uint64_t limit; /* l=, or UINT64_MAX */
    uint64_t bytes; /* hashed so far */
    EVP_MD_CTX *ctx;
    uint8_t hash[BH_DKIM_HASH_BYTES];
};

struct bh_body_hashes;
struct bh_body_lane {
    struct bh_canon_body canon;
    struct bh_body_hashes *owner;
};

struct bh_body_hashes {
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    struct bh_body_lane *lanes[2]; /* by canon; NULL where nobody wants it */
    struct bh_body_job *jobs;
    size_t count;
    size_t max;
};

/* Room for `max` different hashes, in the arena. BH_E_NOMEM. End with bh_body_hashes_free. */
BH_MUST bh_err bh_body_hashes_init(struct bh_body_hashes *hashes, struct bh_dkim *dkim, struct bh_arena *arena,
                                   size_t max);
/* Equal wishes share a job. BH_E_NOMEM, BH_E_LIMIT. */
BH_MUST bh_err bh_body_hashes_want(struct bh_body_hashes *hashes, enum bh_dkim_canon canon, uint64_t limit,
                                   size_t *ret_job);
void bh_body_hashes_add(struct bh_body_hashes *hashes, bh_str piece);
void bh_body_hashes_end(struct bh_body_hashes *hashes);
/* Canonical length of the whole body, after the end. */
uint64_t bh_body_hashes_length(const struct bh_body_hashes *hashes, enum bh_dkim_canon canon);
void bh_body_hashes_free(struct bh_body_hashes *hashes);

/* ---- header hashes ---- */

struct bh_hasher {
    struct bh_canon_out out;
    EVP_MD_CTX *ctx;
};
/* One hash at a time per engine. */
void bh_hasher_start(struct bh_hasher *hasher, struct bh_dkim *dkim);
void bh_hasher_end(struct bh_hasher *hasher, uint8_t ret_hash[BH_DKIM_HASH_BYTES]);

/* To try out what a header was before it was changed: without `without`, or with `instead` in place of `changed`. */
struct bh_variant {
    const struct bh_hfield *without;
    const struct bh_hfield *changed;
    bh_str instead;
};

/* RFC 6376 3.7: the fields that h= selects, then the signature's own without the value of b=. */
void bh_sig_header_hash(struct bh_dkim *dkim, struct bh_hindex *index, const struct bh_sig *sig,
                        const struct bh_variant *variant, uint8_t ret_hash[BH_DKIM_HASH_BYTES]);

/* Why the header hash differs, in words, given the hash that was signed. In the arena or static. */
bh_str bh_sig_explain(struct bh_dkim *dkim, struct bh_arena *arena, struct bh_hindex *index, const struct bh_sig *sig,
                      const uint8_t signed_hash[BH_DKIM_HASH_BYTES]);

/* ---- one signature against the published key ---- */

struct bh_keycheck;
typedef void bh_keycheck_done(struct bh_keycheck *check);

struct bh_keycheck {
    /* set by the caller */
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    const struct bh_sig *sig;
    uint8_t hash[BH_DKIM_HASH_BYTES];
    bh_keycheck_done *done;
    void *ctx;
    /* the outcome */
    enum bh_dkim_result result;
    bh_str reason;
    unsigned key_bits;
    bool testing;
    bool secure;
    bool recovered; /* signed_hash is what the key's owner signed */
    uint8_t signed_hash[BH_DKIM_HASH_BYTES];
    /* under way */
    struct bh_resolver *resolver;
    struct bh_dns_query *query;
    bool answered;
    bh_str name; /* asked for */
};

/* Calls `done` once, perhaps before it returns. */
void bh_keycheck_start(struct bh_keycheck *check, struct bh_resolver *resolver);
void bh_keycheck_cancel(struct bh_keycheck *check);

/* ---- writing signature fields (dkim_sign.c), shared with ARC ---- */

/* bh_dkim_prepare for a field of any kind with an h=. `instance` for ARC. */
BH_MUST bh_err bh_dkim_prepare_kind(struct bh_dkim *dkim, struct bh_arena *arena, struct bh_hindex *index,
                                    enum bh_sig_kind kind, unsigned instance, const struct bh_dkim_signing *signing,
                                    struct bh_dkim_unsigned *ret_unsigned);

#endif
