/* secret.c: see secret.h. */
#include "secret.h"
#include "base/text.h"
#include <sodium.h>

static bh_err read_key(bh_str digits, uint8_t ret_key[BH_SECRET_BYTES])
{
    struct bh_buf bytes = bh_buf_make(2 * BH_SECRET_BYTES);
    bh_err err = bh_hex_decode(&bytes, digits);

    if (!err && bytes.n != BH_SECRET_BYTES)
        err = BH_E_SYNTAX;
    if (!err)
        memcpy(ret_key, bytes.p, BH_SECRET_BYTES);
    if (bytes.p)
        bh_wipe(bytes.p, bytes.cap);
    bh_buf_free(&bytes);
    return err ? BH_E_SYNTAX : BH_OK;
}

static bh_err read_bounce(bh_str rest, struct bh_secrets *secrets)
{
    struct bh_secret_period *period = &secrets->bounce[secrets->bounce_count];
    bh_str digits;
    uint64_t number;

    if (secrets->bounce_count == BH_SECRET_BOUNCE_MAX)
        return BH_E_LIMIT;
    if (bh_str_to_u64(bh_str_cut(rest, ' ', &digits), UINT32_MAX, &number))
        return BH_E_SYNTAX;
    period->period = (uint32_t)number;
    secrets->bounce_count++;
    return read_key(digits, period->key);
}

static bh_err read_line(bh_str line, struct bh_secrets *secrets)
{
    bh_str rest, word = bh_str_cut(line, ' ', &rest);

    if (bh_str_eq(word, BH_STR("old")) && !secrets->has_old) {
        secrets->has_old = true;
        return read_key(rest, secrets->old);
    }
    return bh_str_eq(word, BH_STR("bounce")) ? read_bounce(rest, secrets) : BH_E_SYNTAX;
}

bh_err bh_secrets_parse(bh_str text, struct bh_secrets *ret_secrets)
{
    struct bh_secrets secrets = {0};
    bh_str rest, line = bh_str_cut(bh_str_trim(text), '\n', &rest);
    bh_err err = read_key(bh_str_trim(line), secrets.current);

    while (!err && rest.n) {
        line = bh_str_trim(bh_str_cut(rest, '\n', &rest));
        err = read_line(line, &secrets);
    }
    if (!err)
        *ret_secrets = secrets;
    bh_wipe(&secrets, sizeof(secrets));
    return err;
}

void bh_secrets_put(struct bh_buf *out, const struct bh_secrets *secrets)
{
    bh_hex_encode(out, bh_str_of((const char *)secrets->current, BH_SECRET_BYTES));
    bh_buf_char(out, '\n');
    if (secrets->has_old) {
        bh_buf_add(out, BH_STR("old "));
        bh_hex_encode(out, bh_str_of((const char *)secrets->old, BH_SECRET_BYTES));
        bh_buf_char(out, '\n');
    }
    for (size_t i = 0; i < secrets->bounce_count; i++) {
        bh_buf_printf(out, "bounce %u ", secrets->bounce[i].period);
        bh_hex_encode(out, bh_str_of((const char *)secrets->bounce[i].key, BH_SECRET_BYTES));
        bh_buf_char(out, '\n');
    }
}

void bh_secret_subkey(const uint8_t secret[BH_SECRET_BYTES], const char *purpose, uint64_t number,
                      uint8_t ret_key[BH_SECRET_BYTES])
{
    struct bh_buf name = bh_buf_make(256);

    bh_buf_printf(&name, "behalf/%s/%llu", purpose, (unsigned long long)number);
    (void)crypto_generichash(ret_key, BH_SECRET_BYTES, (const unsigned char *)name.p, name.n, secret, BH_SECRET_BYTES);
    bh_buf_free(&name);
}

void bh_secret_id(const uint8_t secret[BH_SECRET_BYTES], uint8_t ret_id[BH_SECRET_ID_BYTES])
{
    uint8_t key[BH_SECRET_BYTES];

    bh_secret_subkey(secret, "id", 1, key);
    memcpy(ret_id, key, BH_SECRET_ID_BYTES);
    bh_wipe(key, sizeof(key));
}

void bh_secrets_bounce(const struct bh_secrets *secrets, uint32_t period, uint8_t ret_key[BH_SECRET_BYTES])
{
    for (size_t i = 0; i < secrets->bounce_count; i++)
        if (secrets->bounce[i].period == period) {
            memcpy(ret_key, secrets->bounce[i].key, BH_SECRET_BYTES);
            return;
        }
    bh_secret_subkey(secrets->current, "bounce", period, ret_key);
}

bh_err bh_secrets_rotate(struct bh_secrets *secrets, const uint8_t fresh[BH_SECRET_BYTES], uint32_t from, uint32_t to)
{
    struct bh_secrets next = {.has_old = true};

    if (secrets->has_old)
        return BH_E_EXISTS;
    if (to < from || to - from >= BH_SECRET_BOUNCE_MAX)
        return BH_E_LIMIT;
    memcpy(next.current, fresh, BH_SECRET_BYTES);
    memcpy(next.old, secrets->current, BH_SECRET_BYTES);
    for (uint32_t period = from; period <= to; period++) {
        struct bh_secret_period *kept = &next.bounce[next.bounce_count++];

        kept->period = period;
        bh_secrets_bounce(secrets, period, kept->key);
    }
    *secrets = next;
    bh_wipe(&next, sizeof(next));
    return BH_OK;
}
