/* part.c: the walk of part.h. A stack of open containers, one frame per level; each frame looks for its own boundary
 * in its own body once, so the whole costs at most depth times the message. */
#include "part.h"
#include "header.h"

enum { depth_limit = 100, max_fields = 1000, max_header_bytes = 256 * 1024, max_boundary = 200 };

struct frame {
    size_t part;
    bh_str rest;     /* of the container's body, from a line's start */
    bh_str boundary; /* empty p: a message, which has one child */
    bool closed;
    bool digest;
};

struct walk {
    struct bh_arena *arena;
    struct bh_part_list list;
    size_t room;
    size_t max_parts;
    unsigned max_depth;
    struct frame frames[depth_limit + 1];
    size_t open;
};

/* Room doubles; the old array stays in the arena, which costs as much again at most. */
static struct bh_part *new_part(struct walk *w)
{
    if (w->list.count == w->room) {
        size_t room = w->room ? w->room * 2 : 8;
        struct bh_part *parts = bh_arena_array(w->arena, room, sizeof *parts);
        if (!parts)
            return NULL;
        if (w->list.count)
            memcpy(parts, w->list.parts, w->list.count * sizeof *parts);
        w->list.parts = parts;
        w->room = room;
    }
    return &w->list.parts[w->list.count++];
}

static bh_err take_field(struct walk *w, const struct bh_header_field *field, struct bh_part *part)
{
    bh_err err = BH_OK;

    if (bh_str_eq_ci(field->name, BH_STR("Content-Type"))) {
        if (part->type.type.n == 0)
            err = bh_content_type_parse(w->arena, field->value, &part->type);
    } else if (bh_str_eq_ci(field->name, BH_STR("Content-Disposition"))) {
        if (part->disposition.type.n == 0)
            err = bh_content_type_parse(w->arena, field->value, &part->disposition);
    } else if (bh_str_eq_ci(field->name, BH_STR("Content-Transfer-Encoding"))) {
        part->transfer = bh_transfer_of(field->value);
    }
    return err == BH_E_NOMEM ? err : BH_OK;
}

/* Header and body of an entity. */
static bh_err read_entity(struct walk *w, bh_str entity, bool in_digest, struct bh_part *part)
{
    struct bh_header_iter it = bh_header_iter_make(entity, max_fields, max_header_bytes);
    struct bh_header_field field;
    bh_err err;

    while ((err = bh_header_next(&it, &field)) == BH_MORE)
        if (take_field(w, &field, part))
            return BH_E_NOMEM;
    part->header = bh_header_block(&it);
    /* a header beyond the bounds: what was not read counts as body */
    part->body = err == BH_DONE ? bh_header_body(&it) : bh_str_skip(entity, part->header.n);
    if (part->type.type.n == 0) {
        part->type = (struct bh_content_type){.type = in_digest ? BH_STR("message") : BH_STR("text"),
                                              .subtype = in_digest ? BH_STR("rfc822") : BH_STR("plain")};
    }
    return BH_OK;
}

/* Opens a frame for a part that contains others. */
static void descend(struct walk *w, size_t index)
{
    struct bh_part *part = &w->list.parts[index];
    bh_str type = part->type.type, subtype = part->type.subtype;
    struct frame frame = {.part = index, .rest = part->body};

    if (bh_str_eq(type, BH_STR("multipart"))) {
        frame.boundary = bh_content_type_param(&part->type, "boundary");
        if (frame.boundary.n == 0 || frame.boundary.n > max_boundary)
            return;
        part->is_multipart = true;
        frame.digest = bh_str_eq(subtype, BH_STR("digest"));
    } else if (bh_str_eq(type, BH_STR("message")) && part->transfer == BH_TRANSFER_IDENTITY &&
               (bh_str_eq(subtype, BH_STR("rfc822")) || bh_str_eq(subtype, BH_STR("global")))) {
        part->is_message = true;
    } else {
        return;
    }
    if (part->depth >= w->max_depth) {
        w->list.cut = true;
        return;
    }
    w->frames[w->open++] = frame;
}

static bh_err add_part(struct walk *w, bh_str entity, size_t parent, bool in_digest)
{
    struct bh_part *part;
    size_t index = w->list.count;

    if (index == w->max_parts) {
        w->list.cut = true;
        w->open = 0;
        return BH_OK;
    }
    part = new_part(w);
    if (!part)
        return BH_E_NOMEM;
    part->parent = parent;
    part->depth = parent == BH_NO_PART ? 0 : w->list.parts[parent].depth + 1;
    if (read_entity(w, entity, in_digest, part))
        return BH_E_NOMEM;
    descend(w, index);
    return BH_OK;
}

/* Is `line` (without its LF) "--boundary" or "--boundary--", blanks behind it (RFC 2046 5.1.1)? */
static bool is_delimiter(bh_str line, bh_str boundary, bool *ret_last)
{
    if (line.n < boundary.n + 2 || line.p[0] != '-' || line.p[1] != '-' ||
        memcmp(line.p + 2, boundary.p, boundary.n) != 0)
        return false;
    line = bh_str_skip(line, boundary.n + 2);
    *ret_last = bh_str_starts(line, BH_STR("--"));
    return bh_str_trim(*ret_last ? bh_str_skip(line, 2) : line).n == 0;
}

/* The bytes of `*rest` before the next delimiter line, which is taken off with them. False where none comes: the
 * bytes are all there is. */
static bool cut_at_delimiter(bh_str *rest, bh_str boundary, bh_str *ret_before, bool *ret_last)
{
    bh_str all = *rest;

    for (size_t at = 0; at < all.n;) {
        bh_str from = bh_str_skip(all, at);
        size_t n = bh_str_find(from, '\n');
        if (is_delimiter(bh_str_sub(from, 0, n), boundary, ret_last)) {
            size_t end = at;
            end -= end && all.p[end - 1] == '\n';
            end -= end && end < at && all.p[end - 1] == '\r';
            *ret_before = bh_str_sub(all, 0, end);
            *rest = bh_str_skip(from, n + 1);
            return true;
        }
        at += n + 1;
    }
    *ret_before = all;
    *rest = (bh_str){all.p + all.n, 0};
    return false;
}

/* The next child of the innermost container, or its end. */
static bh_err step(struct walk *w)
{
    struct frame *frame = &w->frames[w->open - 1];
    size_t parent = frame->part;
    bool digest = frame->digest, last = false;
    bh_str entity;

    if (frame->closed) {
        w->open--;
        return BH_OK;
    }
    if (!frame->boundary.p) {
        frame->closed = true;
        return add_part(w, frame->rest, parent, false);
    }
    frame->closed = !cut_at_delimiter(&frame->rest, frame->boundary, &entity, &last) || last;
    return add_part(w, entity, parent, digest);
}

/* What stands before the first delimiter is for readers without MIME. */
static void skip_preamble(struct frame *frame)
{
    bh_str preamble;
    bool last = false;

    if (frame->boundary.p && (!cut_at_delimiter(&frame->rest, frame->boundary, &preamble, &last) || last))
        frame->closed = true;
}

bh_err bh_part_walk(struct bh_arena *arena, bh_str message, const struct bh_part_limits *limits,
                    struct bh_part_list *ret_list)
{
    struct walk w = {.arena = arena, .max_parts = 500, .max_depth = 30};
    bh_err err;

    if (limits && limits->max_parts)
        w.max_parts = limits->max_parts;
    if (limits && limits->max_depth)
        w.max_depth = limits->max_depth < depth_limit ? limits->max_depth : depth_limit;
    err = add_part(&w, message, BH_NO_PART, false);
    for (size_t started = 0; !err && w.open;) {
        /* a frame that was just opened begins behind its preamble */
        if (w.open > started)
            skip_preamble(&w.frames[w.open - 1]);
        started = w.open;
        err = step(&w);
    }
    if (!err)
        *ret_list = w.list;
    return err;
}
