/*
 * From a tar to files. The archive is a stranger's: whatever it says, nothing
 * outside of the folder it is unpacked into is touched. See unpack.c.
 */
#ifndef TAR_UNPACK_H
#define TAR_UNPACK_H

#include "tar/tar.h"

struct unpack_options {
	int dir;     /* borrowed: the folder; O_PATH is enough */
	/*
	 * place: the archive is of one thing, its first entry, which gets another name, and nothing else may
	 * be in it. The name is `leaf`, which is not a folder if it is there; or, if leaf is NULL, `name` within
	 * dir; or, if that is NULL too, what is in the first entry, a folder, comes into dir.
	 * Otherwise entries have their names below dir.
	 */
	bool place;
	const char *leaf, *name;
	bool leaf_is_folder; /* only a folder may be made of `leaf` */
	bool owners;   /* as the archive says, if the caller is root; else the caller's */
	/*
	 * This process can reach nothing that the tree's owner could not (its root is the box's). Then links
	 * of the tree may lead to folders, devices are made, and capabilities of files are set.
	 */
	bool boxed;
};

struct unpack_result {
	uint64_t left_out;     /* devices, where they are not made */
	char first_left_out[256];
};

/*
 * What is in the way of a file is replaced, what is in the way of a folder must be one; they are merged.
 * Modes and times are the archive's. 0 or -errno; what was unpacked until then stays, but for a part of a file.
 */
int unpack_tree(const struct unpack_options *o, tar_fill_fn *fill, void *ud, struct unpack_result *ret,
		struct error *err) MUST_CHECK;

#endif
