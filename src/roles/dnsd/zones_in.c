/* Zones as controld sends them. */
#include "zones_in.h"

static bh_err read_name(bh_str name, struct bh_dns_name *ret_name)
{
    if (name.n && name.p[name.n - 1] == '\0') {
        if (!bh_dns_name_valid(name))
            return BH_E_SYNTAX;
        bh_dns_name_set(ret_name, name);
        return BH_OK;
    }
    if (name.n == 0)
        name = BH_STR(".");
    return bh_dns_name_parse(name, NULL, ret_name) ? BH_E_SYNTAX : BH_OK;
}

static bh_err fail(struct bh_dns_zone_error *error, bh_err err, const char *why, const struct bh_dns_name *name)
{
    error->line = 0;
    error->why = why;
    error->name = *name;
    return err;
}

static bh_err add_records(struct bh_dns_zone_builder *builder, bh_str records, struct bh_dns_zone_error *ret_error)
{
    struct bh_cur list = bh_cur_make(records);
    struct bh_rec_zone_record record;
    struct bh_dns_name owner;
    bh_err err;

    while ((err = bh_rec_zone_record_next(&list, &record)) == BH_MORE) {
        if (read_name(record.owner, &owner))
            return BH_E_SYNTAX;
        err = bh_dns_zone_builder_add(builder, bh_dns_name_view(&owner), record.ttl_s, record.type, record.rdata);
        if (err)
            return fail(ret_error, err, "this record cannot be in the zone", &owner);
    }
    return err == BH_DONE ? BH_OK : err;
}

static bh_err finish(struct bh_dns_follower *follower, struct bh_dns_zone_error *ret_error)
{
    struct bh_dns_zone *zone = NULL;
    struct bh_dns_name at;
    const char *why = NULL;
    bh_str owner;
    bh_err err = bh_dns_zone_builder_finish(follower->builder, &zone, &why, &owner);

    if (err == BH_E_INVALID) {
        bh_dns_name_set(&at, owner);
        return fail(ret_error, err, why, &at);
    }
    return err ? err : bh_dns_follower_put(follower, zone);
}

bh_err bh_zones_in_put(struct bh_zones_in *in, struct bh_dns_follower *follower, const struct bh_msg_zone *message,
                       struct bh_dns_zone_error *ret_error)
{
    struct bh_dns_name apex;
    bh_err err = read_name(message->name, &apex);

    if (!err && in->open && !bh_dns_name_eq(bh_dns_name_view(&apex), bh_dns_name_view(&in->apex)))
        err = BH_E_SYNTAX;
    if (err)
        return err;
    if (!in->open) {
        bh_dns_zone_builder_begin(follower->builder, bh_dns_name_view(&apex));
        *in = (struct bh_zones_in){.apex = apex};
    }
    in->open = message->more != 0;
    if (in->skip)
        return BH_OK;
    err = add_records(follower->builder, message->records, ret_error);
    in->skip = err != BH_OK;
    if (err || in->open)
        return err;
    return finish(follower, ret_error);
}

bh_err bh_zones_in_keep(struct bh_dns_follower *follower, bh_str name)
{
    struct bh_dns_name apex;
    struct bh_dns_zone *zone;
    bh_err err = read_name(name, &apex);

    if (err)
        return err;
    zone = bh_dns_zones_get(follower->zones, bh_dns_name_view(&apex));
    return zone ? bh_dns_follower_put(follower, bh_dns_zone_ref(zone)) : BH_OK;
}

bh_err bh_zones_in_remove(struct bh_dns_follower *follower, bh_str name)
{
    struct bh_dns_name apex;
    bh_err err = read_name(name, &apex);

    return err ? err : bh_dns_follower_remove(follower, bh_dns_name_view(&apex));
}
