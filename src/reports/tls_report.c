/* tls_report.c: see tls_report.h. */
#include "tls_report.h"
#include "base/clock.h"
#include "base/text.h"
#include <jansson.h>
#include <stdlib.h>
#include <zlib.h>

struct bh_tlsrpt {
    json_t *root, *policies;
    json_t *policy, *details, *summary; /* of the last policy; borrowed */
    bh_str domain;
    char *key; /* of the last policy: type, text and hosts */
    size_t key_bytes;
    uint64_t good, bad;
    size_t detail_count;
};

/* ---- where to ---- */

bool bh_tlsrpt_record_read(bh_str text, bh_str *ret_uris, size_t max, size_t *ret_count)
{
    bh_str rest, value, rua = {NULL, 0};

    *ret_count = 0;
    if (!bh_str_eq(bh_str_trim(bh_str_cut(text, ';', &rest)), BH_STR("v=TLSRPTv1")))
        return false;
    while (rest.n) {
        bh_str name = bh_str_trim(bh_str_cut(bh_str_cut(rest, ';', &rest), '=', &value));

        if (!rua.p && bh_str_eq(name, BH_STR("rua")))
            rua = value;
    }
    while (rua.n && *ret_count < max) {
        bh_str uri = bh_str_trim(bh_str_cut(rua, ',', &rua));

        if (bh_str_starts_ci(uri, BH_STR("mailto:")) || bh_str_starts_ci(uri, BH_STR("https://")))
            ret_uris[(*ret_count)++] = uri;
    }
    return *ret_count > 0;
}

bh_err bh_tlsrpt_mailto(bh_str uri, struct bh_buf *ret_address)
{
    bh_str rest, address = bh_str_cut(bh_str_skip(uri, 7), '?', &rest);
    size_t ats = 0;

    for (size_t i = 0; i < address.n; i++) {
        uint64_t byte = (unsigned char)address.p[i];

        if (address.p[i] == '%') {
            if (bh_str_hex_to_u64(bh_str_sub(address, i + 1, 2), &byte) || i + 2 >= address.n)
                return BH_E_SYNTAX;
            i += 2;
        }
        if (byte <= ' ' || byte >= 0x7f || strchr("<>(),;\\\"", (int)byte))
            return BH_E_SYNTAX;
        ats += byte == '@';
        bh_buf_char(ret_address, (char)byte);
    }
    if (ats != 1 || ret_address->n < 3 || ret_address->n > 320)
        return BH_E_SYNTAX;
    return bh_buf_err(ret_address);
}

/* ---- the JSON ---- */

/* A stranger's bytes that are no UTF-8 become '?'. */
static json_t *text_json(bh_str s)
{
    json_t *value = s.n && memchr(s.p, '\0', s.n) ? NULL : json_stringn(s.p ? s.p : "", s.n);
    struct bh_buf safe;

    if (value)
        return value;
    safe = bh_buf_make(s.n);
    for (size_t i = 0; i < s.n; i++)
        bh_buf_char(&safe, s.p[i] >= ' ' && s.p[i] < 0x7f ? s.p[i] : '?');
    value = json_stringn(safe.p ? safe.p : "", safe.n);
    bh_buf_free(&safe);
    return value;
}

static json_t *lines_json(bh_str lines)
{
    json_t *list = json_array();

    while (lines.n) {
        bh_str line = bh_str_trim(bh_str_cut(lines, '\n', &lines));

        if (line.n)
            (void)json_array_append_new(list, text_json(line));
    }
    return list;
}

static json_t *time_json(int64_t at_s)
{
    struct bh_buf text = bh_buf_make(40);
    json_t *value;

    bh_time_rfc3339(&text, at_s * 1000, false);
    value = json_stringn(text.p, text.n);
    bh_buf_free(&text);
    return value;
}

struct bh_tlsrpt *bh_tlsrpt_new(const struct bh_tlsrpt_head *head)
{
    struct bh_tlsrpt *report = calloc(1, sizeof(*report));

    if (!report)
        return NULL;
    report->domain = head->domain;
    report->policies = json_array();
    report->root = json_pack("{s:o, s:{s:o, s:o}, s:o, s:o, s:O}", "organization-name", text_json(head->organization),
                             "date-range", "start-datetime", time_json(head->begin_s), "end-datetime",
                             time_json(head->end_s), "contact-info", text_json(head->contact), "report-id",
                             text_json(head->report_id), "policies", report->policies);
    return report;
}

static void end_policy(struct bh_tlsrpt *report)
{
    if (!report->policy)
        return;
    (void)json_object_set_new(report->summary, "total-successful-session-count",
                              json_integer((json_int_t)report->good));
    (void)json_object_set_new(report->summary, "total-failure-session-count", json_integer((json_int_t)report->bad));
    report->good = report->bad = 0;
    report->policy = NULL;
}

static bool is_same_policy(const struct bh_tlsrpt *report, bh_str key)
{
    return report->policy && bh_str_eq(bh_str_of(report->key, report->key_bytes), key);
}

static void begin_policy(struct bh_tlsrpt *report, const struct bh_tlsrpt_row *row)
{
    struct bh_buf key = bh_buf_make(1 << 20);
    json_t *policy, *entry;

    bh_buf_str(&key, row->policy_type);
    bh_buf_str(&key, row->policy);
    bh_buf_str(&key, row->mx_hosts);
    if (is_same_policy(report, bh_buf_view(&key))) {
        bh_buf_free(&key);
        return;
    }
    end_policy(report);
    free(report->key);
    report->key = key.p;
    report->key_bytes = key.n;
    policy =
        json_pack("{s:o, s:o}", "policy-type", text_json(row->policy_type), "policy-domain", text_json(report->domain));
    if (row->policy.n)
        (void)json_object_set_new(policy, "policy-string", lines_json(row->policy));
    if (row->mx_hosts.n)
        (void)json_object_set_new(policy, "mx-host", lines_json(row->mx_hosts));
    entry = json_pack("{s:o, s:{}, s:[]}", "policy", policy, "summary", "failure-details");
    report->policy = entry;
    report->summary = json_object_get(entry, "summary");
    report->details = json_object_get(entry, "failure-details");
    (void)json_array_append_new(report->policies, entry);
}

static void add_text(json_t *object, const char *name, bh_str value)
{
    if (value.n)
        (void)json_object_set_new(object, name, text_json(value));
}

void bh_tlsrpt_add(struct bh_tlsrpt *report, const struct bh_tlsrpt_row *row)
{
    json_t *detail;

    begin_policy(report, row);
    if (!row->failure.n) {
        report->good += row->count;
        return;
    }
    report->bad += row->count;
    if (report->detail_count++ >= BH_TLSRPT_DETAILS_MAX)
        return;
    detail = json_object();
    add_text(detail, "result-type", row->failure);
    add_text(detail, "sending-mta-ip", row->sending);
    add_text(detail, "receiving-mx-hostname", row->mx);
    add_text(detail, "receiving-ip", row->receiving);
    (void)json_object_set_new(detail, "failed-session-count", json_integer((json_int_t)row->count));
    add_text(detail, "failure-reason-code", row->reason);
    (void)json_array_append_new(report->details, detail);
}

bh_err bh_tlsrpt_json(struct bh_tlsrpt *report, struct bh_buf *out)
{
    char *text;

    end_policy(report);
    text = report->root ? json_dumps(report->root, JSON_COMPACT) : NULL;
    if (!text)
        return BH_E_NOMEM;
    bh_buf_add(out, bh_str_c(text));
    free(text);
    return bh_buf_err(out);
}

void bh_tlsrpt_free(struct bh_tlsrpt *report)
{
    if (!report)
        return;
    json_decref(report->root);
    json_decref(report->policies);
    free(report->key);
    free(report);
}

/* ---- the mail ---- */

bh_err bh_gzip(bh_str bytes, struct bh_buf *out)
{
    z_stream z = {0};
    char *room;
    size_t most;
    bh_err err = BH_E_NOMEM;

    if (bytes.n > BH_TLSRPT_REPORT_MAX)
        return BH_E_LIMIT;
    if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return BH_E_NOMEM;
    most = deflateBound(&z, (uLong)bytes.n);
    room = bh_buf_reserve(out, most);
    if (room) {
        z.next_in = (Bytef *)(uintptr_t)bytes.p;
        z.avail_in = (uInt)bytes.n;
        z.next_out = (Bytef *)room;
        z.avail_out = (uInt)most;
        if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
            bh_buf_commit(out, most - z.avail_out);
            err = BH_OK;
        }
    } else {
        err = bh_buf_err(out);
    }
    (void)deflateEnd(&z);
    return err;
}

static void put_base64_lines(struct bh_buf *out, bh_str bytes)
{
    enum { LINE_BYTES = 57 };

    for (; bytes.n; bytes = bh_str_skip(bytes, LINE_BYTES)) {
        bh_base64_encode(out, bh_str_sub(bytes, 0, LINE_BYTES));
        bh_buf_add(out, BH_STR("\r\n"));
    }
}

bh_err bh_tlsrpt_mail_write(const struct bh_tlsrpt_mail *mail, struct bh_buf *out)
{
    const struct bh_tlsrpt_head *head = mail->head;

    bh_buf_printf(out, "From: %.*s\r\nTo: <%.*s>\r\nDate: ", BH_FMT(mail->from), BH_FMT(mail->to));
    bh_time_rfc5322(out, mail->now_s * 1000);
    bh_buf_printf(out, "\r\nSubject: Report Domain: %.*s\r\n Submitter: %.*s\r\n Report-ID: <%.*s>\r\n",
                  BH_FMT(head->domain), BH_FMT(mail->submitter), BH_FMT(head->report_id));
    bh_buf_printf(out, "Message-ID: <%.*s>\r\nAuto-Submitted: auto-generated\r\n", BH_FMT(head->report_id));
    bh_buf_printf(out, "TLS-Report-Domain: %.*s\r\nTLS-Report-Submitter: %.*s\r\nMIME-Version: 1.0\r\n",
                  BH_FMT(head->domain), BH_FMT(mail->submitter));
    bh_buf_printf(out, "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"tlsrpt-part\"\r\n\r\n");
    bh_buf_printf(out,
                  "--tlsrpt-part\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nThis is an aggregate report of "
                  "TLS (RFC 8460) from %.*s\r\nabout mail for %.*s.\r\n",
                  BH_FMT(mail->submitter), BH_FMT(head->domain));
    bh_buf_printf(out,
                  "--tlsrpt-part\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"
                  "Content-Disposition: attachment;\r\n filename=\"%.*s!%.*s!%lld!%lld.json.gz\"\r\n\r\n",
                  BH_FMT(mail->submitter), BH_FMT(head->domain), (long long)head->begin_s, (long long)head->end_s);
    put_base64_lines(out, mail->gzip);
    bh_buf_add(out, BH_STR("--tlsrpt-part--\r\n"));
    return bh_buf_err(out);
}
