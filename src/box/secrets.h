/*
 * The values of a box's secrets (wire/secret.h), fetched from where they come at each start. They go to boxlite-net
 * in a file in memory, through the shim, which does not read it: so they are in the memory of this process for a
 * moment, and then only there.
 */
#ifndef BOX_SECRETS_H
#define BOX_SECRETS_H

#include "wire/netspec.h"

/* The file: fd, at its beginning, of one NET_SECRETS frame. -ENOENT: a variable or a file that is not there, or is
 * empty; -EINVAL: no text; -E2BIG; nothing of a value is in the text of an error. */
int secrets_open(const struct net_spec *net, struct error *err) MUST_CHECK;

/* Whether secrets_open() would give them now: 0 or its errors. */
int secrets_check(const struct net_spec *net, struct error *err) MUST_CHECK;

#endif
