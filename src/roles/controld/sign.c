/* sign.c: see sign.h.
 *
 * Signatures are kept per zone as entries of 104 bytes, sorted: the SHA-256 of what was signed, the key's number, the
 * signature. What is signed includes the times of validity, which are the same for a week (bh_dnssec_validity). */
#include "sign.h"
#include "roles/grant.h"
#include <openssl/evp.h>
#include <stdlib.h>

enum {
    DIGEST_BYTES = 32,
    ENTRY_KEY_BYTES = DIGEST_BYTES + 8,
    ENTRY_BYTES = ENTRY_KEY_BYTES + BH_DNS_P256_SIGNATURE_BYTES,
    ENTRIES_BYTES_MAX = 256 << 20,
    JOBS_MAX = 64, /* zones that wait for keyd at once; the others wait to be built */
    GRANT_MS = 60 * 1000
};

/* A zone whose signatures are on their way. */
struct job {
    struct bh_list node;
    struct bh_controld *core;
    struct bh_arena *arena;
    bh_str apex;
    struct bh_zone_source source;
    struct bh_zone_owner owner;
    struct bh_dnssec dnssec;
    struct bh_zone_signatures row;
    struct bh_buf entries; /* those that were there, then the new ones */
    struct bh_buf missing[BH_DNS_SIGN_KEYS_MAX];
    size_t key, at, asked; /* where asking stands: key, byte of its digests, bytes under way */
};

#define JOB_OF(node_) BH_CONTAINER_OF((node_), struct job, node)

/* A zone that waits: for keyd, or for room among the jobs. */
struct waiting {
    struct bh_list node;
    unsigned kind;
    int64_t domain;
    size_t n;
    char name[];
};

/* ---- waiting ---- */

static void wait_for_keyd(struct bh_controld *core, const struct bh_zone_source *source)
{
    struct waiting *waiting = calloc(1, sizeof *waiting + source->name.n);

    if (!waiting)
        return; /* the renewal of signatures finds it again */
    waiting->kind = source->kind;
    waiting->domain = source->domain;
    waiting->n = source->name.n;
    if (source->name.n)
        memcpy(waiting->name, source->name.p, source->name.n);
    bh_list_push(&core->unsigned_zones, &waiting->node);
}

static void retry_some(struct bh_controld *core, size_t count)
{
    struct bh_list *node;

    while (count-- && (node = bh_list_pop(&core->unsigned_zones))) {
        struct waiting *waiting = BH_CONTAINER_OF(node, struct waiting, node);

        bh_publish_mark(core,
                        &(struct bh_zone_source){waiting->kind, waiting->domain, bh_str_of(waiting->name, waiting->n)});
        free(waiting);
    }
}

void bh_sign_retry(struct bh_controld *core)
{
    retry_some(core, JOBS_MAX);
}

/* ---- jobs ---- */

static void free_job(struct job *job)
{
    bh_list_remove(&job->node);
    job->core->signing_count--;
    bh_buf_free(&job->entries);
    for (size_t i = 0; i < BH_DNS_SIGN_KEYS_MAX; i++)
        bh_buf_free(&job->missing[i]);
    bh_arena_free(job->arena);
    free(job);
}

void bh_sign_free(struct bh_controld *core)
{
    struct bh_list *node;

    while ((node = bh_list_first(&core->signing)))
        free_job(JOB_OF(node));
    while ((node = bh_list_pop(&core->unsigned_zones)))
        free(BH_CONTAINER_OF(node, struct waiting, node));
}

static struct job *find_job(const struct bh_controld *core, bh_str apex)
{
    BH_LIST_EACH (node, &core->signing)
        if (bh_str_eq(JOB_OF(node)->apex, apex))
            return JOB_OF(node);
    return NULL;
}

static int compare_entries(const void *a, const void *b)
{
    return memcmp(a, b, ENTRY_KEY_BYTES);
}

static void add_entry(struct bh_buf *entries, bh_str digest, int64_t key, bh_str signature)
{
    bh_buf_add(entries, digest);
    bh_buf_u64(entries, (uint64_t)key);
    bh_buf_add(entries, signature);
}

/* Not signed: it is tried again later, and told how long the old signatures last. */
static void fail_job(struct job *job, bh_err err)
{
    struct bh_controld *core = job->core;
    struct bh_zone_source source = job->source;
    int64_t left_s = (int64_t)bh_dnssec_validity(job->apex, bh_controld_now(core)).expiration -
                     bh_controld_now(core) / 1000 - 7 * 86400;
    char text[160];

    (void)snprintf(text, sizeof text, "cannot sign a zone (%s); signatures that are served may end in %lld days",
                   bh_err_text(err), (long long)left_s / 86400);
    core->out->log(core->out_ctx, BH_LOG_WARN, text, job->apex);
    wait_for_keyd(core, &source);
    free_job(job);
}

static void finish_job(struct job *job)
{
    struct bh_controld *core = job->core;
    bh_err err = bh_buf_err(&job->entries);

    if (!err) {
        qsort(job->entries.p, job->entries.n / ENTRY_BYTES, ENTRY_BYTES, compare_entries);
        job->row.signatures = bh_buf_view(&job->entries);
        err = bh_zone_signatures_put(core->store, job->apex, &job->row);
    }
    if (err) {
        fail_job(job, err);
        return;
    }
    bh_publish_mark(core, &job->source);
    free_job(job);
    retry_some(core, 2);
}

static void ask_next(struct job *job);

static void on_signed(void *ctx, bh_err err, const struct bh_msg_zone_signatures *reply)
{
    struct job *job = ctx;
    bh_str digests = bh_str_sub(bh_buf_view(&job->missing[job->key]), job->at, job->asked);
    size_t count = job->asked / DIGEST_BYTES;

    if (!err && (reply->refused || reply->signatures.n != count * BH_DNS_P256_SIGNATURE_BYTES))
        err = BH_E_CRYPTO;
    if (err) {
        fail_job(job, err);
        return;
    }
    for (size_t i = 0; i < count; i++)
        add_entry(&job->entries, bh_str_sub(digests, i * DIGEST_BYTES, DIGEST_BYTES), job->dnssec.keys[job->key].id,
                  bh_str_sub(reply->signatures, i * BH_DNS_P256_SIGNATURE_BYTES, BH_DNS_P256_SIGNATURE_BYTES));
    job->core->signatures_made += count;
    job->at += job->asked;
    ask_next(job);
}

static bh_err ask(struct job *job)
{
    struct bh_controld *core = job->core;
    const struct bh_zone_key *key = &job->dnssec.keys[job->key];
    struct bh_buf grant = bh_buf_make(BH_GRANT_BYTES_MAX);
    struct bh_msg_zone_sign message = {.sealed = key->sealed};
    bh_err err;

    if (!core->has_grant_key)
        return BH_E_CLOSED;
    bh_grant_put(&grant, core->grant_key,
                 &(struct bh_grant){.kind = BH_GRANT_DNSSEC,
                                    .granter = BH_ROLE_CONTROLD,
                                    .customer_id = job->owner.customer_id,
                                    .key_id = (uint64_t)key->id,
                                    .domain = job->owner.name,
                                    .selector = {"", 0},
                                    .expires_at = bh_controld_now(core) + GRANT_MS});
    message.grant = bh_buf_view(&grant);
    message.digests = bh_str_sub(bh_buf_view(&job->missing[job->key]), job->at, BH_ZONE_SIGN_MAX * DIGEST_BYTES);
    job->asked = message.digests.n;
    err = bh_buf_err(&grant);
    if (!err)
        err = core->out->sign_zone(core->out_ctx, &message, on_signed, job);
    bh_buf_free(&grant);
    return err;
}

static void ask_next(struct job *job)
{
    bh_err err;

    while (job->key < job->dnssec.key_count && job->at == job->missing[job->key].n) {
        job->key++;
        job->at = 0;
    }
    if (job->key == job->dnssec.key_count) {
        finish_job(job);
        return;
    }
    err = ask(job);
    if (err)
        fail_job(job, err);
}

/* ---- collecting ---- */

struct collecting {
    const struct bh_dnssec *dnssec;
    bh_str known; /* sorted entries */
    struct bh_buf used;
    struct bh_buf missing[BH_DNS_SIGN_KEYS_MAX];
    bool incomplete;
};

static bh_err collect(void *ctx, size_t key, bh_str data, unsigned char ret_signature[BH_DNS_P256_SIGNATURE_BYTES])
{
    struct collecting *collecting = ctx;
    struct bh_buf entry = bh_buf_make(ENTRY_KEY_BYTES);
    unsigned char digest[DIGEST_BYTES];
    const char *found;
    unsigned n = 0;

    if (EVP_Digest(data.p, data.n, digest, &n, EVP_sha256(), NULL) != 1 || n != DIGEST_BYTES)
        return BH_E_CRYPTO;
    add_entry(&entry, bh_str_of((const char *)digest, n), collecting->dnssec->keys[key].id, (bh_str){"", 0});
    found = bh_buf_err(&entry) ? NULL
                               : bsearch(entry.p, collecting->known.p, collecting->known.n / ENTRY_BYTES, ENTRY_BYTES,
                                         compare_entries);
    bh_buf_free(&entry);
    if (found) {
        memcpy(ret_signature, found + ENTRY_KEY_BYTES, BH_DNS_P256_SIGNATURE_BYTES);
        bh_buf_add(&collecting->used, bh_str_of(found, ENTRY_BYTES));
        return BH_OK;
    }
    memset(ret_signature, 0, BH_DNS_P256_SIGNATURE_BYTES);
    collecting->incomplete = true;
    bh_buf_add(&collecting->missing[key], bh_str_of((const char *)digest, n));
    return bh_buf_err(&collecting->missing[key]);
}

/* ---- a zone's two forms ---- */

static bh_err to_dns_zone(struct bh_dns_zone_builder *builder, const struct bh_zone *zone,
                          struct bh_dns_zone **ret_zone)
{
    struct bh_dns_name name;
    const char *why;
    bh_str at;
    bh_err err = bh_dns_name_parse(zone->apex, NULL, &name);

    if (err)
        return err;
    bh_dns_zone_builder_begin(builder, bh_dns_name_view(&name));
    for (size_t i = 0; i < zone->count && !err; i++) {
        const struct bh_zone_record *record = &zone->records[i];

        err = bh_dns_name_parse(record->owner, NULL, &name);
        if (!err)
            err = bh_dns_zone_builder_add(builder, bh_dns_name_view(&name), record->ttl_s, record->type, record->rdata);
    }
    return err ? err : bh_dns_zone_builder_finish(builder, ret_zone, &why, &at);
}

static void take_rrset(struct bh_zone *out, const struct bh_dns_zone *zone, bh_str owner,
                       const struct bh_dns_rrset *rrset)
{
    uint32_t at = rrset->at;

    for (unsigned i = 0; i < rrset->count; i++) {
        bh_str rdata = bh_dns_rrset_next(zone, &at);

        bh_zone_add_wire(out, owner, bh_dns_rrset_ttl(rrset, rdata), rrset->type, rdata);
    }
}

static void from_dns_zone(const struct bh_dns_zone *zone, struct bh_zone *out)
{
    struct bh_buf owner = bh_buf_make(4 * BH_DNS_NAME_MAX);

    out->count = 0;
    for (uint32_t i = 0; i < zone->nodes; i++) {
        const struct bh_dns_node *node = &zone->node[i];

        bh_buf_clear(&owner);
        bh_dns_name_print_relative(&owner, bh_dns_node_name(zone, node));
        for (unsigned j = 0; j < node->rrsets; j++)
            take_rrset(out, zone, bh_buf_view(&owner), &zone->rrset[node->rrsets_at + j]);
    }
    bh_buf_free(&owner);
}

/* ---- serials and what the zone says without them ---- */

/* SHA-256 of the records without the SOA's serial, of the keys and of the times. */
static bh_err hash_content(const struct bh_zone *zone, const struct bh_dns_sign_options *options,
                           unsigned char ret_hash[DIGEST_BYTES])
{
    struct bh_buf text = bh_buf_make(ENTRIES_BYTES_MAX);
    unsigned n = 0;
    bh_err err;

    for (size_t i = 0; i < zone->count; i++) {
        const struct bh_zone_record *record = &zone->records[i];
        size_t serial_at = record->type == BH_DNS_SOA && record->rdata.n > 20 ? record->rdata.n - 20 : record->rdata.n;

        bh_buf_u16(&text, record->type);
        bh_buf_u32(&text, record->ttl_s);
        bh_buf_u16(&text, (uint16_t)record->owner.n);
        bh_buf_add(&text, record->owner);
        bh_buf_u16(&text, (uint16_t)record->rdata.n);
        bh_buf_add(&text, bh_str_sub(record->rdata, 0, serial_at));
        bh_buf_add(&text, bh_str_skip(record->rdata, serial_at + 4));
    }
    for (size_t i = 0; i < options->key_count; i++) {
        bh_buf_u8(&text, (uint8_t)(options->keys[i].signs + 2 * options->keys[i].parent));
        bh_buf_add(&text, bh_str_of((const char *)options->keys[i].public_key, BH_DNS_P256_PUBLIC_BYTES));
    }
    bh_buf_u8(&text, options->delete_ds);
    bh_buf_u32(&text, options->inception);
    err = bh_buf_err(&text);
    if (!err && EVP_Digest(text.p, text.n, ret_hash, &n, EVP_sha256(), NULL) != 1)
        err = BH_E_CRYPTO;
    bh_buf_free(&text);
    return err;
}

static bh_err settle_serial(struct bh_controld *core, struct bh_zone *zone, bh_str content,
                            struct bh_zone_signatures *row)
{
    bool same = bh_str_eq(row->content, content);

    if (!same) {
        row->content = content;
        row->serial = core->serial;
    }
    return bh_serial_set(core, zone, row->serial);
}

/* ---- signing ---- */

static bh_err start_job(struct bh_controld *core, const struct bh_zone *zone, const struct bh_zone_source *source,
                        const struct bh_zone_owner *owner, const struct bh_zone_signatures *row,
                        struct collecting *collecting)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job || !(job->arena = bh_arena_new(1 << 20))) {
        free(job);
        return BH_E_NOMEM;
    }
    job->core = core;
    job->apex = bh_arena_dup(job->arena, zone->apex);
    job->source = (struct bh_zone_source){source->kind, source->domain, bh_arena_dup(job->arena, source->name)};
    job->owner = (struct bh_zone_owner){owner->domain, owner->customer_id, bh_arena_dup(job->arena, owner->name), NULL};
    job->dnssec = *owner->dnssec;
    for (size_t i = 0; i < job->dnssec.key_count; i++)
        job->dnssec.keys[i].sealed = bh_arena_dup(job->arena, job->dnssec.keys[i].sealed);
    job->row = *row;
    job->row.kind = source->kind;
    job->row.domain = source->domain;
    job->row.name = job->source.name;
    job->row.content = bh_arena_dup(job->arena, row->content);
    job->entries = collecting->used;
    memcpy(job->missing, collecting->missing, sizeof job->missing);
    *collecting = (struct collecting){0};
    bh_list_push(&core->signing, &job->node);
    core->signing_count++;
    ask_next(job);
    return BH_E_AGAIN;
}

static bh_err sign_with(struct bh_dns_zone_builder *builder, struct bh_zone *zone,
                        const struct bh_dns_sign_options *options, struct collecting *collecting)
{
    struct bh_dns_zone *plain = NULL, *done = NULL;
    bh_err err = to_dns_zone(builder, zone, &plain);

    if (!err)
        err = bh_dns_zone_sign(builder, plain, options, collect, collecting, &done);
    bh_dns_zone_unref(plain);
    if (!err && !collecting->incomplete) {
        from_dns_zone(done, zone);
        err = zone->err;
    }
    bh_dns_zone_unref(done);
    return err;
}

bh_err bh_sign_zone(struct bh_controld *core, struct bh_zone *zone, const struct bh_zone_source *source,
                    const struct bh_zone_owner *owner)
{
    struct bh_dnssec_validity validity = bh_dnssec_validity(zone->apex, bh_controld_now(core));
    struct collecting collecting = {.dnssec = owner->dnssec, .used = bh_buf_make(ENTRIES_BYTES_MAX)};
    struct bh_dns_zone_builder *builder;
    struct bh_dns_sign_options options;
    struct bh_zone_signatures row;
    unsigned char content[DIGEST_BYTES];
    bh_err err;

    if (find_job(core, zone->apex))
        return BH_E_AGAIN; /* it is built again in the end */
    if (core->signing_count >= JOBS_MAX) {
        wait_for_keyd(core, source);
        return BH_E_AGAIN;
    }
    bh_dnssec_sign_keys(owner->dnssec, &options);
    options.inception = validity.inception;
    options.expiration = validity.expiration;
    err = hash_content(zone, &options, content);
    if (!err)
        err = bh_zone_signatures_get(core->store, zone->arena, zone->apex, &row);
    if (!err)
        err = settle_serial(core, zone, bh_str_of((const char *)content, sizeof content), &row);
    if (err)
        return err;
    builder = bh_dns_zone_builder_new(0);
    if (!builder)
        return BH_E_NOMEM;
    row.renew_at = validity.renew_at;
    collecting.known = row.signatures;
    for (size_t i = 0; i < BH_DNS_SIGN_KEYS_MAX; i++)
        collecting.missing[i] = bh_buf_make(ENTRIES_BYTES_MAX);
    err = sign_with(builder, zone, &options, &collecting);
    bh_dns_zone_builder_free(builder);
    if (!err && !collecting.incomplete)
        core->zones_signed++;
    if (!err && collecting.incomplete)
        err = start_job(core, zone, source, owner, &row, &collecting);
    bh_buf_free(&collecting.used);
    for (size_t i = 0; i < BH_DNS_SIGN_KEYS_MAX; i++)
        bh_buf_free(&collecting.missing[i]);
    return err;
}
