/* serve.c: `behalf serve`. */
#include "commands.h"
#include "roles/master/master.h"

static const char help[] =
    "usage: behalf [--config FILE] serve\n\n"
    "Starts behalf and stays in the foreground: the supervisor and one process per role. SIGTERM\n"
    "drains and ends it, SIGHUP reads the configuration again. Logs go to standard error.\n";

int bh_cli_serve(struct bh_cli *cli, int argc, char **argv)
{
    int status;

    if (!bh_cli_options(cli, &argc, argv, NULL, help, &status))
        return status;
    if (argc != 1)
        return bh_cli_fail("serve", "takes no operand");
    return bh_master_run(cli->program, cli->config_path);
}
