/* A connection through the proxy that is passed on as it is, between a duct and a socket. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/tap.h"
#include "net/proxy.h"

#define MUCH (512 * KIB) /* more than a socket holds */

static struct loop loop;
static struct proxies *proxies;
static struct duct guest;
static int server = -1;
static enum inspect asked; /* about what, last */

static void on_guest(struct duct *d)
{
	(void)d;
}

static bool on_may(void *ud, const struct ip_addr *to, uint16_t port, uint64_t since_ms, enum inspect what,
		   const char *name)
{
	(void)ud, (void)to, (void)port, (void)since_ms, (void)name;
	asked = what;
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

static bool connect_one(void)
{
	const struct ip_addr to = { 0 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		return false;
	server = pair[1];
	return proxies_serve(proxies, &guest, on_guest, pair[0], &to, 80, 0);
}

/* One to a server that says no more and takes nothing, and a guest that has said much. */
static bool begin(void)
{
	static const uint8_t much[MUCH];

	if (!connect_one())
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

/* While ducts hold all that they may, a first message that is as long as may be is still seen whole. */
static void test_long_first(void)
{
	enum { N = DUCTS_MANY / MUCH + 1, LONG = 60000 };
	static const char begins[] = "GET / HTTP/1.1\r\nHost: a.example\r\nX: ";
	static const uint8_t much[MUCH];
	static struct duct full[2 * N];
	static char head[LONG];
	size_t i, at = 0;

	for (i = 0; i < N; i++) {
		duct_pair(&full[2 * i], on_guest, &full[2 * i + 1], on_guest, &loop, MUCH);
		(void)!duct_send(&full[2 * i], much, MUCH);
	}
	memset(head, 'x', LONG);
	memcpy(head, begins, strlen(begins));
	memcpy(head + LONG - 4, "\r\n\r\n", 4);
	ok(ducts_are_many() && connect_one(), "one more, where there is no room");
	for (i = 0; i < 10 && at < LONG; i++) {
		ssize_t n = duct_send(&guest, head + at, LONG - at);

		at += n > 0 ? (size_t)n : 0;
		turns();
	}
	is_int(at, LONG, "takes a long head");
	is_int(asked, INSPECT_HTTP, "which is understood");
	ok(recv(server, head, 16, 0) == 16 && !memcmp(head, "GET / HTTP/1.1\r\n", 16), "and goes on");
	duct_close(&guest);
	close(server);
	turns();
	for (i = 0; i < 2 * N; i++)
		duct_close(&full[i]);
	turns();
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

	test_long_first();
	proxies_free(proxies);
	loop_fini(&loop);
	return tap_done();
}
