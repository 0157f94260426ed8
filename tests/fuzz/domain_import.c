/* Any bytes are a CSV file, a key table, a signing table: rows or an error come out, and each row has a line and,
 * unless it says what is wrong, a domain. */
#include "domain/import.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct bh_import *import)
{
    for (size_t i = 0; i < import->count; i++) {
        const struct bh_import_row *row = &import->rows[i];

        if (!row->line || (!row->problem.n && (!row->domain.n || !row->selector.n != !row->key_file.n)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bh_arena *arena = bh_arena_new(64 << 20);
    bh_str text = bh_str_of((const char *)data, size), why, signing, keys = bh_str_cut(text, '\0', &signing);
    struct bh_import import;

    if (bh_import_csv(arena, text, &import, &why) == BH_OK)
        check(&import);
    if (bh_import_opendkim(arena, keys, signing.p ? signing : text, &import) == BH_OK)
        check(&import);
    bh_arena_free(arena);
    return 0;
}
