/* cmd_credential.c: logins for SMTP submission. A password is 160 random bits that are told once; only its SHA-256 is
 * kept, which suffices because nobody can try out that many. */
#include "base/text.h"
#include "command.h"
#include "report.h"
#include <sodium.h>

enum { PASSWORD_BYTES = 20, USERNAME_MAX = 128 };

static json_t *credential_json(const struct bh_credential *credential)
{
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "id", (json_int_t)credential->id, "customer",
                     bh_json_str(credential->customer), "username", bh_json_str(credential->username), "created_at",
                     bh_json_time(credential->created_at), "revoked_at", bh_json_time(credential->revoked_at));
}

static bh_str random_text(struct bh_command *command, size_t bytes)
{
    struct bh_buf text = bh_buf_make(128);
    char bits[32];
    bh_str copy;

    bh_random_fill(command->core->random, bits, bytes);
    bh_base32_encode(&text, bh_str_of(bits, bytes));
    bh_wipe(bits, sizeof(bits));
    copy = bh_arena_dup(command->arena, bh_buf_view(&text));
    if (text.n)
        bh_wipe(text.p, text.n);
    bh_buf_free(&text);
    return copy;
}

static bool username_ok(bh_str name)
{
    if (name.n == 0 || name.n > USERNAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!bh_is_alnum(name.p[i]) && !strchr("-_.@+", name.p[i]))
            return false;
    return true;
}

void bh_credential_add(struct bh_command *command)
{
    static const char *const known[] = {"customer", "username", NULL};
    struct bh_credential credential = {.created_at = bh_controld_now(command->core)};
    struct bh_customer customer;
    unsigned char hash[crypto_hash_sha256_BYTES];
    bh_str password;
    json_t *json;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_customer(command, "customer", &customer))
        return;
    credential.customer = customer.name;
    credential.username = bh_command_str(command, "username");
    if (!credential.username.p)
        credential.username = bh_arena_printf(command->arena, "%.*s-%.*s", BH_FMT(customer.name),
                                              BH_FMT(bh_str_sub(random_text(command, 5), 0, 8)));
    if (!username_ok(credential.username)) {
        bh_command_fail(command, "invalid", "Use letters, digits and - _ . @ +", "\"%.*s\" cannot be a user name",
                        BH_FMT(credential.username));
        return;
    }
    password = random_text(command, PASSWORD_BYTES);
    (void)crypto_hash_sha256(hash, (const unsigned char *)password.p, password.n);
    err = bh_credential_insert(command->core->store, customer.id, credential.username,
                               bh_str_of((const char *)hash, sizeof(hash)), credential.created_at, &credential.id);
    if (err == BH_E_EXISTS) {
        bh_command_fail(command, "exists", "Choose another; one that was revoked is not given again",
                        "the user name %.*s is taken", BH_FMT(credential.username));
        return;
    }
    if (err) {
        bh_command_fail_err(command, err, "cannot store the credential");
        return;
    }
    json = credential_json(&credential);
    (void)json_object_set_new(json, "password", bh_json_str(password));
    bh_wipe((char *)(uintptr_t)password.p, password.n);
    bh_controld_changed(command->core);
    bh_command_done(command, json);
}

static bool add_credential(void *ctx, const struct bh_credential *credential)
{
    (void)json_array_append_new(ctx, credential_json(credential));
    return true;
}

void bh_credentials(struct bh_command *command)
{
    static const char *const known[] = {"customer", "limit", NULL};
    struct bh_customer customer = {.id = 0};
    json_t *list;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return;
    list = json_array();
    err = bh_credential_list(command->core->store, customer.id, bh_command_int(command, "limit", 10000), add_credential,
                             list);
    if (err) {
        json_decref(list);
        bh_command_fail_err(command, err, "cannot read the credentials");
    } else {
        bh_command_done(command, list);
    }
}

void bh_credential_revoked(struct bh_command *command)
{
    static const char *const known[] = {"username", "customer", NULL};
    struct bh_customer customer = {.id = 0};
    struct bh_credential credential;
    bh_str username;
    bh_err err;

    if (!bh_command_knows(command, known))
        return;
    if (bh_command_str(command, "customer").p && !bh_command_customer(command, "customer", &customer))
        return;
    username = bh_command_need(command, "username");
    if (!username.p)
        return;
    err = bh_credential_by_username(command->core->store, command->arena, username, &credential);
    if (!err && customer.id && customer.id != credential.customer_id)
        err = BH_E_NOT_FOUND;
    if (!err)
        err = bh_credential_revoke(command->core->store, username, bh_controld_now(command->core));
    if (err == BH_E_NOT_FOUND) {
        bh_command_fail(command, "not_found", "behalf credential list shows them", "no valid credential %.*s",
                        BH_FMT(username));
    } else if (err) {
        bh_command_fail_err(command, err, "cannot revoke the credential");
    } else {
        bh_controld_changed(command->core);
        bh_command_done(command, json_pack("{s:o, s:b}", "username", bh_json_str(username), "revoked", 1));
    }
}
