/* vault.c: see vault.h.
 *
 *   sealed = 2 | id of the secret: 4 | nonce: 24 | box
 *   before there was an id: 1 | nonce: 24 | box, by whichever secret opens it */
#include "vault.h"
#include "base/text.h"
#include <sodium.h>
#include <unistd.h>

enum {
    VERSION_WITHOUT_ID = 1,
    SEALED_VERSION = 2,
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    SEAL_SUBKEY = 1
};

bh_err bh_vault_read(int fd, struct bh_secrets *ret_secrets)
{
    char text[BH_SECRET_FILE_MAX];
    ssize_t n = read(fd, text, sizeof(text));
    bh_err err = n < 0 ? BH_E_IO : bh_secrets_parse(bh_str_of(text, (size_t)n), ret_secrets);

    bh_wipe(text, sizeof(text));
    return err;
}

void bh_vault_set(struct bh_vault *vault, const struct bh_secrets *secrets)
{
    *vault = (struct bh_vault){.has_old = secrets->has_old};
    (void)sodium_mlock(vault, sizeof(*vault)); /* kept out of swap where the limits allow it */
    memcpy(vault->master, secrets->current, BH_VAULT_KEY_BYTES);
    bh_secret_subkey(secrets->current, "seal", SEAL_SUBKEY, vault->seal);
    bh_secret_id(secrets->current, vault->id);
    if (!secrets->has_old)
        return;
    memcpy(vault->old_master, secrets->old, BH_VAULT_KEY_BYTES);
    bh_secret_subkey(secrets->old, "seal", SEAL_SUBKEY, vault->old_seal);
    bh_secret_id(secrets->old, vault->old_id);
}

bh_err bh_vault_open(struct bh_vault *vault, int fd)
{
    struct bh_secrets secrets;
    bh_err err = bh_vault_read(fd, &secrets);

    if (err)
        return err;
    bh_vault_set(vault, &secrets);
    bh_wipe(&secrets, sizeof(secrets));
    return BH_OK;
}

void bh_vault_forget_old(struct bh_vault *vault)
{
    vault->has_old = false;
    bh_wipe(vault->old_seal, sizeof(vault->old_seal));
    bh_wipe(vault->old_master, sizeof(vault->old_master));
}

void bh_vault_subkey(const struct bh_vault *vault, const char *purpose, uint64_t number,
                     uint8_t ret_key[BH_VAULT_KEY_BYTES])
{
    bh_secret_subkey(vault->master, purpose, number, ret_key);
}

void bh_vault_prefix(const struct bh_vault *vault, uint8_t ret_prefix[BH_VAULT_PREFIX_BYTES])
{
    ret_prefix[0] = SEALED_VERSION;
    memcpy(ret_prefix + 1, vault->id, BH_SECRET_ID_BYTES);
}

void bh_vault_seal(const struct bh_vault *vault, bh_str secret, bh_str associated, struct bh_buf *out)
{
    const size_t head = BH_VAULT_PREFIX_BYTES + NONCE_BYTES;
    unsigned char *room = (unsigned char *)bh_buf_reserve(out, head + secret.n + TAG_BYTES);
    unsigned long long written = 0;

    if (!room)
        return;
    bh_vault_prefix(vault, room);
    randombytes_buf(room + BH_VAULT_PREFIX_BYTES, NONCE_BYTES);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(room + head, &written, (const unsigned char *)secret.p, secret.n,
                                                     (const unsigned char *)associated.p, associated.n, NULL,
                                                     room + BH_VAULT_PREFIX_BYTES, vault->seal);
    bh_buf_commit(out, head + (size_t)written);
}

/* `nonce`, then the box. */
static bh_err open_box(bh_str nonce, bh_str associated, const uint8_t key[BH_VAULT_KEY_BYTES], struct bh_buf *out)
{
    const unsigned char *at = (const unsigned char *)nonce.p;
    unsigned char *room = (unsigned char *)bh_buf_reserve(out, nonce.n);
    unsigned long long written = 0;

    if (!room)
        return bh_buf_err(out);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(room, &written, NULL, at + NONCE_BYTES, nonce.n - NONCE_BYTES,
                                                   (const unsigned char *)associated.p, associated.n, at, key) != 0)
        return BH_E_CRYPTO;
    bh_buf_commit(out, (size_t)written);
    return BH_OK;
}

bh_err bh_vault_unseal(const struct bh_vault *vault, bh_str sealed, bh_str associated, struct bh_buf *out)
{
    uint8_t version = sealed.n ? (uint8_t)sealed.p[0] : 0;
    size_t head = version == SEALED_VERSION ? BH_VAULT_PREFIX_BYTES : 1;
    bool current = false, old = false;
    bh_err err = BH_E_CRYPTO;

    if ((version != SEALED_VERSION && version != VERSION_WITHOUT_ID) || sealed.n < head + NONCE_BYTES + TAG_BYTES)
        return BH_E_SYNTAX;
    current = head == 1 || memcmp(sealed.p + 1, vault->id, BH_SECRET_ID_BYTES) == 0;
    old = vault->has_old && (head == 1 || memcmp(sealed.p + 1, vault->old_id, BH_SECRET_ID_BYTES) == 0);
    if (current)
        err = open_box(bh_str_skip(sealed, head), associated, vault->seal, out);
    if (err == BH_E_CRYPTO && old)
        err = open_box(bh_str_skip(sealed, head), associated, vault->old_seal, out);
    return err;
}
