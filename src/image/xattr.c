#include "image/xattr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/cursor.h"
#include "base/str.h"
#include "image/erofs.h"
#include "image/erofs_disk.h"

#define XATTRS_COUNT_MAX 1024

struct xattr {
	uint8_t index;    /* stands for the prefix */
	const char *name; /* after the prefix; borrowed from the archive entry */
	const void *value;
	size_t name_len, value_len;
	int age;          /* place in libarchive's list, which begins with the newest */
};

static const struct {
	const char *prefix;
	uint8_t index;
	bool whole; /* the prefix is all of the name */
} prefixes[] = {
	{ "user.", EROFS_XATTR_USER, false },
	{ "trusted.", EROFS_XATTR_TRUSTED, false },
	{ "security.", EROFS_XATTR_SECURITY, false },
	{ "system.posix_acl_access", EROFS_XATTR_ACL_ACCESS, true },
	{ "system.posix_acl_default", EROFS_XATTR_ACL_DEFAULT, true },
};

/* false: not to be kept */
static bool classify(const char *name, struct xattr *x)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i].prefix);

		if (strncmp(name, prefixes[i].prefix, n))
			continue;
		x->index = prefixes[i].index;
		x->name = name + n;
		x->name_len = strlen(x->name);
		if (prefixes[i].whole ? x->name_len : !x->name_len)
			return false;
		return !((x->index == EROFS_XATTR_USER || x->index == EROFS_XATTR_TRUSTED) &&
			 str_starts(x->name, "overlay."));
	}
	return false;
}

static int by_name(const struct xattr *a, const struct xattr *b)
{
	return a->index != b->index ? (a->index > b->index) - (a->index < b->index) :
				      dir_compare(a->name, a->name_len, b->name, b->name_len);
}

/* In order of names, of one name the newest first. */
static int compare(const void *a, const void *b)
{
	const struct xattr *x = a, *y = b;
	int c = by_name(x, y);

	return c ? c : x->age - y->age;
}

static size_t entry_bytes(const struct xattr *x)
{
	return ALIGN_UP(EROFS_XATTR_ENTRY + x->name_len + x->value_len, (size_t)4);
}

/* All that are to be kept, sorted, each name once: their number or -E2BIG. */
static int gather(struct archive_entry *e, struct xattr *list, size_t *ret_bytes, struct error *err)
{
	const char *name;
	const void *value;
	size_t len, bytes = 0;
	int i, n = 0, kept = 0;

	while (archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK) {
		struct xattr x = { .value = value, .value_len = len, .age = n };

		if (!name || !classify(name, &x))
			continue;
		if (n == XATTRS_COUNT_MAX || x.name_len > TREE_NAME_MAX || x.value_len > UINT16_MAX)
			return error_set(err, -E2BIG, "extended attributes too long or too many");
		list[n++] = x;
	}
	qsort(list, (size_t)n, sizeof(*list), compare);
	for (i = 0; i < n; i++) {
		if (kept && by_name(&list[kept - 1], &list[i]) == 0)
			continue;
		bytes += entry_bytes(&list[i]);
		list[kept++] = list[i];
	}
	if (bytes > EROFS_XATTRS_MAX)
		return error_set(err, -E2BIG, "more than %d bytes of extended attributes", EROFS_XATTRS_MAX);
	*ret_bytes = bytes;
	return kept;
}

int xattr_collect(struct arena *a, struct archive_entry *e, struct meta *m, struct error *err)
{
	auto_free struct xattr *list = NULL;
	size_t bytes = 0;
	uint8_t *at;
	int i, n, r;

	if (archive_entry_xattr_reset(e) == 0)
		return 0;
	list = calloc(XATTRS_COUNT_MAX, sizeof(*list));
	if (!list)
		return error_nomem(err);
	n = gather(e, list, &bytes, err);
	if (n <= 0)
		return n;
	r = arena_alloc(a, ARENA_REST, bytes, &m->xattrs, err);
	if (r < 0)
		return r;
	m->xattr_bytes = (uint32_t)bytes;
	at = arena_span(a, m->xattrs, bytes);
	for (i = 0; i < n; i++) {
		size_t entry = entry_bytes(&list[i]);
		struct wr w = wr_over(at, entry);

		wr_u8(&w, (uint8_t)list[i].name_len);
		wr_u8(&w, list[i].index);
		wr_u16(&w, (uint16_t)list[i].value_len);
		wr_bytes(&w, list[i].name, list[i].name_len);
		wr_bytes(&w, list[i].value, list[i].value_len);
		at += entry;
	}
	return 0;
}
