/* The block before each entry of a tar, and the words of pax: what reader and writer share. */
#ifndef TAR_HEADER_H
#define TAR_HEADER_H

#include <stddef.h>

#include "tar/tar.h"

struct tar_header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8];
	char type;
	char link[100], magic[6], version[2], uname[32], gname[32], major[8], minor[8];
	char prefix[155], rest[12];
};

/* GNU's own, with the same beginning: where its old sparse format keeps the first pieces, and blocks of more. */
struct tar_gnu_piece {
	char offset[12], len[12];
};

struct tar_gnu_header {
	char same[345], atime[12], ctime[12], volume[12], names[4], unused;
	struct tar_gnu_piece piece[4];
	char more, real_size[12], rest[17];
};

struct tar_gnu_more {
	struct tar_gnu_piece piece[21];
	char more, rest[7];
};

_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a block");
_Static_assert(sizeof(struct tar_gnu_header) == TAR_BLOCK, "a block");
_Static_assert(sizeof(struct tar_gnu_more) == TAR_BLOCK, "a block");
_Static_assert(offsetof(struct tar_gnu_header, piece) == 386, "as GNU tar has it");

#define PAX_XATTR "SCHILY.xattr."

static inline unsigned tar_checksum(const void *block)
{
	const uint8_t *p = block;
	unsigned sum = 8 * ' '; /* the checksum itself counts as spaces */
	size_t i;

	for (i = 0; i < TAR_BLOCK; i++)
		if (i < offsetof(struct tar_header, checksum) || i >= offsetof(struct tar_header, type))
			sum += p[i];
	return sum;
}

#endif
