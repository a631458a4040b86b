/* Where QEMU is. */
#ifndef BOX_QEMU_H
#define BOX_QEMU_H

#include "box/home.h"

/* Its absolute path: BOXLITE_QEMU, else where packages put it. Replaces *ret, a string of the caller's or NULL.
 * -errno with the remedy. */
int qemu_find(const struct home *h, char **ret, struct error *err) MUST_CHECK;

#endif
