#include "base/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING_FIRST 4096

void ring_fini(struct ring *r)
{
	if (r->mem)
		explicit_bzero(r->mem, r->cap);
	free(r->mem);
	*r = RING_INIT(r->max);
}

/* Room for n bytes in all. */
static int grow(struct ring *r, size_t n)
{
	size_t cap = r->cap ? r->cap : MIN(RING_FIRST, r->max);
	uint8_t *mem;

	while (cap < n)
		cap *= 2;
	if (cap == r->cap)
		return 0;
	mem = malloc(cap);
	if (!mem)
		return -ENOMEM;
	ring_copy(r, mem, r->len);
	if (r->mem)
		explicit_bzero(r->mem, r->cap);
	free(r->mem);
	r->mem = mem;
	r->cap = cap;
	r->head = 0;
	return 0;
}

/* The n bytes from `at` on, filled or not. */
static unsigned pieces(const struct ring *r, size_t at, size_t n, struct iovec v[2])
{
	size_t from = (r->head + at) & (r->cap - 1), first = MIN(n, r->cap - from);

	v[0] = (struct iovec){ r->mem + from, first };
	v[1] = (struct iovec){ r->mem, n - first };
	return n > first ? 2 : 1;
}

int ring_put(struct ring *r, const void *p, size_t n)
{
	struct iovec v[2];

	if (n == 0)
		return 0;
	if (grow(r, r->len + n) < 0)
		return -ENOMEM;
	pieces(r, r->len, n, v);
	memcpy(v[0].iov_base, p, v[0].iov_len);
	memcpy(v[1].iov_base, (const uint8_t *)p + v[0].iov_len, v[1].iov_len);
	r->len += n;
	return 0;
}

unsigned ring_look(const struct ring *r, size_t at, size_t n, struct iovec v[2])
{
	return n ? pieces(r, at, n, v) : 0;
}

void ring_copy(const struct ring *r, void *to, size_t n)
{
	struct iovec v[2];
	unsigned i, k = ring_look(r, 0, n, v);

	for (i = 0; i < k; i++) {
		memcpy(to, v[i].iov_base, v[i].iov_len);
		to = (uint8_t *)to + v[i].iov_len;
	}
}

void ring_drop(struct ring *r, size_t n)
{
	r->len -= n;
	r->head = r->len ? (r->head + n) & (r->cap - 1) : 0;
}
