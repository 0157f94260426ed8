/* vault.h: what the master secret opens and seals. While a secret is being exchanged there are two: the current one
 * seals, both open. */
#ifndef BH_ROLES_KEYD_VAULT_H
#define BH_ROLES_KEYD_VAULT_H

#include "base/buf.h"
#include "roles/messages.h"
#include "roles/secret.h"

enum { BH_VAULT_KEY_BYTES = BH_SECRET_BYTES, BH_VAULT_PREFIX_BYTES = 1 + BH_SECRET_ID_BYTES };

struct bh_vault {
    uint8_t seal[BH_VAULT_KEY_BYTES];
    uint8_t master[BH_VAULT_KEY_BYTES];
    uint8_t id[BH_SECRET_ID_BYTES];
    bool has_old;
    uint8_t old_seal[BH_VAULT_KEY_BYTES];
    uint8_t old_master[BH_VAULT_KEY_BYTES];
    uint8_t old_id[BH_SECRET_ID_BYTES];
};

/* Reads the secret's file (roles/secret.h) from `fd` and forgets the text. BH_E_SYNTAX, BH_E_IO. The caller wipes. */
BH_MUST bh_err bh_vault_read(int fd, struct bh_secrets *ret_secrets);
/* The vault's memory is locked. */
void bh_vault_set(struct bh_vault *vault, const struct bh_secrets *secrets);
/* Both at once. */
BH_MUST bh_err bh_vault_open(struct bh_vault *vault, int fd);
void bh_vault_forget_old(struct bh_vault *vault);

/* bh_secret_subkey of the current secret. */
void bh_vault_subkey(const struct bh_vault *vault, const char *purpose, uint64_t number,
                     uint8_t ret_key[BH_VAULT_KEY_BYTES]);

/* How everything begins that the current secret sealed. */
void bh_vault_prefix(const struct bh_vault *vault, uint8_t ret_prefix[BH_VAULT_PREFIX_BYTES]);
/* Seals with XChaCha20-Poly1305: version, the secret's id, random nonce, box. */
void bh_vault_seal(const struct bh_vault *vault, bh_str secret, bh_str associated, struct bh_buf *out);
/* Opens what either secret sealed; BH_E_SYNTAX, BH_E_CRYPTO (another owner, name, kind or master secret, or damaged).
 * The caller wipes `out`. */
BH_MUST bh_err bh_vault_unseal(const struct bh_vault *vault, bh_str sealed, bh_str associated, struct bh_buf *out);

#endif
