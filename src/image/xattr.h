/*
 * Extended attributes of one archive entry, brought to the form that stands
 * behind an inode on disk. Only what Linux keeps on such files: user.*,
 * trusted.*, security.* and POSIX ACLs; anything else is dropped, as docker
 * does where the host's file system refuses it.
 *
 * overlayfs' own attributes (trusted.overlay.*, user.overlay.*) are dropped
 * too: an image must not tell the overlay mount of a box that a folder is
 * opaque or a file lies elsewhere.
 */
#ifndef IMAGE_XATTR_H
#define IMAGE_XATTR_H

#include <archive.h>
#include <archive_entry.h>

#include "image/tree.h"

/* Fills m->xattrs. -E2BIG past EROFS_XATTRS_MAX. */
int xattr_collect(struct arena *a, struct archive_entry *e, struct meta *m, struct error *err) MUST_CHECK;

#endif
