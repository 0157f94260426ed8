/* schema.c: see schema.h. */
#include "schema.h"
#include "base/buf.h"
#include "base/clock.h"
#include <stdio.h>

enum { POINTER_MAX = 512 };

struct checking {
    const json_t *root;
    json_t *errors; /* NULL: only yes or no is asked (anyOf) */
    unsigned depth;
    bool ok;
};

static void check(struct checking *c, const json_t *schema, const json_t *value, const char *pointer);

static void complain(struct checking *c, const char *pointer, const char *code, const char *format, ...)
    BH_PRINTF(4, 5);

static void complain(struct checking *c, const char *pointer, const char *code, const char *format, ...)
{
    char detail[300];
    va_list args;

    c->ok = false;
    if (!c->errors || json_array_size(c->errors) >= BH_SCHEMA_ERRORS_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    (void)json_array_append_new(c->errors,
                                json_pack("{s:s, s:s, s:s}", "pointer", pointer, "code", code, "detail", detail));
}

const json_t *bh_schema_resolve(const json_t *root, const json_t *schema)
{
    for (unsigned hops = 0; hops < 8; hops++) {
        const char *ref = json_string_value(json_object_get(schema, "$ref"));
        bh_str rest;

        if (!ref || strncmp(ref, "#/", 2) != 0)
            return schema;
        rest = bh_str_c(ref + 2);
        schema = root;
        while (rest.n && schema) {
            bh_str name = bh_str_cut(rest, '/', &rest);

            schema = json_object_getn(schema, name.p, name.n);
        }
    }
    return schema;
}

static bool is_type(const json_t *value, const char *type)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return strcmp(type, "object") == 0;
    case JSON_ARRAY:
        return strcmp(type, "array") == 0;
    case JSON_STRING:
        return strcmp(type, "string") == 0;
    case JSON_INTEGER:
        return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
    case JSON_REAL:
        return strcmp(type, "number") == 0;
    case JSON_TRUE:
    case JSON_FALSE:
        return strcmp(type, "boolean") == 0;
    case JSON_NULL:
        return strcmp(type, "null") == 0;
    }
    return false;
}

static bool check_type(struct checking *c, const json_t *type, const json_t *value, const char *pointer)
{
    char names[100] = "";
    size_t n = 0;

    if (!type)
        return true;
    if (json_is_string(type)) {
        if (is_type(value, json_string_value(type)))
            return true;
        complain(c, pointer, "type", "must be %s", json_string_value(type));
        return false;
    }
    for (size_t i = 0; i < json_array_size(type); i++) {
        const char *name = json_string_value(json_array_get(type, i));
        int added;

        if (is_type(value, name))
            return true;
        added = snprintf(names + n, sizeof(names) - n, "%s%s", i ? " or " : "", name);
        n += added > 0 && (size_t)added < sizeof(names) - n ? (size_t)added : 0;
    }
    complain(c, pointer, "type", "must be %s", names);
    return false;
}

static void check_enum(struct checking *c, const json_t *list, const json_t *value, const char *pointer)
{
    char names[200] = "";
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        int added;

        if (json_equal(one, value))
            return;
        added = snprintf(names + n, sizeof(names) - n, "%s%s", n ? ", " : "",
                         json_is_string(one) ? json_string_value(one) : "?");
        n += added > 0 && (size_t)added < sizeof(names) - n ? (size_t)added : 0;
    }
    complain(c, pointer, "enum", "must be one of: %s", names);
}

static void child_pointer(char out[POINTER_MAX], const char *pointer, const char *name)
{
    struct bh_buf text = {.p = out, .cap = POINTER_MAX - 1, .max = POINTER_MAX - 1};

    bh_buf_add(&text, bh_str_c(pointer));
    bh_buf_char(&text, '/');
    for (; *name; name++) {
        if (*name == '~')
            bh_buf_add(&text, BH_STR("~0"));
        else if (*name == '/')
            bh_buf_add(&text, BH_STR("~1"));
        else
            bh_buf_char(&text, *name);
    }
    out[bh_buf_err(&text) ? 0 : text.n] = '\0';
}

static void check_object(struct checking *c, const json_t *schema, const json_t *value, const char *pointer)
{
    const json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required");
    const json_t *more = json_object_get(schema, "additionalProperties");
    const json_t *most = json_object_get(schema, "maxProperties"), *least = json_object_get(schema, "minProperties");
    char where[POINTER_MAX];
    const char *name;
    json_t *member;

    for (size_t i = 0; i < json_array_size(required); i++) {
        name = json_string_value(json_array_get(required, i));
        if (json_object_get(value, name))
            continue;
        child_pointer(where, pointer, name);
        complain(c, where, "required", "\"%s\" is missing", name);
    }
    if (most && json_object_size(value) > (size_t)json_integer_value(most))
        complain(c, pointer, "maxProperties", "has more than %lld members", (long long)json_integer_value(most));
    if (least && json_object_size(value) < (size_t)json_integer_value(least))
        complain(c, pointer, "minProperties", "has too few members");
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        const json_t *known = json_object_get(properties, name);

        child_pointer(where, pointer, name);
        if (known)
            check(c, known, member, where);
        else if (json_is_false(more))
            complain(c, where, "unknown", "there is no such member here");
        else if (json_is_object(more))
            check(c, more, member, where);
    }
}

static void check_array(struct checking *c, const json_t *schema, const json_t *value, const char *pointer)
{
    const json_t *items = json_object_get(schema, "items"), *most = json_object_get(schema, "maxItems");
    const json_t *least = json_object_get(schema, "minItems");
    char where[POINTER_MAX], index[24];

    if (most && json_array_size(value) > (size_t)json_integer_value(most)) {
        complain(c, pointer, "maxItems", "has more than %lld elements", (long long)json_integer_value(most));
        return;
    }
    if (least && json_array_size(value) < (size_t)json_integer_value(least))
        complain(c, pointer, "minItems", "needs at least %lld elements", (long long)json_integer_value(least));
    for (size_t i = 0; items && i < json_array_size(value); i++) {
        (void)snprintf(index, sizeof(index), "%zu", i);
        child_pointer(where, pointer, index);
        check(c, items, json_array_get(value, i), where);
    }
}

static size_t characters(bh_str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return n;
}

static bool has_controls(bh_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char b = (unsigned char)text.p[i];

        if ((b < ' ' && b != '\t' && b != '\r' && b != '\n') || b == 0x7f)
            return true;
    }
    return false;
}

static void check_format(struct checking *c, const char *format, bh_str text, const char *pointer)
{
    bh_time_ms at;

    if (strcmp(format, "date-time") == 0 && bh_time_parse_rfc3339(text, &at))
        complain(c, pointer, "format", "must be a time like 2027-01-31T12:00:00Z (RFC 3339)");
    if (strcmp(format, "email") == 0) {
        size_t at_sign = bh_str_rfind(text, '@');

        if (at_sign == 0 || at_sign + 1 >= text.n)
            complain(c, pointer, "format", "must be an address like user@example.net");
    }
}

static void check_string(struct checking *c, const json_t *schema, const json_t *value, const char *pointer)
{
    bh_str text = bh_str_of(json_string_value(value), json_string_length(value));
    const json_t *most = json_object_get(schema, "maxLength"), *least = json_object_get(schema, "minLength");
    const char *format = json_string_value(json_object_get(schema, "format"));

    if (has_controls(text))
        complain(c, pointer, "control-character", "has a control character");
    if (most && characters(text) > (size_t)json_integer_value(most))
        complain(c, pointer, "maxLength", "has more than %lld characters", (long long)json_integer_value(most));
    if (least && characters(text) < (size_t)json_integer_value(least))
        complain(c, pointer, "minLength", "needs at least %lld characters", (long long)json_integer_value(least));
    if (format)
        check_format(c, format, text, pointer);
}

static void check_number(struct checking *c, const json_t *schema, const json_t *value, const char *pointer)
{
    const json_t *most = json_object_get(schema, "maximum"), *least = json_object_get(schema, "minimum");

    if (most && json_number_value(value) > json_number_value(most))
        complain(c, pointer, "maximum", "must be at most %lld", (long long)json_number_value(most));
    if (least && json_number_value(value) < json_number_value(least))
        complain(c, pointer, "minimum", "must be at least %lld", (long long)json_number_value(least));
}

static void check_any(struct checking *c, const json_t *list, const json_t *value, const char *pointer)
{
    const json_t *same_type = NULL;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *schema = bh_schema_resolve(c->root, json_array_get(list, i));
        struct checking one = {.root = c->root, .depth = c->depth, .ok = true};

        check(&one, schema, value, pointer);
        if (one.ok)
            return;
        one.ok = true;
        if (check_type(&one, json_object_get(schema, "type"), value, pointer))
            same_type = schema;
    }
    if (same_type) /* the one that was meant: its complaints help */
        check(c, same_type, value, pointer);
    else
        complain(c, pointer, "type", "has none of the forms that are understood here");
}

static void check(struct checking *c, const json_t *schema, const json_t *value, const char *pointer)
{
    const json_t *any;

    schema = bh_schema_resolve(c->root, schema);
    if (!schema || json_is_true(schema))
        return;
    if (c->depth >= BH_SCHEMA_DEPTH_MAX) {
        complain(c, pointer, "depth", "is nested too deeply");
        return;
    }
    c->depth++;
    any = json_object_get(schema, "anyOf");
    if (any)
        check_any(c, any, value, pointer);
    if (check_type(c, json_object_get(schema, "type"), value, pointer)) {
        if (json_object_get(schema, "enum"))
            check_enum(c, json_object_get(schema, "enum"), value, pointer);
        if (json_is_object(value))
            check_object(c, schema, value, pointer);
        else if (json_is_array(value))
            check_array(c, schema, value, pointer);
        else if (json_is_string(value))
            check_string(c, schema, value, pointer);
        else if (json_is_number(value))
            check_number(c, schema, value, pointer);
    }
    c->depth--;
}

bool bh_schema_check(const json_t *root, const json_t *schema, const json_t *value, const char *pointer, json_t *errors)
{
    struct checking c = {.root = root, .errors = errors, .ok = true};

    check(&c, schema, value, pointer);
    return c.ok;
}

json_t *bh_schema_parameter(const json_t *root, const json_t *schema, bh_str text)
{
    const char *type;
    uint64_t number;

    schema = bh_schema_resolve(root, schema);
    type = json_string_value(json_object_get(schema, "type"));
    if (type && strcmp(type, "integer") == 0)
        return bh_str_to_u64(text, INT64_MAX, &number) ? NULL : json_integer((json_int_t)number);
    if (type && strcmp(type, "boolean") == 0)
        return bh_str_eq(text, BH_STR("true")) ? json_true() : bh_str_eq(text, BH_STR("false")) ? json_false() : NULL;
    return json_stringn(text.p ? text.p : "", text.n);
}
