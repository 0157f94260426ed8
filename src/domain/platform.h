/* platform.h: what all customers share: the platform domain and the addresses behind it, as configured. */
#ifndef BH_DOMAIN_PLATFORM_H
#define BH_DOMAIN_PLATFORM_H

#include "spf_compose.h"
#include "zone.h"

/* "ns1" and its addresses: its names are ns1.<platform> and <T>.ns1.<platform>. */
struct bh_platform_ns {
    bh_str label;
    const bh_str *addresses;
    size_t address_count;
};

/* A host name that is ours to publish, with its addresses. */
struct bh_platform_host {
    bh_str name;
    const bh_str *addresses;
    size_t address_count;
};

struct bh_platform {
    bh_str domain; /* on.esp.example */
    const struct bh_platform_ns *ns;
    size_t ns_count;
    bh_str inbound_host; /* our port 25: MX of the bounce domains */
    const bh_str *inbound_addresses;
    size_t inbound_address_count;
    const bh_str *web_addresses; /* link and image hosts */
    size_t web_address_count;
    const bh_str *egress; /* addresses that mail of the domain at hand leaves from: its SPF lists them */
    size_t egress_count;
    const bh_str *spf_includes; /* names with the same addresses, for when the list is too long for one record */
    size_t spf_include_count;
    const struct bh_platform_host *hosts; /* HELO names of all egress addresses */
    size_t host_count;
    const struct bh_spf_text *texts; /* what those includes lead to */
    size_t text_count;
    bh_str helo;         /* what we say HELO with where nothing else is known */
    bh_str caa;          /* certificate authority for link hosts, "letsencrypt.org"; empty: no CAA */
    bh_str dmarc_policy; /* p= where a domain has none of its own */
    bool require_dmarc;  /* the operator's policy: no sending without a DMARC record at the organisational domain */
    uint32_t ttl_s;      /* of records that may change */
    uint32_t serial;     /* of every SOA built now */
};

/* `v=spf1 ip4:… ip6:… ~all` of all egress addresses: no lookups, so that nobody's limit is touched. Longer than
 * BH_SPF_TEXT_MAX it becomes `v=spf1 include:… ~all`, where there are includes. */
void bh_platform_spf(const struct bh_platform *platform, struct bh_buf *out);

/* Names with the token in them, in the arena; {NULL, 0} when it is full. `kind`: "dkim", "bounce", "link", "spf",
 * or a name server's label. */
bh_str bh_platform_target(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_token *token,
                          bh_str kind);
/* mailto address for aggregate reports of the domain with this token. */
bh_str bh_platform_rua(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_token *token);

#endif
