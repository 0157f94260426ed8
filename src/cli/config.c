/* config.c: `behalf config check`. */
#include "commands.h"
#include "roles/master/config_file.h"

static const char help[] =
    "usage: behalf [--config FILE] config check\n\n"
    "Reads the configuration file and says what is wrong with it. Exit status 0 if nothing is.\n";

int bh_cli_config(struct bh_cli *cli, int argc, char **argv)
{
    struct bh_buf problems = bh_buf_make(1 << 16);
    struct bh_config *config = NULL;
    int status;
    bh_err err;

    if (!bh_cli_options(cli, &argc, argv, NULL, help, &status))
        return status;
    if (argc != 2 || strcmp(argv[1], "check") != 0)
        return bh_cli_fail("config", "say `behalf config check`");
    err = bh_config_file_read(cli->config_path, &config, &problems);
    if (err)
        (void)fprintf(stderr, "%.*s", BH_FMT(bh_buf_view(&problems)));
    else if (cli->json)
        bh_cli_print_json(json_pack("{s:b,s:s}", "ok", 1, "file", cli->config_path));
    else
        (void)printf("%s: ok\n", cli->config_path);
    bh_buf_free(&problems);
    bh_config_free(config);
    return err ? BH_EXIT_USAGE : BH_EXIT_OK;
}
