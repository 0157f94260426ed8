/* mta_sts.c: see mta_sts.h. */
#include "mta_sts.h"

const char *bh_sts_mode_name(enum bh_sts_mode mode)
{
    static const char *const names[] = {"none", "testing", "enforce"};

    return names[mode];
}

static bool is_id(bh_str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!bh_is_alnum(id.p[i]))
            return false;
    return id.n >= 1 && id.n <= BH_STS_ID_MAX;
}

bool bh_sts_record_read(bh_str text, bh_str *ret_id)
{
    bh_str rest, value, id = {NULL, 0}, first = bh_str_trim(bh_str_cut(text, ';', &rest));

    if (!bh_str_eq(first, BH_STR("v=STSv1")))
        return false;
    while (rest.n) {
        bh_str name = bh_str_trim(bh_str_cut(bh_str_cut(rest, ';', &rest), '=', &value));

        if (!id.p && bh_str_eq(name, BH_STR("id")))
            id = bh_str_trim(value);
    }
    if (!is_id(id))
        return false;
    *ret_id = id;
    return true;
}

/* "mail.example.com" or "*.example.com". */
static bool is_pattern(bh_str pattern)
{
    if (bh_str_starts(pattern, BH_STR("*.")))
        pattern = bh_str_skip(pattern, 2);
    if (!pattern.n || pattern.n > 253)
        return false;
    for (size_t i = 0; i < pattern.n; i++)
        if (!bh_is_alnum(pattern.p[i]) && pattern.p[i] != '-' && pattern.p[i] != '.' && pattern.p[i] != '_')
            return false;
    return true;
}

/* Which keys were there. */
struct seen {
    bool version, mode, max_age;
};

static bh_err read_mode(bh_str value, struct bh_sts_policy *policy, struct seen *seen)
{
    for (int mode = BH_STS_NONE; mode <= BH_STS_ENFORCE; mode++) {
        if (bh_str_eq(value, bh_str_c(bh_sts_mode_name((enum bh_sts_mode)mode)))) {
            policy->mode = (enum bh_sts_mode)mode;
            seen->mode = true;
            return BH_OK;
        }
    }
    return BH_E_SYNTAX;
}

static bh_err read_max_age(bh_str value, struct bh_sts_policy *policy, struct seen *seen)
{
    uint64_t seconds;

    if (value.n > 10 || bh_str_to_u64(value, 9999999999, &seconds))
        return BH_E_SYNTAX;
    policy->max_age_s = (uint32_t)(seconds < BH_STS_AGE_MAX_S ? seconds : BH_STS_AGE_MAX_S);
    seen->max_age = true;
    return BH_OK;
}

static bh_err read_mx(bh_str value, struct bh_sts_policy *policy)
{
    if (!is_pattern(value))
        return BH_E_SYNTAX;
    if (policy->mx_count == BH_STS_MX_MAX)
        return BH_E_LIMIT;
    policy->mx[policy->mx_count++] = value;
    return BH_OK;
}

/* Of a key that is given twice the first counts, but for mx (3.2). */
static bh_err read_line(bh_str name, bh_str value, struct bh_sts_policy *policy, struct seen *seen)
{
    if (bh_str_eq(name, BH_STR("version")) && !seen->version) {
        seen->version = true;
        return bh_str_eq(value, BH_STR("STSv1")) ? BH_OK : BH_E_SYNTAX;
    }
    if (bh_str_eq(name, BH_STR("mode")) && !seen->mode)
        return read_mode(value, policy, seen);
    if (bh_str_eq(name, BH_STR("max_age")) && !seen->max_age)
        return read_max_age(value, policy, seen);
    return bh_str_eq(name, BH_STR("mx")) ? read_mx(value, policy) : BH_OK;
}

bh_err bh_sts_policy_read(bh_str text, struct bh_sts_policy *ret_policy)
{
    struct bh_sts_policy policy = {0};
    struct seen seen = {0};
    bh_err err = text.n > BH_STS_POLICY_MAX ? BH_E_LIMIT : BH_OK;

    while (text.n && !err) {
        bh_str value, line = bh_str_cut(text, '\n', &text);
        bh_str name = bh_str_trim(bh_str_cut(line, ':', &value));

        if (bh_str_ends(value, BH_STR("\r")))
            value.n--;
        err = read_line(name, bh_str_trim(value), &policy, &seen);
    }
    if (!err && (!seen.version || !seen.mode || !seen.max_age || (policy.mode != BH_STS_NONE && !policy.mx_count)))
        err = BH_E_SYNTAX;
    if (!err)
        *ret_policy = policy;
    return err;
}

bool bh_sts_policy_allows(const struct bh_sts_policy *policy, bh_str host)
{
    if (bh_str_ends(host, BH_STR(".")))
        host.n--;
    for (size_t i = 0; i < policy->mx_count; i++) {
        bh_str pattern = policy->mx[i];
        size_t dot = bh_str_find(host, '.');

        if (bh_str_starts(pattern, BH_STR("*."))) {
            if (dot > 0 && dot < host.n && bh_str_eq_ci(bh_str_skip(host, dot), bh_str_skip(pattern, 1)))
                return true;
        } else if (bh_str_eq_ci(pattern, host)) {
            return true;
        }
    }
    return false;
}
