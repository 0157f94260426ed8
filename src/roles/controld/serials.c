/* serials.c: a zone gets a new serial when its content is new, and keeps the old one otherwise: a dnsd that comes up
 * again, or a shard that is built for a change elsewhere in it, sends no secondary to fetch what it has. What is
 * remembered is a keyed hash of each zone, in memory: after a restart of controld every zone has a new serial once. */
#include "core.h"
#include <stdlib.h>

enum { SOA_NUMBERS_BYTES = 20 /* at the end of the rdata; the serial is the first (RFC 1035 3.3.13) */ };

struct known {
    struct bh_map_node node;
    uint64_t content;
    uint32_t serial;
    size_t n;
    char name[];
};

static uint64_t mix(const struct bh_controld *core, uint64_t hash, bh_str bytes)
{
    return bh_siphash13((uint64_t[2]){core->serials.seed[0] ^ hash, core->serials.seed[1]}, bytes);
}

static bool is_soa(const struct bh_zone_record *record)
{
    return record->type == BH_DNS_SOA && record->rdata.n >= SOA_NUMBERS_BYTES;
}

static uint64_t hash_zone(const struct bh_controld *core, const struct bh_zone *zone)
{
    uint64_t hash = 0;

    for (size_t i = 0; i < zone->count; i++) {
        const struct bh_zone_record *record = &zone->records[i];
        uint64_t head[3] = {record->type, record->ttl_s, record->owner.n};
        size_t serial_at = record->rdata.n - (is_soa(record) ? SOA_NUMBERS_BYTES : 0);

        hash = mix(core, hash, bh_str_of((const char *)head, sizeof(head)));
        hash = mix(core, hash, record->owner);
        hash = mix(core, hash, bh_str_sub(record->rdata, 0, serial_at));
        if (is_soa(record))
            hash = mix(core, hash, bh_str_skip(record->rdata, serial_at + 4));
    }
    return hash;
}

static bh_err set_serial(struct bh_zone *zone, uint32_t serial)
{
    for (size_t i = 0; i < zone->count; i++) {
        bh_str *rdata = &zone->records[i].rdata;
        char *copy;

        if (!is_soa(&zone->records[i]))
            continue;
        copy = bh_arena_alloc(zone->arena, rdata->n);
        if (!copy)
            return BH_E_NOMEM;
        memcpy(copy, rdata->p, rdata->n);
        for (size_t k = 0; k < 4; k++)
            copy[rdata->n - SOA_NUMBERS_BYTES + k] = (char)(serial >> (24 - 8 * k));
        *rdata = bh_str_of(copy, rdata->n);
        return BH_OK;
    }
    return BH_OK;
}

static struct known *find(const struct bh_controld *core, bh_str apex)
{
    struct bh_map_node *node = bh_map_get(&core->serials, apex);

    return node ? BH_CONTAINER_OF(node, struct known, node) : NULL;
}

static bh_err remember(struct bh_controld *core, bh_str apex, uint64_t content)
{
    struct known *known = calloc(1, sizeof(*known) + apex.n);
    bh_err err;

    if (!known)
        return BH_E_NOMEM;
    known->content = content;
    known->serial = core->serial;
    known->n = apex.n;
    memcpy(known->name, apex.p, apex.n);
    err = bh_map_add(&core->serials, bh_str_of(known->name, known->n), &known->node);
    if (err)
        free(known);
    return err;
}

bh_err bh_serial_settle(struct bh_controld *core, struct bh_zone *zone)
{
    uint64_t content = hash_zone(core, zone);
    struct known *known = find(core, zone->apex);

    if (!known)
        return remember(core, zone->apex, content);
    if (known->content != content) {
        known->content = content;
        known->serial = core->serial;
        return BH_OK;
    }
    return known->serial == core->serial ? BH_OK : set_serial(zone, known->serial);
}

bh_err bh_serial_set(struct bh_controld *core, struct bh_zone *zone, uint32_t serial)
{
    struct known *known = find(core, zone->apex);

    if (known)
        known->serial = serial;
    return set_serial(zone, serial);
}

bool bh_serial_known(const struct bh_controld *core, bh_str apex)
{
    return find(core, apex) != NULL;
}

bh_err bh_serial_show(const struct bh_controld *core, struct bh_zone *zone)
{
    const struct known *known = find(core, zone->apex);

    return known ? set_serial(zone, known->serial) : BH_OK;
}

void bh_serial_forget(struct bh_controld *core, bh_str apex)
{
    struct known *known = find(core, apex);

    if (!known)
        return;
    bh_map_remove(&core->serials, &known->node);
    free(known);
}

void bh_serials_free(struct bh_controld *core)
{
    struct bh_map_node *node = bh_map_next(&core->serials, NULL), *next;

    for (; node; node = next) {
        next = bh_map_next(&core->serials, node);
        free(BH_CONTAINER_OF(node, struct known, node));
    }
    bh_map_free(&core->serials);
}
