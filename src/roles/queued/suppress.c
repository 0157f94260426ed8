/* suppress.c: before a delivery is given to a sender, controld is asked whether the address is suppressed for the
 * customer and stream. One question is under way at a time and takes all that wait: the busier, the larger.
 *
 * So an address that was suppressed while its mail waited gets none, and one that is taken off the list gets the next
 * attempt. Without controld nothing leaves, as for identities. */
#include "internal.h"

enum { AT_ONCE = 500, QUESTION_BYTES_MAX = 900 * 1024 };

void suppress_ask(struct bh_queued *q, struct flight *flight)
{
    bh_list_push(&q->suppress.waiting, &flight->waiting);
}

static void put_question(const struct flight *flight, struct bh_buf *out)
{
    const struct content *c = flight->content;

    bh_rec_suppression_question_put(
        out, &(struct bh_rec_suppression_question){.ref = flight->delivery_id,
                                                   .customer_id = (uint32_t)c->row.customer,
                                                   .stream = c->row.stream,
                                                   .address = c->recipients[flight->item->idx - c->first_idx].address});
}

static void put_all_back(struct bh_queued *q, struct bh_list *flights)
{
    while (!bh_list_empty(flights))
        flight_put_back(q, BH_CONTAINER_OF(bh_list_take(flights), struct flight, waiting));
}

void suppress_flush(struct bh_queued *q)
{
    struct suppress *s = &q->suppress;
    struct bh_buf questions = bh_buf_make(1 << 20);
    bh_err err;

    if (s->under_way || bh_list_empty(&s->waiting))
        return;
    for (int i = 0; i < AT_ONCE && !bh_list_empty(&s->waiting) && questions.n < QUESTION_BYTES_MAX; i++) {
        struct flight *flight = BH_CONTAINER_OF(bh_list_take(&s->waiting), struct flight, waiting);

        put_question(flight, &questions);
        bh_list_push(&s->asked, &flight->waiting);
    }
    err = bh_buf_err(&questions);
    if (!err)
        err = q->options.ops->ask_suppressed(q->options.ctx, bh_buf_view(&questions));
    s->under_way = !err;
    bh_buf_free(&questions);
    if (!err)
        return;
    q->stalled = true;
    put_all_back(q, &s->asked);
    put_all_back(q, &s->waiting);
}

/* NULL: it is gone meanwhile. */
static struct flight *find_asked(struct bh_queued *q, uint64_t delivery_id)
{
    struct bh_map_node *node = bh_map_get(&q->flights, id_key(&delivery_id));
    struct flight *flight = node ? BH_CONTAINER_OF(node, struct flight, by_id) : NULL;

    return flight && !flight->cleared && !flight->worker && flight->item ? flight : NULL;
}

static void end_suppressed(struct bh_queued *q, bh_str hits)
{
    struct bh_cur list = bh_cur_make(hits);
    struct bh_rec_suppression_hit hit;

    while (bh_rec_suppression_hit_next(&list, &hit) == BH_MORE) {
        struct flight *flight = find_asked(q, hit.ref);
        struct bh_buf detail = bh_buf_make(200);

        bh_buf_printf(&detail, "{\"reason\":\"%.*s\"}", (int)(hit.reason.n < 40 ? hit.reason.n : 40), hit.reason.p);
        if (flight)
            end_flight(q, flight, BH_EVENT_SUPPRESSED, 550, BH_STR("the address is on the suppression list"),
                       bh_buf_view(&detail));
        bh_buf_free(&detail);
    }
}

void bh_queued_suppressed(struct bh_queued *q, bh_str hits)
{
    struct suppress *s = &q->suppress;
    struct bh_list cleared;

    s->under_way = false;
    q->options.ops->want_turn(q->options.ctx);
    if (!hits.p) {
        q->stalled = true;
        put_all_back(q, &s->asked);
        return;
    }
    end_suppressed(q, hits);
    bh_list_init(&cleared);
    while (!bh_list_empty(&s->asked))
        bh_list_push(&cleared, bh_list_take(&s->asked));
    while (!bh_list_empty(&cleared)) {
        struct flight *flight = BH_CONTAINER_OF(bh_list_take(&cleared), struct flight, waiting);

        flight->cleared = true;
        flight_continue(q, flight);
    }
    suppress_flush(q);
}
