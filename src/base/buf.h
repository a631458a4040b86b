/*
 * A byte queue that grows up to a ceiling given at birth: append at the tail,
 * consume at the head. There is no constructor without a maximum, so no peer
 * can make one balloon.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <sys/types.h>

#include "base/base.h"

struct buf {
	uint8_t *mem;  /* owned */
	size_t head;   /* first byte not yet consumed */
	size_t tail;   /* one past the last byte */
	size_t cap;    /* bytes allocated */
	size_t max;    /* ceiling of tail - head */
};

#define BUF_INIT(maximum) ((struct buf){ .max = (maximum) })

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b); /* frees; the buffer is empty and usable again */

static inline size_t buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

static inline size_t buf_room(const struct buf *b)
{
	return b->max - buf_len(b);
}

static inline uint8_t *buf_data(const struct buf *b)
{
	return b->mem ? b->mem + b->head : NULL; /* NULL + 0 is not C */
}

/* Space for n more bytes at the tail, to be filled and then buf_commit()ed.
 * NULL with nothing changed when the ceiling would be passed or memory is out. */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* Appends; -ENOBUFS past the ceiling, -ENOMEM. Nothing is appended on failure. */
int buf_append(struct buf *b, const void *p, size_t n) MUST_CHECK;
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

/* Drops n bytes (n <= buf_len) from the head. */
void buf_consume(struct buf *b, size_t n);

/* Terminates the content with a NUL that does not count; NULL when memory is out. */
char *buf_str(struct buf *b);

/* read(2) once, up to `most` bytes or the room left: count, 0 at end of file,
 * -ENOBUFS without room, else -errno (-EAGAIN included). */
ssize_t buf_read_fd(struct buf *b, int fd, size_t most);

/* write(2) once from the head and consume what was taken: count or -errno. */
ssize_t buf_write_fd(struct buf *b, int fd);

#define auto_buf __attribute__((cleanup(buf_fini)))

#endif
