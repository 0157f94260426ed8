/* provider.h: DNS providers as data (data/dns-providers): who serves a zone, told by its name servers, and how a record
 * is typed into that provider's form. */
#ifndef BH_DOMAIN_PROVIDER_H
#define BH_DOMAIN_PROVIDER_H

#include "approach.h"

enum { BH_PROVIDERS_MAX = 200, BH_PROVIDER_NS_MAX = 16 };
enum bh_ability { BH_ABILITY_UNKNOWN, BH_ABILITY_NO, BH_ABILITY_YES };
const char *bh_ability_name(enum bh_ability ability); /* "unknown", "no", "yes" */

struct bh_provider {
    bh_str id;                     /* "cloudflare": what --provider takes */
    bh_str name;                   /* "Cloudflare" */
    bh_str ns[BH_PROVIDER_NS_MAX]; /* patterns; * stands for any characters */
    size_t ns_count;
    bool host_absolute; /* the form wants the whole name */
    bh_str apex;        /* the host of the zone itself; "-": the field stays empty */
    bool dot;           /* a host name as the value needs its final dot */
    bool quotes;        /* TXT values are typed in quotes, cut into strings */
    uint32_t txt_max;   /* longest TXT value; 0: not known */
    enum bh_ability ns_subdomain, domain_connect, api;
    bool proxy, flattening; /* what it may do to CNAMEs */
    bool verified;          /* the members above are known, not guessed */
    bh_str note;            /* one sentence, or empty */
};

struct bh_providers {
    struct bh_provider *list;
    size_t count;
};

/* Reads the text of a provider file; views into it. BH_E_SYNTAX with the line in *ret_line; BH_E_LIMIT, BH_E_NOMEM. */
BH_MUST bh_err bh_providers_parse(struct bh_arena *arena, bh_str text, struct bh_providers *ret_providers,
                                  size_t *ret_line);
/* The text of data/dns-providers as it was built in. Static. */
bh_str bh_providers_builtin(void);

/* By id, any case; NULL for none. */
const struct bh_provider *bh_provider_by_id(const struct bh_providers *providers, bh_str id);
/* Whose name servers these are: the one that most of them fit, in *ret_percent; NULL when none fits. */
const struct bh_provider *bh_provider_by_ns(const struct bh_providers *providers, const bh_str *names, size_t count,
                                            unsigned *ret_percent);

/* One record in the words of the provider's form: host, type, value, TTL, each on a line. `value` as in struct
 * bh_required_record. */
void bh_provider_print(struct bh_buf *out, const struct bh_provider *provider, const struct bh_required_record *record,
                       bh_str zone_apex);

#endif
