/* domain_spf_flatten.c: flattening records of strangers. Lines: the record, a source to add, then the TXT records in
 * the order in which they are asked for; the bytes of the last line become addresses and MX hosts. Every outcome is
 * bounded, and what is published can be read again. */
#include "domain/spf_flatten.h"
#include <behalf/spf.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWERS_MAX = 60, ROUNDS_MAX = 12 };

static bh_str txt_rdata(struct bh_arena *arena, bh_str text)
{
    struct bh_buf out = bh_buf_make(70000);
    bh_str copy;

    do {
        bh_str part = bh_str_sub(text, 0, 255);

        bh_buf_u8(&out, (uint8_t)part.n);
        bh_buf_add(&out, part);
        text = bh_str_skip(text, part.n);
    } while (text.n);
    copy = bh_arena_dup(arena, bh_buf_view(&out));
    bh_buf_free(&out);
    return copy;
}

static void answer(struct bh_arena *arena, const struct bh_flat_question *question, bh_str *rest,
                   struct bh_flat_answer *ret_answer)
{
    bh_str *rdata = bh_arena_array(arena, 1, sizeof(*rdata));
    bh_str line = bh_str_cut(*rest, '\n', rest);

    *ret_answer = (struct bh_flat_answer){.name = question->name,
                                          .type = question->type,
                                          .status = BH_DNS_FOUND,
                                          .ttl_s = 60,
                                          .rdatas = rdata,
                                          .count = 1};
    if (!rdata || !line.n)
        ret_answer->status = BH_DNS_NXDOMAIN, ret_answer->count = 0;
    else
        *rdata = question->type == BH_DNS_TXT ? txt_rdata(arena, line) : line;
}

static void check(const struct bh_flat_result *result)
{
    if (result->text_count > BH_FLAT_TEXTS_MAX || result->kept_count > BH_FLAT_KEPT_MAX || result->lookups_after > 10 ||
        !bh_spf_is_record(result->owner_record))
        abort();
    for (size_t i = 0; i < result->text_count; i++) {
        struct bh_spf_terms terms = bh_spf_terms_of(result->texts[i].text);
        struct bh_spf_term term;

        if (!bh_spf_is_record(result->texts[i].text))
            abort();
        while (bh_spf_terms_next(&terms, &term, NULL) == BH_MORE)
            ;
        if (terms.rest.n)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bh_arena *arena = bh_arena_new(64 << 20);
    bh_str rest = bh_str_of((const char *)data, size), source;
    struct bh_flat_answer answers[ANSWERS_MAX];
    struct bh_flat_request request = {.domain = BH_STR("a.example"),
                                      .record = bh_str_cut(rest, '\n', &rest),
                                      .label = BH_STR("label"),
                                      .zone = BH_STR("flat.example"),
                                      .sources = &source,
                                      .answers = answers};
    struct bh_flat_result result;

    source = bh_str_cut(rest, '\n', &rest);
    request.source_count = bh_flat_source_check(source) == BH_OK;
    for (int round = 0; arena && round < ROUNDS_MAX; round++) {
        if (bh_spf_flatten(arena, &request, &result))
            break;
        if (!result.question_count && !result.problem.n)
            check(&result);
        if (!result.question_count)
            break;
        for (size_t i = 0; i < result.question_count && request.answer_count < ANSWERS_MAX; i++)
            answer(arena, &result.questions[i], &rest, &answers[request.answer_count++]);
        if (request.answer_count == ANSWERS_MAX)
            break;
    }
    bh_arena_free(arena);
    return 0;
}
