/* heap.h: intrusive binary min-heap ordered by a 64-bit number (a time, usually). Equal keys come out in no order. The
 * heap owns its array, not the objects; each node knows its place, so removal is O(log n). */
#ifndef BH_BASE_HEAP_H
#define BH_BASE_HEAP_H

#include <behalf/types.h>

struct bh_heap_node {
    int64_t key;
    size_t place; /* 1-based; 0 = not in a heap */
};

struct bh_heap {
    struct bh_heap_node **nodes; /* nodes[1..count] */
    size_t count;
    size_t cap;
};

void bh_heap_free(struct bh_heap *heap);
/* Adds a node that is in no heap. BH_E_NOMEM. */
BH_MUST bh_err bh_heap_add(struct bh_heap *heap, struct bh_heap_node *node, int64_t key);
/* The node with the smallest key, or NULL; stays in. */
struct bh_heap_node *bh_heap_first(const struct bh_heap *heap);
/* Takes it out; does nothing if it is in no heap. */
void bh_heap_remove(struct bh_heap *heap, struct bh_heap_node *node);
/* Changes the key of a node that is in. */
void bh_heap_change(struct bh_heap *heap, struct bh_heap_node *node, int64_t key);

#endif
