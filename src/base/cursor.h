/*
 * Bounded cursors over bytes: `struct rd` reads what a stranger wrote,
 * `struct wr` writes into a fixed area. Neither can overrun. A read past the
 * end returns zero and sets `bad`; the caller checks `bad` once at the end.
 * All integers of ours are little-endian on the wire and on disk; those of the
 * Internet's protocols are big-endian (rd_be16() and so on).
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <string.h>

#include "base/base.h"

struct rd {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct rd rd_over(const void *p, size_t n)
{
	return (struct rd){ .p = p, .end = n ? (const uint8_t *)p + n : p };
}

static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

/* The next n bytes, or NULL (and bad) when there are fewer. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *at = r->p;

	if (n > rd_left(r)) {
		r->bad = true;
		r->p = r->end;
		return NULL;
	}
	if (n)
		r->p += n;
	return at;
}

static inline uint64_t rd_le(struct rd *r, unsigned bytes)
{
	const uint8_t *at = rd_bytes(r, bytes);
	uint64_t v = 0;
	unsigned i;

	for (i = 0; at && i < bytes; i++)
		v |= (uint64_t)at[i] << (8 * i);
	return v;
}

static inline uint8_t rd_u8(struct rd *r) { return (uint8_t)rd_le(r, 1); }
static inline uint16_t rd_u16(struct rd *r) { return (uint16_t)rd_le(r, 2); }
static inline uint32_t rd_u32(struct rd *r) { return (uint32_t)rd_le(r, 4); }
static inline uint64_t rd_u64(struct rd *r) { return rd_le(r, 8); }

static inline uint64_t rd_be(struct rd *r, unsigned bytes)
{
	const uint8_t *at = rd_bytes(r, bytes);
	uint64_t v = 0;
	unsigned i;

	for (i = 0; at && i < bytes; i++)
		v = v << 8 | at[i];
	return v;
}

static inline uint16_t rd_be16(struct rd *r) { return (uint16_t)rd_be(r, 2); }
static inline uint32_t rd_be32(struct rd *r) { return (uint32_t)rd_be(r, 4); }

/* A string with its NUL, borrowed from the bytes; "" (and bad) when there is no NUL. */
static inline const char *rd_str(struct rd *r)
{
	const uint8_t *nul = rd_left(r) ? memchr(r->p, 0, rd_left(r)) : NULL;

	if (!nul) {
		r->bad = true;
		return "";
	}
	return (const char *)rd_bytes(r, (size_t)(nul - r->p) + 1);
}

/* Read to the end, and not beyond it. */
static inline bool rd_done(const struct rd *r)
{
	return !r->bad && r->p == r->end;
}

struct wr {
	uint8_t *p, *end;
	bool bad;
};

static inline struct wr wr_over(void *p, size_t n)
{
	return (struct wr){ .p = p, .end = (uint8_t *)p + n };
}

static inline void wr_bytes(struct wr *w, const void *from, size_t n)
{
	if (n > (size_t)(w->end - w->p)) {
		w->bad = true;
		w->p = w->end;
		return;
	}
	if (n)
		memcpy(w->p, from, n);
	w->p += n;
}

static inline void wr_le(struct wr *w, uint64_t v, unsigned bytes)
{
	uint8_t tmp[8];
	unsigned i;

	for (i = 0; i < bytes; i++)
		tmp[i] = (uint8_t)(v >> (8 * i));
	wr_bytes(w, tmp, bytes);
}

static inline void wr_u8(struct wr *w, uint8_t v) { wr_le(w, v, 1); }
static inline void wr_u16(struct wr *w, uint16_t v) { wr_le(w, v, 2); }
static inline void wr_u32(struct wr *w, uint32_t v) { wr_le(w, v, 4); }
static inline void wr_u64(struct wr *w, uint64_t v) { wr_le(w, v, 8); }

static inline void wr_be(struct wr *w, uint64_t v, unsigned bytes)
{
	uint8_t tmp[8];
	unsigned i;

	for (i = 0; i < bytes; i++)
		tmp[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	wr_bytes(w, tmp, bytes);
}

static inline void wr_be16(struct wr *w, uint16_t v) { wr_be(w, v, 2); }
static inline void wr_be32(struct wr *w, uint32_t v) { wr_be(w, v, 4); }

/* With its NUL; NULL is written as "". */
static inline void wr_str(struct wr *w, const char *s)
{
	wr_bytes(w, s ? s : "", s ? strlen(s) + 1 : 1);
}

#endif
