/* internal.h: what the files of the SQLite engine share. */
#ifndef BH_STORE_INTERNAL_H
#define BH_STORE_INTERNAL_H

#include "store.h"
#include <sqlite3.h>

/* A prepared statement, cached under the address of its query. */
struct bh_statement {
    const struct bh_query *query;
    sqlite3_stmt *stmt;
    uint8_t arg_count;
    bool running;
    uint8_t place[BH_QUERY_ARGS_MAX]; /* place[k] = SQLite's index of "$k+1" */
};

struct bh_store {
    sqlite3 *db;
    int lock_fd; /* -1: none */
    bool in_tx;
    bh_err tx_err;
    char error[256];
    struct bh_statement **cache; /* open addressing, a power of two */
    size_t cache_size, cache_count;
};

/* SQLite's (extended) result code as ours. */
bh_err bh_sqlite_err(int code);
/* Keeps SQLite's words for bh_store_error and returns the mapped code. */
bh_err bh_sqlite_fail(struct bh_store *store, int code);
/* Finalises all cached statements. */
void bh_statements_free(struct bh_store *store);

/* Opens without looking at the schema; takes the lock. `create` makes the file. */
BH_MUST bh_err bh_sqlite_open(const struct bh_store_options *options, bool create, struct bh_store_problem *problem,
                              struct bh_store **ret_store);
/* Runs statements without arguments or rows. */
BH_MUST bh_err bh_sqlite_exec(struct bh_store *store, const char *sql);
/* A pragma's one number. */
BH_MUST bh_err bh_sqlite_pragma(struct bh_store *store, const char *sql, int64_t *ret_number);
void bh_store_explain(struct bh_store_problem *problem, const char *format, ...) BH_PRINTF(2, 3);

#endif
