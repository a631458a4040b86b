/*
 * The on-disk format of EROFS, as far as this writer uses it: blocks of 4 KiB,
 * 64-byte inodes, nothing compressed. Facts of Linux' Documentation/filesystems
 * /erofs.rst and fs/erofs; every field is little-endian and written by cursor.
 *
 * The superblock is at byte 1024. An inode's number (nid) is its distance from
 * the block `meta_blkaddr` in slots of 32 bytes. Behind the inode, without a
 * gap, come its xattrs, and then its last part block of content (FLAT_INLINE),
 * which must not cross a block, or its chunk map.
 */
#ifndef IMAGE_EROFS_DISK_H
#define IMAGE_EROFS_DISK_H

#include "base/base.h"

#define EROFS_BLOCK 4096
#define EROFS_SUPER_OFFSET 1024
#define EROFS_MAGIC 0xe0f5e1e2U
#define EROFS_SLOT 32
#define EROFS_INODE_BYTES 64
#define EROFS_DIRENT_BYTES 12
#define EROFS_XATTR_HEADER 12 /* before the first xattr of an inode */
#define EROFS_XATTR_ENTRY 4   /* before the name and value of each */

#define EROFS_COMPAT_SB_CHKSUM 1U
#define EROFS_INCOMPAT_CHUNKED_FILE 4U

enum erofs_layout { EROFS_FLAT_PLAIN = 0, EROFS_FLAT_INLINE = 2, EROFS_CHUNK_BASED = 4 };

#define EROFS_INODE_EXTENDED 1U /* bit 0 of i_format; the layout is in the bits above */
#define EROFS_NULL_ADDR 0xffffffffU /* in a chunk map: a hole */

enum erofs_xattr_index {
	EROFS_XATTR_USER = 1,
	EROFS_XATTR_ACL_ACCESS = 2,
	EROFS_XATTR_ACL_DEFAULT = 3,
	EROFS_XATTR_TRUSTED = 4,
	EROFS_XATTR_SECURITY = 6,
};

#endif
