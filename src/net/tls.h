/*
 * TLS for the proxy: settings for both sides, and one end of a connection, which may also be a plain one: a socket, or
 * one that is in this process. An end is watched by edges: what was said of it is remembered until a call has come to
 * nothing.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"
#include "net/duct.h"

#define TLS_PIECE (16 * KIB) /* of a record, and of one read */

struct tls {
	SSL_CTX *guest, *host; /* owned */
};

/* Loads what the host trusts: before the file system is given up. */
int tls_open(struct tls *t, struct error *err) MUST_CHECK;
void tls_close(struct tls *t);

struct end {
	struct watch watch; /* of its socket, or */
	struct duct duct;
	SSL *ssl; /* owned; NULL: plain */
	bool readable, writable;
	bool eof;    /* it sends no more */
	bool deaf;   /* what is sent is lost; what it has said may still be read */
	bool broken; /* nothing can be read any more */
	bool shut;   /* nor do we, and it has been told */
	struct buf in, out;
};

void end_init(struct end *e, size_t in_max, size_t out_max);
void end_fini(struct end *e, struct loop *l); /* closes; wipes its buffers */
int end_watch(struct end *e, struct loop *l, int fd, watch_fn *fn) MUST_CHECK; /* takes the fd, also on failure */
void end_event(struct end *e, uint32_t events);
int end_set_tls(struct end *e, SSL *ssl) MUST_CHECK; /* it speaks TLS from here on; takes ssl, also on failure */

/* Goes on with a handshake: 1 done, 0 later, -1 it failed. */
int end_shake(struct end *e);

/* Each moves what goes: true if something did, or the end was reached. */
bool end_fill(struct end *e, size_t most); /* reads pieces until they are that many bytes */
bool end_flush(struct end *e);

size_t end_held(const struct end *e); /* bytes of memory in its buffers */
void end_trim(struct end *e);         /* gives back those that are empty, and the duct's */

void end_shut(struct end *e); /* after all is sent: says that no more comes */

#endif
