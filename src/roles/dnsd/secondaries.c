/* Signed queries and transfers: the slow path beside bh_dns_answer. Only who has one of our keys may transfer. */
#include "server.h"
#include <stdlib.h>

bh_err bh_dns_server_add_key(struct bh_dns_server *server, const struct bh_dns_tsig_key *key)
{
    if (server->key_count == BH_DNS_KEYS_MAX)
        return BH_E_LIMIT;
    server->keys[server->key_count++] = *key;
    return BH_OK;
}

void bh_dns_server_forget_secondaries(struct bh_dns_server *server)
{
    bh_dns_notify_clear(server);
    bh_dns_udp_free_notifiers(server);
    bh_wipe(server->keys, sizeof server->keys);
    server->key_count = 0;
    server->secondary_count = 0;
}

static uint64_t now_s(const struct bh_dns_server *server)
{
    return (uint64_t)bh_loop_now(server->loop) / 1000;
}

/* Header and question alone, with an rcode. */
static size_t write_error(const struct bh_dns_message *query, unsigned rcode, void *out, size_t cap)
{
    struct bh_dns_writer writer;

    bh_dns_writer_begin(&writer, out, cap);
    bh_dns_writer_question(&writer, bh_dns_name_view(&query->name), query->type, query->klass);
    return bh_dns_writer_end(&writer, query->id,
                             (uint16_t)(BH_DNS_QR | (query->flags & (BH_DNS_OPCODE | BH_DNS_RD)) | rcode));
}

static size_t start_transfer(struct bh_dns_server *server, enum bh_dns_transport transport,
                             const struct bh_dns_message *query, const struct bh_dns_tsig *tsig, void *out, size_t cap,
                             struct bh_dns_stream **ret_stream)
{
    struct bh_dns_zone *zone = bh_dns_zones_get(server->zones, bh_dns_name_view(&query->name));
    struct bh_dns_stream *stream = zone ? calloc(1, sizeof *stream) : NULL;
    struct bh_dns_tsig signing = *tsig;
    size_t n;

    if (!stream) {
        n = write_error(query, zone ? BH_DNS_RCODE_SERVFAIL : BH_DNS_RCODE_NOTAUTH, out, cap - BH_DNS_TSIG_ROOM);
        return bh_dns_tsig_sign(&signing, now_s(server), out, n, cap);
    }
    server->stats.transfers++;
    bh_dns_transfer_begin(&stream->transfer, zone, query, transport == BH_DNS_UDP);
    stream->tsig = signing;
    if (ret_stream) {
        *ret_stream = stream;
        return 0;
    }
    n = bh_dns_stream_next(server, stream, out, cap);
    bh_dns_stream_free(stream);
    return n;
}

static bool is_transfer(const struct bh_dns_message *query)
{
    return bh_dns_message_opcode(query) == BH_DNS_OPCODE_QUERY &&
           (query->type == BH_DNS_AXFR || query->type == BH_DNS_IXFR);
}

static size_t answer_signed(struct bh_dns_server *server, enum bh_dns_transport transport,
                            const struct bh_dns_message *query, struct bh_dns_tsig *tsig, void *out, size_t cap,
                            struct bh_dns_stream **ret_stream)
{
    struct bh_dns_client client = {.transport = transport};
    unsigned char plain[BH_DNS_MESSAGE_MAX];
    struct bh_dns_outcome outcome;
    size_t n;

    if (is_transfer(query) && (transport == BH_DNS_TCP || query->type == BH_DNS_IXFR))
        return start_transfer(server, transport, query, tsig, out, cap, ret_stream);
    n = bh_dns_tsig_strip(query, plain);
    n = bh_dns_answer(server->zones, &server->options.answer, &client, (bh_str){(char *)plain, n}, out,
                      cap - BH_DNS_TSIG_ROOM, &outcome);
    return n ? bh_dns_tsig_sign(tsig, now_s(server), out, n, cap) : 0;
}

size_t bh_dns_server_special(struct bh_dns_server *server, enum bh_dns_transport transport, bh_str query, void *out,
                             size_t cap, size_t n, struct bh_dns_stream **ret_stream)
{
    struct bh_dns_message message;
    struct bh_dns_tsig tsig;
    bh_err err = bh_dns_message_parse(query, &message);

    if (err || !message.tsig_at)
        return n;
    err = bh_dns_tsig_check(&message, server->keys, server->key_count, now_s(server), &tsig);
    if (!err)
        return answer_signed(server, transport, &message, &tsig, out, cap, ret_stream);
    if (err != BH_E_DENIED)
        return write_error(&message, err == BH_E_SYNTAX ? BH_DNS_RCODE_FORMERR : BH_DNS_RCODE_SERVFAIL, out, cap);
    n = write_error(&message, BH_DNS_RCODE_NOTAUTH, out, cap - BH_DNS_TSIG_ROOM);
    return bh_dns_tsig_sign(&tsig, now_s(server), out, n, cap);
}

size_t bh_dns_stream_next(struct bh_dns_server *server, struct bh_dns_stream *stream, void *out, size_t cap)
{
    size_t n = bh_dns_transfer_next(&stream->transfer, out, cap - BH_DNS_TSIG_ROOM);

    return n ? bh_dns_tsig_sign(&stream->tsig, now_s(server), out, n, cap) : 0;
}

void bh_dns_stream_free(struct bh_dns_stream *stream)
{
    if (!stream)
        return;
    bh_dns_transfer_end(&stream->transfer);
    free(stream);
}
