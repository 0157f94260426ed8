/* behalf/unbound_resolver.h: the resolver for production, on libunbound: caching, validating DNSSEC.
 *
 * Two ways to drive it. On the caller's libevent loop: hand over the event_base and nothing else is to be done. In a
 * program without a loop: leave it NULL, start lookups, and call bh_unbound_resolver_run until they are done.
 *
 * Answers always come from the loop, never before `lookup` returns, and outside of libunbound's own call-backs, so
 * that a `done` may start and cancel lookups as it likes. It may not free the resolver. */
#ifndef BEHALF_UNBOUND_RESOLVER_H
#define BEHALF_UNBOUND_RESOLVER_H

#include <behalf/resolver.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;

enum bh_unbound_mode {
    BH_UNBOUND_RESOLV_CONF, /* forward to what resolv_conf names */
    BH_UNBOUND_RECURSIVE,   /* from the root */
    BH_UNBOUND_FORWARD
};

/* A zone that is asked at an address of its own. */
struct bh_unbound_stub {
    const char *zone;
    const char *address; /* "192.0.2.1@5353"; port 53 without '@' */
    bool insecure;       /* its parent's signatures say nothing about it: an island that is not in the public tree */
};

struct bh_unbound_config {
    enum bh_unbound_mode mode;
    const char *resolv_conf;     /* NULL = /etc/resolv.conf */
    const char *const *forwards; /* "192.0.2.1@53" */
    size_t forward_count;
    const struct bh_unbound_stub *stubs;
    size_t stub_count;
    const char *root_hints;   /* file, NULL = those built in */
    const char *trust_anchor; /* file with DS or DNSKEY of the root; NULL = nothing is validated */
    struct event_base *event_base;
    int64_t query_max_ms; /* a question without an answer for so long ends as BH_DNS_TEMPFAIL; 0 = when libunbound gives
                           * up, which takes up to half a minute where a server is dead. As long as no question
                           * got any answer, those behind the first that was late wait a second at most. */
};

struct bh_unbound_resolver;

/* The configuration is not needed afterwards. BH_E_NOMEM; BH_E_IO when a file cannot be read; BH_E_INVALID for an
 * address that is none. *ret_why (static text, may be NULL) says more. */
BH_API BH_MUST bh_err bh_unbound_resolver_new(const struct bh_unbound_config *config,
                                              struct bh_unbound_resolver **ret_resolver, const char **ret_why);
/* Queries that are still running are forgotten without calling back. NULL is fine. */
BH_API void bh_unbound_resolver_free(struct bh_unbound_resolver *resolver);
BH_API struct bh_resolver *bh_unbound_resolver_base(struct bh_unbound_resolver *resolver);

/* For a resolver with a loop of its own: works until *done is true or `max_ms` are over (BH_E_TIMEOUT).
 * BH_E_IO if waiting itself fails. */
BH_API BH_MUST bh_err bh_unbound_resolver_run(struct bh_unbound_resolver *resolver, const bool *done, int64_t max_ms);

#ifdef __cplusplus
}
#endif
#endif
