/* egress_ptr.c: do the addresses have names that lead back to them? Receivers ask PTR of the client and the address of
 * what they find, and many refuse mail where that fails; better is a PTR that equals the HELO name. It is the
 * operator's provider who publishes PTR, so all that can be done is to say so: in `pool show`, in the log when it
 * changes. */
#include "egress.h"
#include <behalf/ip.h>
#include <stdlib.h>

enum { PERIOD_MS = 6 * 3600 * 1000, AGAIN_MS = 5 * 60 * 1000 };

struct looking {
    struct bh_controld *core;
    int64_t id;
    struct bh_ip ip;
    char address[BH_IP_TEXT_MAX];
    char helo[256];
    char host[256]; /* what PTR says */
};

static void conclude(struct looking *looking, const char *problem)
{
    struct bh_controld *core = looking->core;
    bh_time_ms now = bh_controld_now(core);

    for (size_t i = 0; i < core->egress->address_count; i++) {
        struct bh_egress_address *a = &core->egress->addresses[i];

        if (a->id != looking->id)
            continue;
        if (!bh_str_eq(a->ptr_problem, bh_str_c(problem)))
            core->out->log(core->out_ctx, *problem ? BH_LOG_WARN : BH_LOG_INFO,
                           *problem ? problem : "PTR and HELO name agree", a->address);
        if (!bh_egress_set_ptr(core->store, a->id, bh_str_c(problem), now))
            (void)!bh_egress_load(core);
        break;
    }
    free(looking);
}

static bool name_of(bh_str wire, char *host, size_t n)
{
    struct bh_buf text = bh_buf_make(1100);
    bool ok = bh_dns_name_valid(wire);

    if (ok) {
        bh_dns_name_print_relative(&text, wire);
        ok = bh_str_to_c(bh_buf_view(&text), host, n) == BH_OK;
    }
    bh_buf_free(&text);
    return ok;
}

/* The first rdata of the only view; p NULL for none, `ret_known` false when nothing is known. */
static bh_str first_rdata(const struct bh_msg_dns_ask_reply *reply, bool *ret_known, bh_str *ret_all)
{
    struct bh_cur cur = bh_cur_make(reply->views);
    struct bh_rec_dns_server_view view;
    struct bh_rec_dns_rdata rdata;

    *ret_known = false;
    if (bh_rec_dns_server_view_next(&cur, &view) != BH_MORE || view.status >= BH_DNS_TEMPFAIL)
        return (bh_str){NULL, 0};
    *ret_known = true;
    *ret_all = view.rdatas;
    cur = bh_cur_make(view.rdatas);
    return bh_rec_dns_rdata_next(&cur, &rdata) == BH_MORE ? rdata.rdata : (bh_str){NULL, 0};
}

static void on_forward(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply)
{
    struct looking *looking = ctx;
    char problem[600];
    bool known = false, back = false;
    bh_str all = {"", 0};
    struct bh_cur cur;
    struct bh_rec_dns_rdata rdata;

    if (!err)
        (void)first_rdata(reply, &known, &all);
    if (!known) {
        free(looking);
        return;
    }
    cur = bh_cur_make(all);
    while (bh_rec_dns_rdata_next(&cur, &rdata) == BH_MORE)
        back |= bh_str_eq(rdata.rdata, bh_str_of((const char *)looking->ip.bytes, looking->ip.n));
    if (!back)
        (void)snprintf(problem, sizeof(problem), "PTR says %s, which does not lead back to this address",
                       looking->host);
    else if (!bh_str_eq_ci(bh_str_c(looking->host), bh_str_c(looking->helo)))
        (void)snprintf(problem, sizeof(problem), "PTR says %s, but HELO is %s: make them the same", looking->host,
                       looking->helo);
    else
        problem[0] = '\0';
    conclude(looking, problem);
}

static void on_reverse(void *ctx, bh_err err, const struct bh_msg_dns_ask_reply *reply)
{
    struct looking *looking = ctx;
    struct bh_controld *core = looking->core;
    bool known = false;
    bh_str all, rdata = {NULL, 0};

    if (!err)
        rdata = first_rdata(reply, &known, &all);
    if (!known) {
        free(looking);
        return;
    }
    if (!rdata.p || !name_of(rdata, looking->host, sizeof(looking->host))) {
        conclude(looking, "there is no PTR record: many receivers refuse mail from such an address; ask your provider "
                          "for one with the HELO name");
        return;
    }
    if (core->out->ask_dns(
            core->out_ctx,
            &(struct bh_msg_dns_ask){bh_str_c(looking->host), looking->ip.n == 16 ? BH_DNS_AAAA : BH_DNS_A, 0},
            on_forward, looking))
        free(looking);
}

static void look(struct bh_controld *core, const struct bh_egress_address *a)
{
    struct looking *looking = calloc(1, sizeof(*looking));
    char name[BH_IP_REVERSE_MAX];

    if (!looking)
        return;
    *looking = (struct looking){.core = core, .id = a->id};
    if (bh_ip_parse(a->address, &looking->ip) || bh_str_to_c(a->helo, looking->helo, sizeof(looking->helo)) ||
        !bh_ip_reverse_name(&looking->ip, name) ||
        core->out->ask_dns(core->out_ctx, &(struct bh_msg_dns_ask){bh_str_c(name), BH_DNS_PTR, 0}, on_reverse, looking))
        free(looking);
}

void bh_egress_ptr_run(struct bh_controld *core)
{
    bh_time_ms now = bh_controld_now(core);
    int64_t ids[64];
    size_t count = 0;

    for (size_t i = 0; i < core->egress->address_count && count < 64; i++) {
        const struct bh_egress_address *a = &core->egress->addresses[i];

        if (a->state < BH_EGRESS_STOPPING && a->ptr_at + PERIOD_MS <= now)
            ids[count++] = a->id;
    }
    core->egress->ptr_at = now + AGAIN_MS;
    for (size_t k = 0; k < count; k++) /* an answer may come at once and have the addresses read again */
        for (size_t i = 0; i < core->egress->address_count; i++)
            if (core->egress->addresses[i].id == ids[k]) {
                look(core, &core->egress->addresses[i]);
                break;
            }
}
