/* fake_peer.h: the other end of a role's connection, as a test plays it: a socket pair, bh_ipc and poll(2). */
#ifndef BH_TESTS_FAKE_PEER_H
#define BH_TESTS_FAKE_PEER_H

#include "io/ipc.h"
#include "roles/messages.h"
#include "unit.h"
#include <sys/types.h>

struct fake_peer {
    struct bh_ipc ipc;
    struct bh_buf pending; /* received, not yet asked for: type, id, body one after the other */
    struct bh_buf body;    /* of the message that was waited for */
    uint32_t id;
};

/* Makes a socket pair: `fake` gets one end, the other is returned for the role. */
int fake_open(struct fake_peer *fake);
void fake_close(struct fake_peer *fake);
/* Sends a body (then cleared) with a descriptor (-1: none) and writes it out, as far as the other side takes it. */
void fake_say(struct fake_peer *fake, uint16_t type, uint32_t id, struct bh_buf *body, int fd);
void fake_hello(struct fake_peer *fake, enum bh_role_kind kind, uint32_t instance);
/* Bytes that are no frame, or half of one. */
void fake_raw(struct fake_peer *fake, bh_str bytes);
/* Waits for a message of that type, at most five seconds; earlier ones are passed over. false: none came, or it is
 * closed. */
bool fake_wait(struct fake_peer *fake, uint16_t type);
/* true: the role closed this connection, within five seconds. */
bool fake_is_closed(struct fake_peer *fake);

/* Starts `program` as a role whose master is `master`. */
pid_t fake_start(struct fake_peer *master, const char *program);
/* Tells the role, by its master, of a peer whose other end is `fake`; no HELLO is said yet. */
void fake_connect(struct fake_peer *master, struct fake_peer *fake, enum bh_role_kind kind, uint32_t instance);

#endif
