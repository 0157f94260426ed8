/* batch.c: SUBMIT_BATCH: messages that are committed together or not at all, once for an idempotency key.
 *
 * All are checked before the first row is written. Their rows, and the row of the key, go into the group's open
 * transaction like any submit's; the batch is answered when that has been committed. A key that is known already is
 * answered with the messages of the first request, after the next commit too: its row may be of this very turn. */
#include "base/cur.h"
#include "internal.h"
#include "store/idempotency.h"
#include <stdlib.h>

enum { HASH_BYTES = 32, ID_BYTES = 8 };

static void answer(struct bh_queued *q, struct batch *batch)
{
    struct bh_msg_submit_batch_reply reply = {.ok = batch->code == 0,
                                              .replayed = batch->replayed,
                                              .code = batch->code,
                                              .enhanced = bh_str_c(batch->enhanced),
                                              .reason = bh_str_c(batch->reason),
                                              .ids = bh_str_of((const char *)batch->ids, batch->count * ID_BYTES)};

    q->options.ops->batch_reply(q->options.ctx, &batch->from, &reply);
    free(batch);
}

void batch_refuse(struct batch *batch, uint16_t code, const char *enhanced, const char *reason)
{
    if (batch->code)
        return;
    batch->code = code;
    batch->enhanced = enhanced;
    batch->reason = reason;
}

void batch_add(struct batch *batch, uint64_t message)
{
    unsigned char *to = batch->ids[batch->count++];

    for (int i = 0; i < ID_BYTES; i++)
        to[i] = (unsigned char)(message >> (56 - 8 * i));
}

void batches_committed(struct bh_queued *q, bh_err err)
{
    while (!bh_list_empty(&q->group.batches)) {
        struct batch *batch = BH_CONTAINER_OF(bh_list_take(&q->group.batches), struct batch, node);

        if (err)
            batch_refuse(batch, 452, "4.3.1", "the mail system cannot store messages now");
        answer(q, batch);
    }
}

/* ---- the key ---- */

struct looking {
    struct batch *batch;
    bh_str request_hash;
    bool known, same;
    bh_err err;
};

static void take_row(void *ctx, const struct bh_row *row)
{
    struct looking *looking = ctx;
    bh_str ids = bh_row_str(row, 1);

    looking->known = true;
    looking->same = bh_str_eq(bh_row_str(row, 0), looking->request_hash) && ids.n <= sizeof(looking->batch->ids);
    if (!looking->same)
        return;
    if (ids.n)
        memcpy(looking->batch->ids, ids.p, ids.n);
    looking->batch->count = (uint32_t)(ids.n / ID_BYTES);
}

static void looked(void *ctx, const struct bh_result *result)
{
    ((struct looking *)ctx)->err = result->err;
}

static void wait_for_commit(struct bh_queued *q, struct batch *batch)
{
    group_begin(q);
    bh_list_push(&q->group.batches, &batch->node);
    q->options.ops->want_turn(q->options.ctx);
}

/* True: the key was known, or is wrong; the batch is dealt with. */
static bool key_was_used(struct bh_queued *q, struct batch *batch, const struct bh_msg_submit_batch *message)
{
    struct looking looking = {.batch = batch, .request_hash = message->request_hash};

    if (!message->idempotency_key.n)
        return false;
    bh_idempotency_select(q->store, message->customer_id, message->idempotency_key, now_of(q) - BH_IDEMPOTENCY_KEPT_MS,
                          take_row, looked, &looking);
    if (looking.err)
        batch_refuse(batch, 452, "4.3.1", "the mail system cannot read its spool now");
    else if (looking.known && !looking.same)
        batch_refuse(batch, 422, "5.5.4", "the key was used for another request");
    else if (!looking.known)
        return false;
    batch->replayed = looking.known && looking.same;
    if (batch->replayed)
        wait_for_commit(q, batch);
    else
        answer(q, batch);
    return true;
}

static void remember_key(struct bh_queued *q, const struct batch *batch, const struct bh_msg_submit_batch *message)
{
    struct bh_idempotency entry = {message->request_hash, bh_str_of((const char *)batch->ids, batch->count * ID_BYTES)};

    if (!message->idempotency_key.n)
        return;
    bh_idempotency_insert(q->store, message->customer_id, message->idempotency_key, &entry, now_of(q));
    bh_idempotency_prune(q->store, now_of(q) - BH_IDEMPOTENCY_KEPT_MS);
}

/* ---- the messages ---- */

/* Each of the list, checked only or taken in. */
static bool walk(struct bh_queued *q, struct batch *batch, bh_str submits, bool take)
{
    struct bh_cur list = bh_cur_make(submits);
    struct bh_rec_blob blob;
    struct bh_msg_submit submit;
    size_t count = 0;

    while (!batch->code && bh_rec_blob_next(&list, &blob) == BH_MORE) {
        if (++count > BATCH_MAX || bh_msg_submit_get(blob.bytes, &submit))
            batch_refuse(batch, 501, "5.5.4", "the batch is too large or cannot be read");
        else
            intake_batched(q, batch, &submit, take);
    }
    if (!count)
        batch_refuse(batch, 501, "5.5.4", "the batch is empty");
    return batch->code == 0;
}

void bh_queued_submit_batch(struct bh_queued *q, const struct bh_requester *from,
                            const struct bh_msg_submit_batch *message)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    struct bh_msg_submit_batch_reply no_room = {
        .code = 451, .enhanced = BH_STR("4.3.0"), .reason = BH_STR("out of memory")};

    if (!batch) {
        q->options.ops->batch_reply(q->options.ctx, from, &no_room);
        return;
    }
    batch->from = *from;
    batch->enhanced = batch->reason = "";
    if (message->idempotency_key.n > BH_IDEMPOTENCY_KEY_MAX ||
        (message->idempotency_key.n && message->request_hash.n != HASH_BYTES))
        batch_refuse(batch, 501, "5.5.4", "the idempotency key is too long");
    else if (key_was_used(q, batch, message))
        return;
    if (batch->code || !walk(q, batch, message->submits, false)) {
        answer(q, batch);
        return;
    }
    (void)walk(q, batch, message->submits, true);
    remember_key(q, batch, message);
    wait_for_commit(q, batch);
    if (batch->code) /* in the middle: some rows are written; nothing of this group may be committed */
        group_abandon(q, BH_E_NOMEM);
}
