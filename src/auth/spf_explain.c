/* spf_explain.c: exp= (RFC 7208 6.2). Whatever goes wrong here changes no result: the caller's default explanation is
 * given instead. The text ends up in SMTP replies, so a value with anything but printable ASCII in it drops it too. */
#include "spf_internal.h"

static void finish(struct bh_spf_check *check)
{
    check->is_over = true;
}

static void drop(struct bh_spf_check *check, const char *why)
{
    bh_spf_trace(check, "exp=: %s: ignored", why);
    bh_buf_clear(&check->explanation);
    check->step = finish;
}

/* `explanation` holds the text as published, `names` is free by now: expand into that, then move it over. */
static void step_expand(struct bh_spf_check *check)
{
    struct bh_spf_macro_values values;
    struct bh_buf *out = &check->names;

    check->step = finish;
    bh_buf_clear(out);
    bh_spf_values(check, &values);
    bh_spf_macro_expand(bh_buf_view(&check->explanation), &values, out);
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i] < ' ' || out->p[i] > '~') {
            drop(check, "the expanded text is not ASCII");
            return;
        }
    bh_buf_clear(&check->explanation);
    bh_buf_add(&check->explanation, bh_buf_view(out));
    if (out->err || check->explanation.err)
        drop(check, "the expanded text is too long");
}

static void step_text(struct bh_spf_check *check)
{
    if (check->wants_names)
        bh_spf_validate(check, step_expand, false);
    else
        step_expand(check);
}

static void on_text(struct bh_spf_check *check, const struct bh_dns_answer *answer)
{
    uint32_t letters = 0;
    const char *problem = NULL;

    if (answer->status != BH_DNS_FOUND || answer->count != 1) {
        drop(check, "not exactly one TXT record");
        return;
    }
    bh_spf_join_txt(answer->records[0].rdata, &check->explanation);
    if (check->explanation.err) {
        drop(check, "the text is too long");
    } else if (bh_spf_macro_check(bh_buf_view(&check->explanation), BH_SPF_TEXT_EXPLANATION, &letters, &problem)) {
        drop(check, problem);
    } else {
        check->step = step_text;
        check->wants_names = letters & bh_spf_letter_bit('p');
    }
}

static void step_ask(struct bh_spf_check *check)
{
    struct bh_buf scratch = {0};
    bh_str target = bh_spf_target(check, &check->frame->exp, &scratch);

    check->step = finish;
    if (target.p) {
        bh_spf_trace(check, "explanation from %.*s", BH_FMT(target));
        bh_spf_ask(check, target, BH_DNS_TXT, on_text);
    }
    bh_buf_free(&scratch);
}

void bh_spf_step_explain(struct bh_spf_check *check)
{
    if (check->frame->exp.macros & bh_spf_letter_bit('p'))
        bh_spf_validate(check, step_ask, false);
    else
        step_ask(check);
}
