/* controld: the only process that opens control.db. It executes the commands of the control socket, answers look-ups of
 * smtpd and queued, keeps dnsd supplied with zones, and has domains checked by the steward. This file puts the core
 * (core.h) on IPC: its orders become messages (those with an answer: calls.c), messages become calls of the core. */
#include "canary.h"
#include "command.h"
#include "daemon.h"
#include "keys.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- zones and versions ---- */

static bh_err put_part(struct bh_peer *peer, const struct bh_zone *zone, struct bh_buf *records, bool more)
{
    struct bh_msg_zone message = {zone->apex, more, bh_buf_view(records)};
    bh_err err = bh_buf_err(records);

    if (!err)
        err = BH_PEER_SEND(peer, ZONE, 0, zone, &message);
    bh_buf_clear(records);
    return err;
}

/* A large zone goes in parts, each well below what a message may hold. */
static void put_zone(struct bh_peer *peer, const struct bh_zone *zone)
{
    struct bh_buf records = bh_buf_make(BH_IPC_BODY_MAX);
    bh_err err = BH_OK;

    for (size_t i = 0; i < zone->count && !err; i++) {
        bh_rec_zone_record_put(&records, &(struct bh_rec_zone_record){zone->records[i].owner, zone->records[i].type,
                                                                      zone->records[i].ttl_s, zone->records[i].rdata});
        if (records.n >= ZONE_PART_BYTES)
            err = put_part(peer, zone, &records, true);
    }
    if (!err)
        err = put_part(peer, zone, &records, false);
    if (err)
        bh_log_line(&peer->role->log, BH_LOG_ERROR, "cannot push a zone", BH_KV("zone", zone->apex),
                    BH_KV("why", bh_str_c(bh_err_text(err))));
    bh_buf_free(&records);
}

static void put_zone_to(void *ctx, const struct bh_zone *zone)
{
    put_zone(ctx, zone);
}

static void keep_zone_at(void *ctx, bh_str name)
{
    (void)!BH_PEER_SEND((struct bh_peer *)ctx, ZONE_KEEP, 0, zone_remove, &(struct bh_msg_zone_remove){name});
}

static void push_zone(void *ctx, const struct bh_zone *zone)
{
    struct controld *controld = ctx;

    for (struct bh_peer *peer = controld->role->peers; peer; peer = peer->next_peer)
        if (peer->kind == BH_ROLE_DNSD && peer->up)
            put_zone(peer, zone);
}

static void remove_zone(void *ctx, bh_str name)
{
    struct controld *controld = ctx;

    for (struct bh_peer *peer = controld->role->peers; peer; peer = peer->next_peer)
        if (peer->kind == BH_ROLE_DNSD && peer->up)
            (void)!BH_PEER_SEND(peer, ZONE_REMOVE, 0, zone_remove, &(struct bh_msg_zone_remove){name});
}

static bh_err commit_zones(struct bh_peer *peer, uint64_t version, bool whole, uint32_t serial)
{
    struct bh_msg_zones_commit message = {version, whole, serial};
    struct controld *controld = peer->role->state;

    if (peer->instance < DNSDS_MAX)
        controld->dnsds[peer->instance].sent++;
    return BH_PEER_SEND(peer, ZONES_COMMIT, 0, zones_commit, &message);
}

static void commit_all(void *ctx, uint64_t version, bool whole, uint32_t serial)
{
    struct controld *controld = ctx;

    for (struct bh_peer *peer = controld->role->peers; peer; peer = peer->next_peer)
        if (peer->kind == BH_ROLE_DNSD && peer->up)
            (void)!commit_zones(peer, version, whole, serial);
}

bh_err controld_tell_version(struct bh_peer *peer, uint64_t version)
{
    struct bh_msg_version message = {version};

    return BH_PEER_SEND(peer, VERSION, 0, version, &message);
}

static void push_version(void *ctx, uint64_t version)
{
    struct controld *controld = ctx;

    for (struct bh_peer *peer = controld->role->peers; peer; peer = peer->next_peer)
        if ((peer->kind == BH_ROLE_SMTPD || peer->kind == BH_ROLE_QUEUED || peer->kind == BH_ROLE_WEBD) && peer->up)
            (void)!controld_tell_version(peer, version);
}

/* ---- time ---- */

static bh_time_ms read_clock(void *ctx)
{
    return bh_loop_now(((struct controld *)ctx)->role->loop);
}

static void order_wake(void *ctx, int64_t in_ms)
{
    bh_timer_set(&((struct controld *)ctx)->wake, in_ms);
}

static void on_wake(void *ctx)
{
    struct controld *controld = ctx;

    bh_controld_wake(&controld->core);
    bh_controld_tell_events(&controld->core);
    if (controld->core.feedback_again)
        bh_feedback_follow(&controld->core);
}

static void order_keys_wake(void *ctx, int64_t in_ms)
{
    struct controld *controld = ctx;
    bh_time_ms at = read_clock(ctx) + in_ms;

    if (controld->keys_wake_at && controld->keys_wake_at <= at)
        return;
    controld->keys_wake_at = at;
    bh_timer_set(&controld->keys_wake, in_ms);
}

static void on_keys_wake(void *ctx)
{
    struct controld *controld = ctx;

    controld->keys_wake_at = 0;
    bh_keys_wake(&controld->core);
}

static void order_reseal_wake(void *ctx, int64_t in_ms)
{
    bh_timer_set(&((struct controld *)ctx)->reseal_wake, in_ms);
}

static void on_reseal_wake(void *ctx)
{
    bh_reseal_wake(&((struct controld *)ctx)->core);
}

static void order_settle(void *ctx)
{
    struct controld *controld = ctx;

    bh_loop_defer(controld->role->loop, &controld->settle);
}

static void on_settle(void *ctx)
{
    bh_controld_settle(&((struct controld *)ctx)->core);
}

/* The earliest order stands. */
static void order_zone_keys_wake(void *ctx, int64_t in_ms)
{
    struct controld *controld = ctx;
    bh_time_ms at = bh_loop_monotonic(controld->role->loop) + in_ms;

    if (controld->zone_keys_at && controld->zone_keys_at <= at)
        return;
    controld->zone_keys_at = at;
    bh_timer_set(&controld->zone_keys, in_ms);
}

static void on_zone_keys_wake(void *ctx)
{
    struct controld *controld = ctx;

    controld->zone_keys_at = 0;
    bh_zone_keys_tick(&controld->core);
}

static void write_log(void *ctx, enum bh_log_level level, const char *text, bh_str subject)
{
    bh_log_line(&((struct controld *)ctx)->role->log, level, text, BH_KV("about", subject));
}

static const struct bh_controld_out orders = {.make_key = controld_make_key,
                                              .ask_dns = controld_ask_dns,
                                              .ask_connect = controld_ask_connect,
                                              .dns_stats = controld_dns_stats,
                                              .ask_queue = controld_ask_queue,
                                              .submit = controld_submit,
                                              .zone = push_zone,
                                              .zone_remove = remove_zone,
                                              .zones_commit = commit_all,
                                              .sign_zone = controld_sign_zone,
                                              .zone_keys_wake = order_zone_keys_wake,
                                              .version = push_version,
                                              .wake = order_wake,
                                              .settle = order_settle,
                                              .key_use = controld_key_use,
                                              .revoke_keys = controld_revoke_keys,
                                              .wake_keys = order_keys_wake,
                                              .reseal = controld_reseal,
                                              .secret_again = controld_secret_again,
                                              .snapshot = controld_snapshot,
                                              .wake_reseal = order_reseal_wake,
                                              .log = write_log,
                                              .tell_events = controld_tell_events};

/* ---- look-ups ---- */

#define ANSWER(controld, peer, message, REPLY, ask_name, reply_name, look_up)                                          \
    do {                                                                                                               \
        struct bh_msg_##ask_name ask_;                                                                                 \
        struct bh_msg_##reply_name reply_;                                                                             \
        bh_err err_ = bh_msg_##ask_name##_get((message)->body, &ask_);                                                 \
        if (err_)                                                                                                      \
            return err_;                                                                                               \
        bh_arena_reset((controld)->scratch);                                                                           \
        look_up(&(controld)->core, (controld)->scratch, &ask_, &reply_);                                               \
        return BH_PEER_SEND((peer), REPLY, (message)->id, reply_name, &reply_);                                        \
    } while (0)

static bh_err on_login(struct controld *c, struct bh_peer *peer, struct bh_ipc_message *message)
{
    ANSWER(c, peer, message, LOGIN_REPLY, login, login_reply, bh_lookup_login);
}

static bh_err on_customer(struct controld *c, struct bh_peer *peer, struct bh_ipc_message *message)
{
    ANSWER(c, peer, message, CUSTOMER_REPLY, customer, login_reply, bh_lookup_customer);
}

static bh_err on_may_send(struct controld *c, struct bh_peer *peer, struct bh_ipc_message *message)
{
    ANSWER(c, peer, message, MAY_SEND_REPLY, may_send, may_send_reply, bh_lookup_may_send);
}

static bh_err on_bounce_domain(struct controld *c, struct bh_peer *peer, struct bh_ipc_message *message)
{
    ANSWER(c, peer, message, BOUNCE_DOMAIN_REPLY, bounce_domain, bounce_domain_reply, bh_lookup_bounce_domain);
}

static bh_err on_identity(struct controld *c, struct bh_peer *peer, struct bh_ipc_message *message)
{
    ANSWER(c, peer, message, IDENTITY_REPLY, identity, identity_reply, bh_lookup_identity);
}

static bh_err on_token(struct controld *c, struct bh_peer *peer, struct bh_ipc_message *message)
{
    ANSWER(c, peer, message, TOKEN_REPLY, token, token_reply, bh_lookup_token);
}

/* webd is a door like smtpd; what it may do more is give commands, each in the name of a token. */
static bh_err from_webd(struct controld *controld, struct bh_peer *peer, struct bh_ipc_message *message)
{
    switch (message->type) {
    case BH_MSG_TOKEN:
        return on_token(controld, peer, message);
    case BH_MSG_MAY_SEND:
        return on_may_send(controld, peer, message);
    case BH_MSG_API_COMMAND:
        return bh_control_api_take(&controld->api, peer, message);
    default:
        return BH_E_DENIED;
    }
}

static bh_err on_suppressed(struct controld *c, struct bh_peer *peer, struct bh_ipc_message *message)
{
    ANSWER(c, peer, message, SUPPRESSED_REPLY, suppressed, suppressed_reply, bh_lookup_suppressed);
}

static bh_err from_smtpd(struct controld *controld, struct bh_peer *peer, struct bh_ipc_message *message)
{
    switch (message->type) {
    case BH_MSG_LOGIN:
        return on_login(controld, peer, message);
    case BH_MSG_CUSTOMER:
        return on_customer(controld, peer, message);
    case BH_MSG_MAY_SEND:
        return on_may_send(controld, peer, message);
    case BH_MSG_BOUNCE_DOMAIN:
        return on_bounce_domain(controld, peer, message);
    default:
        return BH_E_DENIED;
    }
}

static bh_err on_grant_key(struct controld *controld, bh_str body)
{
    struct bh_msg_grant_key message;
    bh_err err = bh_msg_grant_key_get(body, &message);

    if (!err)
        bh_zone_keys_keyd_up(&controld->core, message.key);
    return err;
}

/* Secondaries are told of a change when every dnsd serves it: they may ask any of them. */
static void on_zones_served(struct controld *controld, const struct bh_peer *peer)
{
    struct bh_msg_zones_commit now = {controld->core.version, 0, controld->core.serial};

    if (peer->instance < DNSDS_MAX)
        controld->dnsds[peer->instance].served++;
    for (struct bh_peer *p = controld->role->peers; p; p = p->next_peer)
        if (p->kind == BH_ROLE_DNSD && p->up && p->instance < DNSDS_MAX &&
            controld->dnsds[p->instance].served < controld->dnsds[p->instance].sent)
            return;
    for (struct bh_peer *p = controld->role->peers; p; p = p->next_peer)
        if (p->kind == BH_ROLE_DNSD && p->up)
            (void)!BH_PEER_SEND(p, NOTIFY_NOW, 0, zones_commit, &now);
}

static bh_err on_subkeys(struct controld *controld, struct bh_ipc_message *message)
{
    struct bh_msg_subkeys subkeys;
    bh_err err = bh_msg_subkeys_get(message->body, &subkeys);

    if (!err)
        err = bh_canary_keys(&controld->core, &subkeys);
    if (!err)
        bh_timer_set(&controld->wake, 500); /* some may be due */
    return err;
}

static bh_err on_secrets(struct controld *controld, struct bh_ipc_message *message)
{
    struct bh_msg_secrets secrets;
    bh_err err = bh_msg_secrets_get(message->body, &secrets);

    return err ? err : bh_reseal_secrets(&controld->core, &secrets);
}

static bh_err on_canary_verdict(struct controld *controld, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct bh_msg_canary_verdict told;
    struct bh_msg_event_reply reply;
    bh_err err = bh_msg_canary_verdict_get(message->body, &told);

    if (err)
        return err;
    reply.ok = bh_canary_judged(&controld->core, (int64_t)told.canary,
                                &(struct bh_canary_verdict){
                                    told.passed != 0, (enum bh_mechanism)(told.aligned & BH_MECH_BOTH), told.detail,
                                    told.from_domain.n ? told.from_domain : BH_STR("")}) == BH_OK;
    return BH_PEER_SEND(peer, CANARY_VERDICT_REPLY, message->id, event_reply, &reply);
}

static bh_err on_peer_message(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct controld *controld = role->state;

    if (peer->kind == BH_ROLE_SMTPD)
        return from_smtpd(controld, peer, message);
    if (peer->kind == BH_ROLE_WEBD)
        return from_webd(controld, peer, message);
    if (peer->kind == BH_ROLE_QUEUED && message->type == BH_MSG_SUPPRESSED)
        return on_suppressed(controld, peer, message);
    if (peer->kind == BH_ROLE_QUEUED && message->type == BH_MSG_FEEDBACK_NEWS) {
        bh_feedback_follow(&controld->core);
        return BH_OK;
    }
    if (peer->kind == BH_ROLE_QUEUED && message->type == BH_MSG_IDENTITY)
        return on_identity(controld, peer, message);
    if (peer->kind == BH_ROLE_KEYD && message->type == BH_MSG_GRANT_KEY)
        return on_grant_key(controld, message->body);
    if (peer->kind == BH_ROLE_KEYD && message->type == BH_MSG_SECRETS)
        return on_secrets(controld, message);
    if (peer->kind == BH_ROLE_KEYD && message->type == BH_MSG_SUBKEYS)
        return on_subkeys(controld, message);
    if (peer->kind == BH_ROLE_STEWARD && message->type == BH_MSG_CANARY_VERDICT)
        return on_canary_verdict(controld, peer, message);
    if (peer->kind == BH_ROLE_DNSD && message->type == BH_MSG_ZONES_SERVED) {
        on_zones_served(controld, peer);
        return BH_OK;
    }
    return BH_E_DENIED;
}

/* ---- life ---- */

static bh_err read_platform(struct controld *controld)
{
    const struct bh_config *config = controld->role->config;
    struct bh_platform_ns *ns = calloc(config->nameserver_count + 1, sizeof(*ns));

    if (!ns)
        return BH_E_NOMEM;
    for (size_t i = 0; i < config->nameserver_count; i++)
        ns[i] = (struct bh_platform_ns){config->nameservers[i].label, config->nameservers[i].addresses,
                                        config->nameservers[i].address_count};
    free(controld->ns);
    controld->ns = ns;
    controld->core.platform = (struct bh_platform){.domain = config->platform,
                                                   .ns = ns,
                                                   .ns_count = config->nameserver_count,
                                                   .inbound_host = config->inbound_host,
                                                   .inbound_addresses = config->inbound_addresses,
                                                   .inbound_address_count = config->inbound_address_count,
                                                   .egress = config->egress,
                                                   .egress_count = config->egress_count,
                                                   .helo = config->hostname,
                                                   .caa = config->caa,
                                                   .web_addresses = config->web_addresses,
                                                   .web_address_count = config->web_address_count,
                                                   .require_dmarc = config->require_dmarc,
                                                   .dmarc_policy = config->dmarc_policy,
                                                   .ttl_s = config->zone_ttl_s,
                                                   .serial = controld->core.serial};
    controld->core.message_size_max = config->message_size_max;
    controld->core.egress_keep_ms = (int64_t)config->egress_keep_s * 1000;
    controld->core.dnssec =
        (struct bh_dnssec_times){(int64_t)config->dnssec_hold_s * 1000, (int64_t)config->dnssec_roll_s * 1000};
    controld->core.key_policy.period_ms = (int64_t)config->key_period_s * 1000;
    controld->core.key_policy.receiver_delay_ms = (int64_t)config->receiver_delay_s * 1000;
    controld->core.contacts = config->contacts;
    controld->core.contact_count = config->contact_count;
    controld->core.check_policy = (struct bh_check_policy){.grace_ms = (int64_t)config->grace_s * 1000,
                                                           .loss_ms = (int64_t)config->loss_s * 1000,
                                                           .unanimous_loss_ms = (int64_t)config->unanimous_s * 1000};
    controld->core.canary_every_ms = (int64_t)config->canary_every_s * 1000;
    controld->core.canary_failures_max = config->canary_failures;
    controld->core.tombstone_ms = (int64_t)config->tombstone_s * 1000;
    return BH_OK;
}

static bh_err open_store(struct controld *controld)
{
    struct bh_store_problem problem = {{0}};
    struct bh_buf path = bh_buf_make(4096);
    bh_err err;

    bh_buf_printf(&path, "%.*s/control/control.db", BH_FMT(controld->role->config->state_dir));
    bh_buf_char(&path, '\0');
    err = bh_buf_err(&path);
    if (!err)
        err =
            bh_store_open(&(struct bh_store_options){.path = path.p, .schema = &bh_control_schema, .owner = "controld"},
                          &problem, &controld->core.store);
    if (err)
        bh_logf(&controld->role->log, BH_LOG_ERROR, "%s", problem.text[0] ? problem.text : bh_err_text(err));
    bh_buf_free(&path);
    return err;
}

/* Files come before `start`, so whichever is first makes the state. */
static struct controld *state_of(struct bh_role *role)
{
    struct controld *controld = role->state;

    if (!controld && (controld = calloc(1, sizeof(*controld)))) {
        controld->role = role;
        controld->socket_fd = -1;
        role->state = controld;
    }
    return controld;
}

static bh_err on_file(struct bh_role *role, bh_str purpose, int fd)
{
    struct controld *controld = state_of(role);

    if (!controld || controld->socket_fd >= 0 || controld->socket || !bh_str_eq(purpose, BH_STR("control-socket"))) {
        (void)close(fd);
        return controld ? BH_OK : BH_E_NOMEM;
    }
    controld->socket_fd = fd;
    return BH_OK;
}

static bh_err open_socket(struct controld *controld)
{
    if (controld->socket_fd < 0)
        return BH_OK;
    controld->socket = bh_control_socket_new(controld->role->loop, &controld->core, controld->socket_fd,
                                             controld->role->config->control_group.n > 0);
    if (!controld->socket)
        return BH_E_NOMEM;
    controld->socket_fd = -1;
    return BH_OK;
}

static bh_err start(struct bh_role *role)
{
    struct controld *controld = state_of(role);
    bh_err err;

    if (!controld)
        return BH_E_NOMEM;
    controld->core.random = &bh_random_os;
    controld->core.out = &orders;
    controld->core.out_ctx = controld;
    controld->core.clock = read_clock;
    controld->scratch = bh_arena_new(LOOKUP_ARENA_BYTES);
    bh_control_api_init(&controld->api, &controld->core);
    bh_deferred_init(&controld->settle, on_settle, controld);
    err = controld->scratch ? bh_timer_init(role->loop, &controld->wake, on_wake, controld) : BH_E_NOMEM;
    if (!err)
        err = bh_timer_init(role->loop, &controld->zone_keys, on_zone_keys_wake, controld);
    if (!err)
        err = bh_timer_init(role->loop, &controld->keys_wake, on_keys_wake, controld);
    if (!err)
        err = bh_timer_init(role->loop, &controld->reseal_wake, on_reseal_wake, controld);
    if (!err)
        err = bh_psl_new(NULL, &controld->psl);
    if (!err)
        err = read_platform(controld);
    if (!err)
        err = open_store(controld);
    if (err)
        return err;
    controld->core.suffixes = bh_psl_base(controld->psl);
    err = bh_controld_start(&controld->core);
    if (!err)
        err = bh_zone_keys_platform(&controld->core, role->config->dnssec_platform);
    return err ? err : open_socket(controld);
}

/* Which keys sign no more comes first: keyd waits for it before it uses a grant from before its start. */
static void keyd_up(struct controld *controld)
{
    if (bh_keys_tell_revoked(&controld->core, NULL, NULL))
        bh_logf(&controld->role->log, BH_LOG_ERROR, "keyd cannot be told which keys are revoked");
    bh_controld_need_keys(&controld->core);
    order_keys_wake(controld, 500);
}

/* The platform's own domain has its keys as soon as keyd is there; dnsd gets all zones when it comes up. */
static void peer_up(struct bh_role *role, struct bh_peer *peer)
{
    struct controld *controld = role->state;

    if (peer->kind == BH_ROLE_KEYD)
        keyd_up(controld);
    if (peer->kind == BH_ROLE_STEWARD)
        bh_timer_set(&controld->wake, 500);
    if (peer->kind == BH_ROLE_QUEUED) {
        bh_controld_tell_events(&controld->core);
        bh_feedback_follow(&controld->core);
    }
    if (peer->kind == BH_ROLE_STEWARD || peer->kind == BH_ROLE_QUEUED)
        order_keys_wake(controld, 500);
    if (peer->kind == BH_ROLE_SMTPD || peer->kind == BH_ROLE_QUEUED || peer->kind == BH_ROLE_WEBD)
        (void)!controld_tell_version(peer, controld->core.version);
    if (peer->kind != BH_ROLE_DNSD)
        return;
    if (peer->instance < DNSDS_MAX)
        controld->dnsds[peer->instance].sent = controld->dnsds[peer->instance].served = 0;
    if (bh_publish_all_to(&controld->core, put_zone_to, keep_zone_at, peer))
        bh_logf(&role->log, BH_LOG_ERROR, "not every zone could be built");
    (void)!commit_zones(peer, controld->core.version, true, controld->core.serial);
}

static void peer_down(struct bh_role *role, struct bh_peer *peer)
{
    bh_control_api_peer_down(&((struct controld *)role->state)->api, peer);
}

static void reload(struct bh_role *role)
{
    struct controld *controld = role->state;

    if (read_platform(controld) || bh_egress_start(&controld->core)) {
        bh_logf(&role->log, BH_LOG_ERROR, "the old configuration stays in use");
        return;
    }
    for (struct bh_peer *peer = role->peers; peer; peer = peer->next_peer)
        if (peer->kind == BH_ROLE_DNSD && peer->up)
            peer_up(role, peer);
    bh_timer_set(&controld->wake, 500);
    if (bh_zone_keys_platform(&controld->core, role->config->dnssec_platform))
        bh_logf(&role->log, BH_LOG_ERROR, "cannot turn signing of the platform's zones on or off");
    if (bh_key_due_all(controld->core.store, bh_loop_now(role->loop)))
        bh_logf(&role->log, BH_LOG_ERROR, "keys keep the old schedule for a day");
    order_keys_wake(controld, 0);
    bh_controld_changed(&controld->core);
}

static void stop(struct bh_role *role)
{
    struct controld *controld = role->state;

    bh_control_socket_free(controld->socket);
    bh_snapshot_free(&controld->snapshot);
    bh_controld_stop(&controld->core);
    bh_store_close(controld->core.store);
    bh_timer_free(&controld->wake);
    bh_timer_free(&controld->zone_keys);
    bh_timer_free(&controld->keys_wake);
    bh_timer_free(&controld->reseal_wake);
    bh_psl_free(controld->psl);
    bh_arena_free(controld->scratch);
    free(controld->ns);
    free(controld);
    role->state = NULL;
}

int main(void)
{
    static const struct bh_role_ops ops = {.kind = BH_ROLE_CONTROLD,
                                           .start = start,
                                           .peer_up = peer_up,
                                           .peer_down = peer_down,
                                           .message = on_peer_message,
                                           .file = on_file,
                                           .reload = reload,
                                           .stop = stop};

    return bh_role_main(&ops);
}
