/* server.c: see server.h: the session's life, its lines and its replies. */
#include "server_impl.h"
#include <stdlib.h>

enum { OUT_MAX = 1 << 20, TIMEOUT_MS = 300 * 1000, FRAMING_TIMEOUT_MS = 10 * 1000 };

struct bh_smtp_server_config bh_smtp_server_config_default(enum bh_smtp_profile profile)
{
    return (struct bh_smtp_server_config){
        .profile = profile,
        .max_command_bytes = 4096,
        .max_text_line_bytes = 1000,
        .max_message_bytes = 50 << 20,
        .max_recipients = 1000,
        .max_errors = 20,
        .max_messages = 10000,
        .max_auth_failures = 3,
    };
}

static void greet(struct bh_smtp_server *server)
{
    bh_buf_add(&server->out, BH_STR("220 "));
    bh_buf_add(&server->out, server->config->host_name);
    bh_buf_add(&server->out, BH_STR(" ESMTP\r\n"));
}

struct bh_smtp_server *bh_smtp_server_new(const struct bh_smtp_server_config *config)
{
    struct bh_smtp_server *server = calloc(1, sizeof(*server));

    if (!server)
        return NULL;
    server->config = config;
    server->out = bh_buf_make(OUT_MAX);
    server->secret = bh_buf_make(CREDENTIAL_MAX);
    server->open = BH_SMTP_SERVER_MORE;
    server->tls = config->profile == BH_SMTP_PROFILE_TLS;
    greet(server);
    return server;
}

void bh_smtp_server_free(struct bh_smtp_server *server)
{
    if (!server)
        return;
    bh_smtp_server_forget_secret(server);
    bh_buf_free(&server->secret);
    bh_buf_free(&server->out);
    free(server);
}

struct bh_buf *bh_smtp_server_output(struct bh_smtp_server *server)
{
    return &server->out;
}

int bh_smtp_server_timeout_ms(const struct bh_smtp_server *server)
{
    return server->mode == MODE_TEXT && server->refusal.is_framing ? FRAMING_TIMEOUT_MS : TIMEOUT_MS;
}

struct bh_smtp_server_facts bh_smtp_server_facts(const struct bh_smtp_server *server)
{
    return (struct bh_smtp_server_facts){
        .helo = bh_str_of(server->helo, server->helo_n),
        .esmtp = server->esmtp,
        .tls = server->tls,
        .authenticated = server->authenticated,
        .in_transaction = server->in_transaction,
        .smtputf8 = server->smtputf8,
        .recipients = server->recipients,
        .messages = server->messages,
        .text_bytes = server->text_bytes,
    };
}

void bh_smtp_server_say(struct bh_smtp_server *server, unsigned code, const char *enhanced, const char *text)
{
    bh_smtp_reply_write(&server->out, code, enhanced, bh_str_c(text));
}

void bh_smtp_server_shut(struct bh_smtp_server *server)
{
    bh_smtp_server_drop_transaction(server);
    bh_smtp_server_forget_secret(server);
    server->open = BH_SMTP_SERVER_MORE;
    server->mode = MODE_CLOSED;
}

static void count_error(struct bh_smtp_server *server)
{
    if (++server->errors < server->config->max_errors || server->mode == MODE_CLOSED)
        return;
    bh_smtp_server_say(server, 421, "4.7.0", "Too many errors, closing the connection");
    bh_smtp_server_shut(server);
}

void bh_smtp_server_complain(struct bh_smtp_server *server, unsigned code, const char *enhanced, const char *text)
{
    bh_smtp_server_say(server, code, enhanced, text);
    count_error(server);
}

void bh_smtp_server_drop_transaction(struct bh_smtp_server *server)
{
    server->abort_owed |= server->in_transaction;
    server->in_transaction = false;
    server->smtputf8 = false;
    server->recipients = 0;
}

/* Nobody can tell where the next command starts: what follows may be meant as text by another server (smuggling). */
static void refuse_bare(struct bh_smtp_server *server, const char *text)
{
    bh_smtp_server_say(server, 500, "5.5.2", text);
    bh_smtp_server_shut(server);
}

/* Takes a line with its CRLF off *input. False: none is whole yet, or what there was is dealt with. */
static bool take_line(struct bh_smtp_server *server, bh_str *input, bh_str *ret_line)
{
    size_t lf = bh_str_find(*input, '\n');
    bh_str line = bh_str_sub(*input, 0, lf);

    if (lf == input->n) {
        if (lf > server->config->max_command_bytes) { /* the last byte may be the CR of its end */
            server->mode = MODE_LONG_LINE;
            *input = bh_str_skip(*input, lf - 1);
        }
        return false;
    }
    *input = bh_str_skip(*input, lf + 1);
    if (!line.n || line.p[line.n - 1] != '\r') {
        refuse_bare(server, "A line must end in CR LF; a bare LF is refused, closing the connection");
        return false;
    }
    line.n--;
    if (server->mode == MODE_LONG_LINE || line.n + 2 > server->config->max_command_bytes) {
        server->mode = MODE_COMMAND;
        bh_smtp_server_forget_secret(server);
        bh_smtp_server_complain(server, 500, "5.5.2", "Command line too long");
        return false;
    }
    if (memchr(line.p, '\r', line.n)) {
        refuse_bare(server, "A bare CR in a command is refused, closing the connection");
        return false;
    }
    *ret_line = line;
    return true;
}

static enum bh_smtp_server_event_kind next_line(struct bh_smtp_server *server, bh_str *input,
                                                struct bh_smtp_server_event *ret_event)
{
    enum server_mode mode = server->mode;
    bh_str line;

    if (!take_line(server, input, &line))
        return BH_SMTP_SERVER_MORE;
    return mode == MODE_COMMAND ? bh_smtp_server_command(server, line, ret_event)
                                : bh_smtp_server_auth_line(server, line, ret_event);
}

enum bh_smtp_server_event_kind bh_smtp_server_next(struct bh_smtp_server *server, bh_str *input,
                                                   struct bh_smtp_server_event *ret_event)
{
    enum bh_smtp_server_event_kind kind = BH_SMTP_SERVER_MORE;
    enum server_mode mode;
    size_t left;

    do {
        left = input->n;
        mode = server->mode;
        if (server->abort_owed) {
            server->abort_owed = false;
            kind = BH_SMTP_SERVER_ABORT;
        } else if (server->mode == MODE_CLOSED || bh_buf_err(&server->out)) {
            *input = bh_str_of(input->p, 0);
            kind = BH_SMTP_SERVER_CLOSE;
        } else if (server->open != BH_SMTP_SERVER_MORE) {
            kind = BH_SMTP_SERVER_WAIT;
        } else if (server->mode == MODE_TLS) {
            *input = bh_str_of(input->p, 0);
            kind = BH_SMTP_SERVER_MORE;
        } else if (server->mode == MODE_TEXT) {
            kind = bh_smtp_server_text(server, input, ret_event);
        } else if (server->mode == MODE_CHUNK) {
            kind = bh_smtp_server_chunk(server, input, ret_event);
        } else if (server->mode == MODE_SWALLOW) {
            bh_smtp_server_swallow(server, input);
            kind = BH_SMTP_SERVER_MORE;
        } else {
            kind = next_line(server, input, ret_event);
        }
        /* MORE after progress: another line may be there, or an end of the session to tell */
    } while (kind == BH_SMTP_SERVER_MORE && (input->n != left || server->mode != mode || server->abort_owed));
    if (kind == BH_SMTP_SERVER_STARTTLS)
        *input = bh_str_of(input->p, 0);
    ret_event->kind = kind;
    return kind;
}

static void say_view(struct bh_smtp_server *server, unsigned code, const char *enhanced, bh_str text, const char *usual)
{
    bh_smtp_reply_write(&server->out, code, enhanced, text.n ? text : bh_str_c(usual));
}

static void accept_mail(struct bh_smtp_server *server, bh_str text)
{
    server->in_transaction = true;
    server->smtputf8 = server->wants_smtputf8;
    server->recipients = 0;
    server->text_bytes = 0;
    server->is_chunked = false;
    say_view(server, 250, "2.1.0", text, "Ok");
}

static void accept_end(struct bh_smtp_server *server, bh_str text)
{
    server->in_transaction = false;
    server->smtputf8 = false;
    server->recipients = 0;
    server->messages++;
    server->errors = 0;
    say_view(server, 250, "2.0.0", text, "Ok");
}

void bh_smtp_server_accept(struct bh_smtp_server *server, bh_str text)
{
    enum bh_smtp_server_event_kind open = server->open;

    server->open = BH_SMTP_SERVER_MORE;
    if (open == BH_SMTP_SERVER_AUTH) {
        bh_smtp_server_forget_secret(server);
        server->authenticated = true;
        say_view(server, 235, "2.7.0", text, "Authentication successful");
    } else if (open == BH_SMTP_SERVER_MAIL) {
        accept_mail(server, text);
    } else if (open == BH_SMTP_SERVER_RCPT) {
        server->recipients++;
        say_view(server, 250, "2.1.5", text, "Ok");
    } else if (open == BH_SMTP_SERVER_DATA) {
        bh_smtp_server_text_begin(server);
        if (!server->is_chunked)
            say_view(server, 354, NULL, text, "End data with <CR><LF>.<CR><LF>");
    } else if (open == BH_SMTP_SERVER_END) {
        accept_end(server, text);
    }
}

void bh_smtp_server_refuse(struct bh_smtp_server *server, unsigned code, const char *enhanced, bh_str text)
{
    enum bh_smtp_server_event_kind open = server->open;

    server->open = BH_SMTP_SERVER_MORE;
    bh_smtp_reply_write(&server->out, code, enhanced, text);
    if (open == BH_SMTP_SERVER_DATA && server->is_chunked) { /* its bytes are on the way */
        server->mode = MODE_SWALLOW;
        server->is_chunked = false;
    }
    if (open == BH_SMTP_SERVER_END) { /* the embedder has just ended the transaction: no ABORT */
        server->in_transaction = false;
        server->recipients = 0;
    }
    if (open == BH_SMTP_SERVER_AUTH) {
        bh_smtp_server_forget_secret(server);
        if (code >= 500 && ++server->auth_failures >= server->config->max_auth_failures) {
            bh_smtp_server_say(server, 421, "4.7.0", "Too many failed authentications, closing the connection");
            bh_smtp_server_shut(server);
        }
    }
    if (code == 421)
        bh_smtp_server_shut(server);
    else if (code >= 500 && open != BH_SMTP_SERVER_END)
        count_error(server);
}

void bh_smtp_server_end(struct bh_smtp_server *server, const char *enhanced, bh_str text)
{
    if (server->mode == MODE_CLOSED)
        return;
    if (server->mode == MODE_TEXT && server->refusal.is_framing)
        bh_smtp_server_say(server, server->refusal.code, server->refusal.enhanced, server->refusal.text);
    else
        bh_smtp_reply_write(&server->out, 421, enhanced, text);
    bh_smtp_server_shut(server);
}

void bh_smtp_server_tls_up(struct bh_smtp_server *server)
{
    server->tls = true;
    server->mode = MODE_COMMAND;
    server->authenticated = false;
    server->esmtp = false;
    server->helo_n = 0;
}
