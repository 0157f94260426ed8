/* reader: reads what strangers sent back, for the steward. It has no file, no network, no database, no key: bytes in,
 * fields out. A message that it takes too long over kills it (SIGALRM); master starts another, and the steward counts
 * that against the message. Memory: the message, of which at most READ_MAX bytes are looked at, and one arena. */
#include "read.h"
#include "roles/role.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

enum { READ_MAX = 16 * 1024 * 1024, SECONDS_MAX = 20 };

struct reader {
    struct bh_bounce_rules *rules;
    struct bh_arena *arena;
};

static void set_alarm(int seconds)
{
    struct itimerval at = {.it_value = {.tv_sec = seconds}};

    (void)setitimer(ITIMER_REAL, &at, NULL);
}

static bh_err read_file(int fd, uint64_t size, struct bh_buf *out)
{
    size_t want = size < READ_MAX ? (size_t)size : READ_MAX;
    char *room = bh_buf_reserve(out, want);

    if (!room)
        return bh_buf_err(out);
    for (size_t done = 0; done < want;) {
        ssize_t n = pread(fd, room + done, want - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return BH_E_IO;
        done += (size_t)n;
    }
    bh_buf_commit(out, want);
    return BH_OK;
}

static bh_err answer(struct reader *reader, struct bh_peer *peer, uint32_t id, bh_str message)
{
    struct bh_buf recipients = bh_buf_make(BH_READ_LIST_BYTES), tokens = bh_buf_make(16 * 1024);
    struct bh_msg_read_reply reply = {.ok = 0};
    bh_err err;

    if (bh_read_message(reader->arena, reader->rules, message, &recipients, &tokens, &reply))
        reply = (struct bh_msg_read_reply){.ok = 0};
    err = BH_PEER_SEND(peer, READ_REPLY, id, read_reply, &reply);
    bh_buf_free(&recipients);
    bh_buf_free(&tokens);
    return err;
}

static bh_err on_message(struct bh_role *role, struct bh_peer *peer, struct bh_ipc_message *message)
{
    struct reader *reader = role->state;
    struct bh_msg_read ask;
    struct bh_buf file = bh_buf_make(READ_MAX + 1);
    bh_err err = peer->kind == BH_ROLE_STEWARD && message->type == BH_MSG_READ ? bh_msg_read_get(message->body, &ask)
                                                                               : BH_E_DENIED;

    if (!err && !ask.body.n && message->fd_count == 1)
        err = read_file(message->fds[0], ask.size, &file);
    if (err == BH_E_IO || err == BH_E_NOMEM)
        return BH_PEER_SEND(peer, READ_REPLY, message->id, read_reply, &(struct bh_msg_read_reply){.ok = 0});
    if (!err) {
        set_alarm(SECONDS_MAX);
        err = answer(reader, peer, message->id, ask.body.n ? ask.body : bh_buf_view(&file));
        bh_arena_reset(reader->arena);
        set_alarm(0);
    }
    bh_buf_free(&file);
    return err;
}

static void stop(struct bh_role *role)
{
    struct reader *reader = role->state;

    bh_bounce_rules_free(reader->rules);
    bh_arena_free(reader->arena);
    free(reader);
    role->state = NULL;
}

static bh_err start(struct bh_role *role)
{
    struct bh_rules_source builtin = bh_bounce_rules_builtin();
    struct bh_rules_fault fault;
    struct reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return BH_E_NOMEM;
    role->state = reader;
    reader->arena = bh_arena_new(BH_BOUNCE_ARENA_BYTES);
    if (!reader->arena) {
        stop(role);
        return BH_E_NOMEM;
    }
    return bh_bounce_rules_new(&builtin, 1, &reader->rules, &fault);
}

int main(void)
{
    static const struct bh_role_ops ops = {.kind = BH_ROLE_READER, .start = start, .message = on_message, .stop = stop};

    return bh_role_main(&ops);
}
