/* behalf/behalf.h: all of libbehalf. See libbehalf(3). */
#ifndef BEHALF_BEHALF_H
#define BEHALF_BEHALF_H

#include <behalf/arc.h>
#include <behalf/arena.h>
#include <behalf/auth_results.h>
#include <behalf/dkim.h>
#include <behalf/dkim_key.h>
#include <behalf/dmarc.h>
#include <behalf/ip.h>
#include <behalf/lint.h>
#include <behalf/psl.h>
#include <behalf/resolver.h>
#include <behalf/spf.h>
#include <behalf/types.h>
#include <behalf/zonefile_resolver.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is linked, "0.1.0"; static. */
BH_API const char *bh_version(void);

#ifdef __cplusplus
}
#endif
#endif
