/* text_split.c: where a notice's words end. See heuristics.h.
 *
 * A returned message is recognised by its form: a run of header fields, among them one that people do not write
 * (Received, Message-ID …). Indented runs need a Received, since some servers quote From, To and Subject for people. */
#include "heuristics.h"
#include "lines.h"
#include "report.h"

/* What a line's field tells about the run that it stands in. */
enum header_sign { SIGN_NONE, SIGN_FIELD, SIGN_MACHINE, SIGN_RECEIVED };

static enum header_sign sign_of(bh_str name)
{
    static const char *const machine[] = {"Return-Path",    "Message-ID",   "MIME-Version",
                                          "DKIM-Signature", "Delivered-To", "X-Original-To",
                                          "X-Mailer",       "X-Received",   "DomainKey-Signature"};

    if (bh_str_eq_ci(name, BH_STR("Received")))
        return SIGN_RECEIVED;
    for (size_t i = 0; i < sizeof(machine) / sizeof(*machine); i++)
        if (bh_str_eq_ci(name, bh_str_c(machine[i])))
            return SIGN_MACHINE;
    return name.n ? SIGN_FIELD : SIGN_NONE;
}

static size_t indent_of(bh_str line)
{
    size_t n = 0;

    while (n < line.n && bh_is_wsp(line.p[n]))
        n++;
    return n;
}

/* A bounce that somebody forwarded: its own header stands among the words. */
static bool is_notifier(bh_str name, bh_str value)
{
    return bh_str_eq_ci(name, BH_STR("From")) && bh_str_search_ci(value, BH_STR("MAILER-DAEMON")) < value.n;
}

/* Reads the run of fields at the start of `text`; *ret_rest is what follows it. True where it is a message's header. */
static bool header_run(bh_str text, bh_str *ret_rest)
{
    size_t indent = indent_of(text), fields = 0, machine = 0, received = 0;
    bool forwarded = false;
    bh_str line, rest = text;

    *ret_rest = text;
    while (bh_next_line(&rest, &line) && bh_str_trim(line).n) {
        bh_str value, name = bh_field_name(bh_str_skip(line, indent_of(line)), &value);
        enum header_sign sign = sign_of(name);

        if (indent_of(line) > indent && fields) { /* a continuation */
            *ret_rest = rest;
            continue;
        }
        if (sign == SIGN_NONE || indent_of(line) < indent)
            break;
        fields += !bh_str_starts_ci(name, BH_STR("Content-")); /* those a part of a message has, too */
        forwarded |= is_notifier(name, value);
        machine += sign == SIGN_MACHINE || sign == SIGN_RECEIVED;
        received += sign == SIGN_RECEIVED;
        *ret_rest = rest;
    }
    if (forwarded)
        return false;
    if (indent)
        return received && fields >= 3;
    return (received && fields >= 2) || (machine && fields >= 3);
}

/* "Content-Type: message/rfc822" among the words: the boundaries of a MIME message that lost its header. */
static bool announces(bh_str line, const char *type)
{
    bh_str value, name = bh_field_name(line, &value);

    return bh_str_eq_ci(name, BH_STR("Content-Type")) && bh_str_starts_ci(value, bh_str_c(type));
}

static bool names_feedback(bh_str line)
{
    bh_str value, name = bh_field_name(line, &value);

    return bh_str_eq_ci(name, BH_STR("Feedback-Type"));
}

/* ---- quoted throughout ---- */

static bool is_quoted(bh_str text)
{
    size_t quoted = 0, lines = 0;
    bh_str line;

    while (bh_next_line(&text, &line)) {
        if (bh_str_trim(line).n == 0)
            continue;
        lines++;
        quoted += line.p[0] == '>' && (line.n == 1 || line.p[1] != '>');
    }
    return lines > 5 && quoted * 2 > lines;
}

/* One quote mark and the blank behind it go from each line. */
static bh_err unquote(struct bh_arena *arena, bh_str text, bh_str *ret_text)
{
    char *copy = bh_arena_alloc(arena, text.n + 1);
    size_t n = 0;
    bh_str line;

    if (!copy)
        return BH_E_NOMEM;
    while (bh_next_line(&text, &line)) {
        if (line.n && line.p[0] == '>')
            line = bh_str_skip(line, line.n > 1 && line.p[1] == ' ' ? 2 : 1);
        if (line.n)
            memcpy(copy + n, line.p, line.n);
        n += line.n;
        copy[n++] = '\n';
    }
    *ret_text = bh_str_of(copy, n);
    return BH_OK;
}

/* ---- the cut ---- */

/* The returned message begins behind the empty line that ends a part's own header. */
static bh_str behind_empty_line(bh_str rest)
{
    bh_str line;

    while (bh_next_line(&rest, &line))
        if (bh_str_trim(line).n == 0)
            break;
    return rest;
}

static void split(bh_str text, struct bh_text_parts *parts)
{
    bh_str line, rest = text, at = text, behind;
    const char *words_end = NULL, *report = NULL, *end = text.p + text.n;

    for (; bh_next_line(&rest, &line); at = rest) {
        bh_str value, name = bh_field_name(bh_str_skip(line, indent_of(line)), &value);

        if (name.n == 0)
            continue;
        if (names_feedback(line)) {
            parts->feedback = true;
            break;
        }
        if (!report && (bh_report_begins(line) || announces(line, "message/delivery-status"))) {
            report = line.p;
            words_end = line.p;
            continue;
        }
        if (announces(line, "message/rfc822") || announces(line, "text/rfc822-headers")) {
            parts->returned = behind_empty_line(rest);
            end = line.p;
            break;
        }
        if (header_run(at, &behind)) {
            parts->returned = at;
            end = line.p;
            break;
        }
        if (behind.n < rest.n) /* what was read as a run need not be read again */
            rest = behind;
    }
    parts->words = text.n ? bh_str_range(text.p, words_end ? words_end : end) : text;
    if (report && report < end)
        parts->report = bh_str_range(report, end);
}

bh_err bh_text_split(struct bh_arena *arena, bh_str text, struct bh_text_parts *ret_parts)
{
    *ret_parts = (struct bh_text_parts){0};
    if (is_quoted(text)) {
        bh_err err = unquote(arena, text, &text);

        if (err)
            return err;
    }
    split(text, ret_parts);
    return BH_OK;
}
