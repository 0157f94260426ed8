/* main.c: behalf(1). The table of subcommands and the global options; everything else is in cli/<noun>.c. */
#include "cli.h"
#include "commands.h"
#include <stdlib.h>

static const struct bh_cli_command commands[] = {
#define BH_COMMAND(group, noun, run, summary) {noun, run, summary, group},
    BH_COMMANDS(BH_COMMAND)
#undef BH_COMMAND
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_help(void)
{
    const char *group = "";

    (void)printf("behalf: send email in your customers' names, with DMARC passing\n\n"
                 "usage: behalf [--config FILE] [--json] COMMAND [ARGUMENTS]\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(group, commands[i].group) != 0)
            (void)printf("\n%s\n", group = commands[i].group);
        (void)printf("  %-12s %s\n", commands[i].noun, commands[i].summary);
    }
    (void)printf("\n`behalf COMMAND --help` says more, and so does man behalf-COMMAND.\n");
}

/* Takes the global options off the front. Returns the index of the noun, 0 after --help or --version, -1 if wrong. */
static int parse_globals(struct bh_cli *cli, int argc, char **argv)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            cli->json = true;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            cli->config_path = argv[++i];
        } else if (strncmp(argv[i], "--config=", 9) == 0) {
            cli->config_path = argv[i] + 9;
        } else if (strcmp(argv[i], "--version") == 0) {
            (void)printf("behalf %s\n", BH_VERSION);
            return 0;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            return 0;
        } else {
            (void)fprintf(stderr, "behalf: unknown option %s; see behalf --help\n", argv[i]);
            return -1;
        }
    }
    if (i == argc) {
        (void)fprintf(stderr, "behalf: no command given; see behalf --help\n");
        return -1;
    }
    return i;
}

/* Installed as a symbolic link of that name it is sendmail(8), whose options are its own. */
static bool is_called_sendmail(const char *program)
{
    const char *slash = strrchr(program ? program : "", '/');

    return program && strcmp(slash ? slash + 1 : program, "sendmail") == 0;
}

int main(int argc, char **argv)
{
    struct bh_cli cli = {.program = argv[0], .config_path = getenv("BEHALF_CONFIG")};
    int at;

    if (!cli.config_path || !*cli.config_path)
        cli.config_path = "/etc/behalf/behalf.conf";
    if (is_called_sendmail(argv[0]))
        return bh_cli_sendmail(&cli, argc, argv);
    at = parse_globals(&cli, argc, argv);
    if (at <= 0)
        return at ? BH_EXIT_USAGE : BH_EXIT_OK;
    if (strcmp(argv[at], "help") == 0) {
        print_help();
        return BH_EXIT_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[at], commands[i].noun) == 0)
            return commands[i].run(&cli, argc - at, argv + at);
    (void)fprintf(stderr, "behalf: no command '%s'; see behalf --help\n", argv[at]);
    return BH_EXIT_USAGE;
}
