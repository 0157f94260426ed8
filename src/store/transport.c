/* transport.c: schema and queries of transport.db. See transport.h. */
#include "transport.h"
#include "one.h"

static const struct bh_schema_step steps[] = {
    {"policies of MTA-STS, results of TLS",
     "CREATE TABLE sts_policy("
     " domain TEXT PRIMARY KEY,"
     " id TEXT NOT NULL,"
     " policy TEXT NOT NULL,"
     " fetched_at INTEGER NOT NULL,"
     " tried_at INTEGER NOT NULL,"
     " expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
     "CREATE INDEX sts_policy_tried ON sts_policy(tried_at);"
     "CREATE TABLE tls_result("
     " day INTEGER NOT NULL,"
     " domain TEXT NOT NULL,"
     " policy_type TEXT NOT NULL,"
     " policy TEXT NOT NULL,"
     " mx_hosts TEXT NOT NULL,"
     " failure TEXT NOT NULL," /* RFC 8460 4.3, or '' */
     " sending TEXT NOT NULL,"
     " mx TEXT NOT NULL,"
     " receiving TEXT NOT NULL,"
     " reason TEXT NOT NULL,"
     " count INTEGER NOT NULL,"
     " PRIMARY KEY(day, domain, policy_type, policy, mx_hosts, failure, sending, mx, receiving, reason)) STRICT, "
     "WITHOUT ROWID;"},
};

const struct bh_schema bh_transport_schema = {"transport", 0x62685431, steps, sizeof(steps) / sizeof(steps[0])};

/* ---- MTA-STS ---- */

static const struct bh_query sts_put = {
    "INSERT INTO sts_policy(domain, id, policy, fetched_at, tried_at, expires_at) VALUES ($1, $2, $3, $4, $4, $5)"
    " ON CONFLICT(domain) DO UPDATE SET id = excluded.id, policy = excluded.policy,"
    " fetched_at = excluded.fetched_at, tried_at = excluded.tried_at, expires_at = excluded.expires_at"};
static const struct bh_query sts_get = {
    "SELECT domain, id, policy, fetched_at, expires_at FROM sts_policy WHERE domain = $1"};
static const struct bh_query sts_old = {"SELECT domain, id, policy, fetched_at, expires_at FROM sts_policy"
                                        " WHERE tried_at < $1 AND expires_at > $2 ORDER BY tried_at LIMIT 1"};
static const struct bh_query sts_tried = {"UPDATE sts_policy SET tried_at = $2 WHERE domain = $1"};
static const struct bh_query sts_expire = {"DELETE FROM sts_policy WHERE expires_at <= $1"};

bh_err bh_sts_row_put(struct bh_store *store, const struct bh_sts_row *row)
{
    return bh_store_change(store, &sts_put,
                           BH_WITH(BH_TEXT(row->domain), BH_TEXT(row->id), BH_TEXT(row->policy),
                                   BH_INT(row->fetched_at), BH_INT(row->expires_at)),
                           true);
}

struct taking {
    struct bh_arena *arena;
    struct bh_sts_row *row;
};

static void take_sts(void *ctx, const struct bh_row *row)
{
    struct taking *taking = ctx;

    *taking->row = (struct bh_sts_row){.domain = bh_row_dup(row, 0, taking->arena),
                                       .id = bh_row_dup(row, 1, taking->arena),
                                       .policy = bh_row_dup(row, 2, taking->arena),
                                       .fetched_at = bh_row_int(row, 3),
                                       .expires_at = bh_row_int(row, 4)};
}

bh_err bh_sts_row_get(struct bh_store *store, struct bh_arena *arena, bh_str domain, struct bh_sts_row *ret_row)
{
    return bh_store_rows(store, &sts_get, BH_WITH(BH_TEXT(domain)), true, take_sts, &(struct taking){arena, ret_row});
}

bh_err bh_sts_row_old(struct bh_store *store, struct bh_arena *arena, bh_time_ms before, bh_time_ms now,
                      struct bh_sts_row *ret_row)
{
    return bh_store_rows(store, &sts_old, BH_WITH(BH_INT(before), BH_INT(now)), true, take_sts,
                         &(struct taking){arena, ret_row});
}

bh_err bh_sts_row_tried(struct bh_store *store, bh_str domain, bh_time_ms at)
{
    return bh_store_change(store, &sts_tried, BH_WITH(BH_TEXT(domain), BH_INT(at)), false);
}

bh_err bh_sts_rows_expire(struct bh_store *store, bh_time_ms now)
{
    return bh_store_change(store, &sts_expire, BH_WITH(BH_INT(now)), false);
}

/* ---- results of TLS ---- */

static const struct bh_query tls_add = {
    "INSERT INTO tls_result(day, domain, policy_type, policy, mx_hosts, failure, sending, mx, receiving, reason, count)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    " ON CONFLICT(day, domain, policy_type, policy, mx_hosts, failure, sending, mx, receiving, reason)"
    " DO UPDATE SET count = count + excluded.count"};
static const struct bh_query tls_due = {
    "SELECT day, domain FROM tls_result WHERE day < $1 AND domain > $2 ORDER BY domain, day LIMIT 1"};
static const struct bh_query tls_list = {
    "SELECT day, domain, policy_type, policy, mx_hosts, failure, sending, mx, receiving, reason, count FROM tls_result"
    " WHERE day = $1 AND domain = $2 ORDER BY policy_type, policy, mx_hosts, failure"};
static const struct bh_query tls_forget = {"DELETE FROM tls_result WHERE day = $1 AND domain = $2"};

bh_err bh_tls_row_add(struct bh_store *store, const struct bh_tls_row *row)
{
    return bh_store_change(store, &tls_add,
                           BH_WITH(BH_INT(row->day), BH_TEXT(row->domain), BH_TEXT(row->policy_type),
                                   BH_TEXT(row->policy), BH_TEXT(row->mx_hosts), BH_TEXT(row->failure),
                                   BH_TEXT(row->sending), BH_TEXT(row->mx), BH_TEXT(row->receiving),
                                   BH_TEXT(row->reason), BH_INT(row->count)),
                           true);
}

struct taking_due {
    struct bh_arena *arena;
    struct bh_tls_row *row;
};

static void take_due(void *ctx, const struct bh_row *row)
{
    struct taking_due *taking = ctx;

    *taking->row = (struct bh_tls_row){.day = bh_row_int(row, 0), .domain = bh_row_dup(row, 1, taking->arena)};
}

bh_err bh_tls_row_due(struct bh_store *store, struct bh_arena *arena, int64_t day, bh_str after,
                      struct bh_tls_row *ret_row)
{
    return bh_store_rows(store, &tls_due, BH_WITH(BH_INT(day), BH_TEXT(after)), true, take_due,
                         &(struct taking_due){arena, ret_row});
}

struct telling {
    void (*each)(void *ctx, const struct bh_tls_row *row);
    void *ctx;
};

static void tell(void *ctx, const struct bh_row *row)
{
    const struct telling *telling = ctx;

    telling->each(telling->ctx, &(struct bh_tls_row){.day = bh_row_int(row, 0),
                                                     .domain = bh_row_str(row, 1),
                                                     .policy_type = bh_row_str(row, 2),
                                                     .policy = bh_row_str(row, 3),
                                                     .mx_hosts = bh_row_str(row, 4),
                                                     .failure = bh_row_str(row, 5),
                                                     .sending = bh_row_str(row, 6),
                                                     .mx = bh_row_str(row, 7),
                                                     .receiving = bh_row_str(row, 8),
                                                     .reason = bh_row_str(row, 9),
                                                     .count = bh_row_int(row, 10)});
}

bh_err bh_tls_rows(struct bh_store *store, int64_t day, bh_str domain,
                   void (*each)(void *ctx, const struct bh_tls_row *row), void *ctx)
{
    return bh_store_rows(store, &tls_list, BH_WITH(BH_INT(day), BH_TEXT(domain)), false, tell,
                         &(struct telling){each, ctx});
}

bh_err bh_tls_rows_forget(struct bh_store *store, int64_t day, bh_str domain)
{
    return bh_store_change(store, &tls_forget, BH_WITH(BH_INT(day), BH_TEXT(domain)), false);
}
