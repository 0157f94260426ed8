/* cmd_backup.c: has the databases copied by their owners, one after the other: the spool first, so that what its
 * messages refer to, customers, domains, keys, is in the copy of control.db that is made after it. `behalf backup`
 * begins it, asks how far it is, and collects the copies. */
#include "command.h"
#include "report.h"

static const enum bh_role_kind owners[] = {BH_ROLE_QUEUED, BH_ROLE_CONTROLD, BH_ROLE_STEWARD};

static void next(struct bh_controld *core);

static void end(struct bh_controld *core, bh_err err)
{
    core->backup.running = false;
    core->backup.failed = err != BH_OK;
    core->out->log(core->out_ctx, err ? BH_LOG_ERROR : BH_LOG_INFO,
                   err ? "the databases could not be copied" : "the databases were copied",
                   bh_str_c(err ? bh_err_text(err) : "behalf backup"));
}

static void on_copied(void *ctx, bh_err err)
{
    struct bh_controld *core = ctx;

    core->backup.at++;
    if (err || core->backup.at == sizeof(owners) / sizeof(owners[0]))
        end(core, err);
    else
        next(core);
}

static void next(struct bh_controld *core)
{
    bh_err err = core->out->snapshot(core->out_ctx, owners[core->backup.at], on_copied, core);

    if (err)
        end(core, err);
}

void bh_backup_start(struct bh_command *command)
{
    static const char *const known[] = {NULL};
    struct bh_controld *core = command->core;

    if (!bh_command_knows(command, known))
        return;
    if (core->backup.running) {
        bh_command_fail(command, "temporary", "Wait for it to end", "another backup is being made");
        return;
    }
    core->backup.running = true;
    core->backup.at = 0;
    core->backup.number++;
    next(core);
    bh_command_done(command, json_pack("{s:I}", "backup", (json_int_t)core->backup.number));
}

void bh_backup_status(struct bh_command *command)
{
    static const char *const known[] = {NULL};
    const struct bh_controld *core = command->core;

    if (bh_command_knows(command, known))
        bh_command_done(command, json_pack("{s:I, s:b, s:b}", "backup", (json_int_t)core->backup.number, "running",
                                           core->backup.running, "failed", core->backup.failed));
}
