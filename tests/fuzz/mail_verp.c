/* Addresses from strangers: nothing but what the encoder made is accepted, and it comes out the same again. */
#include "mail/verp.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bh_verp_key key = {.period = 0x6161, .key = {1, 2, 3}};
    struct bh_verp_ring ring = {&key, 1};
    bh_str domain = BH_STR("b.example");
    char local[BH_VERP_CHARS];
    struct bh_verp address;

    if (bh_verp_decode(bh_str_of((const char *)data, size), domain, &ring, &address) != BH_VERP_OK)
        return 0;
    if (bh_verp_encode(&address, domain, &key, local) ||
        !bh_str_eq_ci(bh_str_of(local, sizeof local), bh_str_of((const char *)data, size)))
        abort();
    return 0;
}
