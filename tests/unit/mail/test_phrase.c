/* Phrases: words, choices, gaps, edges, case, and that time does not grow with hostile text. */
#include "mail/bounce/phrase.h"
#include "unit.h"
#include <stdlib.h>

/* 1 where the only phrase is found in the text. */
static int found(const char *phrase, const char *text)
{
    struct bh_phrases *phrases = bh_phrases_new();
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_phrase_search *search;
    size_t count;

    assert_non_null(phrases);
    assert_ok(bh_phrases_add(phrases, bh_str_c(phrase), 3));
    assert_ok(bh_phrases_build(phrases));
    search = bh_phrase_search_new(arena, phrases);
    assert_non_null(search);
    (void)bh_phrase_search_run(search, bh_str_c("something else"), &count);
    assert_int_equal(count, 0);
    if (bh_phrase_search_run(search, bh_str_c(text), &count) && count)
        assert_int_equal(bh_phrase_search_run(search, bh_str_c(text), &count)[0], 3);
    bh_arena_free(arena);
    bh_phrases_free(phrases);
    return (int)count;
}

static void words_are_words(void **state)
{
    assert_int_equal(found("user unknown", "550 User  UNKNOWN."), 1);
    assert_int_equal(found("user unknown", "user\n  unknown"), 1);
    assert_int_equal(found("user unknown", "superuser unknown"), 0);
    assert_int_equal(found("user unknown", "user unknowns"), 0);
    assert_int_equal(found("isn't valid", "isn\xe2\x80\x99t valid"), 1);
    assert_int_equal(found("black~", "you are blacklisted"), 1);
    assert_int_equal(found("~reject", "DmarcReject"), 1);
    assert_int_equal(found("~reject", "rejected"), 0);
}

static void letters_of_other_scripts(void **state)
{
    assert_int_equal(found("ящик переполнен", "ЯЩИК Переполнен"), 1);
    assert_int_equal(found("empfänger unbekannt", "EMPFÄNGER UNBEKANNT"), 1);
    assert_int_equal(found("χρήστης", "Χρήστης"), 1);
    assert_int_equal(found("存在しません", "宛先が存在しません。"), 1);
    assert_int_equal(found("(宛先|ユーザ) * (不明|存在しません)", "宛先のアドレスは存在しません"), 1);
}

static void choices_and_gaps(void **state)
{
    const char *phrase = "(user|recipient address|mailbox) (is |was |)(unknown|not found)";

    assert_int_equal(found(phrase, "user unknown"), 1);
    assert_int_equal(found(phrase, "recipient address was not found"), 1);
    assert_int_equal(found(phrase, "mailbox is really unknown"), 0);
    assert_int_equal(found(phrase, "recipient unknown"), 0);
    assert_int_equal(found("mailbox * full", "mailbox of this user is full"), 1);
    assert_int_equal(found("mailbox * full", "mailbox full"), 1);
    assert_int_equal(found("mailbox * full", "full mailbox"), 0);
    assert_int_equal(found("(a * b|c (d|e)) f", "a x b f"), 1);
    assert_int_equal(found("(a * b|c (d|e)) f", "c e f"), 1);
    assert_int_equal(found("(a * b|c (d|e)) f", "c f"), 0);
    assert_int_equal(found("mail(box|) full", "mail full"), 1);
    assert_int_equal(found("mail(box|) full", "mailbox full"), 1);
    assert_int_equal(found("exceed~ (the |)quota", "exceeded the quota"), 1);
    assert_int_equal(found("exceed~ (the |)quota", "exceeds quota"), 1);
}

static void gap_has_an_end(void **state)
{
    char text[400] = "mailbox ";

    memset(text + 8, 'x', 80);
    memcpy(text + 88, " full", 6);
    assert_int_equal(found("mailbox * full", text), 1);
    memset(text + 8, 'x', 200);
    memcpy(text + 208, " full", 6);
    assert_int_equal(found("mailbox * full", text), 0);
    memcpy(text + 190, " mailbox ", 9); /* the latest one counts */
    assert_int_equal(found("mailbox * full", text), 1);
}

static void bad_phrases(void **state)
{
    static const char *const bad[] = {"", "(", ")", "a)(b", "(a|b", "()", "*", "...", "(|)"};
    struct bh_phrases *phrases = bh_phrases_new();

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (bh_phrases_add(phrases, bh_str_c(bad[i]), 0) != BH_E_SYNTAX)
            fail_msg("%s was taken", bad[i]);
    assert_int_equal(bh_phrases_add(phrases, BH_STR("((a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)x)"), 0),
                     BH_E_LIMIT);
    bh_phrases_free(phrases);
}

/* Nothing but repeated beginnings of phrases: each byte is read once all the same. */
static void hostile_text(void **state)
{
    struct bh_phrases *phrases = bh_phrases_new();
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_phrase_search *search;
    char *text = malloc(4 << 20);
    size_t count;

    for (size_t i = 0; i < 4 << 20; i++)
        text[i] = "a b "[i % 4];
    assert_ok(bh_phrases_add(phrases, BH_STR("a b a b a b a b * a b a b * a b a b c"), 0));
    assert_ok(bh_phrases_add(phrases, BH_STR("(a|b) (a|b|) (a|b|) (a|b|) (a|b|) (a|b|) d"), 1));
    assert_ok(bh_phrases_build(phrases));
    search = bh_phrase_search_new(arena, phrases);
    (void)bh_phrase_search_run(search, bh_str_of(text, 4 << 20), &count);
    assert_int_equal(count, 0);
    free(text);
    bh_arena_free(arena);
    bh_phrases_free(phrases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_words),  cmocka_unit_test(letters_of_other_scripts),
        cmocka_unit_test(choices_and_gaps), cmocka_unit_test(gap_has_an_end),
        cmocka_unit_test(bad_phrases),      cmocka_unit_test(hostile_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
