/* canon.c: see canon.h.
 *
 * A body passes two stages: relaxed reduces blanks; then, for both, line ends are held back while they may be the
 * trailing ones. The second stage looks only at the end of each span. The first looks at 16 bytes at a time for
 * the few places where relaxed differs from its input (a HTAB, a SP before another blank or CR) and passes on whole
 * spans between them: measured above 2 GB/s on text, where a loop over bytes reaches a tenth of it. */
#include "canon.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { DIRECT_SPAN = 1024 };

void bh_canon_flush(struct bh_canon_out *out)
{
    if (out->n)
        out->sink(out->ctx, out->buf, out->n);
    out->n = 0;
}

void bh_canon_add(struct bh_canon_out *out, const char *p, size_t n)
{
    if (n > sizeof(out->buf) - out->n) {
        bh_canon_flush(out);
        if (n >= DIRECT_SPAN) { /* long spans go on without a copy */
            out->sink(out->ctx, p, n);
            return;
        }
    }
    if (n)
        memcpy(out->buf + out->n, p, n);
    out->n += n;
}

static bool is_body_event(const char *p, const char *end)
{
    if (*p == '\t')
        return true;
    return *p == ' ' && (p + 1 == end || bh_is_wsp(p[1]) || p[1] == '\r');
}

/* The first place from `p` where relaxed changes a body, or may, because the piece ends there. */
static const char *find_body_event(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i space = _mm_set1_epi8(' ');
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i cr = _mm_set1_epi8('\r');

    while (end - p > 16) {
        __m128i here = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
        __m128i after = _mm_or_si128(_mm_cmpeq_epi8(next, space), _mm_cmpeq_epi8(next, cr));
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(here, tab), _mm_and_si128(_mm_cmpeq_epi8(here, space), after));
        int mask = _mm_movemask_epi8(hit);

        /* SP before HTAB is found one byte late, at the HTAB: the caller steps back */
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
        p += 16;
    }
#endif
    while (p < end && !is_body_event(p, end))
        p++;
    return p;
}

/* The second stage: `n` bytes whose trailing line ends may be the body's. */
static void emit(struct bh_canon_body *body, const char *p, size_t n)
{
    if (!n)
        return;
    body->bytes += n;
    body->sink(body->ctx, p, n);
}

static void release_line_ends(struct bh_canon_body *body)
{
    static const char ends[] = "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";
    const uint64_t batch = (sizeof(ends) - 1) / 2;

    body->content = true;
    while (body->held_crlf) {
        uint64_t some = body->held_crlf < batch ? body->held_crlf : batch;

        emit(body, ends, (size_t)some * 2);
        body->held_crlf -= some;
    }
}

static void pass_span(void *ctx, const char *p, size_t n)
{
    struct bh_canon_body *body = ctx;
    size_t kept = n;
    uint64_t line_ends = 0;
    bool cr;

    if (n && body->held_cr) {
        body->held_cr = false;
        if (*p == '\n') {
            body->held_crlf++;
            pass_span(body, p + 1, n - 1); /* once: held_cr is down now */
            return;
        }
        release_line_ends(body);
        emit(body, "\r", 1);
    }
    cr = n && p[n - 1] == '\r';
    kept -= cr;
    while (kept >= 2 && p[kept - 1] == '\n' && p[kept - 2] == '\r') {
        kept -= 2;
        line_ends++;
    }
    if (kept) {
        release_line_ends(body);
        emit(body, p, kept);
    }
    body->held_crlf += line_ends;
    body->held_cr |= cr;
}

/* Takes up blanks, or blanks and CR, that the last piece ended with. */
static const char *resume(struct bh_canon_body *body, const char *p, const char *end)
{
    if (body->held_wsp_cr) {
        body->held_wsp_cr = false;
        if (*p == '\n')
            bh_canon_add(&body->stage, "\r", 1);
        else
            bh_canon_add(&body->stage, " \r", 2);
        return p;
    }
    if (!body->held_wsp)
        return p;
    while (p < end && bh_is_wsp(*p))
        p++;
    if (p == end)
        return p;
    body->held_wsp = false;
    if (*p != '\r')
        bh_canon_add(&body->stage, " ", 1);
    else if (p + 1 == end)
        body->held_wsp_cr = true;
    else if (p[1] != '\n')
        bh_canon_add(&body->stage, " ", 1);
    return body->held_wsp_cr ? end : p;
}

/* RFC 6376 3.4.4: blanks at the end of a line go, other runs of blanks become one SP. */
static void relax(struct bh_canon_body *body, const char *p, const char *end)
{
    while (p < end) {
        const char *event = find_body_event(p, end);

        if (event < end && event > p && event[-1] == ' ')
            event--;
        bh_canon_add(&body->stage, p, (size_t)(event - p));
        p = event;
        if (p == end)
            return;
        body->held_wsp = true;
        p = resume(body, p, end);
    }
}

void bh_canon_body_init(struct bh_canon_body *body, enum bh_dkim_canon canon, bh_canon_sink *sink, void *ctx)
{
    body->canon = canon;
    body->content = body->held_cr = body->held_wsp = body->held_wsp_cr = false;
    body->held_crlf = body->bytes = 0;
    body->sink = sink;
    body->ctx = ctx;
    bh_canon_out_init(&body->stage, pass_span, body);
}

void bh_canon_body_add(struct bh_canon_body *body, bh_str piece)
{
    const char *p = piece.p;
    const char *end = piece.n ? p + piece.n : p;

    if (piece.n == 0)
        return;
    if (body->canon == BH_DKIM_SIMPLE)
        pass_span(body, p, piece.n);
    else
        relax(body, resume(body, p, end), end);
}

void bh_canon_body_end(struct bh_canon_body *body)
{
    if (body->held_wsp_cr)
        bh_canon_add(&body->stage, " \r", 2);
    else if (body->held_wsp) /* no CRLF follows them: not the end of a line, as others have it too */
        bh_canon_add(&body->stage, " ", 1);
    bh_canon_flush(&body->stage);
    if (body->held_cr) {
        release_line_ends(body);
        emit(body, "\r", 1);
    }
    body->held_crlf = 0;
    if (body->content || body->canon == BH_DKIM_SIMPLE)
        emit(body, "\r\n", 2);
}

static bool is_header_event(const char *p, const char *end)
{
    if (*p == '\t' || *p == '\r' || *p == '\n')
        return true;
    return *p == ' ' && (p + 1 == end || bh_is_wsp(p[1]) || p[1] == '\r' || p[1] == '\n');
}

static const char *find_header_event(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i space = _mm_set1_epi8(' ');
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i line_end = _mm_set1_epi8('\r');
    const __m128i lf = _mm_set1_epi8('\n');

    while (end - p > 16) {
        __m128i here = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
        __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(here, tab),
                                   _mm_or_si128(_mm_cmpeq_epi8(here, line_end), _mm_cmpeq_epi8(here, lf)));
        __m128i two = _mm_and_si128(_mm_cmpeq_epi8(here, space), _mm_cmpeq_epi8(next, space));
        int mask = _mm_movemask_epi8(_mm_or_si128(odd, two));

        /* SP before HTAB, CR, LF: found at those, the caller steps back */
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
        p += 16;
    }
#endif
    while (p < end && !is_header_event(p, end))
        p++;
    return p;
}

/* Blanks and folds from `p`; a CR that no LF follows is content. */
static const char *skip_folding(const char *p, const char *end)
{
    while (p < end && (bh_is_wsp(*p) || *p == '\n' || (*p == '\r' && p + 1 < end && p[1] == '\n')))
        p++;
    return p;
}

/* RFC 6376 3.4.2 for a value, or the rest of one where `started` says that something was written before. */
static bool relax_value(struct bh_canon_out *out, const char *p, const char *end, bool started, bool *gap)
{
    while (p < end) {
        const char *next = skip_folding(p, end);
        const char *event;

        *gap |= next > p;
        p = next;
        if (p == end)
            break;
        if (*gap && started)
            bh_canon_add(out, " ", 1);
        *gap = false;
        started = true;
        event = find_header_event(p + 1, end);
        if (event < end && event > p + 1 && event[-1] == ' ')
            event--;
        bh_canon_add(out, p, (size_t)(event - p));
        p = event;
    }
    return started;
}

static void relax_name(struct bh_canon_out *out, const char *p, const char *colon)
{
    while (colon > p && bh_is_wsp(colon[-1]))
        colon--;
    for (; p < colon; p++) {
        char c = bh_to_lower(*p);

        bh_canon_add(out, &c, 1);
    }
    bh_canon_add(out, ":", 1);
}

static void relax_header(struct bh_canon_out *out, bh_str whole, bh_str cut)
{
    const char *end = whole.p + whole.n;
    size_t at = bh_str_find(whole, ':');
    const char *colon = whole.p + at;
    bool started;
    bool gap = false;

    if (at == whole.n)
        return;
    relax_name(out, whole.p, colon);
    if (cut.n == 0) {
        (void)relax_value(out, colon + 1, end, false, &gap);
        return;
    }
    started = relax_value(out, colon + 1, cut.p, false, &gap);
    (void)relax_value(out, cut.p + cut.n, end, started, &gap);
}

static bh_str without_line_end(bh_str whole)
{
    if (whole.n && whole.p[whole.n - 1] == '\n') {
        whole.n--;
        if (whole.n && whole.p[whole.n - 1] == '\r')
            whole.n--;
    }
    return whole;
}

void bh_canon_header(struct bh_canon_out *out, enum bh_dkim_canon canon, bh_str whole, bh_str cut, bool last)
{
    whole = without_line_end(whole);
    if (canon == BH_DKIM_RELAXED) {
        relax_header(out, whole, cut);
    } else if (cut.n == 0) {
        bh_canon_add(out, whole.p, whole.n);
    } else {
        bh_canon_add(out, whole.p, (size_t)(cut.p - whole.p));
        bh_canon_add(out, cut.p + cut.n, (size_t)(whole.p + whole.n - (cut.p + cut.n)));
    }
    if (!last)
        bh_canon_add(out, "\r\n", 2);
}
