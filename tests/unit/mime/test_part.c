/* The MIME tree, transfer encodings, parameters and dates. */
#include "proto/mime/date.h"
#include "proto/mime/msgid.h"
#include "proto/mime/part.h"
#include "unit.h"

static struct bh_arena *arena;

static int setup(void **state)
{
    arena = bh_arena_new(16 << 20);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    bh_arena_free(arena);
    return 0;
}

static void walks_a_tree(void **state)
{
    bh_str message = BH_STR("Content-Type: multipart/mixed; boundary=\"a b\"\r\n\r\npreamble\r\n--a b\r\n\r\none\r\n"
                            "--a b \r\nContent-Type: multipart/digest; boundary=c\r\n\r\n--c\r\n\r\nSubject: in\r\n\r\n"
                            "body\r\n--a b--\r\nepilogue\r\n--a b\r\n\r\nno\r\n");
    struct bh_part_list list;

    assert_ok(bh_part_walk(arena, message, NULL, &list));
    assert_int_equal(list.count, 5);
    assert_str(list.parts[1].body, "one");
    assert_int_equal(list.parts[1].parent, 0);
    assert_true(list.parts[2].is_multipart);
    assert_true(list.parts[3].is_message);
    assert_str(list.parts[4].header, "Subject: in\r\n");
    assert_str(list.parts[4].body, "body");
    assert_int_equal(list.parts[4].depth, 3);
    assert_false(list.cut);
}

static void bounds_the_walk(void **state)
{
    static char deep[400000];
    struct bh_part_limits limits = {.max_parts = 20, .max_depth = 5};
    struct bh_part_list list;
    size_t n = 0;

    while (n + 60 < sizeof deep) {
        memcpy(deep + n, "Content-Type: message/rfc822\n\n", 30);
        n += 30;
    }
    assert_ok(bh_part_walk(arena, bh_str_of(deep, n), &limits, &list));
    assert_true(list.cut);
    assert_int_equal(list.count, 6);
    memcpy(deep, "Content-Type: multipart/mixed; boundary=x\n\n", 43);
    for (n = 43; n + 5 < sizeof deep; n += 5)
        memcpy(deep + n, "--x\n\n", 5);
    assert_ok(bh_part_walk(arena, bh_str_of(deep, n), &limits, &list));
    assert_true(list.cut);
    assert_int_equal(list.count, 20);
}

static void decodes_in_pieces_of_any_size(void **state)
{
    static const struct {
        enum bh_transfer transfer;
        const char *in;
        const char *out;
    } cases[] = {
        {BH_TRANSFER_QP, "a=3Db \t\r\nc=\r\nd=  \r\ne=3=zz", "a=b\r\ncde=3=zz"},
        {BH_TRANSFER_QP, "=E2=82=ac=", "\xe2\x82\xac"},
        {BH_TRANSFER_BASE64, "aGVs\r\nbG8=\r\naGk=", "hellohi"},
        {BH_TRANSFER_BASE64, "aG!Vsb-G8", "hello"},
        {BH_TRANSFER_IDENTITY, "a=3D", "a=3D"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t size = 1; size < 9; size++) {
            struct bh_transfer_decoder decoder = bh_transfer_decoder_make(cases[i].transfer);
            struct bh_buf out = bh_buf_make(1000);
            for (bh_str rest = bh_str_c(cases[i].in); rest.n; rest = bh_str_skip(rest, size))
                bh_transfer_decode(&decoder, bh_str_sub(rest, 0, size), &out);
            bh_transfer_decode_end(&decoder, &out);
            assert_str(bh_buf_view(&out), cases[i].out);
            bh_buf_free(&out);
        }
    }
    assert_int_equal(bh_transfer_of(BH_STR(" Quoted-Printable (x)")), BH_TRANSFER_QP);
    assert_int_equal(bh_transfer_of(BH_STR("x-other")), BH_TRANSFER_UNKNOWN);
}

static void reads_parameters(void **state)
{
    struct bh_content_type type;

    assert_ok(
        bh_content_type_parse(arena, BH_STR(" Attachment; filename*1*=%C3%A9.txt; filename*0*=utf-8'fr'caf"), &type));
    assert_str(type.type, "attachment");
    assert_str(bh_content_type_param(&type, "filename"), "caf\xc3\xa9.txt");
    assert_str(type.params[0].language, "fr");
    assert_null(bh_content_type_param(&type, "name").p);
    assert_int_equal(bh_content_type_parse(arena, BH_STR(" ; a=b"), &type), BH_E_SYNTAX);
}

static void reads_dates(void **state)
{
    struct bh_date date;

    assert_ok(bh_date_parse(BH_STR(" Sun, 22 Nov 2026 03:49:22 +0200 (EET)\r\n"), &date));
    assert_true(date.at == 1795312162000);
    assert_true(date.zone_known);
    assert_ok(bh_date_parse(BH_STR("Sun Nov 22 01:49:22 2026"), &date));
    assert_true(date.at == 1795312162000);
    assert_ok(bh_date_parse(BH_STR("Sun Nov 21 20:49:22 EST 2026"), &date));
    assert_true(date.at == 1795312162000);
    assert_ok(bh_date_parse(BH_STR("22 Nov 26 01:49:22 -0000"), &date));
    assert_false(date.zone_known);
    assert_int_equal(bh_date_parse(BH_STR("32 Nov 2026 01:49:22 +0000"), &date), BH_E_RANGE);
    assert_int_equal(bh_date_parse(BH_STR("22 Nov 2026 24:49:22 +0000"), &date), BH_E_RANGE);
    assert_int_equal(bh_date_parse(BH_STR("22 Nov 999999999999 01:49 +0000"), &date), BH_E_RANGE);
    assert_int_equal(bh_date_parse(BH_STR("(22 Nov 2026 01:49:22"), &date), BH_E_SYNTAX);
    assert_int_equal(bh_date_parse((bh_str){NULL, 0}, &date), BH_E_SYNTAX);
}

static void reads_message_ids(void **state)
{
    bh_str rest = BH_STR(" <a@b> (c) <d@e>\r\n text"), id;

    assert_int_equal(bh_msgid_next(&rest, &id), BH_MORE);
    assert_str(id, "a@b");
    assert_int_equal(bh_msgid_next(&rest, &id), BH_MORE);
    assert_str(id, "d@e");
    assert_int_equal(bh_msgid_next(&rest, &id), BH_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_a_tree),     cmocka_unit_test(bounds_the_walk),
        cmocka_unit_test(reads_parameters), cmocka_unit_test(decodes_in_pieces_of_any_size),
        cmocka_unit_test(reads_dates),      cmocka_unit_test(reads_message_ids),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
