/* What is signed (RFC 8945 4.3): the MAC before (with its length) if there is one, the message without TSIG and with
 * its original id, and the record's variables; for the second and later messages of a transfer only its timers. */
#include "tsig.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { FUDGE_S = 300, ARCOUNT_AT = 10 };

static bh_str algorithm_name(void)
{
    return BH_STR("\x0bhmac-sha256\0");
}

static void put_time(struct bh_buf *out, uint64_t seconds)
{
    bh_buf_u16(out, (uint16_t)(seconds >> 32));
    bh_buf_u32(out, (uint32_t)seconds);
}

static void put_lower(struct bh_buf *out, const struct bh_dns_name *name)
{
    struct bh_dns_name lower = *name;

    bh_dns_name_lower(&lower);
    bh_buf_add(out, bh_dns_name_view(&lower));
}

static void put_variables(struct bh_buf *out, const struct bh_dns_tsig *tsig, uint16_t fudge, bh_str other)
{
    if (!tsig->later) {
        put_lower(out, &tsig->key_name);
        bh_buf_u16(out, BH_DNS_CLASS_ANY);
        bh_buf_u32(out, 0);
        put_lower(out, &tsig->algorithm);
    }
    put_time(out, tsig->time_signed);
    bh_buf_u16(out, fudge);
    if (tsig->later)
        return;
    bh_buf_u16(out, tsig->error);
    bh_buf_u16(out, (uint16_t)other.n);
    bh_buf_add(out, other);
}

/* HMAC of all that is signed; `message` with the id that is to be signed. */
static bh_err compute(const struct bh_dns_tsig *tsig, bh_str message, uint16_t fudge, bh_str other,
                      unsigned char ret_mac[BH_DNS_TSIG_MAC_BYTES])
{
    struct bh_buf data = bh_buf_make(BH_DNS_MESSAGE_MAX + 1024);
    unsigned n = 0;
    bh_err err;

    if (tsig->mac_n) {
        bh_buf_u16(&data, (uint16_t)tsig->mac_n);
        bh_buf_add(&data, (bh_str){(const char *)tsig->mac, tsig->mac_n});
    }
    bh_buf_add(&data, message);
    put_variables(&data, tsig, fudge, other);
    err = bh_buf_err(&data);
    if (!err && !HMAC(EVP_sha256(), tsig->key->secret, (int)tsig->key->secret_n, (const unsigned char *)data.p, data.n,
                      ret_mac, &n))
        err = BH_E_CRYPTO;
    bh_buf_free(&data);
    return err;
}

/* ---- checking ---- */

struct fields {
    uint16_t fudge;
    bh_str mac;
    bh_str other;
};

static bh_err read_record(const struct bh_dns_message *query, struct bh_dns_tsig *tsig, struct fields *ret_fields)
{
    size_t at = query->tsig_at;
    struct bh_cur cur;
    bh_str name;
    bool good;

    if (bh_dns_name_read(query->packet, &at, &tsig->key_name))
        return BH_E_SYNTAX;
    cur = bh_cur_make(bh_str_skip(query->packet, at + 2));
    good = bh_cur_u16(&cur) == BH_DNS_CLASS_ANY;
    good = bh_cur_u32(&cur) == 0 && good;
    (void)bh_cur_u16(&cur);
    name = bh_dns_name_take(&cur);
    tsig->time_signed = (uint64_t)bh_cur_u16(&cur) << 32;
    tsig->time_signed |= bh_cur_u32(&cur);
    ret_fields->fudge = bh_cur_u16(&cur);
    ret_fields->mac = bh_cur_bytes(&cur, bh_cur_u16(&cur));
    tsig->original_id = bh_cur_u16(&cur);
    tsig->error = bh_cur_u16(&cur);
    ret_fields->other = bh_cur_bytes(&cur, bh_cur_u16(&cur));
    if (!good || !bh_cur_done(&cur) || ret_fields->mac.n > BH_DNS_TSIG_MAC_BYTES)
        return BH_E_SYNTAX;
    bh_dns_name_set(&tsig->algorithm, name);
    return BH_OK;
}

static const struct bh_dns_tsig_key *find_key(const struct bh_dns_tsig_key *keys, size_t count,
                                              const struct bh_dns_name *name)
{
    for (size_t i = 0; i < count; i++)
        if (bh_dns_name_eq(bh_dns_name_view(&keys[i].name), bh_dns_name_view(name)))
            return &keys[i];
    return NULL;
}

static bh_err deny(struct bh_dns_tsig *tsig, uint16_t error)
{
    tsig->error = error;
    return BH_E_DENIED;
}

bh_err bh_dns_tsig_check(const struct bh_dns_message *query, const struct bh_dns_tsig_key *keys, size_t count,
                         uint64_t now_s, struct bh_dns_tsig *ret_tsig)
{
    unsigned char plain[BH_DNS_MESSAGE_MAX], mac[BH_DNS_TSIG_MAC_BYTES];
    struct fields fields;
    bh_err err;

    *ret_tsig = (struct bh_dns_tsig){0};
    err = read_record(query, ret_tsig, &fields);
    if (!err && ret_tsig->error) /* which only responses have */
        err = BH_E_SYNTAX;
    if (err)
        return err;
    ret_tsig->key = find_key(keys, count, &ret_tsig->key_name);
    if (!ret_tsig->key || !bh_dns_name_eq(bh_dns_name_view(&ret_tsig->algorithm), algorithm_name()))
        return deny(ret_tsig, BH_DNS_TSIG_BADKEY);
    (void)bh_dns_tsig_strip(query, plain);
    plain[0] = (unsigned char)(ret_tsig->original_id >> 8);
    plain[1] = (unsigned char)ret_tsig->original_id;
    err = compute(ret_tsig, (bh_str){(char *)plain, query->tsig_at}, fields.fudge, fields.other, mac);
    if (err)
        return err;
    /* a shortened MAC (RFC 8945 5.2.2.1) is not taken: no secondary needs it */
    if (!bh_str_eq_secret((bh_str){(char *)mac, sizeof mac}, fields.mac))
        return deny(ret_tsig, BH_DNS_TSIG_BADSIG);
    memcpy(ret_tsig->mac, mac, sizeof mac);
    ret_tsig->mac_n = sizeof mac;
    if (now_s > ret_tsig->time_signed + fields.fudge || ret_tsig->time_signed > now_s + fields.fudge)
        return deny(ret_tsig, BH_DNS_TSIG_BADTIME);
    return BH_OK;
}

bh_err bh_dns_tsig_verify(const struct bh_dns_message *response, const struct bh_dns_tsig *sent, uint64_t now_s)
{
    unsigned char plain[BH_DNS_MESSAGE_MAX], mac[BH_DNS_TSIG_MAC_BYTES];
    struct bh_dns_tsig tsig = {.key = sent->key, .mac_n = sent->mac_n};
    struct fields fields;
    bh_err err;

    memcpy(tsig.mac, sent->mac, sizeof tsig.mac);
    if (!response->tsig_at)
        return BH_E_DENIED;
    err = read_record(response, &tsig, &fields);
    if (err)
        return err;
    (void)bh_dns_tsig_strip(response, plain);
    plain[0] = (unsigned char)(tsig.original_id >> 8);
    plain[1] = (unsigned char)tsig.original_id;
    err = compute(&tsig, (bh_str){(char *)plain, response->tsig_at}, fields.fudge, fields.other, mac);
    if (err)
        return err;
    if (!bh_dns_name_eq(bh_dns_name_view(&tsig.key_name), bh_dns_name_view(&sent->key->name)) ||
        !bh_dns_name_eq(bh_dns_name_view(&tsig.algorithm), algorithm_name()) ||
        !bh_str_eq_secret((bh_str){(char *)mac, sizeof mac}, fields.mac) || now_s > tsig.time_signed + fields.fudge ||
        tsig.time_signed > now_s + fields.fudge)
        return BH_E_DENIED;
    return BH_OK;
}

size_t bh_dns_tsig_strip(const struct bh_dns_message *query, unsigned char *out)
{
    unsigned additional = query->counts[BH_DNS_ADDITIONAL] - 1u;

    memcpy(out, query->packet.p, query->tsig_at);
    out[ARCOUNT_AT] = (unsigned char)(additional >> 8);
    out[ARCOUNT_AT + 1] = (unsigned char)additional;
    return query->tsig_at;
}

/* ---- signing ---- */

void bh_dns_tsig_begin(struct bh_dns_tsig *tsig, const struct bh_dns_tsig_key *key)
{
    *tsig = (struct bh_dns_tsig){.key = key, .key_name = key->name};
    bh_dns_name_set(&tsig->algorithm, algorithm_name());
}

static void put_record(struct bh_buf *out, const struct bh_dns_tsig *tsig, bh_str mac, uint16_t id, bh_str other)
{
    bh_buf_add(out, bh_dns_name_view(&tsig->key_name));
    bh_buf_u16(out, BH_DNS_TSIG);
    bh_buf_u16(out, BH_DNS_CLASS_ANY);
    bh_buf_u32(out, 0);
    bh_buf_u16(out, (uint16_t)(tsig->algorithm.n + 16u + mac.n + other.n));
    bh_buf_add(out, bh_dns_name_view(&tsig->algorithm));
    put_time(out, tsig->time_signed);
    bh_buf_u16(out, FUDGE_S);
    bh_buf_u16(out, (uint16_t)mac.n);
    bh_buf_add(out, mac);
    bh_buf_u16(out, id);
    bh_buf_u16(out, tsig->error);
    bh_buf_u16(out, (uint16_t)other.n);
    bh_buf_add(out, other);
}

/* Puts the record behind the packet and counts it. */
static size_t append(struct bh_dns_tsig *tsig, unsigned char *packet, size_t n, size_t cap, bh_str mac, bh_str other)
{
    struct bh_buf record = bh_buf_make(1024);
    unsigned additional = ((unsigned)packet[ARCOUNT_AT] << 8 | packet[ARCOUNT_AT + 1]) + 1;
    size_t total = 0;

    put_record(&record, tsig, mac, (uint16_t)(packet[0] << 8 | packet[1]), other);
    if (bh_buf_err(&record) == BH_OK && cap - n >= record.n) {
        memcpy(packet + n, record.p, record.n);
        packet[ARCOUNT_AT] = (unsigned char)(additional >> 8);
        packet[ARCOUNT_AT + 1] = (unsigned char)additional;
        total = n + record.n;
    }
    bh_buf_free(&record);
    return total;
}

size_t bh_dns_tsig_sign(struct bh_dns_tsig *tsig, uint64_t now_s, unsigned char *packet, size_t n, size_t cap)
{
    unsigned char mac[BH_DNS_TSIG_MAC_BYTES], server_time[6];
    bh_str other = {NULL, 0};

    if (tsig->error == BH_DNS_TSIG_BADKEY || tsig->error == BH_DNS_TSIG_BADSIG)
        return append(tsig, packet, n, cap, (bh_str){NULL, 0}, other);
    if (tsig->error == BH_DNS_TSIG_BADTIME) { /* the time stays the client's; ours is in `other` */
        for (int i = 0; i < 6; i++)
            server_time[i] = (unsigned char)(now_s >> (40 - 8 * i));
        other = (bh_str){(char *)server_time, sizeof server_time};
    } else {
        tsig->time_signed = now_s;
    }
    if (compute(tsig, (bh_str){(char *)packet, n}, FUDGE_S, other, mac))
        return 0;
    memcpy(tsig->mac, mac, sizeof mac);
    tsig->mac_n = sizeof mac;
    n = append(tsig, packet, n, cap, (bh_str){(char *)mac, sizeof mac}, other);
    tsig->later = true;
    return n;
}
