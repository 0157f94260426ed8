/* spec.c: see spec.h. */
#include "spec.h"
#include <stdlib.h>

struct bh_spec {
    json_t *root;
    struct bh_operation *operations;
    size_t count;
};

static const char *const methods[] = {"get", "post", "put", "patch", "delete"};
static const char *const method_names[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

enum { METHODS = sizeof(methods) / sizeof(methods[0]) };

static bool add_path(struct bh_spec *spec, const char *path, json_t *item)
{
    for (size_t i = 0; i < METHODS; i++) {
        json_t *object = json_object_get(item, methods[i]);
        json_t *x = json_object_get(object, "x-behalf");

        if (!object)
            continue;
        if (!x || !json_string_value(json_object_get(x, "scope")))
            return false;
        spec->operations[spec->count++] =
            (struct bh_operation){method_names[i], path, object, x, json_object_get(item, "parameters")};
    }
    return true;
}

struct bh_spec *bh_spec_new(bh_str document, const char **ret_why)
{
    struct bh_spec *spec = calloc(1, sizeof(*spec));
    json_t *paths, *item;
    const char *path;

    *ret_why = "out of memory";
    if (!spec)
        return NULL;
    *ret_why = "it is no JSON";
    spec->root = json_loadb(document.p, document.n, JSON_REJECT_DUPLICATES, NULL);
    paths = json_object_get(spec->root, "paths");
    if (paths)
        spec->operations = calloc(json_object_size(paths) * METHODS + 1, sizeof(*spec->operations));
    if (!spec->operations) {
        bh_spec_free(spec);
        return NULL;
    }
    json_object_foreach(paths, path, item) if (!add_path(spec, path, item))
    {
        *ret_why = path;
        bh_spec_free(spec);
        return NULL;
    }
    return spec;
}

void bh_spec_free(struct bh_spec *spec)
{
    if (!spec)
        return;
    json_decref(spec->root);
    free(spec->operations);
    free(spec);
}

json_t *bh_spec_root(const struct bh_spec *spec)
{
    return spec->root;
}

size_t bh_spec_count(const struct bh_spec *spec)
{
    return spec->count;
}

const struct bh_operation *bh_spec_at(const struct bh_spec *spec, size_t index)
{
    return &spec->operations[index];
}

/* "{id}" against one segment that is not empty. */
static bool segment_matches(bh_str pattern, bh_str segment, struct bh_path_value *value)
{
    if (pattern.n > 2 && pattern.p[0] == '{') {
        *value = (struct bh_path_value){pattern.p + 1, segment};
        return segment.n > 0;
    }
    return bh_str_eq(pattern, segment);
}

static bool path_matches(const char *pattern, bh_str path, struct bh_path_value values[BH_SPEC_SEGMENTS_MAX],
                         size_t *ret_count)
{
    bh_str rest = bh_str_c(pattern);
    size_t count = 0;

    while (rest.n || path.n) {
        struct bh_path_value value = {NULL, {NULL, 0}};
        bool more_pattern = rest.n > 0, more_path = path.n > 0;
        bh_str want = bh_str_cut(rest, '/', &rest);
        bh_str have = bh_str_cut(path, '/', &path);

        if (more_pattern != more_path || !segment_matches(want, have, &value) ||
            (value.name && count == BH_SPEC_SEGMENTS_MAX))
            return false;
        if (value.name)
            values[count++] = value;
    }
    *ret_count = count;
    return true;
}

const struct bh_operation *bh_spec_match(const struct bh_spec *spec, bh_str method, bh_str path,
                                         struct bh_path_value values[BH_SPEC_SEGMENTS_MAX], size_t *ret_count,
                                         bool *ret_known)
{
    const struct bh_operation *best = NULL;
    struct bh_path_value tried[BH_SPEC_SEGMENTS_MAX];
    size_t count;

    *ret_known = false;
    for (size_t i = 0; i < spec->count; i++) {
        const struct bh_operation *operation = &spec->operations[i];

        if (!path_matches(operation->path, path, tried, &count))
            continue;
        *ret_known = true;
        if (!bh_str_eq(method, bh_str_c(operation->method)))
            continue;
        if (best && count >= *ret_count) /* the more literal path wins: /emails/batch over /emails/{id} */
            continue;
        best = operation;
        memcpy(values, tried, count * sizeof(tried[0]));
        *ret_count = count;
    }
    return best;
}

void bh_spec_methods(const struct bh_spec *spec, bh_str path, struct bh_buf *out)
{
    struct bh_path_value tried[BH_SPEC_SEGMENTS_MAX];
    size_t count;

    for (size_t i = 0; i < spec->count; i++)
        if (path_matches(spec->operations[i].path, path, tried, &count))
            bh_buf_printf(out, "%s%s", out->n ? ", " : "", spec->operations[i].method);
}
