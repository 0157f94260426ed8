/* flight.c: deliveries in hand: from a ready item to a DELIVER at a worker, and back when the worker dies.
 *
 *   taken ─▶ content (memory or store) ─▶ identity (cached, or asked) ─▶ DELIVER ─▶ RESULT (result.c)
 *                                             └─ refused: our own verdict
 *
 * A delivery's number is 48 bits that grow with time and are never used twice, and 16 bits for the attempt; so a result
 * that is repeated to a restarted queued says which attempt it belongs to. */
#include "internal.h"
#include <stdlib.h>
#include <unistd.h>

enum { ATTEMPT_BITS = 16, COUNT_BITS = 7, UNREADABLE_WAIT_MS = 60000 };

static uint64_t next_delivery_id(struct bh_queued *q, uint32_t attempt)
{
    uint64_t now = (uint64_t)(now_of(q) - BH_ID_EPOCH_MS) << COUNT_BITS;

    q->delivery_ids.last = now > q->delivery_ids.last ? now : q->delivery_ids.last + 1;
    return q->delivery_ids.last << ATTEMPT_BITS | (attempt > UINT16_MAX ? UINT16_MAX : attempt);
}

void seen_delivery_id(struct bh_queued *q, uint64_t delivery_id)
{
    if (delivery_id >> ATTEMPT_BITS > q->delivery_ids.last)
        q->delivery_ids.last = delivery_id >> ATTEMPT_BITS;
}

uint32_t attempt_of(uint64_t delivery_id)
{
    return delivery_id & UINT16_MAX;
}

/* ---- the object ---- */

static struct flight *new_flight(struct bh_queued *q, struct bh_queue *queue, struct bh_queue_item *item, uint64_t id)
{
    struct flight *flight = calloc(1, sizeof(*flight));

    if (!flight)
        return NULL;
    flight->item = item;
    flight->queue = queue;
    flight->attempt = attempt_of(id);
    flight->delivery_id = id;
    bh_list_init(&flight->node);
    bh_list_init(&flight->waiting);
    if (bh_map_add(&q->flights, id_key(&flight->delivery_id), &flight->by_id)) {
        free(flight);
        return NULL;
    }
    item->at.holder = flight;
    q->not_given_out++;
    return flight;
}

void flight_free(struct bh_queued *q, struct flight *flight)
{
    if (flight->worker) {
        flight->worker->flight_count--;
        bh_list_remove(&flight->node);
    } else {
        q->not_given_out--;
    }
    bh_list_remove(&flight->waiting);
    if (flight->content)
        contents_unuse(&q->contents, flight->content, false);
    bh_map_remove(&q->flights, &flight->by_id);
    free(flight);
}

void flight_put_back(struct bh_queued *q, struct flight *flight)
{
    if (flight->item)
        bh_queue_put_back(flight->queue, flight->item);
    flight_free(q, flight);
}

void flights_free(struct bh_queued *q)
{
    struct bh_map_node *node;

    while ((node = bh_map_next(&q->flights, NULL)))
        flight_free(q, BH_CONTAINER_OF(node, struct flight, by_id));
    bh_map_free(&q->flights);
}

/* ---- DELIVER ---- */

/* Of a site's deliveries the same worker gets as many as it takes, since it has the connections; the others help. */
static struct bh_worker *pick_worker(struct bh_queued *q, const struct flight *flight)
{
    enum bh_destination serves = flight->queue == q->queues[BH_TO_STEWARD] ? BH_TO_STEWARD : BH_TO_WORLD;
    struct bh_worker *most = NULL, *favourite = NULL;
    uint64_t best = 0;

    BH_LIST_EACH (node, &q->workers) {
        struct bh_worker *worker = BH_CONTAINER_OF(node, struct bh_worker, node);
        struct {
            const void *peer;
            uint64_t route;
        } pair = {worker->peer, bh_siphash13(q->options.seed, bh_queue_route(flight->item))};
        uint64_t rank;

        if (worker->serves != serves || !worker->reported)
            continue;
        rank = bh_siphash13(q->options.seed, bh_str_of((const char *)&pair, sizeof(pair)));
        if (!favourite || rank > best) {
            favourite = worker;
            best = rank;
        }
        if (!most || worker->free > most->free)
            most = worker;
    }
    if (favourite && favourite->free)
        return favourite;
    return most && most->free ? most : NULL;
}

/* Mail of ourselves is under 0; its keys are the platform's own customer's. */
static uint32_t owner_of(const struct flight *flight, const struct identity *identity)
{
    return flight->content->row.customer ? (uint32_t)flight->content->row.customer : identity->customer;
}

static bh_str keys_with_grants(struct bh_queued *q, const struct flight *flight, const struct identity *identity)
{
    struct bh_cur list = bh_cur_make(identity->keys);
    struct bh_rec_sealed_key key;
    struct bh_buf grant = bh_buf_make(4096);

    bh_buf_clear(&q->scratch);
    while (bh_rec_sealed_key_next(&list, &key) == BH_MORE) {
        bh_buf_clear(&grant);
        q->options.ops->put_grant(q->options.ctx, &grant, flight->delivery_id, owner_of(flight, identity), &key,
                                  now_of(q));
        key.grant = bh_buf_view(&grant);
        bh_rec_sealed_key_put(&q->scratch, &key);
    }
    bh_buf_free(&grant);
    return bh_buf_view(&q->scratch);
}

static void fill_deliver(const struct flight *flight, struct bh_msg_deliver *d)
{
    const struct content *c = flight->content;
    const struct content_recipient *to = &c->recipients[flight->item->idx - c->first_idx];

    d->delivery_id = flight->delivery_id;
    d->message_id = c->row.id;
    d->recipient_index = flight->item->idx;
    d->attempt = flight->attempt;
    d->customer_id = (uint32_t)c->row.customer;
    d->domain_id = (uint32_t)c->row.domain;
    d->accepted_at = c->row.accepted_at;
    d->expires_at = c->row.expires_at;
    d->eight_bit = (c->row.flags & BH_MESSAGE_8BIT) != 0;
    d->smtputf8 = (c->row.flags & BH_MESSAGE_SMTPUTF8) != 0;
    d->null_sender = (c->row.flags & BH_MESSAGE_NOTICE) != 0;
    d->header_from = c->row.header_from;
    d->from_domain = c->row.from_domain;
    d->mail_from = c->row.mail_from;
    d->recipient = to->address;
    d->notify = to->notify;
    d->orcpt = to->orcpt;
    d->envid = c->row.envid;
    d->client = c->row.client;
    d->client_helo = c->row.helo;
    d->protocol = c->row.protocol;
    d->size = (uint64_t)c->row.size;
    d->body = c->body;
    d->body_hash = c->row.body_hash;
}

/* Which way it goes: the source that the queue chose, what the site bears, the operator's other way. */
static void fill_way(struct bh_queued *q, const struct flight *flight, const struct source *source,
                     struct bh_msg_deliver *d)
{
    const struct bh_shape *shape = bh_queue_shape(flight->item);
    const struct reroute_entry *reroute = policy_find_reroute(q, bh_queue_route(flight->item));

    if (source) {
        d->address4 = source->address4;
        d->address6 = source->address6;
        if (source->helo.n)
            d->helo = source->helo;
    }
    d->site = bh_queue_site_name(flight->item);
    d->connections = shape->connections;
    d->messages_per_connection = shape->messages_per_connection;
    if (reroute) {
        d->route_host = reroute->row.host;
        d->route_port = reroute->row.port;
    }
}

static void send_deliver(struct bh_queued *q, struct flight *flight, const struct identity *identity)
{
    struct bh_worker *worker = pick_worker(q, flight);
    struct bh_msg_deliver deliver = {0};
    bool has_source = true;
    const struct source *source = identity ? identity_source(q, identity, flight->item, &has_source) : NULL;
    int fd = -1;
    bh_err err;

    if (!worker || !has_source) {
        flight_put_back(q, flight);
        return;
    }
    fill_deliver(flight, &deliver);
    if (identity) {
        deliver.bounce_domain = identity->bounce_domain;
        deliver.helo = identity->helo;
        deliver.tls = identity->tls;
        deliver.customer_id = owner_of(flight, identity);
        deliver.keys = keys_with_grants(q, flight, identity);
        fill_way(q, flight, source, &deliver);
        flight_keys_note(flight, identity->keys);
    }
    if (!flight->content->body.p) {
        fd = body_file_read(&q->files, flight->content->row.id);
        if (fd < 0) {
            flight_unreadable(q, flight);
            return;
        }
    }
    err = q->options.ops->deliver(q->options.ctx, worker->peer, &deliver, fd);
    if (fd >= 0)
        (void)close(fd);
    if (err) { /* dead or deaf: nothing more for it until it comes again */
        worker->free = 0;
        flight_put_back(q, flight);
        return;
    }
    worker->free--;
    worker->flight_count++;
    bh_list_push(&worker->flights, &flight->node);
    flight->worker = worker;
    q->not_given_out--;
    q->stats.dispatched++;
    contents_unuse(&q->contents, flight->content, true);
    flight->content = NULL;
}

void flight_unreadable(struct bh_queued *q, struct flight *flight)
{
    char id[BH_MESSAGE_ID_CHARS + 1];
    bh_err err = bh_queue_defer(flight->queue, flight->item, flight->item->attempts, now_of(q) + UNREADABLE_WAIT_MS);

    (void)err; /* out of memory: it is ready, and tried at once */
    bh_message_id_text(flight->item->message, id);
    bh_log_line(q->options.log, BH_LOG_ERROR, "cannot read a message of the spool; tried again in a minute",
                BH_KV("message", bh_str_c(id)), BH_KV("why", bh_str_c(bh_store_error(q->store))));
    flight_free(q, flight);
}

void flight_continue(struct bh_queued *q, struct flight *flight)
{
    struct identity *identity = NULL;
    bh_err err;

    if (flight->content->row.destination == BH_TO_STEWARD) {
        send_deliver(q, flight, NULL);
        return;
    }
    if (!flight->cleared && q->options.ops->ask_suppressed) {
        suppress_ask(q, flight);
        return;
    }
    err = identity_get(q, flight, &identity);
    if (err == BH_E_AGAIN)
        return;
    if (err) {
        q->stalled = true;
        flight_put_back(q, flight);
    } else if (identity->allowed)
        send_deliver(q, flight, identity);
    else if (identity->is_held)
        hold_flight(q, flight, identity);
    else
        refuse_flight(q, flight, identity->permanent ? BH_BOUNCED : BH_DEFERRED, identity->enhanced, identity->reason);
}

/* ---- content ---- */

static void take_content(void *ctx, const struct bh_row *row)
{
    struct flight *flight = ctx;
    struct bh_message_row message;
    struct bh_message_delivery delivery;

    bh_message_from_row(row, &message);
    bh_message_delivery_from_row(row, &delivery);
    flight->content = content_new(&message, delivery.body, flight->item->idx,
                                  &(struct content_recipient){delivery.address, delivery.notify, delivery.orcpt}, 1);
    if (!flight->content)
        return;
    flight->content->loose = true;
    content_use(flight->content);
}

struct reading {
    struct bh_queued *q;
    struct flight *flight;
};

static void content_row(void *ctx, const struct bh_row *row)
{
    take_content(((struct reading *)ctx)->flight, row);
}

static void content_read(void *ctx, const struct bh_result *result)
{
    struct reading *reading = ctx;

    (void)result;
    if (reading->flight->content)
        flight_continue(reading->q, reading->flight);
    else
        flight_unreadable(reading->q, reading->flight);
    free(reading);
}

static void start_flight(struct bh_queued *q, struct bh_queue *queue, struct bh_queue_item *item)
{
    struct flight *flight = new_flight(q, queue, item, next_delivery_id(q, item->attempts + 1u));
    struct reading *reading;

    if (!flight) {
        q->stalled = true;
        bh_queue_put_back(queue, item);
        return;
    }
    flight->content = contents_find(&q->contents, item->message);
    if (flight->content) {
        content_use(flight->content);
        flight_continue(q, flight);
        return;
    }
    reading = malloc(sizeof(*reading));
    if (!reading) {
        q->stalled = true;
        flight_put_back(q, flight);
        return;
    }
    *reading = (struct reading){q, flight};
    bh_message_select_delivery(q->store, item->message, item->idx, content_row, content_read, reading);
}

/* ---- giving out ---- */

struct room {
    size_t free, held;
};

static struct room room_of(const struct bh_queued *q, enum bh_destination serves)
{
    struct room room = {0, 0};

    BH_LIST_EACH (node, &q->workers) {
        struct bh_worker *worker = BH_CONTAINER_OF(node, struct bh_worker, node);

        if (worker->serves == serves && worker->reported) {
            room.free += worker->free;
            room.held += worker->flight_count;
        }
    }
    return room;
}

static void give_out(struct bh_queued *q, enum bh_destination serves)
{
    struct bh_queue *queue = q->queues[serves];

    q->stalled = false;
    while (!q->stalled) {
        struct room room = room_of(q, serves);
        struct bh_queue_item *item = bh_queue_take(queue, room.free + room.held);

        if (!item)
            return;
        start_flight(q, queue, item);
    }
}

static void give_up_expired(struct bh_queued *q, struct bh_queue *queue)
{
    struct bh_queue_item *item;

    while ((item = bh_queue_take_expired(queue)))
        expire_item(q, queue, item);
}

void dispatch(struct bh_queued *q)
{
    for (int serves = 0; serves < DESTINATIONS; serves++)
        give_up_expired(q, q->queues[serves]);
    if (q->draining)
        return;
    give_out(q, BH_TO_STEWARD);
    if (q->settled && q->gate_open)
        give_out(q, BH_TO_WORLD);
    suppress_flush(q);
}

/* ---- workers ---- */

bh_err bh_queued_worker_up(struct bh_queued *q, void *peer, enum bh_destination serves, struct bh_worker **ret_worker)
{
    struct bh_worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return BH_E_NOMEM;
    worker->peer = peer;
    worker->serves = serves;
    worker->acks = bh_buf_make(1 << 20);
    bh_list_init(&worker->flights);
    bh_list_push(&q->workers, &worker->node);
    *ret_worker = worker;
    return BH_OK;
}

void bh_queued_worker_down(struct bh_queued *q, struct bh_worker *worker)
{
    while (!bh_list_empty(&worker->flights)) {
        flight_keys_lost(q, BH_LIST_HEAD(&worker->flights, struct flight, node));
        flight_put_back(q, BH_LIST_HEAD(&worker->flights, struct flight, node));
    }
    if (!bh_list_empty(&q->key_uses.dirty)) /* what its keys may have signed is not left to the next message */
        group_begin(q);
    BH_LIST_EACH (node, &q->group.results) {
        struct pending_result *result = BH_CONTAINER_OF(node, struct pending_result, node);

        if (result->worker == worker)
            result->worker = NULL;
    }
    bh_list_remove(&worker->node);
    bh_buf_free(&worker->acks);
    free(worker);
    q->options.ops->want_turn(q->options.ctx);
}

static void adopt(struct bh_queued *q, struct bh_worker *worker, const struct bh_rec_delivery_ref *ref)
{
    struct bh_queue *queue;
    struct bh_queue_item *item = find_item(q, ref->message_id, ref->recipient_index, &queue);
    struct flight *flight;

    if (!item || item->attempts >= attempt_of(ref->delivery_id) || queue != q->queues[worker->serves] ||
        bh_map_get(&q->flights, id_key(&ref->delivery_id)) || bh_queue_take_item(queue, item) != BH_OK)
        return; /* finished, counted, or with somebody else: its result will be acknowledged and count once */
    flight = new_flight(q, queue, item, ref->delivery_id);
    if (!flight) {
        bh_queue_put_back(queue, item);
        return;
    }
    bh_list_push(&worker->flights, &flight->node);
    worker->flight_count++;
    flight->worker = worker;
    q->not_given_out--;
}

static void settle_if_all_reported(struct bh_queued *q)
{
    uint32_t reported = 0;

    BH_LIST_EACH (node, &q->workers) {
        struct bh_worker *worker = BH_CONTAINER_OF(node, struct bh_worker, node);

        reported += worker->serves == BH_TO_WORLD && worker->reported;
    }
    if (reported >= q->options.sender_count)
        q->settled = true;
}

bh_err bh_queued_in_flight(struct bh_queued *q, struct bh_worker *worker, bh_str deliveries)
{
    struct bh_cur list = bh_cur_make(deliveries);
    struct bh_rec_delivery_ref ref;
    bh_err err;

    while ((err = bh_rec_delivery_ref_next(&list, &ref)) == BH_MORE) {
        seen_delivery_id(q, ref.delivery_id);
        adopt(q, worker, &ref);
    }
    if (err != BH_DONE)
        return BH_E_SYNTAX;
    worker->reported = true;
    settle_if_all_reported(q);
    q->options.ops->want_turn(q->options.ctx);
    return BH_OK;
}

void bh_queued_slots(struct bh_queued *q, struct bh_worker *worker, uint32_t more)
{
    enum { SLOTS_MAX = 100000 };

    worker->free = more > SLOTS_MAX - worker->free ? SLOTS_MAX : worker->free + more;
    q->options.ops->want_turn(q->options.ctx);
}
