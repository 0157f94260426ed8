/* spf.c: `spf ADDRESS SENDER HELO < zone`: an SPF check against the records on stdin.
 *
 *     cc spf.c $(pkg-config --cflags --libs libbehalf)
 */
#include <behalf/behalf.h>
#include <stdio.h>
#include <string.h>

static bh_str view(const char *text)
{
    return (bh_str){text, strlen(text)};
}

/* Called once, with the verdict. Its texts live until we return. */
static void on_checked(void *ctx, const struct bh_spf_outcome *outcome)
{
    *(enum bh_spf_result *)ctx = outcome->result;
    printf("%s: %.*s\n", bh_spf_result_name(outcome->result), (int)outcome->reason.n, outcome->reason.p);
}

int main(int argc, char **argv)
{
    static char zone[1 << 20];
    struct bh_zonefile_resolver *resolver;
    struct bh_spf_request request = {0};
    struct bh_spf_check *check;
    enum bh_spf_result result = BH_SPF_NONE;

    if (argc != 4 || bh_ip_parse(view(argv[1]), &request.ip))
        return 2;
    if (bh_zonefile_resolver_new((bh_str){zone, fread(zone, 1, sizeof(zone), stdin)}, &resolver, NULL, NULL))
        return 2;
    request.mail_from = view(argv[2]);
    request.helo = view(argv[3]);
    /* this resolver answers from memory, so the check is over when the call returns; libbehalf-unbound's takes time */
    if (bh_spf_check(bh_zonefile_resolver_base(resolver), &request, on_checked, &result, &check))
        return 2;
    bh_zonefile_resolver_free(resolver);
    return result == BH_SPF_PASS ? 0 : 1;
}
