/* command.c: the table of commands, their arguments and answers. See command.h. */
#include "command.h"
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

struct command_row {
    const char *noun;
    const char *verb;
    bh_command_verb *run; /* NULL: queued executes it */
};

static const struct command_row rows[] = {
    {"customer", "add", bh_customer_add},
    {"customer", "list", bh_customers},
    {"customer", "notices", bh_notices},
    {"customer", "set", bh_customer_set},
    {"customer", "show", bh_customer_show},
    {"customer", "tls", bh_customer_tls},
    {"change", "force", bh_change_forced},
    {"change", "list", bh_changes},
    {"change", "remind", bh_change_reminded},
    {"change", "show", bh_change_show},
    {"credential", "add", bh_credential_add},
    {"credential", "list", bh_credentials},
    {"credential", "revoke", bh_credential_revoked},
    {"customer", "remove", bh_customer_removed},
    {"domain", "add", bh_domain_add},
    {"domain", "remove", bh_domain_removed},
    {"domain", "canary", bh_domain_canary},
    {"domain", "history", bh_domain_history},
    {"domain", "zone-list", bh_zone_records},
    {"domain", "zone-add", bh_zone_records_add},
    {"domain", "zone-remove", bh_zone_records_removed},
    {"domain", "dnssec", bh_domain_dnssec},
    {"domain", "list", bh_domains},
    {"domain", "show", bh_domain_show},
    {"domain", "preview", bh_domain_preview},
    {"domain", "connect", bh_domain_connect},
    {"domain", "zone", bh_domain_zone},
    {"domain", "check", bh_domain_checked},
    {"domain", "checks", bh_domain_checks},
    {"domain", "tls", bh_domain_tls},
    {"flatten", "list", bh_flattens},
    {"flatten", "start", bh_flatten_start},
    {"flatten", "show", bh_flatten_show},
    {"flatten", "refresh", bh_flatten_refreshed},
    {"flatten", "stop", bh_flatten_stop},
    {"flatten", "add-source", bh_flatten_source_add},
    {"flatten", "remove-source", bh_flatten_source_remove},
    {"pool", "list", bh_pools},
    {"pool", "show", bh_pool_show},
    {"pool", "add", bh_pool_add},
    {"pool", "remove", bh_pool_removed},
    {"pool", "address-add", bh_pool_address_add},
    {"pool", "address-remove", bh_pool_address_removed},
    {"pool", "assign", bh_pool_assigned},
    {"token", "add", bh_api_token_add},
    {"token", "list", bh_api_tokens},
    {"token", "revoke", bh_api_token_revoked},
    {"audit", "list", bh_audit_list},
    {"dkim", "import", bh_dkim_import},
    {"key", "list", bh_keys_listed},
    {"key", "show", bh_key_shown},
    {"key", "history", bh_key_history},
    {"key", "rotate", bh_key_rotate},
    {"key", "revoke", bh_key_revoke},
    {"key", "set", bh_key_set},
    {"secret", "again", bh_secret_again},
    {"secret", "status", bh_secret_status},
    {"backup", "start", bh_backup_start},
    {"backup", "status", bh_backup_status},
    {"dns", "stats", bh_dns_stats},
    {"dns", "export", bh_dns_export},
    {"dns", "keys", bh_dns_keys},
    {"dns", "roll", bh_dns_roll},
    {"message", "send", bh_message_send},
    {"queue", "list", NULL},
    {"queue", "show", NULL},
    {"queue", "retry", NULL},
    {"queue", "drop", NULL},
    {"queue", "cancel", NULL},
    {"queue", "hold", NULL},
    {"queue", "holds", NULL},
    {"queue", "release", NULL},
    {"queue", "reroute", NULL},
    {"queue", "unroute", NULL},
    {"queue", "reroutes", NULL},
    {"site", "list", NULL},
    {"site", "show", NULL},
    {"site", "set", NULL},
    {"site", "unset", NULL},
    {"site", "suspend", NULL},
    {"site", "resume", NULL},
    {"schedule", "list", NULL},
    {"schedule", "set", NULL},
    {"schedule", "unset", NULL},
    {"warmup", "list", NULL},
    {"warmup", "start", NULL},
    {"warmup", "stop", NULL},
    {"message", "show", NULL},
    {"suppression", "add", bh_suppression_added},
    {"suppression", "import", bh_suppressions_imported},
    {"suppression", "remove", bh_suppression_removed},
    {"suppression", "check", bh_suppression_checked},
    {"suppression", "list", bh_suppressions},
    {"event", "list", NULL},
    {"event", "ack", NULL},
    {"event", "forget", NULL},
    {"event", "readers", NULL},
};

/* ---- answers ---- */

static void end_command(struct bh_command *command, json_t *answer)
{
    void (*answered)(void *ctx, json_t *answer) = command->answered;
    void *ctx = command->ctx;

    if (command->changes)
        bh_command_audit(command, answer);
    if (command->fd >= 0)
        (void)close(command->fd);
    json_decref(command->request);
    bh_arena_free(command->arena);
    free(command);
    answered(ctx, answer);
}

void bh_command_done(struct bh_command *command, json_t *result)
{
    end_command(command, json_pack("{s:b, s:o}", "ok", 1, "result", result ? result : json_null()));
}

static json_t *failure(const char *code, const char *detail, const char *fix)
{
    return json_pack("{s:b, s:{s:s, s:s, s:s}}", "ok", 0, "error", "code", code, "detail", detail, "fix",
                     fix ? fix : "");
}

void bh_command_fail(struct bh_command *command, const char *code, const char *fix, const char *format, ...)
{
    struct bh_buf text = bh_buf_make(2000);
    json_t *answer;
    va_list args;

    va_start(args, format);
    bh_buf_vprintf(&text, format, args);
    va_end(args);
    bh_buf_char(&text, '\0');
    answer = failure(code, bh_buf_err(&text) ? "?" : text.p, fix);
    if (!answer) /* a stranger's bytes in the text */
        answer = failure(code, "the request is not valid", fix);
    bh_buf_free(&text);
    end_command(command, answer);
}

void bh_command_fail_err(struct bh_command *command, bh_err err, const char *doing)
{
    enum bh_err_class class = bh_err_class(err);

    if (class == BH_CLASS_TEMP)
        bh_command_fail(command, "temporary", "Try again in a moment", "%s: %s", doing, bh_err_text(err));
    else if (err == BH_E_EXISTS)
        bh_command_fail(command, "exists", NULL, "%s: it exists already", doing);
    else
        bh_command_fail(command, err == BH_E_NOT_FOUND ? "not_found" : "failed", NULL, "%s: %s", doing,
                        bh_err_text(err));
}

/* ---- arguments ---- */

bh_str bh_command_str(const struct bh_command *command, const char *name)
{
    const json_t *value = json_object_get(command->args, name);

    if (!json_is_string(value))
        return (bh_str){NULL, 0};
    return bh_str_of(json_string_value(value), json_string_length(value));
}

bh_str bh_command_need(struct bh_command *command, const char *name)
{
    bh_str value = bh_command_str(command, name);

    if (!value.p)
        bh_command_fail(command, "invalid", NULL, "\"%s\" is missing", name);
    return value;
}

int64_t bh_command_int(const struct bh_command *command, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(command->args, name);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool bh_command_knows(struct bh_command *command, const char *const *names)
{
    void *it = json_object_iter((json_t *)(uintptr_t)command->args);

    for (; it; it = json_object_iter_next((json_t *)(uintptr_t)command->args, it)) {
        const char *const *known = names;

        while (*known && strcmp(*known, json_object_iter_key(it)) != 0)
            known++;
        if (!*known) {
            bh_command_fail(command, "invalid", NULL, "\"%s\" is not an argument of this command",
                            json_object_iter_key(it));
            return false;
        }
    }
    return true;
}

bool bh_command_customer(struct bh_command *command, const char *name, struct bh_customer *ret_customer)
{
    bh_str customer = bh_command_need(command, name);
    bh_err err;

    if (!customer.p)
        return false;
    err = bh_customer_by_name(command->core->store, command->arena, customer, ret_customer);
    if (!err && command->token && command->token->customer_id && command->token->customer_id != ret_customer->id)
        err = BH_E_NOT_FOUND;
    if (err == BH_E_NOT_FOUND)
        bh_command_fail(command, "not_found", "behalf customer list shows them; behalf customer add makes one",
                        "there is no customer %.*s", BH_FMT(customer));
    else if (err)
        bh_command_fail_err(command, err, "cannot read the customer");
    return err == BH_OK;
}

bool bh_command_domain(struct bh_command *command, struct bh_domain *ret_domain)
{
    bh_str typed, name;
    struct bh_customer customer = {.id = command->token ? command->token->customer_id : 0};
    bh_err err;

    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return false;
    typed = bh_command_need(command, "domain");
    if (!typed.p)
        return false;
    err = bh_domain_name_normalise(command->arena, typed, &name);
    if (!err)
        err = bh_domain_by_name(command->core->store, command->arena, name, customer.id, ret_domain);
    if (err == BH_E_EXISTS)
        bh_command_fail(command, "invalid", "Say --customer", "several customers have %.*s", BH_FMT(typed));
    else if (err)
        bh_command_fail(command, "not_found", "behalf domain list shows all", "there is no sending domain %.*s",
                        BH_FMT(typed));
    return err == BH_OK;
}

/* ---- running ---- */

static void on_queue_answer(void *ctx, bh_err err, bh_str json)
{
    struct bh_command *command = ctx;
    json_t *answer;

    if (err) {
        bh_command_fail_err(command, err, "the queue did not answer");
        return;
    }
    answer = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
    if (!answer)
        bh_command_fail(command, "failed", NULL, "the queue answered something that is not JSON");
    else
        end_command(command, answer);
}

static void forward(struct bh_command *command)
{
    char *text = json_dumps(command->request, JSON_COMPACT);
    bh_err err = text ? command->core->out->ask_queue(command->core->out_ctx, bh_str_c(text), on_queue_answer, command)
                      : BH_E_NOMEM;

    free(text);
    if (err)
        bh_command_fail_err(command, err, "the queue cannot be asked");
}

static const struct command_row *find_row(const char *noun, const char *verb)
{
    for (size_t i = 0; noun && verb && i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].noun, noun) == 0 && strcmp(rows[i].verb, verb) == 0)
            return &rows[i];
    return NULL;
}

static struct bh_command *new_command(struct bh_controld *core, bh_str json)
{
    struct bh_command *command = calloc(1, sizeof(*command));

    if (!command)
        return NULL;
    command->core = core;
    command->arena = bh_arena_new(BH_COMMAND_ARENA_BYTES);
    command->request = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
    command->args = json_object_get(command->request, "args");
    if (!command->arena) {
        json_decref(command->request);
        free(command);
        return NULL;
    }
    return command;
}

/* What a command may be given by, checked; then its row. */
static void start(struct bh_command *command)
{
    const char *noun = json_string_value(json_object_get(command->request, "noun"));
    const char *verb = json_string_value(json_object_get(command->request, "verb"));
    const struct command_row *row = find_row(noun, verb);

    if (!row) {
        bh_command_fail(command, "invalid", NULL, "no such command");
        return;
    }
    if (!bh_command_fence(command, noun, verb))
        return;
    command->changes = !bh_command_reads(verb) && strcmp(verb, "send") != 0; /* mail has a log of its own */
    if (row->run)
        row->run(command);
    else
        forward(command);
}

void bh_command_run(struct bh_controld *core, bh_str json, int fd, void (*answered)(void *ctx, json_t *answer),
                    void *ctx)
{
    struct bh_command *command = new_command(core, json);

    if (!command) {
        if (fd >= 0)
            (void)close(fd);
        answered(ctx, failure("temporary", "out of memory", "Try again"));
        return;
    }
    command->fd = fd;
    command->answered = answered;
    command->ctx = ctx;
    start(command);
}

void bh_command_run_for(struct bh_controld *core, bh_str secret_hash, bh_str json,
                        void (*answered)(void *ctx, json_t *answer), void *ctx)
{
    struct bh_command *command = new_command(core, json);
    struct bh_api_token *token = command ? bh_arena_alloc(command->arena, sizeof(*token)) : NULL;
    bh_err err;

    if (!command) {
        answered(ctx, failure("temporary", "out of memory", "Try again"));
        return;
    }
    command->fd = -1;
    command->answered = answered;
    command->ctx = ctx;
    err = token ? bh_api_token_by_hash(core->store, command->arena, secret_hash, token) : BH_E_NOMEM;
    if (err == BH_E_NOT_FOUND || (!err && token->revoked_at)) {
        bh_command_fail(command, "unauthorized", "Make a token with `behalf token add`", "this token is not valid");
    } else if (err) {
        bh_command_fail_err(command, err, "cannot read the token");
    } else {
        command->token = token;
        start(command);
    }
}
