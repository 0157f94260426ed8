/* report.c: see report.h. */
#include "report.h"
#include "base/clock.h"
#include <stdlib.h>

json_t *bh_json_str(bh_str text)
{
    json_t *value = json_stringn(text.p ? text.p : "", text.n);
    char *copy;

    if (value || !text.n || !(copy = malloc(text.n)))
        return value;
    for (size_t i = 0; i < text.n; i++)
        copy[i] = (unsigned char)text.p[i] < 0x80 ? text.p[i] : '?';
    value = json_stringn(copy, text.n);
    free(copy);
    return value;
}

json_t *bh_json_time(bh_time_ms at)
{
    struct bh_buf text = bh_buf_make(64);
    json_t *value;

    if (!at)
        return json_null();
    bh_time_rfc3339(&text, at, false);
    value = bh_json_str(bh_buf_view(&text));
    bh_buf_free(&text);
    return value;
}

json_t *bh_json_domain(const struct bh_domain *d)
{
    return json_pack("{s:I, s:o, s:o, s:s, s:s, s:b, s:{s:b, s:b}, s:o, s:o, s:o, s:o}", "id", (json_int_t)d->id,
                     "name", bh_json_str(d->name), "customer", bh_json_str(d->customer), "approach",
                     bh_approach_name(d->approach), "state", bh_domain_state_name(d->state), "can_send", d->can_send,
                     "dmarc_alignment", "spf", (d->aligned & BH_MECH_SPF) != 0, "dkim",
                     (d->aligned & BH_MECH_DKIM) != 0, "zone_apex", bh_json_str(d->zone_apex), "created_at",
                     bh_json_time(d->created_at), "state_at", bh_json_time(d->state_at), "last_checked_at",
                     bh_json_time(d->checked_at));
}

json_t *bh_json_keys(const struct bh_domain_view *view)
{
    json_t *list = json_array();

    for (size_t i = 0; i < view->key_count; i++) {
        const struct bh_key *key = &view->keys[i];

        (void)json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:b, s:o}", "selector", bh_json_str(key->selector),
                                                    "algorithm", bh_key_kind_name(key->kind), "state",
                                                    bh_key_state_name(key->state), "imported", key->imported, "since",
                                                    bh_json_time(key->state_at ? key->state_at : key->created_at)));
    }
    return list;
}

static json_t *record_json(const struct bh_domain *domain, const struct bh_required_record *record, bh_str apex)
{
    struct bh_buf type = bh_buf_make(32);
    json_t *json;

    bh_dns_type_print(&type, record->type);
    json =
        json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:I, s:s}", "purpose", bh_purpose_name(record->purpose), "required",
                  record->required, "type", bh_json_str(bh_buf_view(&type)), "name", bh_json_str(record->name), "host",
                  bh_json_str(bh_host_as_typed(record->name, apex.n ? apex : bh_domain_registrable(domain->name))),
                  "value", bh_json_str(record->value), "ttl", (json_int_t)record->ttl_s, "why", record->why);
    bh_buf_free(&type);
    return json;
}

static json_t *problem_json(const struct bh_problem *problem)
{
    return json_pack("{s:s, s:o, s:o}", "code", problem->code, "detail", bh_json_str(problem->detail), "fix",
                     bh_json_str(problem->fix));
}

static void add_check(json_t *json, const struct bh_record_check *check)
{
    json_t *problems = json_array();

    if (check->problem.code)
        (void)json_array_append_new(problems, problem_json(&check->problem));
    (void)json_object_set_new(json, "status", json_string(bh_record_status_name(check->status)));
    (void)json_object_set_new(json, "found", bh_json_str(check->found));
    (void)json_object_set_new(json, "servers", json_integer(check->servers));
    (void)json_object_set_new(json, "agreeing", json_integer(check->agreeing));
    (void)json_object_set_new(json, "problems", problems);
}

static json_t *problems_json(const struct bh_check_result *result)
{
    json_t *list = json_array();

    for (size_t i = 0; i < result->problem_count; i++)
        (void)json_array_append_new(list, problem_json(&result->problems[i]));
    return list;
}

bh_str bh_report_of_check(struct bh_arena *arena, const struct bh_domain_view *view,
                          const struct bh_check_result *result)
{
    static const char *const proof_names[BH_PROOF_COUNT] = {"dkim", "spf"};
    json_t *records = json_array(), *proofs = json_object(), *report;
    char *text;
    bh_str copy = {NULL, 0};

    for (size_t i = 0; i < result->records.count; i++) {
        json_t *json = record_json(&view->domain, &result->records.records[i], result->zone_apex);

        add_check(json, &result->checks[i]);
        (void)json_array_append_new(records, json);
    }
    for (int i = 0; i < BH_PROOF_COUNT; i++) {
        json_t *json = json_object();

        add_check(json, &result->proofs[i]);
        (void)json_object_set_new(proofs, proof_names[i], json);
    }
    report = json_pack("{s:o, s:o, s:o, s:o}", "records", records, "proofs", proofs, "problems", problems_json(result),
                       "zone_apex", bh_json_str(result->zone_apex));
    text = report ? json_dumps(report, JSON_COMPACT) : NULL;
    if (text)
        copy = bh_arena_dup(arena, bh_str_c(text));
    free(text);
    json_decref(report);
    return copy.p ? copy : BH_STR("{}");
}

static bool same_field(const json_t *a, const json_t *b, const char *name)
{
    const char *x = json_string_value(json_object_get(a, name)), *y = json_string_value(json_object_get(b, name));

    return x && y && strcmp(x, y) == 0;
}

/* What the report says about a record, or that it was not looked at yet. */
static void add_stored_check(json_t *json, const json_t *report)
{
    static const char *const members[] = {"status", "found", "servers", "agreeing", "problems"};
    const json_t *records = json_object_get(report, "records");

    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *old = json_array_get(records, i);

        if (!same_field(old, json, "name") || !same_field(old, json, "type") || !same_field(old, json, "value"))
            continue;
        for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++)
            (void)json_object_set(json, members[k], json_object_get(old, members[k]));
        return;
    }
    add_check(json, &(struct bh_record_check){.status = BH_RECORD_UNKNOWN});
}

json_t *bh_json_records(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain_view *view,
                        const json_t *report)
{
    struct bh_record_list records;
    const char *apex = json_string_value(json_object_get(report, "zone_apex"));
    json_t *list = json_array();

    if (bh_required_records(arena, &core->platform, view, &records))
        return list;
    for (size_t i = 0; i < records.count; i++) {
        json_t *json = record_json(&view->domain, &records.records[i], bh_str_c(apex));

        add_stored_check(json, report);
        (void)json_array_append_new(list, json);
    }
    return list;
}
