/* connect.h: Domain Connect (domainconnect.org, version 2): what a DNS provider says of itself, and the link by which a
 * customer applies one of our templates (data/domain-connect/) at his provider. The synchronous flow, signed: the query
 * string by RSA-SHA256, its public key in TXT records of the platform domain. What the provider then did is found out
 * by the domain's checks alone. */
#ifndef BH_DOMAIN_CONNECT_H
#define BH_DOMAIN_CONNECT_H

#include "approach.h"

enum { BH_CONNECT_SETTINGS_MAX = 64 * 1024, BH_CONNECT_VARIABLES_MAX = 4, BH_CONNECT_TEXTS_MAX = 4 };

/* Views in the arena; an empty one was not given. URLs are https. */
struct bh_connect_settings {
    bh_str provider_id;
    bh_str provider_name;
    bh_str url_sync;
    bh_str url_api;
    bh_str url_control_panel;
};

/* True for what a _domainconnect TXT record holds: host, port and path, https:// left out. */
bool bh_connect_is_prefix(bh_str text);

/* The answer of /v2/DOMAIN/settings. BH_E_SYNTAX: no such answer; BH_E_LIMIT, BH_E_NOMEM. */
BH_MUST bh_err bh_connect_settings_read(struct bh_arena *arena, bh_str json, struct bh_connect_settings *ret_settings);

/* Which template a domain needs, where, and with which values. */
struct bh_connect_plan {
    const char *service; /* "cname", "delegation", "manual", "dmarc"; static */
    bh_str domain;       /* the zone */
    bh_str host;         /* below it; empty: the zone itself */
    struct {
        const char *name;
        bh_str value;
    } variables[BH_CONNECT_VARIABLES_MAX];
    size_t variable_count;
    const char *groups; /* of the template's records; NULL: all */
};

/* BH_E_UNSUPPORTED: no template does that, *ret_why says why (static). BH_E_NOMEM. */
BH_MUST bh_err bh_connect_plan(struct bh_arena *arena, const struct bh_platform *platform,
                               const struct bh_domain_view *view, bh_str apex, struct bh_connect_plan *ret_plan,
                               const char **ret_why);

/* The query string that is signed. In the arena; p == NULL without memory. */
bh_str bh_connect_query(struct bh_arena *arena, const struct bh_connect_plan *plan);
/* The link. `key` is the host of the public key below the platform domain, `signature` the bytes. */
bh_str bh_connect_url(struct bh_arena *arena, bh_str url_sync, const struct bh_platform *platform,
                      const struct bh_connect_plan *plan, bh_str query, bh_str key, bh_str signature);
/* TXT records of a public key (SubjectPublicKeyInfo in base64): "p=1,a=RS256,d=…", at most
 * BH_CONNECT_TEXTS_MAX; returns how many. 0 without memory, or when the key is too long. */
size_t bh_connect_key_texts(struct bh_arena *arena, bh_str public_b64, bh_str *ret_texts);

#endif
