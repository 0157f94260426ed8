/* heap.c: binary heap. See heap.h. */
#include "heap.h"
#include <stdlib.h>

void bh_heap_free(struct bh_heap *heap)
{
    free(heap->nodes);
    *heap = (struct bh_heap){0};
}

static void put(struct bh_heap *heap, size_t place, struct bh_heap_node *node)
{
    heap->nodes[place] = node;
    node->place = place;
}

static void sift_up(struct bh_heap *heap, struct bh_heap_node *node)
{
    size_t place = node->place;

    while (place > 1 && heap->nodes[place / 2]->key > node->key) {
        put(heap, place, heap->nodes[place / 2]);
        place /= 2;
    }
    put(heap, place, node);
}

static void sift_down(struct bh_heap *heap, struct bh_heap_node *node)
{
    size_t place = node->place;

    for (;;) {
        size_t child = place * 2;

        if (child > heap->count)
            break;
        if (child < heap->count && heap->nodes[child + 1]->key < heap->nodes[child]->key)
            child++;
        if (heap->nodes[child]->key >= node->key)
            break;
        put(heap, place, heap->nodes[child]);
        place = child;
    }
    put(heap, place, node);
}

bh_err bh_heap_add(struct bh_heap *heap, struct bh_heap_node *node, int64_t key)
{
    if (heap->count + 1 >= heap->cap) {
        size_t cap = heap->cap ? heap->cap * 2 : 64;
        struct bh_heap_node **nodes = reallocarray(heap->nodes, cap, sizeof(*nodes));

        if (!nodes)
            return BH_E_NOMEM;
        heap->nodes = nodes;
        heap->cap = cap;
    }
    node->key = key;
    put(heap, ++heap->count, node);
    sift_up(heap, node);
    return BH_OK;
}

struct bh_heap_node *bh_heap_first(const struct bh_heap *heap)
{
    return heap->count ? heap->nodes[1] : NULL;
}

void bh_heap_remove(struct bh_heap *heap, struct bh_heap_node *node)
{
    struct bh_heap_node *last;

    if (!node->place)
        return;
    last = heap->nodes[heap->count--];
    if (last != node) {
        put(heap, node->place, last);
        sift_up(heap, last);
        sift_down(heap, last);
    }
    node->place = 0;
}

void bh_heap_change(struct bh_heap *heap, struct bh_heap_node *node, int64_t key)
{
    node->key = key;
    sift_up(heap, node);
    sift_down(heap, node);
}
