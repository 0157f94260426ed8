/* cmd_dkim.c: taking over a DKIM key that the customer has published already. The private key comes as a file
 * descriptor from the CLI and goes on to keyd unread. */
#include "command.h"
#include "domain/key.h"
#include "keys.h"
#include "report.h"

struct importing {
    struct bh_command *command;
    struct bh_domain_view view;
    struct bh_key key;
};

static bh_err retire_others(struct importing *importing)
{
    struct bh_store *store = importing->command->core->store;
    /* one that no receiver has ever seen a signature of need not stay published */
    bool was_used = importing->view.domain.state >= BH_DOMAIN_VERIFIED;
    bool is_manual = importing->view.domain.approach == BH_APPROACH_MANUAL;
    bh_err err = BH_OK;

    for (size_t i = 0; !err && i < importing->view.key_count; i++) {
        const struct bh_key *key = &importing->view.keys[i];
        enum bh_key_state state = was_used ? BH_KEY_RETIRING : is_manual ? BH_KEY_WITHDRAWN : BH_KEY_PUBLISHED;

        if (key->state != BH_KEY_ACTIVE || (key->kind == BH_KIND_ED25519) != (importing->key.kind == BH_KIND_ED25519))
            continue;
        err = bh_key_set_state(store, key->id, state, importing->key.created_at);
        if (!err) {
            struct bh_key left = *key;

            left.state = state;
            bh_key_tell(importing->command->core, &importing->view.domain, &left, BH_STR("another was imported"));
        }
    }
    return err;
}

static bh_err store_key(struct importing *importing)
{
    struct bh_store *store = importing->command->core->store;
    int64_t id;
    bh_err err = bh_controld_view(importing->command->core, importing->command->arena, importing->view.domain.id, false,
                                  &importing->view); /* while keyd was asked a key may have been revoked or exchanged */

    if (err)
        return err;
    bh_store_begin(store);
    err = retire_others(importing);
    if (!err)
        err = bh_key_insert(store, importing->view.domain.id, &importing->key, &id);
    if (!err) {
        importing->key.id = id;
        bh_key_tell(importing->command->core, &importing->view.domain, &importing->key, BH_STR("imported"));
    }
    if (err) {
        bh_store_rollback(store);
        return err;
    }
    return bh_store_commit_wait(store);
}

static void on_imported(void *ctx, bh_err err, const struct bh_msg_key_reply *reply)
{
    struct importing *importing = ctx;
    struct bh_command *command = importing->command;
    struct bh_key *key = &importing->key;
    bool damaged;

    if (!err && !reply->ok) {
        bh_command_fail(command, "invalid", "Give a PEM file with an RSA (2048 bits or more) or Ed25519 private key",
                        "the key was refused: %.*s", BH_FMT(reply->why));
        return;
    }
    if (!err)
        err = bh_key_record_public(command->arena, reply->public_record, &key->public_b64, &damaged);
    if (!err) {
        key->kind = (enum bh_key_kind)reply->algorithm;
        key->sealed = bh_arena_dup(command->arena, reply->sealed);
        err = key->sealed.p ? store_key(importing) : BH_E_NOMEM;
    }
    if (err) {
        bh_command_fail_err(command, err, "cannot import the key");
        return;
    }
    bh_publish_domain(command->core, &importing->view.domain);
    bh_controld_changed(command->core);
    command->core->out->wake(command->core->out_ctx, 1000);
    bh_command_done(command, json_pack("{s:o, s:o, s:s, s:s, s:o}", "domain", bh_json_str(importing->view.domain.name),
                                       "selector", bh_json_str(key->selector), "algorithm", bh_key_kind_name(key->kind),
                                       "state", bh_key_state_name(key->state), "record",
                                       bh_json_str(bh_key_record(command->arena, key))));
}

static bool check_selector(struct importing *importing)
{
    struct bh_command *command = importing->command;
    bh_str selector = bh_command_need(command, "selector");

    if (!selector.p)
        return false;
    if (bh_selector_check(selector)) {
        bh_command_fail(command, "invalid", "Use letters, digits and hyphens", "\"%.*s\" cannot be a selector",
                        BH_FMT(selector));
        return false;
    }
    importing->key.selector = bh_str_lower(command->arena, selector);
    for (size_t i = 0; i < importing->view.key_count; i++)
        if (bh_str_eq(importing->view.keys[i].selector, importing->key.selector)) {
            bh_command_fail(command, "exists", "Choose another selector: a key never changes under one (RFC 6376 3.1)",
                            "%.*s has a key at selector %.*s already", BH_FMT(importing->view.domain.name),
                            BH_FMT(selector));
            return false;
        }
    return true;
}

static bool check_domain(struct importing *importing)
{
    struct bh_command *command = importing->command;
    struct bh_domain domain;
    bh_err err;

    if (!bh_command_domain(command, &domain))
        return false;
    if (domain.approach != BH_APPROACH_MANUAL && domain.approach != BH_APPROACH_DELEGATION) {
        bh_command_fail(command, "invalid", "Its keys are behind CNAMEs and made here",
                        "%.*s takes no imported keys: its approach is %s", BH_FMT(domain.name),
                        bh_approach_name(domain.approach));
        return false;
    }
    err = bh_controld_view(command->core, command->arena, domain.id, false, &importing->view);
    if (err)
        bh_command_fail_err(command, err, "cannot read the domain");
    else if (importing->view.key_count == BH_KEYS_PER_DOMAIN)
        bh_command_fail(command, "limit", NULL, "%.*s has %d keys already", BH_FMT(domain.name), BH_KEYS_PER_DOMAIN);
    else
        return true;
    return false;
}

void bh_dkim_import(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "selector", NULL};
    struct importing *importing = bh_arena_alloc(command->arena, sizeof(*importing));
    struct bh_controld *core = command->core;
    struct bh_key_order order;
    bh_err err;

    if (!importing) {
        bh_command_fail_err(command, BH_E_NOMEM, "cannot import the key");
        return;
    }
    importing->command = command;
    if (!bh_command_knows(command, known) || !check_domain(importing) || !check_selector(importing))
        return;
    if (command->fd < 0) {
        bh_command_fail(command, "invalid", NULL, "the key's file is missing");
        return;
    }
    importing->key.id = (int64_t)core->next_key_id++;
    importing->key.state = BH_KEY_ACTIVE;
    importing->key.imported = true;
    importing->key.created_at = bh_controld_now(core);
    order = (struct bh_key_order){.algorithm = 0,
                                  .customer_id = (uint32_t)importing->view.domain.customer_id,
                                  .key_id = (uint64_t)importing->key.id,
                                  .domain = importing->view.domain.name,
                                  .selector = importing->key.selector,
                                  .fd = command->fd};
    err = core->out->make_key(core->out_ctx, &order, on_imported, importing);
    if (err)
        bh_command_fail_err(command, err, "cannot import the key");
}
