/* A stream between two pipes and a socket that plays the host. */
#include "agent/stream.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "base/sock.h"
#include "lib/tap.h"

struct rig {
	struct loop loop;
	struct channel to;
	struct stream s;
	int host;           /* the other end of the channel */
	int in, out, err;   /* the process' ends */
	struct buf rx;      /* what the host has received */
};

static uint8_t bytes[FRAME_WINDOW + 1];

static void ignore(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
}

static void rig_open(struct rig *r)
{
	int fds[2], p[3][2], i;

	if (loop_init(&r->loop) < 0 || sock_pair(fds) < 0)
		abort();
	r->host = fds[1];
	io_set_nonblock(r->host, true);
	channel_init(&r->to, fds[0]);
	if (channel_watch(&r->to, &r->loop, ignore) < 0)
		abort();
	buf_init(&r->rx, 16 * MIB);
	for (i = 0; i < 3; i++)
		if (pipe(p[i]) < 0)
			abort();
	r->in = p[0][0];
	r->out = p[1][1];
	r->err = p[2][1];
	io_set_nonblock(p[0][1], true);
	io_set_nonblock(p[1][0], true);
	io_set_nonblock(p[2][0], true);
	stream_init(&r->s, 7, &r->to, &r->loop);
	stream_attach(&r->s, STREAM_PIPES, p[0][1], p[1][0], p[2][0]);
}

static void rig_close(struct rig *r)
{
	stream_fini(&r->s);
	channel_close(&r->to);
	loop_fini(&r->loop);
	buf_fini(&r->rx);
	close(r->host);
	close(r->in);
	close(r->out);
	close(r->err);
}

/* Runs until nothing happens any more. */
static void spin(struct rig *r)
{
	size_t before;
	int i;

	for (i = 0; i < 100; i++) {
		loop_once(&r->loop, 0);
		channel_settle(&r->to);
		before = buf_len(&r->rx);
		while (buf_read_fd(&r->rx, r->host, 64 * KIB) > 0)
			;
		if (buf_len(&r->rx) != before)
			i = 0;
		stream_resume(&r->s);
	}
}

/* The sum of DATA bytes (or of credit) that came for a channel; *eof if it ended. Takes all frames. */
static size_t received(struct rig *r, uint8_t type, int ch, bool *eof)
{
	size_t sum = 0;
	struct frame f;
	uint32_t v;

	*eof = false;
	while (frame_peek(&r->rx, &f) > 0) {
		if (f.type == type && (f.flags & FRAME_CHANNEL_MASK) == ch) {
			if (type == FRAME_CREDIT && frame_get_credit(&f, &v) == 0)
				sum += v;
			if (type == FRAME_DATA)
				sum += f.len;
			*eof |= !!(f.flags & FRAME_EOF);
		}
		buf_consume(&r->rx, frame_size(&f));
	}
	return sum;
}

static int give(struct rig *r, uint32_t n)
{
	uint8_t payload[4] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24) };
	struct frame f = { FRAME_CREDIT, CHANNEL_STDOUT, 7, payload, 4 };

	return stream_credit(&r->s, &f, NULL);
}

static int data(struct rig *r, size_t n, bool eof)
{
	struct frame f = { FRAME_DATA, CHANNEL_STDIN | (eof ? FRAME_EOF : 0), 7, n ? bytes : NULL, (uint32_t)n };

	return stream_data(&r->s, &f, NULL);
}

/* Writes n bytes as the process would, letting the stream work whenever the pipe is full. */
static void produce(struct rig *r, size_t n)
{
	io_set_nonblock(r->out, true);
	while (n) {
		ssize_t put = write(r->out, bytes, MIN(n, (size_t)4096));
		size_t len = buf_len(&r->to.out) + buf_len(&r->rx);

		if (put > 0) {
			n -= (size_t)put;
			continue;
		}
		spin(r);
		if (len == buf_len(&r->to.out) + buf_len(&r->rx))
			break; /* nobody reads any more */
	}
}

static void test_output_credit(void)
{
	struct rig r;
	bool eof;

	rig_open(&r);
	produce(&r, FRAME_WINDOW + 4096);
	spin(&r);
	is_int(received(&r, FRAME_DATA, CHANNEL_STDOUT, &eof), FRAME_WINDOW, "a window is sent, and no more");
	ok(r.s.out[0].watch.fd < 0, "without credit the pipe is not watched");
	is_int(give(&r, 1000), 0, "credit");
	spin(&r);
	is_int(received(&r, FRAME_DATA, CHANNEL_STDOUT, &eof), 1000, "is spent to the byte");
	is_int(give(&r, FRAME_WINDOW), 0, "a whole window of credit is legal");
	is_int(give(&r, FRAME_WINDOW), -EPROTO, "more than that is not");

	spin(&r);
	received(&r, FRAME_DATA, CHANNEL_STDOUT, &eof);
	produce(&r, 5000);
	stream_end(&r.s);
	spin(&r);
	is_int(received(&r, FRAME_DATA, CHANNEL_STDOUT, &eof), 5000, "the end drains what is there");
	ok(eof && stream_drained(&r.s), "and does not wait for those who hold the pipe open");
	rig_close(&r);
}

static void test_end_without_credit(void)
{
	struct rig r;
	bool eof;

	rig_open(&r);
	produce(&r, FRAME_WINDOW + 1);
	stream_end(&r.s);
	spin(&r);
	is_int(received(&r, FRAME_DATA, CHANNEL_STDOUT, &eof), FRAME_WINDOW, "the end waits for credit");
	ok(!eof && !stream_drained(&r.s), "as long as there is something to send");
	is_int(give(&r, 1), 0, "one byte of credit");
	spin(&r);
	is_int(received(&r, FRAME_DATA, CHANNEL_STDOUT, &eof), 1, "for the last byte");
	ok(eof && stream_drained(&r.s), "is all that is needed");
	rig_close(&r);

	rig_open(&r);
	produce(&r, FRAME_WINDOW + 1);
	stream_end(&r.s);
	stream_abandon(&r.s);
	ok(stream_drained(&r.s), "what nobody takes can be abandoned");
	rig_close(&r);
}

static void test_input(void)
{
	struct rig r;
	size_t left = FRAME_WINDOW, back;
	bool eof;
	int n = 0;

	rig_open(&r);
	for (; left; left -= FRAME_DATA_MAX)
		if (data(&r, FRAME_DATA_MAX, false) < 0)
			break;
	is_int(left, 0, "a window of input is taken");
	spin(&r);
	ioctl(r.in, FIONREAD, &n);
	back = received(&r, FRAME_CREDIT, CHANNEL_STDIN, &eof);
	ok(back == (size_t)n && back >= FRAME_DATA_MAX, "credit comes back for what the pipe took");
	for (left = back; left >= FRAME_DATA_MAX; left -= FRAME_DATA_MAX)
		if (data(&r, FRAME_DATA_MAX, false) < 0)
			break;
	is_int(data(&r, left, false), 0, "and can be spent");
	is_int(data(&r, 1, false), -EPROTO, "a byte more breaks the rules");
	io_set_nonblock(r.in, true);
	for (left = 0;; spin(&r)) {
		static uint8_t sink[65536];
		ssize_t got = read(r.in, sink, sizeof(sink));

		if (got <= 0)
			break;
		left += (size_t)got;
	}
	is_int(left, FRAME_WINDOW + back, "the process gets it all");
	is_int(data(&r, 0, true), 0, "end of input");
	spin(&r);
	io_set_nonblock(r.in, false);
	is_int(read(r.in, &n, 1), 0, "the process sees it");
	is_int(data(&r, 0, false), -EPROTO, "nothing may come after it");
	rig_close(&r);
}

static void test_input_without_reader(void)
{
	struct rig r;
	size_t sum = 0, i;
	bool eof;

	rig_open(&r);
	close(r.in);
	r.in = -1;
	for (i = 0; i < 20; i++) {
		if (data(&r, FRAME_DATA_MAX, false) < 0)
			break;
		spin(&r);
		sum += received(&r, FRAME_CREDIT, CHANNEL_STDIN, &eof);
	}
	is_int(i, 20, "input that nobody reads does not end");
	ok(sum >= 18 * FRAME_DATA_MAX, "its credit comes back");
	rig_close(&r);
}

static void test_early_input(void)
{
	struct rig r;
	char got[5] = "";
	int p[2];

	rig_open(&r);
	stream_fini(&r.s);
	stream_init(&r.s, 7, &r.to, &r.loop);
	bytes[0] = 'e';
	is_int(data(&r, 1, true), 0, "input before the process has its terminal");
	if (pipe(p) < 0)
		abort();
	io_set_nonblock(p[1], true);
	stream_attach(&r.s, STREAM_PIPES, p[1], -1, -1);
	spin(&r);
	ok(read(p[0], got, 5) == 1 && got[0] == 'e', "reaches it");
	is_int(read(p[0], got, 1), 0, "with its end");
	close(p[0]);
	rig_close(&r);
}

/* The stream of a connection, whose other end is given back. */
static int connect_rig(struct rig *r)
{
	int fds[2];

	rig_open(r);
	stream_fini(&r->s);
	stream_init(&r->s, 7, &r->to, &r->loop);
	if (sock_pair(fds) < 0 || io_set_nonblock(fds[0], true) < 0 || io_set_nonblock(fds[1], true) < 0)
		abort();
	stream_attach(&r->s, STREAM_SOCKET, dup(fds[0]), fds[0], -1);
	return fds[1];
}

static void test_socket(void)
{
	char got[8];
	struct rig r;
	int box = connect_rig(&r);
	bool eof;

	is_int(data(&r, 3, true), 0, "a connection: input, and its end");
	spin(&r);
	is_int(read(box, got, sizeof(got)), 3, "comes");
	is_int(read(box, got, sizeof(got)), 0, "with its end");
	ok(!stream_is_over(&r.s), "which is not that of the other way");
	is_int(write(box, "four", 4), 4, "the box answers");
	shutdown(box, SHUT_WR);
	spin(&r);
	is_int(received(&r, FRAME_DATA, CHANNEL_STDOUT, &eof), 4, "which comes");
	ok(eof, "with its end, which is told at once");
	ok(stream_is_over(&r.s), "and that was all");
	close(box);
	rig_close(&r);

	box = connect_rig(&r);
	shutdown(box, SHUT_WR);
	spin(&r);
	ok(!stream_is_over(&r.s), "what the box says ends first");
	is_int(data(&r, 3, false), 0, "input is still taken");
	is_int(read(box, got, sizeof(got)), 3, "and comes");
	close(box);
	spin(&r);
	ok(stream_is_over(&r.s), "until the box hangs up");
	is_int(data(&r, 3, false), 0, "what crosses that is dropped");
	rig_close(&r);
}

/* As much is in the socket and in the inlet as goes. */
static void test_socket_that_is_full(void)
{
	size_t sum = 0, n, taken = 0;
	struct rig r;
	int box = connect_rig(&r);
	ssize_t got;
	bool eof;

	for (n = 0; n + FRAME_DATA_MAX <= FRAME_WINDOW + sum; n += FRAME_DATA_MAX) {
		is_int(data(&r, FRAME_DATA_MAX, false), 0, "a frame within the credit");
		spin(&r);
		sum += received(&r, FRAME_CREDIT, CHANNEL_STDIN, &eof);
	}
	ok(n >= FRAME_WINDOW && n < 8 * FRAME_WINDOW, "a box that does not read stops the host");
	is_int(data(&r, 0, true), 0, "which says its last word");
	stream_close(&r.s, CHANNEL_STDOUT);
	spin(&r);
	ok(!stream_is_over(&r.s) && send(box, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE,
	   "and hears no more: the box meets a broken pipe");
	do {
		spin(&r);
		got = read(box, bytes, sizeof(bytes));
		taken += got > 0 ? (size_t)got : 0;
	} while (got > 0);
	is_int((int)taken, (int)n, "what it has said is the box's, to the last byte");
	is_int((int)got, 0, "and its end");
	ok(stream_is_over(&r.s), "which is that of the connection");
	close(box);
	rig_close(&r);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as it is for pid 1 */
	test_output_credit();
	test_end_without_credit();
	test_input();
	test_input_without_reader();
	test_early_input();
	test_socket();
	test_socket_that_is_full();
	return tap_done();
}
