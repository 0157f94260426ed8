/* path.c: the ready queues: what a site bears from one source; and the tracks, where lanes wait for them.
 *
 *            pause over, rate due, new day, resumed
 *     OPEN ◀──────────────────────────────────────── PAUSED   the site failed, or asked for it; one scout first
 *                                                    RATE     the next delivery would be too early
 *                                                    QUOTA    the day's share of this source is used
 *                                                    SUSPENDED by the operator
 *
 * A closed path with an end is in the timer heap. A track whose lanes are blocked is in the waiting list of each of its
 * paths; the path that gets room first takes a lane from it, and the next track's lane after that. */
#include "internal.h"
#include <stdlib.h>

const char *bh_path_state_name(enum bh_path_state state)
{
    static const char *const names[] = {"open", "paused", "rate", "quota", "suspended"};

    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

static bh_str site_name(const struct bh_site *site)
{
    return bh_str_of(site->name, site->name_bytes);
}

static bh_str source_name(const struct source *source)
{
    return bh_str_of(source->name, source->name_bytes);
}

/* ---- open and closed ---- */

static void count_paused(struct bh_queue *queue, const struct bh_path *path, int by)
{
    if (path->state == BH_PATH_PAUSED || path->state == BH_PATH_SUSPENDED)
        queue->counts.paused_sites += (size_t)by;
}

/* Without memory for the timer it stays as it is: with a window of one after a failure, that is bearable. */
static bool close_path(struct bh_queue *queue, struct bh_path *path, enum bh_path_state state, bh_time_ms until)
{
    if (path->state != BH_PATH_OPEN && path->until >= until)
        return false;
    if (until != INT64_MAX) {
        if (path->timer.place)
            bh_heap_change(&queue->timers, &path->timer, timer_key(until, TIMER_PATH));
        else if (bh_heap_add(&queue->timers, &path->timer, timer_key(until, TIMER_PATH)) != BH_OK)
            return false;
    } else {
        bh_heap_remove(&queue->timers, &path->timer);
    }
    count_paused(queue, path, -1);
    path->state = state;
    path->until = until;
    count_paused(queue, path, 1);
    return true;
}

static void ask_quota(struct bh_queue *queue, struct bh_path *path)
{
    const struct bh_queue_knowledge *k = &queue->options.knowledge;

    path->quota = (struct bh_quota){UINT64_MAX, INT64_MAX};
    if (k->quota)
        k->quota(k->ctx, source_name(path->source), site_name(path->site), queue->now, &path->quota);
}

/* Closes an open path that may take nothing just now. */
static void check(struct bh_queue *queue, struct bh_path *path)
{
    const struct bh_shape *shape = &path->site->shape;

    if (path->state != BH_PATH_OPEN)
        return;
    if (shape->suspended_until > queue->now) {
        (void)close_path(queue, path, BH_PATH_SUSPENDED, shape->suspended_until);
        return;
    }
    if (path->quota.until <= queue->now)
        ask_quota(queue, path);
    if (!path->quota.left)
        (void)close_path(queue, path, BH_PATH_QUOTA,
                         path->quota.until > queue->now ? path->quota.until : queue->now + 1000);
    else if (shape->rate_count && path->rate_us > queue->now * 1000)
        (void)close_path(queue, path, BH_PATH_RATE, (path->rate_us + 999) / 1000);
}

static void open_path(struct bh_queue *queue, struct bh_path *path)
{
    bh_heap_remove(&queue->timers, &path->timer);
    count_paused(queue, path, -1);
    path->state = BH_PATH_OPEN;
    path->until = 0;
    check(queue, path);
    bh_path_serve(queue, path);
}

void bh_path_due(struct bh_queue *queue, struct bh_path *path)
{
    if (path->state == BH_PATH_PAUSED)
        path->window = 1; /* one scout first */
    open_path(queue, path);
}

void bh_path_renew(struct bh_queue *queue, struct bh_path *path)
{
    if (path->window > path->site->shape.window_max)
        path->window = path->site->shape.window_max;
    if (!path->failures && path->slow_until <= queue->now && path->window < path->site->shape.window_start)
        path->window = path->site->shape.window_start;
    if (path->state == BH_PATH_PAUSED && path->site->shape.suspended_until <= queue->now)
        return;
    open_path(queue, path);
}

/* ---- room ---- */

bool bh_path_has_room(const struct bh_path *path)
{
    return path->state == BH_PATH_OPEN && path->taken + path->eligible < path->window;
}

/* Smooth weighted round robin among the paths with room. */
static struct choice *choose(struct track *track, bool must_have_room)
{
    struct choice *best = NULL;
    int64_t total = 0;

    for (size_t i = 0; i < track->count; i++) {
        struct choice *c = &track->choices[i];

        if (must_have_room && !bh_path_has_room(c->path))
            continue;
        c->credit += c->weight;
        total += c->weight;
        if (!best || c->credit > best->credit)
            best = c;
    }
    if (best)
        best->credit -= total;
    return best;
}

static bool admit_one(struct bh_queue *queue, struct track *track)
{
    struct choice *c = choose(track, true);

    return c && bh_lane_admit(queue, BH_LIST_HEAD(&track->blocked, struct bh_lane, turn), c->path);
}

void bh_track_content(struct track *track)
{
    for (size_t i = 0; i < track->count; i++)
        bh_list_remove(&track->choices[i].waiting);
}

void bh_track_wants(struct bh_queue *queue, struct track *track)
{
    while (!bh_list_empty(&track->blocked) && admit_one(queue, track))
        continue;
    if (bh_list_empty(&track->blocked)) {
        bh_track_content(track);
        return;
    }
    for (size_t i = 0; i < track->count; i++)
        if (bh_list_empty(&track->choices[i].waiting))
            bh_list_push(&track->choices[i].path->waiting, &track->choices[i].waiting);
}

void bh_path_serve(struct bh_queue *queue, struct bh_path *path)
{
    while (bh_path_has_room(path) && !bh_list_empty(&path->waiting)) {
        struct choice *c = BH_LIST_HEAD(&path->waiting, struct choice, waiting);

        bh_list_remove(&c->waiting);
        bh_list_push(&path->waiting, &c->waiting); /* the other tracks come first next time */
        if (!admit_one(queue, c->track))
            return; /* out of memory: at the next chance */
        if (bh_list_empty(&c->track->blocked))
            bh_track_content(c->track);
    }
}

struct bh_path *bh_track_any(struct track *track)
{
    return choose(track, false)->path;
}

void bh_path_charge(struct bh_queue *queue, struct bh_path *path)
{
    const struct bh_shape *shape = &path->site->shape;

    if (path->quota.left && path->quota.left != UINT64_MAX)
        path->quota.left--;
    if (shape->rate_count) {
        int64_t now_us = queue->now * 1000,
                step = (int64_t)(shape->rate_s ? shape->rate_s : 1) * 1000000 / shape->rate_count;

        path->rate_us = (path->rate_us > now_us ? path->rate_us : now_us) + step;
    }
    check(queue, path);
}

void bh_path_refund(struct bh_queue *queue, struct bh_path *path)
{
    if (path->quota.left == UINT64_MAX)
        return;
    path->quota.left++;
    if (path->state == BH_PATH_QUOTA)
        open_path(queue, path);
}

/* ---- what deliveries teach ---- */

static void sweep_lane(struct bh_queue *queue, struct bh_lane *lane, bh_time_ms now)
{
    BH_LIST_EACH (node, &lane->ready) {
        struct bh_queue_item *item = BH_CONTAINER_OF(node, struct bh_queue_item, at.node);

        if (bh_queue_expires_at(item) > now)
            continue;
        bh_list_remove(node);
        bh_list_push(&queue->expired, node);
        item->state = BH_QUEUE_EXPIRED;
        queue->counts.ready--;
        queue->counts.expired++;
    }
    bh_lane_place(queue, lane);
}

/* What waits for a site that does not work ends when its time is over. */
static void sweep_expired(struct bh_queue *queue, struct bh_site *site, bh_time_ms now)
{
    BH_LIST_EACH (of_site, &site->routes)
        BH_LIST_EACH (node, &BH_CONTAINER_OF(of_site, struct route, of_site)->lanes) {
            struct bh_lane *lane = BH_CONTAINER_OF(node, struct bh_lane, of_route);

            if (!lane->held)
                sweep_lane(queue, lane, now);
        }
}

static void pause_path(struct bh_queue *queue, struct bh_path *path, bh_time_ms now, int64_t for_ms)
{
    if (close_path(queue, path, BH_PATH_PAUSED, now + for_ms))
        sweep_expired(queue, path->site, now);
}

static int64_t next_pause(struct bh_queue *queue, struct bh_path *path)
{
    int64_t first = (int64_t)path->site->shape.pause_first_s * 1000,
            most = (int64_t)path->site->shape.pause_max_s * 1000;
    int64_t pause = path->pause_ms ? path->pause_ms * 2 : first;

    if (pause > most)
        pause = most;
    path->pause_ms = pause;
    return pause + (int64_t)bh_random_below(queue->options.random, (uint64_t)(pause / 8 + 1));
}

static void works(struct bh_queue *queue, struct bh_path *path, bh_time_ms now)
{
    path->failures = 0;
    path->pause_ms = 0;
    if (path->window < path->site->shape.window_max && path->slow_until <= now)
        path->window++;
    bh_path_serve(queue, path);
}

static void halve(struct bh_path *path)
{
    path->window = path->window > 1 ? path->window / 2 : 1;
}

void bh_queue_learn(struct bh_queue *queue, struct bh_queue_item *item, enum bh_site_outcome outcome, bh_time_ms now)
{
    struct bh_path *path = item->path;

    queue->now = now > queue->now ? now : queue->now;
    switch (outcome) {
    case BH_SITE_WORKS:
        works(queue, path, now);
        break;
    case BH_SITE_FAILS:
        path->failures++;
        halve(path);
        if (path->state != BH_PATH_PAUSED && path->failures >= path->site->shape.failures_max)
            pause_path(queue, path, now, next_pause(queue, path));
        break;
    case BH_SITE_NEUTRAL:
        break;
    }
}

void bh_queue_slow(struct bh_queue *queue, struct bh_queue_item *item, bh_time_ms now, int64_t for_ms)
{
    struct bh_path *path = item->path;

    queue->now = now > queue->now ? now : queue->now;
    if (path->slow_until <= now) /* the replies to one burst halve it once */
        halve(path);
    path->slow_until = now + for_ms;
}

void bh_queue_suspend(struct bh_queue *queue, struct bh_queue_item *item, bh_time_ms now, int64_t for_ms)
{
    queue->now = now > queue->now ? now : queue->now;
    pause_path(queue, item->path, now, for_ms);
}

/* ---- making and forgetting ---- */

static struct bh_path *get_path(struct bh_queue *queue, struct bh_site *site, struct source *source)
{
    struct bh_path *path;

    BH_LIST_EACH (node, &site->paths) {
        path = BH_CONTAINER_OF(node, struct bh_path, of_site);
        if (path->source == source)
            return path;
    }
    path = calloc(1, sizeof(*path));
    if (!path)
        return NULL;
    path->site = site;
    path->source = source;
    source->users++;
    path->window = site->shape.window_start;
    bh_list_init(&path->waiting);
    bh_list_push(&site->paths, &path->of_site);
    queue->counts.paths++;
    queue->counts.bytes += sizeof(*path);
    check(queue, path);
    return path;
}

void bh_path_free(struct bh_queue *queue, struct bh_path *path)
{
    bh_heap_remove(&queue->timers, &path->timer);
    count_paused(queue, path, -1);
    bh_list_remove(&path->of_site);
    bh_source_drop(queue, path->source);
    queue->counts.paths--;
    queue->counts.bytes -= sizeof(*path);
    free(path);
}

static bool fill_choices(struct bh_queue *queue, struct track *track)
{
    for (; track->count < track->egress->count; track->count++) {
        const struct egress_choice *from = &track->egress->choices[track->count];
        struct choice *to = &track->choices[track->count];

        *to =
            (struct choice){.track = track, .path = get_path(queue, track->site, from->source), .weight = from->weight};
        bh_list_init(&to->waiting);
        if (!to->path)
            return false;
    }
    return true;
}

static size_t track_bytes(const struct egress *egress)
{
    return sizeof(struct track) + egress->count * sizeof(struct choice);
}

/* A track lives as long as it has lanes, so with little mail each message makes a new one: it does not begin with the
 * first source each time, but with another by their weights (a Weyl sequence spreads them evenly). */
static void begin_anywhere(struct bh_queue *queue, struct track *track)
{
    uint64_t spread = ++queue->tracks_made * UINT64_C(0x9e3779b97f4a7c15), total = 0, at;
    uint32_t most = 0;

    for (size_t i = 0; i < track->count; i++) {
        total += track->choices[i].weight;
        most = track->choices[i].weight > most ? track->choices[i].weight : most;
    }
    at = (spread >> 32) * total >> 32;
    for (size_t i = 0; i < track->count; i++) {
        if (at < track->choices[i].weight) {
            track->choices[i].credit = (int64_t)most - track->choices[i].weight + 1; /* just enough to be first */
            return;
        }
        at -= track->choices[i].weight;
    }
}

struct track *bh_track_get(struct bh_queue *queue, struct egress *egress, struct bh_site *site)
{
    struct track_key key = {egress, site};
    struct bh_map_node *node = bh_map_get(&queue->tracks, bh_str_of((const char *)&key, sizeof(key)));
    struct track *track = node ? BH_CONTAINER_OF(node, struct track, by_key) : NULL;

    if (track) {
        track->lane_count++;
        return track;
    }
    track = calloc(1, track_bytes(egress));
    if (!track)
        return NULL;
    track->key = key;
    track->egress = egress;
    track->site = site;
    bh_list_init(&track->blocked);
    if (!fill_choices(queue, track) ||
        bh_map_add(&queue->tracks, bh_str_of((const char *)&track->key, sizeof(key)), &track->by_key)) {
        free(track);
        return NULL;
    }
    begin_anywhere(queue, track);
    bh_list_push(&site->tracks, &track->of_site);
    egress->users++;
    queue->counts.bytes += track_bytes(egress);
    track->lane_count = 1;
    return track;
}

void bh_track_free(struct bh_queue *queue, struct track *track)
{
    bh_track_content(track);
    bh_list_remove(&track->of_site);
    queue->counts.bytes -= track_bytes(track->egress);
    bh_egress_drop(queue, track->egress);
    free(track);
}

void bh_track_drop(struct bh_queue *queue, struct track *track)
{
    if (--track->lane_count)
        return;
    bh_map_remove(&queue->tracks, &track->by_key);
    bh_track_free(queue, track);
}

void bh_queue_paths(const struct bh_queue *queue, bh_str site, void (*each)(void *ctx, const struct bh_path_view *path),
                    void *ctx)
{
    for (struct bh_map_node *node = NULL; (node = bh_map_next(&queue->sites, node));) {
        struct bh_site *s = BH_CONTAINER_OF(node, struct bh_site, by_name);

        if (site.n && !bh_str_eq(site, site_name(s)))
            continue;
        BH_LIST_EACH (link, &s->paths) {
            const struct bh_path *p = BH_CONTAINER_OF(link, struct bh_path, of_site);

            each(ctx, &(struct bh_path_view){.site = site_name(s),
                                             .source = source_name(p->source),
                                             .state = p->state,
                                             .until = p->until,
                                             .is_slow = p->slow_until > queue->now,
                                             .taken = p->taken,
                                             .window = p->window,
                                             .failures = p->failures,
                                             .quota_left = p->quota.left,
                                             .shape = &s->shape});
        }
    }
}
