#include "wire/template.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"

static const char magic[8] = { 'B', 'X', 'L', 'M', 'A', 'C', 'H', '1' };

void template_name(const char *key, char out[TEMPLATE_NAME_MAX])
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a: of two keys of one name, one has no template */

	for (; *key; key++)
		hash = (hash ^ (uint8_t)*key) * 0x100000001b3;
	snprintf(out, TEMPLATE_NAME_MAX, "machine-%016" PRIx64, hash);
}

int template_get_head(const uint8_t page[TEMPLATE_PAGE], struct template_head *ret)
{
	struct rd r = rd_over(page, TEMPLATE_PAGE);
	const uint8_t *start = rd_bytes(&r, sizeof(magic)), *key;
	struct template_head h = { .extents = 0 };
	uint32_t key_len = rd_u32(&r);

	h.extents = rd_u32(&r);
	h.memory_bytes = rd_u64(&r);
	h.state_at = rd_u64(&r);
	h.state_len = rd_u64(&r);
	key = key_len < TEMPLATE_KEY_MAX ? rd_bytes(&r, key_len) : NULL;
	if (r.bad || !key || memcmp(start, magic, sizeof(magic)) != 0 || memchr(key, 0, key_len) ||
	    h.extents > TEMPLATE_EXTENTS_MAX || h.memory_bytes > TEMPLATE_MEMORY_MAX ||
	    h.state_at < template_memory_at(h.extents) || h.state_at > INT64_MAX / 2 || h.state_len > INT64_MAX / 2)
		return -EBADMSG;
	memcpy(h.key, key, key_len);
	*ret = h;
	return 0;
}

int template_put_head(uint8_t page[TEMPLATE_PAGE], const struct template_head *h)
{
	size_t key_len = strnlen(h->key, sizeof(h->key));
	struct wr w = wr_over(page, TEMPLATE_PAGE);

	memset(page, 0, TEMPLATE_PAGE);
	wr_bytes(&w, magic, sizeof(magic));
	wr_u32(&w, (uint32_t)key_len);
	wr_u32(&w, h->extents);
	wr_u64(&w, h->memory_bytes);
	wr_u64(&w, h->state_at);
	wr_u64(&w, h->state_len);
	wr_bytes(&w, h->key, key_len);
	return w.bad || key_len == sizeof(h->key) ? -EMSGSIZE : 0;
}

int template_get_extents(const uint8_t *p, uint32_t n, uint64_t memory_bytes, struct template_extent *ret)
{
	struct rd r = rd_over(p, (size_t)n * 16);
	uint64_t end = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct template_extent e;

		e.at = rd_u64(&r);
		e.len = rd_u64(&r);
		if ((e.at | e.len) % TEMPLATE_PAGE || !e.len || e.at < end || e.at > memory_bytes ||
		    e.len > memory_bytes - e.at)
			return -EBADMSG;
		end = e.at + e.len;
		ret[i] = e;
	}
	return 0;
}

int template_put_extent(struct buf *out, const struct template_extent *e)
{
	uint8_t b[16];
	struct wr w = wr_over(b, sizeof(b));

	wr_u64(&w, e->at);
	wr_u64(&w, e->len);
	return buf_append(out, b, sizeof(b));
}
