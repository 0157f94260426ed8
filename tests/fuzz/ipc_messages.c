/* ipc_messages.c: any bytes as the body of each message and as a list of each record. What is read is written again as
 * the same bytes, and that is the whole input: the codec has one form for each value. */
#include "roles/grant.h"
#include "roles/messages.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

#define DEFINE_MESSAGE(name)                                                                                           \
    static void try_##name(bh_str body, struct bh_buf *again)                                                          \
    {                                                                                                                  \
        struct bh_msg_##name message;                                                                                  \
                                                                                                                       \
        if (bh_msg_##name##_get(body, &message) != BH_OK)                                                              \
            return;                                                                                                    \
        bh_buf_clear(again);                                                                                           \
        bh_msg_##name##_put(again, &message);                                                                          \
        must(bh_str_eq(bh_buf_view(again), body));                                                                     \
    }
BH_MESSAGE_STRUCTS(DEFINE_MESSAGE)

#define DEFINE_RECORD(name)                                                                                            \
    static void walk_##name(bh_str list, struct bh_buf *again)                                                         \
    {                                                                                                                  \
        struct bh_cur cur = bh_cur_make(list);                                                                         \
        struct bh_rec_##name record;                                                                                   \
        bh_err err;                                                                                                    \
        size_t count = 0;                                                                                              \
                                                                                                                       \
        bh_buf_clear(again);                                                                                           \
        while ((err = bh_rec_##name##_next(&cur, &record)) == BH_MORE) {                                               \
            bh_rec_##name##_put(again, &record);                                                                       \
            must(++count <= list.n);                                                                                   \
        }                                                                                                              \
        must(err == BH_DONE || err == BH_E_TRUNCATED);                                                                 \
        must(bh_str_starts(list, bh_buf_view(again)));                                                                 \
        must(err != BH_DONE || again->n == list.n);                                                                    \
    }
BH_RECORDS(DEFINE_RECORD)

/* The first byte chooses, so that each form gets a corpus of its own; every form is tried on short inputs. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const forms[])(bh_str, struct bh_buf *) = {
#define TRY(name) try_##name,
#define WALK(name) walk_##name,
        BH_MESSAGE_STRUCTS(TRY) BH_RECORDS(WALK)};
    static const uint8_t key[BH_GRANT_KEY_BYTES] = {1};
    const size_t count = sizeof(forms) / sizeof(forms[0]);
    struct bh_buf again = bh_buf_make(1 << 20);
    struct bh_grant grant;
    bh_str body;

    if (size == 0 || size > 1 << 16)
        return 0;
    body = bh_str_of((const char *)data + 1, size - 1);
    forms[data[0] % count](body, &again);
    for (size_t i = 0; i < count && size < 64; i++)
        forms[i](body, &again);
    (void)!bh_grant_get(body, key, 0, &grant);
    bh_buf_free(&again);
    return 0;
}
