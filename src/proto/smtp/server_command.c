/* server_command.c: the commands, one function each, in a table. Each returns the event that it asks of the embedder
 * (open until answered), or MORE when it replied itself. */
#include "base/text.h"
#include "server_impl.h"

typedef enum bh_smtp_server_event_kind event_kind;
typedef event_kind command_fn(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event);

static event_kind say(struct bh_smtp_server *server, unsigned code, const char *enhanced, const char *text)
{
    bh_smtp_server_say(server, code, enhanced, text);
    return BH_SMTP_SERVER_MORE;
}

static event_kind complain(struct bh_smtp_server *server, unsigned code, const char *enhanced, const char *text)
{
    bh_smtp_server_complain(server, code, enhanced, text);
    return BH_SMTP_SERVER_MORE;
}

static event_kind ask(struct bh_smtp_server *server, event_kind kind)
{
    server->open = kind;
    return kind;
}

static bool offers_starttls(const struct bh_smtp_server *server)
{
    return server->config->has_tls && !server->tls;
}

/* AUTH is for submission, under TLS only; a trusted listener may be logged in at as well. */
static bool offers_auth(const struct bh_smtp_server *server)
{
    switch (server->config->profile) {
    case BH_SMTP_PROFILE_PORT25:
        return false;
    case BH_SMTP_PROFILE_SUBMISSION:
    case BH_SMTP_PROFILE_TLS:
        return server->tls;
    case BH_SMTP_PROFILE_TRUSTED:
        return true;
    }
    return false;
}

/* A name for Received and for logs: letters, digits and the few signs of names and address literals. */
static bool helo_is_harmless(bh_str name)
{
    if (!name.n || name.n > HELO_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!bh_is_alnum(name.p[i]) && !(name.p[i] && strchr(".-_:[]", name.p[i])))
            return false;
    return true;
}

static bool take_helo(struct bh_smtp_server *server, bh_str name, bool esmtp)
{
    bh_str first = bh_str_cut(name, ' ', &name);

    if (!helo_is_harmless(first)) {
        (void)complain(server, 501, "5.5.4", "Give your host name or address literal");
        return false;
    }
    bh_smtp_server_drop_transaction(server);
    memcpy(server->helo, first.p, first.n);
    server->helo_n = first.n;
    server->esmtp = esmtp;
    return true;
}

static event_kind cmd_helo(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    if (take_helo(server, args, false))
        bh_smtp_reply_write(&server->out, 250, NULL, server->config->host_name);
    return BH_SMTP_SERVER_MORE;
}

static event_kind cmd_ehlo(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    struct bh_buf *out = &server->out;

    if (!take_helo(server, args, true))
        return BH_SMTP_SERVER_MORE;
    bh_buf_add(out, BH_STR("250-"));
    bh_buf_add(out, server->config->host_name);
    bh_buf_add(out, BH_STR("\r\n250-PIPELINING\r\n250-SIZE "));
    bh_buf_printf(out, "%llu\r\n", (unsigned long long)server->config->max_message_bytes);
    if (offers_starttls(server))
        bh_buf_add(out, BH_STR("250-STARTTLS\r\n"));
    if (offers_auth(server))
        bh_buf_add(out, BH_STR("250-AUTH PLAIN LOGIN\r\n"));
    if (server->config->has_dsn)
        bh_buf_add(out, BH_STR("250-DSN\r\n"));
    bh_buf_add(out, BH_STR("250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n"));
    if (server->config->max_hold_s) /* the date is of no use to anybody: the interval binds (RFC 4865 4.1) */
        bh_buf_printf(out, "250-FUTURERELEASE %u 9999-12-31T23:59:59Z\r\n", server->config->max_hold_s);
    bh_buf_add(out, BH_STR("250 ENHANCEDSTATUSCODES\r\n"));
    return BH_SMTP_SERVER_MORE;
}

/* RFC 3207 */
static event_kind cmd_starttls(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    if (server->tls)
        return complain(server, 503, "5.5.1", "TLS is up already");
    if (!server->config->has_tls)
        return complain(server, 502, "5.5.1", "STARTTLS is not offered here");
    if (args.n)
        return complain(server, 501, "5.5.4", "STARTTLS takes no argument");
    bh_smtp_server_drop_transaction(server);
    server->mode = MODE_TLS;
    bh_smtp_server_say(server, 220, "2.0.0", "Ready to start TLS");
    return BH_SMTP_SERVER_STARTTLS;
}

void bh_smtp_server_forget_secret(struct bh_smtp_server *server)
{
    if (server->secret.p)
        bh_wipe(server->secret.p, server->secret.cap);
    bh_buf_clear(&server->secret);
}

static event_kind bad_auth(struct bh_smtp_server *server, const char *text)
{
    bh_smtp_server_forget_secret(server);
    return complain(server, 501, "5.5.2", text);
}

static event_kind ask_auth(struct bh_smtp_server *server, bh_str login, bh_str password,
                           struct bh_smtp_server_event *event)
{
    if (!login.n || !password.n)
        return bad_auth(server, "Login and password must not be empty");
    event->auth.login = login;
    event->auth.password = password;
    return ask(server, BH_SMTP_SERVER_AUTH);
}

/* [authzid] NUL login NUL password (RFC 4616) */
static event_kind auth_plain(struct bh_smtp_server *server, bh_str line, struct bh_smtp_server_event *event)
{
    bh_str authzid, login, password, rest;

    if (bh_base64_decode(&server->secret, line) || bh_buf_err(&server->secret))
        return bad_auth(server, "Cannot decode the response");
    authzid = bh_str_cut(bh_buf_view(&server->secret), '\0', &rest);
    login = bh_str_cut(rest, '\0', &password);
    if (!rest.p || !password.p || memchr(password.p, '\0', password.n))
        return bad_auth(server, "Cannot decode the response");
    if (authzid.n && !bh_str_eq(authzid, login)) {
        bh_smtp_server_forget_secret(server);
        return complain(server, 535, "5.7.8", "Acting for another login is not possible");
    }
    return ask_auth(server, login, password, event);
}

static event_kind auth_login_name(struct bh_smtp_server *server, bh_str line)
{
    if (bh_base64_decode(&server->secret, line) || bh_buf_err(&server->secret))
        return bad_auth(server, "Cannot decode the login");
    server->login_n = server->secret.n;
    server->mode = MODE_AUTH_PASSWORD;
    return say(server, 334, NULL, "UGFzc3dvcmQ6"); /* "Password:" */
}

static event_kind auth_login_password(struct bh_smtp_server *server, bh_str line, struct bh_smtp_server_event *event)
{
    bh_str both;

    if (bh_base64_decode(&server->secret, line) || bh_buf_err(&server->secret))
        return bad_auth(server, "Cannot decode the password");
    both = bh_buf_view(&server->secret);
    return ask_auth(server, bh_str_sub(both, 0, server->login_n), bh_str_skip(both, server->login_n), event);
}

event_kind bh_smtp_server_auth_line(struct bh_smtp_server *server, bh_str line, struct bh_smtp_server_event *event)
{
    enum server_mode mode = server->mode;

    server->mode = MODE_COMMAND;
    if (bh_str_eq(line, BH_STR("*")))
        return bad_auth(server, "Authentication cancelled");
    if (mode == MODE_AUTH_PLAIN)
        return auth_plain(server, line, event);
    if (mode == MODE_AUTH_LOGIN)
        return auth_login_name(server, line);
    return auth_login_password(server, line, event);
}

/* RFC 4954 */
static event_kind cmd_auth(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    bh_str initial, mechanism = bh_str_cut(args, ' ', &initial);
    bool plain = bh_str_eq_ci(mechanism, BH_STR("PLAIN")), login = bh_str_eq_ci(mechanism, BH_STR("LOGIN"));

    if (!server->esmtp || server->in_transaction || server->authenticated)
        return complain(server, 503, "5.5.1", "AUTH comes once, after EHLO and before MAIL");
    if (!offers_auth(server))
        return offers_starttls(server) ? complain(server, 538, "5.7.11", "Encryption is required first: STARTTLS")
                                       : complain(server, 502, "5.5.1", "AUTH is not offered here");
    if (!plain && !login)
        return complain(server, 504, "5.5.4", "Offered are AUTH PLAIN and AUTH LOGIN");
    server->mode = plain ? MODE_AUTH_PLAIN : MODE_AUTH_LOGIN;
    if (initial.n)
        return bh_smtp_server_auth_line(server, bh_str_eq(initial, BH_STR("=")) ? BH_STR("") : initial, event);
    return say(server, 334, NULL, plain ? "" : "VXNlcm5hbWU6"); /* "Username:" */
}

/* xtext of at most `max` bytes (RFC 3461 4) */
static bool is_xtext(bh_str text, size_t max)
{
    struct bh_buf decoded = bh_buf_make(max + 1);
    bool good = text.n && text.n <= max && bh_xtext_decode(&decoded, text) == BH_OK;

    bh_buf_free(&decoded);
    return good;
}

/* "NEVER", or some of the others (RFC 3461 4.1) */
static bool is_notify(bh_str list)
{
    if (bh_str_eq_ci(list, BH_STR("NEVER")))
        return true;
    while (list.p) {
        bh_str word = bh_str_cut(list, ',', &list);

        if (!bh_str_eq_ci(word, BH_STR("SUCCESS")) && !bh_str_eq_ci(word, BH_STR("FAILURE")) &&
            !bh_str_eq_ci(word, BH_STR("DELAY")))
            return false;
    }
    return true;
}

/* addr-type ";" xtext (RFC 3461 4.2) */
static bool is_orcpt(bh_str text)
{
    bh_str address, type = bh_str_cut(text, ';', &address);

    for (size_t i = 0; i < type.n; i++)
        if (!bh_is_alnum(type.p[i]) && type.p[i] != '-')
            return false;
    return type.n && is_xtext(address, 500);
}

/* Takes one parameter of RFC 3461 into *ret_value if it is `name`, once and well-formed. */
static bool take_dsn_param(const struct bh_smtp_server *server, const struct bh_smtp_param *param, bh_str name,
                           bool is_valid, bh_str *ret_value)
{
    if (!server->config->has_dsn || !bh_str_eq_ci(param->keyword, name) || !param->value.p || ret_value->p || !is_valid)
        return false;
    *ret_value = param->value;
    return true;
}

static bool is_ret(bh_str value)
{
    return bh_str_eq_ci(value, BH_STR("FULL")) || bh_str_eq_ci(value, BH_STR("HDRS"));
}

/* HOLDFOR and HOLDUNTIL, one of them once (RFC 4865 5). What "c" and "r" behind the time ask for is the same here: a
 * time that is too far away is refused. */
static bool take_hold_param(const struct bh_smtp_server *server, const struct bh_smtp_param *param,
                            struct bh_smtp_server_event *event)
{
    uint64_t seconds;
    bh_str rest;

    if (!server->config->max_hold_s || !param->value.p || event->mail.hold_for_s || event->mail.hold_until.p)
        return false;
    if (bh_str_eq_ci(param->keyword, BH_STR("HOLDUNTIL"))) {
        event->mail.hold_until = bh_str_cut(param->value, ';', &rest);
        return event->mail.hold_until.n > 0;
    }
    if (!bh_str_eq_ci(param->keyword, BH_STR("HOLDFOR")) ||
        bh_str_to_u64(param->value, server->config->max_hold_s, &seconds) != BH_OK || !seconds)
        return false;
    event->mail.hold_for_s = (uint32_t)seconds;
    return true;
}

/* SIZE BODY SMTPUTF8 AUTH RET ENVID HOLDFOR HOLDUNTIL; false with the reply written. */
static bool take_mail_param(struct bh_smtp_server *server, const struct bh_smtp_param *param,
                            struct bh_smtp_server_event *event)
{
    if (bh_str_eq_ci(param->keyword, BH_STR("SIZE"))) {
        if (bh_str_to_u64(param->value, UINT64_MAX, &event->mail.size)) {
            (void)complain(server, 501, "5.5.4", "SIZE takes a number");
            return false;
        }
        return true;
    }
    if (bh_str_eq_ci(param->keyword, BH_STR("BODY"))) {
        event->mail.body_8bit = bh_str_eq_ci(param->value, BH_STR("8BITMIME"));
        if (!event->mail.body_8bit && !bh_str_eq_ci(param->value, BH_STR("7BIT"))) {
            (void)complain(server, 501, "5.5.4", "BODY is 7BIT or 8BITMIME");
            return false;
        }
        return true;
    }
    if (bh_str_eq_ci(param->keyword, BH_STR("SMTPUTF8")) && !param->value.p) {
        event->mail.smtputf8 = true;
        return true;
    }
    if (bh_str_eq_ci(param->keyword, BH_STR("AUTH")) && offers_auth(server))
        return true; /* RFC 4954 5: who wrote it first matters between servers only */
    if (take_dsn_param(server, param, BH_STR("RET"), is_ret(param->value), &event->mail.ret) ||
        take_dsn_param(server, param, BH_STR("ENVID"), is_xtext(param->value, 100), &event->mail.envid) ||
        take_hold_param(server, param, event))
        return true;
    (void)complain(server, 555, "5.5.4", "A parameter of MAIL is not supported, or not well-formed");
    return false;
}

static bool take_mail_params(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    struct bh_smtp_param param;
    bh_err err;

    while (!(err = bh_smtp_param_next(&args, &param)))
        if (!take_mail_param(server, &param, event))
            return false;
    if (err == BH_DONE)
        return true;
    (void)complain(server, 501, "5.5.4", "Cannot read the parameters of MAIL");
    return false;
}

/* "FROM:" or "TO:" and the path behind it; false with the reply written. */
static bool take_path(struct bh_smtp_server *server, bh_str *args, bool is_rcpt, struct bh_smtp_path *ret_path)
{
    bh_str keyword = is_rcpt ? BH_STR("TO:") : BH_STR("FROM:");
    bh_err err = BH_E_SYNTAX;

    if (bh_str_starts_ci(*args, keyword)) {
        *args = bh_str_skip(*args, keyword.n);
        while (args->n && args->p[0] == ' ')
            *args = bh_str_skip(*args, 1);
        err = bh_smtp_path_parse(args, is_rcpt, ret_path);
    }
    if (!err)
        return true;
    if (is_rcpt)
        (void)complain(server, 501, "5.1.3", "Say RCPT TO:<local@domain>; this is not such an address");
    else
        (void)complain(server, 501, "5.1.7", "Say MAIL FROM:<local@domain>; this is not such an address");
    return false;
}

/* What must be true before MAIL; false with the reply written. */
static bool may_mail(struct bh_smtp_server *server)
{
    bool submission =
        server->config->profile == BH_SMTP_PROFILE_SUBMISSION || server->config->profile == BH_SMTP_PROFILE_TLS;

    if (!server->helo_n)
        (void)complain(server, 503, "5.5.1", "Say EHLO first");
    else if (submission && !server->tls)
        (void)complain(server, 530, "5.7.0", "Encryption is required: STARTTLS first");
    else if (submission && !server->authenticated)
        (void)complain(server, 530, "5.7.0", "Authentication is required: AUTH first");
    else if (server->in_transaction)
        (void)complain(server, 503, "5.5.1", "A transaction is open: RSET ends it");
    else
        return true;
    return false;
}

static event_kind cmd_mail(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    if (!may_mail(server))
        return BH_SMTP_SERVER_MORE;
    if (server->messages >= server->config->max_messages) {
        bh_smtp_server_say(server, 421, "4.7.0", "Enough messages for one session, connect again");
        bh_smtp_server_shut(server);
        return BH_SMTP_SERVER_MORE;
    }
    memset(&event->mail, 0, sizeof(event->mail));
    if (!take_path(server, &args, false, &event->mail.path) || !take_mail_params(server, args, event))
        return BH_SMTP_SERVER_MORE;
    if (event->mail.path.mailbox.utf8 && !event->mail.smtputf8)
        return complain(server, 553, "5.6.7", "An address beyond ASCII needs the parameter SMTPUTF8");
    if (event->mail.size > server->config->max_message_bytes)
        return complain(server, 552, "5.3.4", "The message is larger than this server accepts");
    server->wants_smtputf8 = event->mail.smtputf8;
    return ask(server, BH_SMTP_SERVER_MAIL);
}

/* NOTIFY ORCPT */
static bool take_rcpt_params(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    struct bh_smtp_param param;
    bh_err err;

    while (!(err = bh_smtp_param_next(&args, &param)))
        if (!take_dsn_param(server, &param, BH_STR("NOTIFY"), is_notify(param.value), &event->rcpt.notify) &&
            !take_dsn_param(server, &param, BH_STR("ORCPT"), is_orcpt(param.value), &event->rcpt.orcpt))
            break;
    if (err == BH_DONE)
        return true;
    (void)complain(server, 555, "5.5.4", "A parameter of RCPT is not supported, or not well-formed");
    return false;
}

static event_kind cmd_rcpt(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    if (!server->in_transaction || server->is_chunked)
        return complain(server, 503, "5.5.1", "MAIL comes before RCPT, and the text behind it");
    memset(&event->rcpt, 0, sizeof(event->rcpt));
    if (!take_path(server, &args, true, &event->rcpt.path) || !take_rcpt_params(server, args, event))
        return BH_SMTP_SERVER_MORE;
    if (event->rcpt.path.mailbox.utf8 && !server->smtputf8)
        return complain(server, 553, "5.6.7", "An address beyond ASCII needs the parameter SMTPUTF8 of MAIL");
    if (server->recipients >= server->config->max_recipients)
        return complain(server, 452, "4.5.3", "Too many recipients: send the rest in another transaction");
    return ask(server, BH_SMTP_SERVER_RCPT);
}

static event_kind cmd_data(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    if (!server->in_transaction)
        return complain(server, 503, "5.5.1", "MAIL and RCPT come before DATA");
    if (!server->recipients)
        return complain(server, 554, "5.5.1", "No valid recipients");
    if (server->is_chunked)
        return complain(server, 503, "5.5.1", "The message has begun with BDAT");
    if (args.n)
        return complain(server, 501, "5.5.4", "DATA takes no argument");
    return ask(server, BH_SMTP_SERVER_DATA);
}

/* A BDAT that is refused at once: its bytes come all the same. */
static event_kind refuse_bdat(struct bh_smtp_server *server, unsigned code, const char *enhanced, const char *text)
{
    server->mode = MODE_SWALLOW;
    return complain(server, code, enhanced, text);
}

/* RFC 3030. What cannot be passed over ends the session: nobody could tell where the next command starts. */
static event_kind cmd_bdat(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    bh_str last, size = bh_str_cut(args, ' ', &last);
    uint64_t n;

    if (bh_str_to_u64(size, UINT64_MAX, &n) || (last.p && !bh_str_eq_ci(last, BH_STR("LAST"))) ||
        n > server->config->max_message_bytes) {
        bh_smtp_server_say(server, 552, "5.3.4", "This is no BDAT that this server can take, closing the connection");
        bh_smtp_server_shut(server);
        return BH_SMTP_SERVER_MORE;
    }
    server->chunk_left = n;
    server->chunk_is_last = last.p != NULL;
    if (!server->in_transaction)
        return refuse_bdat(server, 503, "5.5.1", "MAIL and RCPT come before BDAT");
    if (!server->recipients)
        return refuse_bdat(server, 554, "5.5.1", "No valid recipients");
    if (server->is_chunked) {
        server->mode = MODE_CHUNK;
        return BH_SMTP_SERVER_MORE;
    }
    server->is_chunked = true;
    return ask(server, BH_SMTP_SERVER_DATA);
}

static event_kind cmd_rset(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    bh_smtp_server_drop_transaction(server);
    return say(server, 250, "2.0.0", "Ok");
}

static event_kind cmd_noop(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    return say(server, 250, "2.0.0", "Ok");
}

static event_kind cmd_quit(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    bh_smtp_server_say(server, 221, "2.0.0", "Bye");
    bh_smtp_server_shut(server);
    return BH_SMTP_SERVER_MORE;
}

/* RFC 5321 3.5.3: a server that will not tell says 252 */
static event_kind cmd_vrfy(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    return complain(server, 252, "2.1.5", "Send the message and see");
}

static event_kind cmd_help(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    return say(server, 214, "2.0.0", "RFC 5321, RFC 6409");
}

static event_kind cmd_unsupported(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    return complain(server, 502, "5.5.1", "This command is not supported");
}

/* A web page made a browser post here (cross-protocol request forgery): what follows is not for us. */
static event_kind cmd_http(struct bh_smtp_server *server, bh_str args, struct bh_smtp_server_event *event)
{
    bh_smtp_server_say(server, 421, "4.7.0", "This is SMTP, closing the connection");
    bh_smtp_server_shut(server);
    return BH_SMTP_SERVER_MORE;
}

static const struct {
    const char *name;
    command_fn *run;
} commands[] = {
    {"MAIL", cmd_mail},        {"RCPT", cmd_rcpt},    {"DATA", cmd_data},        {"EHLO", cmd_ehlo},
    {"QUIT", cmd_quit},        {"RSET", cmd_rset},    {"AUTH", cmd_auth},        {"STARTTLS", cmd_starttls},
    {"HELO", cmd_helo},        {"NOOP", cmd_noop},    {"VRFY", cmd_vrfy},        {"HELP", cmd_help},
    {"EXPN", cmd_unsupported}, {"BDAT", cmd_bdat},    {"ETRN", cmd_unsupported}, {"TURN", cmd_unsupported},
    {"GET", cmd_http},         {"POST", cmd_http},    {"PUT", cmd_http},         {"HEAD", cmd_http},
    {"OPTIONS", cmd_http},     {"CONNECT", cmd_http},
};

event_kind bh_smtp_server_command(struct bh_smtp_server *server, bh_str line, struct bh_smtp_server_event *event)
{
    bh_str args, name;

    while (line.n && bh_is_wsp(line.p[line.n - 1]))
        line.n--;
    name = bh_str_cut(line, ' ', &args);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (bh_str_eq_ci(name, bh_str_c(commands[i].name)))
            return commands[i].run(server, args, event);
    return complain(server, 500, "5.5.2", "Command not recognised");
}
