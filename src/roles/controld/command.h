/* command.h: the commands on customers, domains, credentials, messages: what the CLI says through the control socket
 * and what the HTTP API will say. One table (command.c), one file per noun.
 *
 * A request is {"noun": …, "verb": …, "args": {…}}; the answer {"ok": true, "result": …} or {"ok": false, "error":
 * {"code", "detail", "fix"}}. A command answers exactly once, at once or later, and is gone then. Unknown arguments are
 * refused by name. */
#ifndef BH_CONTROLD_COMMAND_H
#define BH_CONTROLD_COMMAND_H

#include "core.h"

struct bh_command {
    struct bh_controld *core;
    struct bh_arena *arena; /* its own */
    json_t *request;
    const json_t *args;
    const struct bh_api_token *token;            /* whose right it is; NULL: the operator at the control socket */
    bool changes;                                /* and is written to the audit log */
    int fd;                                      /* -1: none came with it; owned */
    void (*answered)(void *ctx, json_t *answer); /* takes the reference */
    void *ctx;
};

enum { BH_COMMAND_ARENA_BYTES = 32 << 20 };

/* Runs the command in `json`. `fd` (or -1) is taken over. `answered` is called once, perhaps before this returns. */
void bh_command_run(struct bh_controld *core, bh_str json, int fd, void (*answered)(void *ctx, json_t *answer),
                    void *ctx);

/* The same in the name of a token, fenced by it (fence.c): a customer's token sees and changes what is the customer's,
 * by the commands that are open to customers; anything else does not exist for it. */
void bh_command_run_for(struct bh_controld *core, bh_str secret_hash, bh_str json,
                        void (*answered)(void *ctx, json_t *answer), void *ctx);
/* fence.c: false after ending the command, which is not the token's to give. */
bool bh_command_fence(struct bh_command *command, const char *noun, const char *verb);
/* audit.c: a command that only reads. */
bool bh_command_reads(const char *verb);
/* Writes what was done; `answer` as it will be given. */
void bh_command_audit(const struct bh_command *command, const json_t *answer);

/* ---- for the files of nouns ---- */

/* Each ends the command. `result` is a new reference; NULL becomes null. */
void bh_command_done(struct bh_command *command, json_t *result);
void bh_command_fail(struct bh_command *command, const char *code, const char *fix, const char *format, ...)
    BH_PRINTF(4, 5);
/* For errors of the store and other roles: "temporary", "not_found" … by class. */
void bh_command_fail_err(struct bh_command *command, bh_err err, const char *doing);

/* A string argument; {NULL, 0} where there is none. */
bh_str bh_command_str(const struct bh_command *command, const char *name);
/* The same, but its absence has ended the command: then p is NULL. */
bh_str bh_command_need(struct bh_command *command, const char *name);
int64_t bh_command_int(const struct bh_command *command, const char *name, int64_t otherwise);
/* False after ending the command: an argument is not in the list (NULL ends). */
bool bh_command_knows(struct bh_command *command, const char *const *names);
/* The customer of argument `name`; false after ending the command. */
bool bh_command_customer(struct bh_command *command, const char *name, struct bh_customer *ret_customer);
/* The domain of argument "domain", of "customer" where that is given; false after ending the command. */
bool bh_command_domain(struct bh_command *command, struct bh_domain *ret_domain);

typedef void bh_command_verb(struct bh_command *command);
bh_command_verb bh_domain_canary, bh_domain_history, bh_customer_removed, bh_domain_removed;
bh_command_verb bh_zone_records, bh_zone_records_add, bh_zone_records_removed;
bh_command_verb bh_customer_add, bh_customer_set, bh_customer_show, bh_customers, bh_notices;
bh_command_verb bh_changes, bh_change_show, bh_change_reminded, bh_change_forced;
bh_command_verb bh_credential_add, bh_credential_revoked, bh_credentials;
bh_command_verb bh_domain_add, bh_domains, bh_domain_show, bh_domain_zone, bh_domain_checked, bh_domain_checks;
bh_command_verb bh_domain_preview, bh_domain_connect;
bh_command_verb bh_api_token_add, bh_api_tokens, bh_api_token_revoked, bh_audit_list;
bh_command_verb bh_dkim_import;
bh_command_verb bh_flattens, bh_flatten_start, bh_flatten_show, bh_flatten_refreshed, bh_flatten_stop,
    bh_flatten_source_add, bh_flatten_source_remove;
bh_command_verb bh_pools, bh_pool_show, bh_pool_add, bh_pool_removed, bh_pool_address_add, bh_pool_address_removed,
    bh_pool_assigned;
bh_command_verb bh_dns_stats, bh_dns_export, bh_dns_keys, bh_dns_roll, bh_domain_dnssec;
bh_command_verb bh_keys_listed, bh_key_shown, bh_key_history, bh_key_rotate, bh_key_revoke, bh_key_set;
bh_command_verb bh_backup_start, bh_backup_status;
bh_command_verb bh_message_send, bh_secret_again, bh_secret_status;
bh_command_verb bh_suppression_added, bh_suppressions_imported, bh_suppression_removed, bh_suppression_checked,
    bh_suppressions;

bh_command_verb bh_customer_tls, bh_domain_tls;

/* cmd_tls.c: adds "tls" to what `show` says. */
void bh_command_show_tls(struct bh_command *command, json_t *json, int64_t customer, int64_t domain);

#endif
