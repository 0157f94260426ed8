/* scenario.c: runs a scenario file: queued's engine with its real store, schedule, shaping and TLS decisions, on a
 * clock that the file moves. The language: README.md. Prints each expectation; the exit status says whether all held.
 */
#include "unit/roles/queued_world.h"

#include "mail/tls_policy.h"
#include "store/event_type.h"
#include <stdio.h>
#include <stdlib.h>

enum { WORDS_MAX = 16, PEERS_MAX = 16, RULES_MAX = 16, SERIES_MAX = 32, FIRST_MAX = 20000, LINE_MAX_BYTES = 1000 };

struct rule {
    bh_time_ms from, until;
    uint16_t code; /* 0: nobody answers */
    char text[200];
    int64_t greylist_ms; /* not 0: each recipient is refused until so long after its first attempt */
    size_t most;         /* not 0: the answer only beyond so many deliveries in the window */
    int64_t window_ms;
};

/* The mail exchangers of a domain, as the scenario says. */
struct peer {
    char domain[80], mx[120];
    struct rule rules[RULES_MAX];
    size_t rule_count;
    struct bh_tls_facts tls;
    bool offers_tls, proves_name, proves_dane;
    size_t delivered, attempts, clear, new_delivered;
    bh_time_ms window_at;
    size_t in_window;
};

struct series {
    struct peer *peer;
    size_t left;
    int64_t every_ms;
    bh_time_ms at;
    char campaign[64];
};

struct first { /* when a recipient was first tried; for greylisting */
    uint64_t message;
    uint32_t idx;
    bh_time_ms at;
};

struct play {
    struct world w;
    const char *file;
    unsigned line;
    bh_time_ms start;
    struct peer peers[PEERS_MAX];
    size_t peer_count;
    struct series series[SERIES_MAX];
    size_t series_count;
    struct first firsts[FIRST_MAX];
    size_t first_count;
    struct bh_buf sources, keys;
    uint32_t submits;
    size_t delivered, attempts, clear;
    struct {
        char address[40];
        size_t count;
    } via[8];
    char last_selector[64];
    size_t passed, failed;
};

/* ---- reading ---- */

static _Noreturn void wrong(const struct play *p, const char *what)
{
    (void)fprintf(stderr, "%s:%u: %s\n", p->file, p->line, what);
    exit(2);
}

/* Words, those in quotes as one; the rest of the line behind "command". */
static size_t split(struct play *p, char *line, char *words[WORDS_MAX])
{
    size_t n = 0;

    for (char *at = line; *at && *at != '#';) {
        char end = ' ';

        if (*at == ' ' || *at == '\n') {
            *at++ = '\0';
            continue;
        }
        if (*at == '"') {
            end = '"';
            at++;
        }
        if (n == WORDS_MAX)
            wrong(p, "too many words");
        words[n++] = at;
        if (n == 2 && strcmp(words[0], "command") == 0) {
            at[strcspn(at, "\n")] = '\0';
            return n;
        }
        while (*at && *at != end && *at != '\n')
            at++;
        if (*at)
            *at++ = '\0';
    }
    return n;
}

static int64_t duration(const struct play *p, const char *text)
{
    char *unit;
    double n = strtod(text, &unit);
    double ms = strcmp(unit, "s") == 0   ? 1000
                : strcmp(unit, "m") == 0 ? 60000
                : strcmp(unit, "h") == 0 ? 3600000
                : strcmp(unit, "d") == 0 ? 86400000
                                         : 0;

    if (ms == 0)
        wrong(p, "a duration is written 90s, 15m, 12h, 5d");
    return (int64_t)(n * ms);
}

static struct peer *peer_named(struct play *p, const char *domain)
{
    for (size_t i = 0; i < p->peer_count; i++)
        if (strcmp(p->peers[i].domain, domain) == 0)
            return &p->peers[i];
    if (p->peer_count == PEERS_MAX)
        wrong(p, "too many domains");
    p->peers[p->peer_count] = (struct peer){.offers_tls = true};
    (void)snprintf(p->peers[p->peer_count].domain, sizeof(p->peers[0].domain), "%s", domain);
    return &p->peers[p->peer_count++];
}

static const char *option(char **words, size_t count, const char *name)
{
    for (size_t i = 0; i + 1 < count; i++)
        if (strcmp(words[i], name) == 0)
            return words[i + 1];
    return NULL;
}

/* ---- the world's answers ---- */

static const struct rule *rule_now(const struct play *p, const struct peer *peer)
{
    for (size_t i = peer->rule_count; i-- > 0;)
        if (p->w.now >= peer->rules[i].from && p->w.now < peer->rules[i].until)
            return &peer->rules[i];
    return NULL;
}

static bh_time_ms first_try(struct play *p, const struct delivery *d)
{
    for (size_t i = 0; i < p->first_count; i++)
        if (p->firsts[i].message == d->message && p->firsts[i].idx == d->idx)
            return p->firsts[i].at;
    if (p->first_count == FIRST_MAX)
        wrong(p, "too many recipients for greylisting");
    p->firsts[p->first_count++] = (struct first){d->message, d->idx, p->w.now};
    return p->w.now;
}

static bool is_refused(struct play *p, struct peer *peer, const struct delivery *d, const struct rule *rule)
{
    if (!rule || rule->code == 250)
        return false;
    if (rule->greylist_ms)
        return p->w.now - first_try(p, d) < rule->greylist_ms;
    if (!rule->most)
        return true;
    if (p->w.now - peer->window_at >= rule->window_ms) {
        peer->window_at = p->w.now;
        peer->in_window = 0;
    }
    return ++peer->in_window > rule->most;
}

/* What the sender would do with TLS: false: it does not deliver. */
static bool tls_lets(struct peer *peer)
{
    struct bh_tls_plan plan;
    bool proven;

    bh_tls_plan(&peer->tls, &plan);
    proven = plan.check == BH_TLS_CHECK_DANE   ? peer->proves_dane
             : plan.check == BH_TLS_CHECK_NAME ? peer->proves_name
                                               : true;
    if (plan.step == BH_TLS_SKIP || (plan.step == BH_TLS_MUST && !(peer->offers_tls && proven)))
        return false;
    peer->clear += !peer->offers_tls || plan.step == BH_TLS_NEVER;
    return true;
}

static void count_delivered(struct play *p, struct peer *peer, const struct delivery *d)
{
    peer->delivered++;
    peer->new_delivered++;
    p->delivered++;
    (void)snprintf(p->last_selector, sizeof(p->last_selector), "%s", d->selector);
    for (size_t i = 0; i < 8 && d->address4[0]; i++) {
        if (!p->via[i].address[0])
            (void)snprintf(p->via[i].address, sizeof(p->via[i].address), "%s", d->address4);
        if (strcmp(p->via[i].address, d->address4) == 0) {
            p->via[i].count++;
            break;
        }
    }
}

static void answer(struct play *p, struct sender *sender, size_t at)
{
    const struct delivery *d = &sender->held[at];
    struct peer *peer = peer_named(p, d->domain);
    const struct rule *rule = rule_now(p, peer);

    peer->attempts++;
    p->attempts++;
    if (peer->mx[0])
        bh_queued_site(p->w.engine, bh_str_c(peer->domain), bh_str_c(peer->mx));
    if (!tls_lets(peer)) {
        world_refuse(&p->w, sender, at, 0, "TLS is required here and cannot be had");
    } else if (is_refused(p, peer, d, rule)) {
        world_refuse(&p->w, sender, at, rule->code, rule->text);
    } else {
        count_delivered(p, peer, d);
        world_result(&p->w, sender, at, BH_DELIVERED);
    }
}

static bool answer_all(struct play *p)
{
    bool any = false;

    for (int s = 0; s < SENDERS; s++)
        for (size_t i = 0; i < p->w.senders[s].held_count; i++)
            if (p->w.senders[s].held[i].open) {
                answer(p, &p->w.senders[s], i);
                any = true;
            }
    return any;
}

/* ---- time ---- */

static void submit_due(struct play *p)
{
    for (size_t i = 0; i < p->series_count; i++) {
        struct series *series = &p->series[i];

        while (series->left && series->at <= p->w.now) {
            char address[120];
            const char *list = address;

            (void)snprintf(address, sizeof(address), "r%u@%s", ++p->submits, series->peer->domain);
            p->w.campaign = series->campaign[0] ? series->campaign : NULL;
            world_submit_to(&p->w, p->submits, 400, &list, 1);
            series->at += series->every_ms;
            series->left--;
        }
    }
}

static bh_time_ms next_event(const struct play *p, bh_time_ms end)
{
    bh_time_ms next = p->w.wake_at < end ? p->w.wake_at : end;

    for (size_t i = 0; i < p->series_count; i++)
        if (p->series[i].left && p->series[i].at < next)
            next = p->series[i].at;
    return next > p->w.now ? next : p->w.now + 1;
}

static void run_until(struct play *p, bh_time_ms end)
{
    for (;;) {
        submit_due(p);
        do
            world_settle(&p->w);
        while (answer_all(p));
        p->w.reply_count = 0;
        if (p->w.now >= end)
            return;
        p->w.now = next_event(p, end);
        if (p->w.now > end)
            p->w.now = end;
    }
}

/* ---- statements ---- */

static void do_mx(struct play *p, char **words, size_t count)
{
    struct peer *peer = peer_named(p, words[1]);
    size_t n = 0;

    for (size_t i = 2; i < count; i++)
        n += (size_t)snprintf(peer->mx + n, sizeof(peer->mx) - n, "%s%s", n ? " " : "", words[i]);
}

static void do_answer(struct play *p, char **words, size_t count)
{
    struct peer *peer = peer_named(p, words[1]);
    const char *from = option(words, count, "from"), *until = option(words, count, "until");
    const char *greylist = option(words, count, "greylist"), *beyond = option(words, count, "beyond");
    struct rule *rule = &peer->rules[peer->rule_count];

    if (count < 3 || peer->rule_count == RULES_MAX)
        wrong(p, "answer DOMAIN CODE [\"TEXT\"] [from T] [until T] [greylist D] [beyond N/D]");
    peer->rule_count++;
    *rule = (struct rule){.from = from ? p->start + duration(p, from) : p->w.now,
                          .until = until ? p->start + duration(p, until) : INT64_MAX,
                          .code = strcmp(words[2], "nothing") == 0 ? 0 : (uint16_t)strtoul(words[2], NULL, 10),
                          .greylist_ms = greylist ? duration(p, greylist) : 0};
    (void)snprintf(rule->text, sizeof(rule->text), "%s", count > 3 ? words[3] : "as scripted");
    if (beyond) {
        char *slash;

        rule->most = strtoul(beyond, &slash, 10);
        rule->window_ms = *slash == '/' ? duration(p, slash + 1) : 0;
    }
}

static void do_tls(struct play *p, char **words, size_t count)
{
    struct peer *peer = peer_named(p, words[1]);

    for (size_t i = 2; i < count; i++) {
        if (strcmp(words[i], "dane") == 0)
            peer->tls.tlsa = BH_TLSA_USABLE;
        else if (strcmp(words[i], "dane-bogus") == 0)
            peer->tls.tlsa = BH_TLSA_FAILED;
        else if (strcmp(words[i], "sts-enforce") == 0)
            peer->tls.sts = BH_STS_ENFORCE, peer->tls.sts_allows = true;
        else if (strcmp(words[i], "sts-foreign") == 0)
            peer->tls.sts = BH_STS_ENFORCE, peer->tls.sts_allows = false;
        else if (strcmp(words[i], "required") == 0)
            peer->tls.level = BH_TLS_LEVEL_REQUIRED;
        else if (strcmp(words[i], "no-starttls") == 0)
            peer->offers_tls = false;
        else if (strcmp(words[i], "starttls") == 0)
            peer->offers_tls = true;
        else if (strcmp(words[i], "true-certificate") == 0)
            peer->proves_name = peer->proves_dane = true;
        else if (strcmp(words[i], "false-certificate") == 0)
            peer->proves_name = peer->proves_dane = false;
        else
            wrong(p, "tls DOMAIN dane|dane-bogus|sts-enforce|sts-foreign|required|starttls|no-starttls|"
                     "true-certificate|false-certificate");
    }
}

static void do_submit(struct play *p, char **words, size_t count)
{
    const char *to = option(words, count, "to"), *every = option(words, count, "every");
    const char *campaign = option(words, count, "campaign");
    struct series *series = &p->series[p->series_count];

    if (!to || p->series_count == SERIES_MAX)
        wrong(p, "submit N to DOMAIN [every D] [campaign C]");
    p->series_count++;
    *series =
        (struct series){peer_named(p, to), strtoul(words[1], NULL, 10), every ? duration(p, every) : 0, p->w.now, ""};
    (void)snprintf(series->campaign, sizeof(series->campaign), "%s", campaign ? campaign : "");
}

static void do_source(struct play *p, char **words, size_t count)
{
    if (count < 3)
        wrong(p, "source ADDRESS HELO [weight N]");
    bh_rec_source_put(&p->sources,
                      &(struct bh_rec_source){bh_str_c(words[1]),
                                              {"", 0},
                                              bh_str_c(words[2]),
                                              option(words, count, "weight")
                                                  ? (uint32_t)strtoul(option(words, count, "weight"), NULL, 10)
                                                  : 1,
                                              {"", 0}});
    p->w.identity.sources = bh_buf_view(&p->sources);
}

/* From now on this key is the domain's active one; who cached the old one is told, as controld does. */
static void do_key(struct play *p, char **words)
{
    bh_buf_clear(&p->keys);
    bh_rec_sealed_key_put(&p->keys, &(struct bh_rec_sealed_key){.key_id = 1,
                                                                .algorithm = BH_KEY_RSA2048,
                                                                .selector = bh_str_c(words[1]),
                                                                .domain = BH_STR("shop.example"),
                                                                .sealed = BH_STR("sealed")});
    p->w.identity.keys = bh_buf_view(&p->keys);
    p->w.identity.version++;
    bh_queued_version(p->w.engine);
}

static void connect_all(struct play *p)
{
    for (int i = 0; i < SENDERS; i++)
        world_connect(&p->w, &p->w.senders[i], 1000);
}

static void do_command(struct play *p, const char *json)
{
    const char *reply = world_command(&p->w, json);

    if (strstr(reply, "\"ok\":true"))
        return;
    (void)fprintf(stderr, "%s\n", reply);
    wrong(p, "the command is refused");
}

/* ---- expectations ---- */

static int64_t events(struct play *p, enum bh_event_kind kind)
{
    static const struct bh_query queries[] = {{"SELECT count(*) FROM event WHERE kind = 4"},
                                              {"SELECT count(*) FROM event WHERE kind = 5"}};

    _Static_assert(BH_EVENT_BOUNCED == 4 && BH_EVENT_EXPIRED == 5, "the numbers above");
    return world_count(&p->w, &queries[kind == BH_EVENT_EXPIRED]);
}

static int64_t measure(struct play *p, const char *what, const char *of)
{
    struct bh_queue_counts counts;
    const struct peer *peer = of ? peer_named(p, of) : NULL;

    bh_queued_counts(p->w.engine, &counts);
    if (strcmp(what, "delivered") == 0)
        return (int64_t)(peer ? peer->delivered : p->delivered);
    if (strcmp(what, "attempts") == 0)
        return (int64_t)(peer ? peer->attempts : p->attempts);
    if (strcmp(what, "new") == 0 && peer)
        return (int64_t)peer->new_delivered;
    if (strcmp(what, "clear") == 0 && peer)
        return (int64_t)peer->clear;
    if (strcmp(what, "waiting") == 0)
        return (int64_t)counts.items;
    if (strcmp(what, "bounced") == 0)
        return events(p, BH_EVENT_BOUNCED);
    if (strcmp(what, "expired") == 0)
        return events(p, BH_EVENT_EXPIRED);
    wrong(p, "expect delivered|attempts|new|clear|waiting|bounced|expired|via|key …");
}

static int64_t measure_via(const struct play *p, const char *address)
{
    for (size_t i = 0; i < 8; i++)
        if (strcmp(p->via[i].address, address) == 0)
            return (int64_t)p->via[i].count;
    return 0;
}

static bool holds(const struct play *p, int64_t have, const char *op, int64_t want)
{
    if (strcmp(op, "=") == 0)
        return have == want;
    if (strcmp(op, "<=") == 0)
        return have <= want;
    if (strcmp(op, ">=") == 0)
        return have >= want;
    wrong(p, "compare with = <= or >=");
}

/* expect WHAT [of DOMAIN] OP NUMBER; expect via ADDRESS OP NUMBER; expect key SELECTOR */
static void do_expect(struct play *p, char **words, size_t count)
{
    bool via = count > 2 && strcmp(words[1], "via") == 0;
    const char *of = count > 3 && strcmp(words[2], "of") == 0 ? words[3] : NULL;
    size_t at = via ? 3 : of ? 4 : 2;
    int64_t have;
    bool ok;

    if (count == 3 && strcmp(words[1], "key") == 0) {
        ok = strcmp(p->last_selector, words[2]) == 0;
        (void)printf("%s %s:%u the last message is signed by %s (%s)\n", ok ? "ok  " : "FAIL", p->file, p->line,
                     words[2], p->last_selector);
    } else {
        if (count != at + 2)
            wrong(p, "expect WHAT [of DOMAIN] =|<=|>= NUMBER");
        have = via ? measure_via(p, words[2]) : measure(p, words[1], of);
        ok = holds(p, have, words[at], (int64_t)strtoll(words[at + 1], NULL, 10));
        (void)printf("%s %s:%u %s %s %s %s (%lld)\n", ok ? "ok  " : "FAIL", p->file, p->line, words[1],
                     via  ? words[2]
                     : of ? of
                          : "",
                     words[at], words[at + 1], (long long)have);
    }
    p->passed += ok;
    p->failed += !ok;
}

static void do_mark(struct play *p)
{
    for (size_t i = 0; i < p->peer_count; i++)
        p->peers[i].new_delivered = 0;
    for (size_t i = 0; i < 8; i++)
        p->via[i].count = 0;
}

static void perform(struct play *p, char **words, size_t count)
{
    const char *what = words[0];

    if (strcmp(what, "kill") == 0 && count == 1) {
        world_kill(&p->w);
        connect_all(p);
    } else if (strcmp(what, "mark") == 0 && count == 1) {
        do_mark(p);
    } else if (count < 2) {
        wrong(p, "no such statement; see README.md");
    } else if (strcmp(what, "mx") == 0) {
        do_mx(p, words, count);
    } else if (strcmp(what, "answer") == 0) {
        do_answer(p, words, count);
    } else if (strcmp(what, "tls") == 0) {
        do_tls(p, words, count);
    } else if (strcmp(what, "submit") == 0) {
        do_submit(p, words, count);
    } else if (strcmp(what, "source") == 0) {
        do_source(p, words, count);
    } else if (strcmp(what, "key") == 0) {
        do_key(p, words);
    } else if (strcmp(what, "command") == 0) {
        do_command(p, words[1]);
    } else if (strcmp(what, "wait") == 0) {
        run_until(p, p->w.now + duration(p, words[1]));
    } else if (strcmp(what, "expect") == 0) {
        do_expect(p, words, count);
    } else {
        wrong(p, "no such statement; see README.md");
    }
}

static void run_file(struct play *p)
{
    char line[LINE_MAX_BYTES];
    char *words[WORDS_MAX];
    FILE *in = fopen(p->file, "re");

    if (!in)
        wrong(p, "cannot be read");
    while (fgets(line, sizeof(line), in)) {
        size_t count;

        p->line++;
        count = split(p, line, words);
        if (count)
            perform(p, words, count);
    }
    (void)fclose(in);
}

int main(int argc, char **argv)
{
    static struct play p;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: scenario FILE\n");
        return 2;
    }
    p.file = argv[1];
    p.sources = bh_buf_make(4096);
    p.keys = bh_buf_make(4096);
    world_new(&p.w, SENDERS);
    p.start = p.w.now;
    connect_all(&p);
    run_file(&p);
    (void)printf("%s: %zu passed, %zu failed, 0 skipped\n", strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1],
                 p.passed, p.failed);
    world_free(&p.w);
    bh_buf_free(&p.sources);
    bh_buf_free(&p.keys);
    return p.failed || !p.passed ? 1 : 0;
}
