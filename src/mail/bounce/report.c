/* report.c: RFC 3464 reports. See report.h.
 *
 * A recipient begins with its first field and ends where, behind an empty line, another recipient's field comes, or
 * where a second address field of the same name comes. */
#include "report.h"
#include "lines.h"
#include "proto/mime/address.h"
#include "proto/mime/charset.h"

enum { FIELD_MAX = 16 * 1024 };

const char *bh_report_action_text(enum bh_report_action action)
{
    static const char *const texts[] = {"", "failed", "delayed", "delivered", "relayed", "expanded"};

    return (unsigned)action < sizeof(texts) / sizeof(*texts) ? texts[action] : "";
}

struct reading {
    struct bh_arena *arena;
    struct bh_report *report;
    size_t room;
    size_t max;
    bool open;      /* the last recipient may get more fields */
    bool separated; /* an empty line came since its last field */
};

/* ---- values ---- */

/* RFC 6533 3: "\x{E9}" in utf-8-addr-unitext and -xtext. */
static bh_err decode_unitext(struct bh_arena *arena, bh_str text, bh_str *ret_text)
{
    struct bh_buf out = bh_buf_make(1024);

    while (text.n && out.err == BH_OK) {
        size_t end = bh_str_find(text, '}');
        uint64_t code;

        if (bh_str_starts(text, BH_STR("\\x{")) && end < 10 &&
            bh_str_hex_to_u64(bh_str_sub(text, 3, end - 3), &code) == BH_OK && code && code < 0x110000) {
            bh_utf8_put(&out, (uint32_t)code);
            text = bh_str_skip(text, end + 1);
        } else {
            bh_buf_char(&out, text.p[0]);
            text = bh_str_skip(text, 1);
        }
    }
    *ret_text = bh_arena_dup(arena, bh_buf_view(&out));
    bh_buf_free(&out);
    return ret_text->p ? BH_OK : BH_E_NOMEM;
}

bh_err bh_report_address(struct bh_arena *arena, bh_str value, bh_str *ret_address)
{
    bh_str rest, type = bh_str_cut(value, ';', &rest);
    struct bh_address_list list;
    bh_err err;

    *ret_address = (bh_str){NULL, 0};
    if (!rest.p) { /* no type: some leave it out */
        rest = value;
        type = (bh_str){NULL, 0};
    }
    rest = bh_str_trim(rest);
    if (bh_str_find(rest, '@') == rest.n)
        return BH_OK;
    if (bh_str_eq_ci(bh_str_trim(type), BH_STR("utf-8")) && bh_str_search(rest, BH_STR("\\x{")) != rest.n) {
        err = decode_unitext(arena, rest, &rest);
        if (err)
            return err;
    }
    err = bh_address_list_parse(arena, bh_str_sub(rest, 0, 2048), 1, &list);
    if (err || list.count == 0 || list.items[0].domain.n == 0)
        return err;
    *ret_address = list.items[0].text;
    return BH_OK;
}

/* "Status: 5.1.1 (bad mailbox)" -> "5.1.1". */
static bh_str status_of(bh_str value)
{
    size_t n = 0;

    while (n < value.n && (bh_is_digit(value.p[n]) || value.p[n] == '.'))
        n++;
    return bh_str_sub(value, 0, n);
}

static enum bh_report_action action_of(bh_str value)
{
    static const struct {
        const char *word;
        enum bh_report_action action;
    } words[] = {{"fail", BH_ACTION_FAILED},       {"expire", BH_ACTION_FAILED},   {"bounce", BH_ACTION_FAILED},
                 {"undeliver", BH_ACTION_FAILED},  {"reject", BH_ACTION_FAILED},   {"error", BH_ACTION_FAILED},
                 {"delay", BH_ACTION_DELAYED},     {"defer", BH_ACTION_DELAYED},   {"warn", BH_ACTION_DELAYED},
                 {"deliver", BH_ACTION_DELIVERED}, {"relay", BH_ACTION_RELAYED},   {"expand", BH_ACTION_EXPANDED},
                 {"success", BH_ACTION_DELIVERED}, {"transfer", BH_ACTION_RELAYED}};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (bh_str_starts_ci(value, bh_str_c(words[i].word)))
            return words[i].action;
    return BH_ACTION_NONE;
}

/* "dns; mx.example" -> "mx.example"; values without a type stay as they are. */
static bh_str behind_type(bh_str value)
{
    bh_str rest, type = bh_str_cut(value, ';', &rest);

    if (!rest.p || type.n > 30 || bh_str_find(bh_str_trim(type), ' ') != bh_str_trim(type).n)
        return value;
    return bh_str_trim(rest);
}

/* The name or address of an MTA: the first word, without brackets. */
static bh_str mta_of(bh_str value)
{
    bh_str rest;

    value = bh_str_cut(behind_type(value), ' ', &rest);
    if (value.n > 2 && value.p[0] == '[' && value.p[value.n - 1] == ']')
        value = bh_str_sub(value, 1, value.n - 2);
    while (value.n && value.p[value.n - 1] == '.')
        value.n--;
    return value;
}

/* ---- recipients ---- */

static bh_err new_recipient(struct reading *reading)
{
    struct bh_report *report = reading->report;

    reading->open = false;
    if (report->count == reading->max) {
        report->cut = true;
        return BH_OK;
    }
    if (report->count == reading->room) {
        size_t room = reading->room ? reading->room * 2 : 4;
        struct bh_report_recipient *bigger = bh_arena_array(reading->arena, room, sizeof(*bigger));

        if (!bigger)
            return BH_E_NOMEM;
        if (report->count)
            memcpy(bigger, report->recipients, report->count * sizeof(*bigger));
        report->recipients = bigger;
        reading->room = room;
    }
    report->recipients[report->count++] = (struct bh_report_recipient){0};
    reading->open = true;
    reading->separated = false;
    return BH_OK;
}

enum field {
    FIELD_OTHER,
    FIELD_FINAL,
    FIELD_ORIGINAL,
    FIELD_ACTION,
    FIELD_STATUS,
    FIELD_DIAGNOSTIC,
    FIELD_REMOTE,
    FIELD_REPORTING,
    FIELD_ENVELOPE,
    FIELD_SENDER
};

static enum field field_of(bh_str name)
{
    static const struct {
        const char *name;
        enum field field;
    } fields[] = {{"Final-Recipient", FIELD_FINAL},
                  {"Original-Recipient", FIELD_ORIGINAL},
                  {"Action", FIELD_ACTION},
                  {"Status", FIELD_STATUS},
                  {"Diagnostic-Code", FIELD_DIAGNOSTIC},
                  {"Remote-MTA", FIELD_REMOTE},
                  {"Reporting-MTA", FIELD_REPORTING},
                  {"Original-Envelope-Id", FIELD_ENVELOPE},
                  {"X-Postfix-Sender", FIELD_SENDER},
                  {"X-Original-Sender", FIELD_SENDER},
                  {"X-Internet-Inbound-Sender", FIELD_SENDER}};

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        if (bh_str_eq_ci(name, bh_str_c(fields[i].name)))
            return fields[i].field;
    return FIELD_OTHER;
}

/* True where the open recipient has had `field` already, so that this is the next one's. */
static bool repeats(const struct bh_report_recipient *recipient, enum field field)
{
    return (field == FIELD_FINAL && recipient->final.n) || (field == FIELD_ORIGINAL && recipient->original.n) ||
           (field == FIELD_ACTION && recipient->action) || (field == FIELD_STATUS && recipient->status.n);
}

static bh_err fill(struct reading *reading, struct bh_report_recipient *recipient, enum field field, bh_str value)
{
    if (field == FIELD_FINAL)
        return bh_report_address(reading->arena, value, &recipient->final);
    if (field == FIELD_ORIGINAL)
        return bh_report_address(reading->arena, value, &recipient->original);
    if (field == FIELD_ACTION)
        recipient->action = action_of(value);
    else if (field == FIELD_STATUS)
        recipient->status = status_of(value);
    else if (field == FIELD_REMOTE)
        recipient->remote_mta = mta_of(value);
    else
        recipient->diagnostic = behind_type(value);
    return BH_OK;
}

static bh_err take_field(struct reading *reading, bh_str name, bh_str value)
{
    struct bh_report *report = reading->report;
    enum field field = field_of(name);
    bh_err err = BH_OK;

    if (field == FIELD_OTHER)
        return BH_OK;
    if (field == FIELD_REPORTING && report->reporting_mta.n == 0)
        report->reporting_mta = mta_of(value);
    else if (field == FIELD_ENVELOPE && report->envelope_id.n == 0)
        report->envelope_id = value;
    else if (field == FIELD_SENDER && report->sender.n == 0)
        err = bh_report_address(reading->arena, value, &report->sender);
    if (field >= FIELD_REPORTING)
        return err;
    if (!reading->open || reading->separated || repeats(&report->recipients[report->count - 1], field))
        err = new_recipient(reading);
    return err || !reading->open ? err : fill(reading, &report->recipients[report->count - 1], field, value);
}

/* A field's value with its continuation lines. Where there are none it is a view. */
static bh_err unfold(struct reading *reading, bh_str value, bh_str *rest, bh_str *ret_value)
{
    struct bh_buf out = bh_buf_make(FIELD_MAX);
    bh_str line, after = *rest;
    bh_err err;

    if (!rest->n || !bh_is_wsp(rest->p[0])) {
        *ret_value = value;
        return BH_OK;
    }
    bh_buf_add(&out, bh_str_sub(value, 0, FIELD_MAX));
    while (after.n && bh_is_wsp(after.p[0]) && bh_next_line(&after, &line)) {
        line = bh_str_trim(line);
        if (line.n == 0)
            break;
        if (out.n + line.n < FIELD_MAX) {
            bh_buf_char(&out, ' ');
            bh_buf_add(&out, line);
        }
        *rest = after;
    }
    err = bh_buf_err(&out);
    *ret_value = bh_arena_dup(reading->arena, bh_buf_view(&out));
    bh_buf_free(&out);
    return err || !ret_value->p ? BH_E_NOMEM : BH_OK;
}

/* Groups without any address are what is left of broken ones; the only one is kept. */
static void drop_empty(struct bh_report *report)
{
    size_t kept = 0;

    for (size_t i = 0; i < report->count; i++) {
        const struct bh_report_recipient *r = &report->recipients[i];

        if (r->final.n || r->original.n || (report->count == 1 && (r->action || r->status.n || r->diagnostic.n)))
            report->recipients[kept++] = *r;
    }
    report->count = kept;
}

bh_err bh_report_read(struct bh_arena *arena, bh_str text, size_t max, struct bh_report *ret_report)
{
    struct reading reading = {.arena = arena, .report = ret_report, .max = max};
    bh_str line, name, value;
    bh_err err = BH_OK;

    *ret_report = (struct bh_report){0};
    while (!err && bh_next_line(&text, &line)) {
        if (bh_str_trim(line).n == 0) {
            reading.separated = true;
            continue;
        }
        name = bh_field_name(line, &value);
        if (name.n == 0)
            continue;
        err = unfold(&reading, value, &text, &value);
        if (!err)
            err = take_field(&reading, name, value);
    }
    if (!err)
        drop_empty(ret_report);
    return err;
}

bool bh_report_begins(bh_str line)
{
    bh_str value, name = bh_field_name(line, &value);
    enum field field = field_of(name);

    return field == FIELD_FINAL || field == FIELD_ORIGINAL || field == FIELD_REPORTING;
}
