/*
 * Theory of operation
 *
 * A question comes by UDP (resolver_ask) or on a connection (resolver_tcp.c). What is malformed, not allowed or about
 * the host is answered at once. All else becomes a struct ask (resolver_ask.c): a socket of its own to one of the
 * host's servers, with an id of its own, so that who wants to forge an answer has to guess both a port and an id. Its
 * answer is told to the policy, then passed on: the guest cannot use an address before it is allowed.
 *
 * One timer serves all: it is set to the earliest of their times, and each looks for itself whether its time is over.
 */
#include "net/resolver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/str.h"
#include "net/resolver_impl.h"

#define OWN_DOMAIN "boxlite.internal" /* NET_HOST_NAME is in it; no server of the host's is asked about it */
#define OWN_TTL 60                    /* seconds */
#define STALE_EVERY_MS 5000           /* at most so old is what is known of resolv.conf */
#define SILENT_EVERY_MS 1000

static void on_timer(struct watch *w, uint32_t events);

struct resolver *resolver_new(struct loop *l, struct policy *p, const char *resolv, const struct resolver_ops *ops,
			      void *ud, struct error *err)
{
	struct resolver *r = calloc(1, sizeof(*r));
	int fd, k;

	if (!r) {
		error_nomem(err);
		return NULL;
	}
	r->loop = l;
	r->policy = p;
	r->ops = ops;
	r->ud = ud;
	r->timer = WATCH_NONE;
	r->stale_ms = clock_ms();
	resolver_set_servers(r, resolv);
	fd = loop_timer_fd();
	k = fd < 0 ? fd : loop_add(l, &r->timer, fd, EPOLLIN, on_timer);
	if (k == 0 && (ip_parse(NET_V4_HOST, &r->host[0]) < 0 || ip_parse(NET_V6_HOST, &r->host[1]) < 0))
		k = -EINVAL;
	if (k == 0)
		return r;
	error_code(err, k, "cannot make a resolver");
	if (fd >= 0 && r->timer.fd < 0)
		close(fd);
	resolver_free(r);
	return NULL;
}

void resolver_free(struct resolver *r)
{
	size_t i;
	int fd;

	if (!r)
		return;
	for (i = 0; i < CONNS_MAX; i++)
		conn_free(r->conns[i]);
	for (i = 0; i < ASKS_MAX; i++)
		ask_free(r->asks[i]);
	fd = r->timer.fd;
	loop_remove(r->loop, &r->timer);
	close_fd(&fd);
	free(r);
}

void resolver_set_servers(struct resolver *r, const char *resolv)
{
	r->nservers = servers_parse(resolv, r->servers);
}

/* --- time ------------------------------------------------------------------------------------------------- */

void resolver_until(struct resolver *r, uint64_t ms)
{
	uint64_t now_ms = clock_ms();

	if (r->timer_ms && r->timer_ms <= ms)
		return;
	r->timer_ms = ms;
	loop_timer_set(r->timer.fd, ms > now_ms ? ms - now_ms : 1);
}

/* Those whose time is over do something about it, which may end them or give them a later time. */
static void on_timer(struct watch *w, uint32_t events)
{
	struct resolver *r = container_of(w, struct resolver, timer);
	uint64_t now_ms = clock_ms(), ignored;
	size_t i;

	(void)events;
	if (read(w->fd, &ignored, sizeof(ignored)) < 0)
		return;
	r->timer_ms = 0;
	for (i = 0; i < ASKS_MAX; i++)
		if (r->asks[i] && r->asks[i]->until_ms <= now_ms)
			ask_late(r->asks[i]);
	for (i = 0; i < CONNS_MAX; i++)
		if (r->conns[i] && r->conns[i]->until_ms <= now_ms)
			conn_late(r->conns[i]);
	for (i = 0; i < ASKS_MAX; i++)
		if (r->asks[i])
			resolver_until(r, r->asks[i]->until_ms);
	for (i = 0; i < CONNS_MAX; i++)
		if (r->conns[i])
			resolver_until(r, r->conns[i]->until_ms);
}

static void tell_stale(struct resolver *r, uint64_t every_ms)
{
	uint64_t now_ms = clock_ms();

	if (now_ms - r->stale_ms < every_ms)
		return;
	r->stale_ms = now_ms;
	r->ops->stale(r->ud);
}

void resolver_silent(struct resolver *r)
{
	tell_stale(r, SILENT_EVERY_MS);
}

/* --- questions -------------------------------------------------------------------------------------------- */

void resolver_answer(struct resolver *r, const struct resolver_client *c, struct conn *conn, const void *msg, size_t n)
{
	if (conn)
		conn_put(conn, msg, n);
	else
		r->ops->answer(r->ud, c, msg, n);
}

/* Is it about the machine below, or a name beside it? */
static bool own_name(const char *name)
{
	size_t n = strlen(name), own = strlen(OWN_DOMAIN);

	return n >= own && str_eq(name + n - own, OWN_DOMAIN) && (n == own || name[n - own - 1] == '.');
}

static size_t answer_own(struct resolver *r, const struct dns_question *q, uint8_t *out)
{
	if (!str_eq(q->name, NET_HOST_NAME))
		return dns_build_reply(q, DNS_NXDOMAIN, out);
	if (!policy_host_open(r->policy)) {
		r->ops->denied(r->ud, q->name, "host");
		return dns_build_reply(q, DNS_NXDOMAIN, out);
	}
	if (q->type == DNS_A || q->type == DNS_AAAA)
		return dns_build_address(q, &r->host[q->type == DNS_AAAA], OWN_TTL, out);
	return dns_build_reply(q, DNS_NOERROR, out);
}

/* What can be answered without a server: its length in out, or 0. */
static size_t answer_at_once(struct resolver *r, const struct dns_question *q, uint8_t *out)
{
	struct policy_answer allowed;

	/* Zone transfers, ANY and the like, OPT: not questions for a name's records. */
	if (q->class != DNS_IN || q->type == DNS_OPT || (q->type >= DNS_TKEY && q->type <= DNS_ANY) ||
	    strlen(q->name) > NET_NAME_MAX)
		return dns_build_reply(q, DNS_REFUSED, out);
	if (own_name(q->name))
		return answer_own(r, q, out);
	allowed = policy_check_name(r->policy, q->name);
	if (allowed.allow)
		return 0;
	r->ops->denied(r->ud, q->name, allowed.reason);
	return dns_build_reply(q, DNS_NXDOMAIN, out);
}

void resolver_recheck(struct resolver *r)
{
	struct policy_answer allowed;
	size_t i;

	/* One that ends can end others, and what comes in their places was asked by the rules of now. */
	for (i = 0; i < ASKS_MAX; i++) {
		if (!r->asks[i])
			continue;
		allowed = policy_check_name(r->policy, r->asks[i]->q.name);
		if (allowed.allow)
			continue;
		r->ops->denied(r->ud, r->asks[i]->q.name, allowed.reason);
		ask_refuse(r->asks[i]);
	}
}

void resolver_question(struct resolver *r, const struct resolver_client *c, struct conn *conn, const void *msg,
		       size_t n)
{
	uint8_t out[DNS_BUILD_MAX];
	struct dns_question q;
	int k = dns_parse_question(msg, n, &q);
	size_t len;

	if (k < 0)
		return;
	len = k > 0 ? dns_build_reply(&q, (enum dns_rcode)k, out) : answer_at_once(r, &q, out);
	if (!len) {
		tell_stale(r, STALE_EVERY_MS);
		if (ask_start(r, &q, c, conn) == 0)
			return;
		len = dns_build_reply(&q, DNS_SERVFAIL, out);
	}
	resolver_answer(r, c, conn, out, len);
}

void resolver_ask(struct resolver *r, const struct resolver_client *c, const void *msg, size_t n)
{
	if (n <= DNS_UDP_MAX)
		resolver_question(r, c, NULL, msg, n);
}
