/* domain.c: tokens, names and words. See domain.h. */
#include "domain.h"
#include "base/text.h"
#include <idn2.h>
#include <libpsl.h>

enum {
    /* The longest of our own prefixes before a customer's name is a selector and "._domainkey."; bounce and link labels
     * are shorter. A name beyond this could not hold them. */
    DOMAIN_NAME_MAX = 253 - BH_SELECTOR_MAX - 12
};

struct word {
    int value;
    const char *text;
};

static const char *find_word(const struct word *words, size_t count, int value)
{
    for (size_t i = 0; i < count; i++)
        if (words[i].value == value)
            return words[i].text;
    return "?";
}
#define FIND_WORD(words, value) find_word((words), sizeof(words) / sizeof((words)[0]), (int)(value))

const char *bh_approach_name(enum bh_approach approach)
{
    static const struct word words[] = {{BH_APPROACH_DELEGATION, "delegation"},   {BH_APPROACH_CNAME, "cname"},
                                        {BH_APPROACH_MANUAL, "manual"},           {BH_APPROACH_RELAY, "relay"},
                                        {BH_APPROACH_CREDENTIALS, "credentials"}, {BH_APPROACH_REPORTS, "reports"},
                                        {BH_APPROACH_PLATFORM, "platform"}};

    return FIND_WORD(words, approach);
}

const char *bh_domain_state_name(enum bh_domain_state state)
{
    static const struct word words[] = {{BH_DOMAIN_PENDING, "pending"},
                                        {BH_DOMAIN_PARTIAL, "partial"},
                                        {BH_DOMAIN_VERIFIED, "verified"},
                                        {BH_DOMAIN_DEGRADED, "degraded"},
                                        {BH_DOMAIN_SUSPENDED, "suspended"}};

    return FIND_WORD(words, state);
}

const char *bh_key_state_name(enum bh_key_state state)
{
    static const struct word words[] = {
        {BH_KEY_CREATED, "created"},   {BH_KEY_PUBLISHED, "published"}, {BH_KEY_ACTIVE, "active"},
        {BH_KEY_RETIRING, "retiring"}, {BH_KEY_WITHDRAWN, "withdrawn"}, {BH_KEY_REVOKED, "revoked"},
        {BH_KEY_SEEN, "seen"}};

    return FIND_WORD(words, state);
}

const char *bh_key_kind_name(enum bh_key_kind kind)
{
    static const struct word words[] = {
        {BH_KIND_RSA2048, "rsa"}, {BH_KIND_ED25519, "ed25519"}, {BH_KIND_RSA_OTHER, "rsa"}};

    return FIND_WORD(words, kind);
}

const char *bh_mechanism_name(enum bh_mechanism set)
{
    static const struct word words[] = {
        {BH_MECH_NONE, "none"}, {BH_MECH_SPF, "spf"}, {BH_MECH_DKIM, "dkim"}, {BH_MECH_BOTH, "spf+dkim"}};

    return FIND_WORD(words, set);
}

struct bh_token bh_token_new(struct bh_random *random)
{
    struct bh_token token = {0};
    struct bh_buf text = bh_buf_make(64);
    char bits[18];

    bh_random_fill(random, bits, sizeof(bits));
    bh_base32_encode(&text, bh_str_of(bits, 16));
    bh_base32_encode(&text, bh_str_of(bits + 16, 2)); /* 10 of its 16 bits: two characters */
    if (!bh_buf_err(&text)) {
        memcpy(token.id, text.p, BH_TOKEN_CHARS);
        memcpy(token.shard, text.p + BH_TOKEN_CHARS, BH_SHARD_CHARS);
    }
    bh_buf_free(&text);
    return token;
}

static bool is_base32(bh_str s, size_t n)
{
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!bh_is_lower(s.p[i]) && !(s.p[i] >= '2' && s.p[i] <= '7'))
            return false;
    return true;
}

bool bh_token_valid(bh_str id, bh_str shard)
{
    return is_base32(id, BH_TOKEN_CHARS) && is_base32(shard, BH_SHARD_CHARS);
}

bh_err bh_customer_name_check(bh_str name)
{
    if (name.n == 0 || name.n > BH_CUSTOMER_NAME_MAX || name.p[0] == '-' || name.p[0] == '_')
        return BH_E_SYNTAX;
    for (size_t i = 0; i < name.n; i++)
        if (!bh_is_lower(name.p[i]) && !bh_is_digit(name.p[i]) && name.p[i] != '-' && name.p[i] != '_')
            return BH_E_SYNTAX;
    return BH_OK;
}

/* `inner` are further characters allowed inside a label. */
static bool is_label(bh_str label, const char *inner)
{
    if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++)
        if (!bh_is_alnum(label.p[i]) && label.p[i] != '-' && !(label.p[i] && strchr(inner, label.p[i])))
            return false;
    return true;
}

static bool are_labels(bh_str name, const char *inner)
{
    bh_str rest = name;

    do
        if (!is_label(bh_str_cut(rest, '.', &rest), inner))
            return false;
    while (rest.p);
    return true;
}

bh_err bh_label_check(bh_str label)
{
    return is_label(label, "") ? BH_OK : BH_E_SYNTAX;
}

bh_err bh_selector_check(bh_str selector)
{
    if (selector.n > BH_SELECTOR_MAX)
        return BH_E_LIMIT;
    return are_labels(selector, "_") ? BH_OK : BH_E_SYNTAX;
}

/* IDNA 2008 with the mapping that browsers use; plain ASCII goes through unchanged. */
static bh_err to_a_labels(struct bh_arena *arena, bh_str typed, bh_str *ret_name)
{
    bh_str copy = bh_arena_dup(arena, typed);
    char *ascii = NULL;
    int rc;

    if (!copy.p)
        return BH_E_NOMEM;
    if (memchr(copy.p, '\0', copy.n))
        return BH_E_SYNTAX;
    rc = idn2_to_ascii_8z(copy.p, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (rc == IDN2_MALLOC)
        return BH_E_NOMEM;
    if (rc != IDN2_OK)
        return BH_E_SYNTAX;
    *ret_name = bh_str_lower(arena, bh_str_c(ascii));
    idn2_free(ascii);
    return ret_name->p ? BH_OK : BH_E_NOMEM;
}

static bool is_ascii(bh_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

bh_err bh_domain_a_labels(struct bh_arena *arena, bh_str name, bh_str *ret_name)
{
    if (!is_ascii(name))
        return to_a_labels(arena, name, ret_name);
    *ret_name = bh_str_lower(arena, name);
    return ret_name->p ? BH_OK : BH_E_NOMEM;
}

/* An IPv4 address is no domain name, though its numbers are labels. */
static bool ends_in_number(bh_str name)
{
    bh_str last = bh_str_skip(name, bh_str_rfind(name, '.') + 1);

    for (size_t i = 0; i < last.n; i++)
        if (!bh_is_digit(last.p[i]))
            return false;
    return true;
}

bh_err bh_domain_name_normalise(struct bh_arena *arena, bh_str typed, bh_str *ret_name)
{
    bh_str name = bh_str_trim(typed);
    bh_err err = BH_OK;

    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n > DOMAIN_NAME_MAX)
        return BH_E_LIMIT;
    err = bh_domain_a_labels(arena, name, &name);
    if (err)
        return err;
    if (name.n > DOMAIN_NAME_MAX)
        return BH_E_LIMIT;
    if (bh_str_find(name, '.') == name.n || !are_labels(name, "") || ends_in_number(name))
        return BH_E_SYNTAX;
    if (psl_is_public_suffix(psl_builtin(), name.p))
        return BH_E_DENIED;
    *ret_name = name;
    return BH_OK;
}

bh_str bh_domain_registrable(bh_str name)
{
    char text[256];
    const char *found;

    if (bh_str_to_c(name, text, sizeof(text)))
        return name;
    found = psl_registrable_domain(psl_builtin(), text);
    return found ? bh_str_skip(name, (size_t)(found - text)) : name;
}

bh_str bh_domain_parent(bh_str name)
{
    bh_str rest;

    (void)bh_str_cut(name, '.', &rest);
    return rest.p ? rest : (bh_str){"", 0};
}

bh_str bh_host_as_typed(bh_str name, bh_str apex)
{
    if (bh_str_eq_ci(name, apex))
        return BH_STR("@");
    if (apex.n == 0 || !bh_str_is_at_or_below(name, apex))
        return name;
    return bh_str_sub(name, 0, name.n - apex.n - 1);
}
