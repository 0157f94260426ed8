/* buf.c: growable buffer with a maximum. See buf.h. */
#include "buf.h"
#include <stdio.h>
#include <stdlib.h>

void bh_buf_free(struct bh_buf *buf)
{
    free(buf->p);
    *buf = bh_buf_make(buf->max);
}

char *bh_buf_reserve(struct bh_buf *buf, size_t n)
{
    size_t cap = buf->cap ? buf->cap : 256;
    char *grown;

    if (buf->err)
        return NULL;
    if (n > buf->max - buf->n) {
        buf->err = BH_E_LIMIT;
        return NULL;
    }
    if (buf->p && buf->cap - buf->n >= n)
        return buf->p + buf->n;
    while (cap - buf->n < n)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    grown = realloc(buf->p, cap);
    if (!grown) {
        buf->err = BH_E_NOMEM;
        return NULL;
    }
    buf->p = grown;
    buf->cap = cap;
    return buf->p + buf->n;
}

void bh_buf_commit(struct bh_buf *buf, size_t n)
{
    buf->n += n;
}

void bh_buf_consume(struct bh_buf *buf, size_t n)
{
    if (n >= buf->n) {
        buf->n = 0;
        return;
    }
    memmove(buf->p, buf->p + n, buf->n - n);
    buf->n -= n;
}

void bh_buf_add(struct bh_buf *buf, bh_str s)
{
    char *room;

    if (s.n == 0)
        return;
    room = bh_buf_reserve(buf, s.n);
    if (!room)
        return;
    memcpy(room, s.p, s.n);
    buf->n += s.n;
}

void bh_buf_char(struct bh_buf *buf, char c)
{
    bh_buf_add(buf, (bh_str){&c, 1});
}

void bh_buf_vprintf(struct bh_buf *buf, const char *format, va_list args)
{
    va_list again;
    int n;
    char *room;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    room = n < 0 ? NULL : bh_buf_reserve(buf, (size_t)n + 1);
    if (room) {
        (void)vsnprintf(room, (size_t)n + 1, format, again);
        buf->n += (size_t)n;
    }
    va_end(again);
}

void bh_buf_printf(struct bh_buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bh_buf_vprintf(buf, format, args);
    va_end(args);
}

static void add_big_endian(struct bh_buf *buf, uint64_t v, size_t bytes)
{
    char *room = bh_buf_reserve(buf, bytes);

    if (!room)
        return;
    for (size_t i = 0; i < bytes; i++)
        room[i] = (char)(v >> (8 * (bytes - 1 - i)));
    buf->n += bytes;
}

void bh_buf_u8(struct bh_buf *buf, uint8_t v)
{
    add_big_endian(buf, v, 1);
}

void bh_buf_u16(struct bh_buf *buf, uint16_t v)
{
    add_big_endian(buf, v, 2);
}

void bh_buf_u32(struct bh_buf *buf, uint32_t v)
{
    add_big_endian(buf, v, 4);
}

void bh_buf_u64(struct bh_buf *buf, uint64_t v)
{
    add_big_endian(buf, v, 8);
}

void bh_buf_str(struct bh_buf *buf, bh_str s)
{
    if (s.n > UINT32_MAX) {
        buf->err = BH_E_LIMIT;
        return;
    }
    bh_buf_u32(buf, (uint32_t)s.n);
    bh_buf_add(buf, s);
}
