/* cmd_tls.c: how strictly a customer or a sending domain wants TLS on the way out. */
#include "command.h"
#include "mail/tls_policy.h"
#include "store/tls_level.h"

static void set_level(struct bh_command *command, int64_t customer, int64_t domain, bh_str name)
{
    bh_str word = bh_command_need(command, "tls");
    enum bh_tls_level level;
    bh_err err;

    if (!word.p)
        return;
    if (!bh_tls_level_parse(word, &level)) {
        bh_command_fail(command, "invalid", "Say opportunistic, required or verified", "\"%.*s\" is no level of TLS",
                        BH_FMT(word));
        return;
    }
    err = bh_tls_level_set(command->core->store, customer, domain, level);
    if (err) {
        bh_command_fail_err(command, err, "cannot store the level of TLS");
        return;
    }
    bh_controld_changed(command->core);
    bh_command_done(command, json_pack("{s:s%, s:s}", "name", name.p, name.n, "tls", bh_tls_level_name(level)));
}

void bh_customer_tls(struct bh_command *command)
{
    static const char *const known[] = {"name", "tls", NULL};
    struct bh_customer customer;

    if (bh_command_knows(command, known) && bh_command_customer(command, "name", &customer))
        set_level(command, customer.id, 0, customer.name);
}

void bh_domain_tls(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "tls", NULL};
    struct bh_domain domain;

    if (bh_command_knows(command, known) && bh_command_domain(command, &domain))
        set_level(command, domain.customer_id, domain.id, domain.name);
}

void bh_command_show_tls(struct bh_command *command, json_t *json, int64_t customer, int64_t domain)
{
    int64_t level = 0;

    if (bh_tls_level_at(command->core->store, customer, domain, &level) == BH_OK && level <= BH_TLS_LEVEL_VERIFIED)
        (void)json_object_set_new(json, "tls", json_string(bh_tls_level_name((enum bh_tls_level)level)));
}
