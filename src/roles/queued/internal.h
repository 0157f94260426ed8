/* internal.h: the engine's parts and what they share. One noun per file: content, body file, commit, intake, identity,
 * flight, result, command. */
#ifndef BH_ROLES_QUEUED_INTERNAL_H
#define BH_ROLES_QUEUED_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "engine.h"
#include "queue/message_id.h"
#include "queue/shaping.h"
#include "store/event.h"
#include "store/message.h"
#include "store/policy.h"
#include "store/recipient.h"
#include <dirent.h>

/* Where mail to ourselves goes; no domain can be called so. */
#define STEWARD_ROUTE "@steward"

enum {
    DESTINATIONS = 2, /* of enum bh_destination */
    ITEM_FILE = 2,    /* a flag of items: the body is a file */
    ITEM_NOTIFY = 4   /* another: the submitter said by NOTIFY what he wants to be told */
};

struct flight;
struct identity;

/* ---- content.c: a message in memory, between its accept and its first delivery ---- */

struct content_recipient {
    bh_str address, notify, orcpt;
};

struct content {
    struct bh_map_node node; /* in contents.by_id, unless `loose` */
    struct bh_list lru;
    struct bh_message_row row; /* views point behind the struct, as those below */
    bh_str body;               /* p == NULL: in a file */
    uint32_t first_idx;        /* of recipients[0] */
    uint32_t recipient_count;
    uint32_t not_given_out; /* recipients that still want it */
    uint32_t users;         /* flights that hold it */
    size_t bytes;
    bool loose; /* read from the store for one flight */
    struct content_recipient *recipients;
};

struct contents {
    struct bh_map by_id;
    struct bh_list lru;
    size_t bytes, max_bytes;
};

/* A copy of all that is handed over, in one allocation. NULL: out of memory. */
struct content *content_new(const struct bh_message_row *row, bh_str body, uint32_t first_idx,
                            const struct content_recipient *recipients, uint32_t recipient_count);
void content_free(struct content *content);
/* Puts a fresh message in, pushing out the oldest; takes it over. */
void contents_keep(struct contents *contents, struct content *content);
struct content *contents_find(struct contents *contents, uint64_t id);
/* A flight has it (use) and has given it to a worker or given up (unuse). */
void content_use(struct content *content);
void contents_unuse(struct contents *contents, struct content *content, bool given_out);
void contents_forget(struct contents *contents, uint64_t id);
void contents_free(struct contents *contents);

/* ---- body_file.c: large bodies ---- */

struct body_file {
    struct bh_list node; /* oldest first */
    uint64_t number;
    const void *peer;
    int fd;
    uint64_t size_limit;
    bool named; /* the file system has no O_TMPFILE: it is "new-<number>" */
};

struct body_files {
    int dir_fd;
    struct bh_list pending;
    size_t pending_count;
    uint64_t next_number;
    bool dirty;   /* names were made that are not durable yet */
    bool keeping; /* for a backup: what goes away gets its second name first */
    DIR *listing; /* of keep_some; NULL: not begun */
};

bh_err body_files_open(struct body_files *files, const char *dir, struct bh_store_problem *problem);
void body_files_close(struct body_files *files);
bh_err body_file_make(struct body_files *files, const void *peer, uint64_t size_limit, struct body_file **ret_file);
struct body_file *body_file_find(struct body_files *files, const void *peer, uint64_t number);
void body_file_drop(struct body_files *files, struct body_file *file);
void body_files_drop_peer(struct body_files *files, const void *peer);
/* Gives it the message's name; it must hold exactly `size` bytes. BH_E_INVALID, BH_E_IO. The entry is freed. */
bh_err body_file_link(struct body_files *files, struct body_file *file, uint64_t message, uint64_t size);
/* All names made so far are on the disk after this. */
bh_err body_files_sync(struct body_files *files);
void body_file_unlink(struct body_files *files, uint64_t message);
/* For reading; -1. */
int body_file_read(const struct body_files *files, uint64_t message);
/* Removes what `is_wanted` does not know. */
bh_err body_files_sweep(struct body_files *files, bool (*is_wanted)(void *ctx, uint64_t message), void *ctx);

/* For a backup. keep removes the second names ("keep-msg_…") that an earlier one left; from then on a body that is
 * unlinked keeps one. keep_some gives one to the next `max` bodies: BH_MORE, BH_DONE. Then keep_end. */
bh_err body_files_keep(struct body_files *files);
bh_err body_files_keep_some(struct body_files *files, size_t max);
void body_files_keep_end(struct body_files *files);

/* ---- commit.c: what waits for the next commit ---- */

enum { BATCH_MAX = 500 };

/* Submits that are committed and answered together. */
struct batch {
    struct bh_list node; /* in group.batches */
    struct bh_requester from;
    uint16_t code; /* not 0: why nothing of it is taken */
    const char *enhanced, *reason;
    bool replayed;
    uint32_t count;
    unsigned char ids[BATCH_MAX][8]; /* big-endian */
};

void batch_refuse(struct batch *batch, uint16_t code, const char *enhanced, const char *reason);
void batch_add(struct batch *batch, uint64_t message);
void batches_committed(struct bh_queued *q, bh_err err);

struct pending_submit {
    struct bh_list node;
    struct batch *batch; /* answers for it; NULL: it is answered by itself */
    struct bh_requester from;
    struct content *content;
    uint32_t recipient_count;
    bh_time_ms send_at;
    bool has_file;
};

enum { RESULT_TEXT_MAX = 2048 };

/* What becomes of a recipient; decided once, also if its commit must be repeated. */
struct dsn;
struct pending_result {
    struct bh_list node;
    struct bh_worker *worker; /* to acknowledge; NULL: nobody (our own decision, or the worker is gone) */
    uint64_t delivery_id;
    struct bh_queue_item *item;
    struct bh_queue *queue;
    uint64_t message;
    uint32_t idx;
    uint32_t attempts; /* after this */
    enum bh_event_kind kind;
    bh_time_ms next_at; /* deferred only */
    uint16_t code;
    bool sole;
    bool last; /* the message is finished by this */
    int64_t customer;
    struct dsn *dsn; /* a notice that goes with it, or NULL */
    bh_str text;     /* behind the struct */
    bh_str detail;   /* JSON, behind it */
    bh_str events;   /* of the steward, behind it */
};

struct group {
    struct bh_list submits;
    struct bh_list batches;
    struct bh_list results; /* oldest first */
    struct bh_list events;  /* told by other roles: answered after the commit */
    size_t result_count;
    bh_time_ms results_since;
    bool began;              /* a transaction is open */
    bh_time_ms closed_until; /* the store failed: no intake, no commit before */
    char why_closed[200];
};

/* Opens the transaction if there is none. */
void group_begin(struct bh_queued *q);
/* Commits if it is time. */
void group_flush(struct bh_queued *q);
/* When results alone force the next commit; INT64_MAX. */
bh_time_ms group_due_at(const struct bh_queued *q);
void group_free(struct bh_queued *q);
/* Rolls back what is open and answers it as a failed commit would. */
void group_abandon(struct bh_queued *q, bh_err err);
void add_result(struct bh_queued *q, struct pending_result *result);

/* Puts a committed message's recipients into the schedule. */
void schedule_content(struct bh_queued *q, struct content *content, uint32_t recipient_count, bool has_file,
                      bh_time_ms send_at);

/* ---- dsn.c ---- */

typedef void dsn_ready(struct bh_queued *q, struct pending_result *result);
/* The submitter may want to be told of this result: it is found out, the notice is made, then `ready` is called,
 * perhaps before this returns. False: he does not, and `ready` is not called. */
bool dsn_prepare(struct bh_queued *q, struct pending_result *result, bh_str status, bh_str remote, dsn_ready *ready);
/* Writes the result's notice into the open transaction; puts it into the schedule behind the commit. */
void dsn_write(struct bh_queued *q, const struct pending_result *result);
void dsn_schedule(struct bh_queued *q, struct pending_result *result);
void dsn_free(struct dsn *dsn);

/* ---- intake.c ---- */

/* One submit of a batch: checked, or taken in. A refusal goes into the batch. */
void intake_batched(struct bh_queued *q, struct batch *batch, const struct bh_msg_submit *submit, bool take);

/* The lane that a recipient's mail waits in: its domain in lower case, or STEWARD_ROUTE. The view points into `route`
 * or is static. BH_E_SYNTAX: no domain, or one longer than names are. */
bh_err route_of(uint8_t destination, bh_str address, char route[BH_QUEUE_ROUTE_MAX], bh_str *ret_route);

/* ---- identity.c ---- */

enum { IDENTITIES_MAX = 20000 };

/* A recipient by its name: it may have ended by the time it is looked for. */
struct held_item {
    uint64_t message;
    uint32_t idx;
};

/* A record of IDENTITY_REPLY's sources, and what the queue calls it: "ADDRESS4 ADDRESS6 HELO". */
struct source {
    bh_str name, address4, address6, helo;
    uint32_t weight;
};

struct identity {
    struct bh_map_node node;
    struct bh_list lru;
    uint64_t token; /* of the question under way; 0: none */
    uint64_t epoch; /* when it was asked */
    struct bh_map_node by_token;
    bool known, allowed, permanent, is_held;
    struct source *sources; /* that its mail may leave from; their texts behind them */
    size_t source_count;    /* 0: as the configuration says */
    uint8_t tls;            /* enum bh_tls_level */
    uint32_t customer;      /* whose keys they are */
    struct bh_list waiting; /* flights */
    struct held_item *held; /* recipients kept by its answer, see identity_hold */
    size_t held_count, held_cap;
    bh_str bounce_domain, helo, keys, enhanced, reason; /* in one allocation, `text` */
    char *text;
    size_t key_bytes;
    char key[];
};

struct identities {
    struct bh_map by_key, by_token;
    struct bh_list lru;
    uint64_t next_token;
    uint64_t epoch; /* grows with each VERSION */
};

void identities_free(struct bh_queued *q);
/* The identity of a flight's message: *ret_identity when known; else the flight waits (BH_E_AGAIN) and is continued or
 * put back later. BH_E_NOMEM, BH_E_CLOSED. */
bh_err identity_get(struct bh_queued *q, struct flight *flight, struct identity **ret_identity);
/* ---- source.c ---- */

/* Reads IDENTITY_REPLY's list. False: out of memory. */
bool identity_keep_sources(struct identity *identity, bh_str records);
/* The source that the queue chose for an item, NULL where the configuration decides (*ret_known), or it is none that
 * this identity may use: then the queue knows better now, and the item is to be put back. */
const struct source *identity_source(struct bh_queued *q, const struct identity *identity,
                                     const struct bh_queue_item *item, bool *ret_known);
/* Remembers a recipient that `identity` keeps waiting: when its answer changes, it is tried at once. Where there is no
 * memory for that, it is found again by its time. */
void identity_hold(struct identity *identity, const struct bh_queue_item *item);

/* ---- key_use.c: which keys are in use ---- */

enum { FLIGHT_KEYS_MAX = 4 };

struct key_uses {
    struct bh_map by_key;
    struct bh_list dirty; /* written with the next commit */
};

void key_uses_init(struct bh_queued *q);
void key_uses_free(struct bh_queued *q);
/* A key has signed, now at the latest; keys as a result names them. */
void key_used(struct bh_queued *q, uint64_t key);
void keys_used(struct bh_queued *q, bh_str ids);
/* Into the open transaction; then, when it is durable. */
void key_uses_write(struct bh_queued *q);
void key_uses_written(struct bh_queued *q);
/* The keys (a list of sealed_key) go out with this flight; its worker died with them. */
void flight_keys_note(struct flight *flight, bh_str keys);
void flight_keys_lost(struct bh_queued *q, const struct flight *flight);

/* ---- flight.c: deliveries in hand ---- */

struct bh_worker {
    struct bh_list node; /* in q->workers */
    void *peer;
    enum bh_destination serves;
    uint32_t free;
    bool reported;
    struct bh_list flights;
    size_t flight_count;
    struct bh_buf acks; /* delivery_ref records */
};

struct flight {
    struct bh_map_node by_id;
    struct bh_list node;        /* in worker.flights while a worker has it */
    struct bh_list waiting;     /* in suppress, then in identity.waiting */
    struct bh_worker *worker;   /* NULL: not given out yet */
    struct bh_queue_item *item; /* NULL: it was finished meanwhile */
    struct bh_queue *queue;
    struct content *content; /* until it is given out */
    uint64_t delivery_id;
    uint32_t attempt;
    bool keys_known; /* false: given out by an earlier queued */
    uint8_t key_count;
    uint64_t keys[FLIGHT_KEYS_MAX];
    bool cleared; /* its address is not suppressed */
};

/* Gives out what may go. */
void dispatch(struct bh_queued *q);
/* The identity is known now. */
void flight_continue(struct bh_queued *q, struct flight *flight);
/* Not now: the item is ready again. */
void flight_put_back(struct bh_queued *q, struct flight *flight);
/* Out of all lists, freed; the item is left alone. */
void flight_free(struct bh_queued *q, struct flight *flight);
void flights_free(struct bh_queued *q);
/* The store cannot give its message now: tried again in a minute. The flight is freed. */
void flight_unreadable(struct bh_queued *q, struct flight *flight);
uint32_t attempt_of(uint64_t delivery_id);
/* A number that an earlier queued has given: ours go on behind it, also when the clock went back. */
void seen_delivery_id(struct bh_queued *q, uint64_t delivery_id);

/* ---- result.c ---- */

/* Our own verdict on a flight that no worker has: its identity was refused. The flight is freed. */
/* The domain cannot send for now: the recipient waits without an attempt being counted. */
void hold_flight(struct bh_queued *q, struct flight *flight, struct identity *identity);
void refuse_flight(struct bh_queued *q, struct flight *flight, uint8_t verdict, bh_str enhanced, bh_str reason);
/* The same as an end of another kind. */
void end_flight(struct bh_queued *q, struct flight *flight, enum bh_event_kind kind, uint16_t code, bh_str text,
                bh_str detail);
/* A taken item whose time is over. */
void expire_item(struct bh_queued *q, struct bh_queue *queue, struct bh_queue_item *item);
/* The operator's or the customer's: ends an item with that event. BH_E_BUSY: it is being delivered just now;
 * BH_E_NOMEM. */
bh_err drop_item(struct bh_queued *q, struct bh_queue *queue, struct bh_queue_item *item, enum bh_event_kind kind,
                 bh_str why);
/* Writes one result into the open transaction. */
void write_result(struct bh_queued *q, struct pending_result *result);
/* Its commit has returned: the schedule follows, the acknowledgement is queued. */
void apply_result(struct bh_queued *q, struct pending_result *result);
void write_event(struct bh_queued *q, enum bh_event_kind kind, uint64_t message, int32_t idx, int64_t customer,
                 uint16_t code, bh_str text, bh_str detail);

/* ---- suppress.c: what may not be sent to is never given to a sender ---- */

struct suppress {
    struct bh_list waiting; /* flights that the next question is about */
    struct bh_list asked;   /* those of the question under way */
    bool under_way;
};

/* The flight waits for the answer; it is continued, put back or ended then. */
void suppress_ask(struct bh_queued *q, struct flight *flight);
/* Asks about those that wait. */
void suppress_flush(struct bh_queued *q);

/* ---- event_in.c ---- */

/* BH_E_SYNTAX: not a list of events, or one of them is none. */
bh_err check_told_events(bh_str events);
/* controld is told after the commit, if it follows this kind. */
void note_feedback(struct bh_queued *q, enum bh_event_kind kind, int64_t seq);
/* Writes them into the open transaction. */
void write_told_events(struct bh_queued *q, bh_str events);
/* Answers what waited for the commit. */
void end_told_events(struct bh_queued *q, bh_err err);
void forget_told_events(struct bh_queued *q);

/* ---- policy.c: what the operator says ---- */

enum { POLICY_MAX = 20000 /* entries of all kinds */ };

/* The node is the first member of each. */
struct hold {
    struct bh_list node;
    struct bh_hold_row row;
};
struct site_entry {
    struct bh_list node;
    struct bh_site_row row;
};
struct schedule_entry {
    struct bh_list node;
    struct bh_schedule_row row;
};
struct reroute_entry {
    struct bh_list node;
    struct bh_reroute_row row;
};
struct warmup_entry {
    struct bh_list node;
    struct bh_warmup_row row;
    struct bh_list days;
};
struct warmup_day {
    struct bh_list node;
    struct bh_warmup_day_row row; /* address is the entry's */
    bool dirty;
};

struct policy {
    struct bh_shaping *shaping; /* built-in, and what the sites say */
    struct bh_list holds, sites, schedules, reroutes, warmups;
    size_t count; /* of all */
    size_t message_holds;
    int64_t last_hold;
    bool is_dirty; /* a day's count is not written yet */
};

void policy_init(struct bh_queued *q);
bh_err policy_load(struct bh_queued *q);
void policy_free(struct bh_queued *q);
struct bh_queue_knowledge policy_knowledge(struct bh_queued *q);
/* A copy is kept; one of the same key is replaced. False: out of memory. */
bool policy_put_hold(struct bh_queued *q, const struct bh_hold_row *row);
bool policy_put_site(struct bh_queued *q, const struct bh_site_row *row);
bool policy_put_schedule(struct bh_queued *q, const struct bh_schedule_row *row);
bool policy_put_reroute(struct bh_queued *q, const struct bh_reroute_row *row);
bool policy_put_warmup(struct bh_queued *q, const struct bh_warmup_row *row);
struct site_entry *policy_find_site(const struct bh_queued *q, bh_str name);
struct schedule_entry *policy_find_schedule(const struct bh_queued *q, int64_t customer, bh_str class);
struct reroute_entry *policy_find_reroute(const struct bh_queued *q, bh_str route);
struct warmup_entry *policy_find_warmup(const struct bh_queued *q, bh_str address);
void policy_drop_hold(struct bh_queued *q, struct hold *hold);
void policy_drop_site(struct bh_queued *q, struct site_entry *site);
void policy_drop_schedule(struct bh_queued *q, struct schedule_entry *schedule);
void policy_drop_reroute(struct bh_queued *q, struct reroute_entry *reroute);
void policy_drop_warmup(struct bh_queued *q, struct warmup_entry *warmup);
/* All rules, with `rules` instead of what the site `name` says. BH_E_SYNTAX with *problem; BH_E_NOMEM. */
bh_err policy_make_shaping(struct bh_queued *q, bh_str name, bh_str rules, struct bh_shaping **ret_shaping,
                           struct bh_shaping_problem *problem);
/* Takes it over, and tells the queue. */
void policy_use_shaping(struct bh_queued *q, struct bh_shaping *shaping);
bool policy_holds_message(const struct bh_queued *q, uint64_t message);
void policy_schedule(const struct bh_queued *q, int64_t customer, bh_str class, struct bh_retry_policy *ret_policy);
/* A taken item reached its site from its source. */
void policy_count_departure(struct bh_queued *q, const struct bh_queue_item *item);
/* Into the open transaction; and that is durable now. */
void policy_write(struct bh_queued *q);
void policy_written(struct bh_queued *q);
/* The count of a day, 0 if it is another than the last; NULL: out of memory. */
struct warmup_day *policy_warmup_day(struct warmup_entry *warmup, bh_str site, uint32_t day);

/* ---- floor.c: intake closes before anything breaks ---- */

struct floor {
    bh_time_ms looked_at;
    uint64_t taken_since; /* bytes accepted since then */
    uint64_t free_bytes;  /* as seen then */
    const char *why;      /* intake is closed; NULL: open */
};

/* True while a message of that many bytes may come in. Tells when that changes (log, event). */
bool floor_allows(struct bh_queued *q, uint64_t bytes);

/* ---- engine.c ---- */

struct bh_queued {
    struct bh_queued_options options;
    struct bh_store *store;
    struct bh_queue *queues[DESTINATIONS];
    struct bh_list workers;
    struct contents contents;
    struct body_files files;
    struct group group;
    struct identities identities;
    struct suppress suppress;
    int64_t feedback_seq; /* written in this group, for who follows; 0: nothing */
    struct policy policy;
    struct floor floor;
    struct bh_map flights; /* by delivery id */
    struct key_uses key_uses;
    struct bh_id_source message_ids, delivery_ids, event_ids;
    size_t not_given_out; /* flights without a worker */
    bh_time_ms started_at;
    bh_time_ms purge_at;
    bool settled;
    bool gate_open;
    bool draining;
    bool stalled; /* nothing can be given out just now (controld, memory): tried again in a second */
    struct bh_buf scratch;
    struct bh_queued_stats stats;
};

static inline bh_time_ms now_of(const struct bh_queued *q)
{
    return q->options.ops->now(q->options.ctx);
}

static inline bh_str id_key(const uint64_t *id)
{
    return bh_str_of((const char *)id, sizeof(*id));
}

static inline struct bh_queue *queue_for(struct bh_queued *q, uint8_t destination)
{
    return q->queues[destination == BH_TO_STEWARD ? BH_TO_STEWARD : BH_TO_WORLD];
}

/* The item of a recipient, wherever it is queued, or NULL. */
struct bh_queue_item *find_item(struct bh_queued *q, uint64_t message, uint32_t idx, struct bh_queue **ret_queue);

#endif
