/* config.h: the configuration, as every role sees it: one immutable snapshot.
 *
 * Only master (and `behalf config check`) reads the file, with libConfuse (config_file.h); the roles get the checked
 * snapshot as bytes and read them with bh_config_get. All views live in the snapshot's arena. docs/behalf.conf.5 is the
 * manual of each option. */
#ifndef BH_ROLES_CONFIG_H
#define BH_ROLES_CONFIG_H

#include "base/buf.h"
#include "base/cur.h"

enum bh_listen_protocol {
    BH_LISTEN_SMTP,        /* port 25: bounces, feedback, canaries */
    BH_LISTEN_SUBMISSION,  /* 587: AUTH after STARTTLS */
    BH_LISTEN_SUBMISSIONS, /* 465: implicit TLS */
    BH_LISTEN_DNS,         /* UDP and TCP */
    BH_LISTEN_HTTP,        /* the API, in the clear: loopback or behind a proxy */
    BH_LISTEN_HTTPS
};

enum bh_resolver_mode { BH_RESOLVE_RECURSIVE, BH_RESOLVE_FORWARD };
enum bh_route_tls { BH_TLS_OPPORTUNISTIC, BH_TLS_REQUIRED, BH_TLS_NONE, BH_TLS_VERIFIED };

struct bh_listener {
    enum bh_listen_protocol protocol;
    bh_str address; /* "192.0.2.1", "::", "127.0.0.1" */
    uint16_t port;
    bh_str trust; /* customer whose mail is taken without AUTH or TLS; empty = none */
};

struct bh_nameserver {
    bh_str label; /* "ns1": its names are <T>.ns1.<platform> */
    bh_str *addresses;
    size_t address_count;
};

struct bh_endpoint {
    bh_str address;
    uint16_t port;
};

/* Somebody else's name server that takes our zones. */
struct bh_secondary {
    bh_str label;
    struct bh_endpoint *notify; /* who is told of changes */
    size_t notify_count;
    bh_str tsig_key; /* file */
};

struct bh_route {
    bh_str domain; /* "example.net", or "*" for the default route */
    bh_str host;   /* name or address literal; a name is looked up by address, not by MX */
    uint16_t port;
    enum bh_route_tls tls;
};

struct bh_stub {
    bh_str zone;
    bh_str *addresses; /* "127.0.0.1@5300" */
    size_t address_count;
};

struct bh_config {
    bh_str platform;           /* "on.esp.example" */
    bh_str hostname;           /* our HELO and Received name; default "mta1.<platform>" */
    bh_str inbound_host;       /* MX target of the bounce domains; default "in1.<platform>" */
    bh_str *inbound_addresses; /* its A/AAAA; default the egress addresses */
    size_t inbound_address_count;
    bh_str state_dir; /* "/var/lib/behalf" */
    bh_str run_dir;   /* "/run/behalf" */
    bh_str *contacts; /* who is told by mail what the operator should know */
    size_t contact_count;
    bh_str control_group; /* its members may use the control socket; empty = root and the daemon's own user */
    uint32_t uid_base;    /* role k runs as uid_base + k where no user behalf-<role> exists; 0 = no numeric uids */
    bool log_debug;

    struct bh_listener *listeners;
    size_t listener_count;
    struct bh_nameserver *nameservers; /* the NS set: ours unless the primary is hidden, and the listed secondaries */
    size_t nameserver_count;
    struct bh_secondary *secondaries;
    size_t secondary_count;
    bh_str catalog;            /* zone that lists our zones to secondaries (RFC 9432); empty = none */
    uint32_t query_log_sample; /* one DNS query in so many is logged; 0 = none */
    bh_str *egress;            /* source addresses of mail: SPF lists them */
    size_t egress_count;
    uint32_t egress_keep_s; /* an address stays in SPF for so long after its last mail */
    bool egress_bind;       /* bind outgoing connections to them (false in loopback worlds) */

    bh_str tls_certificate; /* files; empty = no TLS offered */
    bh_str tls_key;
    bh_str ca_file; /* roots for verified TLS; default /etc/ssl/certs/ca-certificates.crt */

    enum bh_resolver_mode resolver_mode;
    bh_str *forwards;
    size_t forward_count;
    struct bh_stub *stubs;
    size_t stub_count;
    bool fetch_private; /* from addresses that are not public, too: test worlds */
    bh_str root_hints;  /* file, for recursive; default of dns-root-data where present */
    bh_str trust_anchor;
    uint16_t dns_port_override; /* port of direct questions to authoritative servers; 0 = 53 */
    uint16_t smtp_port;         /* port of MX hosts; 25 */

    struct bh_route *routes;
    size_t route_count;

    uint32_t smtpd_count, sender_count, dnsd_count, signer_threads;
    uint32_t session_limit; /* SMTP sessions per smtpd */
    uint32_t sessions_per_client;
    uint32_t connection_limit; /* outgoing connections per sender */
    uint32_t connections_per_site;
    uint32_t recipients_max;
    uint64_t message_size_max;
    uint32_t hops_max;
    uint32_t idle_timeout_s;

    uint32_t retry_first_s, retry_max_s; /* growing from first to max by `retry_growth`/100 each time */
    uint32_t retry_growth;
    uint32_t expire_s;
    uint32_t retention_s;        /* how long finished messages and events are kept */
    uint32_t delay_notice_s;     /* after which who asked for it is told that mail is late */
    uint32_t unacknowledged_max; /* results that may wait for a commit */
    uint32_t queue_max;          /* recipients in the queue; more are answered 452 */
    uint64_t queue_memory_max;   /* bytes that they may take in queued */
    uint64_t queue_min_free;     /* bytes that must stay free on the spool's file system */
    uint32_t bounce_keep_s;      /* how long old bounce MAC keys are honoured */
    bh_str dmarc_policy;         /* p= of the records that we publish in delegated zones; default "none" */
    uint32_t zone_ttl_s;
    bool dnssec_platform;      /* the platform's own zones are signed */
    uint32_t dnssec_hold_s;    /* until a change is known to every secondary and cache */
    uint32_t dnssec_roll_s;    /* age at which keys of zones are rolled; 0 = by hand only */
    uint32_t key_period_s;     /* between exchanges of a DKIM key; 0: by hand only */
    uint32_t receiver_delay_s; /* how long after a signature its key may be asked for */
    uint32_t key_cache;        /* opened keys per signer thread */

    uint32_t grace_s;         /* how long mail is held for a domain of which nothing aligns any more */
    uint32_t loss_s;          /* how long a loss must be seen before it is believed */
    uint32_t unanimous_s;     /* the same where every authoritative server agrees */
    uint32_t tombstone_s;     /* how long the names of a removed domain are answered with a revocation */
    uint32_t canary_every_s;  /* each verified domain's message to ourselves; 0 = none */
    uint32_t canary_failures; /* so many in a row degrade a domain; 0 = none do */
    bool require_dmarc;       /* no sending without a DMARC record at the organisational domain */
    bh_str *web_addresses;    /* of link and image hosts */
    size_t web_address_count;
    bh_str caa; /* the certificate authority that may issue for them; empty = no CAA record */

    struct bh_arena *arena; /* holds it all, this struct too */
};

/* Writes a snapshot; it is read again by bh_config_get on the same build only. */
void bh_config_put(struct bh_buf *out, const struct bh_config *config);
/* A new snapshot with an arena of its own. BH_E_SYNTAX, BH_E_NOMEM. The caller owns *ret_config: bh_config_free. */
BH_MUST bh_err bh_config_get(bh_str bytes, struct bh_config **ret_config);
void bh_config_free(struct bh_config *config);

/* The route of a recipient's domain: its own, else the default one, else NULL (by MX). Ignores case. */
const struct bh_route *bh_config_route(const struct bh_config *config, bh_str domain);

#endif
