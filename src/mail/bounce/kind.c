/* kind.c: see kind.h. Evidence is counted on two sides. A mail daemon's name, a subject or X-Failed-Recipients speak
 * for a bounce; Auto-Submitted: auto-replied or a subject speak for an auto-reply; what both have (an empty
 * Return-Path, words) counts little. Exim and Postfix write auto-replied into bounces too, so that alone decides
 * nothing. */
#include "kind.h"

enum { WORDS_MAX = 64 * 1024, ENOUGH = 3 };

static bool has(unsigned kinds, enum bh_notice_kind kind)
{
    return kinds & 1u << kind;
}

static bool starts_with_any(bh_str s, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bh_str_starts_ci(s, bh_str_c(names[i])))
            return true;
    return false;
}

/* A name under which mail systems write. */
static bool is_daemon(const struct bh_notice *notice)
{
    static const char *const locals[] = {"mailer-daemon", "mailerdaemon", "mail-daemon",       "postmaster",
                                         "post_master",   "mdaemon",      "mailer_daemon",     "mail.delivery",
                                         "mail-delivery", "bounce",       "microsoftexchange", "mailadmin",
                                         "mail-system",   "mailsystem"};
    static const char *const names[] = {
        "mail delivery s",      "mail deliver",       "mailer-daemon",      "mailer daemon",     "postmaster",
        "system administrator", "mail administrator", "delivery subsystem", "microsoft outlook", "mail system"};

    return starts_with_any(notice->from, locals, sizeof(locals) / sizeof(*locals)) ||
           starts_with_any(notice->from_name, names, sizeof(names) / sizeof(*names));
}

struct balance {
    unsigned bounce;
    unsigned auto_reply;
};

static struct balance weigh(const struct bh_kind_evidence *e, unsigned subject, unsigned body)
{
    const struct bh_notice *n = e->notice;
    struct balance b = {0, 0};

    b.bounce += is_daemon(n) ? 2 : 0;
    b.bounce += has(subject, BH_NOTICE_BOUNCE) || has(subject, BH_NOTICE_DELAY) ? 2 : 0;
    b.bounce += has(body, BH_NOTICE_BOUNCE) || has(body, BH_NOTICE_DELAY) ? 1 : 0;
    b.bounce += n->null_path;
    b.bounce += e->has_returned;
    b.bounce += e->has_code;
    b.bounce += e->has_hints && has(body, BH_NOTICE_BOUNCE);
    b.auto_reply += n->auto_replied ? 2 : 0;
    b.auto_reply += has(subject, BH_NOTICE_AUTO_REPLY) ? 3 : 0;
    b.auto_reply += has(body, BH_NOTICE_AUTO_REPLY) ? 1 : 0;
    b.auto_reply += n->auto_generated && !is_daemon(n);
    return b;
}

static bool subject_answers(bh_str subject)
{
    static const char *const marks[] = {"re:", "re :", "aw:", "antw:", "sv:", "vs:", "odp:", "rif:", "res:", "r:"};

    return starts_with_any(bh_str_trim(subject), marks, sizeof(marks) / sizeof(*marks));
}

/* A person who answers, and may quote a bounce: mail systems neither have names of people nor a return path. */
static bool is_persons_answer(const struct bh_notice *notice, unsigned subject)
{
    bool answers = subject_answers(notice->subject) || (notice->has_references && !has(subject, BH_NOTICE_BOUNCE));

    return answers && !is_daemon(notice) && !notice->null_path;
}

/* An address that nobody reads. */
static bool is_machine(const struct bh_notice *notice)
{
    static const char *const locals[] = {"no-reply",   "noreply",      "no_reply",
                                         "donotreply", "do-not-reply", "do_not_reply"};

    return starts_with_any(notice->from, locals, sizeof(locals) / sizeof(*locals));
}

/* Words alone make no bounce: something about the message's form must say so, too. */
static bool looks_like_bounce(const struct bh_kind_evidence *e, unsigned subject, const struct balance *balance)
{
    const struct bh_notice *n = e->notice;
    bool form = is_daemon(n) || is_machine(n) || n->null_path || e->has_returned || has(subject, BH_NOTICE_BOUNCE) ||
                has(subject, BH_NOTICE_DELAY);

    if (n->failed_count)
        return true;
    return form && !is_persons_answer(n, subject) && balance->bounce >= ENOUGH &&
           balance->bounce >= balance->auto_reply;
}

enum bh_bounce_kind bh_kind_decide(struct bh_classifier *classifier, const struct bh_kind_evidence *e,
                                   bool *ret_challenge)
{
    unsigned subject = bh_subject_kinds(classifier, e->notice->subject);
    unsigned body = bh_body_kinds(classifier, bh_str_sub(e->words, 0, WORDS_MAX));
    struct balance balance = weigh(e, subject, body);
    bool told_delay = has(subject, BH_NOTICE_DELAY) || (has(body, BH_NOTICE_DELAY) && !has(subject, BH_NOTICE_BOUNCE));

    *ret_challenge = false;
    if (e->notice->has_disposition)
        return BH_BOUNCE_OTHER;
    if (has(subject, BH_NOTICE_COMPLAINT) && (e->has_returned || has(body, BH_NOTICE_COMPLAINT)))
        return BH_BOUNCE_COMPLAINT;
    if (looks_like_bounce(e, subject, &balance))
        return told_delay ? BH_BOUNCE_DELAY : BH_BOUNCE_FAILURE;
    if (has(subject, BH_NOTICE_CHALLENGE) || has(body, BH_NOTICE_CHALLENGE)) {
        *ret_challenge = true;
        return BH_BOUNCE_AUTO_REPLY;
    }
    if (balance.auto_reply >= 2)
        return BH_BOUNCE_AUTO_REPLY;
    if (e->notice->has_references || subject_answers(e->notice->subject))
        return BH_BOUNCE_REPLY;
    return BH_BOUNCE_OTHER;
}
