/* dkim_import.c: `behalf dkim import`: a key that is published already comes into the daemon, by file descriptor, so
 * that no process but keyd reads it. */
#include "dkim_import.h"
#include "commands.h"
#include "control.h"
#include <fcntl.h>
#include <unistd.h>

int bh_cli_dkim_import(const struct bh_cli *cli, const char *domain, const char *customer, const char *selector,
                       const char *path)
{
    json_t *args, *result;
    int fd, status;

    if (!domain || !selector || !path)
        return bh_cli_fail("dkim", "import needs --domain NAME, --selector NAME and FILE");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return bh_cli_fail("dkim", "cannot read %s: %m", path);
    args = json_pack("{s:s, s:s}", "domain", domain, "selector", selector);
    bh_json_add(args, "customer", customer);
    result = bh_control_ask(cli, "dkim", "import", args, fd, &status);
    (void)close(fd);
    if (!result)
        return status;
    if (cli->json)
        bh_cli_print_json(json_incref(result));
    else
        (void)printf("imported %s key at %s._domainkey.%s; it is %s now\nrecord: %s\n",
                     bh_json_text(result, "algorithm"), bh_json_text(result, "selector"),
                     bh_json_text(result, "domain"), bh_json_text(result, "state"), bh_json_text(result, "record"));
    json_decref(result);
    return BH_EXIT_OK;
}
