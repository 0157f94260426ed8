/* Zones from text, and sets that follow changes. */
#include "zone_load.h"

enum { GENERATE_MAX = 1 << 20 }; /* records by $GENERATE in a zone */

/* ---- master files ---- */

static bh_err fail(struct bh_dns_zone_error *error, bh_err err, unsigned line, const char *why, bh_str name)
{
    error->line = line;
    error->why = why;
    error->name.n = 0;
    if (name.n)
        bh_dns_name_set(&error->name, name);
    return err;
}

static const char *add_error_text(bh_err err, uint16_t type)
{
    switch (err) {
    case BH_E_UNSUPPORTED:
        return "DNAME is not supported";
    case BH_E_LIMIT:
        return "the zone is too large";
    case BH_E_NOMEM:
        return "out of memory";
    default:
        return type >= 128 && type <= 255 ? "this type cannot be in a zone" : "the owner is outside the zone";
    }
}

/* The owner of the first SOA; needed before the records above it can be judged. BH_DONE: there is none. */
static bh_err find_apex(bh_str text, struct bh_dns_name *ret_apex, struct bh_dns_zone_error *ret_error)
{
    struct bh_dns_zonefile_record record;
    struct bh_dns_zonefile file;
    bh_err err;

    bh_dns_zonefile_begin(&file, text, NULL, 3600, NULL, NULL);
    bh_dns_zonefile_allow_generate(&file, GENERATE_MAX);
    while ((err = bh_dns_zonefile_next(&file, &record)) == BH_MORE && record.type != BH_DNS_SOA)
        ;
    if (err == BH_MORE)
        *ret_apex = record.owner;
    else if (err != BH_DONE)
        err = fail(ret_error, err, file.error_line, file.why, (bh_str){NULL, 0});
    bh_dns_zonefile_end(&file);
    return err;
}

/* Records outside of the zone are left out, as BIND and Knot do: they are not the zone's to say. */
static bh_err add_records(struct bh_dns_zone_builder *builder, const struct bh_dns_name *apex,
                          struct bh_dns_zonefile *file, struct bh_dns_zone_error *ret_error)
{
    struct bh_dns_zonefile_record record;
    bh_err err;

    while ((err = bh_dns_zonefile_next(file, &record)) == BH_MORE) {
        bh_str owner = bh_dns_name_view(&record.owner);

        if (record.klass != BH_DNS_CLASS_IN)
            return fail(ret_error, BH_E_INVALID, record.line, "the class is not IN", owner);
        if (!bh_dns_name_is_at_or_below(owner, bh_dns_name_view(apex))) {
            ret_error->ignored_line = ret_error->ignored_line ? ret_error->ignored_line : record.line;
            continue;
        }
        err = bh_dns_zone_builder_add(builder, owner, record.ttl_s, record.type, record.rdata);
        if (err)
            return fail(ret_error, err, record.line, add_error_text(err, record.type), owner);
    }
    return err == BH_DONE ? BH_OK : fail(ret_error, err, file->error_line, file->why, (bh_str){NULL, 0});
}

static bh_err finish(struct bh_dns_zone_builder *builder, struct bh_dns_zone **ret_zone,
                     struct bh_dns_zone_error *ret_error)
{
    const char *why = NULL;
    bh_str at = {NULL, 0};
    bh_err err = bh_dns_zone_builder_finish(builder, ret_zone, &why, &at);

    return err ? fail(ret_error, err, 0, why ? why : bh_err_text(err), at) : BH_OK;
}

bh_err bh_dns_zone_from_text(struct bh_dns_zone_builder *builder, bh_str text, const struct bh_dns_name *origin,
                             struct bh_dns_zone **ret_zone, struct bh_dns_zone_error *ret_error)
{
    struct bh_dns_name apex = {0};
    struct bh_dns_zonefile file;
    bh_err err = BH_OK;

    ret_error->ignored_line = 0;
    if (origin)
        apex = *origin;
    else
        err = find_apex(text, &apex, ret_error);
    if (err)
        return err == BH_DONE ? fail(ret_error, BH_E_INVALID, 0, "no SOA record", (bh_str){NULL, 0}) : err;
    bh_dns_zone_builder_begin(builder, bh_dns_name_view(&apex));
    bh_dns_zonefile_begin(&file, text, origin, 3600, NULL, NULL);
    bh_dns_zonefile_allow_generate(&file, GENERATE_MAX);
    err = add_records(builder, &apex, &file, ret_error);
    bh_dns_zonefile_end(&file);
    return err ? err : finish(builder, ret_zone, ret_error);
}

static void print_rrset(struct bh_buf *out, const struct bh_dns_zone *zone, const struct bh_dns_node *node,
                        const struct bh_dns_rrset *rrset)
{
    uint32_t at = rrset->at;

    for (unsigned i = 0; i < rrset->count; i++) {
        bh_str rdata = bh_dns_rrset_next(zone, &at);

        bh_dns_record_print(out, bh_dns_node_name(zone, node), bh_dns_rrset_ttl(rrset, rdata), BH_DNS_CLASS_IN,
                            rrset->type, rdata);
        bh_buf_char(out, '\n');
    }
}

void bh_dns_zone_print(struct bh_buf *out, const struct bh_dns_zone *zone)
{
    print_rrset(out, zone, zone->node, bh_dns_node_rrset(zone, zone->node, BH_DNS_SOA));
    for (uint32_t i = 0; i < zone->nodes; i++)
        for (unsigned j = 0; j < zone->node[i].rrsets; j++) {
            const struct bh_dns_rrset *rrset = &zone->rrset[zone->node[i].rrsets_at + j];

            if (rrset->type != BH_DNS_SOA)
                print_rrset(out, zone, &zone->node[i], rrset);
        }
}

/* ---- following ---- */

bh_err bh_dns_follower_init(struct bh_dns_follower *follower, uint64_t seed)
{
    *follower = (struct bh_dns_follower){.zones = bh_dns_zones_new(seed),
                                         .staged = bh_dns_zones_new(seed),
                                         .removed = bh_buf_make(64 << 20),
                                         .builder = bh_dns_zone_builder_new(seed)};
    if (follower->zones && follower->staged && follower->builder)
        return BH_OK;
    bh_dns_follower_free(follower);
    return BH_E_NOMEM;
}

void bh_dns_follower_free(struct bh_dns_follower *follower)
{
    bh_dns_zones_free(follower->zones);
    bh_dns_zones_free(follower->staged);
    bh_buf_free(&follower->removed);
    bh_dns_zone_builder_free(follower->builder);
    *follower = (struct bh_dns_follower){0};
}

bh_err bh_dns_follower_put(struct bh_dns_follower *follower, struct bh_dns_zone *zone)
{
    return bh_dns_zones_put(follower->staged, zone);
}

/* Removals are applied before what is staged, so a name removed and put again stays, whatever the order was. */
bh_err bh_dns_follower_remove(struct bh_dns_follower *follower, bh_str apex)
{
    (void)bh_dns_zones_remove(follower->staged, apex);
    bh_buf_add(&follower->removed, apex);
    return bh_buf_err(&follower->removed);
}

static void apply_removals(struct bh_dns_follower *follower)
{
    struct bh_cur cur = bh_cur_make(bh_buf_view(&follower->removed));

    while (bh_cur_left(&cur)) {
        bh_str apex = bh_dns_name_take(&cur);

        if (bh_cur_ok(&cur))
            (void)bh_dns_zones_remove(follower->zones, apex);
    }
}

bh_err bh_dns_follower_commit(struct bh_dns_follower *follower, bool whole)
{
    struct bh_dns_zones *fresh = bh_dns_zones_new(bh_dns_zones_seed(follower->zones));
    struct bh_dns_zone *zone;
    bh_err err = BH_OK;
    size_t place = 0;

    if (!fresh)
        return BH_E_NOMEM;
    if (whole) {
        bh_dns_zones_free(follower->zones);
        follower->zones = follower->staged;
    } else {
        apply_removals(follower);
        while (!err && (zone = bh_dns_zones_next(follower->staged, &place)) != NULL)
            err = bh_dns_zones_put(follower->zones, bh_dns_zone_ref(zone));
        bh_dns_zones_free(follower->staged);
    }
    follower->staged = fresh;
    bh_buf_clear(&follower->removed);
    return err;
}

void bh_dns_follower_abort(struct bh_dns_follower *follower)
{
    struct bh_dns_zones *fresh = bh_dns_zones_new(bh_dns_zones_seed(follower->zones));

    bh_buf_clear(&follower->removed);
    if (!fresh) /* what is staged stays and will be replaced by what comes anew */
        return;
    bh_dns_zones_free(follower->staged);
    follower->staged = fresh;
}
