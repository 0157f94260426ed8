/* follow.c: what dnsd does for the name servers of others that take its zones: keys, whom to tell of what, the catalog.
 *
 * Every dnsd answers transfers; the first alone sends NOTIFY. The catalog is made here, from what is served, with the
 * serial that controld gives to each change: so all dnsd have equal catalogs under equal serials. */
#include "dnsd.h"
#include "key_file.h"
#include "proto/dns/transfer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 64 << 10 };

/* ---- files ---- */

static bh_err read_file(int fd, struct bh_buf *to)
{
    for (;;) {
        char *room = bh_buf_reserve(to, 4096);
        ssize_t n = room ? read(fd, room, 4096) : -1;

        if (n < 0 && room && errno == EINTR)
            continue;
        if (n < 0)
            return room ? BH_E_IO : bh_buf_err(to);
        if (n == 0)
            return BH_OK;
        bh_buf_commit(to, (size_t)n);
    }
}

/* Several secondaries may share a key file: a name that is there already is not added again. */
static bh_err take_key(struct bh_dnsd *dnsd, const struct bh_dns_tsig_key *key)
{
    for (size_t i = 0; i < dnsd->key_count; i++)
        if (bh_dns_name_eq(bh_dns_name_view(&dnsd->keys[i].name), bh_dns_name_view(&key->name)))
            return BH_OK;
    if (dnsd->key_count == BH_DNSD_KEYS_MAX)
        return BH_E_LIMIT;
    dnsd->keys[dnsd->key_count++] = *key;
    return BH_OK;
}

static bh_err read_keys(struct bh_dnsd *dnsd, int fd)
{
    struct bh_dns_tsig_key keys[BH_DNSD_KEYS_MAX];
    struct bh_buf text = bh_buf_make(KEY_FILE_MAX);
    size_t count = 0;
    bh_err err = read_file(fd, &text);

    if (!err)
        err = bh_dns_key_file_read(bh_buf_view(&text), keys, BH_DNSD_KEYS_MAX, &count);
    for (size_t i = 0; i < count && !err; i++)
        err = take_key(dnsd, &keys[i]);
    bh_wipe(keys, sizeof(keys));
    if (text.n)
        bh_wipe(text.p, text.n);
    bh_buf_free(&text);
    return err;
}

bh_err bh_follow_file(struct bh_role *role, struct bh_dnsd *dnsd, bh_str purpose, int fd)
{
    bh_err err;

    if (bh_str_eq(purpose, BH_STR("notifier")) && dnsd->notifier_count < BH_DNSD_NOTIFIERS_MAX) {
        dnsd->notifiers[dnsd->notifier_count++] = fd;
        return BH_OK;
    }
    err = bh_str_eq(purpose, BH_STR("tsig-key")) ? read_keys(dnsd, fd) : BH_OK;
    (void)close(fd);
    if (err) /* the others go on */
        bh_logf(&role->log, BH_LOG_ERROR, "a tsig-key file is not taken: %s%s", bh_err_text(err),
                err == BH_E_UNSUPPORTED ? " (only hmac-sha256)" : "; write it with tsig-keygen");
    return BH_OK;
}

/* ---- configuration ---- */

static bh_err put_catalog(struct bh_dnsd *dnsd)
{
    struct bh_dns_follower *follower = &dnsd->follower;
    bh_str name = bh_dns_name_view(&dnsd->catalog);
    struct bh_dns_zone *catalog = NULL;
    bh_err err;

    (void)bh_dns_zones_remove(follower->zones, name);
    err = bh_dns_catalog_build(follower->builder, follower->zones, name, dnsd->serial, &catalog);
    if (!err)
        err = bh_dns_zones_put(follower->zones, catalog);
    if (!err)
        (void)!bh_dns_server_notify(dnsd->server, name);
    return err;
}

static bh_err parse_endpoint(const struct bh_endpoint *endpoint, struct sockaddr_storage *ret_address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    char literal[INET6_ADDRSTRLEN];

    *ret_address = (struct sockaddr_storage){0};
    if (bh_str_to_c(endpoint->address, literal, sizeof(literal)))
        return BH_E_SYNTAX;
    if (inet_pton(AF_INET, literal, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(endpoint->port);
        return BH_OK;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint->port);
    return inet_pton(AF_INET6, literal, &v6->sin6_addr) == 1 ? BH_OK : BH_E_SYNTAX;
}

static bh_err add_secondary(struct bh_dnsd *dnsd, const struct bh_secondary *secondary)
{
    struct sockaddr_storage address;
    bh_err err = BH_OK;

    for (size_t i = 0; i < secondary->notify_count && !err; i++) {
        err = parse_endpoint(&secondary->notify[i], &address);
        if (!err)
            err = bh_dns_server_add_secondary(dnsd->server, &address);
    }
    return err;
}

static bh_err take_files(struct bh_dnsd *dnsd)
{
    bh_err err = BH_OK;

    for (size_t i = 0; i < dnsd->key_count && !err; i++)
        err = bh_dns_server_add_key(dnsd->server, &dnsd->keys[i]);
    bh_wipe(dnsd->keys, sizeof(dnsd->keys));
    dnsd->key_count = 0;
    for (size_t i = 0; i < dnsd->notifier_count; i++) {
        bh_err one = bh_dns_server_add_notifier(dnsd->server, dnsd->notifiers[i]);

        err = err ? err : one;
    }
    dnsd->notifier_count = 0;
    return err;
}

bh_err bh_follow_configure(struct bh_role *role, struct bh_dnsd *dnsd)
{
    const struct bh_config *c = role->config;
    bh_err err;

    bh_dns_server_forget_secondaries(dnsd->server);
    err = take_files(dnsd);
    for (size_t i = 0; i < c->secondary_count && role->instance == 0 && !err; i++)
        err = add_secondary(dnsd, &c->secondaries[i]);
    dnsd->catalog = (struct bh_dns_name){0};
    if (!err && c->catalog.n)
        err = bh_dns_name_parse(c->catalog, NULL, &dnsd->catalog);
    if (!err && dnsd->serving && dnsd->catalog.n &&
        !bh_dns_zones_get(dnsd->follower.zones, bh_dns_name_view(&dnsd->catalog)))
        err = put_catalog(dnsd);
    return err;
}

/* ---- changes ---- */

/* True when the zones that are served after the commit have other names than now. */
static bool tell_changes(struct bh_dnsd *dnsd, bool whole)
{
    const struct bh_dns_follower *follower = &dnsd->follower;
    bool others = whole || follower->removed.n > 0;
    struct bh_dns_zone *zone;
    size_t place = 0;

    while ((zone = bh_dns_zones_next(follower->staged, &place)) != NULL) {
        bh_str name = bh_dns_zone_name(zone);
        const struct bh_dns_zone *before = bh_dns_zones_get(follower->zones, name);

        if (!before)
            others = true;
        if (!before || before->serial != zone->serial)
            (void)!bh_dns_server_notify(dnsd->server, name); /* without memory for it, their refresh interval must do */
    }
    return others;
}

static bool same_names(const struct bh_dns_zones *old, const struct bh_dns_zones *new, bh_str catalog)
{
    struct bh_dns_zone *zone;
    size_t place = 0, members = bh_dns_zones_count(old) - (bh_dns_zones_get(old, catalog) ? 1 : 0);

    if (members != bh_dns_zones_count(new))
        return false;
    while ((zone = bh_dns_zones_next(new, &place)) != NULL)
        if (!bh_dns_zones_get(old, bh_dns_zone_name(zone)))
            return false;
    return true;
}

bh_err bh_follow_commit(struct bh_dnsd *dnsd, bool whole, uint32_t serial)
{
    struct bh_dns_follower *follower = &dnsd->follower;
    bh_str name = bh_dns_name_view(&dnsd->catalog);
    struct bh_dns_zone *kept = dnsd->catalog.n ? bh_dns_zones_get(follower->zones, name) : NULL;
    bool others = tell_changes(dnsd, whole);
    bh_err err;

    dnsd->serial = serial;
    if (kept && whole && same_names(follower->zones, follower->staged, name))
        others = false;
    kept = kept && !others ? bh_dns_zone_ref(kept) : NULL;
    err = bh_dns_follower_commit(follower, whole);
    if (!err && kept)
        return bh_dns_zones_put(follower->zones, kept);
    bh_dns_zone_unref(kept);
    return err || !dnsd->catalog.n ? err : put_catalog(dnsd);
}
