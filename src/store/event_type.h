/* event_type.h: every type of event, listed once: its name in C, its number in spool.db (never reused), its name for
 * people and programs, what it says.
 *
 * Names of one word are about a message or one of its recipients; the others begin with their noun. What is not about a
 * message comes to queued as an EVENT message: from controld through bh_controld_event, from the steward. */
#ifndef BH_STORE_EVENT_TYPE_H
#define BH_STORE_EVENT_TYPE_H

/* one line per type, so that two changes do not meet */
/* clang-format off */
#define BH_EVENT_TYPES(X)                                                                                              \
    /* messages and recipients */                                                                                      \
    X(ACCEPTED, 1, "accepted", "committed for all its recipients")                                                     \
    X(DELIVERED, 2, "delivered", "the receiver has taken it")                                                          \
    X(DEFERRED, 3, "deferred", "an attempt failed for now")                                                            \
    X(BOUNCED, 4, "bounced", "refused for good, in the session or by a report afterwards")                             \
    X(EXPIRED, 5, "expired", "its time was over before it could be delivered")                                         \
    X(DROPPED, 6, "dropped", "ended by the operator")                                                                  \
    X(RETRIED, 7, "retried", "an attempt was asked for")                                                               \
    X(FINISHED, 8, "finished", "a message to ourselves was processed")                                                 \
    X(QUEUED, 9, "queued", "waits for its delivery from now on")                                                       \
    X(SENT, 10, "sent", "handed to a relay, which says no more than that")                                             \
    X(COMPLAINED, 11, "complained", "the recipient reported it as spam")                                               \
    X(SUPPRESSED, 12, "suppressed", "not sent: the address is on the suppression list")                                \
    X(UNSUBSCRIBED, 13, "unsubscribed", "the recipient does not want such mail any more")                              \
    X(CANCELLED, 14, "cancelled", "taken back by the customer before it left")                                         \
    X(HELD, 15, "held", "waits until somebody or something releases it")                                               \
    X(RELEASED, 16, "released", "goes on after a hold")                                                                \
    X(SCHEDULED, 17, "scheduled", "waits for the time that was asked for")                                             \
    X(DELAYED, 18, "delayed", "a mail server behind the receiver reports that it still tries")                         \
    X(REPLIED, 19, "replied", "a person has answered to the bounce address")                                           \
    X(AUTO_REPLIED, 20, "auto-replied", "a machine has answered: out of office and the like")                          \
    X(NOTIFIED, 22, "notified", "its submitter was told of it by a delivery status notification, which is the message named")  \
    X(AUTH_REPORTED, 21, "auth-reported", "a receiver's report of failed authentication (RFC 6591)")                   \
    /* what came back and was not believed */                                                                          \
    X(FEEDBACK_IGNORED, 30, "feedback.ignored", "a report that was forged, old, repeated or not understood")           \
    /* alarms and health */                                                                                            \
    X(ALARM_RAISED, 40, "alarm.raised", "something needs a person")                                                    \
    X(ALARM_CLEARED, 41, "alarm.cleared", "it does not any more")                                                      \
    X(HEALTH_CHANGED, 42, "health.changed", "rates of bounces or complaints crossed a threshold")                      \
    X(SUPPRESSION_ADDED, 45, "suppression.added", "an address was put on the list")                                    \
    X(SUPPRESSION_REMOVED, 46, "suppression.removed", "an address was taken off the list")                             \
    /* customers and domains */                                                                                        \
    X(CUSTOMER_ADDED, 60, "customer.added", "")                                                                        \
    X(CREDENTIAL_ADDED, 61, "credential.added", "")                                                                    \
    X(CREDENTIAL_REVOKED, 62, "credential.revoked", "")                                                                \
    X(DOMAIN_ADDED, 70, "domain.added", "")                                                                            \
    X(DOMAIN_VERIFIED, 71, "domain.verified", "it may send")                                                           \
    X(DOMAIN_DEGRADED, 72, "domain.degraded", "a record is missing; sending goes on as far as it can")                 \
    X(DOMAIN_RESTORED, 73, "domain.restored", "everything is there again")                                             \
    X(DOMAIN_SUSPENDED, 74, "domain.suspended", "it may not send any more")                                            \
    X(DOMAIN_CHANGED, 75, "domain.changed", "its state, approach or settings")                                         \
    X(DOMAIN_REMOVED, 76, "domain.removed", "")                                                                        \
    X(DOMAIN_CLAIMED, 77, "domain.claimed", "")                                                                        \
    X(DOMAIN_RECORD_CHANGED, 78, "domain.record_changed", "a check saw another record than before")                    \
    /* keys */                                                                                                         \
    X(KEY_CREATED, 90, "key.created", "made, and sealed")                                                              \
    X(KEY_ACTIVATED, 91, "key.activated", "signs from now on")                                                         \
    X(KEY_RETIRED, 92, "key.retired", "signs no more, still published")                                                \
    X(KEY_WITHDRAWN, 93, "key.withdrawn", "nothing can need it any more: record and private half are gone")            \
    X(KEY_REVOKED, 94, "key.revoked", "by order: signs no more, and its record has an empty p=")                       \
    X(KEY_PUBLISHED, 95, "key.published", "its record is in our zones, or asked of the customer")                      \
    X(KEY_SEEN, 96, "key.seen", "every name server answers it: ready to sign")                                         \
    /* planned changes */                                                                                              \
    X(CHANGE_CREATED, 110, "change.created", "")                                                                       \
    X(CHANGE_REMINDED, 111, "change.reminded", "")                                                                     \
    X(CHANGE_ACTED, 112, "change.acted", "a domain has the new record")                                                \
    X(CHANGE_FORCED, 113, "change.forced", "")                                                                         \
    X(CHANGE_DONE, 114, "change.done", "")                                                                             \
    /* SPF, relays, canaries, notices */                                                                               \
    X(SPF_CHANGED, 130, "spf.changed", "")                                                                             \
    X(SPF_LIMIT, 131, "spf.limit", "more look-ups or a longer record than receivers follow")                           \
    X(POOL_CHANGED, 132, "pool.changed", "")                                                                           \
    X(RELAY_PROBED, 140, "relay.probed", "")                                                                           \
    X(RELAY_FAILED, 141, "relay.failed", "")                                                                           \
    X(CANARY_SENT, 150, "canary.sent", "")                                                                             \
    X(CANARY_PASSED, 151, "canary.passed", "it came back, and passed")                                                 \
    X(CANARY_FAILED, 152, "canary.failed", "")                                                                         \
    X(NOTICE_SENT, 160, "notice.sent", "a mail to a customer or the operator")                                         \
    /* end */
/* clang-format on */

enum bh_event_kind {
#define BH_EVENT_NUMBER(NAME, number, name, what) BH_EVENT_##NAME = (number),
    BH_EVENT_TYPES(BH_EVENT_NUMBER)
#undef BH_EVENT_NUMBER
};

/* "domain.verified"; "?" for a number that is none. Static. */
const char *bh_event_kind_name(enum bh_event_kind kind);
/* The number of a name; 0: there is none. */
int bh_event_kind_number(const char *name);

#endif
