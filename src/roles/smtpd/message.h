/* message.h: the message that a session is receiving: its envelope and its text. Pure but for writing to the file that
 * it was given.
 *
 * Text stays in memory up to BH_MESSAGE_INLINE; what is longer goes to a file that queued hands out, while the header
 * is kept in memory too, as far as the check needs it. */
#ifndef BH_ROLES_SMTPD_MESSAGE_H
#define BH_ROLES_SMTPD_MESSAGE_H

#include "mail/check.h"
#include "mail/wishes.h"
#include "proto/smtp/server.h"
#include <behalf/dkim.h>

enum {
    BH_MESSAGE_INLINE = 128 * 1024,
    BH_MESSAGE_HEAD_MAX = 512 * 1024,       /* in memory: more than the check's limit on headers */
    BH_MESSAGE_RECIPIENTS_MAX = 640 * 1024, /* bytes of the list: it must fit into one message to queued */
    BH_MESSAGE_ENVID_MAX = 100,             /* RFC 3461 4.4 */
    BH_MESSAGE_CAMPAIGN_MAX = 64,
    BH_HOLD_MAX_S = 60 * 86400, /* the longest time that a submitter may have a message kept */
    BH_MESSAGE_DOMAIN_MAX = 511 /* room for IDNA to work in; the name itself has at most 253 */
};

struct bh_message {
    struct bh_buf recipients; /* list of recipient records */
    struct bh_buf head;       /* the text, or its beginning once `file` is there */
    int file;                 /* -1: none */
    uint64_t body_file;       /* queued's number of it */
    uint64_t size;
    size_t header_n; /* the header and its empty line are in `head`: so many bytes; 0: not known yet */
    bool has_8bit;
    bool has_nul;
    bool write_failed;
    bool file_lost; /* the queued that gave the file is gone: its number means nothing to the next one */
    bool smtputf8;
    bool ret_full;      /* RFC 3461 */
    bh_time_ms send_at; /* not before; 0: now */
    size_t stream_n;
    char stream[BH_STREAM_MAX];
    size_t campaign_n;
    char campaign[BH_MESSAGE_CAMPAIGN_MAX];
    uint32_t customer_id; /* of the bounce address, on port 25 */
    uint32_t domain_id;
    size_t mail_from_n, envid_n, header_from_n, from_domain_n;
    char mail_from[BH_SMTP_PATH_MAX + 1];
    char envid[BH_MESSAGE_ENVID_MAX];
    char header_from[BH_SMTP_PATH_MAX + 1];
    char from_domain[BH_MESSAGE_DOMAIN_MAX + 1];
};

void bh_message_init(struct bh_message *message);
/* Forgets envelope and text, closes the file; the memory stays for the next one, unless it is much. */
void bh_message_reset(struct bh_message *message);
void bh_message_free(struct bh_message *message);

/* The mailbox as given, without brackets, and ENVID (RFC 3461), or empty. BH_E_LIMIT. */
BH_MUST bh_err bh_message_set_sender(struct bh_message *message, const struct bh_smtp_path *path, bh_str envid);
/* `notify` and `orcpt` of RFC 3461 as given, or empty. BH_E_LIMIT: the list is full. */
BH_MUST bh_err bh_message_add_recipient(struct bh_message *message, const struct bh_smtp_mailbox *mailbox,
                                        bh_str notify, bh_str orcpt);
/* "local@domain", a view of the mailbox's input. */
bh_str bh_mailbox_text(const struct bh_smtp_mailbox *mailbox);

/* Takes a chunk. True: the text outgrew memory and bh_message_use_file must come before the next chunk. */
bool bh_message_add_text(struct bh_message *message, bh_str chunk);
/* `file` (owned from now on) takes all of the text. */
void bh_message_use_file(struct bh_message *message, int file, uint64_t body_file);
/* All of the text is there; the file is on disk. Errors are in write_failed. */
void bh_message_end_text(struct bh_message *message);

/* Judges a submitted message by its header and its bytes; sets header_from and from_domain (A-labels, lower case). The
 * verdict's code is 0 when it may go on to the question whose domain that is. Texts are in the arena. */
/* The submitter's own fields about a message that was judged: X-Behalf-Campaign, what it belongs to; X-Behalf-Send-At,
 * when it may leave. They do not leave with it (mail/prepare.h). False: one of them makes no sense. */
BH_MUST bool bh_message_read_wishes(struct bh_message *message, bh_time_ms now);
void bh_message_judge(struct bh_message *message, struct bh_arena *arena, size_t max_hops,
                      struct bh_check_verdict *ret_verdict);
/* Judges what comes to ourselves on port 25: loops and what no text may hold, nothing else. */
void bh_message_judge_inbound(struct bh_message *message, struct bh_arena *arena, size_t max_hops,
                              struct bh_check_verdict *ret_verdict);

/* The hash of the relaxed body (RFC 6376 3.4.4), which every later signature needs: computed once, here. BH_E_IO. */
BH_MUST bh_err bh_message_body_hash(const struct bh_message *message, struct bh_dkim *dkim,
                                    uint8_t ret_hash[BH_DKIM_HASH_BYTES]);

/* "ESMTPSA": RFC 3848, RFC 6531 4.3. */
const char *bh_message_protocol(const struct bh_smtp_server_facts *facts, bool smtputf8);
/* True if some byte is above 127. */
bool bh_has_8bit(bh_str bytes);

#endif
