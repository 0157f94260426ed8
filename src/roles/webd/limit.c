/* limit.c: who may come from where, and how often: a token bucket per API token that holds one second's worth. */
#include "webd.h"
#include <arpa/inet.h>
#include <stdlib.h>

enum { USUAL_RATE = 1000, BUCKETS_MAX = 20000, TOKEN_MILLI = 1000 };

struct bucket {
    struct bh_map_node node;
    struct bh_list order;
    char key[8];
    int64_t level; /* thousandths of a request */
    int64_t at;
};

static struct bucket *new_bucket(struct webd *webd, bh_str key, uint32_t rate, int64_t now)
{
    struct bucket *bucket = calloc(1, sizeof(*bucket));

    if (!bucket)
        return NULL;
    memcpy(bucket->key, key.p, key.n);
    bucket->level = (int64_t)rate * TOKEN_MILLI;
    bucket->at = now;
    if (webd->buckets.count >= BUCKETS_MAX) {
        struct bucket *oldest = BH_LIST_HEAD(&webd->bucket_order, struct bucket, order);

        bh_map_remove(&webd->buckets, &oldest->node);
        bh_list_remove(&oldest->order);
        free(oldest);
    }
    if (bh_map_add(&webd->buckets, bh_str_of(bucket->key, sizeof(bucket->key)), &bucket->node)) {
        free(bucket);
        return NULL;
    }
    bh_list_push(&webd->bucket_order, &bucket->order);
    return bucket;
}

bool webd_limit(struct webd *webd, struct request *request, unsigned *ret_wait_s)
{
    uint32_t rate = request->token.rate ? request->token.rate : USUAL_RATE;
    bh_str key = bh_str_of((const char *)&request->token.id, sizeof(request->token.id));
    int64_t now = bh_loop_monotonic(webd->role->loop), most = (int64_t)rate * TOKEN_MILLI;
    struct bh_map_node *node = bh_map_get(&webd->buckets, key);
    struct bucket *bucket = node ? BH_CONTAINER_OF(node, struct bucket, node) : new_bucket(webd, key, rate, now);

    *ret_wait_s = 1;
    if (!bucket) /* no memory for counting: not the client's fault */
        return true;
    bucket->level += (now - bucket->at) * rate;
    if (bucket->level > most)
        bucket->level = most;
    bucket->at = now;
    request->limited = true;
    request->limit = rate;
    request->remaining = (uint32_t)(bucket->level / TOKEN_MILLI);
    if (bucket->level < TOKEN_MILLI)
        return false;
    bucket->level -= TOKEN_MILLI;
    request->remaining--;
    return true;
}

void webd_limit_free(struct webd *webd)
{
    struct bh_list *node;

    while ((node = bh_list_first(&webd->bucket_order))) {
        struct bucket *bucket = BH_CONTAINER_OF(node, struct bucket, order);

        bh_map_remove(&webd->buckets, &bucket->node);
        bh_list_remove(&bucket->order);
        free(bucket);
    }
    bh_map_free(&webd->buckets);
}

/* ---- addresses ---- */

static bool read_address(bh_str text, unsigned char bytes[16], unsigned *ret_bits)
{
    char literal[INET6_ADDRSTRLEN];

    if (bh_str_to_c(text, literal, sizeof(literal)))
        return false;
    *ret_bits = 32;
    if (inet_pton(AF_INET, literal, bytes) == 1)
        return true;
    *ret_bits = 128;
    return inet_pton(AF_INET6, literal, bytes) == 1;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return !rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

bool webd_address_listed(bh_str list, const char *client)
{
    unsigned char have[16], want[16];
    unsigned have_bits, want_bits;

    if (!read_address(bh_str_c(client), have, &have_bits))
        return false;
    while (list.n) {
        bh_str width, net = bh_str_cut(bh_str_trim(bh_str_cut(list, ',', &list)), '/', &width);
        uint64_t bits;

        if (!read_address(net, want, &want_bits) || want_bits != have_bits)
            continue;
        if (!width.n)
            bits = want_bits;
        else if (bh_str_to_u64(width, want_bits, &bits))
            continue;
        if (same_bits(have, want, (unsigned)bits))
            return true;
    }
    return false;
}
