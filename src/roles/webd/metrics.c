/* metrics.c: /metrics in Prometheus' text form, /readyz. Counters of this process; what others count is asked for by
 * command (queue show, dns stats). */
#include "webd.h"

void readiness_answer(struct request *request)
{
    struct bh_role *role = request->webd->role;
    bool ready =
        bh_role_any_peer(role, BH_ROLE_CONTROLD) && bh_role_any_peer(role, BH_ROLE_QUEUED) && !request->webd->draining;

    request_answer_text(request, ready ? 200 : 503, "text/plain", ready ? BH_STR("ready\n") : BH_STR("not ready\n"));
}

void metrics_answer(struct request *request)
{
    const struct webd_counts *c = &request->webd->counts;
    struct bh_buf out = bh_buf_make(1 << 20);

    bh_buf_printf(&out,
                  "# HELP behalf_http_requests_total Requests that were read whole.\n"
                  "# TYPE behalf_http_requests_total counter\n"
                  "behalf_http_requests_total %llu\n"
                  "# HELP behalf_http_answers_total Answers by class of status.\n"
                  "# TYPE behalf_http_answers_total counter\n",
                  (unsigned long long)c->requests);
    for (unsigned i = 1; i < 6; i++)
        bh_buf_printf(&out, "behalf_http_answers_total{status=\"%uxx\"} %llu\n", i, (unsigned long long)c->by_class[i]);
    bh_buf_printf(&out,
                  "# HELP behalf_api_emails_total Messages accepted through the API.\n"
                  "# TYPE behalf_api_emails_total counter\n"
                  "behalf_api_emails_total %llu\n"
                  "# HELP behalf_api_rate_limited_total Requests refused by a token's rate.\n"
                  "# TYPE behalf_api_rate_limited_total counter\n"
                  "behalf_api_rate_limited_total %llu\n"
                  "# HELP behalf_api_unauthorized_total Requests without a valid token.\n"
                  "# TYPE behalf_api_unauthorized_total counter\n"
                  "behalf_api_unauthorized_total %llu\n",
                  (unsigned long long)c->emails, (unsigned long long)c->limited, (unsigned long long)c->unauthorized);
    request_answer_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", bh_buf_view(&out));
    bh_buf_free(&out);
}
