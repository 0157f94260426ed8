/* controld_world.h: controld's core with a store in memory, and the other roles played by the world: keyd answers at
 * once or refuses, DNS answers come from a list, zones and versions are counted, queued keeps the last message. */
#ifndef BH_TESTS_CONTROLD_WORLD_H
#define BH_TESTS_CONTROLD_WORLD_H

#include "roles/controld/command.h"
#include "unit.h"

enum { ANSWERS_MAX = 64 };

struct answer {
    char name[256];
    uint16_t type;
    bool direct;
    char text[600];
};

struct world {
    struct bh_controld core;
    struct bh_psl *psl;
    struct bh_random_seeded random;
    bh_time_ms now;
    bool keyd_is_down;
    bool keyd_is_slow; /* the next key is made by answer_late_key */
    bh_key_done *late_key;
    void *late_key_ctx;
    unsigned keys_made;
    bool dns_is_silent;
    bool dns_hangs;                     /* questions are never answered */
    bh_str meanwhile_at;                /* of names: that begin so */
    void (*meanwhile)(struct world *w); /* happens once between a question (DNS, queued) and its answer */
    uint32_t ttl_s;                     /* of all answers */
    struct answer answers[ANSWERS_MAX];
    size_t answer_count;
    bh_str soa_zone;
    bool queued_is_down;
    char last_submit[1 << 17], last_recipients[2000];
    bh_time_ms key_signed_at;
    uint32_t keys_in_hand;
    size_t revoked_count;
    uint64_t last_revoked;
    unsigned zones, commits, versions, settles, submits;
    unsigned tellings, told_count;
    int told_kinds[8];
    char told_keys[8][64];
    bool queued_away;
    char last_zones[4000], last_removals[1000]; /* names, each followed by a blank */
    json_t *got;
    struct bh_arena *arena;
};

/* cmocka set-up and tear-down; *state is the world. */
int open_world(void **state);
int close_world(void **state);
/* For bh_command_run: the answer becomes w->got. */
void take_answer(void *ctx, json_t *answer);
/* Runs a command, which must end at once. True when it says ok. */
bool run(struct world *w, const char *json);
/* A text of the last result, the code of the last error. */
const char *said(const struct world *w, const char *name);
const char *error_code(const struct world *w);
void settle(struct world *w);
void answer_dns(struct world *w, const char *name, uint16_t type, bool direct, const char *text);
/* Publishes what the last `domain add` asked for, all of a name and type in one answer. */
void publish_required(struct world *w);
void add_customers(struct world *w);
/* A delegated domain of acme, verified. */
void verify_delegation(struct world *w);
struct bh_msg_may_send_reply may_send(struct world *w, uint32_t customer, const char *domain);
/* keyd answers at last, and at once from now on. */
void answer_late_key(struct world *w);
uint32_t customer_id(struct world *w, const char *name);

#define ADD(name, customer, approach)                                                                                  \
    "{\"noun\":\"domain\",\"verb\":\"add\",\"args\":{\"name\":\"" name "\",\"customer\":\"" customer                   \
    "\",\"approach\":\"" approach "\"}}"
#define CHECK(name, customer)                                                                                          \
    "{\"noun\":\"domain\",\"verb\":\"check\",\"args\":{\"domain\":\"" name "\",\"customer\":\"" customer "\"}}"

#endif
