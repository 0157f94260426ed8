/* server_impl.h: what server.c (life and replies), server_command.c (the commands) and server_text.c (the text of a
 * message) share. Not for others. */
#ifndef BH_PROTO_SMTP_SERVER_IMPL_H
#define BH_PROTO_SMTP_SERVER_IMPL_H

#include "crlf.h"
#include "server.h"

/* What the next input byte belongs to. */
enum server_mode {
    MODE_COMMAND,
    MODE_LONG_LINE, /* a command line beyond the limit; passed over to its end */
    MODE_AUTH_PLAIN,
    MODE_AUTH_LOGIN,
    MODE_AUTH_PASSWORD,
    MODE_TEXT,
    MODE_CHUNK,   /* text of the length that BDAT told (RFC 3030) */
    MODE_SWALLOW, /* the same of a refused BDAT: passed over */
    MODE_TLS,     /* between STARTTLS and tls_up: all input is dropped */
    MODE_CLOSED
};

/* Why a message's text is refused; the static reply. */
struct text_refusal {
    unsigned code; /* 0: it is not */
    const char *enhanced;
    const char *text;
    bool is_framing; /* a bare CR or LF: its end may never come */
};

enum { HELO_MAX = 255, CREDENTIAL_MAX = 512 };

struct bh_smtp_server {
    const struct bh_smtp_server_config *config;
    struct bh_buf out;
    struct bh_buf secret; /* login, NUL, password while AUTH is open; wiped after */
    enum server_mode mode;
    enum bh_smtp_server_event_kind open; /* the event that waits for its answer, or MORE */
    bool abort_owed;
    bool esmtp;
    bool tls;
    bool authenticated;
    bool in_transaction;
    bool smtputf8;
    bool wants_smtputf8; /* of the MAIL that is open */
    uint32_t recipients;
    uint32_t messages;
    uint32_t errors;
    uint32_t auth_failures;
    struct bh_crlf crlf;
    struct text_refusal refusal;
    uint64_t text_bytes;
    uint64_t dropped_bytes; /* of a refused text */
    uint64_t chunk_left;    /* bytes of this BDAT still to come */
    bool chunk_is_last;
    bool is_chunked; /* the message in progress came by BDAT so far */
    size_t login_n;  /* login's part of `secret` */
    size_t helo_n;
    char helo[HELO_MAX];
};

/* Replies. `complain` counts an error and ends the session at the limit. */
void bh_smtp_server_say(struct bh_smtp_server *server, unsigned code, const char *enhanced, const char *text);
void bh_smtp_server_complain(struct bh_smtp_server *server, unsigned code, const char *enhanced, const char *text);
/* Ends the session: no more input is taken. */
void bh_smtp_server_shut(struct bh_smtp_server *server);
/* Forgets the transaction, if there is one; the embedder will be told. */
void bh_smtp_server_drop_transaction(struct bh_smtp_server *server);

/* One whole command line without CRLF. Returns the event that it asks, or MORE. */
enum bh_smtp_server_event_kind bh_smtp_server_command(struct bh_smtp_server *server, bh_str line,
                                                      struct bh_smtp_server_event *ret_event);
/* One line of an AUTH exchange. */
enum bh_smtp_server_event_kind bh_smtp_server_auth_line(struct bh_smtp_server *server, bh_str line,
                                                        struct bh_smtp_server_event *ret_event);
void bh_smtp_server_forget_secret(struct bh_smtp_server *server);

/* Text of a message. */
void bh_smtp_server_text_begin(struct bh_smtp_server *server);
enum bh_smtp_server_event_kind bh_smtp_server_text(struct bh_smtp_server *server, bh_str *input,
                                                   struct bh_smtp_server_event *ret_event);
/* A BDAT of chunk_left bytes: its text, or passing over it. */
enum bh_smtp_server_event_kind bh_smtp_server_chunk(struct bh_smtp_server *server, bh_str *input,
                                                    struct bh_smtp_server_event *ret_event);
void bh_smtp_server_swallow(struct bh_smtp_server *server, bh_str *input);

#endif
