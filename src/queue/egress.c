/* egress.c: sources, sets of them, and the sending domains that use a set. Equal sets are one object, so that all
 * domains of a shared pool wait in the same tracks. */
#include "internal.h"
#include <stdlib.h>

/* ---- sources ---- */

static struct source *get_source(struct bh_queue *queue, bh_str name)
{
    struct bh_map_node *node = bh_map_get(&queue->sources, name);
    struct source *source;

    if (node)
        return BH_CONTAINER_OF(node, struct source, by_name);
    source = calloc(1, sizeof(*source) + name.n);
    if (!source)
        return NULL;
    if (name.n)
        memcpy(source->name, name.p, name.n);
    source->name_bytes = name.n;
    if (bh_map_add(&queue->sources, bh_str_of(source->name, name.n), &source->by_name)) {
        free(source);
        return NULL;
    }
    return source;
}

void bh_source_drop(struct bh_queue *queue, struct source *source)
{
    if (--source->users)
        return;
    bh_map_remove(&queue->sources, &source->by_name);
    free(source);
}

/* ---- sets ---- */

static void free_egress(struct bh_queue *queue, struct egress *egress)
{
    for (size_t i = 0; i < egress->count; i++)
        bh_source_drop(queue, egress->choices[i].source);
    free(egress->choices);
    free(egress);
}

void bh_egress_drop(struct bh_queue *queue, struct egress *egress)
{
    if (--egress->users)
        return;
    bh_map_remove(&queue->egresses, &egress->by_content);
    free_egress(queue, egress);
}

static bool write_content(struct bh_buf *out, const struct bh_queue_source *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bh_buf_u32(out, sources[i].weight ? sources[i].weight : 1);
        bh_buf_u32(out, (uint32_t)sources[i].name.n);
        bh_buf_add(out, sources[i].name);
    }
    return bh_buf_err(out) == BH_OK;
}

static bool fill_choices(struct bh_queue *queue, struct egress *egress, const struct bh_queue_source *sources,
                         size_t count)
{
    egress->choices = calloc(count, sizeof(*egress->choices));
    if (!egress->choices)
        return false;
    for (; egress->count < count; egress->count++) {
        const struct bh_queue_source *from = &sources[egress->count];
        struct source *source = get_source(queue, from->name);

        if (!source)
            return false;
        source->users++;
        egress->choices[egress->count] = (struct egress_choice){source, from->weight ? from->weight : 1};
    }
    return true;
}

static struct egress *new_egress(struct bh_queue *queue, const struct bh_queue_source *sources, size_t count,
                                 bh_str content)
{
    struct egress *egress = calloc(1, sizeof(*egress) + content.n);

    if (!egress)
        return NULL;
    memcpy(egress->content, content.p, content.n);
    egress->content_bytes = content.n;
    if (!fill_choices(queue, egress, sources, count) ||
        bh_map_add(&queue->egresses, bh_str_of(egress->content, content.n), &egress->by_content)) {
        free_egress(queue, egress);
        return NULL;
    }
    return egress;
}

/* The set, counted once more. */
static struct egress *get_egress(struct bh_queue *queue, const struct bh_queue_source *sources, size_t count)
{
    struct bh_buf content = bh_buf_make(BH_QUEUE_SOURCES_MAX * (BH_QUEUE_SOURCE_MAX + 8));
    struct egress *egress = NULL;

    if (count > BH_QUEUE_SOURCES_MAX)
        count = BH_QUEUE_SOURCES_MAX;
    if (write_content(&content, sources, count)) {
        struct bh_map_node *node = bh_map_get(&queue->egresses, bh_buf_view(&content));

        egress = node ? BH_CONTAINER_OF(node, struct egress, by_content)
                      : new_egress(queue, sources, count, bh_buf_view(&content));
    }
    bh_buf_free(&content);
    if (egress)
        egress->users++;
    return egress;
}

/* ---- sending domains ---- */

static const struct bh_queue_source any_source = {{NULL, 0}, 1};

struct sending_domain *bh_domain_get(struct bh_queue *queue, uint64_t id)
{
    struct bh_map_node *node = bh_map_get(&queue->domains, bh_str_of((const char *)&id, sizeof(id)));
    struct sending_domain *domain;

    if (node)
        return BH_CONTAINER_OF(node, struct sending_domain, by_id);
    domain = calloc(1, sizeof(*domain));
    if (!domain)
        return NULL;
    domain->id = id;
    bh_list_init(&domain->lanes);
    bh_list_init(&domain->idle);
    domain->egress = get_egress(queue, &any_source, 1);
    if (domain->egress &&
        bh_map_add(&queue->domains, bh_str_of((const char *)&domain->id, sizeof(id)), &domain->by_id) == BH_OK)
        return domain;
    if (domain->egress)
        bh_egress_drop(queue, domain->egress);
    free(domain);
    return NULL;
}

/* Remembered for a while: its next message need not learn the sources anew. */
void bh_domain_idle(struct bh_queue *queue, struct sending_domain *domain)
{
    bh_list_push(&queue->idle_domains, &domain->idle);
    if (++queue->idle_domain_count <= IDLE_DOMAINS_MAX)
        return;
    domain = BH_CONTAINER_OF(bh_list_take(&queue->idle_domains), struct sending_domain, idle);
    queue->idle_domain_count--;
    bh_map_remove(&queue->domains, &domain->by_id);
    bh_egress_drop(queue, domain->egress);
    free(domain);
}

/* The lane waits at the paths of the new set from now on. */
static bool move_lane(struct bh_queue *queue, struct bh_lane *lane, struct egress *egress)
{
    struct track *old = lane->track, *track = bh_track_get(queue, egress, lane->route->site);

    if (!track)
        return false;
    bh_lane_leave(queue, lane);
    lane->track = track;
    bh_track_drop(queue, old);
    bh_lane_place(queue, lane);
    return true;
}

bh_err bh_queue_sources(struct bh_queue *queue, uint64_t id, const struct bh_queue_source *sources, size_t count)
{
    struct sending_domain *domain = bh_domain_get(queue, id);
    struct egress *old, *egress = domain ? get_egress(queue, count ? sources : &any_source, count ? count : 1) : NULL;
    bh_err err = egress ? BH_OK : BH_E_NOMEM;

    if (egress && egress == domain->egress) {
        bh_egress_drop(queue, egress);
    } else if (egress) {
        old = domain->egress;
        domain->egress = egress;
        BH_LIST_EACH (node, &domain->lanes)
            if (!move_lane(queue, BH_CONTAINER_OF(node, struct bh_lane, of_domain), egress))
                err = BH_E_NOMEM; /* this lane keeps its old paths; its track counts the old set */
        bh_egress_drop(queue, old);
    }
    if (domain && bh_list_empty(&domain->lanes) && bh_list_empty(&domain->idle))
        bh_domain_idle(queue, domain);
    return err;
}

void bh_egresses_free(struct bh_queue *queue)
{
    for (struct bh_map_node *node = bh_map_next(&queue->domains, NULL), *next; node; node = next) {
        struct sending_domain *domain = BH_CONTAINER_OF(node, struct sending_domain, by_id);

        next = bh_map_next(&queue->domains, node);
        bh_egress_drop(queue, domain->egress);
        free(domain);
    }
    bh_map_free(&queue->domains);
    bh_map_free(&queue->egresses);
    bh_map_free(&queue->sources);
}
