/* feedback.c: see feedback.h. */
#include "feedback.h"
#include "lines.h"
#include "report.h"

struct text_field {
    const char *name;
    bh_str *value;
};

static bool take_text(bh_str name, bh_str value, const struct text_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!bh_str_eq_ci(name, bh_str_c(fields[i].name)))
            continue;
        if (fields[i].value->n == 0)
            *fields[i].value = value;
        return true;
    }
    return false;
}

static bool names_recipient(bh_str name)
{
    return bh_str_eq_ci(name, BH_STR("Original-Rcpt-To")) || bh_str_eq_ci(name, BH_STR("Removal-Recipient")) ||
           bh_str_eq_ci(name, BH_STR("Original-Recipient")) || bh_str_eq_ci(name, BH_STR("Redacted-Address"));
}

static bh_err take_recipient(struct bh_arena *arena, bh_str value, bh_str *recipients, size_t *count)
{
    bh_str address;
    bh_err err;

    if (*count == BH_FEEDBACK_RECIPIENTS_MAX)
        return BH_OK;
    err = bh_report_address(arena, value, &address);
    for (size_t i = 0; i < *count && !err; i++)
        if (bh_str_eq_ci(recipients[i], address))
            return BH_OK;
    if (!err && address.n)
        recipients[(*count)++] = address;
    return err;
}

/* The envelope address of "<a@b>"; what is none stays out. */
static bh_err clean_mail_from(struct bh_arena *arena, struct bh_feedback *feedback)
{
    bh_str raw = feedback->mail_from;

    return raw.n ? bh_report_address(arena, raw, &feedback->mail_from) : BH_OK;
}

bh_err bh_feedback_read(struct bh_arena *arena, bh_str text, struct bh_feedback *ret_feedback)
{
    bh_str *recipients = bh_arena_array(arena, BH_FEEDBACK_RECIPIENTS_MAX, sizeof(*recipients));
    struct bh_feedback *f = ret_feedback;
    bh_str incidents = {NULL, 0}, line, name, value, version = {NULL, 0};
    const struct text_field fields[] = {{"Feedback-Type", &f->type},
                                        {"User-Agent", &f->user_agent},
                                        {"Source-IP", &f->source_ip},
                                        {"Original-Mail-From", &f->mail_from},
                                        {"Original-Envelope-Id", &f->envelope_id},
                                        {"Reported-Domain", &f->reported_domain},
                                        {"Arrival-Date", &f->arrival_date},
                                        {"Received-Date", &f->arrival_date},
                                        {"Auth-Failure", &f->auth_failure},
                                        {"Delivery-Result", &f->delivery_result},
                                        {"DKIM-Domain", &f->dkim_domain},
                                        {"DKIM-Selector", &f->dkim_selector},
                                        {"Incidents", &incidents},
                                        {"Version", &version}};
    bh_err err = BH_OK;

    if (!recipients)
        return BH_E_NOMEM;
    *f = (struct bh_feedback){.recipients = recipients, .incidents = 1};
    while (!err && bh_next_line(&text, &line)) {
        name = bh_field_name(line, &value);
        if (name.n && !take_text(name, value, fields, sizeof(fields) / sizeof(*fields)) && names_recipient(name))
            err = take_recipient(arena, value, recipients, &f->recipient_count);
    }
    if (!err)
        err = clean_mail_from(arena, f);
    if (incidents.n && bh_str_to_u64(incidents, UINT32_MAX, &f->incidents))
        f->incidents = 1;
    f->source_ip = bh_str_trim(bh_str_cut(f->source_ip, ' ', &line)); /* some add a name in a comment */
    f->type = f->type.n ? bh_str_lower(arena, f->type) : BH_STR("abuse");
    f->is_failure_report = bh_str_starts(f->type, BH_STR("auth-failure"));
    return err || !f->type.p ? BH_E_NOMEM : BH_OK;
}
