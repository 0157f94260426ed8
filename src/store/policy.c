/* policy.c: queries on hold, site, schedule, reroute, warmup, warmup_day. See policy.h. */
#include "policy.h"

static const struct bh_query insert_hold = {
    "INSERT INTO hold(id, customer, campaign, route, message, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7)"};
static const struct bh_query delete_hold = {"DELETE FROM hold WHERE id = $1"};
static const struct bh_query select_holds = {
    "SELECT id, customer, campaign, route, message, reason, at FROM hold ORDER BY id"};

static const struct bh_query put_site = {"INSERT INTO site(name, rules, suspended_until) VALUES ($1, $2, $3)"
                                         " ON CONFLICT(name) DO UPDATE SET rules = $2, suspended_until = $3"};
static const struct bh_query delete_site = {"DELETE FROM site WHERE name = $1"};
static const struct bh_query select_sites = {"SELECT name, rules, suspended_until FROM site ORDER BY name"};

static const struct bh_query put_schedule = {
    "INSERT INTO schedule(customer, class, first_s, max_s, growth_percent, expire_s) VALUES ($1, $2, $3, $4, $5, $6)"
    " ON CONFLICT(customer, class) DO UPDATE SET first_s = $3, max_s = $4, growth_percent = $5, expire_s = $6"};
static const struct bh_query delete_schedule = {"DELETE FROM schedule WHERE customer = $1 AND class = $2"};
static const struct bh_query select_schedules = {
    "SELECT customer, class, first_s, max_s, growth_percent, expire_s FROM schedule ORDER BY customer, class"};

static const struct bh_query put_reroute = {"INSERT INTO reroute(route, host, port) VALUES ($1, $2, $3)"
                                            " ON CONFLICT(route) DO UPDATE SET host = $2, port = $3"};
static const struct bh_query delete_reroute = {"DELETE FROM reroute WHERE route = $1"};
static const struct bh_query select_reroutes = {"SELECT route, host, port FROM reroute ORDER BY route"};

static const struct bh_query put_warmup = {"INSERT INTO warmup(address, plan, started_at) VALUES ($1, $2, $3)"
                                           " ON CONFLICT(address) DO UPDATE SET plan = $2, started_at = $3"};
static const struct bh_query delete_warmup = {"DELETE FROM warmup WHERE address = $1"};
static const struct bh_query delete_warmup_days = {"DELETE FROM warmup_day WHERE address = $1"};
static const struct bh_query select_warmups = {"SELECT address, plan, started_at FROM warmup ORDER BY address"};
static const struct bh_query count_warmup = {"INSERT INTO warmup_day(address, site, day, sent) VALUES ($1, $2, $3, $4)"
                                             " ON CONFLICT(address, site) DO UPDATE SET day = $3, sent = $4"};
static const struct bh_query select_warmup_days = {"SELECT address, site, day, sent FROM warmup_day"};

static void select_all(struct bh_store *store, const struct bh_query *query,
                       void (*row)(void *ctx, const struct bh_row *row),
                       void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    bh_store_submit(store, &(struct bh_request){.query = query, .row = row, .done = done, .ctx = ctx});
}

/* ---- holds ---- */

void bh_hold_insert(struct bh_store *store, const struct bh_hold_row *h)
{
    bh_store_submit(
        store, &(struct bh_request){.query = &insert_hold,
                                    BH_ARGS(BH_INT(h->id), BH_INT(h->customer), BH_TEXT(h->campaign), BH_TEXT(h->route),
                                            BH_INT(h->message), BH_TEXT(h->reason), BH_INT(h->at))});
}

void bh_hold_delete(struct bh_store *store, int64_t id)
{
    bh_store_submit(store, &(struct bh_request){.query = &delete_hold, BH_ARGS(BH_INT(id))});
}

void bh_hold_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                    void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    select_all(store, &select_holds, row, done, ctx);
}

void bh_hold_from_row(const struct bh_row *row, struct bh_hold_row *ret_hold)
{
    *ret_hold =
        (struct bh_hold_row){bh_row_int(row, 0),           bh_row_int(row, 1), bh_row_str(row, 2), bh_row_str(row, 3),
                             (uint64_t)bh_row_int(row, 4), bh_row_str(row, 5), bh_row_int(row, 6)};
}

/* ---- sites ---- */

void bh_site_put(struct bh_store *store, const struct bh_site_row *s)
{
    bh_store_submit(store,
                    &(struct bh_request){.query = &put_site,
                                         BH_ARGS(BH_TEXT(s->name), BH_TEXT(s->rules), BH_INT(s->suspended_until))});
}

void bh_site_delete(struct bh_store *store, bh_str name)
{
    bh_store_submit(store, &(struct bh_request){.query = &delete_site, BH_ARGS(BH_TEXT(name))});
}

void bh_site_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                    void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    select_all(store, &select_sites, row, done, ctx);
}

void bh_site_from_row(const struct bh_row *row, struct bh_site_row *ret_site)
{
    *ret_site = (struct bh_site_row){bh_row_str(row, 0), bh_row_str(row, 1), bh_row_int(row, 2)};
}

/* ---- schedules ---- */

void bh_schedule_put(struct bh_store *store, const struct bh_schedule_row *s)
{
    bh_store_submit(store,
                    &(struct bh_request){.query = &put_schedule,
                                         BH_ARGS(BH_INT(s->customer), BH_TEXT(s->class), BH_INT(s->first_s),
                                                 BH_INT(s->max_s), BH_INT(s->growth_percent), BH_INT(s->expire_s))});
}

void bh_schedule_delete(struct bh_store *store, int64_t customer, bh_str class)
{
    bh_store_submit(store, &(struct bh_request){.query = &delete_schedule, BH_ARGS(BH_INT(customer), BH_TEXT(class))});
}

void bh_schedule_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                        void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    select_all(store, &select_schedules, row, done, ctx);
}

void bh_schedule_from_row(const struct bh_row *row, struct bh_schedule_row *ret_schedule)
{
    *ret_schedule = (struct bh_schedule_row){bh_row_int(row, 0),           bh_row_str(row, 1),
                                             (uint32_t)bh_row_int(row, 2), (uint32_t)bh_row_int(row, 3),
                                             (uint32_t)bh_row_int(row, 4), (uint32_t)bh_row_int(row, 5)};
}

/* ---- reroutes ---- */

void bh_reroute_put(struct bh_store *store, const struct bh_reroute_row *r)
{
    bh_store_submit(store, &(struct bh_request){.query = &put_reroute,
                                                BH_ARGS(BH_TEXT(r->route), BH_TEXT(r->host), BH_INT(r->port))});
}

void bh_reroute_delete(struct bh_store *store, bh_str route)
{
    bh_store_submit(store, &(struct bh_request){.query = &delete_reroute, BH_ARGS(BH_TEXT(route))});
}

void bh_reroute_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                       void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    select_all(store, &select_reroutes, row, done, ctx);
}

void bh_reroute_from_row(const struct bh_row *row, struct bh_reroute_row *ret_reroute)
{
    *ret_reroute = (struct bh_reroute_row){bh_row_str(row, 0), bh_row_str(row, 1), (uint16_t)bh_row_int(row, 2)};
}

/* ---- new addresses ---- */

void bh_warmup_put(struct bh_store *store, const struct bh_warmup_row *w)
{
    bh_store_submit(store, &(struct bh_request){.query = &put_warmup,
                                                BH_ARGS(BH_TEXT(w->address), BH_TEXT(w->plan), BH_INT(w->started_at))});
}

void bh_warmup_delete(struct bh_store *store, bh_str address)
{
    bh_store_submit(store, &(struct bh_request){.query = &delete_warmup, BH_ARGS(BH_TEXT(address))});
    bh_store_submit(store, &(struct bh_request){.query = &delete_warmup_days, BH_ARGS(BH_TEXT(address))});
}

void bh_warmup_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                      void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    select_all(store, &select_warmups, row, done, ctx);
}

void bh_warmup_from_row(const struct bh_row *row, struct bh_warmup_row *ret_warmup)
{
    *ret_warmup = (struct bh_warmup_row){bh_row_str(row, 0), bh_row_str(row, 1), bh_row_int(row, 2)};
}

void bh_warmup_day_put(struct bh_store *store, const struct bh_warmup_day_row *d)
{
    bh_store_submit(
        store, &(struct bh_request){.query = &count_warmup,
                                    BH_ARGS(BH_TEXT(d->address), BH_TEXT(d->site), BH_INT(d->day), BH_INT(d->sent))});
}

void bh_warmup_days_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                           void (*done)(void *ctx, const struct bh_result *result), void *ctx)
{
    select_all(store, &select_warmup_days, row, done, ctx);
}

void bh_warmup_day_from_row(const struct bh_row *row, struct bh_warmup_day_row *ret_day)
{
    *ret_day = (struct bh_warmup_day_row){bh_row_str(row, 0), bh_row_str(row, 1), (uint32_t)bh_row_int(row, 2),
                                          (uint64_t)bh_row_int(row, 3)};
}
