/* cmd_zone.c: the customer's own records in a delegated zone: `domain zone-add`, `zone-remove`, `zone-list`. What may
 * be added is decided by domain/custom.h; they are served once the domain is verified, since before that nobody has
 * proven that the zone is his. */
#include "command.h"
#include "domain/custom.h"
#include "report.h"

struct zoning {
    struct bh_command *command;
    struct bh_domain_view view;
    struct bh_zone zone; /* ours, then the customer's */
    size_t own_count;
};

/* False after ending the command. */
static bool open_zone(struct zoning *zoning, struct bh_command *command)
{
    struct bh_controld *core = command->core;
    struct bh_platform platform;
    struct bh_domain domain;
    bh_err err;

    *zoning = (struct zoning){.command = command};
    if (!bh_command_domain(command, &domain))
        return false;
    if (!bh_domain_has_zone(&domain)) {
        bh_command_fail(command, "invalid", "Records of its own can be in a domain that was delegated",
                        "%.*s has no zone on our name servers", BH_FMT(domain.name));
        return false;
    }
    err = bh_controld_view(core, command->arena, domain.id, false, &zoning->view);
    if (!err)
        err = bh_egress_platform(core, command->arena, domain.id, domain.customer_id, &platform);
    if (!err)
        err = bh_build_delegated_zone(command->arena, &platform, &zoning->view, &zoning->zone);
    zoning->own_count = zoning->zone.count;
    if (!err)
        err = bh_zone_record_list(core->store, domain.id, &zoning->zone);
    if (err)
        bh_command_fail_err(command, err, "cannot read the zone");
    return !err;
}

static json_t *records_json(const struct bh_zone_record *records, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        struct bh_buf type = bh_buf_make(32), value = bh_buf_make(64 * 1024);

        bh_dns_type_print(&type, records[i].type);
        bh_dns_rdata_print(&value, records[i].type, records[i].rdata);
        (void)json_array_append_new(list,
                                    json_pack("{s:o, s:I, s:o, s:o}", "name", bh_json_str(records[i].owner), "ttl",
                                              (json_int_t)records[i].ttl_s, "type", bh_json_str(bh_buf_view(&type)),
                                              "value", bh_json_str(bh_buf_view(&value))));
        bh_buf_free(&type);
        bh_buf_free(&value);
    }
    return list;
}

static void answer(struct zoning *zoning, size_t from)
{
    struct bh_command *command = zoning->command;
    struct bh_buf text = bh_buf_make(8 << 20);
    struct bh_zone custom = zoning->zone;

    custom.records += from;
    custom.count -= from;
    bh_zone_print(&custom, &text);
    bh_command_done(command,
                    json_pack("{s:o, s:o, s:o}", "domain", bh_json_str(zoning->view.domain.name), "records",
                              records_json(custom.records, custom.count), "zone", bh_json_str(bh_buf_view(&text))));
    bh_buf_free(&text);
}

void bh_zone_records(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", NULL};
    struct zoning zoning;

    if (bh_command_knows(command, known) && open_zone(&zoning, command))
        answer(&zoning, zoning.own_count);
}

/* False after ending the command. */
static bool parse(struct zoning *zoning, bh_str text, struct bh_zone_record **ret_records, size_t *ret_count)
{
    struct bh_custom_problem problem = {0};
    bh_err err = text.n > BH_CUSTOM_TEXT_MAX ? BH_E_LIMIT
                                             : bh_custom_parse(zoning->command->arena, zoning->view.domain.name, text,
                                                               ret_records, ret_count, &problem);

    if (!err && *ret_count)
        return true;
    if (!err)
        bh_command_fail(zoning->command, "invalid", "Write it as in a zone file: www 300 A 192.0.2.1",
                        "there is no record in it");
    else
        bh_command_fail(zoning->command, "invalid", "Write it as in a zone file: www 300 A 192.0.2.1", "line %u: %.*s",
                        problem.line, BH_FMT(problem.why.p ? problem.why : bh_str_c(bh_err_text(err))));
    return false;
}

struct nested {
    bh_str owner, apex, found;
    struct bh_arena *arena;
};

static bool is_nested(void *ctx, const struct bh_domain *domain)
{
    struct nested *nested = ctx;

    if (bh_domain_has_zone(domain) && !bh_str_eq(domain->name, nested->apex) &&
        bh_str_is_at_or_below(domain->name, nested->apex) && bh_str_is_at_or_below(nested->owner, domain->name))
        nested->found = bh_arena_dup(nested->arena, domain->name);
    return !nested->found.n;
}

/* A zone of ours inside this one would hide the record. */
static bool is_hidden(struct zoning *zoning, const struct bh_zone_record *record, bh_str *ret_why)
{
    struct bh_command *command = zoning->command;
    struct nested nested = {record->owner, zoning->view.domain.name, {"", 0}, command->arena};

    for (bh_str at = record->owner; at.n > nested.apex.n && !nested.found.n; at = bh_domain_parent(at)) {
        struct bh_domain domain;
        int64_t holder = 0;

        if (!bh_domain_zone_holder(command->core->store, at, &holder) && holder &&
            !bh_domain_by_id(command->core->store, command->arena, holder, &domain))
            (void)is_nested(&nested, &domain);
    }
    if (!nested.found.n)
        return false;
    *ret_why = bh_arena_printf(command->arena, "the name is in the zone %.*s, which is served on its own",
                               BH_FMT(nested.found));
    return true;
}

/* All or none: the first that does not fit ends the command. */
static bool fits(struct zoning *zoning, const struct bh_zone_record *records, size_t count)
{
    struct bh_command *command = zoning->command;

    for (size_t i = 0; i < count; i++) {
        bh_str why = {"", 0};

        if (bh_custom_allows(command->arena, &zoning->view, &zoning->zone, zoning->own_count, &records[i], &why) &&
            !is_hidden(zoning, &records[i], &why)) {
            bh_zone_add_wire(&zoning->zone, records[i].owner, records[i].ttl_s, records[i].type, records[i].rdata);
            continue;
        }
        bh_command_fail(command, "conflict", "Nothing was added; behalf domain zone NAME shows the whole zone",
                        "%.*s: %.*s", BH_FMT(records[i].owner), BH_FMT(why));
        return false;
    }
    return true;
}

static bh_err store_records(struct zoning *zoning, bool replace, const struct bh_zone_record *records, size_t count)
{
    struct bh_store *store = zoning->command->core->store;
    int64_t domain = zoning->view.domain.id;
    bh_err err = BH_OK;

    bh_store_begin(store);
    if (replace)
        err = bh_zone_record_clear(store, domain);
    for (size_t i = 0; !err && i < count; i++)
        err = bh_zone_record_insert(store, domain, &records[i]);
    if (err) {
        bh_store_rollback(store);
        return err;
    }
    return bh_store_commit_wait(store);
}

void bh_zone_records_add(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "text", "replace", NULL};
    struct bh_zone_record *records = NULL;
    struct zoning zoning;
    size_t count = 0, from;
    bool replace = json_is_true(json_object_get(command->args, "replace"));
    bh_str text;
    bh_err err;

    if (!bh_command_knows(command, known) || !(text = bh_command_need(command, "text")).p ||
        !open_zone(&zoning, command) || !parse(&zoning, text, &records, &count))
        return;
    if (replace)
        zoning.zone.count = zoning.own_count;
    from = zoning.zone.count;
    if (!fits(&zoning, records, count))
        return;
    err = store_records(&zoning, replace, records, count);
    if (err) {
        bh_command_fail_err(command, err, "cannot store the records");
        return;
    }
    bh_publish_domain(command->core, &zoning.view.domain);
    bh_controld_changed(command->core);
    answer(&zoning, from);
}

/* "www", "www A" or "www A 192.0.2.1". */
static bool read_pattern(struct zoning *zoning, bh_str text, bh_str *ret_owner, uint16_t *ret_type, bh_str *ret_rdata)
{
    struct bh_command *command = zoning->command;
    bh_str rest, apex = zoning->view.domain.name, owner = bh_str_trim(bh_str_cut(bh_str_trim(text), ' ', &rest));
    bh_str value, type = bh_str_trim(bh_str_cut(bh_str_trim(rest), ' ', &value));
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX);
    struct bh_dns_name origin;

    *ret_type = 0;
    *ret_rdata = (bh_str){NULL, 0};
    if (owner.n && owner.p[owner.n - 1] == '.')
        owner.n--;
    else if (bh_str_eq(owner, BH_STR("@")))
        owner = apex;
    else if (!bh_str_is_at_or_below(owner, apex))
        owner = bh_arena_printf(command->arena, "%.*s.%.*s", BH_FMT(owner), BH_FMT(apex));
    *ret_owner = bh_str_lower(command->arena, owner);
    if (type.n && bh_dns_type_parse(type, ret_type))
        return false;
    value = bh_str_trim(value);
    if (value.n) {
        if (bh_dns_name_parse(apex, NULL, &origin) || bh_dns_rdata_parse_text(*ret_type, value, &origin, &rdata)) {
            bh_buf_free(&rdata);
            return false;
        }
        *ret_rdata = bh_arena_dup(command->arena, bh_buf_view(&rdata));
    }
    bh_buf_free(&rdata);
    return ret_owner->n > 0;
}

void bh_zone_records_removed(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "text", NULL};
    struct zoning zoning;
    bh_str text, owner, rdata;
    uint16_t type;
    bh_err err;

    if (!bh_command_knows(command, known) || !(text = bh_command_need(command, "text")).p ||
        !open_zone(&zoning, command))
        return;
    if (!read_pattern(&zoning, text, &owner, &type, &rdata)) {
        bh_command_fail(command, "invalid", "Write a name, or a name and a type, or the whole record",
                        "\"%.*s\" is not understood", BH_FMT(text));
        return;
    }
    err = bh_zone_record_remove(command->core->store, zoning.view.domain.id, owner, type, rdata.p ? &rdata : NULL);
    if (err == BH_E_NOT_FOUND) {
        bh_command_fail(command, "not_found", "behalf domain zone list NAME shows them", "there is no such record");
        return;
    }
    if (err) {
        bh_command_fail_err(command, err, "cannot remove the record");
        return;
    }
    bh_publish_domain(command->core, &zoning.view.domain);
    bh_controld_changed(command->core);
    if (open_zone(&zoning, command))
        answer(&zoning, zoning.own_count);
}
