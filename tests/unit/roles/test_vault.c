/* test_vault.c: the master secret as a file, sealed objects, subkeys. */
#include "roles/grant.h"
#include "roles/keyd/vault.h"
#include "unit.h"
#include <sys/mman.h>
#include <unistd.h>

static bh_err open_text(struct bh_vault *vault, const char *text, size_t n)
{
    int fd = memfd_create("secret", MFD_CLOEXEC);
    bh_err err;

    assert_int_equal(pwrite(fd, text, n, 0), n);
    err = bh_vault_open(vault, fd);
    (void)close(fd);
    return err;
}

static void open_vault(struct bh_vault *vault, char digit)
{
    char text[65];

    memset(text, digit, 64);
    text[64] = '\n';
    assert_ok(open_text(vault, text, sizeof(text)));
}

static void test_only_a_whole_secret(void **state)
{
    struct bh_vault vault;
    char text[128];

    memset(text, 'a', sizeof(text));
    assert_int_equal(open_text(&vault, text, 0), BH_E_SYNTAX);
    assert_int_equal(open_text(&vault, text, 62), BH_E_SYNTAX);
    assert_true(open_text(&vault, text, 66) != BH_OK);
    text[20] = 'x';
    assert_int_equal(open_text(&vault, text, 64), BH_E_SYNTAX);
    assert_int_equal(bh_vault_open(&vault, -1), BH_E_IO);
}

static void associated(struct bh_buf *out, uint8_t kind, uint32_t customer, const char *domain, const char *selector,
                       uint64_t key_id)
{
    *out = bh_buf_make(BH_GRANT_BYTES_MAX);
    bh_grant_associated_data(out, kind, customer, bh_str_c(domain), bh_str_c(selector), key_id);
}

/* Opens `sealed` under what it is said to be; the result. */
static bh_err unseal(const struct bh_vault *vault, bh_str sealed, struct bh_buf said)
{
    struct bh_buf out = bh_buf_make(10000);
    bh_err err = bh_vault_unseal(vault, sealed, bh_buf_view(&said), &out);

    if (!err)
        assert_str(bh_buf_view(&out), "private");
    else
        assert_int_equal(out.n, 0);
    bh_buf_free(&out);
    bh_buf_free(&said);
    return err;
}

static void seal(const struct bh_vault *vault, struct bh_buf *ret_sealed)
{
    struct bh_buf said;

    *ret_sealed = bh_buf_make(1000);
    associated(&said, BH_GRANT_DKIM, 1, "a.example", "bh1", 7);
    bh_vault_seal(vault, BH_STR("private"), bh_buf_view(&said), ret_sealed);
    assert_ok(bh_buf_err(ret_sealed));
    bh_buf_free(&said);
}

static void test_opens_for_its_owner_only(void **state)
{
    static const struct {
        uint8_t kind;
        uint32_t customer;
        const char *domain, *selector;
        uint64_t key_id;
        bh_err expected;
    } cases[] = {
        {BH_GRANT_DKIM, 1, "a.example", "bh1", 7, BH_OK},       {BH_GRANT_ARC, 1, "a.example", "bh1", 7, BH_E_CRYPTO},
        {BH_GRANT_DKIM, 2, "a.example", "bh1", 7, BH_E_CRYPTO}, {BH_GRANT_DKIM, 1, "b.example", "bh1", 7, BH_E_CRYPTO},
        {BH_GRANT_DKIM, 1, "A.example", "bh1", 7, BH_E_CRYPTO}, {BH_GRANT_DKIM, 1, "a.example", "bh2", 7, BH_E_CRYPTO},
        {BH_GRANT_DKIM, 1, "a.example", "bh1", 8, BH_E_CRYPTO}};
    struct bh_vault vault, other;
    struct bh_buf sealed, said;

    open_vault(&vault, 'a');
    open_vault(&other, 'b');
    seal(&vault, &sealed);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        associated(&said, cases[i].kind, cases[i].customer, cases[i].domain, cases[i].selector, cases[i].key_id);
        assert_int_equal(unseal(&vault, bh_buf_view(&sealed), said), cases[i].expected);
    }
    associated(&said, BH_GRANT_DKIM, 1, "a.example", "bh1", 7);
    assert_int_equal(unseal(&other, bh_buf_view(&sealed), said), BH_E_CRYPTO);
    bh_buf_free(&sealed);
}

static void test_damaged(void **state)
{
    struct bh_vault vault;
    struct bh_buf sealed, said;

    open_vault(&vault, 'a');
    seal(&vault, &sealed);
    for (size_t bit = 0; bit < sealed.n * 8; bit++) {
        sealed.p[bit / 8] = (char)(sealed.p[bit / 8] ^ (1 << bit % 8));
        associated(&said, BH_GRANT_DKIM, 1, "a.example", "bh1", 7);
        assert_int_equal(unseal(&vault, bh_buf_view(&sealed), said), bit < 8 ? BH_E_SYNTAX : BH_E_CRYPTO);
        sealed.p[bit / 8] = (char)(sealed.p[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t n = 0; n < sealed.n; n++) {
        associated(&said, BH_GRANT_DKIM, 1, "a.example", "bh1", 7);
        assert_true(unseal(&vault, bh_str_of(sealed.p, n), said) != BH_OK);
    }
    bh_buf_free(&sealed);
}

static void test_same_secret_never_looks_the_same(void **state)
{
    struct bh_vault vault;
    struct bh_buf a, b;

    open_vault(&vault, 'a');
    seal(&vault, &a);
    seal(&vault, &b);
    assert_false(bh_str_eq(bh_buf_view(&a), bh_buf_view(&b)));
    bh_buf_free(&a);
    bh_buf_free(&b);
}

static void test_subkeys_differ(void **state)
{
    struct bh_vault vault;
    uint8_t keys[5][BH_VAULT_KEY_BYTES], again[BH_VAULT_KEY_BYTES];

    open_vault(&vault, 'a');
    bh_vault_subkey(&vault, "bounce", 1, keys[0]);
    bh_vault_subkey(&vault, "bounce", 2, keys[1]);
    bh_vault_subkey(&vault, "grant/queued", 1, keys[2]);
    bh_vault_subkey(&vault, "grant/controld", 1, keys[3]);
    memcpy(keys[4], vault.seal, sizeof(keys[4]));
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(keys[i], keys[j], BH_VAULT_KEY_BYTES);
    bh_vault_subkey(&vault, "bounce", 1, again);
    assert_memory_equal(again, keys[0], sizeof(again));
}

/* An exchange: both open, the new one seals; addresses of earlier periods keep their keys when the old one is gone. */
static void test_exchange(void **state)
{
    struct bh_secrets secrets = {.current = {1}}, again;
    const uint8_t fresh[BH_SECRET_BYTES] = {2};
    uint8_t was[2][BH_SECRET_BYTES], is[BH_SECRET_BYTES];
    struct bh_buf text = bh_buf_make(BH_SECRET_FILE_MAX), before, after, said;
    struct bh_vault vault;

    bh_vault_set(&vault, &secrets);
    seal(&vault, &before);
    bh_secrets_bounce(&secrets, 7, was[0]);
    bh_secrets_bounce(&secrets, 12, was[1]);
    assert_ok(bh_secrets_rotate(&secrets, fresh, 7, 11));
    assert_int_equal(bh_secrets_rotate(&secrets, fresh, 7, 11), BH_E_EXISTS);
    bh_secrets_put(&text, &secrets);
    assert_ok(bh_secrets_parse(bh_buf_view(&text), &again));
    assert_memory_equal(&again, &secrets, sizeof(again));
    bh_vault_set(&vault, &again);
    seal(&vault, &after);
    for (int dropped = 0; dropped < 2; dropped++) {
        associated(&said, BH_GRANT_DKIM, 1, "a.example", "bh1", 7);
        assert_int_equal(unseal(&vault, bh_buf_view(&before), said), dropped ? BH_E_CRYPTO : BH_OK);
        associated(&said, BH_GRANT_DKIM, 1, "a.example", "bh1", 7);
        assert_ok(unseal(&vault, bh_buf_view(&after), said));
        bh_secrets_bounce(&again, 7, is);
        assert_memory_equal(is, was[0], sizeof(is));
        bh_secrets_bounce(&again, 12, is);
        assert_memory_not_equal(is, was[1], sizeof(is));
        again.has_old = false;
        bh_vault_set(&vault, &again);
    }
    bh_buf_free(&text);
    bh_buf_free(&before);
    bh_buf_free(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_a_whole_secret),
        cmocka_unit_test(test_opens_for_its_owner_only),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_same_secret_never_looks_the_same),
        cmocka_unit_test(test_subkeys_differ),
        cmocka_unit_test(test_exchange),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
