/* spf_eval.c: records and their terms (RFC 7208 4.4 to 5.7, 6.1).
 *
 * Includes nest by frames, never by calls: the only calls that follow the nesting are those that carry a match
 * outwards, and they are as deep as the lookup limit allows includes, ten. */
#include "spf_internal.h"
#include <stdlib.h>

enum { MAX_MX = 10 }; /* RFC 7208 4.6.4 */

static void step_term(struct bh_spf_check *check);
static void finish_record(struct bh_spf_check *check, enum bh_spf_result result);

static bh_str frame_domain(const struct bh_spf_frame *frame)
{
    return bh_str_of(frame->domain, frame->domain_bytes);
}

/* ---- matches ---- */

static enum bh_spf_result result_of(char qualifier)
{
    switch (qualifier) {
    case '-':
        return BH_SPF_FAIL;
    case '~':
        return BH_SPF_SOFTFAIL;
    case '?':
        return BH_SPF_NEUTRAL;
    default:
        return BH_SPF_PASS;
    }
}

/* Built by hand: this is on the way of every check, and printf is a third of one that has its answers in memory. */
static void say_match(struct bh_spf_check *check)
{
    const struct bh_spf_frame *frame = check->frame;

    bh_spf_add(check, check->reason.n ? BH_STR(", so \"") : BH_STR("\""));
    bh_spf_add(check, frame->term.text);
    bh_spf_add(check, BH_STR("\" (term "));
    bh_spf_add_number(check, frame->term.number);
    bh_spf_add(check, BH_STR(" of "));
    bh_spf_add(check, frame_domain(frame));
    if (frame->is_redirected)
        bh_spf_add(check, BH_STR(", reached by redirect"));
    bh_spf_add(check, BH_STR(")"));
    if (bh_spf_kind_looks_up(frame->term.kind)) {
        bh_spf_add(check, BH_STR(" at lookup "));
        bh_spf_add_number(check, check->terms);
        bh_spf_add(check, BH_STR(" of "));
        bh_spf_add_number(check, check->request.max_terms);
    }
    bh_spf_add(check, BH_STR(" matched"));
}

static void match(struct bh_spf_check *check)
{
    const struct bh_spf_frame *frame = check->frame;
    enum bh_spf_result result = result_of(frame->term.qualifier);

    bh_spf_trace(check, "%.*s: term %u \"%.*s\": match", BH_FMT(frame_domain(frame)), frame->term.number,
                 BH_FMT(frame->term.text));
    if (!frame->parent || result == BH_SPF_PASS) /* else it is no match for the include that waits */
        say_match(check);
    finish_record(check, result);
}

static void no_match(struct bh_spf_check *check, const char *why)
{
    const struct bh_spf_frame *frame = check->frame;

    bh_spf_trace(check, "%.*s: term %u \"%.*s\": no match%s%s", BH_FMT(frame_domain(frame)), frame->term.number,
                 BH_FMT(frame->term.text), *why ? ", " : "", why);
    check->step = step_term;
}

/* The bottom record has its result. */
static void finish_check(struct bh_spf_check *check, enum bh_spf_result result, const struct bh_spf_term *term)
{
    check->has_result = true;
    check->is_over = true;
    check->result = result;
    if (term)
        check->mechanism = term->text;
    bh_spf_trace(check, "result: %s", bh_spf_result_name(result));
    if (result == BH_SPF_FAIL && check->frame->exp.kind == BH_SPF_EXP) {
        check->is_over = false;
        check->step = bh_spf_step_explain;
    }
}

static void say_nothing_matched(struct bh_spf_check *check)
{
    bh_spf_add(check, BH_STR("no term of the record of "));
    bh_spf_add(check, frame_domain(check->frame));
    bh_spf_add(check, BH_STR(" matched"));
}

/* A record gave `result`; for an include that is a match or none (RFC 7208 5.2). */
static void finish_record(struct bh_spf_check *check, enum bh_spf_result result)
{
    struct bh_spf_frame *frame = check->frame;

    if (!frame->parent) {
        finish_check(check, result, check->reason.n ? &frame->term : NULL);
        if (!check->reason.n)
            say_nothing_matched(check);
        return;
    }
    bh_spf_pop(check);
    if (result == BH_SPF_PASS) {
        match(check);
    } else {
        bh_buf_clear(&check->reason);
        no_match(check, bh_spf_result_name(result));
    }
}

static void fail_lookup(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    const struct bh_spf_frame *frame = check->frame;

    bh_spf_conclude(check, BH_SPF_TEMPERROR, "a lookup for \"%.*s\" (term %u of %.*s) failed for now%s%.*s",
                    BH_FMT(frame->term.text), frame->term.number, BH_FMT(frame_domain(frame)),
                    answer->why.n ? ": " : "", BH_FMT(answer->why));
}

/* True when the answer has records. Otherwise what follows from it was done. */
static bool has_records(struct bh_spf_check *check, const struct bh_dns_answer *answer, bh_str name)
{
    if (answer->status == BH_DNS_FOUND)
        return true;
    if (answer->status == BH_DNS_TEMPFAIL)
        fail_lookup(check, answer);
    else if (!bh_spf_count_void(check, answer, name))
        no_match(check, answer->status == BH_DNS_BADNAME ? "not a name that DNS can hold" : "no such records");
    return false;
}

/* ---- mechanisms ---- */

static bool any_address_matches(const struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    const struct bh_spf_term *term = &check->frame->term;
    const struct bh_ip *ip = &check->request.ip;
    struct bh_ip address;

    for (size_t i = 0; i < answer->count; i++)
        if (!bh_ip_from_bytes(answer->records[i].rdata, &address) &&
            bh_ip_in_network(ip, &address, ip->n == 4 ? term->ip4_bits : term->ip6_bits))
            return true;
    return false;
}

static void on_a(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    if (!has_records(check, answer, check->frame->term.text))
        return;
    if (any_address_matches(check, answer))
        match(check);
    else
        no_match(check, "");
}

static void on_exists(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    if (has_records(check, answer, check->frame->term.text))
        match(check);
}

static void step_next_mx(struct bh_spf_check *check);

static void on_mx_address(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    if (answer->status == BH_DNS_TEMPFAIL)
        fail_lookup(check, answer);
    else if (answer->status == BH_DNS_FOUND && any_address_matches(check, answer))
        match(check);
    else if (!bh_spf_count_void(check, answer, check->frame->term.text))
        check->step = step_next_mx;
}

static void step_next_mx(struct bh_spf_check *check)
{
    bh_str name = bh_spf_next_name(check);

    if (name.p)
        bh_spf_ask(check, name, bh_spf_address_type(check), on_mx_address);
    else
        no_match(check, "");
}

static void on_mx(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    if (!has_records(check, answer, check->frame->term.text))
        return;
    if (answer->count > MAX_MX) {
        bh_spf_conclude(check, BH_SPF_PERMERROR,
                        "\"%.*s\" of %.*s has %zu mail servers, and more than %d are not allowed",
                        BH_FMT(check->frame->term.text), BH_FMT(frame_domain(check->frame)), answer->count, MAX_MX);
        return;
    }
    bh_buf_clear(&check->names);
    check->names_at = 0;
    for (size_t i = 0; i < answer->count; i++) {
        size_t start = check->names.n;

        /* a null MX (RFC 7505) or a name with a NUL has no address */
        if (bh_domain_from_wire(bh_str_skip(answer->records[i].rdata, 2), &check->names) || check->names.n == start ||
            memchr(check->names.p + start, '\0', check->names.n - start))
            bh_buf_truncate(&check->names, start);
        else
            bh_buf_char(&check->names, '\0');
    }
    check->step = step_next_mx;
}

static void step_ptr(struct bh_spf_check *check)
{
    struct bh_buf scratch = {0};
    bh_str target = bh_spf_target(check, &check->frame->term, &scratch);

    if (target.p && bh_spf_has_validated(check, target))
        match(check);
    else
        no_match(check, "no validated name of the client is there");
    bh_buf_free(&scratch);
}

static void match_if(struct bh_spf_check *check, bool matches)
{
    if (matches)
        match(check);
    else
        no_match(check, "");
}

static void ask_target(struct bh_spf_check *check, uint16_t type,
                       void (*on_answer)(struct bh_spf_check *check, const struct bh_dns_answer *answer))
{
    struct bh_buf scratch = {0};
    bh_str target = bh_spf_target(check, &check->frame->term, &scratch);

    if (target.p)
        bh_spf_ask(check, target, type, on_answer);
    else
        no_match(check, "the name is too long");
    bh_buf_free(&scratch);
}

static void enter(struct bh_spf_check *check, const struct bh_spf_term *term)
{
    struct bh_buf scratch = {0};
    bh_str target = bh_spf_target(check, term, &scratch);

    if (target.p)
        bh_spf_push(check, target, term->kind == BH_SPF_REDIRECT);
    else
        bh_spf_conclude(check, BH_SPF_PERMERROR, "the name that \"%.*s\" makes is too long", BH_FMT(term->text));
    bh_buf_free(&scratch);
}

/* The term at hand; %{p}, if it needs it, is known. */
static void step_evaluate(struct bh_spf_check *check)
{
    const struct bh_spf_term *term = &check->frame->term;
    const struct bh_ip *ip = &check->request.ip;

    check->step = step_term;
    switch (term->kind) {
    case BH_SPF_ALL:
        match(check);
        break;
    case BH_SPF_IP4:
    case BH_SPF_IP6:
        match_if(check, bh_ip_in_network(ip, &term->network, ip->n == 4 ? term->ip4_bits : term->ip6_bits));
        break;
    case BH_SPF_A:
        ask_target(check, bh_spf_address_type(check), on_a);
        break;
    case BH_SPF_MX:
        ask_target(check, BH_DNS_MX, on_mx);
        break;
    case BH_SPF_PTR:
        bh_spf_validate(check, step_ptr, true);
        break;
    case BH_SPF_EXISTS:
        ask_target(check, BH_DNS_A, on_exists); /* A, whatever the client's family (RFC 7208 5.7) */
        break;
    case BH_SPF_INCLUDE:
        enter(check, term);
        break;
    case BH_SPF_REDIRECT:
    case BH_SPF_EXP:
    case BH_SPF_OTHER_MODIFIER:
        break;
    }
}

/* ---- terms ---- */

static bool count_term(struct bh_spf_check *check, const struct bh_spf_term *term)
{
    if (!bh_spf_kind_looks_up(term->kind) || ++check->terms <= check->request.max_terms)
        return true;
    bh_spf_conclude(
        check, BH_SPF_PERMERROR, "\"%.*s\" (term %u of %.*s) would be lookup %u, and more than %u are not allowed",
        BH_FMT(term->text), term->number, BH_FMT(frame_domain(check->frame)), check->terms, check->request.max_terms);
    return false;
}

/* RFC 8616 4: a term with %{s} or %{l} matches nothing when the local part is not ASCII. */
static bool is_unusable(const struct bh_spf_check *check, const struct bh_spf_term *term)
{
    if (!(term->macros & (bh_spf_letter_bit('s') | bh_spf_letter_bit('l'))))
        return false;
    for (size_t i = 0; i < check->local_part.n; i++)
        if ((unsigned char)check->local_part.p[i] >= 0x80)
            return true;
    return false;
}

static void step_redirect(struct bh_spf_check *check)
{
    enter(check, &check->frame->redirect);
}

static void end_of_record(struct bh_spf_check *check)
{
    const struct bh_spf_term *redirect = &check->frame->redirect;

    if (redirect->kind != BH_SPF_REDIRECT)
        finish_record(check, BH_SPF_NEUTRAL); /* RFC 7208 4.7 */
    else if (!count_term(check, redirect))
        return;
    else if (redirect->macros & bh_spf_letter_bit('p'))
        bh_spf_validate(check, step_redirect, false);
    else
        step_redirect(check);
}

static void step_term(struct bh_spf_check *check)
{
    struct bh_spf_term *term = &check->frame->term;
    const char *problem;

    /* the record was checked whole: an error cannot come */
    if (bh_spf_terms_next(&check->frame->terms, term, &problem)) {
        end_of_record(check);
        return;
    }
    if (!term->qualifier || !count_term(check, term))
        return;
    if (is_unusable(check, term))
        no_match(check, "the sender's local part is not ASCII");
    else if (term->macros & bh_spf_letter_bit('p'))
        bh_spf_validate(check, step_evaluate, false);
    else
        step_evaluate(check);
}

/* ---- records ---- */

/* Finds redirect= and exp= and any error: one anywhere spoils the record before a term is looked at (RFC 7208 4.6). */
static const char *check_record(struct bh_spf_frame *frame, struct bh_spf_term *ret_bad)
{
    struct bh_spf_terms terms = frame->terms;
    struct bh_spf_term term;
    const char *problem = NULL;
    bh_err err;

    while (!(err = bh_spf_terms_next(&terms, &term, &problem))) {
        struct bh_spf_term *slot = term.kind == BH_SPF_REDIRECT ? &frame->redirect : &frame->exp;

        if (term.kind != BH_SPF_REDIRECT && term.kind != BH_SPF_EXP)
            continue;
        if (slot->kind == term.kind) {
            *ret_bad = term;
            return "a modifier that may stand only once";
        }
        *slot = term;
    }
    *ret_bad = term;
    return err == BH_DONE ? NULL : problem;
}

static void no_record(struct bh_spf_check *check)
{
    const struct bh_spf_frame *frame = check->frame;

    if (frame->parent || frame->is_redirected)
        bh_spf_conclude(check, BH_SPF_PERMERROR, "%s %.*s, which has no SPF record",
                        frame->is_redirected ? "a redirect= leads to" : "an include: names",
                        BH_FMT(frame_domain(frame)));
    else
        bh_spf_conclude(check, BH_SPF_NONE, "%.*s has no SPF record", BH_FMT(frame_domain(frame)));
}

/* Is the joined text an SPF record? Its first bytes tell, wherever the strings are cut (RFC 7208 3.3, 4.5). */
static bool is_record(bh_str rdata)
{
    char start[7];
    size_t n = 0;

    for (size_t at = 0; at < rdata.n && n < sizeof(start); at += 1 + (size_t)(unsigned char)rdata.p[at]) {
        bh_str part = bh_str_sub(rdata, at + 1, (unsigned char)rdata.p[at]);

        part = bh_str_sub(part, 0, sizeof(start) - n);
        if (part.n)
            memcpy(start + n, part.p, part.n);
        n += part.n;
    }
    return bh_spf_is_record(bh_str_of(start, n));
}

/* The strings of `rdata` joined, in memory of its own; the length in *ret_n. NULL when there is none. */
static char *join(bh_str rdata, size_t *ret_n)
{
    struct bh_buf text = bh_buf_make(rdata.n);
    char *joined = bh_buf_reserve(&text, rdata.n);

    bh_spf_join_txt(rdata, &text);
    *ret_n = text.n;
    return joined;
}

static void take_record(struct bh_spf_check *check, bh_str rdata)
{
    struct bh_spf_frame *frame = check->frame;
    struct bh_spf_term bad;
    const char *problem;
    size_t n;

    frame->record = join(rdata, &n);
    if (!frame->record) {
        bh_spf_conclude(check, BH_SPF_TEMPERROR, "out of memory");
        return;
    }
    frame->terms = bh_spf_terms_of(bh_str_of(frame->record, n));
    bh_spf_trace(check, "%.*s: record \"%.*s\"", BH_FMT(frame_domain(frame)), (int)n, frame->record);
    problem = check_record(frame, &bad);
    if (problem)
        bh_spf_conclude(check, BH_SPF_PERMERROR, "the record of %.*s has %s: \"%.*s\" (term %u)",
                        BH_FMT(frame_domain(frame)), problem, BH_FMT(bad.text), bad.number);
    else
        check->step = step_term;
}

/* Exactly one of the TXT records must be SPF's (RFC 7208 4.5). */
static void on_record(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    size_t found = 0;
    size_t which = 0;

    if (answer->status == BH_DNS_TEMPFAIL) {
        bh_spf_conclude(check, BH_SPF_TEMPERROR, "the lookup of the record of %.*s failed for now%s%.*s",
                        BH_FMT(frame_domain(check->frame)), answer->why.n ? ": " : "", BH_FMT(answer->why));
        return;
    }
    for (size_t i = 0; answer->status == BH_DNS_FOUND && i < answer->count; i++)
        if (is_record(answer->records[i].rdata)) {
            found++;
            which = i;
        }
    if (found > 1)
        bh_spf_conclude(check, BH_SPF_PERMERROR, "%.*s has %zu SPF records, and only one is allowed",
                        BH_FMT(frame_domain(check->frame)), found);
    else if (!found)
        no_record(check);
    else
        take_record(check, answer->records[which].rdata);
}

static void step_fetch(struct bh_spf_check *check)
{
    bh_spf_ask(check, frame_domain(check->frame), BH_DNS_TXT, on_record);
}

void bh_spf_push(struct bh_spf_check *check, bh_str domain, bool is_redirect)
{
    struct bh_spf_frame *frame = calloc(1, sizeof(*frame) + domain.n);

    check->step = step_fetch;
    if (!frame) {
        bh_spf_conclude(check, BH_SPF_TEMPERROR, "out of memory");
        return;
    }
    memcpy(frame->domain, domain.p, domain.n);
    frame->domain_bytes = domain.n;
    frame->is_redirected = is_redirect;
    frame->parent = check->frame;
    if (is_redirect) {
        frame->parent = check->frame->parent;
        bh_spf_pop(check);
    }
    check->frame = frame;
}

void bh_spf_pop(struct bh_spf_check *check)
{
    struct bh_spf_frame *frame = check->frame;

    check->frame = frame->parent;
    free(frame->record);
    free(frame);
}
