/* dkim_verify.c: all signatures of one message. Each entry walks: field read -> body hash compared -> key fetched and
 * tried; the first step that does not pass is its result. The verification is over when no entry is pending. */
#include "dkim_internal.h"

enum { MAX_REPORTED = 1000, B_START = 8 };

struct entry {
    struct bh_dkim_signature report;
    struct bh_sig *sig; /* NULL where it is not looked at */
    bool live;          /* nothing wrong so far */
    size_t job;
    struct bh_keycheck check;
};

struct bh_dkim_verify {
    struct bh_dkim *dkim;
    struct bh_arena *arena;
    struct bh_hindex index;
    struct entry *entries;
    size_t count;
    struct bh_body_hashes bodies;
    bh_time_ms now;
    bool unreadable; /* header beyond the bounds */
    bool ended;
    size_t pending;
    bh_dkim_verify_done *done;
    void *ctx;
};

static void judge(struct entry *entry, enum bh_dkim_result result, bh_str reason)
{
    entry->report.result = result;
    entry->report.reason = reason.p ? reason : BH_STR("out of memory");
    entry->live = false;
}

static void report_sig(struct entry *entry)
{
    const struct bh_sig *sig = entry->sig;
    struct bh_dkim_signature *report = &entry->report;

    report->domain = sig->domain;
    report->selector = sig->selector;
    report->identity = sig->identity;
    report->algorithm = sig->algorithm;
    report->b_start = bh_str_sub(sig->b, 0, B_START);
    report->signed_at_s = sig->signed_at_s;
    report->expires_at_s = sig->expires_at_s;
}

static void read_entry(struct bh_dkim_verify *verify, struct entry *entry, const struct bh_hfield *field)
{
    struct bh_verdict verdict;

    entry->sig = bh_arena_alloc(verify->arena, sizeof(*entry->sig));
    if (!entry->sig) {
        judge(entry, BH_DKIM_TEMPERROR, BH_STR("out of memory"));
        return;
    }
    verdict = bh_sig_read(BH_SIG_DKIM, &field->f, verify->now, entry->sig);
    report_sig(entry);
    if (verdict.result != BH_DKIM_PASS) {
        judge(entry, verdict.result, bh_str_c(verdict.why));
        return;
    }
    entry->live = true;
    if (bh_body_hashes_want(&verify->bodies, entry->sig->body_canon,
                            entry->sig->has_length ? entry->sig->length : UINT64_MAX, &entry->job))
        judge(entry, BH_DKIM_TEMPERROR, BH_STR("out of memory"));
}

static bool read_entries(struct bh_dkim_verify *verify)
{
    const struct bh_hgroup *group = bh_hindex_group(&verify->index, BH_STR("dkim-signature"));
    size_t count = group ? group->count : 0;
    size_t max = verify->dkim->config.max_signatures;

    if (count > MAX_REPORTED)
        count = MAX_REPORTED;
    verify->entries = bh_arena_array(verify->arena, count, sizeof(*verify->entries));
    if (!verify->entries || bh_body_hashes_init(&verify->bodies, verify->dkim, verify->arena, max))
        return false;
    for (size_t i = 0; i < verify->index.count && verify->count < count; i++) {
        const struct bh_hfield *field = &verify->index.fields[i];
        struct entry *entry = &verify->entries[verify->count];

        if (!bh_str_eq_ci(field->f.name, BH_STR("dkim-signature")))
            continue;
        entry->report.field = i;
        entry->report.signed_at_s = entry->report.expires_at_s = -1;
        if (verify->count < max)
            read_entry(verify, entry, field);
        else
            judge(entry, BH_DKIM_POLICY, BH_STR("not verified: the message has too many signatures"));
        verify->count++;
    }
    return true;
}

struct bh_dkim_verify *bh_dkim_verify_new(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header, bh_time_ms now)
{
    struct bh_dkim_verify *verify = bh_arena_alloc(arena, sizeof(*verify));

    if (!verify)
        return NULL;
    verify->dkim = dkim;
    verify->arena = arena;
    verify->now = now;
    if (bh_dkim_read_header(dkim, arena, header, &verify->index))
        verify->unreadable = true;
    else if (!read_entries(verify)) {
        bh_body_hashes_free(&verify->bodies);
        return NULL;
    }
    return verify;
}

void bh_dkim_verify_body(struct bh_dkim_verify *verify, bh_str piece)
{
    bh_body_hashes_add(&verify->bodies, piece);
}

static void compare_body(struct bh_dkim_verify *verify, struct entry *entry)
{
    const struct bh_sig *sig = entry->sig;
    uint64_t length = bh_body_hashes_length(&verify->bodies, sig->body_canon);

    if (sig->has_length && sig->length > length)
        judge(entry, BH_DKIM_FAIL,
              bh_arena_printf(verify->arena, "body is shorter than was signed (l=%llu, it has %llu)",
                              (unsigned long long)sig->length, (unsigned long long)length));
    else if (memcmp(verify->bodies.jobs[entry->job].hash, sig->body_hash, BH_DKIM_HASH_BYTES) != 0)
        judge(entry, BH_DKIM_FAIL, BH_STR("body hash differs: the body was changed after signing"));
    entry->report.partial_body = sig->has_length && sig->length < length;
}

static bh_str reason_of(struct bh_dkim_verify *verify, struct entry *entry)
{
    const struct bh_keycheck *check = &entry->check;

    if (check->result == BH_DKIM_FAIL && check->recovered)
        return bh_sig_explain(verify->dkim, verify->arena, &verify->index, entry->sig, check->signed_hash);
    if (check->result == BH_DKIM_PASS && entry->report.partial_body)
        return bh_arena_printf(verify->arena, "good signature, of the first %llu bytes of the body only (l=)",
                               (unsigned long long)entry->sig->length);
    return check->reason;
}

static void count_down(struct bh_dkim_verify *verify)
{
    if (--verify->pending == 0)
        verify->done(verify->ctx, verify);
}

static void end_entry(struct bh_keycheck *check)
{
    struct entry *entry = BH_CONTAINER_OF(check, struct entry, check);
    struct bh_dkim_verify *verify = check->ctx;

    entry->report.key_bits = check->key_bits;
    entry->report.testing = check->testing;
    entry->report.key_secure = check->secure;
    judge(entry, check->result, reason_of(verify, entry));
    count_down(verify);
}

static void start_check(struct bh_dkim_verify *verify, struct entry *entry, struct bh_resolver *resolver)
{
    struct bh_keycheck *check = &entry->check;

    check->dkim = verify->dkim;
    check->arena = verify->arena;
    check->sig = entry->sig;
    check->done = end_entry;
    check->ctx = verify;
    bh_sig_header_hash(verify->dkim, &verify->index, entry->sig, NULL, check->hash);
    verify->pending++;
    bh_keycheck_start(check, resolver);
}

void bh_dkim_verify_end(struct bh_dkim_verify *verify, struct bh_resolver *resolver, bh_dkim_verify_done *done,
                        void *ctx)
{
    verify->done = done;
    verify->ctx = ctx;
    verify->pending = 1; /* ours, until all are started: answers may come at once */
    bh_body_hashes_end(&verify->bodies);
    for (size_t i = 0; i < verify->count; i++) {
        struct entry *entry = &verify->entries[i];

        if (entry->live)
            compare_body(verify, entry);
        if (entry->live)
            start_check(verify, entry, resolver);
    }
    bh_body_hashes_free(&verify->bodies);
    count_down(verify);
}

void bh_dkim_verify_free(struct bh_dkim_verify *verify)
{
    if (!verify)
        return;
    for (size_t i = 0; i < verify->count; i++)
        bh_keycheck_cancel(&verify->entries[i].check);
    bh_body_hashes_free(&verify->bodies);
}

size_t bh_dkim_verify_count(const struct bh_dkim_verify *verify)
{
    return verify->count;
}

const struct bh_dkim_signature *bh_dkim_verify_get(const struct bh_dkim_verify *verify, size_t index)
{
    return index < verify->count ? &verify->entries[index].report : NULL;
}

static enum bh_dkim_result overall(const struct bh_dkim_verify *verify, bh_str *reason)
{
    const struct bh_dkim_signature *best = NULL;

    if (verify->unreadable) {
        *reason = BH_STR("the header has more fields or bytes than are read");
        return BH_DKIM_PERMERROR;
    }
    for (size_t i = 0; i < verify->count; i++)
        if (!best || (best->result != BH_DKIM_PASS && verify->entries[i].report.result == BH_DKIM_PASS))
            best = &verify->entries[i].report;
    *reason = best ? best->reason : BH_STR("the message has no DKIM signature");
    return best ? best->result : BH_DKIM_NONE;
}

enum bh_dkim_result bh_dkim_verify_result(const struct bh_dkim_verify *verify, bh_str *ret_reason)
{
    bh_str reason;
    enum bh_dkim_result result = overall(verify, &reason);

    if (ret_reason)
        *ret_reason = reason;
    return result;
}
