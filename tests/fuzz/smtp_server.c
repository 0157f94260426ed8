/* smtp_server.c: any bytes as the input of a server session, whole and cut by the first byte's choice; the replies and
 * the text must not depend on the cut. */
#include "proto/smtp/server.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct bh_buf out;
    struct bh_buf text;
};

static void answer(struct bh_smtp_server *server, const struct bh_smtp_server_event *event)
{
    if (event->kind == BH_SMTP_SERVER_RCPT && event->rcpt.path.mailbox.local.n == 3)
        bh_smtp_server_refuse(server, 550, "5.1.1", BH_STR("no\nsuch"));
    else
        bh_smtp_server_accept(server, BH_STR(""));
}

static void run(enum bh_smtp_profile profile, bh_str bytes, size_t step, struct seen *seen)
{
    struct bh_smtp_server_config config = bh_smtp_server_config_default(profile);
    enum bh_smtp_server_event_kind kind = BH_SMTP_SERVER_MORE;
    struct bh_smtp_server_event event;
    struct bh_smtp_server *server;
    size_t taken = 0, given = 0;

    config.max_command_bytes = 200;
    config.max_message_bytes = 2000;
    config.has_dsn = profile == BH_SMTP_PROFILE_TRUSTED;
    config.has_tls = profile == BH_SMTP_PROFILE_SUBMISSION;
    server = bh_smtp_server_new(&config);
    if (!server)
        abort();
    while (kind != BH_SMTP_SERVER_CLOSE && kind != BH_SMTP_SERVER_STARTTLS &&
           (given < bytes.n || kind != BH_SMTP_SERVER_MORE)) {
        bh_str input;

        if (kind == BH_SMTP_SERVER_MORE)
            given = bytes.n - given < step ? bytes.n : given + step;
        input = bh_str_of(bytes.p + taken, given - taken);
        kind = bh_smtp_server_next(server, &input, &event);
        taken = given - input.n;
        if (kind == BH_SMTP_SERVER_CHUNK)
            bh_buf_add(&seen->text, event.chunk);
        if (kind == BH_SMTP_SERVER_ABORT)
            bh_buf_clear(&seen->text); /* how much of a refused text was given may differ */
        if (kind == BH_SMTP_SERVER_MORE && input.n > config.max_command_bytes + 1)
            abort();
        if (kind >= BH_SMTP_SERVER_AUTH && kind <= BH_SMTP_SERVER_END && kind != BH_SMTP_SERVER_CHUNK)
            answer(server, &event);
    }
    bh_buf_add(&seen->out, bh_buf_view(bh_smtp_server_output(server)));
    if (bh_smtp_server_facts(server).in_transaction && !bh_smtp_server_facts(server).text_bytes)
        bh_buf_char(&seen->out, 't');
    bh_smtp_server_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = {bh_buf_make(1 << 20), bh_buf_make(1 << 20)}, cut = whole;
    bh_str bytes;

    if (!size)
        return 0;
    bytes = bh_str_of((const char *)data + 1, size - 1);
    run((enum bh_smtp_profile)(data[0] & 3), bytes, SIZE_MAX, &whole);
    run((enum bh_smtp_profile)(data[0] & 3), bytes, 1 + (data[0] >> 2), &cut);
    if (!bh_str_eq(bh_buf_view(&whole.out), bh_buf_view(&cut.out)))
        abort();
    if (!bh_str_eq(bh_buf_view(&whole.text), bh_buf_view(&cut.text)))
        abort();
    bh_buf_free(&whole.out);
    bh_buf_free(&whole.text);
    bh_buf_free(&cut.out);
    bh_buf_free(&cut.text);
    return 0;
}
