/* control.c: the client of the control socket. See control.h. */
#include "control.h"
#include "io/ipc.h"
#include "roles/master/config_file.h"
#include "roles/messages.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MS = 60 * 1000 };

/* ---- the connection ---- */

static int say_unreachable(const char *noun, const char *path, int error)
{
    if (error == EACCES)
        (void)bh_cli_fail(noun, "%s is closed to you; run this as root or as a member of control-group", path);
    else
        (void)bh_cli_fail(noun, "behalf does not run here: %s: %s; start it with `behalf serve`", path,
                          strerror(error));
    return BH_EXIT_UNAVAILABLE;
}

static bh_err socket_address(const struct bh_cli *cli, const char *noun, struct sockaddr_un *ret_address)
{
    struct bh_buf problems = bh_buf_make(1 << 16);
    struct bh_config *config = NULL;
    bh_err err = bh_config_file_read(cli->config_path, &config, &problems);
    int n = -1;

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (err)
        (void)bh_cli_fail(noun, "%.*s", BH_FMT(bh_str_trim(bh_buf_view(&problems))));
    else
        n = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%.*s/control.sock",
                     BH_FMT(config->run_dir));
    if (!err && (n < 0 || (size_t)n >= sizeof(ret_address->sun_path)))
        err = BH_E_LIMIT;
    bh_buf_free(&problems);
    bh_config_free(config);
    return err;
}

static int connect_to(const struct bh_cli *cli, const char *noun, int *ret_fd)
{
    struct sockaddr_un address;
    int fd;

    if (socket_address(cli, noun, &address) != BH_OK)
        return BH_EXIT_USAGE;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        int error = errno;

        if (fd >= 0)
            (void)close(fd);
        return say_unreachable(noun, address.sun_path, error);
    }
    *ret_fd = fd;
    return BH_EXIT_OK;
}

/* ---- question and answer ---- */

struct waiting {
    json_t *answer;
    bool answered;
};

static bh_err on_message(void *ctx, struct bh_ipc_message *message)
{
    struct waiting *waiting = ctx;
    struct bh_msg_command reply;
    bh_err err = message->type == BH_MSG_COMMAND_REPLY ? bh_msg_command_get(message->body, &reply) : BH_E_SYNTAX;

    if (err)
        return err;
    waiting->answer = json_loadb(reply.json.p ? reply.json.p : "", reply.json.n, 0, NULL);
    waiting->answered = true;
    return BH_OK;
}

static bh_err exchange(struct bh_ipc *ipc, struct waiting *waiting)
{
    while (!waiting->answered) {
        bh_err err = bh_ipc_flush(ipc);
        struct pollfd poll_fd = {ipc->fd, (short)(POLLIN | (err == BH_E_AGAIN ? POLLOUT : 0)), 0};
        int ready;

        if (err && err != BH_E_AGAIN)
            return err;
        ready = poll(&poll_fd, 1, ANSWER_MS);
        if (ready == 0)
            return BH_E_TIMEOUT;
        if (ready < 0 && errno != EINTR)
            return BH_E_IO;
        err = bh_ipc_receive(ipc, on_message, waiting);
        if (err && !waiting->answered)
            return err;
    }
    return BH_OK;
}

static bh_err send_command(struct bh_ipc *ipc, const char *noun, const char *verb, json_t *args, int fd)
{
    json_t *request = json_pack("{s:s, s:s, s:o}", "noun", noun, "verb", verb, "args", args ? args : json_object());
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    struct bh_buf body = bh_buf_make(BH_IPC_BODY_MAX);
    bh_err err;

    bh_msg_command_put(&body, &(struct bh_msg_command){bh_str_c(text)});
    err = text ? bh_buf_err(&body) : BH_E_NOMEM;
    if (!err)
        err = bh_ipc_send(ipc, BH_MSG_COMMAND, 1, bh_buf_view(&body), &fd, fd >= 0 ? 1 : 0);
    free(text);
    json_decref(request);
    bh_buf_free(&body);
    return err;
}

static int exit_of(const char *code)
{
    return strcmp(code, "temporary") == 0 ? BH_EXIT_TEMPFAIL : BH_EXIT_USAGE;
}

/* The daemon says what to do as a sentence; on our line it goes on behind a semicolon. */
static void say_refused(const char *noun, const char *detail, const char *fix)
{
    bool sentence = fix[0] >= 'A' && fix[0] <= 'Z' && (fix[1] == ' ' || (fix[1] >= 'a' && fix[1] <= 'z'));

    if (!*fix)
        (void)bh_cli_fail(noun, "%s", detail);
    else if (sentence)
        (void)bh_cli_fail(noun, "%s; %c%s", detail, fix[0] - 'A' + 'a', fix + 1);
    else
        (void)bh_cli_fail(noun, "%s; %s", detail, fix);
}

/* Takes `answer` apart: the result, or the error said on stderr. */
static json_t *open_answer(const struct bh_cli *cli, const char *noun, json_t *answer, int *ret_exit)
{
    json_t *result = NULL;
    const json_t *error = json_object_get(answer, "error");

    if (json_is_true(json_object_get(answer, "ok"))) {
        result = json_incref(json_object_get(answer, "result"));
        if (!result)
            result = json_null();
    } else {
        *ret_exit = exit_of(bh_json_text(error, "code"));
        if (cli->json)
            bh_cli_print_json(json_pack("{s:O?}", "error", error));
        say_refused(noun, error ? bh_json_text(error, "detail") : "the daemon's answer makes no sense",
                    bh_json_text(error, "fix"));
    }
    json_decref(answer);
    return result;
}

/* As typed. */
static const char *said_noun(const char *noun, const char *verb)
{
    return strcmp(noun, "message") == 0 && strcmp(verb, "send") == 0 ? "send" : noun;
}

json_t *bh_control_try(const struct bh_cli *cli, const char *noun, const char *verb, json_t *args, int fd,
                       int *ret_exit)
{
    struct waiting waiting = {0};
    struct bh_ipc ipc;
    int connection = -1;
    bh_err err;

    *ret_exit = connect_to(cli, said_noun(noun, verb), &connection);
    if (*ret_exit) {
        json_decref(args);
        return NULL;
    }
    err = bh_ipc_open(&ipc, connection);
    if (!err)
        err = send_command(&ipc, noun, verb, args, fd);
    if (!err)
        err = exchange(&ipc, &waiting);
    bh_ipc_close(&ipc);
    if (err) {
        json_decref(waiting.answer);
        *ret_exit = err == BH_E_LIMIT ? BH_EXIT_USAGE : BH_EXIT_TEMPFAIL;
        (void)bh_cli_fail(said_noun(noun, verb), "the daemon did not answer: %s", bh_err_text(err));
        return NULL;
    }
    return waiting.answer ? waiting.answer : json_object();
}

json_t *bh_control_ask(const struct bh_cli *cli, const char *noun, const char *verb, json_t *args, int fd,
                       int *ret_exit)
{
    json_t *answer = bh_control_try(cli, noun, verb, args, fd, ret_exit);

    return answer ? open_answer(cli, said_noun(noun, verb), answer, ret_exit) : NULL;
}

int bh_control_do(const struct bh_cli *cli, const char *noun, const char *verb, json_t *args, const char *done,
                  const char *name)
{
    int status;
    json_t *result = bh_control_ask(cli, noun, verb, args, -1, &status);

    if (!result)
        return status;
    if (cli->json) {
        bh_cli_print_json(result);
        return BH_EXIT_OK;
    }
    if (done)
        (void)printf("%s%s%s\n", done, name ? " " : "", name ? name : "");
    json_decref(result);
    return BH_EXIT_OK;
}

/* ---- JSON ---- */

const char *bh_json_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

void bh_json_add(json_t *object, const char *name, const char *value)
{
    if (value)
        (void)json_object_set_new(object, name, json_string(value));
}

bool bh_cli_limit(const char *noun, const char *limit, json_t *args)
{
    uint64_t number;

    if (!limit)
        return true;
    if (bh_str_to_u64(bh_str_c(limit), 1000000, &number) != BH_OK || number == 0) {
        json_decref(args);
        (void)bh_cli_fail(noun, "--limit %s: a number from 1", limit);
        return false;
    }
    (void)json_object_set_new(args, "limit", json_integer((json_int_t)number));
    return true;
}

void bh_table_member(struct bh_cli_table *table, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    char number[32];

    if (json_is_string(value)) {
        bh_cli_table_cell(table, bh_str_of(json_string_value(value), json_string_length(value)));
    } else if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        bh_cli_table_cell(table, bh_str_c(number));
    } else if (json_is_boolean(value)) {
        bh_cli_table_cell(table, json_is_true(value) ? BH_STR("yes") : BH_STR("no"));
    } else {
        bh_cli_table_cell(table, BH_STR("-"));
    }
}

void bh_cli_print_rows(const json_t *rows, const char *const *columns, size_t count)
{
    struct bh_cli_table *table = bh_cli_table_new(columns, count);

    for (size_t i = 0; i < json_array_size(rows); i++)
        for (size_t k = 0; k < count; k++)
            bh_table_member(table, json_array_get(rows, i), columns[k]);
    bh_cli_table_print(table);
}
