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

/*
 * A server of TLS may ask for another ClientHello (HelloRetryRequest, RFC 8446, 4.1.4), and some go by the name in that
 * one. So what an INSPECT_TLS says is looked at until there can be none any more.
 */
struct inspect_again {
	size_t cleared; /* bytes that may go on; who lets them takes them away here */
	size_t left;    /* and of their last record, when they come */
	size_t passed;  /* of those that may come before it */
	bool early, over;
};

void inspect_again_begin(struct inspect_again *a, const uint8_t *p, size_t n); /* of what inspect_claim() was given */
/* All that has not gone on yet: how many bytes of it may is in a->cleared then. If a->over, so may what follows. 0;
 * -EPERM: it is for another name. */
int inspect_again(struct inspect_again *a, const uint8_t *p, size_t n, const char *name) MUST_CHECK;

#endif
