/* A file written from front to back through one large buffer, holes included. */
#ifndef IMAGE_OUTFILE_H
#define IMAGE_OUTFILE_H

#include "base/base.h"
#include "base/error.h"

struct outfile {
	int fd;            /* borrowed */
	const char *what;  /* for errors: "the image" */
	uint64_t max;      /* ceiling of the file's size, bytes */
	uint8_t *mem;      /* owned */
	size_t fill;       /* bytes in mem, not yet written */
	uint64_t at;       /* where in the file they belong */
};

/* fd is empty, or its content is of no use before `at`. */
int outfile_init(struct outfile *o, int fd, const char *what, uint64_t max, struct error *err) MUST_CHECK;
void outfile_fini(struct outfile *o); /* without writing */

/* Where the next byte goes. */
static inline uint64_t outfile_tell(const struct outfile *o)
{
	return o->at + o->fill;
}

int outfile_write(struct outfile *o, const void *p, size_t n, struct error *err) MUST_CHECK;

/* Goes forward to `to`; the bytes between read as zero and, if they are many, take no disk. */
int outfile_skip_to(struct outfile *o, uint64_t to, struct error *err) MUST_CHECK;

int outfile_flush(struct outfile *o, struct error *err) MUST_CHECK;

#endif
