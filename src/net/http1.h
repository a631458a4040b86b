/*
 * HTTP/1.1 on its way through, request by request. No I/O.
 *
 * To a secret's host: values go into requests, and come out of answers. In the clear: nothing is changed but how bodies
 * are cut into chunks, and each request is asked about.
 */
#ifndef NET_HTTP1_H
#define NET_HTTP1_H

#include "net/http1_body.h"
#include "net/inspect.h"
#include "net/refusal.h"
#include "net/secrets.h"

#define HTTP1_OUT_MAX (512 * KIB) /* of the buffers that are filled here; BODY_ROOM of it is kept for a head */

struct http1; /* opaque */

/* `name`, `port`: what the connection is to; all is borrowed. `refused` hears of each request that is refused. NULL: no
 * memory. */
struct http1 *http1_new(const struct secret_set *set, const char *name, uint16_t port, refusal_fn *refused, void *ud);
/* May a request go on, that is INSPECT_HTTP for this name, or INSPECT_BAD? A no was told by who says it. */
typedef bool http1_may(void *ud, enum inspect what, const char *name);
struct http1 *http1_new_plain(http1_may *may, refusal_fn *refused, void *ud); /* NULL: no memory */
void http1_free(struct http1 *h);

/*
 * Each moves what it can of what is there. `eof`: that side sends no more. 0; -EBADMSG, -ENOBUFS, -ENOMEM, -EPERM: the
 * connection is beyond help. A request that is refused gets its answer with the answers.
 */
int http1_request(struct http1 *h, struct buf *guest, struct buf *server, bool eof) MUST_CHECK;
int http1_answer(struct http1 *h, struct buf *server, struct buf *guest, bool eof) MUST_CHECK;

bool http1_over(const struct http1 *h); /* nothing more comes: once all is sent, it may be closed */

size_t http1_held(const struct http1 *h); /* bytes of memory; bodies that are held whole have a bound of their own */
void http1_trim(struct http1 *h);         /* gives back what is empty */

/* An answer of our own, after which the connection ends. */
int http1_put_refusal(struct buf *guest, unsigned status, const char *why) MUST_CHECK;

#endif
