/* message_id.c: see message_id.h. */
#include "message_id.h"
#include "base/text.h"

enum { LOW_BITS = 22, RANDOM_BITS = 20 };

static const char prefix[] = "msg_";

uint64_t bh_id_floor(bh_time_ms at)
{
    return at <= BH_ID_EPOCH_MS ? 0 : (uint64_t)(at - BH_ID_EPOCH_MS) << LOW_BITS;
}

bh_time_ms bh_id_time(uint64_t id)
{
    return (bh_time_ms)(id >> LOW_BITS) + BH_ID_EPOCH_MS;
}

uint64_t bh_id_next(struct bh_id_source *source, bh_time_ms now, struct bh_random *random)
{
    uint64_t id = bh_id_floor(now);

    if (id > source->last)
        id |= random ? bh_random_below(random, 1u << RANDOM_BITS) : 0;
    else
        id = source->last + 1; /* same millisecond, or the clock went back */
    source->last = id;
    return id;
}

void bh_message_id_text(uint64_t id, char text[BH_MESSAGE_ID_CHARS + 1])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

    memcpy(text, prefix, sizeof(prefix) - 1);
    for (int i = 0; i < 13; i++) /* 13 * 5 = 65 bits: the last character holds four */
        text[4 + i] = digits[i < 12 ? id >> (59 - 5 * i) & 31 : id << 1 & 31];
    text[BH_MESSAGE_ID_CHARS] = '\0';
}

bh_err bh_message_id_parse(bh_str text, uint64_t *ret_id)
{
    struct bh_buf bytes = bh_buf_make(64);
    uint64_t id = 0;
    bh_err err;

    if (text.n != BH_MESSAGE_ID_CHARS || !bh_str_starts_ci(text, BH_STR("msg_")))
        return BH_E_SYNTAX;
    err = bh_base32_decode(&bytes, bh_str_skip(text, 4));
    if (!err && bytes.n != sizeof(id))
        err = BH_E_SYNTAX;
    for (size_t i = 0; !err && i < bytes.n; i++)
        id = id << 8 | (unsigned char)bytes.p[i];
    bh_buf_free(&bytes);
    if (!err)
        *ret_id = id;
    return err;
}
