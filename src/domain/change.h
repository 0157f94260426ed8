/* change.h: planned changes as values: what we are about to change, and the records that customers have to edit first.
 *
 *   open ──▶ acted   every affected domain shows its new record, and the old one's TTL has passed (invariant 3)
 *     ├────▶ forced  the operator did not wait any longer
 *     └────▶ cancelled
 *
 * Nothing of the old state is withdrawn while a change is open. This file is pure: whether an answer shows the new
 * record, when to remind, the words, the edit of an SPF record. Rows: store/change.h; the machinery: roles/controld/
 * change.h. */
#ifndef BH_DOMAIN_CHANGE_H
#define BH_DOMAIN_CHANGE_H

#include "check.h"

/* What is about to change. The numbers are stored. */
enum bh_change_kind {
    BH_CHANGE_KEY = 1,     /* a DKIM key whose record the customer publishes himself */
    BH_CHANGE_ADDRESS = 2, /* an address that mail leaves from, in SPF records that list addresses */
    BH_CHANGE_HOST = 3,    /* the name that a record points at */
    BH_CHANGE_KINDS
};
const char *bh_change_kind_name(enum bh_change_kind kind); /* "key", "address", "host" */

enum bh_change_state { BH_CHANGE_OPEN = 0, BH_CHANGE_ACTED = 1, BH_CHANGE_FORCED = 2, BH_CHANGE_CANCELLED = 3 };
const char *bh_change_state_name(enum bh_change_state state);

/* One record that one domain has to edit. */
struct bh_change_item {
    int64_t domain;
    uint16_t type;
    enum bh_match match; /* how the new record is recognised: EXACT (among the set), DKIM (p= equal), SPF (see want) */
    bh_str name;         /* full owner name */
    bh_str old_value;    /* as it stands now; empty = nothing stands there, or it is not known */
    bh_str new_value;    /* the exact record to publish; TXT without quotes */
    bh_str want;         /* BH_MATCH_SPF: the addresses that the record has to list, separated by blanks */

    /* kept by the machinery */
    uint32_t ttl_s;          /* of what stood there when last looked at */
    bh_time_ms told_at;      /* 0: not yet */
    bh_time_ms remind_at;    /* when to speak of it next */
    unsigned reminders;      /* how often that was done */
    bh_time_ms acted_at;     /* the new record was first seen at every server; 0: not yet */
    bh_time_ms effective_at; /* from when every resolver can know it; 0: not yet */
};

/* True when `seen` (an answer of all authoritative servers for item->name and type) shows the new record everywhere.
 * `include`: our include for this domain (empty: none), which covers every address. */
bool bh_change_seen(struct bh_arena *arena, const struct bh_change_item *item, bh_str include,
                    const struct bh_seen *seen);

/* What a look at `seen` does to the item: acted_at, effective_at and ttl_s move. Returns true when they did. An answer
 * that could not be had changes nothing; a record that is taken back before it was effective counts as not acted. */
bool bh_change_look(struct bh_arena *arena, struct bh_change_item *item, bh_str include, const struct bh_seen *seen,
                    bh_time_ms now);

/* From the `reminders`-th telling (0: the first) to the next: 3, 4, 7, then 14 days. */
int64_t bh_change_remind_in(unsigned reminders);

/* The words about one item, for a mail: what stands there and what to change it to. `zone_apex` may be empty. */
void bh_change_print(struct bh_buf *out, bh_str domain, bh_str zone_apex, const struct bh_change_item *item);

/* `record` (an SPF record) with `terms` ("ip4:192.0.2.1 ip6:2001:db8::1") put before its `all` or `redirect=`, and
 * without those of them that it has already. In the arena; {NULL, 0} when it is full. */
bh_str bh_spf_with(struct bh_arena *arena, bh_str record, bh_str terms);
/* `record` without `terms`. */
bh_str bh_spf_without(struct bh_arena *arena, bh_str record, bh_str terms);
/* "ip4:192.0.2.1" or "ip6:…" of an address, in the arena. */
bh_str bh_spf_term(struct bh_arena *arena, bh_str address);

#endif
