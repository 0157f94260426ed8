/* server_text.c: the text of a message behind DATA: RFC 5321 4.5.2 (dots), 4.1.1.4 (its end), 2.3.8 (CRLF only).
 *
 * Chunks are views of the input between two dots that were stuffed; most messages have none. What cannot be decided
 * yet (a CR, a dot at the start of a line) stays in the input, so the state between calls is one bit and a count.
 * After a reason to refuse, the text is passed over to its true end, CRLF.CRLF: what a smuggler wrote behind his
 * false end is never read as commands. The text of BDAT (RFC 3030) ends where its length says, dots mean nothing in it,
 * and its lines are judged alike. */
#include "server_impl.h"

enum { DROPPED_SLACK = 1 << 20 };

static const struct text_refusal bare_lf = {
    550, "5.6.0", "The message holds a bare LF: each line must end in CR LF (RFC 5321 2.3.8); send it so", true};
static const struct text_refusal bare_cr = {
    550, "5.6.0", "The message holds a bare CR: each line must end in CR LF (RFC 5321 2.3.8); send it so", true};
static const struct text_refusal long_line = {
    550, "5.6.0", "The message has a line above 998 bytes (RFC 5321 4.5.3.1.6): use a transfer encoding", false};
static const struct text_refusal too_big = {552, "5.3.4", "The message is larger than this server accepts", false};

void bh_smtp_server_text_begin(struct bh_smtp_server *server)
{
    server->mode = server->is_chunked ? MODE_CHUNK : MODE_TEXT;
    server->crlf = (struct bh_crlf){.at_line_start = true};
    server->refusal = (struct text_refusal){0};
    server->text_bytes = 0;
    server->dropped_bytes = 0;
}

/* The first reason counts; the transaction ends here. */
static enum bh_smtp_server_event_kind refuse_text(struct bh_smtp_server *server, const struct text_refusal *why)
{
    server->refusal = *why;
    bh_smtp_server_drop_transaction(server);
    return BH_SMTP_SERVER_MORE;
}

/* `n` clean bytes at the front of *input. */
static enum bh_smtp_server_event_kind take_chunk(struct bh_smtp_server *server, bh_str *input, size_t n,
                                                 struct bh_smtp_server_event *ret_event)
{
    bh_str chunk = bh_str_sub(*input, 0, n);

    *input = bh_str_skip(*input, n);
    if (server->refusal.code) {
        server->dropped_bytes += n;
        return BH_SMTP_SERVER_MORE;
    }
    server->text_bytes += n;
    if (server->text_bytes > server->config->max_message_bytes)
        return refuse_text(server, &too_big);
    ret_event->chunk = chunk;
    return BH_SMTP_SERVER_CHUNK;
}

static enum bh_smtp_server_event_kind end_text(struct bh_smtp_server *server)
{
    server->mode = MODE_COMMAND;
    if (!server->refusal.code) {
        server->open = BH_SMTP_SERVER_END;
        return BH_SMTP_SERVER_END;
    }
    bh_smtp_server_complain(server, server->refusal.code, server->refusal.enhanced, server->refusal.text);
    return BH_SMTP_SERVER_MORE;
}

/* *input starts with a dot at the start of a line: the end, a stuffed dot, or not known yet. */
static enum bh_smtp_server_event_kind take_dot(struct bh_smtp_server *server, bh_str *input)
{
    if (input->n == 1 || (input->n == 2 && input->p[1] == '\r'))
        return BH_SMTP_SERVER_MORE;
    if (input->p[1] == '\r' && input->p[2] == '\n') {
        *input = bh_str_skip(*input, 3);
        return end_text(server);
    }
    *input = bh_str_skip(*input, 1);
    bh_crlf_skip(&server->crlf);
    return BH_SMTP_SERVER_MORE;
}

enum bh_smtp_server_event_kind bh_smtp_server_text(struct bh_smtp_server *server, bh_str *input,
                                                   struct bh_smtp_server_event *ret_event)
{
    bool refused = server->refusal.code != 0;
    size_t n, limit = refused ? SIZE_MAX : server->config->max_text_line_bytes;
    enum bh_crlf_stop stop = bh_crlf_pass(&server->crlf, *input, limit, &n);

    if (server->dropped_bytes > server->config->max_message_bytes + DROPPED_SLACK) {
        bh_smtp_server_say(server, server->refusal.code, server->refusal.enhanced, server->refusal.text);
        bh_smtp_server_shut(server);
        return BH_SMTP_SERVER_MORE;
    }
    if (stop == BH_CRLF_LONG) {
        *input = bh_str_skip(*input, n);
        return refuse_text(server, &long_line);
    }
    if (n)
        return take_chunk(server, input, n, ret_event);
    if (stop == BH_CRLF_DOT)
        return take_dot(server, input);
    if (stop == BH_CRLF_NONE)
        return BH_SMTP_SERVER_MORE;
    if (!refused)
        (void)refuse_text(server, stop == BH_CRLF_BARE_LF ? &bare_lf : &bare_cr);
    *input = bh_str_skip(*input, 1);
    bh_crlf_skip(&server->crlf);
    return BH_SMTP_SERVER_MORE;
}

/* All of a BDAT is there. */
static enum bh_smtp_server_event_kind end_chunk(struct bh_smtp_server *server)
{
    server->mode = MODE_COMMAND;
    if (!server->refusal.code && server->chunk_is_last && server->crlf.after_cr) {
        (void)refuse_text(server, &bare_cr);
    }
    if (server->refusal.code) {
        server->is_chunked = false;
        bh_smtp_server_complain(server, server->refusal.code, server->refusal.enhanced, server->refusal.text);
        return BH_SMTP_SERVER_MORE;
    }
    if (server->chunk_is_last) {
        server->open = BH_SMTP_SERVER_END;
        return BH_SMTP_SERVER_END;
    }
    bh_smtp_server_say(server, 250, "2.0.0", "Ok, go on");
    return BH_SMTP_SERVER_MORE;
}

enum bh_smtp_server_event_kind bh_smtp_server_chunk(struct bh_smtp_server *server, bh_str *input,
                                                    struct bh_smtp_server_event *ret_event)
{
    bh_str part = bh_str_sub(*input, 0, server->chunk_left < input->n ? (size_t)server->chunk_left : input->n);
    enum bh_crlf_stop stop;
    size_t n = part.n;

    if (!server->chunk_left)
        return end_chunk(server);
    if (!part.n)
        return BH_SMTP_SERVER_MORE;
    stop = server->refusal.code ? BH_CRLF_NONE
                                : bh_crlf_pass_piece(&server->crlf, part, server->config->max_text_line_bytes, &n);
    if (stop == BH_CRLF_LONG)
        (void)refuse_text(server, &long_line);
    else if (stop == BH_CRLF_BARE_LF || stop == BH_CRLF_BARE_CR)
        (void)refuse_text(server, stop == BH_CRLF_BARE_LF ? &bare_lf : &bare_cr);
    if (stop == BH_CRLF_DOT) { /* an ordinary byte here */
        bh_crlf_skip(&server->crlf);
        server->crlf.line_bytes++;
        n++;
    }
    server->chunk_left -= n;
    return n ? take_chunk(server, input, n, ret_event) : BH_SMTP_SERVER_MORE;
}

void bh_smtp_server_swallow(struct bh_smtp_server *server, bh_str *input)
{
    size_t n = server->chunk_left < input->n ? (size_t)server->chunk_left : input->n;

    *input = bh_str_skip(*input, n);
    server->chunk_left -= n;
    if (!server->chunk_left)
        server->mode = MODE_COMMAND;
}
