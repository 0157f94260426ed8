/* key_proof.c: see key_proof.h. */
#include "key_proof.h"
#include "key.h"

static bh_str customer_name(struct bh_arena *arena, const struct bh_domain_view *view, const struct bh_key *key)
{
    return bh_arena_printf(arena, "%.*s._domainkey.%.*s", BH_FMT(key->selector), BH_FMT(view->domain.name));
}

bh_err bh_key_questions(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain_view *view,
                        const struct bh_key *key, struct bh_check_question ret_questions[BH_KEY_QUESTIONS_MAX],
                        size_t *ret_count)
{
    const struct bh_approach_ops *ops = bh_approach_ops(view->domain.approach);
    bh_str name = customer_name(arena, view, key);
    bh_str owner = ops && ops->key_owner ? ops->key_owner(arena, platform, &view->domain, key->selector) : name;

    if (!ops || !name.p || !owner.p)
        return ops ? BH_E_NOMEM : BH_E_INVALID;
    ret_questions[0] = (struct bh_check_question){owner, BH_DNS_TXT, true};
    ret_questions[1] = (struct bh_check_question){name, BH_DNS_CNAME, true};
    *ret_count = bh_str_eq(owner, name) ? 1 : 2;
    return BH_OK;
}

/* One record, with our public half in it. */
static bool is_our_record(struct bh_arena *arena, const struct bh_key *key, const struct bh_seen *seen)
{
    bh_str text = seen->count == 1 ? bh_txt_joined(arena, seen->rdatas[0]) : (bh_str){NULL, 0};
    bh_str public_b64;
    bool damaged;

    return text.p && !bh_key_record_public(arena, text, &public_b64, &damaged) && !damaged &&
           bh_str_eq(public_b64, key->public_b64);
}

static bool points_at(struct bh_arena *arena, const struct bh_seen *seen, bh_str owner)
{
    struct bh_buf text = bh_buf_make(1100);
    bool same = false;

    (void)arena;
    if (seen->count == 1 && bh_dns_name_valid(seen->rdatas[0])) {
        bh_dns_name_print_relative(&text, seen->rdatas[0]);
        same = bh_str_eq_ci(bh_buf_view(&text), owner);
    }
    bh_buf_free(&text);
    return same;
}

static int judge(struct bh_arena *arena, const struct bh_seen *seen, bool right, bh_str *why)
{
    if (seen->status == BH_DNS_FOUND && right && seen->agreeing == seen->servers)
        return 1;
    *why = bh_arena_printf(arena, "%.*s: %u of %u name servers answer what they should", BH_FMT(seen->name),
                           right && seen->status == BH_DNS_FOUND ? seen->agreeing : 0, seen->servers);
    if (seen->status == BH_DNS_TEMPFAIL || (seen->status == BH_DNS_FOUND && right))
        return 0; /* one that does not answer may hold the old record, or be down: nothing is lost, nothing proven */
    return -1;
}

int bh_key_proof(struct bh_arena *arena, const struct bh_platform *platform, const struct bh_domain_view *view,
                 const struct bh_key *key, const struct bh_seen *seen, size_t count, bh_str *ret_why)
{
    struct bh_check_question questions[BH_KEY_QUESTIONS_MAX];
    size_t wanted = 0;
    bh_str why = BH_STR("");
    int proof = 1;

    if (bh_key_questions(arena, platform, view, key, questions, &wanted) || count < wanted)
        return 0;
    for (size_t i = 0; i < wanted; i++) {
        bool right = i == 0 ? is_our_record(arena, key, &seen[i]) : points_at(arena, &seen[i], questions[0].name);
        int one = judge(arena, &seen[i], right, &why);

        proof = one < proof ? one : proof;
    }
    if (ret_why)
        *ret_why = why;
    return proof;
}
