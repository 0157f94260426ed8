/* verify.c: `verify ADDRESS SENDER HELO < message`: a message as a receiver judges it: SPF, DKIM, DMARC, and the
 * Authentication-Results field that a border host puts on top. The message has CRLF. Asks the resolvers of
 * /etc/resolv.conf.
 *
 *     cc verify.c $(pkg-config --cflags --libs libbehalf-unbound)
 */
#include <behalf/behalf.h>
#include <behalf/unbound_resolver.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_SIGNATURES = 10, WAIT_MS = 20000 };

struct run {
    struct bh_arena *arena;
    struct bh_unbound_resolver *unbound;
    struct bh_resolver *resolver;
    bool done; /* of the step under way */
    enum bh_spf_result spf;
    bh_str spf_domain;
    enum bh_dmarc_result dmarc;
};

static char message[1 << 20];

static bh_str view(const char *text)
{
    return (bh_str){text, strlen(text)};
}

/* What is in an outcome lives until the call-back returns, so what is needed later is copied into the arena. */
static void on_spf(void *ctx, const struct bh_spf_outcome *outcome)
{
    struct run *run = ctx;

    run->done = true;
    run->spf = outcome->result;
    run->spf_domain = bh_arena_dup(run->arena, outcome->domain);
}

static bh_err check_spf(struct run *run, char **argv)
{
    struct bh_spf_request request = {.mail_from = view(argv[2]), .helo = view(argv[3])};
    struct bh_spf_check *check;
    bh_err err = bh_ip_parse(view(argv[1]), &request.ip);

    if (!err)
        err = bh_spf_check(run->resolver, &request, on_spf, run, &check);
    if (!err && bh_unbound_resolver_run(run->unbound, &run->done, WAIT_MS))
        bh_spf_check_expire(check); /* the time limit is ours to keep */
    return err;
}

static void on_dkim(void *ctx, const struct bh_dkim_verify *verify)
{
    ((struct run *)ctx)->done = true;
    (void)verify;
}

/* Free it with bh_dkim_verify_free. */
static struct bh_dkim_verify *check_dkim(struct run *run, struct bh_dkim *dkim, bh_str text)
{
    struct bh_dkim_verify *verify = bh_dkim_verify_new(dkim, run->arena, text, (bh_time_ms)time(NULL) * 1000);

    if (!verify)
        return NULL;
    bh_dkim_verify_body(verify, bh_dkim_message_body(text)); /* or in pieces, as they come from the network */
    run->done = false;
    bh_dkim_verify_end(verify, run->resolver, on_dkim, run);
    if (!bh_unbound_resolver_run(run->unbound, &run->done, WAIT_MS))
        return verify;
    bh_dkim_verify_free(verify);
    return NULL;
}

static void on_dmarc(void *ctx, const struct bh_dmarc_outcome *outcome)
{
    struct run *run = ctx;

    run->done = true;
    run->dmarc = outcome->result;
    printf("dmarc=%s: %.*s\n", bh_dmarc_result_name(outcome->result), (int)outcome->reason.n, outcome->reason.p);
}

static bh_err check_dmarc(struct run *run, const struct bh_dkim_verify *verify, bh_str text)
{
    struct bh_dmarc_dkim passed[MAX_SIGNATURES];
    struct bh_dmarc_request request = {.spf = run->spf, .spf_domain = run->spf_domain, .dkim = passed};
    struct bh_dmarc_check *check;
    const char *why;
    bh_err err;

    for (size_t i = 0; i < bh_dkim_verify_count(verify) && i < MAX_SIGNATURES; i++) {
        const struct bh_dkim_signature *signature = bh_dkim_verify_get(verify, i);

        passed[request.dkim_count++] =
            (struct bh_dmarc_dkim){.pass = signature->result == BH_DKIM_PASS, .domain = signature->domain};
    }
    request.header_from = bh_dmarc_author_domain(run->arena, text, &why);
    run->done = false;
    err = bh_dmarc_check(run->resolver, &request, on_dmarc, run, &check);
    if (!err && bh_unbound_resolver_run(run->unbound, &run->done, WAIT_MS))
        bh_dmarc_check_expire(check);
    return err;
}

/* The field for the top of the message: SPF, DMARC, and an entry per signature. */
static bh_err print_field(struct run *run, const struct bh_dkim_verify *verify)
{
    struct bh_auth_property sender = {.type = view("smtp"), .name = view("mailfrom"), .value = run->spf_domain};
    struct bh_auth_method methods[2 + 20] = {
        {.method = view("spf"),
         .result = view(bh_spf_result_name(run->spf)),
         .properties = &sender,
         .property_count = 1},
        {.method = view("dmarc"), .result = view(bh_dmarc_result_name(run->dmarc))},
    };
    struct bh_auth_results results = {.authserv_id = view("mx.example.net"), .methods = methods, .method_count = 2};
    const struct bh_auth_method *signatures;
    size_t count = 0;
    bh_str field;
    bh_err err = bh_auth_results_of_dkim(run->arena, verify, &signatures, &count);

    for (size_t i = 0; !err && i < count && results.method_count < 22; i++)
        methods[results.method_count++] = signatures[i];
    if (!err)
        err = bh_auth_results_write(run->arena, &results, &field);
    if (!err)
        printf("Authentication-Results: %.*s\r\n", (int)field.n, field.p);
    return err;
}

static bh_err verify_all(struct run *run, struct bh_dkim *dkim, bh_str text, char **argv)
{
    struct bh_dkim_verify *verify;
    bh_err err = check_spf(run, argv);

    if (err)
        return err;
    verify = check_dkim(run, dkim, text);
    if (!verify)
        return BH_E_NOMEM;
    err = check_dmarc(run, verify, text);
    if (!err)
        err = print_field(run, verify);
    bh_dkim_verify_free(verify);
    return err;
}

int main(int argc, char **argv)
{
    struct bh_unbound_config unbound = {.mode = BH_UNBOUND_RESOLV_CONF, .query_max_ms = 5000};
    struct bh_dkim_config config = {.seed = {0}}; /* a server puts random numbers there */
    struct run run = {.arena = bh_arena_new(16 << 20)};
    struct bh_dkim *dkim = bh_dkim_new(&config);
    bh_str text = {message, fread(message, 1, sizeof(message) - 1, stdin)};
    bh_err err;

    if (argc != 4 || !run.arena || !dkim || bh_unbound_resolver_new(&unbound, &run.unbound, NULL))
        return 2;
    run.resolver = bh_unbound_resolver_base(run.unbound);
    err = verify_all(&run, dkim, text, argv);
    if (err)
        fprintf(stderr, "verify: %s\n", bh_err_text(err));
    bh_unbound_resolver_free(run.unbound);
    bh_dkim_free(dkim);
    bh_arena_free(run.arena);
    return err || run.dmarc != BH_DMARC_PASS;
}
