/* policies.c: see policies.h. */
#include "policies.h"
#include "mail/mta_sts.h"
#include "store/transport.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    FETCH_MS = 60 * 1000, /* RFC 8461 3.3 */
    FAILED_MS = 5 * 60 * 1000,
    FAILED_MAX = 20000,
    REFRESH_STEP_MS = 10 * 1000,
    REFRESH_AFTER_MS = 24 * 3600 * 1000,
    TTL_MAX_S = 3600,
    TTL_FAILED_S = 300,
    ARENA_BYTES = 256 * 1024
};

enum record { RECORD_ABSENT, RECORD_PRESENT, RECORD_UNKNOWN }; /* of STS */

struct asker {
    struct bh_list list;
    enum bh_role_kind kind;
    uint32_t instance, id;
};

struct fetch {
    struct bh_list list;
    struct bh_policies *policies;
    char domain[256], id[BH_STS_ID_MAX + 1];
    struct bh_http_call *call;
    struct bh_list askers;
};

struct failed {
    struct bh_map_node node;
    struct bh_list order; /* oldest first */
    bh_time_ms until;
    char domain[256], id[BH_STS_ID_MAX + 1];
    char type[32]; /* of failure */
};

static bh_time_ms now_of(const struct bh_policies *policies)
{
    return bh_loop_now(policies->role->loop);
}

/* ---- answers ---- */

static void answer(struct bh_policies *policies, const struct asker *to, const struct bh_sts_row *row,
                   const char *failure)
{
    struct bh_peer *peer = bh_role_peer(policies->role, to->kind, to->instance);
    int64_t left_s = row ? (row->expires_at - now_of(policies)) / 1000 : TTL_FAILED_S;
    struct bh_msg_sts_reply reply = {.policy = row ? row->policy : BH_STR(""),
                                     .ttl_s = (uint32_t)(left_s > TTL_MAX_S ? TTL_MAX_S : left_s),
                                     .failure = bh_str_c(failure ? failure : "")};

    if (peer && peer->up)
        (void)!BH_PEER_SEND(peer, STS_REPLY, to->id, sts_reply, &reply);
}

/* What is known of the domain and still valid. */
static bool find_valid(struct bh_policies *policies, struct bh_arena *arena, bh_str domain, struct bh_sts_row *ret_row)
{
    return bh_sts_row_get(policies->store, arena, domain, ret_row) == BH_OK && ret_row->expires_at > now_of(policies);
}

/* ---- failures ---- */

static void forget_failed(struct bh_policies *policies, struct failed *failed)
{
    bh_map_remove(&policies->failed, &failed->node);
    bh_list_remove(&failed->order);
    free(failed);
}

static const struct failed *find_failed(struct bh_policies *policies, const char *domain, bh_str id)
{
    struct bh_map_node *node = bh_map_get(&policies->failed, bh_str_c(domain));
    struct failed *failed = node ? BH_CONTAINER_OF(node, struct failed, node) : NULL;

    if (failed && (failed->until < now_of(policies) || !bh_str_eq(id, bh_str_c(failed->id)))) {
        forget_failed(policies, failed);
        failed = NULL;
    }
    return failed;
}

static void remember_failed(struct bh_policies *policies, const struct fetch *fetch, const char *type)
{
    struct bh_map_node *node = bh_map_get(&policies->failed, bh_str_c(fetch->domain));
    struct failed *failed;

    if (node)
        forget_failed(policies, BH_CONTAINER_OF(node, struct failed, node));
    if (policies->failed.count >= FAILED_MAX)
        forget_failed(policies, BH_CONTAINER_OF(bh_list_first(&policies->failed_order), struct failed, order));
    failed = calloc(1, sizeof(*failed));
    if (!failed)
        return;
    memcpy(failed->domain, fetch->domain, sizeof(failed->domain));
    memcpy(failed->id, fetch->id, sizeof(failed->id));
    (void)snprintf(failed->type, sizeof(failed->type), "%s", type);
    failed->until = now_of(policies) + FAILED_MS;
    bh_list_init(&failed->order);
    if (bh_map_add(&policies->failed, bh_str_c(failed->domain), &failed->node) != BH_OK)
        free(failed);
    else
        bh_list_push(&policies->failed_order, &failed->order);
}

/* ---- fetching ---- */

static void free_fetch(struct fetch *fetch)
{
    for (struct bh_list *link; (link = bh_list_pop(&fetch->askers));)
        free(BH_CONTAINER_OF(link, struct asker, list));
    bh_http_cancel(fetch->call);
    bh_list_remove(&fetch->list);
    fetch->policies->fetch_count--;
    free(fetch);
}

/* RFC 8461 3.3: 200, text/plain, and a policy. NULL: it is stored. */
static const char *take_answer(struct fetch *fetch, const struct bh_http_answer *got)
{
    struct bh_policies *policies = fetch->policies;
    struct bh_sts_policy policy;
    struct bh_sts_row row = {.domain = bh_str_c(fetch->domain), .id = bh_str_c(fetch->id), .policy = got->body};

    if (got->err == BH_E_CRYPTO)
        return "sts-webpki-invalid";
    if (got->err || got->status != 200 || !bh_str_starts_ci(bh_str_trim(got->content_type), BH_STR("text/plain")))
        return "sts-policy-fetch-error";
    if (bh_sts_policy_read(got->body, &policy) != BH_OK)
        return "sts-policy-invalid";
    row.fetched_at = now_of(policies);
    row.expires_at = row.fetched_at + (bh_time_ms)policy.max_age_s * 1000;
    if (bh_sts_row_put(policies->store, &row) != BH_OK)
        bh_logf(&policies->role->log, BH_LOG_ERROR, "cannot store a policy: %s", bh_store_error(policies->store));
    return NULL;
}

static void log_failure(const struct fetch *fetch, const char *failure, const struct bh_http_answer *got)
{
    char status[40] = "";

    if (!got->err)
        (void)snprintf(status, sizeof(status), "status %u", got->status);
    bh_log_line(&fetch->policies->role->log, BH_LOG_INFO, "an MTA-STS policy cannot be had",
                BH_KV("domain", bh_str_c(fetch->domain)), BH_KV("failure", bh_str_c(failure)),
                BH_KV("why", bh_str_c(got->err ? got->why : status)));
}

static void on_fetched(void *ctx, const struct bh_http_answer *got)
{
    struct fetch *fetch = ctx;
    struct bh_policies *policies = fetch->policies;
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    const char *failure = take_answer(fetch, got);
    struct bh_sts_row row;
    bool valid;

    fetch->call = NULL;
    if (failure) {
        remember_failed(policies, fetch, failure);
        log_failure(fetch, failure, got);
    }
    valid = arena && find_valid(policies, arena, bh_str_c(fetch->domain), &row);
    BH_LIST_EACH (link, &fetch->askers)
        answer(policies, BH_CONTAINER_OF(link, struct asker, list), valid ? &row : NULL, failure);
    bh_arena_free(arena);
    free_fetch(fetch);
}

static struct fetch *find_fetch(struct bh_policies *policies, bh_str domain)
{
    BH_LIST_EACH (link, &policies->fetches) {
        struct fetch *fetch = BH_CONTAINER_OF(link, struct fetch, list);

        if (bh_str_eq(domain, bh_str_c(fetch->domain)))
            return fetch;
    }
    return NULL;
}

static struct fetch *begin_fetch(struct bh_policies *policies, bh_str domain, bh_str id)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    char url[400], port[8] = "";
    int n;

    if (!fetch || bh_str_to_c(domain, fetch->domain, sizeof(fetch->domain)) ||
        bh_str_to_c(id, fetch->id, sizeof(fetch->id))) {
        free(fetch);
        return NULL;
    }
    fetch->policies = policies;
    bh_list_init(&fetch->askers);
    bh_list_push(&policies->fetches, &fetch->list);
    policies->fetch_count++;
    if (policies->port)
        (void)snprintf(port, sizeof(port), ":%u", policies->port);
    n = snprintf(url, sizeof(url), "https://mta-sts.%s%s/.well-known/mta-sts.txt", fetch->domain, port);
    if (bh_http_start(policies->http,
                      &(struct bh_http_request){
                          .url = bh_str_of(url, (size_t)n), .answer_max = BH_STS_POLICY_MAX, .timeout_ms = FETCH_MS},
                      on_fetched, fetch, &fetch->call) != BH_OK) {
        free_fetch(fetch);
        return NULL;
    }
    return fetch;
}

/* ---- asking ---- */

static void ask_by_fetch(struct bh_policies *policies, const struct bh_msg_sts *ask, const struct asker *from,
                         const struct bh_sts_row *known)
{
    struct fetch *fetch = find_fetch(policies, ask->domain);
    struct asker *asker = malloc(sizeof(*asker));

    if (!fetch)
        fetch = begin_fetch(policies, ask->domain, ask->id);
    if (!fetch || !asker) {
        free(asker);
        answer(policies, from, known, "sts-policy-fetch-error");
        return;
    }
    *asker = *from;
    bh_list_init(&asker->list);
    bh_list_push(&fetch->askers, &asker->list);
}

bh_err bh_policies_ask(struct bh_policies *policies, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_msg_sts ask;
    struct asker from = {.kind = peer->kind, .instance = peer->instance, .id = message->id};
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    struct bh_sts_row row;
    const struct failed *failed;
    char domain[256];
    bool valid;
    bh_err err = arena ? bh_msg_sts_get(message->body, &ask) : BH_E_NOMEM;

    if (!err)
        err = bh_str_to_c(ask.domain, domain, sizeof(domain));
    if (err) {
        bh_arena_free(arena);
        return err;
    }
    valid = find_valid(policies, arena, ask.domain, &row);
    failed = find_failed(policies, domain, ask.id);
    if (ask.record != RECORD_PRESENT || (valid && bh_str_eq(row.id, ask.id)))
        answer(policies, &from, valid ? &row : NULL, NULL);
    else if (failed)
        answer(policies, &from, valid ? &row : NULL, failed->type);
    else
        ask_by_fetch(policies, &ask, &from, valid ? &row : NULL);
    bh_arena_free(arena);
    return BH_OK;
}

/* ---- refreshing ---- */

/* One that was not fetched for a day, now and then: what is valid stays so, also for whom we rarely write to. */
static void refresh(void *ctx)
{
    struct bh_policies *policies = ctx;
    struct bh_arena *arena = bh_arena_new(ARENA_BYTES);
    bh_time_ms now = now_of(policies);
    struct bh_sts_row row;

    if (arena && bh_sts_row_old(policies->store, arena, now - REFRESH_AFTER_MS, now, &row) == BH_OK) {
        (void)!bh_sts_row_tried(policies->store, row.domain, now);
        if (!find_fetch(policies, row.domain))
            (void)begin_fetch(policies, row.domain, row.id);
    } else {
        (void)!bh_sts_rows_expire(policies->store, now);
    }
    bh_arena_free(arena);
    bh_timer_set(&policies->refresh, REFRESH_STEP_MS);
}

bh_err bh_policies_start(struct bh_policies *policies)
{
    bh_err err = bh_timer_init(policies->role->loop, &policies->refresh, refresh, policies);

    bh_list_init(&policies->fetches);
    bh_list_init(&policies->failed_order);
    bh_map_init(&policies->failed, policies->role->map_seed);
    if (!err)
        bh_timer_set(&policies->refresh, REFRESH_STEP_MS);
    return err;
}

void bh_policies_stop(struct bh_policies *policies)
{
    if (!policies->fetches.next)
        return;
    for (struct bh_list *link; (link = bh_list_first(&policies->fetches));)
        free_fetch(BH_CONTAINER_OF(link, struct fetch, list));
    for (struct bh_list *link; (link = bh_list_first(&policies->failed_order));)
        forget_failed(policies, BH_CONTAINER_OF(link, struct failed, order));
    bh_map_free(&policies->failed);
    bh_timer_free(&policies->refresh);
}
