/* dkim_verify.c: `dkim_verify ZONE-FILE < message`: the result of every DKIM signature. The message has CRLF.
 *
 *     cc dkim_verify.c $(pkg-config --cflags --libs libbehalf)
 */
#include <behalf/behalf.h>
#include <stdio.h>
#include <time.h>

static char message[1 << 20];
static char zone[1 << 20];

static void on_verified(void *ctx, const struct bh_dkim_verify *verify)
{
    for (size_t i = 0; i < bh_dkim_verify_count(verify); i++) {
        const struct bh_dkim_signature *signature = bh_dkim_verify_get(verify, i);

        printf("%s d=%.*s s=%.*s (%.*s)\n", bh_dkim_result_text(signature->result), (int)signature->domain.n,
               signature->domain.p, (int)signature->selector.n, signature->selector.p, (int)signature->reason.n,
               signature->reason.p);
    }
    *(enum bh_dkim_result *)ctx = bh_dkim_verify_result(verify, NULL);
}

int main(int argc, char **argv)
{
    struct bh_dkim_config config = {0};
    enum bh_dkim_result result = BH_DKIM_NONE;
    struct bh_dkim *dkim = bh_dkim_new(&config);
    struct bh_arena *arena = bh_arena_new(16 << 20);
    struct bh_zonefile_resolver *resolver = NULL;
    struct bh_dkim_verify *verify;
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    size_t n = fread(message, 1, sizeof(message) - 1, stdin);

    if (!dkim || !arena || !file ||
        bh_zonefile_resolver_new((bh_str){zone, fread(zone, 1, sizeof(zone), file)}, &resolver, NULL, NULL))
        return 2;
    fclose(file);
    verify = bh_dkim_verify_new(dkim, arena, (bh_str){message, n}, (bh_time_ms)time(NULL) * 1000);
    if (!verify)
        return 2;
    /* in one piece here, but any pieces do, as they come from the network */
    bh_dkim_verify_body(verify, bh_dkim_message_body((bh_str){message, n}));
    bh_dkim_verify_end(verify, bh_zonefile_resolver_base(resolver), on_verified, &result);
    bh_dkim_verify_free(verify);
    bh_zonefile_resolver_free(resolver);
    bh_arena_free(arena);
    bh_dkim_free(dkim);
    return result == BH_DKIM_PASS ? 0 : 1;
}
