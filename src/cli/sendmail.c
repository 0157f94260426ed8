/* sendmail.c: `behalf sendmail`, and behalf called as sendmail: what programs expect of sendmail(8). The message goes
 * the way of `behalf send`: the same checks, the same refusals; nothing is queued without the daemon. Options that mean
 * nothing here are taken and ignored, as others do. Exit statuses are those of sysexits.h. */
#include "commands.h"
#include "control.h"
#include "proto/mime/address.h"
#include "proto/mime/header.h"
#include <pwd.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

enum { MESSAGE_MAX = 100 << 20, RECIPIENTS_MAX = 1000, FIELDS_MAX = 5000, HEADER_MAX = 1 << 20 };

static const char help[] =
    "usage: behalf sendmail [-t] [-i] [-f ADDRESS] [-F NAME] [-N NOTIFY] [-R full|hdrs] [-V ENVID]\n"
    "                       [--customer NAME] [ADDRESS ...]\n"
    "\n"
    "Submits the message on standard input, as sendmail(8) does. Also what behalf is when it is called by\n"
    "the name sendmail. Without --customer the owner of the From domain sends.\n"
    "\n"
    "  -t            recipients are those in To, Cc and Bcc\n"
    "  -i, -oi       a line with a dot alone does not end the message\n"
    "  -f, -r ADDR   the sender's address; From where the message has none\n"
    "  -F NAME       the name in that From\n"
    "  -N WORDS      never, or some of success,failure,delay: what is to be told of the delivery\n"
    "  -R WORD       full or hdrs: what of the message goes along\n"
    "  -V ENVID      what such a notice names\n"
    "  -bp           list the queue; -bs and others are not understood, other options are ignored\n"
    "\n"
    "Exit status: 0 taken, 64 usage, 65 the message is refused as it is, 69 refused, 75 the daemon does not\n"
    "run or asks to try again.\n";

struct request {
    bool by_header, dots, list_queue, show_help;
    const char *from, *name, *notify, *ret, *envid, *customer;
    const char *to[RECIPIENTS_MAX];
    size_t to_count;
};

static int usage(const char *text, const char *argument)
{
    (void)fprintf(stderr, "sendmail: %s%s; see behalf sendmail --help\n", text, argument);
    return EX_USAGE;
}

/* ---- options ---- */

/* Where a letter's value goes; NULL: it takes none, or none that matters. */
static const char **place_of(struct request *r, char letter, const char **ret_ignored)
{
    switch (letter) {
    case 'f':
    case 'r':
        return &r->from;
    case 'F':
        return &r->name;
    case 'N':
        return &r->notify;
    case 'R':
        return &r->ret;
    case 'V':
        return &r->envid;
    case 'B': /* body type: we look ourselves */
    case 'h':
    case 'L':
    case 'p':
    case 'X':
    case 'C':
    case 'O':
    case 'A':
        return ret_ignored;
    default:
        return NULL;
    }
}

static bool take_long(struct request *r, int argc, char **argv, int *i)
{
    if (strcmp(argv[*i], "--help") == 0)
        r->show_help = true;
    else if (strcmp(argv[*i], "--customer") == 0 && *i + 1 < argc)
        r->customer = argv[++*i];
    else if (strncmp(argv[*i], "--customer=", 11) == 0)
        r->customer = argv[*i] + 11;
    else
        return false;
    return true;
}

static int take_option(struct request *r, int argc, char **argv, int *i)
{
    const char *option = argv[*i] + 1, *ignored;
    const char **place = place_of(r, option[0], &ignored);

    if (place) {
        if (!option[1] && *i + 1 >= argc)
            return usage("a value is missing behind ", argv[*i]);
        *place = option[1] ? option + 1 : argv[++*i];
        return EX_OK;
    }
    switch (option[0]) {
    case 't':
    case 'i':
        for (; *option; option++) { /* -ti, as PHP says it */
            r->by_header |= *option == 't';
            r->dots &= *option != 'i';
        }
        return EX_OK;
    case 'o':
        if (option[1] == 'i' && !option[2])
            r->dots = false;
        else if (!option[1])
            ++*i;
        return EX_OK;
    case 'b':
        r->list_queue = option[1] == 'p';
        return option[1] == 'm' || r->list_queue ? EX_OK : usage("not understood: ", argv[*i]);
    default: /* -m -n -v -G -U -q… */
        return EX_OK;
    }
}

static int take_options(struct request *r, int argc, char **argv)
{
    int i = 1, status = EX_OK;

    for (; i < argc && argv[i][0] == '-' && argv[i][1] && !status; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (argv[i][1] == '-')
            status = take_long(r, argc, argv, &i) ? EX_OK : usage("unknown option ", argv[i]);
        else
            status = take_option(r, argc, argv, &i);
    }
    for (; i < argc && !status; i++) {
        if (r->to_count == RECIPIENTS_MAX)
            return usage("too many recipients", "");
        r->to[r->to_count++] = argv[i];
    }
    return status;
}

/* ---- the message ---- */

/* Up to a dot on a line of its own. */
static bh_str until_dot(bh_str text)
{
    size_t at;

    if (bh_str_starts(text, BH_STR(".\r\n")))
        return bh_str_sub(text, 0, 0);
    at = bh_str_search(text, BH_STR("\r\n.\r\n"));
    return at < text.n ? bh_str_sub(text, 0, at + 2) : text;
}

static void add_addresses(struct bh_arena *arena, bh_str value, json_t *to)
{
    struct bh_address_list list;

    if (bh_address_list_parse(arena, value, RECIPIENTS_MAX, &list) != BH_OK)
        return;
    for (size_t i = 0; i < list.count && json_array_size(to) <= RECIPIENTS_MAX; i++)
        if (list.items[i].text.n)
            (void)json_array_append_new(to, json_stringn(list.items[i].text.p, list.items[i].text.n));
}

/* Looks through the header: recipients for -t, and whether it names an author. */
static bool read_header(struct bh_arena *arena, bh_str message, bool by_header, json_t *to)
{
    struct bh_header_iter it = bh_header_iter_make(message, FIELDS_MAX, HEADER_MAX);
    struct bh_header_field field;
    bool has_from = false;

    while (bh_header_next(&it, &field) == BH_MORE) {
        has_from = has_from || bh_str_eq_ci(field.name, BH_STR("From"));
        if (by_header && (bh_str_eq_ci(field.name, BH_STR("To")) || bh_str_eq_ci(field.name, BH_STR("Cc")) ||
                          bh_str_eq_ci(field.name, BH_STR("Bcc"))))
            add_addresses(arena, field.value, to);
    }
    return has_from;
}

/* A From where there is none: the sender's address, else the user's at this host. */
static void put_from(struct bh_buf *out, const struct request *r)
{
    const struct passwd *user = getpwuid(getuid());
    char host[256] = "localhost";

    if (!r->from || !*r->from)
        (void)gethostname(host, sizeof(host) - 1);
    bh_buf_add(out, BH_STR("From: "));
    if (r->name && !strpbrk(r->name, "\"\\\r\n"))
        bh_buf_printf(out, "\"%s\" ", r->name);
    if (r->from && *r->from && !strpbrk(r->from, "\r\n"))
        bh_buf_printf(out, "<%s>\r\n", r->from);
    else
        bh_buf_printf(out, "<%s@%s>\r\n", user ? user->pw_name : "nobody", host);
}

static int memory_file(bh_str first, bh_str rest)
{
    int fd = memfd_create("message", MFD_CLOEXEC);
    bh_str parts[] = {first, rest};

    for (size_t i = 0; i < 2; i++) {
        while (fd >= 0 && parts[i].n) {
            ssize_t n = write(fd, parts[i].p, parts[i].n);

            if (n <= 0) {
                (void)close(fd);
                fd = -1;
            }
            parts[i] = bh_str_skip(parts[i], n > 0 ? (size_t)n : 0);
        }
    }
    return fd;
}

/* ---- submitting ---- */

static int exit_of(int status)
{
    switch (status) {
    case BH_EXIT_OK:
        return EX_OK;
    case BH_EXIT_UNAVAILABLE:
    case BH_EXIT_TEMPFAIL:
        return EX_TEMPFAIL;
    default:
        return EX_UNAVAILABLE;
    }
}

static json_t *make_args(const struct request *r, json_t *to)
{
    json_t *args = json_pack("{s:o}", "to", to);

    bh_json_add(args, "customer", r->customer);
    bh_json_add(args, "mail_from", r->from && strcmp(r->from, "<>") == 0 ? "" : r->from);
    bh_json_add(args, "notify", r->notify);
    bh_json_add(args, "ret", r->ret);
    bh_json_add(args, "envid", r->envid);
    return args;
}

static int submit(const struct bh_cli *cli, const struct request *r, bh_str message, json_t *to)
{
    struct bh_arena *arena = bh_arena_new(8 << 20);
    struct bh_buf from = bh_buf_make(2048);
    int fd, status = BH_EXIT_OK;
    json_t *result;

    if (!arena || !read_header(arena, message, r->by_header, to))
        put_from(&from, r);
    bh_arena_free(arena);
    if (!json_array_size(to)) {
        json_decref(to);
        bh_buf_free(&from);
        return usage("no recipients", r->by_header ? " in To, Cc and Bcc" : "");
    }
    fd = memory_file(bh_buf_view(&from), message);
    bh_buf_free(&from);
    if (fd < 0) {
        json_decref(to);
        return EX_OSERR;
    }
    result = bh_control_ask(cli, "message", "send", make_args(r, to), fd, &status);
    (void)close(fd);
    json_decref(result);
    return result ? EX_OK : exit_of(status);
}

int bh_cli_sendmail(struct bh_cli *cli, int argc, char **argv)
{
    struct request r = {.dots = true, .customer = getenv("BEHALF_CUSTOMER")};
    struct bh_buf message = bh_buf_make(0);
    json_t *to;
    int status = take_options(&r, argc, argv);

    if (status)
        return status;
    if (r.show_help) {
        (void)fputs(help, stdout);
        return EX_OK;
    }
    if (r.list_queue)
        return exit_of(bh_cli_queue(cli, 2, (char *[]){(char[]){"queue"}, (char[]){"list"}, NULL}));
    if (bh_cli_read(NULL, MESSAGE_MAX, true, &message) != BH_OK) {
        (void)fprintf(stderr, "sendmail: the message cannot be read: %m\n");
        return EX_IOERR;
    }
    to = json_array();
    for (size_t i = 0; i < r.to_count; i++)
        (void)json_array_append_new(to, json_string(r.to[i]));
    status = submit(cli, &r, r.dots ? until_dot(bh_buf_view(&message)) : bh_buf_view(&message), to);
    bh_buf_free(&message);
    return status;
}
