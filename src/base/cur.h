/* cur.h: a reading cursor with a sticky error. Read straight through, then test bh_cur_ok once: after the first
 * bad read every further one gives 0 or an empty view and moves nothing. Integers are big-endian. */
#ifndef BH_BASE_CUR_H
#define BH_BASE_CUR_H

#include "str.h"

struct bh_cur {
    const char *p;
    const char *end;
    bool bad;
};

static inline struct bh_cur bh_cur_make(bh_str s)
{
    return (struct bh_cur){s.p, s.n ? s.p + s.n : s.p, false};
}
static inline size_t bh_cur_left(const struct bh_cur *cur)
{
    return cur->bad ? 0 : (size_t)(cur->end - cur->p);
}
static inline bool bh_cur_ok(const struct bh_cur *cur)
{
    return !cur->bad;
}
/* True when all was read and nothing went wrong. */
static inline bool bh_cur_done(const struct bh_cur *cur)
{
    return !cur->bad && cur->p == cur->end;
}

/* The next `n` bytes as a view of the input. */
static inline bh_str bh_cur_bytes(struct bh_cur *cur, size_t n)
{
    const char *p = cur->p;

    if (cur->bad || (size_t)(cur->end - cur->p) < n) {
        cur->bad = true;
        return (bh_str){NULL, 0};
    }
    if (n) /* an empty view may have no address */
        cur->p += n;
    return (bh_str){p, n};
}

static inline uint64_t bh_cur_big_endian(struct bh_cur *cur, size_t bytes)
{
    bh_str s = bh_cur_bytes(cur, bytes);
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | (unsigned char)s.p[i];
    return v;
}

static inline uint8_t bh_cur_u8(struct bh_cur *cur)
{
    return (uint8_t)bh_cur_big_endian(cur, 1);
}
static inline uint16_t bh_cur_u16(struct bh_cur *cur)
{
    return (uint16_t)bh_cur_big_endian(cur, 2);
}
static inline uint32_t bh_cur_u32(struct bh_cur *cur)
{
    return (uint32_t)bh_cur_big_endian(cur, 4);
}
static inline uint64_t bh_cur_u64(struct bh_cur *cur)
{
    return bh_cur_big_endian(cur, 8);
}
/* A u32 length and its bytes, as bh_buf_str wrote them. */
static inline bh_str bh_cur_str(struct bh_cur *cur)
{
    return bh_cur_bytes(cur, bh_cur_u32(cur));
}

#endif
