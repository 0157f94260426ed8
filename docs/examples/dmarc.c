/* dmarc.c: `dmarc AUTHOR-DOMAIN DKIM-DOMAIN`: would mail signed by the one pass DMARC for the other? Asks the resolvers
 * of /etc/resolv.conf.
 *
 *     cc dmarc.c $(pkg-config --cflags --libs libbehalf-unbound)
 */
#include <behalf/behalf.h>
#include <behalf/unbound_resolver.h>
#include <stdio.h>
#include <string.h>

struct run {
    bool done;
    bool passed;
};

static void on_checked(void *ctx, const struct bh_dmarc_outcome *outcome)
{
    struct run *run = ctx;

    run->done = true;
    run->passed = outcome->result == BH_DMARC_PASS;
    printf("%s: %.*s\n%.*s", bh_dmarc_result_name(outcome->result), (int)outcome->reason.n, outcome->reason.p,
           (int)outcome->trace.n, outcome->trace.p);
}

int main(int argc, char **argv)
{
    struct bh_unbound_config config = {.mode = BH_UNBOUND_RESOLV_CONF};
    struct bh_unbound_resolver *resolver;
    struct bh_dmarc_dkim signature = {.pass = true};
    struct bh_dmarc_request request = {.dkim = &signature, .dkim_count = 1, .trace = true};
    struct bh_dmarc_check *check;
    struct run run = {0};

    if (argc != 3 || bh_unbound_resolver_new(&config, &resolver, NULL))
        return 2;
    request.header_from = (bh_str){argv[1], strlen(argv[1])};
    signature.domain = (bh_str){argv[2], strlen(argv[2])};
    if (bh_dmarc_check(bh_unbound_resolver_base(resolver), &request, on_checked, &run, &check))
        return 2;
    if (bh_unbound_resolver_run(resolver, &run.done, 30000))
        bh_dmarc_check_expire(check); /* the time limit is ours to keep */
    bh_unbound_resolver_free(resolver);
    return run.passed ? 0 : 1;
}
