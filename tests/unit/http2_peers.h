/* HTTP/2 on its way through, with nghttp2 as the guest and as the server, and what is under way between the three. */
#ifndef UNIT_HTTP2_PEERS_H
#define UNIT_HTTP2_PEERS_H

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "net/http2.h"

struct http2_peers {
	struct http2 *h;
	nghttp2_session *guest, *server;
	struct buf guest_in, guest_out, server_in, server_out; /* as boxlite-net sees them */
	int k; /* < 0: it has failed */
};

/* The next that a session has to say (some frames, one of them with data at most), if there is room: whether there was
 * any. So it is a test's own where frames of data end. */
static inline bool http2_peer_says(nghttp2_session *s, struct buf *to)
{
	const uint8_t *p;
	ssize_t n = buf_room(to) > 64 * KIB ? nghttp2_session_mem_send(s, &p) : 0;

	if (n > 0 && buf_append(to, p, (size_t)n) < 0)
		abort();
	return n > 0;
}

/* What there is for it: whether that was anything. */
static inline bool http2_peer_hears(struct http2_peers *p, nghttp2_session *s, struct buf *from)
{
	ssize_t n = buf_len(from) ? nghttp2_session_mem_recv(s, buf_data(from), buf_len(from)) : 0;

	if (n < 0)
		p->k = (int)n;
	else if (n > 0)
		buf_consume(from, (size_t)n);
	return n > 0;
}

/* One turn of all three: whether anything has moved. A server that rests hears nothing. */
static inline bool http2_peers_turn(struct http2_peers *p, bool server_rests)
{
	bool moved = http2_peer_says(p->guest, &p->guest_in) | http2_peer_says(p->server, &p->server_in);

	if (p->k == 0)
		p->k = http2_move(p->h, &p->guest_in, &p->guest_out, &p->server_in, &p->server_out, false, false);
	moved |= http2_peer_hears(p, p->guest, &p->guest_out);
	if (!server_rests)
		moved |= http2_peer_hears(p, p->server, &p->server_out);
	return moved && p->k == 0;
}

static inline void http2_peers_fini(struct http2_peers *p)
{
	http2_free(p->h);
	nghttp2_session_del(p->guest);
	nghttp2_session_del(p->server);
	buf_fini(&p->guest_in);
	buf_fini(&p->guest_out);
	buf_fini(&p->server_in);
	buf_fini(&p->server_out);
}

#endif
