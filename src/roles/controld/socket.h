/* socket.h: the control socket: who connects from this machine and may, and their commands.
 *
 * The frames are those of role IPC (io/ipc.h): COMMAND with JSON and at most one descriptor, COMMAND_REPLY with the
 * same id. Master gave the socket its owner, group and mode, so the kernel lets only root, its owner and the
 * members of control-group connect; the peer's credentials are looked at again where there is no such group. */
#ifndef BH_CONTROLD_SOCKET_H
#define BH_CONTROLD_SOCKET_H

#include "core.h"
#include "io/loop.h"

struct bh_control_socket;

/* Takes over `fd`, bound and listening. NULL without memory. */
struct bh_control_socket *bh_control_socket_new(struct bh_loop *loop, struct bh_controld *core, int fd,
                                                bool open_to_group);
void bh_control_socket_free(struct bh_control_socket *socket);

#endif
