/* commands.h: the table of subcommands, one line each, in the order of `behalf --help`. Every cli/<noun>.c includes it,
 * which checks its bh_cli_<noun> against the table. */
#ifndef BH_CLI_COMMANDS_H
#define BH_CLI_COMMANDS_H

#include "cli.h"

/* one line per command, so that two changes do not meet */
/* clang-format off */
#define BH_COMMANDS(X)                                                                                                 \
    X("Running it", "serve", bh_cli_serve, "start the service in the foreground")                                      \
    X("Running it", "init", bh_cli_init, "make the state directory, the master secret, the databases")                 \
    X("Running it", "migrate", bh_cli_migrate, "bring the databases to this build's version")                          \
    X("Running it", "config", bh_cli_config, "check a configuration file")                                             \
    X("Running it", "backup", bh_cli_backup, "write the state of the running service into a directory")                \
    X("Running it", "restore", bh_cli_restore, "bring that state back")                                                \
    X("Running it", "secret", bh_cli_secret, "the master secret: exchange it, see how far that is")                    \
    X("Customers", "customer", bh_cli_customer, "customers: add, show, contacts, what they were told")                                           \
    X("Customers", "domain", bh_cli_domain, "sending domains: add, records, check, show")                              \
    X("Customers", "credential", bh_cli_credential, "logins for SMTP submission")                                      \
    X("Customers", "change", bh_cli_change, "planned changes that wait for customers to edit records")                  \
    X("Customers", "pool", bh_cli_pool, "the addresses that mail leaves from")                                         \
    X("Customers", "key", bh_cli_key, "DKIM keys: list, rotate, revoke, history")                                       \
    X("Customers", "token", bh_cli_token, "tokens of the HTTP API")                                                   \
    X("Mail", "send", bh_cli_send, "submit a message from a file or standard input")                                   \
    X("Mail", "sendmail", bh_cli_sendmail, "the same, as programs call sendmail(8)")                                   \
    X("Mail", "queue", bh_cli_queue, "what waits: list, retry, drop, hold, cancel, reroute")                              \
    X("Mail", "site", bh_cli_site, "how destinations are treated: limits, back-off, suspend")                           \
    X("Mail", "schedule", bh_cli_schedule, "when it is tried again, per customer and kind of reply")                    \
    X("Mail", "warmup", bh_cli_warmup, "new source addresses, day by day")                                             \
    X("Mail", "message", bh_cli_message, "a message's life")                                                           \
    X("Mail", "event", bh_cli_event, "the event log")                                                                  \
    X("Mail", "suppression", bh_cli_suppression, "addresses that get no mail: add, remove, import")                    \
    X("Checking", "dmarc", bh_cli_dmarc, "evaluate a message's identities, lint a record (RFC 9989)")                  \
    X("Checking", "spf", bh_cli_spf, "check a client, lint or explain a record (RFC 7208)")                             \
    X("Checking", "verify", bh_cli_verify, "judge a message as a receiver does")                                       \
    X("Checking", "dkim", bh_cli_dkim, "sign, verify, make keys (RFC 6376)")                                           \
    X("Checking", "arc", bh_cli_arc, "verify and seal chains of forwarders (RFC 8617)")                                \
    X("Checking", "bounce", bh_cli_bounce, "read a bounce or complaint, judge an SMTP reply")                           \
    X("Checking", "dns", bh_cli_dns, "answer from zone files, or serve them")                                          \
    /* end */
/* clang-format on */

#define BH_COMMAND_DECLARE(group, noun, run, summary) bh_cli_run run;
BH_COMMANDS(BH_COMMAND_DECLARE)
#undef BH_COMMAND_DECLARE

/* pool.c: `behalf customer|domain set --pool`. */
int bh_cli_pool_assign(const struct bh_cli *cli, const char *pool, const char *customer, const char *domain);

#endif
