/*
 * Two sessions of nghttp2: towards the guest we are the server, towards the server the client. A stream of the guest
 * is a stream of the server's connection; its head is understood, changed and sent anew (http2_head.c), its body
 * passes with the windows of both (http2_body.c).
 *
 *	guest session --head, body--> struct stream --> server session
 *	              <--head, body--               <--
 *
 * A stream is gone when both sessions have closed it: what ends early at one side is reset at the other. When the
 * server goes (GOAWAY, end of file), so do we towards the guest, which then makes a new connection. There is no push,
 * and no CONNECT, so no WebSocket: who wants one asks by HTTP/1.1.
 */
#include "net/http2_impl.h"

#include <errno.h>
#include <stdlib.h>

#define OUT_ROOM (128 * KIB) /* what nghttp2 is asked for at once fits into it */

static void stream_free(struct stream *s)
{
	LIST_REMOVE(s, link);
	s->h->n--;
	half_fini(&s->up);
	half_fini(&s->down);
	fields_clear(&s->from_guest);
	fields_clear(&s->from_server);
	free(s);
}

static struct stream *stream_new(struct http2 *h, int32_t id)
{
	struct stream *s = h->n < STREAMS_ALL_MAX ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return NULL;
	s->h = h;
	s->guest_id = id;
	s->server_id = -1;
	half_init(&s->up, s, h->guest, h->server);
	half_init(&s->down, s, h->server, h->guest);
	LIST_INSERT_HEAD(&h->streams, s, link);
	h->n++;
	return s;
}

/* Ours, of an id of this session; NULL: it is gone. */
static struct stream *find(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* --- what both sessions say ------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ud)
{
	struct http2 *h = ud;
	struct stream *s = find(session, frame->hd.stream_id);

	if (session == h->guest && !s && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		s = stream_new(h, frame->hd.stream_id);
		if (!s)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		nghttp2_session_set_stream_user_data(session, s->guest_id, s);
	}
	if (s)
		fields_clear(session == h->guest ? &s->from_guest : &s->from_server);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags, void *ud)
{
	struct http2 *h = ud;
	struct stream *s = find(session, frame->hd.stream_id);
	struct fields *f = !s ? NULL : session == h->guest ? &s->from_guest : &s->from_server;

	(void)flags;
	if (!f || fields_add(f, name, name_len, value, value_len) == 0)
		return 0;
	if (session == h->guest)
		h->refused(h->ud, refusal_reason(431));
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *ud)
{
	struct http2 *h = ud;
	struct stream *s = find(session, id);

	(void)flags;
	if (!s)
		return nghttp2_session_consume(session, id, n);
	return half_receive(session == h->guest ? &s->up : &s->down, p, n);
}

/* The server takes no more requests on this connection: the guest is told so. */
static void leave(struct http2 *h)
{
	if (h->leaving)
		return;
	h->leaving = true;
	nghttp2_submit_goaway(h->guest, 0, nghttp2_session_get_last_proc_stream_id(h->guest), NGHTTP2_NO_ERROR, NULL,
			      0);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ud)
{
	struct http2 *h = ud;
	struct stream *s = frame->hd.stream_id ? find(session, frame->hd.stream_id) : NULL;
	bool last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM, guest = session == h->guest;
	int r = 0;

	if (frame->hd.type == NGHTTP2_GOAWAY && !guest)
		leave(h);
	if (!s)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		r = guest ? head_to_server(s, last) : head_to_guest(s, last);
		if (!guest)
			fields_clear(&s->from_server);
		else if (!s->up.hold) /* else it goes later */
			fields_clear(&s->from_guest);
	} else if (frame->hd.type == NGHTTP2_DATA && last) {
		half_end(guest ? &s->up : &s->down);
	}
	return r < 0 && nghttp2_is_fatal(r) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/*
 * nghttp2 itself refuses a head that is none, and resets its stream or ends the connection. What comes too early or too
 * late is no fault of the request.
 */
static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int why, void *ud)
{
	struct http2 *h = ud;

	(void)frame;
	if (session == h->guest && why != NGHTTP2_ERR_REFUSED_STREAM && why != NGHTTP2_ERR_STREAM_CLOSED)
		h->refused(h->ud, refusal_reason(400));
	return 0;
}

/* A head has left the queue of nghttp2. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ud)
{
	struct http2 *h = ud;
	struct stream *s = frame->hd.type == NGHTTP2_HEADERS ? find(session, frame->hd.stream_id) : NULL;

	if (s)
		half_sent(session == h->guest ? &s->down : &s->up);
	return 0;
}

static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int why, void *ud)
{
	(void)why;
	return on_sent(session, frame, ud);
}

/* What one side has closed the other one closes. */
static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *ud)
{
	struct http2 *h = ud;
	struct stream *s = find(session, id);
	bool guest = session == h->guest;

	if (!s)
		return 0;
	*(guest ? &s->guest_closed : &s->server_closed) = true;
	if (guest && !s->server_closed && s->server_id < 0)
		s->server_closed = true;
	if (guest && !s->server_closed && !h->server_gone)
		nghttp2_submit_rst_stream(h->server, 0, s->server_id, code ? code : NGHTTP2_CANCEL);
	if (!guest && !s->guest_closed && !s->down.over && !s->refused)
		nghttp2_submit_rst_stream(h->guest, 0, s->guest_id, code ? code : NGHTTP2_INTERNAL_ERROR);
	if (s->guest_closed && s->server_closed)
		stream_free(s);
	else if (!guest)
		half_drop(&s->up);
	return 0;
}

/* --- making ----------------------------------------------------------------------------------------------- */

static int make_sessions(struct http2 *h, nghttp2_session_callbacks *c, nghttp2_option *o)
{
	static const nghttp2_settings_entry ours[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_MAX },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 }, /* not of a server's */
	};
	int r;

	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_not_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	r = nghttp2_session_server_new2(&h->guest, c, h, o);
	if (r == 0)
		r = nghttp2_session_client_new2(&h->server, c, h, o);
	if (r == 0)
		r = nghttp2_submit_settings(h->guest, 0, ours, ARRAY_SIZE(ours) - 1);
	if (r == 0)
		r = nghttp2_submit_settings(h->server, 0, ours, ARRAY_SIZE(ours));
	if (r == 0 && h->window == SESSION_WINDOW)
		r = nghttp2_session_set_local_window_size(h->guest, 0, 0, SESSION_WINDOW);
	if (r == 0 && h->window == SESSION_WINDOW)
		r = nghttp2_session_set_local_window_size(h->server, 0, 0, SESSION_WINDOW);
	return r;
}

struct http2 *http2_new(const struct secret_set *set, const char *name, uint16_t port, bool wide, refusal_fn *refused,
			void *ud)
{
	struct http2 *h = calloc(1, sizeof(*h));
	nghttp2_session_callbacks *c = NULL;
	nghttp2_option *o = NULL;
	int r = h ? 0 : -ENOMEM;

	if (h)
		*h = (struct http2){ .set = set, .name = name, .port = port,
				     .window = wide ? SESSION_WINDOW : NARROW_WINDOW, .refused = refused,
				     .ud = ud };
	if (r == 0)
		r = nghttp2_session_callbacks_new(&c);
	if (r == 0)
		r = nghttp2_option_new(&o);
	if (r == 0)
		r = make_sessions(h, c, o);
	nghttp2_session_callbacks_del(c);
	nghttp2_option_del(o);
	if (r == 0)
		return h;
	http2_free(h);
	return NULL;
}

void http2_free(struct http2 *h)
{
	if (!h)
		return;
	while (!LIST_EMPTY(&h->streams))
		stream_free(LIST_FIRST(&h->streams));
	nghttp2_session_del(h->guest);
	nghttp2_session_del(h->server);
	free(h);
}

/* --- moving ----------------------------------------------------------------------------------------------- */

/* Not while what it answers with is not taken: control frames have no window. */
static int receive(struct http2 *h, nghttp2_session *s, struct buf *in, const struct buf *out)
{
	ssize_t n;

	if (!buf_len(in) || buf_room(out) < OUT_ROOM)
		return 0;
	n = nghttp2_session_mem_recv(s, buf_data(in), buf_len(in));
	if (s == h->guest && (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC || n == NGHTTP2_ERR_FLOODED))
		h->refused(h->ud, refusal_reason(400));
	if (n < 0)
		return -EBADMSG;
	buf_consume(in, (size_t)n);
	return 0;
}

static int send_all(nghttp2_session *s, struct buf *out)
{
	while (buf_room(out) >= OUT_ROOM) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(s, &p);

		if (n <= 0)
			return n < 0 ? -EBADMSG : 0;
		if (buf_append(out, p, (size_t)n) < 0)
			return -ENOBUFS;
	}
	return 0;
}

static bool is_idle(nghttp2_session *s)
{
	return !nghttp2_session_want_read(s) && !nghttp2_session_want_write(s);
}

/* The server is gone: streams that have all of their answer still get it. */
static void lose_server(struct http2 *h)
{
	struct stream *s, *next;

	if (h->server_gone)
		return;
	h->server_gone = true;
	leave(h);
	for (s = LIST_FIRST(&h->streams); s; s = next) {
		next = LIST_NEXT(s, link);
		s->server_closed = true;
		if (s->guest_closed)
			stream_free(s);
		else if (!s->down.over && !s->refused)
			nghttp2_submit_rst_stream(h->guest, 0, s->guest_id, NGHTTP2_INTERNAL_ERROR);
	}
}

int http2_move(struct http2 *h, struct buf *guest_in, struct buf *guest_out, struct buf *server_in,
	       struct buf *server_out, bool guest_eof, bool server_eof)
{
	int r = receive(h, h->guest, guest_in, guest_out);

	if (r == 0 && !h->server_gone)
		r = receive(h, h->server, server_in, server_out);
	if (r == 0 && !h->server_gone && ((server_eof && !buf_len(server_in)) || is_idle(h->server)))
		lose_server(h);
	if (r == 0 && !h->server_gone)
		r = send_all(h->server, server_out);
	if (r == 0)
		r = send_all(h->guest, guest_out);
	h->guest_gone |= (guest_eof && !buf_len(guest_in)) || is_idle(h->guest);
	return r;
}

size_t http2_held(const struct http2 *h)
{
	return 2 * h->window + h->heads;
}

bool http2_over(const struct http2 *h)
{
	return h->guest_gone || (h->server_gone && !h->n && !nghttp2_session_want_write(h->guest));
}
