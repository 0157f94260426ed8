/* arc.c: `arc DOMAIN SELECTOR KEY-FILE ZONE-FILE < message`: what a forwarder does: validates the chain of ARC sets,
 * and prints the message with one more set in front. The message has CRLF. The private key could live in another
 * process: it signs twice, 32 bytes each time.
 *
 *     cc arc.c $(pkg-config --cflags --libs libbehalf)
 */
#include <behalf/behalf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static char message[1 << 20];
static char file_text[1 << 20];

static bh_str view(const char *text)
{
    return (bh_str){text, strlen(text)};
}

static bh_str read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    bh_str text = {file_text, file ? fread(file_text, 1, sizeof(file_text), file) : 0};

    if (file)
        fclose(file);
    return text;
}

static void on_validated(void *ctx, const struct bh_arc_verify *verify)
{
    bh_str reason;

    *(enum bh_arc_result *)ctx = bh_arc_verify_result(verify, &reason);
    fprintf(stderr, "chain of %u: %s, %.*s\n", bh_arc_verify_sets(verify),
            bh_arc_result_text(bh_arc_verify_result(verify, NULL)), (int)reason.n, reason.p);
}

static bh_err validate(struct bh_dkim *dkim, struct bh_arena *arena, struct bh_resolver *resolver, bh_str text,
                       enum bh_arc_result *ret_result)
{
    struct bh_arc_verify *verify = bh_arc_verify_new(dkim, arena, text, (bh_time_ms)time(NULL) * 1000);

    if (!verify)
        return BH_E_NOMEM;
    bh_arc_verify_body(verify, bh_dkim_message_body(text));
    bh_arc_verify_end(verify, resolver, on_validated, ret_result); /* this resolver answers at once */
    bh_arc_verify_free(verify);
    return BH_OK;
}

static bh_err sign(struct bh_arena *arena, const struct bh_dkim_key *key, const struct bh_dkim_unsigned *unsigned_field,
                   bh_str *ret_field)
{
    uint8_t signature[BH_DKIM_SIGNATURE_MAX];
    size_t length;
    bh_err err = bh_dkim_key_sign(key, unsigned_field->hash, signature, &length);

    return err ? err : bh_dkim_finish(arena, unsigned_field, signature, length, ret_field);
}

/* ret_fields: seal, message signature, results, in the order in which they go before the message. */
static bh_err seal(struct bh_dkim *dkim, struct bh_arena *arena, const struct bh_dkim_key *key, bh_str text,
                   struct bh_arc_sealing *sealing, bh_str ret_fields[3])
{
    struct bh_dkim_body *body = bh_dkim_body_new(dkim, sealing->message.body_canon);
    struct bh_dkim_unsigned unsigned_field;
    bh_str names[500];
    bh_err err;

    if (!body)
        return BH_E_NOMEM;
    bh_dkim_body_add(body, bh_dkim_message_body(text));
    err = bh_dkim_body_end(body, sealing->message.body_hash, NULL);
    bh_dkim_body_free(body);
    if (!err)
        err = bh_arc_default_names(text, names, 500, &sealing->message.name_count);
    sealing->message.names = names;
    if (!err)
        err = bh_arc_prepare_message(dkim, arena, text, sealing, &ret_fields[2], &unsigned_field);
    if (!err)
        err = sign(arena, key, &unsigned_field, &ret_fields[1]);
    if (!err)
        err = bh_arc_prepare_seal(dkim, arena, text, sealing, ret_fields[2], ret_fields[1], &unsigned_field);
    if (!err)
        err = sign(arena, key, &unsigned_field, &ret_fields[0]);
    sealing->message.names = NULL; /* they end here */
    return err;
}

int main(int argc, char **argv)
{
    struct bh_dkim_config config = {0};
    struct bh_dkim *dkim = bh_dkim_new(&config);
    struct bh_arena *arena = bh_arena_new(16 << 20);
    struct bh_zonefile_resolver *resolver = NULL;
    struct bh_dkim_key *key = NULL;
    bh_str text = {message, fread(message, 1, sizeof(message) - 1, stdin)};
    bh_str fields[3] = {{NULL, 0}};
    struct bh_arc_sealing sealing = {.auth_results = view("mx.example.net; spf=pass smtp.mailfrom=example.com")};
    bh_err err;

    if (argc != 5 || !dkim || !arena || bh_dkim_key_load(read_file(argv[3]), &key) ||
        bh_zonefile_resolver_new(read_file(argv[4]), &resolver, NULL, NULL))
        return 2;
    sealing.message = (struct bh_dkim_signing){.key_type = bh_dkim_key_type(key),
                                               .domain = view(argv[1]),
                                               .selector = view(argv[2]),
                                               .header_canon = BH_DKIM_RELAXED,
                                               .body_canon = BH_DKIM_RELAXED,
                                               .signed_at_s = time(NULL),
                                               .expires_at_s = -1,
                                               .body_length = -1};
    err = validate(dkim, arena, bh_zonefile_resolver_base(resolver), text, &sealing.status);
    if (!err)
        err = seal(dkim, arena, key, text, &sealing, fields);
    if (err)
        fprintf(stderr, "arc: %s\n", bh_err_text(err));
    for (int i = 0; !err && i < 3; i++)
        printf("%.*s", (int)fields[i].n, fields[i].p);
    if (!err)
        fwrite(text.p, 1, text.n, stdout);
    bh_zonefile_resolver_free(resolver);
    bh_dkim_key_free(key);
    bh_arena_free(arena);
    bh_dkim_free(dkim);
    return err ? 1 : 0;
}
