/* engine.h: queued without its sockets: the single writer of spool.db.
 *
 * The engine is driven by calls (a message arrived, a worker came, a result came, the turn ends) and speaks through a
 * table of functions, so that main.c puts it on the loop and a test on a scripted clock. Time, randomness and the store
 * are passed in. What it promises:
 *
 *  - bh_queued_submit answers (submit_reply, ok) only after the message is committed with fsync. All submits of one
 * turn share one transaction. A result is acknowledged only after its commit; results alone wait for at most
 *    `results_wait_ms` or `results_max` of them, whichever comes first.
 *  - A recipient is with one worker at a time, unless that worker is gone. After a restart nothing is given out until
 *    all senders have reported what they still work on, or `settle_ms` have passed.
 *  - Intake answers 452 before anything breaks: see floor.c.
 *  - When the disk is full or fails, intake answers 452, results are kept and tried again, deliveries in hand go on.
 *
 * Worker = a sender, or the steward, which leases mail to ourselves in the same way. */
#ifndef BH_ROLES_QUEUED_ENGINE_H
#define BH_ROLES_QUEUED_ENGINE_H

#include "base/log.h"
#include "queue/queue.h"
#include "queue/retry.h"
#include "roles/messages.h"
#include "store/store.h"

enum {
    BH_INLINE_BODY_MAX = 128 * 1024,
    BH_SUBMIT_RECIPIENTS_MAX = 10000,
    BH_SUBMIT_STREAM_MAX = 64,
    BH_SUBMIT_TEXT_MAX = 4096 /* any one text of a submission */
};

struct bh_queued;
struct bh_worker;

/* Who asked, so that an answer finds the same connection or nobody. */
struct bh_requester {
    void *peer;
    uint64_t generation;
    uint32_t id;
};

struct bh_queued_ops {
    void (*submit_reply)(void *ctx, const struct bh_requester *to, const struct bh_msg_submit_reply *reply);
    void (*batch_reply)(void *ctx, const struct bh_requester *to, const struct bh_msg_submit_batch_reply *reply);
    void (*command_reply)(void *ctx, const struct bh_requester *to, bh_str json);
    /* `body_fd` is -1 or stays the engine's. An error: the worker is dead or full; its deliveries are taken back when
     * bh_queued_worker_down says so. */
    bh_err (*deliver)(void *ctx, void *peer, const struct bh_msg_deliver *deliver, int body_fd);
    /* EVENT is committed, or cannot be now. */
    void (*event_reply)(void *ctx, const struct bh_requester *to, bool ok);
    bh_err (*result_ack)(void *ctx, void *peer, bh_str deliveries);
    /* Asks controld; bh_queued_identity is called with `token` later, never from inside. */
    bh_err (*ask_identity)(void *ctx, const struct bh_msg_identity *question, uint64_t token);
    /* Asks controld which of a list of suppression_question are suppressed; bh_queued_suppressed is called later, never
     * from inside. NULL: none ever is. */
    bh_err (*ask_suppressed)(void *ctx, bh_str questions);
    /* The log has grown by what controld follows. NULL: nobody does. */
    void (*feedback_news)(void *ctx, int64_t seq);
    /* Appends a grant for one signature of this delivery. */
    void (*put_grant)(void *ctx, struct bh_buf *out, uint64_t delivery_id, uint32_t customer_id,
                      const struct bh_rec_sealed_key *key, bh_time_ms now);
    /* bh_queued_turn is to be called at the end of this turn. */
    void (*want_turn)(void *ctx);
    /* … and at that time (INT64_MAX: no more); replaces the last wish. */
    void (*wake_at)(void *ctx, bh_time_ms at);
    bh_time_ms (*now)(void *ctx);
    /* Bytes free where the spool is; UINT64_MAX: not known. NULL: the same. */
    uint64_t (*free_bytes)(void *ctx);
};

struct bh_config;

struct bh_queued_options {
    const struct bh_config *config; /* for its routes; NULL: there are none. Outlives the next configure */
    struct bh_store *store;         /* spool.db; the engine does not close it */
    const char *body_dir;           /* directory of large bodies; made if missing */
    const struct bh_queued_ops *ops;
    void *ctx;
    struct bh_random *random;
    const struct bh_log *log;
    uint64_t seed[2];
    struct bh_retry_policy retry;
    int64_t retention_ms;
    uint64_t message_size_max;
    uint32_t recipients_max;
    uint32_t results_max;     /* 0: 64 */
    int64_t results_wait_ms;  /* 0: 20 */
    int64_t settle_ms;        /* 0: 5000 */
    uint32_t sender_count;    /* that report after a restart */
    int64_t key_use_ahead_ms; /* how far ahead the last use of a key is written; 0: a minute */
    size_t queue_max;         /* recipients in the queue; 0: any number */
    uint64_t memory_max;      /* bytes of the queue and the messages in memory; 0: any number */
    uint64_t min_free;        /* bytes that must be free where the spool is; 0: any number */
    size_t content_max_bytes; /* fresh messages kept in memory until they were given out; 0: 64 MiB */
};

/* Reads the spool: every open recipient is scheduled again, files without a message are removed. BH_E_IO … as the
 * store says; `problem` tells. The caller owns the result. */
BH_MUST bh_err bh_queued_new(const struct bh_queued_options *options, struct bh_store_problem *problem,
                             struct bh_queued **ret_queued);
/* Uncommitted work is rolled back. NULL is fine. */
void bh_queued_free(struct bh_queued *queued);
/* Takes over what a reload may change: retry, retention, limits, sender_count. */
void bh_queued_configure(struct bh_queued *queued, const struct bh_queued_options *options);

/* The end of a loop turn, or the time asked for by wake_at: commits, answers, gives out what is due. */
void bh_queued_turn(struct bh_queued *queued);

/* ---- intake ---- */

/* SUBMIT: answered through submit_reply, now (refused) or when the commit has returned. */
void bh_queued_submit(struct bh_queued *queued, const struct bh_requester *from, const struct bh_msg_submit *submit);
/* SUBMIT_BATCH: answered through batch_reply, likewise. */
void bh_queued_submit_batch(struct bh_queued *queued, const struct bh_requester *from,
                            const struct bh_msg_submit_batch *message);
/* BODY_FILE: an empty file without a name, open for reading and writing; *ret_fd is the engine's: duplicate or send
 * it. BH_E_LIMIT larger than any message may be; BH_E_BUSY intake is closed; BH_E_IO. */
BH_MUST bh_err bh_queued_body_file(struct bh_queued *queued, const struct bh_requester *from, uint64_t size_limit,
                                   uint64_t *ret_number, int *ret_fd);
/* Its files that no SUBMIT named yet are closed. */
void bh_queued_requester_down(struct bh_queued *queued, const void *peer);

/* ---- workers ---- */

/* A sender or the steward has connected. It may take nothing before bh_queued_in_flight was called for it. */
BH_MUST bh_err bh_queued_worker_up(struct bh_queued *queued, void *peer, enum bh_destination serves,
                                   struct bh_worker **ret_worker);
/* It is gone: what it held is ready again. The object is freed. */
void bh_queued_worker_down(struct bh_queued *queued, struct bh_worker *worker);
/* IN_FLIGHT. BH_E_SYNTAX. */
BH_MUST bh_err bh_queued_in_flight(struct bh_queued *queued, struct bh_worker *worker, bh_str deliveries);
/* SLOTS. */
void bh_queued_slots(struct bh_queued *queued, struct bh_worker *worker, uint32_t more);
/* RESULT. BH_E_RANGE: an unknown verdict; BH_E_NOMEM. */
BH_MUST bh_err bh_queued_result(struct bh_queued *queued, struct bh_worker *worker, const struct bh_msg_result *result);

/* ---- events of other roles ---- */

/* EVENT: answered through event_reply when it is committed. BH_E_SYNTAX. */
BH_MUST bh_err bh_queued_event(struct bh_queued *queued, const struct bh_requester *from, bh_str events);

/* SITE: who takes the mail of a domain. */
void bh_queued_site(struct bh_queued *queued, bh_str route, bh_str hosts);

/* ---- identities ---- */

/* Nothing is given out to the world while controld or keyd's grant key is away. */
void bh_queued_gate(struct bh_queued *queued, bool open);
/* VERSION, or a new controld: every cached identity is forgotten, and answers under way are asked for again. */
void bh_queued_version(struct bh_queued *queued);
/* The answer to ask_identity; NULL: there is none (controld went away, or timed out). */
void bh_queued_identity(struct bh_queued *queued, uint64_t token, const struct bh_msg_identity_reply *reply);

/* KEY_USE: for each key_ref of `keys` a key_use is appended. `ret_settled`: false while senders have not told what they
 * work on. BH_E_TRUNCATED. */
BH_MUST bh_err bh_queued_key_use(struct bh_queued *queued, bh_str keys, struct bh_buf *ret_uses,
                                 bh_time_ms *ret_started_at, bool *ret_settled);
/* The answer to ask_suppressed: a list of suppression_hit; p == NULL: there is none. */
void bh_queued_suppressed(struct bh_queued *queued, bh_str hits);

/* ---- commands ---- */

/* COMMAND: {"noun", "verb", "args"}; what there is stands at the head of command.c. Answered once through
 * command_reply, perhaps before this returns. */
void bh_queued_command(struct bh_queued *queued, const struct bh_requester *from, bh_str json);

/* True when nothing is in hand: no result waits for a commit and no worker holds a delivery. */
bool bh_queued_idle(const struct bh_queued *queued);
/* Gives out nothing more and takes nothing in. */
void bh_queued_drain(struct bh_queued *queued);

struct bh_queued_stats {
    uint64_t accepted, refused, commits, failed_commits, dispatched, delivered, deferred, bounced, expired, dropped;
    size_t results_waiting, content_bytes, identities;
};
void bh_queued_stats(const struct bh_queued *queued, struct bh_queued_stats *ret_stats);
/* Of the queue to the world. */
void bh_queued_counts(const struct bh_queued *queued, struct bh_queue_counts *ret_counts);

/* For a backup: from keep on no body goes away without leaving a second name; keep_some gives the others theirs:
 * BH_MORE, BH_DONE; then keep_end. BH_E_IO. */
BH_MUST bh_err bh_queued_keep_bodies(struct bh_queued *q);
BH_MUST bh_err bh_queued_keep_some(struct bh_queued *q, size_t max);
void bh_queued_keep_end(struct bh_queued *q);

#endif
