/* spool_schema.c: the DDL of spool.db: messages, their bodies and recipients, and the event log. Owner: queued.
 *
 * Shaped for one life per message: insert, read, finish. Message ids grow with time, so every insert goes to the right
 * edge of its tree. The body stands alone, so that finishing a message frees its pages and leaves a small row. What is
 * still to be done is found by one partial index, whatever amount of history there is. Enum numbers: message.h,
 * recipient.h, event.h. Times are ms since 1970. */
#include "store.h"

static const struct bh_schema_step steps[] = {
    {"messages, recipients, events",
     "CREATE TABLE message("
     " id INTEGER PRIMARY KEY,"
     " destination INTEGER NOT NULL," /* enum bh_destination of messages.h */
     " customer INTEGER NOT NULL,"    /* 0: ourselves */
     " domain INTEGER NOT NULL,"      /* the sending domain; 0: ourselves */
     " header_from TEXT NOT NULL,"
     " from_domain TEXT NOT NULL,"
     " mail_from TEXT NOT NULL," /* as submitted; '' is the null sender */
     " envid TEXT NOT NULL,"
     " size INTEGER NOT NULL,"  /* bytes of the body as accepted */
     " flags INTEGER NOT NULL," /* BH_MESSAGE_8BIT … */
     " accepted_at INTEGER NOT NULL,"
     " expires_at INTEGER NOT NULL,"
     " credential INTEGER NOT NULL," /* 0: none (CLI, trusted listener, port 25) */
     " client TEXT NOT NULL,"        /* address of the submitter, or 'local' */
     " helo TEXT NOT NULL,"
     " protocol TEXT NOT NULL,"
     " body_hash BLOB NOT NULL,"     /* of the relaxed body, as submitted; empty: not known */
     " finished_at INTEGER) STRICT;" /* all recipients are */
     "CREATE TABLE body(message INTEGER PRIMARY KEY, bytes BLOB) STRICT;" /* NULL: in a file of the spool directory */
     "CREATE INDEX body_in_file ON body(message) WHERE bytes IS NULL;"
     "CREATE TABLE recipient("
     " message INTEGER NOT NULL,"
     " idx INTEGER NOT NULL,"
     " address TEXT NOT NULL,"
     " route TEXT NOT NULL," /* destination domain in lower case, or '@steward' */
     " notify TEXT NOT NULL,"
     " orcpt TEXT NOT NULL,"
     " state INTEGER NOT NULL," /* enum bh_recipient_state */
     " attempts INTEGER NOT NULL,"
     " next_at INTEGER NOT NULL,"
     " code INTEGER NOT NULL," /* of the last reply; 0: none yet */
     " text TEXT NOT NULL,"
     " finished_at INTEGER,"
     " PRIMARY KEY(message, idx)) STRICT, WITHOUT ROWID;"
     "CREATE INDEX recipient_open ON recipient(message, idx) WHERE finished_at IS NULL;"
     "CREATE TABLE event("
     " seq INTEGER PRIMARY KEY,"
     " at INTEGER NOT NULL,"
     " kind INTEGER NOT NULL," /* enum bh_event_kind */
     " message INTEGER NOT NULL,"
     " idx INTEGER NOT NULL," /* -1: the message as a whole */
     " customer INTEGER NOT NULL,"
     " code INTEGER NOT NULL,"
     " text TEXT NOT NULL,"           /* the reply, or the reason */
     " detail BLOB NOT NULL) STRICT;" /* JSON of the sender: site, address, TLS, selector …; may be empty */
     "CREATE INDEX event_message ON event(message, seq);"},
    {"events of other roles, readers of the log",
     "ALTER TABLE event ADD COLUMN domain INTEGER NOT NULL DEFAULT 0;" /* 0: the message's */
     "ALTER TABLE event ADD COLUMN key TEXT;"                          /* of the role that told it */
     "CREATE UNIQUE INDEX event_key ON event(key) WHERE key IS NOT NULL;"
     "CREATE TABLE reader(name TEXT PRIMARY KEY, seq INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"},
    {"campaigns; what the operator says about the queue: holds, sites, schedules, other ways, new addresses",
     "ALTER TABLE message ADD COLUMN campaign TEXT NOT NULL DEFAULT '';"
     "CREATE TABLE hold("
     " id INTEGER PRIMARY KEY,"
     " customer INTEGER NOT NULL," /* 0: any */
     " campaign TEXT NOT NULL,"    /* '': any */
     " route TEXT NOT NULL,"       /* '': any */
     " message INTEGER NOT NULL,"  /* 0: any */
     " reason TEXT NOT NULL,"
     " at INTEGER NOT NULL) STRICT;"
     "CREATE TABLE site("
     " name TEXT PRIMARY KEY,"
     " rules TEXT NOT NULL," /* in the language of shaping.rules */
     " suspended_until INTEGER NOT NULL) STRICT;"
     "CREATE TABLE schedule("
     " customer INTEGER NOT NULL," /* 0: every one */
     " class TEXT NOT NULL,"       /* of replies; '': any */
     " first_s INTEGER NOT NULL,"  /* these four: 0: as otherwise */
     " max_s INTEGER NOT NULL,"
     " growth_percent INTEGER NOT NULL,"
     " expire_s INTEGER NOT NULL,"
     " PRIMARY KEY(customer, class)) STRICT;"
     "CREATE TABLE reroute("
     " route TEXT PRIMARY KEY,"
     " host TEXT NOT NULL,"
     " port INTEGER NOT NULL) STRICT;"
     "CREATE TABLE warmup("
     " address TEXT PRIMARY KEY," /* a source of mail */
     " plan TEXT NOT NULL,"
     " started_at INTEGER NOT NULL) STRICT;"
     "CREATE TABLE warmup_day("
     " address TEXT NOT NULL,"
     " site TEXT NOT NULL,"
     " day INTEGER NOT NULL,"
     " sent INTEGER NOT NULL,"
     " PRIMARY KEY(address, site)) STRICT;"},
    {"when keys signed", "CREATE TABLE key_use("
                         " key INTEGER PRIMARY KEY,"
                         " signed_until INTEGER NOT NULL) STRICT;"}, /* no later than this; see key_use.h */
    {"idempotency keys", "CREATE TABLE idempotency("
                         " customer INTEGER NOT NULL,"
                         " key TEXT NOT NULL,"
                         " request_hash BLOB NOT NULL,"
                         " ids BLOB NOT NULL," /* of the messages, 8 bytes each */
                         " at INTEGER NOT NULL,"
                         " PRIMARY KEY(customer, key)) STRICT, WITHOUT ROWID;"
                         "CREATE INDEX idempotency_at ON idempotency(at);"},
    {"streams", "ALTER TABLE message ADD COLUMN stream TEXT NOT NULL DEFAULT '';"
                "CREATE INDEX event_feedback ON event(seq) WHERE kind IN (4, 11, 13, 21);"},
};

const struct bh_schema bh_spool_schema = {"spool", 0x62685331, steps, sizeof(steps) / sizeof(steps[0])};
