/* Credentials for a registry from docker's own configuration. */
#ifndef BOX_DOCKERCFG_H
#define BOX_DOCKERCFG_H

#include "base/error.h"

struct credentials {
	char *username, *password, *identity_token; /* owned; NULL if absent */
};

void credentials_fini(struct credentials *c); /* overwrites them first */

/* Reads $DOCKER_CONFIG/config.json, else ~/.docker/config.json, and returns only the entry for `key`
 * (image_ref_config_key()). No file and no entry are fine: everything is NULL. -EBADMSG: not readable as such. */
int dockercfg_find(const char *key, struct credentials *ret, struct error *err) MUST_CHECK;

/* The same over text in hand (for tests and the fuzzer). */
int dockercfg_parse(const void *text, size_t n, const char *key, struct credentials *ret,
		    struct error *err) MUST_CHECK;

#endif
