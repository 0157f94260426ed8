/* hindex.h: the fields of one header, found by name from the bottom up, as DKIM selects them (RFC 6376 5.4.2).
 *
 * Instances of one name are chained upwards; names are found through a keyed hash table. So selecting the names of
 * an h= is linear in it, however many fields and names a stranger wrote. Everything is in the arena. */
#ifndef BH_AUTH_HINDEX_H
#define BH_AUTH_HINDEX_H

#include "proto/mime/header.h"

enum { BH_HINDEX_NAME_MAX = 128 }; /* longer names are fields that no h= selects */

struct bh_hfield {
    struct bh_header_field f;
    uint32_t above; /* 1 + index of the next instance upwards; 0 = none */
};

struct bh_hgroup {
    bh_str name;
    uint32_t lowest; /* 1 + index of the lowest instance */
    uint32_t count;
    uint32_t next;  /* selection: 1 + index of what comes next */
    uint32_t round; /* the selection that `next` belongs to */
};

struct bh_hindex {
    struct bh_hfield *fields;
    size_t count;
    struct bh_hgroup *groups;
    size_t group_count;
    uint32_t *slots; /* 1 + group; a power of two of them */
    size_t slot_mask;
    uint32_t round;
    uint64_t seed[2];
    bh_str block; /* all the header read */
    unsigned flags;
};

/* Reads a header block or a message. BH_E_LIMIT beyond the bounds, BH_E_NOMEM. */
BH_MUST bh_err bh_hindex_read(struct bh_arena *arena, bh_str header, size_t max_fields, size_t max_bytes,
                              const uint64_t seed[2], struct bh_hindex *ret_index);

/* The group called `name` (any case), or NULL. */
struct bh_hgroup *bh_hindex_group(const struct bh_hindex *index, bh_str name);

/* Starts a selection. */
static inline void bh_hindex_restart(struct bh_hindex *index)
{
    index->round++;
}
/* The next instance of `name` upwards in this selection, or NULL when none is left. */
const struct bh_hfield *bh_hindex_take(struct bh_hindex *index, bh_str name);

#endif
