/* tls_report.h: SMTP TLS reports (RFC 8460) as we send them: where to, the JSON, and the mail around it. Pure: time and
 * ids are passed in. */
#ifndef BH_REPORTS_TLS_REPORT_H
#define BH_REPORTS_TLS_REPORT_H

#include "base/buf.h"

enum { BH_TLSRPT_RUA_MAX = 10, BH_TLSRPT_REPORT_MAX = 10 << 20, BH_TLSRPT_DETAILS_MAX = 5000 };

/* "v=TLSRPTv1; rua=mailto:…,https://…" (3) as its joined strings: the URIs, views of it, not decoded. False: it is
 * none. */
bool bh_tlsrpt_record_read(bh_str text, bh_str *ret_uris, size_t max, size_t *ret_count);
/* The address of a mailto URI, percent-decoded, without ?…; BH_E_SYNTAX: it is not one address. */
BH_MUST bh_err bh_tlsrpt_mailto(bh_str uri, struct bh_buf *ret_address);

/* Attempts at TLS that went the same way. Rows of one policy follow each other. */
struct bh_tlsrpt_row {
    bh_str policy_type;      /* "tlsa", "sts", "no-policy-found" */
    bh_str policy, mx_hosts; /* lines */
    bh_str failure;          /* 4.3, or empty: they worked */
    bh_str sending, mx, receiving, reason;
    uint64_t count;
};

struct bh_tlsrpt_head {
    bh_str organization; /* who sends: a name */
    bh_str contact;      /* an address */
    bh_str domain;       /* whose policy */
    bh_str report_id;
    int64_t begin_s, end_s; /* Unix; both inclusive */
};

struct bh_tlsrpt;
/* NULL: out of memory. */
struct bh_tlsrpt *bh_tlsrpt_new(const struct bh_tlsrpt_head *head);
/* Failures beyond BH_TLSRPT_DETAILS_MAX are counted, but not told one by one. */
void bh_tlsrpt_add(struct bh_tlsrpt *report, const struct bh_tlsrpt_row *row);
/* The JSON (4.4). BH_E_NOMEM, BH_E_LIMIT. */
BH_MUST bh_err bh_tlsrpt_json(struct bh_tlsrpt *report, struct bh_buf *out);
void bh_tlsrpt_free(struct bh_tlsrpt *report);

/* gzip (RFC 1952). BH_E_NOMEM, BH_E_LIMIT. */
BH_MUST bh_err bh_gzip(bh_str bytes, struct bh_buf *out);

/* The mail (5.3): header and body with the compressed report. `now_s` for Date. */
struct bh_tlsrpt_mail {
    const struct bh_tlsrpt_head *head;
    bh_str from, to, submitter; /* addresses; our domain */
    int64_t now_s;
    bh_str gzip;
};
BH_MUST bh_err bh_tlsrpt_mail_write(const struct bh_tlsrpt_mail *mail, struct bh_buf *out);

#endif
