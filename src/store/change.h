/* change.h: queries on planned changes, part of control.db. Rules: as in control.h. */
#ifndef BH_STORE_CHANGE_H
#define BH_STORE_CHANGE_H

#include "control.h"
#include "domain/change.h"

struct bh_change {
    int64_t id;
    enum bh_change_kind kind;
    enum bh_change_state state;
    bh_str title;
    bh_str ref; /* the creator's own name for what changes */
    bh_time_ms created_at;
    bh_time_ms closed_at; /* 0: open */
    int64_t items;
    int64_t waiting; /* of those, not effective yet */
};

/* An item with what is shown beside it. */
struct bh_change_row {
    int64_t change;
    struct bh_change_item item;
    bh_str domain;
    bh_str zone_apex;
    int64_t customer_id;
    bh_str customer;
    struct bh_token token; /* of the domain: for its include */
};

BH_MUST bh_err bh_change_insert(struct bh_store *store, enum bh_change_kind kind, bh_str title, bh_str ref,
                                bh_time_ms now, int64_t *ret_id);
/* The item's kept members are as for a new one: remind_at `now`, the rest 0. */
BH_MUST bh_err bh_change_item_insert(struct bh_store *store, int64_t change, const struct bh_change_item *item,
                                     bh_time_ms now);
/* Writes the kept members. */
BH_MUST bh_err bh_change_item_update(struct bh_store *store, int64_t change, const struct bh_change_item *item);
/* Strings in the arena. */
BH_MUST bh_err bh_change_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id, bh_time_ms now,
                               struct bh_change *ret_change);
/* The open one of this kind and ref. */
BH_MUST bh_err bh_change_by_ref(struct bh_store *store, enum bh_change_kind kind, bh_str ref, int64_t *ret_id);
/* Newest first. The change is valid inside `each`. */
BH_MUST bh_err bh_change_list(struct bh_store *store, bool open_only, int64_t limit, bh_time_ms now,
                              void (*each)(void *ctx, const struct bh_change *change), void *ctx);
/* The first open change behind `after` whose items are all effective at `now` (or that has none); BH_E_NOT_FOUND. */
BH_MUST bh_err bh_change_ready(struct bh_store *store, int64_t after, bh_time_ms now, int64_t *ret_id);
BH_MUST bh_err bh_change_close(struct bh_store *store, int64_t id, enum bh_change_state state, bh_time_ms now);

typedef void bh_change_each(void *ctx, const struct bh_change_row *row);
/* Items of a change by customer and domain, those of deleted domains left out. The row is valid inside `each`. */
BH_MUST bh_err bh_change_items(struct bh_store *store, int64_t change, bh_change_each *each, void *ctx);
/* Items of open changes of one domain. */
BH_MUST bh_err bh_change_items_of(struct bh_store *store, int64_t domain, bh_change_each *each, void *ctx);
/* An open change and a customer with items to speak of at `now`; BH_E_NOT_FOUND. */
BH_MUST bh_err bh_change_due(struct bh_store *store, bh_time_ms now, int64_t *ret_change, int64_t *ret_customer);
/* Open ones of a kind. */
BH_MUST bh_err bh_change_open_count(struct bh_store *store, enum bh_change_kind kind, int64_t *ret_count);
/* All that have not acted are to be spoken of at `now`. */
BH_MUST bh_err bh_change_remind_all(struct bh_store *store, int64_t change, bh_time_ms now);
/* The domain is to be checked at `at`, or before. */
BH_MUST bh_err bh_change_check_soon(struct bh_store *store, int64_t domain, bh_time_ms at);
/* 1 when the domain has nothing (more) to do: no item in an open change of this kind and ref that is not effective. */
BH_MUST bh_err bh_change_domain_ready(struct bh_store *store, enum bh_change_kind kind, bh_str ref, int64_t domain,
                                      bh_time_ms now, int64_t *ret_ready);

#endif
