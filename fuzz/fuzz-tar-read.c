/* A tar, as a box or a user may send it. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tar/tar.h"

struct source {
	const uint8_t *p;
	size_t n, step;
};

static ssize_t fill(void *ud, void *p, size_t n)
{
	struct source *s = ud;

	n = MIN(MIN(n, s->n), s->step);
	memcpy(p, s->p, n);
	s->p += n;
	s->n -= n;
	return (ssize_t)n;
}

static void check_entry(const struct tar_entry *e)
{
	size_t i;

	if (!*e->name || strlen(e->name) > TAR_NAME_MAX || e->mode > 07777 || e->mtime_ns >= 1000000000 ||
	    e->size > TAR_SIZE_MAX || e->nextents > TAR_EXTENTS_MAX || e->nxattrs > TAR_XATTRS_MAX)
		abort();
	if ((e->type == TAR_SYMLINK || e->type == TAR_HARDLINK) != (e->link != NULL))
		abort();
	for (i = 0; i < e->nxattrs; i++)
		if (!*e->xattrs[i].name || e->xattrs[i].len > TAR_PAX_MAX)
			abort();
}

static size_t read_data(struct tar_reader *r, const struct tar_entry *e, struct error *err)
{
	uint64_t at, end = 0;
	size_t all = 0;
	const void *p;
	ssize_t n;

	while ((n = tar_data(r, &p, &at, err)) > 0) {
		if (at < end || at + (uint64_t)n > e->size)
			abort();
		end = at + (uint64_t)n;
		all += (size_t)n;
	}
	if (n < 0 && !*err->text)
		abort();
	return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The first byte says in how large pieces it comes. */
	struct source s = { data + (size > 0), size - (size > 0), size ? (size_t)data[0] * 64 + 1 : 1 };
	struct tar_reader *r = tar_reader_new(fill, &s);
	struct error err = { 0 };
	struct tar_entry e;
	size_t all = 0;
	int n = 0, x;

	if (!r)
		return 0;
	while ((x = tar_next(r, &e, &err)) > 0) {
		check_entry(&e);
		if (n++ % 3) /* or its data is passed over */
			all += read_data(r, &e, &err);
	}
	if (all > size || (x < 0 && !*err.text))
		abort();
	tar_reader_free(r);
	return 0;
}
