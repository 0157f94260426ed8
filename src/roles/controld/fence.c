/* fence.c: what a customer's token may do. The one place where the API's objects are fenced by customer.
 *
 * A command that is not in the table does not exist for a customer, so a new one is closed until somebody has thought
 * about it. One that is in the table gets the customer as an argument, whatever was asked for, and honours it:
 *
 *   CUSTOMER  args.customer is set to the token's customer; NAME: args.name, for commands on the customer itself.
 *             Where another was named, there is none
 *   ID     args.customer_id is, for commands that queued executes: it knows customers by number
 *   OPEN   nothing of anybody's is read or changed
 *
 * bh_command_customer and bh_command_domain look at the token again, so a verb that forgets its argument still finds no
 * other customer's domain. An operator's token is fenced by its scopes alone. */
#include "command.h"

enum fence { BY_CUSTOMER, BY_NAME, BY_ID, OPEN };

static const struct {
    const char *noun;
    const char *verb;
    enum fence fence;
    unsigned scope; /* one of them is needed */
} open_to_customers[] = {
    {"customer", "show", BY_NAME, BH_API_READ | BH_API_ADMIN},
    {"customer", "notices", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"credential", "add", BY_CUSTOMER, BH_API_ADMIN},
    {"credential", "list", BY_CUSTOMER, BH_API_ADMIN},
    {"credential", "revoke", BY_CUSTOMER, BH_API_ADMIN},
    {"token", "add", BY_CUSTOMER, BH_API_ADMIN},
    {"token", "list", BY_CUSTOMER, BH_API_ADMIN},
    {"token", "revoke", BY_CUSTOMER, BH_API_ADMIN},
    {"audit", "list", BY_CUSTOMER, BH_API_ADMIN},
    {"customer", "set", BY_NAME, BH_API_ADMIN},
    {"domain", "add", BY_CUSTOMER, BH_API_ADMIN},
    {"domain", "remove", BY_CUSTOMER, BH_API_ADMIN},
    {"domain", "canary", BY_CUSTOMER, BH_API_ADMIN},
    {"domain", "history", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"domain", "dnssec", BY_CUSTOMER, BH_API_ADMIN},
    {"domain", "connect", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"domain", "preview", OPEN, BH_API_READ | BH_API_ADMIN},
    {"domain", "zone-list", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"domain", "zone-add", BY_CUSTOMER, BH_API_ADMIN},
    {"domain", "zone-remove", BY_CUSTOMER, BH_API_ADMIN},
    {"domain", "tls", BY_CUSTOMER, BH_API_ADMIN},
    {"key", "list", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"key", "show", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"key", "history", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"key", "rotate", BY_CUSTOMER, BH_API_ADMIN},
    {"key", "revoke", BY_CUSTOMER, BH_API_ADMIN},
    {"flatten", "list", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"flatten", "show", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"flatten", "start", BY_CUSTOMER, BH_API_ADMIN},
    {"flatten", "stop", BY_CUSTOMER, BH_API_ADMIN},
    {"queue", "list", BY_ID, BH_API_READ},
    {"queue", "cancel", BY_ID, BH_API_SEND},
    {"domain", "list", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"domain", "show", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"domain", "zone", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"domain", "check", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"domain", "checks", BY_CUSTOMER, BH_API_READ | BH_API_ADMIN},
    {"message", "show", BY_ID, BH_API_READ},
    {"event", "list", BY_ID, BH_API_READ},
};

static const unsigned any_read = BH_API_READ | BH_API_ADMIN;

/* False: another customer was named, who does not exist for this token. */
static bool set_customer(struct bh_command *command, enum fence fence)
{
    static const char *const names[] = {"customer", "name", "customer_id"};
    json_t *args = (json_t *)(uintptr_t)command->args, *value, *asked;
    bool same;

    if (fence == OPEN)
        return true;
    asked = json_object_get(args, names[fence]);
    value = fence == BY_ID ? json_integer(command->token->customer_id)
                           : json_stringn(command->token->customer.p, command->token->customer.n);
    same = !asked || json_equal(asked, value);
    (void)json_object_set_new(args, names[fence], value);
    return same;
}

static bool lacks_scope(struct bh_command *command)
{
    bh_command_fail(command, "forbidden", "Make a token with the scope that it needs: behalf token add --scope",
                    "this token's scopes do not cover it");
    return false;
}

bool bh_command_fence(struct bh_command *command, const char *noun, const char *verb)
{
    const struct bh_api_token *token = command->token;

    if (!token)
        return true;
    if (!json_is_object(command->args)) {
        (void)json_object_set_new(command->request, "args", json_object());
        command->args = json_object_get(command->request, "args");
    }
    if (!token->customer_id) {
        if (token->scopes & (bh_command_reads(verb) ? any_read : (unsigned)BH_API_ADMIN))
            return true;
        return lacks_scope(command);
    }
    for (size_t i = 0; i < sizeof(open_to_customers) / sizeof(open_to_customers[0]); i++) {
        if (strcmp(open_to_customers[i].noun, noun) != 0 || strcmp(open_to_customers[i].verb, verb) != 0)
            continue;
        if (!(token->scopes & open_to_customers[i].scope))
            return lacks_scope(command);
        if (set_customer(command, open_to_customers[i].fence))
            return true;
        bh_command_fail(command, "not_found", NULL, "there is no such customer");
        return false;
    }
    bh_command_fail(command, "forbidden", "Use an operator's token", "a customer's token may not do this");
    return false;
}
