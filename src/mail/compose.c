/* compose.c: see compose.h. */
#include "compose.h"
#include "auth/domain.h"
#include "base/text.h"
#include "proto/mime/encoded_word.h"

enum { LINE = 76, QP_LINE = 75, LINE_7BIT_MAX = 900, PARAMETER_PIECE = 60 };

/* ---- what is allowed ---- */

static bool has_controls(bh_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
            return true;
    return false;
}

static bool is_ascii(bh_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] >= 0x80)
            return false;
    return true;
}

static size_t longest_word(bh_str text)
{
    size_t longest = 0, word = 0;

    for (size_t i = 0; i < text.n; i++) {
        word = text.p[i] == ' ' ? 0 : word + 1;
        if (word > longest)
            longest = word;
    }
    return longest;
}

static bool fits_unstructured(bh_str text)
{
    return !has_controls(text) && (!is_ascii(text) || longest_word(text) <= BH_COMPOSE_SUBJECT_MAX);
}

/* RFC 5322 3.6.8, and none of those that are ours or that a receiver takes for a fact. */
static bool field_allowed(bh_str name)
{
    static const char *const ours[] = {"from",
                                       "to",
                                       "cc",
                                       "bcc",
                                       "reply-to",
                                       "subject",
                                       "date",
                                       "message-id",
                                       "sender",
                                       "mime-version",
                                       "received",
                                       "return-path",
                                       "resent-bcc",
                                       "resent-from",
                                       "resent-sender",
                                       "dkim-signature",
                                       "authentication-results",
                                       "cfbl-address"};

    if (!name.n || name.n > 100 || bh_str_starts_ci(name, BH_STR("content-")) || bh_str_starts_ci(name, BH_STR("arc-")))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] < '!' || name.p[i] > '~' || name.p[i] == ':')
            return false;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (bh_str_eq_ci(name, bh_str_c(ours[i])))
            return false;
    return true;
}

static bool is_token(bh_str text)
{
    if (!text.n || text.n > 100)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (!bh_is_alnum(text.p[i]) && !memchr("!#$&-^_.+", text.p[i], 9))
            return false;
    return true;
}

static bool is_type(bh_str text)
{
    bh_str subtype, type = bh_str_cut(text, '/', &subtype);

    return is_token(type) && is_token(subtype);
}

static bool is_content_id(bh_str text)
{
    if (text.n > 200)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~' || text.p[i] == '<' || text.p[i] == '>')
            return false;
    return true;
}

enum bh_compose_problem bh_compose_check(const struct bh_compose *message, size_t *ret_index)
{
    *ret_index = 0;
    if (!message->text.p && !message->html.p)
        return BH_COMPOSE_EMPTY;
    if (!fits_unstructured(message->subject))
        return BH_COMPOSE_SUBJECT;
    for (size_t i = 0; i < message->field_count; i++) {
        *ret_index = i;
        if (!field_allowed(message->fields[i].name))
            return BH_COMPOSE_FIELD_NAME;
        if (!fits_unstructured(message->fields[i].value))
            return BH_COMPOSE_FIELD_VALUE;
    }
    for (size_t i = 0; i < message->file_count; i++) {
        const struct bh_compose_file *file = &message->files[i];

        *ret_index = i;
        if (has_controls(file->filename) || file->filename.n > 1000)
            return BH_COMPOSE_FILE_NAME;
        if (file->content_type.n && !is_type(file->content_type))
            return BH_COMPOSE_FILE_TYPE;
        if (!is_content_id(file->content_id))
            return BH_COMPOSE_FILE_ID;
    }
    return BH_COMPOSE_OK;
}

/* ---- addresses ---- */

/* RFC 5322 3.2.3 dot-atom, in ASCII; quoted local parts are nobody's. */
static bool is_local_part(bh_str local)
{
    bool dot = true;

    for (size_t i = 0; i < local.n; i++) {
        char c = local.p[i];

        if (c == '.' && dot)
            return false;
        if (c != '.' && !bh_is_alnum(c) && !memchr("!#$%&'*+-/=?^_`{|}~", c, 19))
            return false;
        dot = c == '.';
    }
    return local.n && local.n <= 64 && !dot;
}

static bh_err read_address(struct bh_arena *arena, bh_str text, bh_str *ret_address)
{
    size_t at = bh_str_rfind(text, '@');
    bh_str local = bh_str_sub(text, 0, at), domain = bh_str_skip(text, at + 1);
    struct bh_buf out = bh_buf_make(BH_COMPOSE_ADDRESS_MAX);
    bh_err err = BH_E_SYNTAX;

    if (at < text.n && is_local_part(local) && domain.n && !has_controls(domain)) {
        bh_buf_add(&out, local);
        bh_buf_char(&out, '@');
        err = bh_domain_to_ascii(domain, &out);
        if (!err)
            err = bh_buf_err(&out);
    }
    if (!err) {
        *ret_address = bh_arena_dup(arena, bh_buf_view(&out));
        err = ret_address->p ? BH_OK : BH_E_NOMEM;
    }
    bh_buf_free(&out);
    return err;
}

/* Without the quotes around it and the backslashes in them. */
static bh_err read_name(struct bh_arena *arena, bh_str text, bh_str *ret_name)
{
    char *to;

    text = bh_str_trim(text);
    if (text.n < 2 || text.p[0] != '"' || text.p[text.n - 1] != '"') {
        *ret_name = text;
        return BH_OK;
    }
    to = bh_arena_alloc(arena, text.n);
    if (!to)
        return BH_E_NOMEM;
    *ret_name = bh_str_of(to, 0);
    for (size_t i = 1; i + 1 < text.n; i++) {
        if (text.p[i] == '\\' && i + 2 < text.n)
            i++;
        to[ret_name->n++] = text.p[i];
    }
    return BH_OK;
}

bh_err bh_mailbox_read(struct bh_arena *arena, bh_str text, struct bh_mailbox_text *ret_mailbox)
{
    size_t open;
    bh_err err;

    text = bh_str_trim(text);
    if (has_controls(text))
        return BH_E_SYNTAX;
    if (text.n > 1000)
        return BH_E_LIMIT;
    ret_mailbox->name = BH_STR("");
    if (!text.n || text.p[text.n - 1] != '>')
        return read_address(arena, text, &ret_mailbox->address);
    open = bh_str_rfind(text, '<');
    if (open == text.n)
        return BH_E_SYNTAX;
    err = read_name(arena, bh_str_sub(text, 0, open), &ret_mailbox->name);
    if (err)
        return err;
    return read_address(arena, bh_str_trim(bh_str_sub(text, open + 1, text.n - open - 2)), &ret_mailbox->address);
}

/* ---- header ---- */

static void add_ascii_folded(struct bh_buf *out, bh_str text, size_t column)
{
    while (text.n) {
        size_t blanks = 0, word;

        while (blanks < text.n && text.p[blanks] == ' ')
            blanks++;
        word = bh_str_find(bh_str_skip(text, blanks), ' ');
        if (blanks && blanks + word < text.n + 1 && word && column + blanks + word > LINE) {
            bh_buf_add(out, BH_STR("\r\n"));
            column = 0;
        }
        bh_buf_add(out, bh_str_sub(text, 0, blanks + word));
        column += blanks + word;
        text = bh_str_skip(text, blanks + word);
    }
}

static void add_field(struct bh_buf *out, bh_str name, bh_str value)
{
    bh_buf_add(out, name);
    bh_buf_char(out, ':');
    value = bh_str_trim(value);
    if (is_ascii(value) && bh_str_search(value, BH_STR("=?")) == value.n) {
        if (name.n + 2 + bh_str_find(value, ' ') > LINE && value.n)
            bh_buf_add(out, BH_STR("\r\n "));
        else
            bh_buf_char(out, ' ');
        add_ascii_folded(out, value, name.n + 2);
    } else {
        bh_buf_char(out, ' ');
        bh_text_encode(out, value, name.n + 2);
    }
    bh_buf_add(out, BH_STR("\r\n"));
}

static void add_quoted(struct bh_buf *out, bh_str text)
{
    bh_buf_char(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\')
            bh_buf_char(out, '\\');
        bh_buf_char(out, text.p[i]);
    }
    bh_buf_char(out, '"');
}

/* A name of plain words goes as it is; ASCII in quotes; the rest, and what looks encoded or is long, as words. */
static void add_name(struct bh_buf *out, bh_str name)
{
    bool plain = true;

    for (size_t i = 0; i < name.n; i++)
        plain = plain && (bh_is_alnum(name.p[i]) || name.p[i] == ' ' || name.p[i] == '-' || name.p[i] == '\'');
    if (name.n > 60 || !is_ascii(name) || bh_str_search(name, BH_STR("=?")) < name.n)
        bh_text_encode_always(out, name, 10);
    else if (plain)
        bh_buf_add(out, name);
    else
        add_quoted(out, name);
}

static void add_mailboxes(struct bh_buf *out, const char *field, const struct bh_mailbox_text *list, size_t count)
{
    if (!count)
        return;
    bh_buf_printf(out, "%s: ", field);
    for (size_t i = 0; i < count; i++) {
        if (i)
            bh_buf_add(out, BH_STR(",\r\n "));
        if (list[i].name.n) {
            add_name(out, list[i].name);
            bh_buf_add(out, list[i].name.n + list[i].address.n > 60 ? BH_STR("\r\n <") : BH_STR(" <"));
            bh_buf_add(out, list[i].address);
            bh_buf_char(out, '>');
        } else {
            bh_buf_add(out, list[i].address);
        }
    }
    bh_buf_add(out, BH_STR("\r\n"));
}

/* ---- texts ---- */

/* Short lines of ASCII that no server on the way wants to change. */
static bool is_7bit(bh_str text)
{
    size_t line = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c >= 0x7f || (c < ' ' && c != '\t' && c != '\n' && c != '\r'))
            return false;
        if (c == '\r' && (i + 1 == text.n || text.p[i + 1] != '\n'))
            return false;
        line = c == '\n' ? 0 : line + 1;
        if (line > LINE_7BIT_MAX)
            return false;
    }
    return true;
}

/* Line ends become CRLF, and the last line has one. */
static void add_7bit(struct bh_buf *out, bh_str text)
{
    while (text.n) {
        size_t end = bh_str_find(text, '\n');
        bh_str line = bh_str_sub(text, 0, end);

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        bh_buf_add(out, line);
        bh_buf_add(out, BH_STR("\r\n"));
        text = bh_str_skip(text, end + 1);
    }
}

/* RFC 2045 6.7: one line; blanks at its end are encoded. */
static void add_quoted_line(struct bh_buf *out, bh_str line)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t column = 0;

    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        bool blank = c == ' ' || c == '\t';
        bool plain = (c > ' ' && c <= '~' && c != '=') || (blank && i + 1 < line.n);
        size_t width = plain ? 1 : 3;

        if (column + width > QP_LINE) {
            bh_buf_add(out, BH_STR("=\r\n"));
            column = 0;
        }
        if (plain && !(column == 0 && (c == '.' || c == 'F'))) {
            bh_buf_char(out, (char)c);
        } else {
            bh_buf_char(out, '=');
            bh_buf_char(out, digits[c >> 4]);
            bh_buf_char(out, digits[c & 15]);
            width = 3;
        }
        column += width;
    }
    bh_buf_add(out, BH_STR("\r\n"));
}

static void add_quoted_printable(struct bh_buf *out, bh_str text)
{
    while (text.n) {
        size_t end = bh_str_find(text, '\n');
        bh_str line = bh_str_sub(text, 0, end);

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        add_quoted_line(out, line);
        text = bh_str_skip(text, end + 1);
    }
}

static void add_text_part(struct bh_buf *out, const char *subtype, bh_str text)
{
    bool plain = is_7bit(text);

    bh_buf_printf(out, "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n", subtype,
                  plain ? "7bit" : "quoted-printable");
    if (plain)
        add_7bit(out, text);
    else
        add_quoted_printable(out, text);
}

/* ---- files ---- */

static bh_str type_by_name(bh_str filename)
{
    static const struct {
        const char *ending, *type;
    } known[] = {{".pdf", "application/pdf"}, {".png", "image/png"},      {".jpg", "image/jpeg"},
                 {".jpeg", "image/jpeg"},     {".gif", "image/gif"},      {".svg", "image/svg+xml"},
                 {".webp", "image/webp"},     {".txt", "text/plain"},     {".csv", "text/csv"},
                 {".html", "text/html"},      {".ics", "text/calendar"},  {".json", "application/json"},
                 {".xml", "application/xml"}, {".zip", "application/zip"}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (bh_str_ends_ci(filename, bh_str_c(known[i].ending)))
            return bh_str_c(known[i].type);
    return BH_STR("application/octet-stream");
}

/* RFC 2231: name*0*=UTF-8''…; name*1*=…, each on a line of its own. */
static void add_long_parameter(struct bh_buf *out, const char *name, bh_str value)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t column = PARAMETER_PIECE, piece = 0;

    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        bool plain = bh_is_alnum((char)c) || c == '-' || c == '.' || c == '_';

        if (column + (plain ? 1 : 3) > PARAMETER_PIECE) {
            bh_buf_printf(out, ";\r\n %s*%zu*=%s", name, piece, piece == 0 ? "UTF-8''" : "");
            piece++;
            column = 0;
        }
        if (plain) {
            bh_buf_char(out, (char)c);
        } else {
            bh_buf_char(out, '%');
            bh_buf_char(out, digits[c >> 4]);
            bh_buf_char(out, digits[c & 15]);
        }
        column += plain ? 1 : 3;
    }
}

static void add_disposition(struct bh_buf *out, const struct bh_compose_file *file)
{
    bh_buf_printf(out, "Content-Disposition: %s", file->content_id.n ? "inline" : "attachment");
    if (file->filename.n && file->filename.n <= PARAMETER_PIECE && is_ascii(file->filename)) {
        bh_buf_add(out, BH_STR("; filename="));
        add_quoted(out, file->filename);
    } else {
        add_long_parameter(out, "filename", file->filename);
    }
    bh_buf_add(out, BH_STR("\r\n"));
}

static void add_base64(struct bh_buf *out, bh_str bytes)
{
    enum { LINE_BYTES = LINE / 4 * 3 };

    while (bytes.n) {
        bh_base64_encode(out, bh_str_sub(bytes, 0, LINE_BYTES));
        bh_buf_add(out, BH_STR("\r\n"));
        bytes = bh_str_skip(bytes, LINE_BYTES);
    }
}

static void add_file(struct bh_buf *out, const struct bh_compose_file *file)
{
    bh_str type = file->content_type.n ? file->content_type : type_by_name(file->filename);

    /* RFC 2045 6.4, RFC 2046 5: a message or multipart may not be base64; as a file it is bytes */
    if (bh_str_starts_ci(type, BH_STR("message/")) || bh_str_starts_ci(type, BH_STR("multipart/")))
        type = BH_STR("application/octet-stream");
    bh_buf_printf(out, "Content-Type: %.*s\r\nContent-Transfer-Encoding: base64\r\n", BH_FMT(type));
    if (file->content_id.n)
        bh_buf_printf(out, "Content-ID: <%.*s>\r\n", BH_FMT(file->content_id));
    add_disposition(out, file);
    bh_buf_add(out, BH_STR("\r\n"));
    add_base64(out, file->content);
}

/* ---- the tree ---- */

/* No line of quoted-printable or base64 begins like "--=_", and 7-bit text would have to guess 128 random bits. */
static void add_boundary(struct bh_buf *out, const struct bh_compose *message, char level)
{
    bh_buf_printf(out, "=_%c", level);
    bh_hex_encode(out, bh_str_of((const char *)message->boundary, sizeof(message->boundary)));
}

static void open_multipart(struct bh_buf *out, const struct bh_compose *message, const char *subtype, char level)
{
    bh_buf_printf(out, "Content-Type: multipart/%s;\r\n boundary=\"", subtype);
    add_boundary(out, message, level);
    bh_buf_add(out, BH_STR("\"\r\n\r\n"));
}

static void next_part(struct bh_buf *out, const struct bh_compose *message, char level)
{
    bh_buf_add(out, BH_STR("--"));
    add_boundary(out, message, level);
    bh_buf_add(out, BH_STR("\r\n"));
}

static void close_multipart(struct bh_buf *out, const struct bh_compose *message, char level)
{
    bh_buf_add(out, BH_STR("--"));
    add_boundary(out, message, level);
    bh_buf_add(out, BH_STR("--\r\n"));
}

static size_t count_files(const struct bh_compose *message, bool inline_ones)
{
    size_t count = 0;

    for (size_t i = 0; i < message->file_count; i++)
        count += (message->files[i].content_id.n > 0) == inline_ones;
    return count;
}

static void add_files(struct bh_buf *out, const struct bh_compose *message, bool inline_ones, char level)
{
    for (size_t i = 0; i < message->file_count; i++) {
        if ((message->files[i].content_id.n > 0) != inline_ones)
            continue;
        next_part(out, message, level);
        add_file(out, &message->files[i]);
    }
}

static void add_html(struct bh_buf *out, const struct bh_compose *message)
{
    if (!count_files(message, true)) {
        add_text_part(out, "html", message->html);
        return;
    }
    open_multipart(out, message, "related", 'r');
    next_part(out, message, 'r');
    add_text_part(out, "html", message->html);
    add_files(out, message, true, 'r');
    close_multipart(out, message, 'r');
}

static void add_content(struct bh_buf *out, const struct bh_compose *message)
{
    if (!message->html.p) {
        add_text_part(out, "plain", message->text);
    } else if (!message->text.p) {
        add_html(out, message);
    } else {
        open_multipart(out, message, "alternative", 'a');
        next_part(out, message, 'a');
        add_text_part(out, "plain", message->text);
        next_part(out, message, 'a');
        add_html(out, message);
        close_multipart(out, message, 'a');
    }
}

static void add_body(struct bh_buf *out, const struct bh_compose *message)
{
    /* an inline file without html to show it is an attachment like others */
    bool inline_too = !message->html.p && count_files(message, true);

    if (!count_files(message, false) && !inline_too) {
        add_content(out, message);
        return;
    }
    open_multipart(out, message, "mixed", 'm');
    next_part(out, message, 'm');
    add_content(out, message);
    if (inline_too)
        add_files(out, message, true, 'm');
    add_files(out, message, false, 'm');
    close_multipart(out, message, 'm');
}

void bh_compose_write(struct bh_buf *out, const struct bh_compose *message)
{
    add_mailboxes(out, "From", &message->from, 1);
    add_mailboxes(out, "To", message->to, message->to_count);
    add_mailboxes(out, "Cc", message->cc, message->cc_count);
    add_mailboxes(out, "Reply-To", message->reply_to, message->reply_to_count);
    add_field(out, BH_STR("Subject"), message->subject);
    for (size_t i = 0; i < message->field_count; i++)
        add_field(out, message->fields[i].name, message->fields[i].value);
    bh_buf_add(out, BH_STR("MIME-Version: 1.0\r\n"));
    add_body(out, message);
}
