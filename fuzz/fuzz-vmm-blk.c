/*
 * A hostile guest of a disk: any bytes as requests, in any framing, some of them with broken rings.
 *
 * Input: a byte of options (see below; its bits 5 and 6: how many queues, less one), 64 bytes for the beginning of the
 * data area, then requests: type, sector (signed), bits (1: the sector is 2^56 times that; 2: the header is writable;
 * 4: nobody kicks; from bit 4 on: the queue), and the pieces of hostile_chain().
 *
 * The disk's file is longer than the disk: what is behind its end must stay as it is, as must a read-only disk.
 */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>

#include "vmm_guest.h"
#include "vmm/devices.h"

#define DISK_BYTES 8192
#define FILE_BYTES 16384
#define QUEUE 64
#define RINGS_BYTES (12 * KIB) /* of a queue */
#define LOW_BYTES (64 * KIB)   /* with those of one */

enum { READONLY = 1, FLUSH = 2, INDIRECT = 4, EVENT_IDX = 8, HUGE_AVAIL = 16 };

static int file = -1;

static uint64_t features_of(unsigned options)
{
	return (options & FLUSH ? 1ULL << VIRTIO_BLK_F_FLUSH : 0) | (options & INDIRECT ? DRIVER_INDIRECT : 0) |
	       (options & EVENT_IDX ? DRIVER_EVENT_IDX : 0);
}

static unsigned queues_of(unsigned options)
{
	return (options >> 5) % BLK_QUEUES_MAX + 1;
}

/* One request: false when the input is at its end. */
static bool do_request(struct hostile *h, uint64_t headers, struct rd *r, unsigned options)
{
	uint8_t type = rd_u8(r), nearly = rd_u8(r), bits = rd_u8(r);
	unsigned queue = (bits >> 4) % h->d.v->nqueues;
	struct driver_queue *q = &h->d.q[queue];
	uint64_t gpa = headers + (queue * QUEUE + q->avail_idx % QUEUE) * sizeof(struct virtio_blk_outhdr);
	uint64_t sector = (uint64_t)(int64_t)(int8_t)nearly;
	struct virtio_blk_outhdr header = { .type = type, .sector = bits & 1 ? sector << 56 : sector };

	if (r->bad)
		return false;
	memcpy(driver_ptr(&h->d, gpa, sizeof(header)), &header, sizeof(header));
	hostile_chain(h, queue, &(struct seg){ gpa, sizeof(header), bits & 2 }, r);
	if (options & HUGE_AVAIL)
		q->ring_avail->idx += 4000;
	if (bits & 4)
		return !r->bad;
	hostile_before(h);
	driver_write(&h->d, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	hostile_after(h);
	hostile_check_done(h, 1U << queue);
	return !r->bad;
}

/* What is on a disk that may be written is the driver's affair. */
static void check_file(bool readonly)
{
	static uint8_t now[FILE_BYTES + 1];
	unsigned i;

	must(pread(file, now, sizeof(now), 0) == FILE_BYTES);
	for (i = readonly ? 0 : DISK_BYTES; i < FILE_BYTES; i++)
		must(now[i] == 0xa5);
}

static void make_file(void)
{
	static uint8_t pattern[FILE_BYTES];

	if (file < 0)
		file = memfd_create("disk", MFD_CLOEXEC);
	memset(pattern, 0xa5, sizeof(pattern));
	must(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, pattern, DISK_BYTES, 0) == DISK_BYTES);
}

static void grow_file(void)
{
	uint8_t pattern[FILE_BYTES - DISK_BYTES];

	memset(pattern, 0xa5, sizeof(pattern));
	must(pwrite(file, pattern, sizeof(pattern), DISK_BYTES) == sizeof(pattern));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_over(data, size);
	unsigned options = rd_u8(&r), queues = queues_of(options);
	const uint8_t *content = rd_bytes(&r, 64);
	uint64_t headers;
	struct hostile h;
	struct virtio *v;

	if (!content)
		return 0;
	make_file();
	hostile_open(&h, LOW_BYTES + (queues - 1) * RINGS_BYTES, false);
	v = blk_open(fcntl(file, F_DUPFD_CLOEXEC, 0), options & READONLY, queues, &h.d.mem, driver_irq, &h.d,
		     NULL);
	must(v);
	grow_file();
	hostile_start(&h, v, features_of(options), QUEUE);
	headers = driver_alloc(&h.d, queues * QUEUE * sizeof(struct virtio_blk_outhdr));
	h.area = h.d.next_gpa;
	memcpy(driver_ptr(&h.d, h.area, 64), content, 64);
	while (do_request(&h, headers, &r, options))
		;
	blk_close(v);
	hostile_close(&h);
	check_file(options & READONLY);
	return 0;
}
