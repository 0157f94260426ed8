/* zonefile_resolver.c: records in one array sorted by owner (canonical order), type and place in the text.
 *
 * In canonical order a name's descendants follow it directly, so "exists without data" is one look at the neighbour,
 * and all records of a (name, type) stand side by side, which makes them the answer as they are. */
#include "proto/dns/zonefile.h"
#include <behalf/zonefile_resolver.h>
#include <stdlib.h>

enum {
    MAX_RECORDS = 1 << 20,
    MAX_CHAIN = 16, /* CNAMEs in a row */
    DEFAULT_TTL_S = 3600,
    TYPE_FAIL = 0, /* marks $FAIL lines among the records; type 0 is reserved (RFC 6895 3.1) */
    FAIL_ALL = 0,
    ARENA_MAX = 256 << 20
};

struct row {
    bh_str owner; /* wire */
    uint16_t type;
    uint16_t fails_type; /* of TYPE_FAIL rows: the type, or FAIL_ALL */
    uint32_t ttl_s;
    uint32_t order;
};

struct bh_zonefile_resolver {
    struct bh_resolver base;
    struct bh_arena *arena;
    struct row *rows;
    struct bh_dns_record *rdata; /* rdata[i] belongs to rows[i] once sorted */
    size_t count;
    size_t cap;
};

/* ---- reading ---- */

static bh_err add_row(struct bh_zonefile_resolver *r, struct row row, bh_str rdata)
{
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        struct row *rows = reallocarray(r->rows, cap, sizeof(*rows));
        struct bh_dns_record *records = rows ? reallocarray(r->rdata, cap, sizeof(*records)) : NULL;

        if (rows)
            r->rows = rows;
        if (!records)
            return BH_E_NOMEM;
        r->rdata = records;
        r->cap = cap;
    }
    if (r->count == MAX_RECORDS)
        return BH_E_LIMIT;
    row.owner = bh_arena_dup(r->arena, row.owner);
    rdata = bh_arena_dup(r->arena, rdata);
    if (!row.owner.p || !rdata.p)
        return BH_E_NOMEM;
    row.order = (uint32_t)r->count;
    r->rows[r->count] = row;
    r->rdata[r->count++].rdata = rdata;
    return BH_OK;
}

static bh_err take_fail(void *ctx, bh_str keyword, struct bh_dns_lexer *arguments, const struct bh_dns_name *origin)
{
    struct bh_dns_token token;
    struct bh_dns_name name;
    struct row row = {.type = TYPE_FAIL, .fails_type = FAIL_ALL};
    bh_err err;

    if (!bh_str_eq_ci(keyword, BH_STR("$FAIL")))
        return BH_E_UNSUPPORTED;
    err = bh_dns_lexer_next(arguments, &token);
    if (!err)
        err = bh_dns_name_parse(token.text, origin, &name);
    if (err)
        return err == BH_DONE ? BH_E_SYNTAX : err;
    row.owner = bh_dns_name_view(&name);
    err = bh_dns_lexer_next(arguments, &token);
    if (!err)
        err = bh_dns_type_parse(token.text, &row.fails_type);
    if (err && err != BH_DONE)
        return err;
    return add_row(ctx, row, BH_STR(""));
}

static bh_err read_rows(struct bh_zonefile_resolver *r, struct bh_dns_zonefile *file)
{
    struct bh_dns_zonefile_record record;
    bh_err err;

    while (!(err = bh_dns_zonefile_next(file, &record))) {
        struct row row = {.owner = bh_dns_name_view(&record.owner), .type = record.type, .ttl_s = record.ttl_s};

        if (record.klass == BH_DNS_CLASS_IN && (err = add_row(r, row, record.rdata)))
            return err;
    }
    return err == BH_DONE ? BH_OK : err;
}

struct pair {
    struct row row;
    struct bh_dns_record record;
};

static int compare_pairs(const void *a, const void *b)
{
    const struct row *x = &((const struct pair *)a)->row;
    const struct row *y = &((const struct pair *)b)->row;
    int order = bh_dns_name_cmp(x->owner, y->owner);

    if (!order && x->type != y->type)
        order = x->type < y->type ? -1 : 1;
    if (!order)
        order = x->order < y->order ? -1 : 1;
    return order;
}

static bh_err sort_rows(struct bh_zonefile_resolver *r)
{
    struct pair *pairs = calloc(r->count + 1, sizeof(*pairs));

    if (!pairs)
        return BH_E_NOMEM;
    for (size_t i = 0; i < r->count; i++)
        pairs[i] = (struct pair){r->rows[i], r->rdata[i]};
    qsort(pairs, r->count, sizeof(*pairs), compare_pairs);
    for (size_t i = 0; i < r->count; i++) {
        r->rows[i] = pairs[i].row;
        r->rdata[i] = pairs[i].record;
    }
    free(pairs);
    return BH_OK;
}

/* ---- answering ---- */

/* The first row whose owner is not before `name`. */
static size_t lower_bound(const struct bh_zonefile_resolver *r, bh_str name)
{
    size_t low = 0;
    size_t high = r->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (bh_dns_name_cmp(r->rows[middle].owner, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where the rows of `name` or of names below it start; false when it does not exist. */
static bool find_name(const struct bh_zonefile_resolver *r, bh_str name, size_t *ret_at)
{
    *ret_at = lower_bound(r, name);
    return *ret_at < r->count && bh_dns_name_is_at_or_below(r->rows[*ret_at].owner, name);
}

struct found {
    size_t at;
    size_t count;
    uint32_t ttl_s;
};

/* The rows of (name, type), where the name's start at `at`. */
static struct found find_rows(const struct bh_zonefile_resolver *r, size_t at, bh_str name, uint16_t type)
{
    struct found found = {.at = at, .ttl_s = UINT32_MAX};

    while (found.at < r->count && r->rows[found.at].type < type && bh_dns_name_eq(r->rows[found.at].owner, name))
        found.at++;
    for (size_t i = found.at; i < r->count && r->rows[i].type == type && bh_dns_name_eq(r->rows[i].owner, name); i++) {
        found.count++;
        if (r->rows[i].ttl_s < found.ttl_s)
            found.ttl_s = r->rows[i].ttl_s;
    }
    return found;
}

static bool fails(const struct bh_zonefile_resolver *r, size_t at, bh_str name, uint16_t type)
{
    struct found found = find_rows(r, at, name, TYPE_FAIL);

    for (size_t i = 0; i < found.count; i++)
        if (r->rows[found.at + i].fails_type == FAIL_ALL || r->rows[found.at + i].fails_type == type)
            return true;
    return false;
}

/* The wildcard that covers a name that does not exist (RFC 4592 3.3.1): the one below its closest encloser. */
static bool find_wildcard(const struct bh_zonefile_resolver *r, bh_str name, struct bh_dns_name *ret_wildcard,
                          size_t *ret_at)
{
    while (!bh_dns_name_is_root(name)) {
        name = bh_dns_name_parent(name);
        if (bh_dns_name_is_root(name) || find_name(r, name, ret_at))
            return !bh_dns_name_wildcard(name, ret_wildcard) && find_name(r, bh_dns_name_view(ret_wildcard), ret_at);
    }
    return false;
}

/* Answers for one owner name, no CNAMEs followed yet. True: go on with the CNAME's target in *name. */
static bool answer_once(const struct bh_zonefile_resolver *r, struct bh_dns_name *name, uint16_t type,
                        struct bh_dns_answer *answer)
{
    struct bh_dns_name owner;
    bh_str view = bh_dns_name_view(name);
    struct found found;
    size_t at;

    answer->status = BH_DNS_NXDOMAIN;
    if (!find_name(r, view, &at)) {
        if (!find_wildcard(r, view, &owner, &at))
            return false;
        view = bh_dns_name_view(&owner);
    }
    answer->status = BH_DNS_TEMPFAIL;
    if (fails(r, at, view, type)) {
        answer->why = BH_STR("$FAIL");
        return false;
    }
    found = find_rows(r, at, view, type);
    if (!found.count && type != BH_DNS_CNAME) {
        struct found alias = find_rows(r, at, view, BH_DNS_CNAME);

        if (alias.count) {
            bh_dns_name_set(name, r->rdata[alias.at].rdata);
            answer->ttl_s = alias.ttl_s < answer->ttl_s ? alias.ttl_s : answer->ttl_s;
            return true;
        }
    }
    answer->status = found.count ? BH_DNS_FOUND : BH_DNS_NODATA;
    answer->records = r->rdata + found.at;
    answer->count = found.count;
    answer->ttl_s = found.ttl_s < answer->ttl_s ? found.ttl_s : answer->ttl_s;
    return false;
}

static bh_err lookup(struct bh_resolver *base, bh_str text, uint16_t type, bh_dns_done *done, void *ctx,
                     struct bh_dns_query **ret_query)
{
    const struct bh_zonefile_resolver *r = (struct bh_zonefile_resolver *)(void *)base;
    struct bh_dns_answer answer = {.status = BH_DNS_BADNAME, .ttl_s = DEFAULT_TTL_S};
    struct bh_buf canonical = bh_buf_make(1100);
    struct bh_dns_name name;
    unsigned chain = 0;

    *ret_query = NULL;
    if (!bh_dns_name_parse(text, NULL, &name)) {
        while (answer_once(r, &name, type, &answer))
            if (++chain > MAX_CHAIN) {
                answer.status = BH_DNS_TEMPFAIL;
                answer.why = BH_STR("CNAMEs without end");
                break;
            }
        if (chain)
            bh_dns_name_print_relative(&canonical, bh_dns_name_view(&name));
        answer.canonical_name = chain ? bh_buf_view(&canonical) : text;
    }
    done(ctx, &answer);
    bh_buf_free(&canonical);
    return BH_OK;
}

static void cancel(struct bh_resolver *base, struct bh_dns_query *query)
{
    /* no query ever waits */
}

static const struct bh_resolver_ops ops = {lookup, cancel};

bh_err bh_zonefile_resolver_new(bh_str text, struct bh_zonefile_resolver **ret_resolver, unsigned *ret_line,
                                const char **ret_why)
{
    struct bh_zonefile_resolver *r = calloc(1, sizeof(*r));
    struct bh_dns_zonefile file;
    bh_err err = BH_E_NOMEM;

    if (!r)
        return BH_E_NOMEM;
    r->base.ops = &ops;
    r->arena = bh_arena_new(ARENA_MAX);
    bh_dns_zonefile_begin(&file, text, NULL, DEFAULT_TTL_S, take_fail, r);
    if (r->arena)
        err = read_rows(r, &file);
    if (!err)
        err = sort_rows(r);
    if (err && ret_line)
        *ret_line = file.error_line;
    if (err && ret_why)
        *ret_why = file.why ? file.why : bh_err_text(err);
    bh_dns_zonefile_end(&file);
    if (err)
        bh_zonefile_resolver_free(r);
    else
        *ret_resolver = r;
    return err;
}

void bh_zonefile_resolver_free(struct bh_zonefile_resolver *resolver)
{
    if (!resolver)
        return;
    bh_arena_free(resolver->arena);
    free(resolver->rows);
    free(resolver->rdata);
    free(resolver);
}

struct bh_resolver *bh_zonefile_resolver_base(struct bh_zonefile_resolver *resolver)
{
    return &resolver->base;
}
