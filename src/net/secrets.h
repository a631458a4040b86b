/* The values of a box's secrets, in memory of their own, and what is to be replaced on a connection to a host. */
#ifndef NET_SECRETS_H
#define NET_SECRETS_H

#include "net/swap.h"
#include "wire/secret.h"

struct secrets; /* opaque */

/* What connections to a host replace: each by what a reader of that place will understand. */
struct secret_set {
	struct swaps header, url, json, body; /* placeholder -> value */
	struct swaps scrub;                   /* value, as it is or written like that -> placeholder */
};

/* From the payload of NET_SECRETS, of which nothing is needed afterwards. NULL: *err says why. */
struct secrets *secrets_new(const void *payload, size_t n, struct error *err);
void secrets_free(struct secrets *s); /* also NULL */

/* Is it the host of a secret? `name` in lower case; with that port, or at all. */
bool secrets_has(const struct secrets *s, const char *name, uint16_t port);
bool secrets_has_port(const struct secrets *s, uint16_t port);

/* Of s, which keeps it: all connections for which the same secrets are have the same one. NULL: no memory. */
const struct secret_set *secrets_of(struct secrets *s, const char *name, uint16_t port);

#endif
