/*
 * A hostile driver of a disk: any bytes as requests, in any framing, some of them with broken rings.
 *
 * Input: a byte of options (see below), 64 bytes for the beginning of the data area, then requests: type,
 * sector (signed), bits that make it 2^56 times that and the header writable, a count of descriptors, and for
 * each of them: where it is (in units of 64 bytes of the data area), its length (2 bytes) and its flags.
 *
 * The disk's file is longer than the disk: what is behind its end must stay as it is, as must a read-only disk.
 */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/log.h"
#include "fuzz.h"
#include "vmm/devices.h"

#define DISK_BYTES 8192
#define FILE_BYTES 16384
#define QUEUE 64
#define DESC 0x0000
#define AVAIL 0x1000
#define USED 0x2000
#define TABLES 0x3000 /* indirect ones, copies of parts of DESC */
#define HEADERS 0x4000
#define DATA 0x8000
#define MEMORY (64 * KIB)

enum { READONLY = 1, FLUSH = 2, INDIRECT = 4, EVENT_IDX = 8, HUGE_AVAIL = 16 };

static struct memory mem;
static int file = -1;
static unsigned next_desc, next_avail;

static void nothing(void *ud)
{
	(void)ud;
}

static void set(struct virtio *v, uint64_t reg, uint32_t value)
{
	virtio_mmio_write(v, reg, &value, sizeof(value));
}

static void put(uint64_t gpa, const void *p, size_t n)
{
	if (mem_copy_out(&mem, gpa, p, n) < 0)
		abort();
}

static void start(struct virtio *v, unsigned options)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1;

	features |= options & FLUSH ? 1ULL << VIRTIO_BLK_F_FLUSH : 0;
	features |= options & INDIRECT ? 1ULL << VIRTIO_RING_F_INDIRECT_DESC : 0;
	features |= options & EVENT_IDX ? 1ULL << VIRTIO_RING_F_EVENT_IDX : 0;
	set(v, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	set(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(v, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	set(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(v, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	set(v, VIRTIO_MMIO_STATUS, 11);
	set(v, VIRTIO_MMIO_QUEUE_NUM, QUEUE);
	set(v, VIRTIO_MMIO_QUEUE_DESC_LOW, DESC);
	set(v, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
	set(v, VIRTIO_MMIO_QUEUE_USED_LOW, USED);
	set(v, VIRTIO_MMIO_QUEUE_READY, 1);
	set(v, VIRTIO_MMIO_STATUS, 15);
	if (!virtio_running(v))
		abort();
}

/* One request; false when the input or the table is at its end. */
static bool add_request(struct rd *c, unsigned options)
{
	uint16_t head = (uint16_t)next_desc, avail;
	uint8_t type = rd_u8(c), nearly = rd_u8(c), far = rd_u8(c), i, n = rd_u8(c) % 9;
	uint64_t sector = (uint64_t)(int64_t)(int8_t)nearly;
	struct virtio_blk_outhdr h = { .type = type, .sector = far & 1 ? sector << 56 : sector };

	if (c->bad || next_desc + n + 1 > QUEUE || next_avail >= QUEUE)
		return false;
	put(HEADERS + next_avail * sizeof(h), &h, sizeof(h));
	for (i = 0; i <= n; i++) {
		uint8_t where = i ? rd_u8(c) : 0;
		uint16_t len = i ? rd_u16(c) : sizeof(h);
		uint8_t flags = i ? rd_u8(c) : far & 2 ? VRING_DESC_F_WRITE : 0;
		struct vring_desc d = {
			.addr = i ? DATA + where * 64ULL : HEADERS + next_avail * sizeof(h),
			.len = len,
			.flags = (flags & (VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)) |
				 (i < n ? VRING_DESC_F_NEXT : 0),
			.next = (uint16_t)(next_desc + 1),
		};

		if (flags & 0x10)
			d.addr = TABLES + (flags >> 5) * sizeof(d);
		if (flags & 0x08)
			d.next = flags >> 5; /* anywhere, a loop maybe */
		put(DESC + next_desc * sizeof(d), &d, sizeof(d));
		put(TABLES + next_desc * sizeof(d), &d, sizeof(d));
		next_desc++;
	}
	put(AVAIL + 4 + 2 * next_avail, &head, sizeof(head));
	avail = (uint16_t)(++next_avail + (options & HUGE_AVAIL ? 4000 : 0));
	put(AVAIL + 2, &avail, sizeof(avail));
	return !c->bad;
}

/* What is on a disk that may be written is the driver's affair. */
static void check_file(bool readonly)
{
	static uint8_t now[FILE_BYTES + 1];
	unsigned i;

	if (pread(file, now, sizeof(now), 0) != FILE_BYTES)
		abort();
	for (i = readonly ? 0 : DISK_BYTES; i < FILE_BYTES; i++)
		if (now[i] != 0xa5)
			abort();
}

static void set_up(void)
{
	static uint8_t pattern[FILE_BYTES];

	if (file < 0) {
		file = memfd_create("disk", MFD_CLOEXEC);
		if (file < 0 || mem_open(&mem, MEMORY, NULL) < 0)
			abort();
	}
	memset(pattern, 0xa5, sizeof(pattern));
	if (ftruncate(file, 0) < 0 || pwrite(file, pattern, DISK_BYTES, 0) != DISK_BYTES)
		abort();
	memset(mem_at(&mem, 0, MEMORY), 0, MEMORY);
	next_desc = next_avail = 0;
}

static void grow_file(void)
{
	uint8_t pattern[FILE_BYTES - DISK_BYTES];

	memset(pattern, 0xa5, sizeof(pattern));
	if (pwrite(file, pattern, sizeof(pattern), DISK_BYTES) != sizeof(pattern))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd c;
	struct virtio *v;
	const uint8_t *content;
	unsigned options;

	log_init("fuzz", LOG_ERROR);
	set_up();
	c = rd_over(data, size);
	options = rd_u8(&c);
	content = rd_bytes(&c, 64);
	if (!content)
		return 0;
	put(DATA, content, 64);
	v = blk_open(fcntl(file, F_DUPFD_CLOEXEC, 0), options & READONLY, &mem, nothing, NULL, NULL);
	if (!v)
		abort();
	grow_file();
	start(v, options);
	while (add_request(&c, options))
		virtio_kick(v, 0);
	virtio_kick(v, 0);
	blk_close(v);
	check_file(options & READONLY);
	return 0;
}
