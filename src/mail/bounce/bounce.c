/* bounce.c: from a message to its kind and recipients. See bounce.h.
 *
 *   notice (parts) -> text_split (words, report, returned) -> report | feedback | heuristics -> classify
 *
 * A report says who failed and how; the words for people often say more about why. So each recipient of a report is
 * judged by its Diagnostic-Code first, and by the words about its address where that tells little. */
#include "bounce.h"
#include "base/map.h"
#include "heuristics.h"
#include "kind.h"
#include "notice.h"
#include "returned.h"

enum { SHARED_WORDS_MAX = 100 /* recipients; more are not judged by words that are about all of them */ };

const char *bh_bounce_kind_text(enum bh_bounce_kind kind)
{
    static const char *const texts[] = {"bounce", "delay", "complaint", "auto-reply", "reply", "other"};

    return (unsigned)kind < sizeof(texts) / sizeof(*texts) ? texts[kind] : "other";
}

struct reading {
    struct bh_arena *arena;
    struct bh_classifier *classifier;
    struct bh_bounce *bounce;
    struct bh_notice notice;
    struct bh_text_parts parts;
    struct bh_returned returned;
    struct bh_report report;
    struct bh_hints hints;
};

/* ---- texts of a result ---- */

/* One line, blanks collapsed, at most BH_BOUNCE_TEXT_MAX. */
static bh_err one_line(struct bh_arena *arena, bh_str text, bh_str *ret_line)
{
    size_t n = 0, room = text.n < BH_BOUNCE_TEXT_MAX ? text.n : BH_BOUNCE_TEXT_MAX;
    char *line;

    *ret_line = (bh_str){NULL, 0};
    text = bh_str_trim(text);
    if (text.n == 0)
        return BH_OK;
    line = bh_arena_alloc(arena, room + 1);
    if (!line)
        return BH_E_NOMEM;
    for (size_t i = 0; i < text.n && n < room; i++) {
        char c = (unsigned char)text.p[i] < ' ' || text.p[i] == 127 ? ' ' : text.p[i];

        if (c != ' ' || (n && line[n - 1] != ' '))
            line[n++] = c;
    }
    while (n && ((unsigned char)line[n - 1] & 0xc0) == 0x80 && n + 4 > room) /* not within a letter */
        n--;
    if (n && (unsigned char)line[n - 1] >= 0xc0)
        n--;
    *ret_line = bh_str_of(line, n);
    return BH_OK;
}

/* "5.1.1" in the arena, or empty. */
static bh_str status_text(struct bh_arena *arena, struct bh_smtp_status status)
{
    if (!status.class)
        return (bh_str){NULL, 0};
    return bh_arena_printf(arena, "%u.%u.%u", status.class, status.subject, status.detail);
}

/* ---- classes ---- */

/* True where a status says so little that words are worth more: 5.0.0, 5.5.0, 5.7.1 … */
static bool is_vague(struct bh_smtp_status status)
{
    return !status.class || status.detail == 0 || (status.subject == 7 && status.detail == 1);
}

/* What a reply that ends the words adds: its text up to the next empty line. */
static bh_str paragraph(bh_str text)
{
    size_t end = bh_str_search(text, BH_STR("\n\n"));

    return bh_str_sub(text, 0, end);
}

/* What is known about one recipient so far. */
struct judgement {
    struct bh_refusal refusal; /* code, status, host */
    struct bh_verdict verdict;
    bh_str reply;
};

/* Judges by a text about the recipient: its SMTP reply first, then, where that says little, all of it. */
static void judge_text(struct reading *reading, bh_str text, const struct bh_refusal *known, struct judgement *j)
{
    struct bh_verdict all;

    bh_refusal_parse(text, &j->refusal, &j->reply);
    j->reply = paragraph(j->reply);
    j->refusal.host = known->host;
    if (!j->refusal.status.class || (is_vague(j->refusal.status) && known->status.class))
        j->refusal.status = known->status.class ? known->status : j->refusal.status;
    if (!j->refusal.code)
        j->refusal.code = known->code;
    if (j->reply.n)
        j->refusal.text = j->reply;
    bh_refusal_classify(reading->classifier, &j->refusal, &j->verdict);
    if (j->verdict.by_words || !j->reply.n)
        return;
    j->refusal.text = text;
    bh_refusal_classify(reading->classifier, &j->refusal, &all);
    if (all.by_words || j->verdict.class == BH_REFUSAL_UNKNOWN)
        j->verdict = all;
}

/* Judges one recipient by `said` (its own diagnostic, may be empty) and `words` (about it, may be empty). */
static bh_err judge(struct reading *reading, struct bh_bounce_recipient *r, bh_str said, bh_str words)
{
    struct bh_refusal known = {.host = r->remote_mta};
    struct judgement first, second;
    bh_str rest, reply;
    bh_err err;

    if (r->status.n)
        known.status = bh_smtp_status_parse(r->status, &rest);
    judge_text(reading, said, &known, &first);
    reply = first.reply;
    if (!first.verdict.by_words && words.n &&
        (first.verdict.class == BH_REFUSAL_UNKNOWN || is_vague(first.refusal.status))) {
        known.status = first.refusal.status;
        known.code = first.refusal.code;
        judge_text(reading, words, &known, &second);
        if (second.verdict.by_words || first.verdict.class == BH_REFUSAL_UNKNOWN)
            first = second;
        reply = reply.n ? reply : second.reply;
    }
    r->class = first.verdict.class;
    r->reason = first.verdict.reason;
    r->rule = first.verdict.rule;
    r->hard = first.verdict.class == BH_REFUSAL_HARD;
    if (r->status.n == 0)
        r->status = status_text(reading->arena, first.refusal.status);
    err = one_line(reading->arena, reply, &r->smtp_reply);
    return err ? err : one_line(reading->arena, said.n ? said : words, &r->diagnostic);
}

/* ---- recipients of a report ---- */

struct hint_node {
    struct bh_map_node node;
    const struct bh_hint *hint;
};

static bh_err index_hints(struct reading *reading, struct bh_map *map)
{
    for (size_t i = 0; i < reading->hints.count; i++) {
        struct hint_node *node = bh_arena_alloc(reading->arena, sizeof(*node));
        bh_str lower = bh_str_lower(reading->arena, reading->hints.items[i].address);

        if (!node || !lower.p)
            return BH_E_NOMEM;
        node->hint = &reading->hints.items[i];
        if (bh_map_add(map, lower, &node->node) == BH_E_NOMEM)
            return BH_E_NOMEM;
    }
    return BH_OK;
}

/* The words about an address; all of them where they name no other. */
static bh_str words_about(const struct reading *reading, const struct bh_map *hints, bh_str lower)
{
    const struct bh_map_node *node = bh_map_get(hints, lower);

    if (node)
        return ((const struct hint_node *)(const void *)node)->hint->words;
    return reading->report.count == 1 ? reading->parts.words : (bh_str){NULL, 0};
}

/* An action that a report left out follows from its status. */
static enum bh_report_action action_of(const struct bh_report_recipient *from)
{
    if (from->action != BH_ACTION_NONE)
        return from->action;
    if (from->status.n && from->status.p[0] == '2')
        return BH_ACTION_DELIVERED;
    return BH_ACTION_FAILED;
}

static bool is_success(enum bh_report_action action)
{
    return action == BH_ACTION_DELIVERED || action == BH_ACTION_RELAYED || action == BH_ACTION_EXPANDED;
}

/* Final-Recipient, unless it is no address that the world knows: "user@server". */
static bh_str better_address(const struct bh_report_recipient *from)
{
    bh_str domain = bh_str_skip(from->final, bh_str_rfind(from->final, '@'));

    if (from->final.n &&
        (from->original.n == 0 || bh_str_find(domain, '.') < domain.n || bh_str_find(domain, '[') < domain.n))
        return from->final;
    return from->original;
}

static bh_err report_recipient(struct reading *reading, const struct bh_report_recipient *from,
                               const struct bh_map *hints, struct bh_bounce_recipient *r)
{
    bh_str lower;

    r->address = better_address(from);
    if (r->address.n == 0 && reading->hints.count) /* a file or a pipe is no address: the words may know one */
        r->address = reading->hints.items[0].address;
    r->original = bh_str_eq_ci(from->original, r->address) ? (bh_str){NULL, 0} : from->original;
    r->action = action_of(from);
    r->status = from->status;
    r->remote_mta = from->remote_mta;
    if (is_success(r->action)) {
        r->reason = bh_str_c(bh_report_action_text(r->action));
        r->rule = BH_NO_RULE;
        return one_line(reading->arena, from->diagnostic, &r->diagnostic);
    }
    lower = bh_str_lower(reading->arena, r->address);
    if (!lower.p)
        return BH_E_NOMEM;
    return judge(reading, r, from->diagnostic, words_about(reading, hints, lower));
}

static bh_err from_report(struct reading *reading)
{
    static const uint64_t seed[2] = {0x62686f756e636573, 0x7265706f727473};
    struct bh_bounce *bounce = reading->bounce;
    bool failed = false, delayed = false;
    struct bh_map hints;
    bh_err err;

    bounce->recipients = bh_arena_array(reading->arena, reading->report.count, sizeof(*bounce->recipients));
    if (!bounce->recipients)
        return BH_E_NOMEM;
    bh_map_init(&hints, seed);
    err = index_hints(reading, &hints);
    for (size_t i = 0; i < reading->report.count && !err; i++) {
        struct bh_bounce_recipient *r = &bounce->recipients[bounce->count];

        err = report_recipient(reading, &reading->report.recipients[i], &hints, r);
        failed |= r->action == BH_ACTION_FAILED;
        delayed |= r->action == BH_ACTION_DELAYED;
        bounce->count++;
    }
    bh_map_free(&hints);
    bounce->kind = failed ? BH_BOUNCE_FAILURE : delayed ? BH_BOUNCE_DELAY : BH_BOUNCE_OTHER;
    bounce->cut = reading->report.cut;
    return err;
}

/* ---- recipients of words ---- */

static bh_err word_recipient(struct reading *reading, const struct bh_hint *hint, struct bh_bounce_recipient *r)
{
    struct bh_bounce *bounce = reading->bounce;

    r->address = hint->address;
    r->action = bounce->kind == BH_BOUNCE_DELAY ? BH_ACTION_DELAYED : BH_ACTION_FAILED;
    r->remote_mta = (bh_str){NULL, 0};
    return judge(reading, r, hint->words,
                 reading->hints.count <= SHARED_WORDS_MAX ? reading->parts.words : (bh_str){NULL, 0});
}

/* Words that name nobody are about the one that the returned message went to. */
static bh_err from_words(struct reading *reading)
{
    const struct bh_hint guess = {reading->returned.to, reading->parts.words};
    size_t count = reading->hints.count ? reading->hints.count : 1;
    struct bh_bounce *bounce = reading->bounce;
    bh_err err = BH_OK;

    bounce->recipients = bh_arena_array(reading->arena, count, sizeof(*bounce->recipients));
    if (!bounce->recipients)
        return BH_E_NOMEM;
    for (size_t i = 0; i < count && !err; i++)
        err = word_recipient(reading, reading->hints.count ? &reading->hints.items[i] : &guess,
                             &bounce->recipients[bounce->count++]);
    return err;
}

static bh_err decide_by_words(struct reading *reading)
{
    struct bh_refusal refusal;
    bool challenge;
    bh_str reply;
    struct bh_kind_evidence evidence = {.notice = &reading->notice,
                                        .words = reading->parts.words,
                                        .has_returned = reading->notice.has_returned || reading->parts.returned.n,
                                        .has_hints = reading->hints.count > 0};
    bh_err err;

    bh_refusal_parse(reading->parts.words, &refusal, &reply);
    evidence.has_code = refusal.code != 0;
    reading->bounce->kind = bh_kind_decide(reading->classifier, &evidence, &challenge);
    if (reading->bounce->kind != BH_BOUNCE_FAILURE && reading->bounce->kind != BH_BOUNCE_DELAY && !challenge)
        return BH_OK;
    err = from_words(reading);
    for (size_t i = 0; i < reading->bounce->count && challenge && !err; i++) {
        struct bh_bounce_recipient *r = &reading->bounce->recipients[i];

        r->action = BH_ACTION_DELAYED;
        r->class = BH_REFUSAL_CHALLENGE;
        r->reason = BH_STR("challenge");
        r->hard = false;
    }
    return err;
}

/* ---- complaints ---- */

static bh_err complaint_recipients(struct reading *reading)
{
    struct bh_bounce *bounce = reading->bounce;
    const struct bh_feedback *feedback = &bounce->feedback;
    const bh_str *addresses = feedback->recipient_count ? feedback->recipients : &reading->returned.to;
    size_t count = feedback->recipient_count ? feedback->recipient_count : reading->returned.to.n ? 1 : 0;

    bounce->recipients = bh_arena_array(reading->arena, count, sizeof(*bounce->recipients));
    if (!bounce->recipients)
        return BH_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        bounce->recipients[bounce->count++] = (struct bh_bounce_recipient){
            .address = addresses[i],
            .class = BH_REFUSAL_UNKNOWN,
            .reason = feedback->is_failure_report ? BH_STR("failure-report") : BH_STR("complaint"),
            .rule = BH_NO_RULE};
    return BH_OK;
}

static bh_err complaint(struct reading *reading)
{
    struct bh_bounce *bounce = reading->bounce;
    bh_err err;

    bounce->kind = BH_BOUNCE_COMPLAINT;
    bounce->has_feedback = true;
    err =
        bh_feedback_read(reading->arena, reading->notice.has_feedback ? reading->notice.feedback : reading->notice.text,
                         &bounce->feedback);
    if (err)
        return err;
    bh_returned_add_sender(bounce, bounce->feedback.mail_from);
    if (bounce->envelope_id.n == 0)
        bounce->envelope_id = bounce->feedback.envelope_id;
    return complaint_recipients(reading);
}

/* A mail program asks for its user to be taken off a list: ARF has a type for that (RFC 5965 7.3), "opt-out". */
static bh_err opt_out(struct reading *reading)
{
    struct bh_bounce *bounce = reading->bounce;

    bounce->kind = BH_BOUNCE_COMPLAINT;
    bounce->has_feedback = true;
    bounce->feedback = (struct bh_feedback){.type = BH_STR("opt-out"), .incidents = 1};
    reading->returned.to = reading->notice.from;
    return complaint_recipients(reading);
}

/* ---- the whole ---- */

static bh_err find_hints(struct reading *reading)
{
    const struct bh_hint_context context = {.sender = reading->notice.to,
                                            .notifier = reading->notice.from,
                                            .failed = reading->notice.failed,
                                            .failed_count = reading->notice.failed_count};

    return bh_hints_find(reading->arena, reading->parts.words, &context, BH_BOUNCE_RECIPIENTS_MAX, &reading->hints);
}

static bh_err read_parts(struct reading *reading, bh_str message)
{
    bh_err err = bh_notice_read(reading->arena, message, &reading->notice);
    bh_str report;

    if (!err)
        err = bh_text_split(reading->arena, reading->notice.text, &reading->parts);
    if (err)
        return err;
    report = reading->notice.has_report ? reading->notice.report : reading->parts.report;
    err = bh_report_read(reading->arena, report, BH_BOUNCE_RECIPIENTS_MAX, &reading->report);
    if (!err)
        err = bh_returned_read(reading->arena,
                               reading->notice.has_returned ? reading->notice.returned : reading->parts.returned,
                               reading->bounce, &reading->returned);
    return err ? err : find_hints(reading);
}

static bh_err decide(struct reading *reading)
{
    bh_err err;

    if (reading->notice.has_feedback || reading->parts.feedback || reading->returned.junk_mark)
        return complaint(reading);
    if (reading->notice.unsubscribes)
        return opt_out(reading);
    if (reading->report.count)
        return from_report(reading);
    err = decide_by_words(reading);
    return !err && reading->bounce->kind == BH_BOUNCE_COMPLAINT ? complaint(reading) : err;
}

bh_err bh_bounce_read(struct bh_arena *arena, const struct bh_bounce_rules *rules, bh_str message,
                      struct bh_bounce *ret_bounce)
{
    struct reading *reading = bh_arena_alloc(arena, sizeof(*reading));
    bh_err err;

    *ret_bounce = (struct bh_bounce){.kind = BH_BOUNCE_OTHER};
    if (!reading)
        return BH_E_NOMEM;
    reading->arena = arena;
    reading->bounce = ret_bounce;
    reading->classifier = bh_classifier_new(arena, rules);
    if (!reading->classifier)
        return BH_E_NOMEM;
    err = read_parts(reading, message);
    if (err)
        return err;
    ret_bounce->reporting_mta = reading->report.reporting_mta;
    ret_bounce->envelope_id = reading->report.envelope_id;
    bh_returned_add_sender(ret_bounce, reading->report.sender);
    return decide(reading);
}
