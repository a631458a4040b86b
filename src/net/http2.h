/* HTTP/2 of a connection to a secret's host: values go into requests, and come out of answers. No I/O. */
#ifndef NET_HTTP2_H
#define NET_HTTP2_H

#include "base/buf.h"
#include "net/refusal.h"
#include "net/secrets.h"

struct http2; /* opaque */

/* `name`, `port`: what the connection is to; all is borrowed. `wide`: each side may have sent 1 MiB that the other one
 * has not taken, which is for speed; else 64 KiB. `refused` hears of each request that is refused. NULL: no memory. */
struct http2 *http2_new(const struct secret_set *set, const char *name, uint16_t port, bool wide, refusal_fn *refused,
			void *ud);
void http2_free(struct http2 *h); /* also NULL */

/* Takes what the guest and the server have sent, and gives what they are to get; the last two say that one of them
 * sends no more. 0, or negative: the connection is beyond help. */
int http2_move(struct http2 *h, struct buf *guest_in, struct buf *guest_out, struct buf *server_in,
	       struct buf *server_out, bool guest_eof, bool server_eof) MUST_CHECK;

size_t http2_held(const struct http2 *h); /* bytes: those that both sides may send, and heads */
bool http2_over(const struct http2 *h); /* nothing more comes: once all is sent, it may be closed */

#endif
