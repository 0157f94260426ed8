/* policy.h: what the operator says about the queue, in spool.db: holds, sites, schedules, other ways, new addresses.
 * queued keeps all of it in memory; these rows are read at the start and written by commands. */
#ifndef BH_STORE_POLICY_H
#define BH_STORE_POLICY_H

#include "store.h"

/* A hold: what matches all that is said waits, what is queued and what will come. */
struct bh_hold_row {
    int64_t id;
    int64_t customer; /* 0: any */
    bh_str campaign;  /* empty: any */
    bh_str route;     /* empty: any */
    uint64_t message; /* 0: any; else only this message */
    bh_str reason;
    bh_time_ms at;
};
void bh_hold_insert(struct bh_store *store, const struct bh_hold_row *hold);
void bh_hold_delete(struct bh_store *store, int64_t id);
void bh_hold_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                    void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_hold_from_row(const struct bh_row *row, struct bh_hold_row *ret_hold);

/* Rules in the language of queue/shaping.h under a name, and whether the site of that name is suspended. */
struct bh_site_row {
    bh_str name;
    bh_str rules;
    bh_time_ms suspended_until; /* INT64_MAX: until resumed */
};
void bh_site_put(struct bh_store *store, const struct bh_site_row *site);
void bh_site_delete(struct bh_store *store, bh_str name);
void bh_site_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                    void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_site_from_row(const struct bh_row *row, struct bh_site_row *ret_site);

/* A customer's retry schedule for a class of replies; an empty class: all that have none of their own. */
struct bh_schedule_row {
    int64_t customer; /* 0: every customer */
    bh_str class;
    uint32_t first_s, max_s, growth_percent, expire_s; /* 0: as otherwise */
};
void bh_schedule_put(struct bh_store *store, const struct bh_schedule_row *schedule);
void bh_schedule_delete(struct bh_store *store, int64_t customer, bh_str class);
void bh_schedule_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                        void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_schedule_from_row(const struct bh_row *row, struct bh_schedule_row *ret_schedule);

/* Mail for a destination domain goes to this host instead. */
struct bh_reroute_row {
    bh_str route;
    bh_str host;
    uint16_t port;
};
void bh_reroute_put(struct bh_store *store, const struct bh_reroute_row *reroute);
void bh_reroute_delete(struct bh_store *store, bh_str route);
void bh_reroute_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                       void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_reroute_from_row(const struct bh_row *row, struct bh_reroute_row *ret_reroute);

/* An address that is being warmed up, and what it delivered to a site on a day. */
struct bh_warmup_row {
    bh_str address;
    bh_str plan;
    bh_time_ms started_at;
};
void bh_warmup_put(struct bh_store *store, const struct bh_warmup_row *warmup);
void bh_warmup_delete(struct bh_store *store, bh_str address);
void bh_warmup_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                      void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_warmup_from_row(const struct bh_row *row, struct bh_warmup_row *ret_warmup);

struct bh_warmup_day_row {
    bh_str address, site;
    uint32_t day; /* from 1 */
    uint64_t sent;
};
/* A former day's count is replaced. */
void bh_warmup_day_put(struct bh_store *store, const struct bh_warmup_day_row *day);
void bh_warmup_days_select(struct bh_store *store, void (*row)(void *ctx, const struct bh_row *row),
                           void (*done)(void *ctx, const struct bh_result *result), void *ctx);
void bh_warmup_day_from_row(const struct bh_row *row, struct bh_warmup_day_row *ret_day);

#endif
