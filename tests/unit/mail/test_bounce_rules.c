/* The rules that are shipped: each rule applies to each of its examples, and decides as it says. Files of rules: order,
 * conditions, and what is wrong with them. */
#include "mail/bounce/classify.h"
#include "unit.h"

struct world {
    struct bh_bounce_rules *rules;
    struct bh_arena *arena;
    struct bh_classifier *classifier;
};

static void open_rules(struct world *world, const char *text)
{
    struct bh_rules_source sources[2] = {{BH_STR("test"), bh_str_c(text)}, bh_bounce_rules_builtin()};
    struct bh_rules_fault fault;
    bh_err err = text ? bh_bounce_rules_new(sources, 2, &world->rules, &fault)
                      : bh_bounce_rules_new(&sources[1], 1, &world->rules, &fault);

    if (err)
        fail_msg("%.*s line %zu: %s", BH_FMT(fault.name), fault.line, fault.what);
    world->arena = bh_arena_new(16 << 20);
    world->classifier = bh_classifier_new(world->arena, world->rules);
    assert_non_null(world->classifier);
}

static void close_rules(struct world *world)
{
    bh_arena_free(world->arena);
    bh_bounce_rules_free(world->rules);
}

/* "like: @host text" */
static struct bh_refusal refusal_of(bh_str example)
{
    bh_str text = bh_str_trim(bh_str_skip(example, 5)), host = {NULL, 0}, reply;
    struct bh_refusal refusal;

    if (text.n && text.p[0] == '@')
        host = bh_str_skip(bh_str_cut(text, ' ', &text), 1);
    bh_refusal_parse(text, &refusal, &reply);
    refusal.host = host;
    return refusal;
}

static void check_refusal(struct world *world, size_t i, const struct bh_rule_view *view, bh_str example)
{
    struct bh_refusal refusal = refusal_of(example);
    struct bh_verdict verdict;

    bh_refusal_classify(world->classifier, &refusal, &verdict);
    if (!bh_refusal_rule_applies(world->classifier, &refusal, i))
        fail_msg("line %zu does not apply to its example: %.*s", view->line, BH_FMT(example));
    if (!bh_str_eq(verdict.reason, view->reason))
        fail_msg("line %zu: \"%.*s\" is read as %.*s", view->line, BH_FMT(example), BH_FMT(verdict.reason));
    /* a temporary reply is never hard */
    if (!bh_str_eq(view->class, bh_str_c(bh_refusal_class_text(verdict.class))))
        assert_true(refusal.code / 100 == 4 || refusal.status.class == 4);
}

static void check_kind(struct world *world, const struct bh_rule_view *view, bh_str example)
{
    static const char *const names[] = {"none", "bounce", "delay", "auto-reply", "complaint", "challenge"};
    bh_str text = bh_str_skip(example, 5);
    unsigned kinds =
        view->section[0] == 's' ? bh_subject_kinds(world->classifier, text) : bh_body_kinds(world->classifier, text);

    for (unsigned k = 0; k < sizeof(names) / sizeof(*names); k++)
        if (bh_str_eq(view->class, bh_str_c(names[k])) && !(kinds & 1u << k))
            fail_msg("line %zu does not apply to its example: %.*s", view->line, BH_FMT(example));
}

static void every_rule_matches_its_example(void **state)
{
    struct world world;

    open_rules(&world, NULL);
    assert_true(bh_bounce_rules_count(world.rules) > 200);
    for (size_t i = 0; i < bh_bounce_rules_count(world.rules); i++) {
        struct bh_rule_view view;
        bh_str rest, line;

        bh_bounce_rule_view(world.rules, i, &view);
        for (rest = view.examples; rest.p;) {
            line = bh_str_trim(bh_str_cut(rest, '\n', &rest));
            if (view.section[0] == 'r')
                check_refusal(&world, i, &view, line);
            else
                check_kind(&world, &view, line);
        }
    }
    close_rules(&world);
}

static void operators_rules_come_first(void **state)
{
    static const char text[] = "provider ours .mx.example\n"
                               "[refusal policy our-own]\n"
                               "rule provider=ours code=55x: user unknown\n"
                               "like: @a.mx.example 550 user unknown\n";
    struct bh_refusal refusal = {.code = 550, .text = BH_STR("550 User unknown")};
    struct bh_verdict verdict;
    struct world world;

    open_rules(&world, text);
    bh_refusal_classify(world.classifier, &refusal, &verdict);
    assert_str(verdict.reason, "no-such-user");
    refusal.host = BH_STR("A.mx.example");
    bh_refusal_classify(world.classifier, &refusal, &verdict);
    assert_str(verdict.reason, "our-own");
    refusal.code = 450;
    bh_refusal_classify(world.classifier, &refusal, &verdict);
    assert_str(verdict.reason, "no-such-user");
    assert_int_equal(verdict.class, BH_REFUSAL_SOFT);
    close_rules(&world);
}

static void addresses_say_nothing(void **state)
{
    struct bh_refusal refusal = {.code = 550, .text = BH_STR("550 <user-unknown@spam.example>: no")};
    struct bh_verdict verdict;
    struct world world;

    open_rules(&world, NULL);
    bh_refusal_classify(world.classifier, &refusal, &verdict);
    assert_int_equal(verdict.class, BH_REFUSAL_UNKNOWN);
    assert_str(verdict.reason, "unknown");
    close_rules(&world);
}

static void replies_in_text(void **state)
{
    static const struct {
        const char *text;
        unsigned code;
        unsigned status[3];
        const char *reply;
    } cases[] = {
        {"550 5.1.1 no", 550, {5, 1, 1}, "550 5.1.1 no"},
        {"550-5.1.1 no\n550 5.1.1 such user", 550, {5, 1, 1}, "550-5.1.1 no\n550 5.1.1 such user"},
        {"host a.example[192.0.2.1] said: 452 4.2.2 full", 452, {4, 2, 2}, "452 4.2.2 full"},
        {"Sorry, no mailbox here by that name. (#5.1.1)", 0, {5, 1, 1}, ""},
        {"550 #5.1.0 Address rejected.", 550, {5, 1, 0}, "550 #5.1.0 Address rejected."},
        {"5.1.0 - Unknown address error 550-'5.7.1 denied'", 550, {5, 7, 1}, "550-'5.7.1 denied'"},
        {"connect to 192.0.2.45: 5.4.4.4 took 500 seconds", 0, {0, 0, 0}, ""},
        {"Could not deliver for the last 432000 seconds", 0, {0, 0, 0}, ""},
        {"", 0, {0, 0, 0}, ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bh_refusal refusal;
        bh_str reply;

        bh_refusal_parse(bh_str_c(cases[i].text), &refusal, &reply);
        assert_int_equal(refusal.code, cases[i].code);
        assert_int_equal(refusal.status.class, cases[i].status[0]);
        assert_int_equal(refusal.status.subject, cases[i].status[1]);
        assert_int_equal(refusal.status.detail, cases[i].status[2]);
        assert_str(reply, cases[i].reply);
    }
}

static void wrong_files(void **state)
{
    static const struct {
        const char *text;
        size_t line;
    } cases[] = {
        {"rule: a\nlike: a\n", 1},
        {"[refusal hard]\n", 1},
        {"[refusal harsh x]\n", 1},
        {"[weather hard x]\n", 1},
        {"[refusal hard x\n", 1},
        {"[refusal hard x]\nrule: a\nrule: b\nlike: b\n", 3},
        {"[refusal hard x]\nrule: (a\nlike: a\n", 2},
        {"[refusal hard x]\nrule code=5555: a\nlike: a\n", 2},
        {"[refusal hard x]\nrule status=5.1: a\nlike: a\n", 2},
        {"[refusal hard x]\nrule provider=none: a\nlike: a\n", 2},
        {"[refusal hard x]\nrule colour=red: a\nlike: a\n", 2},
        {"[subject bounce]\nrule:\nlike: a\n", 2},
        {"like: a\n", 1},
        {"provider a\n", 1},
        {"hello\n", 1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bh_rules_source source = {BH_STR("x"), bh_str_c(cases[i].text)};
        struct bh_bounce_rules *rules = NULL;
        struct bh_rules_fault fault;

        if (bh_bounce_rules_new(&source, 1, &rules, &fault) != BH_E_SYNTAX || fault.line != cases[i].line)
            fail_msg("%s: line %zu, %s", cases[i].text, fault.line, fault.what);
        assert_str(fault.name, "x");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_matches_its_example),
        cmocka_unit_test(operators_rules_come_first),
        cmocka_unit_test(addresses_say_nothing),
        cmocka_unit_test(replies_in_text),
        cmocka_unit_test(wrong_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
