/* cmd_history.c: `domain history`: what a domain went through, newest first: each change of state or alignment with the
 * first thing that was wrong, and its canaries. */
#include "command.h"
#include "report.h"

enum { HISTORY_MAX = 1000 };

/* "no CNAME record at …": of the first record that is not right, else of the first proof. */
static json_t *first_problem(bh_str report)
{
    json_t *json = report.n ? json_loadb(report.p, report.n, 0, NULL) : NULL, *why = NULL;
    const json_t *records = json_object_get(json, "records");

    for (size_t i = 0; !why && i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        json_t *detail = json_object_get(json_array_get(json_object_get(record, "problems"), 0), "detail");

        if (json_is_true(json_object_get(record, "required")) && detail)
            why = json_incref(detail);
    }
    json_decref(json);
    return why ? why : json_null();
}

static void add_state(void *ctx, const struct bh_domain_past *past)
{
    (void)json_array_append_new(ctx, json_pack("{s:o, s:s, s:s, s:s, s:o}", "at", bh_json_time(past->at), "what",
                                               "checked", "state", bh_domain_state_name(past->state), "aligned",
                                               bh_mechanism_name(past->aligned), "why", first_problem(past->report)));
}

static void add_canary(void *ctx, const struct bh_canary *canary)
{
    const char *word = !canary->judged_at ? "on its way" : canary->passed ? "passed" : "failed";

    (void)json_array_append_new(ctx, json_pack("{s:o, s:s, s:s, s:s, s:o}", "at",
                                               bh_json_time(canary->judged_at ? canary->judged_at : canary->sent_at),
                                               "what", "canary", "state", word, "aligned",
                                               canary->passed ? bh_mechanism_name(canary->aligned) : "", "why",
                                               bh_json_str(canary->detail)));
}

/* Two lists, each newest first, to one. RFC 3339 times of one form sort as text. */
static json_t *merge(const json_t *a, const json_t *b)
{
    json_t *all = json_array();
    size_t i = 0, k = 0;

    while (i < json_array_size(a) || k < json_array_size(b)) {
        json_t *x = json_array_get(a, i), *y = json_array_get(b, k);
        const char *at_x = json_string_value(json_object_get(x, "at"));
        const char *at_y = json_string_value(json_object_get(y, "at"));
        bool take_x = x && (!y || (at_x && at_y && strcmp(at_x, at_y) >= 0));

        (void)json_array_append(all, take_x ? x : y);
        if (take_x)
            i++;
        else
            k++;
    }
    return all;
}

void bh_domain_history(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", NULL};
    struct bh_store *store = command->core->store;
    json_t *states, *canaries;
    struct bh_domain domain;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_domain(command, &domain))
        return;
    states = json_array();
    canaries = json_array();
    err = bh_domain_past_list(store, domain.id, HISTORY_MAX, add_state, states);
    if (!err)
        err = bh_canary_list(store, domain.id, HISTORY_MAX, add_canary, canaries);
    if (err)
        bh_command_fail_err(command, err, "cannot read the history");
    else
        bh_command_done(command, merge(states, canaries));
    json_decref(states);
    json_decref(canaries);
}
