/* messages.h: every message between roles, described once.
 *
 * BH_MESSAGES lists (NAME, number, name) and BH_FIELDS_<name> its fields; from these come `struct bh_msg_<name>`,
 * bh_msg_<name>_put, which appends the body to a buffer, and bh_msg_<name>_get, which reads it strictly: every field
 * there, nothing left over. Text and bytes are views: of the sender's data in put, of the frame in get.
 *
 * Lists inside a message are `str` fields that hold records one after the other, put and got with the same functions of
 * the record's type (bh_rec_…): `bh_rec_key_next(&cur, &key)` until it returns BH_DONE.
 *
 * A reply has the request's number with BH_REPLY set and the request's id. Numbers are never reused. */
#ifndef BH_ROLES_MESSAGES_H
#define BH_ROLES_MESSAGES_H

#include "base/buf.h"
#include "base/cur.h"

enum { BH_PROTOCOL_VERSION = 1, BH_REPLY = 0x8000 };

enum bh_role_kind {
    BH_ROLE_MASTER,
    BH_ROLE_CONTROLD,
    BH_ROLE_KEYD,
    BH_ROLE_SMTPD,
    BH_ROLE_QUEUED,
    BH_ROLE_SENDER,
    BH_ROLE_DNSD,
    BH_ROLE_STEWARD,
    BH_ROLE_WEBD,
    BH_ROLE_READER, /* reads strangers' mail for the steward, with no rights at all */
    BH_ROLE_KINDS
};

/* "smtpd"; static. */
const char *bh_role_name(enum bh_role_kind kind);

enum bh_key_algorithm {
    BH_KEY_RSA2048 = 1,
    BH_KEY_ED25519 = 2,
    BH_KEY_RSA_OTHER = 3,
    BH_KEY_P256 = 4 /* of zones */,
    BH_KEY_CONNECT = 5 /* RSA, of Domain Connect */
};
enum bh_grant_kind {
    BH_GRANT_DKIM = 1,
    BH_GRANT_ARC = 2,
    BH_GRANT_DNSSEC = 3,
    BH_GRANT_CREDENTIAL = 4,
    BH_GRANT_SEAL = 5,
    BH_GRANT_DOMAIN_CONNECT = 6
};
/* Whom a message is for: the world, by MX and routes; or behalf itself. */
enum bh_destination { BH_TO_WORLD = 0, BH_TO_STEWARD = 1 };
enum { BH_ZONE_SIGN_MAX = 128 };
/* What a DNS provider says of Domain Connect. */
enum bh_connect_status { BH_CONNECT_READY = 0, BH_CONNECT_FAILED = 1, BH_CONNECT_NO_TEMPLATE = 2 };
enum bh_delivery_verdict { BH_DELIVERED = 1, BH_DEFERRED = 2, BH_BOUNCED = 3 };

/* tables */
/* clang-format off */
/* ---- records: parts of lists ---- */
#define BH_RECORDS(X)                                                                                                  \
    X(recipient)                                                                                                       \
    X(suppression_question) X(suppression_hit)                                                                         \
    X(sealed_key) X(source) X(sign_item) X(signature) X(subkey) X(delivery_ref) X(told_event) X(read_recipient) X(read_text) X(zone_record) X(dns_rdata) X(dns_server_view) X(dns_zone_stats) X(key_ref) X(key_use) \
    X(tls_result) X(blob) X(message_ref)

#define BH_REC_recipient(F)                                                                                            \
    F(str, address) /* as given in RCPT TO, without <> */                                                              \
    F(str, notify)  /* RFC 3461 NOTIFY, or empty */                                                                    \
    F(str, orcpt)   /* RFC 3461 ORCPT, or empty */

/* A key of a sending domain with all that keyd needs to open it: the associated data is in the grant. */
#define BH_REC_sealed_key(F)                                                                                           \
    F(u64, key_id)                                                                                                     \
    F(u8, algorithm) /* enum bh_key_algorithm */                                                                       \
    F(str, selector)                                                                                                   \
    F(str, domain) /* DKIM d= */                                                                                       \
    F(str, sealed) /* XChaCha20-Poly1305 box of the private key */                                                     \
    F(str, grant)  /* a bh_rec-independent blob: see keyd/grant.h; empty from controld, filled in by queued */

/* Where a domain's mail may leave from now: SPF at all its names lists these addresses, and every authoritative server
 * answers so. Both addresses belong to one HELO name; one of the two may be empty. */
#define BH_REC_source(F)                                                                                               \
    F(str, address4)                                                                                                   \
    F(str, address6)                                                                                                   \
    F(str, helo)                                                                                                       \
    F(u32, weight) /* share of the pool's mail; at least 1 */                                                          \
    F(str, pool)

#define BH_REC_sign_item(F)                                                                                            \
    F(u32, item) /* the requester's number, echoed */                                                                  \
    F(str, grant)                                                                                                      \
    F(str, sealed)                                                                                                     \
    F(str, digest) /* SHA-256 of the header data, 32 bytes */

#define BH_REC_signature(F)                                                                                            \
    F(u32, item)                                                                                                       \
    F(u8, refused) /* 0, or why: 1 grant, 2 sealed object, 3 digest, 4 expired, 5 internal, 6 key revoked */                          \
    F(str, signature)

#define BH_REC_subkey(F)                                                                                               \
    F(u32, period)                                                                                                     \
    F(str, key) /* 32 bytes */

/* A delivery and what it is of, so that a restarted queued, which has forgotten the number, knows the recipient. */
#define BH_REC_delivery_ref(F)                                                                                         \
    F(u64, delivery_id)                                                                                                \
    F(u64, message_id)                                                                                                 \
    F(u32, recipient_index)

/* One recipient that a returned message is about: mail/bounce/bounce.h. */
#define BH_REC_read_recipient(F)                                                                                       \
    F(str, address)                                                                                                    \
    F(str, original)                                                                                                   \
    F(u8, action) /* enum bh_report_action */                                                                          \
    F(str, status)                                                                                                     \
    F(u8, refusal_class) /* enum bh_refusal_class */                                                                   \
    F(str, reason)                                                                                                     \
    F(u16, code)                                                                                                       \
    F(str, smtp_reply)                                                                                                 \
    F(str, diagnostic)                                                                                                 \
    F(str, remote)

#define BH_REC_read_text(F) F(str, text)

#define BH_REC_suppression_question(F)                                                                                 \
    F(u64, ref) /* the asker's, echoed */                                                                              \
    F(u32, customer_id)                                                                                                \
    F(str, stream)                                                                                                     \
    F(str, address)

#define BH_REC_suppression_hit(F)                                                                                      \
    F(u64, ref)                                                                                                        \
    F(str, reason) /* "bounce", "complaint", "unsubscribe", "manual" */

/* An event that another role tells queued. Told again with the same key it counts once. */
#define BH_REC_told_event(F)                                                                                           \
    F(str, key) /* of the teller's own making, unique for ever; at most 100 bytes */                                   \
    F(u16, kind) /* enum bh_event_kind of store/event_type.h */                                                        \
    F(i64, at)   /* ms since 1970; 0: now */                                                                           \
    F(u32, customer_id)                                                                                                \
    F(u32, domain_id)                                                                                                  \
    F(u64, message_id) /* 0: about none; else it must be this customer's */                                            \
    F(u32, recipient_index) /* UINT32_MAX: the message as a whole */                                                   \
    F(u16, code)                                                                                                       \
    F(str, text)                                                                                                       \
    F(str, detail) /* JSON, or empty */

/* dnsd reads zones in this form: owner in presentation form without the final dot, rdata in wire form, uncompressed. */
#define BH_REC_zone_record(F)                                                                                          \
    F(str, owner)                                                                                                      \
    F(u16, type)                                                                                                       \
    F(u32, ttl_s)                                                                                                      \
    F(str, rdata)

#define BH_REC_key_ref(F) F(u64, key_id)

/* What queued knows of a key: the latest result of a delivery that was signed with it, and deliveries in hand. */
#define BH_REC_key_use(F)                                                                                              \
    F(u64, key_id)                                                                                                     \
    F(i64, signed_at) /* 0: never */                                                                                   \
    F(u32, in_hand)

#define BH_REC_blob(F) F(str, bytes)
#define BH_REC_message_ref(F) F(u64, message_id)
#define BH_REC_dns_rdata(F) F(str, rdata) /* wire form, uncompressed */

/* Queries for names in a zone, by what they came to. */
#define BH_REC_dns_zone_stats(F)                                                                                       \
    F(str, zone)                                                                                                       \
    F(u64, positive)                                                                                                   \
    F(u64, wildcard)                                                                                                   \
    F(u64, nodata)                                                                                                     \
    F(u64, nxdomain)                                                                                                   \
    F(u64, referral)

/* Attempts at TLS that went the same way, for the reports of RFC 8460. */
#define BH_REC_tls_result(F)                                                                                           \
    F(str, domain)      /* whose mail exchanger */                                                                     \
    F(str, policy_type) /* "tlsa", "sts", "no-policy-found" */                                                         \
    F(str, policy)      /* its lines */                                                                                \
    F(str, mx_hosts)    /* the policy's patterns, or the hosts, a line each */                                         \
    F(str, failure)     /* RFC 8460 4.3, or empty: they worked */                                                      \
    F(str, sending)     /* our address */                                                                              \
    F(str, mx)          /* the host, and its address */                                                                \
    F(str, receiving)                                                                                                  \
    F(str, reason)                                                                                                     \
    F(u64, count)

/* What one authoritative server said. */
#define BH_REC_dns_server_view(F)                                                                                      \
    F(str, server) /* "ns1.example 192.0.2.1" */                                                                       \
    F(u8, status)  /* enum bh_dns_status */                                                                            \
    F(u8, authoritative)                                                                                               \
    F(u32, ttl_s)                                                                                                      \
    F(str, canonical_name)                                                                                             \
    F(str, rdatas) /* list of dns_rdata */                                                                             \
    F(str, zone)   /* apex of the zone that was asked; empty = not known */                                            \
    F(str, why)

/* ---- messages ---- */
#define BH_MESSAGES(X)                                                                                                 \
    /* both ways, first on every connection */                                                                         \
    X(HELLO, 1, hello)                                                                                                 \
    /* master and a role */                                                                                            \
    X(START, 2, start)                                                                                                 \
    X(READY, 3, ready)                                                                                                 \
    X(PEER, 4, peer)                                                                                                   \
    X(LISTENER, 5, listener)                                                                                           \
    X(FILE, 6, file)                                                                                                   \
    X(RELOAD, 7, reload)                                                                                               \
    X(DRAIN, 8, drain)                                                                                                 \
    X(RELOADED, 9, reloaded)                                                                                           \
    X(PEER_LOST, 10, peer)                                                                                             \
    /* smtpd asks controld */                                                                                          \
    X(LOGIN, 20, login)                                                                                                \
    X(LOGIN_REPLY, 20 | BH_REPLY, login_reply)                                                                         \
    X(MAY_SEND, 21, may_send)                                                                                          \
    X(MAY_SEND_REPLY, 21 | BH_REPLY, may_send_reply)                                                                   \
    X(CUSTOMER, 22, customer)                                                                                          \
    X(CUSTOMER_REPLY, 22 | BH_REPLY, login_reply)                                                                      \
    X(BOUNCE_DOMAIN, 23, bounce_domain)                                                                                \
    X(BOUNCE_DOMAIN_REPLY, 23 | BH_REPLY, bounce_domain_reply)                                                         \
    /* controld tells smtpd and queued: what they cached is old */                                                     \
    X(VERSION, 24, version)                                                                                            \
    /* submit: smtpd, controld, webd, steward ask queued */                                                            \
    X(SUBMIT, 30, submit)                                                                                              \
    X(SUBMIT_REPLY, 30 | BH_REPLY, submit_reply)                                                                       \
    X(BODY_FILE, 31, body_file)                                                                                        \
    X(BODY_FILE_REPLY, 31 | BH_REPLY, body_file_reply)                                                                 \
    /* queued asks controld before a delivery */                                                                       \
    X(IDENTITY, 40, identity)                                                                                          \
    X(IDENTITY_REPLY, 40 | BH_REPLY, identity_reply)                                                                   \
    /* queued and sender, queued and steward */                                                                        \
    X(DELIVER, 50, deliver)                                                                                            \
    X(RESULT, 51, result)                                                                                              \
    X(RESULT_ACK, 52, result_ack)                                                                                      \
    X(SLOTS, 53, slots)                                                                                                \
    X(IN_FLIGHT, 54, in_flight)                                                                                        \
    /* keyd */                                                                                                         \
    X(SIGN, 60, sign)                                                                                                  \
    X(SIGNATURES, 63, signatures)                                                                                      \
    X(GRANT_KEY, 61, grant_key)                                                                                        \
    X(SUBKEYS, 62, subkeys)                                                                                            \
    X(KEY_GENERATE, 70, key_generate)                                                                                  \
    X(KEY_GENERATE_REPLY, 70 | BH_REPLY, key_reply)                                                                    \
    X(KEY_IMPORT, 71, key_generate)                                                                                    \
    X(KEY_IMPORT_REPLY, 71 | BH_REPLY, key_reply)                                                                      \
    /* controld and dnsd */                                                                                            \
    X(ZONE, 80, zone)                                                                                                  \
    X(ZONE_REMOVE, 81, zone_remove)                                                                                    \
    X(ZONES_COMMIT, 82, zones_commit)                                                                                  \
    X(ZONES_SERVED, 83, zones_commit)                                                                                  \
    X(DNS_STATS, 84, dns_stats)                                                                                        \
    X(DNS_STATS_REPLY, 84 | BH_REPLY, dns_stats_reply)                                                                 \
    X(ZONE_KEEP, 170, zone_remove)                                                                                     \
    X(NOTIFY_NOW, 171, zones_commit)                                                                                   \
    /* controld has zones signed by keyd */                                                                            \
    X(ZONE_SIGN, 172, zone_sign)                                                                                       \
    X(ZONE_SIGN_REPLY, 172 | BH_REPLY, zone_signatures)                                                                \
    /* controld asks steward */                                                                                        \
    X(DNS_ASK, 90, dns_ask)                                                                                            \
    X(DNS_ASK_REPLY, 90 | BH_REPLY, dns_ask_reply)                                                                     \
    /* controld has steward ask a DNS provider for its Domain Connect settings */                                     \
    X(CONNECT, 120, connect)                                                                                           \
    X(CONNECT_REPLY, 120 | BH_REPLY, connect_reply)                                                                    \
    /* sender tells queued who takes the mail of a domain: 150 to 159 */                                               \
    X(SITE, 150, site)                                                                                                 \
    /* sender asks steward for a domain's MTA-STS policy, and tells it what became of TLS */                           \
    X(STS, 160, sts)                                                                                                   \
    X(STS_REPLY, 160 | BH_REPLY, sts_reply)                                                                            \
    X(TLS_RESULTS, 161, tls_results)                                                                                   \
    /* controld asks queued whether keys are still in use; controld tells keyd which keys sign no more */                \
    X(KEY_USE, 130, key_use)                                                                                           \
    X(KEY_USE_REPLY, 130 | BH_REPLY, key_use_reply)                                                                    \
    X(KEYS_REVOKED, 131, keys_revoked)                                                                                 \
    X(KEYS_REVOKED_REPLY, 131 | BH_REPLY, keys_revoked)                                                                \
    /* an exchange of the master secret: keyd tells controld which secret seals; controld has objects sealed again, and \
     * asks master to hand keyd the secret's file again */                                                             \
    X(SECRETS, 135, secrets)                                                                                           \
    X(KEY_RESEAL, 136, key_reseal)                                                                                     \
    X(KEY_RESEAL_REPLY, 136 | BH_REPLY, key_reply)                                                                     \
    /* controld has an owner copy its database */                                                                     \
    X(BACKUP, 138, drain)                                                                                              \
    X(BACKUP_REPLY, 138 | BH_REPLY, reloaded)                                                                          \
    X(SECRET_AGAIN, 137, drain)                                                                                        \
    /* the control socket's commands that queued (or steward) executes: JSON in, JSON out */                           \
    X(COMMAND, 100, command)                                                                                           \
    X(COMMAND_REPLY, 100 | BH_REPLY, command)                                                                          \
    /* feedback, 180 to 199. EVENT: controld, steward tell queued; answered when it is committed */                    \
    X(EVENT, 180, event)                                                                                               \
    X(EVENT_REPLY, 180 | BH_REPLY, event_reply)                                                                        \
    /* queued tells controld that the log has grown by something that it follows */                                    \
    X(FEEDBACK_NEWS, 181, feedback_news)                                                                               \
    /* steward asks a reader; the descriptor of a body that is a file goes along */                                    \
    X(READ, 182, read)                                                                                                 \
    X(READ_REPLY, 182 | BH_REPLY, read_reply)                                                                          \
    /* a domain's life, 110 to 119: steward tells controld what became of a canary; answered when it is stored */      \
    X(CANARY_VERDICT, 110, canary_verdict)                                                                             \
    X(CANARY_VERDICT_REPLY, 110 | BH_REPLY, event_reply)                                                               \
    /* webd asks controld, and submits to queued */                                                                    \
    X(TOKEN, 200, token)                                                                                               \
    X(TOKEN_REPLY, 200 | BH_REPLY, token_reply)                                                                        \
    X(API_COMMAND, 201, api_command)                                                                                   \
    X(API_COMMAND_REPLY, 201 | BH_REPLY, command)                                                                      \
    X(SUBMIT_BATCH, 202, submit_batch)                                                                                 \
    X(SUBMIT_BATCH_REPLY, 202 | BH_REPLY, submit_batch_reply)    \
    /* queued asks controld before deliveries: which of these addresses are suppressed? */                             \
    X(SUPPRESSED, 183, suppressed)                                                                                     \
    X(SUPPRESSED_REPLY, 183 | BH_REPLY, suppressed_reply)                                                              \
    /* end */

#define BH_FIELDS_hello(F)                                                                                             \
    F(u32, protocol)                                                                                                   \
    F(str, build)                                                                                                      \
    F(u8, role)                                                                                                        \
    F(u32, instance)

/* The first message of master. */
#define BH_FIELDS_start(F)                                                                                             \
    F(str, config)  /* bh_config_get */                                                                                \
    F(str, filter)  /* seccomp program (struct sock_filter array), empty = none */                                     \
    F(str, paths)   /* landlock: NUL-separated "r/path" or "w/path", empty = no file at all; see sandbox.h */          \
    F(u8, landlock) /* 1 = restrict the file system */

#define BH_FIELDS_ready(F) F(u32, pid)
/* One descriptor: our end of a new connection to that role. Replaces an earlier one of the same (role, instance). */
#define BH_FIELDS_peer(F)                                                                                              \
    F(u8, role)                                                                                                        \
    F(u32, instance)
/* One descriptor: a bound socket. `index` is the listener's place in the configuration. */
#define BH_FIELDS_listener(F)                                                                                          \
    F(u32, index)                                                                                                      \
    F(u8, datagram)
/* One descriptor, opened for reading: "tls-certificate", "tls-key", "master-secret". */
#define BH_FIELDS_file(F) F(str, purpose)
#define BH_FIELDS_reload(F) F(str, config)
/* Finish what is in hand, take nothing new, exit 0. */
#define BH_FIELDS_drain(F) F(u32, within_s)
#define BH_FIELDS_reloaded(F) F(u8, ok)

#define BH_FIELDS_login(F)                                                                                             \
    F(str, username)                                                                                                   \
    F(str, secret_hash) /* SHA-256 of the password, 32 bytes */
#define BH_FIELDS_login_reply(F)                                                                                       \
    F(u8, ok)                                                                                                          \
    F(u64, version)                                                                                                    \
    F(u32, customer_id)                                                                                                \
    F(u64, credential_id)                                                                                              \
    F(str, customer)                                                                                                   \
    F(str, why) /* for the log, not for the client */
#define BH_FIELDS_customer(F) F(str, name)
#define BH_FIELDS_may_send(F)                                                                                          \
    F(u32, customer_id)                                                                                                \
    F(str, header_from) /* the address */                                                                              \
    F(str, from_domain) /* its domain, A-labels, lower case */
#define BH_FIELDS_may_send_reply(F)                                                                                    \
    F(u8, allowed)                                                                                                     \
    F(u64, version)                                                                                                    \
    F(u32, domain_id)                                                                                                  \
    F(u16, code)     /* SMTP reply of a refusal: 550, 451 */                                                           \
    F(str, enhanced) /* "5.7.1" */                                                                                     \
    F(str, reason)                                                                                                     \
    F(str, fix)
/* Is this domain one of ours that receives bounces? Then smtpd checks the local part's MAC by itself. */
#define BH_FIELDS_bounce_domain(F) F(str, domain)
#define BH_FIELDS_bounce_domain_reply(F)                                                                               \
    F(u8, ours)                                                                                                        \
    F(u64, version)                                                                                                    \
    F(u32, customer_id)
#define BH_FIELDS_version(F) F(u64, version)

/* The body comes inline in `body`, or, above 128 KiB, in the file that BODY_FILE_REPLY handed out, written and fsynced
 * by the submitter: then `body_file` is that reply's number and `body` is empty. */
#define BH_FIELDS_submit(F)                                                                                            \
    F(u32, customer_id)                                                                                                \
    F(u32, domain_id) /* from may_send_reply; 0 for mail to ourselves */                                               \
    F(u64, credential_id)                                                                                              \
    F(u8, destination) /* enum bh_destination */                                                                       \
    F(u8, eight_bit)                                                                                                   \
    F(u8, smtputf8)                                                                                                    \
    F(str, header_from)                                                                                                \
    F(str, from_domain)                                                                                                \
    F(str, mail_from) /* as submitted, may be empty */                                                                 \
    F(str, envid)                                                                                                      \
    F(str, client) /* "192.0.2.7" or "local" */                                                                        \
    F(str, helo)                                                                                                       \
    F(str, protocol)   /* "ESMTPSA" …, RFC 3848 */                                                                   \
    F(str, recipients) /* list of recipient, at least one */                                                           \
    F(u64, size)       /* bytes of the message */                                                                      \
    F(str, body)                                                                                                       \
    F(u64, body_file)                                                                                                  \
    F(str, body_hash)   /* of the relaxed body (RFC 6376 3.4.4), 32 bytes, computed once; empty = not yet */           \
    F(u8, ret_full)     /* RFC 3461 RET=FULL */                                                                        \
    F(str, stream)      /* the submitter's name for a kind of mail, Behalf-Stream; may be empty */                     \
    F(str, campaign)    /* the submitter's word for what it belongs to, at most 64 bytes, or empty */                  \
    F(i64, send_at)     /* not before, ms since 1970; 0 = now */
#define BH_FIELDS_submit_reply(F)                                                                                      \
    F(u8, ok) /* 1: committed with fsync */                                                                            \
    F(u64, message_id)                                                                                                 \
    F(u16, code) /* SMTP reply when not ok: 452, 451, 552 */                                                           \
    F(str, enhanced)                                                                                                   \
    F(str, reason)
#define BH_FIELDS_body_file(F) F(u64, size_limit)
/* One descriptor, empty file opened read-write, when ok. */
#define BH_FIELDS_body_file_reply(F)                                                                                   \
    F(u8, ok)                                                                                                          \
    F(u64, body_file)                                                                                                  \
    F(str, reason)

#define BH_FIELDS_identity(F)                                                                                          \
    F(u32, customer_id)                                                                                                \
    F(u32, domain_id)                                                                                                  \
    F(str, header_from)                                                                                                \
    F(str, from_domain)
#define BH_FIELDS_identity_reply(F)                                                                                    \
    F(u8, allowed) /* 0: hold (temporary) or bounce (permanent) with the reason */                                     \
    F(u8, permanent)                                                                                                   \
    F(u8, held) /* the domain lost its alignment: kept without attempts until a VERSION changes the answer */         \
    F(u64, version)                                                                                                    \
    F(str, bounce_domain) /* domain of MAIL FROM */                                                                    \
    F(str, helo)          /* empty = the operator's */                                                                 \
    F(u32, customer_id)   /* whose keys these are: the platform's own where 0 was asked for */                          \
    F(u8, tls)            /* enum bh_tls_level: the stricter of what customer and domain ask for */                    \
    F(str, keys)          /* list of sealed_key without grants; every one signs */                                     \
    F(str, sources)       /* list of source; never empty when allowed */                                               \
    F(str, enhanced)                                                                                                   \
    F(str, reason)

/* A delivery: one recipient, one attempt. Descriptor: the body's file when body is empty. */
#define BH_FIELDS_deliver(F)                                                                                           \
    F(u64, delivery_id) /* never used twice */                                                                         \
    F(u64, message_id)                                                                                                 \
    F(u32, recipient_index)                                                                                            \
    F(u32, attempt) /* 1 for the first */                                                                              \
    F(u32, customer_id)                                                                                                \
    F(u32, domain_id)                                                                                                  \
    F(i64, accepted_at) /* ms since 1970 */                                                                            \
    F(i64, expires_at)                                                                                                 \
    F(u8, eight_bit)                                                                                                   \
    F(u8, smtputf8)                                                                                                    \
    F(str, header_from)                                                                                                \
    F(str, from_domain)                                                                                                \
    F(str, mail_from) /* as submitted */                                                                               \
    F(str, recipient)                                                                                                  \
    F(str, notify)                                                                                                     \
    F(str, orcpt)                                                                                                      \
    F(str, envid)                                                                                                      \
    F(str, client)                                                                                                     \
    F(str, client_helo)                                                                                                \
    F(str, protocol)                                                                                                   \
    F(str, bounce_domain)                                                                                              \
    F(str, helo)                                                                                                       \
    F(u8, tls)         /* enum bh_tls_level */                                                                         \
    F(u8, null_sender) /* 1: MAIL FROM:<>, a notice of our own (RFC 3464 2) */                                         \
    F(str, keys) /* list of sealed_key with grants */                                                                  \
    F(u64, size)                                                                                                       \
    F(str, body)                                                                                                       \
    F(str, body_hash)   /* as submitted */                                                                             \
    F(str, address4)    /* to leave from, and the HELO name above with it; both empty: as the configuration says */    \
    F(str, address6)                                                                                                   \
    F(str, site)        /* what queued calls the destination's site */                                                 \
    F(u32, connections) /* at once to this site; 0 = as the configuration says */                                      \
    F(u32, messages_per_connection) /* 0 = any number */                                                               \
    F(str, route_host)  /* the operator sends this domain's mail here instead; empty = no */                           \
    F(u16, route_port)
/* Kept by the sender, and repeated to a restarted queued, until RESULT_ACK names it. */
#define BH_FIELDS_result(F)                                                                                            \
    F(u64, delivery_id)                                                                                                \
    F(u64, message_id)                                                                                                 \
    F(u32, recipient_index)                                                                                            \
    F(u8, verdict) /* enum bh_delivery_verdict */                                                                      \
    F(u16, code)   /* of the SMTP reply, 0 if none */                                                                  \
    F(str, enhanced)                                                                                                   \
    F(str, text)      /* the reply's text or what went wrong */                                                        \
    F(str, remote)    /* "mx.example [192.0.2.1]:25" */                                                                \
    F(str, tls)       /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */                                                 \
    F(str, phase)     /* connect, tls, ehlo, mail, rcpt, data, body */                                                 \
    F(str, signed_by) /* "bh1._domainkey.customer.example", several separated by spaces */                             \
    F(str, signed_keys) /* their ids, "12 15" */                                                                       \
    F(str, mail_from) /* as sent */                                                                                    \
    F(str, policy)    /* of TLS: "dane", "mta-sts", "required", "opportunistic" … */                                 \
    F(str, local)     /* "192.0.2.10 as mta1.customer.example" */                                                      \
    F(str, trail)     /* what was tried before it, and why not */                                                      \
    F(u32, took_ms)                                                                                                    \
    F(str, refusal_class)  /* "hard" …: mail/bounce's judgement of a refusal, or empty */                              \
    F(str, refusal_reason) /* "no-such-user" … */                                                                      \
    F(str, events)         /* of the steward: list of told_event, committed with this result */
#define BH_FIELDS_result_ack(F) F(str, deliveries) /* list of delivery_ref */
/* sender tells how many more deliveries it takes, beyond those it holds; sent at start and as they finish. */
#define BH_FIELDS_slots(F) F(u32, more)
/* The sender's first message to a new queued, before it replays results: what it still works on. */
#define BH_FIELDS_in_flight(F) F(str, deliveries) /* list of delivery_ref */

/* As looked up: the hosts of a domain's mail exchangers, separated by spaces. */
#define BH_FIELDS_site(F)                                                                                              \
    F(str, route) /* the domain in lower case */                                                                       \
    F(str, hosts)

#define BH_FIELDS_sign(F) F(str, items)       /* 1 to 8 sign_item */
/* keyd to sender: some of the signatures asked for, in any order, possibly in several messages. */
#define BH_FIELDS_signatures(F) F(str, items)  /* list of signature */
#define BH_FIELDS_grant_key(F) F(str, key)    /* 32 bytes: keyd to queued and controld at connection */
/* keyd to sender, smtpd, webd, dnsd at connection and before each new period: the whole ring, newest last. */
#define BH_FIELDS_subkeys(F)                                                                                           \
    F(str, purpose) /* "bounce", "link", "cookie" */                                                                   \
    F(u32, period_s)                                                                                                   \
    F(str, keys) /* list of subkey */
/* KEY_IMPORT carries one descriptor to a PEM or DER private key. Only controld is heard; being controld is the right, and
 * the grant is empty. */
#define BH_FIELDS_key_generate(F)                                                                                      \
    F(u8, algorithm)                                                                                                   \
    F(u32, customer_id)                                                                                                \
    F(u64, key_id)                                                                                                     \
    F(str, domain)                                                                                                     \
    F(str, selector)                                                                                                   \
    F(str, grant)
#define BH_FIELDS_key_reply(F)                                                                                         \
    F(u8, ok)                                                                                                          \
    F(u8, algorithm)                                                                                                   \
    F(str, sealed)                                                                                                     \
    F(str, public_record) /* "v=DKIM1; k=rsa; p=…" */                                                                \
    F(str, why)

/* A whole zone, replacing the one of that name, in one message or several that follow each other. It is served after
 * ZONES_COMMIT; dnsd answers ZONES_SERVED with the same version when it does. */
#define BH_FIELDS_zone(F)                                                                                              \
    F(str, name)                                                                                                       \
    F(u8, more)     /* 1: the next message has more of this zone */                                                    \
    F(str, records) /* list of zone_record; SOA included */
/* ZONE_KEEP has the same field: in a whole set, the zone of that name stays as it is. */
#define BH_FIELDS_zone_remove(F) F(str, name)
#define BH_FIELDS_zones_commit(F)                                                                                      \
    F(u64, version)                                                                                                    \
    F(u8, whole)   /* 1: zones not named since connection are gone */                                                  \
    F(u32, serial) /* of this change, larger than those before: the catalog has it */

/* Digests of what is to be signed with one key for zones (controld's grant says which), SHA-256, 32 bytes each, one
 * after the other, at most BH_ZONE_SIGN_MAX. */
#define BH_FIELDS_zone_sign(F)                                                                                         \
    F(str, grant)                                                                                                      \
    F(str, sealed)                                                                                                     \
    F(str, digests)
#define BH_FIELDS_zone_signatures(F)                                                                                   \
    F(u8, refused)      /* as in a signature */                                                                        \
    F(str, signatures)  /* 64 bytes each, in the order of the digests */

/* Since the dnsd started. */
#define BH_FIELDS_dns_stats(F) F(u32, limit) /* of zones, the most asked for first */
#define BH_FIELDS_dns_stats_reply(F)                                                                                   \
    F(u64, udp_queries)                                                                                                \
    F(u64, tcp_queries)                                                                                                \
    F(u64, positive)                                                                                                   \
    F(u64, wildcard)                                                                                                   \
    F(u64, nodata)                                                                                                     \
    F(u64, nxdomain)                                                                                                   \
    F(u64, referral)                                                                                                   \
    F(u64, refused)                                                                                                    \
    F(u64, error)                                                                                                      \
    F(u64, dropped)                                                                                                    \
    F(u64, truncated)                                                                                                  \
    F(u64, rate_limited)                                                                                               \
    F(u64, transfers)                                                                                                  \
    F(u64, notifies)                                                                                                   \
    F(u64, notifies_lost)                                                                                              \
    F(u64, tcp_connections)                                                                                            \
    F(u64, tcp_refused)                                                                                                \
    F(str, zones) /* list of dns_zone_stats */

#define BH_FIELDS_dns_ask(F)                                                                                           \
    F(str, name)                                                                                                       \
    F(u16, type)                                                                                                       \
    F(u8, direct)                                /* 1: every authoritative server; 0: the resolver */
#define BH_FIELDS_dns_ask_reply(F) F(str, views) /* list of dns_server_view; one, named "resolver", if not direct */

#define BH_FIELDS_connect(F)                                                                                           \
    F(str, host) /* what the _domainconnect record holds */                                                            \
    F(str, zone)                                                                                                       \
    F(str, provider) /* of the template: us */                                                                         \
    F(str, service)
#define BH_FIELDS_connect_reply(F)                                                                                     \
    F(u8, status) /* enum bh_connect_status */                                                                         \
    F(str, provider_name)                                                                                              \
    F(str, url_sync)                                                                                                   \
    F(str, url_control_panel)                                                                                          \
    F(str, why)

#define BH_FIELDS_sts(F)                                                                                               \
    F(str, domain)                                                                                                     \
    F(u8, record) /* 1: the TXT record is there, with this id; 0: it is not; 2: it cannot be looked up */              \
    F(str, id)
#define BH_FIELDS_sts_reply(F)                                                                                         \
    F(str, policy)  /* the file; empty = none is known */                                                              \
    F(u32, ttl_s)   /* ask again after that */                                                                         \
    F(str, failure) /* RFC 8460 result type where one should be there and cannot be had */
#define BH_FIELDS_tls_results(F) F(str, results) /* list of tls_result */
#define BH_FIELDS_key_use(F) F(str, keys)         /* list of key_ref */
#define BH_FIELDS_key_use_reply(F)                                                                                     \
    F(str, keys)       /* list of key_use, in the order of the request */                                              \
    F(i64, started_at) /* what was signed with, and not told, before is not known */                                   \
    F(u8, settled)     /* 0: not every sender has told what it has in hand */
/* The whole list, which replaces the one before; the reply is empty. keyd signs with none of these from now on. */
#define BH_FIELDS_keys_revoked(F) F(str, keys) /* list of key_ref */

/* keyd tells controld, at connection and when the secret's file has changed. */
#define BH_FIELDS_secrets(F)                                                                                           \
    F(str, prefix) /* how everything begins that is sealed by the current secret */                                    \
    F(u8, has_old) /* what the one before sealed still opens */
/* The grant's kind is SEAL, its delivery_id the kind of the object, its other fields those under which it was sealed.
 * The reply has the object sealed by the current secret, and the public half of the key that it is. */
#define BH_FIELDS_key_reseal(F)                                                                                        \
    F(str, grant)                                                                                                      \
    F(str, sealed)

#define BH_FIELDS_command(F) F(str, json)

#define BH_FIELDS_event(F) F(str, events) /* list of told_event */
#define BH_FIELDS_canary_verdict(F)                                                                                    \
    F(u64, canary) /* the number in its address */                                                                     \
    F(u32, customer_id)                                                                                                \
    F(u8, passed)                                                                                                      \
    F(u8, aligned)  /* set of enum bh_mechanism */                                                                     \
    F(str, from_domain)                                                                                                \
    F(str, detail)
#define BH_FIELDS_event_reply(F)                                                                                       \
    F(u8, ok) /* 0: cannot be stored now, tell again later */
/* Who is this? Only the SHA-256 of a token leaves webd. */
#define BH_FIELDS_token(F) F(str, secret_hash)
#define BH_FIELDS_token_reply(F)                                                                                       \
    F(u8, ok)                                                                                                          \
    F(u64, version)                                                                                                    \
    F(u64, token_id)                                                                                                   \
    F(u32, customer_id) /* 0: the operator */                                                                          \
    F(str, customer)                                                                                                   \
    F(u32, scopes)    /* set of enum bh_api_scope */                                                                   \
    F(str, addresses) /* it may come from; empty = any */                                                              \
    F(u32, rate)      /* requests per second; 0 = the usual */                                                         \
    F(str, why)
/* A command in the name of a token: controld looks the token up again and fences the command by it. */
#define BH_FIELDS_api_command(F)                                                                                       \
    F(str, secret_hash)                                                                                                \
    F(str, json)
/* Messages that are committed together or not at all: 1 to 500, each a blob: a `submit` without a body file. */
#define BH_FIELDS_submit_batch(F)                                                                                      \
    F(u32, customer_id)                                                                                                \
    F(str, idempotency_key) /* empty = none */                                                                         \
    F(str, request_hash)    /* what the key stands for, 32 bytes */                                                    \
    F(str, submits)         /* list of blob */
#define BH_FIELDS_submit_batch_reply(F)                                                                                \
    F(u8, ok)       /* 1: all are committed with fsync */                                                              \
    F(u8, replayed) /* 1: they were before, by an earlier request with this key */                                     \
    F(u16, code)    /* when not ok, as in submit_reply; 422: the key stands for another request */                     \
    F(str, enhanced)                                                                                                   \
    F(str, reason)                                                                                                     \
    F(str, ids) /* list of message_ref, in the order of the request */

#define BH_FIELDS_suppressed(F) F(str, questions) /* list of suppression_question */
#define BH_FIELDS_suppressed_reply(F) F(str, hits) /* list of suppression_hit */
#define BH_FIELDS_feedback_news(F) F(u64, seq) /* the newest */
#define BH_FIELDS_read(F)                                                                                              \
    F(u64, size)                                                                                                       \
    F(str, body) /* empty: in the file */
#define BH_FIELDS_read_reply(F)                                                                                        \
    F(u8, ok)   /* 0: it could not be read, whatever it is */                                                          \
    F(u8, kind) /* enum bh_bounce_kind */                                                                              \
    F(u8, is_failure_report)                                                                                           \
    F(str, recipients) /* list of read_recipient; the first hundred */                                                 \
    F(u32, recipient_count)                                                                                            \
    F(str, tokens) /* list of read_text: addresses in it that look like ours, to be checked */                         \
    F(str, reporting_mta)                                                                                              \
    F(str, feedback_type)                                                                                              \
    F(str, user_agent)                                                                                                 \
    F(str, source_ip)                                                                                                  \
    F(str, reported_domain)                                                                                            \
    F(str, auth_failure)                                                                                               \
    F(str, arrival_date)                                                                                               \
    F(str, dkim_domain)                                                                                                \
    F(str, dkim_selector)                                                                                              \
    F(u64, incidents)                                                                                                  \
    F(str, subject)      /* of the message itself, decoded */                                                          \
    F(str, header_from)  /* address of its From */

/* clang-format on */
/* ---- what is made of it ---- */
#define BH_C_u8 uint8_t
#define BH_C_u16 uint16_t
#define BH_C_u32 uint32_t
#define BH_C_u64 uint64_t
#define BH_C_i64 int64_t
#define BH_C_str bh_str
#define BH_MEMBER(type, name) BH_C_##type name;

enum bh_message_type {
#define BH_TYPE(NAME, number, name) BH_MSG_##NAME = (number),
    BH_MESSAGES(BH_TYPE)
#undef BH_TYPE
};

/* The structs that messages share (login_reply, key_generate, key_reply, zones_commit, command) appear once. */
/* clang-format off */
#define BH_MESSAGE_STRUCTS(X)                                                                                          \
    X(hello) X(start) X(ready) X(peer) X(listener) X(file) X(reload) X(drain) X(reloaded) X(login)                     \
    X(login_reply) X(customer) X(may_send) X(may_send_reply) X(bounce_domain) X(bounce_domain_reply) X(version)        \
    X(submit) X(submit_reply) X(body_file) X(body_file_reply) X(identity) X(identity_reply) X(deliver) X(result)       \
    X(result_ack) X(slots) X(in_flight) X(site) X(sign) X(signatures) X(grant_key) X(subkeys) X(key_generate)                  \
    X(key_reply) X(zone) X(zone_remove) X(zones_commit) X(zone_sign) X(zone_signatures) X(dns_ask) X(dns_ask_reply) X(command) X(dns_stats) X(dns_stats_reply) \
    X(event) X(event_reply) X(feedback_news) X(read) X(read_reply)                                                     \
    X(suppressed) X(suppressed_reply)                                                                                  \
    X(connect) X(connect_reply) X(sts) X(sts_reply) X(tls_results)                                                                                 \
    X(canary_verdict)                                                                                                  \
    X(key_use) X(key_use_reply) X(keys_revoked) X(secrets) X(key_reseal)                                                                        \
    X(token) X(token_reply) X(api_command) X(submit_batch) X(submit_batch_reply) \
    /* end */
/* clang-format on */

#define BH_DECLARE_MESSAGE(name)                                                                                       \
    struct bh_msg_##name {                                                                                             \
        BH_FIELDS_##name(BH_MEMBER)                                                                                    \
    };                                                                                                                 \
    void bh_msg_##name##_put(struct bh_buf *out, const struct bh_msg_##name *message);                                 \
    BH_MUST bh_err bh_msg_##name##_get(bh_str body, struct bh_msg_##name *ret_message);
BH_MESSAGE_STRUCTS(BH_DECLARE_MESSAGE)
#undef BH_DECLARE_MESSAGE

/* put appends one record to a list; next reads one: BH_MORE, BH_DONE at the end, BH_E_TRUNCATED. */
#define BH_DECLARE_RECORD(name)                                                                                        \
    struct bh_rec_##name {                                                                                             \
        BH_REC_##name(BH_MEMBER)                                                                                       \
    };                                                                                                                 \
    void bh_rec_##name##_put(struct bh_buf *out, const struct bh_rec_##name *record);                                  \
    BH_MUST bh_err bh_rec_##name##_next(struct bh_cur *list, struct bh_rec_##name *ret_record);
BH_RECORDS(BH_DECLARE_RECORD)
#undef BH_DECLARE_RECORD

/* "SUBMIT", or "?" : for logs. Static. */
const char *bh_message_name(uint16_t type);

#endif
