/* smtpd.h: what the files of this role share. One session per connection; a session waits for at most one answer of
 * another role at a time, since the protocol core asks one thing after the other. */
#ifndef BH_ROLES_SMTPD_SMTPD_H
#define BH_ROLES_SMTPD_SMTPD_H

#include "io/chan.h"
#include "mail/verp.h"
#include "message.h"
#include "meter.h"
#include "roles/cache.h"
#include "roles/role.h"
#include "store/event_type.h"
#include <arpa/inet.h>

struct session;

/* Why a recipient was refused on port 25. */
enum smtpd_refusal {
    SMTPD_FORGED,   /* our form, but the check does not hold, or another version of it */
    SMTPD_EXPIRED,  /* too old to be answered for */
    SMTPD_UNKNOWN,  /* no address that we make */
    SMTPD_NOT_OURS, /* a domain that is not in our hands */
    SMTPD_REPEATED, /* more mail to one address than can be honest */
    SMTPD_TOO_FAST, /* from a client that had too much refused, or writes too much to people */
    SMTPD_REFUSALS
};

/* A port. Lives until the process ends: sessions point to it. */
struct port {
    struct smtpd *smtpd;
    struct port *next;
    int fd;
    enum bh_listen_protocol protocol;
    char trust[256]; /* customer, or "" */
    struct bh_watch watch;
    struct bh_timer pause; /* after the system refused to accept */
    struct bh_smtp_server_config config;
};

/* Sessions per client address (IPv6: per /64). */
struct client {
    struct bh_map_node node;
    uint32_t sessions;
    size_t key_n;
    char key[8];
};

struct smtpd {
    struct bh_role *role;
    struct bh_tls *tls; /* NULL: none is offered */
    struct bh_buf certificate_pem, key_pem;
    struct port *ports;
    struct bh_list sessions;
    uint32_t session_count;
    struct bh_map clients;
    struct bh_cache logins, customers, may_send, bounce_domains;
    struct bh_verp_key *ring_keys;
    struct bh_verp_ring ring; /* empty until keyd gave it */
    struct bh_arena *scratch; /* reset after each use */
    struct bh_dkim *dkim;     /* for body hashes */
    bool draining;
    struct bh_meter addresses;   /* mail by address of ours */
    struct bh_meter fixed_names; /* mail to people (postmaster), by client */
    struct bh_meter refusals;    /* by client */
    uint32_t refused[SMTPD_REFUSALS], refused_told[SMTPD_REFUSALS];
    struct bh_timer tell;
    struct bh_call *telling;
};

/* Continues with the answer of another role. `reply` is its body; p == NULL: it did not answer. */
typedef void session_answered(struct session *session, bh_str reply);

struct session {
    struct bh_list node;
    struct smtpd *smtpd;
    struct port *port;
    struct client *client;
    struct bh_chan *chan;
    struct bh_smtp_server *server;
    bool up;      /* bytes may be written: TLS, where implicit, is there */
    bool pumping; /* inside pump */
    bool holds;   /* text waits for its file */
    bool closed;
    bool at_end; /* the client sends no more */
    char address[INET6_ADDRSTRLEN];
    uint32_t customer_id;
    uint64_t credential_id;
    /* the question that is open */
    struct bh_call *call;
    session_answered *answered;
    struct bh_cache *cache; /* keeps the answer under `key` */
    struct bh_buf key;
    struct bh_smtp_mailbox rcpt; /* views of rcpt_text */
    char rcpt_text[BH_SMTP_PATH_MAX + 1];
    struct bh_message message;
};

/* ports.c */
BH_MUST bh_err smtpd_add_port(struct smtpd *smtpd, const struct bh_listener *listener, int fd);
void smtpd_configure_ports(struct smtpd *smtpd);
void smtpd_close_ports(struct smtpd *smtpd);
void smtpd_forget_client(struct smtpd *smtpd, struct client *client);

/* tally.c */
BH_MUST bh_err smtpd_tally_init(struct smtpd *smtpd);
void smtpd_tally_free(struct smtpd *smtpd);
void smtpd_count_refusal(struct smtpd *smtpd, enum smtpd_refusal why);

/* session.c */
void session_begin(struct port *port, struct client *client, int fd, const char *address);
/* Goes on with what the client sent, after an answer was given. */
void session_resume(struct session *session);
void session_end(struct session *session, const char *enhanced, bh_str text);
/* Closes at once and frees. */
void session_close(struct session *session);
/* Answers the open event: the fixed words of a peer that is away, or the given ones. `fix` may be empty. */
void session_refuse(struct session *session, unsigned code, const char *enhanced, bh_str reason, bh_str fix);
void session_peer_away(struct session *session);

/* ask.c: asks controld; a cached answer is given before this returns. `key` says what may be remembered. */
void session_ask(struct session *session, struct bh_cache *cache, uint16_t type, bh_str key, bh_str body,
                 session_answered *answered);
/* Asks queued; never cached. */
void session_ask_queued(struct session *session, uint16_t type, bh_str body, bh_call_done *done);
void session_forget_question(struct session *session);

/* login.c, envelope.c, submit.c: one per event of the protocol core */
void session_on_auth(struct session *session, bh_str login, bh_str password);
void session_on_mail(struct session *session, const struct bh_smtp_server_event *event);
void session_on_rcpt(struct session *session, const struct bh_smtp_server_event *event);
void session_on_data(struct session *session);
void session_on_text(struct session *session, bh_str chunk);
void session_on_end(struct session *session);

#endif
