/* counts.c: queries per zone. A zone has counters from its first query on, and keeps them when it is replaced; only
 * names of zones that we serve come here, so strangers cannot make it grow. */
#include "server.h"
#include <stdlib.h>

enum { ZONES_MAX = 1000000 };

struct counted {
    struct bh_dns_zone_counts counts;
    char name[BH_DNS_NAME_MAX];
};

static struct bh_dns_zone_counts *add(struct bh_dns_server *server, bh_str name)
{
    struct bh_dns_zone_counts *counts;
    char *key;

    if (server->zone_counts.count >= ZONES_MAX || name.n > BH_DNS_NAME_MAX)
        return NULL;
    counts = calloc(1, offsetof(struct counted, name) + name.n);
    if (!counts)
        return NULL;
    key = (char *)counts + offsetof(struct counted, name);
    memcpy(key, name.p, name.n);
    if (bh_map_add(&server->zone_counts, bh_str_of(key, name.n), &counts->node)) {
        free(counts);
        return NULL;
    }
    return counts;
}

void bh_dns_count_zone(struct bh_dns_server *server, const struct bh_dns_outcome *outcome)
{
    bh_str name = bh_dns_zone_name(outcome->zone);
    struct bh_map_node *node = bh_map_get(&server->zone_counts, name);
    struct bh_dns_zone_counts *counts =
        node ? BH_CONTAINER_OF(node, struct bh_dns_zone_counts, node) : add(server, name);

    if (!counts) /* without memory the totals alone are counted */
        return;
    counts->outcomes[outcome->class]++;
    counts->all++;
}

static int by_queries(const void *a, const void *b)
{
    uint64_t x = (*(const struct bh_dns_zone_counts *const *)a)->all;
    uint64_t y = (*(const struct bh_dns_zone_counts *const *)b)->all;

    return x < y ? 1 : x > y ? -1 : 0;
}

bh_err bh_dns_server_top_zones(const struct bh_dns_server *server, size_t limit,
                               const struct bh_dns_zone_counts ***ret_list, size_t *ret_count)
{
    const struct bh_dns_zone_counts **list = calloc(server->zone_counts.count + 1, sizeof *list);
    size_t count = 0;

    if (!list)
        return BH_E_NOMEM;
    for (struct bh_map_node *node = NULL; (node = bh_map_next(&server->zone_counts, node)) != NULL;)
        list[count++] = BH_CONTAINER_OF(node, struct bh_dns_zone_counts, node);
    qsort(list, count, sizeof *list, by_queries);
    *ret_list = list;
    *ret_count = count < limit ? count : limit;
    return BH_OK;
}

void bh_dns_counts_free(struct bh_dns_server *server)
{
    struct bh_map_node *node = bh_map_next(&server->zone_counts, NULL), *next;

    for (; node; node = next) {
        next = bh_map_next(&server->zone_counts, node);
        free(BH_CONTAINER_OF(node, struct bh_dns_zone_counts, node));
    }
    bh_map_free(&server->zone_counts);
}
