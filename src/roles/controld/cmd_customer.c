/* cmd_customer.c: commands on customers. */
#include "command.h"
#include "report.h"

static json_t *customer_json(const struct bh_customer *customer)
{
    return json_pack("{s:I, s:o, s:o}", "id", (json_int_t)customer->id, "name", bh_json_str(customer->name),
                     "created_at", bh_json_time(customer->created_at));
}

void bh_customer_add(struct bh_command *command)
{
    static const char *const known[] = {"name", NULL};
    struct bh_customer customer = {.created_at = bh_controld_now(command->core)};
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    customer.name = bh_command_need(command, "name");
    if (!customer.name.p)
        return;
    if (bh_customer_name_check(customer.name)) {
        bh_command_fail(command, "invalid", "Use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit",
                        "\"%.*s\" cannot be a customer's name", BH_FMT(customer.name));
        return;
    }
    err = bh_customer_insert(command->core->store, customer.name, customer.created_at, &customer.id);
    if (err == BH_E_EXISTS) {
        bh_command_fail(command, "exists", "Choose another name", "there is a customer %.*s already",
                        BH_FMT(customer.name));
    } else if (err) {
        bh_command_fail_err(command, err, "cannot store the customer");
    } else {
        bh_controld_changed(command->core); /* a trusted listener may have waited for it */
        bh_command_done(command, customer_json(&customer));
    }
}

static bool add_customer(void *ctx, const struct bh_customer *customer)
{
    (void)json_array_append_new(ctx, customer_json(customer));
    return true;
}

void bh_customers(struct bh_command *command)
{
    static const char *const known[] = {"after", "limit", NULL};
    json_t *list;
    bh_str after;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    list = json_array();
    after = bh_command_str(command, "after");
    err = bh_customer_list(command->core->store, after.p ? after : BH_STR(""), bh_command_int(command, "limit", 1000),
                           add_customer, list);
    if (err) {
        json_decref(list);
        bh_command_fail_err(command, err, "cannot read the customers");
    } else {
        bh_command_done(command, list);
    }
}

static bool add_domain(void *ctx, const struct bh_domain *domain)
{
    (void)json_array_append_new(ctx, bh_json_domain(domain));
    return true;
}

void bh_customer_show(struct bh_command *command)
{
    static const char *const known[] = {"name", NULL};
    struct bh_customer customer;
    json_t *json, *domains;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_customer(command, "name", &customer))
        return;
    json = customer_json(&customer);
    domains = json_array();
    err = bh_domain_list(command->core->store, customer.id, BH_STR(""), 1000, add_domain, domains);
    (void)json_object_set_new(json, "domains", domains);
    if (err) {
        json_decref(json);
        bh_command_fail_err(command, err, "cannot read the domains");
    } else {
        bh_command_done(command, json);
    }
}
