/* smtp_client.c: any bytes as what a server says to a client session with two messages. */
#include "proto/smtp/client.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(struct bh_smtp_client *client)
{
    struct iovec iov[3];
    size_t count, sum, total = 0;

    while ((count = bh_smtp_client_output(client, iov, 3))) {
        sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += iov[i].iov_len;
        total += sum;
        if (!sum || total > 1 << 20)
            abort();
        bh_smtp_client_sent(client, sum > 7 ? sum - 3 : sum);
    }
}

static void give(struct bh_smtp_client *client, int *left)
{
    static const bh_str pieces[2] = {{"Subject: x\r\n\r\n.dot\r", 19}, {"\n..\r\n", 5}};
    struct bh_smtp_client_message message = {
        .mail_from = BH_STR("a@b"), .rcpt_to = BH_STR("c@d"), .pieces = pieces, .piece_count = 2};

    while (bh_smtp_client_has_room(client) && (*left)-- > 0)
        if (bh_smtp_client_send(client, &message))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bh_smtp_client_config config = {.helo = BH_STR("h")};
    struct bh_smtp_client *client;
    struct bh_smtp_result result;
    enum bh_smtp_client_event event = BH_SMTP_CLIENT_MORE;
    size_t at = 1, step;
    int left = 20;
    bh_str input;

    if (!size)
        return 0;
    config.tls = (enum bh_smtp_client_tls)(data[0] & 3);
    config.login = data[0] & 4 ? BH_STR("u") : BH_STR("");
    config.auth_in_clear = true;
    step = 1 + (data[0] >> 3) * 8u;
    client = bh_smtp_client_new(&config);
    if (!client)
        abort();
    for (size_t given = at; event != BH_SMTP_CLIENT_OVER && given < size;) {
        given = size - given < step ? size : given + step;
        do {
            input = bh_str_of((const char *)data + at, given - at);
            event = bh_smtp_client_next(client, &input, &result);
            at = given - input.n;
            if (event == BH_SMTP_CLIENT_STARTTLS)
                bh_smtp_client_tls_up(client);
            give(client, &left);
            if (left <= 0)
                bh_smtp_client_quit(client);
            drain(client);
        } while (event != BH_SMTP_CLIENT_MORE && event != BH_SMTP_CLIENT_OVER);
    }
    bh_smtp_client_fail(client, BH_E_CLOSED, BH_STR(""));
    input = BH_STR("");
    for (int i = 0; i < 4; i++)
        (void)bh_smtp_client_next(client, &input, &result);
    bh_smtp_client_free(client);
    return 0;
}
