/* rules.c: reading and compiling data/bounce-rules. See rules.h for the language. */
#include "classify.h"
#include "rules_internal.h"
#include <stdlib.h>

static const char *const class_names[] = {"unknown", "hard", "soft", "block", "authentication", "policy", "challenge"};
static const char *const notice_names[] = {"none", "bounce", "delay", "auto-reply", "complaint", "challenge"};
static const char *const section_names[SECTION_COUNT] = {"refusal", "subject", "body"};
enum { CLASSES = sizeof(class_names) / sizeof(*class_names), NOTICES = sizeof(notice_names) / sizeof(*notice_names) };

const char *bh_refusal_class_text(enum bh_refusal_class class)
{
    return (unsigned)class < CLASSES ? class_names[class] : "unknown";
}

struct reader {
    struct bh_bounce_rules *rules;
    struct bh_rules_fault *fault;
    uint32_t source;
    struct rule section; /* section, class, reason of the rules to come */
    bool in_section;
    bool rule_open; /* the last rule has no example yet, or may get more */
};

static bh_err fail(struct reader *reader, const char *what)
{
    reader->fault->what = what;
    return BH_E_SYNTAX;
}

static bh_str next_word(bh_str *rest)
{
    bh_str word;

    *rest = bh_str_trim(*rest);
    word = bh_str_cut(*rest, ' ', rest);
    return bh_str_trim(word);
}

static bool find_name(const char *const *names, size_t count, bh_str name, uint8_t *ret_index)
{
    for (size_t i = 0; i < count; i++) {
        if (bh_str_eq(name, bh_str_c(names[i]))) {
            *ret_index = (uint8_t)i;
            return true;
        }
    }
    return false;
}

/* "[refusal hard no-such-user]" */
static bh_err read_section(struct reader *reader, bh_str line)
{
    bh_str rest = bh_str_sub(line, 1, line.n - 2), section, class;
    uint8_t index;

    if (line.p[line.n - 1] != ']')
        return fail(reader, "a section ends with ]");
    section = next_word(&rest);
    if (!find_name(section_names, SECTION_COUNT, section, &index))
        return fail(reader, "a section is refusal, subject or body");
    reader->section = (struct rule){.section = (enum rule_section)index};
    class = next_word(&rest);
    if (!(index == SECTION_REFUSAL ? find_name(class_names, CLASSES, class, &reader->section.class)
                                   : find_name(notice_names, NOTICES, class, &reader->section.class)))
        return fail(reader, "no such class");
    reader->section.class_name = class;
    reader->section.reason = bh_str_trim(rest);
    if (index == SECTION_REFUSAL && reader->section.reason.n == 0)
        return fail(reader, "a refusal has a reason");
    reader->in_section = true;
    return BH_OK;
}

static bh_err read_provider(struct reader *reader, bh_str rest)
{
    struct bh_bounce_rules *rules = reader->rules;
    struct provider provider = {.name = next_word(&rest)};

    provider.hosts = bh_str_trim(rest);
    if (provider.hosts.n == 0)
        return fail(reader, "a provider has a name and hosts");
    if (rules->provider_count == PROVIDERS_MAX)
        return fail(reader, "too many providers");
    rules->providers[rules->provider_count++] = provider;
    return BH_OK;
}

static bh_err read_status(struct reader *reader, bh_str value, struct rule *rule)
{
    for (size_t i = 0; i < 3; i++) {
        bh_str part = bh_str_cut(value, '.', &value);
        uint64_t number;

        rule->status[i] = ANY;
        if (bh_str_eq(part, BH_STR("x")))
            continue;
        if (bh_str_to_u64(part, 999, &number))
            return fail(reader, "a status is like 5.7.1, with x for any number");
        rule->status[i] = (uint16_t)number;
    }
    return value.p ? fail(reader, "a status has three numbers") : BH_OK;
}

static bh_err read_code(struct reader *reader, bh_str value, struct rule *rule)
{
    if (value.n != 3)
        return fail(reader, "a code has three digits, or x for any digit");
    for (size_t i = 0; i < 3; i++)
        if (!bh_is_digit(value.p[i]) && value.p[i] != 'x')
            return fail(reader, "a code has three digits, or x for any digit");
    memcpy(rule->code, value.p, 3);
    return BH_OK;
}

static bh_err read_condition(struct reader *reader, bh_str word, struct rule *rule)
{
    bh_str value, key = bh_str_cut(word, '=', &value);

    if (bh_str_eq(key, BH_STR("code")))
        return read_code(reader, value, rule);
    if (bh_str_eq(key, BH_STR("status")))
        return read_status(reader, value, rule);
    if (!bh_str_eq(key, BH_STR("provider")))
        return fail(reader, "a condition is provider=, code= or status=");
    for (size_t i = 0; i < reader->rules->provider_count; i++)
        if (bh_str_eq(reader->rules->providers[i].name, value))
            rule->provider = (uint8_t)(i + 1);
    return rule->provider ? BH_OK : fail(reader, "no such provider");
}

static bh_err new_rule(struct bh_bounce_rules *rules, const struct rule *rule)
{
    if (rules->count == rules->room) {
        size_t room = rules->room ? rules->room * 2 : 256;
        struct rule *bigger = reallocarray(rules->rules, room, sizeof(*bigger));

        if (!bigger)
            return BH_E_NOMEM;
        rules->rules = bigger;
        rules->room = room;
    }
    rules->rules[rules->count++] = *rule;
    return BH_OK;
}

static bool last_rule_has_example(const struct bh_bounce_rules *rules)
{
    return rules->count == 0 || rules->rules[rules->count - 1].examples.n > 0;
}

/* "rule CONDITIONS: PHRASE" without the word "rule". */
static bh_err read_rule(struct reader *reader, bh_str rest)
{
    bh_str phrase, conditions = bh_str_cut(rest, ':', &phrase);
    struct bh_bounce_rules *rules = reader->rules;
    struct rule rule = reader->section;
    bh_err err = BH_OK;

    if (!reader->in_section || !phrase.p)
        return fail(reader, reader->in_section ? "a rule has a colon before its phrase" : "a rule before any section");
    if (!last_rule_has_example(rules))
        return fail(reader, "the rule before has no example");
    if (rules->count == RULES_MAX)
        return fail(reader, "too many rules");
    rule.line = (uint32_t)reader->fault->line;
    rule.source = reader->source;
    while (!err && bh_str_trim(conditions).n)
        err = read_condition(reader, next_word(&conditions), &rule);
    phrase = bh_str_trim(phrase);
    rule.has_phrase = phrase.n > 0;
    if (!err && !rule.has_phrase && rule.section != SECTION_REFUSAL)
        return fail(reader, "a rule about kinds has a phrase");
    if (!err && rule.has_phrase) {
        err = bh_phrases_add(rules->phrases[rule.section], phrase, (uint16_t)rules->count);
        reader->fault->what = err == BH_E_LIMIT ? "the phrase has too many choices" : "not a phrase";
    }
    return err ? err : new_rule(rules, &rule);
}

/* The examples of a rule are its lines as they stand, from the first to the last. */
static bh_err read_example(struct reader *reader, bh_str line)
{
    struct bh_bounce_rules *rules = reader->rules;
    bh_str *examples;

    if (rules->count == 0)
        return fail(reader, "an example before any rule");
    examples = &rules->rules[rules->count - 1].examples;
    *examples = examples->n ? bh_str_range(examples->p, line.p + line.n) : line;
    return BH_OK;
}

static bh_err read_line(struct reader *reader, bh_str line)
{
    if (line.n == 0 || line.p[0] == '#')
        return BH_OK;
    if (line.p[0] == '[')
        return read_section(reader, line);
    if (bh_str_starts(line, BH_STR("rule:")) || bh_str_starts(line, BH_STR("rule ")))
        return read_rule(reader, bh_str_skip(line, 4));
    if (bh_str_starts(line, BH_STR("like:")))
        return read_example(reader, line);
    if (bh_str_starts(line, BH_STR("provider ")))
        return read_provider(reader, bh_str_skip(line, 9));
    return fail(reader, "a line is a section, rule, like: or provider");
}

static bh_err read_source(struct reader *reader, bh_str text)
{
    reader->in_section = false;
    for (reader->fault->line = 1; text.p; reader->fault->line++) {
        bh_err err = read_line(reader, bh_str_trim(bh_str_cut(text, '\n', &text)));

        if (err)
            return err;
    }
    return last_rule_has_example(reader->rules) ? BH_OK : fail(reader, "the last rule has no example");
}

static bh_err copy_sources(struct bh_bounce_rules *rules, const struct bh_rules_source *sources, size_t count)
{
    rules->sources = calloc(count + 1, sizeof(*rules->sources));
    if (!rules->sources)
        return BH_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        struct source *copy = &rules->sources[rules->source_count];

        copy->text = malloc(sources[i].name.n + sources[i].text.n + 1);
        if (!copy->text)
            return BH_E_NOMEM;
        if (sources[i].text.n)
            memcpy(copy->text, sources[i].text.p, sources[i].text.n);
        if (sources[i].name.n)
            memcpy(copy->text + sources[i].text.n, sources[i].name.p, sources[i].name.n);
        copy->name = bh_str_of(copy->text + sources[i].text.n, sources[i].name.n);
        rules->source_count++;
    }
    return BH_OK;
}

static bh_err compile(struct bh_bounce_rules *rules, const struct bh_rules_source *sources, size_t count,
                      struct bh_rules_fault *ret_fault)
{
    struct reader reader = {.rules = rules, .fault = ret_fault};
    bh_err err = copy_sources(rules, sources, count);

    for (size_t i = 0; i < SECTION_COUNT; i++) {
        rules->phrases[i] = bh_phrases_new();
        if (!rules->phrases[i])
            return BH_E_NOMEM;
    }
    for (size_t i = 0; i < count && !err; i++) {
        reader.source = (uint32_t)i;
        ret_fault->name = sources[i].name;
        err = read_source(&reader, bh_str_of(rules->sources[i].text, sources[i].text.n));
    }
    for (size_t i = 0; i < SECTION_COUNT && !err; i++) {
        err = bh_phrases_build(rules->phrases[i]);
        if (err == BH_E_LIMIT)
            ret_fault->what = "too many phrases";
    }
    return err;
}

bh_err bh_bounce_rules_new(const struct bh_rules_source *sources, size_t count, struct bh_bounce_rules **ret_rules,
                           struct bh_rules_fault *ret_fault)
{
    struct bh_bounce_rules *rules = calloc(1, sizeof(*rules));
    bh_err err;

    *ret_fault = (struct bh_rules_fault){.what = ""};
    if (!rules)
        return BH_E_NOMEM;
    err = compile(rules, sources, count, ret_fault);
    if (err)
        bh_bounce_rules_free(rules);
    else
        *ret_rules = rules;
    return err;
}

void bh_bounce_rules_free(struct bh_bounce_rules *rules)
{
    if (!rules)
        return;
    for (size_t i = 0; i < SECTION_COUNT; i++)
        bh_phrases_free(rules->phrases[i]);
    for (size_t i = 0; i < rules->source_count; i++)
        free(rules->sources[i].text);
    free(rules->sources);
    free(rules->rules);
    free(rules);
}

size_t bh_bounce_rules_count(const struct bh_bounce_rules *rules)
{
    return rules->count;
}

void bh_bounce_rule_view(const struct bh_bounce_rules *rules, size_t i, struct bh_rule_view *ret_view)
{
    const struct rule *rule = &rules->rules[i];

    *ret_view = (struct bh_rule_view){.source = rules->sources[rule->source].name,
                                      .line = rule->line,
                                      .section = section_names[rule->section],
                                      .class = rule->class_name,
                                      .reason = rule->reason,
                                      .examples = rule->examples};
}
