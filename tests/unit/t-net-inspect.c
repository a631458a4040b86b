/* For which name a connection comes, and what is refused because servers may take it for another. */
#include <stdlib.h>

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

int main(void)
{
	test_names();
	test_loose_lines();
	test_others();
	test_alert();
	return tap_done();
}
