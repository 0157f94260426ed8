/* wiring.c: who may talk to whom. The table is the whole truth: no other connection between roles exists. */
#include "internal.h"
#include <sys/socket.h>
#include <unistd.h>

static const enum bh_role_kind links[][2] = {
    {BH_ROLE_SMTPD, BH_ROLE_CONTROLD},  {BH_ROLE_SMTPD, BH_ROLE_QUEUED},   {BH_ROLE_SMTPD, BH_ROLE_KEYD},
    {BH_ROLE_QUEUED, BH_ROLE_CONTROLD}, {BH_ROLE_QUEUED, BH_ROLE_KEYD},    {BH_ROLE_QUEUED, BH_ROLE_SENDER},
    {BH_ROLE_QUEUED, BH_ROLE_STEWARD},  {BH_ROLE_SENDER, BH_ROLE_KEYD},    {BH_ROLE_CONTROLD, BH_ROLE_KEYD},
    {BH_ROLE_CONTROLD, BH_ROLE_DNSD},   {BH_ROLE_DNSD, BH_ROLE_KEYD},      {BH_ROLE_CONTROLD, BH_ROLE_STEWARD},
    {BH_ROLE_STEWARD, BH_ROLE_KEYD},    {BH_ROLE_STEWARD, BH_ROLE_READER}, {BH_ROLE_SENDER, BH_ROLE_STEWARD},
    {BH_ROLE_WEBD, BH_ROLE_CONTROLD},   {BH_ROLE_WEBD, BH_ROLE_QUEUED},
};

static bool may_talk(enum bh_role_kind a, enum bh_role_kind b)
{
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        if ((links[i][0] == a && links[i][1] == b) || (links[i][0] == b && links[i][1] == a))
            return true;
    return false;
}

static void hand_over(struct bh_child *child, const struct bh_child *other, int fd)
{
    struct bh_buf body = bh_buf_make(64);

    bh_msg_peer_put(&body, &(struct bh_msg_peer){(uint8_t)other->kind, other->instance});
    bh_child_send(child, BH_MSG_PEER, bh_buf_view(&body), fd);
    bh_buf_free(&body);
}

static void connect_pair(struct bh_child *a, struct bh_child *b)
{
    int fds[2];
    int bytes = 1 << 20;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        bh_logf(&a->master->log, BH_LOG_ERROR, "cannot make a socket pair: %m");
        return;
    }
    for (int i = 0; i < 2; i++)
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    hand_over(a, b, fds[0]);
    hand_over(b, a, fds[1]);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

void bh_wire(struct bh_child *child)
{
    struct bh_master *master = child->master;

    for (size_t i = 0; i < master->child_count; i++) {
        struct bh_child *other = &master->children[i];

        if (other != child && other->state == BH_CHILD_READY && may_talk(child->kind, other->kind))
            connect_pair(child, other);
    }
}

void bh_wire_pair(struct bh_child *child, enum bh_role_kind kind, uint32_t instance)
{
    struct bh_master *master = child->master;

    for (size_t i = 0; i < master->child_count; i++) {
        struct bh_child *other = &master->children[i];

        if (other->kind == kind && other->instance == instance && other->state == BH_CHILD_READY &&
            child->state == BH_CHILD_READY && may_talk(child->kind, kind))
            connect_pair(child, other);
    }
}
