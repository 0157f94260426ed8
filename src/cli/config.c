/* config.c: `behalf config check`. */
#include "commands.h"

static const char help[] = "usage: behalf [--config FILE] config check\n\n"
                           "Reads the configuration file and says what is wrong with it, by line. Exit status 0 if\n"
                           "nothing is.\n";

int bh_cli_config(struct bh_cli *cli, int argc, char **argv)
{
    int status;

    if (!bh_cli_options(cli, &argc, argv, NULL, help, &status))
        return status;
    if (argc != 2 || strcmp(argv[1], "check") != 0)
        return bh_cli_fail("config", "say `behalf config check`");
    return bh_cli_fail("config", "cannot read %s", cli->config_path);
}
