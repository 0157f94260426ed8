/* send.c: `behalf send`: a message from a file or standard input, by the same checks and the same submit as SMTP. */
#include "commands.h"
#include "control.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MESSAGE_MAX = 100 << 20 };

static const char help[] =
    "usage: behalf send --customer NAME --to ADDRESS [--to ADDRESS …] [--mail-from ADDRESS] [FILE]\n\n"
    "Submits a message, from FILE or standard input (LF is read as CRLF), for a customer, as his login\n"
    "over SMTP would: the same checks, the same refusals. Exit status 75: the daemon does not run or\n"
    "asks to try again.\n";

/* The message as a file without a name, which is handed on by descriptor. */
static int message_file(bh_str bytes)
{
    int fd = memfd_create("message", MFD_CLOEXEC);

    while (fd >= 0 && bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n <= 0) {
            (void)close(fd);
            return -1;
        }
        bytes = bh_str_skip(bytes, (size_t)n);
    }
    return fd;
}

static int send_it(const struct bh_cli *cli, json_t *args, bh_str message)
{
    int fd = message_file(message), status;
    json_t *result;

    if (fd < 0) {
        json_decref(args);
        return bh_cli_fail("send", "cannot hold the message in memory");
    }
    result = bh_control_ask(cli, "message", "send", args, fd, &status);
    (void)close(fd);
    if (!result)
        return status == BH_EXIT_UNAVAILABLE ? BH_EXIT_TEMPFAIL : status;
    if (cli->json)
        bh_cli_print_json(json_incref(result));
    else
        (void)printf("accepted as %s\n", bh_json_text(result, "id"));
    json_decref(result);
    return BH_EXIT_OK;
}

int bh_cli_send(struct bh_cli *cli, int argc, char **argv)
{
    const char *customer = NULL, *mail_from = NULL;
    struct bh_cli_many to = {.count = 0};
    const struct bh_cli_option options[] = {{.name = "customer", .value = &customer},
                                            {.name = "mail-from", .value = &mail_from},
                                            {.name = "to", .many = &to},
                                            {0}};
    struct bh_buf message = bh_buf_make(0);
    json_t *args, *list;
    int status;

    if (!bh_cli_options(cli, &argc, argv, options, help, &status))
        return status;
    if (argc > 2 || !customer || !to.count)
        return bh_cli_fail("send", "needs --customer NAME and --to ADDRESS; see behalf send --help");
    if (bh_cli_read(argc == 2 ? argv[1] : NULL, MESSAGE_MAX, true, &message) != BH_OK)
        return bh_cli_fail("send", "cannot read %s: %m", argc == 2 ? argv[1] : "standard input");
    args = json_pack("{s:s}", "customer", customer);
    bh_json_add(args, "mail_from", mail_from);
    list = json_array();
    for (size_t i = 0; i < to.count; i++)
        (void)json_array_append_new(list, json_string(to.values[i]));
    (void)json_object_set_new(args, "to", list);
    status = send_it(cli, args, bh_buf_view(&message));
    bh_buf_free(&message);
    return status;
}
