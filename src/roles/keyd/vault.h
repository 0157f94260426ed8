/* vault.h: the master secret and what is derived from it: sealing, grant keys, subkeys by period. */
#ifndef BH_ROLES_KEYD_VAULT_H
#define BH_ROLES_KEYD_VAULT_H

#include "base/buf.h"
#include "roles/messages.h"

enum { BH_VAULT_KEY_BYTES = 32 };

struct bh_vault {
    uint8_t seal[BH_VAULT_KEY_BYTES];
    uint8_t master[BH_VAULT_KEY_BYTES];
};

/* Reads the master secret (64 hexadecimal digits and a newline, as `behalf init` writes it) from `fd` and forgets the
 * text. BH_E_SYNTAX, BH_E_IO. The vault's memory is locked. */
BH_MUST bh_err bh_vault_open(struct bh_vault *vault, int fd);

/* A key for one purpose: BLAKE2b keyed with the master secret over "behalf/<purpose>/<number>". */
void bh_vault_subkey(const struct bh_vault *vault, const char *purpose, uint64_t number,
                     uint8_t ret_key[BH_VAULT_KEY_BYTES]);

/* Seals with XChaCha20-Poly1305: version, random nonce, box. */
void bh_vault_seal(const struct bh_vault *vault, bh_str secret, bh_str associated, struct bh_buf *out);
/* Opens; BH_E_SYNTAX, BH_E_CRYPTO (another owner, name, kind or master secret, or damaged). The caller wipes `out`. */
BH_MUST bh_err bh_vault_unseal(const struct bh_vault *vault, bh_str sealed, bh_str associated, struct bh_buf *out);

#endif
