/* sig.c: see sig.h. Each check is a function of its own that returns a verdict; the first that is not pass ends it. */
#include "sig.h"
#include "base/text.h"
#include "domain.h"
#include "tags.h"

enum { MAX_TAGS = 64 };

static const struct bh_verdict good = {BH_DKIM_PASS, NULL};

struct reading {
    const struct bh_tag *tags;
    size_t count;
    struct bh_sig *sig;
    int64_t now_s;
};

static struct bh_verdict neutral(const char *why)
{
    return (struct bh_verdict){BH_DKIM_NEUTRAL, why};
}

static struct bh_verdict permerror(const char *why)
{
    return (struct bh_verdict){BH_DKIM_PERMERROR, why};
}

static bh_str value_of(const struct reading *r, const char *name)
{
    const struct bh_tag *tag = bh_tag_find(r->tags, r->count, name);

    return tag ? tag->value : (bh_str){NULL, 0};
}

bool bh_sig_is_domain(bh_str name)
{
    size_t label = 0;

    if (name.n == 0 || name.n > 253)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if ((!bh_is_alnum(c) && c != '-' && c != '_' && !((unsigned char)c & 0x80)) || ++label > 63) {
            return false;
        }
    }
    return label > 0;
}

static bool fits(bh_str identity_domain, bh_str domain, bool exact)
{
    return exact ? bh_str_eq_ci(identity_domain, domain) : bh_str_is_at_or_below(identity_domain, domain);
}

/* One of the two has U-labels: compared as A-labels (RFC 8616 5). */
static bool fits_as_ascii(bh_str identity_domain, bh_str domain, bool exact)
{
    struct bh_buf a = bh_buf_make(BH_DOMAIN_QUERY_MAX);
    struct bh_buf b = bh_buf_make(BH_DOMAIN_QUERY_MAX);
    bool ok = !bh_domain_to_ascii(identity_domain, &a) && !bh_domain_to_ascii(domain, &b) &&
              fits(bh_buf_view(&a), bh_buf_view(&b), exact);

    bh_buf_free(&a);
    bh_buf_free(&b);
    return ok;
}

bool bh_sig_identity_fits(bh_str identity, bh_str domain, bool exact)
{
    size_t at = bh_str_rfind(identity, '@');
    bh_str of;

    if (identity.n == 0)
        return true;
    if (at == identity.n)
        return false;
    of = bh_str_skip(identity, at + 1);
    return fits(of, domain, exact) || (of.n <= BH_DOMAIN_MAX * 4 && fits_as_ascii(of, domain, exact));
}

bool bh_sig_signs(bh_str names, const char *name)
{
    bh_str item;

    while (bh_tag_item(&names, ':', &item))
        if (bh_str_eq_ci(item, bh_str_c(name)))
            return true;
    return false;
}

/* The views that a report wants, whatever else is wrong. */
static void read_names(const struct reading *r)
{
    struct bh_sig *sig = r->sig;
    const struct bh_tag *b = bh_tag_find(r->tags, r->count, "b");

    sig->domain = value_of(r, "d");
    sig->selector = value_of(r, "s");
    sig->algorithm = value_of(r, "a");
    sig->names = value_of(r, "h");
    sig->cv = value_of(r, "cv");
    if (b) {
        sig->b = b->value;
        sig->b_raw = b->raw;
    }
    if (sig->kind == BH_SIG_DKIM)
        sig->identity = value_of(r, "i");
}

static struct bh_verdict check_required(const struct reading *r)
{
    static const struct {
        const char *name;
        unsigned kinds;
        const char *why;
    } required[] = {
        {"v", 1u << BH_SIG_DKIM, "signature has no v="},
        {"a", 7, "signature has no a="},
        {"b", 7, "signature has no b="},
        {"d", 7, "signature has no d="},
        {"s", 7, "signature has no s="},
        {"bh", 1u << BH_SIG_DKIM | 1u << BH_SIG_ARC_MESSAGE, "signature has no bh="},
        {"h", 1u << BH_SIG_DKIM | 1u << BH_SIG_ARC_MESSAGE, "signature has no h="},
        {"cv", 1u << BH_SIG_ARC_SEAL, "ARC-Seal has no cv="},
    };

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
        if (required[i].kinds & 1u << r->sig->kind && !bh_tag_find(r->tags, r->count, required[i].name))
            return neutral(required[i].why);
    if (r->sig->kind == BH_SIG_DKIM && !bh_str_eq(value_of(r, "v"), BH_STR("1")))
        return neutral("unknown signature version (v=)");
    if (r->sig->kind == BH_SIG_ARC_SEAL && bh_tag_find(r->tags, r->count, "h"))
        return neutral("ARC-Seal has an h=, which RFC 8617 4.1.3 forbids");
    return good;
}

static struct bh_verdict read_algorithm(const struct reading *r)
{
    bh_str a = r->sig->algorithm;

    if (bh_str_eq_ci(a, BH_STR("rsa-sha1")))
        return permerror("rsa-sha1 is not to be verified (RFC 8301)");
    if (bh_str_eq_ci(a, BH_STR("rsa-sha256")))
        r->sig->key_type = BH_DKIM_KEY_RSA;
    else if (bh_str_eq_ci(a, BH_STR("ed25519-sha256")))
        r->sig->key_type = BH_DKIM_KEY_ED25519;
    else
        return neutral("unknown signature algorithm (a=)");
    return good;
}

static bool canon_of(bh_str word, enum bh_dkim_canon *canon)
{
    if (bh_str_eq_ci(word, BH_STR("simple")))
        *canon = BH_DKIM_SIMPLE;
    else if (bh_str_eq_ci(word, BH_STR("relaxed")))
        *canon = BH_DKIM_RELAXED;
    else
        return false;
    return true;
}

/* RFC 6376 3.5: default simple/simple, one word alone is the header's. An ARC-Seal is relaxed (RFC 8617 5.1.1). */
static struct bh_verdict read_canon(const struct reading *r)
{
    const struct bh_tag *c = bh_tag_find(r->tags, r->count, "c");
    bool seal = r->sig->kind == BH_SIG_ARC_SEAL;
    bh_str body;
    bh_str header;

    r->sig->header_canon = seal ? BH_DKIM_RELAXED : BH_DKIM_SIMPLE;
    r->sig->body_canon = BH_DKIM_SIMPLE;
    if (!c || seal)
        return good;
    header = bh_str_cut(c->value, '/', &body);
    if (!canon_of(header, &r->sig->header_canon) || (body.p && !canon_of(body, &r->sig->body_canon)))
        return neutral("unknown canonicalisation (c=)");
    return good;
}

/* A number of seconds; one too large for us is far in the future. Absent = -1. */
static bool read_time(const struct reading *r, const char *name, int64_t *ret_s)
{
    const struct bh_tag *tag = bh_tag_find(r->tags, r->count, name);
    uint64_t number = 0;
    bh_err err;

    *ret_s = -1;
    if (!tag)
        return true;
    err = bh_str_to_u64(tag->value, INT64_MAX / 1000, &number);
    *ret_s = err == BH_E_RANGE ? INT64_MAX / 1000 : (int64_t)number;
    return err == BH_OK || err == BH_E_RANGE;
}

static struct bh_verdict read_times(const struct reading *r)
{
    struct bh_sig *sig = r->sig;

    if (!read_time(r, "t", &sig->signed_at_s))
        return neutral("t= is not a time");
    if (!read_time(r, "x", &sig->expires_at_s))
        return neutral("x= is not a time");
    if (sig->expires_at_s < 0)
        return good;
    if (sig->signed_at_s >= 0 && sig->expires_at_s <= sig->signed_at_s)
        return neutral("x= is not after t=");
    if (r->now_s > sig->expires_at_s)
        return permerror("signature has expired (x=)");
    return good;
}

static struct bh_verdict read_length(const struct reading *r)
{
    const struct bh_tag *l = bh_tag_find(r->tags, r->count, "l");
    bh_err err;

    if (!l || r->sig->kind == BH_SIG_ARC_SEAL)
        return good;
    err = bh_str_to_u64(l->value, UINT64_MAX, &r->sig->length);
    if (err == BH_E_RANGE)
        r->sig->length = UINT64_MAX;
    else if (err)
        return neutral("l= is not a number");
    r->sig->has_length = true;
    return good;
}

static struct bh_verdict check_domain(const struct reading *r)
{
    const struct bh_tag *identity = r->sig->kind == BH_SIG_DKIM ? bh_tag_find(r->tags, r->count, "i") : NULL;

    if (!bh_sig_is_domain(r->sig->domain))
        return neutral("d= is not a domain name");
    if (!bh_sig_is_domain(r->sig->selector))
        return neutral("s= is not a selector");
    if (identity && bh_str_rfind(identity->value, '@') == identity->value.n)
        return neutral("i= has no '@'");
    if (!bh_sig_identity_fits(r->sig->identity, r->sig->domain, false))
        return permerror("i= is not at or below d=");
    return good;
}

static struct bh_verdict check_query(const struct reading *r)
{
    const struct bh_tag *q = bh_tag_find(r->tags, r->count, "q");
    bh_str rest = q ? q->value : (bh_str){NULL, 0};
    bh_str item;

    while (bh_tag_item(&rest, ':', &item))
        if (bh_str_eq_ci(item, BH_STR("dns/txt")))
            return good;
    return q ? neutral("no known query method (q=)") : good;
}

static struct bh_verdict check_names(const struct reading *r)
{
    bh_str rest = r->sig->names;
    bh_str item;

    if (r->sig->kind == BH_SIG_ARC_SEAL)
        return good;
    if (rest.n > BH_SIG_NAMES_MAX)
        return neutral("h= is longer than 64 KiB");
    while (bh_tag_item(&rest, ':', &item))
        if (item.n == 0)
            return neutral("h= has an empty name");
    if (!bh_sig_signs(r->sig->names, "from"))
        return permerror("From is not signed (h=)");
    if (r->sig->kind == BH_SIG_ARC_MESSAGE && bh_sig_signs(r->sig->names, "arc-seal"))
        return permerror("ARC-Seal must not be signed (h=)");
    return good;
}

/* Decodes into a fixed array: base64 text of at most `cap` bytes. */
static bool decode(bh_str text, uint8_t *bytes, size_t cap, size_t *ret_n)
{
    struct bh_buf buf = {.p = (char *)bytes, .cap = cap, .max = cap};

    if (text.n == 0 || bh_base64_decode_loose(&buf, text))
        return false;
    *ret_n = buf.n;
    return true;
}

static struct bh_verdict read_hashes(const struct reading *r)
{
    uint8_t body_hash[128];
    size_t n = 0;

    if (!decode(r->sig->b, r->sig->signature, sizeof(r->sig->signature), &r->sig->signature_length))
        return neutral("b= is not base64 of a signature");
    if (r->sig->kind == BH_SIG_ARC_SEAL)
        return good;
    if (!decode(value_of(r, "bh"), body_hash, sizeof(body_hash), &n) || n != BH_DKIM_HASH_BYTES)
        return neutral("bh= is not base64 of a SHA-256 hash");
    memcpy(r->sig->body_hash, body_hash, BH_DKIM_HASH_BYTES);
    return good;
}

/* RFC 8617 4.2.1: 1 to 50. */
static struct bh_verdict read_instance(const struct reading *r)
{
    if (r->sig->kind == BH_SIG_DKIM)
        return good;
    if (bh_str_to_u64(value_of(r, "i"), 50, &r->sig->instance) || r->sig->instance == 0)
        return neutral("i= is not an ARC instance (1 to 50)");
    return good;
}

struct bh_verdict bh_sig_read(enum bh_sig_kind kind, const struct bh_header_field *field, bh_time_ms now,
                              struct bh_sig *ret_sig)
{
    static struct bh_verdict (*const checks[])(const struct reading *) = {
        read_instance, check_required, read_algorithm, read_canon, check_domain,
        check_query,   check_names,    read_length,    read_times, read_hashes,
    };
    struct bh_tag tags[MAX_TAGS];
    struct reading r = {.tags = tags, .sig = ret_sig, .now_s = now / 1000};
    struct bh_verdict verdict = good;

    memset(ret_sig, 0, offsetof(struct bh_sig, signature));
    ret_sig->kind = kind;
    ret_sig->whole = field->whole;
    ret_sig->signed_at_s = ret_sig->expires_at_s = -1;
    ret_sig->signature_length = 0;
    if (bh_tag_list_read(field->value, tags, MAX_TAGS, &r.count))
        return neutral("signature is not a tag list");
    read_names(&r);
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && verdict.result == BH_DKIM_PASS; i++)
        verdict = checks[i](&r);
    return verdict;
}
