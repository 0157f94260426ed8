/* dkim_tags.c: tag lists, key records, DER keys: the small grammars that DNS and strangers feed. The first byte
 * chooses. */
#include "auth/der.h"
#include "auth/pubkey.h"
#include "auth/tags.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tags(bh_str text)
{
    struct bh_cur cur = bh_cur_make(text);
    struct bh_tag tags[16];
    struct bh_tag tag;
    size_t count;

    while (bh_tag_next(&cur, &tag) == BH_MORE)
        if (tag.name.n == 0 || tag.value.n > tag.raw.n)
            abort();
    if (bh_tag_list_read(text, tags, 16, &count) == BH_OK && count > 16)
        abort();
}

static void check_record(bh_str text)
{
    struct bh_key_record record;
    const char *why = NULL;
    struct bh_pubkey *key;

    if (bh_key_record_read(text, &record))
        return;
    key = bh_pubkey_new(&record, &why);
    if (!key && !why)
        abort();
    if (key)
        (void)bh_pubkey_verify(key, (const uint8_t[32]){1}, text);
    bh_pubkey_free(key);
}

static void check_der(bh_str text)
{
    struct bh_der_rsa rsa;

    if (bh_der_rsa_public(text, &rsa) == BH_OK && (rsa.n.n == 0 || rsa.e.n == 0 || rsa.n.n + rsa.e.n > text.n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str text = {(const char *)data + 1, size ? size - 1 : 0};

    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        check_tags(text);
        break;
    case 1:
        check_record(text);
        break;
    default:
        check_der(text);
        break;
    }
    return 0;
}
