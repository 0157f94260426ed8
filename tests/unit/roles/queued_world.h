/* queued_world.h: the engine of queued on a scripted clock, with a spool on the disk, senders that remember what they
 * hold, and a copy of the files at any moment as the state after a kill. */
#ifndef BH_TESTS_QUEUED_WORLD_H
#define BH_TESTS_QUEUED_WORLD_H

#include "unit.h"

#include "roles/queued/engine.h"
#include "store/store.h"

enum { WORLD_MAX = 20000, SENDERS = 2 };

struct reply {
    uint32_t id;
    bool ok;
    uint64_t message;
    uint16_t code;
};

struct delivery {
    uint64_t delivery_id, message;
    uint32_t idx, attempt;
    uint32_t body_check; /* sum over the body, wherever it came from */
    uint64_t size;
    bool open;       /* no result yet */
    bool has_result; /* not acknowledged yet */
    uint8_t verdict;
    char address4[40], site[80], route_host[40], domain[80];
    char selector[64]; /* of the first key that would sign */
};

/* A sender or the steward as queued sees it: `peer` of the engine. */
struct sender {
    struct world *world;
    struct bh_worker *worker;
    enum bh_destination serves;
    struct delivery *held;
    size_t held_count;
};

struct world {
    char dir[64];
    const char *vfs; /* of the store; NULL: the system's */
    int generation;  /* of the directory: each kill makes a new one */
    bh_time_ms now;
    struct bh_random_seeded random;
    struct bh_store *store;
    struct bh_queued *engine;
    struct bh_queued_options options;
    char db[128], body_dir[128];
    struct bh_log log;

    struct reply *replies;
    size_t reply_count;
    char *command_answer;
    size_t events_told, events_refused;
    struct sender senders[SENDERS];
    struct sender steward;
    bool wants_turn;
    bh_time_ms wake_at;
    /* identities */
    bool answer_identities; /* at the next world_turn */
    uint64_t tokens[1000];
    size_t token_count;
    size_t questions;
    struct bh_msg_identity_reply identity;
    const char *campaign; /* of what is submitted; NULL: none */
    bh_time_ms send_at;
    size_t deliver_count;
    uint64_t free_bytes; /* of the file system */
    bool deaf;           /* deliver fails */
    int die_after; /* outputs from now on, the last of which is heard: then the state of the files is taken, and what
                      the engine does until the end of the turn has not happened; 0: never */
    bool dead;
};

void world_new(struct world *world, uint32_t sender_count);
void world_free(struct world *world);
/* The engine and its store are gone as by kill -9, and come up again on what the disk has. Senders live on. */
void world_kill(struct world *world);
/* As after a power cut: shut leaves an empty directory (w->db, w->body_dir) for what the disk has kept; open starts on
 * it, and the senders know nothing. */
void world_shut(struct world *world);
void world_open(struct world *world);
/* A sender connects, reports what it holds, repeats its results, offers slots. */
void world_connect(struct world *world, struct sender *sender, uint32_t slots);
void world_disconnect(struct world *world, struct sender *sender);
/* A turn if one is wanted or due, and the answers to identity questions. */
void world_turn(struct world *world);
/* Turns until nothing more is due at this moment. */
void world_settle(struct world *world);
void world_advance(struct world *world, int64_t ms);

/* Submits a message of `size` bytes to recipients "a0@d0.example" …; its body depends on `id`. */
void world_submit(struct world *world, uint32_t id, size_t size, uint32_t recipients);
void world_submit_to(struct world *world, uint32_t id, size_t size, const char *const *addresses, uint32_t count);
uint32_t world_body_check(uint32_t id, size_t size);
/* The result of an open delivery. */
void world_result(struct world *world, struct sender *sender, size_t at, uint8_t verdict);
/* The same with a reply: deferred or bounced by its code. */
void world_refuse(struct world *world, struct sender *sender, size_t at, uint16_t code, const char *text);
/* Runs a command; the answer is valid until the next. */
const char *world_command(struct world *world, const char *json);
int64_t world_count(struct world *world, const struct bh_query *query);

#endif
