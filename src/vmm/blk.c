/*
 * The disk (virtio 1.2, 5.2): a raw file; the requests of a queue are done one after the other, those of different
 * queues side by side (VIRTIO_BLK_F_MQ).
 *
 * A request is a header (16 bytes) and data or ranges in the readable part of a chain, data and one status
 * byte at the very end of the writable part; where descriptors begin and end means nothing (2.7.4.1). One
 * that has no room for header and status breaks the device; whatever else is wrong with it, or with the
 * host's file, goes into the status.
 *
 * Durability. The host's page cache is the disk's volatile cache: FLUSH is fdatasync(2). A driver that does
 * not take VIRTIO_BLK_F_FLUSH sees a cache that writes through (5.2.6.2). When fdatasync(2) has failed the
 * kernel may have dropped what it could not write, and a second call says that all is well: so it is not
 * asked again, and every later flush fails, too.
 *
 * A flush is for what was done before it on any queue: a write is pushed when pwrite(2) has returned, and fdatasync(2)
 * is for the whole file, whoever wrote to it.
 *
 * Flushes of different queues take turns. The kernel tells of a write that failed once per open file: of two calls at
 * once one gets the error, the other one success, though it was to cover that write, too. In turns, the second knows
 * how the first ended. It need not call again if that one began after it came: many that wait share one call.
 *
 * A request that waits for the host's disk has its queue's lock and the thread that it came by, and nobody else's
 * (vmm/virtio.h: queues are apart). Two requests under way at once for the same sectors have no order; a driver that
 * wants one waits for the first.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/log.h"
#include "vmm/devices.h"
#include "vmm/serve.h"

#define SECTOR 512
#define DISK_ID "boxlite"

/* Ceilings of one request, so that it ends in a bounded time: what it transfers, and the ranges that it
 * names. The driver reads them in the configuration space. */
#define SEGMENTS_MAX (VIRTQ_CHAIN_MAX - 2) /* of data, beside header and status */
#define SEGMENT_BYTES_MAX (256 * KIB)
#define DATA_BYTES_MAX (SEGMENTS_MAX * SEGMENT_BYTES_MAX)
#define DISCARD_RANGES_MAX 16
#define DISCARD_SECTORS_MAX (GIB / SECTOR)
#define ZEROES_RANGES_MAX 1
#define ZEROES_SECTORS_MAX (32 * MIB / SECTOR) /* may have to be written out */
#define DISCARD_ALIGN_SECTORS (4096 / SECTOR)  /* less than a block of the host frees nothing */

struct blk {
	struct virtio v;
	int fd; /* owned */
	bool readonly;
	bool write_through; /* changes with all locks held */
	uint64_t sectors;
	atomic_int logged;  /* the last reason that was logged, negative errno */

	pthread_mutex_t sync_lock; /* held during fdatasync(2); of the next */
	bool sync_failed;
	atomic_ullong syncs; /* that have begun; changes with the lock held */
};

static struct blk *blk_of(struct virtio *v)
{
	return container_of(v, struct blk, v);
}

/* The status for what the host said. A reason is logged when it is not the last one that was: a full disk fails
 * many writes. */
static uint8_t status_of(struct blk *b, const char *what, int r)
{
	if (r >= 0)
		return VIRTIO_BLK_S_OK;
	if (atomic_exchange(&b->logged, r) != r)
		log_warn("disk: cannot %s: %s", what, strerror(-r));
	return VIRTIO_BLK_S_IOERR;
}

static bool in_disk(const struct blk *b, uint64_t sector, uint64_t n)
{
	return sector <= b->sectors && n <= b->sectors - sector;
}

/* With the lock held and no failure before. */
static int sync_now(struct blk *b)
{
	int r;

	atomic_fetch_add(&b->syncs, 1);
	do
		r = fdatasync(b->fd);
	while (r < 0 && errno == EINTR);
	b->sync_failed = r < 0;
	return r < 0 ? -errno : 0;
}

static int sync_file(struct blk *b)
{
	unsigned long long before = atomic_load(&b->syncs);
	int r = 0;

	if (b->readonly)
		return 0;
	pthread_mutex_lock(&b->sync_lock);
	if (b->sync_failed)
		r = -EIO;
	else if (b->syncs == before) /* else one has begun since we came, and has ended well: it was for us, too */
		r = sync_now(b);
	pthread_mutex_unlock(&b->sync_lock);
	return r;
}

/* Moves all of the iovecs, which are used up, from or to the file at a byte offset: 0 or -errno. */
static int transfer(const struct blk *b, bool out, struct iovec *iov, unsigned n, uint64_t at)
{
	ssize_t r;

	while (n) {
		r = out ? pwritev(b->fd, iov, (int)n, (off_t)at) : preadv(b->fd, iov, (int)n, (off_t)at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -EIO; /* somebody has cut the file */
		at += (uint64_t)r;
		n = iov_part(iov, iov, n, (uint64_t)r, UINT64_MAX);
	}
	return 0;
}

static uint8_t do_in(struct blk *b, const struct virtq_chain *c, uint64_t sector)
{
	uint64_t bytes = c->writable_bytes - 1;
	struct iovec iov[VIRTQ_CHAIN_MAX];
	unsigned n;

	if (bytes % SECTOR || bytes > DATA_BYTES_MAX || !in_disk(b, sector, bytes / SECTOR))
		return VIRTIO_BLK_S_IOERR;
	n = iov_part(iov, c->writable, c->nwritable, 0, bytes);
	return status_of(b, "read", transfer(b, false, iov, n, sector * SECTOR));
}

static uint8_t do_out(struct blk *b, const struct virtq_chain *c, uint64_t sector)
{
	uint64_t bytes = c->readable_bytes - sizeof(struct virtio_blk_outhdr);
	struct iovec iov[VIRTQ_CHAIN_MAX];
	unsigned n;
	int r;

	if (b->readonly || bytes % SECTOR || bytes > DATA_BYTES_MAX || !in_disk(b, sector, bytes / SECTOR))
		return VIRTIO_BLK_S_IOERR;
	n = iov_part(iov, c->readable, c->nreadable, sizeof(struct virtio_blk_outhdr), bytes);
	r = transfer(b, true, iov, n, sector * SECTOR);
	if (r == 0 && b->write_through)
		r = sync_file(b);
	return status_of(b, "write", r);
}

static uint8_t do_get_id(const struct virtq_chain *c)
{
	static const char id[VIRTIO_BLK_ID_BYTES] = DISK_ID;

	if (c->writable_bytes - 1 != sizeof(id))
		return VIRTIO_BLK_S_IOERR;
	virtq_write(c, 0, id, sizeof(id));
	return VIRTIO_BLK_S_OK;
}

static int change_range(const struct blk *b, int mode, uint64_t at, uint64_t bytes)
{
	int r;

	do
		r = fallocate(b->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)bytes);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int write_zeroes(const struct blk *b, uint64_t at, uint64_t bytes)
{
	static uint8_t zeroes[64 * KIB];
	uint64_t done, n;
	int r = 0;

	for (done = 0; r == 0 && done < bytes; done += n) {
		n = MIN(bytes - done, sizeof(zeroes));
		r = transfer(b, true, &(struct iovec){ zeroes, n }, 1, at + done);
	}
	return r;
}

/* A file system that has no holes loses nothing by a discard, which is advice. */
static int discard_range(const struct blk *b, uint64_t at, uint64_t bytes)
{
	int r = change_range(b, FALLOC_FL_PUNCH_HOLE, at, bytes);

	return r == -EOPNOTSUPP || r == -ENOSYS ? 0 : r;
}

static int zero_range(const struct blk *b, bool unmap, uint64_t at, uint64_t bytes)
{
	int r = change_range(b, unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE, at, bytes);

	return r == -EOPNOTSUPP || r == -ENOSYS ? write_zeroes(b, at, bytes) : r;
}

/* Unknown flags are told from the rest (5.2.6.2): the driver may try without them. */
static uint8_t check_range(const struct blk *b, bool discard, const struct virtio_blk_discard_write_zeroes *s)
{
	uint32_t known = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	uint32_t n = le32toh(s->num_sectors);

	if (le32toh(s->flags) & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (n > (discard ? DISCARD_SECTORS_MAX : ZEROES_SECTORS_MAX) || !in_disk(b, le64toh(s->sector), n))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_ranges(struct blk *b, const struct virtq_chain *c, bool discard)
{
	struct virtio_blk_discard_write_zeroes s[DISCARD_RANGES_MAX];
	uint64_t at, len, bytes = c->readable_bytes - sizeof(struct virtio_blk_outhdr);
	uint64_t i, n = bytes / sizeof(s[0]), most = discard ? DISCARD_RANGES_MAX : ZEROES_RANGES_MAX;
	uint8_t status = VIRTIO_BLK_S_OK;
	int r = 0;

	if (b->readonly || bytes % sizeof(s[0]) || n < 1 || n > most)
		return VIRTIO_BLK_S_IOERR;
	virtq_read(c, sizeof(struct virtio_blk_outhdr), s, bytes);
	for (i = 0; i < n && status == VIRTIO_BLK_S_OK; i++)
		status = check_range(b, discard, &s[i]);
	if (status != VIRTIO_BLK_S_OK)
		return status;
	for (i = 0; i < n && r == 0; i++) {
		at = le64toh(s[i].sector) * SECTOR;
		len = (uint64_t)le32toh(s[i].num_sectors) * SECTOR;
		if (len)
			r = discard ? discard_range(b, at, len) : zero_range(b, s[i].flags != 0, at, len);
	}
	if (r == 0 && !discard && b->write_through)
		r = sync_file(b);
	return status_of(b, discard ? "discard" : "write zeroes", r);
}

static uint8_t do_request(struct blk *b, const struct virtq_chain *c, uint32_t type, uint64_t sector)
{
	switch (type) {
	case VIRTIO_BLK_T_IN:
		return do_in(b, c, sector);
	case VIRTIO_BLK_T_OUT:
		return do_out(b, c, sector);
	case VIRTIO_BLK_T_FLUSH:
		return status_of(b, "flush", sync_file(b));
	case VIRTIO_BLK_T_GET_ID:
		return do_get_id(c);
	case VIRTIO_BLK_T_DISCARD:
		return do_ranges(b, c, true);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return do_ranges(b, c, false);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static uint32_t serve(struct virtio *v, const struct virtq_chain *c)
{
	struct virtio_blk_outhdr h;
	bool filled;
	uint8_t status;

	if (c->writable_bytes < 1 || virtq_read(c, 0, &h, sizeof(h)) < sizeof(h)) {
		virtio_broken(v, "a disk request without room for header and status");
		return 0;
	}
	status = do_request(blk_of(v), c, le32toh(h.type), le64toh(h.sector));
	virtq_write(c, c->writable_bytes - 1, &status, 1);
	/* The count is from the beginning (2.7.8.2): a status behind data that is not there is not in it. */
	filled = status == VIRTIO_BLK_S_OK &&
		 (h.type == htole32(VIRTIO_BLK_T_IN) || h.type == htole32(VIRTIO_BLK_T_GET_ID));
	return filled || c->writable_bytes == 1 ? (uint32_t)c->writable_bytes : 0;
}

static void kick(struct virtio *v, unsigned queue)
{
	serve_queue(v, queue, serve);
}

static void start(struct virtio *v, uint64_t features)
{
	blk_of(v)->write_through = !(features & 1ULL << VIRTIO_BLK_F_FLUSH);
}

static uint64_t features(struct virtio *v)
{
	uint64_t all = 1ULL << VIRTIO_BLK_F_SIZE_MAX | 1ULL << VIRTIO_BLK_F_SEG_MAX |
		       1ULL << VIRTIO_BLK_F_BLK_SIZE | 1ULL << VIRTIO_BLK_F_TOPOLOGY |
		       1ULL << VIRTIO_BLK_F_FLUSH;

	if (v->nqueues > 1)
		all |= 1ULL << VIRTIO_BLK_F_MQ;
	if (blk_of(v)->readonly)
		return all | 1ULL << VIRTIO_BLK_F_RO;
	return all | 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
}

static void config_read(struct virtio *v, uint32_t offset, void *to, uint32_t n)
{
	struct virtio_blk_config c = {
		.capacity = htole64(blk_of(v)->sectors),
		.size_max = htole32(SEGMENT_BYTES_MAX),
		.seg_max = htole32(SEGMENTS_MAX),
		.blk_size = htole32(SECTOR),
		/* Smaller or crooked writes are possible, but make the host read first. */
		.physical_block_exp = 3,
		.min_io_size = htole16(4096 / SECTOR),
		.num_queues = htole16((uint16_t)v->nqueues),
	};

	if (!blk_of(v)->readonly) {
		c.max_discard_sectors = htole32(DISCARD_SECTORS_MAX);
		c.max_discard_seg = htole32(DISCARD_RANGES_MAX);
		c.discard_sector_alignment = htole32(DISCARD_ALIGN_SECTORS);
		c.max_write_zeroes_sectors = htole32(ZEROES_SECTORS_MAX);
		c.max_write_zeroes_seg = htole32(ZEROES_RANGES_MAX);
		c.write_zeroes_may_unmap = 1;
	}
	config_copy(&c, sizeof(c), offset, to, n);
}

static const struct virtio_ops blk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.nqueues = BLK_QUEUES_MAX,
	.queue_size = VIRTQ_SIZE_MAX,
	.queues_apart = true,
	.features = features,
	.start = start,
	.kick = kick,
	.config_read = config_read,
};

struct virtio *blk_open(int disk_fd, bool readonly, unsigned queues, const struct memory *mem, irq_fn *irq, void *ud,
			struct error *err)
{
	auto_fd int fd = disk_fd;
	struct stat st;
	struct blk *b;

	assert(queues >= 1 && queues <= BLK_QUEUES_MAX);
	if (fstat(fd, &st) < 0) {
		error_sys(err, "cannot examine the disk");
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size % SECTOR) {
		error_set(err, -EINVAL, "the disk is not a file of whole sectors of %d bytes", SECTOR);
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		error_nomem(err);
		return NULL;
	}
	b->fd = take_fd(&fd);
	b->readonly = readonly;
	b->sectors = (uint64_t)st.st_size / SECTOR;
	pthread_mutex_init(&b->sync_lock, NULL);
	virtio_init(&b->v, &blk_ops, mem, irq, ud);
	b->v.nqueues = queues;
	return &b->v;
}

void blk_close(struct virtio *v)
{
	if (!v)
		return;
	virtio_fini(v);
	pthread_mutex_destroy(&blk_of(v)->sync_lock);
	close_fd(&blk_of(v)->fd);
	free(blk_of(v));
}
