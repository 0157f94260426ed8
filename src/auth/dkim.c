/* dkim.c: the engine, and hashes of bodies and headers. See behalf/dkim.h, dkim_internal.h. */
#include "dkim_internal.h"
#include "proto/mime/header.h"
#include "tags.h"
#include <stdlib.h>

enum {
    DEFAULT_SIGNATURES = 10,
    DEFAULT_FIELDS = 20000,
    DEFAULT_HEADER_BYTES = 4 << 20,
    /* Both canonicalisations take turns on slices that stay in the cache. */
    SLICE_BYTES = 16 * 1024
};

struct bh_dkim *bh_dkim_new(const struct bh_dkim_config *config)
{
    struct bh_dkim *dkim = calloc(1, sizeof(*dkim));

    if (!dkim)
        return NULL;
    dkim->config = *config;
    if (!dkim->config.max_signatures)
        dkim->config.max_signatures = DEFAULT_SIGNATURES;
    if (!dkim->config.max_fields)
        dkim->config.max_fields = DEFAULT_FIELDS;
    if (!dkim->config.max_header_bytes)
        dkim->config.max_header_bytes = DEFAULT_HEADER_BYTES;
    dkim->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    dkim->header_ctx = EVP_MD_CTX_new();
    dkim->keys = bh_pubkey_cache_new(config->max_cached_keys, config->seed);
    if (!dkim->sha256 || !dkim->header_ctx || !dkim->keys) {
        bh_dkim_free(dkim);
        return NULL;
    }
    return dkim;
}

void bh_dkim_free(struct bh_dkim *dkim)
{
    if (!dkim)
        return;
    EVP_MD_free(dkim->sha256);
    EVP_MD_CTX_free(dkim->header_ctx);
    bh_pubkey_cache_free(dkim->keys);
    free(dkim);
}

const char *bh_dkim_result_text(enum bh_dkim_result result)
{
    static const char *const texts[] = {"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"};

    return result <= BH_DKIM_PERMERROR ? texts[result] : "permerror";
}

bh_err bh_dkim_read_header(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header, struct bh_hindex *ret_index)
{
    return bh_hindex_read(arena, header, dkim->config.max_fields, dkim->config.max_header_bytes, dkim->config.seed,
                          ret_index);
}

/* ---- body hashes ---- */

static void hash_body(void *ctx, const char *p, size_t n)
{
    struct bh_body_lane *lane = ctx;
    struct bh_body_hashes *hashes = lane->owner;

    for (size_t i = 0; i < hashes->count; i++) {
        struct bh_body_job *job = &hashes->jobs[i];
        uint64_t some = job->limit - job->bytes < n ? job->limit - job->bytes : n;

        if (job->canon != lane->canon.canon || some == 0)
            continue;
        (void)EVP_DigestUpdate(job->ctx, p, (size_t)some);
        job->bytes += some;
    }
}

bh_err bh_body_hashes_init(struct bh_body_hashes *hashes, struct bh_dkim *dkim, struct bh_arena *arena, size_t max)
{
    *hashes = (struct bh_body_hashes){.dkim = dkim, .arena = arena, .max = max};
    hashes->jobs = bh_arena_array(arena, max, sizeof(*hashes->jobs));
    return hashes->jobs ? BH_OK : BH_E_NOMEM;
}

static bh_err want_lane(struct bh_body_hashes *hashes, enum bh_dkim_canon canon)
{
    struct bh_body_lane *lane;

    if (hashes->lanes[canon])
        return BH_OK;
    lane = bh_arena_alloc(hashes->arena, sizeof(*lane));
    if (!lane)
        return BH_E_NOMEM;
    lane->owner = hashes;
    bh_canon_body_init(&lane->canon, canon, hash_body, lane);
    hashes->lanes[canon] = lane;
    return BH_OK;
}

bh_err bh_body_hashes_want(struct bh_body_hashes *hashes, enum bh_dkim_canon canon, uint64_t limit, size_t *ret_job)
{
    struct bh_body_job *job;

    for (size_t i = 0; i < hashes->count; i++) {
        if (hashes->jobs[i].canon == canon && hashes->jobs[i].limit == limit) {
            *ret_job = i;
            return BH_OK;
        }
    }
    if (hashes->count == hashes->max)
        return BH_E_LIMIT;
    job = &hashes->jobs[hashes->count];
    *job = (struct bh_body_job){.canon = canon, .limit = limit, .ctx = EVP_MD_CTX_new()};
    if (!job->ctx || EVP_DigestInit_ex2(job->ctx, hashes->dkim->sha256, NULL) != 1 || want_lane(hashes, canon)) {
        EVP_MD_CTX_free(job->ctx);
        return BH_E_NOMEM;
    }
    *ret_job = hashes->count++;
    return BH_OK;
}

void bh_body_hashes_add(struct bh_body_hashes *hashes, bh_str piece)
{
    size_t slice = hashes->lanes[0] && hashes->lanes[1] ? SLICE_BYTES : piece.n;

    while (piece.n) {
        bh_str part = bh_str_sub(piece, 0, slice);

        for (size_t i = 0; i < 2; i++)
            if (hashes->lanes[i])
                bh_canon_body_add(&hashes->lanes[i]->canon, part);
        piece = bh_str_skip(piece, part.n);
    }
}

void bh_body_hashes_end(struct bh_body_hashes *hashes)
{
    for (size_t i = 0; i < 2; i++)
        if (hashes->lanes[i])
            bh_canon_body_end(&hashes->lanes[i]->canon);
    for (size_t i = 0; i < hashes->count; i++)
        (void)EVP_DigestFinal_ex(hashes->jobs[i].ctx, hashes->jobs[i].hash, NULL);
}

uint64_t bh_body_hashes_length(const struct bh_body_hashes *hashes, enum bh_dkim_canon canon)
{
    return hashes->lanes[canon] ? hashes->lanes[canon]->canon.bytes : 0;
}

void bh_body_hashes_free(struct bh_body_hashes *hashes)
{
    for (size_t i = 0; i < hashes->count; i++)
        EVP_MD_CTX_free(hashes->jobs[i].ctx);
    hashes->count = 0;
}

/* ---- one body hash, for signers ---- */

struct bh_dkim_body {
    struct bh_canon_body canon;
    EVP_MD_CTX *ctx;
};

static void hash_signed_body(void *ctx, const char *p, size_t n)
{
    struct bh_dkim_body *body = ctx;

    (void)EVP_DigestUpdate(body->ctx, p, n);
}

struct bh_dkim_body *bh_dkim_body_new(struct bh_dkim *dkim, enum bh_dkim_canon canon)
{
    struct bh_dkim_body *body = malloc(sizeof(*body));

    if (!body)
        return NULL;
    bh_canon_body_init(&body->canon, canon, hash_signed_body, body);
    body->ctx = EVP_MD_CTX_new();
    if (!body->ctx || EVP_DigestInit_ex2(body->ctx, dkim->sha256, NULL) != 1) {
        bh_dkim_body_free(body);
        return NULL;
    }
    return body;
}

void bh_dkim_body_add(struct bh_dkim_body *body, bh_str piece)
{
    bh_canon_body_add(&body->canon, piece);
}

bh_err bh_dkim_body_end(struct bh_dkim_body *body, uint8_t ret_hash[BH_DKIM_HASH_BYTES], uint64_t *ret_bytes)
{
    bh_canon_body_end(&body->canon);
    if (EVP_DigestFinal_ex(body->ctx, ret_hash, NULL) != 1)
        return BH_E_CRYPTO;
    if (ret_bytes)
        *ret_bytes = body->canon.bytes;
    return BH_OK;
}

void bh_dkim_body_free(struct bh_dkim_body *body)
{
    if (!body)
        return;
    EVP_MD_CTX_free(body->ctx);
    free(body);
}

/* ---- header hashes ---- */

static void hash_header(void *ctx, const char *p, size_t n)
{
    (void)EVP_DigestUpdate(ctx, p, n);
}

void bh_hasher_start(struct bh_hasher *hasher, struct bh_dkim *dkim)
{
    hasher->ctx = dkim->header_ctx;
    (void)EVP_DigestInit_ex2(hasher->ctx, dkim->sha256, NULL);
    bh_canon_out_init(&hasher->out, hash_header, hasher->ctx);
}

void bh_hasher_end(struct bh_hasher *hasher, uint8_t ret_hash[BH_DKIM_HASH_BYTES])
{
    bh_canon_flush(&hasher->out);
    (void)EVP_DigestFinal_ex(hasher->ctx, ret_hash, NULL);
}

/* What the variant makes of a selected field. */
static bh_str vary(const struct bh_variant *variant, const struct bh_hfield *field)
{
    if (variant && field == variant->changed)
        return variant->instead;
    return field->f.whole;
}

void bh_sig_header_hash(struct bh_dkim *dkim, struct bh_hindex *index, const struct bh_sig *sig,
                        const struct bh_variant *variant, uint8_t ret_hash[BH_DKIM_HASH_BYTES])
{
    static const bh_str nothing = {NULL, 0};
    struct bh_hasher hasher;
    bh_str names = sig->names;
    bh_str name;

    bh_hasher_start(&hasher, dkim);
    bh_hindex_restart(index);
    while (bh_tag_item(&names, ':', &name)) {
        const struct bh_hfield *field = bh_hindex_take(index, name);

        /* RFC 6376 3.7: its own field comes last and nowhere else */
        while (field && (field->f.whole.p == sig->whole.p || (variant && field == variant->without)))
            field = bh_hindex_take(index, name);
        if (field)
            bh_canon_header(&hasher.out, sig->header_canon, vary(variant, field), nothing, false);
    }
    bh_canon_header(&hasher.out, sig->header_canon, sig->whole, sig->b_raw, true);
    bh_hasher_end(&hasher, ret_hash);
}

bh_str bh_dkim_message_body(bh_str message)
{
    struct bh_header_iter it = bh_header_iter_make(message, SIZE_MAX, SIZE_MAX);
    struct bh_header_field field;

    while (bh_header_next(&it, &field) == BH_MORE)
        ;
    return bh_header_body(&it);
}
