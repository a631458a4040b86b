/* A file of the templates folder: what is understood is in its limits, and is written as it was read. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/template.h"

static void check_head(const uint8_t *page, const struct template_head *h)
{
	uint8_t copy[TEMPLATE_PAGE];
	char name[TEMPLATE_NAME_MAX];
	size_t used = 40 + strlen(h->key);

	if (h->extents > TEMPLATE_EXTENTS_MAX || h->memory_bytes > TEMPLATE_MEMORY_MAX ||
	    h->state_at < template_memory_at(h->extents) || h->state_at + h->state_len > INT64_MAX)
		abort();
	/* Behind the key may be anything. */
	if (template_put_head(copy, h) < 0 || memcmp(copy, page, used) != 0)
		abort();
	template_name(h->key, name);
	if (strlen(name) != strlen("machine-") + 16)
		abort();
}

static void check_extents(const uint8_t *p, uint32_t n, uint64_t memory_bytes)
{
	struct template_extent *list = calloc((size_t)n + 1, sizeof(*list));
	struct buf out = BUF_INIT((size_t)n * 16);
	uint64_t end = 0;
	uint32_t i;

	if (list && template_get_extents(p, n, memory_bytes, list) == 0)
		for (i = 0; i < n; i++) {
			if (list[i].at < end || list[i].at > memory_bytes || list[i].len > memory_bytes - list[i].at ||
			    list[i].at % TEMPLATE_PAGE || list[i].len % TEMPLATE_PAGE || !list[i].len)
				abort();
			end = list[i].at + list[i].len;
			if (template_put_extent(&out, &list[i]) < 0 || memcmp(buf_data(&out), p, buf_len(&out)) != 0)
				abort();
		}
	buf_fini(&out);
	free(list);
}

/* The page of the head, then as many extents as there are: a file that is cut off fails before that. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t page[TEMPLATE_PAGE] = { 0 };
	struct template_head h;
	size_t extents = size < sizeof(page) ? 0 : (size - sizeof(page)) / 16;

	if (size)
		memcpy(page, data, MIN(size, sizeof(page)));
	if (template_get_head(page, &h) < 0)
		return 0;
	check_head(page, &h);
	if (extents)
		check_extents(data + sizeof(page), (uint32_t)MIN(extents, h.extents), h.memory_bytes);
	return 0;
}
