/* The Internet checksum (RFC 1071). Sums are of 16-bit words as they lie in memory, so no byte is swapped. */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#include <string.h>

#include "base/base.h"

static inline uint32_t checksum_reduce(uint64_t s)
{
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint32_t)s;
}

/* Adds n bytes to a sum of at most 17 bits. All pieces but the last of one checksum have an even length. */
static inline uint32_t checksum_add(uint32_t sum, const void *from, size_t n)
{
	const uint8_t *p = from;
	uint64_t s = sum, t = 0;
	uint32_t w[4];
	uint16_t last = 0;

	for (; n >= sizeof(w); p += sizeof(w), n -= sizeof(w)) {
		memcpy(w, p, sizeof(w));
		s += (uint64_t)w[0] + w[1];
		t += (uint64_t)w[2] + w[3];
	}
	for (; n >= sizeof(last); p += sizeof(last), n -= sizeof(last)) {
		memcpy(&last, p, sizeof(last));
		s += last;
	}
	if (n) {
		last = 0;
		memcpy(&last, p, 1);
		s += last;
	}
	return checksum_reduce(s + t);
}

/* The field's value. */
static inline uint16_t checksum_fold(uint32_t sum)
{
	return (uint16_t)~checksum_reduce(sum);
}

#endif
