/* dns_client.h: one question to one DNS server, by its address: UDP, then TCP when the answer is truncated or UDP
 * brings none. No cache, no recursion: it is for hearing what a given server itself says. On a bh_loop. */
#ifndef BH_IO_DNS_CLIENT_H
#define BH_IO_DNS_CLIENT_H

#include "base/random.h"
#include "io/loop.h"
#include "proto/dns/message.h"

struct bh_dns_ask;

/* `message` is NULL on error: BH_E_TIMEOUT, BH_E_IO (refused, unreachable), BH_E_SYNTAX (an answer that is none). It
 * lives until this returns. */
typedef void bh_dns_ask_done(void *ctx, bh_err err, const struct bh_dns_message *message);

struct bh_dns_ask_options {
    bh_str address; /* "192.0.2.1", "2001:db8::1" */
    uint16_t port;
    const struct bh_dns_name *name;
    uint16_t type;
    uint16_t flags; /* BH_DNS_RD or 0 */
    struct bh_random *random;
};

/* Starts a question. `done` is called once from the loop, never before this returns. BH_E_SYNTAX (no address),
 * BH_E_NOMEM, BH_E_IO: nothing was started. */
BH_MUST bh_err bh_dns_ask_start(struct bh_loop *loop, const struct bh_dns_ask_options *options, bh_dns_ask_done *done,
                                void *ctx, struct bh_dns_ask **ret_ask);
/* `done` will not be called. NULL is fine. */
void bh_dns_ask_cancel(struct bh_dns_ask *ask);

#endif
