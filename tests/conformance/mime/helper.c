/* helper.c: the parsers of proto/mime for a test driver. `helper MODE` reads lines of hexadecimal bytes, parses each
 * and writes one line of JSON. Strings go out byte by byte as Latin-1 code points, so nothing is lost. */
#include "base/text.h"
#include "proto/mime/address.h"
#include "proto/mime/date.h"
#include "proto/mime/encoded_word.h"
#include "proto/mime/msgid.h"
#include "proto/mime/param.h"
#include "proto/mime/part.h"
#include "proto/mime/received.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { max_line = 4 << 20 };

static json_t *text(bh_str s)
{
    struct bh_buf utf8 = bh_buf_make(s.n * 2 + 1);
    json_t *value;

    if (!s.p && s.n == 0)
        return json_null();
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 128)
            bh_buf_char(&utf8, (char)(0xc0 | c >> 6));
        bh_buf_char(&utf8, (char)(c < 128 ? c : 0x80 | (c & 0x3f)));
    }
    value = json_stringn(utf8.p ? utf8.p : "", utf8.n);
    bh_buf_free(&utf8);
    return value;
}

static json_t *isemail(struct bh_arena *arena, bh_str input)
{
    struct bh_addr_spec spec;

    return json_boolean(bh_addr_spec_parse(arena, input, 0, &spec) == BH_OK);
}

static json_t *address(struct bh_arena *arena, bh_str input)
{
    struct bh_address_list list;
    json_t *items = json_array(), *groups = json_array();

    if (bh_address_list_parse(arena, input, 1000, &list))
        return json_null();
    for (size_t i = 0; i < list.count; i++) {
        const struct bh_address *a = &list.items[i];
        json_array_append_new(items, json_pack("{s:o, s:o, s:o, s:i}", "name", text(a->name), "comment",
                                               text(a->comment), "address", text(a->text), "group",
                                               a->group == BH_NO_GROUP ? -1 : (int)a->group));
    }
    for (size_t i = 0; i < list.group_count; i++) {
        const struct bh_address_group *g = &list.groups[i];
        json_array_append_new(groups, json_pack("{s:o, s:o, s:i}", "name", text(g->name), "comment", text(g->comment),
                                                "before", (int)g->before));
    }
    return json_pack("{s:o, s:o}", "items", items, "groups", groups);
}

static json_t *decoded(bh_str s)
{
    struct bh_buf out = bh_buf_make(s.n * 3 + 16);
    json_t *value;

    bh_text_decode(&out, s);
    value = text(bh_buf_view(&out));
    bh_buf_free(&out);
    return value;
}

static json_t *unstructured(struct bh_arena *arena, bh_str input)
{
    return decoded(input);
}

static json_t *keywords(struct bh_arena *arena, bh_str input)
{
    json_t *items = json_array();
    bh_str item;

    while (bh_keyword_next(&input, &item) == BH_MORE)
        json_array_append_new(items, decoded(item));
    return items;
}

static json_t *date(struct bh_arena *arena, bh_str input)
{
    struct bh_date d;

    if (bh_date_parse(input, &d))
        return json_null();
    return json_pack("[iiiiiii]", d.year, d.month, d.day, d.hour, d.minute, d.second, d.zone_minutes);
}

static json_t *msgids(struct bh_arena *arena, bh_str input)
{
    json_t *ids = json_array();
    bh_str id;

    while (bh_msgid_next(&input, &id) == BH_MORE)
        json_array_append_new(ids, text(id));
    return ids;
}

static json_t *content_type(struct bh_arena *arena, bh_str input)
{
    struct bh_content_type type;
    json_t *params = json_array();

    if (bh_content_type_parse(arena, input, &type)) {
        json_decref(params);
        return json_null();
    }
    for (size_t i = 0; i < type.param_count; i++)
        json_array_append_new(params, json_pack("[ooo]", text(type.params[i].name), text(type.params[i].value),
                                                text(type.params[i].language)));
    return json_pack("[ooo]", text(type.type), text(type.subtype), params);
}

static json_t *received(struct bh_arena *arena, bh_str input)
{
    struct bh_received r;
    json_t *value;

    bh_received_parse(input, &r);
    value = json_pack("{so so so so so so so so so so so so so}", "from", text(r.from), "from_ip", text(r.from_address),
                      "from_iprev", text(r.from_name), "helo", text(r.helo), "helo_cmd", text(r.helo_command), "ident",
                      text(r.ident), "by", text(r.by), "via", text(r.via), "with", text(r.with), "id", text(r.id),
                      "for_", text(r.recipient), "tls_version", text(r.tls_version), "tls_cipher", text(r.tls_cipher));
    if (r.has_date)
        json_object_set_new(value, "date",
                            json_pack("[iiiiiii]", r.date.year, r.date.month, r.date.day, r.date.hour, r.date.minute,
                                      r.date.second, r.date.zone_minutes));
    return value;
}

/* Per part: depth, where header and body start, where the body ends, and what is behind its encoding. */
static json_t *tree(struct bh_arena *arena, bh_str input)
{
    struct bh_part_list list;
    json_t *parts = json_array();

    if (bh_part_walk(arena, input, NULL, &list))
        return json_null();
    for (size_t i = 0; i < list.count; i++) {
        const struct bh_part *part = &list.parts[i];
        struct bh_transfer_decoder decoder = bh_transfer_decoder_make(part->transfer);
        struct bh_buf out = bh_buf_make(part->body.n + 16);
        bh_transfer_decode(&decoder, part->body, &out);
        bh_transfer_decode_end(&decoder, &out);
        json_array_append_new(parts,
                              json_pack("[iiiiooo]", (int)part->depth, (int)(part->header.p - input.p),
                                        (int)(part->body.p - input.p), (int)(part->body.p + part->body.n - input.p),
                                        text(part->type.type), text(part->type.subtype), text(bh_buf_view(&out))));
        bh_buf_free(&out);
    }
    return parts;
}

static const struct {
    const char *name;
    json_t *(*parse)(struct bh_arena *arena, bh_str input);
} modes[] = {
    {"isemail", isemail}, {"address", address}, {"unstructured", unstructured}, {"list", keywords},
    {"date", date},       {"id", msgids},       {"content_type", content_type}, {"received", received},
    {"tree", tree},
};

static void answer(size_t mode, struct bh_arena *arena, bh_str line)
{
    struct bh_buf input = bh_buf_make(max_line);
    json_t *value;

    if (bh_hex_decode(&input, line))
        exit(1);
    value = modes[mode].parse(arena, bh_buf_view(&input));
    json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(value);
    bh_buf_free(&input);
    bh_arena_reset(arena);
}

int main(int argc, char **argv)
{
    struct bh_arena *arena = bh_arena_new(64 << 20);
    char *line = NULL;
    size_t cap = 0, mode = 0;
    ssize_t n;

    while (argc == 2 && mode < sizeof modes / sizeof *modes && strcmp(modes[mode].name, argv[1]) != 0)
        mode++;
    if (argc != 2 || mode == sizeof modes / sizeof *modes)
        return 2;
    while ((n = getline(&line, &cap, stdin)) > 0)
        answer(mode, arena, bh_str_trim(bh_str_of(line, (size_t)n)));
    free(line);
    bh_arena_free(arena);
    return 0;
}
