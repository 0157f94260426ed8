/* shaping.c: reading and asking the rules. See shaping.h. Names and words are views of the texts, which are kept. */
#include "shaping.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/text.h"
#include "builtin_shaping.h"
#include <stdlib.h>

enum {
    SITES_MAX = 2000,
    ADVICES_MAX = 200,
    SUFFIXES_MAX = 64,
    PLANS_MAX = 100,
    ROWS_MAX = 200,
    DAYS_MAX = 400,
    LINES_MAX = 1000
};

struct pattern {
    uint16_t code;     /* 421; 0: by the enhanced code */
    uint8_t digits;    /* of `code` that count: 4xx is 1 */
    bh_str enhanced;   /* "4.7.28", "4.7." */
    bool enhanced_any; /* the last part is x */
    bh_str words;
};

struct advice {
    struct pattern pattern;
    enum bh_advice what;
    int64_t for_ms;
};

struct facts {
    bh_str name;
    bh_str suffixes[SUFFIXES_MAX];
    size_t suffix_count;
    struct bh_shape shape; /* 0: not said */
    struct advice *advices;
    size_t advice_count;
    size_t front; /* of this block: the next `on` line goes there */
};

struct plan_row {
    bh_str site;
    uint64_t *days;
    size_t day_count;
};

struct plan {
    bh_str name;
    struct plan_row *rows;
    size_t row_count;
};

struct reply_rule {
    bh_str class;
    struct pattern pattern;
};

struct retry_rule {
    bh_str class;
    uint32_t first_s, max_s, growth_percent;
};

struct text {
    struct text *next;
    char bytes[];
};

struct bh_shaping {
    struct text *texts;
    struct facts *sites;
    size_t site_count;
    struct plan *plans;
    size_t plan_count;
    struct reply_rule *replies;
    size_t reply_count;
    struct retry_rule *retries;
    size_t retry_count;
};

/* ---- making ---- */

/* Room for one more at the end of an array, zeroed; NULL: full. */
static void *one_more(void **array, size_t *count, size_t most, size_t size)
{
    void *grown;

    if (*count >= most)
        return NULL;
    grown = reallocarray(*array, *count + 1, size);
    if (!grown)
        return NULL;
    *array = grown;
    memset((char *)grown + *count * size, 0, size);
    return (char *)grown + (*count)++ * size;
}
#define ONE_MORE(array, count, most) one_more((void **)&(array), &(count), most, sizeof(*(array)))

static struct facts *find_site(const struct bh_shaping *s, bh_str name)
{
    for (size_t i = 0; i < s->site_count; i++)
        if (bh_str_eq_ci(s->sites[i].name, name))
            return &s->sites[i];
    return NULL;
}

static struct plan *find_plan(const struct bh_shaping *s, bh_str name)
{
    for (size_t i = 0; i < s->plan_count; i++)
        if (bh_str_eq_ci(s->plans[i].name, name))
            return &s->plans[i];
    return NULL;
}

void bh_shaping_free(struct bh_shaping *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->site_count; i++)
        free(s->sites[i].advices);
    for (size_t i = 0; i < s->plan_count; i++) {
        for (size_t k = 0; k < s->plans[i].row_count; k++)
            free(s->plans[i].rows[k].days);
        free(s->plans[i].rows);
    }
    while (s->texts) {
        struct text *next = s->texts->next;

        free(s->texts);
        s->texts = next;
    }
    free(s->sites);
    free(s->plans);
    free(s->replies);
    free(s->retries);
    free(s);
}

bh_err bh_shaping_new(struct bh_shaping **ret_shaping)
{
    struct bh_shaping *s = calloc(1, sizeof(*s));
    struct bh_shaping_problem problem;
    bh_err err =
        s ? bh_shaping_add(s, bh_str_of((const char *)builtin_rules, sizeof(builtin_rules)), &problem) : BH_E_NOMEM;

    if (err)
        bh_shaping_free(s);
    else
        *ret_shaping = s;
    return err;
}

/* ---- words of a line ---- */

struct reader {
    struct bh_shaping *shaping;
    struct facts *site;
    struct plan *plan;
    bh_str rest; /* of the line */
    const char *why;
};

static bool fail(struct reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    return false;
}

static bool next_word(struct reader *r, bh_str *ret_word)
{
    size_t n = 0;

    r->rest = bh_str_trim(r->rest);
    while (n < r->rest.n && r->rest.p[n] != ' ' && r->rest.p[n] != '\t')
        n++;
    *ret_word = bh_str_sub(r->rest, 0, n);
    r->rest = bh_str_trim(bh_str_skip(r->rest, n));
    return n > 0;
}

static bool need_name(struct reader *r, bh_str *ret_name)
{
    if (!next_word(r, ret_name) || ret_name->n > BH_SHAPING_NAME_MAX)
        return fail(r, "a name is missing or too long");
    return true;
}

static bool need_number(struct reader *r, uint64_t least, uint64_t most, uint64_t *ret_number)
{
    bh_str word;

    if (!next_word(r, &word) || bh_str_to_u64(word, most, ret_number) != BH_OK || *ret_number < least)
        return fail(r, "a number is missing or out of range");
    return true;
}

static bool need_u32(struct reader *r, uint32_t most, uint32_t *ret_number)
{
    uint64_t number;

    if (!need_number(r, 1, most, &number))
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

static bool parse_duration(bh_str word, uint32_t *ret_s)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t number;

    if (word.n < 2 || bh_str_to_u64(bh_str_sub(word, 0, word.n - 1), 1000000, &number) != BH_OK)
        return false;
    for (size_t i = 0; i < 4; i++)
        if (word.p[word.n - 1] == units[i].unit && number && number * units[i].seconds <= 366u * 86400) {
            *ret_s = (uint32_t)number * units[i].seconds;
            return true;
        }
    return false;
}

static bool need_duration(struct reader *r, uint32_t *ret_s)
{
    bh_str word;

    if (!next_word(r, &word) || !parse_duration(word, ret_s))
        return fail(r, "a duration is missing: 90s, 15m, 12h, 1d");
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool parse_code(bh_str word, struct pattern *p)
{
    if (word.n > 3 && word.n < 12 && is_digit(word.p[0]) && word.p[1] == '.') {
        p->enhanced_any = word.p[word.n - 1] == 'x';
        p->enhanced = bh_str_sub(word, 0, word.n - p->enhanced_any);
        return true;
    }
    if (word.n != 3 || (word.p[0] != '4' && word.p[0] != '5'))
        return false;
    for (; p->digits < 3 && is_digit(word.p[p->digits]); p->digits++)
        p->code = (uint16_t)(p->code * 10 + (word.p[p->digits] - '0'));
    for (size_t i = p->digits; i < 3; i++)
        if (word.p[i] != 'x')
            return false;
    return true;
}

static bool need_pattern(struct reader *r, struct pattern *p)
{
    bh_str word, rest;

    *p = (struct pattern){0};
    if (!next_word(r, &word) || !parse_code(word, p))
        return fail(r, "a code is missing: 421, 45x, 4xx, 4.7.28, 4.7.x");
    if (!r->rest.n || r->rest.p[0] != '"')
        return true;
    rest = bh_str_skip(r->rest, 1);
    p->words = bh_str_sub(rest, 0, bh_str_find(rest, '"'));
    if (p->words.n == rest.n || !p->words.n)
        return fail(r, "the words do not end with a quotation mark");
    r->rest = bh_str_trim(bh_str_skip(rest, p->words.n + 1));
    return true;
}

/* ---- lines ---- */

static bool read_site(struct reader *r)
{
    bh_str name, suffix;

    if (!need_name(r, &name))
        return false;
    r->plan = NULL;
    r->site = find_site(r->shaping, name);
    if (!r->site)
        r->site = ONE_MORE(r->shaping->sites, r->shaping->site_count, SITES_MAX);
    if (!r->site)
        return fail(r, "too many sites");
    r->site->name = name;
    r->site->front = 0;
    while (next_word(r, &suffix)) {
        if (suffix.p[0] != '.' || suffix.n < 3 || r->site->suffix_count == SUFFIXES_MAX)
            return fail(r, "not a suffix of host names: .example.net");
        r->site->suffixes[r->site->suffix_count++] = suffix;
    }
    return true;
}

static bool read_plan(struct reader *r)
{
    bh_str name;

    if (!need_name(r, &name))
        return false;
    r->site = NULL;
    r->plan = find_plan(r->shaping, name);
    if (!r->plan)
        r->plan = ONE_MORE(r->shaping->plans, r->shaping->plan_count, PLANS_MAX);
    if (!r->plan)
        return fail(r, "too many plans");
    r->plan->name = name;
    return true;
}

static bool read_plan_row(struct reader *r, bh_str site)
{
    struct plan_row *row = NULL;

    for (size_t i = 0; i < r->plan->row_count; i++)
        if (bh_str_eq_ci(r->plan->rows[i].site, site))
            row = &r->plan->rows[i];
    if (!row)
        row = ONE_MORE(r->plan->rows, r->plan->row_count, ROWS_MAX);
    if (!row)
        return fail(r, "too many lines in this plan");
    row->site = site;
    row->day_count = 0;
    while (r->rest.n) {
        uint64_t number, *day;

        if (!need_number(r, 0, INT64_MAX, &number))
            return false;
        day = ONE_MORE(row->days, row->day_count, DAYS_MAX);
        if (!day)
            return fail(r, "too many days");
        *day = number;
    }
    return row->day_count ? true : fail(r, "a plan's line has a number for each day");
}

static bool read_on(struct reader *r)
{
    struct advice advice = {.what = BH_ADVICE_SLOW};
    struct facts *site = r->site;
    bh_str word;
    uint32_t seconds;

    if (!need_pattern(r, &advice.pattern))
        return false;
    if (!next_word(r, &word) || !(bh_str_eq(word, BH_STR("slow")) || bh_str_eq(word, BH_STR("suspend"))))
        return fail(r, "what to do is missing: slow or suspend");
    if (bh_str_eq(word, BH_STR("suspend")))
        advice.what = BH_ADVICE_SUSPEND;
    if (!need_duration(r, &seconds))
        return false;
    advice.for_ms = (int64_t)seconds * 1000;
    if (!ONE_MORE(site->advices, site->advice_count, ADVICES_MAX))
        return fail(r, "too many lines about replies");
    memmove(&site->advices[site->front + 1], &site->advices[site->front],
            (site->advice_count - 1 - site->front) * sizeof(advice));
    site->advices[site->front++] = advice;
    return true;
}

static bool read_rate(struct reader *r)
{
    struct bh_shape *shape = &r->site->shape;
    bh_str word, duration, count;
    uint64_t number;

    if (!next_word(r, &word))
        return fail(r, "a rate is missing: 100/1m");
    count = bh_str_cut(word, '/', &duration);
    if (bh_str_to_u64(count, 1000000, &number) != BH_OK || !number || !parse_duration(duration, &shape->rate_s))
        return fail(r, "not a rate: 100/1m");
    shape->rate_count = (uint32_t)number;
    return true;
}

static bool read_site_line(struct reader *r, bh_str key)
{
    struct bh_shape *shape = &r->site->shape;

    if (bh_str_eq(key, BH_STR("connections")))
        return need_u32(r, 10000, &shape->connections);
    if (bh_str_eq(key, BH_STR("messages-per-connection")))
        return need_u32(r, 1000000, &shape->messages_per_connection);
    if (bh_str_eq(key, BH_STR("start")))
        return need_u32(r, 10000, &shape->window_start);
    if (bh_str_eq(key, BH_STR("in-hand")))
        return need_u32(r, 10000, &shape->window_max);
    if (bh_str_eq(key, BH_STR("failures")))
        return need_u32(r, 10000, &shape->failures_max);
    if (bh_str_eq(key, BH_STR("pause")))
        return need_duration(r, &shape->pause_first_s) && need_duration(r, &shape->pause_max_s);
    if (bh_str_eq(key, BH_STR("rate")))
        return read_rate(r);
    if (bh_str_eq(key, BH_STR("on")))
        return read_on(r);
    return fail(r, "not known here");
}

static bool read_reply(struct reader *r)
{
    struct reply_rule *rule = ONE_MORE(r->shaping->replies, r->shaping->reply_count, LINES_MAX);

    if (!rule)
        return fail(r, "too many lines");
    if (need_name(r, &rule->class) && need_pattern(r, &rule->pattern))
        return true;
    r->shaping->reply_count--;
    return false;
}

static bool read_retry(struct reader *r)
{
    struct retry_rule rule;

    if (!need_name(r, &rule.class) || !need_duration(r, &rule.first_s) || !need_duration(r, &rule.max_s) ||
        !need_u32(r, 10000, &rule.growth_percent))
        return false;
    for (size_t i = 0; i < r->shaping->retry_count; i++)
        if (bh_str_eq_ci(r->shaping->retries[i].class, rule.class)) {
            r->shaping->retries[i] = rule;
            return true;
        }
    if (!ONE_MORE(r->shaping->retries, r->shaping->retry_count, LINES_MAX))
        return fail(r, "too many lines");
    r->shaping->retries[r->shaping->retry_count - 1] = rule;
    return true;
}

static bool read_line(struct reader *r)
{
    bh_str key;
    bool ok;

    if (!next_word(r, &key) || key.p[0] == '#')
        return true;
    if (bh_str_eq(key, BH_STR("site")))
        ok = read_site(r);
    else if (bh_str_eq(key, BH_STR("plan")))
        ok = read_plan(r);
    else if (bh_str_eq(key, BH_STR("reply")))
        ok = read_reply(r);
    else if (bh_str_eq(key, BH_STR("retry")))
        ok = read_retry(r);
    else if (r->plan)
        ok = read_plan_row(r, key);
    else
        ok = r->site ? read_site_line(r, key) : fail(r, "no site or plan was begun");
    return ok && r->rest.n ? fail(r, "something follows that is not understood") : ok;
}

bh_err bh_shaping_add(struct bh_shaping *s, bh_str text, struct bh_shaping_problem *ret_problem)
{
    struct reader reader = {.shaping = s};
    struct text *kept;
    bh_str rest;

    if (text.n > BH_SHAPING_TEXT_MAX)
        return BH_E_LIMIT;
    kept = malloc(sizeof(*kept) + text.n + 1);
    if (!kept)
        return BH_E_NOMEM;
    if (text.n)
        memcpy(kept->bytes, text.p, text.n);
    kept->next = s->texts;
    s->texts = kept;
    rest = bh_str_of(kept->bytes, text.n);
    for (size_t line = 1; rest.n; line++) {
        reader.rest = bh_str_cut(rest, '\n', &rest);
        if (!read_line(&reader)) {
            *ret_problem = (struct bh_shaping_problem){line, reader.why};
            return BH_E_SYNTAX;
        }
    }
    return BH_OK;
}

/* ---- asking ---- */

static bool pattern_applies(const struct pattern *p, const struct bh_reply_facts *reply)
{
    static const uint16_t shift[] = {1000, 100, 10, 1};

    if (p->enhanced.n) {
        if (!(p->enhanced_any ? bh_str_starts(reply->enhanced, p->enhanced) : bh_str_eq(reply->enhanced, p->enhanced)))
            return false;
    } else if (reply->code / shift[p->digits] != p->code) {
        return false;
    }
    return !p->words.n || bh_str_search_ci(reply->text, p->words) < reply->text.n;
}

static const struct advice *find_advice(const struct facts *site, const struct bh_reply_facts *reply)
{
    for (size_t i = 0; site && i < site->advice_count; i++)
        if (pattern_applies(&site->advices[i].pattern, reply))
            return &site->advices[i];
    return NULL;
}

enum bh_advice bh_shaping_advise(const struct bh_shaping *s, bh_str site, const struct bh_reply_facts *reply,
                                 int64_t *ret_for_ms)
{
    const struct advice *advice = find_advice(find_site(s, site), reply);

    if (!advice)
        advice = find_advice(find_site(s, BH_STR("*")), reply);
    if (!advice)
        return BH_ADVICE_NONE;
    *ret_for_ms = advice->for_ms;
    return advice->what;
}

static void take_u32(uint32_t *to, uint32_t from)
{
    if (from)
        *to = from;
}

static void take_shape(struct bh_shape *to, const struct facts *site)
{
    const struct bh_shape *from = site ? &site->shape : &(const struct bh_shape){0};

    take_u32(&to->connections, from->connections);
    take_u32(&to->messages_per_connection, from->messages_per_connection);
    take_u32(&to->window_start, from->window_start);
    take_u32(&to->window_max, from->window_max);
    take_u32(&to->failures_max, from->failures_max);
    take_u32(&to->pause_first_s, from->pause_first_s);
    take_u32(&to->pause_max_s, from->pause_max_s);
    take_u32(&to->rate_count, from->rate_count);
    take_u32(&to->rate_s, from->rate_s);
}

void bh_shaping_shape(const struct bh_shaping *s, bh_str site, struct bh_shape *shape)
{
    take_shape(shape, find_site(s, BH_STR("*")));
    take_shape(shape, find_site(s, site));
}

bh_str bh_shaping_class(const struct bh_shaping *s, const struct bh_reply_facts *reply)
{
    for (size_t i = 0; i < s->reply_count; i++)
        if (pattern_applies(&s->replies[i].pattern, reply))
            return s->replies[i].class;
    return bh_str_of(NULL, 0);
}

bool bh_shaping_retry(const struct bh_shaping *s, bh_str class, struct bh_retry_policy *policy)
{
    for (size_t i = 0; class.n && i < s->retry_count; i++)
        if (bh_str_eq_ci(s->retries[i].class, class)) {
            policy->first_s = s->retries[i].first_s;
            policy->max_s = s->retries[i].max_s;
            policy->growth_percent = s->retries[i].growth_percent;
            return true;
        }
    return false;
}

bool bh_shaping_has_plan(const struct bh_shaping *s, bh_str plan)
{
    return find_plan(s, plan) != NULL;
}

static const struct plan_row *find_row(const struct plan *plan, bh_str site)
{
    for (size_t i = 0; i < plan->row_count; i++)
        if (bh_str_eq_ci(plan->rows[i].site, site))
            return &plan->rows[i];
    return NULL;
}

uint64_t bh_shaping_plan_day(const struct bh_shaping *s, bh_str name, bh_str site, uint32_t day)
{
    const struct plan *plan = find_plan(s, name);
    const struct plan_row *row = plan ? find_row(plan, site) : NULL;

    if (plan && !row)
        row = find_row(plan, BH_STR("*"));
    return row && day && day <= row->day_count ? row->days[day - 1] : UINT64_MAX;
}

bool bh_shaping_site_at(const struct bh_shaping *s, size_t i, bh_str *ret_site)
{
    if (i >= s->site_count)
        return false;
    *ret_site = s->sites[i].name;
    return true;
}

bool bh_shaping_plan_at(const struct bh_shaping *s, size_t i, bh_str *ret_plan)
{
    if (i >= s->plan_count)
        return false;
    *ret_plan = s->plans[i].name;
    return true;
}

/* ---- the site of a set of hosts ---- */

enum { HOSTS_MAX = 32 };

static bool holds(const struct facts *site, bh_str host)
{
    for (size_t i = 0; i < site->suffix_count; i++)
        if (bh_str_ends_ci(host, site->suffixes[i]) || bh_str_eq_ci(host, bh_str_skip(site->suffixes[i], 1)))
            return true;
    return false;
}

static size_t split_hosts(bh_str hosts, bh_str *list)
{
    struct reader words = {.rest = hosts};
    size_t n = 0;

    while (n < HOSTS_MAX && next_word(&words, &list[n]))
        n++;
    return n;
}

static int compare_hosts(const void *a, const void *b)
{
    return bh_str_cmp_ci(*(const bh_str *)a, *(const bh_str *)b);
}

/* "a.example,b.example"; a long one ends with a hash of the whole instead of what does not fit. */
static size_t write_set(bh_str *list, size_t count, char *site)
{
    static const uint64_t seed[2] = {1, 2}; /* a name, no table that a stranger could fill */
    struct bh_buf out = bh_buf_make(HOSTS_MAX * 260);
    size_t n;

    qsort(list, count, sizeof(*list), compare_hosts);
    for (size_t i = 0; i < count; i++) {
        if (i && bh_str_eq_ci(list[i], list[i - 1]))
            continue;
        if (out.n)
            bh_buf_char(&out, ',');
        for (size_t k = 0; k < list[i].n; k++)
            bh_buf_char(&out, bh_to_lower(list[i].p[k]));
    }
    n = out.n;
    if (n > BH_QUEUE_ROUTE_MAX) {
        uint64_t hash = bh_siphash13(seed, bh_buf_view(&out));

        n = BH_QUEUE_ROUTE_MAX;
        for (size_t i = 0; i < 12; i++)
            out.p[n - 12 + i] = (char)('a' + (hash >> (4 * i) & 15));
        out.p[n - 13] = '+';
    }
    if (n)
        memcpy(site, out.p, n);
    bh_buf_free(&out);
    return n;
}

size_t bh_shaping_site(const struct bh_shaping *s, bh_str hosts, char *site)
{
    bh_str list[HOSTS_MAX];
    size_t count = split_hosts(hosts, list);

    for (size_t i = 0; count && i < s->site_count; i++) {
        size_t held = 0;

        while (held < count && holds(&s->sites[i], list[held]))
            held++;
        if (held == count) {
            memcpy(site, s->sites[i].name.p, s->sites[i].name.n);
            return s->sites[i].name.n;
        }
    }
    return count ? write_set(list, count, site) : 0;
}
