/* A connection through the proxy that is passed on as it is, between a duct and a socket. */
#include <sys/socket.h>
#include <unistd.h>

#include "lib/tap.h"
#include "net/proxy.h"

#define MUCH (512 * KIB) /* more than a socket holds */

static struct loop loop;
static struct proxies *proxies;
static struct duct guest;
static int server = -1;

static void on_guest(struct duct *d)
{
	(void)d;
}

static bool on_may(void *ud, const struct ip_addr *to, uint16_t port, uint64_t since_ms, enum inspect what,
		   const char *name)
{
	(void)ud, (void)to, (void)port, (void)since_ms, (void)what, (void)name;
	return true;
}

static void on_denied(void *ud, const struct ip_addr *to, uint16_t port, const char *name, const char *reason)
{
	(void)ud, (void)to, (void)port, (void)name, (void)reason;
}

static void turns(void)
{
	int i;

	for (i = 0; i < 100; i++)
		(void)!loop_once(&loop, 0);
}

/* One to a server that says no more and takes nothing, and a guest that has said much. */
static bool begin(void)
{
	static const uint8_t much[MUCH];
	const struct ip_addr to = { 0 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		return false;
	server = pair[1];
	if (!proxies_serve(proxies, &guest, on_guest, pair[0], &to, 80, 0))
		return false;
	shutdown(server, SHUT_WR);
	(void)!duct_send(&guest, much, MUCH);
	turns();
	return guest.eof && guest.peer;
}

/* What the server gets up to the end; negative: there is none. */
static ssize_t rest(void)
{
	static uint8_t got[64 * KIB];
	ssize_t n = 0, r;

	while ((r = recv(server, got, sizeof(got), 0)) > 0) {
		n += r;
		turns();
	}
	close(server);
	return r < 0 ? -1 : n;
}

int main(void)
{
	static const struct proxy_ops ops = { .may = on_may, .denied = on_denied };
	struct error err = { 0 };
	ssize_t n;

	if (loop_init(&loop) < 0 || !(proxies = proxies_new(&loop, NULL, &ops, NULL, &err)))
		return 1;

	ok(begin(), "a server has said its last");
	duct_shut(&guest);
	duct_close(&guest);
	turns();
	is_int(rest(), MUCH, "it gets what the guest has said up to its end");

	ok(begin(), "another one");
	duct_abort(&guest);
	duct_close(&guest);
	turns();
	n = rest();
	ok(n >= 0 && (size_t)n < MUCH, "what the guest has said is not sent on behind a reset");

	proxies_free(proxies);
	loop_fini(&loop);
	return tap_done();
}
