/*
 * For which name does a connection come? Read from the first bytes of the client: SNI of TLS, Host of HTTP. The bytes
 * are a guest's; what they claim is checked by the policy (policy_check_claim()).
 */
#ifndef NET_INSPECT_H
#define NET_INSPECT_H

#include "net/hello.h"

#define INSPECT_MAX HELLO_MAX /* a client that has said so much, and not for whom, is refused */

enum inspect {
	INSPECT_MORE,  /* not to be seen yet */
	INSPECT_TLS,   /* for this one, by SNI */
	INSPECT_HTTP,  /* a request for this one; the next may be for another */
	INSPECT_OTHER, /* another protocol, which has no names */
	INSPECT_BAD,   /* TLS or HTTP without a name, or with several, or in a way that servers may read otherwise */
};

static inline bool inspect_has_name(enum inspect what)
{
	return what == INSPECT_TLS || what == INSPECT_HTTP;
}

enum inspect inspect_claim(const uint8_t *p, size_t n, char name[NET_NAME_MAX + 1]);

#endif
