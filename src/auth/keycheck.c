/* keycheck.c: fetches a signature's key and tries it. A name may hold several TXT records (RFC 6376 3.6.2.2 leaves
 * that undefined): those that are keys are tried in order, a few at most, and the first that verifies counts; else
 * the report is of the one that came nearest. */
#include "base/buf.h"
#include "dkim_internal.h"
#include "domain.h"

enum { MAX_RECORDS = 10, MAX_NAME = 1024 };

static void finish(struct bh_keycheck *check, enum bh_dkim_result result, bh_str reason)
{
    check->answered = true;
    check->query = NULL;
    check->result = result;
    check->reason = reason.p ? reason : BH_STR("out of memory");
    check->done(check);
}

/* The strings of a TXT record as one text (RFC 6376 3.6.2.2); NULL view for rdata that is none or too long. */
static bh_str join_strings(bh_str rdata, char text[BH_KEY_RECORD_MAX])
{
    size_t n = 0;

    while (rdata.n) {
        size_t length = (unsigned char)rdata.p[0];

        if (length >= rdata.n || length > BH_KEY_RECORD_MAX - n)
            return (bh_str){NULL, 0};
        memcpy(text + n, rdata.p + 1, length);
        n += length;
        rdata = bh_str_skip(rdata, length + 1);
    }
    return bh_str_of(text, n);
}

/* RFC 6376 6.1.2 point 5 on: may this record be used for this signature at all. */
static const char *check_use(const struct bh_key_record *record, const struct bh_sig *sig)
{
    if (!record->email)
        return "key is not for email (s=)";
    if (!record->sha256)
        return "key does not allow SHA-256 (h=)";
    if (record->type != sig->key_type)
        return "key is of another type than the signature's algorithm (k=)";
    if (record->no_subdomains && !bh_sig_identity_fits(sig->identity, sig->domain, true))
        return "key forbids subdomains in i= (t=s)";
    return NULL;
}

static struct bh_verdict try_key(struct bh_keycheck *check, const struct bh_pubkey *key)
{
    bh_str signature = bh_str_of((const char *)check->sig->signature, check->sig->signature_length);

    check->key_bits = bh_pubkey_bits(key);
    if (bh_pubkey_verify(key, check->hash, signature))
        return (struct bh_verdict){BH_DKIM_PASS, "good signature"};
    if (check->dkim->config.explain && bh_pubkey_type(key) == BH_DKIM_KEY_RSA) {
        check->recovered = bh_pubkey_recover(key, signature, check->signed_hash);
        if (!check->recovered)
            return (struct bh_verdict){BH_DKIM_FAIL, "signature was not made with the published key, or b= is damaged"};
    }
    return (struct bh_verdict){BH_DKIM_FAIL, "signature does not match the header"};
}

static struct bh_verdict try_record(struct bh_keycheck *check, bh_str rdata)
{
    char text[BH_KEY_RECORD_MAX];
    bh_str joined = join_strings(rdata, text);
    struct bh_key_record record;
    const struct bh_pubkey *key;
    const char *why;

    if (!joined.p)
        return (struct bh_verdict){BH_DKIM_PERMERROR, "key record is longer than 8192 bytes"};
    why = bh_key_record_read(joined, &record);
    if (!why)
        why = check_use(&record, check->sig);
    if (why)
        return (struct bh_verdict){BH_DKIM_PERMERROR, why};
    key = bh_pubkey_cache_get(check->dkim->keys, &record, &why);
    if (!key)
        return (struct bh_verdict){BH_DKIM_PERMERROR, why};
    check->testing = record.testing;
    return try_key(check, key);
}

static void try_records(struct bh_keycheck *check, const struct bh_dns_answer *answer)
{
    struct bh_verdict best = {BH_DKIM_NONE, ""};

    for (size_t i = 0; i < answer->count && i < MAX_RECORDS && best.result != BH_DKIM_PASS; i++) {
        struct bh_verdict verdict = try_record(check, answer->records[i].rdata);

        if (best.result == BH_DKIM_NONE || verdict.result == BH_DKIM_PASS || verdict.result == BH_DKIM_FAIL)
            best = verdict;
    }
    if (best.result == BH_DKIM_PERMERROR)
        finish(check, best.result, bh_arena_printf(check->arena, "%s, at %.*s", best.why, BH_FMT(check->name)));
    else
        finish(check, best.result, bh_str_c(best.why));
}

static void take_answer(void *ctx, const struct bh_dns_answer *answer)
{
    struct bh_keycheck *check = ctx;
    enum bh_dkim_result result = answer->status == BH_DNS_TEMPFAIL ? BH_DKIM_TEMPERROR : BH_DKIM_PERMERROR;
    const char *text = "";

    check->secure = answer->secure;
    switch (answer->status) {
    case BH_DNS_FOUND:
        try_records(check, answer);
        return;
    case BH_DNS_TEMPFAIL:
        text = "DNS gives no answer about the key";
        break;
    case BH_DNS_NXDOMAIN:
        text = "no key: the name does not exist";
        break;
    case BH_DNS_NODATA:
        text = "no key: the name has no TXT record";
        break;
    case BH_DNS_BADNAME:
        text = "no key: not a name that DNS can hold";
        break;
    }
    finish(check, result,
           bh_arena_printf(check->arena, "%s: %.*s%s%.*s", text, BH_FMT(check->name), answer->why.n ? ": " : "",
                           BH_FMT(answer->why)));
}

/* RFC 8616 5: asked for as A-labels; {NULL, 0} for what is no name. */
static bh_str key_name(struct bh_arena *arena, const struct bh_sig *sig)
{
    struct bh_buf name = bh_buf_make(MAX_NAME);
    bh_err err = bh_domain_to_ascii(sig->selector, &name);
    bh_str copy = {NULL, 0};

    bh_buf_add(&name, BH_STR("._domainkey."));
    if (!err)
        err = bh_domain_to_ascii(sig->domain, &name);
    if (!err && !bh_buf_err(&name) && bh_domain_valid(bh_buf_view(&name)))
        copy = bh_arena_dup(arena, bh_buf_view(&name));
    bh_buf_free(&name);
    return copy;
}

void bh_keycheck_start(struct bh_keycheck *check, struct bh_resolver *resolver)
{
    struct bh_dns_query *query = NULL;

    check->resolver = resolver;
    check->name = key_name(check->arena, check->sig);
    if (!check->name.p) {
        finish(check, BH_DKIM_PERMERROR, BH_STR("no key: s= and d= make no name that DNS can hold"));
        return;
    }
    if (resolver->ops->lookup(resolver, check->name, BH_DNS_TXT, take_answer, check, &query)) {
        finish(check, BH_DKIM_TEMPERROR, BH_STR("no DNS query could be started"));
        return;
    }
    if (!check->answered)
        check->query = query;
}

void bh_keycheck_cancel(struct bh_keycheck *check)
{
    if (check->query)
        check->resolver->ops->cancel(check->resolver, check->query);
    check->query = NULL;
}
