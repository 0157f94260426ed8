/* flatten.c: see flatten.h.
 *
 *   load row and last good answers ─▶ ask the owner's TXT ─▶ flatten ─▶ questions? ask them, again ─▶ store, publish
 *
 * While the owner's record does not have our include yet, it is what is flattened, and kept; afterwards the kept one
 * is. */
#include "flatten.h"
#include "notice.h"
#include "report.h"
#include <behalf/spf.h>
#include <stdlib.h>

enum {
    ARENA_BYTES = 64 << 20,
    RUNNING_MAX = 8,
    ROUNDS_MAX = 30,
    WAITERS_MAX = 8,
    REFRESH_MIN_MS = 2000,
    REFRESH_MAX_MS = 24 * 3600 * 1000,
    AGAIN_MS = 60 * 1000 /* while a source fails */
};

struct waiter {
    bh_flatten_done *done;
    void *ctx;
};

struct job {
    struct bh_list node;
    struct bh_controld *core;
    struct bh_arena *arena;
    struct bh_flat_row row;
    struct bh_flat_answer *old; /* the last good ones */
    size_t old_count;
    struct bh_flat_answer *answers; /* of this run */
    size_t answer_count;
    size_t pending;
    bool asking;
    bool asked_owner;
    bool is_adopted; /* the owner's record has our include */
    unsigned round;
    struct waiter waiters[WAITERS_MAX];
    size_t waiter_count;
};

struct question {
    struct job *job;
    size_t at; /* in job->answers; SIZE_MAX: the owner's record */
};

#define JOB_OF(node_) BH_CONTAINER_OF((node_), struct job, node)

static void end_job(struct job *job, bh_err err)
{
    bh_list_remove(&job->node);
    for (size_t i = 0; i < job->waiter_count; i++)
        job->waiters[i].done(job->waiters[i].ctx, err);
    if (err)
        job->core->out->log(job->core->out_ctx, BH_LOG_ERROR, bh_err_text(err), job->row.domain);
    bh_arena_free(job->arena);
    free(job);
}

static bh_str our_name(struct bh_arena *arena, const struct bh_controld *core, const struct bh_flat_row *row)
{
    return bh_arena_printf(arena, "%.*s.flat.%.*s", BH_FMT(row->token), BH_FMT(core->platform.domain));
}

/* ---- answers, old and new ---- */

static bh_err split_rdatas(struct bh_arena *arena, bh_str list, struct bh_flat_answer *answer)
{
    struct bh_cur cur = bh_cur_make(list);
    struct bh_rec_dns_rdata rdata;
    size_t cap = 8, count = 0;
    bh_str *rdatas = bh_arena_array(arena, cap, sizeof(*rdatas));

    while (rdatas && bh_rec_dns_rdata_next(&cur, &rdata) == BH_MORE) {
        if (count == cap) {
            bh_str *wider = bh_arena_array(arena, cap * 2, sizeof(*wider));

            if (!wider)
                return BH_E_NOMEM;
            memcpy(wider, rdatas, count * sizeof(*wider));
            rdatas = wider;
            cap *= 2;
        }
        if (!(rdatas[count++] = bh_arena_dup(arena, rdata.rdata)).p)
            return BH_E_NOMEM;
    }
    answer->rdatas = rdatas;
    answer->count = count;
    return rdatas ? BH_OK : BH_E_NOMEM;
}

static void take_old(void *ctx, const struct bh_flat_answer *answer, bh_str rdatas)
{
    struct job *job = ctx;
    struct bh_flat_answer *copy = &job->old[job->old_count];

    if (job->old_count == BH_FLAT_QUESTIONS_MAX * 2)
        return;
    *copy = *answer;
    copy->name = bh_arena_dup(job->arena, answer->name);
    if (copy->name.p && !split_rdatas(job->arena, rdatas, copy))
        job->old_count++;
}

static bh_err store_answer(struct job *job, const struct bh_flat_answer *answer)
{
    struct bh_buf list = bh_buf_make(1 << 20);
    bh_err err;

    for (size_t i = 0; i < answer->count; i++)
        bh_rec_dns_rdata_put(&list, &(struct bh_rec_dns_rdata){answer->rdatas[i]});
    err = bh_buf_err(&list);
    if (!err)
        err = bh_flat_answer_set(job->core->store, job->row.id, answer, bh_buf_view(&list));
    bh_buf_free(&list);
    return err;
}

static size_t count_records(struct bh_arena *arena, const struct bh_flat_answer *answer, bh_str *ret_record)
{
    size_t found = 0;

    for (size_t i = 0; i < answer->count; i++) {
        bh_str text = bh_txt_joined(arena, answer->rdatas[i]);

        if (text.p && bh_spf_is_record(text)) {
            found++;
            *ret_record = text;
        }
    }
    return found;
}

/* An answer that says nothing, or that what was there has vanished, does not replace one that said something. A host
 * that has lost one of its address families is no failure: the name is there. */
static bool is_failure(struct bh_arena *arena, const struct bh_flat_answer *fresh)
{
    bh_str record;

    if (fresh->status == BH_DNS_TEMPFAIL || fresh->status == BH_DNS_BADNAME || fresh->status == BH_DNS_NXDOMAIN)
        return true;
    return fresh->type == BH_DNS_TXT && count_records(arena, fresh, &record) != 1;
}

static void settle_answer(struct job *job, struct bh_flat_answer *fresh)
{
    if (!is_failure(job->arena, fresh))
        return;
    for (size_t i = 0; i < job->old_count; i++) {
        const struct bh_flat_answer *old = &job->old[i];

        if (old->type == fresh->type && bh_str_eq_ci(old->name, fresh->name) && !is_failure(job->arena, old)) {
            *fresh = *old;
            fresh->is_old = true;
            return;
        }
    }
}

/* ---- the outcome ---- */

static json_t *kept_json(const struct bh_flat_result *result)
{
    json_t *kept = json_array();

    for (size_t i = 0; i < result->kept_count; i++)
        (void)json_array_append_new(
            kept, json_pack("{s:o, s:s}", "term", bh_json_str(result->kept[i].term), "why", result->kept[i].why));
    return kept;
}

static const char *state_word(const struct job *job, const struct bh_flat_result *result)
{
    if (result->problem.n)
        return job->row.published.n ? "stale" : "failed";
    if (result->old_answers)
        return "stale";
    return job->is_adopted ? "in use" : "published";
}

static bh_str print_report(struct job *job, const struct bh_flat_result *result)
{
    bh_time_ms now = bh_controld_now(job->core);
    json_t *json = json_pack(
        "{s:s, s:o, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:b}", "state", state_word(job, result), "problem",
        result->problem.n ? bh_json_str(result->problem) : json_null(), "lookups_before", (int)result->lookups_before,
        "lookups_after", (int)result->lookups_after, "networks", (int)result->networks, "dead_terms", (int)result->dead,
        "old_answers", (int)result->old_answers, "kept", kept_json(result), "refreshed_at", bh_json_time(now),
        "oldest_at", bh_json_time(result->oldest_at), "adopted", job->is_adopted);
    char *text;
    bh_str copy;

    if (!result->problem.n)
        (void)json_object_set_new(json, "owner_record", bh_json_str(result->owner_record));
    text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    copy = text ? bh_arena_dup(job->arena, bh_str_c(text)) : (bh_str){NULL, 0};
    free(text);
    json_decref(json);
    return copy;
}

static bh_str print_published(struct job *job, const struct bh_flat_result *result)
{
    struct bh_buf lines = bh_buf_make(1 << 20);
    bh_str copy = {NULL, 0};

    for (size_t i = 0; i < result->text_count; i++)
        bh_buf_printf(&lines, "%.*s %.*s\n", BH_FMT(result->texts[i].name), BH_FMT(result->texts[i].text));
    if (!bh_buf_err(&lines))
        copy = bh_arena_dup(job->arena, bh_buf_view(&lines));
    bh_buf_free(&lines);
    return copy;
}

static bh_err tell(struct job *job, const char *what, bh_str detail)
{
    struct bh_notice notice = {.kind = "spf-flatten", .customer = job->row.customer, .about = job->row.domain};

    job->core->out->log(job->core->out_ctx, BH_LOG_INFO, what, job->row.domain);
    bh_controld_event(job->core, BH_EVENT_SPF_CHANGED, job->row.customer, 0,
                      json_pack("{s:o, s:s, s:o}", "domain", bh_json_str(job->row.domain), "what", what, "detail",
                                bh_json_str(detail)));
    notice.subject = bh_arena_printf(job->arena, "SPF of %.*s: %s", BH_FMT(job->row.domain), what);
    notice.text = bh_arena_printf(job->arena,
                                  "The SPF record that we keep for %.*s: %s.\n\n%.*s\n\nbehalf spf flatten show %.*s\n",
                                  BH_FMT(job->row.domain), what, BH_FMT(detail), BH_FMT(job->row.domain));
    if (!notice.subject.p || !notice.text.p)
        return BH_E_NOMEM;
    return bh_notice_send(job->core, &notice);
}

/* What was so before: the state in the last report. */
static bool was(const struct job *job, const char *state)
{
    json_t *json = json_loadb(job->row.report.p ? job->row.report.p : "", job->row.report.n, 0, NULL);
    const char *old = json_string_value(json_object_get(json, "state"));
    bool same = old && strcmp(old, state) == 0;

    json_decref(json);
    return same;
}

static bh_err write_outcome(struct job *job, const struct bh_flat_result *result)
{
    struct bh_flat_row row = job->row;
    bh_time_ms now = bh_controld_now(job->core);
    int64_t wait_ms = (int64_t)(result->ttl_s ? result->ttl_s : 3600) * 1000;
    bool fails = result->problem.n || result->old_answers, changed = false;
    bh_err err = BH_OK;

    if (fails && wait_ms > AGAIN_MS)
        wait_ms = AGAIN_MS;
    wait_ms = wait_ms < REFRESH_MIN_MS ? REFRESH_MIN_MS : wait_ms > REFRESH_MAX_MS ? REFRESH_MAX_MS : wait_ms;
    row.refresh_at = now + wait_ms;
    row.report = print_report(job, result);
    if (!result->problem.n)
        row.published = print_published(job, result);
    if (!row.report.p || !row.published.p)
        return BH_E_NOMEM;
    changed = !bh_str_eq(row.published, job->row.published);
    if (changed)
        row.changed_at = now;
    bh_store_begin(job->core->store);
    for (size_t i = 0; !err && i < job->answer_count; i++)
        if (!job->answers[i].is_old && !is_failure(job->arena, &job->answers[i]))
            err = store_answer(job, &job->answers[i]);
    if (!err)
        err = bh_flat_update(job->core->store, &row);
    if (!err && changed && job->row.published.n)
        err = tell(job, "a source has changed, and the published record followed", row.published);
    if (!err && fails && !was(job, "stale") && !was(job, "failed"))
        err = tell(job, result->problem.n ? "it cannot be renewed" : "a source does not answer",
                   result->problem.n ? result->problem : BH_STR("The last good answer stays in use."));
    if (err) {
        bh_store_rollback(job->core->store);
        return err;
    }
    err = bh_store_commit_wait(job->core->store);
    if (!err && changed)
        bh_publish_flat(job->core);
    return err;
}

/* ---- asking ---- */

static void next_step(struct job *job);

static void on_owner(struct job *job, const struct bh_flat_answer *answer)
{
    bh_str record, name = our_name(job->arena, job->core, &job->row);

    if (answer->status != BH_DNS_FOUND || count_records(job->arena, answer, &record) != 1 || !name.p)
        return; /* what was kept stays */
    job->is_adopted = bh_str_search_ci(record, name) < record.n;
    if (!job->is_adopted)
        job->row.record = record;
}

static void on_answer(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply)
{
    struct question *question = ctx;
    struct job *job = question->job;
    struct bh_flat_answer owner = {.type = BH_DNS_TXT}, *fresh = &owner;
    struct bh_rec_dns_server_view view;
    struct bh_cur cur;

    if (question->at != SIZE_MAX)
        fresh = &job->answers[question->at];
    fresh->status = BH_DNS_TEMPFAIL;
    cur = bh_cur_make(err ? (bh_str){"", 0} : reply->views);
    if (bh_rec_dns_server_view_next(&cur, &view) == BH_MORE && view.status < BH_DNS_TEMPFAIL &&
        !split_rdatas(job->arena, view.rdatas, fresh)) {
        fresh->status = (enum bh_dns_status)view.status;
        fresh->ttl_s = view.ttl_s;
        fresh->good_at = bh_controld_now(job->core);
    }
    if (question->at == SIZE_MAX)
        on_owner(job, &owner);
    else
        settle_answer(job, fresh);
    job->pending--;
    if (!job->pending && !job->asking)
        next_step(job);
}

static void ask(struct job *job, bh_str name, uint16_t type, size_t at)
{
    struct bh_controld *core = job->core;
    struct question *question = bh_arena_alloc(job->arena, sizeof(*question));
    struct bh_msg_dns_ask message = {name, type, 0};

    job->pending++;
    if (!question) {
        job->pending--;
        return;
    }
    *question = (struct question){job, at};
    if (core->out->ask_dns(core->out_ctx, &message, on_answer, question))
        on_answer(question, BH_E_CLOSED, NULL);
}

static bh_err flatten(struct job *job, struct bh_flat_result *ret_result)
{
    bh_str sources[64], rest = job->row.sources;
    struct bh_flat_request request = {.domain = job->row.domain,
                                      .record = job->row.record,
                                      .sources = sources,
                                      .label = job->row.token,
                                      .zone =
                                          bh_arena_printf(job->arena, "flat.%.*s", BH_FMT(job->core->platform.domain)),
                                      .answers = job->answers,
                                      .answer_count = job->answer_count};

    while (rest.n && request.source_count < 64)
        sources[request.source_count++] = bh_str_cut(rest, ' ', &rest);
    return request.zone.p ? bh_spf_flatten(job->arena, &request, ret_result) : BH_E_NOMEM;
}

/* Asks what is missing; true when there is nothing. */
static bool ask_missing(struct job *job, const struct bh_flat_result *result)
{
    job->asking = true;
    for (size_t i = 0; i < result->question_count && job->answer_count < BH_FLAT_QUESTIONS_MAX; i++) {
        size_t at = job->answer_count++;

        job->answers[at] =
            (struct bh_flat_answer){.name = result->questions[i].name, .type = result->questions[i].type};
        ask(job, result->questions[i].name, result->questions[i].type, at);
    }
    job->asking = false;
    return result->question_count == 0;
}

static void next_step(struct job *job)
{
    struct bh_flat_result result;
    bh_err err = BH_OK;

    if (!job->asked_owner) {
        job->asked_owner = true;
        job->asking = true;
        ask(job, job->row.domain, BH_DNS_TXT, SIZE_MAX);
        job->asking = false;
    }
    while (!err && !job->pending) {
        err = job->round++ < ROUNDS_MAX ? flatten(job, &result) : BH_E_LIMIT;
        if (!err && ask_missing(job, &result)) {
            err = write_outcome(job, &result);
            end_job(job, err);
            return;
        }
    }
    if (err)
        end_job(job, err);
}

/* ---- starting ---- */

static struct job *find_job(struct bh_controld *core, int64_t id)
{
    BH_LIST_EACH (node, &core->flats)
        if (JOB_OF(node)->row.id == id)
            return JOB_OF(node);
    return NULL;
}

static bh_err load(struct job *job, int64_t id)
{
    bh_err err;

    job->arena = bh_arena_new(ARENA_BYTES);
    if (!job->arena)
        return BH_E_NOMEM;
    job->old = bh_arena_array(job->arena, BH_FLAT_QUESTIONS_MAX * 2, sizeof(*job->old));
    job->answers = bh_arena_array(job->arena, BH_FLAT_QUESTIONS_MAX, sizeof(*job->answers));
    if (!job->old || !job->answers)
        return BH_E_NOMEM;
    err = bh_flat_by_id(job->core->store, job->arena, id, &job->row);
    return err ? err : bh_flat_answer_list(job->core->store, id, take_old, job);
}

bh_err bh_flatten_refresh(struct bh_controld *core, int64_t id, bh_flatten_done *done, void *ctx)
{
    struct job *job = find_job(core, id);
    bh_err err = BH_OK;

    if (job) {
        if (done && job->waiter_count == WAITERS_MAX)
            return BH_E_LIMIT;
        if (done)
            job->waiters[job->waiter_count++] = (struct waiter){done, ctx};
        return BH_OK;
    }
    if (!(job = calloc(1, sizeof(*job))))
        return BH_E_NOMEM;
    job->core = core;
    err = load(job, id);
    if (err) {
        bh_arena_free(job->arena);
        free(job);
        return err;
    }
    if (done)
        job->waiters[job->waiter_count++] = (struct waiter){done, ctx};
    bh_list_push(&core->flats, &job->node);
    next_step(job);
    return BH_OK;
}

struct due {
    int64_t ids[RUNNING_MAX];
    size_t count;
};

static void add_due(void *ctx, int64_t id)
{
    struct due *due = ctx;

    if (due->count < RUNNING_MAX)
        due->ids[due->count++] = id;
}

bh_time_ms bh_flatten_run(struct bh_controld *core)
{
    struct due due = {.count = 0};
    bh_time_ms now = bh_controld_now(core), next = INT64_MAX;
    size_t running = 0;
    bh_err err;

    BH_LIST_EACH (node, &core->flats)
        running++;
    if (running >= RUNNING_MAX)
        return now + 1000;
    err = bh_flat_due(core->store, now, (int64_t)(RUNNING_MAX - running), add_due, &due);
    for (size_t i = 0; !err && i < due.count; i++)
        if (!find_job(core, due.ids[i]))
            err = bh_flatten_refresh(core, due.ids[i], NULL, NULL);
    if (!err)
        err = bh_flat_next_due(core->store, &next);
    if (err)
        core->out->log(core->out_ctx, BH_LOG_ERROR, "cannot renew flattened SPF records", bh_str_c(bh_err_text(err)));
    return err || next < now + 1000 ? now + 1000 : next;
}

void bh_flatten_free(struct bh_controld *core)
{
    for (struct bh_list *node; (node = bh_list_first(&core->flats));) {
        JOB_OF(node)->waiter_count = 0;
        end_job(JOB_OF(node), BH_OK);
    }
}
