/* cmd_domain_add.c: adding a sending domain. keyd makes the keys first; when all are there, the domain, its keys and
 * its look-up rows are written in one transaction, its zones are pushed, and the first check starts. So a domain that
 * exists is whole, and one that could not be made left nothing behind. */
#include "command.h"
#include "domain/key.h"
#include "keys.h"
#include "report.h"

enum { KEYS_MAX = 4 };

struct adding {
    struct bh_command *command;
    const struct bh_approach_ops *approach;
    struct bh_domain domain;
    struct bh_key keys[KEYS_MAX];
    size_t key_count;
    bh_str selector; /* of the key that came with the command and signs already; p == NULL: none */
    unsigned import_at;
    bh_err err;
};

static const char *const known_arguments[] = {
    "name",      "customer",        "approach",     "bounces", "bounce-label", "link-label",
    "img-label", "selector-prefix", "dmarc-policy", "dnssec",  "selector",     "dry-run",
    NULL};

/* ---- arguments ---- */

static bool take_name(struct adding *adding)
{
    struct bh_command *command = adding->command;
    bh_str typed = bh_command_need(command, "name");
    bh_err err;

    if (!typed.p)
        return false;
    err = bh_domain_name_normalise(command->arena, typed, &adding->domain.name);
    if (err == BH_E_DENIED)
        bh_command_fail(command, "invalid", "Add a domain that the customer registered, or one below it",
                        "%.*s is a public suffix", BH_FMT(typed));
    else if (err)
        bh_command_fail(command, "invalid", "Write it like customer.example", "\"%.*s\" is not a domain name",
                        BH_FMT(typed));
    else if (bh_str_is_at_or_below(adding->domain.name, command->core->platform.domain))
        bh_command_fail(command, "invalid", NULL, "%.*s belongs to the platform itself", BH_FMT(adding->domain.name));
    else
        return true;
    return false;
}

static bool take_approach(struct adding *adding)
{
    bh_str word = bh_command_need(adding->command, "approach");

    if (!word.p)
        return false;
    adding->approach = bh_approach_by_name(word);
    if (!adding->approach || !adding->approach->open_to_customers) {
        bh_command_fail(adding->command, "invalid", "Use delegation, cname, manual, relay, credentials or reports",
                        "no approach \"%.*s\"", BH_FMT(word));
        return false;
    }
    adding->domain.approach = adding->approach->id;
    if (json_is_true(json_object_get(adding->command->args, "dnssec")) && !adding->approach->zone) {
        bh_command_fail(adding->command, "invalid", "Use it with --approach delegation",
                        "only a delegated domain has a zone of ours to sign");
        return false;
    }
    return true;
}

static bool take_label(struct adding *adding, const char *argument, const char *otherwise, bh_str *ret_label)
{
    bh_str label = bh_command_str(adding->command, argument);

    *ret_label = label.p ? bh_str_lower(adding->command->arena, label) : bh_str_c(otherwise);
    if (!bh_label_check(*ret_label) && ret_label->n <= 32)
        return true;
    bh_command_fail(adding->command, "invalid", "Use one label of letters, digits and hyphens",
                    "%s: \"%.*s\" cannot be a label", argument, BH_FMT(label));
    return false;
}

static bool take_choices(struct adding *adding)
{
    bh_str bounces = bh_command_str(adding->command, "bounces");
    bh_str policy = bh_command_str(adding->command, "dmarc-policy");

    if (bounces.p && !bh_str_eq(bounces, BH_STR("ours")) && !bh_str_eq(bounces, BH_STR("customer"))) {
        bh_command_fail(adding->command, "invalid", "Use ours or customer", "bounces: \"%.*s\"", BH_FMT(bounces));
        return false;
    }
    if (policy.p && !bh_str_eq(policy, BH_STR("none")) && !bh_str_eq(policy, BH_STR("quarantine")) &&
        !bh_str_eq(policy, BH_STR("reject"))) {
        bh_command_fail(adding->command, "invalid", "Use none, quarantine or reject", "dmarc-policy: \"%.*s\"",
                        BH_FMT(policy));
        return false;
    }
    adding->domain.bounces = bh_str_eq(bounces, BH_STR("customer")) ? BH_BOUNCES_CUSTOMER : BH_BOUNCES_OURS;
    adding->domain.dmarc_policy = policy.p ? policy : BH_STR("");
    return true;
}

static bool take_labels(struct adding *adding)
{
    struct bh_labels *labels = &adding->domain.labels;

    return take_label(adding, "bounce-label", "bounce", &labels->bounce) &&
           take_label(adding, "link-label", "link", &labels->link) &&
           take_label(adding, "img-label", "img", &labels->img) &&
           take_label(adding, "selector-prefix", "bh", &labels->selector);
}

static bool is_new(struct adding *adding)
{
    struct bh_domain old;
    bh_err err = bh_domain_by_name(adding->command->core->store, adding->command->arena, adding->domain.name,
                                   adding->domain.customer_id, &old);

    if (err == BH_E_NOT_FOUND)
        return true;
    if (err)
        bh_command_fail_err(adding->command, err, "cannot read the domains");
    else
        bh_command_fail(adding->command, "exists", "behalf domain show tells its state", "%.*s is added already",
                        BH_FMT(adding->domain.name));
    return false;
}

/* A selector that we would have made ourselves keeps its place. */
static bool find_slot(struct adding *adding)
{
    for (unsigned i = 0; i < adding->approach->keys_at_start; i++)
        if (bh_str_eq(adding->selector, bh_key_selector(adding->command->arena, &adding->domain.labels, i))) {
            adding->import_at = i;
            return true;
        }
    return false;
}

/* A key of another set-up: behind CNAMEs at one of their selectors, elsewhere at any. */
static bool take_selector(struct adding *adding)
{
    struct bh_command *command = adding->command;
    const struct bh_approach_ops *ops = adding->approach;
    bh_str selector = bh_command_str(command, "selector");

    if (!selector.p)
        return true;
    adding->selector = bh_str_lower(command->arena, selector);
    if (bh_selector_check(selector) || !ops->keys_at_start || !ops->sends)
        bh_command_fail(command, "invalid", "Use letters, digits and hyphens, and an approach with keys",
                        "\"%.*s\" cannot be a selector here", BH_FMT(selector));
    else if (command->fd < 0 && !json_is_true(json_object_get(command->args, "dry-run")))
        bh_command_fail(command, "invalid", NULL, "the key's file is missing");
    else if (find_slot(adding) || ops->id != BH_APPROACH_CNAME)
        return true;
    else
        bh_command_fail(command, "invalid", "Give the prefix that it has without the number, or use approach manual",
                        "selector %.*s is none of the three that the CNAMEs are for", BH_FMT(selector));
    return false;
}

/* ---- storing ---- */

static bh_err store_keys(struct adding *adding, int64_t domain)
{
    bh_err err = BH_OK;
    int64_t id;

    for (size_t i = 0; !err && i < adding->key_count; i++) {
        err = bh_key_insert(adding->command->core->store, domain, &adding->keys[i], &id);
        if (!err)
            bh_key_tell(adding->command->core, &adding->domain, &adding->keys[i], BH_STR("the domain was added"));
    }
    return err;
}

static bh_err store_lookups(struct adding *adding, int64_t domain)
{
    struct bh_command *command = adding->command;
    struct bh_domain_view view = {.domain = adding->domain};
    struct bh_planned_identity identity;
    bh_err err = bh_planned_identity(command->arena, &command->core->platform, &view, &identity);

    if (!err)
        err = bh_from_domain_replace(command->core->store, domain, adding->domain.name, BH_STR(""));
    if (!err && identity.mail_from_is_ours)
        err = bh_bounce_domain_replace(command->core->store, domain, identity.mail_from_domain);
    return err;
}

static bh_err store_all(struct adding *adding)
{
    struct bh_store *store = adding->command->core->store;
    bh_err err;

    bh_store_begin(store);
    err = bh_domain_insert(store, &adding->domain, false, &adding->domain.id); /* its zone is claimed by a check */
    if (!err)
        err = store_keys(adding, adding->domain.id);
    if (!err)
        err = store_lookups(adding, adding->domain.id);
    if (err) {
        bh_store_rollback(store);
        return err;
    }
    return bh_store_commit_wait(store);
}

static bool wants_dnssec(const struct bh_command *command)
{
    return json_is_true(json_object_get(command->args, "dnssec"));
}

static void finish(struct adding *adding)
{
    struct bh_command *command = adding->command;
    struct bh_controld *core = command->core;
    struct bh_domain_view view;
    json_t *json;
    bh_err err = adding->err ? adding->err : store_all(adding);

    if (!err)
        err = bh_controld_view(core, command->arena, adding->domain.id, false, &view);
    if (adding->err == BH_E_INVALID) {
        bh_command_fail(command, "invalid", "Give a PEM file with an RSA (2048 bits or more) or Ed25519 private key",
                        "the key at selector %.*s was refused", BH_FMT(adding->selector));
        return;
    }
    if (err) {
        bh_command_fail_err(command, err, adding->err ? "no keys could be made" : "cannot store the domain");
        return;
    }
    bh_publish_domain(core, &view.domain);
    if (wants_dnssec(command) && bh_zone_keys_want(core, adding->domain.id, true))
        core->out->log(core->out_ctx, BH_LOG_ERROR, "the new zone is not signed yet", view.domain.name);
    bh_controld_changed(core);
    json = bh_json_domain(&view.domain);
    (void)json_object_set_new(json, "records", bh_json_records(core, command->arena, &view, NULL));
    (void)json_object_set_new(json, "keys", bh_json_keys(&view));
    core->out->wake(core->out_ctx, 1000); /* the first check, once the zones are served */
    bh_command_done(command, json);
}

/* ---- keys ---- */

static bh_err take_key(struct adding *adding, const struct bh_msg_key_reply *reply)
{
    struct bh_arena *arena = adding->command->arena;
    bh_str public_b64;
    bool damaged;
    bh_err err;

    if (!reply->ok && adding->selector.p && adding->key_count == adding->import_at)
        return BH_E_INVALID;
    if (!reply->ok || adding->key_count == KEYS_MAX)
        return BH_E_CRYPTO;
    err = bh_key_record_public(arena, reply->public_record, &public_b64, &damaged);
    if (err)
        return err;
    adding->keys[adding->key_count].kind = (enum bh_key_kind)reply->algorithm;
    adding->keys[adding->key_count].public_b64 = public_b64;
    adding->keys[adding->key_count].sealed = bh_arena_dup(arena, reply->sealed);
    return adding->keys[adding->key_count].sealed.p ? BH_OK : BH_E_NOMEM;
}

static void order_next(struct adding *adding);

static void on_key(void *ctx, bh_err err, const struct bh_msg_key_reply *reply)
{
    struct adding *adding = ctx;

    if (!err)
        err = take_key(adding, reply);
    if (err) {
        adding->err = err;
        finish(adding);
        return;
    }
    adding->key_count++;
    order_next(adding);
}

/* One that came with the command is known to the world and signs; the others wait for their turn behind it. */
static void set_up_key(const struct adding *adding, struct bh_key *key, unsigned index)
{
    struct bh_controld *core = adding->command->core;
    bool imported = adding->selector.p && index == adding->import_at;
    bool waits = adding->selector.p && !imported;

    *key =
        (struct bh_key){.id = (int64_t)core->next_key_id++,
                        .selector = imported ? adding->selector
                                             : bh_key_selector(adding->command->arena, &adding->domain.labels, index),
                        .state = imported ? BH_KEY_ACTIVE
                                 : waits  ? BH_KEY_PUBLISHED
                                          : bh_key_initial_state(index),
                        .imported = imported,
                        .created_at = bh_controld_now(core)};
}

/* One after the other: the state of each is its place. */
static void order_next(struct adding *adding)
{
    struct bh_command *command = adding->command;
    struct bh_controld *core = command->core;
    unsigned index = (unsigned)adding->key_count;
    struct bh_key *key = &adding->keys[index];
    struct bh_key_order order;
    bh_err err;

    if (index == adding->approach->keys_at_start) {
        finish(adding);
        return;
    }
    set_up_key(adding, key, index);
    order = (struct bh_key_order){.algorithm = key->imported ? 0 : BH_KEY_RSA2048,
                                  .customer_id = (uint32_t)adding->domain.customer_id,
                                  .key_id = (uint64_t)key->id,
                                  .domain = adding->domain.name,
                                  .selector = key->selector,
                                  .fd = key->imported ? command->fd : -1};
    err = core->out->make_key(core->out_ctx, &order, on_key, adding); /* the answer may have come: `adding` is gone */
    if (err) {
        adding->err = err;
        finish(adding);
    }
}

void bh_domain_add(struct bh_command *command)
{
    struct adding *adding = bh_arena_alloc(command->arena, sizeof(*adding));
    struct bh_customer customer;

    if (!adding) {
        bh_command_fail_err(command, BH_E_NOMEM, "cannot add the domain");
        return;
    }
    adding->command = command;
    if (!bh_command_knows(command, known_arguments) || !bh_command_customer(command, "customer", &customer))
        return;
    adding->domain.customer_id = customer.id;
    adding->domain.customer = customer.name;
    adding->domain.created_at = bh_controld_now(command->core);
    adding->domain.token = bh_token_new(command->core->random);
    adding->domain.zone_apex = BH_STR("");
    if (!take_name(adding) || !take_approach(adding) || !take_labels(adding) || !take_choices(adding) ||
        !take_selector(adding) || !is_new(adding))
        return;
    if (json_is_true(json_object_get(command->args, "dry-run")))
        bh_command_done(command, json_pack("{s:o}", "name", bh_json_str(adding->domain.name)));
    else
        order_next(adding);
}
