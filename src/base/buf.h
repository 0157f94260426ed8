/* buf.h: a growable buffer with a maximum and a sticky error, and the writing half of our binary encodings.
 *
 * Write straight through and test `bh_buf_err` once at the end. After an error nothing more is appended.
 * Integers are big-endian (the order of the wire formats that we speak). */
#ifndef BH_BASE_BUF_H
#define BH_BASE_BUF_H

#include "str.h"
#include <stdarg.h>

struct bh_buf {
    char *p;
    size_t n;   /* bytes held */
    size_t cap; /* bytes allocated */
    size_t max; /* never more than this */
    bh_err err; /* BH_OK, BH_E_LIMIT or BH_E_NOMEM */
};

/* An empty buffer that may grow to `max` bytes; allocates nothing yet. */
static inline struct bh_buf bh_buf_make(size_t max)
{
    return (struct bh_buf){.max = max};
}
/* Frees the bytes; the buffer is empty again and usable. */
void bh_buf_free(struct bh_buf *buf);
/* Drops the content and the error, keeps the memory. */
static inline void bh_buf_clear(struct bh_buf *buf)
{
    buf->n = 0;
    buf->err = BH_OK;
}
static inline bh_str bh_buf_view(const struct bh_buf *buf)
{
    return (bh_str){buf->p, buf->n};
}
BH_MUST static inline bh_err bh_buf_err(const struct bh_buf *buf)
{
    return buf->err;
}

/* Room for `n` more bytes at the end, to be filled by the caller and taken with bh_buf_commit; NULL sets the
 * sticky error. The pointer is valid until the next call that grows. */
char *bh_buf_reserve(struct bh_buf *buf, size_t n);
void bh_buf_commit(struct bh_buf *buf, size_t n);
/* Removes the first `n` bytes (all when n is larger). */
void bh_buf_consume(struct bh_buf *buf, size_t n);
/* Cuts back to `n` bytes. */
static inline void bh_buf_truncate(struct bh_buf *buf, size_t n)
{
    if (n < buf->n)
        buf->n = n;
}

void bh_buf_add(struct bh_buf *buf, bh_str s);
void bh_buf_char(struct bh_buf *buf, char c);
void bh_buf_printf(struct bh_buf *buf, const char *format, ...) BH_PRINTF(2, 3);
void bh_buf_vprintf(struct bh_buf *buf, const char *format, va_list args) BH_PRINTF(2, 0);

void bh_buf_u8(struct bh_buf *buf, uint8_t v);
void bh_buf_u16(struct bh_buf *buf, uint16_t v);
void bh_buf_u32(struct bh_buf *buf, uint32_t v);
void bh_buf_u64(struct bh_buf *buf, uint64_t v);
/* u32 length and the bytes; bh_cur_str reads it. */
void bh_buf_str(struct bh_buf *buf, bh_str s);

#endif
