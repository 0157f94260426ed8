/* store.h: one SQL layer for control.db, spool.db and reports.db.
 *
 * The interface is *submit, then a completion callback*: the SQLite engine completes before bh_store_submit returns,
 * a PostgreSQL engine will complete later from the loop. Write callers so that both work: what follows a query lives
 * in its `done`. Queries are written once, with `$1` … `$32` as placeholders, `RETURNING` and `ON CONFLICT`; only the
 * DDL is per engine. Each is a `static const struct bh_query` in the file of its noun, and its address is the key of
 * the prepared-statement cache:
 *
 *     static const struct bh_query customer_by_name = {"SELECT id, created_at FROM customer WHERE name = $1"};
 *
 *     bh_store_submit(store, &(struct bh_request){.query = &customer_by_name, BH_ARGS(BH_TEXT(name)),
 *                                                 .row = take_customer, .done = customer_read, .ctx = command});
 *
 * Transactions: begin, any number of submits, commit. The first error makes the rest of the transaction fail with the
 * same code and not run, and commit reports it after rolling back; so statements whose own result nobody needs are
 * submitted without `done`, and only the commit's is looked at. (PostgreSQL behaves so by itself. Where a conflict is
 * expected, say ON CONFLICT.) At most one transaction is open at a time.
 *
 * One owner per file (design, invariant 8): opening takes a lock on `<path>.owner`, which names the holder, and
 * SQLite's own exclusive mode keeps any other reader out of the WAL. Durability: WAL, synchronous=FULL: when commit's
 * `done` has BH_OK the transaction is on the disk.
 *
 * The schema is written by `bh_store_migrate` alone; open refuses a database whose version is not exactly ours. */
#ifndef BH_STORE_STORE_H
#define BH_STORE_STORE_H

#include "base/str.h"

enum {
    BH_QUERY_ARGS_MAX = 32,
    BH_STORE_VALUE_MAX = 64 * 1024 * 1024 /* one text or blob; larger things are files */
};

struct bh_store;

/* ---- schema and opening ---- */

/* One step of a database's life. Steps are numbered 1, 2, 3 … by their place and never edited after a release. */
struct bh_schema_step {
    const char *what;   /* "messages, recipients, events": shown by `behalf migrate` */
    const char *sqlite; /* DDL, any number of statements */
};

struct bh_schema {
    const char *name;        /* "spool" */
    uint32_t application_id; /* PRAGMA application_id: keeps control.db from being opened as spool.db */
    const struct bh_schema_step *steps;
    uint32_t step_count; /* = the version that this build reads and writes */
};

extern const struct bh_schema bh_spool_schema;

struct bh_store_options {
    const char *path; /* a file; ":memory:" gives a private database without lock (tests) */
    const struct bh_schema *schema;
    const char *owner; /* who holds the file: "queued"; told to a second opener */
    const char *vfs;   /* NULL: the system's; tests put a recording or failing one here */
    bool fast_delete;  /* what is deleted may stay in free pages until they are used again; else it is overwritten at
                          once, which costs a write of each page that a deleted message had */
};

/* Why opening or migrating failed, for people, with what to do about it. */
struct bh_store_problem {
    char text[400];
};

/* Opens a database of exactly our version, for reading and writing; BH_E_NOT_FOUND no such file, BH_E_BUSY somebody
 * else owns it, BH_E_VERSION not migrated or too new, BH_E_IO, BH_E_NOMEM. `problem` (may be NULL) tells. For
 * ":memory:" the schema is created at once. Owner of the result: the caller, until bh_store_close. */
BH_MUST bh_err bh_store_open(const struct bh_store_options *options, struct bh_store_problem *problem,
                             struct bh_store **ret_store);
/* NULL is fine. An open transaction is rolled back. */
void bh_store_close(struct bh_store *store);

/* What a migration did: versions before and after, 0 = the file was new. */
struct bh_migration {
    uint32_t from, to;
};

/* Creates the file (mode 0600) if need be and applies the missing steps, all in one transaction. Refuses a database
 * that is newer than this build (BH_E_VERSION) or another's (BH_E_INVALID) and leaves it as it is. BH_E_BUSY while a
 * role owns it. Only `behalf migrate` and `behalf init` call this. */
BH_MUST bh_err bh_store_migrate(const struct bh_store_options *options, struct bh_store_problem *problem,
                                struct bh_migration *ret_migration);

/* ---- queries ---- */

struct bh_query {
    const char *sql; /* one statement; placeholders $1 … $n without gaps */
};

enum bh_value_kind { BH_VALUE_NULL, BH_VALUE_INT, BH_VALUE_TEXT, BH_VALUE_BLOB };

struct bh_value {
    enum bh_value_kind kind;
    int64_t number;
    bh_str bytes;
};

#define BH_INT(v) ((struct bh_value){.kind = BH_VALUE_INT, .number = (int64_t)(v)})
#define BH_TEXT(v) ((struct bh_value){.kind = BH_VALUE_TEXT, .bytes = (v)})
#define BH_BLOB(v) ((struct bh_value){.kind = BH_VALUE_BLOB, .bytes = (v)})
#define BH_NULL ((struct bh_value){.kind = BH_VALUE_NULL})
/* NULL where the view's p is NULL. */
#define BH_TEXT_OR_NULL(v) ((struct bh_value){.kind = (v).p ? BH_VALUE_TEXT : BH_VALUE_NULL, .bytes = (v)})
/* .args and .arg_count of a request from a list of values. */
#define BH_ARGS(...)                                                                                                   \
    .args = (const struct bh_value[]){__VA_ARGS__},                                                                    \
    .arg_count = sizeof((const struct bh_value[]){__VA_ARGS__}) / sizeof(struct bh_value)

/* A row is valid inside the `row` callback only; so are the views taken from it. Columns count from 0. */
struct bh_row;
int64_t bh_row_int(const struct bh_row *row, int column);
/* Text or blob; {NULL, 0} for NULL. */
bh_str bh_row_str(const struct bh_row *row, int column);
bool bh_row_is_null(const struct bh_row *row, int column);
/* A copy in the arena; {NULL, 0} for NULL and when the arena is full. */
bh_str bh_row_dup(const struct bh_row *row, int column, struct bh_arena *arena);

struct bh_result {
    /* BH_OK; BH_E_EXISTS unique or primary key; BH_E_INVALID not-null, check or foreign key; BH_E_LIMIT value too
     * large; BH_E_IO the disk is full or refuses (bh_store_error has the text); BH_E_BUSY; BH_E_NOMEM; BH_E_BUG the
     * statement is wrong. */
    bh_err err;
    int64_t changed; /* rows inserted, updated or deleted */
    int64_t rows;    /* rows given to `row` */
};

struct bh_request {
    const struct bh_query *query;
    const struct bh_value *args; /* args[0] is $1; must live until bh_store_submit returns */
    size_t arg_count;
    void (*row)(void *ctx, const struct bh_row *row);        /* NULL: rows are only counted */
    void (*done)(void *ctx, const struct bh_result *result); /* NULL: nobody asks (see transactions above) */
    void *ctx;
};

/* Runs one statement: `row` once per row, then `done` once, always. Requests complete in the order of submission.
 * Callbacks may submit further requests, but not begin or commit while a statement delivers rows. */
void bh_store_submit(struct bh_store *store, const struct bh_request *request);

/* Submits and waits: for start-up, migration, tests and programs without a loop. `done` of the request is called as
 * well, if set. On SQLite this is the same as submit; on an engine with a network it blocks, so a role that shall run
 * there does not use it on its loop. Returns the result's error. */
BH_MUST bh_err bh_store_run(struct bh_store *store, const struct bh_request *request, struct bh_result *ret_result);

/* Opens a transaction that holds the writer's lock. Its error, if any, is reported by commit. */
void bh_store_begin(struct bh_store *store);
/* Ends it: `done` has BH_OK when everything is durable, else the first error and nothing happened. */
void bh_store_commit(struct bh_store *store, void (*done)(void *ctx, bh_err err), void *ctx);
/* Commits and waits (see bh_store_run). */
BH_MUST bh_err bh_store_commit_wait(struct bh_store *store);
/* Forgets it. */
void bh_store_rollback(struct bh_store *store);
bool bh_store_in_transaction(const struct bh_store *store);

/* The engine's own words about the last failure; "" when there was none. Valid until the next call. */
const char *bh_store_error(const struct bh_store *store);

#endif
