/* Any bytes that came back: the reader's reply is within its limits, its lists can be read, its addresses have our
 * form. */
#include "roles/reader/read.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct bh_msg_read_reply *reply)
{
    struct bh_cur tokens = bh_cur_make(reply->tokens), recipients = bh_cur_make(reply->recipients);
    struct bh_rec_read_text token;
    struct bh_rec_read_recipient recipient;
    size_t count = 0;

    while (bh_rec_read_text_next(&tokens, &token) == BH_MORE)
        if (++count > BH_READ_TOKENS_MAX || token.text.n < 50 || token.text.p[48] != '@')
            abort();
    count = 0;
    while (bh_rec_read_recipient_next(&recipients, &recipient) == BH_MORE)
        count++;
    if (count > BH_READ_RECIPIENTS_MAX || count > reply->recipient_count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* made once; libFuzzer runs one thread, and the object is never written again */
    static struct bh_bounce_rules *rules;
    struct bh_rules_source builtin = bh_bounce_rules_builtin();
    struct bh_rules_fault fault;
    struct bh_arena *arena = bh_arena_new(BH_BOUNCE_ARENA_BYTES);
    struct bh_buf recipients = bh_buf_make(BH_READ_LIST_BYTES), tokens = bh_buf_make(16 * 1024);
    struct bh_msg_read_reply reply;

    if (!arena || (!rules && bh_bounce_rules_new(&builtin, 1, &rules, &fault)))
        abort();
    if (bh_read_message(arena, rules, bh_str_of((const char *)data, size), &recipients, &tokens, &reply) == BH_OK)
        check(&reply);
    bh_buf_free(&recipients);
    bh_buf_free(&tokens);
    bh_arena_free(arena);
    return 0;
}
