/* auth_results.c: `auth_results AUTHSERV-ID < message`: prints what the Authentication-Results fields of AUTHSERV-ID
 * say of a message, then the message without them, as a border host does with fields that came from outside under its
 * name.
 *
 *     cc auth_results.c $(pkg-config --cflags --libs libbehalf)
 */
#include <behalf/behalf.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static char message[1 << 20];

static void print(bh_str text)
{
    fwrite(text.p, 1, text.n, stderr);
}

static void print_results(const struct bh_auth_results *results)
{
    for (size_t i = 0; i < results->method_count; i++) {
        const struct bh_auth_method *method = &results->methods[i];

        print(method->method);
        fputs("=", stderr);
        print(method->result);
        for (size_t k = 0; k < method->property_count; k++) {
            fputs(" ", stderr);
            print(method->properties[k].type);
            fputs(".", stderr);
            print(method->properties[k].name);
            fputs("=", stderr);
            print(method->properties[k].value);
        }
        fputs("\n", stderr);
    }
}

/* Fields begin at line starts; a line that begins with a blank goes on with the field before. */
static bh_str next_field(bh_str *rest)
{
    size_t n = 0;

    while (n < rest->n) {
        const char *end = memchr(rest->p + n, '\n', rest->n - n);

        n = end ? (size_t)(end + 1 - rest->p) : rest->n;
        if (n == rest->n || (rest->p[n] != ' ' && rest->p[n] != '\t'))
            break;
    }
    *rest = (bh_str){rest->p + n, rest->n - n};
    return (bh_str){rest->p - n, n};
}

int main(int argc, char **argv)
{
    static const char name[] = "Authentication-Results:";
    struct bh_arena *arena = bh_arena_new(16 << 20);
    size_t n = fread(message, 1, sizeof(message) - 1, stdin);
    bh_str header = {message, n - bh_dkim_message_body((bh_str){message, n}).n};
    bh_str rest = header;
    bh_str id;
    bh_str clean;
    size_t removed;

    if (argc != 2 || !arena)
        return 2;
    id = (bh_str){argv[1], strlen(argv[1])};
    while (rest.n) {
        bh_str field = next_field(&rest);
        struct bh_auth_results results;
        bh_str value;

        if (field.n < sizeof(name) || strncasecmp(field.p, name, sizeof(name) - 1) != 0)
            continue;
        value = (bh_str){field.p + sizeof(name) - 1, field.n - (sizeof(name) - 1)};
        if (bh_auth_results_claims(value, id) && bh_auth_results_read(arena, value, &results) == BH_OK)
            print_results(&results);
    }
    if (bh_auth_results_strip(arena, header, id, &clean, &removed))
        return 1;
    fprintf(stderr, "%zu fields removed\n", removed);
    printf("%.*s%.*s", (int)clean.n, clean.p, (int)(n - header.n), message + header.n);
    bh_arena_free(arena);
    return 0;
}
