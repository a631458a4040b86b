/* Messages of DNS, written by hand, for tests. */
#ifndef TESTS_UNIT_DNS_H
#define TESTS_UNIT_DNS_H

#include <string.h>

#include "base/cursor.h"

struct message {
	uint8_t b[8192];
	struct wr w;
};

static inline size_t message_len(const struct message *m)
{
	return (size_t)(m->w.p - m->b);
}

/* "www.example.com" as labels. */
static inline void put_name(struct message *m, const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");

		wr_u8(&m->w, (uint8_t)n);
		wr_bytes(&m->w, name, n);
		name += n + (name[n] == '.');
	}
	wr_u8(&m->w, 0);
}

static inline void put_head(struct message *m, uint16_t id, uint16_t flags, uint16_t answers, uint16_t extras)
{
	m->w = wr_over(m->b, sizeof(m->b));
	wr_be16(&m->w, id);
	wr_be16(&m->w, flags);
	wr_be16(&m->w, 1);
	wr_be16(&m->w, answers);
	wr_be16(&m->w, 0);
	wr_be16(&m->w, extras);
}

static inline void put_question(struct message *m, const char *name, uint16_t type)
{
	put_name(m, name);
	wr_be16(&m->w, type);
	wr_be16(&m->w, 1);
}

static inline void put_data(struct message *m, uint16_t type, uint32_t ttl, const void *data, size_t n)
{
	wr_be16(&m->w, type);
	wr_be16(&m->w, 1);
	wr_be32(&m->w, ttl);
	wr_be16(&m->w, (uint16_t)n);
	wr_bytes(&m->w, data, n);
}

static inline void put_a(struct message *m, const char *name, uint32_t ttl, uint8_t last)
{
	const uint8_t data[4] = { 198, 51, 100, last };

	put_name(m, name);
	put_data(m, 1, ttl, data, sizeof(data));
}

static inline void put_cname(struct message *m, const char *name, uint32_t ttl, const char *to)
{
	struct message data;

	data.w = wr_over(data.b, sizeof(data.b));
	put_name(&data, to);
	put_name(m, name);
	put_data(m, 5, ttl, data.b, message_len(&data));
}

/* OPT: longest answer by UDP. */
static inline void put_edns(struct message *m, uint16_t udp_max)
{
	wr_u8(&m->w, 0);
	wr_be16(&m->w, 41);
	wr_be16(&m->w, udp_max);
	wr_be32(&m->w, 0);
	wr_be16(&m->w, 0);
}

#endif
