/* connect.c: see connect.h. The setting "domain-connect" holds "NUMBER ID PUBLIC SEALED", the last one in base64; with
 * the number alone there is no key now. */
#include "connect.h"
#include "base/text.h"
#include "domain/connect.h"
#include "domain/key.h"
#include "roles/grant.h"
#include <openssl/evp.h>

enum { GRANT_MS = 60 * 1000, DIGEST_BYTES = 32, SEALED_MAX = 16384 };

static const char setting[] = "domain-connect";

/* Of the key that was made last; 0: none was. */
static bh_err read_number(struct bh_controld *core, struct bh_arena *arena, uint64_t *ret_number, bh_str *ret_rest)
{
    bh_str text;
    bh_err err = bh_setting_get(core->store, arena, bh_str_c(setting), &text);

    *ret_number = 0;
    *ret_rest = (bh_str){NULL, 0};
    if (err == BH_E_NOT_FOUND)
        return BH_OK;
    return err ? err : bh_str_to_u64(bh_str_cut(text, ' ', ret_rest), 1000000, ret_number);
}

bh_err bh_connect_key_get(struct bh_controld *core, struct bh_arena *arena, struct bh_connect_key *ret_key)
{
    struct bh_buf sealed = bh_buf_make(SEALED_MAX);
    uint64_t number;
    bh_str rest;
    bh_err err = read_number(core, arena, &number, &rest);

    if (!err && !rest.n)
        err = BH_E_NOT_FOUND;
    if (!err)
        err = bh_str_to_u64(bh_str_cut(rest, ' ', &rest), UINT64_MAX, &ret_key->id);
    if (!err) {
        ret_key->public_b64 = bh_str_cut(rest, ' ', &rest);
        err = bh_base64_decode(&sealed, rest);
    }
    if (!err) {
        ret_key->host = bh_arena_printf(arena, "_dc%llu", (unsigned long long)number);
        ret_key->sealed = bh_arena_dup(arena, bh_buf_view(&sealed));
        err = ret_key->host.p && ret_key->sealed.p ? BH_OK : BH_E_NOMEM;
    }
    bh_buf_free(&sealed);
    return err;
}

bh_err bh_connect_key_forget(struct bh_controld *core, struct bh_arena *arena)
{
    uint64_t number;
    bh_str rest;
    bh_err err = read_number(core, arena, &number, &rest);

    return err ? err
               : bh_setting_set(core->store, bh_str_c(setting),
                                bh_arena_printf(arena, "%llu", (unsigned long long)number));
}

/* ---- making one ---- */

struct making {
    struct bh_controld *core;
    struct bh_arena *arena;
    uint64_t id, number;
    bh_connect_made *done;
    void *ctx;
};

static bh_err store_key(struct making *making, const struct bh_msg_key_reply *reply)
{
    struct bh_buf text = bh_buf_make(SEALED_MAX * 2), sealed = bh_buf_make(SEALED_MAX * 2);
    bh_str public_b64 = {NULL, 0};
    bool damaged;
    bh_err err =
        reply->ok ? bh_key_record_public(making->arena, reply->public_record, &public_b64, &damaged) : BH_E_CRYPTO;

    if (!err) {
        bh_base64_encode(&sealed, reply->sealed);
        bh_buf_printf(&text, "%llu %llu %.*s %.*s", (unsigned long long)making->number, (unsigned long long)making->id,
                      BH_FMT(public_b64), BH_FMT(bh_buf_view(&sealed)));
        err = bh_buf_err(&text);
    }
    if (!err)
        err = bh_setting_set(making->core->store, bh_str_c(setting), bh_buf_view(&text));
    bh_buf_free(&text);
    bh_buf_free(&sealed);
    return err;
}

static void on_key(void *ctx, bh_err err, const struct bh_msg_key_reply *reply)
{
    struct making *making = ctx;

    if (!err)
        err = store_key(making, reply);
    if (!err)
        bh_publish_platform(making->core);
    making->done(making->ctx, err);
}

static bh_str selector_of(struct bh_arena *arena, uint64_t number)
{
    return bh_arena_printf(arena, "_dc%llu", (unsigned long long)number);
}

bh_err bh_connect_key_make(struct bh_controld *core, struct bh_arena *arena, bh_connect_made *done, void *ctx)
{
    struct making *making = bh_arena_alloc(arena, sizeof(*making));
    struct bh_key_order order = {.algorithm = BH_KEY_CONNECT, .domain = core->platform.domain, .fd = -1};
    bh_str rest;
    uint32_t id;
    bh_err err = making ? BH_OK : BH_E_NOMEM;

    if (!err)
        err = read_number(core, arena, &making->number, &rest);
    if (err)
        return err;
    bh_random_fill(core->random, &id, sizeof(id));
    making->core = core;
    making->arena = arena;
    making->id = id;
    making->number++;
    making->done = done;
    making->ctx = ctx;
    order.key_id = making->id;
    order.selector = selector_of(arena, making->number);
    return order.selector.p ? core->out->make_key(core->out_ctx, &order, on_key, making) : BH_E_NOMEM;
}

/* ---- using it ---- */

bh_err bh_connect_sign(struct bh_controld *core, const struct bh_connect_key *key, bh_str query, bh_zone_signed *done,
                       void *ctx)
{
    struct bh_buf grant = bh_buf_make(BH_GRANT_BYTES_MAX);
    unsigned char digest[DIGEST_BYTES];
    bh_err err;

    if (!core->has_grant_key)
        return BH_E_CLOSED;
    if (EVP_Digest(query.p, query.n, digest, NULL, EVP_sha256(), NULL) != 1)
        return BH_E_CRYPTO;
    bh_grant_put(&grant, core->grant_key,
                 &(struct bh_grant){.kind = BH_GRANT_DOMAIN_CONNECT,
                                    .granter = BH_ROLE_CONTROLD,
                                    .key_id = key->id,
                                    .domain = core->platform.domain,
                                    .selector = key->host,
                                    .expires_at = bh_controld_now(core) + GRANT_MS});
    err = bh_buf_err(&grant);
    if (!err)
        err = core->out->sign_zone(core->out_ctx,
                                   &(struct bh_msg_zone_sign){.grant = bh_buf_view(&grant),
                                                              .sealed = key->sealed,
                                                              .digests = bh_str_of((char *)digest, sizeof(digest))},
                                   done, ctx);
    bh_buf_free(&grant);
    return err;
}

void bh_connect_key_publish(struct bh_controld *core, struct bh_zone *zone)
{
    struct bh_connect_key key;
    bh_str texts[BH_CONNECT_TEXTS_MAX];
    size_t count;

    if (bh_connect_key_get(core, zone->arena, &key))
        return;
    count = bh_connect_key_texts(zone->arena, key.public_b64, texts);
    for (size_t i = 0; i < count; i++)
        bh_zone_add_txt(zone, bh_zone_name(zone, key.host, core->platform.domain), core->platform.ttl_s, texts[i]);
}
