/* cmd_domain.c: looking at sending domains, and checking them now. Adding one is in cmd_domain_add.c. */
#include "command.h"
#include "domain/custom.h"
#include "report.h"

static json_t *read_report(struct bh_command *command, int64_t domain)
{
    bh_str text;

    if (bh_domain_report(command->core->store, command->arena, domain, &text) || !text.n)
        return NULL;
    return json_loadb(text.p, text.n, 0, NULL);
}

static json_t *whole_domain(struct bh_command *command, const struct bh_domain_view *view)
{
    json_t *json = bh_json_domain(&view->domain);
    json_t *report = read_report(command, view->domain.id);
    json_t *problems = json_object_get(report, "problems");
    const struct bh_approach_ops *ops = bh_approach_ops(view->domain.approach);
    const char *drawback = ops && ops->drawback ? ops->drawback(&view->domain) : NULL;
    struct bh_planned_identity identity;

    if (drawback)
        (void)json_object_set_new(json, "drawback", json_string(drawback));
    if (!bh_planned_identity(command->arena, &command->core->platform, view, &identity)) {
        (void)json_object_set_new(json, "mail_from_domain", bh_json_str(identity.mail_from_domain));
        (void)json_object_set_new(json, "dkim_domain", bh_json_str(identity.dkim_domain));
    }
    (void)json_object_set_new(json, "records", bh_json_records(command->core, command->arena, view, report));
    (void)json_object_set_new(json, "keys", bh_json_keys(view));
    if (json_object_get(report, "proofs"))
        (void)json_object_set(json, "proofs", json_object_get(report, "proofs"));
    bh_command_show_tls(command, json, view->domain.customer_id, view->domain.id);
    (void)json_object_set_new(json, "problems", problems ? json_incref(problems) : json_array());
    json_decref(report);
    return json;
}

static void answer_with(struct bh_command *command, int64_t domain)
{
    struct bh_domain_view view;
    bh_err err = bh_controld_view(command->core, command->arena, domain, false, &view);

    if (!err)
        err = bh_zone_keys_view(command->core, command->arena, &view);
    if (err)
        bh_command_fail_err(command, err, "cannot read the domain");
    else
        bh_command_done(command, whole_domain(command, &view));
}

static bool add_domain(void *ctx, const struct bh_domain *domain)
{
    (void)json_array_append_new(ctx, bh_json_domain(domain));
    return true;
}

void bh_domains(struct bh_command *command)
{
    static const char *const known[] = {"customer", "after", "limit", NULL};
    struct bh_customer customer = {.id = 0};
    bh_str after = bh_command_str(command, "after");
    json_t *list;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return;
    list = json_array();
    err = bh_domain_list(command->core->store, customer.id, after.p ? after : BH_STR(""),
                         bh_command_int(command, "limit", 1000), add_domain, list);
    if (err) {
        json_decref(list);
        bh_command_fail_err(command, err, "cannot read the domains");
    } else {
        bh_command_done(command, list);
    }
}

static const char *const domain_arguments[] = {"domain", "customer", NULL};

void bh_domain_show(struct bh_command *command)
{
    struct bh_domain domain;

    if (bh_command_knows(command, domain_arguments) && bh_command_domain(command, &domain))
        answer_with(command, domain.id);
}

/* What our servers answer for a delegated domain, as a master file. */
void bh_domain_zone(struct bh_command *command)
{
    struct bh_controld *core = command->core;
    struct bh_buf text = bh_buf_make(4 << 20);
    struct bh_domain domain;
    struct bh_domain_view view;
    struct bh_platform platform;
    struct bh_zone zone;
    size_t own_count;
    bh_err err;

    if (!bh_command_knows(command, domain_arguments) || !bh_command_domain(command, &domain))
        return;
    if (!bh_domain_has_zone(&domain)) {
        bh_command_fail(command, "invalid", "behalf domain records shows what the customer publishes",
                        "%.*s is not delegated, so there is no zone of ours for it", BH_FMT(domain.name));
        return;
    }
    core->platform.serial = core->serial;
    err = bh_controld_view(core, command->arena, domain.id, false, &view);
    if (!err)
        err = bh_egress_platform(core, command->arena, domain.id, domain.customer_id, &platform);
    if (!err)
        err = bh_build_delegated_zone(command->arena, &platform, &view, &zone);
    own_count = err ? 0 : zone.count;
    if (!err)
        err = bh_zone_record_list(core->store, domain.id, &zone);
    if (!err)
        (void)bh_custom_yield(&domain, &zone, own_count);
    if (!err)
        err = bh_serial_show(core, &zone);
    if (!err) {
        bh_zone_print(&zone, &text);
        err = bh_buf_err(&text);
    }
    if (err)
        bh_command_fail_err(command, err, "cannot build the zone");
    else
        bh_command_done(command, json_pack("{s:o}", "zone", bh_json_str(bh_buf_view(&text))));
    bh_buf_free(&text);
}

struct waiting {
    struct bh_command *command;
    int64_t domain;
};

static void on_checked(void *ctx, bh_err err)
{
    struct waiting *waiting = ctx;

    if (err)
        bh_command_fail_err(waiting->command, err, "cannot check the domain");
    else
        answer_with(waiting->command, waiting->domain);
}

/* Somebody is looking: the pace starts again. */
void bh_domain_checked(struct bh_command *command)
{
    struct bh_controld *core = command->core;
    struct waiting *waiting = bh_arena_alloc(command->arena, sizeof(*waiting));
    struct bh_domain domain;
    bh_err err;

    if (!bh_command_knows(command, domain_arguments) || !bh_command_domain(command, &domain))
        return;
    if (!waiting) {
        bh_command_fail_err(command, BH_E_NOMEM, "cannot check the domain");
        return;
    }
    *waiting = (struct waiting){command, domain.id};
    err = bh_domain_update_check_at(core->store, domain.id, bh_controld_now(core) + 10000, 0);
    if (!err)
        err = bh_check_domain(core, domain.id, on_checked, waiting);
    if (err)
        bh_command_fail_err(command, err, "cannot check the domain");
}

static void add_check(void *ctx, bh_time_ms at, enum bh_domain_state state, enum bh_mechanism aligned)
{
    (void)json_array_append_new(ctx, json_pack("{s:o, s:s, s:s}", "at", bh_json_time(at), "state",
                                               bh_domain_state_name(state), "aligned", bh_mechanism_name(aligned)));
}

/* The history: one entry per change of state or alignment, newest first. */
void bh_domain_checks(struct bh_command *command)
{
    struct bh_domain domain;
    json_t *list;
    bh_err err;

    if (!bh_command_knows(command, domain_arguments) || !bh_command_domain(command, &domain))
        return;
    list = json_array();
    err = bh_domain_check_list(command->core->store, domain.id, 1000, add_check, list);
    if (err) {
        json_decref(list);
        bh_command_fail_err(command, err, "cannot read the history");
    } else {
        bh_command_done(command, list);
    }
}
