/* HTTP/1.1 on its way through: values in, values out, and requests that two readers would take differently. */
#include <errno.h>
#include <stdlib.h>

#include "lib/tap.h"
#include "net/http1.h"
#include "refusals.h"

#define P "boxlite-secret-1"
#define V "v/1+2"
#define HOST "Host: api.example\r\n"
#define NO_CODING "Accept-Encoding: identity\r\n"

static struct secrets *secrets;
static const struct secret_set *set;

struct both {
	struct http1 *h;
	struct buf guest_in, guest_out, server_in, server_out;
	bool guest_eof, server_eof;
	int r;
};

static void begin(struct both *b)
{
	*b = (struct both){ .h = http1_new(set, "api.example", 443, on_refusal, NULL) };
	b->guest_in = b->server_in = BUF_INIT(4 * MIB);
	b->guest_out = b->server_out = BUF_INIT(HTTP1_OUT_MAX);
}

static void end(struct both *b)
{
	http1_free(b->h);
	buf_fini(&b->guest_in);
	buf_fini(&b->guest_out);
	buf_fini(&b->server_in);
	buf_fini(&b->server_out);
}

static void step(struct both *b)
{
	if (b->r == 0)
		b->r = http1_request(b->h, &b->guest_in, &b->server_out, b->guest_eof);
	if (b->r == 0)
		b->r = http1_answer(b->h, &b->server_in, &b->guest_out, b->server_eof);
}

/* Bytes of one side, in pieces. */
static void feed(struct both *b, struct buf *in, const char *text, size_t n, size_t piece)
{
	size_t at, len;

	for (at = 0; at < n; at += len) {
		len = MIN(piece, n - at);
		if (buf_append(in, text + at, len) < 0)
			b->r = -ENOBUFS;
		step(b);
	}
	step(b);
}

static const char *text_of(struct buf *b)
{
	const char *s = buf_str(b);

	return s ? s : "";
}

/* What is in chunks of ours: where one ends is nobody's business. */
static const char *plain(const struct buf *b)
{
	static char out[65536];
	const char *s = (const char *)buf_data(b), *end = s + buf_len(b);
	size_t n = 0;

	while (s < end && n < sizeof(out) - 1) {
		if (end - s >= 10 && !memcmp(s + 8, "\r\n", 2) && strspn(s, "0123456789abcdef") == 8) {
			size_t len = (size_t)strtoul(s, NULL, 16);

			memcpy(out + n, s + 10, len);
			n += len;
			s += 10 + len + 2;
			continue;
		}
		out[n++] = *s++;
	}
	out[n] = 0;
	return out;
}

static void asks(const char *request, const char *want, const char *what)
{
	static const size_t pieces[] = { 1, 2, 7, 100000 };
	struct both b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		begin(&b);
		feed(&b, &b.guest_in, request, strlen(request), pieces[i]);
		is_int(b.r, 0, what);
		if (strstr(want, "chunked"))
			ok(strlen(plain(&b.server_out)) > 0, "in chunks");
		else
			is_str(text_of(&b.server_out), want, "in pieces");
		end(&b);
	}
}

static void test_requests(void)
{
	asks("GET /a?key=" P " HTTP/1.1\r\n" HOST "X-Key: a " P " b\r\nAccept-Encoding: gzip\r\n\r\n",
	     "GET /a?key=v%2F1%2B2 HTTP/1.1\r\n" HOST "X-Key: a " V " b\r\n" NO_CODING "\r\n", "in target and field");
	asks("GET / HTTP/1.1\r\n" HOST "Authorization: Basic dXNlcjpib3hsaXRlLXNlY3JldC0x\r\n\r\n",
	     "GET / HTTP/1.1\r\n" HOST "Authorization: Basic dXNlcjp2LzErMg==\r\n" NO_CODING "\r\n", "in Basic");
	asks("GET / HTTP/1.1\r\n" HOST "Authorization: Basic x" P "\r\n\r\n",
	     "GET / HTTP/1.1\r\n" HOST "Authorization: Basic x" V "\r\n" NO_CODING "\r\n", "in what is no Base64");
	asks("POST / HTTP/1.1\r\n" HOST "Content-Length: 20\r\n\r\n[" P "].." "GET / HTTP/1.1\r\n" HOST "\r\n",
	     "POST / HTTP/1.1\r\n" HOST NO_CODING "Content-Length: 9\r\n\r\n[" V "].."
	     "GET / HTTP/1.1\r\n" HOST NO_CODING "\r\n", "in a body, with the next behind it");
	asks("POST / HTTP/1.1\r\n" HOST "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 18\r\n\r\n"
	     "k=" P, "POST / HTTP/1.1\r\n" HOST "Content-Type: application/x-www-form-urlencoded\r\n" NO_CODING
	     "Content-Length: 11\r\n\r\nk=v%2F1%2B2", "in a form");
	asks("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
	     "POST / HTTP/1.1\r\n" HOST NO_CODING "Content-Length: 0\r\n\r\n", "an empty body");
	asks("GET / HTTP/1.1\r\nHost: api.example:443\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
	     "GET / HTTP/1.1\r\nHost: api.example:443\r\nConnection: upgrade\r\n" NO_CODING "\r\n", "an upgrade to h2c");
	asks("GET / HTTP/1.1\r\nHost: API.example.\r\n\r\n",
	     "GET / HTTP/1.1\r\nHost: API.example.\r\n" NO_CODING "\r\n", "the host's name with its last dot");
	asks("GET / HTTP/1.1\r\nHost: api.example.:443\r\n\r\n",
	     "GET / HTTP/1.1\r\nHost: api.example.:443\r\n" NO_CODING "\r\n", "and a port behind it");
}

static void test_chunks(void)
{
	static const char head[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";
	static const char want[] = "POST / HTTP/1.1\r\n" HOST NO_CODING "Transfer-Encoding: chunked\r\n\r\n";
	struct both b;
	char text[400];

	snprintf(text, sizeof(text), "%s7;x=y\r\n012boxl\r\n00c\r\nite-secret-1\r\n0\r\nTrailer: x\r\n\r\n", head);
	begin(&b);
	feed(&b, &b.guest_in, text, strlen(text), 3);
	ok(b.r == 0 && !strncmp(text_of(&b.server_out), want, strlen(want)), "chunks stay chunks");
	ok(strstr(plain(&b.server_out), V) && !strstr(plain(&b.server_out), "boxl"), "a placeholder over two is found");
	ok(buf_len(&b.server_out) > 5 && !memcmp(b.server_out.mem + b.server_out.tail - 5, "0\r\n\r\n", 5), "they end");
	end(&b);
}

static char text[3 * MIB], got[3 * MIB];

/* A body of 2 MiB with a placeholder at each of these places (0: no more): what goes out of it; the result of all. */
static size_t long_body(struct both *b, const char *fields, const size_t *places, size_t *ret_head)
{
	size_t n = (size_t)snprintf(text, sizeof(text), "PUT / HTTP/1.1\r\n" HOST "%s\r\n", fields), have = 0;
	const char *end;

	memset(text + n, 'x', 2 * MIB);
	for (; *places; places++)
		memcpy(text + n + *places, P, strlen(P));
	begin(b);
	if (buf_append(&b->guest_in, text, n + 2 * MIB) < 0)
		b->r = -1;
	do {
		size_t out;

		step(b);
		out = buf_len(&b->server_out);
		memcpy(got + have, buf_data(&b->server_out), out);
		have += out;
		if (!out)
			break;
		buf_consume(&b->server_out, out);
	} while (b->r == 0);
	end = memmem(got, have, "\r\n\r\n", 4);
	*ret_head = end ? (size_t)(end - got) + 4 : 0;
	return have;
}

#define LONG "Content-Length: 2097152\r\n"

static void test_long(void)
{
	static const size_t none[] = { 0 }, early[] = { 1, 1000000, 1 * MIB - sizeof(P) + 1, 0 };
	size_t head, n = 3 * (strlen(P) - strlen(V));
	struct both b;
	char length[64];
	size_t have = long_body(&b, LONG, none, &head);

	ok(b.r == 0 && memmem(got, head, LONG, strlen(LONG)) && have - head == 2 * MIB, "a long body keeps its length");
	ok(!buf_len(&b.guest_in) && !memcmp(got + head, text + strlen(text) - 2 * MIB, 2 * MIB), "and its bytes");
	end(&b);
	have = long_body(&b, LONG, early, &head);
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", (size_t)(2 * MIB - n));
	ok(b.r == 0 && memmem(got, head, length, strlen(length)) && have - head == 2 * MIB - n,
	   "values in its first MiB change it");
	ok(!memmem(got, have, P, strlen(P)) && !memcmp(got + head + 1, V, strlen(V)), "and are there");
	end(&b);
	have = long_body(&b, "Expect: 100-continue\r\n" LONG, none, &head);
	ok(b.r == 0 && memmem(got, head, LONG, strlen(LONG)) && have - head == 2 * MIB, "also if it waits for the server");
	end(&b);
	have = long_body(&b, LONG "Content-Type: text/plain\r\n", none, &head);
	ok(b.r == 0 && was_refused(""), "nothing is refused");
	end(&b);
}

static void late(const char *fields, size_t place, size_t least, const char *what)
{
	size_t places[] = { place, 0 }, head;
	struct both b;
	size_t have = long_body(&b, fields, places, &head);

	ok(b.r == 0 && have - head >= least && have - head <= place, "%s: what is before it goes (%zu)", what, have - head);
	ok(!memmem(got, have, "boxlite", 7), "but it does not");
	ok(!strncmp(text_of(&b.guest_out), "HTTP/1.1 413", 12) && http1_over(b.h), "and that is told");
	ok(was_refused("secret-late "), "and to who is to tell it, once");
	end(&b);
}

static void test_late(void)
{
	size_t places[] = { 1500000, 0 }, head;
	struct both b;

	late(LONG, 1500000, 1 * MIB, "a placeholder in the rest");
	late(LONG, 1 * MIB, 1 * MIB, "at its beginning");
	late(LONG, 1 * MIB - 3, 1 * MIB - 3, "across its border");
	late(LONG, 2 * MIB - strlen(P), 1 * MIB, "at its end");
	late("Expect: 100-continue\r\n" LONG, 1, 0, "in a body of which nothing is held");
	(void)!long_body(&b, LONG, places, &head);
	ok(was_refused("secret-late "), "one more");
	ok(!b.server_out.mem || !memmem(buf_data(&b.server_out), buf_len(&b.server_out), P, strlen(P)), "nothing waits");
	end(&b);
}

/* Requests before it are answered first; one that is being answered is cut off. */
static void test_late_answers(void)
{
	static const char first[] = "GET / HTTP/1.1\r\n" HOST "\r\n", put[] = "PUT / HTTP/1.1\r\n" HOST
		"Expect: 100-continue\r\n" LONG "\r\n" P;
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
	struct both b;

	begin(&b);
	feed(&b, &b.guest_in, first, strlen(first), 1000);
	feed(&b, &b.guest_in, put, strlen(put), 1000);
	is_str(text_of(&b.guest_out), "", "an earlier request is still to be answered");
	feed(&b, &b.server_in, answer, strlen(answer), 1000);
	feed(&b, &b.server_in, "abc", 3, 1);
	ok(was_refused("secret-late "), "what comes too late is told");
	ok(b.r == 0 && !strncmp(text_of(&b.guest_out), answer, strlen(answer)) &&
	   strstr(text_of(&b.guest_out), "abcHTTP/1.1 413 ") && http1_over(b.h), "then comes ours");
	end(&b);
	begin(&b);
	feed(&b, &b.guest_in, put, strlen(put) - strlen(P), 1000);
	feed(&b, &b.server_in, answer, strlen(answer), 1000);
	feed(&b, &b.server_in, "a", 1, 1);
	feed(&b, &b.guest_in, P, strlen(P), 1000);
	ok(b.r == -EPERM && was_refused("secret-late "), "one that is being answered gets no other answer");
	end(&b);
	begin(&b);
	feed(&b, &b.guest_in, put, strlen(put) - strlen(P), 1000);
	feed(&b, &b.server_in, answer, strlen(answer), 1000);
	feed(&b, &b.server_in, "abc", 3, 1);
	feed(&b, &b.guest_in, P, strlen(P), 1000);
	ok(b.r == -EPERM && was_refused("secret-late "), "nor does one that has been, before it had come");
	end(&b);
}

static void refused(const char *request, const char *status, const char *what)
{
	bool authority = !strcmp(status, "HTTP/1.1 421"), method = !strcmp(status, "HTTP/1.1 405");
	struct both b;

	begin(&b);
	feed(&b, &b.guest_in, request, strlen(request), 100000);
	ok(b.r == 0 && !strncmp(text_of(&b.guest_out), status, strlen(status)) && !buf_len(&b.server_out) &&
	   http1_over(b.h), "refused: %s: %.12s", what, text_of(&b.guest_out));
	ok(was_refused(authority ? "authority " : method ? "method " : "malformed "), "and told, once");
	end(&b);
}

static void test_refused(void)
{
	static char many[HEAD_MAX + 100];

	refused("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "no host");
	refused("GET / HTTP/1.1\r\n" HOST HOST "\r\n", "HTTP/1.1 400", "two hosts");
	refused("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", "HTTP/1.1 421", "another host");
	refused("GET / HTTP/1.1\r\nHost: api.example:8443\r\n\r\n", "HTTP/1.1 421", "another port");
	refused("GET / HTTP/1.1\r\nHost: api.example..\r\n\r\n", "HTTP/1.1 421", "two dots");
	refused("GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "HTTP/1.1 421", "a name that goes on");
	refused("GET https://api.example/ HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "a target that is a URL");
	refused("TRACE / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 405", "TRACE");
	refused("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "CONNECT");
	refused("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400",
		"a length and chunks");
	refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 400",
		"chunks and a length");
	refused("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 400", "two lengths");
	refused("POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n", "HTTP/1.1 400", "a list of lengths");
	refused("POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n", "HTTP/1.1 400", "a sign");
	refused("POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 400", "a huge length");
	refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 400", "another coding");
	refused("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400", "chunks of HTTP/1.0");
	refused("GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", "HTTP/1.1 400", "a folded line");
	refused("GET / HTTP/1.1\r\n" HOST "X : a\r\n\r\n", "HTTP/1.1 400", "a space before the colon");
	refused("GET / HTTP/1.1\r\n" HOST "X: a\nY: b\r\n\r\n", "HTTP/1.1 400", "a bare LF");
	refused("GET / HTTP/1.1\r\n" HOST "X: a\rY: b\r\n\r\n", "HTTP/1.1 400", "a bare CR");
	refused("GET  / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "two spaces");
	refused("GET / HTTP/2.0\r\n" HOST "\r\n", "HTTP/1.1 400", "another version");
	refused("\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", "an empty line before");
	memset(many, 'a', sizeof(many) - 1);
	refused(many, "HTTP/1.1 400", "a head without end");
}

/* Requests whose heads are fine. */
static void test_refused_later(void)
{
	static const char chunks[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n";
	static const char cut[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\n";
	static const char old[] = "POST / HTTP/1.0\r\n" HOST "Content-Length: 100\r\nExpect: 100-continue\r\n\r\n";
	struct both b;

	begin(&b);
	feed(&b, &b.guest_in, chunks, strlen(chunks), 100000);
	ok(b.r == -EBADMSG && was_refused("malformed "), "chunks that are none");
	end(&b);
	begin(&b);
	b.guest_eof = true;
	feed(&b, &b.guest_in, cut, strlen(cut), 100000);
	ok(b.r == -EBADMSG && was_refused(""), "a guest that has gone is not refused");
	end(&b);
	begin(&b);
	feed(&b, &b.guest_in, old, strlen(old), 100000);
	ok(!strncmp(text_of(&b.guest_out), "HTTP/1.1 413", 12) && was_refused("too-long "), "a length that cannot be told");
	end(&b);
}

static void answers(const char *request, const char *answer, bool eof, const char *want, bool over, const char *what)
{
	static const size_t pieces[] = { 1, 5, 100000 };
	struct both b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		begin(&b);
		feed(&b, &b.guest_in, request, strlen(request), 100000);
		feed(&b, &b.server_in, answer, strlen(answer), pieces[i]);
		b.server_eof = eof;
		step(&b);
		is_int(b.r, 0, what);
		is_str(plain(&b.guest_out), want, "in pieces");
		is_int(http1_over(b.h), over, "and whether it is over");
		ok(was_refused(strstr(request, "BAD") ? "malformed " : ""), "and what is told");
		end(&b);
	}
}

#define GET "GET / HTTP/1.1\r\n" HOST "\r\n"

static void test_answers(void)
{
	answers(GET, "HTTP/1.1 200 OK\r\nX: " V "\r\nContent-Length: 7\r\n\r\n<" V ">", false,
		"HTTP/1.1 200 OK\r\nX: " P "\r\nContent-Length: 18\r\n\r\n<" P ">", false, "with a length");
	answers(GET, "HTTP/1.0 200 OK\r\n\r\n<" V ">", true,
		"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n<" P ">0\r\n\r\n", true,
		"to the end of the connection");
	answers("GET / HTTP/1.0\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" V "\r\n0\r\n\r\n",
		false, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" P, true, "in chunks to who knows none");
	answers("HEAD / HTTP/1.1\r\n" HOST "\r\n" GET,
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", false,
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", false,
		"without bodies");
	answers(GET, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", false,
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", false, "behind an interim one");
	answers(GET, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n" V, false,
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 16\r\n\r\n" P, false,
		"whatever its encoding says");
	answers(GET, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", false,
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", true, "and the end");
	answers(GET "BAD\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 400 boxlite\r\nContent-Type: text/plain\r\n"
		"Content-Length: 29\r\nConnection: close\r\n\r\nboxlite: a malformed request\n", true,
		"before what is refused");
}

static void test_websocket(void)
{
	static const char ask[] = "GET /" P " HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
	static const char yes[] = "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" V;
	struct both b;

	begin(&b);
	feed(&b, &b.guest_in, ask, strlen(ask), 100000);
	ok(strstr(text_of(&b.server_out), "Upgrade: websocket\r\n") && strstr(text_of(&b.server_out), "v%2F1"), "an upgrade");
	buf_consume(&b.server_out, buf_len(&b.server_out));
	feed(&b, &b.guest_in, P, strlen(P), 100000);
	ok(b.r == 0 && !buf_len(&b.server_out), "what comes behind it waits");
	feed(&b, &b.server_in, yes, strlen(yes), 3);
	is_str(text_of(&b.guest_out), yes, "the answer, and what is behind it as it is");
	step(&b);
	is_str(text_of(&b.server_out), P, "and so the other way");
	end(&b);
	begin(&b);
	feed(&b, &b.guest_in, ask, strlen(ask), 100000);
	feed(&b, &b.guest_in, GET, strlen(GET), 100000);
	buf_consume(&b.server_out, buf_len(&b.server_out));
	feed(&b, &b.server_in, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, 100000);
	step(&b);
	ok(b.r == 0 && !strncmp(text_of(&b.server_out), "GET / ", 6), "if it is not wanted, HTTP goes on");
	end(&b);
}

static void test_bad_answers(void)
{
	static const char *const bad[] = {
		"HTTP/1.1 101 Yes\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "nothing\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0123456789abcdef0\r\n",
	};
	struct both b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		begin(&b);
		feed(&b, &b.guest_in, GET, strlen(GET), 100000);
		feed(&b, &b.server_in, bad[i], strlen(bad[i]), 100000);
		ok(b.r == -EBADMSG, "a malformed answer, %zu", i);
		end(&b);
	}
}

/* --- in the clear ---------------------------------------------------------------------------------------- */

#define GOOD "GET /" P " HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\nAuthorization: Basic eHg\r\n\r\n"

static char asked[200];

static bool may(void *ud, enum inspect what, const char *name)
{
	(void)ud;
	snprintf(asked, sizeof(asked), "%s", what == INSPECT_HTTP ? name : "bad");
	return what == INSPECT_HTTP && !strcmp(name, "a.example");
}

static void plain_asks(const char *request, const char *sent, const char *status, const char *who, const char *what)
{
	static const size_t pieces[] = { 1, 7, 100000 };
	struct both b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		begin(&b);
		http1_free(b.h);
		b.h = http1_new_plain(may, on_refusal, NULL);
		feed(&b, &b.guest_in, request, strlen(request), pieces[i]);
		is_int(b.r, 0, what);
		is_str(text_of(&b.server_out), sent, "what the server gets");
		is_str(asked, who, "who is asked about");
		b.server_eof = true;
		step(&b);
		ok(!strncmp(text_of(&b.guest_out), status, strlen(status)), "what the guest is told: %.12s",
		   text_of(&b.guest_out));
		ok(was_refused(!strcmp(status, "HTTP/1.1 405") ? "method " : ""), "what the policy says no to it tells");
		end(&b);
	}
}

static void test_plain(void)
{
	static const char body[] = "POST / HTTP/1.1\r\nHost: A.Example:8080\r\nContent-Length: 38\r\n\r\n"
				   "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
	static const char end_of_file[] = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" V;
	struct both b;

	plain_asks(GOOD, GOOD, "", "a.example", "a request goes as it came");
	plain_asks("\r\n" GOOD "\r\n" GOOD, GOOD GOOD, "", "a.example", "two, with empty lines before");
	plain_asks(body, body, "", "a.example", "a body with a request in it");
	plain_asks("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
		   "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "", "a.example", "spelled out");
	plain_asks(GOOD "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n" GOOD, GOOD, "", "b.example", "another name");
	plain_asks("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", "", "HTTP/1.1 421", "b.example", "of the first one");
	plain_asks("GET / HTTP/1.1\nHost: a.example\n\n", "", "HTTP/1.1 400", "bad", "lines that end otherwise");
	plain_asks("GET / HTTP/1.1\r\n\r\n", "", "HTTP/1.1 400", "bad", "no name");
	plain_asks("GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "", "HTTP/1.1 400", "bad", "two names");
	*asked = 0;
	plain_asks("CONNECT / HTTP/1.1\r\nHost: a.example\r\n\r\n", "", "HTTP/1.1 405", "", "CONNECT");
	plain_asks("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", "HTTP/1.1 400", "bad", "HTTP/2");
	plain_asks("GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
		   "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "", "a.example", "an upgrade to it");
	plain_asks("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
		   "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\n\r\n", "", "a.example", "as one of two");
	begin(&b);
	http1_free(b.h);
	b.h = http1_new_plain(may, on_refusal, NULL);
	feed(&b, &b.guest_in, GOOD, strlen(GOOD), 100000);
	feed(&b, &b.server_in, end_of_file, strlen(end_of_file), 5);
	b.server_eof = true;
	step(&b);
	is_str(text_of(&b.guest_out), "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" V,
	       "an answer to the end of the connection stays one");
	ok(http1_over(b.h), "and is over");
	end(&b);
}

int main(void)
{
	struct net_secrets list = { .n = 1, .v = { { "K", "api.example", P, 443, (const uint8_t *)V, strlen(V) } } };
	struct buf b = BUF_INIT(64 * KIB);

	if (wire_put_net_secrets(&b, &list) == 0)
		secrets = secrets_new(buf_data(&b) + FRAME_HEADER, buf_len(&b) - FRAME_HEADER, NULL);
	set = secrets ? secrets_of(secrets, "api.example", 443) : NULL;
	buf_fini(&b);
	if (!set)
		return 1;
	test_requests();
	test_chunks();
	test_long();
	test_late();
	test_late_answers();
	test_refused();
	test_refused_later();
	test_answers();
	test_websocket();
	test_bad_answers();
	test_plain();
	secrets_free(secrets);
	return tap_done();
}
