/* behalf/psl.h: public suffixes, as DMARC's RFC 7489 mode needs them, behind a small interface; and an implementation
 * on libpsl and a list in the format of publicsuffix.org. */
#ifndef BEHALF_PSL_H
#define BEHALF_PSL_H

#include <behalf/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bh_suffixes;

struct bh_suffixes_ops {
    /* The registrable domain (public suffix and one label) of `domain`, which is lower case, A-labels, without final
     * dot: a view of the end of `domain`, empty where the domain is a public suffix itself. */
    bh_str (*registrable)(const struct bh_suffixes *suffixes, bh_str domain);
};

/* First member of an implementation's own struct. */
struct bh_suffixes {
    const struct bh_suffixes_ops *ops;
};

struct bh_psl;

/* Loads a list (text, or libpsl's DAFSA form); NULL = the system's newest, or the one built into libpsl.
 * BH_E_IO, BH_E_NOMEM. The owner ends it with bh_psl_free; it is not changed by use. */
BH_API BH_MUST bh_err bh_psl_new(const char *path, struct bh_psl **ret_psl);
BH_API void bh_psl_free(struct bh_psl *psl);
BH_API const struct bh_suffixes *bh_psl_base(const struct bh_psl *psl);

#ifdef __cplusplus
}
#endif
#endif
