/* mistakes.c: naming what is wrong with a record, in a sentence that a customer can act on. Each mistake that people
 * make when they copy records into a provider's form has a name of its own; "missing" is said when none fits. */
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

void bh_mistake_missing(struct bh_check_context *context, const struct bh_required_record *record,
                        struct bh_record_check *check)
{
    bh_str type;

    if (is_doubled(context, record, check) || lost_underscore(context, record, check) ||
        is_other_type(context, record, check))
        return;
    type = type_text(context, record->type);
    set_problem(check, "missing",
                bh_arena_printf(context->arena, "There is no %.*s record at %.*s", BH_FMT(type), BH_FMT(record->name)),
                create_sentence(context, record));
}

void bh_mistake_some_servers(struct bh_check_context *context, const struct bh_required_record *record,
                             const struct bh_seen *seen, struct bh_record_check *check)
{
    set_problem(check, "some_servers",
                bh_arena_printf(context->arena, "%u of %u name servers have the record at %.*s", seen->agreeing,
                                seen->servers, BH_FMT(record->name)),
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

void bh_mistake_strangers(struct bh_check_context *context, const struct bh_required_record *record,
                          struct bh_record_check *check)
{
    bh_str type = type_text(context, record->type);

    set_problem(check, "other_values",
                bh_arena_printf(context->arena, "%.*s has further %.*s records: %.*s", BH_FMT(record->name),
                                BH_FMT(type), BH_FMT(check->found)),
                bh_arena_printf(context->arena, "Delete all %.*s records there but ours", BH_FMT(type)));
}

void bh_mistake_key(struct bh_check_context *context, const struct bh_required_record *record, size_t keys, bh_str ours,
                    bh_str theirs, bool damaged, struct bh_record_check *check)
{
    bh_str fix = bh_arena_printf(context->arena, "Replace the value at %.*s by %.*s", BH_FMT(host_of(context, record)),
                                 BH_FMT(record->value));

    if (keys > 1)
        set_problem(check, "two_keys", BH_STR("There is more than one key record at this name"),
                    BH_STR("Delete all of them but ours"));
    else if (keys == 0)
        set_problem(check, "not_a_key", BH_STR("The TXT record here is not a DKIM key (it has no p=)"), fix);
    else if (damaged && bh_str_eq(ours, theirs))
        set_problem(check, "damaged_key", BH_STR("The key is right but has quotes or backslashes in it"),
                    BH_STR("Enter the value without quotes and without backslashes before the semicolons"));
    else if (theirs.n == 0)
        set_problem(check, "revoked_key", BH_STR("The key record says that the key is revoked (p= is empty)"), fix);
    else if (theirs.n < ours.n && bh_str_starts(ours, theirs))
        set_problem(check, "truncated_key", BH_STR("The key is cut off: the provider kept only its beginning"),
                    BH_STR("Split the value into strings of at most 255 characters, without blanks between them"));
    else
        set_problem(check, "other_key", BH_STR("Another key stands at this selector"), fix);
}

void bh_mistake_spf(struct bh_check_context *context, const struct bh_required_record *record, size_t found, bh_str spf,
                    bh_str include, struct bh_record_check *check)
{
    bh_str rest;

    if (found == 0) {
        bh_mistake_missing(context, record, check);
    } else if (found > 1) {
        set_problem(check, "two_spf", BH_STR("There is more than one SPF record, so receivers ignore them all"),
                    BH_STR("Merge them into one record"));
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
        set_problem(check, "two_dmarc", BH_STR("There is more than one DMARC record, so receivers ignore them all"),
                    BH_STR("Keep one"));
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
