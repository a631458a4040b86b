/* Whether this program may make the namespaces that a jail is made of: found out by making them. */
#ifndef VMM_JAIL_PROBE_H
#define VMM_JAIL_PROBE_H

#include "base/error.h"
#include "wire/verdict.h"

/* The process is in the new namespaces afterwards: for a program that does nothing else. 0 with the
 * verdict, or -errno when the host is too short of something to tell. */
int probe_jail(struct verdict *ret, struct error *err) MUST_CHECK;

#endif
