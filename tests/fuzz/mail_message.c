/* A whole message through check and prepare: whatever is accepted leaves with exactly one From, its author unchanged,
 * no Bcc, a Date and a Message-ID, and every kept field byte by byte. */
#include "mail/check.h"
#include "mail/prepare.h"
#include "proto/mime/header.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

struct counts {
    size_t from, date, message_id, hidden;
};

static struct counts count_fields(bh_str header)
{
    struct bh_header_iter it = bh_header_iter_make(header, SIZE_MAX, SIZE_MAX);
    struct bh_header_field field;
    struct counts n = {0};

    while (bh_header_next(&it, &field) == BH_MORE) {
        must(field.name.n > 0);
        n.from += bh_str_eq_ci(field.name, BH_STR("From"));
        n.date += bh_str_eq_ci(field.name, BH_STR("Date"));
        n.message_id += bh_str_eq_ci(field.name, BH_STR("Message-ID"));
        n.hidden += bh_str_eq_ci(field.name, BH_STR("Bcc")) || bh_str_eq_ci(field.name, BH_STR("Return-Path"));
    }
    return n;
}

static void depart(struct bh_arena *arena, bh_str message, const struct bh_check_facts *facts)
{
    struct bh_prepare prepare = {.header = facts->header,
                                 .accepted_at = 1795312162000,
                                 .received = {.helo = bh_str_sub(facts->body, 0, 40),
                                              .client_address = bh_str_sub(facts->body, 40, 20),
                                              .recipient = bh_str_sub(facts->body, 60, 40),
                                              .by = BH_STR("mx.example")},
                                 .message_id_left = BH_STR("u1"),
                                 .message_id_domain = facts->author.domain,
                                 .authserv_id = BH_STR("mx.example"),
                                 .own = {{BH_STR("c.example"), BH_STR("bh1")}},
                                 .own_count = 1};
    struct bh_prepared prepared;
    struct bh_check_facts again;
    struct bh_check_verdict verdict;
    bh_err err = bh_prepare_header(arena, &prepare, &prepared);

    must(err == BH_OK);
    struct counts n = count_fields(prepared.header);
    must(n.from == 1 && n.date >= 1 && n.message_id >= 1 && n.hidden == 0);
    bh_check_header(arena, NULL, prepared.header, &again, &verdict);
    must(verdict.rule == BH_CHECK_OK || verdict.rule == BH_CHECK_HOPS || verdict.rule == BH_CHECK_HEADER_SIZE ||
         verdict.rule == BH_CHECK_HEADER_FIELDS);
    must(verdict.rule != BH_CHECK_OK || bh_str_eq(again.author.address, facts->author.address));
    if (prepared.removed == 0)
        must(bh_str_eq(bh_str_skip(prepared.header, prepared.added_bytes), facts->header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str message = {(const char *)data, size};
    struct bh_arena *arena = bh_arena_new(64 << 20);
    struct bh_check_facts facts;
    struct bh_check_verdict verdict;

    bh_check_message(arena, NULL, message, &facts, &verdict);
    must((verdict.rule == BH_CHECK_OK) == (verdict.code == 0));
    if (verdict.rule == BH_CHECK_OK) {
        must(facts.header.n + facts.body.n <= size && bh_mail_domain_ok(facts.author.domain));
        depart(arena, message, &facts);
    }
    bh_arena_free(arena);
    return 0;
}
