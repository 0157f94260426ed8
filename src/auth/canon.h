/* canon.h: DKIM canonicalisation (RFC 6376 3.4) of header fields and, streaming, of bodies.
 *
 * Both write through a bh_canon_out, a small buffer in front of a function, so that nothing is allocated and a
 * hash is fed in pieces worth its call. Bytes are taken as they are: a bare CR or LF in a body is content. */
#ifndef BH_AUTH_CANON_H
#define BH_AUTH_CANON_H

#include "base/str.h"
#include <behalf/dkim.h>

typedef void bh_canon_sink(void *ctx, const char *p, size_t n);

struct bh_canon_out {
    bh_canon_sink *sink;
    void *ctx;
    size_t n;
    char buf[4096];
};

static inline void bh_canon_out_init(struct bh_canon_out *out, bh_canon_sink *sink, void *ctx)
{
    out->sink = sink;
    out->ctx = ctx;
    out->n = 0;
}
/* Hands over what is buffered. */
void bh_canon_flush(struct bh_canon_out *out);
void bh_canon_add(struct bh_canon_out *out, const char *p, size_t n);

/* One header field, ended by CRLF unless `last` (the signature's own field ends without, RFC 6376 3.7). `cut` is a
 * part of `whole` left out: the value of b= (empty where there is none). Not flushed. */
void bh_canon_header(struct bh_canon_out *out, enum bh_dkim_canon canon, bh_str whole, bh_str cut, bool last);

/* A body, piece by piece. Memory is constant. */
struct bh_canon_body {
    enum bh_dkim_canon canon;
    bool content;       /* something other than empty lines was written */
    bool held_cr;       /* a CR at the very end, whose LF may follow */
    bool held_wsp;      /* relaxed: blanks that may end a line */
    bool held_wsp_cr;   /* relaxed: blanks and a CR */
    uint64_t held_crlf; /* line ends that are trailing so far */
    uint64_t bytes;     /* written to the sink */
    bh_canon_sink *sink;
    void *ctx;
    struct bh_canon_out stage; /* relaxed */
};

void bh_canon_body_init(struct bh_canon_body *body, enum bh_dkim_canon canon, bh_canon_sink *sink, void *ctx);
void bh_canon_body_add(struct bh_canon_body *body, bh_str piece);
/* RFC 6376 3.4.3: an empty body is CRLF in simple; 3.4.4 (erratum 1376): nothing in relaxed. */
void bh_canon_body_end(struct bh_canon_body *body);

#endif
