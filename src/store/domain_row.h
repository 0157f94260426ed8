/* domain_row.h: reading rows of `domain`; private to the files with its queries. */
#ifndef BH_STORE_DOMAIN_ROW_H
#define BH_STORE_DOMAIN_ROW_H

#include "control.h"
#include "one.h"

#define BH_DOMAIN_SELECT                                                                                               \
    "SELECT d.id, d.customer, u.name, d.name, d.approach, d.token, d.shard, d.label_bounce, d.label_link,"             \
    " d.label_img, d.label_selector, d.bounces, d.state, d.aligned, d.zone_apex, d.dmarc_policy, d.created_at,"        \
    " d.state_at, d.checked_at, d.lost_at, d.losses, d.losing_at FROM domain d"                                        \
    " JOIN customer u ON u.id = d.customer "

struct bh_domain_reader {
    struct bh_arena *arena;
    struct bh_domain *domain;
    bh_domain_each *each;
    void *ctx;
    size_t rows;
    bool stopped;
};

/* Strings are copied into the arena; without one they are views of the row. */
void bh_domain_from_row(const struct bh_row *row, struct bh_arena *arena, struct bh_domain *ret_domain);
/* Row callback: ctx is a bh_domain_reader; the last row wins. */
void bh_domain_take(void *ctx, const struct bh_row *row);
/* Row callback: gives each domain to reader.each, until that returns false. */
void bh_domain_pass_on(void *ctx, const struct bh_row *row);

#endif
