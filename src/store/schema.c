/* schema.c: versions and migrations. See store.h.
 *
 * The version is PRAGMA user_version = the number of steps applied. All missing steps run in one transaction, so a
 * migration that is cut off leaves the old version. */
#include "internal.h"
#include <stdio.h>

static bh_err read_version(struct bh_store *store, const struct bh_schema *schema, const char *path,
                           struct bh_store_problem *problem, uint32_t *ret_version)
{
    int64_t version, id;
    bh_err err = bh_sqlite_pragma(store, "PRAGMA user_version", &version);

    if (!err)
        err = bh_sqlite_pragma(store, "PRAGMA application_id", &id);
    if (err) {
        bh_store_explain(problem, "%s: %s", path, store->error);
        return err;
    }
    if (version < 0 || version > INT32_MAX || (version > 0 && id != (int64_t)(int32_t)schema->application_id)) {
        bh_store_explain(problem, "%s is not a %s database of behalf", path, schema->name);
        return BH_E_INVALID;
    }
    *ret_version = (uint32_t)version;
    return BH_OK;
}

static bh_err refuse_newer(uint32_t version, const struct bh_schema *schema, const char *path,
                           struct bh_store_problem *problem)
{
    if (version <= schema->step_count)
        return BH_OK;
    bh_store_explain(problem,
                     "%s has schema version %u and this behalf knows %u: it is older than the data; install the newer "
                     "release again (a downgrade would lose data)",
                     path, version, schema->step_count);
    return BH_E_VERSION;
}

static bh_err stamp(struct bh_store *store, const struct bh_schema *schema)
{
    char sql[120];

    (void)snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%u", (int)schema->application_id,
                   schema->step_count);
    return bh_sqlite_exec(store, sql);
}

static bh_err apply(struct bh_store *store, const struct bh_schema *schema, uint32_t from,
                    struct bh_store_problem *problem)
{
    bh_err err;

    bh_store_begin(store);
    err = store->tx_err;
    for (uint32_t i = from; i < schema->step_count && !err; i++) {
        err = bh_sqlite_exec(store, schema->steps[i].sqlite);
        if (err)
            bh_store_explain(problem, "step %u (%s): %s", i + 1, schema->steps[i].what, store->error);
    }
    if (!err)
        err = stamp(store, schema);
    if (!err)
        return bh_store_commit_wait(store);
    bh_store_rollback(store);
    return err;
}

bh_err bh_store_migrate(const struct bh_store_options *options, struct bh_store_problem *problem,
                        struct bh_migration *ret_migration)
{
    struct bh_store *store;
    uint32_t version;
    bh_err err = bh_sqlite_open(options, true, problem, &store);

    if (err)
        return err;
    err = read_version(store, options->schema, options->path, problem, &version);
    if (!err)
        err = refuse_newer(version, options->schema, options->path, problem);
    if (!err && version < options->schema->step_count)
        err = apply(store, options->schema, version, problem);
    if (!err)
        *ret_migration = (struct bh_migration){version, options->schema->step_count};
    bh_store_close(store);
    return err;
}

static bh_err must_be_current(struct bh_store *store, const struct bh_store_options *options,
                              struct bh_store_problem *problem)
{
    const struct bh_schema *schema = options->schema;
    uint32_t version;
    bh_err err = read_version(store, schema, options->path, problem, &version);

    if (!err)
        err = refuse_newer(version, schema, options->path, problem);
    if (!err && version < schema->step_count) {
        bh_store_explain(problem, "%s has schema version %u and this behalf needs %u: stop it and run `behalf migrate`",
                         options->path, version, schema->step_count);
        err = BH_E_VERSION;
    }
    return err;
}

bh_err bh_store_open(const struct bh_store_options *options, struct bh_store_problem *problem,
                     struct bh_store **ret_store)
{
    struct bh_store *store;
    bh_err err = bh_sqlite_open(options, false, problem, &store);

    if (err)
        return err;
    if (!strcmp(options->path, ":memory:"))
        err = apply(store, options->schema, 0, problem);
    else
        err = must_be_current(store, options, problem);
    if (err)
        bh_store_close(store);
    else
        *ret_store = store;
    return err;
}
