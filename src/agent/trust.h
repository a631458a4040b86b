/*
 * The certificate of boxlite-net, in whose connections secrets are put (wire/secret.h): programs of the box are to
 * trust it. The bundles of the image are left as they are: the container gets others over them, with one certificate
 * more; and variables say where the bundle is, to programs that do not look there.
 */
#ifndef AGENT_TRUST_H
#define AGENT_TRUST_H

#include "base/error.h"
#include "base/str.h"

#define TRUST_BUNDLES 4

/* Before the container is built. A bundle that is longer than any we know, or no file, stays as it is. */
void trust_set(const char *pem);

/* The i-th bundle: its file in the agent's root, and its path in the box. False: there is none. */
bool trust_bundle(unsigned i, const char **ret_file, const char **ret_path);

/* The variables, but for those that are there. 0 or -ENOMEM; nothing without a certificate. */
int trust_env(struct strv *env) MUST_CHECK;

#endif
