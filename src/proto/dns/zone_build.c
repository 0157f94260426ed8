/* Building a zone from records in any order.
 *
 * Records are collected with a sort key for their owner: the labels from the root on, in lower case, with a zero byte
 * behind each, and bytes 0 and 1 written as 1 1 and 1 2, so that memcmp gives the canonical order of RFC 4034 6.1.
 * After sorting, one pass makes the nodes (with the empty non-terminals in between), their RRsets and the block. */
#include "zone.h"
#include <stdlib.h>

enum { KEY_MAX = 2 * BH_DNS_NAME_MAX };

struct record {
    uint32_t key_at, owner_at, rdata_at;
    uint16_t key_n, rdata_n;
    uint16_t type;
    uint8_t owner_n;
    uint32_t ttl_s;
};

struct bh_dns_zone_builder {
    uint64_t seed;
    struct bh_dns_name apex;
    struct bh_buf bytes;   /* keys, owners, rdata */
    struct bh_buf sorting; /* canonical forms of two rdata */
    struct record *records;
    size_t count, cap;
};

struct bh_dns_zone_builder *bh_dns_zone_builder_new(uint64_t seed)
{
    struct bh_dns_zone_builder *builder = calloc(1, sizeof *builder);

    if (!builder)
        return NULL;
    builder->seed = seed;
    builder->bytes = bh_buf_make(BH_DNS_ZONE_BYTES_MAX);
    builder->sorting = bh_buf_make(4 * BH_DNS_RDATA_MAX);
    return builder;
}

void bh_dns_zone_builder_free(struct bh_dns_zone_builder *builder)
{
    if (!builder)
        return;
    bh_buf_free(&builder->bytes);
    bh_buf_free(&builder->sorting);
    free(builder->records);
    free(builder);
}

void bh_dns_zone_builder_begin(struct bh_dns_zone_builder *builder, bh_str apex)
{
    bh_dns_name_set(&builder->apex, apex);
    bh_buf_clear(&builder->bytes);
    builder->count = 0;
}

/* ---- adding ---- */

static size_t put_key_byte(unsigned char *key, size_t n, char byte)
{
    unsigned char c = (unsigned char)bh_to_lower(byte);

    if (c < 2) {
        key[n++] = 1;
        c++;
    }
    key[n++] = c;
    return n;
}

static size_t make_key(bh_str name, unsigned char key[KEY_MAX])
{
    uint8_t at[BH_DNS_LABELS_MAX];
    unsigned labels = 0;
    size_t n = 0;

    for (size_t i = 0; name.p[i]; i += 1u + (unsigned char)name.p[i])
        at[labels++] = (uint8_t)i;
    while (labels-- > 0) {
        bh_str label = bh_dns_name_label(bh_str_skip(name, at[labels]));

        for (size_t i = 0; i < label.n; i++)
            n = put_key_byte(key, n, label.p[i]);
        key[n++] = 0;
    }
    return n;
}

static bh_err room_for_record(struct bh_dns_zone_builder *builder)
{
    size_t cap = builder->cap ? builder->cap * 2 : 64;
    struct record *records;

    if (builder->count < builder->cap)
        return BH_OK;
    if (builder->count >= BH_DNS_ZONE_RECORDS_MAX)
        return BH_E_LIMIT;
    records = realloc(builder->records, cap * sizeof *records);
    if (!records)
        return BH_E_NOMEM;
    builder->records = records;
    builder->cap = cap;
    return BH_OK;
}

static uint32_t keep(struct bh_dns_zone_builder *builder, const void *p, size_t n)
{
    uint32_t at = (uint32_t)builder->bytes.n;

    bh_buf_add(&builder->bytes, (bh_str){p, n});
    return at;
}

static bh_err check_record(const struct bh_dns_zone_builder *builder, bh_str owner, uint16_t type, bh_str rdata)
{
    if (type == BH_DNS_DNAME)
        return BH_E_UNSUPPORTED;
    if (type == 0 || type == BH_DNS_OPT || (type >= 128 && type <= 255))
        return BH_E_INVALID;
    if (!bh_dns_name_is_at_or_below(owner, bh_dns_name_view(&builder->apex)))
        return BH_E_INVALID;
    return bh_dns_rdata_valid(type, rdata) ? BH_OK : BH_E_INVALID;
}

bh_err bh_dns_zone_builder_add(struct bh_dns_zone_builder *builder, bh_str owner, uint32_t ttl_s, uint16_t type,
                               bh_str rdata)
{
    bh_err err = check_record(builder, owner, type, rdata);
    struct record record = {.owner_n = (uint8_t)owner.n, .rdata_n = (uint16_t)rdata.n, .type = type, .ttl_s = ttl_s};
    const struct record *last;
    unsigned char key[KEY_MAX];

    if (!err)
        err = room_for_record(builder);
    if (err)
        return err;
    last = builder->count ? &builder->records[builder->count - 1] : NULL;
    if (last && bh_str_eq(bh_str_sub(bh_buf_view(&builder->bytes), last->owner_at, last->owner_n), owner)) {
        record.key_at = last->key_at;
        record.key_n = last->key_n;
        record.owner_at = last->owner_at;
    } else {
        record.key_n = (uint16_t)make_key(owner, key);
        record.key_at = keep(builder, key, record.key_n);
        record.owner_at = keep(builder, owner.p, owner.n);
    }
    record.rdata_at = keep(builder, rdata.p, rdata.n);
    if (bh_buf_err(&builder->bytes))
        return bh_buf_err(&builder->bytes);
    builder->records[builder->count++] = record;
    return BH_OK;
}

/* ---- sorting ---- */

static bh_str view_at(const struct bh_dns_zone_builder *builder, uint32_t at, size_t n)
{
    return bh_str_sub(bh_buf_view(&builder->bytes), at, n);
}

static int compare_owners(const struct bh_dns_zone_builder *builder, const struct record *a, const struct record *b)
{
    if (a->key_at == b->key_at)
        return 0;
    return bh_str_cmp(view_at(builder, a->key_at, a->key_n), view_at(builder, b->key_at, b->key_n));
}

/* RFC 4034 6.3: by canonical form. */
static int compare_rdata(struct bh_dns_zone_builder *builder, const struct record *a, const struct record *b)
{
    struct bh_buf *room = &builder->sorting;
    size_t split;

    bh_buf_clear(room);
    bh_dns_rdata_canonical(a->type, view_at(builder, a->rdata_at, a->rdata_n), room);
    split = room->n;
    bh_dns_rdata_canonical(b->type, view_at(builder, b->rdata_at, b->rdata_n), room);
    return bh_str_cmp(bh_str_sub(bh_buf_view(room), 0, split), bh_str_skip(bh_buf_view(room), split));
}

static int compare_records(const void *left, const void *right, void *ctx)
{
    struct bh_dns_zone_builder *builder = ctx;
    const struct record *a = left, *b = right;
    int order = compare_owners(builder, a, b);

    if (order == 0)
        order = a->type - b->type;
    return order ? order : compare_rdata(builder, a, b);
}

/* Drops equal records, which stand side by side after sorting. */
static void drop_duplicates(struct bh_dns_zone_builder *builder)
{
    size_t kept = 0;

    for (size_t i = 0; i < builder->count; i++) {
        struct record record = builder->records[i];

        if (kept == 0 || compare_records(&builder->records[kept - 1], &record, builder) != 0)
            builder->records[kept++] = record;
    }
    builder->count = kept;
}

/* ---- checking ---- */

static bool same_owner(const struct bh_dns_zone_builder *builder, const struct record *a, const struct record *b)
{
    return compare_owners(builder, a, b) == 0;
}

/* The records [from, ret) have one owner. */
static size_t owner_end(const struct bh_dns_zone_builder *builder, size_t from)
{
    size_t i = from + 1;

    while (i < builder->count && same_owner(builder, &builder->records[from], &builder->records[i]))
        i++;
    return i;
}

/* What may stand beside a CNAME (RFC 4034 2.5, RFC 2181 10.1). */
static const char *check_owner(const struct record *records, size_t count)
{
    unsigned cnames = 0, others = 0;

    for (size_t i = 0; i < count; i++) {
        if (records[i].type == BH_DNS_CNAME)
            cnames++;
        else if (records[i].type != BH_DNS_RRSIG && records[i].type != BH_DNS_NSEC)
            others++;
    }
    if (count > UINT16_MAX)
        return "too many records at a name";
    if (cnames > 1)
        return "more than one CNAME at a name";
    return cnames && others ? "other records beside a CNAME" : NULL;
}

static const char *check_records(const struct bh_dns_zone_builder *builder, bh_str *ret_at)
{
    unsigned soas = 0;

    *ret_at = bh_dns_name_view(&builder->apex);
    for (size_t from = 0, end; from < builder->count; from = end) {
        const struct record *first = &builder->records[from];
        const char *why;

        end = owner_end(builder, from);
        why = check_owner(first, end - from);
        for (size_t i = from; i < end; i++)
            if (builder->records[i].type == BH_DNS_SOA) {
                soas++;
                if (first->owner_n != builder->apex.n)
                    why = "SOA below the apex";
            }
        if (why) {
            *ret_at = view_at(builder, first->owner_at, first->owner_n);
            return why;
        }
    }
    return soas == 1 ? NULL : soas ? "more than one SOA" : "no SOA at the apex";
}

/* ---- the block ---- */

struct layout {
    struct bh_dns_zone *zone;
    struct bh_dns_node *node;
    struct bh_dns_rrset *rrset;
    uint32_t *slot;
    unsigned char *bytes;
    uint32_t nodes, rrsets, bytes_n;
};

/* Labels of `name` that exist already because its predecessor in canonical order has them too. */
static unsigned common_labels(bh_str name, bh_str previous)
{
    unsigned labels = bh_dns_name_labels(name), labels_previous = bh_dns_name_labels(previous);
    unsigned common = labels < labels_previous ? labels : labels_previous;

    while (common > 0 && !bh_dns_name_eq(bh_dns_name_skip(name, labels - common),
                                         bh_dns_name_skip(previous, labels_previous - common)))
        common--;
    return common;
}

/* Upper bounds, so that one block is allocated at once: nodes include empty non-terminals. */
static void measure(const struct bh_dns_zone_builder *builder, struct layout *layout)
{
    bh_str previous = bh_dns_name_view(&builder->apex);

    layout->nodes = 1;
    layout->bytes_n = builder->apex.n;
    for (size_t i = 0; i < builder->count; i++) {
        const struct record *record = &builder->records[i];
        bh_str owner = view_at(builder, record->owner_at, record->owner_n);
        bool new_owner = i == 0 || !same_owner(builder, record - 1, record);

        if (new_owner) {
            unsigned fresh = bh_dns_name_labels(owner) - common_labels(owner, previous);

            for (unsigned skip = 0; skip < fresh; skip++)
                layout->bytes_n += (uint32_t)bh_dns_name_skip(owner, skip).n;
            layout->nodes += fresh;
            previous = owner;
        }
        if (new_owner || record[-1].type != record->type)
            layout->rrsets++;
        layout->bytes_n += 2u + record->rdata_n;
    }
}

static bh_err allocate(const struct bh_dns_zone_builder *builder, struct layout *layout)
{
    uint32_t slots = 4;
    size_t size;
    char *p;

    while (slots < layout->nodes * 3 / 2)
        slots *= 2;
    size = sizeof(struct bh_dns_zone) + layout->nodes * sizeof(struct bh_dns_node) +
           layout->rrsets * sizeof(struct bh_dns_rrset) + slots * sizeof(uint32_t) + layout->bytes_n;
    p = calloc(1, size);
    if (!p)
        return BH_E_NOMEM;
    layout->zone = (void *)p;
    layout->node = (void *)(p + sizeof(struct bh_dns_zone));
    layout->rrset = (void *)(layout->node + layout->nodes);
    layout->slot = (void *)(layout->rrset + layout->rrsets);
    layout->bytes = (void *)(layout->slot + slots);
    *layout->zone = (struct bh_dns_zone){.refs = 1,
                                         .slots_mask = slots - 1,
                                         .seed = builder->seed,
                                         .size_bytes = size,
                                         .node = layout->node,
                                         .rrset = layout->rrset,
                                         .slot = layout->slot,
                                         .bytes = layout->bytes};
    layout->nodes = layout->rrsets = layout->bytes_n = 0;
    return BH_OK;
}

static uint32_t put_bytes(struct layout *layout, bh_str bytes)
{
    uint32_t at = layout->bytes_n;

    memcpy(layout->bytes + at, bytes.p, bytes.n);
    layout->bytes_n += (uint32_t)bytes.n;
    return at;
}

/* The node before it in the order whose name is its parent's: the last one with fewer labels on the way up. */
static uint32_t find_parent(const struct layout *layout, bh_str name)
{
    bh_str parent = bh_dns_name_parent(name);
    uint32_t i = layout->nodes - 1;

    while (!bh_dns_name_eq(bh_dns_node_name(layout->zone, &layout->node[i]), parent))
        i = layout->node[i].parent;
    return i;
}

static void add_slot(struct layout *layout, uint32_t index)
{
    uint32_t mask = layout->zone->slots_mask, i = layout->node[index].hash & mask;

    while (layout->slot[i])
        i = (i + 1) & mask;
    layout->slot[i] = index + 1;
}

static void add_node(struct layout *layout, bh_str name)
{
    struct bh_dns_node *node = &layout->node[layout->nodes];
    struct bh_dns_name_hashes hashes;

    bh_dns_name_hashes(name, layout->zone->seed, &hashes);
    *node = (struct bh_dns_node){.hash = hashes.hash[0],
                                 .name_at = put_bytes(layout, name),
                                 .name_n = (uint8_t)name.n,
                                 .rrsets_at = layout->rrsets,
                                 .parent = BH_DNS_NO_NODE,
                                 .cut = BH_DNS_NO_NODE};
    if (layout->nodes) {
        node->parent = find_parent(layout, name);
        node->cut = layout->node[node->parent].cut;
        if (bh_dns_name_is_wildcard(name))
            layout->node[node->parent].flags |= BH_DNS_NODE_WILDCARD_CHILD;
    }
    add_slot(layout, layout->nodes++);
}

/* The node of `owner` with those above it that do not exist yet, topmost first. */
static void add_nodes(struct layout *layout, bh_str owner, bh_str previous)
{
    unsigned fresh = bh_dns_name_labels(owner) - common_labels(owner, previous);

    while (fresh-- > 0)
        add_node(layout, bh_dns_name_skip(owner, fresh));
}

static void add_record(struct layout *layout, const struct bh_dns_zone_builder *builder, const struct record *record,
                       bool new_rrset)
{
    struct bh_dns_node *node = &layout->node[layout->nodes - 1];
    unsigned char size[2] = {(unsigned char)(record->rdata_n >> 8), (unsigned char)record->rdata_n};
    struct bh_dns_rrset *rrset;

    if (new_rrset) {
        node->rrsets++;
        layout->rrset[layout->rrsets++] =
            (struct bh_dns_rrset){.type = record->type, .ttl_s = record->ttl_s, .at = layout->bytes_n};
        if (record->type == BH_DNS_NS && layout->nodes > 1 && node->cut == BH_DNS_NO_NODE)
            node->cut = layout->nodes - 1;
    }
    rrset = &layout->rrset[layout->rrsets - 1];
    rrset->count++;
    if (record->ttl_s < rrset->ttl_s) /* RFC 2181 5.2: one TTL per RRset; the smallest does no harm */
        rrset->ttl_s = record->ttl_s;
    (void)put_bytes(layout, (bh_str){(const char *)size, 2});
    (void)put_bytes(layout, view_at(builder, record->rdata_at, record->rdata_n));
}

static void read_soa(struct bh_dns_zone *zone)
{
    const struct bh_dns_rrset *soa = bh_dns_node_rrset(zone, zone->node, BH_DNS_SOA);
    uint32_t at = soa->at, minimum;
    struct bh_cur cur = bh_cur_make(bh_dns_rrset_next(zone, &at));

    (void)bh_dns_name_take(&cur);
    (void)bh_dns_name_take(&cur);
    zone->serial = bh_cur_u32(&cur);
    (void)bh_cur_bytes(&cur, 12);
    minimum = bh_cur_u32(&cur);
    zone->negative_ttl_s = minimum < soa->ttl_s ? minimum : soa->ttl_s;
}

static void fill(struct layout *layout, const struct bh_dns_zone_builder *builder)
{
    bh_str previous = bh_dns_name_view(&builder->apex);

    add_node(layout, previous);
    for (size_t i = 0; i < builder->count; i++) {
        const struct record *record = &builder->records[i];
        bool new_owner = i == 0 || !same_owner(builder, record - 1, record);

        if (new_owner) {
            bh_str owner = view_at(builder, record->owner_at, record->owner_n);

            add_nodes(layout, owner, previous);
            previous = owner;
        }
        add_record(layout, builder, record, new_owner || record[-1].type != record->type);
    }
    layout->zone->nodes = layout->nodes;
    read_soa(layout->zone);
}

bh_err bh_dns_zone_builder_finish(struct bh_dns_zone_builder *builder, struct bh_dns_zone **ret_zone,
                                  const char **ret_why, bh_str *ret_at)
{
    struct layout layout = {0};
    bh_err err;

    qsort_r(builder->records, builder->count, sizeof *builder->records, compare_records, builder);
    drop_duplicates(builder);
    *ret_why = check_records(builder, ret_at);
    if (*ret_why)
        return BH_E_INVALID;
    measure(builder, &layout);
    err = allocate(builder, &layout);
    if (err)
        return err;
    fill(&layout, builder);
    *ret_zone = layout.zone;
    return BH_OK;
}
