/*
 * The first message of a TLS client, ClientHello (RFC 8446, 4.1.2): for which name it comes, and what it wants to
 * speak. It is a stranger's, and nothing in it is proved.
 */
#ifndef NET_HELLO_H
#define NET_HELLO_H

#include "base/base.h"
#include "wire/netspec.h"

#define HELLO_MAX (64 * KIB) /* with the headers of its records: who has read so much and no ClientHello, gets none */

struct hello {
	char name[NET_NAME_MAX + 1]; /* of SNI, lower case, without the last dot; "": it has none */
	bool ech;                    /* there is an encrypted one in it, which may have another name (or is GREASE) */
	bool early;                  /* data may come behind it before the server has answered */
	size_t end;                  /* of its last record, in which there is nothing else */
	bool h2, http1;              /* offered by ALPN */
	bool offers;                 /* something by ALPN */
	const uint8_t *alpn;         /* borrowed from the bytes, if they hold it in one piece: what ALPN offers, as */
	size_t alpn_len;             /* OpenSSL takes it (each with its length before it); NULL: nothing */
};

/* 0: *ret is filled; -EAGAIN: so far it is one, and more bytes are needed; -EBADMSG: it is none, or malformed. */
int hello_parse(const uint8_t *p, size_t n, struct hello *ret) MUST_CHECK;

/* Do these bytes, which begin a record with handshake messages, begin with a ClientHello? 1, 0, -EAGAIN. What is
 * encrypted looks like one by chance, once in millions of times. */
int hello_begins(const uint8_t *p, size_t n) MUST_CHECK;

#endif
