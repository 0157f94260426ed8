/* message.h: DNS messages (RFC 1035 4, EDNS: RFC 6891). Parsing reads views with bounds; writing goes into the
 * caller's memory with name compression and never allocates, so that a server's hot path can use it. */
#ifndef BH_PROTO_DNS_MESSAGE_H
#define BH_PROTO_DNS_MESSAGE_H

#include "rdata.h"

enum {
    BH_DNS_HEADER_BYTES = 12,
    BH_DNS_MESSAGE_MAX = 65535,
    BH_DNS_UDP_PLAIN_MAX = 512, /* without EDNS */
    BH_DNS_UDP_SAFE_MAX = 1232, /* fits an IPv6 packet of minimal MTU */
    BH_DNS_OPT_BYTES = 11       /* an OPT record without options */
};

/* Bits of the header's flags word. */
enum {
    BH_DNS_QR = 0x8000,
    BH_DNS_OPCODE = 0x7800,
    BH_DNS_AA = 0x0400,
    BH_DNS_TC = 0x0200,
    BH_DNS_RD = 0x0100,
    BH_DNS_RA = 0x0080,
    BH_DNS_AD = 0x0020,
    BH_DNS_CD = 0x0010,
    BH_DNS_RCODE = 0x000f
};

enum { BH_DNS_OPCODE_QUERY = 0, BH_DNS_OPCODE_NOTIFY = 4, BH_DNS_OPCODE_UPDATE = 5 };

enum bh_dns_rcode {
    BH_DNS_RCODE_NOERROR = 0,
    BH_DNS_RCODE_FORMERR = 1,
    BH_DNS_RCODE_SERVFAIL = 2,
    BH_DNS_RCODE_NXDOMAIN = 3,
    BH_DNS_RCODE_NOTIMP = 4,
    BH_DNS_RCODE_REFUSED = 5,
    BH_DNS_RCODE_NOTAUTH = 9,
    BH_DNS_RCODE_BADVERS = 16,
    BH_DNS_RCODE_BADCOOKIE = 23
};

/* "NXDOMAIN"; "RCODE11" style numbers are left to the caller: NULL for what is not in the list. */
const char *bh_dns_rcode_text(unsigned rcode);

enum bh_dns_section { BH_DNS_QUESTION, BH_DNS_ANSWER, BH_DNS_AUTHORITY, BH_DNS_ADDITIONAL, BH_DNS_SECTIONS };

/* ---- parsing ---- */

struct bh_dns_edns {
    bool present;
    bool dnssec_ok;
    uint8_t version;
    uint8_t rcode_high;
    uint16_t udp_size;
    bh_str options; /* code, length, value; checked */
};

struct bh_dns_message {
    bh_str packet;
    uint16_t id;
    uint16_t flags;
    uint16_t counts[BH_DNS_SECTIONS];
    struct bh_dns_name name; /* of the question; only when counts[BH_DNS_QUESTION] is 1 */
    uint16_t type;
    uint16_t klass;
    size_t records_at; /* where the first record is */
    size_t tsig_at;    /* where a TSIG record starts that ends the message, else 0 */
    struct bh_dns_edns edns;
};

static inline unsigned bh_dns_message_opcode(const struct bh_dns_message *message)
{
    return (message->flags & BH_DNS_OPCODE) >> 11;
}
/* With the upper bits that EDNS carries. */
static inline unsigned bh_dns_message_rcode(const struct bh_dns_message *message)
{
    return (unsigned)message->edns.rcode_high << 4 | (message->flags & BH_DNS_RCODE);
}

/* One record of a received message. rdata is read with bh_dns_rdata_read(type, packet, rdata_at, rdata_n, …). */
struct bh_dns_rr {
    enum bh_dns_section section;
    struct bh_dns_name owner;
    uint16_t type;
    uint16_t klass;
    uint32_t ttl_s;
    size_t rdata_at;
    size_t rdata_n;
};

/* Place of an iteration over the records. */
struct bh_dns_rr_iter {
    size_t at;
    unsigned index;
};

/* The header alone: id, flags, counts. BH_E_TRUNCATED. */
BH_MUST bh_err bh_dns_header_parse(bh_str packet, struct bh_dns_message *ret_message);
/* Header, question (counts[QUESTION] may be 0 or 1) and every record's outline, EDNS and TSIG found. BH_E_TRUNCATED,
 * BH_E_SYNTAX (two questions, two OPT, OPT not at the root or not in the additional section, bytes behind the end).
 * On error what was parsed so far is written too, header first, so that FORMERR can be answered. */
BH_MUST bh_err bh_dns_message_parse(bh_str packet, struct bh_dns_message *ret_message);
/* The records of a parsed message, OPT and TSIG included; start with a zeroed `iter` . BH_MORE, BH_DONE. */
BH_MUST bh_err bh_dns_message_next(const struct bh_dns_message *message, struct bh_dns_rr_iter *iter,
                                   struct bh_dns_rr *ret_rr);
/* The value of the first EDNS option `code`; p is NULL where it is absent. */
bh_str bh_dns_edns_option(const struct bh_dns_edns *edns, uint16_t code);

/* ---- writing ---- */

enum { BH_DNS_WRITER_NAMES = 40 };

/* Fields are the writer's own. After something did not fit `full` is set and nothing more is written. */
struct bh_dns_writer {
    unsigned char *p;
    size_t n;
    size_t max;
    uint16_t counts[BH_DNS_SECTIONS];
    bool full;
    uint8_t names; /* known names, for compression: offset and length of each suffix written */
    struct {
        uint16_t at;
        uint8_t n;
    } name[BH_DNS_WRITER_NAMES];
};

/* A place to return to, so that a whole RRset is written or nothing. */
struct bh_dns_writer_mark {
    size_t n;
    uint16_t counts[BH_DNS_SECTIONS];
    uint8_t names;
};

/* Starts a message in p[max] (max >= 12); the header is written by _end. */
void bh_dns_writer_begin(struct bh_dns_writer *writer, void *p, size_t max);
void bh_dns_writer_question(struct bh_dns_writer *writer, bh_str name, uint16_t type, uint16_t klass);
/* One record; names of the types of RFC 1035 in `rdata` are compressed. */
void bh_dns_writer_record(struct bh_dns_writer *writer, enum bh_dns_section section, bh_str owner, uint16_t type,
                          uint16_t klass, uint32_t ttl_s, bh_str rdata);
/* OPT with `options` in wire form; rcode_high: the rcode's bits above the fourth. */
void bh_dns_writer_opt(struct bh_dns_writer *writer, uint16_t udp_size, unsigned rcode, bool dnssec_ok, bh_str options);
struct bh_dns_writer_mark bh_dns_writer_mark(const struct bh_dns_writer *writer);
/* Back to the mark; clears `full`. */
void bh_dns_writer_rewind(struct bh_dns_writer *writer, const struct bh_dns_writer_mark *mark);
/* Writes the header and returns the message's size. */
size_t bh_dns_writer_end(struct bh_dns_writer *writer, uint16_t id, uint16_t flags);

/* A query for (name, type) in class IN: `flags` of BH_DNS_RD, BH_DNS_CD, BH_DNS_AD; EDNS with `udp_size` unless that
 * is 0. Appends the packet. BH_E_LIMIT, BH_E_NOMEM from the buffer. */
BH_MUST bh_err bh_dns_query_write(struct bh_buf *out, uint16_t id, uint16_t flags, bh_str name, uint16_t type,
                                  uint16_t udp_size, bool dnssec_ok);
/* True when `response` answers that query: QR, id and question (RFC 5452 9.1). */
bool bh_dns_response_matches(const struct bh_dns_message *response, uint16_t id, bh_str name, uint16_t type);

#endif
