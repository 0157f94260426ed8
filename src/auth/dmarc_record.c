/* dmarc_record.c: DMARC records and reporting URIs (RFC 9989 4.6 to 4.8).
 *
 * The formal grammar is strict about `v` and forgiving behind it: a tag that cannot be read is as if it were not
 * there. Tag names and values are ABNF strings and so ignore case; only "DMARC1" does not. */
#include "dmarc_tags.h"
#include "domain.h"
#include <behalf/dmarc.h>

const char *bh_dmarc_policy_name(enum bh_dmarc_policy policy)
{
    static const char *const names[] = {"none", "quarantine", "reject"};

    return names[policy];
}

bool bh_dmarc_tag_next(bh_str *rest, struct bh_dmarc_tag *ret_tag)
{
    bh_str part;

    if (!rest->p)
        return false;
    part = bh_str_cut(*rest, ';', rest);
    ret_tag->text = bh_str_trim(part);
    ret_tag->name = bh_str_trim(bh_str_cut(part, '=', &ret_tag->value));
    ret_tag->has_value = ret_tag->value.p != NULL;
    ret_tag->value = bh_str_trim(ret_tag->value);
    return true;
}

bool bh_dmarc_is_record(bh_str text)
{
    struct bh_dmarc_tag tag;
    bh_str rest = text;

    if (!text.n || bh_is_wsp(text.p[0]) || !bh_dmarc_tag_next(&rest, &tag))
        return false;
    return bh_str_eq_ci(tag.name, BH_STR("v")) && bh_str_eq(tag.value, BH_STR("DMARC1"));
}

static void read_policy(bh_str value, struct bh_dmarc_policy_tag *tag)
{
    if (tag->state != BH_DMARC_TAG_ABSENT)
        return;
    tag->state = BH_DMARC_TAG_INVALID;
    for (int i = BH_DMARC_POLICY_NONE; i <= BH_DMARC_POLICY_REJECT; i++)
        if (bh_str_eq_ci(value, bh_str_c(bh_dmarc_policy_name((enum bh_dmarc_policy)i)))) {
            tag->state = BH_DMARC_TAG_VALID;
            tag->policy = (enum bh_dmarc_policy)i;
        }
}

bh_err bh_dmarc_fo_parse(bh_str value, uint8_t *ret_fo)
{
    uint8_t fo = 0;

    while (value.p) {
        bh_str item = bh_str_trim(bh_str_cut(value, ':', &value));
        const char *at = item.n == 1 ? memchr("01ds", bh_to_lower(item.p[0]), 4) : NULL;

        if (!at)
            return BH_E_SYNTAX;
        fo |= (uint8_t)(1U << (at - "01ds"));
    }
    *ret_fo = fo;
    return BH_OK;
}

static bool is_letter(bh_str value, char lower)
{
    return value.n == 1 && bh_to_lower(value.p[0]) == lower;
}

static void read_tag(const struct bh_dmarc_tag *tag, struct bh_dmarc_record *record)
{
    uint64_t pct;

    if (bh_str_eq_ci(tag->name, BH_STR("p"))) {
        read_policy(tag->value, &record->p);
    } else if (bh_str_eq_ci(tag->name, BH_STR("sp"))) {
        read_policy(tag->value, &record->sp);
    } else if (bh_str_eq_ci(tag->name, BH_STR("np"))) {
        read_policy(tag->value, &record->np);
    } else if (bh_str_eq_ci(tag->name, BH_STR("adkim"))) {
        record->strict_dkim = is_letter(tag->value, 's');
    } else if (bh_str_eq_ci(tag->name, BH_STR("aspf"))) {
        record->strict_spf = is_letter(tag->value, 's');
    } else if (bh_str_eq_ci(tag->name, BH_STR("t"))) {
        record->testing = is_letter(tag->value, 'y');
    } else if (bh_str_eq_ci(tag->name, BH_STR("psd"))) {
        record->psd = is_letter(tag->value, 'y') ? 'y' : is_letter(tag->value, 'n') ? 'n' : 'u';
    } else if (bh_str_eq_ci(tag->name, BH_STR("fo"))) {
        if (bh_dmarc_fo_parse(tag->value, &record->fo))
            record->fo = BH_DMARC_FO_ALL;
    } else if (bh_str_eq_ci(tag->name, BH_STR("pct"))) {
        if (!bh_str_to_u64(tag->value, 100, &pct))
            record->pct = (uint8_t)pct;
    } else if (bh_str_eq_ci(tag->name, BH_STR("rua"))) {
        record->rua = tag->value;
    } else if (bh_str_eq_ci(tag->name, BH_STR("ruf"))) {
        record->ruf = tag->value;
    }
}

bh_err bh_dmarc_record_parse(bh_str text, struct bh_dmarc_record *ret_record)
{
    struct bh_dmarc_record record = {.psd = 'u', .fo = BH_DMARC_FO_ALL, .pct = 100};
    struct bh_dmarc_tag tag;

    if (!bh_dmarc_is_record(text))
        return BH_E_SYNTAX;
    while (bh_dmarc_tag_next(&text, &tag))
        if (tag.has_value)
            read_tag(&tag, &record);
    *ret_record = record;
    return BH_OK;
}

/* ---- URIs (RFC 3986, as far as a report needs them) ---- */

/* "!10m" at the end is obsolete and ignored (RFC 9989 4.8). */
static bh_str without_size(bh_str uri)
{
    size_t at = bh_str_rfind(uri, '!');
    bh_str size = bh_str_skip(uri, at + 1);

    if (at == uri.n || !size.n)
        return uri;
    if (bh_is_alpha(size.p[size.n - 1]))
        size.n--;
    for (size_t i = 0; i < size.n; i++)
        if (!bh_is_digit(size.p[i]))
            return uri;
    return size.n ? bh_str_sub(uri, 0, at) : uri;
}

static bool is_scheme(bh_str scheme)
{
    for (size_t i = 0; i < scheme.n; i++)
        if (!bh_is_alnum(scheme.p[i]) && !memchr("+-.", scheme.p[i], 3))
            return false;
    return scheme.n && bh_is_alpha(scheme.p[0]);
}

static bool is_uri_text(bh_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~' || memchr("\"<>\\^`{|}!,", text.p[i], 11))
            return false;
    return text.n > 0;
}

/* mailto:local@domain[?…] or scheme://[user@]host[:port][/…] */
static bh_str uri_host(bh_str scheme, bh_str rest)
{
    size_t end;

    if (bh_str_eq_ci(scheme, BH_STR("mailto"))) {
        bh_str address = bh_str_sub(rest, 0, bh_str_find(rest, '?'));
        size_t at = bh_str_rfind(address, '@');

        return at && at < address.n ? bh_str_skip(address, at + 1) : (bh_str){NULL, 0};
    }
    if (!bh_str_starts(rest, BH_STR("//")))
        return (bh_str){NULL, 0};
    rest = bh_str_skip(rest, 2);
    for (end = 0; end < rest.n && !memchr("/?#", rest.p[end], 3); end++)
        ;
    rest = bh_str_sub(rest, 0, end);
    rest = bh_str_skip(rest, bh_str_rfind(rest, '@') < rest.n ? bh_str_rfind(rest, '@') + 1 : 0);
    return bh_str_sub(rest, 0, bh_str_find(rest, ':'));
}

bh_err bh_dmarc_uri_parse(bh_str text, struct bh_dmarc_uri *ret_uri)
{
    struct bh_dmarc_uri uri = {.text = without_size(bh_str_trim(text))};
    bh_str rest;

    uri.scheme = bh_str_cut(uri.text, ':', &rest);
    uri.host = uri_host(uri.scheme, rest);
    if (!rest.p || !is_scheme(uri.scheme) || !is_uri_text(uri.text) || !bh_domain_valid(uri.host))
        return BH_E_SYNTAX;
    *ret_uri = uri;
    return BH_OK;
}

bool bh_dmarc_uri_next(bh_str *rest, struct bh_dmarc_uri *ret_uri)
{
    while (rest->p)
        if (!bh_dmarc_uri_parse(bh_str_cut(*rest, ',', rest), ret_uri))
            return true;
    return false;
}
