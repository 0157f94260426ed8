/* audit.c: every command that changes something leaves a row: when, by which token or the control socket, what, with
 * which outcome. Arguments whose names speak of secrets are left out. A row that cannot be written is told in the log;
 * the change itself has happened by then. */
#include "command.h"
#include "report.h"
#include <stdlib.h>

enum { ARGS_MAX = 4000 };

bool bh_command_reads(const char *verb)
{
    static const char *const verbs[] = {"list",    "show",       "stats",   "export",  "zone",    "check",
                                        "checks",  "history",    "records", "notices", "preview", "lint",
                                        "explain", "compliance", "tree",    "query",   "connect", "zone-list",
                                        "holds",   "reroutes",   "readers", "keys",    "status"};

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i], verb) == 0)
            return true;
    return false;
}

static bool is_secret(const char *name)
{
    static const char *const words[] = {"secret", "password", "token", "code", "key", "sealed"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(name, words[i]))
            return true;
    return false;
}

static char *shown_args(const json_t *args)
{
    json_t *shown = json_object();
    const char *name;
    json_t *value;
    char *text;

    json_object_foreach((json_t *)(uintptr_t)args, name, value)(void)
        json_object_set_new(shown, name, is_secret(name) ? json_string("…") : json_incref(value));
    text = json_dumps(shown, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(shown);
    return text;
}

void bh_command_audit(const struct bh_command *command, const json_t *answer)
{
    const json_t *request = command->request;
    char *args = shown_args(command->args);
    const char *outcome = json_is_true(json_object_get(answer, "ok"))
                              ? "ok"
                              : json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
    bh_str name = bh_arena_printf(command->arena, "%s %s", json_string_value(json_object_get(request, "noun")),
                                  json_string_value(json_object_get(request, "verb")));
    struct bh_audit entry = {.at = bh_controld_now(command->core),
                             .token = command->token ? command->token->id : 0,
                             .customer_id = command->token ? command->token->customer_id : 0,
                             .command = name,
                             .args = bh_str_sub(bh_str_c(args ? args : "{}"), 0, ARGS_MAX),
                             .outcome = bh_str_c(outcome ? outcome : "?")};
    bh_err err = bh_audit_insert(command->core->store, &entry);

    if (err)
        command->core->out->log(command->core->out_ctx, BH_LOG_ERROR, "cannot write the audit log", name);
    free(args);
}

static void add_entry(void *ctx, const struct bh_audit *entry)
{
    json_t *args = json_loadb(entry->args.p, entry->args.n, 0, NULL);

    (void)json_array_append_new(
        ctx, json_pack("{s:I, s:o, s:I, s:I, s:o, s:o, s:o}", "id", (json_int_t)entry->id, "at",
                       bh_json_time(entry->at), "token_id", (json_int_t)entry->token, "customer_id",
                       (json_int_t)entry->customer_id, "command", bh_json_str(entry->command), "args",
                       args ? args : bh_json_str(entry->args), "outcome", bh_json_str(entry->outcome)));
}

void bh_audit_list(struct bh_command *command)
{
    static const char *const known[] = {"customer", "before", "limit", NULL};
    struct bh_customer customer = {.id = 0};
    int64_t limit = bh_command_int(command, "limit", 100);
    json_t *list;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return;
    list = json_array();
    err = bh_audit_select(command->core->store, customer.id, bh_command_int(command, "before", 0),
                          limit < 1 || limit > 1000 ? 100 : limit, add_entry, list);
    if (err) {
        json_decref(list);
        bh_command_fail_err(command, err, "cannot read the audit log");
    } else {
        bh_command_done(command, list);
    }
}
