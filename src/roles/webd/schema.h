/* schema.h: a JSON value against a schema of the OpenAPI document. Understood: $ref to #/components/…, type (one or
 * several), enum, const, properties, required, additionalProperties (false or a schema), minProperties, maxProperties,
 * items, minItems, maxItems, minLength, maxLength (in characters), minimum, maximum, anyOf, format (email, date-time).
 * Text with NUL or other control characters than tab, CR, LF is refused everywhere. */
#ifndef BH_WEBD_SCHEMA_H
#define BH_WEBD_SCHEMA_H

#include "base/str.h"
#include <jansson.h>

enum { BH_SCHEMA_DEPTH_MAX = 32, BH_SCHEMA_ERRORS_MAX = 20 };

/* Appends {pointer, code, detail} for each thing that is wrong to `errors`, an array; at most BH_SCHEMA_ERRORS_MAX.
 * `pointer` is where `value` stands (RFC 6901), "" for the body. True: nothing is wrong. */
bool bh_schema_check(const json_t *root, const json_t *schema, const json_t *value, const char *pointer,
                     json_t *errors);

/* A parameter's text as the JSON that its schema asks for: a number, true, or a string. New reference; NULL: it is no
 * such number. */
json_t *bh_schema_parameter(const json_t *root, const json_t *schema, bh_str text);

/* What a "$ref" stands for; `schema` itself where it has none. */
const json_t *bh_schema_resolve(const json_t *root, const json_t *schema);

#endif
