/* list.h: intrusive doubly linked list. A node lives inside its object; the list owns nothing. */
#ifndef BH_BASE_LIST_H
#define BH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct bh_list {
    struct bh_list *prev;
    struct bh_list *next;
};

#define BH_CONTAINER_OF(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void bh_list_init(struct bh_list *list)
{
    list->prev = list->next = list;
}
static inline bool bh_list_empty(const struct bh_list *list)
{
    return list->next == list;
}
static inline void bh_list_push(struct bh_list *list, struct bh_list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}
static inline void bh_list_push_front(struct bh_list *list, struct bh_list *node)
{
    bh_list_push(list->next, node);
}
/* Leaves the node initialised, so that removing twice is harmless. */
static inline void bh_list_remove(struct bh_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    bh_list_init(node);
}
static inline struct bh_list *bh_list_first(struct bh_list *list)
{
    return bh_list_empty(list) ? NULL : list->next;
}
static inline struct bh_list *bh_list_pop(struct bh_list *list)
{
    struct bh_list *node = bh_list_first(list);

    if (node)
        bh_list_remove(node);
    return node;
}

/* The same for a list that is known to hold something. */
static inline struct bh_list *bh_list_take(struct bh_list *list)
{
    struct bh_list *node = list->next;

    bh_list_remove(node);
    return node;
}
/* The first object of a list that is known to hold something; stays in. */
#define BH_LIST_HEAD(list, type, member) BH_CONTAINER_OF((list)->next, type, member)

/* Safe against removal of `it`. */
#define BH_LIST_EACH(it, list)                                                                                         \
    for (struct bh_list *it = (list)->next, *it##_next = it->next; it != (list); it = it##_next, it##_next = it->next)

#endif
