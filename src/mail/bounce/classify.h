/* classify.h: what a refusal means, whether it was read in a report or heard in an SMTP session.
 *
 * Providers give their own meaning to codes of the IANA registry (5.7.27 is "sender has a null MX" in RFC 7505 and "SPF
 * fails" at Gmail), so the rules look at who said it, the code, and first of all the words. */
#ifndef BH_MAIL_BOUNCE_CLASSIFY_H
#define BH_MAIL_BOUNCE_CLASSIFY_H

#include "proto/smtp/reply.h"
#include "rules.h"

struct bh_refusal {
    uint16_t code;                /* 0 where there is none */
    struct bh_smtp_status status; /* class 0 where there is none */
    bh_str host;                  /* who said it; may be empty */
    bh_str text;                  /* its words, at most BH_REFUSAL_TEXT_MAX are looked at */
};
enum { BH_REFUSAL_TEXT_MAX = 16 * 1024 };

struct bh_verdict {
    enum bh_refusal_class class;
    bh_str reason; /* "no-such-user"; a view of the rules, or static; never empty */
    size_t rule;   /* index for bh_bounce_rule_view, or BH_NO_RULE */
    bool by_words; /* a phrase decided, not the code alone */
};
#define BH_NO_RULE SIZE_MAX

/* What a subject or a body tells. */
enum bh_notice_kind {
    BH_NOTICE_NONE,
    BH_NOTICE_BOUNCE,
    BH_NOTICE_DELAY,
    BH_NOTICE_AUTO_REPLY,
    BH_NOTICE_COMPLAINT,
    BH_NOTICE_CHALLENGE
};

/* The writable part, made once per message or session and used again and again. In the arena; NULL when that is
 * exhausted. The rules must outlive it. */
struct bh_classifier;
struct bh_classifier *bh_classifier_new(struct bh_arena *arena, const struct bh_bounce_rules *rules);

void bh_refusal_classify(struct bh_classifier *classifier, const struct bh_refusal *refusal,
                         struct bh_verdict *ret_verdict);
/* The kinds told, as bits 1 << kind. */
unsigned bh_subject_kinds(struct bh_classifier *classifier, bh_str subject);
unsigned bh_body_kinds(struct bh_classifier *classifier, bh_str text);
/* True where rule `i` applies to `refusal`, whichever rule decides. */
bool bh_refusal_rule_applies(struct bh_classifier *classifier, const struct bh_refusal *refusal, size_t i);

/* Finds the SMTP reply in free text: "host x said: 550-5.1.1 no such user". *ret_refusal: code, status and as text all
 * of `text`; the host stays empty. *ret_reply: from the code to the end, or empty. */
void bh_refusal_parse(bh_str text, struct bh_refusal *ret_refusal, bh_str *ret_reply);

#endif
