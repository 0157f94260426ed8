/* tls_reports.h: reports of TLS to those who ask for them (RFC 8460): what senders tell is counted per day in
 * transport.db; when a day is over, each domain that has results is asked for its _smtp._tls record, and gets its
 * report by mail, from the platform's own identity, or by https. A report that cannot be handed over is tried again for
 * a day. */
#ifndef BH_STEWARD_TLS_REPORTS_H
#define BH_STEWARD_TLS_REPORTS_H

#include "io/http.h"
#include "roles/role.h"
#include "store/store.h"

struct bh_tls_reports {
    struct bh_role *role;
    struct bh_store *store;
    struct bh_http *http;
    struct bh_resolver *resolver;
    struct bh_timer timer;
    struct tls_sending *sending; /* one at a time */
    int64_t late_ms;             /* after midnight UTC */
    char after[256];             /* the last that failed in this round */
};

/* Prepares the rest of a struct whose first members are filled in. */
BH_MUST bh_err bh_tls_reports_start(struct bh_tls_reports *reports);
void bh_tls_reports_stop(struct bh_tls_reports *reports);
/* TLS_RESULTS from a sender. */
BH_MUST bh_err bh_tls_reports_take(struct bh_tls_reports *reports, bh_str body);

#endif
