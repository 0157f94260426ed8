/* cmd_flatten.c: commands on flattened SPF records. */
#include "command.h"
#include "flatten.h"
#include "report.h"

static json_t *words_json(bh_str words)
{
    json_t *list = json_array();

    while (words.n)
        (void)json_array_append_new(list, bh_json_str(bh_str_cut(words, ' ', &words)));
    return list;
}

static json_t *texts_json(bh_str published)
{
    json_t *texts = json_array();

    while (published.n) {
        bh_str text, line = bh_str_cut(published, '\n', &published), name = bh_str_cut(line, ' ', &text);

        (void)json_array_append_new(texts,
                                    json_pack("{s:o, s:o}", "name", bh_json_str(name), "text", bh_json_str(text)));
    }
    return texts;
}

static json_t *flat_json(const struct bh_flat_row *flat, bh_str customer)
{
    json_t *json = json_loadb(flat->report.p, flat->report.n, 0, NULL);

    if (!json)
        json = json_object();
    if (!json_object_get(json, "state"))
        (void)json_object_set_new(json, "state", json_string("starting"));
    (void)json_object_set_new(json, "domain", bh_json_str(flat->domain));
    (void)json_object_set_new(json, "customer", bh_json_str(customer));
    (void)json_object_set_new(json, "original_record", bh_json_str(flat->record));
    (void)json_object_set_new(json, "sources", words_json(flat->sources));
    (void)json_object_set_new(json, "texts", texts_json(flat->published));
    (void)json_object_set_new(json, "created_at", bh_json_time(flat->created_at));
    (void)json_object_set_new(json, "changed_at", bh_json_time(flat->changed_at));
    (void)json_object_set_new(json, "refresh_at", bh_json_time(flat->refresh_at));
    if (flat->is_stopped)
        (void)json_object_set_new(json, "state", json_string("stopped"));
    return json;
}

/* The domain as given, without asking whether it is a sending domain: SPF is for the whole of it. */
static bh_str need_name(struct bh_command *command)
{
    bh_str typed = bh_command_need(command, "domain"), name = {NULL, 0};

    if (typed.p && bh_domain_name_normalise(command->arena, typed, &name)) {
        bh_command_fail(command, "invalid", NULL, "\"%.*s\" is no domain name", BH_FMT(typed));
        name = (bh_str){NULL, 0};
    }
    return name;
}

struct finding {
    struct bh_arena *arena;
    bh_str domain;
    struct bh_flat_row row;
    unsigned found;
};

static void find_row(void *ctx, const struct bh_flat_row *flat)
{
    struct finding *finding = ctx;

    if (flat->is_stopped || !bh_str_eq(flat->domain, finding->domain))
        return;
    finding->found++;
    finding->row.id = flat->id;
}

/* The record of arguments "domain" and, where several customers have it, "customer". */
static bool need_flat(struct bh_command *command, struct bh_flat_row *ret_flat)
{
    struct finding finding = {.arena = command->arena, .domain = need_name(command)};
    struct bh_customer customer = {.id = 0};
    bh_err err;

    if (!finding.domain.p)
        return false;
    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return false;
    err = bh_flat_list(command->core->store, customer.id, find_row, &finding);
    if (!err && finding.found == 1)
        err = bh_flat_by_id(command->core->store, command->arena, finding.row.id, ret_flat);
    else if (!err) {
        bh_command_fail(command, "not_found",
                        finding.found ? "Say whose with --customer" : "behalf spf flatten list shows what there is",
                        "%u flattened records of %.*s", finding.found, BH_FMT(finding.domain));
        return false;
    }
    if (err)
        bh_command_fail_err(command, err, "cannot read the flattened record");
    return !err;
}

static void answer_with(struct bh_command *command, int64_t id)
{
    struct bh_flat_row flat;
    struct bh_customer customer;
    bh_err err = bh_flat_by_id(command->core->store, command->arena, id, &flat);

    if (!err)
        err = bh_customer_by_id(command->core->store, command->arena, flat.customer, &customer);
    if (err)
        bh_command_fail_err(command, err, "cannot read the flattened record");
    else
        bh_command_done(command, flat_json(&flat, customer.name));
}

struct waiting {
    struct bh_command *command;
    int64_t id;
};

static void on_refreshed(void *ctx, bh_err err)
{
    struct waiting *waiting = ctx;

    if (err)
        bh_command_fail_err(waiting->command, err, "cannot renew the flattened record");
    else
        answer_with(waiting->command, waiting->id);
}

static void refresh(struct bh_command *command, int64_t id)
{
    struct waiting *waiting = bh_arena_alloc(command->arena, sizeof(*waiting));
    bh_err err = BH_E_NOMEM;

    if (waiting) {
        *waiting = (struct waiting){command, id};
        err = bh_flatten_refresh(command->core, id, on_refreshed, waiting);
    }
    if (err)
        bh_command_fail_err(command, err, "cannot renew the flattened record");
}

/* ---- verbs ---- */

static const char *const one_arguments[] = {"domain", "customer", NULL};

static bool read_sources(struct bh_command *command, bh_str *ret_sources)
{
    const json_t *list = json_object_get(command->args, "sources");
    struct bh_buf words = bh_buf_make(16000);
    bool ok = true;

    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        bh_str term = bh_str_of(json_string_value(value) ? json_string_value(value) : "", json_string_length(value));

        ok = bh_flat_source_check(term) == BH_OK;
        bh_buf_printf(&words, "%s%.*s", i ? " " : "", BH_FMT(term));
    }
    *ret_sources = bh_arena_dup(command->arena, bh_buf_view(&words));
    ok = ok && !bh_buf_err(&words) && ret_sources->p;
    bh_buf_free(&words);
    if (!ok)
        bh_command_fail(command, "invalid", "Say include:NAME, a:NAME, mx:NAME, ip4:ADDRESS or ip6:ADDRESS",
                        "a source is not a term that can be added");
    return ok;
}

void bh_flatten_start(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "sources", NULL};
    struct bh_controld *core = command->core;
    struct bh_token token = bh_token_new(core->random);
    struct bh_flat_row flat = {.token = bh_str_c(token.id), .record = {"", 0}, .created_at = bh_controld_now(core)};
    struct bh_customer customer;
    bh_err err;

    if (!bh_command_knows(command, known) || !(flat.domain = need_name(command)).p ||
        !bh_command_customer(command, "customer", &customer) || !read_sources(command, &flat.sources))
        return;
    flat.customer = customer.id;
    err = bh_flat_insert(core->store, &flat, &flat.id);
    if (err == BH_E_EXISTS)
        bh_command_fail(command, "exists", "behalf spf flatten show tells about it", "%.*s is flattened already",
                        BH_FMT(flat.domain));
    else if (err)
        bh_command_fail_err(command, err, "cannot store the flattened record");
    else
        refresh(command, flat.id);
}

static void add_flat(void *ctx, const struct bh_flat_row *flat)
{
    (void)json_array_append_new(
        ctx, json_pack("{s:I, s:o}", "customer", (json_int_t)flat->customer, "flat", flat_json(flat, BH_STR(""))));
}

/* The names of customers are read with queries of their own. */
static json_t *with_names(struct bh_command *command, const json_t *rows)
{
    json_t *list = json_array();

    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *flat = json_object_get(json_array_get(rows, i), "flat");
        struct bh_customer customer;

        if (!bh_customer_by_id(command->core->store, command->arena,
                               json_integer_value(json_object_get(json_array_get(rows, i), "customer")), &customer))
            (void)json_object_set_new(flat, "customer", bh_json_str(customer.name));
        (void)json_array_append(list, flat);
    }
    return list;
}

void bh_flattens(struct bh_command *command)
{
    static const char *const known[] = {"customer", NULL};
    struct bh_customer customer = {.id = 0};
    json_t *rows;
    bh_err err;

    if (!bh_command_knows(command, known) ||
        (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer)))
        return;
    rows = json_array();
    err = bh_flat_list(command->core->store, customer.id, add_flat, rows);
    if (err)
        bh_command_fail_err(command, err, "cannot read the flattened records");
    else
        bh_command_done(command, with_names(command, rows));
    json_decref(rows);
}

void bh_flatten_show(struct bh_command *command)
{
    struct bh_flat_row flat;

    if (bh_command_knows(command, one_arguments) && need_flat(command, &flat))
        answer_with(command, flat.id);
}

void bh_flatten_refreshed(struct bh_command *command)
{
    struct bh_flat_row flat;

    if (bh_command_knows(command, one_arguments) && need_flat(command, &flat))
        refresh(command, flat.id);
}

/* A name that somebody still includes must not vanish: whoever looks it up would get a permerror. So it goes on to
 * exist, and passes nobody. */
void bh_flatten_stop(struct bh_command *command)
{
    struct bh_controld *core = command->core;
    struct bh_flat_row flat;
    json_t *report;
    bool adopted;
    bh_err err;

    if (!bh_command_knows(command, one_arguments) || !need_flat(command, &flat))
        return;
    report = json_loadb(flat.report.p, flat.report.n, 0, NULL);
    adopted = json_is_true(json_object_get(report, "adopted"));
    json_decref(report);
    if (adopted) {
        bh_command_fail(command, "invalid",
                        "Have the owner publish a record without our include first, then behalf spf flatten refresh",
                        "%.*s still has our include; its record before was: %.*s", BH_FMT(flat.domain),
                        BH_FMT(flat.record));
        return;
    }
    flat.is_stopped = true;
    flat.published = bh_arena_printf(command->arena, "%.*s.flat.%.*s v=spf1 ?all\n", BH_FMT(flat.token),
                                     BH_FMT(core->platform.domain));
    err = flat.published.p ? bh_flat_update(core->store, &flat) : BH_E_NOMEM;
    if (err) {
        bh_command_fail_err(command, err, "cannot stop the flattened record");
        return;
    }
    bh_publish_flat(core);
    bh_command_done(command, NULL);
}

/* The list without or with one more term. */
static bh_str change_words(struct bh_arena *arena, bh_str words, bh_str word, bool add)
{
    struct bh_buf out = bh_buf_make(16000);
    bh_str copy = {NULL, 0};

    while (words.n) {
        bh_str one = bh_str_cut(words, ' ', &words);

        if (!bh_str_eq_ci(one, word))
            bh_buf_printf(&out, "%s%.*s", out.n ? " " : "", BH_FMT(one));
    }
    if (add)
        bh_buf_printf(&out, "%s%.*s", out.n ? " " : "", BH_FMT(word));
    if (!bh_buf_err(&out))
        copy = bh_arena_dup(arena, bh_buf_view(&out));
    bh_buf_free(&out);
    return copy;
}

static void change_source(struct bh_command *command, bool add)
{
    static const char *const known[] = {"domain", "customer", "source", NULL};
    struct bh_flat_row flat;
    bh_str term;
    bh_err err;

    if (!bh_command_knows(command, known) || !(term = bh_command_need(command, "source")).p)
        return;
    if (bh_flat_source_check(term)) {
        bh_command_fail(command, "invalid", "Say include:NAME, a:NAME, mx:NAME, ip4:ADDRESS or ip6:ADDRESS",
                        "\"%.*s\" is not a term that can be added", BH_FMT(term));
        return;
    }
    if (!need_flat(command, &flat))
        return;
    flat.sources = change_words(command->arena, flat.sources, term, add);
    err = flat.sources.p ? bh_flat_update(command->core->store, &flat) : BH_E_NOMEM;
    if (err)
        bh_command_fail_err(command, err, "cannot store the source");
    else
        refresh(command, flat.id);
}

void bh_flatten_source_add(struct bh_command *command)
{
    change_source(command, true);
}

void bh_flatten_source_remove(struct bh_command *command)
{
    change_source(command, false);
}
