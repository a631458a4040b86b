/* What the files of the proxy share. Theory of operation: proxy.c. */
#ifndef NET_PROXY_IMPL_H
#define NET_PROXY_IMPL_H

#include <sys/queue.h>

#include "net/ca.h"
#include "net/http1.h"
#include "net/http2.h"
#include "net/proxy.h"
#include "net/tls.h"

enum state { LISTEN, SERVER, GUEST, PASS, REFUSE, CLOSE, SPLICE };

struct proxy {
	LIST_ENTRY(proxy) link;
	struct proxies *all;
	uint64_t number;
	enum state state;
	struct end guest, server;
	struct ip_addr to;
	uint16_t port;
	uint64_t since_ms; /* the guest has connected */
	enum inspect what;  /* INSPECT_MORE: the guest has not said enough yet */
	char name[NET_NAME_MAX + 1]; /* for which it comes, or the last request */
	struct hello hello; /* its ALPN is not kept */
	struct inspect_again again; /* of SPLICE: what may be for another name */
	bool spoke;         /* the server has, before the guest */
	bool secret;        /* of SECRET_MAX */
	bool ended;         /* the guest says no more than what is there to be looked at */
	bool h2;            /* what the server has chosen */
	bool alpn;          /* it has chosen something */
	uint64_t until_ms;  /* 0: no limit */
	size_t held;        /* bytes, as they were counted last */
	bool waits;         /* for room: it has stopped to read */
	struct http1 *http1;
	struct http2 *http2;
	char why[160]; /* of REFUSE */
};

struct proxies {
	struct loop *loop;
	struct secrets *secrets; /* borrowed */
	struct proxy_ops ops;
	void *ud;
	struct tls tls;
	struct ca *ca;
	LIST_HEAD(, proxy) list;
	unsigned n, nsecret, nwaiting;
	size_t held;         /* bytes */
	uint64_t trimmed_ms;
	uint64_t numbers;
	struct watch tick;
	bool ticking;
};

/* --- proxy.c --- */

void proxy_set_limit(struct proxy *p, uint64_t ms); /* until then it must have got further; 0: there is no limit */
void proxy_close_soon(struct proxy *p);
refusal_fn proxy_denied; /* of a struct proxy: it, or a request of it, is refused */
/* What one end has read to what the other one writes; at most so much: how much it was, or -ENOMEM. */
ssize_t proxy_copy(struct end *from, struct end *to, size_t most);

/* --- proxy_begin.c: the steps of LISTEN, SERVER, GUEST, REFUSE. False: it is over --- */

bool proxy_listen(struct proxy *p);
bool proxy_shake_server(struct proxy *p);
bool proxy_shake_guest(struct proxy *p);
bool proxy_say_refusal(struct proxy *p);

/* --- proxy_room.c --- */

void proxy_tick(struct proxies *all);        /* the timer runs: on_tick() of proxy.c comes within a second */
void proxy_yield(struct proxy *p);           /* others have their turn; then it goes on */
void proxy_count(struct proxy *p);           /* what it holds now */
void proxy_set_waits(struct proxy *p, bool waits);
bool proxy_has_room(struct proxy *p);        /* may it read more? If not, it is woken when it may */
size_t proxy_round(const struct proxy *p);   /* so much of each side is moved at a time */
bool proxies_is_wide(const struct proxies *all); /* may HTTP/2 have wide windows? */
void proxies_wake(struct proxies *all);      /* who waits looks again */
void proxies_wake_if_room(struct proxies *all);

#endif
