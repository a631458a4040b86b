#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUF_FIRST 512 /* the smallest allocation */

void buf_init(struct buf *b, size_t max)
{
	*b = BUF_INIT(max);
}

void buf_fini(struct buf *b)
{
	free(b->mem);
	*b = BUF_INIT(b->max);
}

static void slide_to_front(struct buf *b)
{
	if (b->head == 0)
		return;
	memmove(b->mem, b->mem + b->head, buf_len(b));
	b->tail -= b->head;
	b->head = 0;
}

/* Makes room for n bytes behind the tail, which may pass the ceiling by one (for a NUL). */
static int grow(struct buf *b, size_t n)
{
	size_t need = buf_len(b) + n, cap = b->cap ? b->cap : BUF_FIRST;
	uint8_t *mem;

	if (b->cap - b->tail >= n)
		return 0;
	/* Sliding is cheap while little is queued; otherwise it would be quadratic. */
	if (need <= b->cap && b->head >= b->cap / 2) {
		slide_to_front(b);
		return 0;
	}
	while (cap < need)
		cap *= 2;
	mem = malloc(cap);
	if (!mem)
		return -ENOMEM;
	/* What is left behind may be a secret, and nobody else could wipe it. It is cheap: a byte is copied once. */
	if (b->mem) {
		memcpy(mem, buf_data(b), buf_len(b));
		explicit_bzero(b->mem, b->cap);
	}
	b->tail -= b->head;
	b->head = 0;
	free(b->mem);
	b->mem = mem;
	b->cap = cap;
	return 0;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (n > buf_room(b) || grow(b, n) < 0)
		return NULL;
	return b->mem + b->tail;
}

void buf_commit(struct buf *b, size_t n)
{
	b->tail += n;
}

int buf_append(struct buf *b, const void *p, size_t n)
{
	uint8_t *to;

	if (n == 0)
		return 0;
	if (n > buf_room(b))
		return -ENOBUFS;
	to = buf_reserve(b, n);
	if (!to)
		return -ENOMEM;
	memcpy(to, p, n);
	b->tail += n;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n, r = 0;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0)
		r = -EINVAL;
	else if ((size_t)n > buf_room(b))
		r = -ENOBUFS;
	else
		r = grow(b, (size_t)n + 1);
	if (r == 0) {
		vsnprintf((char *)b->mem + b->tail, (size_t)n + 1, fmt, again);
		b->tail += (size_t)n;
	}
	va_end(again);
	va_end(ap);
	return r;
}

void buf_consume(struct buf *b, size_t n)
{
	b->head += n;
	if (b->head == b->tail)
		b->head = b->tail = 0;
}

char *buf_str(struct buf *b)
{
	if (grow(b, 1) < 0)
		return NULL;
	b->mem[b->tail] = 0;
	return (char *)buf_data(b);
}

ssize_t buf_read_fd(struct buf *b, int fd, size_t most)
{
	size_t n = MIN(most, buf_room(b));
	uint8_t *to;
	ssize_t got;

	if (n == 0)
		return -ENOBUFS;
	to = buf_reserve(b, n);
	if (!to)
		return -ENOMEM;
	do
		got = read(fd, to, n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	b->tail += (size_t)got;
	return got;
}

ssize_t buf_write_fd(struct buf *b, int fd)
{
	ssize_t put;

	do
		put = write(fd, buf_data(b), buf_len(b));
	while (put < 0 && errno == EINTR);
	if (put < 0)
		return -errno;
	buf_consume(b, (size_t)put);
	return put;
}
