/* version.c: see behalf/behalf.h. */
#include <behalf/behalf.h>

const char *bh_version(void)
{
    return BH_VERSION;
}
