/* Any bytes are a message: a result comes out, within the arena, and what it says holds together. Also as a refusal's
 * text, and as a file of rules. */
#include "mail/bounce/bounce.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bh_bounce_rules *rules_of(struct bh_rules_source source)
{
    struct bh_bounce_rules *rules = NULL;
    struct bh_rules_fault fault;

    return bh_bounce_rules_new(&source, 1, &rules, &fault) ? NULL : rules;
}

static void check(const struct bh_bounce *bounce)
{
    if (bounce->count > BH_BOUNCE_RECIPIENTS_MAX || bounce->sender_count > BH_BOUNCE_SENDERS_MAX)
        abort();
    for (size_t i = 0; i < bounce->count; i++) {
        const struct bh_bounce_recipient *r = &bounce->recipients[i];

        if (r->hard != (r->class == BH_REFUSAL_HARD) || r->smtp_reply.n > BH_BOUNCE_TEXT_MAX || r->reason.n == 0)
            abort();
        if (bounce->kind == BH_BOUNCE_DELAY && r->action == BH_ACTION_FAILED)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* made once; libFuzzer runs one thread, and the object is never written again */
    static struct bh_bounce_rules *rules;
    bh_str input = bh_str_of((const char *)data, size), reply;
    struct bh_arena *arena = bh_arena_new(BH_BOUNCE_ARENA_BYTES);
    struct bh_classifier *classifier;
    struct bh_refusal refusal;
    struct bh_verdict verdict;
    struct bh_bounce bounce;

    if (!rules)
        rules = rules_of(bh_bounce_rules_builtin());
    if (!rules || !arena)
        abort();
    if (bh_bounce_read(arena, rules, input, &bounce) == BH_OK)
        check(&bounce);
    classifier = bh_classifier_new(arena, rules);
    if (classifier) {
        bh_refusal_parse(input, &refusal, &reply);
        bh_refusal_classify(classifier, &refusal, &verdict);
    }
    bh_bounce_rules_free(rules_of((struct bh_rules_source){BH_STR("fuzz"), input}));
    bh_arena_free(arena);
    return 0;
}
