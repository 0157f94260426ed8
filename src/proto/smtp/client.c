/* client.c: see client.h: the dialogue. Replies come in the order in which commands were written, so what is awaited
 * is a queue of (command, message); a message in a slot goes
 *
 *      WAITING ─▶ ENVELOPE ─354─▶ TEXT ─all sent─▶ ENDING ─reply─▶ DONE
 *                     └─ refused: once the replies to all that was pipelined are in ─▶ DONE
 *
 * and the younger one's envelope is written as soon as the older one is in TEXT, where PIPELINING is offered. Where
 * CHUNKING is offered a text is one chunk: no 354 is waited for, and a short one follows its envelope at once. */
#include "base/text.h"
#include "client_impl.h"
#include <stdlib.h>

enum { OUT_MAX = 16 * 1024 };

static void expect(struct bh_smtp_client *client, enum expect what, struct slot *slot)
{
    size_t at = (client->expect_first + client->expect_count++) % EXPECT_MAX;

    client->expects[at].what = what;
    client->expects[at].slot = slot;
}

struct bh_smtp_client *bh_smtp_client_new(const struct bh_smtp_client_config *config)
{
    struct bh_smtp_client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->config = config;
    client->facts.tls = config->tls == BH_SMTP_TLS_IMPLICIT;
    client->out = bh_buf_make(OUT_MAX);
    client->end_text = bh_buf_make(RESULT_TEXT_MAX);
    for (size_t i = 0; i < SLOTS; i++)
        client->slots[i].text = bh_buf_make(RESULT_TEXT_MAX);
    bh_smtp_reply_reader_init(&client->reader);
    expect(client, EXPECT_GREETING, NULL);
    return client;
}

void bh_smtp_client_free(struct bh_smtp_client *client)
{
    if (!client)
        return;
    if (client->out.p)
        bh_wipe(client->out.p, client->out.cap);
    bh_buf_free(&client->out);
    bh_buf_free(&client->end_text);
    for (size_t i = 0; i < SLOTS; i++)
        bh_buf_free(&client->slots[i].text);
    bh_smtp_reply_reader_free(&client->reader);
    free(client);
}

static void write_line(struct bh_smtp_client *client, const char *command, bh_str argument)
{
    bh_buf_add(&client->out, bh_str_c(command));
    bh_buf_add(&client->out, argument);
    bh_buf_add(&client->out, BH_STR("\r\n"));
}

static void set_text(struct bh_buf *buf, bh_str text)
{
    bh_buf_clear(buf);
    bh_buf_add(buf, bh_str_sub(text, 0, RESULT_TEXT_MAX));
}

/* The session is over: nothing is read or sent any more. The first reason stays. */
static void end_session(struct bh_smtp_client *client, struct bh_smtp_result why, bh_str text)
{
    if (client->over)
        return;
    client->over = true;
    client->end = why;
    client->end.session_fault = true;
    set_text(&client->end_text, text);
}

static enum bh_smtp_outcome outcome_of(unsigned code)
{
    return code < 300 ? BH_SMTP_DELIVERED : code >= 500 ? BH_SMTP_PERM : BH_SMTP_TEMP;
}

static struct bh_smtp_result result_of(const struct bh_smtp_reply *reply, enum bh_smtp_phase phase)
{
    return (struct bh_smtp_result){
        .outcome = outcome_of(reply->code), .phase = phase, .code = reply->code, .status = reply->status};
}

static void end_by_reply(struct bh_smtp_client *client, const struct bh_smtp_reply *reply, enum bh_smtp_phase phase)
{
    struct bh_smtp_result why = result_of(reply, phase);

    if (why.outcome == BH_SMTP_DELIVERED) /* a 2xx where none makes sense */
        why.outcome = BH_SMTP_TEMP;
    end_session(client, why, reply->text);
}

static void end_locally(struct bh_smtp_client *client, enum bh_smtp_outcome outcome, bh_str text)
{
    end_session(client,
                (struct bh_smtp_result){.outcome = outcome, .phase = bh_smtp_client_phase(client), .local = true},
                text);
}

void bh_smtp_client_fail(struct bh_smtp_client *client, bh_err err, bh_str text)
{
    end_locally(client,
                client->quits && !client->slots[0].state && !client->slots[1].state ? BH_SMTP_CLOSED : BH_SMTP_TEMP,
                text.n ? text : bh_str_c(bh_err_text(err)));
}

struct bh_smtp_client_facts bh_smtp_client_facts(const struct bh_smtp_client *client)
{
    return client->facts;
}

/* ---- greeting, EHLO, STARTTLS, AUTH ---- */

static void say_ehlo(struct bh_smtp_client *client)
{
    write_line(client, "EHLO ", client->config->helo);
    expect(client, EXPECT_EHLO, NULL);
}

static void become_ready(struct bh_smtp_client *client)
{
    client->facts.ready = true;
    client->ready_owed = true;
}

static void say_auth(struct bh_smtp_client *client)
{
    struct bh_buf plain = bh_buf_make(2048);

    if (!client->facts.tls && !client->config->auth_in_clear) {
        end_locally(client, BH_SMTP_PERM, BH_STR("there is no TLS, so no password is sent"));
    } else if (client->offers_plain) {
        bh_buf_char(&plain, '\0');
        bh_buf_add(&plain, client->config->login);
        bh_buf_char(&plain, '\0');
        bh_buf_add(&plain, client->config->password);
        bh_buf_add(&client->out, BH_STR("AUTH PLAIN "));
        bh_base64_encode(&client->out, bh_buf_view(&plain));
        bh_buf_add(&client->out, BH_STR("\r\n"));
        client->has_secret = true;
        expect(client, EXPECT_AUTH, NULL);
    } else if (client->offers_login) {
        write_line(client, "AUTH LOGIN", BH_STR(""));
        expect(client, EXPECT_AUTH_LOGIN, NULL);
    } else {
        end_locally(client, BH_SMTP_PERM, BH_STR("the server offers neither AUTH PLAIN nor AUTH LOGIN"));
    }
    if (plain.p)
        bh_wipe(plain.p, plain.cap);
    bh_buf_free(&plain);
}

/* EHLO is understood: STARTTLS, AUTH, or ready. */
static void after_ehlo(struct bh_smtp_client *client)
{
    enum bh_smtp_client_tls tls = client->config->tls;
    bool wanted = tls == BH_SMTP_TLS_IF_OFFERED || tls == BH_SMTP_TLS_REQUIRED;

    if (wanted && !client->facts.tls && client->facts.starttls) {
        write_line(client, "STARTTLS", BH_STR(""));
        expect(client, EXPECT_STARTTLS, NULL);
    } else if (tls == BH_SMTP_TLS_REQUIRED && !client->facts.tls) {
        end_locally(client, BH_SMTP_TEMP, BH_STR("TLS is required, and the server does not offer STARTTLS"));
    } else if (client->config->login.n) {
        say_auth(client);
    } else {
        become_ready(client);
    }
}

static void read_auth_offer(struct bh_smtp_client *client, bh_str mechanisms)
{
    while (mechanisms.n) {
        bh_str name = bh_str_cut(mechanisms, ' ', &mechanisms);

        client->offers_plain |= bh_str_eq_ci(name, BH_STR("PLAIN"));
        client->offers_login |= bh_str_eq_ci(name, BH_STR("LOGIN"));
    }
}

/* "MAILMAX=20 RCPTMAX=100 …" (RFC 9422) */
static void read_limits(struct bh_smtp_client *client, bh_str limits)
{
    uint64_t most;

    while (limits.n) {
        bh_str value, name = bh_str_cut(bh_str_cut(limits, ' ', &limits), '=', &value);

        if (bh_str_eq_ci(name, BH_STR("MAILMAX")) && !bh_str_to_u64(value, UINT32_MAX, &most))
            client->facts.mail_max = (uint32_t)most;
    }
}

static void read_offer(struct bh_smtp_client *client, bh_str line)
{
    struct bh_smtp_client_facts *facts = &client->facts;
    bh_str value, keyword = bh_str_cut(line, ' ', &value);
    const struct {
        bh_str keyword;
        bool *flag;
    } flags[] = {{BH_STR("PIPELINING"), &facts->pipelining},
                 {BH_STR("8BITMIME"), &facts->eight_bit},
                 {BH_STR("SMTPUTF8"), &facts->smtputf8},
                 {BH_STR("STARTTLS"), &facts->starttls},
                 {BH_STR("DSN"), &facts->dsn},
                 {BH_STR("CHUNKING"), &facts->chunking},
                 {BH_STR("SIZE"), &facts->has_size}};

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (bh_str_eq_ci(keyword, flags[i].keyword))
            *flags[i].flag = true;
    if (bh_str_eq_ci(keyword, BH_STR("SIZE")) && bh_str_to_u64(bh_str_trim(value), UINT64_MAX, &facts->size))
        facts->size = 0;
    if (bh_str_eq_ci(keyword, BH_STR("LIMITS")))
        read_limits(client, value);
    if (bh_str_eq_ci(keyword, BH_STR("AUTH")))
        read_auth_offer(client, value);
    else if (bh_str_starts_ci(line, BH_STR("AUTH="))) /* the spelling before RFC 2554 */
        read_auth_offer(client, bh_str_skip(line, 5));
}

static void forget_offers(struct bh_smtp_client *client)
{
    struct bh_smtp_client_facts *facts = &client->facts;

    *facts = (struct bh_smtp_client_facts){.tls = facts->tls, .greeting = facts->greeting, .replies = facts->replies};
    client->offers_plain = client->offers_login = false;
}

static void on_greeting(struct bh_smtp_client *client, const struct bh_smtp_reply *reply)
{
    bh_str line = bh_str_sub(reply->text, 0, bh_str_find(reply->text, '\n'));

    if (reply->code != 220) {
        end_by_reply(client, reply, BH_SMTP_PHASE_GREETING);
        return;
    }
    line = bh_str_sub(line, 0, GREETING_MAX);
    memcpy(client->greeting, line.p ? line.p : "", line.n);
    client->facts.greeting = bh_str_of(client->greeting, line.n);
    say_ehlo(client);
}

static void on_ehlo(struct bh_smtp_client *client, const struct bh_smtp_reply *reply)
{
    bh_str rest;

    if (reply->code >= 500 && !client->facts.tls && client->config->tls != BH_SMTP_TLS_REQUIRED) {
        write_line(client, "HELO ", client->config->helo);
        expect(client, EXPECT_HELO, NULL);
        return;
    }
    if (reply->code != 250) {
        end_by_reply(client, reply, BH_SMTP_PHASE_HELO);
        return;
    }
    forget_offers(client);
    client->facts.esmtp = true;
    (void)bh_str_cut(reply->text, '\n', &rest); /* the server's name */
    while (rest.n)
        read_offer(client, bh_str_cut(rest, '\n', &rest));
    after_ehlo(client);
}

static void on_starttls(struct bh_smtp_client *client, const struct bh_smtp_reply *reply)
{
    if (reply->code == 220) {
        client->in_handshake = client->starttls_owed = true;
    } else if (reply->code != 421 && client->config->tls == BH_SMTP_TLS_IF_OFFERED) {
        client->facts.starttls = false;
        after_ehlo(client);
    } else {
        struct bh_smtp_result why = result_of(reply, BH_SMTP_PHASE_STARTTLS);

        why.outcome = BH_SMTP_TEMP; /* a policy is not met: perhaps another server, or later */
        end_session(client, why, reply->text);
    }
}

void bh_smtp_client_tls_up(struct bh_smtp_client *client)
{
    client->in_handshake = false;
    client->facts.tls = true;
    forget_offers(client);
    say_ehlo(client);
}

static void say_secret(struct bh_smtp_client *client, bh_str text, enum expect what)
{
    bh_base64_encode(&client->out, text);
    bh_buf_add(&client->out, BH_STR("\r\n"));
    client->has_secret = true;
    expect(client, what, NULL);
}

static void on_auth(struct bh_smtp_client *client, enum expect what, const struct bh_smtp_reply *reply)
{
    if (what == EXPECT_AUTH && reply->code == 235)
        become_ready(client);
    else if (what == EXPECT_AUTH_LOGIN && reply->code == 334)
        say_secret(client, client->config->login, EXPECT_AUTH_PASSWORD);
    else if (what == EXPECT_AUTH_PASSWORD && reply->code == 334)
        say_secret(client, client->config->password, EXPECT_AUTH);
    else
        end_by_reply(client, reply, BH_SMTP_PHASE_AUTH);
}

/* ---- messages ---- */

static void finish(struct slot *slot, struct bh_smtp_result result, bh_str text)
{
    result.tag = slot->message.tag;
    slot->result = result;
    set_text(&slot->text, text);
}

/* A refusal by the receiving server before the text. */
static void refuse(struct slot *slot, const struct bh_smtp_reply *reply, enum bh_smtp_phase phase)
{
    struct bh_smtp_result result = result_of(reply, phase);

    if (result.outcome == BH_SMTP_DELIVERED)
        result.outcome = BH_SMTP_TEMP;
    finish(slot, result, reply->text);
    slot->refused = true;
}

static uint64_t size_of(const struct bh_smtp_client_message *message)
{
    uint64_t sum = message->size_bytes;

    for (size_t i = 0; !message->size_bytes && i < message->piece_count; i++)
        sum += message->pieces[i].n;
    return sum;
}

static void say_param(struct bh_smtp_client *client, const char *name, bh_str value)
{
    if (!value.n || !client->facts.dsn)
        return;
    bh_buf_add(&client->out, bh_str_c(name));
    bh_buf_add(&client->out, value);
}

static void say_mail(struct bh_smtp_client *client, struct slot *slot)
{
    const struct bh_smtp_client_message *m = &slot->message;

    bh_buf_add(&client->out, BH_STR("MAIL FROM:<"));
    bh_buf_add(&client->out, m->mail_from);
    bh_buf_char(&client->out, '>');
    if (client->facts.has_size && size_of(m))
        bh_buf_printf(&client->out, " SIZE=%llu", (unsigned long long)size_of(m));
    if (m->has_8bit && client->facts.eight_bit)
        bh_buf_add(&client->out, BH_STR(" BODY=8BITMIME"));
    if (m->needs_smtputf8)
        bh_buf_add(&client->out, BH_STR(" SMTPUTF8"));
    say_param(client, " RET=", m->ret);
    say_param(client, " ENVID=", m->envid);
    bh_buf_add(&client->out, BH_STR("\r\n"));
    client->facts.mails++;
    expect(client, EXPECT_MAIL, slot);
}

static void say_rcpt(struct bh_smtp_client *client, struct slot *slot)
{
    bh_buf_add(&client->out, BH_STR("RCPT TO:<"));
    bh_buf_add(&client->out, slot->message.rcpt_to);
    bh_buf_char(&client->out, '>');
    say_param(client, " NOTIFY=", slot->message.notify);
    say_param(client, " ORCPT=", slot->message.orcpt);
    bh_buf_add(&client->out, BH_STR("\r\n"));
    expect(client, EXPECT_RCPT, slot);
}

static void say_data(struct bh_smtp_client *client, struct slot *slot)
{
    write_line(client, "DATA", BH_STR(""));
    expect(client, EXPECT_DATA, slot);
}

/* RFC 3030 2: BDAT may be pipelined behind RCPT. A refused recipient costs the text then, so only a short one goes
 * early. */
void bh_smtp_client_chunk_begin(struct bh_smtp_client *client, struct slot *slot)
{
    bool early = client->facts.pipelining && !slot->message.more_follows && slot->chunk_bytes <= EARLY_CHUNK_MAX;

    if (slot->state != SLOT_ENVELOPE || !slot->chunked || slot->refused || client->texting ||
        !(early || slot->rcpt_accepted))
        return;
    bh_buf_printf(&client->out, "BDAT %llu LAST\r\n", (unsigned long long)slot->chunk_bytes);
    slot->state = SLOT_TEXT;
    bh_smtp_client_text_begin(client, slot);
    expect(client, EXPECT_END, slot);
}

static void begin_envelope(struct bh_smtp_client *client, struct slot *slot)
{
    slot->state = SLOT_ENVELOPE;
    slot->chunk_bytes = slot->message.more_follows ? slot->message.size_bytes : slot->given_bytes;
    /* a text without its last line end, where that is known, gets it with the dot */
    slot->chunked =
        client->facts.chunking && slot->chunk_bytes > 0 && (slot->message.more_follows || slot->checked.at_line_start);
    if (client->needs_rset) {
        write_line(client, "RSET", BH_STR(""));
        expect(client, EXPECT_RSET, NULL);
        client->needs_rset = client->chunk_failed = false;
    }
    say_mail(client, slot);
    if (!client->facts.pipelining)
        return;
    say_rcpt(client, slot);
    if (slot->chunked)
        bh_smtp_client_chunk_begin(client, slot);
    else
        say_data(client, slot);
}

/* Writes the envelopes and the QUIT whose time has come. */
static void go_on(struct bh_smtp_client *client)
{
    struct slot *first = &client->slots[client->first], *second = &client->slots[!client->first];
    /* not behind a chunk whose recipient may be refused yet: the server would be in the middle of that transaction */
    bool is_texting =
        (first->state == SLOT_TEXT || first->state == SLOT_ENDING) && (!first->chunked || first->rcpt_accepted);

    if (client->over || !client->facts.ready)
        return;
    if (first->state == SLOT_WAITING && client->expect_count <= 1) /* a lone dot may be unanswered */
        begin_envelope(client, first);
    if (second->state == SLOT_WAITING && is_texting && client->facts.pipelining)
        begin_envelope(client, second);
    if (client->quits && !client->expect_count && !first->state && !second->state) {
        write_line(client, "QUIT", BH_STR(""));
        expect(client, EXPECT_QUIT, NULL);
    }
}

static void on_mail(struct bh_smtp_client *client, struct slot *slot, const struct bh_smtp_reply *reply)
{
    if (reply->code >= 300)
        refuse(slot, reply, BH_SMTP_PHASE_MAIL);
    if (reply->code == 503 && client->chunk_failed) /* still in the transaction of the one before */
        slot->result.outcome = BH_SMTP_TEMP;
    client->chunk_failed = false;
    if (client->facts.pipelining)
        return;
    if (slot->refused)
        slot->state = SLOT_DONE;
    else
        say_rcpt(client, slot);
}

static void on_rcpt(struct bh_smtp_client *client, struct slot *slot, const struct bh_smtp_reply *reply)
{
    if (reply->code >= 300 && !slot->refused) {
        refuse(slot, reply, BH_SMTP_PHASE_RCPT);
        client->needs_rset = true;
    }
    slot->rcpt_accepted = !slot->refused;
    if (slot->state != SLOT_ENVELOPE || (client->facts.pipelining && !slot->chunked))
        return;
    if (slot->refused)
        slot->state = SLOT_DONE;
    else if (slot->chunked)
        bh_smtp_client_chunk_begin(client, slot);
    else
        say_data(client, slot);
}

static void on_data(struct bh_smtp_client *client, struct slot *slot, const struct bh_smtp_reply *reply)
{
    if (reply->code == 354 && !slot->refused) {
        slot->state = SLOT_TEXT;
        bh_smtp_client_text_begin(client, slot);
        expect(client, EXPECT_END, slot);
        return;
    }
    if (reply->code == 354) { /* RFC 2920 3.1: end it at once; there is nobody whom it could reach */
        write_line(client, ".", BH_STR(""));
        expect(client, EXPECT_NOTHING_SENT, NULL);
        client->needs_rset = false;
    } else if (!slot->refused) {
        refuse(slot, reply, BH_SMTP_PHASE_DATA);
        client->needs_rset = true;
    }
    slot->state = SLOT_DONE;
}

static void on_end(struct bh_smtp_client *client, struct slot *slot, const struct bh_smtp_reply *reply)
{
    struct bh_smtp_result result = result_of(reply, BH_SMTP_PHASE_END);

    if (slot->chunked && result.outcome != BH_SMTP_DELIVERED) /* RFC 3030 2: a RSET is sure to get out of this */
        client->needs_rset = client->chunk_failed = true;
    if (slot->refused && slot->state != SLOT_TEXT) { /* the chunk went for nothing */
        client->needs_rset = true;
        slot->state = SLOT_DONE;
        return;
    }
    if (slot->state == SLOT_TEXT) { /* an answer before the end: nobody knows what it reads now */
        if (result.outcome == BH_SMTP_DELIVERED)
            result.outcome = BH_SMTP_TEMP;
        result.phase = BH_SMTP_PHASE_TEXT;
        if (!slot->refused)
            finish(slot, result, reply->text);
        slot->state = SLOT_DONE;
        end_by_reply(client, reply, BH_SMTP_PHASE_TEXT);
        return;
    }
    if (result.outcome == BH_SMTP_DELIVERED)
        client->facts.messages++;
    finish(slot, result, reply->text);
    slot->state = SLOT_DONE;
}

/* 421 in the middle: the server leaves. The message whose turn it was can say why; the rest hears it as well. */
static void on_421(struct bh_smtp_client *client, const struct bh_smtp_reply *reply)
{
    struct bh_smtp_result why = result_of(reply, bh_smtp_client_phase(client));

    if (client->texting)
        why.phase = BH_SMTP_PHASE_TEXT;
    end_session(client, why, reply->text);
}

static void on_reply(struct bh_smtp_client *client, const struct bh_smtp_reply *reply)
{
    enum expect what = client->expects[client->expect_first].what;
    struct slot *slot = client->expects[client->expect_first].slot;

    client->facts.replies++;
    if (reply->code == 421) {
        on_421(client, reply);
        return;
    }
    if (!client->expect_count) {
        end_locally(client, BH_SMTP_TEMP, BH_STR("the server replied when nothing was asked"));
        return;
    }
    client->expect_first = (client->expect_first + 1) % EXPECT_MAX;
    client->expect_count--;
    if (reply->code / 100 == 3 && !(reply->code == 354 && what == EXPECT_DATA) &&
        !(reply->code == 334 && what >= EXPECT_AUTH && what <= EXPECT_AUTH_PASSWORD)) {
        end_locally(client, BH_SMTP_TEMP, BH_STR("the server said 3xx where it makes no sense"));
        return;
    }
    switch (what) {
    case EXPECT_GREETING:
        on_greeting(client, reply);
        break;
    case EXPECT_EHLO:
        on_ehlo(client, reply);
        break;
    case EXPECT_HELO:
        if (reply->code == 250)
            forget_offers(client), after_ehlo(client);
        else
            end_by_reply(client, reply, BH_SMTP_PHASE_HELO);
        break;
    case EXPECT_STARTTLS:
        on_starttls(client, reply);
        break;
    case EXPECT_AUTH:
    case EXPECT_AUTH_LOGIN:
    case EXPECT_AUTH_PASSWORD:
        on_auth(client, what, reply);
        break;
    case EXPECT_MAIL:
        on_mail(client, slot, reply);
        break;
    case EXPECT_RCPT:
        on_rcpt(client, slot, reply);
        break;
    case EXPECT_DATA:
        on_data(client, slot, reply);
        break;
    case EXPECT_END:
        on_end(client, slot, reply);
        break;
    case EXPECT_RSET:
        if (reply->code != 250)
            end_by_reply(client, reply, BH_SMTP_PHASE_MAIL);
        break;
    case EXPECT_NOTHING_SENT:
        break;
    case EXPECT_QUIT:
        end_session(client, (struct bh_smtp_result){.outcome = BH_SMTP_CLOSED, .phase = BH_SMTP_PHASE_QUIT},
                    reply->text);
        break;
    }
}

/* The session ended with `slot` inside. */
static void orphan(struct bh_smtp_client *client, struct slot *slot)
{
    struct bh_smtp_result result = client->end;

    if (!slot->refused) {
        bool ending = slot->state == SLOT_ENDING;

        result.outcome = ending && result.code == 0 ? BH_SMTP_UNKNOWN : BH_SMTP_TEMP;
        result.phase = ending                        ? BH_SMTP_PHASE_END
                       : slot->state == SLOT_TEXT    ? BH_SMTP_PHASE_TEXT
                       : slot->state == SLOT_WAITING ? BH_SMTP_PHASE_MAIL
                                                     : result.phase;
        finish(slot, result, bh_buf_view(&client->end_text));
    }
    slot->state = SLOT_DONE;
}

static bool give_result(struct bh_smtp_client *client, struct slot *slot, struct bh_smtp_result *ret_result)
{
    if (slot->state && client->over && slot->state != SLOT_DONE)
        orphan(client, slot);
    if (slot->state != SLOT_DONE)
        return false;
    *ret_result = slot->result;
    ret_result->text = bh_buf_view(&slot->text);
    slot->state = SLOT_FREE;
    if (client->texting == slot)
        client->texting = NULL;
    if (slot == &client->slots[client->first])
        client->first = !client->first;
    go_on(client);
    return true;
}

/* Says what is owed, the older message first. */
static bool give_owed(struct bh_smtp_client *client, bh_str *input, struct bh_smtp_result *ret_result,
                      enum bh_smtp_client_event *ret_event)
{
    *ret_event = BH_SMTP_CLIENT_RESULT;
    if (give_result(client, &client->slots[client->first], ret_result) ||
        give_result(client, &client->slots[!client->first], ret_result))
        return true;
    if (client->over) {
        *ret_event = client->over_told ? BH_SMTP_CLIENT_MORE : BH_SMTP_CLIENT_OVER;
        *ret_result = client->end;
        ret_result->text = bh_buf_view(&client->end_text);
        client->over_told = true;
        *input = bh_str_of(input->p, 0);
        return true;
    }
    if (client->in_handshake) { /* what came in clear behind the 220 is nobody's word */
        *input = bh_str_of(input->p, 0);
        *ret_event = client->starttls_owed ? BH_SMTP_CLIENT_STARTTLS : BH_SMTP_CLIENT_MORE;
        client->starttls_owed = false;
        return true;
    }
    *ret_event = BH_SMTP_CLIENT_READY;
    if (!client->ready_owed)
        return false;
    client->ready_owed = false;
    return true;
}

enum bh_smtp_client_event bh_smtp_client_next(struct bh_smtp_client *client, bh_str *input,
                                              struct bh_smtp_result *ret_result)
{
    enum bh_smtp_client_event event;
    struct bh_smtp_reply reply;
    bh_err err;

    while (!give_owed(client, input, ret_result, &event)) {
        err = bh_smtp_reply_read(&client->reader, input, &reply);
        if (err == BH_E_AGAIN)
            return BH_SMTP_CLIENT_MORE;
        if (err)
            end_locally(client, BH_SMTP_TEMP, BH_STR("the server does not speak SMTP"));
        else
            on_reply(client, &reply);
        go_on(client);
        if (bh_buf_err(&client->out))
            end_locally(client, BH_SMTP_TEMP, BH_STR("the server's replies are out of step"));
    }
    return event;
}

bool bh_smtp_client_owes(const struct bh_smtp_client *client)
{
    return client->slots[0].state == SLOT_DONE || client->slots[1].state == SLOT_DONE || client->ready_owed ||
           client->starttls_owed || (client->over && !client->over_told);
}

/* Messages inside whose MAIL is still to come count as said. */
static bool limit_is_reached(const struct bh_smtp_client *client)
{
    uint32_t mails = client->facts.mails;

    for (size_t i = 0; i < SLOTS; i++)
        mails += client->slots[i].state == SLOT_WAITING;
    return client->facts.mail_max && mails >= client->facts.mail_max;
}

bool bh_smtp_client_has_room(const struct bh_smtp_client *client)
{
    return client->facts.ready && !client->over && !client->quits && !limit_is_reached(client) &&
           (!client->slots[0].state || !client->slots[1].state);
}

/* Nothing that could begin another command or, in a parameter, another parameter. */
static bool is_harmless(bh_str text, bool is_param)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f || (is_param && text.p[i] == ' '))
            return false;
    return text.n <= (is_param ? 600 : 320);
}

/* What this server cannot take is refused here. */
static bool suits_server(const struct bh_smtp_client *client, struct slot *slot)
{
    const struct bh_smtp_client_message *m = &slot->message;
    const struct bh_smtp_client_facts *facts = &client->facts;
    struct bh_smtp_result no = {.outcome = BH_SMTP_PERM, .phase = BH_SMTP_PHASE_MAIL, .local = true};

    if (m->needs_smtputf8 && !facts->smtputf8) {
        no.status = (struct bh_smtp_status){5, 6, 7};
        finish(slot, no, BH_STR("an address needs SMTPUTF8, which the receiving server does not offer"));
        return false;
    }
    if (m->has_8bit && !facts->eight_bit) {
        no.status = (struct bh_smtp_status){5, 6, 3};
        finish(slot, no, BH_STR("the message has 8-bit text, and the receiving server does not offer 8BITMIME"));
        return false;
    }
    if (facts->size && size_of(m) > facts->size) {
        no.status = (struct bh_smtp_status){5, 3, 4};
        finish(slot, no, BH_STR("the message is larger than the receiving server accepts"));
        return false;
    }
    return true;
}

bh_err bh_smtp_client_send(struct bh_smtp_client *client, const struct bh_smtp_client_message *message)
{
    size_t at = client->slots[client->first].state ? !client->first : client->first;
    struct slot *slot = &client->slots[at];
    struct bh_buf text = slot->text;
    bh_err err = BH_OK;

    if (!bh_smtp_client_has_room(client))
        return BH_E_BUSY;
    if (!is_harmless(message->mail_from, false) || !is_harmless(message->rcpt_to, false) ||
        !is_harmless(message->ret, true) || !is_harmless(message->envid, true) || !is_harmless(message->notify, true) ||
        !is_harmless(message->orcpt, true))
        return BH_E_SYNTAX;
    *slot = (struct slot){.message = *message, .checked = {.at_line_start = true}, .text = text};
    for (size_t i = 0; i < message->piece_count && !err; i++)
        err = bh_smtp_client_text_check(slot, message->pieces[i]);
    if (err)
        return err;
    slot->state = suits_server(client, slot) ? SLOT_WAITING : SLOT_DONE;
    go_on(client);
    return BH_OK;
}

void bh_smtp_client_quit(struct bh_smtp_client *client)
{
    client->quits = true;
    go_on(client);
}
