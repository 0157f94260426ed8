/* tls_results.c: attempts at TLS, counted by what became of them, and told to the steward every half minute. What it
 * has not heard when we die is lost: these are statistics for others. */
#include "sender.h"
#include <stdlib.h>

enum { TELL_MS = 30 * 1000, KEY_MAX = 32 * 1024, COUNTS_MAX = 20000 };

struct count {
    struct bh_map_node node;
    uint64_t count;
    struct bh_buf key; /* the record with count 0 */
};

static void forget(struct sender *sender, struct count *count)
{
    bh_map_remove(&sender->tls_counts, &count->node);
    bh_buf_free(&count->key);
    free(count);
}

static void write_key(struct bh_buf *key, const struct tls_note *note)
{
    bh_rec_tls_result_put(key, &(struct bh_rec_tls_result){.domain = note->domain,
                                                           .policy_type = bh_str_c(note->policy_type),
                                                           .policy = note->policy,
                                                           .mx_hosts = note->mx_hosts,
                                                           .failure = bh_str_c(note->failure),
                                                           .sending = note->failure ? note->sending : BH_STR(""),
                                                           .mx = note->failure ? note->mx : BH_STR(""),
                                                           .receiving = note->failure ? note->receiving : BH_STR(""),
                                                           .reason = note->failure ? note->reason : BH_STR("")});
}

void bh_tls_note(struct sender *sender, const struct tls_note *note)
{
    struct bh_buf key = bh_buf_make(KEY_MAX);
    struct bh_map_node *node;
    struct count *count;

    write_key(&key, note);
    node = bh_buf_err(&key) ? NULL : bh_map_get(&sender->tls_counts, bh_buf_view(&key));
    if (node)
        BH_CONTAINER_OF(node, struct count, node)->count++;
    if (node || bh_buf_err(&key) || sender->tls_counts.count >= COUNTS_MAX || !(count = calloc(1, sizeof(*count)))) {
        bh_buf_free(&key);
        return;
    }
    *count = (struct count){.count = 1, .key = key};
    if (bh_map_add(&sender->tls_counts, bh_buf_view(&count->key), &count->node) != BH_OK) {
        bh_buf_free(&count->key);
        free(count);
        return;
    }
    if (sender->tls_counts.count == 1)
        bh_timer_set(&sender->tell_tls, TELL_MS);
}

/* As many as fit into one message. False: the steward is not there. */
static bool tell_some(struct sender *sender)
{
    struct bh_peer *steward = bh_role_any_peer(sender->role, BH_ROLE_STEWARD);
    struct bh_buf list = bh_buf_make(BH_IPC_BODY_MAX / 2);

    if (!steward)
        return false;
    for (struct bh_map_node *node; list.n < BH_IPC_BODY_MAX / 4 && (node = bh_map_next(&sender->tls_counts, NULL));) {
        struct count *count = BH_CONTAINER_OF(node, struct count, node);
        struct bh_cur cur = bh_cur_make(bh_buf_view(&count->key));
        struct bh_rec_tls_result record;

        if (bh_rec_tls_result_next(&cur, &record) == BH_MORE) {
            record.count = count->count;
            bh_rec_tls_result_put(&list, &record);
        }
        forget(sender, count);
    }
    (void)!BH_PEER_SEND(steward, TLS_RESULTS, 0, tls_results, &((struct bh_msg_tls_results){bh_buf_view(&list)}));
    bh_buf_free(&list);
    return true;
}

void bh_tls_results_tell(void *ctx)
{
    struct sender *sender = ctx;

    while (sender->tls_counts.count)
        if (!tell_some(sender)) {
            bh_timer_set(&sender->tell_tls, TELL_MS);
            return;
        }
}

void bh_tls_results_free(struct sender *sender)
{
    bh_tls_results_tell(sender);
    for (struct bh_map_node *node; (node = bh_map_next(&sender->tls_counts, NULL));)
        forget(sender, BH_CONTAINER_OF(node, struct count, node));
    bh_map_free(&sender->tls_counts);
}
