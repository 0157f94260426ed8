/* dsn.c: see dsn.h. What comes from strangers is made printable ASCII of bounded length before it stands in a field. */
#include "dsn.h"
#include "base/clock.h"
#include "proto/smtp/path.h"

enum { FIELD_MAX = 900, LINE_MAX_HERE = 76 };

static const struct {
    const char *notify, *action, *status, *subject, *first;
} kinds[] = {
    [BH_DSN_FAILED] = {"FAILURE", "failed", "5.0.0", "Undelivered: your message could not be delivered",
                       "Your message could not be delivered to:"},
    [BH_DSN_DELAYED] = {"DELAY", "delayed", "4.0.0", "Delayed: your message is not delivered yet",
                        "Your message is not delivered yet; nothing is to be done, we go on trying. It is for:"},
    [BH_DSN_RELAYED] = {"SUCCESS", "relayed", "2.0.0", "Relayed: your message was handed over",
                        "Your message was handed over to the mail server of:"},
};

bool bh_dsn_is_asked(bh_str notify, enum bh_dsn_kind kind)
{
    while (notify.n)
        if (bh_str_eq_ci(bh_str_trim(bh_str_cut(notify, ',', &notify)), bh_str_c(kinds[kind].notify)))
            return true;
    return false;
}

/* Printable ASCII; line ends become blanks, other bytes '?'. */
static void put_plain(struct bh_buf *out, bh_str text)
{
    text = bh_str_sub(text, 0, FIELD_MAX);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        bh_buf_char(out, c == '\r' || c == '\n' || c == '\t' ? ' ' : c >= ' ' && c < 0x7f ? (char)c : '?');
    }
}

/* The same folded at blanks, for long replies. */
static void put_folded(struct bh_buf *out, bh_str text, size_t column)
{
    text = bh_str_sub(bh_str_trim(text), 0, FIELD_MAX);
    while (text.n) {
        size_t n = bh_str_find(text, ' ');

        if (column + n > LINE_MAX_HERE && column > 1) {
            bh_buf_add(out, BH_STR("\r\n "));
            column = 1;
        }
        put_plain(out, bh_str_sub(text, 0, n + 1));
        column += n + 1;
        text = bh_str_skip(text, n + 1);
    }
}

/* xtext as given is safe; whatever else came in is not. */
static void put_field(struct bh_buf *out, const char *name, bh_str value)
{
    if (!value.n)
        return;
    bh_buf_printf(out, "%s: ", name);
    put_plain(out, value);
    bh_buf_add(out, BH_STR("\r\n"));
}

/* What is no xtext is shown as it is. */
static void put_xtext_decoded(struct bh_buf *out, const char *name, bh_str xtext)
{
    struct bh_buf text = bh_buf_make(FIELD_MAX);

    put_field(out, name, bh_xtext_decode(&text, xtext) == BH_OK ? bh_buf_view(&text) : xtext);
    bh_buf_free(&text);
}

/* "rfc822;user@example"; an address beyond ASCII as RFC 6533 3 writes it in 7 bits. */
static void put_address(struct bh_buf *out, bh_str address)
{
    bool ascii = true;

    for (size_t i = 0; i < address.n; i++)
        ascii = ascii && (unsigned char)address.p[i] < 0x80;
    bh_buf_add(out, ascii ? BH_STR("rfc822;") : BH_STR("utf-8;"));
    for (size_t i = 0; i < address.n;) {
        unsigned char c = (unsigned char)address.p[i++];
        uint32_t point = c;

        for (int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0, k = more; k > 0 && i < address.n; k--) {
            if (k == more)
                point = c & (0x3fu >> more);
            point = point << 6 | ((unsigned char)address.p[i++] & 0x3f);
        }
        if (point < 0x80)
            bh_buf_char(out, point > ' ' && point < 0x7f ? (char)point : '?');
        else
            bh_buf_printf(out, "\\x{%X}", point);
    }
}

static void put_time(struct bh_buf *out, const char *name, bh_time_ms at)
{
    bh_buf_printf(out, "%s: ", name);
    bh_time_rfc5322(out, at);
    bh_buf_add(out, BH_STR("\r\n"));
}

static bh_str status_of(const struct bh_dsn *dsn)
{
    char first = dsn->kind == BH_DSN_FAILED ? '5' : dsn->kind == BH_DSN_DELAYED ? '4' : '2';

    /* a time that ran out failed for good, though its last word was temporary */
    return dsn->status.n && dsn->status.p[0] == first ? dsn->status : bh_str_c(kinds[dsn->kind].status);
}

static void put_header(const struct bh_dsn *dsn, struct bh_buf *out)
{
    bh_buf_printf(out, "From: Mail Delivery System <%.*s>\r\nTo: <%.*s>\r\n", BH_FMT(dsn->from), BH_FMT(dsn->to));
    bh_buf_printf(out, "Subject: %s\r\n", kinds[dsn->kind].subject);
    put_time(out, "Date", dsn->now);
    bh_buf_printf(out, "Message-ID: <%.*s>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n",
                  BH_FMT(dsn->message_id));
    bh_buf_printf(out, "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"=_%.*s\"\r\n\r\n",
                  BH_FMT(bh_str_sub(dsn->message_id, 0, bh_str_find(dsn->message_id, '@'))));
}

static void put_boundary(const struct bh_dsn *dsn, struct bh_buf *out, const char *end)
{
    bh_buf_printf(out, "\r\n--=_%.*s%s\r\n", BH_FMT(bh_str_sub(dsn->message_id, 0, bh_str_find(dsn->message_id, '@'))),
                  end);
}

static void put_words(const struct bh_dsn *dsn, struct bh_buf *out)
{
    bh_buf_printf(out, "Content-Type: text/plain; charset=us-ascii\r\n\r\n%s\r\n\r\n  ", kinds[dsn->kind].first);
    put_plain(out, dsn->recipient);
    bh_buf_add(out, BH_STR("\r\n\r\n"));
    if (dsn->text.n) {
        if (dsn->remote.n) {
            put_plain(out, dsn->remote);
            bh_buf_add(out, dsn->code ? BH_STR(" said:\r\n  ") : BH_STR(":\r\n  "));
        }
        if (dsn->code)
            bh_buf_printf(out, "%u ", dsn->code);
        put_folded(out, dsn->text, 6);
        bh_buf_add(out, BH_STR("\r\n"));
    }
    if (dsn->kind == BH_DSN_RELAYED)
        bh_buf_add(out, BH_STR("\r\nThat server does not tell us what becomes of it.\r\n"));
}

static void put_status(const struct bh_dsn *dsn, struct bh_buf *out)
{
    bh_buf_add(out, BH_STR("Content-Type: message/delivery-status\r\n\r\n"));
    put_xtext_decoded(out, "Original-Envelope-Id", dsn->envid);
    bh_buf_printf(out, "Reporting-MTA: dns;%.*s\r\n", BH_FMT(dsn->reporting_mta));
    put_time(out, "Arrival-Date", dsn->arrived_at);
    bh_buf_add(out, BH_STR("\r\n"));
    put_xtext_decoded(out, "Original-Recipient", dsn->orcpt);
    bh_buf_add(out, BH_STR("Final-Recipient: "));
    put_address(out, dsn->recipient);
    bh_buf_printf(out, "\r\nAction: %s\r\nStatus: %.*s\r\n", kinds[dsn->kind].action, BH_FMT(status_of(dsn)));
    if (dsn->remote.n && dsn->code) {
        bh_buf_add(out, BH_STR("Remote-MTA: dns;"));
        put_plain(out, bh_str_sub(dsn->remote, 0, bh_str_find(dsn->remote, ' ')));
        bh_buf_printf(out, "\r\nDiagnostic-Code: smtp;%u ", dsn->code);
        put_folded(out, dsn->text, 27);
        bh_buf_add(out, BH_STR("\r\n"));
    }
    put_time(out, "Last-Attempt-Date", dsn->now);
    if (dsn->kind == BH_DSN_DELAYED)
        put_time(out, "Will-Retry-Until", dsn->retry_until);
}

static bh_str header_of(bh_str message)
{
    size_t end = bh_str_search(message, BH_STR("\r\n\r\n"));

    return bh_str_sub(message, 0, end < message.n ? end + 2 : end);
}

static void put_original(const struct bh_dsn *dsn, struct bh_buf *out)
{
    bool whole = dsn->whole && !dsn->eight_bit && dsn->kind == BH_DSN_FAILED;
    bh_str header = header_of(dsn->original);

    if (whole) {
        bh_buf_add(out, BH_STR("Content-Type: message/rfc822\r\n\r\n"));
        bh_buf_add(out, dsn->original);
        return;
    }
    bh_buf_add(out, BH_STR("Content-Type: text/rfc822-headers; charset=us-ascii\r\n\r\n"));
    for (size_t i = 0; i < header.n; i++)
        bh_buf_char(out, (unsigned char)header.p[i] < 0x80 ? header.p[i] : '?');
}

bh_err bh_dsn_write(const struct bh_dsn *dsn, struct bh_buf *out)
{
    put_header(dsn, out);
    bh_buf_add(out, BH_STR("This is a delivery status notification (RFC 3464).\r\n"));
    put_boundary(dsn, out, "");
    put_words(dsn, out);
    put_boundary(dsn, out, "");
    put_status(dsn, out);
    put_boundary(dsn, out, "");
    put_original(dsn, out);
    put_boundary(dsn, out, "--");
    return bh_buf_err(out);
}
