/* ClientHello: those of OpenSSL, those in pieces, and those of people who try. */
#include <errno.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "lib/tap.h"
#include "net/hello.h"

struct bytes {
	uint8_t b[HELLO_MAX + 4096];
	size_t n;
};

static int parse(const struct bytes *m, size_t n, struct hello *h)
{
	/* A copy of exactly this size, so that a sanitizer sees a read past the end. */
	uint8_t *exact = malloc(n ? n : 1);
	int r;

	memcpy(exact, m->b, n);
	r = hello_parse(exact, n, h);
	free(exact);
	return r;
}

static void put_name(struct wr *w, const char *name, unsigned times)
{
	size_t n = strlen(name);

	wr_be16(w, 0);
	wr_be16(w, (uint16_t)(2 + times * (3 + n)));
	wr_be16(w, (uint16_t)(times * (3 + n)));
	while (times--) {
		wr_u8(w, 0);
		wr_be16(w, (uint16_t)n);
		wr_bytes(w, name, n);
	}
}

static void put_extension(struct wr *w, unsigned type, const void *p, size_t n)
{
	wr_be16(w, (uint16_t)type);
	wr_be16(w, (uint16_t)n);
	wr_bytes(w, p, n);
}

/* The message without its header; `ext` are its extensions. */
static size_t body(uint8_t *to, size_t room, const uint8_t *ext, size_t n)
{
	static const uint8_t random[32] = "0123456789abcdefghijklmnopqrstuv", ciphers[] = { 0x13, 0x01, 0x13, 0x02 };
	struct wr w = wr_over(to, room);

	wr_be16(&w, 0x0303);
	wr_bytes(&w, random, sizeof(random));
	wr_u8(&w, 32);
	wr_bytes(&w, random, sizeof(random));
	wr_be16(&w, sizeof(ciphers));
	wr_bytes(&w, ciphers, sizeof(ciphers));
	wr_u8(&w, 1);
	wr_u8(&w, 0);
	if (ext) {
		wr_be16(&w, (uint16_t)n);
		wr_bytes(&w, ext, n);
	}
	return (size_t)(w.p - to);
}

/* In records of at most `step` bytes. */
static void hello(struct bytes *m, const uint8_t *ext, size_t n, size_t step)
{
	static uint8_t msg[HELLO_MAX * 2];
	size_t len = body(msg + 4, sizeof(msg) - 4, ext, n), at;
	struct wr w = wr_over(m->b, sizeof(m->b));

	msg[0] = 1;
	msg[1] = (uint8_t)(len >> 16);
	msg[2] = (uint8_t)(len >> 8);
	msg[3] = (uint8_t)len;
	len += 4;
	for (at = 0; at < len; at += step) {
		size_t piece = MIN(step, len - at);

		wr_u8(&w, 22);
		wr_be16(&w, 0x0301);
		wr_be16(&w, (uint16_t)piece);
		wr_bytes(&w, msg + at, piece);
	}
	m->n = (size_t)(w.p - m->b);
}

static int of_name(const char *name, size_t len, struct hello *h)
{
	static struct bytes m;
	uint8_t ext[512];
	struct wr w = wr_over(ext, sizeof(ext));

	wr_be16(&w, 0);
	wr_be16(&w, (uint16_t)(5 + len));
	wr_be16(&w, (uint16_t)(3 + len));
	wr_u8(&w, 0);
	wr_be16(&w, (uint16_t)len);
	wr_bytes(&w, name, len);
	hello(&m, ext, (size_t)(w.p - ext), 16384);
	return parse(&m, m.n, h);
}

static void test_plain(void)
{
	static const uint8_t alpn[] = "\x00\x0c\x02h2\x08http/1.1";
	static struct bytes m;
	uint8_t ext[512];
	struct wr w = wr_over(ext, sizeof(ext));
	struct hello h;
	size_t i;
	int bad = 0;

	put_extension(&w, 0x0a0a, "x", 1);
	put_name(&w, "API.Example.com", 1);
	put_extension(&w, 16, alpn, sizeof(alpn) - 1);
	hello(&m, ext, (size_t)(w.p - ext), 16384);
	is_int(parse(&m, m.n, &h), 0, "a ClientHello");
	is_str(h.name, "api.example.com", "its name, in lower case");
	ok(h.h2 && h.http1 && !h.ech && h.alpn_len == 12, "what it offers");
	for (i = 0; i < m.n; i++)
		bad += parse(&m, i, &h) != -EAGAIN;
	is_int(bad, 0, "cut anywhere more is wanted");
	m.b[m.n] = 23;
	is_int(parse(&m, m.n + 1, &h), 0, "what comes behind it does not matter");
	put_extension(&w, 0xfe0d, "xy", 2);
	hello(&m, ext, (size_t)(w.p - ext), 16384);
	ok(parse(&m, m.n, &h) == 0 && h.ech, "one that has another one in it is known");
	hello(&m, NULL, 0, 16384);
	ok(parse(&m, m.n, &h) == 0 && !*h.name && !h.h2, "one without extensions has no name");
}

static void test_spread(void)
{
	static uint8_t ext[HELLO_MAX], padding[40000];
	static struct bytes m;
	struct wr w = wr_over(ext, sizeof(ext));
	struct hello h;
	size_t step, i;
	int bad = 0;

	put_name(&w, "a.example", 1);
	put_extension(&w, 16, "\x00\x03\x02h2", 5);
	for (step = 1; step < 100; step++) {
		hello(&m, ext, (size_t)(w.p - ext), step);
		bad += parse(&m, m.n, &h) != 0 || strcmp(h.name, "a.example") != 0 || !h.h2;
		for (i = 0; i < m.n; i++)
			bad += parse(&m, i, &h) != -EAGAIN;
	}
	is_int(bad, 0, "in pieces of any length");
	put_extension(&w, 21, padding, 40000);
	hello(&m, ext, (size_t)(w.p - ext), 16384);
	ok(parse(&m, m.n, &h) == 0 && !strcmp(h.name, "a.example"), "a long one");
	hello(&m, ext, (size_t)(w.p - ext), 7);
	is_int(parse(&m, HELLO_MAX - 1, &h), -EAGAIN, "too long with its records: more is wanted to the end");
	is_int(parse(&m, HELLO_MAX, &h), -EBADMSG, "and then no more");
	hello(&m, ext, (size_t)(w.p - ext), 16384);
	m.b[5 + 16384] = 21;
	is_int(parse(&m, m.n, &h), -EBADMSG, "another record between its pieces");
	m.b[5 + 16384] = 22;
	m.b[6] = 2;
	is_int(parse(&m, m.n, &h), -EBADMSG, "a length past all bounds");
}

static void test_names(void)
{
	char longest[300];
	struct hello h;

	memset(longest, 'a', sizeof(longest));
	ok(of_name(longest, 253, &h) == 0 && strlen(h.name) == 253, "the longest name");
	is_int(of_name(longest, 254, &h), -EBADMSG, "a longer one");
	is_int(of_name("", 0, &h), -EBADMSG, "an empty one");
	is_int(of_name(".", 1, &h), -EBADMSG, "nothing but a dot");
	ok(of_name("a.b.", 4, &h) == 0 && !strcmp(h.name, "a.b"), "a last dot");
	is_int(of_name("a\0b", 3, &h), -EBADMSG, "a NUL in it");
	is_int(of_name("a b", 3, &h), -EBADMSG, "a space in it");
	is_int(of_name("a\x80", 2, &h), -EBADMSG, "bytes that are no ASCII");
}

static void test_twice(void)
{
	static struct bytes m;
	uint8_t ext[512];
	struct wr w = wr_over(ext, sizeof(ext));
	struct hello h;

	put_name(&w, "a.example", 2);
	hello(&m, ext, (size_t)(w.p - ext), 16384);
	is_int(parse(&m, m.n, &h), -EBADMSG, "two names");
	w = wr_over(ext, sizeof(ext));
	put_name(&w, "a.example", 1);
	put_name(&w, "b.example", 1);
	hello(&m, ext, (size_t)(w.p - ext), 16384);
	is_int(parse(&m, m.n, &h), -EBADMSG, "names in two extensions");
	w = wr_over(ext, sizeof(ext));
	put_extension(&w, 16, "\x00\x03\x02h2", 5);
	put_extension(&w, 16, "\x00\x03\x02h2", 5);
	hello(&m, ext, (size_t)(w.p - ext), 16384);
	is_int(parse(&m, m.n, &h), -EBADMSG, "ALPN twice");
	hello(&m, ext, 11, 16384);
	is_int(parse(&m, m.n, &h), -EBADMSG, "an extension cut short");
	w = wr_over(ext, sizeof(ext));
	put_extension(&w, 16, "\x00\x03\x00h2", 5);
	hello(&m, ext, (size_t)(w.p - ext), 16384);
	is_int(parse(&m, m.n, &h), -EBADMSG, "ALPN with an empty name");
}

static void test_others(void)
{
	static struct bytes m = { .b = "GET / HTTP/1.1\r\n\r\n", .n = 18 };
	struct hello h;

	is_int(parse(&m, 0, &h), -EAGAIN, "nothing yet");
	is_int(parse(&m, 1, &h), -EBADMSG, "HTTP is none, from its first byte");
	memcpy(m.b, "\x16\x02", 2);
	is_int(parse(&m, 2, &h), -EBADMSG, "nor is another version");
	memcpy(m.b, "\x16\x03\x01\x00\x00", 5);
	is_int(parse(&m, 5, &h), -EBADMSG, "nor an empty record");
	memcpy(m.b, "\x16\x03\x01\x40\x01", 5);
	is_int(parse(&m, 5, &h), -EBADMSG, "nor one that is too long");
	memcpy(m.b, "\x16\x03\x01\x00\x10\x02", 6);
	is_int(parse(&m, 6, &h), -EBADMSG, "nor a ServerHello");
}

int main(void)
{
	test_plain();
	test_spread();
	test_names();
	test_twice();
	test_others();
	return tap_done();
}
