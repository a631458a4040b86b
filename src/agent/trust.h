/*
 * The certificate of boxlite-net, in whose connections secrets are put (wire/secret.h): programs of the box are to
 * trust it. The bundles and Java's keystores of the image are left as they are: the container gets others over them,
 * with one certificate more; and variables say where the bundle is, to programs that do not look there.
 */
#ifndef AGENT_TRUST_H
#define AGENT_TRUST_H

#include "base/error.h"
#include "base/str.h"

#define TRUST_FILES 16

/* Before the container is built. A file that is longer than any we know, or damaged, stays as it is. java_home: the
 * main process's JAVA_HOME, or NULL. */
void trust_set(const char *pem, const char *java_home);

/* The i-th file: what it is in the agent's root, and its path in the box. False: there is none. */
bool trust_file(unsigned i, const char **ret_file, const char **ret_path);

/* The variables, but for those that are there. 0 or -ENOMEM; nothing without a bundle. */
int trust_env(struct strv *env) MUST_CHECK;

#endif
