/* HTTP/2 on its way through, with nghttp2 as guest and as server: bodies that tell their length. */
#include "http2_peers.h"
#include "lib/tap.h"
#include "net/http1.h"
#include "refusals.h"

#define P "boxlite-secret-1"
#define V "v/1+2"
#define STREAMS 40

/* One request, as the guest sends it and as the server gets it. */
struct request {
	size_t length, at; /* what it sends, and has sent */
	size_t place;      /* of the placeholder; == length: none */
	bool tells, expects, waits; /* waits: its last byte is not sent */
	char told[32];     /* content-length at the server */
	struct buf body;   /* at the server */
	bool ended;        /* there */
	uint32_t reset;    /* there, by this code; 0: not */
	int status;        /* of the answer */
};

struct world {
	struct http2_peers p;
	struct request r[STREAMS];
	unsigned n, got;
};

static const struct secret_set *set;
static const char *scheme = "https", *path = "/", *method = "PUT", *host = "api.example"; /* of all requests */

/* --- the guest ---------------------------------------------------------------------------------------------- */

static ssize_t on_read(nghttp2_session *s, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
		       nghttp2_data_source *source, void *ud)
{
	struct request *r = source->ptr;
	size_t end = r->length - r->waits, n = MIN(room, end - r->at), i;

	(void)s;
	(void)id;
	(void)ud;
	if (!n && r->waits)
		return NGHTTP2_ERR_DEFERRED;
	for (i = 0; i < n; i++) {
		size_t k = r->at + i;

		to[i] = k >= r->place && k < r->place + strlen(P) ? (uint8_t)P[k - r->place] : 'x';
	}
	r->at += n;
	if (r->at == r->length)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

#define NV(name, value) { (uint8_t *)(name), (uint8_t *)(value), strlen(name), strlen(value), 0 }

static void ask(struct world *w, size_t length, size_t place, bool tells, bool expects)
{
	struct request *r = &w->r[w->n++];
	nghttp2_data_provider source = { .source.ptr = r, .read_callback = on_read };
	char text[32];
	size_t n = 4;

	*r = (struct request){ .length = length, .place = place, .tells = tells, .expects = expects };
	r->body = BUF_INIT(4 * MIB);
	snprintf(text, sizeof(text), "%zu", length);
	nghttp2_nv v[6] = { NV(":method", method), NV(":scheme", scheme), NV(":authority", host),
			    NV(":path", path) };
	if (tells)
		v[n++] = (nghttp2_nv)NV("content-length", text);
	if (expects)
		v[n++] = (nghttp2_nv)NV("expect", "100-continue");
	if (nghttp2_submit_request(w->p.guest, NULL, v, n, &source, r) < 0)
		w->p.k = -1;
}

/* --- what both see ------------------------------------------------------------------------------------------- */

static int on_begin(nghttp2_session *s, const nghttp2_frame *f, void *ud)
{
	struct world *w = ud;

	/* Which one it is: those that are held whole come in the order in which they are complete. */
	if (s == w->p.server && f->headers.cat == NGHTTP2_HCAT_REQUEST && w->got < w->n)
		nghttp2_session_set_stream_user_data(s, f->hd.stream_id, &w->r[w->got++]);
	return 0;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t n, const uint8_t *value,
		     size_t m, uint8_t flags, void *ud)
{
	struct world *w = ud;
	struct request *r = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);

	(void)flags;
	if (r && s == w->p.server && n == 14 && !memcmp(name, "content-length", n))
		snprintf(r->told, sizeof(r->told), "%.*s", (int)m, (const char *)value);
	if (r && s == w->p.guest && n == 7 && !memcmp(name, ":status", n))
		r->status = atoi((const char *)value);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *ud)
{
	struct request *r = nghttp2_session_get_stream_user_data(s, id);
	struct world *w = ud;

	(void)flags;
	return r && s == w->p.server && buf_append(&r->body, p, n) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *ud)
{
	struct request *r = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);
	struct world *w = ud;
	nghttp2_nv ok[1] = { NV(":status", "200") };

	if (!r || s != w->p.server || !(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	r->ended = true;
	return nghttp2_submit_response(s, f->hd.stream_id, ok, 1, NULL);
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *ud)
{
	struct request *r = nghttp2_session_get_stream_user_data(s, id);
	struct world *w = ud;

	if (r && s == w->p.server)
		r->reset = code;
	return 0;
}

/* --- both ends and what is between them -------------------------------------------------------------------- */

/* reads: the server takes what it gets, and not only its first window. */
static void begin(struct world *w, bool reads)
{
	nghttp2_settings_entry many = { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100 };
	nghttp2_session_callbacks *c = NULL;
	nghttp2_option *o = NULL;

	memset(w, 0, sizeof(*w));
	w->p.h = http2_new(set, "api.example", 443, true, on_refusal, NULL);
	w->p.guest_in = w->p.guest_out = w->p.server_in = w->p.server_out = BUF_INIT(HTTP1_OUT_MAX);
	if (nghttp2_session_callbacks_new(&c) < 0 || nghttp2_option_new(&o) < 0)
		exit(1);
	nghttp2_option_set_no_auto_window_update(o, !reads);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	if (!w->p.h || nghttp2_session_client_new(&w->p.guest, c, w) < 0 ||
	    nghttp2_session_server_new2(&w->p.server, c, w, o) < 0)
		exit(1);
	nghttp2_session_callbacks_del(c);
	nghttp2_option_del(o);
	w->p.k = nghttp2_submit_settings(w->p.guest, 0, NULL, 0) | nghttp2_submit_settings(w->p.server, 0, &many, 1);
}

static void end(struct world *w)
{
	unsigned i;

	http2_peers_fini(&w->p);
	for (i = 0; i < w->n; i++)
		buf_fini(&w->r[i].body);
}

/* Until nothing moves any more. */
static void go(struct world *w)
{
	while (http2_peers_turn(&w->p, false))
		;
}

/* --- tests ---------------------------------------------------------------------------------------------------- */

/* What the guest may send is what it was: no byte's window is lost. */
static bool window_is_whole(const struct world *w)
{
	int32_t n = nghttp2_session_get_remote_window_size(w->p.guest);

	return n > (int32_t)(512 * KIB); /* less than half of it is told later */
}

static void arrives(size_t length, size_t place, bool tells, bool expects, const char *told, const char *what)
{
	static struct world w;
	const struct request *r = &w.r[0];
	size_t want = length - (place < length ? strlen(P) - strlen(V) : 0);

	begin(&w, true);
	ask(&w, length, place, tells, expects);
	go(&w);
	ok(w.p.k == 0 && r->ended && r->status == 200 && buf_len(&r->body) == want, "%s: it arrives (%d, %zu of %zu)", what,
	   w.p.k, buf_len(&r->body), want);
	is_str(r->told, told, "with this length");
	ok(place == length || (buf_len(&r->body) > place && !memcmp(buf_data(&r->body) + place, V, strlen(V))),
	   "and the value");
	ok(was_refused("") && window_is_whole(&w), "nothing is refused, and the window as it was");
	end(&w);
}

static void late(size_t length, size_t place, bool expects, const char *what)
{
	static struct world w;
	const struct request *r = &w.r[0];

	begin(&w, true);
	ask(&w, length, place, true, expects);
	go(&w);
	ok(w.p.k == 0 && !r->ended && r->reset && buf_len(&r->body) <= place, "%s: the server gets no more than that", what);
	ok(!buf_len(&r->body) || !memmem(buf_data(&r->body), buf_len(&r->body), "boxlite", 7), "nothing of it");
	is_int(r->status, 413, "the guest is told");
	ok(was_refused("secret-late "), "and who is to tell it, once");
	ask(&w, 100, 50, true, false);
	go(&w);
	ok(w.p.k == 0 && w.r[1].ended && w.r[1].status == 200 && window_is_whole(&w), "and the connection goes on");
	end(&w);
}

/* An answer to who still sends, and then no more of it. */
static void early(bool tells, const char *what)
{
	static struct world w;
	nghttp2_nv no[1] = { NV(":status", "401") };

	begin(&w, false);
	ask(&w, 3 * MIB, 3 * MIB, tells, false);
	go(&w);
	ok(w.p.k == 0 && w.r[0].at < 2 * MIB && buf_len(&w.r[0].body) == 65535, "%s: what nobody reads waits", what);
	w.p.k = nghttp2_submit_response(w.p.server, 1, no, 1, NULL);
	http2_peer_says(w.p.server, &w.p.server_in);
	w.p.k |= nghttp2_submit_rst_stream(w.p.server, 0, 1, NGHTTP2_NO_ERROR);
	go(&w);
	ok(w.p.k == 0 && !w.r[0].ended && w.r[0].status == 401, "an answer before it is complete");
	ok(w.r[0].at == 3 * MIB && window_is_whole(&w), "who goes on to send is not kept waiting");
	end(&w);
}

/* What is held does not stand in the way of others, and there is an end of it; all is given back. */
static void test_many(void)
{
	static struct world w;
	unsigned i, round, ended = 0, told = 0;

	for (round = 0; round < 2; round++) {
		begin(&w, true);
		for (i = 0; i < STREAMS; i++) {
			ask(&w, 1 * MIB, 5, true, false);
			w.r[i].waits = round == 1;
		}
		go(&w);
		for (i = 0; i < STREAMS && round == 0; i++) {
			ended += w.r[i].ended;
			told += w.r[i].told[0] != 0;
		}
		end(&w); /* the second time while bodies are held */
	}
	is_int(ended, STREAMS, "many at once");
	ok(told >= 32, "most with their lengths (%u)", told);
	arrives(1 * MIB, 3, true, false, "1048565", "after them");
}

/* One of the four is other than it should be: it goes nowhere, the guest gets the status, and it is told why. */
static void refused(const char **field, const char *value, int status, const char *reason, const char *what)
{
	const char *before = *field;
	static struct world w;

	*field = value;
	begin(&w, true);
	ask(&w, 100, 20, true, false);
	go(&w);
	ok(w.p.k == 0 && w.got == 0, "%s goes nowhere", what);
	is_int(w.r[0].status, status, "the guest gets an answer");
	ok(was_refused(reason), "and the reason is told");
	*field = before;
	ask(&w, 100, 20, true, false);
	go(&w);
	ok(w.p.k == 0 && w.r[1].status == 200 && was_refused(""), "the connection goes on");
	end(&w);
}

static void test_refused(void)
{
	static struct world w;
	nghttp2_nv many[HEAD_FIELDS_MAX + 1];
	size_t i;

	scheme = "x"; /* else nghttp2 does not send it */
	/* Who makes HTTP/1.1 of it would read another host than that of :authority. */
	refused(&path, "http://b.example/", 400, "malformed ", "a path that is a whole URL");
	scheme = "https";
	refused(&host, "other.example", 421, "authority ", "a request for another host");
	refused(&method, "TRACE", 405, "method ", "one that asks to be shown");
	begin(&w, true);
	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (nghttp2_nv)NV("x-more", "of them");
	many[0] = (nghttp2_nv)NV(":method", "GET");
	many[1] = (nghttp2_nv)NV(":scheme", "https");
	many[2] = (nghttp2_nv)NV(":authority", "api.example");
	many[3] = (nghttp2_nv)NV(":path", "/");
	ok(nghttp2_submit_request(w.p.guest, NULL, many, ARRAY_SIZE(many), NULL, NULL) > 0, "a head that is too long");
	go(&w);
	ok(w.p.k == 0 && w.got == 0 && was_refused("too-long "), "goes nowhere, and is told");
	end(&w);
	begin(&w, true);
	(void)!buf_append(&w.p.guest_in, "GET / HTTP/1.1\r\nHost: api.example\r\n\r\n", 37);
	go(&w);
	ok(w.p.k < 0 && was_refused("malformed "), "what is no HTTP/2 ends the connection, and is told");
	end(&w);
}

int main(void)
{
	struct net_secrets list = { .n = 1, .v = { { "A", "api.example", P, 443, (const uint8_t *)V, strlen(V) } } };
	struct buf b = BUF_INIT(64 * KIB);
	struct secrets *s = NULL;

	if (wire_put_net_secrets(&b, &list) == 0)
		s = secrets_new(buf_data(&b) + FRAME_HEADER, buf_len(&b) - FRAME_HEADER, NULL);
	buf_fini(&b);
	set = s ? secrets_of(s, "api.example", 443) : NULL;
	if (!set)
		return 1;
	arrives(100, 100, true, false, "100", "a short body");
	arrives(100, 20, true, false, "89", "with a value");
	arrives(100, 20, false, false, "", "without a length");
	arrives(100, 20, true, true, "", "of who waits for the server");
	arrives(1 * MIB, 1 * MIB - strlen(P), true, false, "1048565", "a body of 1 MiB");
	arrives(3 * MIB, 3 * MIB, true, false, "3145728", "a long body");
	arrives(3 * MIB, 1000000, true, false, "3145717", "with a value in its first MiB");
	arrives(3 * MIB, 3 * MIB, true, true, "3145728", "of who waits for the server");
	arrives(3 * MIB, 2 * MIB, false, false, "", "a long one without a length");
	late(3 * MIB, 2 * MIB, false, "a placeholder in the rest");
	late(3 * MIB, 1 * MIB - 3, false, "across its border");
	late(3 * MIB, 3 * MIB - strlen(P), false, "at its end");
	late(3 * MIB, 7, true, "where nothing is held");
	early(true, "a request with a length");
	early(false, "and without");
	test_many();
	test_refused();
	secrets_free(s);
	return tap_done();
}
