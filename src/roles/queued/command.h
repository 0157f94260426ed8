/* command.h: what the files of commands share. See command.c for what there is. */
#ifndef BH_ROLES_QUEUED_COMMAND_H
#define BH_ROLES_QUEUED_COMMAND_H

#include "internal.h"
#include <jansson.h>

enum { LIST_MAX = 1000, LIST_USUAL = 100 };

struct target {
    uint64_t message;
    uint32_t idx;
};

struct command {
    struct bh_queued *q;
    struct bh_requester from;
    json_t *request;
    json_t *args;
    json_t *result;
    json_t *list; /* borrowed from result: where rows go */
    bh_err err;
    size_t bytes; /* estimate of the answer */
    bool hidden;  /* the message is not the customer's who asks: it does not exist for him */
    bool cut;     /* the list ended before the rows did */
    int64_t limit;
    struct target *targets; /* of retry and drop */
    size_t target_count;
    void (*act)(struct command *c);
};

/* Each answers and ends the command. */
void command_done(struct command *c);
void command_fail(struct command *c, const char *code, const char *detail, const char *fix);
void command_fail_store(struct command *c);

/* ---- arguments ---- */

/* {NULL, 0} where it is missing or no text. */
bh_str command_arg(const struct command *c, const char *name);
int64_t command_arg_int(const struct command *c, const char *name, int64_t otherwise);
/* Sets c->limit; false after ending the command. */
bool command_take_limit(struct command *c);
bool command_parse_id(bh_str text, uint64_t *ret_id);

/* ---- values; new references ---- */

json_t *command_text_json(bh_str s);
json_t *command_time_json(bh_time_ms at);
json_t *command_id_json(uint64_t message);

/* ---- rows into c->list ---- */

/* Appends to the list unless the answer is large enough; takes the reference. */
void command_add_row(struct command *c, json_t *row, size_t bytes);
void command_take_event(void *ctx, const struct bh_row *row);
void command_rows_done(void *ctx, const struct bh_result *result);
/* A member of the last row, borrowed, or NULL. */
json_t *command_last_value(const json_t *list, const char *name);

/* ---- writing ---- */

/* Opens a transaction of the command's own; false after ending it. */
bool command_begin(struct command *c);
/* Commits; then `apply` makes it count and the command is answered. `apply` returns false after ending it itself. */
void command_commit(struct command *c, bool (*apply)(struct command *c));
/* False after ending it: there are too many entries already. */
bool command_has_room(struct command *c);

/* ---- command_hold.c ---- */

void command_queue_hold(struct command *c);
void command_queue_holds(struct command *c);
void command_queue_release(struct command *c);
void command_queue_reroute(struct command *c);
void command_queue_unroute(struct command *c);
void command_queue_reroutes(struct command *c);

/* ---- command_site.c ---- */

void command_site_list(struct command *c);
void command_site_show(struct command *c);
/* set, unset, suspend, resume */
void command_site_change(struct command *c);
void command_schedule_list(struct command *c);
void command_schedule_set(struct command *c);
void command_schedule_unset(struct command *c);
void command_warmup_list(struct command *c);
void command_warmup_start(struct command *c);
void command_warmup_stop(struct command *c);

/* ---- command_event.c ---- */

void bh_event_list(struct command *c);
void bh_event_ack(struct command *c);
void bh_event_forget(struct command *c);
void bh_event_readers(struct command *c);

#endif
