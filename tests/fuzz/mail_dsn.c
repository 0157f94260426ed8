/* What strangers say stands in a notice: it stays 7-bit text with CRLF line ends, within its bound, whatever they say.
 * Input: the reply up to 0x1f, then lines: server, recipient, ENVID, ORCPT, NOTIFY. */
#include "mail/dsn.h"
#include "proto/smtp/crlf.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bh_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool line_end = c == '\r'   ? i + 1 < text.n && text.p[i + 1] == '\n'
                        : c == '\n' ? i > 0 && text.p[i - 1] == '\r'
                                    : true;

        if (c == 0 || c >= 0x80 || !line_end)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str rest = bh_str_of((const char *)data, size);
    struct bh_dsn dsn = {.kind = (enum bh_dsn_kind)(size % 3),
                         .from = BH_STR("mailer-daemon@on.esp.example"),
                         .to = BH_STR("a@customer.example"),
                         .message_id = BH_STR("x@on.esp.example"),
                         .reporting_mta = BH_STR("mta1.esp.example"),
                         .code = 550};
    struct bh_buf out = bh_buf_make(1 << 20);

    dsn.text = bh_str_cut(rest, '\x1f', &rest);
    dsn.remote = bh_str_cut(rest, '\n', &rest);
    dsn.recipient = bh_str_cut(rest, '\n', &rest);
    dsn.envid = bh_str_cut(rest, '\n', &rest);
    dsn.orcpt = bh_str_cut(rest, '\n', &rest);
    dsn.original = BH_STR("Subject: x\r\n\r\n");
    if (bh_dsn_write(&dsn, &out) == BH_OK)
        check(bh_buf_view(&out));
    (void)bh_dsn_is_asked(rest, dsn.kind);
    bh_buf_free(&out);
    return 0;
}
