/* statement.c: preparing, caching, binding and stepping. See store.h.
 *
 * In SQLite `$2` is a *name*: the first parameter that the text mentions gets index 1, whatever its number. So each
 * placeholder's index is looked up by its name once, when the statement is prepared. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

enum { CACHE_START = 64 };

static size_t slot_of(const struct bh_store *store, const struct bh_query *query)
{
    size_t mask = store->cache_size - 1;
    size_t slot = (size_t)(((uintptr_t)query >> 3) * 0x9e3779b97f4a7c15u >> 32) & mask;

    while (store->cache[slot] && store->cache[slot]->query != query)
        slot = (slot + 1) & mask;
    return slot;
}

static bh_err grow_cache(struct bh_store *store)
{
    struct bh_statement **old = store->cache;
    size_t old_size = store->cache_size;
    size_t size = old_size ? old_size * 2 : CACHE_START;
    struct bh_statement **cache = calloc(size, sizeof(struct bh_statement *));

    if (!cache)
        return BH_E_NOMEM;
    store->cache = cache;
    store->cache_size = size;
    for (size_t i = 0; i < old_size; i++)
        if (old[i])
            cache[slot_of(store, old[i]->query)] = old[i];
    free(old);
    return BH_OK;
}

static void free_statement(struct bh_statement *statement)
{
    if (!statement)
        return;
    (void)sqlite3_finalize(statement->stmt);
    free(statement);
}

void bh_statements_free(struct bh_store *store)
{
    for (size_t i = 0; i < store->cache_size; i++)
        free_statement(store->cache[i]);
    free(store->cache);
    store->cache = NULL;
    store->cache_size = store->cache_count = 0;
}

static bh_err find_places(struct bh_store *store, struct bh_statement *statement)
{
    int count = sqlite3_bind_parameter_count(statement->stmt);

    if (count > BH_QUERY_ARGS_MAX)
        return BH_E_BUG;
    for (int i = 0; i < count; i++) {
        char name[8];
        int place;

        (void)snprintf(name, sizeof(name), "$%d", i + 1);
        place = sqlite3_bind_parameter_index(statement->stmt, name);
        if (place == 0) {
            (void)snprintf(store->error, sizeof(store->error), "placeholder %s is missing", name);
            return BH_E_BUG;
        }
        statement->place[i] = (uint8_t)place;
    }
    statement->arg_count = (uint8_t)count;
    return BH_OK;
}

static bh_err prepare(struct bh_store *store, const struct bh_query *query, bool keep,
                      struct bh_statement **ret_statement)
{
    struct bh_statement *statement = calloc(1, sizeof(*statement));
    int code;
    bh_err err;

    if (!statement)
        return BH_E_NOMEM;
    statement->query = query;
    code = sqlite3_prepare_v3(store->db, query->sql, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0, &statement->stmt, NULL);
    err = code == SQLITE_OK ? find_places(store, statement) : bh_sqlite_fail(store, code);
    if (err)
        free_statement(statement);
    else
        *ret_statement = statement;
    return err;
}

static bh_err cached(struct bh_store *store, const struct bh_query *query, struct bh_statement **ret_statement)
{
    struct bh_statement *statement;
    bh_err err;

    if (store->cache_count * 2 >= store->cache_size && (err = grow_cache(store)))
        return err;
    statement = store->cache[slot_of(store, query)];
    if (statement && statement->running) /* asked again from its own row callback */
        return prepare(store, query, false, ret_statement);
    if (!statement) {
        err = prepare(store, query, true, &statement);
        if (err)
            return err;
        store->cache[slot_of(store, query)] = statement;
        store->cache_count++;
    }
    *ret_statement = statement;
    return BH_OK;
}

/* SQLITE_STATIC is safe: the bindings are cleared before submit returns. */
static int bind_value(sqlite3_stmt *stmt, int place, const struct bh_value *value)
{
    const char *p = value->bytes.p ? value->bytes.p : "";

    switch (value->kind) {
    case BH_VALUE_INT:
        return sqlite3_bind_int64(stmt, place, value->number);
    case BH_VALUE_TEXT:
        return sqlite3_bind_text64(stmt, place, p, value->bytes.n, SQLITE_STATIC, SQLITE_UTF8);
    case BH_VALUE_BLOB:
        return sqlite3_bind_blob64(stmt, place, p, value->bytes.n, SQLITE_STATIC);
    case BH_VALUE_NULL:
        break;
    }
    return sqlite3_bind_null(stmt, place);
}

static bh_err bind_all(struct bh_store *store, struct bh_statement *statement, const struct bh_request *request)
{
    if (request->arg_count != statement->arg_count) {
        (void)snprintf(store->error, sizeof(store->error), "%zu arguments for %u placeholders", request->arg_count,
                       statement->arg_count);
        return BH_E_BUG;
    }
    for (size_t i = 0; i < request->arg_count; i++) {
        int code = bind_value(statement->stmt, statement->place[i], &request->args[i]);

        if (code != SQLITE_OK)
            return bh_sqlite_fail(store, code);
    }
    return BH_OK;
}

/* struct bh_row is never defined: a row is the statement seen while it stands on one. */
static sqlite3_stmt *stmt_of(const struct bh_row *row)
{
    return (sqlite3_stmt *)(uintptr_t)row;
}

static bh_err step_all(struct bh_store *store, sqlite3_stmt *stmt, const struct bh_request *request,
                       struct bh_result *result)
{
    int before = sqlite3_total_changes(store->db);
    int code;

    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        result->rows++;
        if (request->row)
            request->row(request->ctx, (const struct bh_row *)stmt);
    }
    if (code != SQLITE_DONE)
        return bh_sqlite_fail(store, sqlite3_extended_errcode(store->db));
    result->changed = sqlite3_total_changes(store->db) - before;
    return BH_OK;
}

static bh_err run(struct bh_store *store, const struct bh_request *request, struct bh_result *result)
{
    struct bh_statement *statement;
    bh_err err = cached(store, request->query, &statement);
    bool once;

    if (err)
        return err;
    once = store->cache[slot_of(store, request->query)] != statement;
    err = bind_all(store, statement, request);
    if (!err) {
        statement->running = true;
        err = step_all(store, statement->stmt, request, result);
        statement->running = false;
    }
    (void)sqlite3_reset(statement->stmt);
    (void)sqlite3_clear_bindings(statement->stmt);
    if (once)
        free_statement(statement);
    return err;
}

bh_err bh_store_run(struct bh_store *store, const struct bh_request *request, struct bh_result *ret_result)
{
    struct bh_result result = {0};

    if (store->in_tx && store->tx_err)
        result.err = store->tx_err;
    else
        result.err = run(store, request, &result);
    if (store->in_tx && !store->tx_err)
        store->tx_err = result.err;
    if (request->done)
        request->done(request->ctx, &result);
    *ret_result = result;
    return result.err;
}

void bh_store_submit(struct bh_store *store, const struct bh_request *request)
{
    struct bh_result result;
    bh_err err = bh_store_run(store, request, &result);

    (void)err; /* `done` was told, and a transaction remembers */
}

int64_t bh_row_int(const struct bh_row *row, int column)
{
    return sqlite3_column_int64(stmt_of(row), column);
}

bool bh_row_is_null(const struct bh_row *row, int column)
{
    return sqlite3_column_type(stmt_of(row), column) == SQLITE_NULL;
}

bh_str bh_row_str(const struct bh_row *row, int column)
{
    sqlite3_stmt *stmt = stmt_of(row);
    const void *p = sqlite3_column_blob(stmt, column);
    int n = sqlite3_column_bytes(stmt, column);

    if (!p && !bh_row_is_null(row, column))
        p = ""; /* SQLite gives NULL for an empty blob */
    return (bh_str){p, n > 0 ? (size_t)n : 0};
}

bh_str bh_row_dup(const struct bh_row *row, int column, struct bh_arena *arena)
{
    bh_str s = bh_row_str(row, column);

    return s.p ? bh_arena_dup(arena, s) : s;
}
