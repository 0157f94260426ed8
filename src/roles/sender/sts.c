/* sts.c: see sender.h. The sender has sockets but no files, the steward fetches and keeps policies (ADR 0019). So the
 * TXT record is looked up here, and what it says is put to the steward, who knows what was valid before: a policy once
 * seen holds until it expires, whatever DNS says today (RFC 8461 5.1). */
#include "sender.h"
#include <stdio.h>
#include <stdlib.h>

enum { WAIT_MS = 60 * 1000, AGAIN_S = 300, TXT_MAX = 4096, NO_RECORD = 0, RECORD = 1, RECORD_UNKNOWN = 2 };

struct sts {
    struct bh_list list; /* sender->sts */
    struct sender *sender;
    char domain[256];
    char id[BH_STS_ID_MAX + 1];
    uint8_t record;
    struct bh_dns_query *query;
    bool asking_dns;
    struct bh_call *call;
    struct bh_timer patience; /* for a steward that is not there */
    sts_done *done;
    void *ctx;
};

void bh_sts_cancel(struct sts *sts)
{
    if (!sts)
        return;
    if (sts->asking_dns && sts->query)
        sts->sender->resolver->ops->cancel(sts->sender->resolver, sts->query);
    bh_call_cancel(sts->call);
    bh_timer_free(&sts->patience);
    bh_list_remove(&sts->list);
    free(sts);
}

static void finish(struct sts *sts, const struct sts_result *result)
{
    sts->done(sts->ctx, result);
    bh_sts_cancel(sts);
}

/* No word from the steward: nothing is known of what held before, but a policy that DNS tells of is there. */
static void give_up(void *ctx)
{
    struct sts *sts = ctx;

    finish(sts,
           &(struct sts_result){.ttl_s = AGAIN_S, .failure = sts->record == RECORD ? "sts-policy-fetch-error" : NULL});
}

static void on_policy(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct sts *sts = ctx;
    struct bh_msg_sts_reply reply;
    struct bh_sts_policy policy = {.mode = BH_STS_NONE};
    struct sts_result result = {0};
    char failure[64];

    sts->call = NULL;
    if (err == BH_E_CLOSED) /* asked again when it is back, for as long as patience lasts */
        return;
    if (err || bh_msg_sts_reply_get(message->body, &reply)) {
        give_up(sts);
        return;
    }
    if (reply.policy.n && bh_sts_policy_read(reply.policy, &policy) == BH_OK)
        result.policy = reply.policy;
    result.mode = policy.mode;
    result.ttl_s = reply.ttl_s;
    if (reply.failure.n && bh_str_to_c(reply.failure, failure, sizeof(failure)) == BH_OK)
        result.failure = failure;
    finish(sts, &result);
}

static void ask_steward(struct sts *sts)
{
    struct bh_peer *steward = bh_role_any_peer(sts->sender->role, BH_ROLE_STEWARD);
    struct bh_msg_sts ask = {bh_str_c(sts->domain), sts->record, bh_str_c(sts->id)};

    if (steward && !sts->call && !sts->asking_dns)
        (void)!BH_PEER_CALL(steward, STS, sts, &ask, WAIT_MS, on_policy, sts, &sts->call);
}

void bh_sts_again(struct sender *sender)
{
    BH_LIST_EACH (link, &sender->sts)
        ask_steward(BH_CONTAINER_OF(link, struct sts, list));
}

/* The strings of one TXT record, joined. */
static bool is_record(bh_str rdata, char id[BH_STS_ID_MAX + 1])
{
    struct bh_buf text = bh_buf_make(TXT_MAX);
    bh_str found;
    bool is;

    while (rdata.n) {
        size_t n = (unsigned char)rdata.p[0];

        bh_buf_add(&text, bh_str_sub(rdata, 1, n));
        rdata = bh_str_skip(rdata, n + 1);
    }
    is = bh_buf_err(&text) == BH_OK && bh_sts_record_read(bh_buf_view(&text), &found) &&
         bh_str_to_c(found, id, BH_STS_ID_MAX + 1) == BH_OK;
    bh_buf_free(&text);
    return is;
}

static void on_record(void *ctx, const struct bh_dns_answer *answer)
{
    struct sts *sts = ctx;
    size_t count = 0;

    sts->asking_dns = false;
    sts->record = answer->status == BH_DNS_TEMPFAIL ? RECORD_UNKNOWN : NO_RECORD;
    for (size_t i = 0; answer->status == BH_DNS_FOUND && i < answer->count; i++)
        count += is_record(answer->records[i].rdata, sts->id);
    if (count == 1) /* several are as good as none (3.1) */
        sts->record = RECORD;
    else
        sts->id[0] = '\0';
    ask_steward(sts);
}

struct sts *bh_sts_begin(struct sender *sender, bh_str domain, sts_done *done, void *ctx)
{
    struct sts *sts = calloc(1, sizeof(*sts));
    char owner[300];
    int n = snprintf(owner, sizeof(owner), "_mta-sts.%.*s", BH_FMT(domain));

    if (!sts || bh_str_to_c(domain, sts->domain, sizeof(sts->domain)) || n >= (int)sizeof(owner) ||
        bh_timer_init(sender->role->loop, &sts->patience, give_up, sts)) {
        free(sts);
        return NULL;
    }
    sts->sender = sender;
    sts->done = done;
    sts->ctx = ctx;
    sts->asking_dns = true;
    if (sender->resolver->ops->lookup(sender->resolver, bh_str_of(owner, (size_t)n), BH_DNS_TXT, on_record, sts,
                                      &sts->query) != BH_OK) {
        bh_timer_free(&sts->patience);
        free(sts);
        return NULL;
    }
    bh_list_push(&sender->sts, &sts->list);
    bh_timer_set(&sts->patience, WAIT_MS);
    return sts;
}
