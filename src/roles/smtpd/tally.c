/* tally.c: what was refused at RCPT on port 25, counted by reason and told to the event log some seconds later, as one
 * event: strangers decide how many refusals there are, not how many rows. What queued has not stored is counted on. */
#include "base/random.h"
#include "smtpd.h"
#include <stdio.h>

enum { TELL_AFTER_MS = 5 * 1000, ANSWER_MS = 60 * 1000 };

static const char *const names[SMTPD_REFUSALS] = {
    [SMTPD_FORGED] = "forged",     [SMTPD_EXPIRED] = "expired",   [SMTPD_UNKNOWN] = "unknown",
    [SMTPD_NOT_OURS] = "not-ours", [SMTPD_REPEATED] = "repeated", [SMTPD_TOO_FAST] = "too-fast",
};

static void put_back(struct smtpd *smtpd)
{
    for (size_t i = 0; i < SMTPD_REFUSALS; i++)
        smtpd->refused[i] += smtpd->refused_told[i];
    memset(smtpd->refused_told, 0, sizeof(smtpd->refused_told));
    bh_timer_set(&smtpd->tell, TELL_AFTER_MS);
}

static void on_told(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct smtpd *smtpd = ctx;
    struct bh_msg_event_reply reply;

    smtpd->telling = NULL;
    if (err || bh_msg_event_reply_get(message->body, &reply) || !reply.ok) {
        put_back(smtpd);
        return;
    }
    memset(smtpd->refused_told, 0, sizeof(smtpd->refused_told));
    for (size_t i = 0; i < SMTPD_REFUSALS; i++)
        if (smtpd->refused[i])
            bh_timer_set(&smtpd->tell, TELL_AFTER_MS);
}

static void put_event(struct smtpd *smtpd, struct bh_buf *list)
{
    struct bh_buf detail = bh_buf_make(1000);
    char key[64];
    uint64_t random;

    bh_random_fill(&bh_random_os, &random, sizeof(random));
    (void)snprintf(key, sizeof(key), "r-%016llx-%lld", (unsigned long long)random,
                   (long long)bh_loop_now(smtpd->role->loop));
    bh_buf_add(&detail, BH_STR("{\"refused\":{"));
    for (size_t i = 0, n = 0; i < SMTPD_REFUSALS; i++)
        if (smtpd->refused_told[i])
            bh_buf_printf(&detail, "%s\"%s\":%u", n++ ? "," : "", names[i], smtpd->refused_told[i]);
    bh_buf_add(&detail, BH_STR("}}"));
    bh_rec_told_event_put(list, &(struct bh_rec_told_event){.key = bh_str_c(key),
                                                            .kind = BH_EVENT_FEEDBACK_IGNORED,
                                                            .recipient_index = UINT32_MAX,
                                                            .text = BH_STR("refused at RCPT"),
                                                            .detail = bh_buf_view(&detail)});
    bh_buf_free(&detail);
}

static void tell(void *ctx)
{
    struct smtpd *smtpd = ctx;
    struct bh_peer *queued = bh_role_any_peer(smtpd->role, BH_ROLE_QUEUED);
    struct bh_buf list = bh_buf_make(4096);
    bh_err err;

    if (smtpd->telling) {
        bh_buf_free(&list);
        return;
    }
    memcpy(smtpd->refused_told, smtpd->refused, sizeof(smtpd->refused_told));
    memset(smtpd->refused, 0, sizeof(smtpd->refused));
    put_event(smtpd, &list);
    err = queued ? BH_PEER_CALL(queued, EVENT, event, &((struct bh_msg_event){bh_buf_view(&list)}), ANSWER_MS, on_told,
                                smtpd, &smtpd->telling)
                 : BH_E_CLOSED;
    if (err)
        put_back(smtpd);
    bh_buf_free(&list);
}

void smtpd_count_refusal(struct smtpd *smtpd, enum smtpd_refusal why)
{
    bool first = true;

    for (size_t i = 0; i < SMTPD_REFUSALS; i++)
        first = first && !smtpd->refused[i];
    if (smtpd->refused[why] < UINT32_MAX)
        smtpd->refused[why]++;
    if (first && !smtpd->draining)
        bh_timer_set(&smtpd->tell, TELL_AFTER_MS);
}

bh_err smtpd_tally_init(struct smtpd *smtpd)
{
    return bh_timer_init(smtpd->role->loop, &smtpd->tell, tell, smtpd);
}

void smtpd_tally_free(struct smtpd *smtpd)
{
    bh_call_cancel(smtpd->telling);
    smtpd->telling = NULL;
    bh_timer_free(&smtpd->tell);
}
