/* sender.h: the parts of the sending role and what they hand to each other.
 *
 *     queued ─DELIVER─▶ delivery.c ─▶ signing.c (keyd) ─▶ site.c ─▶ session.c ─▶ the world
 *                                                                      │
 *     queued ◀─RESULT── result.c ◀─────────────────────────────────────┘
 *
 * A delivery is one recipient, one attempt. It is owned by the table in delivery.c from DELIVER until its result is
 * handed to result.c; lists only borrow it. A *site* is where deliveries go together: one static route, or one domain's
 * mail exchangers; its sessions serve any delivery that waits there. */
#ifndef BH_ROLES_SENDER_SENDER_H
#define BH_ROLES_SENDER_SENDER_H

#include "io/chan.h"
#include "mail/verp.h"
#include "proto/smtp/client.h"
#include "roles/role.h"
#include <behalf/dkim.h>
#include <behalf/unbound_resolver.h>
#include <netinet/in.h>

enum {
    BH_DELIVERY_KEYS_MAX = 4,
    BH_DELIVERY_PIECES_MAX = BH_DELIVERY_KEYS_MAX + 3,
    BH_DELIVERY_ARENA_MAX = 16 << 20,
    BH_VERP_KEYS_MAX = 64,
    BH_SITE_ADDRESSES_MAX = 40,
    BH_SITE_HOSTS_MAX = 10
};

struct site;
struct session;

struct delivery {
    struct bh_map_node node; /* in sender->deliveries, by delivery id */
    struct bh_list list;     /* signing, or waiting at a site */
    struct sender *sender;
    struct bh_buf frame; /* the DELIVER message, to which the views point */
    struct bh_msg_deliver message;
    int body_fd; /* -1: the body is in `message` */
    struct bh_arena *arena;
    bh_time_ms started_at;
    char mail_from_local[BH_VERP_CHARS];
    bh_str mail_from;

    struct bh_rec_sealed_key keys[BH_DELIVERY_KEYS_MAX];
    struct bh_dkim_unsigned unsigned_fields[BH_DELIVERY_KEYS_MAX];
    bh_str signed_fields[BH_DELIVERY_KEYS_MAX];
    size_t key_count;
    size_t signatures_missing;
    uint32_t first_item; /* number of the first key's sign item */

    bh_str pieces[BH_DELIVERY_PIECES_MAX]; /* what is sent: signatures, header, empty line and body */
    size_t piece_count;
    uint64_t rest_at, rest_bytes; /* what is still to be read from body_fd */
    char *rest;                   /* the piece in flight */
    uint64_t size;                /* of all that is sent */

    struct site *site;
    bool tried_again; /* once, on a fresh connection, when a session broke under it */
};

struct sender {
    struct bh_role *role;
    struct bh_map deliveries;
    struct bh_map sites;
    struct bh_map results;  /* not yet acknowledged */
    struct bh_list signing; /* deliveries that wait for keyd */
    struct bh_list to_sign; /* asked for in this turn, not yet written */
    struct bh_deferred write_sign;
    uint32_t next_item;
    size_t finished; /* since the last SLOTS */
    struct bh_deferred tell_slots;
    struct bh_dkim *dkim;
    struct bh_tls *tls;
    struct bh_unbound_resolver *unbound;
    struct bh_resolver *resolver;
    struct bh_verp_key ring_keys[BH_VERP_KEYS_MAX];
    struct bh_verp_ring ring;
    size_t connections;
    size_t next_source;
    bool draining;
    struct bh_timer drain_timer;
};

/* delivery.c */
bh_err bh_delivery_begin(struct sender *sender, struct bh_ipc_message *message);
struct delivery *bh_delivery_find(struct sender *sender, uint64_t delivery_id);
/* All signatures are there: put together and hand over to its site. */
void bh_delivery_signed(struct delivery *delivery);
/* Ends it: the result goes to queued, the delivery is freed. `text` and the others may point anywhere. */
struct delivery_end {
    enum bh_delivery_verdict verdict;
    uint16_t code;
    const char *enhanced;
    bh_str text;
    bh_str remote;
    const char *tls;
    const char *phase;
};
void bh_delivery_end(struct delivery *delivery, const struct delivery_end *end);
/* The next piece of a body in a file; false on a read error. */
bool bh_delivery_next_rest(struct delivery *delivery, bh_str *ret_piece, bool *ret_last);
void bh_delivery_free(struct delivery *delivery);

/* signing.c */
void bh_signing_ask(struct delivery *delivery);
bh_err bh_signing_answer(struct sender *sender, bh_str body);
/* keyd is back: ask again for all that wait. */
void bh_signing_again(struct sender *sender);
void bh_signing_write(void *ctx);

/* site.c */
void bh_site_add(struct delivery *delivery);
/* The next delivery for a session with room, or NULL. */
struct delivery *bh_site_next(struct site *site);
void bh_site_session_gone(struct site *site, struct session *session, bool worked, const char *why);
bool bh_site_wants_session(const struct site *site);
void bh_sites_free(struct sender *sender);

/* One place to connect to. */
struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;
    socklen_t bytes;
    char host[256]; /* for SNI and logs */
};

/* exchange.c: from a domain to addresses. */
enum exchange_outcome { EXCHANGE_FOUND, EXCHANGE_TEMP, EXCHANGE_PERM };
struct exchange_result {
    enum exchange_outcome outcome;
    const struct address *addresses;
    size_t count;
    uint32_t ttl_s;
    const char *enhanced; /* of a failure */
    const char *why;
};
typedef void exchange_done(void *ctx, const struct exchange_result *result);
struct exchange;
/* Looks up the mail exchangers of `domain`, or, with `host_only`, the addresses of that host. `done` comes once, never
 * before this returns unless the host is an address literal, and unless cancelled. NULL: no memory (no call). */
struct exchange *bh_exchange_begin(struct sender *sender, bh_str domain, bool host_only, uint16_t port,
                                   exchange_done *done, void *ctx);
void bh_exchange_cancel(struct exchange *exchange);

/* tell.c: SITE to queued, whenever a domain's exchangers were looked up. */
void bh_tell_site(struct sender *sender, const char *domain, const struct address *addresses, size_t count);

/* session.c */
struct session *bh_session_open(struct sender *sender, struct site *site, const struct address *address, bh_str helo,
                                enum bh_smtp_client_tls tls);
/* Gives work to a session that idles; true when it took it. */
bool bh_session_offer(struct session *session);
void bh_session_close(struct session *session);
struct bh_list *bh_session_link(struct session *session);
struct session *bh_session_of(struct bh_list *link);

/* result.c */
void bh_result_send(struct sender *sender, const struct bh_msg_result *result);
bh_err bh_result_acknowledged(struct sender *sender, bh_str body);
/* A queued that is new: what is in hand, then the results that it has not acknowledged. */
void bh_results_replay(struct sender *sender, struct bh_peer *queued);
void bh_results_free(struct sender *sender);

#endif
