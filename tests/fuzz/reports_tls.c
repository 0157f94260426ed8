/* Records of strangers say where reports of TLS go, and their servers what failed: an address is one address without
 * anything that could begin another field, and the report is JSON whatever the bytes. */
#include "reports/tls_report.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_uri(bh_str uri)
{
    struct bh_buf address = bh_buf_make(400);

    if (bh_str_starts_ci(uri, BH_STR("mailto:")) && bh_tlsrpt_mailto(uri, &address) == BH_OK)
        for (size_t i = 0; i < address.n; i++)
            if (address.p[i] <= ' ' || address.p[i] >= 0x7f || address.p[i] == '<' || address.p[i] == '>')
                abort();
    bh_buf_free(&address);
}

static void report(bh_str text)
{
    struct bh_tlsrpt_head head = {.organization = BH_STR("us"), .contact = text, .domain = text, .report_id = text};
    struct bh_tlsrpt *made = bh_tlsrpt_new(&head);
    struct bh_buf out = bh_buf_make(BH_TLSRPT_REPORT_MAX);
    bh_err err;

    if (!made)
        abort();
    for (uint64_t i = 0; i < 3; i++)
        bh_tlsrpt_add(made, &(struct bh_tlsrpt_row){.policy_type = BH_STR("sts"),
                                                    .policy = bh_str_skip(text, i),
                                                    .mx_hosts = text,
                                                    .failure = i ? text : BH_STR(""),
                                                    .mx = text,
                                                    .reason = text,
                                                    .count = i + 1});
    err = bh_tlsrpt_json(made, &out);
    if (!err && (out.n < 2 || out.p[0] != '{' || out.p[out.n - 1] != '}'))
        abort();
    bh_buf_free(&out);
    bh_tlsrpt_free(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str input = bh_str_of((const char *)data, size), uris[BH_TLSRPT_RUA_MAX];
    size_t count = 0;

    if (size > 4096)
        return 0;
    if (bh_tlsrpt_record_read(input, uris, BH_TLSRPT_RUA_MAX, &count))
        for (size_t i = 0; i < count; i++)
            check_uri(uris[i]);
    check_uri(input);
    report(input);
    return 0;
}
