/* control_schema.c: the DDL of control.db: customers, credentials, sending domains, keys. Owner: controld.
 *
 * Domain rows are never deleted, only marked, so that a token is never given to another (design, invariant 7). What
 * look-ups at submission ask for stands in tables of its own with the name as key: from_domain (who may use a From
 * domain) and bounce_domain (whose bounces these are). Enum numbers: domain/domain.h. Times are ms since 1970. */
#include "store.h"

static const struct bh_schema_step steps[] = {
    {"customers, credentials, domains, keys",
     "CREATE TABLE customer("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " name TEXT NOT NULL UNIQUE,"
     " created_at INTEGER NOT NULL) STRICT;"
     "CREATE TABLE credential("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " customer INTEGER NOT NULL REFERENCES customer(id),"
     " username TEXT NOT NULL UNIQUE,"
     " secret_hash BLOB NOT NULL," /* SHA-256 of the password */
     " created_at INTEGER NOT NULL,"
     " revoked_at INTEGER) STRICT;"
     "CREATE INDEX credential_customer ON credential(customer);"
     "CREATE TABLE domain("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " customer INTEGER NOT NULL REFERENCES customer(id),"
     " name TEXT NOT NULL,"
     " approach INTEGER NOT NULL,"
     " token TEXT NOT NULL UNIQUE,"
     " shard TEXT NOT NULL,"
     " label_bounce TEXT NOT NULL,"
     " label_link TEXT NOT NULL,"
     " label_img TEXT NOT NULL,"
     " label_selector TEXT NOT NULL,"
     " bounces INTEGER NOT NULL,"
     " state INTEGER NOT NULL,"
     " aligned INTEGER NOT NULL," /* set of enum bh_mechanism */
     " zone_apex TEXT NOT NULL,"
     " dmarc_policy TEXT NOT NULL,"
     " holds_zone INTEGER NOT NULL," /* this one's zone is served, where several customers claim a name */
     " created_at INTEGER NOT NULL,"
     " state_at INTEGER NOT NULL,"
     " checked_at INTEGER NOT NULL," /* 0: never */
     " lost_at INTEGER NOT NULL,"    /* 0: something aligns */
     " check_at INTEGER NOT NULL,"   /* when to look again */
     " tries INTEGER NOT NULL,"
     " report BLOB NOT NULL," /* JSON of the last check, as shown to people */
     " deleted_at INTEGER) STRICT;"
     "CREATE UNIQUE INDEX domain_name ON domain(name, customer) WHERE deleted_at IS NULL;"
     "CREATE INDEX domain_customer ON domain(customer);"
     "CREATE INDEX domain_shard ON domain(shard) WHERE deleted_at IS NULL;"
     "CREATE INDEX domain_due ON domain(check_at) WHERE deleted_at IS NULL;"
     "CREATE TABLE domain_check(" /* history: one row per change of state or alignment */
     " domain INTEGER NOT NULL,"
     " at INTEGER NOT NULL,"
     " state INTEGER NOT NULL,"
     " aligned INTEGER NOT NULL,"
     " report BLOB NOT NULL,"
     " PRIMARY KEY(domain, at)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE domain_policy(" /* DMARC records seen at and above a domain */
     " domain INTEGER NOT NULL,"
     " at TEXT NOT NULL,"
     " record TEXT NOT NULL,"
     " PRIMARY KEY(domain, at)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE from_domain("
     " name TEXT NOT NULL,"
     " domain INTEGER NOT NULL,"
     " below INTEGER NOT NULL," /* names below this one are open, too */
     " PRIMARY KEY(name, domain)) STRICT, WITHOUT ROWID;"
     "CREATE INDEX from_domain_domain ON from_domain(domain);"
     "CREATE TABLE bounce_domain("
     " name TEXT NOT NULL,"
     " domain INTEGER NOT NULL,"
     " PRIMARY KEY(name, domain)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE dkim_key("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " domain INTEGER NOT NULL REFERENCES domain(id),"
     " selector TEXT NOT NULL,"
     " kind INTEGER NOT NULL,"
     " state INTEGER NOT NULL,"
     " imported INTEGER NOT NULL,"
     " public_b64 TEXT NOT NULL,"
     " sealed BLOB NOT NULL,"
     " created_at INTEGER NOT NULL,"
     " state_at INTEGER NOT NULL,"
     " UNIQUE(domain, selector)) STRICT;"
     "CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"},
    {"contacts and notices",
     "CREATE TABLE customer_contact("
     " customer INTEGER NOT NULL REFERENCES customer(id),"
     " address TEXT NOT NULL,"
     " PRIMARY KEY(customer, address)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE notice(" /* mail that we write ourselves, before it is in the queue and for a while after */
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " kind TEXT NOT NULL,"
     " customer INTEGER NOT NULL," /* 0: the operator */
     " about TEXT NOT NULL,"
     " subject TEXT NOT NULL,"
     " body TEXT NOT NULL,"
     " at INTEGER NOT NULL,"
     " sent_at INTEGER NOT NULL," /* 0: waits */
     " message INTEGER NOT NULL) STRICT;"
     "CREATE INDEX notice_same ON notice(kind, customer, about, at);"
     "CREATE INDEX notice_customer ON notice(customer, at);"
     "CREATE INDEX notice_at ON notice(at);"
     "CREATE INDEX notice_waiting ON notice(id) WHERE sent_at = 0;"},
    {"losses, tombstones, custom records, canaries, probe proofs",
     "ALTER TABLE domain ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;"    /* seen in a row, not believed yet */
     "ALTER TABLE domain ADD COLUMN losing_at INTEGER NOT NULL DEFAULT 0;" /* the first of them */
     "ALTER TABLE domain ADD COLUMN tombstone_until INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE domain ADD COLUMN canary_at INTEGER NOT NULL DEFAULT 0;" /* when the next one is due; 0: not yet */
     "ALTER TABLE customer ADD COLUMN deleted_at INTEGER;"
     "CREATE INDEX domain_tombstone ON domain(tombstone_until) WHERE tombstone_until > 0;"
     "CREATE INDEX domain_canary_due ON domain(canary_at) WHERE canary_at > 0;"
     "CREATE INDEX domain_below ON domain(customer, name) WHERE deleted_at IS NULL;"
     "CREATE TABLE domain_probe(" /* what a probe through a relay or mailbox proved */
     " domain INTEGER PRIMARY KEY REFERENCES domain(id),"
     " aligned INTEGER NOT NULL,"
     " at INTEGER NOT NULL) STRICT;"
     "CREATE TABLE zone_record(" /* the customer's own records in a zone that he delegated */
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " domain INTEGER NOT NULL REFERENCES domain(id),"
     " owner TEXT NOT NULL,"
     " type INTEGER NOT NULL,"
     " ttl INTEGER NOT NULL,"
     " rdata BLOB NOT NULL,"
     " UNIQUE(domain, owner, type, rdata)) STRICT;"
     "CREATE TABLE canary("
     " id INTEGER PRIMARY KEY AUTOINCREMENT," /* the number in its address */
     " domain INTEGER NOT NULL REFERENCES domain(id),"
     " sent_at INTEGER NOT NULL,"
     " message INTEGER NOT NULL,"   /* 0: it could not be submitted */
     " judged_at INTEGER NOT NULL," /* 0: still on its way */
     " passed INTEGER NOT NULL,"
     " aligned INTEGER NOT NULL," /* set of enum bh_mechanism */
     " detail TEXT NOT NULL) STRICT;"
     "CREATE INDEX canary_domain ON canary(domain, sent_at);"
     "CREATE INDEX canary_open ON canary(sent_at) WHERE judged_at = 0;"},
    {"planned changes", "CREATE TABLE planned_change("
                        " id INTEGER PRIMARY KEY AUTOINCREMENT,"
                        " kind INTEGER NOT NULL,"
                        " state INTEGER NOT NULL,"
                        " title TEXT NOT NULL,"
                        " ref TEXT NOT NULL," /* the creator's name for what changes */
                        " created_at INTEGER NOT NULL,"
                        " closed_at INTEGER NOT NULL) STRICT;" /* 0: open */
                        "CREATE INDEX planned_change_open ON planned_change(kind, ref) WHERE state = 0;"
                        "CREATE TABLE planned_change_item("
                        " change INTEGER NOT NULL REFERENCES planned_change(id),"
                        " domain INTEGER NOT NULL REFERENCES domain(id),"
                        " type INTEGER NOT NULL,"
                        " match INTEGER NOT NULL," /* enum bh_match */
                        " name TEXT NOT NULL,"
                        " old_value TEXT NOT NULL,"
                        " new_value TEXT NOT NULL,"
                        " want TEXT NOT NULL,"
                        " ttl_s INTEGER NOT NULL,"
                        " told_at INTEGER NOT NULL,"
                        " remind_at INTEGER NOT NULL,"
                        " reminders INTEGER NOT NULL,"
                        " acted_at INTEGER NOT NULL,"     /* 0: not yet */
                        " effective_at INTEGER NOT NULL," /* 0: not yet */
                        " PRIMARY KEY(change, domain, type, name)) STRICT, WITHOUT ROWID;"
                        "CREATE INDEX planned_change_item_domain ON planned_change_item(domain);"
                        "CREATE INDEX planned_change_item_due ON planned_change_item(remind_at) WHERE acted_at = 0;"},
    {"egress addresses, pools",
     "CREATE TABLE egress_pool("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " name TEXT NOT NULL UNIQUE,"
     " created_at INTEGER NOT NULL) STRICT;"
     "CREATE TABLE egress_address("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " pool INTEGER NOT NULL REFERENCES egress_pool(id),"
     " address TEXT NOT NULL,"
     " helo TEXT NOT NULL,"
     " weight INTEGER NOT NULL,"
     " state INTEGER NOT NULL,"
     " configured INTEGER NOT NULL," /* from the configuration's egress block */
     " created_at INTEGER NOT NULL,"
     " state_at INTEGER NOT NULL,"
     " last_used_at INTEGER NOT NULL,"
     " ptr_problem TEXT NOT NULL,"
     " ptr_at INTEGER NOT NULL) STRICT;"
     "CREATE UNIQUE INDEX egress_address_live ON egress_address(address) WHERE state < 5;"
     "CREATE TABLE pool_use(" /* who does not send through the default pool */
     " kind INTEGER NOT NULL,"
     " id INTEGER NOT NULL,"
     " pool INTEGER NOT NULL REFERENCES egress_pool(id),"
     " earlier INTEGER NOT NULL,"
     " state INTEGER NOT NULL,"
     " state_at INTEGER NOT NULL,"
     " PRIMARY KEY(kind, id)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE domain_spf(" /* what the owner's own SPF record passes of our addresses, where it decides */
     " domain INTEGER PRIMARY KEY,"
     " passes TEXT NOT NULL," /* addresses, separated by blanks */
     " at INTEGER NOT NULL) STRICT;"},
    {"events to be told", "CREATE TABLE event_out(" /* until queued has committed them */
                          " id INTEGER PRIMARY KEY AUTOINCREMENT,"
                          " key TEXT NOT NULL,"
                          " kind INTEGER NOT NULL," /* enum bh_event_kind */
                          " at INTEGER NOT NULL,"
                          " customer INTEGER NOT NULL,"
                          " domain INTEGER NOT NULL,"
                          " detail TEXT NOT NULL) STRICT;"},
    {"how strictly TLS is wanted", "CREATE TABLE tls_level("
                                   " customer INTEGER NOT NULL,"
                                   " domain INTEGER NOT NULL," /* 0: the customer as a whole */
                                   " level INTEGER NOT NULL,"  /* enum bh_tls_level */
                                   " PRIMARY KEY(customer, domain)) STRICT, WITHOUT ROWID;"},
    {"keys that sign zones", "CREATE TABLE zone_key("
                             " id INTEGER PRIMARY KEY," /* random: sealing binds it before the row exists */
                             " domain INTEGER NOT NULL REFERENCES domain(id),"
                             " state INTEGER NOT NULL,"
                             " ds INTEGER NOT NULL," /* enum bh_ds_seen */
                             " public_key BLOB NOT NULL,"
                             " sealed BLOB NOT NULL,"
                             " created_at INTEGER NOT NULL,"
                             " state_at INTEGER NOT NULL) STRICT;"
                             "CREATE INDEX zone_key_domain ON zone_key(domain);"
                             "CREATE TABLE dnssec("
                             " domain INTEGER PRIMARY KEY REFERENCES domain(id),"
                             " wanted INTEGER NOT NULL,"
                             " roll INTEGER NOT NULL,"
                             " asked_at INTEGER NOT NULL," /* the parent's servers, for DS; 0: never */
                             " ds_count INTEGER NOT NULL,"
                             " ds_ttl_s INTEGER NOT NULL,"
                             " gone_at INTEGER NOT NULL,"
                             " next_at INTEGER NOT NULL) STRICT;"
                             "CREATE INDEX dnssec_next ON dnssec(next_at);"
                             "CREATE TABLE zone_signature("
                             " apex TEXT PRIMARY KEY,"
                             " kind INTEGER NOT NULL,"
                             " domain INTEGER NOT NULL,"
                             " name TEXT NOT NULL,"
                             " content BLOB NOT NULL,"
                             " serial INTEGER NOT NULL,"
                             " renew_at INTEGER NOT NULL,"
                             " signatures BLOB NOT NULL) STRICT;"
                             "CREATE INDEX zone_signature_renew ON zone_signature(renew_at);"},
    {"keys: one per selector at a time, one of a kind active; duties and history",
     "CREATE TABLE dkim_key_new("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " domain INTEGER NOT NULL REFERENCES domain(id),"
     " selector TEXT NOT NULL,"
     " kind INTEGER NOT NULL,"
     " state INTEGER NOT NULL,"
     " imported INTEGER NOT NULL,"
     " public_b64 TEXT NOT NULL,"
     " sealed BLOB NOT NULL," /* empty: withdrawn */
     " created_at INTEGER NOT NULL,"
     " state_at INTEGER NOT NULL,"
     " reused INTEGER NOT NULL DEFAULT 0,"
     " seen_at INTEGER NOT NULL DEFAULT 0,"
     " looked_at INTEGER NOT NULL DEFAULT 0,"
     " asked_at INTEGER NOT NULL DEFAULT 0,"
     " signed_at INTEGER NOT NULL DEFAULT 0,"
     " unused_at INTEGER NOT NULL DEFAULT 0,"
     " revoke_at INTEGER NOT NULL DEFAULT 0) STRICT;"
     "INSERT INTO dkim_key_new(id, domain, selector, kind, state, imported, public_b64, sealed, created_at, state_at)"
     " SELECT id, domain, selector, kind, state, imported, public_b64, sealed, created_at, state_at FROM dkim_key;"
     "DROP TABLE dkim_key;"
     "ALTER TABLE dkim_key_new RENAME TO dkim_key;"
     "CREATE INDEX dkim_key_domain ON dkim_key(domain, id);"
     "CREATE UNIQUE INDEX dkim_key_selector ON dkim_key(domain, selector) WHERE state <> 4;"
     "CREATE UNIQUE INDEX dkim_key_active ON dkim_key(domain, (kind = 2)) WHERE state = 2;" /* never two that sign */
     "CREATE INDEX dkim_key_revoke ON dkim_key(revoke_at) WHERE revoke_at > 0;"
     "CREATE TABLE key_duty("
     " domain INTEGER PRIMARY KEY REFERENCES domain(id),"
     " due_at INTEGER NOT NULL," /* when its keys are looked after next */
     " ed25519 INTEGER NOT NULL,"
     " period_ms INTEGER NOT NULL," /* -1: as configured */
     " asked_at INTEGER NOT NULL) STRICT;"
     "CREATE INDEX key_duty_due ON key_duty(due_at);"
     "INSERT INTO key_duty(domain, due_at, ed25519, period_ms, asked_at)"
     " SELECT DISTINCT domain, 0, 0, -1, 0 FROM dkim_key;"
     "CREATE TABLE key_event("
     " id INTEGER PRIMARY KEY,"
     " domain INTEGER NOT NULL,"
     " at INTEGER NOT NULL,"
     " key INTEGER NOT NULL,"
     " what TEXT NOT NULL,"
     " detail TEXT NOT NULL) STRICT;"
     "CREATE INDEX key_event_domain ON key_event(domain, id);"},
    {"flattened SPF records", "CREATE TABLE spf_flat("
                              " id INTEGER PRIMARY KEY AUTOINCREMENT,"
                              " customer INTEGER NOT NULL REFERENCES customer(id),"
                              " domain TEXT NOT NULL,"
                              " token TEXT NOT NULL UNIQUE,"
                              " record TEXT NOT NULL,"
                              " sources TEXT NOT NULL,"
                              " published TEXT NOT NULL,"
                              " report TEXT NOT NULL,"
                              " created_at INTEGER NOT NULL,"
                              " refresh_at INTEGER NOT NULL,"
                              " changed_at INTEGER NOT NULL,"
                              " stopped INTEGER NOT NULL) STRICT;"
                              "CREATE UNIQUE INDEX spf_flat_domain ON spf_flat(domain, customer) WHERE stopped = 0;"
                              "CREATE INDEX spf_flat_due ON spf_flat(refresh_at) WHERE stopped = 0;"
                              "CREATE TABLE spf_flat_answer(" /* the last good ones */
                              " flat INTEGER NOT NULL,"
                              " name TEXT NOT NULL,"
                              " type INTEGER NOT NULL,"
                              " status INTEGER NOT NULL,"
                              " ttl INTEGER NOT NULL,"
                              " rdatas BLOB NOT NULL,"
                              " good_at INTEGER NOT NULL,"
                              " PRIMARY KEY(flat, name, type)) STRICT, WITHOUT ROWID;"},
    {"tokens of the HTTP API, and who changed what",
     "CREATE TABLE api_token("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " customer INTEGER REFERENCES customer(id)," /* NULL: the operator's */
     " name TEXT NOT NULL,"
     " secret_hash BLOB NOT NULL UNIQUE," /* SHA-256 of the token */
     " scopes INTEGER NOT NULL,"          /* set of enum bh_api_scope */
     " addresses TEXT NOT NULL,"
     " rate INTEGER NOT NULL,"
     " created_at INTEGER NOT NULL,"
     " revoked_at INTEGER) STRICT;"
     "CREATE INDEX api_token_customer ON api_token(customer);"
     "CREATE TABLE audit(" /* every command that changes something, whoever gave it */
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " at INTEGER NOT NULL,"
     " token INTEGER NOT NULL," /* 0: the control socket */
     " customer INTEGER NOT NULL,"
     " command TEXT NOT NULL,"
     " args TEXT NOT NULL,"
     " outcome TEXT NOT NULL) STRICT;"
     "CREATE INDEX audit_customer ON audit(customer, id);"},
    {"suppressions", "CREATE TABLE suppression("
                     " hash BLOB NOT NULL,"        /* SHA-256 of the address in lower case */
                     " customer INTEGER NOT NULL," /* 0: all */
                     " stream TEXT NOT NULL,"      /* '*': every one */
                     " address TEXT NOT NULL,"     /* '': only the hash is known */
                     " reason INTEGER NOT NULL,"   /* enum bh_suppression_reason */
                     " source TEXT NOT NULL,"
                     " detail TEXT NOT NULL,"
                     " created_at INTEGER NOT NULL,"
                     " expires_at INTEGER NOT NULL," /* 0: never */
                     " PRIMARY KEY(hash, customer, stream)) STRICT, WITHOUT ROWID;"
                     "CREATE INDEX suppression_customer ON suppression(customer, hash, stream);"
                     "CREATE INDEX suppression_expiry ON suppression(expires_at) WHERE expires_at > 0;"},
    {"zones by their labels from the root on",
     "ALTER TABLE domain ADD COLUMN zone_key TEXT NOT NULL DEFAULT '';"
     "UPDATE domain SET zone_key = (WITH RECURSIVE cut(rest, key) AS (SELECT domain.name || '.', ''"
     " UNION ALL SELECT substr(rest, instr(rest, '.') + 1), substr(rest, 1, instr(rest, '.')) || key"
     " FROM cut WHERE rest <> '') SELECT key FROM cut WHERE rest = '') WHERE holds_zone = 1;"
     "CREATE INDEX domain_zone ON domain(zone_key) WHERE holds_zone = 1;"},
};

const struct bh_schema bh_control_schema = {"control", 0x62684331, steps, sizeof(steps) / sizeof(steps[0])};
