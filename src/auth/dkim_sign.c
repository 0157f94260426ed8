/* dkim_sign.c: the signer, in two steps so that the private key can be elsewhere. The field is written with b= last
 * and empty, hashed so, and the signature is appended: verifiers cut the value of b= out, folds included, so how it
 * is folded changes nothing (RFC 6376 3.7). */
#include "base/text.h"
#include "dkim_internal.h"

enum { MAX_NAMES = 500, MAX_FIELD = 64 * 1024, FOLD_AT = 76, B_LINE = 72, IDENTITY_MAX = 320 };

/* ---- writing the field ---- */

struct span {
    size_t from;
    size_t to;
};

struct folder {
    struct bh_buf *out;
    size_t line_start;
};

static void fold(struct folder *folder)
{
    bh_buf_add(folder->out, BH_STR("\r\n\t"));
    folder->line_start = folder->out->n - 1;
}

/* Appends `text`, on a new line where this one would grow past 76; `text` itself is never broken. */
static void add_folding(struct folder *folder, bh_str text)
{
    if (folder->out->n - folder->line_start + text.n > FOLD_AT) {
        fold(folder);
        while (text.n && text.p[0] == ' ')
            text = bh_str_skip(text, 1);
    }
    bh_buf_add(folder->out, text);
}

static void add_tag(struct folder *folder, const char *name, bh_str value)
{
    struct bh_buf text = bh_buf_make(1024);

    bh_buf_printf(&text, " %s=%.*s;", name, BH_FMT(value));
    if (bh_buf_err(&text))
        folder->out->err = bh_buf_err(&text);
    add_folding(folder, bh_buf_view(&text));
    bh_buf_free(&text);
}

static void add_number(struct folder *folder, const char *name, int64_t number)
{
    struct bh_buf text = bh_buf_make(32);

    bh_buf_printf(&text, "%lld", (long long)number);
    add_tag(folder, name, bh_buf_view(&text));
    bh_buf_free(&text);
}

static void add_names(struct folder *folder, const struct bh_dkim_signing *signing, struct span *ret_names)
{
    add_folding(folder, BH_STR(" h="));
    ret_names->from = folder->out->n;
    for (size_t i = 0; i < signing->name_count; i++) {
        bh_str name = signing->names[i];
        bool last = i + 1 == signing->name_count;

        if (folder->out->n - folder->line_start + name.n + 1 > FOLD_AT)
            fold(folder);
        bh_buf_add(folder->out, name);
        ret_names->to = folder->out->n;
        bh_buf_char(folder->out, last ? ';' : ':');
    }
}

static bh_str field_name(enum bh_sig_kind kind)
{
    if (kind == BH_SIG_ARC_MESSAGE)
        return BH_STR("ARC-Message-Signature:");
    return kind == BH_SIG_ARC_SEAL ? BH_STR("ARC-Seal:") : BH_STR("DKIM-Signature:");
}

static bh_str canon_text(const struct bh_dkim_signing *signing)
{
    static const char *const texts[2][2] = {{"simple/simple", "simple/relaxed"}, {"relaxed/simple", "relaxed/relaxed"}};

    return bh_str_c(texts[signing->header_canon][signing->body_canon]);
}

static void add_body_hash(struct folder *folder, const struct bh_dkim_signing *signing)
{
    struct bh_buf text = bh_buf_make(64);

    bh_base64_encode(&text, bh_str_of((const char *)signing->body_hash, BH_DKIM_HASH_BYTES));
    add_tag(folder, "bh", bh_buf_view(&text));
    bh_buf_free(&text);
}

/* The field up to "b="; `ret_names` is where its h= list stands. */
static bh_err write_field(enum bh_sig_kind kind, unsigned instance, const struct bh_dkim_signing *signing,
                          struct bh_buf *out, struct span *ret_names)
{
    struct folder folder = {out, out->n};

    bh_buf_add(out, field_name(kind));
    if (kind == BH_SIG_DKIM)
        add_tag(&folder, "v", BH_STR("1"));
    else
        add_number(&folder, "i", instance);
    add_tag(&folder, "a", signing->key_type == BH_DKIM_KEY_RSA ? BH_STR("rsa-sha256") : BH_STR("ed25519-sha256"));
    add_tag(&folder, "c", canon_text(signing));
    add_tag(&folder, "d", signing->domain);
    add_tag(&folder, "s", signing->selector);
    if (kind == BH_SIG_DKIM && signing->identity.n)
        add_tag(&folder, "i", signing->identity);
    if (signing->signed_at_s >= 0)
        add_number(&folder, "t", signing->signed_at_s);
    if (signing->expires_at_s >= 0)
        add_number(&folder, "x", signing->expires_at_s);
    if (signing->body_length >= 0)
        add_number(&folder, "l", signing->body_length);
    add_names(&folder, signing, ret_names);
    add_body_hash(&folder, signing);
    add_folding(&folder, BH_STR(" b="));
    return bh_buf_err(out);
}

/* ---- prepare and finish ---- */

static bool is_name(bh_str name)
{
    if (name.n == 0 || name.n > BH_HINDEX_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] < 33 || name.p[i] > 126 || name.p[i] == ':' || name.p[i] == ';')
            return false;
    return true;
}

/* No byte that would end the tag, the line or the address. */
static bool is_identity(bh_str identity)
{
    if (identity.n > IDENTITY_MAX)
        return false;
    for (size_t i = 0; i < identity.n; i++)
        if ((unsigned char)identity.p[i] <= 32 || identity.p[i] == 127 || identity.p[i] == ';')
            return false;
    return true;
}

static bool names_are_good(const struct bh_dkim_signing *signing)
{
    bool from = false;

    if (signing->name_count > MAX_NAMES)
        return false;
    for (size_t i = 0; i < signing->name_count; i++) {
        if (!is_name(signing->names[i]))
            return false;
        from |= bh_str_eq_ci(signing->names[i], BH_STR("from"));
    }
    return from;
}

/* What a verifier refuses, the signer does not write. */
static bool is_valid(const struct bh_dkim_signing *signing)
{
    return bh_sig_is_domain(signing->domain) && bh_sig_is_domain(signing->selector) &&
           signing->domain.n + signing->selector.n < 240 && is_identity(signing->identity) &&
           bh_sig_identity_fits(signing->identity, signing->domain, false) && names_are_good(signing) &&
           (signing->expires_at_s < 0 || signing->expires_at_s > signing->signed_at_s);
}

bh_err bh_dkim_prepare_kind(struct bh_dkim *dkim, struct bh_arena *arena, struct bh_hindex *index,
                            enum bh_sig_kind kind, unsigned instance, const struct bh_dkim_signing *signing,
                            struct bh_dkim_unsigned *ret_unsigned)
{
    struct bh_buf text = bh_buf_make(MAX_FIELD);
    struct bh_sig sig = {.kind = kind, .header_canon = signing->header_canon};
    struct span names = {0, 0};
    bh_err err = is_valid(signing) ? write_field(kind, instance, signing, &text, &names) : BH_E_INVALID;

    if (!err) {
        sig.whole = bh_arena_dup(arena, bh_buf_view(&text));
        err = sig.whole.p ? BH_OK : BH_E_NOMEM;
    }
    bh_buf_free(&text);
    if (err)
        return err;
    sig.names = bh_str_sub(sig.whole, names.from, names.to - names.from);
    bh_sig_header_hash(dkim, index, &sig, NULL, ret_unsigned->hash);
    ret_unsigned->field = sig.whole;
    return BH_OK;
}

bh_err bh_dkim_prepare(struct bh_dkim *dkim, struct bh_arena *arena, bh_str header,
                       const struct bh_dkim_signing *signing, struct bh_dkim_unsigned *ret_unsigned)
{
    struct bh_hindex index;
    bh_err err = bh_dkim_read_header(dkim, arena, header, &index);

    return err ? err : bh_dkim_prepare_kind(dkim, arena, &index, BH_SIG_DKIM, 0, signing, ret_unsigned);
}

bh_err bh_dkim_finish(struct bh_arena *arena, const struct bh_dkim_unsigned *unsigned_field, const uint8_t *signature,
                      size_t length, bh_str *ret_field)
{
    struct bh_buf b = bh_buf_make(BH_SIG_B_TEXT_MAX);
    struct bh_buf text = bh_buf_make(MAX_FIELD + 2 * BH_SIG_B_TEXT_MAX);
    bh_str rest;
    bh_str field;
    bh_err err;

    bh_base64_encode(&b, bh_str_of((const char *)signature, length));
    bh_buf_add(&text, unsigned_field->field);
    for (rest = bh_buf_view(&b); rest.n; rest = bh_str_skip(rest, B_LINE)) {
        bh_buf_add(&text, BH_STR("\r\n\t"));
        bh_buf_add(&text, bh_str_sub(rest, 0, B_LINE));
    }
    bh_buf_add(&text, BH_STR("\r\n"));
    err = bh_buf_err(&b) ? bh_buf_err(&b) : bh_buf_err(&text);
    if (!err) {
        field = bh_arena_dup(arena, bh_buf_view(&text));
        err = field.p ? BH_OK : BH_E_NOMEM;
        if (!err)
            *ret_field = field;
    }
    bh_buf_free(&b);
    bh_buf_free(&text);
    return err;
}

/* ---- which fields to sign ---- */

static const struct {
    const char *name;
    bool oversign;
} usual[] = {
    {"from", true},
    {"to", true},
    {"cc", true},
    {"subject", true},
    {"date", true},
    {"message-id", true},
    {"reply-to", true},
    {"in-reply-to", true},
    {"references", true},
    {"mime-version", true},
    {"content-type", true},
    {"content-transfer-encoding", true},
    /* a mailing list adds or replaces these: signed where they are, not against their being added */
    {"sender", false},
    {"list-id", false},
    {"list-help", false},
    {"list-post", false},
    {"list-owner", false},
    {"list-archive", false},
    {"list-subscribe", false},
    {"list-unsubscribe", false},
    {"list-unsubscribe-post", false},
    {"auto-submitted", false},
    {"feedback-id", false},
    {"cfbl-address", false},
    {"cfbl-feedback-id", false},
    {"resent-date", false},
    {"resent-from", false},
    {"resent-to", false},
    {"resent-cc", false},
    {"resent-message-id", false},
};
enum { USUAL_COUNT = sizeof(usual) / sizeof(usual[0]) };

bh_err bh_dkim_default_names(bh_str header, bh_str *names, size_t max, size_t *ret_count)
{
    struct bh_header_iter it = bh_header_iter_make(header, SIZE_MAX, SIZE_MAX);
    struct bh_header_field field;
    size_t counts[USUAL_COUNT] = {0};
    size_t count = 0;
    bh_err err;

    while ((err = bh_header_next(&it, &field)) == BH_MORE)
        for (size_t i = 0; i < USUAL_COUNT; i++)
            counts[i] += bh_str_eq_ci(field.name, bh_str_c(usual[i].name));
    if (err != BH_DONE)
        return err;
    for (size_t i = 0; i < USUAL_COUNT; i++) {
        for (size_t k = 0; k < counts[i] + usual[i].oversign; k++) {
            if (count == max)
                return BH_E_LIMIT;
            names[count++] = bh_str_c(usual[i].name);
        }
    }
    *ret_count = count;
    return BH_OK;
}
