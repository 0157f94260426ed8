/* heuristics.c: which addresses a notice's words are about. See heuristics.h.
 *
 * Every address in the words gets a weight by where it stands; those of the highest weight found are taken. A line that
 * begins with an address is how nearly all servers list the recipients; next come "…to <a@b>" and labels; the sender's
 * own address, MAIL FROM and postmasters are no candidates. */
#include "heuristics.h"
#include "base/map.h"
#include "lines.h"

enum weight { WEIGHT_NONE, WEIGHT_MENTIONED, WEIGHT_NAMED, WEIGHT_LISTED };
enum { LOCAL_MAX = 128, DOMAIN_MAX = 255, LINE_MAX_BYTES = 4000 };

/* ---- addresses in text ---- */

static bool is_local_char(char c)
{
    return bh_is_alnum(c) || (c && strchr("!#$%&'*+-=?^_`{|}~.", c));
}

static bool is_domain_char(char c)
{
    return bh_is_alnum(c) || c == '-' || c == '.' || c == '_';
}

/* In <> whatever is no blank belongs to the address. */
static bool bracketed(bh_str s, size_t at, size_t *ret_from, size_t *ret_end)
{
    size_t from = at, end = at + 1;
    bool quoted = false;

    while (from > 0 && at - from <= LOCAL_MAX && s.p[from - 1] != '<') {
        quoted |= s.p[from - 1] == '"';
        if (!quoted && (s.p[from - 1] == ' ' || s.p[from - 1] == '>' || s.p[from - 1] == '@'))
            return false;
        from--;
    }
    while (end < s.n && end - at <= DOMAIN_MAX && s.p[end] != '>' && s.p[end] != ' ' && s.p[end] != '@')
        end++;
    *ret_from = from;
    *ret_end = end;
    return from > 0 && s.p[from - 1] == '<' && end < s.n && s.p[end] == '>' && from < at && end > at + 1;
}

static bool bare(bh_str s, size_t at, size_t *ret_from, size_t *ret_end)
{
    size_t from = at, end = at + 1;

    while (from > 0 && at - from <= LOCAL_MAX && is_local_char(s.p[from - 1]))
        from--;
    while (from < at && (s.p[from] == '.' || s.p[from] == '\'' || s.p[from] == '*' || s.p[from] == '-'))
        from++;
    while (end < s.n && end - at <= DOMAIN_MAX && is_domain_char(s.p[end]))
        end++;
    while (end > at + 1 && !bh_is_alnum(s.p[end - 1]))
        end--;
    *ret_from = from;
    *ret_end = end;
    return from < at && end > at + 1 && bh_str_find(bh_str_range(s.p + at, s.p + end), '.') != end - at;
}

bool bh_next_address(bh_str *rest, bh_str *ret_before, bh_str *ret_address)
{
    bh_str s = *rest;
    size_t from, end;

    for (size_t at = 0; at < s.n; at++) {
        if (s.p[at] != '@')
            continue;
        if (!bracketed(s, at, &from, &end) && !bare(s, at, &from, &end))
            continue;
        *ret_before = bh_str_sub(s, 0, from);
        *ret_address = bh_str_sub(s, from, end - from);
        *rest = bh_str_skip(s, end);
        return true;
    }
    *rest = (bh_str){NULL, 0};
    return false;
}

/* ---- weights ---- */

static bool local_is(bh_str address, const char *name)
{
    size_t n = strlen(name);

    return bh_str_starts_ci(address, bh_str_of(name, n)) && address.n > n && address.p[n] == '@';
}

/* Blanks, bullets, quote and transcript marks at a line's start. */
static bool only_decoration(bh_str before)
{
    for (size_t i = 0; i < before.n; i++)
        if (!strchr(" \t*>-<|.\"'([", before.p[i]) || before.p[i] == 0)
            return false;
    return true;
}

/* The last word before the address, without brackets and colons. */
static bh_str last_word(bh_str before, bool *ret_label)
{
    size_t from;

    *ret_label = false;
    while (before.n && strchr(" \t<\"'([=:;", before.p[before.n - 1]) && before.p[before.n - 1]) {
        *ret_label |= before.p[before.n - 1] == ':';
        before.n--;
    }
    for (from = before.n; from > 0 && (bh_is_alnum(before.p[from - 1]) || (unsigned char)before.p[from - 1] >= 0x80);)
        from--;
    return bh_str_skip(before, from);
}

static bool word_in(bh_str word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bh_str_eq_ci(word, bh_str_c(words[i])))
            return true;
    return false;
}

static enum weight weigh_context(bh_str before)
{
    static const char *const senders[] = {"from", "sender", "by",    "contact", "cc",  "subject", "path",
                                          "von",  "de",     "helo",  "via",     "f",   "message", "hello",
                                          "id",   "bcc",    "hallo", "bonjour", "dear"};
    static const char *const recipients[] = {"to",   "for", "recipient", "recipients", "address", "user", "mailbox",
                                             "rcpt", "an",  "an:",       "account",    "t",       "für",  "à",
                                             "para", "a",   "email",     "mail",       "group",   "s"};
    bool label;
    bh_str word = last_word(before, &label), line = bh_str_trim(before);

    if (only_decoration(before))
        return WEIGHT_LISTED;
    if (word_in(word, senders, sizeof(senders) / sizeof(*senders)))
        return WEIGHT_NONE;
    if (label && (bh_str_starts_ci(line, BH_STR("To:")) || bh_str_starts_ci(line, BH_STR("Reply-To"))))
        return WEIGHT_MENTIONED; /* the message's To, quoted for people */
    if (label && (bh_str_starts_ci(line, BH_STR("Recipient")) || bh_str_starts_ci(line, BH_STR("Failed recipient"))))
        return WEIGHT_LISTED;
    if (label || word_in(word, recipients, sizeof(recipients) / sizeof(*recipients)))
        return WEIGHT_NAMED;
    return bh_is_digit(line.p[0]) ? WEIGHT_NAMED : WEIGHT_MENTIONED; /* "550 5.1.1 <a@b>... User unknown" */
}

static enum weight weigh(const struct bh_hint_context *context, bh_str before, bh_str address)
{
    enum weight weight = weigh_context(before);

    if (local_is(address, "mailer-daemon") || bh_str_eq_ci(address, context->notifier))
        return WEIGHT_NONE;
    if (bh_str_eq_ci(address, context->sender) || local_is(address, "postmaster") || local_is(address, "abuse"))
        return weight == WEIGHT_LISTED || weight == WEIGHT_NAMED ? weight - 1 : WEIGHT_NONE;
    return weight;
}

/* "(generated from a@b)", "(expanded from: a@b)": another name of the one before. */
static bool tells_origin(bh_str line)
{
    bh_str s = bh_str_trim(line);

    return bh_str_starts_ci(s, BH_STR("(generated ")) || bh_str_starts_ci(s, BH_STR("generated by")) ||
           bh_str_starts_ci(s, BH_STR("(ultimately ")) || bh_str_starts_ci(s, BH_STR("(expanded "));
}

/* ---- collecting ---- */

struct collect {
    struct bh_arena *arena;
    const struct bh_hint_context *context;
    struct bh_map seen; /* lower-case address -> entry */
    struct bh_hint *items;
    size_t count;
    size_t room;
    size_t max;
    enum weight best;
    bool nomem;
};

struct entry {
    struct bh_map_node node;
    size_t item;
};

static void forget(struct collect *collect)
{
    static const uint64_t seed[2] = {0x62686f756e636573, 0x68696e7473}; /* the table is bounded by `max` */

    bh_map_free(&collect->seen);
    bh_map_init(&collect->seen, seed);
    collect->count = 0;
}

static bool grow(struct collect *collect)
{
    size_t room = collect->room ? collect->room * 2 : 8;
    struct bh_hint *bigger;

    if (collect->count < collect->room)
        return true;
    bigger = bh_arena_array(collect->arena, room, sizeof(*bigger));
    if (!bigger)
        return false;
    if (collect->count)
        memcpy(bigger, collect->items, collect->count * sizeof(*bigger));
    collect->items = bigger;
    collect->room = room;
    return true;
}

/* The index of `address` in the list, or the list's count. */
static size_t find(const struct collect *collect, bh_str lower)
{
    struct bh_map_node *node = bh_map_get(&collect->seen, lower);

    return node ? ((struct entry *)(void *)node)->item : collect->count;
}

static bool add(struct collect *collect, bh_str address, bh_str lower)
{
    struct entry *entry = bh_arena_alloc(collect->arena, sizeof(*entry));

    if (!entry || !grow(collect))
        return false;
    entry->item = collect->count;
    if (bh_map_add(&collect->seen, lower, &entry->node))
        return false;
    collect->items[collect->count++] = (struct bh_hint){.address = address};
    return true;
}

static void candidate(struct collect *collect, bh_str line, bh_str before, bh_str address)
{
    enum weight weight = weigh(collect->context, before, address);
    bh_str lower;
    size_t i;

    if (weight == WEIGHT_NONE || weight < collect->best)
        return;
    if (weight > collect->best) {
        collect->best = weight;
        forget(collect);
    }
    lower = bh_str_lower(collect->arena, address);
    if (!lower.p) {
        collect->nomem = true;
        return;
    }
    i = find(collect, lower);
    if (i < collect->count || collect->count == collect->max)
        return;
    if (!add(collect, address, lower)) {
        collect->nomem = true;
        return;
    }
    collect->items[collect->count - 1].words = line; /* its start; the end is set when all are known */
}

static void scan(struct collect *collect, bh_str words)
{
    bh_str line, before, address;

    while (bh_next_line(&words, &line) && !collect->nomem) {
        bh_str rest = bh_str_sub(line, 0, LINE_MAX_BYTES);

        if (tells_origin(line))
            continue;
        while (rest.n && bh_next_address(&rest, &before, &address)) {
            /* before is relative to the last address: what counts is the line */
            candidate(collect, line, bh_str_range(line.p, before.p + before.n), address);
            if (collect->best == WEIGHT_LISTED)
                break; /* "a@b <a@b>", "a@b: … for c@d" */
        }
    }
}

/* Each item's words run to the next item's line; addresses listed one under the other share what follows them. */
static void end_words(struct collect *collect, bh_str words)
{
    const char *end = words.p + words.n;

    for (size_t i = collect->count; i-- > 0;) {
        struct bh_hint *item = &collect->items[i];
        bh_str own = bh_str_range(item->words.p, end), after = bh_str_skip(own, item->words.n);

        if (bh_str_trim(after).n == 0 && item->words.n < item->address.n + 10 && i + 1 < collect->count)
            own = collect->items[i + 1].words;
        end = item->words.p;
        item->words = own;
    }
}

/* ---- those that a header field names ---- */

/* Where the words about each known address begin: the first line that holds it. */
static bh_err locate(struct collect *collect, bh_str words)
{
    bh_str line, before, address;

    while (bh_next_line(&words, &line)) {
        bh_str rest = bh_str_sub(line, 0, LINE_MAX_BYTES);

        while (rest.n && bh_next_address(&rest, &before, &address)) {
            bh_str lower = bh_str_lower(collect->arena, address);
            size_t i = lower.p ? find(collect, lower) : 0;

            if (!lower.p)
                return BH_E_NOMEM;
            if (i < collect->count && !collect->items[i].words.p)
                collect->items[i].words = line;
        }
    }
    return BH_OK;
}

/* In the text's order, so that each ends where the next begins; those not in the text keep no words. */
static void end_located(struct collect *collect, bh_str words)
{
    for (size_t i = 0; i < collect->count; i++) {
        struct bh_hint *item = &collect->items[i];
        const char *next = words.p + words.n;

        if (!item->words.p)
            continue;
        for (size_t k = i + 1; k < collect->count; k++) { /* nearly always the very next one */
            if (collect->items[k].words.p > item->words.p) {
                next = collect->items[k].words.p;
                break;
            }
        }
        item->words = bh_str_range(item->words.p, next);
    }
}

static bh_err take_failed(struct collect *collect, bh_str words)
{
    const struct bh_hint_context *context = collect->context;
    bh_err err;

    for (size_t i = 0; i < context->failed_count && collect->count < collect->max; i++) {
        bh_str lower = bh_str_lower(collect->arena, context->failed[i]);

        if (!lower.p)
            return BH_E_NOMEM;
        if (find(collect, lower) == collect->count && !add(collect, context->failed[i], lower))
            return BH_E_NOMEM;
    }
    err = locate(collect, words);
    if (!err)
        end_located(collect, words);
    return err;
}

bh_err bh_hints_find(struct bh_arena *arena, bh_str words, const struct bh_hint_context *context, size_t max,
                     struct bh_hints *ret_hints)
{
    struct collect collect = {.arena = arena, .context = context, .max = max};
    bh_err err = BH_OK;

    forget(&collect);
    if (context->failed_count) {
        err = take_failed(&collect, words);
    } else {
        scan(&collect, words);
        if (collect.best == WEIGHT_MENTIONED && collect.count > 1)
            collect.count = 1; /* a guess: the first */
        end_words(&collect, words);
    }
    bh_map_free(&collect.seen);
    *ret_hints = (struct bh_hints){collect.items, collect.count};
    return err || collect.nomem ? BH_E_NOMEM : BH_OK;
}
