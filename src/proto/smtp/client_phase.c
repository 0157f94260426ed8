/* client_phase.c: what a client session is waiting for, and for how long (RFC 5321 4.5.3.2). */
#include "client_impl.h"

enum { MINUTE_MS = 60 * 1000 };

const char *bh_smtp_phase_text(enum bh_smtp_phase phase)
{
    static const char *const texts[] = {
        "connecting", "the greeting",        "EHLO",        "STARTTLS", "AUTH", "MAIL FROM", "RCPT TO",
        "DATA",       "sending the message", "end of DATA", "QUIT"};

    return texts[phase];
}

enum bh_smtp_phase bh_smtp_client_phase(const struct bh_smtp_client *client)
{
    static const enum bh_smtp_phase phases[] = {[EXPECT_GREETING] = BH_SMTP_PHASE_GREETING,
                                                [EXPECT_EHLO] = BH_SMTP_PHASE_HELO,
                                                [EXPECT_HELO] = BH_SMTP_PHASE_HELO,
                                                [EXPECT_STARTTLS] = BH_SMTP_PHASE_STARTTLS,
                                                [EXPECT_AUTH] = BH_SMTP_PHASE_AUTH,
                                                [EXPECT_AUTH_LOGIN] = BH_SMTP_PHASE_AUTH,
                                                [EXPECT_AUTH_PASSWORD] = BH_SMTP_PHASE_AUTH,
                                                [EXPECT_MAIL] = BH_SMTP_PHASE_MAIL,
                                                [EXPECT_RCPT] = BH_SMTP_PHASE_RCPT,
                                                [EXPECT_DATA] = BH_SMTP_PHASE_DATA,
                                                [EXPECT_END] = BH_SMTP_PHASE_END,
                                                [EXPECT_RSET] = BH_SMTP_PHASE_MAIL,
                                                [EXPECT_NOTHING_SENT] = BH_SMTP_PHASE_END,
                                                [EXPECT_QUIT] = BH_SMTP_PHASE_QUIT};

    if (client->in_handshake)
        return BH_SMTP_PHASE_STARTTLS;
    if (client->texting)
        return BH_SMTP_PHASE_TEXT;
    if (client->expect_count)
        return phases[client->expects[client->expect_first].what];
    return client->facts.ready ? BH_SMTP_PHASE_MAIL : BH_SMTP_PHASE_HELO;
}

int bh_smtp_client_timeout_ms(const struct bh_smtp_client *client)
{
    switch (bh_smtp_client_phase(client)) {
    case BH_SMTP_PHASE_CONNECT:
    case BH_SMTP_PHASE_GREETING:
    case BH_SMTP_PHASE_HELO:
    case BH_SMTP_PHASE_AUTH:
    case BH_SMTP_PHASE_RCPT:
        return 5 * MINUTE_MS;
    case BH_SMTP_PHASE_MAIL:
        return client->expect_count ? 5 * MINUTE_MS : 0;
    case BH_SMTP_PHASE_STARTTLS:
    case BH_SMTP_PHASE_DATA:
        return 2 * MINUTE_MS;
    case BH_SMTP_PHASE_TEXT:
        return 3 * MINUTE_MS;
    case BH_SMTP_PHASE_END:
        return 10 * MINUTE_MS;
    case BH_SMTP_PHASE_QUIT:
        return 10 * 1000;
    }
    return 5 * MINUTE_MS;
}
