/* helper.c: check and prepare for a test driver. Reads lines of hexadecimal bytes, each a message; writes one line of
 * JSON for each: the verdict, and the departing header where it is accepted. */
#include "base/text.h"
#include "mail/check.h"
#include "mail/prepare.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { max_message = 8 << 20 };

static json_t *hex(bh_str s)
{
    struct bh_buf text = bh_buf_make(2 * s.n + 1);
    json_t *value;

    bh_hex_encode(&text, s);
    value = json_stringn(text.p ? text.p : "", text.n);
    bh_buf_free(&text);
    return value;
}

static json_t *departing(struct bh_arena *arena, const struct bh_check_facts *facts)
{
    struct bh_prepare prepare = {.header = facts->header,
                                 .accepted_at = 1795312162000,
                                 .received = {.helo = BH_STR("app.example"), .by = BH_STR("mx.esp.example")},
                                 .message_id_left = BH_STR("unique"),
                                 .message_id_domain = facts->author.domain,
                                 .authserv_id = BH_STR("mx.esp.example")};
    struct bh_prepared prepared;

    return bh_prepare_header(arena, &prepare, &prepared) ? json_null() : hex(prepared.header);
}

static json_t *judge(struct bh_arena *arena, bh_str message)
{
    struct bh_check_facts facts;
    struct bh_check_verdict verdict;

    bh_check_message(arena, NULL, message, &facts, &verdict);
    return json_pack("{ss si ss ss% ss% so so}", "rule", bh_check_rule_name(verdict.rule), "code", (int)verdict.code,
                     "enhanced", verdict.enhanced, "reason", verdict.reason.p, verdict.reason.n, "fix", verdict.fix.p,
                     verdict.fix.n, "domain", hex(facts.author.domain), "header",
                     verdict.rule ? json_null() : departing(arena, &facts));
}

int main(void)
{
    struct bh_arena *arena = bh_arena_new(64 << 20);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    while ((n = getline(&line, &cap, stdin)) > 0) {
        struct bh_buf message = bh_buf_make(max_message);
        json_t *value;
        if (bh_hex_decode(&message, bh_str_trim(bh_str_of(line, (size_t)n))))
            return 1;
        value = judge(arena, bh_buf_view(&message));
        json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(value);
        bh_buf_free(&message);
        bh_arena_reset(arena);
    }
    free(line);
    bh_arena_free(arena);
    return 0;
}
