/* spf_check.c: the life of a check (see spf_internal.h). */
#include "spf_internal.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    EXPANSION_MAX = 16 * 1024,
    EXPLANATION_MAX = 4096,
    REASON_MAX = 1024,
    TRACE_MAX = 64 * 1024,
    NAMES_MAX = 16 * 1024,
    MAX_TERMS = 10, /* RFC 7208 4.6.4 */
    MAX_VOIDS = 2
};

/* ---- texts ---- */

/* Bytes of strangers go into reasons and traces: anything but printable ASCII becomes '?'. */
static void clean(struct bh_buf *buf, size_t from)
{
    for (size_t i = from; i < buf->n; i++)
        if (buf->p[i] < ' ' || buf->p[i] > '~')
            buf->p[i] = '?';
}

/* Long texts are cut, not lost: overflow is no error here. */
BH_PRINTF(2, 0) static void add_clean(struct bh_buf *buf, const char *format, va_list args)
{
    char line[1024];
    size_t from = buf->n;

    (void)vsnprintf(line, sizeof(line), format, args);
    bh_buf_add(buf, bh_str_sub(bh_str_c(line), 0, buf->max - buf->n));
    clean(buf, from);
}

void bh_spf_trace(struct bh_spf_check *check, const char *format, ...)
{
    va_list args;

    if (!check->request.trace || check->trace.max - check->trace.n < 1100)
        return;
    va_start(args, format);
    add_clean(&check->trace, format, args);
    va_end(args);
    bh_buf_char(&check->trace, '\n');
}

void bh_spf_add(struct bh_spf_check *check, bh_str text)
{
    struct bh_buf *reason = &check->reason;
    size_t from = reason->n;

    bh_buf_add(reason, bh_str_sub(text, 0, reason->max - reason->n));
    clean(reason, from);
}

void bh_spf_add_number(struct bh_spf_check *check, unsigned number)
{
    char digits[12];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10));
    bh_spf_add(check, bh_str_of(digits + at, sizeof(digits) - at));
}

void bh_spf_conclude(struct bh_spf_check *check, enum bh_spf_result result, const char *format, ...)
{
    va_list args;

    if (check->has_result)
        return;
    check->has_result = true;
    check->is_over = true;
    check->result = result;
    bh_buf_clear(&check->reason);
    va_start(args, format);
    add_clean(&check->reason, format, args);
    va_end(args);
}

bool bh_spf_count_void(struct bh_spf_check *check, const struct bh_dns_answer *answer, bh_str name)
{
    if (answer->status != BH_DNS_NXDOMAIN && answer->status != BH_DNS_NODATA)
        return false;
    check->voids++;
    bh_spf_trace(check, "%.*s: void lookup %u of %u", BH_FMT(name), check->voids, check->request.max_voids);
    if (check->voids <= check->request.max_voids)
        return false;
    bh_spf_conclude(check, BH_SPF_PERMERROR, "lookup of %.*s was void, and more than %u void lookups are not allowed",
                    BH_FMT(name), check->request.max_voids);
    return true;
}

void bh_spf_join_txt(bh_str rdata, struct bh_buf *out)
{
    size_t at = 0;

    while (at < rdata.n) {
        size_t length = (unsigned char)rdata.p[at];

        bh_buf_add(out, bh_str_sub(rdata, at + 1, length));
        at += 1 + length;
    }
}

/* ---- macro values and targets ---- */

void bh_spf_values(const struct bh_spf_check *check, struct bh_spf_macro_values *ret_values)
{
    bh_str domain = bh_str_of(check->frame->domain, check->frame->domain_bytes);

    *ret_values = (struct bh_spf_macro_values){
        .local_part = check->local_part,
        .sender_domain = check->sender_domain,
        .domain = domain,
        .helo = check->request.helo,
        .receiver = check->request.receiver,
        .validated_name = bh_spf_validated_name(check, domain),
        .ip = check->request.ip,
        .now = check->request.now,
    };
}

bh_str bh_spf_target(struct bh_spf_check *check, const struct bh_spf_term *term, struct bh_buf *scratch)
{
    struct bh_spf_macro_values values;
    bh_str target;

    if (!term->target.p)
        return bh_str_of(check->frame->domain, check->frame->domain_bytes);
    *scratch = bh_buf_make(EXPANSION_MAX);
    bh_spf_values(check, &values);
    bh_spf_macro_expand(term->target, &values, scratch);
    if (bh_buf_err(scratch))
        return (bh_str){NULL, 0};
    target = bh_domain_no_dot(bh_buf_view(scratch));
    while (target.n > BH_DOMAIN_MAX) {
        size_t dot = bh_str_find(target, '.');

        if (dot == target.n)
            break;
        target = bh_str_skip(target, dot + 1);
    }
    return target;
}

bh_str bh_spf_next_name(struct bh_spf_check *check)
{
    bh_str rest = bh_str_skip(bh_buf_view(&check->names), check->names_at);
    bh_str name;

    if (!rest.n)
        return (bh_str){NULL, 0};
    name = bh_str_cut(rest, '\0', &rest);
    check->name_at = check->names_at;
    check->names_at += name.n + 1;
    return name;
}

/* ---- questions, answers, the loop ---- */

static void destroy(struct bh_spf_check *check)
{
    while (check->frame)
        bh_spf_pop(check);
    bh_buf_free(&check->texts);
    bh_buf_free(&check->names);
    bh_buf_free(&check->validated);
    bh_buf_free(&check->explanation);
    bh_buf_free(&check->reason);
    bh_buf_free(&check->trace);
    free(check);
}

static void deliver(struct bh_spf_check *check)
{
    struct bh_spf_outcome outcome = {
        .result = check->result,
        .domain = check->sender_domain,
        .is_helo = check->request.mail_from.n == 0,
        .reason = bh_buf_view(&check->reason),
        .mechanism = check->mechanism,
        .trace = bh_buf_view(&check->trace),
        .terms = check->terms,
        .voids = check->voids,
        .queries = check->queries,
    };

    if (check->result == BH_SPF_FAIL)
        outcome.explanation =
            check->explanation.n ? bh_buf_view(&check->explanation) : check->request.default_explanation;
    check->done(check->ctx, &outcome);
    destroy(check);
}

/* Runs until the check waits or is over; the check is gone in the latter case. */
static bool run(struct bh_spf_check *check)
{
    check->in_loop = true;
    while (!check->is_over && !check->is_waiting)
        check->step(check);
    check->in_loop = false;
    if (!check->is_over)
        return true;
    deliver(check);
    return false;
}

static void take_answer(void *ctx, const struct bh_dns_answer *answer)
{
    struct bh_spf_check *check = ctx;

    check->is_waiting = false;
    check->query = NULL;
    check->on_answer(check, answer);
    if (!check->in_loop)
        (void)run(check);
}

void bh_spf_ask(struct bh_spf_check *check, bh_str domain, uint16_t type,
                void (*on_answer)(struct bh_spf_check *check, const struct bh_dns_answer *answer))
{
    char text[BH_DOMAIN_QUERY_MAX];
    bh_str name = bh_domain_query(domain, text);
    struct bh_dns_query *query = NULL;
    struct bh_dns_answer none = {.status = name.p ? BH_DNS_TEMPFAIL : BH_DNS_BADNAME};

    check->on_answer = on_answer;
    if (!name.p) {
        on_answer(check, &none);
        return;
    }
    check->is_waiting = true;
    check->queries++;
    if (check->resolver->ops->lookup(check->resolver, name, type, take_answer, check, &query)) {
        check->is_waiting = false;
        none.why = BH_STR("the resolver took no question");
        on_answer(check, &none);
    } else if (check->is_waiting) {
        check->query = query;
    }
}

/* ---- start and end ---- */

/* Where the checked identity comes from (RFC 7208 2.4, 4.3). U-labels become A-labels; what IDNA refuses stays and
 * will be no valid name. */
static bh_err split_sender(struct bh_spf_check *check)
{
    bool is_null = check->request.mail_from.n == 0;
    bh_str from = check->request.mail_from;
    size_t at = bh_str_rfind(from, '@');
    bh_str domain = is_null ? check->request.helo : at < from.n ? bh_str_skip(from, at + 1) : from;
    size_t start = check->texts.n;

    check->local_part = is_null || at == from.n || at == 0 ? BH_STR("postmaster") : bh_str_sub(from, 0, at);
    if (bh_domain_to_ascii(domain, &check->texts)) {
        if (bh_buf_err(&check->texts))
            return bh_buf_err(&check->texts);
        check->sender_domain = domain;
    } else {
        check->sender_domain = bh_str_skip(bh_buf_view(&check->texts), start);
    }
    check->sender_domain = bh_domain_no_dot(check->sender_domain);
    return BH_OK;
}

static bh_err copy_request(struct bh_spf_check *check, const struct bh_spf_request *request)
{
    const bh_str *from[] = {&request->helo, &request->mail_from, &request->receiver, &request->default_explanation};
    bh_str *to[] = {&check->request.helo, &check->request.mail_from, &check->request.receiver,
                    &check->request.default_explanation};
    size_t need = 256 + request->helo.n + request->mail_from.n; /* for the domain as A-labels */

    check->request = *request;
    for (size_t i = 0; i < 4; i++)
        need += from[i]->n;
    check->texts = bh_buf_make(need);
    if (!bh_buf_reserve(&check->texts, need)) /* in one piece: views into it must stay */
        return BH_E_NOMEM;
    for (size_t i = 0; i < 4; i++) {
        *to[i] = bh_str_of(check->texts.p + check->texts.n, from[i]->n);
        bh_buf_add(&check->texts, *from[i]);
    }
    if (!check->request.receiver.n)
        check->request.receiver = BH_STR("unknown");
    if (!check->request.max_terms)
        check->request.max_terms = MAX_TERMS;
    if (!check->request.max_voids)
        check->request.max_voids = MAX_VOIDS;
    check->request.ip = bh_ip_unmapped(request->ip);
    return split_sender(check);
}

/* Initial processing (RFC 7208 4.3): what is no multi-label domain name has the result none. */
static void step_start(struct bh_spf_check *check)
{
    bh_str domain = check->sender_domain;

    bh_spf_trace(check, "checking %s domain %.*s", check->request.mail_from.n ? "MAIL FROM" : "HELO", BH_FMT(domain));
    if (!check->request.ip.n)
        bh_spf_conclude(check, BH_SPF_NONE, "no address given");
    else if (!bh_domain_valid(domain) || domain.p[0] == '[' || bh_domain_labels(domain) < 2)
        bh_spf_conclude(check, BH_SPF_NONE, "\"%.*s\" is not a domain name of two labels or more", BH_FMT(domain));
    else
        bh_spf_push(check, domain, false);
}

bh_err bh_spf_check(struct bh_resolver *resolver, const struct bh_spf_request *request, bh_spf_done *done, void *ctx,
                    struct bh_spf_check **ret_check)
{
    struct bh_spf_check *check = calloc(1, sizeof(*check));
    bh_err err;

    if (!check)
        return BH_E_NOMEM;
    check->resolver = resolver;
    check->done = done;
    check->ctx = ctx;
    check->names = bh_buf_make(NAMES_MAX);
    check->validated = bh_buf_make(NAMES_MAX);
    check->explanation = bh_buf_make(EXPLANATION_MAX);
    check->reason = bh_buf_make(REASON_MAX);
    check->trace = bh_buf_make(TRACE_MAX);
    check->step = step_start;
    err = copy_request(check, request);
    if (err) {
        destroy(check);
        return err;
    }
    *ret_check = NULL;
    if (run(check))
        *ret_check = check;
    return BH_OK;
}

void bh_spf_check_cancel(struct bh_spf_check *check)
{
    if (!check)
        return;
    if (check->query)
        check->resolver->ops->cancel(check->resolver, check->query);
    destroy(check);
}

void bh_spf_check_expire(struct bh_spf_check *check)
{
    if (check->query)
        check->resolver->ops->cancel(check->resolver, check->query);
    check->query = NULL;
    bh_spf_conclude(check, BH_SPF_TEMPERROR, "the time limit was reached after %u lookups", check->queries);
    bh_buf_clear(&check->explanation); /* one that was half done */
    deliver(check);
}
