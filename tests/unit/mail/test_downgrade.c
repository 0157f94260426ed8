/* 8-bit messages made into 7 bits: what a reader decodes is what was there. */
#include "mail/downgrade.h"
#include "proto/mime/part.h"
#include "unit.h"

struct made {
    struct bh_arena *arena;
    struct bh_buf out;
    const char *why;
};

static bh_err make(struct made *made, const char *message)
{
    made->arena = bh_arena_new(1 << 20);
    made->out = bh_buf_make(1 << 20);
    made->why = NULL;
    return bh_downgrade(made->arena, bh_str_c(message), &made->out, &made->why);
}

static void end(struct made *made)
{
    bh_arena_free(made->arena);
    bh_buf_free(&made->out);
}

static void is_seven_bit(const struct made *made)
{
    size_t column = 0;

    for (size_t i = 0; i < made->out.n; i++) {
        assert_true((unsigned char)made->out.p[i] < 0x80);
        column = made->out.p[i] == '\n' ? 0 : column + 1;
        assert_true(column <= 200);
    }
}

/* The decoded body of a leaf. */
static void decodes_to(const struct made *made, size_t part, const char *text)
{
    struct bh_arena *arena = bh_arena_new(1 << 20);
    struct bh_part_list list;
    struct bh_buf body = bh_buf_make(1 << 20);
    struct bh_transfer_decoder decoder;

    assert_ok(bh_part_walk(arena, bh_buf_view(&made->out), NULL, &list));
    assert_true(part < list.count);
    decoder = bh_transfer_decoder_make(list.parts[part].transfer);
    bh_transfer_decode(&decoder, list.parts[part].body, &body);
    bh_transfer_decode_end(&decoder, &body);
    assert_str(bh_buf_view(&body), text);
    bh_buf_free(&body);
    bh_arena_free(arena);
}

static void plain_text(void **state)
{
    struct made made;

    assert_ok(make(&made, "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                          "Content-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9f"
                          "e = \r\n.\r\nend\r\n"));
    is_seven_bit(&made);
    assert_true(bh_str_search(bh_buf_view(&made.out), BH_STR("8bit")) == made.out.n);
    decodes_to(&made, 0,
               "Gr\xc3\xbc\xc3\x9f"
               "e = \r\n.\r\nend\r\n");
    end(&made);
}

static void no_mime(void **state)
{
    struct made made;

    assert_ok(make(&made, "From: a@b.example\r\n\r\n\xe4\r\n"));
    is_seven_bit(&made);
    assert_true(bh_str_search(bh_buf_view(&made.out), BH_STR("unknown-8bit")) < made.out.n);
    decodes_to(&made, 0, "\xe4\r\n");
    end(&made);
}

static void a_tree(void **state)
{
    struct made made;

    assert_ok(make(
        &made, "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n"
               "Content-Transfer-Encoding: 8bit\r\n\r\npre\xc3\xa4mble\r\n--x\r\n\r\nascii stays = \r\n--x\r\n"
               "Content-Type: image/x; name=a\r\nContent-Transfer-Encoding: binary\r\n\r\n\x80\x81\r\n\xff\r\n--x\r\n"
               "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
               "Subject: inner\r\nContent-Type: text/plain; charset=latin1\r\n\r\n\xfc\r\n--x--\r\nepilogue\r\n"));
    is_seven_bit(&made);
    assert_true(bh_str_search(bh_buf_view(&made.out), BH_STR("ascii stays = \r\n")) < made.out.n);
    decodes_to(&made, 1, "ascii stays = ");
    decodes_to(&made, 2, "\x80\x81\r\n\xff");
    decodes_to(&made, 4, "\xfc");
    assert_true(bh_str_search(bh_buf_view(&made.out), BH_STR("8bit")) == made.out.n);
    assert_true(bh_str_search(bh_buf_view(&made.out), BH_STR("binary")) == made.out.n);
    end(&made);
}

static void cannot_be(void **state)
{
    static const char *const messages[] = {
        "Subject: \xfc\r\n\r\nx\r\n",
        "Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\n\xfc\r\n--x--\r\n",
        "Content-Type: message/partial\r\n\r\n\xfc\r\n",
        "Content-Type: multipart/mixed\r\n\r\n\xfc\r\n",
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n\xfc\r\n",
        "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n\xfc\r\n",
    };

    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        struct made made;

        assert_int_equal(make(&made, messages[i]), BH_E_INVALID);
        assert_non_null(made.why);
        end(&made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text),
        cmocka_unit_test(no_mime),
        cmocka_unit_test(a_tree),
        cmocka_unit_test(cannot_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
