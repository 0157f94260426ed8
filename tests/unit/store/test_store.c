/* test_store.c: binding by name, transactions, the owner's lock, versions. */
#include "unit.h"

#include "store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct bh_schema_step steps[] = {
    {"things", "CREATE TABLE thing(a INTEGER PRIMARY KEY, b TEXT NOT NULL, c BLOB) STRICT"},
    {"sizes", "ALTER TABLE thing ADD COLUMN d INTEGER; CREATE INDEX thing_d ON thing(d)"},
};
static const struct bh_schema version1 = {"test", 0x74657374, steps, 1};
static const struct bh_schema version2 = {"test", 0x74657374, steps, 2};
static const struct bh_schema other = {"other", 0x6f746872, steps, 1};

static const struct bh_query insert = {"INSERT INTO thing(a, b, c) VALUES ($1, $2, $3)"};
/* the first parameter that the text mentions is $3 */
static const struct bh_query insert_disordered = {"INSERT INTO thing(c, a, b) VALUES ($3, $1, $2) RETURNING a, b, c"};
static const struct bh_query insert_twice = {"INSERT INTO thing(a, b, c) VALUES ($2, $1, $1) RETURNING a, b, c"};
static const struct bh_query select_all = {"SELECT a, b, c FROM thing ORDER BY a"};
static const struct bh_query count_things = {"SELECT count(*) FROM thing"};
static const struct bh_query gap = {"SELECT $1, $3"};
static const struct bh_query wrong = {"SELECT a FROM nowhere"};

struct seen {
    struct bh_store *store;
    int rows, done;
    int64_t a;
    char b[32], c[32];
    bool c_null;
    size_t c_n;
    bh_err err;
    int64_t changed;
    int64_t inner;
};

static void take_row(void *ctx, const struct bh_row *row)
{
    struct seen *seen = ctx;

    seen->rows++;
    seen->a = bh_row_int(row, 0);
    assert_ok(bh_str_to_c(bh_row_str(row, 1), seen->b, sizeof(seen->b)));
    seen->c_null = bh_row_is_null(row, 2);
    seen->c_n = bh_row_str(row, 2).n;
    assert_true(seen->c_n < sizeof(seen->c));
    if (seen->c_n)
        memcpy(seen->c, bh_row_str(row, 2).p, seen->c_n);
}

static void take_done(void *ctx, const struct bh_result *result)
{
    struct seen *seen = ctx;

    seen->done++;
    seen->err = result->err;
    seen->changed = result->changed;
}

static void take_count(void *ctx, const struct bh_row *row)
{
    *(int64_t *)ctx = bh_row_int(row, 0);
}

static struct bh_store *memory_store(void)
{
    struct bh_store *store = NULL;

    assert_ok(bh_store_open(&(struct bh_store_options){":memory:", &version2, "test", NULL}, NULL, &store));
    return store;
}

static int64_t count(struct bh_store *store)
{
    int64_t n = -1;

    bh_store_submit(store, &(struct bh_request){.query = &count_things, .row = take_count, .ctx = &n});
    return n;
}

static void test_placeholders_are_bound_by_name(void **state)
{
    struct bh_store *store = memory_store();
    struct seen seen = {0};

    (void)state;
    bh_store_submit(store, &(struct bh_request){.query = &insert_disordered,
                                                BH_ARGS(BH_INT(7), BH_TEXT(BH_STR("seven")), BH_BLOB(BH_STR("\0x"))),
                                                .row = take_row,
                                                .done = take_done,
                                                .ctx = &seen});
    assert_ok(seen.err);
    assert_int_equal(seen.done, 1);
    assert_int_equal(seen.rows, 1);
    assert_int_equal(seen.changed, 1);
    assert_int_equal(seen.a, 7);
    assert_string_equal(seen.b, "seven");
    assert_int_equal(seen.c_n, 2);
    assert_memory_equal(seen.c, "\0x", 2);
    bh_store_close(store);
}

static void test_one_placeholder_twice(void **state)
{
    struct bh_store *store = memory_store();
    struct seen seen = {0};

    (void)state;
    /* STRICT: text into a blob column is refused, so this shows the error's class as well */
    bh_store_submit(store, &(struct bh_request){.query = &insert_twice,
                                                BH_ARGS(BH_TEXT(BH_STR("x")), BH_INT(1)),
                                                .row = take_row,
                                                .done = take_done,
                                                .ctx = &seen});
    assert_int_equal(seen.err, BH_E_INVALID);
    assert_int_equal(seen.rows, 0);
    bh_store_close(store);
}

static void test_nulls_and_empties_differ(void **state)
{
    struct bh_store *store = memory_store();
    struct seen seen = {0};
    bh_str none = {NULL, 0};

    (void)state;
    bh_store_submit(store, &(struct bh_request){.query = &insert_disordered,
                                                BH_ARGS(BH_INT(1), BH_TEXT(none), BH_NULL),
                                                .row = take_row,
                                                .done = take_done,
                                                .ctx = &seen});
    assert_ok(seen.err);
    assert_true(seen.c_null);
    assert_string_equal(seen.b, "");
    bh_store_submit(store, &(struct bh_request){.query = &insert_disordered,
                                                BH_ARGS(BH_INT(2), BH_TEXT(none), BH_BLOB(none)),
                                                .row = take_row,
                                                .done = take_done,
                                                .ctx = &seen});
    assert_ok(seen.err);
    assert_false(seen.c_null);
    assert_int_equal(seen.c_n, 0);
    bh_store_submit(store, &(struct bh_request){.query = &insert,
                                                BH_ARGS(BH_INT(3), BH_TEXT_OR_NULL(none), BH_NULL),
                                                .done = take_done,
                                                .ctx = &seen});
    assert_int_equal(seen.err, BH_E_INVALID); /* b is NOT NULL */
    bh_store_close(store);
}

static void test_wrong_statements_are_bugs(void **state)
{
    struct bh_store *store = memory_store();
    struct bh_result result;

    (void)state;
    assert_int_equal(bh_store_run(store, &(struct bh_request){.query = &gap, BH_ARGS(BH_INT(1), BH_INT(2))}, &result),
                     BH_E_BUG);
    assert_int_equal(bh_store_run(store, &(struct bh_request){.query = &wrong}, &result), BH_E_BUG);
    assert_non_null(strstr(bh_store_error(store), "nowhere"));
    assert_int_equal(bh_store_run(store, &(struct bh_request){.query = &insert, BH_ARGS(BH_INT(1))}, &result),
                     BH_E_BUG);
    bh_store_close(store);
}

static void add(struct bh_store *store, int64_t a)
{
    bh_store_submit(store, &(struct bh_request){.query = &insert, BH_ARGS(BH_INT(a), BH_TEXT(BH_STR("b")), BH_NULL)});
}

static void keep_err(void *ctx, bh_err err)
{
    *(bh_err *)ctx = err;
}

static void test_transaction_fails_as_a_whole(void **state)
{
    struct bh_store *store = memory_store();
    bh_err err = BH_E_BUG;

    (void)state;
    bh_store_begin(store);
    assert_true(bh_store_in_transaction(store));
    add(store, 1);
    add(store, 2);
    bh_store_commit(store, keep_err, &err);
    assert_ok(err);
    assert_int_equal(count(store), 2);

    bh_store_begin(store);
    add(store, 3);
    add(store, 2); /* exists */
    add(store, 4); /* must not run */
    bh_store_commit(store, keep_err, &err);
    assert_int_equal(err, BH_E_EXISTS);
    assert_false(bh_store_in_transaction(store));
    assert_int_equal(count(store), 2);

    bh_store_begin(store);
    add(store, 5);
    bh_store_rollback(store);
    assert_int_equal(count(store), 2);
    assert_int_equal(bh_store_commit_wait(store), BH_E_BUG);
    bh_store_close(store);
}

static void count_inside(void *ctx, const struct bh_row *row)
{
    struct seen *seen = ctx;
    struct bh_result result;

    (void)row;
    seen->rows++;
    /* the same query from its own row callback */
    assert_ok(bh_store_run(seen->store, &(struct bh_request){.query = &select_all}, &result));
    seen->inner += result.rows;
}

static void test_queries_inside_callbacks(void **state)
{
    struct bh_store *store = memory_store();
    struct seen seen = {.store = store};

    (void)state;
    for (int i = 0; i < 5; i++)
        add(store, i);
    bh_store_submit(store, &(struct bh_request){.query = &select_all, .row = count_inside, .ctx = &seen});
    assert_int_equal(seen.rows, 5);
    assert_int_equal(seen.inner, 25);
    bh_store_close(store);
}

static void test_cache_grows(void **state)
{
    enum { MANY = 300 };
    struct bh_store *store = memory_store();
    struct bh_query *queries = calloc(MANY, sizeof(*queries));
    char(*texts)[40] = calloc(MANY, sizeof(*texts));

    (void)state;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < MANY; i++) {
            int64_t got = -1;

            (void)snprintf(texts[i], sizeof(texts[i]), "SELECT $1 + %d", i);
            queries[i].sql = texts[i];
            bh_store_submit(store, &(struct bh_request){
                                       .query = &queries[i], BH_ARGS(BH_INT(1000)), .row = take_count, .ctx = &got});
            assert_int_equal(got, 1000 + i);
        }
    bh_store_close(store);
    free(queries);
    free(texts);
}

/* ---- files ---- */

struct place {
    char dir[64], path[96];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    (void)snprintf(place->dir, sizeof(place->dir), "/tmp/bh_store_XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->path, sizeof(place->path), "%s/t.db", place->dir);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".owner"};
    struct place *place = *state;
    char path[128];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", place->path, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(place->dir);
    free(place);
    return 0;
}

static void test_migrate_and_open(void **state)
{
    struct place *place = *state;
    struct bh_store_options options = {place->path, &version1, "queued", NULL};
    struct bh_store_problem problem = {""};
    struct bh_migration migration;
    struct bh_store *store = NULL;
    struct stat st;

    assert_int_equal(bh_store_open(&options, &problem, &store), BH_E_NOT_FOUND);
    assert_non_null(strstr(problem.text, "behalf migrate"));
    assert_ok(bh_store_migrate(&options, &problem, &migration));
    assert_int_equal(migration.from, 0);
    assert_int_equal(migration.to, 1);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_ok(bh_store_open(&options, &problem, &store));
    add(store, 1);
    bh_store_close(store);

    options.schema = &version2;
    assert_int_equal(bh_store_open(&options, &problem, &store), BH_E_VERSION);
    assert_non_null(strstr(problem.text, "behalf migrate"));
    assert_ok(bh_store_migrate(&options, &problem, &migration));
    assert_int_equal(migration.from, 1);
    assert_ok(bh_store_open(&options, &problem, &store));
    assert_int_equal(count(store), 1);
    bh_store_close(store);

    options.schema = &version1; /* a downgrade */
    assert_int_equal(bh_store_migrate(&options, &problem, &migration), BH_E_VERSION);
    assert_non_null(strstr(problem.text, "schema version 2"));
    assert_int_equal(bh_store_open(&options, &problem, &store), BH_E_VERSION);
    options.schema = &other;
    assert_int_equal(bh_store_open(&options, &problem, &store), BH_E_INVALID);
}

static void test_second_opener_is_told(void **state)
{
    struct place *place = *state;
    struct bh_store_options options = {place->path, &version2, "queued", NULL};
    struct bh_store_problem problem = {""};
    struct bh_migration migration;
    struct bh_store *store = NULL, *second = NULL;

    assert_ok(bh_store_migrate(&options, &problem, &migration));
    assert_ok(bh_store_open(&options, &problem, &store));
    options.owner = "someone";
    assert_int_equal(bh_store_open(&options, &problem, &second), BH_E_BUSY);
    assert_non_null(strstr(problem.text, "queued (process "));
    assert_int_equal(bh_store_migrate(&options, &problem, &migration), BH_E_BUSY);
    bh_store_close(store);
    assert_ok(bh_store_open(&options, &problem, &second));
    bh_store_close(second);
}

static void test_uncommitted_is_gone_after_reopening(void **state)
{
    struct place *place = *state;
    struct bh_store_options options = {place->path, &version2, "queued", NULL};
    struct bh_migration migration;
    struct bh_store *store = NULL;

    assert_ok(bh_store_migrate(&options, NULL, &migration));
    assert_ok(bh_store_open(&options, NULL, &store));
    bh_store_begin(store);
    add(store, 1);
    assert_ok(bh_store_commit_wait(store));
    bh_store_begin(store);
    add(store, 2);
    bh_store_close(store);
    assert_ok(bh_store_open(&options, NULL, &store));
    assert_int_equal(count(store), 1);
    bh_store_close(store);
}

static void test_our_schemas_apply(void **state)
{
    struct bh_store *store = NULL;
    struct bh_store_problem problem = {""};

    (void)state;
    if (bh_store_open(&(struct bh_store_options){":memory:", &bh_spool_schema, "t", NULL}, &problem, &store))
        fail_msg("%s", problem.text);
    bh_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_placeholders_are_bound_by_name),
        cmocka_unit_test(test_one_placeholder_twice),
        cmocka_unit_test(test_nulls_and_empties_differ),
        cmocka_unit_test(test_wrong_statements_are_bugs),
        cmocka_unit_test(test_transaction_fails_as_a_whole),
        cmocka_unit_test(test_queries_inside_callbacks),
        cmocka_unit_test(test_cache_grows),
        cmocka_unit_test_setup_teardown(test_migrate_and_open, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_second_opener_is_told, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_uncommitted_is_gone_after_reopening, make_place, remove_place),
        cmocka_unit_test(test_our_schemas_apply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
