/* main.c: sender: SMTP out. The role's table of functions; the work is in the files that sender.h names. */
#include "base/random.h"
#include "roles/role_resolver.h"
#include "sender.h"
#include <stdlib.h>

enum { DRAIN_LIMIT_MS = 12 * 1000, DRAIN_STEP_MS = 100, SLOTS_MAX = 512, ROOTS_MAX = 8 << 20 };

static struct sender *sender_of(struct bh_role *role)
{
    return role->state;
}

static size_t slot_count(const struct sender *sender)
{
    size_t wanted = (size_t)sender->role->config->connection_limit * 2;

    return wanted < SLOTS_MAX ? wanted : SLOTS_MAX;
}

/* Every delivery that is done makes room for one; told once per turn. */
static void tell_slots(void *ctx)
{
    struct sender *sender = ctx;
    struct bh_peer *queued = bh_role_any_peer(sender->role, BH_ROLE_QUEUED);

    if (queued && sender->finished && !sender->draining)
        (void)!BH_PEER_SEND(queued, SLOTS, 0, slots, &((struct bh_msg_slots){(uint32_t)sender->finished}));
    sender->finished = 0;
}

static void queued_up(struct sender *sender, struct bh_peer *queued)
{
    size_t room = slot_count(sender);

    bh_results_replay(sender, queued);
    room = room > sender->deliveries.count ? room - sender->deliveries.count : 0;
    sender->finished = 0;
    if (!sender->draining)
        (void)!BH_PEER_SEND(queued, SLOTS, 0, slots, &((struct bh_msg_slots){(uint32_t)room}));
}

static void peer_up(struct bh_role *role, struct bh_peer *peer)
{
    if (peer->kind == BH_ROLE_QUEUED)
        queued_up(sender_of(role), peer);
    else if (peer->kind == BH_ROLE_KEYD)
        bh_signing_again(sender_of(role));
    else if (peer->kind == BH_ROLE_STEWARD)
        bh_sts_again(sender_of(role));
}

static bh_err take_subkeys(struct sender *sender, bh_str body)
{
    struct bh_msg_subkeys message;
    struct bh_rec_subkey record;
    struct bh_cur list;
    bh_err err = bh_msg_subkeys_get(body, &message);

    if (err || !bh_str_eq(message.purpose, BH_STR("bounce")))
        return err;
    list = bh_cur_make(message.keys);
    sender->ring.count = 0;
    sender->ring.keys = sender->ring_keys;
    while ((err = bh_rec_subkey_next(&list, &record)) == BH_MORE && sender->ring.count < BH_VERP_KEYS_MAX) {
        struct bh_verp_key *key = &sender->ring_keys[sender->ring.count];

        if (record.key.n != BH_VERP_KEY_BYTES)
            return BH_E_SYNTAX;
        key->period = (uint16_t)record.period;
        memcpy(key->key, record.key.p, BH_VERP_KEY_BYTES);
        sender->ring.count++;
    }
    return err == BH_DONE ? BH_OK : err;
}

static bh_err on_message(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct sender *sender = sender_of(role);

    if (peer->kind == BH_ROLE_QUEUED && message->type == BH_MSG_DELIVER)
        return bh_delivery_begin(sender, message);
    if (peer->kind == BH_ROLE_QUEUED && message->type == BH_MSG_RESULT_ACK)
        return bh_result_acknowledged(sender, message->body);
    if (peer->kind == BH_ROLE_KEYD && message->type == BH_MSG_SIGNATURES)
        return bh_signing_answer(sender, message->body);
    if (peer->kind == BH_ROLE_KEYD && message->type == BH_MSG_SUBKEYS)
        return take_subkeys(sender, message->body);
    return BH_E_SYNTAX;
}

/* ---- life ---- */

static void drain_step(void *ctx)
{
    struct sender *sender = ctx;

    bh_tls_results_tell(sender);
    if (sender->deliveries.count == 0 && sender->results.count == 0)
        bh_role_stop(sender->role);
    else
        bh_timer_set(&sender->drain_timer, DRAIN_STEP_MS);
}

static void drain(struct bh_role *role)
{
    struct sender *sender = sender_of(role);

    sender->draining = true;
    bh_timer_set(&sender->drain_timer, 0);
}

/* With the public roots, for those who must prove their name; without them such mail waits. */
static bh_err make_tls(struct sender *sender)
{
    const struct bh_role *role = sender->role;
    struct bh_buf roots = bh_buf_make(ROOTS_MAX);
    bh_err err = bh_role_read_file(role->config->ca_file, &roots);

    if (!err)
        err = bh_tls_client_new(bh_buf_view(&roots), &sender->tls);
    if (err) {
        bh_logf(&role->log, BH_LOG_WARN, "no roots of trust in %.*s (%s): no certificate can be verified by them",
                BH_FMT(role->config->ca_file), bh_err_text(err));
        err = bh_tls_client_new((bh_str){NULL, 0}, &sender->tls);
    }
    bh_buf_free(&roots);
    return err;
}

static bh_err make_classifier(struct sender *sender)
{
    struct bh_rules_source builtin = bh_bounce_rules_builtin();
    struct bh_rules_fault fault;
    bh_err err = bh_bounce_rules_new(&builtin, 1, &sender->rules, &fault);

    if (err)
        return err;
    sender->rules_arena = bh_arena_new(16 << 20);
    sender->classifier = sender->rules_arena ? bh_classifier_new(sender->rules_arena, sender->rules) : NULL;
    return sender->classifier ? BH_OK : BH_E_NOMEM;
}

static bh_err start(struct bh_role *role)
{
    struct sender *sender = calloc(1, sizeof(*sender));
    struct bh_dkim_config dkim = {.max_header_bytes = 4 << 20};
    bh_err err;

    if (!sender)
        return BH_E_NOMEM;
    role->state = sender;
    sender->role = role;
    bh_map_init(&sender->deliveries, role->map_seed);
    bh_map_init(&sender->sites, role->map_seed);
    bh_map_init(&sender->results, role->map_seed);
    bh_map_init(&sender->tls_counts, role->map_seed);
    bh_list_init(&sender->sts);
    bh_list_init(&sender->signing);
    bh_list_init(&sender->to_sign);
    bh_deferred_init(&sender->write_sign, bh_signing_write, sender);
    bh_deferred_init(&sender->tell_slots, tell_slots, sender);
    memcpy(dkim.seed, role->map_seed, sizeof(dkim.seed));
    sender->dkim = bh_dkim_new(&dkim);
    if (!sender->dkim)
        return BH_E_NOMEM;
    err = make_classifier(sender);
    if (!err)
        err = make_tls(sender);
    if (!err)
        err = bh_timer_init(role->loop, &sender->drain_timer, drain_step, sender);
    if (!err)
        err = bh_timer_init(role->loop, &sender->tell_tls, bh_tls_results_tell, sender);
    if (!err)
        err = bh_role_resolver_new(role, &sender->unbound);
    if (!err)
        sender->resolver = bh_unbound_resolver_base(sender->unbound);
    return err;
}

static void stop(struct bh_role *role)
{
    struct sender *sender = sender_of(role);

    bh_sites_free(sender);
    for (struct bh_map_node *node; (node = bh_map_next(&sender->deliveries, NULL));)
        bh_delivery_free(BH_CONTAINER_OF(node, struct delivery, node));
    bh_map_free(&sender->deliveries);
    bh_results_free(sender);
    bh_tls_results_free(sender);
    bh_timer_free(&sender->tell_tls);
    bh_unbound_resolver_free(sender->unbound);
    bh_tls_free(sender->tls);
    bh_dkim_free(sender->dkim);
    bh_bounce_rules_free(sender->rules);
    bh_arena_free(sender->rules_arena);
    bh_timer_free(&sender->drain_timer);
    bh_deferred_cancel(&sender->write_sign);
    bh_deferred_cancel(&sender->tell_slots);
    bh_wipe(sender->ring_keys, sizeof(sender->ring_keys));
    free(sender);
}

int main(void)
{
    static const struct bh_role_ops ops = {.kind = BH_ROLE_SENDER,
                                           .start = start,
                                           .peer_up = peer_up,
                                           .message = on_message,
                                           .drain = drain,
                                           .stop = stop};

    return bh_role_main(&ops);
}
