/* cmd_canary.c: `domain canary`: a canary now; the command ends with its verdict. */
#include "canary.h"
#include "command.h"
#include "report.h"

static void on_verdict(void *ctx, int64_t id)
{
    struct bh_command *command = ctx;
    struct bh_canary canary;
    bh_err err = bh_canary_by_id(command->core->store, command->arena, id, &canary);

    if (err) {
        bh_command_fail_err(command, err, "cannot read the verdict");
        return;
    }
    if (!canary.judged_at) {
        bh_command_fail(command, "temporary", "behalf domain history NAME will tell", "the canary is still on its way");
        return;
    }
    bh_command_done(command,
                    json_pack("{s:b, s:s, s:o, s:o, s:o}", "passed", canary.passed, "aligned",
                              bh_mechanism_name(canary.aligned), "detail", bh_json_str(canary.detail), "sent_at",
                              bh_json_time(canary.sent_at), "judged_at", bh_json_time(canary.judged_at)));
}

void bh_domain_canary(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", NULL};
    struct bh_controld *core = command->core;
    struct bh_domain domain;
    int64_t canary = 0;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_domain(command, &domain))
        return;
    if (!domain.can_send) {
        bh_command_fail(command, "invalid", "behalf domain check tells what is missing",
                        "%.*s cannot send, so it cannot send a canary either", BH_FMT(domain.name));
        return;
    }
    err = bh_canary_send(core, domain.id, &canary);
    if (!err)
        err = bh_canary_wait(core, canary, on_verdict, command);
    if (err)
        bh_command_fail_err(command, err, "cannot send a canary");
    else
        core->out->wake(core->out_ctx, 1000);
}
