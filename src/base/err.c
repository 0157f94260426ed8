/* err.c: one table of codes, classes and texts. See behalf/types.h. */
#include <behalf/types.h>

static const struct {
    enum bh_err_class class;
    const char *text;
} errors[] = {
    [-BH_OK] = {BH_CLASS_OK, "ok"},
    [-BH_DONE] = {BH_CLASS_OK, "done"},
    [-BH_E_SYNTAX] = {BH_CLASS_PEER, "syntax error"},
    [-BH_E_RANGE] = {BH_CLASS_PEER, "value out of range"},
    [-BH_E_TRUNCATED] = {BH_CLASS_PEER, "input ends too early"},
    [-BH_E_VERSION] = {BH_CLASS_PEER, "other protocol version or build"},
    [-BH_E_LIMIT] = {BH_CLASS_LIMIT, "limit reached"},
    [-BH_E_NOMEM] = {BH_CLASS_LIMIT, "out of memory"},
    [-BH_E_AGAIN] = {BH_CLASS_TEMP, "try again"},
    [-BH_E_TIMEOUT] = {BH_CLASS_TEMP, "timed out"},
    [-BH_E_BUSY] = {BH_CLASS_TEMP, "busy"},
    [-BH_E_IO] = {BH_CLASS_TEMP, "input/output error"},
    [-BH_E_CLOSED] = {BH_CLASS_TEMP, "closed by the peer"},
    [-BH_E_NOT_FOUND] = {BH_CLASS_PERM, "not found"},
    [-BH_E_EXISTS] = {BH_CLASS_PERM, "exists already"},
    [-BH_E_DENIED] = {BH_CLASS_PERM, "not allowed"},
    [-BH_E_UNSUPPORTED] = {BH_CLASS_PERM, "not supported"},
    [-BH_E_CRYPTO] = {BH_CLASS_PERM, "cryptographic failure"},
    [-BH_E_INVALID] = {BH_CLASS_PERM, "invalid request"},
    [-BH_E_BUG] = {BH_CLASS_BUG, "internal error"},
};

enum bh_err_class bh_err_class(bh_err err)
{
    return err > 0 || err < BH_E_LAST ? BH_CLASS_BUG : errors[-err].class;
}

const char *bh_err_text(bh_err err)
{
    return err > 0 || err < BH_E_LAST ? "unknown error" : errors[-err].text;
}
