/* message_id.h: the numbers of messages and deliveries: 64 bits, growing with time, so that every insert lands at the
 * right edge of its index and a number tells when it was made.
 *
 *     41 bits milliseconds since 2024-01-01 UTC | 22 bits, of which 20 are random at the first of a millisecond
 *
 * The top bit is 0 until 2093, so a number fits SQL's signed integers. Shown as `msg_` and 13 base32 characters. */
#ifndef BH_QUEUE_MESSAGE_ID_H
#define BH_QUEUE_MESSAGE_ID_H

#include "base/random.h"
#include "base/str.h"

#define BH_ID_EPOCH_MS INT64_C(1704067200000) /* 2024-01-01T00:00:00Z */
enum { BH_MESSAGE_ID_CHARS = 17 };

/* Makes numbers that grow strictly, also when the clock steps back. Start with the largest number that was used. */
struct bh_id_source {
    uint64_t last;
};

/* Without `random` the low bits start at 0 (numbers that nobody outside sees). */
uint64_t bh_id_next(struct bh_id_source *source, bh_time_ms now, struct bh_random *random);
/* The smallest number of that millisecond: for "older than". */
uint64_t bh_id_floor(bh_time_ms at);
bh_time_ms bh_id_time(uint64_t id);

/* "msg_abcdefghijklm" and a NUL. */
void bh_message_id_text(uint64_t id, char text[BH_MESSAGE_ID_CHARS + 1]);
/* Either case. BH_E_SYNTAX. */
BH_MUST bh_err bh_message_id_parse(bh_str text, uint64_t *ret_id);

#endif
