#include "image/erofs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/cursor.h"
#include "base/io.h"
#include "image/erofs_disk.h"

int erofs_rdev(uint64_t major, uint64_t minor, uint32_t *ret)
{
	if (major > 0xfff || minor > 0xfffff)
		return -EINVAL;
	*ret = (uint32_t)((minor & 0xff) | major << 8 | (minor & ~0xffULL) << 12);
	return 0;
}

int erofs_open(struct erofs *e, int out_fd, int scratch_dirfd, struct error *err)
{
	int r;

	*e = (struct erofs){ .tree.arena = ARENA_NONE, .out.fd = -1, .spool.fd = -1, .spool_fd = -1 };
	r = tree_open(&e->tree, scratch_dirfd, err);
	if (r == 0) {
		e->spool_fd = scratch_open(scratch_dirfd);
		if (e->spool_fd < 0)
			r = error_code(err, e->spool_fd, "cannot make a scratch file");
	}
	if (r == 0)
		r = outfile_init(&e->spool, e->spool_fd, "the scratch file", INT64_MAX, err);
	if (r == 0)
		r = outfile_init(&e->out, out_fd, "the image", EROFS_IMAGE_MAX, err);
	if (r == 0)
		r = outfile_skip_to(&e->out, EROFS_BLOCK, err);
	if (r < 0)
		erofs_close(e);
	return r;
}

void erofs_close(struct erofs *e)
{
	tree_close(&e->tree);
	outfile_fini(&e->out);
	outfile_fini(&e->spool);
	close_fd(&e->spool_fd);
}

/* --- metadata ------------------------------------------------------------------------------- */

struct emit {
	struct erofs *e;
	uint64_t meta_at; /* byte where the metadata begins */
	uint64_t dirs_at; /* byte where the blocks of folders begin */
	bool chunks;      /* a sparse file was seen: a feature to declare */
	struct error *err;
};

static enum erofs_layout layout_of(const struct inode *i)
{
	return i->content == CONTENT_TAIL	? EROFS_FLAT_INLINE :
	       i->content == CONTENT_CHUNKS	? EROFS_CHUNK_BASED :
						  EROFS_FLAT_PLAIN;
}

/* The field whose meaning depends on the kind of file. */
static uint32_t content_field(const struct emit *m, const struct inode *i)
{
	if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
		return i->rdev;
	if (S_ISDIR(i->mode))
		return (uint32_t)(m->dirs_at / EROFS_BLOCK) + i->block;
	return i->content == CONTENT_CHUNKS ? i->chunk_bits : i->block;
}

static int emit_head(struct emit *m, const struct inode *i)
{
	uint8_t head[EROFS_INODE_BYTES + EROFS_XATTR_HEADER] = { 0 };
	struct wr w = wr_over(head, sizeof(head));
	uint32_t x = i->xattr_bytes;
	int r;

	wr_u16(&w, (uint16_t)(EROFS_INODE_EXTENDED | layout_of(i) << 1));
	wr_u16(&w, (uint16_t)(x ? 1 + x / 4 : 0));
	wr_u16(&w, (uint16_t)i->mode);
	wr_u16(&w, 0);
	wr_u64(&w, i->size);
	wr_u32(&w, content_field(m, i));
	wr_u32(&w, i->nid);
	wr_u32(&w, i->uid);
	wr_u32(&w, i->gid);
	wr_u64(&w, i->mtime_s);
	wr_u32(&w, i->mtime_ns);
	wr_u32(&w, i->nlink);
	r = outfile_write(&m->e->out, head, EROFS_INODE_BYTES + (x ? EROFS_XATTR_HEADER : 0), m->err);
	if (r < 0 || !x)
		return r;
	return outfile_write(&m->e->out, arena_span(&m->e->tree.arena, i->xattrs, x), x, m->err);
}

/* Whole blocks of a folder go to their place behind the metadata, a last part block inline. */
static int emit_folder(struct emit *m, const struct inode *i)
{
	struct dir_iter it = dir_iter_over(&m->e->tree, i);
	uint64_t at = m->dirs_at + (uint64_t)i->block * EROFS_BLOCK, left = i->size;
	uint8_t block[EROFS_BLOCK];
	int r = 0;

	while (left && r == 0) {
		size_t used = dir_iter_block(&it, block);

		left -= MIN(left, (uint64_t)EROFS_BLOCK);
		if (left == 0 && i->content == CONTENT_TAIL)
			return outfile_write(&m->e->out, block, used, m->err);
		r = io_pwrite_full(m->e->out.fd, block, sizeof(block), at);
		at += EROFS_BLOCK;
	}
	return r < 0 ? error_code(m->err, r, "cannot write the image") : 0;
}

static int emit_tail(struct emit *m, const struct inode *i)
{
	uint8_t block[EROFS_BLOCK];
	size_t n = i->size % EROFS_BLOCK;
	int r = io_pread_full(m->e->spool_fd, block, n, i->tail);

	if (r < 0)
		return error_code(m->err, r, "cannot read the scratch file");
	return outfile_write(&m->e->out, block, n, m->err);
}

/* n entries of the chunk map: consecutive chunks from a block on, or holes. */
static int emit_chunks(struct emit *m, uint64_t n, uint32_t block, uint32_t step)
{
	uint8_t entry[4];
	int r = 0;

	for (; n && r == 0; n--, block += step) {
		struct wr w = wr_over(entry, sizeof(entry));

		wr_u32(&w, block);
		r = outfile_write(&m->e->out, entry, sizeof(entry), m->err);
	}
	return r;
}

static int emit_chunk_map(struct emit *m, const struct inode *i)
{
	uint64_t chunk = (uint64_t)EROFS_BLOCK << i->chunk_bits;
	uint64_t total = (i->size + chunk - 1) / chunk, done = 0;
	aref at;
	int r = 0;

	m->chunks = true;
	for (at = i->runs.first; at && r == 0;) {
		const struct run *run = arena_at(&m->e->tree.arena, at);

		r = emit_chunks(m, run->chunk - done, EROFS_NULL_ADDR, 0);
		if (r == 0)
			r = emit_chunks(m, run->count, run->block, 1U << i->chunk_bits);
		done = (uint64_t)run->chunk + run->count;
		at = run->next;
	}
	return r < 0 ? r : emit_chunks(m, total - done, EROFS_NULL_ADDR, 0);
}

static int emit_inode(void *ctx, struct inode *i)
{
	struct emit *m = ctx;
	struct erofs *e = m->e;
	int r = outfile_skip_to(&e->out, m->meta_at + (uint64_t)i->nid * EROFS_SLOT, m->err);

	if (r == 0)
		r = emit_head(m, i);
	if (r < 0)
		return r;
	if (S_ISDIR(i->mode))
		return emit_folder(m, i);
	if (i->content == CONTENT_CHUNKS)
		return emit_chunk_map(m, i);
	if (i->content != CONTENT_TAIL)
		return 0;
	if (S_ISLNK(i->mode))
		return outfile_write(&e->out, arena_at(&e->tree.arena, i->target), i->size, m->err);
	return emit_tail(m, i);
}

/* --- the end -------------------------------------------------------------------------------- */

/* Gives back the disk space of content that nothing refers to. It reads as zeros on every machine,
 * also where holes cannot be punched. */
static int punch_dead(struct erofs *e, struct error *err)
{
	static const uint8_t zeros[EROFS_BLOCK];
	bool can_punch = true;
	aref at;

	for (at = e->tree.dead; at;) {
		const struct dead *d = arena_at(&e->tree.arena, at);
		uint64_t from = (uint64_t)d->block * EROFS_BLOCK, n = (uint64_t)d->count * EROFS_BLOCK;
		int r = 0;

		if (can_punch && fallocate(e->out.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					   (off_t)from, (off_t)n) < 0)
			can_punch = false;
		for (; !can_punch && n && r == 0; n -= EROFS_BLOCK, from += EROFS_BLOCK)
			r = io_pwrite_full(e->out.fd, zeros, sizeof(zeros), from);
		if (r < 0)
			return error_code(err, r, "cannot write the image");
		at = d->next;
	}
	return 0;
}

/* As the kernel does it: reflected, begun with ones, not inverted at the end. */
static uint32_t crc32c(const uint8_t *p, size_t n)
{
	uint32_t crc = ~0U;

	for (; n; n--) {
		int bit;

		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	}
	return crc;
}

static int write_super(const struct emit *m, const uint8_t uuid[16], const struct erofs_stats *st,
		       struct error *err)
{
	uint8_t block[EROFS_BLOCK] = { 0 };
	struct wr w = wr_over(block + EROFS_SUPER_OFFSET, 128);
	struct wr sum = wr_over(block + EROFS_SUPER_OFFSET + 4, 4);
	int r;

	wr_u32(&w, EROFS_MAGIC);
	wr_u32(&w, 0); /* checksum */
	wr_u32(&w, EROFS_COMPAT_SB_CHKSUM);
	wr_u8(&w, 12); /* log2 of the block size */
	wr_u8(&w, 0);
	wr_u16(&w, (uint16_t)tree_inode(&m->e->tree, m->e->tree.root)->nid);
	wr_u64(&w, st->inodes);
	wr_u64(&w, 0); /* build time: same layers, same bytes */
	wr_u32(&w, 0);
	wr_u32(&w, (uint32_t)(st->bytes / EROFS_BLOCK));
	wr_u32(&w, (uint32_t)(m->meta_at / EROFS_BLOCK));
	wr_u32(&w, 0); /* no shared xattrs */
	wr_bytes(&w, uuid, 16);
	wr_u64(&w, 0); /* volume name, 16 bytes */
	wr_u64(&w, 0);
	wr_u32(&w, m->chunks ? EROFS_INCOMPAT_CHUNKED_FILE : 0);
	wr_u32(&sum, crc32c(block + EROFS_SUPER_OFFSET, EROFS_BLOCK - EROFS_SUPER_OFFSET));
	r = io_pwrite_full(m->e->out.fd, block, sizeof(block), 0);
	return r < 0 ? error_code(err, r, "cannot write the image") : 0;
}

int erofs_finish(struct erofs *e, const uint8_t uuid[16], struct erofs_stats *ret, struct error *err)
{
	struct emit m = { .e = e, .meta_at = outfile_tell(&e->out), .err = err };
	struct erofs_stats st;
	struct layout lay;
	int r = layout_assign(&e->tree, &lay, err);

	if (r < 0)
		return r;
	m.dirs_at = m.meta_at + ALIGN_UP(lay.meta_bytes, (uint64_t)EROFS_BLOCK);
	st.bytes = m.dirs_at + lay.dir_blocks * EROFS_BLOCK;
	st.inodes = lay.inodes;
	if (st.bytes > EROFS_IMAGE_MAX)
		return error_set(err, -EFBIG, "the image would be larger than %llu TiB",
				 EROFS_IMAGE_MAX >> 40);
	r = outfile_flush(&e->spool, err);
	if (r == 0)
		r = layout_visit(&e->tree, emit_inode, &m);
	if (r == 0)
		r = outfile_flush(&e->out, err);
	if (r == 0 && ftruncate(e->out.fd, (off_t)st.bytes) < 0)
		r = error_sys(err, "cannot write the image");
	if (r == 0)
		r = punch_dead(e, err);
	if (r == 0)
		r = write_super(&m, uuid, &st, err);
	if (r == 0)
		*ret = st;
	return r;
}
