/* source.c: the addresses that a domain's mail may leave from, as controld says, and the one that the queue chose. */
#include "internal.h"
#include <stdlib.h>

static size_t name_of(char *name, const struct bh_rec_source *s)
{
    const bh_str parts[] = {s->address4, s->address6, s->helo};
    size_t n = 0;

    for (size_t i = 0; i < 3; i++) {
        bh_str part = parts[i].n ? parts[i] : BH_STR("-");

        if (part.n > 255)
            part.n = 255;
        if (i)
            name[n++] = ' ';
        memcpy(name + n, part.p, part.n);
        n += part.n;
    }
    return n;
}

/* One allocation: the records and behind them all texts. */
bool identity_keep_sources(struct identity *identity, bh_str records)
{
    enum { NAME_MAX_BYTES = 3 * 256 };
    struct bh_cur list = bh_cur_make(records);
    struct bh_rec_source s;
    size_t count = 0;
    char *at;

    while (bh_rec_source_next(&list, &s) == BH_MORE && count < BH_QUEUE_SOURCES_MAX)
        count++;
    if (!count)
        return true;
    identity->sources = malloc(count * (sizeof(struct source) + NAME_MAX_BYTES) + records.n);
    if (!identity->sources)
        return false;
    at = (char *)(identity->sources + count);
    memcpy(at, records.p, records.n);
    list = bh_cur_make(bh_str_of(at, records.n));
    at += records.n;
    for (identity->source_count = 0; identity->source_count < count; identity->source_count++) {
        if (bh_rec_source_next(&list, &s) != BH_MORE)
            break;
        identity->sources[identity->source_count] = (struct source){.name = {at, name_of(at, &s)},
                                                                    .address4 = s.address4,
                                                                    .address6 = s.address6,
                                                                    .helo = s.helo,
                                                                    .weight = s.weight};
        at += NAME_MAX_BYTES;
    }
    return true;
}

const struct source *identity_source(struct bh_queued *q, const struct identity *identity,
                                     const struct bh_queue_item *item, bool *ret_known)
{
    bh_str chosen = bh_queue_source(item);
    struct bh_queue_source list[BH_QUEUE_SOURCES_MAX];
    bh_err err;

    *ret_known = true;
    if (!identity->source_count && !chosen.n)
        return NULL;
    for (size_t i = 0; i < identity->source_count; i++) {
        if (bh_str_eq(identity->sources[i].name, chosen))
            return &identity->sources[i];
        list[i] = (struct bh_queue_source){identity->sources[i].name, identity->sources[i].weight};
    }
    *ret_known = false;
    err = bh_queue_sources(q->queues[BH_TO_WORLD], bh_queue_domain(item), list, identity->source_count);
    if (err)
        q->stalled = true;
    return NULL;
}
