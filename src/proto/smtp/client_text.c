/* client_text.c: the output of a client session: commands, and the text of a message between them, by DATA (stuffed) or
 * as one chunk of BDAT (as it is).
 *
 *      out[out_sent .. text_at)   pieces of the text, stuffed   "." CRLF   out[text_at ..)
 *
 * The cursor gives the text as segments: views of the message, ending where a line starts with a dot, and that one
 * dot more. Output walks a copy of the cursor, `sent` the cursor itself with the bytes that went out as the bound; so
 * both see the same segments and nothing is kept in between. Texts without a dot at a line's start (told when they
 * were checked) are given whole. */
#include "client_impl.h"

enum {
    OUTPUT_BUDGET = 256 * 1024
}; /* text looked at in one call: a slow peer must not make us scan it all each time */

bh_err bh_smtp_client_text_check(struct slot *slot, bh_str piece)
{
    size_t n;

    slot->given_bytes += piece.n;
    for (bh_str rest = piece; rest.n; rest = bh_str_skip(rest, n)) {
        enum bh_crlf_stop stop = bh_crlf_pass_piece(&slot->checked, rest, SIZE_MAX, &n);

        if (stop == BH_CRLF_BARE_CR || stop == BH_CRLF_BARE_LF)
            return BH_E_SYNTAX;
        if (stop == BH_CRLF_DOT) {
            slot->has_dots = true;
            bh_crlf_skip(&slot->checked);
            n++;
        }
    }
    return BH_OK;
}

void bh_smtp_client_text_begin(struct bh_smtp_client *client, struct slot *slot)
{
    client->texting = slot;
    client->text_at = client->out.n;
    client->cursor = (struct text_cursor){.crlf = {.at_line_start = true}};
}

/* The piece that the cursor is in, from where it stands; moves it over empty ones. p == NULL: there is none (yet). */
static bh_str current_piece(const struct slot *slot, struct text_cursor *cursor)
{
    const struct bh_smtp_client_message *m = &slot->message;

    for (; cursor->piece < m->piece_count; cursor->piece++, cursor->at = 0)
        if (cursor->at < m->pieces[cursor->piece].n)
            return bh_str_skip(m->pieces[cursor->piece], cursor->at);
    if (slot->follows_given && cursor->at < slot->follows.n)
        return bh_str_skip(slot->follows, cursor->at);
    return (bh_str){NULL, 0};
}

static bool more_may_follow(const struct slot *slot)
{
    if (slot->chunked) /* the server knows the end by itself: an empty piece behind it would come too late */
        return slot->given_bytes < slot->chunk_bytes;
    return slot->message.more_follows && !(slot->follows_given && slot->follows_last);
}

/* "." CRLF, on a line of its own. */
static bh_str step_ending(const struct slot *slot, struct text_cursor *cursor, size_t max)
{
    bh_str ending = BH_STR("\r\n.\r\n");
    bh_str part;

    if (slot->chunked)
        return (bh_str){NULL, 0};
    if (cursor->crlf.at_line_start)
        ending = bh_str_skip(ending, 2);
    else if (cursor->crlf.after_cr)
        ending = bh_str_skip(ending, 1);
    part = bh_str_sub(ending, cursor->ending_sent, max);
    cursor->ending_sent += part.n;
    return part;
}

static bh_str step_stuffed(struct text_cursor *cursor, bh_str piece)
{
    size_t n = 0;

    if (cursor->dot_owed) {
        cursor->dot_owed = false;
        bh_crlf_skip(&cursor->crlf);
        return BH_STR(".");
    }
    if (bh_crlf_pass_piece(&cursor->crlf, piece, SIZE_MAX, &n) == BH_CRLF_DOT) {
        cursor->dot_owed = true;
        if (!n)
            return step_stuffed(cursor, piece);
    }
    cursor->at += n;
    return bh_str_sub(piece, 0, n);
}

/* The next segment of at most `max` > 0 bytes, over which the cursor moves; empty at the end, or where the rest of the
 * text is not given yet. */
static bh_str step(const struct slot *slot, struct text_cursor *cursor, size_t max)
{
    bh_str piece = current_piece(slot, cursor);

    if (!piece.p && more_may_follow(slot))
        return (bh_str){NULL, 0};
    if (!piece.p || cursor->ended) {
        cursor->ended = true;
        if (!slot->has_dots) /* the cursor did not look at the text: the check did */
            cursor->crlf = slot->checked;
        return step_ending(slot, cursor, max);
    }
    piece = bh_str_sub(piece, 0, max);
    if (slot->has_dots && !slot->chunked)
        return step_stuffed(cursor, piece);
    cursor->at += piece.n;
    return piece;
}

static size_t add_view(struct iovec *iov, size_t count, bh_str view)
{
    if (!view.n)
        return count;
    iov[count] = (struct iovec){.iov_base = (void *)(uintptr_t)view.p, .iov_len = view.n};
    return count + 1;
}

size_t bh_smtp_client_output(struct bh_smtp_client *client, struct iovec *iov, size_t max)
{
    size_t upto = client->texting ? client->text_at : client->out.n, count = 0, budget = OUTPUT_BUDGET;
    struct text_cursor cursor = client->cursor;
    bh_str segment;

    if (!max || client->over || client->in_handshake)
        return 0;
    count = add_view(iov, count, bh_str_sub(bh_buf_view(&client->out), client->out_sent, upto - client->out_sent));
    if (!client->texting)
        return count;
    while (count < max && budget && (segment = step(client->texting, &cursor, budget)).n) {
        count = add_view(iov, count, segment);
        budget -= segment.n;
    }
    if (cursor.ended && count < max && !step_ending(client->texting, &cursor, 1).n)
        count = add_view(iov, count, bh_str_skip(bh_buf_view(&client->out), upto));
    return count;
}

/* Takes up to *n bytes of commands before `upto` as sent. */
static void commands_sent(struct bh_smtp_client *client, size_t upto, size_t *n)
{
    size_t part = upto - client->out_sent < *n ? upto - client->out_sent : *n;

    client->out_sent += part;
    *n -= part;
    if (client->out_sent < client->out.n || client->texting)
        return;
    if (client->has_secret)
        bh_wipe(client->out.p, client->out.n);
    client->has_secret = false;
    bh_buf_clear(&client->out);
    client->out_sent = 0;
}

void bh_smtp_client_sent(struct bh_smtp_client *client, size_t n)
{
    struct text_cursor end;

    commands_sent(client, client->texting ? client->text_at : client->out.n, &n);
    if (!client->texting)
        return;
    while (n) {
        bh_str segment = step(client->texting, &client->cursor, n);

        if (!segment.n)
            break;
        n -= segment.n;
    }
    end = client->cursor;
    if (client->texting->chunked) /* no dot says that the end is reached: look for more */
        (void)step(client->texting, &end, 1);
    if (!end.ended || step_ending(client->texting, &end, 1).n)
        return;
    client->texting->state = SLOT_ENDING;
    client->texting = NULL;
    commands_sent(client, client->out.n, &n);
    bh_smtp_client_chunk_begin(client, &client->slots[!client->first]);
}

bool bh_smtp_client_wants_body(const struct bh_smtp_client *client, void **ret_tag)
{
    struct text_cursor cursor = client->cursor;

    if (!client->texting || client->out_sent != client->text_at || !more_may_follow(client->texting) ||
        current_piece(client->texting, &cursor).p)
        return false;
    *ret_tag = client->texting->message.tag;
    return true;
}

bh_err bh_smtp_client_body(struct bh_smtp_client *client, bh_str piece, bool is_last)
{
    struct slot *slot = client->texting;
    void *tag;
    bool had_dots;
    bh_err err;

    if (!bh_smtp_client_wants_body(client, &tag))
        return BH_E_BUSY;
    had_dots = slot->has_dots;
    if (!had_dots) /* the cursor did not look at what went out so far */
        client->cursor.crlf = slot->checked;
    err = bh_smtp_client_text_check(slot, piece);
    if (!err && slot->chunked && /* the server was told how many bytes come */
        (slot->given_bytes > slot->chunk_bytes || is_last != (slot->given_bytes == slot->chunk_bytes)))
        err = BH_E_SYNTAX;
    if (err)
        return err;
    client->cursor.piece = slot->message.piece_count;
    client->cursor.at = 0;
    slot->follows = piece;
    slot->follows_given = true;
    slot->follows_last = is_last;
    return BH_OK;
}
