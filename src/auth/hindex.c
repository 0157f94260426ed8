/* hindex.c: see hindex.h. */
#include "hindex.h"
#include "base/map.h"

enum { FIRST_FIELDS = 64 };

static bh_err grow(struct bh_arena *arena, struct bh_hindex *index, size_t *cap)
{
    size_t bigger = *cap ? *cap * 2 : FIRST_FIELDS;
    struct bh_hfield *fields = bh_arena_array(arena, bigger, sizeof(*fields));

    if (!fields)
        return BH_E_NOMEM;
    if (index->count)
        memcpy(fields, index->fields, index->count * sizeof(*fields));
    index->fields = fields;
    *cap = bigger;
    return BH_OK;
}

static bh_err read_fields(struct bh_arena *arena, struct bh_header_iter *it, struct bh_hindex *index)
{
    struct bh_header_field field;
    size_t cap = 0;
    bh_err err;

    while ((err = bh_header_next(it, &field)) == BH_MORE) {
        if (index->count == cap && grow(arena, index, &cap))
            return BH_E_NOMEM;
        index->fields[index->count++].f = field;
    }
    return err == BH_DONE ? BH_OK : err;
}

/* The slot of `name`: its group's, or the empty one where it would go. */
static uint32_t *find_slot(const struct bh_hindex *index, bh_str name)
{
    char lower[BH_HINDEX_NAME_MAX];
    size_t at;

    for (size_t i = 0; i < name.n; i++)
        lower[i] = bh_to_lower(name.p[i]);
    at = (size_t)bh_siphash13(index->seed, bh_str_of(lower, name.n)) & index->slot_mask;
    while (index->slots[at] && !bh_str_eq_ci(index->groups[index->slots[at] - 1].name, name))
        at = (at + 1) & index->slot_mask;
    return &index->slots[at];
}

static bool is_indexed(bh_str name)
{
    return name.n > 0 && name.n <= BH_HINDEX_NAME_MAX;
}

static void link_field(struct bh_hindex *index, size_t i)
{
    bh_str name = index->fields[i].f.name;
    struct bh_hgroup *group;
    uint32_t *slot;

    if (!is_indexed(name))
        return;
    slot = find_slot(index, name);
    if (!*slot) {
        index->groups[index->group_count].name = name;
        *slot = (uint32_t)++index->group_count;
    }
    group = &index->groups[*slot - 1];
    index->fields[i].above = group->lowest;
    group->lowest = (uint32_t)i + 1;
    group->count++;
}

bh_err bh_hindex_read(struct bh_arena *arena, bh_str header, size_t max_fields, size_t max_bytes,
                      const uint64_t seed[2], struct bh_hindex *ret_index)
{
    struct bh_header_iter it = bh_header_iter_make(header, max_fields, max_bytes);
    struct bh_hindex index = {.seed = {seed[0], seed[1]}};
    size_t slots = FIRST_FIELDS;
    bh_err err = read_fields(arena, &it, &index);

    if (err)
        return err;
    while (slots < index.count * 2)
        slots *= 2;
    index.slot_mask = slots - 1;
    index.slots = bh_arena_array(arena, slots, sizeof(*index.slots));
    index.groups = bh_arena_array(arena, index.count, sizeof(*index.groups));
    if (!index.slots || !index.groups)
        return BH_E_NOMEM;
    for (size_t i = 0; i < index.count; i++)
        link_field(&index, i);
    index.block = bh_header_block(&it);
    index.flags = it.flags;
    *ret_index = index;
    return BH_OK;
}

struct bh_hgroup *bh_hindex_group(const struct bh_hindex *index, bh_str name)
{
    uint32_t slot = is_indexed(name) ? *find_slot(index, name) : 0;

    return slot ? &index->groups[slot - 1] : NULL;
}

const struct bh_hfield *bh_hindex_take(struct bh_hindex *index, bh_str name)
{
    struct bh_hgroup *group = bh_hindex_group(index, name);
    const struct bh_hfield *field;

    if (!group)
        return NULL;
    if (group->round != index->round) {
        group->round = index->round;
        group->next = group->lowest;
    }
    if (!group->next)
        return NULL;
    field = &index->fields[group->next - 1];
    group->next = field->above;
    return field;
}
