/* The file of a saved machine: what is written is read back, and nonsense is refused. */
#include "wire/template.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "lib/tap.h"

#define PAGE ((uint64_t)TEMPLATE_PAGE)
#define MEMORY (256 * MIB)

/* Where a head has what. */
enum { AT_MAGIC = 0, AT_KEY_LEN = 8, AT_EXTENTS = 12, AT_MEMORY = 16, AT_STATE = 24, AT_STATE_LEN = 32, AT_KEY = 40 };

static struct template_head a_head(void)
{
	return (struct template_head){ .key = "kernel 1", .extents = 2, .memory_bytes = MEMORY,
				       .state_at = MEMORY, .state_len = 12345 };
}

static void test_name(void)
{
	char name[TEMPLATE_NAME_MAX], other[TEMPLATE_NAME_MAX];

	/* FNV-1a, as published: a name must not change while files of it are about. */
	template_name("", name);
	is_str(name, "machine-cbf29ce484222325", "the name for no key");
	template_name("a", name);
	is_str(name, "machine-af63dc4c8601ec8c", "the name for a key");
	template_name("\xff", name);
	is_str(name, "machine-af64724c8602eb6e", "bytes are unsigned");
	template_name("ab", name);
	template_name("ba", other);
	ok(strcmp(name, other) != 0, "another key has another name");
	template_name("ab", other);
	is_str(other, name, "the same one the same");
}

static void test_head(void)
{
	struct template_head h = a_head(), got = { .extents = 9 };
	uint8_t page[TEMPLATE_PAGE], all[TEMPLATE_PAGE] = { 0 };
	struct wr w = wr_over(all, sizeof(all));

	memset(page, 0xff, sizeof(page));
	wr_bytes(&w, "BXLMACH1\x08\0\0\0\x02\0\0\0", 16);
	wr_u64(&w, MEMORY);
	wr_u64(&w, MEMORY);
	wr_u64(&w, 12345);
	wr_bytes(&w, "kernel 1", 8);
	is_int(template_put_head(page, &h), 0, "a head is written");
	ok(memcmp(page, all, sizeof(all)) == 0, "as it is described, and the rest is zero");
	is_int(template_get_head(page, &got), 0, "and read");
	ok(!strcmp(got.key, h.key) && got.extents == 2 && got.memory_bytes == MEMORY && got.state_at == MEMORY &&
		   got.state_len == 12345, "to the same");
}

static void test_limits(void)
{
	struct template_head h = a_head(), got;
	uint8_t page[TEMPLATE_PAGE];

	memset(h.key, 'k', TEMPLATE_KEY_MAX - 1);
	h.extents = TEMPLATE_EXTENTS_MAX;
	h.memory_bytes = TEMPLATE_MEMORY_MAX;
	h.state_at = template_memory_at(h.extents);
	is_int(template_put_head(page, &h), 0, "the longest key and the most extents");
	ok(template_get_head(page, &got) == 0 && !strcmp(got.key, h.key) && got.extents == TEMPLATE_EXTENTS_MAX &&
		   got.memory_bytes == TEMPLATE_MEMORY_MAX, "come back");
	h.state_at--;
	ok(template_put_head(page, &h) == 0 && template_get_head(page, &got) == -EBADMSG,
	   "unless the state begins before the memory");
	h.key[TEMPLATE_KEY_MAX - 1] = 'k';
	h.extents = 0;
	is_int(template_put_head(page, &h), -EMSGSIZE, "a key without an end is too long");
	h = (struct template_head){ .memory_bytes = PAGE, .state_at = PAGE };
	ok(template_put_head(page, &h) == 0 && template_get_head(page, &got) == 0 && !*got.key && !got.extents &&
		   got.state_at == PAGE, "no key, no extents and no state");
}

/* What a good head is worth once some bytes of it are others. */
static int get_changed(size_t at, uint64_t value, unsigned bytes)
{
	struct template_head h = a_head(), got, before;
	uint8_t page[TEMPLATE_PAGE];
	struct wr w = wr_over(page + at, bytes);
	int r = template_put_head(page, &h);

	wr_le(&w, value, bytes);
	memset(&got, 0x5a, sizeof(got));
	before = got;
	if (r == 0)
		r = template_get_head(page, &got);
	return r < 0 && memcmp(&got, &before, sizeof(got)) != 0 ? -EINVAL : r;
}

/* The same for a length of the key, with nothing but letters behind the head. */
static int get_key_len(uint32_t len)
{
	struct template_head h = a_head(), got;
	uint8_t page[TEMPLATE_PAGE];
	struct wr w = wr_over(page + AT_KEY_LEN, 4);
	int r = template_put_head(page, &h);

	memset(page + AT_KEY, 'k', sizeof(page) - AT_KEY);
	wr_u32(&w, len);
	if (r == 0)
		r = template_get_head(page, &got);
	return r < 0 || strlen(got.key) == len ? r : -EINVAL;
}

static void test_bad_keys(void)
{
	is_int(get_key_len(TEMPLATE_KEY_MAX - 1), 0, "the longest key");
	is_int(get_key_len(TEMPLATE_KEY_MAX), -EBADMSG, "is too long with one byte more");
	is_int(get_key_len(TEMPLATE_PAGE), -EBADMSG, "or if it does not even fit the page");
	is_int(get_key_len(UINT32_MAX), -EBADMSG, "or any");
	is_int(get_changed(AT_KEY_LEN, 9, 4), -EBADMSG, "a key with a NUL at its end");
	is_int(get_changed(AT_KEY + 3, 0, 1), -EBADMSG, "or inside");
}

static void test_bad_heads(void)
{
	is_int(get_changed(AT_KEY, 'K', 1), 0, "another key is a head");
	is_int(get_changed(AT_MAGIC, 'b', 1), -EBADMSG, "another first byte is none");
	is_int(get_changed(AT_MAGIC + 7, '2', 1), -EBADMSG, "nor is another generation");
	is_int(get_changed(AT_EXTENTS, TEMPLATE_EXTENTS_MAX + 1, 4), -EBADMSG, "too many extents");
	is_int(get_changed(AT_MEMORY, TEMPLATE_MEMORY_MAX + 1, 8), -EBADMSG, "too much memory");
	is_int(get_changed(AT_STATE, 2 * PAGE, 8), 0, "the state may begin where the memory does");
	is_int(get_changed(AT_STATE, 2 * PAGE - 1, 8), -EBADMSG, "not before that");
	is_int(get_changed(AT_STATE, UINT64_MAX, 8), -EBADMSG, "a state where no file reaches");
	is_int(get_changed(AT_STATE_LEN, UINT64_MAX, 8), -EBADMSG, "or of a length that none has");
}

static void test_memory_at(void)
{
	is_int(template_memory_at(0), PAGE, "memory begins behind the head");
	is_int(template_memory_at(1), 2 * PAGE, "and behind the extents");
	is_int(template_memory_at(256), 2 * PAGE, "of which 256 are a page");
	is_int(template_memory_at(257), 3 * PAGE, "and one more is another");
}

/* Writes the extents, then reads them from memory of exactly their size. */
static int get_extents(const struct template_extent *e, uint32_t n, struct template_extent *ret)
{
	struct buf b = BUF_INIT(16 * TEMPLATE_EXTENTS_MAX);
	uint8_t *exact = malloc((size_t)n * 16);
	uint32_t i;
	int r = exact ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < n; i++)
		r = template_put_extent(&b, &e[i]);
	if (r == 0 && buf_len(&b) != (size_t)n * 16)
		r = -EINVAL;
	if (r == 0) {
		memcpy(exact, buf_data(&b), (size_t)n * 16);
		r = template_get_extents(exact, n, MEMORY, ret);
	}
	free(exact);
	buf_fini(&b);
	return r;
}

static void test_extents(void)
{
	static const struct template_extent list[] = {
		{ 0, PAGE }, { 3 * PAGE, 2 * PAGE }, { 5 * PAGE, PAGE }, { MEMORY - 9 * PAGE, 9 * PAGE },
	};
	static const uint8_t bytes[16] = { 0, 0x30, 0, 0, 1, 0, 0, 0, 0, 0x10 };
	struct template_extent got[ARRAY_SIZE(list)] = { { 0 } };
	struct buf b = BUF_INIT(16);

	is_int(get_extents(list, ARRAY_SIZE(list), got), 0, "from the first page to the last, also side by side");
	ok(memcmp(got, list, sizeof(list)) == 0, "extents come back");
	is_int(template_get_extents(NULL, 0, MEMORY, NULL), 0, "none are fine");
	is_int(template_put_extent(&b, &(struct template_extent){ 4 * GIB + 3 * PAGE, PAGE }), 0, "an extent");
	ok(buf_len(&b) == 16 && memcmp(buf_data(&b), bytes, 16) == 0, "is two little-endian numbers");
	is_int(template_put_extent(&b, list), -ENOBUFS, "and keeps its buffer's ceiling");
	buf_fini(&b);
}

static void refused(uint64_t at, uint64_t len, const char *what)
{
	/* Behind one that is good. */
	const struct template_extent list[] = { { 4 * PAGE, 2 * PAGE }, { at, len } };
	struct template_extent got[2];

	is_int(get_extents(list, 2, got), -EBADMSG, what);
}

static void test_bad_extents(void)
{
	refused(3 * PAGE, PAGE, "an extent before the last one");
	refused(4 * PAGE, PAGE, "at the same place");
	refused(5 * PAGE, PAGE, "or over its end");
	refused(8 * PAGE + 8, PAGE, "one that begins within a page");
	refused(8 * PAGE, PAGE + 8, "or ends there");
	refused(8 * PAGE, 0, "one of nothing");
	refused(MEMORY, PAGE, "one behind the memory");
	refused(MEMORY + PAGE, PAGE, "or farther");
	refused(MEMORY - PAGE, 2 * PAGE, "one that reaches out of it");
	refused(8 * PAGE, 0 - PAGE, "one whose length wraps around");
	refused(0 - PAGE, 2 * PAGE, "one whose place does");
}

int main(void)
{
	test_name();
	test_head();
	test_limits();
	test_bad_keys();
	test_bad_heads();
	test_memory_at();
	test_extents();
	test_bad_extents();
	return tap_done();
}
