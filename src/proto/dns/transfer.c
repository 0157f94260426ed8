/* AXFR: SOA, all other records in canonical order, SOA again; in messages of some 16 KiB, within which names can be
 * compressed. A record that alone is larger gets a message of its own. */
#include "transfer.h"
#include <openssl/evp.h>

enum { MESSAGE_BYTES = 16384, MEMBER_ID_BYTES = 16 };

static uint32_t soa_serial(bh_str rdata)
{
    struct bh_cur cur = bh_cur_make(rdata);

    (void)bh_dns_name_take(&cur);
    (void)bh_dns_name_take(&cur);
    return bh_cur_u32(&cur);
}

/* True when the client of an IXFR has our serial already: its SOA is in the authority section. */
static bool is_current(const struct bh_dns_zone *zone, const struct bh_dns_message *query)
{
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX);
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_rr rr;
    bool current = false;

    while (bh_dns_message_next(query, &iter, &rr) == BH_MORE)
        if (rr.section == BH_DNS_AUTHORITY && rr.type == BH_DNS_SOA &&
            bh_dns_rdata_read(rr.type, query->packet, rr.rdata_at, rr.rdata_n, &rdata) == BH_OK) {
            current = soa_serial(bh_buf_view(&rdata)) == zone->serial;
            break;
        }
    bh_buf_free(&rdata);
    return current;
}

void bh_dns_transfer_begin(struct bh_dns_transfer *transfer, struct bh_dns_zone *zone,
                           const struct bh_dns_message *query, bool udp)
{
    *transfer = (struct bh_dns_transfer){
        .zone = bh_dns_zone_ref(zone), .id = query->id, .name = query->name, .type = query->type};
    transfer->soa_only = query->type == BH_DNS_IXFR && (udp || is_current(zone, query));
}

void bh_dns_transfer_end(struct bh_dns_transfer *transfer)
{
    bh_dns_zone_unref(transfer->zone);
    transfer->zone = NULL;
}

/* ---- records in order ---- */

/* Skips to a record that exists; false at the end. */
static bool settle(struct bh_dns_transfer *transfer)
{
    const struct bh_dns_zone *zone = transfer->zone;

    for (; transfer->node < zone->nodes; transfer->node++, transfer->rrset = 0)
        for (; transfer->rrset < zone->node[transfer->node].rrsets; transfer->rrset++, transfer->record = 0) {
            const struct bh_dns_rrset *rrset = &zone->rrset[zone->node[transfer->node].rrsets_at + transfer->rrset];

            if (rrset->type == BH_DNS_SOA || transfer->record == rrset->count)
                continue;
            if (transfer->record == 0)
                transfer->at = rrset->at;
            return true;
        }
    return false;
}

/* Writes the record at hand; the place moves on only when it fit. */
static bool put_next(struct bh_dns_transfer *transfer, struct bh_dns_writer *writer)
{
    const struct bh_dns_zone *zone = transfer->zone;
    const struct bh_dns_node *node = &zone->node[transfer->node];
    const struct bh_dns_rrset *rrset = &zone->rrset[node->rrsets_at + transfer->rrset];
    struct bh_dns_writer_mark mark = bh_dns_writer_mark(writer);
    uint32_t at = transfer->at;
    bh_str rdata = bh_dns_rrset_next(zone, &at);

    bh_dns_writer_record(writer, BH_DNS_ANSWER, bh_dns_node_name(zone, node), rrset->type, BH_DNS_CLASS_IN,
                         bh_dns_rrset_ttl(rrset, rdata), rdata);
    if (writer->full) {
        bh_dns_writer_rewind(writer, &mark);
        return false;
    }
    transfer->at = at;
    transfer->record++;
    return true;
}

static bool put_soa(struct bh_dns_transfer *transfer, struct bh_dns_writer *writer)
{
    const struct bh_dns_zone *zone = transfer->zone;
    const struct bh_dns_rrset *soa = bh_dns_node_rrset(zone, zone->node, BH_DNS_SOA);
    struct bh_dns_writer_mark mark = bh_dns_writer_mark(writer);
    uint32_t at = soa->at;

    bh_dns_writer_record(writer, BH_DNS_ANSWER, bh_dns_zone_name(zone), BH_DNS_SOA, BH_DNS_CLASS_IN, soa->ttl_s,
                         bh_dns_rrset_next(zone, &at));
    if (!writer->full)
        return true;
    bh_dns_writer_rewind(writer, &mark);
    return false;
}

/* Fills one message; the stage says how far it came. */
static void fill(struct bh_dns_transfer *transfer, struct bh_dns_writer *writer)
{
    if (transfer->stage == BH_DNS_TRANSFER_FIRST && put_soa(transfer, writer))
        transfer->stage = transfer->soa_only ? BH_DNS_TRANSFER_DONE : BH_DNS_TRANSFER_RECORDS;
    while (transfer->stage == BH_DNS_TRANSFER_RECORDS) {
        if (!settle(transfer))
            transfer->stage = BH_DNS_TRANSFER_LAST;
        else if (!put_next(transfer, writer))
            return;
    }
    if (transfer->stage == BH_DNS_TRANSFER_LAST && put_soa(transfer, writer))
        transfer->stage = BH_DNS_TRANSFER_DONE;
}

size_t bh_dns_transfer_next(struct bh_dns_transfer *transfer, void *out, size_t cap)
{
    struct bh_dns_writer writer;

    if (transfer->stage == BH_DNS_TRANSFER_DONE)
        return 0;
    for (size_t max = MESSAGE_BYTES < cap ? MESSAGE_BYTES : cap;; max = cap) {
        bh_dns_writer_begin(&writer, out, max);
        bh_dns_writer_question(&writer, bh_dns_name_view(&transfer->name), transfer->type, BH_DNS_CLASS_IN);
        fill(transfer, &writer);
        if (writer.counts[BH_DNS_ANSWER] > 0)
            return bh_dns_writer_end(&writer, transfer->id, BH_DNS_QR | BH_DNS_AA);
        if (max == cap) { /* cannot be carried at all: end without the last SOA, so the client drops it */
            transfer->stage = BH_DNS_TRANSFER_DONE;
            return 0;
        }
    }
}

/* ---- catalog ---- */

/* `<32 hex digits>.zones.<apex>`, from the member's name in lower case. */
static bh_err member_owner(bh_str apex, bh_str member, struct bh_dns_name *ret_owner)
{
    static const char digits[] = "0123456789abcdef";
    char prefix[1 + 2 * MEMBER_ID_BYTES + 1 + sizeof "zones"];
    unsigned char hash[EVP_MAX_MD_SIZE];
    struct bh_dns_name lower;

    bh_dns_name_set(&lower, member);
    bh_dns_name_lower(&lower);
    if (EVP_Digest(lower.wire, lower.n, hash, NULL, EVP_sha256(), NULL) != 1)
        return BH_E_CRYPTO;
    prefix[0] = 2 * MEMBER_ID_BYTES;
    for (size_t i = 0; i < MEMBER_ID_BYTES; i++) {
        prefix[1 + 2 * i] = digits[hash[i] >> 4];
        prefix[2 + 2 * i] = digits[hash[i] & 15];
    }
    memcpy(prefix + 1 + 2 * MEMBER_ID_BYTES, "\5zones", sizeof "\5zones");
    return bh_dns_name_join((bh_str){prefix, sizeof prefix}, apex, ret_owner);
}

static bh_err add_head(struct bh_dns_zone_builder *builder, bh_str apex, uint32_t serial)
{
    char soa[2 + 20] = {0};
    struct bh_dns_name version;
    static const uint32_t times[5] = {0, 3600, 600, 2147483646, 0};
    bh_err err;

    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 4; j++)
            soa[2 + 4 * i + j] = (char)((i ? times[i] : serial) >> (24 - 8 * j));
    err = bh_dns_zone_builder_add(builder, apex, 0, BH_DNS_SOA, (bh_str){soa, sizeof soa});
    if (!err)
        err = bh_dns_zone_builder_add(builder, apex, 0, BH_DNS_NS, BH_STR("\7invalid\0"));
    if (!err)
        err = bh_dns_name_join(BH_STR("\7version\0"), apex, &version);
    return err ? err : bh_dns_zone_builder_add(builder, bh_dns_name_view(&version), 0, BH_DNS_TXT, BH_STR("\0012"));
}

bh_err bh_dns_catalog_build(struct bh_dns_zone_builder *builder, const struct bh_dns_zones *zones, bh_str apex,
                            uint32_t serial, struct bh_dns_zone **ret_zone)
{
    struct bh_dns_zone *zone;
    const char *why;
    size_t place = 0;
    bh_str at;
    bh_err err;

    bh_dns_zone_builder_begin(builder, apex);
    err = add_head(builder, apex, serial);
    while (!err && (zone = bh_dns_zones_next(zones, &place)) != NULL) {
        struct bh_dns_name owner;

        if (bh_dns_name_eq(bh_dns_zone_name(zone), apex))
            continue;
        err = member_owner(apex, bh_dns_zone_name(zone), &owner);
        if (!err)
            err = bh_dns_zone_builder_add(builder, bh_dns_name_view(&owner), 0, BH_DNS_PTR, bh_dns_zone_name(zone));
    }
    return err ? err : bh_dns_zone_builder_finish(builder, ret_zone, &why, &at);
}
