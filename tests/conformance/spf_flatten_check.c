/* Answers lines "TERMS VOIDS DOMAIN IP" on standard input with libbehalf's SPF result, DNS from the zone file in
 * argv[1]: many checks in one process, for spf_flatten.py. */
#include "base/str.h"
#include <behalf/behalf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_result(void *ctx, const struct bh_spf_outcome *outcome)
{
    (void)ctx;
    (void)printf("%s %u %u\n", bh_spf_result_name(outcome->result), outcome->terms, outcome->voids);
}

static char *read_file(const char *path, size_t *ret_n)
{
    FILE *file = fopen(path, "r");
    char *text = malloc(16 << 20);

    if (!file || !text)
        exit(1);
    *ret_n = fread(text, 1, 16 << 20, file);
    (void)fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    struct bh_zonefile_resolver *zone;
    char line[1024], domain[300], ip[64];
    size_t n = 0;
    char *text = argc == 2 ? read_file(argv[1], &n) : NULL;

    if (!text || bh_zonefile_resolver_new(bh_str_of(text, n), &zone, NULL, NULL))
        return 1;
    while (fgets(line, sizeof(line), stdin)) {
        struct bh_spf_request request = {.now = 0};
        struct bh_spf_check *check;
        char *at = line, *end;

        request.max_terms = (unsigned)strtoul(at, &at, 10);
        request.max_voids = (unsigned)strtoul(at, &at, 10);
        at++;
        end = strchr(at, ' ');
        if (!end || (size_t)(end - at) >= sizeof(domain) - 2)
            return 1;
        domain[0] = 'u';
        domain[1] = '@';
        memcpy(domain + 2, at, (size_t)(end - at));
        request.mail_from = bh_str_of(domain, (size_t)(end - at) + 2);
        request.helo = bh_str_of(domain + 2, (size_t)(end - at));
        (void)snprintf(ip, sizeof(ip), "%.*s", (int)strcspn(end + 1, "\n"), end + 1);
        if (bh_ip_parse(bh_str_of(ip, strlen(ip)), &request.ip) ||
            bh_spf_check(bh_zonefile_resolver_base(zone), &request, print_result, NULL, &check))
            return 1;
    }
    bh_zonefile_resolver_free(zone);
    free(text);
    return 0;
}
