/* Which boot of the host this is: what is kept of one boot does not hold in another. */
#ifndef BOX_BOOT_H
#define BOX_BOOT_H

#include "base/base.h"

#define BOOT_ID_LEN 36

/* The kernel's boot_id (random(4)), without a newline: 0 or -errno. */
int boot_id(char ret[BOOT_ID_LEN + 1]) MUST_CHECK;

#endif
