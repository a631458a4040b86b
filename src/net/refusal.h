/*
 * A request that gets an answer of our own, or none: what is told of it (denied()). Which name it was about and which
 * address is known to who has made the connection.
 */
#ifndef NET_REFUSAL_H
#define NET_REFUSAL_H

typedef void refusal_fn(void *ud, const char *reason); /* static; a reason of struct net_denied */

/* Of an answer with this status. */
static inline const char *refusal_reason(unsigned status)
{
	switch (status) {
	case 405: return "method";
	case 413:
	case 431: return "too-long";
	case 421: return "authority";
	default: return "malformed";
	}
}

#endif
