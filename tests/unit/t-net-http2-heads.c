/* HTTP/2 of a guest that asks for more than the server takes: what is held has a bound, and other streams go on. */
#include "http2_peers.h"
#include "lib/tap.h"
#include "refusals.h"
#include "net/http1.h"

#define HEAD_BYTES 50000
#define ASKED 90
#define HELD_MAX (512 * KIB) /* of heads */

struct world {
	struct http2_peers p;
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

/* Until nothing moves any more: 0, or what has failed. */
static int turns(struct world *w, bool server_rests)
{
	while (http2_peers_turn(&w->p, server_rests))
		;
	return w->p.k;
}

static void begin(struct world *w, const struct secret_set *set)
{
	nghttp2_session_callbacks *c;

	*w = (struct world){ .p.h = http2_new(set, "a.example", 443, false, on_refusal, NULL) };
	w->p.guest_in = w->p.server_in = BUF_INIT(256 * KIB);
	w->p.guest_out = w->p.server_out = BUF_INIT(160 * KIB);
	if (!w->p.h || nghttp2_session_callbacks_new(&c) != 0)
		abort();
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_guest_close);
	if (nghttp2_session_client_new(&w->p.guest, c, w) != 0)
		abort();
	nghttp2_session_callbacks_set_on_stream_close_callback(c, NULL);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_server_frame);
	if (nghttp2_session_server_new(&w->p.server, c, w) != 0)
		abort();
	nghttp2_session_callbacks_del(c);
	nghttp2_submit_settings(w->p.guest, 0, NULL, 0);
	nghttp2_submit_settings(w->p.server, 0, NULL, 0);
	turns(w, false);
	w->before = http2_held(w->p.h);
}

static void ask(struct world *w, size_t filling)
{
	nghttp2_nv v[] = {
		nv(":method", "GET", 3), nv(":scheme", "https", 5), nv(":authority", "a.example", 9), nv(":path", "/", 1),
		nv("x-filler", filler, filling),
	};

	if (nghttp2_submit_request(w->p.guest, NULL, v, ARRAY_SIZE(v), NULL, NULL) < 0)
		abort();
}

static void test_heads(const struct secret_set *set)
{
	struct world w;
	unsigned i;

	begin(&w, set);
	for (i = 0; i < ASKED; i++)
		ask(&w, HEAD_BYTES);
	is_int(turns(&w, true), 0, "many heads, while the server takes nothing");
	ok(http2_held(w.p.h) < w.before + HELD_MAX, "hold %zu bytes", http2_held(w.p.h) - w.before);
	ok(w.refused > ASKED / 2 && w.refused == w.closed, "%u are refused, so that they can be asked again", w.refused);
	turns(&w, false);
	is_int(w.seen, ASKED - w.refused, "the others come to the server when it reads");
	is_int(w.closed, ASKED, "and are answered");
	is_int((long)http2_held(w.p.h), (long)w.before, "nothing is left of it");
	for (i = 0; i < ASKED; i++)
		ask(&w, 100);
	turns(&w, false);
	ok(w.closed == 2 * ASKED && w.seen == 2 * ASKED - w.refused, "and it goes on");
	ok(was_refused(""), "which is no refusal to be told");
	http2_peers_fini(&w.p);
}

int main(void)
{
	static struct secret_set set;

	memset(filler, 'x', sizeof(filler));
	test_heads(&set);
	return tap_done();
}
