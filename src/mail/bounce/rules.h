/* rules.h: what servers say, as data: the rules of data/bounce-rules, read and compiled once.
 *
 * A file is lines; `#` begins a comment, blank lines mean nothing.
 *
 *   provider google .google.com .googlemail.com      names a group of hosts; a leading dot: at the name or below
 *
 *   [refusal hard no-such-user]                      what the rules below it mean: class and reason of a refusal,
 *   [subject bounce] [body delay] …                  or what a subject or a body text tells about a message's kind
 *   rule: user (is |)unknown                         a phrase, as phrase.h has it
 *   like: 550 5.1.1 <a@b.example>... User unknown    an example, at least one for each rule
 *   rule provider=google code=5xx status=x.7.1: …    with conditions; a refusal's phrase may be left out then
 *   like: @mx.google.com 550-5.7.1 …                 an example with the host that said it
 *
 * The first rule that applies decides. An operator's file is given before the built-in text, so its rules come first.
 */
#ifndef BH_MAIL_BOUNCE_RULES_H
#define BH_MAIL_BOUNCE_RULES_H

#include "base/str.h"

enum bh_refusal_class {
    BH_REFUSAL_UNKNOWN,
    BH_REFUSAL_HARD,           /* the address will not work */
    BH_REFUSAL_SOFT,           /* it may, later */
    BH_REFUSAL_BLOCK,          /* our reputation, rate or content */
    BH_REFUSAL_AUTHENTICATION, /* SPF, DKIM, DMARC: our fault, never the recipient's */
    BH_REFUSAL_POLICY,         /* they do not take such mail from such senders */
    BH_REFUSAL_CHALLENGE       /* a person is to prove that they are one */
};
/* "hard". Static. */
const char *bh_refusal_class_text(enum bh_refusal_class class);

struct bh_rules_source {
    bh_str name; /* for messages */
    bh_str text;
};

struct bh_rules_fault {
    bh_str name; /* of the source */
    size_t line;
    const char *what; /* static */
};

struct bh_bounce_rules;

/* The rules that behalf ships (data/bounce-rules). Static. */
struct bh_rules_source bh_bounce_rules_builtin(void);
/* Reads and compiles; the sources are copied. Owner: the caller, until bh_bounce_rules_free. Never written afterwards,
 * so it may be shared; a reload makes a new one. BH_E_SYNTAX and BH_E_LIMIT with *ret_fault, BH_E_NOMEM. */
BH_MUST bh_err bh_bounce_rules_new(const struct bh_rules_source *sources, size_t count,
                                   struct bh_bounce_rules **ret_rules, struct bh_rules_fault *ret_fault);
void bh_bounce_rules_free(struct bh_bounce_rules *rules);

/* A rule as written, for tests and for explaining a verdict. */
struct bh_rule_view {
    bh_str source;
    size_t line;
    const char *section; /* "refusal", "subject", "body" */
    bh_str class;        /* "hard", or of a section about kinds "delay" */
    bh_str reason;
    bh_str examples; /* lines */
};
size_t bh_bounce_rules_count(const struct bh_bounce_rules *rules);
void bh_bounce_rule_view(const struct bh_bounce_rules *rules, size_t i, struct bh_rule_view *ret_view);

#endif
