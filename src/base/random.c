/* random.c: the kernel's generator and a seeded one. See random.h. */
#include "random.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void fill_from_kernel(struct bh_random *random, void *p, size_t n)
{
    char *at = p;

    (void)random;
    while (n) {
        ssize_t got = getrandom(at, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        at += got;
        n -= (size_t)got;
    }
}

struct bh_random bh_random_os = {fill_from_kernel};

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void fill_seeded(struct bh_random *random, void *p, size_t n)
{
    struct bh_random_seeded *seeded = (struct bh_random_seeded *)random;
    char *at = p;

    while (n) {
        uint64_t word = splitmix64(&seeded->state);
        size_t part = n < sizeof(word) ? n : sizeof(word);

        memcpy(at, &word, part);
        at += part;
        n -= part;
    }
}

void bh_random_seeded_init(struct bh_random_seeded *random, uint64_t seed)
{
    *random = (struct bh_random_seeded){{fill_seeded}, seed};
}

uint64_t bh_random_below(struct bh_random *random, uint64_t bound)
{
    uint64_t unfair = -bound % bound; /* 2^64 mod bound values are dropped so that each rest is equally likely */
    uint64_t word;

    do
        bh_random_fill(random, &word, sizeof(word));
    while (word < unfair);
    return word % bound;
}
