/* Response rate limiting. The table has SLOTS buckets, found by a keyed hash. Who meets in one bucket shares it: that
 * is rare, cannot be aimed at without the key, and costs a real client a retry over TCP at most. */
#include "rate.h"
#include "base/map.h"
#include <stdlib.h>

enum { SLOTS = 1 << 16, TOKEN = 1000 /* a response costs so much; a millisecond gives per_s */ };

struct bucket {
    int64_t spent; /* 0: the bucket is full */
    bh_time_ms at;
};

struct bh_dns_rate {
    uint64_t seed[2];
    unsigned per_s;
    unsigned slip; /* counts limited responses: every second one slips */
    struct bucket bucket[SLOTS];
};

struct bh_dns_rate *bh_dns_rate_new(unsigned per_s, uint64_t seed)
{
    struct bh_dns_rate *rate = calloc(1, sizeof *rate);

    if (!rate)
        return NULL;
    rate->per_s = per_s > 1000000 ? 1000000 : per_s;
    rate->seed[0] = seed;
    rate->seed[1] = ~seed;
    return rate;
}

void bh_dns_rate_free(struct bh_dns_rate *rate)
{
    free(rate);
}

/* Network, class, and what is answered: the name where it exists, else the zone. */
static uint64_t hash_of(const struct bh_dns_rate *rate, bh_str address, const struct bh_dns_outcome *outcome)
{
    bool own_name = outcome->class == BH_DNS_OUTCOME_POSITIVE;
    uint32_t what = own_name ? outcome->name_hash : outcome->zone ? outcome->zone->node->hash : 0;
    unsigned char data[16] = {0};

    memcpy(data, address.p, address.n == 4 ? 3 : address.n < 7 ? address.n : 7);
    data[8] = (unsigned char)address.n;
    data[9] = (unsigned char)outcome->class;
    memcpy(data + 10, &what, sizeof what);
    return bh_siphash13(rate->seed, (bh_str){(char *)data, sizeof data});
}

/* Gives the bucket what the time since its last use is worth. */
static void refill(const struct bh_dns_rate *rate, struct bucket *bucket, bh_time_ms now)
{
    int64_t gained = (now - bucket->at) * rate->per_s;

    bucket->spent = bucket->spent > gained ? bucket->spent - gained : 0;
    bucket->at = now;
}

enum bh_dns_rate_verdict bh_dns_rate_check(struct bh_dns_rate *rate, bh_str address,
                                           const struct bh_dns_outcome *outcome, bh_time_ms now)
{
    struct bucket *bucket = &rate->bucket[hash_of(rate, address, outcome) % SLOTS];

    refill(rate, bucket, now);
    if (bucket->spent + TOKEN <= (int64_t)rate->per_s * TOKEN) {
        bucket->spent += TOKEN;
        return BH_DNS_RATE_SEND;
    }
    return rate->slip++ % 2 ? BH_DNS_RATE_DROP : BH_DNS_RATE_SLIP;
}
