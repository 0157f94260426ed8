/* site.c: routes and the sites that they lead to. A route without mail is remembered for a while, and a site as long
 * as a route leads to it or something taken is on its way there: what was learned about it is still true. */
#include "internal.h"
#include <stdlib.h>

/* ---- sites ---- */

static struct bh_shape default_shape(const struct bh_queue *queue)
{
    const struct bh_queue_options *o = &queue->options;

    return (struct bh_shape){.window_start = o->window_start,
                             .window_max = o->window_max,
                             .failures_max = o->failures_max,
                             .pause_first_s = o->pause_first_s,
                             .pause_max_s = o->pause_max_s};
}

static void ask_shape(struct bh_queue *queue, struct bh_site *site)
{
    const struct bh_queue_knowledge *k = &queue->options.knowledge;

    site->shape = default_shape(queue);
    if (k->shape)
        k->shape(k->ctx, bh_str_of(site->name, site->name_bytes), &site->shape);
    if (!site->shape.window_max)
        site->shape.window_max = 1;
    if (!site->shape.window_start || site->shape.window_start > site->shape.window_max)
        site->shape.window_start = site->shape.window_max;
}

static struct bh_site *get_site(struct bh_queue *queue, bh_str name)
{
    struct bh_map_node *node = bh_map_get(&queue->sites, name);
    struct bh_site *site;

    if (node)
        return BH_CONTAINER_OF(node, struct bh_site, by_name);
    site = calloc(1, sizeof(*site) + name.n);
    if (!site)
        return NULL;
    if (name.n)
        memcpy(site->name, name.p, name.n);
    site->name_bytes = name.n;
    bh_list_init(&site->paths);
    bh_list_init(&site->tracks);
    bh_list_init(&site->routes);
    if (bh_map_add(&queue->sites, bh_str_of(site->name, name.n), &site->by_name)) {
        free(site);
        return NULL;
    }
    ask_shape(queue, site);
    queue->counts.bytes += sizeof(*site) + name.n;
    return site;
}

static void free_site(struct bh_queue *queue, struct bh_site *site)
{
    while (!bh_list_empty(&site->paths))
        bh_path_free(queue, BH_LIST_HEAD(&site->paths, struct bh_path, of_site));
    bh_map_remove(&queue->sites, &site->by_name);
    queue->counts.bytes -= sizeof(*site) + site->name_bytes;
    free(site);
}

void bh_site_forget(struct bh_queue *queue, struct bh_site *site)
{
    if (bh_list_empty(&site->routes) && bh_list_empty(&site->tracks) && !site->taken)
        free_site(queue, site);
}

void bh_queue_shapes_changed(struct bh_queue *queue, bh_str name)
{
    for (struct bh_map_node *node = NULL; (node = bh_map_next(&queue->sites, node));) {
        struct bh_site *site = BH_CONTAINER_OF(node, struct bh_site, by_name);

        if (name.n && !bh_str_eq(name, bh_str_of(site->name, site->name_bytes)))
            continue;
        ask_shape(queue, site);
        BH_LIST_EACH (link, &site->paths)
            bh_path_renew(queue, BH_CONTAINER_OF(link, struct bh_path, of_site));
    }
}

void bh_queue_quotas_changed(struct bh_queue *queue)
{
    for (struct bh_map_node *node = NULL; (node = bh_map_next(&queue->sites, node));)
        BH_LIST_EACH (link, &BH_CONTAINER_OF(node, struct bh_site, by_name)->paths) {
            struct bh_path *path = BH_CONTAINER_OF(link, struct bh_path, of_site);

            path->quota.until = 0;
            bh_path_renew(queue, path);
        }
}

/* ---- routes ---- */

static struct bh_site *first_site(struct bh_queue *queue, bh_str route)
{
    const struct bh_queue_knowledge *k = &queue->options.knowledge;
    char name[BH_QUEUE_ROUTE_MAX];
    size_t n = k->site_of ? k->site_of(k->ctx, route, name) : 0;

    return get_site(queue, n ? bh_str_of(name, n) : route);
}

struct route *bh_route_get(struct bh_queue *queue, bh_str name)
{
    struct bh_map_node *node = bh_map_get(&queue->routes, name);
    struct route *route;

    if (node)
        return BH_CONTAINER_OF(node, struct route, by_name);
    route = calloc(1, sizeof(*route) + name.n);
    if (!route)
        return NULL;
    if (name.n)
        memcpy(route->name, name.p, name.n);
    route->name_bytes = name.n;
    bh_list_init(&route->lanes);
    bh_list_init(&route->idle);
    bh_list_init(&route->of_site);
    route->site = first_site(queue, name);
    if (!route->site) {
        free(route);
        return NULL;
    }
    if (bh_map_add(&queue->routes, bh_str_of(route->name, name.n), &route->by_name)) {
        bh_site_forget(queue, route->site);
        free(route);
        return NULL;
    }
    bh_list_push(&route->site->routes, &route->of_site);
    queue->counts.bytes += sizeof(*route) + name.n;
    return route;
}

static void free_route(struct bh_queue *queue, struct route *route)
{
    struct bh_site *site = route->site;

    bh_map_remove(&queue->routes, &route->by_name);
    queue->counts.bytes -= sizeof(*route) + route->name_bytes;
    bh_list_remove(&route->of_site);
    free(route);
    bh_site_forget(queue, site);
}

void bh_route_idle(struct bh_queue *queue, struct route *route)
{
    bh_list_push(&queue->idle_routes, &route->idle);
    if (++queue->idle_route_count <= IDLE_ROUTES_MAX)
        return;
    route = BH_CONTAINER_OF(bh_list_take(&queue->idle_routes), struct route, idle);
    queue->idle_route_count--;
    free_route(queue, route);
}

static void move_lane(struct bh_queue *queue, struct bh_lane *lane, struct track *track)
{
    struct track *old = lane->track;

    bh_lane_leave(queue, lane);
    lane->track = track;
    bh_track_drop(queue, old);
    bh_lane_place(queue, lane);
}

bh_err bh_queue_site(struct bh_queue *queue, bh_str name, bh_str site_name)
{
    struct bh_map_node *node = bh_map_get(&queue->routes, name);
    struct route *route = node ? BH_CONTAINER_OF(node, struct route, by_name) : NULL;
    struct bh_site *old, *site;
    bh_err err = BH_OK;

    if (site_name.n > BH_QUEUE_ROUTE_MAX)
        return BH_E_LIMIT;
    if (!route || bh_str_eq(site_name, bh_str_of(route->site->name, route->site->name_bytes)))
        return BH_OK;
    site = get_site(queue, site_name);
    if (!site)
        return BH_E_NOMEM;
    old = route->site;
    BH_LIST_EACH (link, &route->lanes) {
        struct bh_lane *lane = BH_CONTAINER_OF(link, struct bh_lane, of_route);
        struct track *track = bh_track_get(queue, lane->domain->egress, site);

        if (track)
            move_lane(queue, lane, track);
        else
            err = BH_E_NOMEM;
    }
    if (err) { /* a lane still waits at the old one: told again with the next look-up */
        bh_site_forget(queue, site);
        return err;
    }
    bh_list_remove(&route->of_site);
    bh_list_push(&site->routes, &route->of_site);
    route->site = site;
    bh_site_forget(queue, old);
    return BH_OK;
}

void bh_sites_free(struct bh_queue *queue)
{
    for (struct bh_map_node *node = bh_map_next(&queue->routes, NULL), *next; node; node = next) {
        next = bh_map_next(&queue->routes, node);
        free(BH_CONTAINER_OF(node, struct route, by_name));
    }
    for (struct bh_map_node *node = bh_map_next(&queue->tracks, NULL), *next; node; node = next) {
        next = bh_map_next(&queue->tracks, node);
        bh_track_free(queue, BH_CONTAINER_OF(node, struct track, by_key));
    }
    for (struct bh_map_node *node = bh_map_next(&queue->sites, NULL), *next; node; node = next) {
        next = bh_map_next(&queue->sites, node);
        free_site(queue, BH_CONTAINER_OF(node, struct bh_site, by_name));
    }
    bh_map_free(&queue->routes);
    bh_map_free(&queue->tracks);
    bh_map_free(&queue->sites);
}
