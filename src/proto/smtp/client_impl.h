/* client_impl.h: what client.c (the dialogue) and client_text.c (the output) share. Not for others. */
#ifndef BH_PROTO_SMTP_CLIENT_IMPL_H
#define BH_PROTO_SMTP_CLIENT_IMPL_H

#include "client.h"
#include "crlf.h"

enum { EARLY_CHUNK_MAX = 32 * 1024 }; /* a chunk that is sent before the recipient is accepted: it saves a round trip */
enum { SLOTS = 2, EXPECT_MAX = 16, GREETING_MAX = 255, RESULT_TEXT_MAX = 2048 };

/* Which reply comes next. */
enum expect {
    EXPECT_GREETING,
    EXPECT_EHLO,
    EXPECT_HELO,
    EXPECT_STARTTLS,
    EXPECT_AUTH,
    EXPECT_AUTH_LOGIN,
    EXPECT_AUTH_PASSWORD,
    EXPECT_MAIL,
    EXPECT_RCPT,
    EXPECT_DATA,
    EXPECT_END,
    EXPECT_RSET,
    EXPECT_NOTHING_SENT, /* the reply to a lone dot: DATA was accepted without a recipient */
    EXPECT_QUIT
};

/* Where in a message's text the output stands. */
struct text_cursor {
    struct bh_crlf crlf;
    bool dot_owed;      /* a stuffed dot goes out first */
    bool ended;         /* only the final dot is left */
    size_t piece;       /* index into pieces, or piece_count: the piece given last by bh_smtp_client_body */
    size_t at;          /* in that piece */
    size_t ending_sent; /* of the final dot */
};

enum slot_state { SLOT_FREE, SLOT_WAITING, SLOT_ENVELOPE, SLOT_TEXT, SLOT_ENDING, SLOT_DONE };

struct slot {
    enum slot_state state;
    struct bh_smtp_client_message message;
    struct bh_crlf checked; /* of the text given so far */
    uint64_t given_bytes;   /* of the text so far */
    uint64_t chunk_bytes;
    bool chunked; /* it goes as one chunk (RFC 3030), as it is, not between DATA and a dot */
    bool has_dots;
    bool rcpt_accepted;
    bool refused;   /* `result` holds a refusal, replies are still to come */
    bh_str follows; /* the piece given by bh_smtp_client_body */
    bool follows_given;
    bool follows_last;
    struct bh_smtp_result result;
    struct bh_buf text; /* of the result */
};

struct bh_smtp_client {
    const struct bh_smtp_client_config *config;
    struct bh_smtp_client_facts facts;
    struct bh_smtp_reply_reader reader;
    struct bh_buf out;    /* commands */
    size_t out_sent;      /* of `out` */
    size_t text_at;       /* the text of `texting` goes out when this much of `out` is sent */
    struct slot *texting; /* the message whose text is in the output, or NULL */
    struct text_cursor cursor;
    struct slot slots[SLOTS];
    size_t first; /* the older of the slots in use */
    struct {
        enum expect what;
        struct slot *slot;
    } expects[EXPECT_MAX];
    size_t expect_first;
    size_t expect_count;
    bool offers_plain;
    bool offers_login;
    bool has_secret; /* in `out` */
    bool starttls_owed;
    bool in_handshake;
    bool ready_owed;
    bool needs_rset;
    bool chunk_failed; /* and the next one's envelope may stand in its transaction */
    bool quits;
    bool over;      /* no more replies are read */
    bool over_told; /* OVER was returned */
    struct bh_smtp_result end;
    struct bh_buf end_text;
    char greeting[GREETING_MAX];
};

/* Begins the chunk of `slot` when its time has come: at once with a short text, else when the recipient is accepted. */
void bh_smtp_client_chunk_begin(struct bh_smtp_client *client, struct slot *slot);
/* Begins the text of `slot`: its output follows what is in `out` now. */
void bh_smtp_client_text_begin(struct bh_smtp_client *client, struct slot *slot);
/* Checks a piece of text as it is given: BH_E_SYNTAX for a bare CR or LF. */
BH_MUST bh_err bh_smtp_client_text_check(struct slot *slot, bh_str piece);

#endif
