/* spf_ptr.c: the client's validated names (RFC 7208 5.5): its PTR names that have its address. At most ten are tried;
 * more are ignored, not an error, since the client's owner and not the domain's chooses how many there are. */
#include "spf_internal.h"

enum { MAX_NAMES = 10 }; /* RFC 7208 4.6.4 */

static void go_on(struct bh_spf_check *check)
{
    check->validated_known = true;
    check->step = check->after_validation;
}

static void on_address(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    bh_str rest;
    bh_str name = bh_str_cut(bh_str_skip(bh_buf_view(&check->names), check->name_at), '\0', &rest);

    if (answer->status != BH_DNS_FOUND)
        return; /* RFC 7208 5.5: an error skips the name */
    for (size_t i = 0; i < answer->count; i++) {
        bh_str rdata = answer->records[i].rdata;

        if (bh_str_eq(rdata, bh_str_of((const char *)check->request.ip.bytes, check->request.ip.n))) {
            bh_spf_trace(check, "the client's name %.*s is validated", BH_FMT(name));
            bh_buf_add(&check->validated, name);
            bh_buf_char(&check->validated, '\0');
            return;
        }
    }
}

static void step_next_name(struct bh_spf_check *check)
{
    bh_str name = bh_spf_next_name(check);

    if (name.p)
        bh_spf_ask(check, name, bh_spf_address_type(check), on_address);
    else
        go_on(check);
}

static void collect(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    bh_buf_clear(&check->names);
    check->names_at = 0;
    for (size_t i = 0; answer->status == BH_DNS_FOUND && i < answer->count && i < MAX_NAMES; i++) {
        size_t start = check->names.n;

        if (bh_domain_from_wire(answer->records[i].rdata, &check->names) || check->names.n == start ||
            memchr(check->names.p + start, '\0', check->names.n - start))
            bh_buf_truncate(&check->names, start);
        else
            bh_buf_char(&check->names, '\0');
    }
    if (bh_buf_err(&check->names)) /* does not happen: ten names fit */
        bh_buf_clear(&check->names);
}

static void on_ptr(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    check->step = step_next_name;
    collect(check, answer);
    if (answer->status != BH_DNS_FOUND)
        bh_spf_trace(check, "the client has no name in DNS");
}

static void on_counted_ptr(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    if (!bh_spf_count_void(check, answer, BH_STR("the client's address")))
        on_ptr(check, answer);
}

void bh_spf_validate(struct bh_spf_check *check, void (*after)(struct bh_spf_check *check), bool count)
{
    char name[BH_IP_REVERSE_MAX];

    check->after_validation = after;
    check->step = after;
    if (check->validated_known)
        return;
    bh_spf_ask(check, bh_str_of(name, bh_ip_reverse_name(&check->request.ip, name)), BH_DNS_PTR,
               count ? on_counted_ptr : on_ptr);
}

/* The first validated name that is `domain` (level 2), below it (level 1), or any (level 0). */
static bh_str find_validated(const struct bh_spf_check *check, bh_str domain, int level)
{
    bh_str rest = bh_buf_view(&check->validated);

    while (rest.n) {
        bh_str name = bh_str_cut(rest, '\0', &rest);

        if (level == 0 || (level == 1 ? bh_str_is_at_or_below(name, domain) : bh_domain_eq(name, domain)))
            return name;
    }
    return (bh_str){NULL, 0};
}

bool bh_spf_has_validated(const struct bh_spf_check *check, bh_str domain)
{
    return find_validated(check, bh_domain_no_dot(domain), 1).p != NULL;
}

bh_str bh_spf_validated_name(const struct bh_spf_check *check, bh_str domain)
{
    for (int level = 2; level >= 0; level--) {
        bh_str name = find_validated(check, domain, level);

        if (name.p)
            return name;
    }
    return BH_STR("unknown");
}
