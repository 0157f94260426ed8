/* dmarc_lint.c: what can be said about a DMARC record without DNS. Receivers pass over nearly every mistake behind
 * v=DMARC1 in silence (RFC 9989 4.8), which is why its author wants to hear of them. */
#include "dmarc_tags.h"
#include "lint_util.h"

enum { TAGS_MAX = 64 };

struct lint {
    struct bh_linter out;
    bh_str record;
    struct bh_dmarc_record parsed;
    struct bh_dmarc_tag tags[TAGS_MAX];
    size_t count;
};

static const char *const known[] = {"v",   "p",   "sp",  "np", "adkim", "aspf", "fo",
                                    "rua", "ruf", "psd", "t",  "pct",   "rf",   "ri"};

static const struct bh_dmarc_tag *find_tag(const struct lint *lint, const char *name)
{
    for (size_t i = 0; i < lint->count; i++)
        if (bh_str_eq_ci(lint->tags[i].name, bh_str_c(name)))
            return &lint->tags[i];
    return NULL;
}

/* Where to point: the tag, or the record if it is not there. */
static bh_str where(const struct lint *lint, const char *name)
{
    const struct bh_dmarc_tag *tag = find_tag(lint, name);

    return tag ? tag->text : lint->record;
}

static bool is_known(bh_str name)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (bh_str_eq_ci(name, bh_str_c(known[i])))
            return true;
    return false;
}

static void check_start(struct lint *lint)
{
    bh_str trimmed = bh_str_trim(lint->record);

    if (bh_dmarc_is_record(lint->record))
        return;
    if (bh_dmarc_is_record(trimmed))
        bh_lint_say(&lint->out, BH_LINT_ERROR, lint->record, "blanks before v=DMARC1: receivers ignore the record");
    else if (bh_str_starts_ci(trimmed, BH_STR("v=DMARC1")))
        bh_lint_say(&lint->out, BH_LINT_ERROR, bh_str_sub(lint->record, 0, 9),
                    "the version is \"v=DMARC1\" in capitals, followed by ';': receivers ignore the record");
    else if (bh_str_search_ci(lint->record, BH_STR("v=DMARC1")) < lint->record.n)
        bh_lint_say(&lint->out, BH_LINT_ERROR, lint->record, "v=DMARC1 must come first: receivers ignore the record");
    else
        bh_lint_say(&lint->out, BH_LINT_ERROR, lint->record, "no DMARC record: it does not start with v=DMARC1");
}

static bool read_tags(struct lint *lint)
{
    bh_str rest = lint->record;
    struct bh_dmarc_tag tag;

    while (bh_dmarc_tag_next(&rest, &tag)) {
        if (!tag.text.n && !rest.p)
            return true; /* behind a final semicolon */
        if (lint->count == TAGS_MAX) {
            bh_lint_say(&lint->out, BH_LINT_ERROR, lint->record, "more than %d tags", TAGS_MAX);
            return false;
        }
        lint->tags[lint->count++] = tag;
    }
    return true;
}

static void check_duplicate(struct lint *lint, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (bh_str_eq_ci(lint->tags[i].name, lint->tags[at].name)) {
            bh_lint_say(&lint->out, BH_LINT_ERROR, lint->tags[at].text,
                        "stands twice: which one counts is anybody's guess");
            return;
        }
}

static void check_form(struct lint *lint)
{
    for (size_t i = 0; i < lint->count; i++) {
        const struct bh_dmarc_tag *tag = &lint->tags[i];

        if (!tag->text.n)
            bh_lint_say(&lint->out, BH_LINT_WARNING, lint->record, "two semicolons without a tag between them");
        else if (!tag->has_value || !tag->name.n)
            bh_lint_say(&lint->out, BH_LINT_ERROR, tag->text, "not NAME=VALUE: receivers pass over it");
        else if (!tag->value.n)
            bh_lint_say(&lint->out, BH_LINT_ERROR, tag->text, "a tag without a value: receivers pass over it");
        else if (!is_known(tag->name))
            bh_lint_say(&lint->out, BH_LINT_WARNING, tag->text, "an unknown tag: receivers pass over it");
        else
            check_duplicate(lint, i);
    }
}

static void check_policy(struct lint *lint, const char *name, const struct bh_dmarc_policy_tag *policy)
{
    const struct bh_dmarc_tag *tag = find_tag(lint, name);

    if (policy->state == BH_DMARC_TAG_INVALID)
        bh_lint_say(
            &lint->out, BH_LINT_ERROR, tag ? tag->text : lint->record,
            "%s is none of none, quarantine, reject: the record counts as p=none, or as none without rua=", name);
}

static void check_policies(struct lint *lint)
{
    const struct bh_dmarc_record *record = &lint->parsed;
    const struct bh_dmarc_tag *p = find_tag(lint, "p");

    check_policy(lint, "p", &record->p);
    check_policy(lint, "sp", &record->sp);
    check_policy(lint, "np", &record->np);
    if (record->p.state == BH_DMARC_TAG_ABSENT)
        bh_lint_say(&lint->out, BH_LINT_WARNING, lint->record,
                    "without p= it counts as p=none, and receivers of RFC 7489 may ignore it; write p=");
    else if (p && p != &lint->tags[1])
        bh_lint_say(&lint->out, BH_LINT_NOTE, p->text, "receivers of RFC 7489 want p= right behind v=");
    if (record->p.state == BH_DMARC_TAG_VALID && record->sp.state == BH_DMARC_TAG_VALID &&
        record->sp.policy < record->p.policy)
        bh_lint_say(&lint->out, BH_LINT_WARNING, where(lint, "sp"),
                    "weaker than p: names below the domain may be forged more easily than itself");
    if (record->np.state == BH_DMARC_TAG_ABSENT && record->sp.state == BH_DMARC_TAG_VALID &&
        record->sp.policy < BH_DMARC_POLICY_REJECT && record->p.policy == BH_DMARC_POLICY_REJECT)
        bh_lint_say(&lint->out, BH_LINT_NOTE, lint->record, "np=reject would protect the names that do not exist");
}

static void check_letter(struct lint *lint, const char *name, const char *letters)
{
    const struct bh_dmarc_tag *tag = find_tag(lint, name);

    if (tag && tag->value.n &&
        (tag->value.n != 1 || !strchr(letters, bh_to_lower(tag->value.p[0])) || !tag->value.p[0]))
        bh_lint_say(&lint->out, BH_LINT_ERROR, tag->text,
                    "the value is not one of the letters \"%s\": the default applies", letters);
}

static void check_uris(struct lint *lint, const char *name)
{
    const struct bh_dmarc_tag *tag = find_tag(lint, name);
    bh_str rest = tag ? tag->value : (bh_str){NULL, 0};

    while (rest.p) {
        bh_str item = bh_str_trim(bh_str_cut(rest, ',', &rest));
        struct bh_dmarc_uri uri;

        if (!bh_dmarc_uri_parse(item, &uri)) {
            if (!bh_str_eq_ci(uri.scheme, BH_STR("mailto")))
                bh_lint_say(&lint->out, BH_LINT_WARNING, item, "receivers need not support anything but mailto:");
            if (uri.text.n != item.n)
                bh_lint_say(&lint->out, BH_LINT_NOTE, item, "the size limit behind '!' is obsolete and ignored");
        } else if (bh_str_find(item, '@') < item.n && bh_str_find(item, ':') == item.n) {
            bh_lint_say(&lint->out, BH_LINT_ERROR, item, "%s wants URIs: write mailto: before the address", name);
        } else {
            bh_lint_say(&lint->out, BH_LINT_ERROR, item, "%s holds something that is no URI: no report goes there",
                        name);
        }
    }
}

static void check_reports(struct lint *lint)
{
    const struct bh_dmarc_tag *fo = find_tag(lint, "fo");
    uint8_t bits;

    check_uris(lint, "rua");
    check_uris(lint, "ruf");
    if (!find_tag(lint, "rua"))
        bh_lint_say(&lint->out, BH_LINT_WARNING, lint->record, "without rua= nobody tells you who sends in your name");
    if (fo && bh_dmarc_fo_parse(fo->value, &bits))
        bh_lint_say(&lint->out, BH_LINT_ERROR, fo->text,
                    "fo takes 0, 1, d, s separated by colons: the default applies");
    else if (fo && (bits & (BH_DMARC_FO_ALL | BH_DMARC_FO_ANY)) == (BH_DMARC_FO_ALL | BH_DMARC_FO_ANY))
        bh_lint_say(&lint->out, BH_LINT_WARNING, fo->text, "0 and 1 exclude each other");
    if (fo && !find_tag(lint, "ruf"))
        bh_lint_say(&lint->out, BH_LINT_NOTE, fo->text, "fo does nothing without ruf=");
}

static void check_removed(struct lint *lint)
{
    static const char *const removed[] = {"pct", "rf", "ri"};

    for (size_t i = 0; i < sizeof(removed) / sizeof(removed[0]); i++) {
        const struct bh_dmarc_tag *tag = find_tag(lint, removed[i]);

        if (tag)
            bh_lint_say(&lint->out, BH_LINT_NOTE, tag->text, "%s is gone since RFC 9989%s", removed[i],
                        i == 0 ? "; for a trial use t=y" : "");
    }
    if (lint->parsed.psd == 'y')
        bh_lint_say(&lint->out, BH_LINT_WARNING, where(lint, "psd"),
                    "psd=y is for public suffixes: the names below become organisations of their own");
    if (lint->parsed.psd == 'n')
        bh_lint_say(&lint->out, BH_LINT_NOTE, where(lint, "psd"),
                    "psd=n makes this the organisational domain: nothing above it is aligned with it");
    if (lint->parsed.testing && lint->parsed.p.policy != BH_DMARC_POLICY_NONE)
        bh_lint_say(&lint->out, BH_LINT_NOTE, where(lint, "t"), "t=y lowers the policy by one step");
}

unsigned bh_dmarc_lint(bh_str record, bh_lint_report *report, void *ctx)
{
    struct lint lint = {.out = {.report = report, .ctx = ctx}, .record = record};

    check_start(&lint);
    if (lint.out.errors || bh_dmarc_record_parse(record, &lint.parsed) || !read_tags(&lint))
        return lint.out.errors;
    check_form(&lint);
    check_policies(&lint);
    check_letter(&lint, "adkim", "rs");
    check_letter(&lint, "aspf", "rs");
    check_letter(&lint, "t", "yn");
    check_letter(&lint, "psd", "ynu");
    check_reports(&lint);
    check_removed(&lint);
    return lint.out.errors;
}
