/* server.h: an SMTP server session (RFC 5321, 6409) as a state machine without sockets, clock or randomness.
 *
 * The embedder owns the input buffer and calls bh_smtp_server_next with a view of what arrived; the session takes
 * whole commands and pieces of message text off its front and returns events. An event that asks something (AUTH, MAIL,
 * RCPT, DATA, END) stays open until bh_smtp_server_accept or _refuse, now or much later: meanwhile next returns
 * BH_SMTP_SERVER_WAIT and takes nothing, so that pipelined commands wait in order. Replies collect in one buffer
 * (bh_smtp_server_output), to be sent when next has nothing more to do.
 *
 * DATA and BDAT look alike to the embedder: DATA is asked once, then come chunks, then END.
 *
 * What it refuses by itself: a bare CR or LF anywhere, also in message text (SMTP smuggling); only CRLF.CRLF ends
 * DATA. In text the message is dropped, the rest of it passed over and the refusal is the reply to its end; in a
 * command the session ends, since nobody can say where the next command starts. Lines, text lines, sizes, recipients,
 * errors and messages are limited by the configuration. What arrives in clear behind STARTTLS is dropped.
 *
 *      next ─▶ MORE    feed more input (the view's rest stays in the buffer)
 *           ─▶ WAIT    an answer is owed
 *           ─▶ AUTH MAIL RCPT DATA END   answer with accept or refuse
 *           ─▶ CHUNK   text of the message, unstuffed; ABORT: forget the transaction
 *           ─▶ STARTTLS   send the output, drop the input buffer, shake hands, call bh_smtp_server_tls_up
 *           ─▶ CLOSE   send the output and close
 */
#ifndef BH_PROTO_SMTP_SERVER_H
#define BH_PROTO_SMTP_SERVER_H

#include "path.h"
#include "reply.h"

enum bh_smtp_profile {
    BH_SMTP_PROFILE_PORT25,     /* mail from the world: no AUTH */
    BH_SMTP_PROFILE_SUBMISSION, /* STARTTLS, then AUTH, then mail */
    BH_SMTP_PROFILE_TLS,        /* submissions: TLS is up before the first byte */
    BH_SMTP_PROFILE_TRUSTED     /* the listener vouches: neither TLS nor AUTH is needed */
};

/* Shared by many sessions; outlives them. */
struct bh_smtp_server_config {
    enum bh_smtp_profile profile;
    bh_str host_name;    /* in the greeting and the EHLO reply */
    bool has_tls;        /* STARTTLS can be offered */
    bool has_dsn;        /* DSN is offered: the embedder honours its parameters (RFC 3461) */
    uint32_t max_hold_s; /* FUTURERELEASE is offered for so long (RFC 4865); 0: not */
    size_t max_command_bytes;
    size_t max_text_line_bytes; /* CRLF included: 1000 (RFC 5321 4.5.3.1.6) */
    uint64_t max_message_bytes;
    uint32_t max_recipients;
    uint32_t max_errors;   /* refused commands until the session is closed */
    uint32_t max_messages; /* accepted messages in one session */
    uint32_t max_auth_failures;
};

/* Fills in the usual limits and leaves host_name empty. */
struct bh_smtp_server_config bh_smtp_server_config_default(enum bh_smtp_profile profile);

enum bh_smtp_server_event_kind {
    BH_SMTP_SERVER_MORE,
    BH_SMTP_SERVER_WAIT,
    BH_SMTP_SERVER_AUTH,
    BH_SMTP_SERVER_MAIL,
    BH_SMTP_SERVER_RCPT,
    BH_SMTP_SERVER_DATA,
    BH_SMTP_SERVER_CHUNK,
    BH_SMTP_SERVER_END,
    BH_SMTP_SERVER_ABORT,
    BH_SMTP_SERVER_STARTTLS,
    BH_SMTP_SERVER_CLOSE
};

/* Views live until the next call of next, accept or refuse. */
struct bh_smtp_server_event {
    enum bh_smtp_server_event_kind kind;
    union {
        struct {
            bh_str login;
            bh_str password; /* a secret: hash it at once; the session wipes its copy */
        } auth;
        struct {
            struct bh_smtp_path path;
            uint64_t size; /* as declared, 0 = not */
            bool body_8bit;
            bool smtputf8;
            bh_str ret;          /* RFC 3461: "FULL" or "HDRS"; empty: not given */
            bh_str envid;        /* xtext, as given */
            uint32_t hold_for_s; /* RFC 4865 HOLDFOR; 0: not given */
            bh_str hold_until;   /* HOLDUNTIL: a time of RFC 3339, as given, not read */
        } mail;
        struct {
            struct bh_smtp_path path;
            bh_str notify; /* RFC 3461: "NEVER" or a list of "SUCCESS", "FAILURE", "DELAY", as given */
            bh_str orcpt;  /* "rfc822;" and xtext, as given */
        } rcpt;
        bh_str chunk;
    };
};

struct bh_smtp_server;

/* A session; its greeting is in the output already. NULL when out of memory. Owner: the caller. */
struct bh_smtp_server *bh_smtp_server_new(const struct bh_smtp_server_config *config);
/* NULL is fine. */
void bh_smtp_server_free(struct bh_smtp_server *server);

/* Works on *input until something must be said; *input becomes the part not taken yet, which must come again, with
 * what arrived behind it, in the next call. It never holds back more than max_command_bytes + 1. */
enum bh_smtp_server_event_kind bh_smtp_server_next(struct bh_smtp_server *server, bh_str *input,
                                                   struct bh_smtp_server_event *ret_event);

/* Answers the open event with its usual positive reply; `text` replaces the reply's text unless it is empty. */
void bh_smtp_server_accept(struct bh_smtp_server *server, bh_str text);
/* Answers it with a 4xx or 5xx reply. 421 ends the session. */
void bh_smtp_server_refuse(struct bh_smtp_server *server, unsigned code, const char *enhanced, bh_str text);
/* Ends the session from outside with 421 (or, after a bare LF whose message never ended, with its refusal): idle too
 * long, shutting down. next returns ABORT where a transaction was open, then CLOSE. */
void bh_smtp_server_end(struct bh_smtp_server *server, const char *enhanced, bh_str text);

/* The handshake after STARTTLS, or before the greeting, is done. The session begins anew (RFC 3207 4.2). */
void bh_smtp_server_tls_up(struct bh_smtp_server *server);

/* What is to be sent; the caller removes what it sent with bh_buf_consume, or clears it. */
struct bh_buf *bh_smtp_server_output(struct bh_smtp_server *server);

/* How long the peer may be silent now, in milliseconds: 5 minutes, the minimum of RFC 5321 4.5.3.2.7, but 10 seconds
 * where the end of a refused message is awaited. */
int bh_smtp_server_timeout_ms(const struct bh_smtp_server *server);

/* What the session knows, for Received and for logs. */
struct bh_smtp_server_facts {
    bh_str helo; /* empty before EHLO/HELO */
    bool esmtp;
    bool tls;
    bool authenticated;
    bool in_transaction;
    bool smtputf8;
    uint32_t recipients; /* accepted in this transaction */
    uint32_t messages;   /* accepted in this session */
    uint64_t text_bytes; /* of the message in progress, unstuffed */
};
struct bh_smtp_server_facts bh_smtp_server_facts(const struct bh_smtp_server *server);

#endif
