/* client.h: an SMTP client session (RFC 5321) as a state machine without sockets, clock or randomness: greeting,
 * EHLO (HELO where that is all), STARTTLS, AUTH, then any number of messages with one recipient each, QUIT.
 *
 * The embedder feeds what arrived with bh_smtp_client_next and sends what bh_smtp_client_output gives: iovecs that
 * point into the session's commands and straight into the message, dots stuffed between them, nothing copied. Two
 * messages may be inside: with PIPELINING the second one's MAIL, RCPT and DATA go out behind the final dot of the
 * first, in the same write (RFC 2920 3.1), so a message costs one round trip.
 *
 *      next ─▶ MORE      feed more input
 *           ─▶ STARTTLS  the output is sent already: drop the input buffer, shake hands, call bh_smtp_client_tls_up
 *           ─▶ READY     messages may be given, whenever bh_smtp_client_has_room
 *           ─▶ RESULT    one message is done with; its views are no longer used
 *           ─▶ CLOSED    the session is over, why is in the result; each message inside had its RESULT before
 *
 * Timeouts, lost connections and failed handshakes are told with bh_smtp_client_fail. */
#ifndef BH_PROTO_SMTP_CLIENT_H
#define BH_PROTO_SMTP_CLIENT_H

#include "reply.h"
#include <sys/uio.h>

enum bh_smtp_client_tls {
    BH_SMTP_TLS_NEVER,
    BH_SMTP_TLS_IF_OFFERED, /* STARTTLS where offered; refused or not offered: in clear */
    BH_SMTP_TLS_REQUIRED,   /* STARTTLS or nothing */
    BH_SMTP_TLS_IMPLICIT    /* TLS is up before the greeting */
};

/* Views must live as long as the session. */
struct bh_smtp_client_config {
    bh_str helo;
    enum bh_smtp_client_tls tls;
    bh_str login; /* empty: no AUTH */
    bh_str password;
    bool auth_in_clear; /* AUTH also without TLS: loopback and tests */
};

enum bh_smtp_phase {
    BH_SMTP_PHASE_CONNECT,
    BH_SMTP_PHASE_GREETING,
    BH_SMTP_PHASE_HELO,
    BH_SMTP_PHASE_STARTTLS,
    BH_SMTP_PHASE_AUTH,
    BH_SMTP_PHASE_MAIL,
    BH_SMTP_PHASE_RCPT,
    BH_SMTP_PHASE_DATA,
    BH_SMTP_PHASE_TEXT, /* while the text was sent */
    BH_SMTP_PHASE_END,  /* the reply to the final dot */
    BH_SMTP_PHASE_QUIT
};
/* "MAIL FROM", "end of DATA": for logs and events. */
const char *bh_smtp_phase_text(enum bh_smtp_phase phase);

enum bh_smtp_outcome {
    BH_SMTP_DELIVERED,
    BH_SMTP_TEMP,    /* certainly not delivered; try again */
    BH_SMTP_PERM,    /* refused for good */
    BH_SMTP_UNKNOWN, /* the connection was lost behind the final dot: perhaps delivered; try again */
    BH_SMTP_CLOSED   /* of a session: closed in good order */
};

struct bh_smtp_result {
    void *tag; /* the message's; NULL for the session */
    enum bh_smtp_outcome outcome;
    enum bh_smtp_phase phase;
    bool session_fault; /* not this message's doing: the server went away or wants no more mail now */
    bool local;         /* no server said this: text, code and status are ours */
    uint16_t code;      /* 0 where there was no reply */
    struct bh_smtp_status status;
    bh_str text; /* lives until the next call of next */
};

/* All views live until the message's RESULT. */
struct bh_smtp_client_message {
    void *tag;
    bh_str mail_from; /* without brackets; empty is <> */
    bh_str rcpt_to;
    const bh_str *pieces; /* the text; a line end may be split between two */
    size_t piece_count;
    bool more_follows;   /* further pieces come by bh_smtp_client_body */
    uint64_t size_bytes; /* for SIZE; 0: the sum of the pieces */
    bool has_8bit;
    bool needs_smtputf8;
    /* RFC 3461, in wire form (xtext); sent where the server offers DSN, left out where it does not. May be empty. */
    bh_str ret;
    bh_str envid;
    bh_str notify;
    bh_str orcpt;
};

/* What the server offered. */
struct bh_smtp_client_facts {
    bool ready;
    bool tls;
    bool esmtp;
    bool pipelining;
    bool eight_bit;
    bool smtputf8;
    bool starttls;
    bool dsn;
    bool chunking;
    bool has_size;
    uint64_t size;     /* 0: no limit told */
    uint32_t mail_max; /* messages that it takes in one session (RFC 9422 LIMITS); 0: no limit told */
    uint32_t mails;    /* MAIL commands said in this session */
    uint32_t messages; /* delivered in it */
    uint32_t replies;  /* whole ones read: what did not change it is no progress of the server */
    bh_str greeting;   /* the first line, cut at 255 bytes */
};

enum bh_smtp_client_event {
    BH_SMTP_CLIENT_MORE,
    BH_SMTP_CLIENT_STARTTLS,
    BH_SMTP_CLIENT_READY,
    BH_SMTP_CLIENT_RESULT,
    BH_SMTP_CLIENT_OVER
};

struct bh_smtp_client;

/* A session that waits for the greeting. NULL when out of memory. Owner: the caller. */
struct bh_smtp_client *bh_smtp_client_new(const struct bh_smtp_client_config *config);
void bh_smtp_client_free(struct bh_smtp_client *client);

/* Takes replies off *input. *ret_result is written for RESULT and OVER. */
enum bh_smtp_client_event bh_smtp_client_next(struct bh_smtp_client *client, bh_str *input,
                                              struct bh_smtp_result *ret_result);

/* The handshake is done (after STARTTLS). */
void bh_smtp_client_tls_up(struct bh_smtp_client *client);

/* True when `next` has something to say without more input: a message that this server cannot take. */
bool bh_smtp_client_owes(const struct bh_smtp_client *client);
/* True when another message can be given; false for ever when the server's limit of messages is reached. */
bool bh_smtp_client_has_room(const struct bh_smtp_client *client);
/* Gives a message. What the server cannot take (8 bit, UTF-8 addresses, size) comes back as RESULT without a word
 * sent. BH_E_BUSY (no room, or not READY), BH_E_SYNTAX (a bare CR or LF in the text, a control byte in an address). */
BH_MUST bh_err bh_smtp_client_send(struct bh_smtp_client *client, const struct bh_smtp_client_message *message);
/* True when the message being sent has no more text and `more_follows`; which one that is, of the two that may be
 * inside, says its tag. */
bool bh_smtp_client_wants_body(const struct bh_smtp_client *client, void **ret_tag);
/* The next piece of it; it must live until bh_smtp_client_wants_body again, or the RESULT. BH_E_SYNTAX: a bare CR or
 * LF; the session can then only be failed. */
BH_MUST bh_err bh_smtp_client_body(struct bh_smtp_client *client, bh_str piece, bool is_last);

/* Says QUIT when the messages inside are done. */
void bh_smtp_client_quit(struct bh_smtp_client *client);
/* The connection is of no more use: BH_E_TIMEOUT, BH_E_CLOSED, BH_E_CRYPTO (handshake), BH_E_IO. `text` for people. */
void bh_smtp_client_fail(struct bh_smtp_client *client, bh_err err, bh_str text);

/* Up to `max` iovecs of what is to be sent now; 0 when nothing is. Valid until the next call of anything here. */
size_t bh_smtp_client_output(struct bh_smtp_client *client, struct iovec *iov, size_t max);
/* The first `n` bytes of that were sent. */
void bh_smtp_client_sent(struct bh_smtp_client *client, size_t n);

/* How long to wait for progress now (RFC 5321 4.5.3.2), counted from the last byte sent or received; 0: for ever. */
int bh_smtp_client_timeout_ms(const struct bh_smtp_client *client);
/* What the session is waiting for. */
enum bh_smtp_phase bh_smtp_client_phase(const struct bh_smtp_client *client);
struct bh_smtp_client_facts bh_smtp_client_facts(const struct bh_smtp_client *client);

#endif
