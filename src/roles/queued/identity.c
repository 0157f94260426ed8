/* identity.c: what controld says about (customer, sending domain, From domain): may it leave, from which bounce domain,
 * under which keys. Cached until the next VERSION; asked once however many deliveries wait for it. */
#include "internal.h"
#include <stdlib.h>

enum { KEY_BYTES_MAX = 8 + BH_SUBMIT_TEXT_MAX };

static void unlink_identity(struct bh_queued *q, struct identity *identity)
{
    bh_map_remove(&q->identities.by_key, &identity->node);
    bh_list_remove(&identity->lru);
    if (identity->token)
        bh_map_remove(&q->identities.by_token, &identity->by_token);
}

static void free_identity(struct bh_queued *q, struct identity *identity)
{
    unlink_identity(q, identity);
    free(identity->text);
    free(identity->held);
    free(identity->sources);
    free(identity);
}

void identities_free(struct bh_queued *q)
{
    while (!bh_list_empty(&q->identities.lru))
        free_identity(q, BH_LIST_HEAD(&q->identities.lru, struct identity, lru));
    bh_map_free(&q->identities.by_key);
    bh_map_free(&q->identities.by_token);
}

static void write_key(struct bh_buf *out, const struct bh_message_row *row)
{
    bh_buf_u32(out, (uint32_t)row->customer);
    bh_buf_u32(out, (uint32_t)row->domain);
    bh_buf_add(out, row->from_domain);
}

static void make_room(struct bh_queued *q)
{
    BH_LIST_EACH (node, &q->identities.lru) {
        struct identity *identity = BH_CONTAINER_OF(node, struct identity, lru);

        if (q->identities.by_key.count < IDENTITIES_MAX)
            return;
        if (identity->known && !identity->held_count)
            free_identity(q, identity);
    }
}

static bh_err find_or_make(struct bh_queued *q, const struct bh_message_row *row, struct identity **ret_identity)
{
    struct bh_buf key = bh_buf_make(KEY_BYTES_MAX);
    struct bh_map_node *node;
    struct identity *identity;
    bh_err err;

    write_key(&key, row);
    err = bh_buf_err(&key);
    node = err ? NULL : bh_map_get(&q->identities.by_key, bh_buf_view(&key));
    if (node || err) {
        bh_buf_free(&key);
        if (node)
            *ret_identity = BH_CONTAINER_OF(node, struct identity, node);
        return err;
    }
    make_room(q);
    identity = calloc(1, sizeof(*identity) + key.n);
    err = BH_E_NOMEM;
    if (identity) {
        memcpy(identity->key, key.p, key.n);
        identity->key_bytes = key.n;
        bh_list_init(&identity->waiting);
        err = bh_map_add(&q->identities.by_key, bh_str_of(identity->key, key.n), &identity->node);
        if (err)
            free(identity);
    }
    bh_buf_free(&key);
    if (!err) {
        bh_list_push(&q->identities.lru, &identity->lru);
        *ret_identity = identity;
    }
    return err;
}

static bh_err ask(struct bh_queued *q, struct identity *identity, const struct bh_msg_identity *question)
{
    bh_err err;

    identity->token = ++q->identities.next_token;
    identity->epoch = q->identities.epoch;
    err = bh_map_add(&q->identities.by_token, id_key(&identity->token), &identity->by_token);
    if (err) {
        identity->token = 0;
        return err;
    }
    err = q->options.ops->ask_identity(q->options.ctx, question, identity->token);
    if (err) {
        bh_map_remove(&q->identities.by_token, &identity->by_token);
        identity->token = 0;
    }
    return err;
}

bh_err identity_get(struct bh_queued *q, struct flight *flight, struct identity **ret_identity)
{
    const struct bh_message_row *row = &flight->content->row;
    struct identity *identity;
    bh_err err = find_or_make(q, row, &identity);

    if (err)
        return err;
    if (identity->known) {
        *ret_identity = identity;
        return BH_OK;
    }
    if (!identity->token)
        err = ask(q, identity,
                  &(struct bh_msg_identity){(uint32_t)row->customer, (uint32_t)row->domain, row->header_from,
                                            row->from_domain});
    if (err)
        return err;
    bh_list_push(&identity->waiting, &flight->waiting);
    return BH_E_AGAIN;
}

static bool keep_answer(struct identity *identity, const struct bh_msg_identity_reply *reply)
{
    const bh_str from[] = {reply->bounce_domain, reply->helo, reply->keys, reply->enhanced, reply->reason};
    bh_str *const to[] = {&identity->bounce_domain, &identity->helo, &identity->keys, &identity->enhanced,
                          &identity->reason};
    size_t n = 1;
    char *at;

    for (size_t i = 0; i < 5; i++)
        n += from[i].n;
    at = identity->text = malloc(n);
    if (!at)
        return false;
    for (size_t i = 0; i < 5; i++) {
        if (from[i].n)
            memcpy(at, from[i].p, from[i].n);
        *to[i] = bh_str_of(at, from[i].n);
        at += from[i].n;
    }
    if (!identity_keep_sources(identity, reply->sources)) {
        free(identity->text);
        identity->text = NULL;
        return false;
    }
    identity->allowed = reply->allowed != 0;
    identity->permanent = reply->permanent != 0;
    identity->is_held = reply->held != 0 && !identity->allowed && !identity->permanent;
    identity->tls = reply->tls;
    identity->customer = reply->customer_id;
    identity->known = true;
    return true;
}

/* Those who wait go on, or back into the queue; the list is taken over first, since each step may ask again. */
static void release(struct bh_queued *q, struct identity *identity, bool known)
{
    struct bh_list waiting;

    bh_list_init(&waiting);
    while (!bh_list_empty(&identity->waiting))
        bh_list_push(&waiting, bh_list_take(&identity->waiting));
    while (!bh_list_empty(&waiting)) {
        struct flight *flight = BH_CONTAINER_OF(bh_list_take(&waiting), struct flight, waiting);

        if (known)
            flight_continue(q, flight);
        else
            flight_put_back(q, flight);
    }
}

/* ---- recipients that wait for the domain ---- */

void identity_hold(struct identity *identity, const struct bh_queue_item *item)
{
    if (identity->held_count == identity->held_cap) {
        size_t cap = identity->held_cap ? identity->held_cap * 2 : 16;
        struct held_item *wider = reallocarray(identity->held, cap, sizeof(*wider));

        if (!wider)
            return;
        identity->held = wider;
        identity->held_cap = cap;
    }
    identity->held[identity->held_count++] = (struct held_item){item->message, item->idx};
}

/* The answer is another one: whether it sends them or bounces them, they go now. One whose hold is not durable yet is
 * not waiting; it comes by again at its time. */
static void let_go(struct bh_queued *q, struct identity *identity)
{
    for (size_t i = 0; i < identity->held_count; i++) {
        struct bh_queue *queue;
        struct bh_queue_item *item = find_item(q, identity->held[i].message, identity->held[i].idx, &queue);

        if (item && item->state == BH_QUEUE_WAITING)
            bh_queue_hurry(queue, item);
    }
    free(identity->held);
    identity->held = NULL;
    identity->held_count = identity->held_cap = 0;
}

/* Its key, read back: who is asked for. */
static void ask_again(struct bh_queued *q, struct identity *identity)
{
    struct bh_cur cur = bh_cur_make(bh_str_of(identity->key, identity->key_bytes));
    struct bh_msg_identity question = {.header_from = BH_STR("")};

    question.customer_id = bh_cur_u32(&cur);
    question.domain_id = bh_cur_u32(&cur);
    question.from_domain = bh_cur_bytes(&cur, bh_cur_left(&cur));
    free(identity->text);
    identity->text = NULL;
    identity->known = false;
    if (ask(q, identity, &question))
        let_go(q, identity); /* they ask themselves */
}

void bh_queued_identity(struct bh_queued *q, uint64_t token, const struct bh_msg_identity_reply *reply)
{
    struct bh_map_node *node = bh_map_get(&q->identities.by_token, id_key(&token));
    struct identity *identity = node ? BH_CONTAINER_OF(node, struct identity, by_token) : NULL;
    bool known;

    if (!identity)
        return;
    bh_map_remove(&q->identities.by_token, &identity->by_token);
    identity->token = 0;
    /* an answer to a question from before the last change is asked for again, with the next delivery */
    known = reply && identity->epoch == q->identities.epoch && keep_answer(identity, reply);
    if (!known || !identity->is_held)
        let_go(q, identity);
    release(q, identity, known);
    if (!identity->known && !identity->token && bh_list_empty(&identity->waiting))
        free_identity(q, identity);
    q->options.ops->want_turn(q->options.ctx);
}

void bh_queued_version(struct bh_queued *q)
{
    q->identities.epoch++;
    BH_LIST_EACH (node, &q->identities.lru) {
        struct identity *identity = BH_CONTAINER_OF(node, struct identity, lru);

        if (identity->known && identity->held_count)
            ask_again(q, identity);
        else if (identity->known)
            free_identity(q, identity);
    }
}

void bh_queued_gate(struct bh_queued *q, bool open)
{
    q->gate_open = open;
    q->options.ops->want_turn(q->options.ctx);
}
