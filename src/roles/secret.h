/* secret.h: the file that holds the master secret, and what is derived from a secret.
 *
 *   <64 hexadecimal digits>        the secret that seals and signs grants
 *   old <64 digits>                the one before, while objects that it sealed are being sealed again
 *   bounce <period> <64 digits>    the key of bounce addresses of a period that began under an earlier secret
 *
 * The first line alone is what `behalf init` writes. The bounce keys are kept as keys, not by keeping the secret that
 * they came from: an old secret opens nothing any more once it has been dropped (ADR 0024). */
#ifndef BH_ROLES_SECRET_H
#define BH_ROLES_SECRET_H

#include "base/buf.h"

enum {
    BH_SECRET_BYTES = 32,
    BH_SECRET_ID_BYTES = 4,
    BH_SECRET_BOUNCE_MAX = 128, /* periods: two years and more */
    BH_SECRET_FILE_MAX = 16384
};

struct bh_secret_period {
    uint32_t period;
    uint8_t key[BH_SECRET_BYTES];
};

/* The holder wipes it. */
struct bh_secrets {
    uint8_t current[BH_SECRET_BYTES];
    bool has_old;
    uint8_t old[BH_SECRET_BYTES];
    size_t bounce_count;
    struct bh_secret_period bounce[BH_SECRET_BOUNCE_MAX];
};

/* BH_E_SYNTAX, BH_E_LIMIT. */
BH_MUST bh_err bh_secrets_parse(bh_str text, struct bh_secrets *ret_secrets);
void bh_secrets_put(struct bh_buf *out, const struct bh_secrets *secrets);

/* A key for one purpose: BLAKE2b keyed with the secret over "behalf/<purpose>/<number>". */
void bh_secret_subkey(const uint8_t secret[BH_SECRET_BYTES], const char *purpose, uint64_t number,
                      uint8_t ret_key[BH_SECRET_BYTES]);
/* Tells secrets apart without telling anything of them. */
void bh_secret_id(const uint8_t secret[BH_SECRET_BYTES], uint8_t ret_id[BH_SECRET_ID_BYTES]);
/* The key of bounce addresses of a period: the kept one, or the current secret's. */
void bh_secrets_bounce(const struct bh_secrets *secrets, uint32_t period, uint8_t ret_key[BH_SECRET_BYTES]);

/* `fresh` becomes current, current becomes old; the bounce keys of periods `from` to `to` (which other roles may have
 * in use) stay what they are, earlier ones are forgotten. BH_E_EXISTS: there is an old one still; BH_E_LIMIT: too many
 * periods. */
BH_MUST bh_err bh_secrets_rotate(struct bh_secrets *secrets, const uint8_t fresh[BH_SECRET_BYTES], uint32_t from,
                                 uint32_t to);

#endif
