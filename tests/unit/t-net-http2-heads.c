/* HTTP/2 of a guest that asks for more than the server takes: what is held has a bound, and other streams go on. */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "lib/tap.h"
#include "net/http1.h"
#include "net/http2.h"

#define HEAD_BYTES 50000
#define ASKED 90
#define HELD_MAX (512 * KIB) /* of heads */

/* The guest and the server, of which the second one may rest. */
struct world {
	struct http2 *h;
	nghttp2_session *guest, *server;
	struct buf guest_in, guest_out, server_in, server_out;
	bool server_rests;
	unsigned refused, closed, seen;
	size_t before; /* held without any stream */
};

static char filler[HEAD_BYTES];

static nghttp2_nv nv(const char *name, const char *value, size_t n)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), n,
			     NGHTTP2_NV_FLAG_NO_INDEX };
}

static int on_guest_close(nghttp2_session *s, int32_t id, uint32_t code, void *ud)
{
	struct world *w = ud;

	(void)s;
	(void)id;
	w->closed++;
	w->refused += code == NGHTTP2_REFUSED_STREAM;
	return 0;
}

/* The server answers each request at once. */
static int on_server_frame(nghttp2_session *s, const nghttp2_frame *f, void *ud)
{
	nghttp2_nv status = nv(":status", "204", 3);
	struct world *w = ud;

	if (f->hd.type != NGHTTP2_HEADERS)
		return 0;
	w->seen++;
	return nghttp2_submit_response(s, f->hd.stream_id, &status, 1, NULL);
}

static void give(nghttp2_session *s, struct buf *to)
{
	const uint8_t *p;
	ssize_t n;

	while (buf_room(to) > 64 * KIB && (n = nghttp2_session_mem_send(s, &p)) > 0)
		if (buf_append(to, p, (size_t)n) < 0)
			abort();
}

static void take(nghttp2_session *s, struct buf *from)
{
	ssize_t n = buf_len(from) ? nghttp2_session_mem_recv(s, buf_data(from), buf_len(from)) : 0;

	if (n < 0)
		abort();
	if (n)
		buf_consume(from, (size_t)n);
}

static bool turn(struct world *w)
{
	give(w->guest, &w->guest_in);
	give(w->server, &w->server_in);
	if (http2_move(w->h, &w->guest_in, &w->guest_out, &w->server_in, &w->server_out, false, false) < 0)
		return false;
	take(w->guest, &w->guest_out);
	if (!w->server_rests)
		take(w->server, &w->server_out);
	return true;
}

static void begin(struct world *w, const struct secret_set *set)
{
	nghttp2_session_callbacks *c;

	*w = (struct world){ .h = http2_new(set, "a.example", 443, false) };
	w->guest_in = w->server_in = BUF_INIT(256 * KIB);
	w->guest_out = w->server_out = BUF_INIT(160 * KIB);
	if (!w->h || nghttp2_session_callbacks_new(&c) != 0)
		abort();
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_guest_close);
	if (nghttp2_session_client_new(&w->guest, c, w) != 0)
		abort();
	nghttp2_session_callbacks_set_on_stream_close_callback(c, NULL);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_server_frame);
	if (nghttp2_session_server_new(&w->server, c, w) != 0)
		abort();
	nghttp2_session_callbacks_del(c);
	nghttp2_submit_settings(w->guest, 0, NULL, 0);
	nghttp2_submit_settings(w->server, 0, NULL, 0);
	turn(w);
	turn(w);
	w->before = http2_held(w->h);
}

static void end(struct world *w)
{
	http2_free(w->h);
	nghttp2_session_del(w->guest);
	nghttp2_session_del(w->server);
	buf_fini(&w->guest_in);
	buf_fini(&w->guest_out);
	buf_fini(&w->server_in);
	buf_fini(&w->server_out);
}

static void ask(struct world *w, size_t filling)
{
	nghttp2_nv v[] = {
		nv(":method", "GET", 3), nv(":scheme", "https", 5), nv(":authority", "a.example", 9), nv(":path", "/", 1),
		nv("x-filler", filler, filling),
	};

	if (nghttp2_submit_request(w->guest, NULL, v, ARRAY_SIZE(v), NULL, NULL) < 0)
		abort();
}

static void test_heads(const struct secret_set *set)
{
	struct world w;
	unsigned i;

	begin(&w, set);
	w.server_rests = true;
	for (i = 0; i < ASKED; i++)
		ask(&w, HEAD_BYTES);
	for (i = 0; i < 500 && turn(&w); i++)
		;
	is_int(i, 500, "many heads, while the server takes nothing");
	ok(http2_held(w.h) < w.before + HELD_MAX, "hold %zu bytes", http2_held(w.h) - w.before);
	ok(w.refused > ASKED / 2 && w.refused == w.closed, "%u are refused, so that they can be asked again", w.refused);
	w.server_rests = false;
	for (i = 0; i < 500 && turn(&w); i++)
		;
	is_int(w.seen, ASKED - w.refused, "the others come to the server when it reads");
	is_int(w.closed, ASKED, "and are answered");
	is_int((long)http2_held(w.h), (long)w.before, "nothing is left of it");
	for (i = 0; i < ASKED; i++)
		ask(&w, 100);
	for (i = 0; i < 500 && turn(&w); i++)
		;
	ok(w.closed == 2 * ASKED && w.seen == 2 * ASKED - w.refused, "and it goes on");
	end(&w);
}

int main(void)
{
	static struct secret_set set;

	memset(filler, 'x', sizeof(filler));
	test_heads(&set);
	return tap_done();
}
