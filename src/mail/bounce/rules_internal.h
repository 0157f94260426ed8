/* rules_internal.h: compiled rules, for rules.c (which makes them) and classify.c (which asks them). */
#ifndef BH_MAIL_BOUNCE_RULES_INTERNAL_H
#define BH_MAIL_BOUNCE_RULES_INTERNAL_H

#include "base/buf.h"
#include "phrase.h"
#include "rules.h"

enum rule_section { SECTION_REFUSAL, SECTION_SUBJECT, SECTION_BODY, SECTION_COUNT };
enum { ANY = 0xffff, PROVIDERS_MAX = 64, RULES_MAX = 8000 };

struct rule {
    enum rule_section section;
    uint8_t class;    /* enum bh_refusal_class, or enum bh_notice_kind */
    uint8_t provider; /* index + 1, or 0 */
    bool has_phrase;
    char code[3];       /* 'x' = any digit; code[0] = 0: no condition */
    uint16_t status[3]; /* ANY; status[0] = 0: no condition */
    uint32_t line;
    uint32_t source;
    bh_str class_name;
    bh_str reason;
    bh_str examples;
};

struct provider {
    bh_str name;
    bh_str hosts; /* blank-separated */
};

struct source {
    bh_str name;
    char *text;
};

struct bh_bounce_rules {
    struct source *sources;
    size_t source_count;
    struct rule *rules;
    size_t count;
    size_t room;
    struct provider providers[PROVIDERS_MAX];
    size_t provider_count;
    struct bh_phrases *phrases[SECTION_COUNT]; /* value = index of the rule */
};

#endif
