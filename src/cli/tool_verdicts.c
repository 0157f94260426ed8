/* tool_verdicts.c: see tool_verdicts.h. */
#include "tool_verdicts.h"
#include "tool_options.h"

static void set_text(json_t *json, const char *key, bh_str text)
{
    (void)json_object_set_new(json, key, bh_tool_json(text));
}

json_t *bh_tool_spf_json(const struct bh_spf_outcome *outcome)
{
    json_t *json = json_object();

    (void)json_object_set_new(json, "result", json_string(bh_spf_result_name(outcome->result)));
    set_text(json, "explanation", outcome->explanation);
    set_text(json, "domain", outcome->domain);
    (void)json_object_set_new(json, "identity", json_string(outcome->is_helo ? "helo" : "mailfrom"));
    set_text(json, "reason", outcome->reason);
    set_text(json, "mechanism", outcome->mechanism);
    (void)json_object_set_new(json, "terms", json_integer(outcome->terms));
    (void)json_object_set_new(json, "void_lookups", json_integer(outcome->voids));
    (void)json_object_set_new(json, "queries", json_integer(outcome->queries));
    (void)json_object_set_new(json, "trace", bh_tool_json_lines(outcome->trace));
    return json;
}

static json_t *text_or_null(bh_str text)
{
    return text.n ? bh_tool_json(text) : json_null();
}

static json_t *alignment_json(const struct bh_dmarc_outcome *outcome)
{
    json_t *json = json_object();

    (void)json_object_set_new(json, "spf", json_boolean(outcome->spf_alignment != BH_DMARC_UNALIGNED));
    (void)json_object_set_new(json, "dkim", json_boolean(outcome->dkim_alignment != BH_DMARC_UNALIGNED));
    return json;
}

static const char *alignment_name(enum bh_dmarc_alignment alignment)
{
    return alignment == BH_DMARC_STRICT ? "strict" : alignment == BH_DMARC_RELAXED ? "relaxed" : "none";
}

json_t *bh_tool_dmarc_json(const struct bh_dmarc_outcome *outcome)
{
    json_t *json = json_object();
    bool has_record = outcome->record_domain.n > 0;

    (void)json_object_set_new(json, "result", json_string(bh_dmarc_result_name(outcome->result)));
    (void)json_object_set_new(json, "policy",
                              has_record ? json_string(bh_dmarc_policy_name(outcome->policy)) : json_null());
    (void)json_object_set_new(json, "record_domain", text_or_null(outcome->record_domain));
    (void)json_object_set_new(json, "org_domain", text_or_null(outcome->org_domain));
    (void)json_object_set_new(json, "alignment", alignment_json(outcome));
    (void)json_object_set_new(json, "disposition", json_string(bh_dmarc_policy_name(outcome->disposition)));
    set_text(json, "reason", outcome->reason);
    set_text(json, "header_from", outcome->header_from);
    (void)json_object_set_new(json, "policy_tag", json_string(outcome->policy_tag));
    (void)json_object_set_new(json, "testing", json_boolean(outcome->testing));
    (void)json_object_set_new(json, "spf_alignment", json_string(alignment_name(outcome->spf_alignment)));
    (void)json_object_set_new(json, "dkim_alignment", json_string(alignment_name(outcome->dkim_alignment)));
    (void)json_object_set_new(json, "dkim_domain", text_or_null(outcome->dkim_domain));
    (void)json_object_set_new(json, "record", text_or_null(outcome->record_text));
    (void)json_object_set_new(json, "queries", json_integer(outcome->queries));
    (void)json_object_set_new(json, "trace", bh_tool_json_lines(outcome->trace));
    if (outcome->psl) {
        (void)json_object_set_new(json, "psl", bh_tool_dmarc_json(outcome->psl));
        (void)json_object_set_new(json, "differences", bh_tool_json_lines(outcome->differences));
    }
    return json;
}
