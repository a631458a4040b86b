#include "image/outfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"

#define OUTFILE_BUFFER (512 * KIB)

int outfile_init(struct outfile *o, int fd, const char *what, uint64_t max, struct error *err)
{
	*o = (struct outfile){ .fd = fd, .what = what, .max = max };
	o->mem = malloc(OUTFILE_BUFFER);
	return o->mem ? 0 : error_nomem(err);
}

void outfile_fini(struct outfile *o)
{
	free(o->mem);
	*o = (struct outfile){ .fd = -1 };
}

int outfile_flush(struct outfile *o, struct error *err)
{
	int r = io_pwrite_full(o->fd, o->mem, o->fill, o->at);

	if (r < 0)
		return error_code(err, r, "cannot write %s", o->what);
	o->at += o->fill;
	o->fill = 0;
	return 0;
}

static int too_large(const struct outfile *o, struct error *err)
{
	char size[24];

	return error_set(err, -EFBIG, "%s would be larger than %s", o->what, str_format_size(o->max, size));
}

int outfile_write(struct outfile *o, const void *p, size_t n, struct error *err)
{
	const uint8_t *from = p;

	if (n > o->max - outfile_tell(o))
		return too_large(o, err);
	while (n) {
		size_t take = MIN(n, OUTFILE_BUFFER - o->fill);

		memcpy(o->mem + o->fill, from, take);
		o->fill += take;
		from += take;
		n -= take;
		if (o->fill == OUTFILE_BUFFER) {
			int r = outfile_flush(o, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int outfile_skip_to(struct outfile *o, uint64_t to, struct error *err)
{
	uint64_t n = to - outfile_tell(o);
	int r;

	if (to > o->max)
		return too_large(o, err);
	if (n < OUTFILE_BUFFER - o->fill) {
		memset(o->mem + o->fill, 0, n);
		o->fill += n;
		return 0;
	}
	r = outfile_flush(o, err);
	if (r == 0)
		o->at = to;
	return r;
}
