/* meter.h: how often something happened in a window of time, for each of a bounded number of keys. When more keys come
 * than there is room for, the one whose window is oldest makes room. Pure. */
#ifndef BH_ROLES_SMTPD_METER_H
#define BH_ROLES_SMTPD_METER_H

#include "base/list.h"
#include "base/map.h"

enum { BH_METER_KEY_MAX = 64 };

struct bh_meter {
    struct bh_map map;
    struct bh_list order; /* oldest window first */
    size_t max;
    int64_t window_ms;
};

void bh_meter_init(struct bh_meter *meter, const uint64_t seed[2], size_t max, int64_t window_ms);
void bh_meter_free(struct bh_meter *meter);
/* Counts once more and returns the sum of this key's window, which begins with its first count. A key is cut at
 * BH_METER_KEY_MAX bytes. Without memory: 0. */
uint32_t bh_meter_count(struct bh_meter *meter, bh_str key, bh_time_ms now);
/* The same without counting. */
uint32_t bh_meter_read(const struct bh_meter *meter, bh_str key, bh_time_ms now);

#endif
