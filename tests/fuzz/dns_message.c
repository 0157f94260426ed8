/* dns_message.c: any bytes as a DNS message: parse it, read every record, and print what was read. */
#include "proto/dns/message.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bh_buf rdata = bh_buf_make(BH_DNS_RDATA_MAX * 2), text = bh_buf_make(1 << 20), again = bh_buf_make(1 << 20);
    struct bh_dns_rr_iter iter = {0};
    struct bh_dns_message message;
    struct bh_dns_rr rr;

    if (bh_dns_message_parse((bh_str){(const char *)data, size}, &message) == BH_OK) {
        (void)bh_dns_edns_option(&message.edns, 10);
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
