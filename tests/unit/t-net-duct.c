/* A stream inside a process: what its ends hear, and when. */
#include <errno.h>

#include "lib/tap.h"
#include "net/duct_bio.h"

#define ROOM 4096

struct side {
	struct duct d;
	int calls;
	bool answers; /* sends back what comes */
};

static struct loop loop;
static struct side a, b;

static void on_side(struct duct *d)
{
	struct side *s = container_of(d, struct side, d);
	uint8_t byte;

	s->calls++;
	if (s->answers && duct_recv(d, &byte, 1))
		(void)!duct_send(d, &byte, 1);
}

static void begin(void)
{
	a = b = (struct side){ .calls = 0 };
	duct_pair(&a.d, on_side, &b.d, on_side, &loop, ROOM);
}

/* What both have heard by now, as one number. */
static int heard(void)
{
	int n;

	while (loop.nlater)
		(void)!loop_once(&loop, 0);
	n = a.calls * 10 + b.calls;
	a.calls = b.calls = 0;
	return n;
}

static void end(void)
{
	duct_close(&a.d);
	duct_close(&b.d);
	(void)heard();
}

static void test_bytes(void)
{
	static uint8_t much[ROOM + 100];
	uint8_t got[4];

	begin();
	is_int(duct_send(&a.d, "abc", 3), 3, "bytes are taken");
	is_int(b.calls, 0, "the other end does not hear of them at once");
	is_int(duct_send(&a.d, "d", 1), 1, "more");
	is_int(heard(), 1, "but once of all, later");
	is_int(b.d.in.len, 4, "all are there");
	ring_copy(&b.d.in, got, 4);
	ok(memcmp(got, "abcd", 4) == 0, "in their order");
	duct_drop(&b.d, 3);
	is_int(heard(), 0, "that some were taken is nothing to be told");
	duct_drop(&b.d, 1);
	is_int(heard(), 10, "that all were is");
	is_int(duct_send(&a.d, much, sizeof(much)), ROOM, "as many as there is room for");
	is_int(duct_send(&a.d, much, 1), 0, "and no more");
	is_int(heard(), 1, "they are there");
	duct_drop(&b.d, 1);
	is_int(heard(), 10, "who found no room is told of the first byte");
	is_int(duct_send(&a.d, much, 100), 1, "that fits");
	end();
}

static void test_ends(void)
{
	begin();
	(void)!duct_send(&a.d, "x", 1);
	duct_shut(&a.d);
	is_int(heard(), 1, "no more comes");
	ok(b.d.eof && b.d.in.len == 1 && b.d.peer, "than what is there");
	is_int(duct_send(&b.d, "y", 1), 1, "the other way goes on");
	is_int(heard(), 10, "and is heard");
	duct_close(&b.d);
	is_int(heard(), 10, "one end has closed");
	ok(a.d.eof && a.d.reset && !a.d.peer, "without having taken all");
	is_int(a.d.in.len, 1, "what it has said is there");
	is_int(duct_send(&a.d, "x", 1), -EPIPE, "it takes no more");
	end();

	begin();
	(void)!duct_send(&a.d, "x", 1);
	duct_close(&a.d);
	ok(b.d.eof && !b.d.reset && b.d.in.len == 1, "one that closes after it has said all ends like a file");
	duct_drop(&b.d, 1);
	duct_wake(&b.d);
	duct_close(&b.d);
	is_int(heard(), 0, "one that is closed hears nothing");
	duct_close(&b.d);
	end();
}

static void test_bio(void)
{
	static uint8_t much[ROOM];
	BIO *bio;
	char c;

	begin();
	bio = duct_bio(&a.d);
	if (!bio)
		return;
	ok(BIO_read(bio, &c, 1) <= 0 && BIO_should_retry(bio), "nothing to be read yet");
	is_int(BIO_write(bio, much, ROOM), ROOM, "what is written is taken");
	ok(BIO_write(bio, much, 1) <= 0 && BIO_should_retry(bio), "until there is no room");
	(void)!duct_send(&b.d, "x", 1);
	duct_close(&b.d);
	ok(BIO_write(bio, much, 1) < 0 && !BIO_should_retry(bio), "to nobody is an error");
	ok(BIO_read(bio, &c, 1) == 1 && c == 'x' && BIO_eof(bio), "what was said before can be read, to its end");
	ok(BIO_read(bio, &c, 1) <= 0 && !BIO_should_retry(bio), "where there is no more");
	BIO_free(bio);
	end();
}

static void test_turns(void)
{
	begin();
	a.answers = b.answers = true;
	(void)!duct_send(&a.d, "x", 1);
	(void)!loop_once(&loop, 0);
	(void)!loop_once(&loop, 0);
	(void)!loop_once(&loop, 0);
	ok(a.calls + b.calls >= 3 && a.calls + b.calls <= 6, "two that speak to each other let others have their turn");
	end();
}

static void test_many(void)
{
	enum { N = 129, MAX_EACH = 512 * KIB };
	static uint8_t much[MAX_EACH];
	static struct side sides[2 * N];
	size_t i;

	for (i = 0; i < N; i++) {
		duct_pair(&sides[2 * i].d, on_side, &sides[2 * i + 1].d, on_side, &loop, MAX_EACH);
		(void)!duct_send(&sides[2 * i].d, much, MAX_EACH);
	}
	ok(ducts_are_many(), "so many hold much");
	begin();
	is_int(duct_send(&a.d, much, ROOM), ROOM, "a small one works as ever");
	end();
	duct_pair(&a.d, on_side, &b.d, on_side, &loop, MAX_EACH);
	is_int(duct_send(&a.d, much, MAX_EACH), DUCT_POOR, "one more does not grow to its size");
	is_int(heard(), 1, "and is heard");
	duct_drop(&b.d, 1);
	is_int(heard(), 10, "who found no room there is told as well");
	is_int(duct_send(&a.d, much, MAX_EACH), 1, "of the room for one");
	duct_drop(&b.d, DUCT_POOR);
	duct_trim(&a.d);
	is_int(b.d.in.cap, 0, "memory in which nothing lies is given back");
	for (i = 0; i < 2 * N; i++)
		duct_close(&sides[i].d);
	(void)heard();
	ok(!ducts_are_many(), "so it is by those that close");
	is_int(duct_send(&a.d, much, MAX_EACH), MAX_EACH, "and then there is room");
	end();
}

int main(void)
{
	if (loop_init(&loop) < 0)
		return 1;
	test_bytes();
	test_ends();
	test_bio();
	test_turns();
	test_many();
	loop_fini(&loop);
	return tap_done();
}
