/* File content on its way into the image. The image is at a block boundary between two files. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "image/erofs.h"
#include "image/erofs_disk.h"

static uint32_t block_now(const struct erofs *e)
{
	return (uint32_t)(outfile_tell(&e->out) / EROFS_BLOCK);
}

static int pad(struct erofs *e, struct error *err)
{
	return outfile_skip_to(&e->out, ALIGN_UP(outfile_tell(&e->out), (uint64_t)EROFS_BLOCK), err);
}

int content_begin(struct content *c, struct erofs *e, struct inode *inode, uint64_t size, bool sparse,
		  struct error *err)
{
	uint64_t tail = size % EROFS_BLOCK;

	if (size > EROFS_FILE_MAX)
		return error_set(err, -EFBIG, "a file of %" PRIu64 " bytes is too large", size);
	*c = (struct content){ .e = e, .inode = inode, .size = size, .chunk = CONTENT_NO_CHUNK };
	inode->size = size;
	inode->content = CONTENT_NONE;
	if (size == 0)
		return 0;
	if (sparse) {
		uint64_t blocks = (size + EROFS_BLOCK - 1) / EROFS_BLOCK;

		inode->content = CONTENT_CHUNKS;
		inode->runs.first = inode->runs.last = 0;
		for (inode->chunk_bits = 0; (blocks - 1) >> inode->chunk_bits >= EROFS_CHUNKS_MAX;)
			inode->chunk_bits++;
		return 0;
	}
	inode->block = block_now(e);
	if (tail && erofs_fits_inline(inode, tail)) {
		inode->content = CONTENT_TAIL;
		inode->tail = outfile_tell(&e->spool);
		c->whole = size - tail;
	} else {
		inode->content = CONTENT_BLOCKS;
		c->whole = size;
	}
	return 0;
}

static uint64_t chunk_bytes(const struct content *c)
{
	return (uint64_t)EROFS_BLOCK << c->inode->chunk_bits;
}

/* Leaves the current chunk as large as it must be: the file's last one ends with the file. */
static int end_chunk(struct content *c, struct error *err)
{
	uint64_t len;

	if (c->chunk == CONTENT_NO_CHUNK)
		return 0;
	len = MIN(chunk_bytes(c), c->size - c->chunk * chunk_bytes(c));
	len = ALIGN_UP(len, (uint64_t)EROFS_BLOCK);
	return outfile_skip_to(&c->e->out, c->chunk_at + len, err);
}

/* Begins a chunk at the end of the image: it lengthens the last run or starts a new one. */
static int begin_chunk(struct content *c, uint64_t chunk, struct error *err)
{
	struct arena *arena = &c->e->tree.arena;
	struct inode *i = c->inode;
	struct run *run = i->runs.last ? arena_at(arena, i->runs.last) : NULL;
	int r = end_chunk(c, err);

	if (r < 0)
		return r;
	c->chunk = chunk;
	c->chunk_at = outfile_tell(&c->e->out);
	if (run && run->chunk + run->count == chunk) {
		run->count++;
		return 0;
	}
	aref at;

	r = arena_alloc(arena, ARENA_REST, sizeof(*run), &at, err);
	if (r < 0)
		return r;
	*(run ? &run->next : &i->runs.first) = at;
	i->runs.last = at;
	run = arena_at(arena, at);
	run->chunk = (uint32_t)chunk;
	run->count = 1;
	run->block = block_now(c->e);
	return 0;
}

static int write_sparse(struct content *c, uint64_t offset, const uint8_t *p, size_t n, struct error *err)
{
	while (n) {
		uint64_t chunk = offset / chunk_bytes(c), in = offset % chunk_bytes(c);
		size_t take = (size_t)MIN(n, chunk_bytes(c) - in);
		int r = 0;

		if (chunk != c->chunk)
			r = begin_chunk(c, chunk, err);
		if (r == 0)
			r = outfile_skip_to(&c->e->out, c->chunk_at + in, err);
		if (r == 0)
			r = outfile_write(&c->e->out, p, take, err);
		if (r < 0)
			return r;
		offset += take;
		p += take;
		n -= take;
	}
	return 0;
}

int content_write(struct content *c, uint64_t offset, const void *p, size_t n, struct error *err)
{
	const uint8_t *from = p;
	bool sparse = c->inode->content == CONTENT_CHUNKS;
	size_t whole;
	int r;

	if (offset < c->done || offset > c->size || n > c->size - offset || (!sparse && offset != c->done))
		return error_set(err, -EBADMSG, "the file's content does not match its size");
	c->done = offset + n;
	if (sparse)
		return write_sparse(c, offset, from, n, err);
	whole = (size_t)MIN(n, offset < c->whole ? c->whole - offset : 0);
	r = outfile_write(&c->e->out, from, whole, err);
	return r < 0 ? r : outfile_write(&c->e->spool, from + whole, n - whole, err);
}

int content_end(struct content *c, struct error *err)
{
	if (c->inode->content == CONTENT_CHUNKS)
		return end_chunk(c, err);
	if (c->done != c->size)
		return error_set(err, -EBADMSG, "the file is shorter than its header says");
	return pad(c->e, err);
}

int content_symlink(struct erofs *e, struct inode *inode, const char *target, size_t n, struct error *err)
{
	int r;

	if (n == 0 || n > TREE_TARGET_MAX)
		return error_set(err, -ENAMETOOLONG, "a symlink's target has %zu bytes, not 1 to %d", n,
				 TREE_TARGET_MAX);
	r = arena_alloc(&e->tree.arena, ARENA_REST, n, &inode->target, err);
	if (r < 0)
		return r;
	memcpy(arena_at(&e->tree.arena, inode->target), target, n);
	inode->size = n;
	inode->content = CONTENT_TAIL;
	if (erofs_fits_inline(inode, n))
		return 0;
	inode->content = CONTENT_BLOCKS;
	inode->block = block_now(e);
	r = outfile_write(&e->out, target, n, err);
	return r < 0 ? r : pad(e, err);
}
