/* key_use.c: which DKIM keys are in use: when each signed last, and how many deliveries in hand could still sign with
 * it. controld withdraws a key by this.
 *
 * A result names the keys that signed. In memory each key's time is kept as it will be in the store: ahead by
 * AHEAD_MS at most, so a busy key is written once in that time. A delivery whose worker died may have been signed just
 * before, so its keys count as used then. Which keys a delivery has that was given out by an earlier queued is not
 * known: it counts for every key. */
#include "store/key_use.h"
#include "internal.h"
#include <stdlib.h>

enum { ENTRIES_MAX = 200000 };

struct used {
    struct bh_map_node node;
    struct bh_list dirty; /* in key_uses.dirty, when it is to be written */
    uint64_t key;
    bh_time_ms until;
};

void key_uses_init(struct bh_queued *q)
{
    bh_map_init(&q->key_uses.by_key, q->options.seed);
    bh_list_init(&q->key_uses.dirty);
}

void key_uses_free(struct bh_queued *q)
{
    struct bh_map_node *node;

    while ((node = bh_map_next(&q->key_uses.by_key, NULL))) {
        struct used *used = BH_CONTAINER_OF(node, struct used, node);

        bh_map_remove(&q->key_uses.by_key, node);
        free(used);
    }
    bh_map_free(&q->key_uses.by_key);
}

/* Those that are written may go: the store knows them. */
static void make_room(struct bh_queued *q)
{
    struct bh_map_node *node = bh_map_next(&q->key_uses.by_key, NULL), *next;

    for (; node; node = next) {
        struct used *used = BH_CONTAINER_OF(node, struct used, node);

        next = bh_map_next(&q->key_uses.by_key, node);
        if (!bh_list_empty(&used->dirty))
            continue;
        bh_map_remove(&q->key_uses.by_key, node);
        free(used);
    }
}

static struct used *find_or_make(struct bh_queued *q, uint64_t key)
{
    struct bh_map_node *node = bh_map_get(&q->key_uses.by_key, id_key(&key));
    struct used *used;

    if (node)
        return BH_CONTAINER_OF(node, struct used, node);
    if (q->key_uses.by_key.count >= ENTRIES_MAX)
        make_room(q);
    used = calloc(1, sizeof(*used));
    if (!used)
        return NULL;
    used->key = key;
    bh_list_init(&used->dirty);
    if (bh_map_add(&q->key_uses.by_key, id_key(&used->key), &used->node)) {
        free(used);
        return NULL;
    }
    return used;
}

void key_used(struct bh_queued *q, uint64_t key)
{
    bh_time_ms now = now_of(q);
    struct used *used = find_or_make(q, key);

    if (!used || used->until >= now)
        return;
    used->until = now + q->options.key_use_ahead_ms;
    if (bh_list_empty(&used->dirty))
        bh_list_push(&q->key_uses.dirty, &used->dirty);
}

void keys_used(struct bh_queued *q, bh_str ids)
{
    while (ids.n) {
        uint64_t key;

        if (!bh_str_to_u64(bh_str_cut(ids, ' ', &ids), INT64_MAX, &key))
            key_used(q, key);
    }
}

void key_uses_write(struct bh_queued *q)
{
    BH_LIST_EACH (node, &q->key_uses.dirty) {
        const struct used *used = BH_CONTAINER_OF(node, struct used, dirty);

        bh_key_use_raise(q->store, used->key, used->until);
    }
}

void key_uses_written(struct bh_queued *q)
{
    while (bh_list_pop(&q->key_uses.dirty))
        ;
}

void flight_keys_note(struct flight *flight, bh_str keys)
{
    struct bh_cur list = bh_cur_make(keys);
    struct bh_rec_sealed_key key;

    flight->keys_known = true;
    flight->key_count = 0;
    while (bh_rec_sealed_key_next(&list, &key) == BH_MORE && flight->key_count < FLIGHT_KEYS_MAX)
        flight->keys[flight->key_count++] = key.key_id;
}

void flight_keys_lost(struct bh_queued *q, const struct flight *flight)
{
    for (size_t i = 0; i < flight->key_count; i++)
        key_used(q, flight->keys[i]);
}

/* ---- asked ---- */

static bool may_sign_with(const struct flight *flight, uint64_t key)
{
    for (size_t i = 0; i < flight->key_count; i++)
        if (flight->keys[i] == key)
            return true;
    return flight->worker && !flight->keys_known;
}

static uint32_t count_in_hand(struct bh_queued *q, uint64_t key)
{
    uint32_t count = 0;

    for (struct bh_map_node *node = NULL; (node = bh_map_next(&q->flights, node));)
        count += may_sign_with(BH_CONTAINER_OF(node, struct flight, by_id), key);
    return count;
}

static void take_time(void *ctx, const struct bh_row *row)
{
    *(bh_time_ms *)ctx = bh_row_int(row, 0);
}

static void ignore_result(void *ctx, const struct bh_result *result)
{
    (void)ctx, (void)result;
}

bh_err bh_queued_key_use(struct bh_queued *q, bh_str keys, struct bh_buf *ret_uses, bh_time_ms *ret_started_at,
                         bool *ret_settled)
{
    struct bh_cur list = bh_cur_make(keys);
    struct bh_rec_key_ref ref;
    bh_err err;

    while ((err = bh_rec_key_ref_next(&list, &ref)) == BH_MORE) {
        struct bh_rec_key_use use = {.key_id = ref.key_id, .in_hand = count_in_hand(q, ref.key_id)};
        struct bh_map_node *node = bh_map_get(&q->key_uses.by_key, id_key(&ref.key_id));

        bh_key_use_select(q->store, ref.key_id, take_time, ignore_result, &use.signed_at);
        if (node && BH_CONTAINER_OF(node, struct used, node)->until > use.signed_at)
            use.signed_at = BH_CONTAINER_OF(node, struct used, node)->until;
        bh_rec_key_use_put(ret_uses, &use);
    }
    *ret_started_at = q->started_at;
    *ret_settled = q->settled;
    return err == BH_DONE ? bh_buf_err(ret_uses) : err;
}
