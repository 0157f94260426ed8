/* cmd_customer.c: commands on customers. */
#include "command.h"
#include "notice.h"
#include "report.h"

enum { CONTACTS_MAX = 20 };

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

static void add_contact(void *ctx, bh_str address)
{
    (void)json_array_append_new(ctx, bh_json_str(address));
}

/* The list of argument "contacts"; false after ending the command. */
static bool take_contacts(struct bh_command *command, bh_str *addresses, size_t *ret_count)
{
    const json_t *list = json_object_get(command->args, "contacts");

    *ret_count = json_array_size(list);
    if (!json_is_array(list) || *ret_count > CONTACTS_MAX) {
        bh_command_fail(command, "invalid", NULL, "\"contacts\" must be a list of at most %d addresses", CONTACTS_MAX);
        return false;
    }
    for (size_t i = 0; i < *ret_count; i++) {
        const json_t *item = json_array_get(list, i);

        addresses[i] = bh_str_of(json_string_value(item), json_string_length(item));
        if (!addresses[i].p || !bh_contact_valid(command->arena, addresses[i])) {
            bh_command_fail(command, "invalid", "Write it like user@example.net", "\"%.*s\" is not a mail address",
                            BH_FMT(addresses[i]));
            return false;
        }
    }
    return true;
}

static bh_err store_contacts(struct bh_store *store, int64_t customer, const bh_str *addresses, size_t count)
{
    bh_err err;

    bh_store_begin(store);
    err = bh_contact_replace(store, customer, addresses, count);
    if (!err)
        return bh_store_commit_wait(store);
    bh_store_rollback(store);
    return err;
}

/* Sets what is given; what is not stays. */
void bh_customer_set(struct bh_command *command)
{
    static const char *const known[] = {"name", "contacts", NULL};
    bh_str addresses[CONTACTS_MAX];
    struct bh_customer customer;
    size_t count;
    json_t *contacts;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_customer(command, "name", &customer) ||
        !take_contacts(command, addresses, &count))
        return;
    err = store_contacts(command->core->store, customer.id, addresses, count);
    contacts = json_array();
    if (!err)
        err = bh_contact_list(command->core->store, customer.id, add_contact, contacts);
    if (err) {
        json_decref(contacts);
        bh_command_fail_err(command, err, "cannot store the contacts");
    } else {
        bh_command_done(command, json_pack("{s:o, s:o}", "name", bh_json_str(customer.name), "contacts", contacts));
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
    json_t *json, *domains, *contacts;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_customer(command, "name", &customer))
        return;
    json = customer_json(&customer);
    domains = json_array();
    err = bh_domain_list(command->core->store, customer.id, BH_STR(""), 1000, add_domain, domains);
    (void)json_object_set_new(json, "domains", domains);
    contacts = json_array();
    if (!err)
        err = bh_contact_list(command->core->store, customer.id, add_contact, contacts);
    (void)json_object_set_new(json, "contacts", contacts);
    bh_command_show_tls(command, json, customer.id, 0);
    if (err) {
        json_decref(json);
        bh_command_fail_err(command, err, "cannot read the domains");
    } else {
        bh_command_done(command, json);
    }
}

static void add_notice(void *ctx, const struct bh_notice_row *notice)
{
    (void)json_array_append_new(ctx, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", (json_int_t)notice->id,
                                               "kind", bh_json_str(notice->kind), "customer",
                                               notice->customer_id ? bh_json_str(notice->customer) : json_null(),
                                               "about", bh_json_str(notice->about), "subject",
                                               bh_json_str(notice->subject), "text", bh_json_str(notice->body), "at",
                                               bh_json_time(notice->at), "sent_at", bh_json_time(notice->sent_at)));
}

/* What was told by mail, newest first. */
void bh_notices(struct bh_command *command)
{
    static const char *const known[] = {"customer", "limit", NULL};
    struct bh_customer customer = {.id = -1};
    json_t *list;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return;
    list = json_array();
    err = bh_notice_list(command->core->store, customer.id, bh_command_int(command, "limit", 100), add_notice, list);
    if (err) {
        json_decref(list);
        bh_command_fail_err(command, err, "cannot read the notices");
    } else {
        bh_command_done(command, list);
    }
}
