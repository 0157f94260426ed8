/* tls_reports.c: see tls_reports.h.
 *
 *      due (day, domain) ─▶ TXT ─▶ build ─▶ each URI in turn: SUBMIT or POST ─▶ forget the rows
 *
 * One at a time, some seconds apart: that spreads a night's reports over hours (RFC 8460 4.1). */
#include "tls_reports.h"
#include "base/random.h"
#include "base/text.h"
#include "reports/tls_report.h"
#include "store/transport.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    STEP_MS = 5000,
    AGAIN_MS = 1800 * 1000, /* those that failed */
    DAY_S = 86400,
    LATE_MAX_MS = 3600 * 1000,
    GIVE_UP_DAYS = 2,
    POST_MS = 60 * 1000,
    ANSWER_MAX = 64 * 1024,
    MAIL_MAX = 256 * 1024,
    SUBMIT_MS = 60 * 1000,
    TXT_MAX = 4096
};

struct tls_sending {
    struct bh_tls_reports *reports;
    struct bh_arena *arena;
    struct bh_tls_row due;
    struct bh_dns_query *query;
    bool asking;
    struct bh_http_call *http_call;
    struct bh_call *call;
    bh_str uris[BH_TLSRPT_RUA_MAX];
    size_t uri_count, next_uri, delivered;
    bool failed; /* at least one, for now */
    struct bh_tlsrpt_head head;
    struct bh_buf gzip;
};

static bh_time_ms now_of(const struct bh_tls_reports *reports)
{
    return bh_loop_now(reports->role->loop);
}

static int64_t day_of(bh_time_ms at)
{
    return at / 1000 / DAY_S;
}

/* ---- collecting ---- */

bh_err bh_tls_reports_take(struct bh_tls_reports *reports, bh_str body)
{
    struct bh_msg_tls_results message;
    struct bh_rec_tls_result r;
    struct bh_cur list;
    bh_err err = bh_msg_tls_results_get(body, &message), stored = BH_OK;

    if (err)
        return err;
    list = bh_cur_make(message.results);
    bh_store_begin(reports->store);
    while ((err = bh_rec_tls_result_next(&list, &r)) == BH_MORE) {
        struct bh_tls_row row = {.day = day_of(now_of(reports)),
                                 .domain = r.domain,
                                 .policy_type = r.policy_type,
                                 .policy = r.policy,
                                 .mx_hosts = r.mx_hosts,
                                 .failure = r.failure,
                                 .sending = r.sending,
                                 .mx = r.mx,
                                 .receiving = r.receiving,
                                 .reason = bh_str_sub(r.reason, 0, 300),
                                 .count = (int64_t)r.count};

        if (!stored)
            stored = bh_tls_row_add(reports->store, &row);
    }
    if (!stored)
        stored = bh_store_commit_wait(reports->store);
    else
        bh_store_rollback(reports->store);
    if (stored)
        bh_logf(&reports->role->log, BH_LOG_ERROR, "cannot store results of TLS: %s", bh_store_error(reports->store));
    return err == BH_DONE ? BH_OK : err;
}

/* ---- one report ---- */

static void free_sending(struct tls_sending *s)
{
    if (!s)
        return;
    if (s->asking && s->query)
        s->reports->resolver->ops->cancel(s->reports->resolver, s->query);
    bh_http_cancel(s->http_call);
    bh_call_cancel(s->call);
    bh_buf_free(&s->gzip);
    s->reports->sending = NULL;
    bh_arena_free(s->arena);
    free(s);
}

/* It is out, or nobody wants it; else it stays for a while. */
static void end(struct tls_sending *s, bool forget, const char *what)
{
    struct bh_tls_reports *reports = s->reports;
    bool old = day_of(now_of(reports)) - s->due.day > GIVE_UP_DAYS;

    if (!forget && !old) /* the others first */
        (void)!bh_str_to_c(s->due.domain, reports->after, sizeof(reports->after));
    if (what)
        bh_log_line(&reports->role->log, BH_LOG_INFO, what, BH_KV("domain", s->due.domain));
    if (forget || old)
        (void)!bh_tls_rows_forget(reports->store, s->due.day, s->due.domain);
    bh_timer_set(&reports->timer, STEP_MS);
    free_sending(s);
}

static void add_row(void *ctx, const struct bh_tls_row *row)
{
    bh_tlsrpt_add(ctx, &(struct bh_tlsrpt_row){.policy_type = row->policy_type,
                                               .policy = row->policy,
                                               .mx_hosts = row->mx_hosts,
                                               .failure = row->failure,
                                               .sending = row->sending,
                                               .mx = row->mx,
                                               .receiving = row->receiving,
                                               .reason = row->reason,
                                               .count = (uint64_t)row->count});
}

static bh_err build(struct tls_sending *s)
{
    bh_str platform = s->reports->role->config->platform;
    struct bh_buf json = bh_buf_make(BH_TLSRPT_REPORT_MAX);
    struct bh_tlsrpt *report;
    bh_err err;

    s->head = (struct bh_tlsrpt_head){.organization = platform,
                                      .contact = bh_arena_printf(s->arena, "postmaster@%.*s", BH_FMT(platform)),
                                      .domain = s->due.domain,
                                      .report_id = bh_arena_printf(s->arena, "%lld.%.*s@%.*s", (long long)s->due.day,
                                                                   BH_FMT(s->due.domain), BH_FMT(platform)),
                                      .begin_s = s->due.day * DAY_S,
                                      .end_s = s->due.day * DAY_S + DAY_S - 1};
    report = s->head.report_id.p ? bh_tlsrpt_new(&s->head) : NULL;
    err = report ? bh_tls_rows(s->reports->store, s->due.day, s->due.domain, add_row, report) : BH_E_NOMEM;
    if (!err)
        err = bh_tlsrpt_json(report, &json);
    if (!err)
        err = bh_gzip(bh_buf_view(&json), &s->gzip);
    bh_tlsrpt_free(report);
    bh_buf_free(&json);
    return err;
}

static void next_uri(struct tls_sending *s);

static void on_submitted(void *ctx, bh_err err, struct bh_ipc_message *message)
{
    struct tls_sending *s = ctx;
    struct bh_msg_submit_reply reply;

    s->call = NULL;
    if (!err && bh_msg_submit_reply_get(message->body, &reply) == BH_OK && reply.ok)
        s->delivered++;
    else
        s->failed = true;
    next_uri(s);
}

/* One mail to one address, from the platform's own identity (customer 0 is ourselves). */
static bh_err mail(struct tls_sending *s, bh_str address)
{
    bh_str platform = s->reports->role->config->platform;
    bh_str from = bh_arena_printf(s->arena, "tls-reports@%.*s", BH_FMT(platform));
    struct bh_peer *queued = bh_role_any_peer(s->reports->role, BH_ROLE_QUEUED);
    struct bh_buf text = bh_buf_make(MAIL_MAX), recipients = bh_buf_make(1024);
    struct bh_msg_submit submit = {.destination = BH_TO_WORLD,
                                   .header_from = from,
                                   .from_domain = platform,
                                   .mail_from = from,
                                   .client = BH_STR("local"),
                                   .protocol = BH_STR("LOCAL")};
    bh_err err = bh_tlsrpt_mail_write(&(struct bh_tlsrpt_mail){.head = &s->head,
                                                               .from = from,
                                                               .to = address,
                                                               .submitter = platform,
                                                               .now_s = now_of(s->reports) / 1000,
                                                               .gzip = bh_buf_view(&s->gzip)},
                                      &text);

    bh_rec_recipient_put(&recipients, &(struct bh_rec_recipient){address, BH_STR("NEVER"), BH_STR("")});
    submit.recipients = bh_buf_view(&recipients);
    submit.body = bh_buf_view(&text);
    submit.size = text.n;
    if (!err)
        err =
            queued ? BH_PEER_CALL(queued, SUBMIT, submit, &submit, SUBMIT_MS, on_submitted, s, &s->call) : BH_E_CLOSED;
    bh_buf_free(&text);
    bh_buf_free(&recipients);
    return err;
}

static void on_posted(void *ctx, const struct bh_http_answer *got)
{
    struct tls_sending *s = ctx;

    s->http_call = NULL;
    if (!got->err && got->status >= 200 && got->status < 300)
        s->delivered++;
    else
        s->failed = true;
    next_uri(s);
}

static bh_err hand_over(struct tls_sending *s, bh_str uri)
{
    struct bh_buf address = bh_buf_make(400);
    bh_err err;

    if (bh_str_starts_ci(uri, BH_STR("https://")))
        return bh_http_start(s->reports->http,
                             &(struct bh_http_request){.url = uri,
                                                       .content_type = "application/tlsrpt+gzip",
                                                       .body = bh_buf_view(&s->gzip),
                                                       .answer_max = ANSWER_MAX,
                                                       .timeout_ms = POST_MS},
                             on_posted, s, &s->http_call);
    err = bh_tlsrpt_mailto(uri, &address);
    if (!err)
        err = mail(s, bh_buf_view(&address));
    bh_buf_free(&address);
    return err;
}

static void next_uri(struct tls_sending *s)
{
    while (s->next_uri < s->uri_count) {
        bh_err err = hand_over(s, s->uris[s->next_uri++]);

        if (!err)
            return;
        s->failed = s->failed || bh_err_class(err) != BH_CLASS_PEER;
    }
    if (s->delivered)
        end(s, true, "report of TLS sent");
    else
        end(s, !s->failed, "report of TLS not delivered");
}

static bool read_record(struct tls_sending *s, bh_str rdata)
{
    struct bh_buf text = bh_buf_make(TXT_MAX);
    bh_str kept;

    while (rdata.n) {
        size_t n = (unsigned char)rdata.p[0];

        bh_buf_add(&text, bh_str_sub(rdata, 1, n));
        rdata = bh_str_skip(rdata, n + 1);
    }
    kept = bh_buf_err(&text) ? (bh_str){NULL, 0} : bh_arena_dup(s->arena, bh_buf_view(&text));
    bh_buf_free(&text);
    return kept.p && bh_tlsrpt_record_read(kept, s->uris, BH_TLSRPT_RUA_MAX, &s->uri_count);
}

static void on_record(void *ctx, const struct bh_dns_answer *answer)
{
    struct tls_sending *s = ctx;
    size_t count = 0;

    s->asking = false;
    for (size_t i = 0; answer->status == BH_DNS_FOUND && i < answer->count; i++)
        count += read_record(s, answer->records[i].rdata);
    if (count == 1 && build(s) == BH_OK)
        next_uri(s);
    else
        end(s, answer->status != BH_DNS_TEMPFAIL, NULL);
}

static void begin(struct bh_tls_reports *reports, struct tls_sending *s)
{
    bh_str owner = bh_arena_printf(s->arena, "_smtp._tls.%.*s", BH_FMT(s->due.domain));

    reports->sending = s;
    s->asking = true;
    if (!owner.p || reports->resolver->ops->lookup(reports->resolver, owner, BH_DNS_TXT, on_record, s, &s->query)) {
        s->asking = false;
        end(s, false, NULL);
    }
}

static void step(void *ctx)
{
    struct bh_tls_reports *reports = ctx;
    struct tls_sending *s;

    if (reports->sending)
        return;
    s = calloc(1, sizeof(*s));
    if (s) {
        s->reports = reports;
        s->arena = bh_arena_new(1 << 20);
        s->gzip = bh_buf_make(BH_TLSRPT_REPORT_MAX);
    }
    if (s && s->arena &&
        bh_tls_row_due(reports->store, s->arena, day_of(now_of(reports) - reports->late_ms), bh_str_c(reports->after),
                       &s->due) == BH_OK) {
        begin(reports, s);
        return;
    }
    if (s)
        free_sending(s);
    bh_timer_set(&reports->timer, reports->after[0] ? AGAIN_MS : STEP_MS);
    reports->after[0] = '\0';
}

bh_err bh_tls_reports_start(struct bh_tls_reports *reports)
{
    bh_err err = bh_timer_init(reports->role->loop, &reports->timer, step, reports);

    reports->late_ms = (int64_t)bh_random_below(&bh_random_os, LATE_MAX_MS);
    if (!err)
        bh_timer_set(&reports->timer, STEP_MS);
    return err;
}

void bh_tls_reports_stop(struct bh_tls_reports *reports)
{
    free_sending(reports->sending);
    bh_timer_free(&reports->timer);
}
