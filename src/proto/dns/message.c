/* DNS messages. The writer remembers where each suffix of each name was written (offset and length of the uncompressed
 * suffix), so finding a suffix compares lengths first and walks the packet only where these agree. */
#include "message.h"

const char *bh_dns_rcode_text(unsigned rcode)
{
    static const char *const low[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                      "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};

    if (rcode < sizeof low / sizeof low[0])
        return low[rcode];
    return rcode == BH_DNS_RCODE_BADVERS ? "BADVERS" : rcode == BH_DNS_RCODE_BADCOOKIE ? "BADCOOKIE" : NULL;
}

/* ---- parsing ---- */

bh_err bh_dns_header_parse(bh_str packet, struct bh_dns_message *ret_message)
{
    struct bh_cur cur = bh_cur_make(packet);

    if (packet.n < BH_DNS_HEADER_BYTES)
        return BH_E_TRUNCATED;
    *ret_message = (struct bh_dns_message){.packet = packet};
    ret_message->id = bh_cur_u16(&cur);
    ret_message->flags = bh_cur_u16(&cur);
    for (int i = 0; i < BH_DNS_SECTIONS; i++)
        ret_message->counts[i] = bh_cur_u16(&cur);
    ret_message->records_at = BH_DNS_HEADER_BYTES;
    return BH_OK;
}

static uint16_t u16_at(bh_str packet, size_t at)
{
    return (uint16_t)((unsigned char)packet.p[at] << 8 | (unsigned char)packet.p[at + 1]);
}

static bh_err parse_question(struct bh_dns_message *message)
{
    size_t at = BH_DNS_HEADER_BYTES;
    bh_err err = BH_OK;

    if (message->counts[BH_DNS_QUESTION] == 0)
        return BH_OK;
    if (message->counts[BH_DNS_QUESTION] > 1)
        return BH_E_SYNTAX;
    err = bh_dns_name_read(message->packet, &at, &message->name);
    if (err)
        return err;
    if (message->packet.n - at < 4)
        return BH_E_TRUNCATED;
    message->type = u16_at(message->packet, at);
    message->klass = u16_at(message->packet, at + 2);
    message->records_at = at + 4;
    return BH_OK;
}

static enum bh_dns_section section_of(const struct bh_dns_message *message, unsigned index)
{
    if (index < message->counts[BH_DNS_ANSWER])
        return BH_DNS_ANSWER;
    return index < (unsigned)message->counts[BH_DNS_ANSWER] + message->counts[BH_DNS_AUTHORITY] ? BH_DNS_AUTHORITY
                                                                                                : BH_DNS_ADDITIONAL;
}

bh_err bh_dns_message_next(const struct bh_dns_message *message, struct bh_dns_rr_iter *iter, struct bh_dns_rr *ret_rr)
{
    unsigned total = (unsigned)message->counts[BH_DNS_ANSWER] + message->counts[BH_DNS_AUTHORITY] +
                     message->counts[BH_DNS_ADDITIONAL];
    size_t at = iter->index ? iter->at : message->records_at;
    struct bh_cur cur;
    bh_err err;

    if (iter->index >= total)
        return BH_DONE;
    err = bh_dns_name_read(message->packet, &at, &ret_rr->owner);
    if (err)
        return err;
    cur = bh_cur_make(bh_str_skip(message->packet, at));
    ret_rr->type = bh_cur_u16(&cur);
    ret_rr->klass = bh_cur_u16(&cur);
    ret_rr->ttl_s = bh_cur_u32(&cur);
    ret_rr->rdata_n = bh_cur_u16(&cur);
    ret_rr->rdata_at = at + 10;
    (void)bh_cur_bytes(&cur, ret_rr->rdata_n);
    if (!bh_cur_ok(&cur))
        return BH_E_TRUNCATED;
    ret_rr->section = section_of(message, iter->index);
    iter->at = ret_rr->rdata_at + ret_rr->rdata_n;
    iter->index++;
    return BH_MORE;
}

static bh_err take_opt(struct bh_dns_message *message, const struct bh_dns_rr *rr)
{
    struct bh_dns_edns *edns = &message->edns;
    struct bh_cur cur = bh_cur_make(bh_str_sub(message->packet, rr->rdata_at, rr->rdata_n));

    if (edns->present || rr->section != BH_DNS_ADDITIONAL || rr->owner.n != 1)
        return BH_E_SYNTAX;
    while (bh_cur_left(&cur)) {
        (void)bh_cur_u16(&cur);
        (void)bh_cur_bytes(&cur, bh_cur_u16(&cur));
    }
    if (!bh_cur_ok(&cur))
        return BH_E_SYNTAX;
    edns->present = true;
    edns->udp_size = rr->klass;
    edns->rcode_high = (uint8_t)(rr->ttl_s >> 24);
    edns->version = (uint8_t)(rr->ttl_s >> 16);
    edns->dnssec_ok = rr->ttl_s & 0x8000;
    edns->options = bh_str_sub(message->packet, rr->rdata_at, rr->rdata_n);
    return BH_OK;
}

static bh_err parse_records(struct bh_dns_message *message)
{
    struct bh_dns_rr_iter iter = {.at = message->records_at};
    struct bh_dns_rr rr;
    size_t at = iter.at;
    bh_err err;

    while ((err = bh_dns_message_next(message, &iter, &rr)) == BH_MORE) {
        if (message->tsig_at) /* RFC 8945 5.1: TSIG is the last record */
            return BH_E_SYNTAX;
        if (rr.type == BH_DNS_OPT && (err = take_opt(message, &rr)) != BH_OK)
            return err;
        if (rr.type == BH_DNS_TSIG)
            message->tsig_at = at;
        at = iter.at;
    }
    if (err == BH_DONE)
        err = at == message->packet.n ? BH_OK : BH_E_SYNTAX;
    return err;
}

bh_err bh_dns_message_parse(bh_str packet, struct bh_dns_message *ret_message)
{
    bh_err err = bh_dns_header_parse(packet, ret_message);

    if (!err)
        err = parse_question(ret_message);
    return err ? err : parse_records(ret_message);
}

bh_str bh_dns_edns_option(const struct bh_dns_edns *edns, uint16_t code)
{
    struct bh_cur cur = bh_cur_make(edns->options);

    while (bh_cur_left(&cur)) {
        uint16_t found = bh_cur_u16(&cur);
        bh_str value = bh_cur_bytes(&cur, bh_cur_u16(&cur));

        if (found == code)
            return value;
    }
    return (bh_str){NULL, 0};
}

/* ---- writing ---- */

void bh_dns_writer_begin(struct bh_dns_writer *writer, void *p, size_t max)
{
    writer->p = p;
    writer->n = BH_DNS_HEADER_BYTES;
    writer->max = max;
    writer->full = false;
    writer->names = 0;
    memset(writer->counts, 0, sizeof writer->counts);
}

static void put(struct bh_dns_writer *writer, const void *bytes, size_t n)
{
    if (writer->full || writer->max - writer->n < n) {
        writer->full = true;
        return;
    }
    if (n)
        memcpy(writer->p + writer->n, bytes, n);
    writer->n += n;
}

static void put_u16(struct bh_dns_writer *writer, unsigned v)
{
    unsigned char bytes[2] = {(unsigned char)(v >> 8), (unsigned char)v};

    put(writer, bytes, 2);
}

/* The (possibly compressed) name that we wrote at `at` equals `name`. */
static bool written_eq(const struct bh_dns_writer *writer, size_t at, bh_str name)
{
    const unsigned char *p = writer->p;

    for (;;) {
        while (p[at] >= 0xc0)
            at = (size_t)(p[at] & 0x3f) << 8 | p[at + 1];
        if (p[at] != (unsigned char)name.p[0])
            return false;
        if (p[at] == 0)
            return true;
        if (!bh_str_eq_ci((bh_str){(const char *)p + at + 1, p[at]}, bh_dns_name_label(name)))
            return false;
        at += 1u + p[at];
        name = bh_dns_name_parent(name);
    }
}

/* The offset of `name` in the message, or 0. */
static size_t find_name(const struct bh_dns_writer *writer, bh_str name)
{
    for (unsigned i = 0; i < writer->names; i++)
        if (writer->name[i].n == name.n && written_eq(writer, writer->name[i].at, name))
            return writer->name[i].at;
    return 0;
}

static void remember_name(struct bh_dns_writer *writer, bh_str name)
{
    if (writer->names == BH_DNS_WRITER_NAMES || writer->n > 0x3fff)
        return;
    writer->name[writer->names].at = (uint16_t)writer->n;
    writer->name[writer->names++].n = (uint8_t)name.n;
}

static void put_name(struct bh_dns_writer *writer, bh_str name)
{
    for (; name.n > 1; name = bh_dns_name_parent(name)) {
        size_t at = find_name(writer, name);

        if (at) {
            put_u16(writer, 0xc000 | (unsigned)at);
            return;
        }
        if (writer->max - writer->n >= 1u + (unsigned char)name.p[0])
            remember_name(writer, name);
        put(writer, name.p, 1u + (unsigned char)name.p[0]);
    }
    put(writer, "", 1);
}

void bh_dns_writer_question(struct bh_dns_writer *writer, bh_str name, uint16_t type, uint16_t klass)
{
    put_name(writer, name);
    put_u16(writer, type);
    put_u16(writer, klass);
    writer->counts[BH_DNS_QUESTION]++;
}

/* Takes one name off the front of `rest` and writes it compressed. */
static void put_rdata_name(struct bh_dns_writer *writer, bh_str *rest)
{
    struct bh_cur cur = bh_cur_make(*rest);
    bh_str name = bh_dns_name_take(&cur);

    if (!bh_cur_ok(&cur))
        return;
    put_name(writer, name);
    *rest = bh_str_skip(*rest, name.n);
}

static void put_rdata(struct bh_dns_writer *writer, uint16_t type, bh_str rdata)
{
    if (type == BH_DNS_MX && rdata.n > 2) {
        put(writer, rdata.p, 2);
        rdata = bh_str_skip(rdata, 2);
    }
    if (type == BH_DNS_NS || type == BH_DNS_CNAME || type == BH_DNS_PTR || type == BH_DNS_MX || type == BH_DNS_SOA)
        put_rdata_name(writer, &rdata);
    if (type == BH_DNS_SOA)
        put_rdata_name(writer, &rdata);
    put(writer, rdata.p, rdata.n);
}

void bh_dns_writer_record(struct bh_dns_writer *writer, enum bh_dns_section section, bh_str owner, uint16_t type,
                          uint16_t klass, uint32_t ttl_s, bh_str rdata)
{
    size_t start;

    put_name(writer, owner);
    put_u16(writer, type);
    put_u16(writer, klass);
    put_u16(writer, ttl_s >> 16);
    put_u16(writer, ttl_s & 0xffff);
    put_u16(writer, 0);
    start = writer->n;
    put_rdata(writer, type, rdata);
    if (writer->full)
        return;
    writer->p[start - 2] = (unsigned char)((writer->n - start) >> 8);
    writer->p[start - 1] = (unsigned char)(writer->n - start);
    writer->counts[section]++;
}

void bh_dns_writer_opt(struct bh_dns_writer *writer, uint16_t udp_size, unsigned rcode, bool dnssec_ok, bh_str options)
{
    uint32_t extended = (uint32_t)(rcode >> 4) << 24 | (dnssec_ok ? 0x8000u : 0);

    bh_dns_writer_record(writer, BH_DNS_ADDITIONAL, bh_dns_root(), BH_DNS_OPT, udp_size, extended, options);
}

struct bh_dns_writer_mark bh_dns_writer_mark(const struct bh_dns_writer *writer)
{
    struct bh_dns_writer_mark mark = {.n = writer->n, .names = writer->names};

    memcpy(mark.counts, writer->counts, sizeof mark.counts);
    return mark;
}

void bh_dns_writer_rewind(struct bh_dns_writer *writer, const struct bh_dns_writer_mark *mark)
{
    writer->n = mark->n;
    writer->names = mark->names;
    writer->full = false;
    memcpy(writer->counts, mark->counts, sizeof mark->counts);
}

size_t bh_dns_writer_end(struct bh_dns_writer *writer, uint16_t id, uint16_t flags)
{
    const unsigned words[6] = {id, flags, writer->counts[0], writer->counts[1], writer->counts[2], writer->counts[3]};

    for (size_t i = 0; i < 6; i++) {
        writer->p[2 * i] = (unsigned char)(words[i] >> 8);
        writer->p[2 * i + 1] = (unsigned char)words[i];
    }
    return writer->n;
}

bh_err bh_dns_query_write(struct bh_buf *out, uint16_t id, uint16_t flags, bh_str name, uint16_t type,
                          uint16_t udp_size, bool dnssec_ok)
{
    struct bh_dns_writer writer;
    size_t room = BH_DNS_HEADER_BYTES + BH_DNS_NAME_MAX + 4 + BH_DNS_OPT_BYTES;
    char *p = bh_buf_reserve(out, room);

    if (!p)
        return bh_buf_err(out);
    bh_dns_writer_begin(&writer, p, room);
    bh_dns_writer_question(&writer, name, type, BH_DNS_CLASS_IN);
    if (udp_size)
        bh_dns_writer_opt(&writer, udp_size, 0, dnssec_ok, (bh_str){NULL, 0});
    bh_buf_commit(out, bh_dns_writer_end(&writer, id, flags));
    return BH_OK;
}

bool bh_dns_response_matches(const struct bh_dns_message *response, uint16_t id, bh_str name, uint16_t type)
{
    return (response->flags & BH_DNS_QR) && response->id == id && response->counts[BH_DNS_QUESTION] == 1 &&
           response->type == type && response->klass == BH_DNS_CLASS_IN &&
           bh_dns_name_eq(bh_dns_name_view(&response->name), name);
}
