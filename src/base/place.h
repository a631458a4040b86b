/*
 * Where a copy comes from and where it goes, by the rules of docker cp: what a
 * path means that a person has typed. The same on both sides, for the host's
 * paths and, in the guest, for those of the box.
 */
#ifndef BASE_PLACE_H
#define BASE_PLACE_H

#include <limits.h>

#include "base/base.h"
#include "base/error.h"

struct copy_source {
	int fd;        /* owned; open for reading, or with O_PATH if it is neither a file nor a folder */
	bool contents; /* "folder/.": what is in it is meant */
	char name[NAME_MAX + 1]; /* its last part; "." for `contents` */
	uint64_t bytes; /* of a file; else 0 */
};

/* A link at the end of the path is the source itself, unless `follow` or the path ends with '/'.
 * 0, -ENOENT, -ENOTDIR, -EOPNOTSUPP (a socket), -errno. */
int copy_source_open(const char *path, bool follow, struct copy_source *ret, struct error *err) MUST_CHECK;

/* The name that a source would get from its path alone, which need not exist here; "." if it has none. */
void copy_source_name(const char *path, char ret[NAME_MAX + 1]);

struct copy_target {
	int dir;                 /* owned, O_PATH: the folder, or what `leaf` is to be in */
	char leaf[NAME_MAX + 1]; /* "": `dir` is meant. Else there is no folder of that name */
	bool must_be_folder;     /* the path says that it is one */
};

/* Links are followed, also one that leads to nothing yet. 0, -ENOENT its parent is missing, -ENOTDIR, -errno. */
int copy_target_open(const char *path, struct copy_target *ret, struct error *err) MUST_CHECK;

#endif
