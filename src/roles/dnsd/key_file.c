/* key_file.c: see key_file.h. */
#include "key_file.h"
#include "base/text.h"

struct reader {
    bh_str rest;
    bh_err err;
};

static void skip_blank(struct reader *reader)
{
    for (;;) {
        reader->rest = bh_str_trim(reader->rest);
        if (bh_str_starts(reader->rest, BH_STR("#")) || bh_str_starts(reader->rest, BH_STR("//")))
            reader->rest = bh_str_skip(reader->rest, bh_str_find(reader->rest, '\n'));
        else if (bh_str_starts(reader->rest, BH_STR("/*"))) {
            size_t at = 2;

            while (at + 1 < reader->rest.n && !(reader->rest.p[at] == '*' && reader->rest.p[at + 1] == '/'))
                at++;
            reader->rest = bh_str_skip(reader->rest, at + 2 < reader->rest.n ? at + 2 : reader->rest.n);
        } else {
            return;
        }
    }
}

static bool is_word_char(char c)
{
    return bh_is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '+' || c == '/' || c == '=';
}

/* The next word, quoted text or mark; empty at the end. */
static bh_str take(struct reader *reader)
{
    bh_str token;
    size_t n = 0;

    skip_blank(reader);
    if (reader->rest.n && reader->rest.p[0] == '"') {
        reader->rest = bh_str_skip(reader->rest, 1);
        n = bh_str_find(reader->rest, '"');
        token = bh_str_sub(reader->rest, 0, n);
        if (n == reader->rest.n)
            reader->err = BH_E_SYNTAX;
        reader->rest = bh_str_skip(reader->rest, n < reader->rest.n ? n + 1 : n);
        return token;
    }
    while (n < reader->rest.n && is_word_char(reader->rest.p[n]))
        n++;
    if (n == 0 && reader->rest.n)
        n = 1;
    token = bh_str_sub(reader->rest, 0, n);
    reader->rest = bh_str_skip(reader->rest, n);
    return token;
}

static void expect(struct reader *reader, const char *word)
{
    if (!bh_str_eq_ci(take(reader), bh_str_c(word)) && !reader->err)
        reader->err = BH_E_SYNTAX;
}

static bh_err set_secret(struct bh_dns_tsig_key *key, bh_str text)
{
    struct bh_buf secret = bh_buf_make(BH_DNS_TSIG_SECRET_MAX);
    bh_err err = bh_base64_decode(&secret, text);

    if (!err && secret.n == 0)
        err = BH_E_SYNTAX;
    if (!err) {
        memcpy(key->secret, secret.p, secret.n);
        key->secret_n = secret.n;
    }
    if (secret.n)
        bh_wipe(secret.p, secret.n);
    bh_buf_free(&secret);
    return err;
}

/* What stands between the braces. */
static void read_members(struct reader *reader, struct bh_dns_tsig_key *key)
{
    while (!reader->err) {
        bh_str name = take(reader), value;

        if (bh_str_eq(name, BH_STR("}")))
            break;
        value = take(reader);
        expect(reader, ";");
        if (reader->err)
            break;
        if (bh_str_eq_ci(name, BH_STR("secret")))
            reader->err = set_secret(key, value);
        else if (!bh_str_eq_ci(name, BH_STR("algorithm")))
            reader->err = BH_E_SYNTAX;
        else if (!bh_str_eq_ci(value, BH_STR("hmac-sha256")))
            reader->err = BH_E_UNSUPPORTED;
    }
    if (!reader->err && !key->secret_n)
        reader->err = BH_E_SYNTAX;
}

bh_err bh_dns_key_file_read(bh_str text, struct bh_dns_tsig_key *ret_keys, size_t max, size_t *ret_count)
{
    struct reader reader = {.rest = text};

    *ret_count = 0;
    for (bh_str word; !reader.err && (word = take(&reader)).n;) {
        struct bh_dns_tsig_key *key = &ret_keys[*ret_count];

        if (!bh_str_eq_ci(word, BH_STR("key")))
            return BH_E_SYNTAX;
        if (*ret_count == max)
            return BH_E_LIMIT;
        *key = (struct bh_dns_tsig_key){0};
        if (bh_dns_name_parse(take(&reader), NULL, &key->name))
            reader.err = BH_E_SYNTAX;
        expect(&reader, "{");
        read_members(&reader, key);
        expect(&reader, ";");
        if (!reader.err)
            ++*ret_count;
    }
    if (reader.err)
        return reader.err;
    return *ret_count ? BH_OK : BH_E_NOT_FOUND;
}
