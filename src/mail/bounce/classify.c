/* classify.c: asking the rules. See classify.h. */
#include "classify.h"
#include "heuristics.h"
#include "rules_internal.h"

struct bh_classifier {
    const struct bh_bounce_rules *rules;
    struct bh_phrase_search *search[SECTION_COUNT];
    char *masked; /* BH_REFUSAL_TEXT_MAX bytes */
};

struct bh_classifier *bh_classifier_new(struct bh_arena *arena, const struct bh_bounce_rules *rules)
{
    struct bh_classifier *classifier = bh_arena_alloc(arena, sizeof(*classifier));

    if (!classifier)
        return NULL;
    classifier->rules = rules;
    classifier->masked = bh_arena_alloc(arena, BH_REFUSAL_TEXT_MAX);
    if (!classifier->masked)
        return NULL;
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        classifier->search[i] = bh_phrase_search_new(arena, rules->phrases[i]);
        if (!classifier->search[i])
            return NULL;
    }
    return classifier;
}

/* ---- conditions ---- */

static bool host_is(bh_str host, bh_str hosts)
{
    while (hosts.n) {
        bh_str one = bh_str_cut(hosts, ' ', &hosts);

        if (one.n && one.p[0] == '.' && bh_str_is_at_or_below(host, bh_str_skip(one, 1)))
            return true;
        if (one.n && bh_str_eq_ci(host, one))
            return true;
    }
    return false;
}

static bool code_is(uint16_t code, const char pattern[3])
{
    const char digits[3] = {(char)('0' + code / 100 % 10), (char)('0' + code / 10 % 10), (char)('0' + code % 10)};

    if (pattern[0] == 0)
        return true;
    for (size_t i = 0; i < 3; i++)
        if (pattern[i] != 'x' && pattern[i] != digits[i])
            return false;
    return code != 0;
}

static bool status_is(struct bh_smtp_status status, const uint16_t pattern[3])
{
    const uint16_t numbers[3] = {status.class, status.subject, status.detail};

    if (pattern[0] == 0)
        return true;
    for (size_t i = 0; i < 3; i++)
        if (pattern[i] != ANY && pattern[i] != numbers[i])
            return false;
    return status.class != 0;
}

static bool conditions_hold(const struct bh_bounce_rules *rules, const struct rule *rule,
                            const struct bh_refusal *refusal)
{
    if (!code_is(refusal->code, rule->code) || !status_is(refusal->status, rule->status))
        return false;
    return rule->provider == 0 || host_is(refusal->host, rules->providers[rule->provider - 1].hosts);
}

/* ---- verdicts ---- */

/* The text without addresses: "this-user-does-not-exist@a.example" says nothing. */
static bh_str mask(struct bh_classifier *classifier, bh_str text)
{
    bh_str rest = bh_str_sub(text, 0, BH_REFUSAL_TEXT_MAX), before, address;
    size_t n = 0;

    while (rest.n) {
        bh_str from = rest;
        bool found = bh_next_address(&rest, &before, &address);
        bh_str plain = found ? before : from;

        if (plain.n)
            memcpy(classifier->masked + n, plain.p, plain.n);
        n += plain.n;
        if (found)
            classifier->masked[n++] = ',';
    }
    return bh_str_of(classifier->masked, n);
}

/* The first rule with a phrase that applies, or `none`. */
static size_t decide_by_words(struct bh_classifier *classifier, const struct bh_refusal *refusal, size_t none)
{
    const struct bh_bounce_rules *rules = classifier->rules;
    size_t best = none, count;
    const uint16_t *found =
        bh_phrase_search_run(classifier->search[SECTION_REFUSAL], mask(classifier, refusal->text), &count);

    for (size_t i = 0; i < count; i++)
        if (found[i] < best && conditions_hold(rules, &rules->rules[found[i]], refusal))
            best = found[i];
    return best;
}

/* The first rule before `end` without one that applies, or `end`. */
static size_t decide_by_code(struct bh_classifier *classifier, const struct bh_refusal *refusal, size_t end)
{
    const struct bh_bounce_rules *rules = classifier->rules;

    for (size_t i = 0; i < end; i++) {
        const struct rule *rule = &rules->rules[i];

        if (rule->section == SECTION_REFUSAL && !rule->has_phrase && conditions_hold(rules, rule, refusal))
            return i;
    }
    return end;
}

/* A 4yz reply says that the same may work later (RFC 5321 4.2.1), whatever its words. */
static bool is_temporary(const struct bh_refusal *refusal)
{
    return refusal->code ? refusal->code / 100 == 4 : refusal->status.class == 4;
}

void bh_refusal_classify(struct bh_classifier *classifier, const struct bh_refusal *refusal,
                         struct bh_verdict *ret_verdict)
{
    size_t count = classifier->rules->count, rule = decide_by_words(classifier, refusal, count);

    rule = decide_by_code(classifier, refusal, rule);
    if (rule == count)
        rule = BH_NO_RULE;
    ret_verdict->by_words = rule != BH_NO_RULE && classifier->rules->rules[rule].has_phrase;
    ret_verdict->rule = rule;
    ret_verdict->class = BH_REFUSAL_UNKNOWN;
    ret_verdict->reason = BH_STR("unknown");
    if (rule != BH_NO_RULE) {
        ret_verdict->class = (enum bh_refusal_class)classifier->rules->rules[rule].class;
        ret_verdict->reason = classifier->rules->rules[rule].reason;
        if (ret_verdict->class == BH_REFUSAL_HARD && is_temporary(refusal))
            ret_verdict->class = BH_REFUSAL_SOFT;
    }
}

bool bh_refusal_rule_applies(struct bh_classifier *classifier, const struct bh_refusal *refusal, size_t i)
{
    const struct rule *rule = &classifier->rules->rules[i];
    const uint16_t *found;
    size_t count;

    if (!rule->has_phrase)
        return conditions_hold(classifier->rules, rule, refusal);
    found = bh_phrase_search_run(classifier->search[rule->section], mask(classifier, refusal->text), &count);
    for (size_t k = 0; k < count; k++)
        if (found[k] == i)
            return rule->section != SECTION_REFUSAL || conditions_hold(classifier->rules, rule, refusal);
    return false;
}

static unsigned kinds(struct bh_classifier *classifier, enum rule_section section, bh_str text)
{
    unsigned bits = 0;
    size_t count;
    const uint16_t *found = bh_phrase_search_run(classifier->search[section], text, &count);

    for (size_t i = 0; i < count; i++)
        bits |= 1u << classifier->rules->rules[found[i]].class;
    return bits;
}

unsigned bh_subject_kinds(struct bh_classifier *classifier, bh_str subject)
{
    return kinds(classifier, SECTION_SUBJECT, subject);
}

unsigned bh_body_kinds(struct bh_classifier *classifier, bh_str text)
{
    return kinds(classifier, SECTION_BODY, text);
}

/* ---- a reply in free text ---- */

static bool word_start(bh_str text, size_t i)
{
    char before = i ? text.p[i - 1] : ' ';

    return !bh_is_alnum(before) && before != '.' && before != '-' && before != '_' && before != '@' && before != '/' &&
           before != '=' && before != '[';
}

/* "5.1.1" at `i`, word by word; false for an address of IPv4 and for versions. */
static bool status_at(bh_str text, size_t i, struct bh_smtp_status *ret_status)
{
    struct bh_smtp_status status;
    size_t n = 0;
    bh_str rest;

    if (i + 5 > text.n || text.p[i + 1] != '.')
        return false;
    while (n < 9 && i + n < text.n && (bh_is_digit(text.p[i + n]) || text.p[i + n] == '.'))
        n++;
    if (n && text.p[i + n - 1] == '.') /* the end of a sentence */
        n--;
    if (i + n < text.n && (bh_is_alnum(text.p[i + n]) || text.p[i + n] == '_'))
        return false;
    status = bh_smtp_status_parse(bh_str_sub(text, i, n), &rest);
    if (status.class == 0 || rest.n != 0)
        return false;
    *ret_status = status;
    return true;
}

/* What may stand between a code and its status: "550-5.1.1", "550 #5.1.0", "550 '5.7.1". */
static size_t skip_to_status(bh_str text, size_t i)
{
    while (i < text.n && i < SIZE_MAX - 1 &&
           (text.p[i] == ' ' || text.p[i] == '-' || text.p[i] == '#' || text.p[i] == '\'' || text.p[i] == '(' ||
            text.p[i] == '\t'))
        i++;
    return i;
}

static bool code_at(bh_str text, size_t i, uint16_t *ret_code)
{
    const char *p = text.p + i;
    char after = i + 3 < text.n ? text.p[i + 3] : ' ';

    if (i + 3 > text.n || (p[0] != '4' && p[0] != '5') || !bh_is_digit(p[1]) || !bh_is_digit(p[2]) || p[1] > '7')
        return false;
    if (after != ' ' && after != '-' && after != '\n' && after != '\r' && after != ':' && after != ',' &&
        after != ';' && after != '\t' && after != '\'' && after != '"' && after != ')')
        return false;
    *ret_code = (uint16_t)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
    return true;
}

/* In the middle of a sentence a number is a code only where something introduces it. */
static bool introduced(bh_str text, size_t i)
{
    bh_str before = bh_str_trim(bh_str_sub(text, 0, i));
    char last = before.n ? before.p[before.n - 1] : ':';

    if (i == 0 || text.p[i - 1] == '\n')
        return true;
    return last == ':' || last == '<' || last == '>' || last == '\'' || last == '"' || last == '(' || last == ';' ||
           last == '.' || bh_str_ends_ci(before, BH_STR("error")) || bh_str_ends_ci(before, BH_STR("code")) ||
           bh_str_ends_ci(before, BH_STR("said")) || bh_str_ends_ci(before, BH_STR("reply")) ||
           bh_str_ends_ci(before, BH_STR("response")) || bh_str_ends_ci(before, BH_STR("SMTP"));
}

static bool take_code(bh_str text, size_t i, struct bh_refusal *refusal)
{
    struct bh_smtp_status status;
    uint16_t code;
    size_t at;

    if (!code_at(text, i, &code))
        return false;
    at = skip_to_status(text, i + 3);
    if (status_at(text, at, &status))
        refusal->status = status;
    else if (!introduced(text, i))
        return false;
    refusal->code = code;
    return true;
}

void bh_refusal_parse(bh_str text, struct bh_refusal *ret_refusal, bh_str *ret_reply)
{
    struct bh_smtp_status alone = {0};

    text = bh_str_trim(text);
    *ret_refusal = (struct bh_refusal){.text = text};
    *ret_reply = (bh_str){NULL, 0};
    text = bh_str_sub(text, 0, BH_REFUSAL_TEXT_MAX);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '2' && text.p[i] != '4' && text.p[i] != '5')
            continue;
        if (!word_start(text, i))
            continue;
        if (!ret_refusal->code && take_code(text, i, ret_refusal))
            *ret_reply = bh_str_trim(bh_str_skip(ret_refusal->text, i));
        else if (!alone.class)
            (void)status_at(text, i, &alone);
        if (ret_refusal->code && ret_refusal->status.class)
            break;
    }
    if (!ret_refusal->status.class)
        ret_refusal->status = alone;
}
