/* cmd_remove.c: `domain remove`, `customer remove`. What they end, and what may still point at us, is in removal.c. */
#include "command.h"
#include "report.h"

enum { DOMAINS_MAX = 10000 };

/* What the customer can delete at his provider now. */
static json_t *records_to_delete(struct bh_command *command, const struct bh_domain_view *view)
{
    struct bh_record_list records;
    json_t *list = json_array();

    if (bh_required_records(command->arena, &command->core->platform, view, &records))
        return list;
    for (size_t i = 0; i < records.count; i++) {
        struct bh_buf type = bh_buf_make(32);

        if (records.records[i].purpose == BH_PURPOSE_DMARC)
            continue; /* it is the owner's own */
        bh_dns_type_print(&type, records.records[i].type);
        (void)json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "type", bh_json_str(bh_buf_view(&type)), "name",
                                                    bh_json_str(records.records[i].name), "value",
                                                    bh_json_str(records.records[i].value)));
        bh_buf_free(&type);
    }
    return list;
}

static bool is_platform(struct bh_command *command, const struct bh_domain *domain)
{
    if (domain->approach != BH_APPROACH_PLATFORM)
        return false;
    bh_command_fail(command, "invalid", NULL, "%.*s is the platform itself", BH_FMT(domain->name));
    return true;
}

void bh_domain_removed(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", NULL};
    struct bh_controld *core = command->core;
    struct bh_domain domain;
    struct bh_domain_view view;
    bh_time_ms until = 0;
    json_t *records;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_domain(command, &domain) || is_platform(command, &domain))
        return;
    err = bh_controld_view(core, command->arena, domain.id, false, &view);
    if (err) {
        bh_command_fail_err(command, err, "cannot read the domain");
        return;
    }
    records = records_to_delete(command, &view);
    err = bh_controld_remove_domain(core, &domain, &until);
    if (err) {
        json_decref(records);
        bh_command_fail_err(command, err, "cannot remove the domain");
        return;
    }
    bh_command_done(command, json_pack("{s:o, s:o, s:o, s:o}", "name", bh_json_str(domain.name), "customer",
                                       bh_json_str(domain.customer), "tombstone_until", bh_json_time(until), "records",
                                       records));
}

/* ---- customers ---- */

struct removing {
    struct bh_arena *arena;
    struct bh_domain *domains;
    size_t count;
};

static bool add_domain(void *ctx, const struct bh_domain *domain)
{
    struct removing *removing = ctx;
    struct bh_domain *copy = &removing->domains[removing->count];

    *copy = *domain;
    copy->name = bh_arena_dup(removing->arena, domain->name);
    removing->count += copy->name.p != NULL;
    return copy->name.p && removing->count < DOMAINS_MAX;
}

static bh_err remove_all(struct bh_command *command, const struct bh_customer *customer, size_t *ret_count)
{
    struct bh_controld *core = command->core;
    struct removing removing = {command->arena, bh_arena_array(command->arena, DOMAINS_MAX, sizeof(*removing.domains)),
                                0};
    bh_time_ms until;
    bh_err err = removing.domains
                     ? bh_domain_list(core->store, customer->id, BH_STR(""), DOMAINS_MAX, add_domain, &removing)
                     : BH_E_NOMEM;

    for (size_t i = 0; !err && i < removing.count; i++)
        err = bh_controld_remove_domain(core, &removing.domains[i], &until);
    *ret_count = removing.count;
    return err;
}

void bh_customer_removed(struct bh_command *command)
{
    static const char *const known[] = {"name", NULL};
    struct bh_controld *core = command->core;
    struct bh_customer customer;
    size_t count = 0;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_customer(command, "name", &customer))
        return;
    if (bh_str_eq(customer.name, BH_STR("platform"))) {
        bh_command_fail(command, "invalid", NULL, "the customer platform owns the platform domain itself");
        return;
    }
    err = remove_all(command, &customer, &count);
    if (!err && count == DOMAINS_MAX) { /* the next call goes on */
        bh_command_fail(command, "temporary", "Repeat the command", "%zu domains are removed, there are more", count);
        return;
    }
    if (!err) {
        bh_store_begin(core->store);
        err = bh_customer_remove(core->store, customer.id, bh_controld_now(core));
        if (err)
            bh_store_rollback(core->store);
        else
            err = bh_store_commit_wait(core->store);
    }
    if (err) {
        bh_command_fail_err(command, err, "cannot remove the customer");
        return;
    }
    bh_controld_changed(core);
    core->out->log(core->out_ctx, BH_LOG_INFO, "customer removed", customer.name);
    bh_command_done(command, json_pack("{s:o, s:I}", "name", bh_json_str(customer.name), "domains", (json_int_t)count));
}
