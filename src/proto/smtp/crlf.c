/* crlf.c: see crlf.h. Bit i of a mask is byte i of the block. `carry_cr` and `carry_lf` tell what the byte before the
 * block was; a CR as the very last byte of the text is not passed, so no call starts behind one. */
#include "crlf.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { BLOCK = 64 };

struct masks {
    uint64_t cr;
    uint64_t lf;
    uint64_t dot;
};

#ifdef __SSE2__
static inline uint64_t equal_mask(const __m128i v[4], char c)
{
    __m128i wanted = _mm_set1_epi8(c);
    uint64_t mask = 0;

    for (unsigned i = 0; i < 4; i++)
        mask |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v[i], wanted)) << (16 * i);
    return mask;
}

static inline struct masks block_masks(const char *p)
{
    __m128i v[4];

    for (unsigned i = 0; i < 4; i++)
        v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
    return (struct masks){equal_mask(v, '\r'), equal_mask(v, '\n'), equal_mask(v, '.')};
}
#else
static inline struct masks block_masks(const char *p)
{
    struct masks m = {0, 0, 0};

    for (unsigned i = 0; i < BLOCK; i++) {
        m.cr |= (uint64_t)(p[i] == '\r') << i;
        m.lf |= (uint64_t)(p[i] == '\n') << i;
        m.dot |= (uint64_t)(p[i] == '.') << i;
    }
    return m;
}
#endif

/* The masks of the `n` <= 64 bytes at `p`. */
static inline struct masks masks_of(const char *p, size_t n)
{
    char tail[BLOCK] = {0};

    if (n == BLOCK)
        return block_masks(p);
    memcpy(tail, p, n);
    return block_masks(tail);
}

/* Position behind which the pass may not go, with the reason. */
struct stop {
    enum bh_crlf_stop why;
    size_t at;
};

/* What stops the pass within the block at `from`: the first bare CR, bare LF or dot at a line's start. */
static struct stop stop_in_block(const struct masks *m, uint64_t want_lf, uint64_t starts, uint64_t valid, size_t from)
{
    uint64_t bad = (want_lf ^ m->lf) & valid, dots = starts & m->dot;
    unsigned i;

    if (!(bad | dots))
        return (struct stop){BH_CRLF_NONE, 0};
    i = (unsigned)__builtin_ctzll(bad | dots);
    if (dots >> i & 1)
        return (struct stop){BH_CRLF_DOT, from + i};
    if (m->lf >> i & 1)
        return (struct stop){BH_CRLF_BARE_LF, from + i};
    return (struct stop){BH_CRLF_BARE_CR, from + i - 1};
}

enum bh_crlf_stop bh_crlf_pass(struct bh_crlf *crlf, bh_str text, size_t max_line_bytes, size_t *ret_n)
{
    struct stop stop = {BH_CRLF_NONE, 0};
    /* may be "negative": the line began in an earlier call; unsigned arithmetic wraps to the right difference */
    size_t line_from = 0 - crlf->line_bytes, end = text.n;
    bool carry_cr = false, carry_lf = crlf->at_line_start;

    for (size_t from = 0; from < text.n && !stop.why; from += BLOCK) {
        size_t n = text.n - from < BLOCK ? text.n - from : BLOCK;
        uint64_t valid = n == BLOCK ? UINT64_MAX : ((uint64_t)1 << n) - 1, lf;
        struct masks m = masks_of(text.p + from, n);

        stop = stop_in_block(&m, m.cr << 1 | carry_cr, m.lf << 1 | carry_lf, valid, from);
        lf = m.lf;
        if (stop.why)
            lf &= stop.at < from ? 0 : ((uint64_t)1 << (stop.at - from)) - 1;
        if (lf) { /* only the first line that ends in a block can be long */
            if (from + (unsigned)__builtin_ctzll(lf) + 1 - line_from > max_line_bytes)
                stop = (struct stop){BH_CRLF_LONG, from};
            else
                line_from = from + BLOCK - (unsigned)__builtin_clzll(lf);
        }
        if (!stop.why && from + n - line_from > max_line_bytes)
            stop = (struct stop){BH_CRLF_LONG, from};
        carry_cr = m.cr >> (n - 1) & 1;
        carry_lf = m.lf >> (n - 1) & 1;
    }
    if (stop.why)
        end = stop.at;
    else if (carry_cr)
        end--;
    if (end) /* the byte before a dot or a bare one may be the LF of a line */
        crlf->at_line_start = text.p[end - 1] == '\n';
    crlf->line_bytes = end - line_from;
    *ret_n = end;
    return stop.why;
}

enum bh_crlf_stop bh_crlf_pass_piece(struct bh_crlf *crlf, bh_str piece, size_t max_line_bytes, size_t *ret_n)
{
    enum bh_crlf_stop stop;

    if (crlf->after_cr) {
        *ret_n = 0;
        if (piece.p[0] != '\n')
            return BH_CRLF_BARE_CR;
        crlf->after_cr = false;
        crlf->at_line_start = true;
        *ret_n = 1;
        stop = crlf->line_bytes + 1 > max_line_bytes ? BH_CRLF_LONG : BH_CRLF_NONE;
        crlf->line_bytes = 0;
        return stop;
    }
    stop = bh_crlf_pass(crlf, piece, max_line_bytes, ret_n);
    if (stop == BH_CRLF_NONE && *ret_n + 1 == piece.n) {
        ++*ret_n;
        ++crlf->line_bytes;
        crlf->after_cr = true;
        crlf->at_line_start = false;
    }
    return stop;
}
