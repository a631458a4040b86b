/*
 * The head of a message of HTTP/1.1 (RFC 9112), read strictly: whatever another reader could take differently is none.
 */
#ifndef NET_HTTP1_HEAD_H
#define NET_HTTP1_HEAD_H

#include "base/base.h"
#include "base/buf.h"

#define HEAD_MAX (64 * KIB)
#define HEAD_FIELDS_MAX 128

struct text {
	const char *p; /* not terminated; borrowed */
	size_t n;
};

struct head_field {
	struct text name, value; /* the value without space around it */
};

enum framing {
	FRAMING_NONE,    /* no body */
	FRAMING_LENGTH,
	FRAMING_CHUNKED,
	FRAMING_CLOSE,   /* to the end of the connection; of answers only */
};

struct head {
	struct text method, target; /* of a request */
	struct text status_line;    /* of an answer: all of it */
	unsigned status;
	unsigned minor;             /* HTTP/1.minor: 0 or 1 */
	struct head_field fields[HEAD_FIELDS_MAX];
	size_t n;
	enum framing framing; /* as the fields say: FRAMING_NONE of a request, FRAMING_CLOSE of an answer without any */
	uint64_t length;      /* of FRAMING_LENGTH */
};

/* How long the head at the beginning is, with the empty line; 0: more is needed; -EBADMSG: longer than HEAD_MAX. */
ssize_t head_find(const uint8_t *p, size_t n);

/* The head that head_find() has found: 0, -EBADMSG. */
int head_parse(const uint8_t *p, size_t n, bool request, struct head *ret) MUST_CHECK;

bool text_is(struct text t, const char *word); /* in any case */
bool text_has(struct text t, const char *word); /* as an element of a list with commas, in any case */
bool text_length(struct text t, uint64_t *ret); /* digits: less than 2^63 */
const struct head_field *head_get(const struct head *h, const char *name); /* the first of that name */

#endif
