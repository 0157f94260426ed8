/* vault.c: see vault.h. */
#include "vault.h"
#include "base/text.h"
#include <sodium.h>
#include <unistd.h>

enum {
    SEALED_VERSION = 1,
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    HEAD_BYTES = 1 + NONCE_BYTES
};

bh_err bh_vault_open(struct bh_vault *vault, int fd)
{
    char text[128];
    ssize_t n = read(fd, text, sizeof(text));
    struct bh_buf secret = bh_buf_make(2 * BH_VAULT_KEY_BYTES);
    bh_err err = n < 0 ? BH_E_IO : bh_hex_decode(&secret, bh_str_trim(bh_str_of(text, n < 0 ? 0 : (size_t)n)));

    if (!err && secret.n != BH_VAULT_KEY_BYTES)
        err = BH_E_SYNTAX;
    if (!err) {
        (void)sodium_mlock(vault, sizeof(*vault)); /* kept out of swap where the limits allow it */
        memcpy(vault->master, secret.p, BH_VAULT_KEY_BYTES);
        bh_vault_subkey(vault, "seal", SEALED_VERSION, vault->seal);
    }
    bh_wipe(text, sizeof(text));
    if (secret.p)
        bh_wipe(secret.p, secret.cap);
    bh_buf_free(&secret);
    return err;
}

void bh_vault_subkey(const struct bh_vault *vault, const char *purpose, uint64_t number,
                     uint8_t ret_key[BH_VAULT_KEY_BYTES])
{
    struct bh_buf name = bh_buf_make(256);

    bh_buf_printf(&name, "behalf/%s/%llu", purpose, (unsigned long long)number);
    (void)crypto_generichash(ret_key, BH_VAULT_KEY_BYTES, (const unsigned char *)name.p, name.n, vault->master,
                             BH_VAULT_KEY_BYTES);
    bh_buf_free(&name);
}

void bh_vault_seal(const struct bh_vault *vault, bh_str secret, bh_str associated, struct bh_buf *out)
{
    unsigned char *room = (unsigned char *)bh_buf_reserve(out, HEAD_BYTES + secret.n + TAG_BYTES);
    unsigned long long written = 0;

    if (!room)
        return;
    room[0] = SEALED_VERSION;
    randombytes_buf(room + 1, NONCE_BYTES);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(room + HEAD_BYTES, &written, (const unsigned char *)secret.p,
                                                     secret.n, (const unsigned char *)associated.p, associated.n, NULL,
                                                     room + 1, vault->seal);
    bh_buf_commit(out, HEAD_BYTES + (size_t)written);
}

bh_err bh_vault_unseal(const struct bh_vault *vault, bh_str sealed, bh_str associated, struct bh_buf *out)
{
    const unsigned char *box = (const unsigned char *)sealed.p;
    unsigned char *room;
    unsigned long long written = 0;

    if (sealed.n < HEAD_BYTES + TAG_BYTES || box[0] != SEALED_VERSION)
        return BH_E_SYNTAX;
    room = (unsigned char *)bh_buf_reserve(out, sealed.n);
    if (!room)
        return bh_buf_err(out);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(room, &written, NULL, box + HEAD_BYTES, sealed.n - HEAD_BYTES,
                                                   (const unsigned char *)associated.p, associated.n, box + 1,
                                                   vault->seal) != 0)
        return BH_E_CRYPTO;
    bh_buf_commit(out, (size_t)written);
    return BH_OK;
}
