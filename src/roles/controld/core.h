/* core.h: controld without its connections: the state of customers and domains, and everything that is done to it.
 *
 * The core owns control.db through `store` and gives orders to other roles through `out`, a table of functions; the
 * clock and randomness come from outside. So a test drives it with an in-memory store and a table of its own, and
 * main.c puts it on IPC. Everything runs on one thread; calls into `out` may complete at once or later. */
#ifndef BH_CONTROLD_CORE_H
#define BH_CONTROLD_CORE_H

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/random.h"
#include "domain/check.h"
#include "domain/dnssec.h"
#include "domain/key_life.h"
#include "domain/provider.h"
#include "domain/zones.h"
#include "mail/verp.h"
#include "roles/messages.h"
#include "store/change.h"
#include "store/control.h"
#include <behalf/psl.h>
#include <jansson.h>

struct bh_controld;

/* What follows a planned change that is closed, acted or forced; runs inside the transaction that closes it, so it may
 * not begin or commit. An error undoes the closing, which is tried again later. See change.h. */
typedef bh_err bh_change_done(struct bh_controld *core, const struct bh_change *change);

/* What keyd is asked to make or to take over. */
struct bh_key_order {
    uint8_t algorithm; /* enum bh_key_algorithm */
    uint32_t customer_id;
    uint64_t key_id;
    bh_str domain;
    bh_str selector;
    int fd; /* -1: generate; else import from there, not owned */
};
typedef void bh_key_done(void *ctx, bh_err err, const struct bh_msg_key_reply *reply);
typedef void bh_dns_asked(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply);
/* One dnsd's counters: `last` with the last of them, when `stats` may be NULL (none answered, or this one did not). */
typedef void bh_dns_counted(void *ctx, const struct bh_msg_dns_stats_reply *stats, bool last);
/* `reply` may be NULL with an error. */
typedef void bh_zone_signed(void *ctx, bh_err err, const struct bh_msg_zone_signatures *reply);
typedef void bh_json_done(void *ctx, bh_err err, bh_str json);
typedef void bh_connect_asked(void *ctx, bh_err err, const struct bh_msg_connect_reply *reply);
typedef void bh_told(void *ctx, bh_err err);
typedef void bh_key_used(void *ctx, bh_err err, const struct bh_msg_key_use_reply *reply);
typedef void bh_submit_done(void *ctx, bh_err err, const struct bh_msg_submit_reply *reply);

/* Orders. Where there is a `done`, it is called exactly once unless the function returns an error. */
struct bh_controld_out {
    bh_err (*make_key)(void *ctx, const struct bh_key_order *order, bh_key_done *done, void *done_ctx);
    bh_err (*ask_dns)(void *ctx, const struct bh_msg_dns_ask *ask, bh_dns_asked *done, void *done_ctx);
    /* Every dnsd; `done` is called for each. */
    bh_err (*dns_stats)(void *ctx, uint32_t limit, bh_dns_counted *done, void *done_ctx);
    bh_err (*ask_queue)(void *ctx, bh_str json, bh_json_done *done, void *done_ctx);
    /* `fd` holds the message, `submit->size` bytes; not owned. -1: it is in submit->body, which lives until `done`. */
    bh_err (*submit)(void *ctx, const struct bh_msg_submit *submit, int fd, bh_submit_done *done, void *done_ctx);
    void (*zone)(void *ctx, const struct bh_zone *zone); /* to every dnsd */
    void (*zone_remove)(void *ctx, bh_str name);         /* to every dnsd */
    bh_err (*sign_zone)(void *ctx, const struct bh_msg_zone_sign *message, bh_zone_signed *done, void *done_ctx);
    void (*zone_keys_wake)(void *ctx, int64_t in_ms); /* call bh_zone_keys_tick then, if no earlier order stands */
    void (*zones_commit)(void *ctx, uint64_t version, bool whole, uint32_t serial);
    void (*version)(void *ctx, uint64_t version); /* to all who cache look-ups */
    void (*wake)(void *ctx, int64_t in_ms);       /* call bh_controld_wake then, replaces an earlier order */
    void (*settle)(void *ctx);                    /* call bh_controld_settle at the end of this turn */
    void (*log)(void *ctx, enum bh_log_level level, const char *text, bh_str subject);
    /* EVENT to queued: a list of told_event; `done` has BH_OK when they are committed. NULL: nobody listens. */
    bh_err (*tell_events)(void *ctx, bh_str events, bh_told *done, void *done_ctx);
    /* Asks queued when this key last signed and whether a delivery in hand has it. */
    bh_err (*key_use)(void *ctx, uint64_t key, bh_key_used *done, void *done_ctx);
    /* Tells keyd the whole list of keys that it signs with no more; `done` may be NULL. */
    bh_err (*revoke_keys)(void *ctx, const uint64_t *keys, size_t count, bh_told *done, void *done_ctx);
    bh_err (*reseal)(void *ctx, const struct bh_msg_key_reseal *message, bh_key_done *done, void *done_ctx);
    /* The role copies its database, beside it; without an answer for as long as that takes. */
    bh_err (*snapshot)(void *ctx, enum bh_role_kind whose, bh_told *done, void *done_ctx);
    bh_err (*secret_again)(void *ctx);             /* keyd is handed the master secret's file again */
    void (*wake_reseal)(void *ctx, int64_t in_ms); /* call bh_reseal_wake then, replaces an earlier order */
    /* What a DNS provider says; NULL: nobody can be asked. */
    bh_err (*ask_connect)(void *ctx, const struct bh_msg_connect *ask, bh_connect_asked *done, void *done_ctx);
    void (*wake_keys)(void *ctx, int64_t in_ms); /* call bh_keys_wake then; of several orders the earliest holds */
};

/* Who waits for a canary's verdict. */
enum { BH_CANARY_WAITERS_MAX = 64, BH_CANARY_WAIT_MS = 25 * 1000 };
struct bh_canary_waiter {
    int64_t canary;
    bh_time_ms until;
    void (*done)(void *ctx, int64_t canary);
    void *ctx;
};

struct bh_controld {
    struct bh_store *store;
    struct bh_random *random;
    const struct bh_suffixes *suffixes; /* the public suffix list */
    struct bh_platform platform;        /* views of the configuration */
    const struct bh_controld_out *out;
    void *out_ctx;
    bh_time_ms (*clock)(void *ctx);      /* with out_ctx */
    struct bh_check_policy check_policy; /* all 0: the defaults */
    int64_t tombstone_ms;                /* 0: the default */
    uint64_t message_size_max;

    uint64_t version; /* of all look-ups; grows with every change */
    uint64_t version_told;
    uint64_t next_key_id;
    uint32_t serial;       /* the newest of all zones */
    struct bh_map serials; /* of each zone (serials.c) */
    struct bh_list dirty;  /* zones to build and push (publish.c) */
    bool all_dirty;
    struct bh_list checks; /* running (checker.c) */
    size_t check_count;
    bool making_keys; /* platform_keys.c is at it */

    bh_change_done *change_done[BH_CHANGE_KINDS]; /* see change.h; set before bh_controld_start or by it */
    struct bh_arena *provider_arena;              /* holds the next */
    struct bh_providers providers;
    bool changes_moved;              /* bh_change_work has something to look at */
    struct bh_key_policy key_policy; /* period_ms, receiver_delay_ms */
    struct bh_list keepings;         /* domains whose keys are in hand (keys.c) */
    size_t keeping_count, keys_making;
    bh_time_ms keys_wanted_at;                 /* when a domain without a spare key last found keyd busy */
    bh_time_ms keys_woken_at, keys_hold_until; /* the clock's jumps (keys.c) */

    const bh_str *contacts; /* the operator's, of the configuration */
    size_t contact_count;
    bool notice_on_its_way; /* these three: notice.c */
    bool notices_flushing;
    bool notices_wait; /* queued could not be had: until the next wake */

    struct bh_dnssec_times dnssec; /* from the configuration */
    bool has_grant_key;            /* keyd has given it */
    uint8_t grant_key[32];         /* of our duties */
    struct bh_list signing;        /* zones whose signatures are under way (sign.c) */
    size_t signing_count;
    struct bh_list unsigned_zones; /* wait for keyd */
    uint64_t signatures_made;      /* by keyd since the start */
    uint64_t zones_signed;         /* built whole since the start */
    bh_time_ms signatures_warn_at; /* not before */

    int64_t canary_every_ms; /* 0: none; the following: canary.c */
    uint32_t canary_failures_max;
    struct bh_verp_key canary_keys[2]; /* of this period and the next */
    size_t canary_key_count;
    struct bh_canary_waiter canary_waiters[BH_CANARY_WAITERS_MAX];
    size_t canary_waiter_count;

    int64_t egress_keep_ms;   /* from the last use of an address to its withdrawal from SPF; 0 = 5 days */
    struct bh_egress *egress; /* egress.c */
    struct bh_list flats;     /* running (flatten.c) */
    bool feedback_under_way, feedback_again; /* these: feedback.c */
    struct {
        int64_t domain;
        bh_time_ms at;
    } alarms[32]; /* the last ones, so that a thousand refusals are one alarm */
    unsigned next_alarm;
    struct {
        bool running, failed; /* the last one */
        unsigned at;          /* which of the owners is at it */
        uint64_t number;      /* since the start */
    } backup;                 /* cmd_backup.c */
    struct bh_reseal *reseal; /* reseal.c */
    /* event.c */
    bool events_waiting, events_under_way;
    int64_t events_told; /* the last of those under way */
};

/* Prepares the rest of a core whose first block of members is filled in: reads counters, makes the platform's own
 * customer and domain where they are missing. The store's errors. */
BH_MUST bh_err bh_controld_start(struct bh_controld *core);
/* Ends running checks without writing. */
void bh_controld_stop(struct bh_controld *core);

static inline bh_time_ms bh_controld_now(const struct bh_controld *core)
{
    return core->clock(core->out_ctx);
}

/* ---- for the files of this folder ---- */

/* DMARC records in an arena; a zeroed one with an arena is empty. bh_policy_list_add is for bh_domain_policy_list. */
enum { BH_POLICIES_MAX = 16 };
struct bh_policy_list {
    struct bh_arena *arena;
    struct bh_seen_policy *list;
    size_t count;
};
void bh_policy_list_add(void *ctx, bh_str at, bh_str record);

/* Everything known about a domain: with its keys, in the arena. */
BH_MUST bh_err bh_controld_view(struct bh_controld *core, struct bh_arena *arena, int64_t domain, bool with_sealed,
                                struct bh_domain_view *ret_view);
/* A removed domain with its keys; see bh_domain_removed_by_id. */
BH_MUST bh_err bh_controld_view_removed(struct bh_controld *core, struct bh_arena *arena, int64_t domain,
                                        struct bh_domain_view *ret_view, bool *ret_holds_zone, bh_time_ms *ret_until);
/* What was cached elsewhere is old now. */
void bh_controld_changed(struct bh_controld *core);
/* At the end of a turn: pushes zones and the version. */
void bh_controld_settle(struct bh_controld *core);

/* event.c. Tells the event log, in the open transaction if there is one; `detail` is an object (the reference is taken)
 * or NULL. It gets there whatever dies, once. */
void bh_controld_event(struct bh_controld *core, enum bh_event_kind type, int64_t customer, int64_t domain,
                       json_t *detail);
/* At the end of a turn, and when queued has come up. */
void bh_controld_tell_events(struct bh_controld *core);

/* platform_keys.c: makes the keys that the platform's own domain lacks; called when keyd is there. */
void bh_controld_need_keys(struct bh_controld *core);

/* publish.c: zones. */
void bh_publish_domain(struct bh_controld *core, const struct bh_domain *domain); /* its zones are old */
void bh_publish_keys(struct bh_controld *core, const struct bh_domain *domain);   /* those where its keys stand */
void bh_publish_platform(struct bh_controld *core);
void bh_publish_everything(struct bh_controld *core);
void bh_publish_every(struct bh_controld *core); /* the platform's zones: all but the delegated ones */
void bh_publish_flat(struct bh_controld *core);  /* flattened SPF records */
void bh_publish_removed(struct bh_controld *core, bh_str zone);
struct bh_zone_source;
void bh_publish_mark(struct bh_controld *core, const struct bh_zone_source *source); /* again */
/* Builds and pushes what is old. */
void bh_publish_settle(struct bh_controld *core);
/* Everything: calls `zone` with each, in an arena that is reset after it. A zone whose signatures are not there yet is
 * left out. */
BH_MUST bh_err bh_publish_all(struct bh_controld *core, void (*zone)(void *ctx, const struct bh_zone *zone), void *ctx);
/* The same for a dnsd that has just come up: `keep` for one without signatures: what is served of it stays. */
BH_MUST bh_err bh_publish_all_to(struct bh_controld *core, void (*zone)(void *ctx, const struct bh_zone *zone),
                                 void (*keep)(void *ctx, bh_str apex), void *ctx);
void bh_publish_free(struct bh_controld *core);

/* serials.c. The zone has been built with core->serial; where its content is what it was, it gets its old serial back.
 * BH_E_NOMEM. */
BH_MUST bh_err bh_serial_settle(struct bh_controld *core, struct bh_zone *zone);
/* The serial under which it was last published, for showing it. BH_E_NOMEM. */
BH_MUST bh_err bh_serial_show(const struct bh_controld *core, struct bh_zone *zone);
/* One that is kept elsewhere, with the zone's signatures. BH_E_NOMEM. */
BH_MUST bh_err bh_serial_set(struct bh_controld *core, struct bh_zone *zone, uint32_t serial);
/* True when the zone was published by this process. */
bool bh_serial_known(const struct bh_controld *core, bh_str apex);
void bh_serial_forget(struct bh_controld *core, bh_str apex);
void bh_serials_free(struct bh_controld *core);

/* reseal.c: an exchange of the master secret. */
/* keyd says which secret seals. BH_E_SYNTAX, BH_E_NOMEM. */
BH_MUST bh_err bh_reseal_secrets(struct bh_controld *core, const struct bh_msg_secrets *secrets);
void bh_reseal_wake(struct bh_controld *core);
void bh_reseal_free(struct bh_controld *core);

/* zone_keys.c: keys that sign zones. */
/* Does what is due, orders the next wake. */
void bh_zone_keys_tick(struct bh_controld *core);
/* Turns signing of the domain's zone on or off. The store's errors. */
BH_MUST bh_err bh_zone_keys_want(struct bh_controld *core, int64_t domain, bool wanted);
/* The same of the platform's own zones. */
BH_MUST bh_err bh_zone_keys_platform(struct bh_controld *core, bool wanted);
/* A new key. BH_E_EXISTS: a roll-over is under way; BH_E_NOT_FOUND: not signed. */
BH_MUST bh_err bh_zone_keys_roll(struct bh_controld *core, int64_t domain);
/* keyd is there, with our grant key. */
void bh_zone_keys_keyd_up(struct bh_controld *core, bh_str grant_key);
/* Fills in view->dnssec for a domain whose zone can be signed, in the arena. */
BH_MUST bh_err bh_zone_keys_view(struct bh_controld *core, struct bh_arena *arena, struct bh_domain_view *view);

/* checker.c: verification. */
/* The answers of several servers (a list of dns_server_view) as one: what any of them found counts as found. Appends to
 * a *seen whose answer is empty. */
BH_MUST bh_err bh_seen_merge(struct bh_arena *arena, bh_str views, struct bh_seen *seen);
typedef void bh_check_done(void *ctx, bh_err err);
/* Checks a domain now, or joins the check that is running. `done` may be NULL; the outcome is in the store. */
BH_MUST bh_err bh_check_domain(struct bh_controld *core, int64_t domain, bh_check_done *done, void *ctx);
/* `done` will not be called for this ctx. */
void bh_check_forget(struct bh_controld *core, void *ctx);
/* Starts what is due and orders the next wake. */
void bh_controld_wake(struct bh_controld *core);
void bh_check_free(struct bh_controld *core);

/* egress.c: pools of egress addresses. `start` makes the pool "default" what the configured addresses (platform.egress)
 * say; called again after a reload. */
BH_MUST bh_err bh_egress_start(struct bh_controld *core);
/* What can be done now is done; when to call again. */
bh_time_ms bh_egress_run(struct bh_controld *core);
void bh_egress_free(struct bh_controld *core);
/* core->platform with the egress addresses of a domain's pools in it. `customer` 0: the platform's own. */
BH_MUST bh_err bh_egress_platform(struct bh_controld *core, struct bh_arena *arena, int64_t domain, int64_t customer,
                                  struct bh_platform *ret_platform);
/* Where a domain's mail may leave from: a list of bh_rec_source in the arena, empty where nothing may. Only what the
 * owner's own SPF passes, where `needs_owner` says that it decides. */
BH_MUST bh_err bh_egress_sources(struct bh_controld *core, struct bh_arena *arena, const struct bh_domain *domain,
                                 bool needs_owner, bh_str *ret_sources);
/* standing.c: tells people, where the domain (as it was) now stands otherwise. */
void bh_standing_tell(struct bh_controld *core, const struct bh_domain *domain,
                      const struct bh_domain_standing *standing, const struct bh_check_result *result);

/* removal.c: tombstones. Removes a domain in a transaction of its own. */
BH_MUST bh_err bh_controld_remove_domain(struct bh_controld *core, const struct bh_domain *domain,
                                         bh_time_ms *ret_until);
/* Ends what has stood long enough. */
void bh_tombstones_wake(struct bh_controld *core, bh_time_ms now);

/* lookup.c: answers for smtpd and queued. Views live in the arena. */
void bh_lookup_login(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_login *ask,
                     struct bh_msg_login_reply *ret_reply);
void bh_lookup_customer(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_customer *ask,
                        struct bh_msg_login_reply *ret_reply);
void bh_lookup_token(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_token *ask,
                     struct bh_msg_token_reply *ret_reply);
void bh_lookup_may_send(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_may_send *ask,
                        struct bh_msg_may_send_reply *ret_reply);
void bh_lookup_bounce_domain(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_bounce_domain *ask,
                             struct bh_msg_bounce_domain_reply *ret_reply);
/* feedback.c: which of them may not be written to. */
void bh_lookup_suppressed(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_suppressed *ask,
                          struct bh_msg_suppressed_reply *ret_reply);
/* Reads on in the event log; called when queued says that it has grown, and when it has come up. */
void bh_feedback_follow(struct bh_controld *core);
void bh_lookup_identity(struct bh_controld *core, struct bh_arena *arena, const struct bh_msg_identity *ask,
                        struct bh_msg_identity_reply *ret_reply);

#endif
