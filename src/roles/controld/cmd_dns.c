/* cmd_dns.c: the name server's counters, and its zones as files. */
#include "command.h"
#include "domain/dnssec.h"
#include "report.h"
#include <errno.h>
#include <unistd.h>

enum { ZONES_SHOWN = 20, ZONE_TEXT_MAX = 256 << 20 };

/* ---- stats: the sum over all dnsd ---- */

struct counting {
    struct bh_command *command;
    json_t *total, *zones; /* zones: an object by name, in the order of coming */
};

static void add_number(json_t *object, const char *name, uint64_t number)
{
    json_int_t before = json_integer_value(json_object_get(object, name));

    (void)json_object_set_new(object, name, json_integer(before + (json_int_t)number));
}

static void add_total(json_t *total, const struct bh_msg_dns_stats_reply *stats)
{
#define BH_ADD_u64(name) add_number(total, #name, stats->name);
#define BH_ADD_str(name)
#define BH_ADD(type, name) BH_ADD_##type(name)
    BH_FIELDS_dns_stats_reply(BH_ADD)
#undef BH_ADD
#undef BH_ADD_str
#undef BH_ADD_u64
}

static void add_zone(json_t *zones, const struct bh_rec_dns_zone_stats *stats)
{
    json_t *name = bh_json_str(stats->zone);
    const char *key = json_string_value(name);
    json_t *zone = key ? json_object_get(zones, key) : NULL;

    if (key && !zone) {
        zone = json_pack("{s:O}", "zone", name);
        (void)json_object_set_new(zones, key, zone);
    }
    if (zone) {
        add_number(zone, "positive", stats->positive);
        add_number(zone, "wildcard", stats->wildcard);
        add_number(zone, "nodata", stats->nodata);
        add_number(zone, "nxdomain", stats->nxdomain);
        add_number(zone, "referral", stats->referral);
    }
    json_decref(name);
}

/* What controld knows of signed zones. Days are those that the oldest signatures last; null: nothing is signed. */
static json_t *signing_json(struct bh_controld *core)
{
    struct bh_zone_signatures_sum sum;
    bool known = !bh_zone_signatures_sum(core->store, &sum) && sum.zones;
    int64_t days = (sum.renew_at + BH_DNSSEC_SPARE_MS - bh_controld_now(core)) / 86400000;

    return json_pack("{s:I, s:o, s:I, s:I, s:I}", "zones", (json_int_t)(known ? sum.zones : 0), "days_left",
                     known ? json_integer(days) : json_null(), "signatures_made", (json_int_t)core->signatures_made,
                     "zones_signed", (json_int_t)core->zones_signed, "under_way", (json_int_t)core->signing_count);
}

static void end_counting(struct counting *counting)
{
    json_t *list = json_array(), *zone;
    const char *name;

    json_object_foreach(counting->zones, name, zone)(void) json_array_append(list, zone);
    json_decref(counting->zones);
    bh_command_done(counting->command, json_pack("{s:o, s:o, s:o}", "total", counting->total, "signing",
                                                 signing_json(counting->command->core), "zones", list));
}

static void on_counted(void *ctx, const struct bh_msg_dns_stats_reply *stats, bool last)
{
    struct counting *counting = ctx;
    struct bh_rec_dns_zone_stats zone;
    struct bh_cur list;

    if (stats) {
        add_total(counting->total, stats);
        list = bh_cur_make(stats->zones);
        while (bh_rec_dns_zone_stats_next(&list, &zone) == BH_MORE)
            add_zone(counting->zones, &zone);
    }
    if (last)
        end_counting(counting);
}

void bh_dns_stats(struct bh_command *command)
{
    static const char *const known[] = {"limit", NULL};
    struct counting *counting = bh_arena_alloc(command->arena, sizeof(*counting));
    int64_t limit;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    limit = bh_command_int(command, "limit", ZONES_SHOWN);
    if (!counting || limit < 0 || limit > 1000) {
        bh_command_fail(command, "invalid", NULL, "limit must be a number up to 1000");
        return;
    }
    *counting = (struct counting){command, json_object(), json_object()};
    err = command->core->out->dns_stats(command->core->out_ctx, (uint32_t)limit, on_counted, counting);
    if (!err)
        return;
    json_decref(counting->total);
    json_decref(counting->zones);
    bh_command_fail_err(command, err, "the name server cannot be asked");
}

/* ---- export: all zones into the file that came with the command ---- */

struct exporting {
    int fd;
    bh_err err;
    json_int_t count;
};

static bh_err write_all(int fd, bh_str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return BH_E_IO;
        bytes = bh_str_skip(bytes, (size_t)n);
    }
    return BH_OK;
}

static void export_zone(void *ctx, const struct bh_zone *zone)
{
    struct exporting *exporting = ctx;
    struct bh_buf text = bh_buf_make(ZONE_TEXT_MAX);

    if (exporting->err)
        return;
    bh_buf_printf(&text, "; zone %.*s\n", BH_FMT(zone->apex));
    bh_zone_print(zone, &text);
    exporting->err = bh_buf_err(&text);
    if (!exporting->err)
        exporting->err = write_all(exporting->fd, bh_buf_view(&text));
    exporting->count++;
    bh_buf_free(&text);
}

void bh_dns_export(struct bh_command *command)
{
    static const char *const known[] = {NULL};
    struct exporting exporting = {.fd = command->fd};
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    if (command->fd < 0) {
        bh_command_fail(command, "invalid", "Use behalf dns export DIRECTORY", "no file came with the command");
        return;
    }
    err = bh_publish_all(command->core, export_zone, &exporting);
    if (!err)
        err = exporting.err;
    if (err)
        bh_command_fail_err(command, err, "cannot write the zones");
    else
        bh_command_done(command, json_pack("{s:I}", "zones", exporting.count));
}
