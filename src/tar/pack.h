/* From files to a tar: a file, a link or a whole folder, as it is. */
#ifndef TAR_PACK_H
#define TAR_PACK_H

#include "tar/tar.h"

struct pack_options {
	int fd;           /* borrowed: what to pack, open for reading; with O_PATH if it is neither file nor folder */
	const char *name; /* what it is called in the archive; ".": a folder, whose entries stand by themselves */
};

/*
 * Writes the archive. Symbolic links are packed, not followed. Sockets are left out, and so is what is
 * below folders where the kernel shows itself (/proc, /sys) unless one of those is what is packed.
 * A file that grows meanwhile is cut; one that shrinks is an error. 0 or -errno; of put without a text.
 */
int pack_tree(const struct pack_options *o, tar_put_fn *put, void *ud, struct error *err) MUST_CHECK;

#endif
