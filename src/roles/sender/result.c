/* result.c: results are kept until queued has committed them, and repeated to a queued that was started anew. */
#include "sender.h"
#include <stdlib.h>

struct kept {
    struct bh_map_node node;
    uint64_t delivery_id;
    struct bh_buf body; /* the RESULT message */
};

void bh_result_send(struct sender *sender, const struct bh_msg_result *result)
{
    struct kept *kept = calloc(1, sizeof(*kept));
    struct bh_peer *queued = bh_role_any_peer(sender->role, BH_ROLE_QUEUED);

    if (!kept) { /* the delivery goes back to ready when we are gone: a duplicate at worst, never a loss */
        bh_logf(&sender->role->log, BH_LOG_ERROR, "out of memory: ending");
        abort();
    }
    kept->delivery_id = result->delivery_id;
    kept->body = bh_buf_make(BH_IPC_BODY_MAX);
    bh_msg_result_put(&kept->body, result);
    if (bh_buf_err(&kept->body) ||
        bh_map_add(&sender->results, bh_str_of((const char *)&kept->delivery_id, sizeof(uint64_t)), &kept->node) !=
            BH_OK) {
        bh_buf_free(&kept->body);
        free(kept);
        return;
    }
    if (queued && bh_peer_send(queued, BH_MSG_RESULT, 0, bh_buf_view(&kept->body), NULL, 0) != BH_OK)
        bh_logf(&sender->role->log, BH_LOG_WARN, "a result waits for queued");
}

static void forget(struct sender *sender, struct kept *kept)
{
    bh_map_remove(&sender->results, &kept->node);
    bh_buf_free(&kept->body);
    free(kept);
}

bh_err bh_result_acknowledged(struct sender *sender, bh_str body)
{
    struct bh_msg_result_ack ack;
    struct bh_rec_delivery_ref ref;
    struct bh_cur list;
    bh_err err = bh_msg_result_ack_get(body, &ack);

    if (err)
        return err;
    list = bh_cur_make(ack.deliveries);
    while ((err = bh_rec_delivery_ref_next(&list, &ref)) == BH_MORE) {
        struct bh_map_node *node =
            bh_map_get(&sender->results, bh_str_of((const char *)&ref.delivery_id, sizeof(uint64_t)));

        if (node)
            forget(sender, BH_CONTAINER_OF(node, struct kept, node));
    }
    return err == BH_DONE ? BH_OK : err;
}

void bh_results_replay(struct sender *sender, struct bh_peer *queued)
{
    struct bh_buf refs = bh_buf_make(BH_IPC_BODY_MAX / 2);

    for (struct bh_map_node *node = NULL; (node = bh_map_next(&sender->deliveries, node));) {
        const struct delivery *delivery = BH_CONTAINER_OF(node, struct delivery, node);

        bh_rec_delivery_ref_put(&refs,
                                &(struct bh_rec_delivery_ref){.delivery_id = delivery->message.delivery_id,
                                                              .message_id = delivery->message.message_id,
                                                              .recipient_index = delivery->message.recipient_index});
    }
    for (struct bh_map_node *node = NULL; (node = bh_map_next(&sender->results, node));) {
        const struct kept *kept = BH_CONTAINER_OF(node, struct kept, node);
        struct bh_msg_result result;

        if (bh_msg_result_get(bh_buf_view(&kept->body), &result) == BH_OK)
            bh_rec_delivery_ref_put(&refs, &(struct bh_rec_delivery_ref){.delivery_id = kept->delivery_id,
                                                                         .message_id = result.message_id,
                                                                         .recipient_index = result.recipient_index});
    }
    (void)!BH_PEER_SEND(queued, IN_FLIGHT, 0, in_flight, &((struct bh_msg_in_flight){bh_buf_view(&refs)}));
    bh_buf_free(&refs);
    for (struct bh_map_node *node = NULL; (node = bh_map_next(&sender->results, node));)
        (void)!bh_peer_send(queued, BH_MSG_RESULT, 0, bh_buf_view(&BH_CONTAINER_OF(node, struct kept, node)->body),
                            NULL, 0);
}

void bh_results_free(struct sender *sender)
{
    for (struct bh_map_node *node; (node = bh_map_next(&sender->results, NULL));)
        forget(sender, BH_CONTAINER_OF(node, struct kept, node));
    bh_map_free(&sender->results);
}
