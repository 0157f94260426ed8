/* dkim_sign.c: `dkim_sign DOMAIN SELECTOR KEY-FILE < message`: the message with a DKIM signature in front. The message
 * has CRLF. The key could live in another process: bh_dkim_key_sign is all that needs it.
 *
 *     cc dkim_sign.c $(pkg-config --cflags --libs libbehalf)
 */
#include <behalf/behalf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static char message[1 << 20];
static char key_text[1 << 16];

static bh_err sign(struct bh_dkim *dkim, struct bh_arena *arena, const struct bh_dkim_key *key, bh_str text,
                   char **argv, bh_str *ret_field)
{
    bh_str names[500];
    struct bh_dkim_signing signing = {.key_type = bh_dkim_key_type(key),
                                      .domain = {argv[1], strlen(argv[1])},
                                      .selector = {argv[2], strlen(argv[2])},
                                      .header_canon = BH_DKIM_RELAXED,
                                      .body_canon = BH_DKIM_RELAXED,
                                      .signed_at_s = time(NULL),
                                      .expires_at_s = -1,
                                      .body_length = -1,
                                      .names = names};
    struct bh_dkim_body *body = bh_dkim_body_new(dkim, signing.body_canon);
    struct bh_dkim_unsigned unsigned_field;
    uint8_t signature[BH_DKIM_SIGNATURE_MAX];
    size_t length = 0;
    bh_err err;

    if (!body)
        return BH_E_NOMEM;
    bh_dkim_body_add(body, bh_dkim_message_body(text));
    err = bh_dkim_body_end(body, signing.body_hash, NULL);
    bh_dkim_body_free(body);
    if (!err)
        err = bh_dkim_default_names(text, names, 500, &signing.name_count);
    if (!err)
        err = bh_dkim_prepare(dkim, arena, text, &signing, &unsigned_field);
    if (!err)
        err = bh_dkim_key_sign(key, unsigned_field.hash, signature, &length);
    if (!err)
        err = bh_dkim_finish(arena, &unsigned_field, signature, length, ret_field);
    return err;
}

int main(int argc, char **argv)
{
    struct bh_dkim_config config = {0};
    struct bh_dkim *dkim = bh_dkim_new(&config);
    struct bh_arena *arena = bh_arena_new(16 << 20);
    struct bh_dkim_key *key = NULL;
    FILE *file = argc == 4 ? fopen(argv[3], "r") : NULL;
    bh_str text = {message, fread(message, 1, sizeof(message) - 1, stdin)};
    bh_str field;
    bh_err err;

    if (!dkim || !arena || !file ||
        bh_dkim_key_load((bh_str){key_text, fread(key_text, 1, sizeof(key_text), file)}, &key))
        return 2;
    fclose(file);
    err = sign(dkim, arena, key, text, argv, &field);
    if (err)
        fprintf(stderr, "dkim_sign: %s\n", bh_err_text(err));
    else
        printf("%.*s%.*s", (int)field.n, field.p, (int)text.n, text.p);
    bh_dkim_key_free(key);
    bh_arena_free(arena);
    bh_dkim_free(dkim);
    return err ? 1 : 0;
}
