/* dns_message.c: any bytes as a DNS message: parse it, read every record, and print what was read. */
#include "proto/dns/message.h"
#include "proto/dns/tsig.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A signed message with whatever key it names. */
static void check_tsig(const struct bh_dns_message *message)
{
    static const struct bh_dns_tsig_key key = {
        .name = {.n = 3, .wire = {1, 'k', 0}}, .secret = "secret", .secret_n = 6};
    unsigned char out[2048] = {0};
    struct bh_dns_tsig tsig;

    if (bh_dns_tsig_check(message, &key, 1, 1000, &tsig) == BH_E_DENIED &&
        bh_dns_tsig_sign(&tsig, 1000, out, BH_DNS_HEADER_BYTES, sizeof out) == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX * 2), text = bh_buf_make(1 << 20), again = bh_buf_make(1 << 20);
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_message message;
    struct bh_dns_rr rr;

    if (bh_dns_message_parse((bh_str){(const char *)data, size}, &message) == BH_OK) {
        (void)bh_dns_edns_option(&message.edns, 10);
        if (message.tsig_at)
            check_tsig(&message);
        while (bh_dns_message_next(&message, &iter, &rr) == BH_MORE) {
            bh_buf_clear(&rdata);
            bh_buf_clear(&text);
            bh_buf_clear(&again);
            if (!bh_dns_name_valid(bh_dns_name_view(&rr.owner)))
                abort();
            if (bh_dns_rdata_read(rr.type, message.packet, rr.rdata_at, rr.rdata_n, &rdata))
                continue;
            /* what is valid has a text, and that text is the same data */
            bh_dns_rdata_print(&text, rr.type, bh_buf_view(&rdata));
            if (bh_dns_rdata_parse_text(rr.type, bh_buf_view(&text), NULL, &again) ||
                !bh_str_eq(bh_buf_view(&rdata), bh_buf_view(&again)))
                abort();
        }
    }
    bh_buf_free(&rdata);
    bh_buf_free(&text);
    bh_buf_free(&again);
    return 0;
}
