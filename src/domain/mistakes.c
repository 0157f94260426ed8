/* mistakes.c: naming what is wrong with a record, in a sentence that a customer can act on. Each mistake that people
 * make when they copy records into a provider's form has a name of its own; "missing" is said when none fits. */
#include "change.h"
#include "check_internal.h"

static bh_str host_of(const struct bh_check_context *context, const struct bh_required_record *record)
{
    bh_str apex = context->apex.n ? context->apex : bh_domain_registrable(context->view->domain.name);

    return bh_host_as_typed(record->name, apex);
}

static bh_str type_text(struct bh_check_context *context, uint16_t type)
{
    struct bh_buf text = bh_buf_make(32);
    bh_str copy;

    bh_dns_type_print(&text, type);
    copy = bh_arena_dup(context->arena, bh_buf_view(&text));
    bh_buf_free(&text);
    return copy;
}

static void set_problem(struct bh_record_check *check, const char *code, bh_str detail, bh_str fix)
{
    check->problem = (struct bh_problem){code, detail, fix};
}

/* "Create a CNAME record with the host `bounce` and the value `…`." */
static bh_str create_sentence(struct bh_check_context *context, const struct bh_required_record *record)
{
    bh_str type = type_text(context, record->type);

    return bh_arena_printf(context->arena, "Create a record of type %.*s with the host %.*s and the value %.*s",
                           BH_FMT(type), BH_FMT(host_of(context, record)), BH_FMT(record->value));
}

bool bh_check_is_asked_for(const struct bh_check_context *context, const struct bh_required_record *record,
                           bh_str value)
{
    for (size_t i = 0; i < context->records->count; i++) {
        const struct bh_required_record *other = &context->records->records[i];

        if (other->type == record->type && bh_str_eq_ci(other->name, record->name) && bh_str_eq_ci(other->value, value))
            return true;
    }
    return false;
}

void bh_mistake_unknown(struct bh_check_context *context, const struct bh_required_record *record,
                        const struct bh_seen *seen, struct bh_record_check *check)
{
    bh_str why = seen && seen->why.n ? seen->why : BH_STR("not asked yet");
    bool is_lame = bh_str_search(why, BH_STR("REFUSED")) < why.n || bh_str_search(why, BH_STR("SERVFAIL")) < why.n;

    if (is_lame) {
        set_problem(check, "lame_delegation",
                    bh_arena_printf(context->arena, "The name servers that %.*s is delegated to do not serve it: %.*s",
                                    BH_FMT(record->name), BH_FMT(why)),
                    BH_STR("Make the zone at the DNS provider that runs them, or delegate to the one that has it"));
        return;
    }
    set_problem(check, "unknown",
                bh_arena_printf(context->arena, "The name servers for %.*s did not answer: %.*s", BH_FMT(record->name),
                                BH_FMT(why)),
                BH_STR("Nothing to do yet: it is asked again by itself."));
}

static const struct bh_seen *found_at(struct bh_check_context *context, bh_str name, uint16_t type)
{
    const struct bh_seen *seen = name.p ? bh_check_seen(context->seen, context->seen_count, name, type, true) : NULL;

    return seen && seen->status == BH_DNS_FOUND && seen->count ? seen : NULL;
}

static bool is_doubled(struct bh_check_context *context, const struct bh_required_record *record,
                       struct bh_record_check *check)
{
    bh_str doubled = bh_arena_printf(context->arena, "%.*s.%.*s", BH_FMT(record->name), BH_FMT(context->apex));

    if (!context->apex.n || !found_at(context, doubled, record->type))
        return false;
    set_problem(check, "doubled_domain",
                bh_arena_printf(context->arena, "The record was found at %.*s: the provider adds the domain by itself",
                                BH_FMT(doubled)),
                bh_arena_printf(context->arena, "Enter only %.*s as the host", BH_FMT(host_of(context, record))));
    return true;
}

static bool lost_underscore(struct bh_check_context *context, const struct bh_required_record *record,
                            struct bh_record_check *check)
{
    size_t at = bh_str_search(record->name, BH_STR("._domainkey."));
    bh_str without;

    if (at == record->name.n)
        return false;
    without = bh_arena_printf(context->arena, "%.*s.%.*s", BH_FMT(bh_str_sub(record->name, 0, at)),
                              BH_FMT(bh_str_skip(record->name, at + 2)));
    if (!found_at(context, without, record->type))
        return false;
    set_problem(
        check, "missing_underscore",
        bh_arena_printf(context->arena, "The record was found at %.*s: the underscore is missing", BH_FMT(without)),
        bh_arena_printf(context->arena, "Enter %.*s as the host, with the underscore",
                        BH_FMT(host_of(context, record))));
    return true;
}

/* A CNAME was wanted and a TXT is there: the target pasted as text, or a provider that replaced the CNAME by what it
 * leads to. */
static bool is_other_type(struct bh_check_context *context, const struct bh_required_record *record,
                          struct bh_record_check *check)
{
    const struct bh_seen *seen = record->type == BH_DNS_CNAME ? found_at(context, record->name, BH_DNS_TXT) : NULL;
    bh_str text, target = bh_str_sub(record->value, 0, record->value.n - 1);

    if (!seen)
        return false;
    text = bh_txt_joined(context->arena, seen->rdatas[0]);
    if (text.n && text.p[text.n - 1] == '.')
        text.n--;
    if (bh_str_eq_ci(text, target))
        set_problem(check, "wrong_type",
                    bh_arena_printf(context->arena, "There is a TXT record with the target's name at %.*s",
                                    BH_FMT(record->name)),
                    BH_STR("Delete it and create a record of type CNAME with the same host and value"));
    else
        set_problem(
            check, "flattened",
            bh_arena_printf(context->arena, "There is a TXT record instead of a CNAME at %.*s", BH_FMT(record->name)),
            BH_STR("Replace it by the CNAME, and switch off flattening at the provider: a copy goes stale "
                   "when keys are exchanged"));
    check->found = text;
    check->status = BH_RECORD_WRONG;
    return true;
}

size_t bh_wrong_parents(struct bh_arena *arena, bh_str name, bh_str domain, bh_str *ret_names)
{
    bh_str organisational = bh_domain_registrable(domain);
    bh_str prefix = name.n > domain.n ? bh_str_sub(name, 0, name.n - domain.n) : (bh_str){"", 0}; /* with its dot */
    size_t count = 0;

    if (!prefix.n || !bh_str_ends_ci(name, domain))
        return 0;
    ret_names[count++] = bh_arena_printf(arena, "%.*swww.%.*s", BH_FMT(prefix), BH_FMT(domain));
    if (!bh_str_eq_ci(organisational, domain))
        ret_names[count++] = bh_arena_printf(arena, "%.*s%.*s", BH_FMT(prefix), BH_FMT(organisational));
    return count;
}

static bool has_value(struct bh_check_context *context, const struct bh_required_record *record,
                      const struct bh_seen *seen)
{
    bool same = false;

    for (size_t i = 0; i < seen->count && !same; i++) {
        struct bh_buf text = bh_buf_make(70000);

        if (seen->type == BH_DNS_TXT)
            bh_buf_add(&text, bh_txt_joined(context->arena, seen->rdatas[i]));
        else
            bh_dns_rdata_print(&text, seen->type, seen->rdatas[i]);
        same = bh_str_eq_ci(bh_buf_view(&text), record->value);
        bh_buf_free(&text);
    }
    return same;
}

/* Only with our value: another record of the same label may stand there rightly. */
static bool is_elsewhere(struct bh_check_context *context, const struct bh_required_record *record,
                         struct bh_record_check *check)
{
    bh_str parents[BH_WRONG_PARENTS];
    size_t count = bh_wrong_parents(context->arena, record->name, context->view->domain.name, parents);

    for (size_t i = 0; i < count; i++) {
        const struct bh_seen *seen = found_at(context, parents[i], record->type);

        if (!seen || !has_value(context, record, seen))
            continue;
        set_problem(
            check, "wrong_parent",
            bh_arena_printf(context->arena, "The record was found at %.*s: that is another name", BH_FMT(parents[i])),
            bh_arena_printf(context->arena, "Enter %.*s as the host, in the zone %.*s",
                            BH_FMT(host_of(context, record)), BH_FMT(context->apex)));
        return true;
    }
    return false;
}

/* Addresses where a CNAME should be: the provider answers with its own proxy, or with what the CNAME leads to. */
static bool is_proxied(struct bh_check_context *context, const struct bh_required_record *record,
                       struct bh_record_check *check)
{
    const struct bh_seen *seen = record->type == BH_DNS_CNAME ? found_at(context, record->name, BH_DNS_A) : NULL;
    struct bh_buf address = bh_buf_make(64);

    if (!seen)
        return false;
    bh_dns_rdata_print(&address, BH_DNS_A, seen->rdatas[0]);
    set_problem(check, "proxied",
                bh_arena_printf(context->arena,
                                "%.*s answers with the address %.*s instead of the CNAME: the DNS "
                                "provider puts its proxy before it",
                                BH_FMT(record->name), BH_FMT(bh_buf_view(&address))),
                BH_STR("Set this record to \"DNS only\" (no proxy), or replace the A record by the CNAME"));
    check->found = bh_arena_dup(context->arena, bh_buf_view(&address));
    check->status = BH_RECORD_WRONG;
    bh_buf_free(&address);
    return true;
}

/* "; the zone customer.example is served by ns1.example, ns2.example": who has entered it elsewhere sees that. */
static bh_str served_by(struct bh_check_context *context)
{
    const struct bh_seen *servers = found_at(context, context->apex, BH_DNS_NS);
    struct bh_buf text = bh_buf_make(2000);
    bh_str copy;

    if (!servers || !context->apex.n)
        return (bh_str){"", 0};
    bh_buf_printf(&text, "; the zone %.*s is served by ", BH_FMT(context->apex));
    for (size_t i = 0; i < servers->count; i++) {
        if (i)
            bh_buf_add(&text, BH_STR(", "));
        bh_dns_rdata_print(&text, BH_DNS_NS, servers->rdatas[i]);
        if (text.n && text.p[text.n - 1] == '.')
            bh_buf_truncate(&text, text.n - 1);
    }
    copy = bh_arena_dup(context->arena, bh_buf_view(&text));
    bh_buf_free(&text);
    return copy;
}

void bh_mistake_missing(struct bh_check_context *context, const struct bh_required_record *record,
                        struct bh_record_check *check)
{
    bh_str type, servers;

    if (is_doubled(context, record, check) || lost_underscore(context, record, check) ||
        is_other_type(context, record, check) || is_proxied(context, record, check) ||
        is_elsewhere(context, record, check))
        return;
    servers = served_by(context);
    type = type_text(context, record->type);
    set_problem(check, "missing",
                bh_arena_printf(context->arena, "There is no %.*s record at %.*s%.*s", BH_FMT(type),
                                BH_FMT(record->name), BH_FMT(servers)),
                servers.n ? bh_arena_printf(context->arena,
                                            "%.*s; entered at a provider that does not run these name "
                                            "servers it is not seen",
                                            BH_FMT(create_sentence(context, record)))
                          : create_sentence(context, record));
}

void bh_mistake_some_servers(struct bh_check_context *context, const struct bh_required_record *record,
                             const struct bh_seen *seen, struct bh_record_check *check)
{
    if (seen->odd.n && seen->odd_why.n) {
        set_problem(check, "lame_server",
                    bh_arena_printf(context->arena, "The name server %.*s does not answer for %.*s: %.*s",
                                    BH_FMT(seen->odd), BH_FMT(record->name), BH_FMT(seen->odd_why)),
                    BH_STR("Ask the DNS provider to repair it, or delete its NS record at the parent: some receivers "
                           "ask it"));
        return;
    }
    set_problem(check, "some_servers",
                bh_arena_printf(context->arena, "%u of %u name servers have the record at %.*s%s%.*s", seen->agreeing,
                                seen->servers, BH_FMT(record->name), seen->odd.n ? ", not " : "", BH_FMT(seen->odd)),
                BH_STR("Nothing to do if it was changed just now; otherwise ask the provider why its name servers "
                       "differ"));
}

void bh_mistake_wrong_target(struct bh_check_context *context, const struct bh_required_record *record,
                             const struct bh_seen *seen, struct bh_record_check *check)
{
    bh_str target = bh_str_sub(record->value, 0, record->value.n ? record->value.n - 1 : 0);

    (void)seen;
    if (context->apex.n && bh_str_starts_ci(check->found, target) && check->found.n > target.n + 1 &&
        bh_str_starts_ci(bh_str_skip(check->found, target.n + 1), context->apex)) {
        set_problem(check, "relative_target",
                    bh_arena_printf(context->arena, "The target is %.*s: the provider added the domain to it",
                                    BH_FMT(check->found)),
                    bh_arena_printf(context->arena, "Put a final dot behind the value: %.*s", BH_FMT(record->value)));
        return;
    }
    set_problem(check, "wrong_value",
                bh_arena_printf(context->arena, "%.*s has the value %.*s", BH_FMT(record->name), BH_FMT(check->found)),
                bh_arena_printf(context->arena, "Change it to %.*s", BH_FMT(record->value)));
}

/* Others of ours stand there, this one does not. */
void bh_mistake_partial(struct bh_check_context *context, const struct bh_required_record *record,
                        struct bh_record_check *check)
{
    set_problem(check, record->type == BH_DNS_NS ? "partial_delegation" : "partial",
                bh_arena_printf(context->arena, "%.*s has %.*s, but not %.*s", BH_FMT(record->name),
                                BH_FMT(check->found), BH_FMT(record->value)),
                create_sentence(context, record));
}

void bh_mistake_stale(struct bh_check_context *context, struct bh_record_check *check)
{
    (void)context;
    set_problem(check, "stale_cache",
                BH_STR("The records are right, but the resolver still remembers that there were none"),
                BH_STR("Nothing to do: it is seen when that memory expires, within an hour as a rule"));
}

void bh_mistake_strangers(struct bh_check_context *context, const struct bh_required_record *record,
                          struct bh_record_check *check)
{
    bh_str type = type_text(context, record->type);

    set_problem(check, "other_values",
                bh_arena_printf(context->arena, "%.*s has further %.*s records: %.*s", BH_FMT(record->name),
                                BH_FMT(type), BH_FMT(check->found)),
                bh_arena_printf(context->arena, "Delete all %.*s records there but ours", BH_FMT(type)));
}

size_t bh_strange_byte(bh_str text)
{
    size_t at = 0;

    while (at < text.n && text.p[at] >= ' ' && text.p[at] < 127 && text.p[at] != '&' && text.p[at] != '<' &&
           text.p[at] != '>')
        at++;
    return at;
}

void bh_mistake_key(struct bh_check_context *context, const struct bh_required_record *record, size_t keys, bh_str ours,
                    bh_str theirs, bool damaged, struct bh_record_check *check)
{
    size_t strange = bh_strange_byte(check->found);
    bh_str fix = bh_arena_printf(context->arena, "Replace the value at %.*s by %.*s", BH_FMT(host_of(context, record)),
                                 BH_FMT(record->value));

    if (keys > 1)
        set_problem(check, "two_keys", BH_STR("There is more than one key record at this name"),
                    BH_STR("Delete all of them but ours"));
    else if (keys == 0)
        set_problem(check, "not_a_key", BH_STR("The TXT record here is not a DKIM key (it has no p=)"), fix);
    else if (strange < check->found.n)
        set_problem(check, "strange_bytes",
                    bh_arena_printf(context->arena,
                                    "The record has the byte 0x%02x at place %zu, which belongs to no key: %s",
                                    (unsigned char)check->found.p[strange], strange + 1,
                                    (unsigned char)check->found.p[strange] >= 0x80
                                        ? "a curly quote or an invisible character of a word processor"
                                        : "a remainder of HTML or a control character"),
                    fix);
    else if (damaged && bh_str_search(check->found, BH_STR("\\;")) < check->found.n)
        set_problem(check, "escaped_semicolon", BH_STR("The semicolons in the key record have backslashes before them"),
                    BH_STR("Enter the value without backslashes"));
    else if (damaged && bh_str_eq(ours, theirs))
        set_problem(check, "literal_quotes", BH_STR("The key is right but has quotes in it, or backslashes"),
                    BH_STR("Enter the value without quotes: the form adds them by itself"));
    else if (theirs.n == 0)
        set_problem(check, "revoked_key", BH_STR("The key record says that the key is revoked (p= is empty)"), fix);
    else if (theirs.n < ours.n && bh_str_starts(ours, theirs))
        set_problem(check, "truncated_key", BH_STR("The key is cut off: the provider kept only its beginning"),
                    BH_STR("Split the value into strings of at most 255 characters, without blanks between them"));
    else
        set_problem(check, "other_key", BH_STR("Another key stands at this selector"), fix);
}

static bool is_all(bh_str term)
{
    if (term.n && strchr("+-~?", term.p[0]))
        term = bh_str_skip(term, 1);
    return bh_str_eq_ci(term, BH_STR("all")) || bh_str_starts_ci(term, BH_STR("redirect="));
}

/* All SPF records of a name as one: every term once, our include, and the mildest end. */
static bh_str merged_spf(struct bh_check_context *context, const struct bh_required_record *record, bh_str include)
{
    const struct bh_seen *seen = found_at(context, record->name, BH_DNS_TXT);
    bh_str merged = bh_arena_printf(context->arena, "v=spf1 include:%.*s ~all", BH_FMT(include));

    for (size_t i = 0; seen && merged.p && i < seen->count; i++) {
        bh_str rest = bh_txt_joined(context->arena, seen->rdatas[i]);

        if (!rest.p || !bh_str_starts_ci(rest, BH_STR("v=spf1 ")))
            continue;
        (void)bh_str_cut(rest, ' ', &rest);
        while (rest.n && merged.p) {
            bh_str term = bh_str_cut(rest, ' ', &rest);

            if (term.n && !is_all(term))
                merged = bh_spf_with(context->arena, merged, term);
        }
    }
    return merged.p ? merged : (bh_str){"", 0};
}

void bh_mistake_spf(struct bh_check_context *context, const struct bh_required_record *record, size_t found, bh_str spf,
                    bh_str include, struct bh_record_check *check)
{
    bh_str rest;

    if (found == 0) {
        bh_mistake_missing(context, record, check);
    } else if (found > 1) {
        set_problem(check, "two_spf", BH_STR("There is more than one SPF record, so receivers ignore them all"),
                    bh_arena_printf(context->arena, "Delete them and create this one: %.*s",
                                    BH_FMT(merged_spf(context, record, include))));
    } else {
        (void)bh_str_cut(spf, ' ', &rest);
        set_problem(
            check, "spf_without_us", BH_STR("The SPF record does not name our servers"),
            bh_arena_printf(context->arena, "Change it to v=spf1 include:%.*s %.*s", BH_FMT(include), BH_FMT(rest)));
    }
}

void bh_mistake_dmarc(struct bh_check_context *context, const struct bh_required_record *record, bool several,
                      struct bh_record_check *check)
{
    if (several)
        set_problem(
            check, "two_dmarc", BH_STR("There is more than one DMARC record, so receivers ignore them all"),
            bh_arena_printf(context->arena, "Keep one of these and delete the rest: %.*s", BH_FMT(check->found)));
    else
        bh_mistake_missing(context, record, check);
}

void bh_mistake_no_rua(struct bh_check_context *context, const struct bh_required_record *record,
                       struct bh_record_check *check)
{
    set_problem(check, "no_report_address", BH_STR("The DMARC record does not ask for reports to our address"),
                bh_arena_printf(context->arena, "Change the record at %.*s to %.*s", BH_FMT(host_of(context, record)),
                                BH_FMT(record->value)));
}
