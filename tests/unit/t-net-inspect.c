/* For which name a connection comes, and what is refused because servers may take it for another. */
#include <errno.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "lib/tap.h"
#include "net/inspect.h"

static char name[NET_NAME_MAX + 1];

static enum inspect ask(const char *text, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1); /* of just that length: a sanitizer sees a read beyond it */
	enum inspect what;

	if (!exact)
		abort();
	memcpy(exact, text, n);
	name[0] = 0;
	what = inspect_claim(exact, n, name);
	free(exact);
	return what;
}

/* As it comes in pieces, no other thing is ever said. */
static void is_what(const char *text, size_t n, enum inspect want, const char *why)
{
	size_t i;
	int bad = 0;

	for (i = 0; i < n; i++) {
		enum inspect what = ask(text, i);

		bad += what != INSPECT_MORE && what != want;
	}
	is_int(ask(text, n), want, why);
	is_int(bad, 0, "and nothing else of its beginnings");
}

#define IS(text, want, why) is_what(text, sizeof(text) - 1, want, why)
#define HOST "\r\nHost: b.example\r\n\r\n"

static void test_names(void)
{
	IS("GET / HTTP/1.1\r\nHost: A.Example.:8080\r\n\r\n", INSPECT_HTTP, "a request");
	is_str(name, "a.example", "its name");
	IS("GET http://b.example:80/x HTTP/1.1" HOST, INSPECT_HTTP, "with its name in both places");
	is_str(name, "b.example", "its name");
	IS("GET / HTTP/1.1\nHost: b.example:\n\n", INSPECT_HTTP, "other ends of lines, a colon and no port");
	IS("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", INSPECT_HTTP, "an address");
	is_str(name, "[2001:db8::1]", "its name");
	IS("GET / HTTP/1.1\r\nHost: a.example:80@b.example\r\n\r\n", INSPECT_BAD, "two names in a Host");
	IS("GET / HTTP/1.1\r\nHost: [::1]b.example\r\n\r\n", INSPECT_BAD, "two, one in brackets");
	IS("GET http://b.example:x/ HTTP/1.1" HOST, INSPECT_BAD, "a target with no port");
}

/* nginx, Tomcat, HAProxy, Python: each takes some of these for a request. */
static void test_loose_lines(void)
{
	IS("GET http://b.example/ HTTP/1.1 " HOST, INSPECT_BAD, "a space at the end of the line");
	IS("GET http://b.example/\tHTTP/1.1" HOST, INSPECT_BAD, "a tab before the version");
	IS("GET http://b.example/  HTTP/1.1" HOST, INSPECT_BAD, "two spaces");
	IS("GET\t/ HTTP/1.1" HOST, INSPECT_BAD, "a tab behind the method");
	IS("GET\thttp://b.example/\tHTTP/1.1" HOST, INSPECT_BAD, "two of them");
	IS("GET\r/\rHTTP/1.1" HOST, INSPECT_BAD, "bare carriage returns");
	IS(" \tGET\v/ HTTP/1.1" HOST, INSPECT_BAD, "spaces before it");
	IS("GET http://b.example/\r\n", INSPECT_BAD, "HTTP/0.9 with a name");
	IS("GET /\r\n", INSPECT_BAD, "and without");
	IS("GET b HTTP/2.0\r\n", INSPECT_BAD, "another version");
}

static void test_others(void)
{
	IS("SSH-2.0-OpenSSH_9.2\r\n", INSPECT_OTHER, "ssh");
	IS("*1\r\n$4\r\nPING\r\n", INSPECT_OTHER, "redis");
	IS("EHLO a.example\r\n", INSPECT_OTHER, "mail");
	IS("PLAY rtsp://a.example/ RTSP/1.0\r\n", INSPECT_OTHER, "rtsp");
	IS("NICK\tx\r\n", INSPECT_OTHER, "a protocol with tabs");
	IS("\x15\x00\x00\x00\x03xyz", INSPECT_OTHER, "one that begins with a length");
}

static void test_alert(void)
{
	IS("\x15\x03\x01\x00\x02\x01\x5a\x16\x03\x01", INSPECT_BAD, "an alert before TLS");
	IS("\x15\x0f\x01\x00\x02\x01\x5a\x16\x03\x01", INSPECT_BAD, "of a version that is none");
}

/* A record of TLS with a handshake message of this type, and a ClientHello's body; early: data may follow. */
static size_t record(uint8_t *to, uint8_t type, const char *sni, bool early)
{
	struct wr w = wr_over(to, 512);
	size_t n = strlen(sni), ext = 9 + n + (early ? 4 : 0), body = 2 + 32 + 1 + 4 + 2 + 2 + ext;
	uint8_t zeros[33] = { 0 };

	wr_bytes(&w, "\x16\x03\x01", 3);
	wr_be16(&w, (uint16_t)(4 + body));
	wr_be32(&w, (uint32_t)(type << 24 | body));
	wr_be16(&w, 0x0303);
	wr_bytes(&w, zeros, 33);
	wr_bytes(&w, "\0\x02\x13\x01\x01\0", 6);
	wr_be16(&w, (uint16_t)ext);
	if (early)
		wr_be32(&w, 42U << 16);
	wr_be32(&w, (uint32_t)(n + 5));
	wr_be16(&w, (uint16_t)(n + 3));
	wr_u8(&w, 0);
	wr_be16(&w, (uint16_t)n);
	wr_bytes(&w, sni, n);
	return (size_t)(w.p - to);
}

/* A first hello, and what comes behind it, at once and byte by byte: does all of it go on, and what follows? */
static void again(bool early, const void *p, size_t n, bool goes, const char *why)
{
	uint8_t all[2048];
	size_t first = record(all, 1, "a.example", early), step, have, passed;

	memcpy(all + first, p, n);
	for (step = 1; step <= first + n; step += first + n - 1) {
		struct inspect_again a;
		int r = 0;

		inspect_again_begin(&a, all, first);
		for (passed = 0, have = step; r == 0 && have <= first + n; have += step) {
			r = inspect_again(&a, all + passed, have - passed, "a.example");
			passed += a.cleared;
			a.cleared = 0;
		}
		ok(goes ? r == 0 && passed == first + n && a.over : r == -EPERM && passed < first + n - 9, "%s (%zu)",
		   why, step);
	}
}

static void test_again(void)
{
	static const char data[] = "\x17\x03\x03\0\x02xy", ciphers[] = "\x14\x03\x03\0\x01\x01";
	static const char alert[] = "\x15\x03\x03\0\x02\x01\x5a";
	uint8_t b[1024], parts[1024];
	size_t n, i, k = 0;

	memcpy(b, ciphers, 6);
	memcpy(b + 6, data, 7);
	again(false, b, 13, true, "TLS 1.3");
	n = record(b, 16, "b.example", false);
	again(false, b, n, true, "TLS 1.2");
	memcpy(b, ciphers, 6);
	n = 6 + record(b + 6, 1, "a.example", false);
	again(false, b, n, true, "the same name again");
	n = 6 + record(b + 6, 1, "b.example", false);
	again(false, b, n, false, "another name");
	again(false, b + 6, n - 6, false, "at once");
	b[7] = 0x02; /* the version of a record, at which nobody looks by then */
	again(false, b, n, false, "in a record of no version");
	memcpy(b, alert, 7);
	n = 7 + record(b + 7, 1, "b.example", false);
	again(false, b, n, false, "behind an alert");
	for (i = 7 + 5; i < n; i++) { /* each byte in a record of its own */
		memcpy(parts + k, "\x16\x03\x03\0\x01", 5);
		parts[k + 5] = b[i];
		k += 6;
	}
	again(false, parts, k, false, "in pieces");
	memcpy(b, data, 7);
	n = 7 + record(b + 7, 1, "b.example", false);
	again(true, b, n, false, "behind data that may come early");
}

int main(void)
{
	test_again();
	test_names();
	test_loose_lines();
	test_others();
	test_alert();
	return tap_done();
}
