/* random.h: randomness is passed in, so that a scenario can script it. */
#ifndef BH_BASE_RANDOM_H
#define BH_BASE_RANDOM_H

#include <behalf/types.h>

struct bh_random {
    void (*fill)(struct bh_random *random, void *p, size_t n);
};

/* The kernel's generator (getrandom); aborts if it ever fails, since nothing of ours is safe then. */
extern struct bh_random bh_random_os;

/* A repeatable generator for tests and simulations: SplitMix64. Never for secrets. */
struct bh_random_seeded {
    struct bh_random base;
    uint64_t state;
};
void bh_random_seeded_init(struct bh_random_seeded *random, uint64_t seed);

static inline void bh_random_fill(struct bh_random *random, void *p, size_t n)
{
    random->fill(random, p, n);
}
/* Uniform in [0, bound), bound > 0. */
uint64_t bh_random_below(struct bh_random *random, uint64_t bound);

#endif
