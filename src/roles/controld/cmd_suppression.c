/* cmd_suppression.c: the lists of addresses that get no mail.
 *
 *   suppression add     {customer?, address | hash, stream?, reason?, expires_at?, note?}
 *   suppression import  {customer?, entries: [{address | hash, stream?, reason?, expires_at?, note?}]}
 *   suppression remove  {customer?, address | hash, stream?}
 *   suppression check   {customer?, address | hash}
 *   suppression list    {customer?, after?, limit?}
 *
 * Without a customer it is the operator's list, which holds for all. A stream of "*", the usual, is every stream. */
#include "base/clock.h"
#include "base/text.h"
#include "command.h"
#include "store/suppression.h"

enum { ADDRESS_MAX = 320, STREAM_MAX = 64, NOTE_MAX = 500, LIST_MAX = 1000, ENTRIES_MAX = 1000, CURSOR_MAX = 300 };

/* ---- arguments ---- */

static bh_str text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) ? bh_str_of(json_string_value(value), json_string_length(value)) : (bh_str){NULL, 0};
}

static bool take_hash(bh_str hex, uint8_t ret_hash[BH_SUPPRESSION_HASH_BYTES])
{
    struct bh_buf bytes = bh_buf_make(BH_SUPPRESSION_HASH_BYTES);
    bool fits = bh_hex_decode(&bytes, hex) == BH_OK && bytes.n == BH_SUPPRESSION_HASH_BYTES;

    if (fits)
        memcpy(ret_hash, bytes.p, bytes.n);
    bh_buf_free(&bytes);
    return fits;
}

/* What is wrong with the entry, or NULL. */
static const char *take_address(const json_t *object, struct bh_suppression *s)
{
    bh_str address = text_of(object, "address"), hash = text_of(object, "hash");
    size_t at = bh_str_rfind(address, '@');

    s->address = bh_str_of("", 0);
    if (hash.p && !address.p)
        return take_hash(hash, s->hash) ? NULL : "a hash is the SHA-256 of an address, 64 hexadecimal digits";
    if (!address.p || at == 0 || at + 1 >= address.n || address.n > ADDRESS_MAX)
        return "an address is needed, like user@example.net, or a hash of one";
    s->address = address;
    bh_suppression_hash(address, s->hash);
    return NULL;
}

static const char *take_entry(struct bh_controld *core, const json_t *object, struct bh_suppression *s)
{
    bh_str stream = text_of(object, "stream"), reason = text_of(object, "reason"), note = text_of(object, "note");
    bh_str expires = text_of(object, "expires_at");
    const char *wrong = take_address(object, s);

    if (wrong)
        return wrong;
    s->stream = stream.p ? stream : BH_STR("*");
    s->reason = reason.p ? (enum bh_suppression_reason)bh_suppression_reason_of(reason) : BH_SUPPRESSED_MANUAL;
    s->source = BH_STR("operator");
    s->detail = note.p ? note : BH_STR("");
    s->created_at = bh_controld_now(core);
    if (s->stream.n > STREAM_MAX)
        return "a stream's name has at most 64 bytes";
    if (!s->reason)
        return "a reason is bounce, complaint, unsubscribe, import or manual";
    if (s->detail.n > NOTE_MAX)
        return "a note has at most 500 bytes";
    if (expires.p && (bh_time_parse_rfc3339(expires, &s->expires_at) || s->expires_at <= s->created_at))
        return "expires_at is a time to come, like 2027-01-31";
    return NULL;
}

static bool take_customer(struct bh_command *command, int64_t *ret_customer)
{
    struct bh_customer customer;

    *ret_customer = 0;
    if (!bh_command_str(command, "customer").p)
        return true;
    if (!bh_command_customer(command, "customer", &customer))
        return false;
    *ret_customer = customer.id;
    return true;
}

/* ---- add, import ---- */

static bh_err put(struct bh_controld *core, const struct bh_suppression *s, bool tell, bool *ret_new)
{
    bh_err err = bh_suppression_put(core->store, s, ret_new);

    if (!err && *ret_new && tell)
        bh_controld_event(core, BH_EVENT_SUPPRESSION_ADDED, s->customer, 0,
                          json_pack("{s:s%, s:s, s:s%}", "address", s->address.p, s->address.n, "reason",
                                    bh_suppression_reason_text(s->reason), "stream", s->stream.p, s->stream.n));
    return err;
}

void bh_suppression_added(struct bh_command *command)
{
    static const char *const known[] = {"customer", "address", "hash", "stream", "reason", "expires_at", "note", NULL};
    struct bh_suppression s = {0};
    const char *wrong;
    bool is_new;
    bh_err err;

    if (!bh_command_knows(command, known) || !take_customer(command, &s.customer))
        return;
    wrong = take_entry(command->core, command->args, &s);
    if (wrong) {
        bh_command_fail(command, "invalid", NULL, "%s", wrong);
        return;
    }
    err = put(command->core, &s, true, &is_new);
    if (err)
        bh_command_fail_err(command, err, "cannot be stored");
    else
        bh_command_done(command, json_pack("{s:b}", "new", is_new));
}

void bh_suppressions_imported(struct bh_command *command)
{
    static const char *const known[] = {"customer", "entries", NULL};
    const json_t *entries = json_object_get(command->args, "entries");
    int64_t customer, added = 0;
    size_t count = json_array_size(entries);
    bh_err err = BH_OK;

    if (!bh_command_knows(command, known) || !take_customer(command, &customer))
        return;
    if (!count || count > ENTRIES_MAX) {
        bh_command_fail(command, "invalid", NULL, "entries are a list of 1 to %d", ENTRIES_MAX);
        return;
    }
    bh_store_begin(command->core->store);
    for (size_t i = 0; i < count && !err; i++) {
        struct bh_suppression s = {.customer = customer};
        bool is_new = false;
        const char *wrong = take_entry(command->core, json_array_get(entries, i), &s);

        if (wrong) {
            bh_store_rollback(command->core->store);
            bh_command_fail(command, "invalid", "Nothing was taken over", "entry %zu: %s", i + 1, wrong);
            return;
        }
        err = put(command->core, &s, false, &is_new);
        added += is_new;
    }
    if (!err)
        err = bh_store_commit_wait(command->core->store);
    else
        bh_store_rollback(command->core->store);
    if (err)
        bh_command_fail_err(command, err, "cannot be stored");
    else
        bh_command_done(command, json_pack("{s:I, s:I}", "entries", (json_int_t)count, "new", (json_int_t)added));
}

/* ---- remove ---- */

void bh_suppression_removed(struct bh_command *command)
{
    static const char *const known[] = {"customer", "address", "hash", "stream", NULL};
    struct bh_suppression s = {0};
    bh_str stream = bh_command_str(command, "stream");
    const char *wrong;
    bh_err err;

    if (!bh_command_knows(command, known) || !take_customer(command, &s.customer))
        return;
    wrong = take_address(command->args, &s);
    if (wrong) {
        bh_command_fail(command, "invalid", NULL, "%s", wrong);
        return;
    }
    err = bh_suppression_delete(command->core->store, s.customer, stream.p ? stream : BH_STR("*"), s.hash);
    if (err == BH_E_NOT_FOUND) {
        bh_command_fail(command, "not_found", "behalf suppression check shows where it is suppressed",
                        "it is not suppressed in this stream");
        return;
    }
    if (err) {
        bh_command_fail_err(command, err, "cannot be removed");
        return;
    }
    bh_controld_event(command->core, BH_EVENT_SUPPRESSION_REMOVED, s.customer, 0,
                      json_pack("{s:s%}", "address", s.address.p, s.address.n));
    bh_command_done(command, NULL);
}

/* ---- list, check ---- */

struct listing {
    json_t *rows;
    struct bh_buf last; /* cursor of the last row */
};

static json_t *time_or_null(bh_time_ms at)
{
    struct bh_buf text = bh_buf_make(40);
    json_t *value;

    if (!at)
        return json_null();
    bh_time_rfc3339(&text, at, false);
    value = json_stringn(text.p, text.n);
    bh_buf_free(&text);
    return value;
}

static void add_row(void *ctx, const struct bh_suppression *s)
{
    struct listing *listing = ctx;
    struct bh_buf hash = bh_buf_make(100);

    bh_hex_encode(&hash, bh_str_of((const char *)s->hash, sizeof(s->hash)));
    (void)json_array_append_new(
        listing->rows, json_pack("{s:o, s:s%, s:s%, s:s, s:s%, s:s%, s:o, s:o, s:b}", "address",
                                 s->address.n ? json_stringn(s->address.p, s->address.n) : json_null(), "hash", hash.p,
                                 hash.n, "stream", s->stream.p, s->stream.n, "reason",
                                 bh_suppression_reason_text(s->reason), "source", s->source.p, s->source.n, "detail",
                                 s->detail.p, s->detail.n, "created_at", time_or_null(s->created_at), "expires_at",
                                 time_or_null(s->expires_at), "for_all_customers", s->customer == 0));
    bh_buf_clear(&listing->last);
    bh_buf_printf(&listing->last, "%.*s/%.*s", (int)hash.n, hash.p, BH_FMT(s->stream));
    bh_buf_free(&hash);
}

void bh_suppression_checked(struct bh_command *command)
{
    static const char *const known[] = {"customer", "address", "hash", NULL};
    struct listing listing = {json_array(), bh_buf_make(CURSOR_MAX)};
    struct bh_suppression s = {0};
    const char *wrong = NULL;
    bh_err err;

    if (bh_command_knows(command, known) && take_customer(command, &s.customer)) {
        wrong = take_address(command->args, &s);
        err = wrong ? BH_OK : bh_suppression_of(command->core->store, s.customer, s.hash, add_row, &listing);
        if (wrong)
            bh_command_fail(command, "invalid", NULL, "%s", wrong);
        else if (err)
            bh_command_fail_err(command, err, "cannot be read");
        else
            bh_command_done(command, json_pack("{s:b, s:O}", "suppressed", json_array_size(listing.rows) > 0,
                                               "suppressions", listing.rows));
    }
    json_decref(listing.rows);
    bh_buf_free(&listing.last);
}

void bh_suppressions(struct bh_command *command)
{
    static const char *const known[] = {"customer", "after", "limit", NULL};
    struct listing listing = {json_array(), bh_buf_make(CURSOR_MAX)};
    int64_t customer, limit = bh_command_int(command, "limit", 100);
    uint8_t hash[BH_SUPPRESSION_HASH_BYTES];
    bh_str stream, after = bh_command_str(command, "after");
    bh_str hex = bh_str_cut(after, '/', &stream);
    bh_err err;

    if (!bh_command_knows(command, known) || !take_customer(command, &customer))
        goto out;
    if (limit < 1 || limit > LIST_MAX || (after.n && !take_hash(hex, hash))) {
        bh_command_fail(command, "invalid", "Take \"after\" from \"next\"", "limit is 1 to %d, after a cursor",
                        LIST_MAX);
        goto out;
    }
    err = bh_suppression_list(command->core->store, customer, bh_str_of((const char *)hash, after.n ? sizeof(hash) : 0),
                              stream, limit, add_row, &listing);
    if (err)
        bh_command_fail_err(command, err, "cannot be read");
    else
        bh_command_done(command, json_pack("{s:O, s:o}", "suppressions", listing.rows, "next",
                                           (int64_t)json_array_size(listing.rows) == limit
                                               ? json_stringn(listing.last.p, listing.last.n)
                                               : json_null()));
out:
    json_decref(listing.rows);
    bh_buf_free(&listing.last);
}
