/* spec.h: the OpenAPI document (data/openapi.json) as what it is here: the table of operations. It is built into webd;
 * routes, scopes, arguments and validation all come from it, so that what is documented and what is done are one.
 *
 * Beside the standard's members an operation has `x-behalf`:
 *   {"noun", "verb"}      the command of controld (or, through it, queued) that executes it
 *   "handler"             instead of a command: "send", "batch", "mime", "validate", done in webd
 *   "scope"               "send", "read", "admin" or "none" (no token is asked for)
 *   "args": {"id": "domain"}   parameters that the command knows by another name
 *   "fixed": {"verb": …}  arguments that are always given
 *   "list": "events"      the answer is a list: the result's member of that name, or "" for the result itself
 *   "cursor": "name"      what `after` takes, of the last element, where the command gives no `next`
 *   "status": 201         of a success; default 200 */
#ifndef BH_WEBD_SPEC_H
#define BH_WEBD_SPEC_H

#include "base/buf.h"
#include <jansson.h>

enum { BH_SPEC_SEGMENTS_MAX = 8 };

struct bh_operation {
    const char *method; /* "GET" */
    const char *path;   /* "/v1/domains/{id}" */
    json_t *object;     /* the operation */
    json_t *x;          /* its x-behalf */
    json_t *common;     /* parameters of the path item; may be NULL */
};

struct bh_spec;

/* The document as text, NUL-terminated; static. */
extern const char bh_openapi_json[];
extern const size_t bh_openapi_json_n;
/* The page at /docs, which shows the document. */
extern const char bh_docs_html[];
extern const size_t bh_docs_html_n;

/* NULL: out of memory, or the document is wrong (a bug; *ret_why says where). */
struct bh_spec *bh_spec_new(bh_str document, const char **ret_why);
void bh_spec_free(struct bh_spec *spec);
json_t *bh_spec_root(const struct bh_spec *spec);

struct bh_path_value {
    const char *name;
    bh_str value; /* view of the request's path, not decoded */
};

/* The operation of a request. NULL: *ret_known tells whether the path has other methods. */
const struct bh_operation *bh_spec_match(const struct bh_spec *spec, bh_str method, bh_str path,
                                         struct bh_path_value values[BH_SPEC_SEGMENTS_MAX], size_t *ret_count,
                                         bool *ret_known);
/* "GET, POST" of a path; for Allow. */
void bh_spec_methods(const struct bh_spec *spec, bh_str path, struct bh_buf *out);
size_t bh_spec_count(const struct bh_spec *spec);
const struct bh_operation *bh_spec_at(const struct bh_spec *spec, size_t index);

#endif
