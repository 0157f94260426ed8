/* control.h: queries on control.db by noun: customers, credentials, domains, keys, settings.
 *
 * These wait for their result (bh_store_run): they are small, by key, and only controld calls them. Objects that are
 * read have their strings in the arena. BH_E_NOT_FOUND where there is no such row, BH_E_EXISTS where a name is taken,
 * otherwise the store's errors. Writes inside bh_store_begin/commit belong together; the commit reports. */
#ifndef BH_STORE_CONTROL_H
#define BH_STORE_CONTROL_H

#include "domain/dnssec.h"
#include "domain/domain.h"
#include "domain/egress.h"
#include "domain/zone.h"
#include "event_type.h"
#include "store.h"

extern const struct bh_schema bh_control_schema;

/* ---- customers (customer.c) ---- */

BH_MUST bh_err bh_customer_insert(struct bh_store *store, bh_str name, bh_time_ms now, int64_t *ret_id);
BH_MUST bh_err bh_customer_by_name(struct bh_store *store, struct bh_arena *arena, bh_str name,
                                   struct bh_customer *ret_customer);
BH_MUST bh_err bh_customer_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id,
                                 struct bh_customer *ret_customer);
/* By name, after `after`; stops when `each` returns false. The customer is valid inside `each`. */
BH_MUST bh_err bh_customer_list(struct bh_store *store, bh_str after, int64_t limit,
                                bool (*each)(void *ctx, const struct bh_customer *customer), void *ctx);

/* ---- contacts and notices (notice.c) ---- */

/* Instead of those that the customer had. */
BH_MUST bh_err bh_contact_replace(struct bh_store *store, int64_t customer, const bh_str *addresses,
                                  size_t address_count);
/* The view is valid inside `each`. */
BH_MUST bh_err bh_contact_list(struct bh_store *store, int64_t customer, void (*each)(void *ctx, bh_str address),
                               void *ctx);

struct bh_notice_row {
    int64_t id;
    bh_str kind;
    int64_t customer_id; /* 0: the operator's */
    bh_str customer;
    bh_str about;
    bh_str subject;
    bh_str body;
    bh_time_ms at;
    bh_time_ms sent_at; /* 0: waits */
    uint64_t message;   /* under which it was queued; 0: there was nobody to tell */
};
/* Reads kind, customer_id, about, subject, body, at. */
BH_MUST bh_err bh_notice_insert(struct bh_store *store, const struct bh_notice_row *notice, int64_t *ret_id);
/* When the last of this kind and subject was made; 0: never. */
BH_MUST bh_err bh_notice_last(struct bh_store *store, bh_str kind, int64_t customer, bh_str about, bh_time_ms *ret_at);
BH_MUST bh_err bh_notice_count(struct bh_store *store, int64_t customer, bh_time_ms after, int64_t *ret_count);
/* The oldest that waits. */
BH_MUST bh_err bh_notice_waiting(struct bh_store *store, struct bh_arena *arena, struct bh_notice_row *ret_notice);
BH_MUST bh_err bh_notice_sent(struct bh_store *store, int64_t id, bh_time_ms now, uint64_t message);
/* Newest first; customer -1: all. The row is valid inside `each`. */
BH_MUST bh_err bh_notice_list(struct bh_store *store, int64_t customer, int64_t limit,
                              void (*each)(void *ctx, const struct bh_notice_row *notice), void *ctx);
BH_MUST bh_err bh_notice_prune(struct bh_store *store, bh_time_ms before);

/* ---- SMTP credentials (credential.c) ---- */

struct bh_credential {
    int64_t id;
    int64_t customer_id;
    bh_str customer;
    bh_str username;
    bh_str secret_hash; /* SHA-256 */
    bh_time_ms created_at;
    bh_time_ms revoked_at; /* 0: valid */
};

BH_MUST bh_err bh_credential_insert(struct bh_store *store, int64_t customer, bh_str username, bh_str secret_hash,
                                    bh_time_ms now, int64_t *ret_id);
BH_MUST bh_err bh_credential_by_username(struct bh_store *store, struct bh_arena *arena, bh_str username,
                                         struct bh_credential *ret_credential);
/* BH_E_NOT_FOUND also for one that is revoked already. */
BH_MUST bh_err bh_credential_revoke(struct bh_store *store, bh_str username, bh_time_ms now);
/* Of one customer, or of all for 0; newest last. */
BH_MUST bh_err bh_credential_list(struct bh_store *store, int64_t customer, int64_t limit,
                                  bool (*each)(void *ctx, const struct bh_credential *credential), void *ctx);

/* ---- tokens of the HTTP API (api_token.c) ---- */

/* What a token may do: a set. */
enum bh_api_scope { BH_API_SEND = 1, BH_API_READ = 2, BH_API_ADMIN = 4 };

struct bh_api_token {
    int64_t id;
    int64_t customer_id; /* 0: the operator's, for everything */
    bh_str customer;     /* its name */
    bh_str name;
    bh_str secret_hash; /* SHA-256 of the token */
    unsigned scopes;    /* set of enum bh_api_scope */
    bh_str addresses;   /* the clients it may come from, "192.0.2.0/24 2001:db8::1"; empty = any */
    int64_t rate;       /* requests per second; 0 = the usual */
    bh_time_ms created_at;
    bh_time_ms revoked_at; /* 0: valid */
};
BH_MUST bh_err bh_api_token_insert(struct bh_store *store, const struct bh_api_token *token, int64_t *ret_id);
/* Revoked ones too. Strings in the arena. BH_E_NOT_FOUND. */
BH_MUST bh_err bh_api_token_by_hash(struct bh_store *store, struct bh_arena *arena, bh_str secret_hash,
                                    struct bh_api_token *ret_token);
/* One of `customer`, or of anybody (0). BH_E_NOT_FOUND: there is no such valid token. */
BH_MUST bh_err bh_api_token_revoke(struct bh_store *store, int64_t id, int64_t customer, bh_time_ms now);
/* By id; views live while `each` runs. */
BH_MUST bh_err bh_api_token_list(struct bh_store *store, int64_t customer, int64_t after, int64_t limit,
                                 void (*each)(void *ctx, const struct bh_api_token *token), void *ctx);

/* ---- who changed what (audit.c) ---- */

struct bh_audit {
    int64_t id;
    bh_time_ms at;
    int64_t token;       /* 0: the control socket */
    int64_t customer_id; /* whose token it was; 0: the operator's */
    bh_str command;      /* "domain add" */
    bh_str args;         /* JSON, without secrets */
    bh_str outcome;      /* "ok", or the error's code */
};
BH_MUST bh_err bh_audit_insert(struct bh_store *store, const struct bh_audit *entry);
/* Newest first, those older than `before` (0: all), of one customer (0: all); views live while `each` runs. */
BH_MUST bh_err bh_audit_select(struct bh_store *store, int64_t customer, int64_t before, int64_t limit,
                               void (*each)(void *ctx, const struct bh_audit *entry), void *ctx);
BH_MUST bh_err bh_audit_prune(struct bh_store *store, bh_time_ms before);

/* ---- domains (domain.c) ---- */

/* `domain->id` is not read. State is pending, nothing is aligned. BH_E_NOT_FOUND: the customer was removed. */
BH_MUST bh_err bh_domain_insert(struct bh_store *store, const struct bh_domain *domain, bool holds_zone,
                                int64_t *ret_id);
BH_MUST bh_err bh_domain_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id,
                               struct bh_domain *ret_domain);
/* customer 0: whoever has it; BH_E_EXISTS when several customers do. */
BH_MUST bh_err bh_domain_by_name(struct bh_store *store, struct bh_arena *arena, bh_str name, int64_t customer,
                                 struct bh_domain *ret_domain);
typedef bool bh_domain_each(void *ctx, const struct bh_domain *domain);
/* By name; customer 0: all. */
BH_MUST bh_err bh_domain_list(struct bh_store *store, int64_t customer, bh_str after, int64_t limit,
                              bh_domain_each *each, void *ctx);
/* All of one shard. */
BH_MUST bh_err bh_domain_list_shard(struct bh_store *store, bh_str shard, bh_domain_each *each, void *ctx);
/* Due at `now`, the longest waiting first, but none of these customers (0: nobody). */
enum { BH_DUE_NOT_OF_MAX = 4 };
BH_MUST bh_err bh_domain_list_due(struct bh_store *store, bh_time_ms now, int64_t limit,
                                  const int64_t not_of[BH_DUE_NOT_OF_MAX], bh_domain_each *each, void *ctx);
/* When the next one is due; INT64_MAX: never. */
BH_MUST bh_err bh_domain_next_due(struct bh_store *store, bh_time_ms *ret_at);
/* Distinct shards in use, in order. */
BH_MUST bh_err bh_shard_list(struct bh_store *store, void (*each)(void *ctx, bh_str shard), void *ctx);

/* ---- customers' own records in delegated zones (zone_record.c) ---- */

BH_MUST bh_err bh_zone_record_insert(struct bh_store *store, int64_t domain, const struct bh_zone_record *record);
BH_MUST bh_err bh_zone_record_clear(struct bh_store *store, int64_t domain);
/* Those of `owner`, of `type` (0: any), with `rdata` (NULL: any). BH_E_NOT_FOUND: none. */
BH_MUST bh_err bh_zone_record_remove(struct bh_store *store, int64_t domain, bh_str owner, uint16_t type,
                                     const bh_str *rdata);
/* Appends all to a zone. */
BH_MUST bh_err bh_zone_record_list(struct bh_store *store, int64_t domain, struct bh_zone *zone);

/* ---- canaries (canary.c) ---- */

enum { BH_CANARIES_KEPT = 100 /* per domain */ };

struct bh_canary {
    int64_t id; /* in its address */
    int64_t domain;
    bh_time_ms sent_at;
    uint64_t message;     /* 0: it could not be submitted */
    bh_time_ms judged_at; /* 0: on its way */
    bool passed;
    enum bh_mechanism aligned; /* what carried DMARC */
    bh_str detail;
};

/* Domains whose next canary is due; 0 at set_due: none. */
BH_MUST bh_err bh_canary_list_due(struct bh_store *store, bh_time_ms now, int64_t limit,
                                  void (*each)(void *ctx, int64_t domain), void *ctx);
BH_MUST bh_err bh_canary_next_due(struct bh_store *store, bh_time_ms *ret_at);
BH_MUST bh_err bh_canary_set_due(struct bh_store *store, int64_t domain, bh_time_ms at);
BH_MUST bh_err bh_canary_get_due(struct bh_store *store, int64_t domain, bh_time_ms *ret_at);
/* Forgets the oldest beyond BH_CANARIES_KEPT. */
BH_MUST bh_err bh_canary_insert(struct bh_store *store, int64_t domain, bh_time_ms now, int64_t *ret_id);
BH_MUST bh_err bh_canary_set_message(struct bh_store *store, int64_t canary, uint64_t message);
/* BH_E_NOT_FOUND: there is none, or it has a verdict. */
BH_MUST bh_err bh_canary_judge(struct bh_store *store, int64_t canary, bh_time_ms now, bool passed,
                               enum bh_mechanism aligned, bh_str detail);
/* Sent before, without a verdict; the views are valid inside `each`, as in the list of a domain, newest first. */
BH_MUST bh_err bh_canary_list_overdue(struct bh_store *store, bh_time_ms sent_before, int64_t limit,
                                      void (*each)(void *ctx, const struct bh_canary *canary), void *ctx);
BH_MUST bh_err bh_canary_list(struct bh_store *store, int64_t domain, int64_t limit,
                              void (*each)(void *ctx, const struct bh_canary *canary), void *ctx);
/* How many failed since the last that passed. */
BH_MUST bh_err bh_canary_failures(struct bh_store *store, int64_t domain, int64_t *ret_count);
BH_MUST bh_err bh_canary_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id,
                               struct bh_canary *ret_canary);

/* ---- removal (removal.c) ---- */

/* Marks it: nothing finds it any more but the queries below, and its token stays taken. Private keys are destroyed,
 * public ones revoked; custom records, policies and openings of From go. Its names are answered with a revocation until
 * `tombstone_until`. BH_E_NOT_FOUND. */
BH_MUST bh_err bh_domain_remove(struct bh_store *store, int64_t id, bh_time_ms now, bh_time_ms tombstone_until);
/* A removed domain whose tombstone stands or not, and whether its zone is served: *ret_until 0: no more. */
BH_MUST bh_err bh_domain_removed_by_id(struct bh_store *store, struct bh_arena *arena, int64_t id,
                                       struct bh_domain *ret_domain, bool *ret_holds_zone, bh_time_ms *ret_until);
/* Removed ones whose tombstone stands: of one shard, or all ({NULL, 0}). */
BH_MUST bh_err bh_domain_list_tombstones(struct bh_store *store, bh_str shard, bh_domain_each *each, void *ctx);
/* Those whose tombstone has stood long enough at `now`. */
BH_MUST bh_err bh_domain_list_tombstones_due(struct bh_store *store, bh_time_ms now, int64_t limit,
                                             bh_domain_each *each, void *ctx);
BH_MUST bh_err bh_domain_end_tombstone(struct bh_store *store, int64_t id);
/* A customer without domains: credentials and API tokens are revoked, the name is free again. BH_E_NOT_FOUND. */
BH_MUST bh_err bh_customer_remove(struct bh_store *store, int64_t id, bh_time_ms now);

/* The outcome of a check. `report` is JSON. */
struct bh_domain_outcome {
    enum bh_domain_state state;
    enum bh_mechanism aligned;
    bh_str zone_apex;
    bh_time_ms state_at, checked_at, lost_at, check_at;
    int64_t tries;
    bh_str report;
    uint32_t losses;
    bh_time_ms losing_at;
};
BH_MUST bh_err bh_domain_update_outcome(struct bh_store *store, int64_t id, const struct bh_domain_outcome *outcome);
BH_MUST bh_err bh_domain_update_check_at(struct bh_store *store, int64_t id, bh_time_ms check_at, int64_t tries);
BH_MUST bh_err bh_domain_tries(struct bh_store *store, int64_t id, int64_t *ret_tries);
/* The JSON of the last check; empty before the first. */
BH_MUST bh_err bh_domain_report(struct bh_store *store, struct bh_arena *arena, int64_t id, bh_str *ret_report);
/* A line of history. */
BH_MUST bh_err bh_domain_check_insert(struct bh_store *store, int64_t id, bh_time_ms at,
                                      const struct bh_domain_outcome *outcome);
BH_MUST bh_err bh_domain_check_list(struct bh_store *store, int64_t id, int64_t limit,
                                    void (*each)(void *ctx, bh_time_ms at, enum bh_domain_state state,
                                                 enum bh_mechanism aligned),
                                    void *ctx);

/* The same with the report, valid inside `each`. */
struct bh_domain_past {
    bh_time_ms at;
    enum bh_domain_state state;
    enum bh_mechanism aligned;
    bh_str report;
};
BH_MUST bh_err bh_domain_past_list(struct bh_store *store, int64_t id, int64_t limit,
                                   void (*each)(void *ctx, const struct bh_domain_past *past), void *ctx);

/* Whose zone of this name is served: 0 = nobody's. */
BH_MUST bh_err bh_domain_zone_holder(struct bh_store *store, bh_str name, int64_t *ret_id);
/* Makes `id` the one, nobody else. BH_E_NOT_FOUND where it was removed meanwhile: then nothing changes. */
BH_MUST bh_err bh_domain_hold_zone(struct bh_store *store, bh_str name, int64_t id);
/* Zones that are served below `name` and are not of a domain that `customer` has now: others' zones, and tombstones. */
BH_MUST bh_err bh_domain_zones_below(struct bh_store *store, bh_str name, int64_t customer,
                                     void (*each)(void *ctx, int64_t id, bh_str name, bool is_removed), void *ctx);
/* Its zone is served no more. */
BH_MUST bh_err bh_domain_drop_zone(struct bh_store *store, int64_t id);

/* ---- what look-ups at submission ask for (domain.c) ---- */

BH_MUST bh_err bh_from_domain_replace(struct bh_store *store, int64_t domain, bh_str name, bh_str apex);
/* Ids of the customer's domains that open `from`: a name at or above it, or one whose apex reaches it; the closest
 * first, at most `max`. */
BH_MUST bh_err bh_domains_for_from(struct bh_store *store, int64_t customer, bh_str from, size_t max, int64_t *ret_ids,
                                   size_t *ret_count);
/* Ids of the customer's domains below `from`, at most `max`. */
BH_MUST bh_err bh_domains_below(struct bh_store *store, int64_t customer, bh_str from, size_t max, int64_t *ret_ids,
                                size_t *ret_count);
BH_MUST bh_err bh_bounce_domain_replace(struct bh_store *store, int64_t domain, bh_str name);
BH_MUST bh_err bh_bounce_domain_owner(struct bh_store *store, bh_str name, int64_t *ret_domain, int64_t *ret_customer);
BH_MUST bh_err bh_domain_policy_clear(struct bh_store *store, int64_t domain);
BH_MUST bh_err bh_domain_policy_insert(struct bh_store *store, int64_t domain, bh_str at, bh_str record);
/* All DMARC records seen for a domain; the views are valid inside `each`. */
BH_MUST bh_err bh_domain_policy_list(struct bh_store *store, int64_t domain,
                                     void (*each)(void *ctx, bh_str at, bh_str record), void *ctx);

/* What a probe through a relay proved (proof.c); zeroes where there was none. */
BH_MUST bh_err bh_probe_get(struct bh_store *store, int64_t domain, struct bh_probe_proof *ret_proof);
/* Replaces it. The next check of the domain reads it: order one at once. */
BH_MUST bh_err bh_probe_set(struct bh_store *store, int64_t domain, const struct bh_probe_proof *proof);

/* ---- keys (key.c) ---- */

/* BH_E_NOT_FOUND: the domain was removed, and with it all its private keys. */
BH_MUST bh_err bh_key_insert(struct bh_store *store, int64_t domain, const struct bh_key *key, int64_t *ret_id);
/* The number that the next insert will get: sealing binds it before the row exists. */
BH_MUST bh_err bh_key_next_id(struct bh_store *store, int64_t *ret_id);
BH_MUST bh_err bh_key_set_state(struct bh_store *store, int64_t key, enum bh_key_state state, bh_time_ms now);
/* Everything about a key that may change: state to revoke_at. */
BH_MUST bh_err bh_key_update(struct bh_store *store, const struct bh_key *key);
/* All of a domain that are not withdrawn, by id, at most BH_KEYS_PER_DOMAIN, in the arena. */
BH_MUST bh_err bh_key_list(struct bh_store *store, struct bh_arena *arena, int64_t domain, bool with_sealed,
                           struct bh_key **ret_keys, size_t *ret_count);

/* ---- egress addresses, pools (egress.c) ---- */

BH_MUST bh_err bh_pool_insert(struct bh_store *store, bh_str name, bh_time_ms now, int64_t *ret_id);
/* BH_E_INVALID while an address or a user of the pool is there. */
BH_MUST bh_err bh_pool_delete(struct bh_store *store, int64_t id);
BH_MUST bh_err bh_pool_list(struct bh_store *store, void (*each)(void *ctx, const struct bh_egress_pool *pool),
                            void *ctx);
/* `address->id` is not read. BH_E_EXISTS: it is in a pool already. */
BH_MUST bh_err bh_egress_insert(struct bh_store *store, const struct bh_egress_address *address, int64_t *ret_id);
BH_MUST bh_err bh_egress_set_state(struct bh_store *store, int64_t id, enum bh_egress_state state, bh_time_ms now,
                                   bh_time_ms last_used_at);
BH_MUST bh_err bh_egress_set_terms(struct bh_store *store, int64_t id, bh_str helo, uint32_t weight);
BH_MUST bh_err bh_egress_set_ptr(struct bh_store *store, int64_t id, bh_str problem, bh_time_ms now);
/* All that are not withdrawn, by id; views are valid inside `each`. */
BH_MUST bh_err bh_egress_list(struct bh_store *store, void (*each)(void *ctx, const struct bh_egress_address *address),
                              void *ctx);
BH_MUST bh_err bh_pool_use_set(struct bh_store *store, const struct bh_pool_use *use);
BH_MUST bh_err bh_pool_use_delete(struct bh_store *store, enum bh_pool_user kind, int64_t id);
/* The domain's own choice, else its customer's. BH_E_NOT_FOUND: the default pool. */
BH_MUST bh_err bh_pool_use_of(struct bh_store *store, int64_t domain, int64_t customer, struct bh_pool_use *ret_use);
BH_MUST bh_err bh_pool_use_list(struct bh_store *store, void (*each)(void *ctx, const struct bh_pool_use *use),
                                void *ctx);
/* What a customer's own SPF record passes; BH_E_NOT_FOUND: never looked at. */
BH_MUST bh_err bh_domain_spf_set(struct bh_store *store, int64_t domain, bh_str passes, bh_time_ms now);
BH_MUST bh_err bh_domain_spf_get(struct bh_store *store, struct bh_arena *arena, int64_t domain, bh_str *ret_passes);
/* All domains whose owner's SPF was looked at are due. */
BH_MUST bh_err bh_domain_spf_check_soon(struct bh_store *store, bh_time_ms now);
/* Ids and customers of live domains after `after`, by id. */
BH_MUST bh_err bh_domain_page(struct bh_store *store, int64_t after, int64_t limit, bh_domain_each *each, void *ctx);
/* ---- events that queued has not committed yet (event_out.c) ---- */

struct bh_event_out {
    int64_t id; /* not read by insert */
    bh_str key; /* unique for ever */
    int kind;   /* enum bh_event_kind */
    bh_time_ms at;
    int64_t customer, domain; /* 0: none */
    bh_str detail;            /* JSON */
};

BH_MUST bh_err bh_event_out_insert(struct bh_store *store, const struct bh_event_out *event);
/* In order, behind the id `after`. */
BH_MUST bh_err bh_event_out_list(struct bh_store *store, int64_t after, int64_t limit,
                                 void (*each)(void *ctx, const struct bh_event_out *event), void *ctx);
BH_MUST bh_err bh_event_out_delete(struct bh_store *store, int64_t upto);
/* Those that are, the latest first; without their sealed halves, which are gone. */
BH_MUST bh_err bh_key_list_withdrawn(struct bh_store *store, struct bh_arena *arena, int64_t domain, size_t max,
                                     struct bh_key **ret_keys, size_t *ret_count);
/* Ids of all keys that are not to sign any more by order, where the order holds for a time after `from`. */
BH_MUST bh_err bh_key_list_revoked(struct bh_store *store, bh_time_ms from, uint64_t *ret_ids, size_t max,
                                   size_t *ret_count);

/* A domain has wishes and a duty since its first key. BH_E_NOT_FOUND. */
BH_MUST bh_err bh_key_wish_get(struct bh_store *store, int64_t domain, struct bh_key_wish *ret_wish);
BH_MUST bh_err bh_key_wish_set(struct bh_store *store, int64_t domain, const struct bh_key_wish *wish);
/* When its keys are looked after next. */
BH_MUST bh_err bh_key_due_set(struct bh_store *store, int64_t domain, bh_time_ms at);
/* All at `at` that were later: the configuration is another. */
BH_MUST bh_err bh_key_due_all(struct bh_store *store, bh_time_ms at);
/* Duties that are due after `beyond` are due `at`: the clock was set back. */
BH_MUST bh_err bh_key_due_back(struct bh_store *store, bh_time_ms at, bh_time_ms beyond);
/* Domains due at `now`, the longest waiting first. */
BH_MUST bh_err bh_key_due_list(struct bh_store *store, bh_time_ms now, uint64_t *ret_ids, size_t max,
                               size_t *ret_count);
/* When the next one after `after` is; INT64_MAX: never. */
BH_MUST bh_err bh_key_due_next(struct bh_store *store, bh_time_ms after, bh_time_ms *ret_at);

/* What happened to the keys of a domain; key 0: none in particular. Newest first when listed. */
struct bh_key_event {
    bh_time_ms at;
    int64_t key;
    bh_str selector, what, detail;
};
BH_MUST bh_err bh_key_event_insert(struct bh_store *store, int64_t domain, bh_time_ms at, int64_t key, bh_str what,
                                   bh_str detail);
BH_MUST bh_err bh_key_event_list(struct bh_store *store, int64_t domain, int64_t limit,
                                 void (*each)(void *ctx, const struct bh_key_event *event), void *ctx);

/* ---- keys of zones (zone_key.c) ---- */

/* All keys of a domain's zone; a domain without any is not an error: nothing is wanted, no key is there. `sealed` is in
 * the arena. BH_E_INVALID: a damaged row. */
BH_MUST bh_err bh_dnssec_read(struct bh_store *store, struct bh_arena *arena, int64_t domain, bool with_sealed,
                              struct bh_dnssec *ret_dnssec);
/* Turns it on or off; what was known of the parent is old then. */
BH_MUST bh_err bh_dnssec_want(struct bh_store *store, int64_t domain, bool wanted, bh_time_ms next_at);
BH_MUST bh_err bh_dnssec_set_roll(struct bh_store *store, int64_t domain, bool roll, bh_time_ms next_at);
/* What the parent was seen to have: the members from asked_at on, and each key's ds. */
BH_MUST bh_err bh_dnssec_set_seen(struct bh_store *store, int64_t domain, const struct bh_dnssec *dnssec);
BH_MUST bh_err bh_dnssec_set_next(struct bh_store *store, int64_t domain, bh_time_ms next_at);
/* Those that wait for a key are due now. */
BH_MUST bh_err bh_dnssec_wake_keyless(struct bh_store *store, bh_time_ms now);
/* Removes all keys and the rest. */
BH_MUST bh_err bh_dnssec_forget(struct bh_store *store, int64_t domain);
BH_MUST bh_err bh_dnssec_list_due(struct bh_store *store, bh_time_ms now, int64_t limit,
                                  void (*each)(void *ctx, int64_t domain), void *ctx);
/* When the next one is due; INT64_MAX: never. */
BH_MUST bh_err bh_dnssec_next_due(struct bh_store *store, bh_time_ms *ret_at);
BH_MUST bh_err bh_zone_key_insert(struct bh_store *store, int64_t domain, const struct bh_zone_key *key);
BH_MUST bh_err bh_zone_key_set_state(struct bh_store *store, int64_t key, enum bh_zone_key_state state, bh_time_ms now);
BH_MUST bh_err bh_zone_key_delete(struct bh_store *store, int64_t key);

/* The signatures of one zone, kept so that a zone built again is not signed again. */
struct bh_zone_signatures {
    unsigned kind; /* what the zone is made from: controld's numbers */
    int64_t domain;
    bh_str name;
    bh_str content; /* hash of what was signed, without its serial */
    uint32_t serial;
    bh_time_ms renew_at;
    bh_str signatures; /* controld's format */
};
/* Empty content where there are none. */
BH_MUST bh_err bh_zone_signatures_get(struct bh_store *store, struct bh_arena *arena, bh_str apex,
                                      struct bh_zone_signatures *ret_signatures);
BH_MUST bh_err bh_zone_signatures_put(struct bh_store *store, bh_str apex, const struct bh_zone_signatures *signatures);
BH_MUST bh_err bh_zone_signatures_delete(struct bh_store *store, bh_str apex);
/* Of all zones made from that domain; 0: those of the platform. */
BH_MUST bh_err bh_zone_signatures_forget(struct bh_store *store, int64_t domain);
BH_MUST bh_err bh_zone_signatures_list_due(struct bh_store *store, bh_time_ms now, int64_t limit,
                                           void (*each)(void *ctx, unsigned kind, int64_t domain, bh_str name),
                                           void *ctx);

/* Over all signed zones. */
struct bh_zone_signatures_sum {
    int64_t zones;
    bh_time_ms renew_at; /* when the oldest signatures are to be made anew; 0: there are none */
};
BH_MUST bh_err bh_zone_signatures_sum(struct bh_store *store, struct bh_zone_signatures_sum *ret_sum);

/* ---- settings (setting.c) ---- */

BH_MUST bh_err bh_setting_get(struct bh_store *store, struct bh_arena *arena, bh_str name, bh_str *ret_value);
BH_MUST bh_err bh_setting_set(struct bh_store *store, bh_str name, bh_str value);

#endif
