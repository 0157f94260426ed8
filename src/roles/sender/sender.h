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
#include "mail/bounce/classify.h"
#include "mail/tls_policy.h"
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
    bool seven_bit;   /* converted: the server has no 8BITMIME */
    struct bh_buf converted;
    bool null_sender;
    char envid[32];
    bh_str orcpt;
};

struct sender {
    struct bh_role *role;
    struct bh_map deliveries;
    struct bh_map sites;
    struct bh_map results; /* not yet acknowledged */
    struct bh_list sts;    /* questions under way */
    struct bh_map tls_counts;
    struct bh_timer tell_tls;
    struct bh_list signing; /* deliveries that wait for keyd */
    struct bh_list to_sign; /* asked for in this turn, not yet written */
    struct bh_deferred write_sign;
    uint32_t next_item;
    size_t finished; /* since the last SLOTS */
    struct bh_deferred tell_slots;
    struct bh_dkim *dkim;
    struct bh_bounce_rules *rules; /* what refusals mean */
    struct bh_arena *rules_arena;
    struct bh_classifier *classifier;
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
    const char *policy; /* of TLS: bh_tls_plan_text */
    bh_str local;       /* "192.0.2.10 as mta1.example" */
    bh_str trail;       /* what was tried before in this attempt, and why not */
};
void bh_delivery_end(struct delivery *delivery, const struct delivery_end *end);
/* The next piece of a body in a file; false on a read error. */
bool bh_delivery_next_rest(struct delivery *delivery, bh_str *ret_piece, bool *ret_last);
void bh_delivery_free(struct delivery *delivery);
/* Its server has no 8BITMIME: made anew in 7 bits, signed again and put back to its site; or ended where that cannot
 * be. */
void bh_delivery_downgrade(struct delivery *delivery);

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
/* How a session ended, for its site. */
enum session_end {
    SESSION_FAILED, /* it took no delivery */
    SESSION_WORKED,
    SESSION_AGAIN /* TLS did not work where it need not: the same once more, in clear */
};
void bh_site_session_gone(struct site *site, struct session *session, enum session_end end, const char *why);
/* That address did not answer, or its server is of no use now. */
void bh_site_address_failed(struct site *site, size_t index);
/* Its host's TLS does not work; only where the policy leaves it open. */
void bh_site_no_tls(struct site *site, size_t index);
/* One attempt at TLS with a host of it, for the reports; `failure` NULL: it worked. */
void bh_site_note_tls(struct site *site, size_t index, const struct bh_tls_plan *plan, const char *failure,
                      bh_str sending, bh_str reason);
/* What failed in this round so far, for people. */
bh_str bh_site_trail(const struct site *site);
bool bh_site_wants_session(const struct site *site);
void bh_sites_free(struct sender *sender);

/* One mail exchanger (or the host of a route) and what DNS says about its certificates. */
struct mx_host {
    char name[256];
    char tls_name[256]; /* the TLSA base domain (RFC 7672 2.2.2); SNI */
    enum bh_tlsa_state tlsa;
    struct bh_buf records; /* usable TLSA rdata, each with its length (bh_buf_str) */
};

/* One place to connect to. */
struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;
    socklen_t bytes;
    size_t host; /* index */
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
    struct mx_host *hosts; /* their records may be taken over (and must then be emptied here) */
    size_t host_count;
};
typedef void exchange_done(void *ctx, const struct exchange_result *result);
struct exchange;
/* Looks up the mail exchangers of `domain`, or, with `host_only`, the addresses of that host, and the TLSA records of
 * those that DNSSEC proves. `done` comes once, never before this returns unless the host is an address literal, and
 * unless cancelled. NULL: no memory (no call). */
struct exchange *bh_exchange_begin(struct sender *sender, bh_str domain, bool host_only, uint16_t port,
                                   exchange_done *done, void *ctx);
void bh_exchange_cancel(struct exchange *exchange);

/* tell.c: SITE to queued, whenever a domain's exchangers were looked up. */
void bh_tell_site(struct sender *sender, const char *domain, const struct exchange_result *result);

/* sts.c: the MTA-STS policy of a domain: its TXT record, then the steward's cache or a fetch. */
struct sts_result {
    enum bh_sts_mode mode; /* NONE: no policy */
    bh_str policy;         /* the file */
    uint32_t ttl_s;        /* ask again after that */
    const char *failure;   /* RFC 8460 result type of a policy that is there and cannot be had, or NULL */
};
typedef void sts_done(void *ctx, const struct sts_result *result);
struct sts;
/* `done` comes once, never before this returns, unless cancelled. NULL: no question can be asked (no call). */
struct sts *bh_sts_begin(struct sender *sender, bh_str domain, sts_done *done, void *ctx);
void bh_sts_cancel(struct sts *sts);
/* The steward is there (again): those that wait ask. */
void bh_sts_again(struct sender *sender);

/* session.c */
enum { BH_SESSION_TRIES_MAX = 8 };
/* Where a session may go, the best first; the first that connects is taken (RFC 8305). */
struct session_try {
    const struct address *address;
    const struct mx_host *host;
    size_t index; /* of the address at its site */
    struct bh_tls_plan plan;
};
struct session_wish {
    const struct session_try *tries;
    size_t count;
    bh_str helo, domain;     /* `domain`: whose mail it is; a name that DANE accepts too */
    bh_str source4, source6; /* to bind to; empty: as configured */
    uint32_t messages_max;   /* in one session; 0: any number */
};
struct session *bh_session_open(struct sender *sender, struct site *site, const struct session_wish *wish);
/* Gives work to a session that idles; true when it took it. */
bool bh_session_offer(struct session *session);
void bh_session_close(struct session *session);
struct bh_list *bh_session_link(struct session *session);
struct session *bh_session_of(struct bh_list *link);

/* connect.c */
struct connect_try {
    struct address address;
    size_t index;
    char host[256];
};
struct connecting;
/* `chan` is the receiver's from now on and still calls nobody (bh_chan_hand_over); NULL: no address could be reached.
 * `which` of the wish's tries; `trail`: those that failed, lives until this returns. */
typedef void connect_done(void *ctx, struct bh_chan *chan, size_t which, bh_str trail);
/* `done` comes once, never before this returns, unless cancelled. NULL: not one could be begun. */
struct connecting *bh_connect_begin(struct sender *sender, struct site *site, const struct session_wish *wish,
                                    connect_done *done, void *ctx);
void bh_connect_cancel(struct connecting *connecting);
/* "mx.example [192.0.2.1]:25" */
void bh_address_text(const struct address *address, const char *host, char *text, size_t size);

/* tls_results.c: what became of TLS, counted for the reports of RFC 8460 and told to the steward now and then. */
struct tls_note {
    bh_str domain;
    const char *policy_type; /* "tlsa", "sts", "no-policy-found" */
    bh_str policy, mx_hosts; /* lines */
    const char *failure;     /* NULL: a success */
    bh_str sending, mx, receiving, reason;
};
void bh_tls_note(struct sender *sender, const struct tls_note *note);
void bh_tls_results_tell(void *sender);
void bh_tls_results_free(struct sender *sender);

/* result.c */
void bh_result_send(struct sender *sender, const struct bh_msg_result *result);
bh_err bh_result_acknowledged(struct sender *sender, bh_str body);
/* A queued that is new: what is in hand, then the results that it has not acknowledged. */
void bh_results_replay(struct sender *sender, struct bh_peer *queued);
void bh_results_free(struct sender *sender);

#endif
