/* dmarc_check.c: a DMARC evaluation from request to callback. The work is in dmarc_eval.c; here are the copy of the
 * request, the rounds (dmarc_facts.h), and the comparison of the two modes. */
#include "dmarc_eval.h"
#include "domain.h"
#include <stdlib.h>

enum { ARENA_MAX = 1 << 20 };

struct bh_dmarc_check {
    struct bh_dmarc_facts facts;
    struct bh_dmarc_input input;
    enum bh_dmarc_mode mode;
    bool trace;
    bool is_malformed; /* the author domain */
    bh_dmarc_done *done;
    void *ctx;
    struct bh_dmarc_outcome outcome;
    struct bh_dmarc_outcome psl;
};

static const char *const result_names[] = {"none", "pass", "fail", "temperror", "permerror"};

const char *bh_dmarc_result_name(enum bh_dmarc_result result)
{
    return result_names[result];
}

/* ---- where the two modes differ ---- */

static void differ(struct bh_buf *out, const char *what, bh_str tree, bh_str psl)
{
    if (!bh_str_eq(tree, psl))
        bh_buf_printf(out, "%s: %.*s by tree walk (RFC 9989), %.*s by public suffixes (RFC 7489)\n", what,
                      BH_FMT(tree.n ? tree : BH_STR("none")), BH_FMT(psl.n ? psl : BH_STR("none")));
}

static void compare(struct bh_dmarc_check *check)
{
    struct bh_dmarc_outcome *tree = &check->outcome;
    const struct bh_dmarc_outcome *psl = &check->psl;
    struct bh_buf text = bh_buf_make(8192);

    differ(&text, "result", bh_str_c(bh_dmarc_result_name(tree->result)), bh_str_c(bh_dmarc_result_name(psl->result)));
    differ(&text, "record", tree->record_domain, psl->record_domain);
    differ(&text, "organisational domain", tree->org_domain, psl->org_domain);
    differ(&text, "policy", bh_str_c(bh_dmarc_policy_name(tree->policy)), bh_str_c(bh_dmarc_policy_name(psl->policy)));
    differ(&text, "disposition", bh_str_c(bh_dmarc_policy_name(tree->disposition)),
           bh_str_c(bh_dmarc_policy_name(psl->disposition)));
    tree->differences = bh_arena_dup(check->facts.arena, bh_buf_view(&text));
    tree->psl = psl;
    bh_buf_free(&text);
}

/* ---- rounds ---- */

static bool evaluate(void *ctx)
{
    struct bh_dmarc_check *check = ctx;

    if (check->is_malformed) {
        check->outcome = (struct bh_dmarc_outcome){
            .result = BH_DMARC_PERMERROR,
            .policy_tag = "",
            .reason = BH_STR("there is not exactly one author domain that is a domain name (RFC 9989 5.3.1)"),
        };
        return true;
    }
    if (!bh_dmarc_evaluate(&check->input, check->mode == BH_DMARC_PSL, &check->outcome))
        return false;
    if (check->mode != BH_DMARC_BOTH)
        return true;
    if (!bh_dmarc_evaluate(&check->input, true, &check->psl))
        return false;
    compare(check);
    return true;
}

static void destroy(struct bh_dmarc_check *check)
{
    bh_arena_free(check->facts.arena);
    free(check);
}

static void finish(void *ctx)
{
    struct bh_dmarc_check *check = ctx;

    check->outcome.queries = check->psl.queries = check->facts.queries;
    if (!check->trace)
        check->outcome.trace = check->psl.trace = (bh_str){NULL, 0};
    check->done(check->ctx, &check->outcome);
    destroy(check);
}

/* ---- start ---- */

static void add_identifier(struct bh_dmarc_check *check, bool is_dkim, bh_str domain)
{
    struct bh_dmarc_input *input = &check->input;
    bh_str name = bh_dmarc_name(check->facts.arena, domain);

    for (size_t i = 0; i < input->count; i++)
        if (input->identifiers[i].is_dkim == is_dkim && bh_str_eq(input->identifiers[i].domain, name))
            return;
    if (name.n && input->count < sizeof(input->identifiers) / sizeof(input->identifiers[0]))
        input->identifiers[input->count++] = (struct bh_dmarc_identifier){is_dkim, name};
}

static void take_request(struct bh_dmarc_check *check, const struct bh_dmarc_request *request)
{
    check->mode = request->mode;
    check->trace = request->trace;
    check->input.facts = &check->facts;
    check->input.suffixes = request->suffixes;
    check->input.sample = request->sample;
    check->input.assume_record = request->assume_record;
    check->input.from = bh_dmarc_name(check->facts.arena, request->header_from);
    check->is_malformed = !check->input.from.n;
    if (request->spf == BH_SPF_PASS)
        add_identifier(check, false, request->spf_domain);
    for (size_t i = 0; i < request->dkim_count; i++) /* one that is the author domain counts however late it comes */
        if (request->dkim[i].pass && bh_domain_eq(request->dkim[i].domain, request->header_from))
            add_identifier(check, true, request->dkim[i].domain);
    for (size_t i = 0; i < request->dkim_count; i++)
        if (request->dkim[i].pass)
            add_identifier(check, true, request->dkim[i].domain);
}

bh_err bh_dmarc_check(struct bh_resolver *resolver, const struct bh_dmarc_request *request, bh_dmarc_done *done,
                      void *ctx, struct bh_dmarc_check **ret_check)
{
    struct bh_dmarc_check *check;

    if (request->mode != BH_DMARC_TREE_WALK && !request->suffixes)
        return BH_E_INVALID;
    check = calloc(1, sizeof(*check));
    if (!check)
        return BH_E_NOMEM;
    check->facts = (struct bh_dmarc_facts){
        .arena = bh_arena_new(ARENA_MAX), .resolver = resolver, .evaluate = evaluate, .finish = finish, .ctx = check};
    if (!check->facts.arena) {
        free(check);
        return BH_E_NOMEM;
    }
    check->done = done;
    check->ctx = ctx;
    take_request(check, request);
    *ret_check = NULL;
    if (bh_dmarc_facts_run(&check->facts))
        *ret_check = check;
    return BH_OK;
}

void bh_dmarc_check_cancel(struct bh_dmarc_check *check)
{
    if (!check)
        return;
    bh_dmarc_facts_cancel(&check->facts);
    destroy(check);
}

void bh_dmarc_check_expire(struct bh_dmarc_check *check)
{
    bh_dmarc_facts_expire(&check->facts);
}
