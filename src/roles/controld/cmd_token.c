/* cmd_token.c: tokens of the HTTP API. A token is "bh_live_" and 160 random bits, told once; only its SHA-256 is kept,
 * which suffices because nobody can try out that many. A customer's token makes tokens of that customer only, and none
 * with more scopes than its own. */
#include "base/text.h"
#include "command.h"
#include "report.h"
#include <sodium.h>

enum { TOKEN_BYTES = 20, TOKEN_NAME_MAX = 100, ADDRESSES_MAX = 1000, RATE_MAX = 100000 };

static const struct {
    const char *name;
    unsigned bit;
} scope_names[] = {{"send", BH_API_SEND}, {"read", BH_API_READ}, {"admin", BH_API_ADMIN}};

enum { SCOPES = sizeof(scope_names) / sizeof(scope_names[0]) };

static json_t *token_json(const struct bh_api_token *token)
{
    json_t *scopes = json_array();

    for (size_t i = 0; i < SCOPES; i++)
        if (token->scopes & scope_names[i].bit)
            (void)json_array_append_new(scopes, json_string(scope_names[i].name));
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "id", (json_int_t)token->id, "customer",
                     token->customer.n ? bh_json_str(token->customer) : json_null(), "name", bh_json_str(token->name),
                     "scopes", scopes, "addresses", bh_json_str(token->addresses), "rate", (json_int_t)token->rate,
                     "created_at", bh_json_time(token->created_at), "revoked_at", bh_json_time(token->revoked_at));
}

/* The set of a list of names; 0 after ending the command. */
static unsigned take_scopes(struct bh_command *command)
{
    const json_t *list = json_object_get(command->args, "scopes");
    unsigned scopes = 0, most = command->token ? command->token->scopes : BH_API_SEND | BH_API_READ | BH_API_ADMIN;

    if (!list)
        scopes = most & (BH_API_SEND | BH_API_READ);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        unsigned bit = 0;

        for (size_t k = 0; name && k < SCOPES; k++)
            if (strcmp(name, scope_names[k].name) == 0)
                bit = scope_names[k].bit;
        if (!bit) {
            bh_command_fail(command, "invalid", "Scopes are send, read and admin", "\"%s\" is no scope",
                            name ? name : "?");
            return 0;
        }
        scopes |= bit;
    }
    if (scopes && !(scopes & ~most))
        return scopes;
    bh_command_fail(command, scopes ? "forbidden" : "invalid", "Scopes are send, read and admin",
                    scopes ? "a token cannot give scopes that it lacks" : "a token needs a scope");
    return 0;
}

static bool texts_fit(struct bh_command *command, const struct bh_api_token *token)
{
    for (size_t i = 0; i < token->name.n; i++)
        if ((unsigned char)token->name.p[i] < ' ')
            return bh_command_fail(command, "invalid", NULL, "a name is one line of text"), false;
    if (token->name.n <= TOKEN_NAME_MAX && token->addresses.n <= ADDRESSES_MAX && token->rate >= 0 &&
        token->rate <= RATE_MAX)
        return true;
    bh_command_fail(command, "limit", NULL, "name, addresses or rate is too large");
    return false;
}

static bh_str make_secret(struct bh_command *command, unsigned char hash[crypto_hash_sha256_BYTES])
{
    struct bh_buf text = bh_buf_make(128);
    char bits[TOKEN_BYTES];
    bh_str copy;

    bh_random_fill(command->core->random, bits, sizeof(bits));
    bh_buf_add(&text, BH_STR("bh_live_"));
    bh_base32_encode(&text, bh_str_of(bits, sizeof(bits)));
    bh_wipe(bits, sizeof(bits));
    copy = bh_arena_dup(command->arena, bh_buf_view(&text));
    (void)crypto_hash_sha256(hash, (const unsigned char *)copy.p, copy.n);
    if (text.n)
        bh_wipe(text.p, text.n);
    bh_buf_free(&text);
    return copy;
}

void bh_api_token_add(struct bh_command *command)
{
    static const char *const known[] = {"customer", "name", "scopes", "addresses", "rate", NULL};
    struct bh_api_token token = {.created_at = bh_controld_now(command->core),
                                 .rate = bh_command_int(command, "rate", 0)};
    struct bh_customer customer = {.name = {"", 0}};
    unsigned char hash[crypto_hash_sha256_BYTES];
    bh_str secret, text;
    json_t *json;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return;
    token.customer_id = customer.id;
    token.customer = customer.name;
    text = bh_command_str(command, "name");
    token.name = text.p ? text : BH_STR("");
    text = bh_command_str(command, "addresses");
    token.addresses = text.p ? text : BH_STR("");
    token.scopes = take_scopes(command);
    if (!token.scopes || !texts_fit(command, &token))
        return;
    secret = make_secret(command, hash);
    token.secret_hash = bh_str_of((const char *)hash, sizeof(hash));
    err = secret.p ? bh_api_token_insert(command->core->store, &token, &token.id) : BH_E_NOMEM;
    if (err) {
        bh_command_fail_err(command, err, "cannot store the token");
        return;
    }
    json = token_json(&token);
    (void)json_object_set_new(json, "token", bh_json_str(secret));
    bh_wipe((char *)(uintptr_t)secret.p, secret.n);
    bh_command_done(command, json);
}

static void add_token(void *ctx, const struct bh_api_token *token)
{
    (void)json_array_append_new(ctx, token_json(token));
}

void bh_api_tokens(struct bh_command *command)
{
    static const char *const known[] = {"customer", "after", "limit", NULL};
    struct bh_customer customer = {.id = 0};
    json_t *list;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return;
    list = json_array();
    err = bh_api_token_list(command->core->store, customer.id, bh_command_int(command, "after", 0),
                            bh_command_int(command, "limit", 10000), add_token, list);
    if (err) {
        json_decref(list);
        bh_command_fail_err(command, err, "cannot read the tokens");
    } else {
        bh_command_done(command, list);
    }
}

void bh_api_token_revoked(struct bh_command *command)
{
    static const char *const known[] = {"customer", "id", NULL};
    struct bh_customer customer = {.id = 0};
    int64_t id = bh_command_int(command, "id", 0);
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return;
    err = bh_api_token_revoke(command->core->store, id, customer.id, bh_controld_now(command->core));
    if (err == BH_E_NOT_FOUND) {
        bh_command_fail(command, "not_found", "behalf token list shows them", "there is no valid token %lld",
                        (long long)id);
    } else if (err) {
        bh_command_fail_err(command, err, "cannot revoke the token");
    } else {
        bh_controld_changed(command->core);
        bh_command_done(command, json_pack("{s:I, s:b}", "id", (json_int_t)id, "revoked", 1));
    }
}
