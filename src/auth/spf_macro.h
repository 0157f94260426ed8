/* spf_macro.h: macro-strings and domain-specs of SPF (RFC 7208 7). Checking needs no values; expanding takes them all
 * from the caller, so that the one that needs DNS (%{p}) is looked up by him before. */
#ifndef BH_AUTH_SPF_MACRO_H
#define BH_AUTH_SPF_MACRO_H

#include "base/buf.h"
#include <behalf/ip.h>

struct bh_spf_macro_values {
    bh_str local_part;
    bh_str sender_domain;
    bh_str domain; /* the <domain> of the record at hand */
    bh_str helo;
    bh_str receiver;       /* %{r}; "unknown" where nobody said */
    bh_str validated_name; /* %{p} */
    struct bh_ip ip;
    bh_time_ms now;
};

/* What a text may hold: RFC 7208 7.2 keeps c, r, t for explanations, and only those hold blanks. */
enum bh_spf_text { BH_SPF_TEXT_TERM, BH_SPF_TEXT_EXPLANATION };

/* A set of macro letters, for "does it use %{p}?". */
static inline uint32_t bh_spf_letter_bit(char lower)
{
    return 1U << (lower - 'a');
}

/* Checks a macro-string (RFC 7208 7.1). *ret_letters gets the macro letters it uses, *ret_problem a constant text on
 * BH_E_SYNTAX. Either may be NULL. */
BH_MUST bh_err bh_spf_macro_check(bh_str text, enum bh_spf_text kind, uint32_t *ret_letters, const char **ret_problem);
/* The same for a domain-spec, which must end in a macro or in "." toplabel (RFC 7208 7.1). */
BH_MUST bh_err bh_spf_domain_spec_check(bh_str text, uint32_t *ret_letters, const char **ret_problem);

/* Appends the expansion of a checked text. The buffer's sticky error tells of too long ones. */
void bh_spf_macro_expand(bh_str text, const struct bh_spf_macro_values *values, struct bh_buf *out);

#endif
