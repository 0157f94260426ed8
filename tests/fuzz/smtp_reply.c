/* smtp_reply.c: any bytes as replies, and as the text of one that we write, which must read back as one reply. */
#include "proto/smtp/path.h"
#include "proto/smtp/reply.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(bh_str input)
{
    struct bh_smtp_reply_reader reader;
    struct bh_smtp_reply reply;

    bh_smtp_reply_reader_init(&reader);
    while (!bh_smtp_reply_read(&reader, &input, &reply))
        if (reply.text.n > BH_SMTP_REPLY_TEXT_MAX || reply.code < 200)
            abort();
    bh_smtp_reply_reader_free(&reader);
}

static void write_and_read(bh_str text)
{
    struct bh_buf out = bh_buf_make(1 << 20);
    struct bh_smtp_reply_reader reader;
    struct bh_smtp_reply reply;
    bh_str input;

    bh_smtp_reply_reader_init(&reader);
    bh_smtp_reply_write(&out, 550, "5.7.1", bh_str_sub(text, 0, 10000));
    input = bh_buf_view(&out);
    if (bh_buf_err(&out) || bh_smtp_reply_read(&reader, &input, &reply) || input.n)
        abort();
    bh_smtp_reply_reader_free(&reader);
    bh_buf_free(&out);
}

/* What parses must be written in a spelling that parses to the same spelling. */
static void check_mailbox(bh_str text)
{
    struct bh_buf once = bh_buf_make(2000), twice = bh_buf_make(2000);
    struct bh_smtp_mailbox box;

    if (!bh_smtp_mailbox_parse(text, &box)) {
        bh_smtp_mailbox_write(&once, &box);
        if (bh_smtp_mailbox_parse(bh_buf_view(&once), &box))
            abort();
        bh_smtp_mailbox_write(&twice, &box);
        if (!bh_str_eq(bh_buf_view(&once), bh_buf_view(&twice)))
            abort();
    }
    bh_buf_free(&once);
    bh_buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str bytes = bh_str_of((const char *)data, size);
    struct bh_smtp_param param;
    struct bh_smtp_path path;
    bh_str rest = bytes;

    read_all(bytes);
    write_and_read(bytes);
    check_mailbox(bytes);
    if (!bh_smtp_path_parse(&rest, size & 1, &path) && path.mailbox.domain.n)
        check_mailbox(bh_str_range(path.mailbox.local.p, path.mailbox.domain.p + path.mailbox.domain.n));
    while (!bh_smtp_param_next(&rest, &param))
        ;
    return 0;
}
