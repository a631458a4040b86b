/* Split queues: what a guest may say, what breaks the queue, and every index across 2^16. */
#include <errno.h>
#include <pthread.h>

#include "lib/tap.h"
#include "unit/vring.h"

#define SIZE 8

/* A device of one queue that does nothing by itself: the test pops and pushes. */
static void no_kick(struct virtio *v, unsigned queue)
{
	(void)v;
	(void)queue;
}

static const struct virtio_ops idle_ops = { .id = 1, .nqueues = 1, .queue_size = VIRTQ_SIZE_MAX, .kick = no_kick };

static struct driver d;
static struct virtio v;
static struct virtq *const q = &v.queue[0];
static struct virtq_chain c; /* 8 KiB */
static uint64_t buf;         /* 4096 bytes of memory for anything */

static void begin(uint64_t features, uint16_t size)
{
	driver_start_sized(&d, &v, features, size);
	buf = driver_alloc(&d, 4096);
}

static void *at(uint64_t gpa)
{
	return driver_ptr(&d, gpa, 1);
}

/* --- what breaks a queue ------------------------------------------------------------------------ */

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* Where low memory ends. */
static uint64_t low_end(void)
{
	return d.mem.region[0].size;
}

static void offer_one(uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	driver_desc(&d, 0, 0, gpa, len, flags, next);
	driver_offer(&d, 0, 0);
}

/* Puts descriptor i of an indirect table at `buf` + 2048. */
static void table_desc(unsigned i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc x = { .addr = gpa, .len = len, .flags = flags, .next = next };

	memcpy((uint8_t *)at(buf + 2048) + i * sizeof(x), &x, sizeof(x));
}

static void offer_table(unsigned n)
{
	offer_one(buf + 2048, n * 16, INDIRECT, 0);
}

static void bad_head(void) { driver_offer(&d, 0, SIZE); }
static void bad_head_far(void) { driver_offer(&d, 0, 0xffff); }
static void bad_next(void) { offer_one(buf, 1, NEXT, SIZE); }
static void bad_next_far(void) { offer_one(buf, 1, NEXT, 0xffff); }
static void loop_of_one(void) { offer_one(buf, 1, NEXT, 0); }
static void empty(void) { offer_one(buf, 0, 0, 0); }
static void empty_writable(void) { offer_one(buf, 0, WRITE, 0); }
static void in_hole(void) { offer_one(LOW_MEMORY_END, 1, 0, 0); }
static void at_device(void) { offer_one(MMIO_BASE, 4, WRITE, 0); }
static void over_low_end(void) { offer_one(low_end() - 1, 2, 0, 0); }
static void over_end(void) { offer_one(HIGH_MEMORY + d.mem.region[1].size - 1, 2, 0, 0); }
static void before_high(void) { offer_one(HIGH_MEMORY - 1, 2, 0, 0); }
static void wraps(void) { offer_one(UINT64_MAX - 7, 16, 0, 0); }
static void too_long(void) { offer_one(buf, UINT32_MAX, 0, 0); }

static void loop_of_two(void)
{
	driver_desc(&d, 0, 1, buf, 1, NEXT, 0);
	offer_one(buf, 1, NEXT, 1);
}

static void readable_last(void)
{
	driver_desc(&d, 0, 1, buf, 1, 0, 0);
	offer_one(buf, 1, WRITE | NEXT, 1);
}

static void indirect_in_indirect(void)
{
	table_desc(0, buf + 3072, 16, INDIRECT, 0);
	offer_table(1);
}

static void indirect_and_next(void)
{
	table_desc(0, buf, 1, 0, 0);
	offer_one(buf + 2048, 16, INDIRECT | NEXT, 1);
}

static void table_empty(void) { offer_one(buf + 2048, 0, INDIRECT, 0); }
static void table_17(void) { offer_one(buf + 2048, 17, INDIRECT, 0); }
static void table_15(void) { offer_one(buf + 2048, 15, INDIRECT, 0); }
static void table_nowhere(void) { offer_one(LOW_MEMORY_END, 16, INDIRECT, 0); }
static void table_over_end(void) { offer_one(low_end() - 16, 32, INDIRECT, 0); }
static void table_wraps(void) { offer_one(UINT64_MAX - 15, 32, INDIRECT, 0); }
static void table_huge(void) { offer_one(buf, 0xfffffff0, INDIRECT, 0); }

static void table_next(void)
{
	table_desc(0, buf, 1, NEXT, 2);
	table_desc(2, buf, 1, 0, 0); /* would be fine, but is not in the table */
	offer_table(2);
}

static void table_loop(void)
{
	table_desc(0, buf, 1, NEXT, 1);
	table_desc(1, buf, 1, NEXT, 0);
	offer_table(2);
}

/* The table begins anew, but the chain does not. */
static void table_readable_last(void)
{
	table_desc(0, buf, 1, 0, 0);
	driver_desc(&d, 0, 1, buf + 2048, 16, INDIRECT, 0);
	offer_one(buf, 1, WRITE | NEXT, 1);
}

static void idx_far(void)
{
	offer_one(buf, 1, 0, 0);
	d.q[0].ring_avail->idx = SIZE + 1;
}

static void idx_back(void)
{
	d.q[0].ring_avail->idx = 0xffff;
}

static const struct breach {
	const char *name;
	void (*offer)(void);
	const char *why;
} breaches[] = {
	{ "a head beyond the table", bad_head, "a descriptor beyond the end of its table" },
	{ "the last head there is", bad_head_far, "a descriptor beyond the end of its table" },
	{ "a next beyond the table", bad_next, "a descriptor beyond the end of its table" },
	{ "the last next there is", bad_next_far, "a descriptor beyond the end of its table" },
	{ "a loop of one", loop_of_one, "a chain that is too long" },
	{ "a loop of two", loop_of_two, "a chain that is too long" },
	{ "an empty buffer", empty, "an empty buffer" },
	{ "an empty writable buffer", empty_writable, "an empty buffer" },
	{ "a buffer in the hole", in_hole, "a buffer that is not in memory" },
	{ "a buffer at a device's registers", at_device, "a buffer that is not in memory" },
	{ "a buffer over the end of low memory", over_low_end, "a buffer that is not in memory" },
	{ "a buffer over the end", over_end, "a buffer that is not in memory" },
	{ "a buffer that begins before high memory", before_high, "a buffer that is not in memory" },
	{ "a buffer whose end wraps", wraps, "a buffer that is not in memory" },
	{ "a buffer of 4 GiB", too_long, "a buffer that is not in memory" },
	{ "readable after writable", readable_last, "a readable buffer after a writable one" },
	{ "indirect in indirect", indirect_in_indirect, "an indirect descriptor in an indirect table" },
	{ "indirect and next", indirect_and_next, "an indirect descriptor with a next one" },
	{ "a table of 0 bytes", table_empty, "an indirect table of a size that is not one of descriptors" },
	{ "a table of 15 bytes", table_15, "an indirect table of a size that is not one of descriptors" },
	{ "a table of 17 bytes", table_17, "an indirect table of a size that is not one of descriptors" },
	{ "a table in the hole", table_nowhere, "an indirect table that is not in memory" },
	{ "a table over the end", table_over_end, "an indirect table that is not in memory" },
	{ "a table that wraps", table_wraps, "an indirect table that is not in memory" },
	{ "a table of 4 GiB", table_huge, "an indirect table that is not in memory" },
	{ "a next beyond the indirect table", table_next, "a descriptor beyond the end of its table" },
	{ "a loop in the indirect table", table_loop, "a chain that is too long" },
	{ "readable in the table after writable", table_readable_last, "a readable buffer after a writable one" },
	{ "an index too far ahead", idx_far, "more requests than the queue can hold" },
	{ "an index that goes back", idx_back, "more requests than the queue can hold" },
};

static bool pop_breaks(void)
{
	return virtq_pop(q, &c) == -EBADMSG && q->broken && !c.nreadable && !c.nwritable && !c.readable_bytes &&
	       !c.writable_bytes;
}

/* A queue that is broken is silent, whatever is done to it; a reset makes it whole. */
static bool is_dead(void)
{
	uint16_t used = d.q[0].ring_used->idx;

	virtq_push(q, &c, 1);
	virtq_unpop(q);
	virtq_kicks_off(q);
	return d.q[0].ring_used->idx == used && !virtq_wants_interrupt(q) && !virtq_kicks_on(q) &&
	       virtq_pop(q, &c) == -EBADMSG;
}

static void test_breaches(void)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(breaches); i++) {
		begin(DRIVER_ALL, SIZE);
		breaches[i].offer();
		ok(pop_breaks() && is_dead(), "%s breaks the queue", breaches[i].name);
		is_str(q->why, breaches[i].why, "and it says why");
	}
	begin(0, SIZE);
	table_desc(0, buf, 1, 0, 0);
	offer_table(1);
	is_int(virtq_pop(q, &c), -EBADMSG, "an indirect table that was not negotiated breaks the queue");
	is_str(q->why, "an indirect descriptor, which was not negotiated", "and it says why");
	begin(DRIVER_ALL, SIZE);
	offer_one(buf, 1, 0, 0);
	is_int(virtq_pop(q, &c), 1, "after a reset it works again");
}

/* As many as the queue holds are under way; a guest that offers one of them again is told off. */
static void test_under_way(void)
{
	unsigned i;

	begin(DRIVER_ALL, SIZE);
	for (i = 0; i < SIZE; i++) {
		driver_desc(&d, 0, (uint16_t)i, buf, 1, 0, 0);
		driver_offer(&d, 0, (uint16_t)i);
	}
	for (i = 0; i < SIZE && virtq_pop(q, &c) == 1 && c.head == i; i++)
		;
	ok(i == SIZE && virtq_pop(q, &c) == 0, "all of a full queue are popped, none pushed");
	driver_offer(&d, 0, 0);
	is_int(virtq_pop(q, &c), -EBADMSG, "one more breaks it");

	begin(DRIVER_ALL, SIZE);
	offer_one(buf, 1, 0, 0);
	offer_one(buf, 1, 0, 0);
	ok(virtq_pop(q, &c) == 1 && virtq_pop(q, &c) == 1, "two are under way");
	d.q[0].ring_avail->idx = 1;
	is_int(virtq_pop(q, &c), -EBADMSG, "and an index that takes one of them back breaks it");
	ok(is_dead(), "they are not given back any more");
}

/* --- what a guest may say ----------------------------------------------------------------------- */

static bool is_iov(const struct iovec *iov, uint64_t gpa, size_t len)
{
	return iov->iov_base == at(gpa) && iov->iov_len == len;
}

static void test_chain(void)
{
	uint64_t high = HIGH_MEMORY + d.mem.region[1].size - 3;
	struct seg s[] = { { buf, 16, false }, { buf + 16, 100, false }, { buf + 200, 7, true }, { high, 3, true } };
	uint16_t used;
	uint32_t len;
	int i, head;

	for (i = 0; i < 2; i++) {
		begin(DRIVER_ALL, SIZE);
		is_int(virtq_pop(q, &c), 0, "an empty queue gives nothing");
		head = i ? driver_add_indirect(&d, 0, s, 4) : driver_add(&d, 0, s, 4);
		ok(virtq_pop(q, &c) == 1 && c.head == head, "a chain%s", i ? " in a table" : "");
		ok(c.nreadable == 2 && c.nwritable == 2 && c.readable_bytes == 116 && c.writable_bytes == 10 &&
		   is_iov(&c.readable[0], buf, 16) && is_iov(&c.readable[1], buf + 16, 100) &&
		   is_iov(&c.writable[0], buf + 200, 7) && is_iov(&c.writable[1], high, 3), "has its parts");
		is_int(virtq_pop(q, &c), 0, "no second one");
		c.head = (uint16_t)head;
		virtq_push(q, &c, 10);
		ok(driver_used(&d, 0, &used, &len) && used == head && len == 10, "and goes back");
		virtq_push(q, &c, 10);
		ok(!driver_used(&d, 0, NULL, NULL), "once");
	}
}

/* Descriptors, then a table that begins anywhere and is longer than its chain (2.7.5.3.2). */
static void test_table(void)
{
	uint64_t table = buf + 2048 + 3;
	struct seg s[] = { { buf + 1, 1, false }, { buf + 2, 2, true } };

	begin(DRIVER_ALL, SIZE);
	driver_table(&d, table, s, 2);
	driver_desc(&d, 0, 3, table, 16 * 100, INDIRECT | WRITE, 99);
	offer_one(buf, 1, NEXT, 3);
	ok(virtq_pop(q, &c) == 1 && c.nreadable == 2 && c.nwritable == 1, "a chain that ends in a table");
	ok(is_iov(&c.readable[0], buf, 1) && is_iov(&c.readable[1], buf + 1, 1) && is_iov(&c.writable[0], buf + 2, 2),
	   "whose descriptor may be writable, unaligned and longer than needed");
}

static void test_long(void)
{
	static struct seg s[VIRTQ_CHAIN_MAX + 1];
	unsigned i;

	begin(DRIVER_ALL, 0);
	for (i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = (struct seg){ buf + i, 1, i >= 100 };
	driver_add(&d, 0, s, VIRTQ_CHAIN_MAX);
	ok(virtq_pop(q, &c) == 1 && c.nreadable == 100 && c.nwritable == VIRTQ_CHAIN_MAX - 100, "the longest chain");
	begin(DRIVER_ALL, 0);
	driver_add_indirect(&d, 0, s, VIRTQ_CHAIN_MAX);
	ok(virtq_pop(q, &c) == 1 && c.nreadable == 100 && c.nwritable == VIRTQ_CHAIN_MAX - 100, "in a table");
	begin(DRIVER_ALL, 0);
	driver_add_indirect(&d, 0, s, VIRTQ_CHAIN_MAX + 1);
	is_int(virtq_pop(q, &c), -EBADMSG, "one more breaks the queue");
	begin(DRIVER_ALL, 0);
	driver_table(&d, buf, s + 255, 2);
	for (i = 0; i < 255; i++)
		driver_desc(&d, 0, (uint16_t)i, buf, 1, NEXT, (uint16_t)(i + 1));
	driver_desc(&d, 0, 255, buf, 32, INDIRECT, 0);
	driver_offer(&d, 0, 0);
	is_int(virtq_pop(q, &c), -EBADMSG, "also as 255 descriptors and a table of two");
}

/* Buffers may overlap, so a small guest can name much. */
static void test_4gib(void)
{
	struct seg s[] = { { 0, GIB, false }, { 0, GIB, false }, { 0, GIB, true }, { 0, GIB - 1, true } };
	struct driver small = d;

	driver_mapped(&d, GIB);
	virtio_fini(&v);
	virtio_init(&v, &idle_ops, &d.mem, driver_irq, &d);
	begin(DRIVER_ALL, SIZE);
	driver_add(&d, 0, s, 4);
	ok(virtq_pop(q, &c) == 1 && c.readable_bytes == 2 * GIB && c.writable_bytes == 2 * GIB - 1,
	   "a chain of 4 GiB less a byte");
	s[3].len++;
	begin(DRIVER_ALL, SIZE);
	driver_add(&d, 0, s, 4);
	is_int(virtq_pop(q, &c), -EBADMSG, "one more byte breaks the queue");
	is_str(q->why, "a chain of more than 4 GiB", "and it says why");
	virtio_fini(&v);
	driver_free(&d);
	d = small;
	virtio_init(&v, &idle_ops, &d.mem, driver_irq, &d);
}

static void test_bytes(void)
{
	struct seg s[] = { { 0, 3, false }, { 0, 1, false }, { 0, 4, false }, { 0, 2, true }, { 0, 5, true } };
	char out[16] = "";

	begin(DRIVER_ALL, SIZE);
	s[0].gpa = driver_put(&d, "abc", 3);
	s[1].gpa = driver_put(&d, "d", 1);
	s[2].gpa = driver_put(&d, "efgh", 4);
	s[3].gpa = driver_alloc(&d, 2);
	s[4].gpa = driver_alloc(&d, 5);
	driver_add(&d, 0, s, 5);
	is_int(virtq_pop(q, &c), 1, "a chain in pieces");
	ok(virtq_read(&c, 0, out, 8) == 8 && !strcmp(out, "abcdefgh"), "read all");
	memset(out, 0, sizeof(out));
	ok(virtq_read(&c, 2, out, 3) == 3 && !strcmp(out, "cde"), "read over two edges");
	ok(virtq_read(&c, 7, out, 16) == 1 && out[0] == 'h', "read short");
	ok(!virtq_read(&c, 8, out, 1) && !virtq_read(&c, UINT64_MAX, out, 1) && !virtq_read(&c, 0, out, 0),
	   "read nothing");
	ok(virtq_write(&c, 0, "1234567", 7) == 7 && !memcmp(at(s[3].gpa), "12", 2) &&
	   !memcmp(at(s[4].gpa), "34567", 5), "write all");
	ok(virtq_write(&c, 1, "xy", 2) == 2 && !memcmp(at(s[3].gpa), "1x", 2) && !memcmp(at(s[4].gpa), "y4567", 5),
	   "write over an edge");
	ok(virtq_write(&c, 5, "pqrst", 5) == 2 && !memcmp(at(s[4].gpa), "y45pq", 5), "write short");
	ok(!virtq_write(&c, 7, "z", 1) && !virtq_write(&c, UINT64_MAX, "z", 1), "write nothing");
}

/* --- a guest that changes its mind ---------------------------------------------------------------- */

static void test_unpop(void)
{
	begin(DRIVER_ALL, SIZE);
	virtq_unpop(q);
	is_int(virtq_pop(q, &c), 0, "nothing to give back");
	driver_desc(&d, 0, 5, buf, 1, 0, 0);
	driver_offer(&d, 0, 5);
	offer_one(buf, 2, 0, 0);
	ok(virtq_pop(q, &c) == 1 && c.head == 5, "a chain");
	virtq_unpop(q);
	ok(virtq_kicks_on(q), "that was given back waits");
	ok(virtq_pop(q, &c) == 1 && c.head == 5, "and comes again");
	ok(virtq_pop(q, &c) == 1 && c.head == 0, "before the next");
	virtq_unpop(q);
	virtq_unpop(q);
	ok(virtq_pop(q, &c) == 1 && c.head == 5, "both are given back, both come again");
	driver_desc(&d, 0, 0, LOW_MEMORY_END, 2, 0, 0);
	is_int(virtq_pop(q, &c), -EBADMSG, "what the guest made of it meanwhile is looked at again");
}

static void test_reset_meanwhile(void)
{
	begin(DRIVER_ALL, SIZE);
	offer_one(buf, 1, 0, 0);
	is_int(virtq_pop(q, &c), 1, "a chain is under way");
	driver_write(&d, VIRTIO_MMIO_STATUS, 0);
	virtq_push(q, &c, 1);
	virtq_unpop(q);
	ok(!d.q[0].ring_used->idx && !virtq_wants_interrupt(q) && !virtq_kicks_on(q) && virtq_pop(q, &c) == 0,
	   "a reset forgets it");
	driver_reset(&d);
}

/* What is walked was copied: an address and a length that were never checked together do not come out. */
#ifndef __SANITIZE_THREAD__ /* it would report the race that this is about */
static atomic_bool stop;

static void linger(void)
{
	unsigned i;

	for (i = 0; i < 50; i++)
		__asm__ volatile("" ::: "memory");
}

static void *flip(void *ud)
{
	struct vring_desc *x = ud;

	while (!atomic_load(&stop)) {
		__atomic_store_n(&x->addr, LOW_MEMORY_END, __ATOMIC_RELAXED);
		__atomic_store_n(&x->len, UINT32_MAX, __ATOMIC_RELAXED);
		linger();
		__atomic_store_n(&x->flags, INDIRECT, __ATOMIC_RELAXED);
		linger();
		__atomic_store_n(&x->flags, WRITE, __ATOMIC_RELAXED);
		__atomic_store_n(&x->len, 64, __ATOMIC_RELAXED);
		__atomic_store_n(&x->addr, buf, __ATOMIC_RELAXED);
		linger();
		__atomic_store_n(&x->flags, 0, __ATOMIC_RELAXED);
		linger();
	}
	return NULL;
}

static void test_race(void)
{
	unsigned i, good = 0, broken = 0, wrong = 0;
	pthread_t thread;

	begin(DRIVER_ALL, SIZE);
	offer_one(buf, 64, WRITE, 0);
	if (pthread_create(&thread, NULL, flip, &d.q[0].ring_desc[0]))
		driver_die("no thread");
	/* Until both were seen, for which the thread has to run; but not for ever. */
	for (i = 0; i < 300000 || (i < 300000000 && (!good || !broken)); i++) {
		if (virtq_pop(q, &c) == 1) {
			good++;
			wrong += c.nreadable + c.nwritable != 1 || c.readable_bytes + c.writable_bytes != 64 ||
				 !is_iov(c.nwritable ? &c.writable[0] : &c.readable[0], buf, 64);
			virtq_unpop(q);
		} else {
			broken++;
			q->broken = false;
		}
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	ok(!wrong && good && broken, "a descriptor that changes all the time is taken or refused");
	printf("# %u taken, %u refused, %u wrong\n", good, broken, wrong);
}
#else
static void test_race(void) {}
#endif

/* --- 2^16 ------------------------------------------------------------------------------------------ */

/* Both ends as if `index` requests had been done. */
static void jump(uint16_t index)
{
	struct driver_queue *dq = &d.q[0];

	q->next_avail = q->next_used = q->signalled_used = index;
	dq->avail_idx = dq->kicked_idx = dq->last_used = index;
	dq->ring_avail->idx = dq->ring_used->idx = index;
}

/* A device's turn as all devices have it, and the driver's: neither misses the other. */
static void test_wrap(uint64_t features, uint16_t size)
{
	unsigned i, n, kicks = 0, irqs = 0, lost = 0, total = 0;
	struct seg s = { buf, 1, true };

	begin(features, size);
	driver_irqs(&d);
	for (i = 0; total < 0x10000 + 1000; i++) {
		/* 1 to size requests at a time. */
		for (n = 0; n < 1 + i % size && driver_add(&d, 0, &s, 1) >= 0; n++)
			;
		if (driver_wants_kick(&d, 0)) {
			kicks++;
			virtq_kicks_off(q);
			do {
				while (virtq_pop(q, &c) == 1)
					virtq_push(q, &c, 1);
			} while (virtq_kicks_on(q));
		}
		virtio_notify_queue(&v, 0);
		irqs += driver_irqs(&d);
		for (; driver_used(&d, 0, NULL, NULL); n--, total++)
			;
		lost += n;
		driver_want_irqs(&d, 0, true);
	}
	ok(!lost && kicks == i && irqs == i && !q->broken, "%u requests around a queue of %u, features %#llx", total,
	   size, (unsigned long long)features);
}

static void test_out_of_order(void)
{
	struct virtq_chain *taken = calloc(3, sizeof(*taken));
	struct seg s = { buf, 1, true };
	uint16_t head[3];
	unsigned i, n = 0;

	begin(DRIVER_ALL, SIZE);
	jump(0xfffe);
	for (i = 0; i < 3; i++)
		driver_add(&d, 0, &s, 1);
	for (i = 0; taken && i < 3; i++)
		n += virtq_pop(q, &taken[i]) == 1;
	for (i = 3; n == 3 && i-- > 0;)
		virtq_push(q, &taken[i], i);
	for (i = 0; i < 3 && driver_used(&d, 0, &head[i], NULL); i++)
		;
	ok(i == 3 && head[0] == taken[2].head && head[1] == taken[1].head && head[2] == taken[0].head,
	   "chains go back in any order");
	free(taken);
}

/* A driver that looks at any time sees none of them or all: the index is written once, across 2^16, too. */
static void test_push_all(void)
{
	struct seg s = { buf, 1, true };
	struct virtq_used u[3];
	uint16_t head;
	uint32_t len;
	unsigned i;

	begin(0, SIZE);
	jump(0xfffe);
	for (i = 0; i < 3; i++)
		u[i] = (struct virtq_used){ (uint16_t)driver_add(&d, 0, &s, 1), 10 + i };
	ok(virtq_pop(q, &c) == 1 && virtq_pop(q, &c) == 1, "two of three are under way");
	virtq_push_all(q, u, 3);
	ok(!driver_used(&d, 0, NULL, NULL), "three are not handed back");
	ok(virtq_pop(q, &c) == 1, "the third");
	virtq_push_all(q, u, 0);
	ok(!driver_used(&d, 0, NULL, NULL), "none");
	virtq_push_all(q, u, 3);
	is_int(d.q[0].ring_used->idx, 1, "all three at once");
	for (i = 0; i < 3 && driver_used(&d, 0, &head, &len) && head == u[i].head && len == 10 + i; i++)
		;
	ok(i == 3 && virtq_wants_interrupt(q), "in their order");
}

/* 2^16 + 1 requests since the last decision, by twos: every index was passed, also the one that is asked for. */
static void test_push_all_around(void)
{
	struct virtq_used u[2] = { { 0, 0 }, { 0, 0 } };
	unsigned i;

	begin(DRIVER_EVENT_IDX, SIZE);
	driver_want_irq_at(&d, 0, 5);
	for (i = 0; i <= 0x10000; i += i ? 2 : 1) {
		offer_one(buf, 1, 0, 0);
		if (i)
			offer_one(buf, 1, 0, 0);
		while (virtq_pop(q, &c) == 1)
			;
		virtq_push_all(q, u, i ? 2 : 1);
	}
	ok(d.q[0].ring_used->idx == 1 && virtq_wants_interrupt(q), "once around: an interrupt");
}

/* --- who wakes whom -------------------------------------------------------------------------------- */

/* `n` requests, done. */
static void work(unsigned n)
{
	for (; n; n--) {
		offer_one(buf, 1, 0, 0);
		if (virtq_pop(q, &c) != 1)
			driver_die("no request");
		virtq_push(q, &c, 0);
		d.q[0].last_used++;
	}
}

static void test_flags(void)
{
	begin(0, SIZE);
	ok(!virtq_wants_interrupt(q), "no interrupt for nothing");
	work(1);
	ok(virtq_wants_interrupt(q), "one for a request");
	ok(!virtq_wants_interrupt(q), "but one");
	driver_want_irqs(&d, 0, false);
	work(2);
	ok(!virtq_wants_interrupt(q), "none if the driver wants none");
	driver_want_irqs(&d, 0, true);
	ok(!virtq_wants_interrupt(q), "nor later for the same");
	driver_want_irq_at(&d, 0, 1000);
	work(1);
	ok(virtq_wants_interrupt(q), "an event index that was not negotiated says nothing");

	ok(driver_wants_kick(&d, 0), "kicks are wanted");
	virtq_kicks_off(q);
	ok(!driver_wants_kick(&d, 0), "not any more");
	ok(!virtq_kicks_on(q) && driver_wants_kick(&d, 0), "and again");
	virtq_kicks_off(q);
	offer_one(buf, 1, 0, 0);
	ok(virtq_kicks_on(q), "a request that came meanwhile is told");
}

/* Where the interrupt is due: when the entry that used_event names is among those written since (2.7.7). */
static bool is_due(uint16_t event, uint16_t old, unsigned n)
{
	for (; n; n--, old++)
		if (old == event)
			return true;
	return false;
}

static void test_used_event(void)
{
	static const uint16_t starts[] = { 0, 1, 0x7fff, 0xfffd, 0xffff };
	static const int deltas[] = { -32768, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 32767 };
	unsigned a, b, n, wrong = 0, due = 0;

	for (a = 0; a < ARRAY_SIZE(starts); a++)
		for (b = 0; b < ARRAY_SIZE(deltas); b++)
			for (n = 0; n <= SIZE; n++) {
				uint16_t event = (uint16_t)(starts[a] + deltas[b]);

				begin(DRIVER_EVENT_IDX, SIZE);
				jump(starts[a]);
				driver_want_irq_at(&d, 0, event);
				d.q[0].ring_avail->flags = VRING_AVAIL_F_NO_INTERRUPT; /* not looked at */
				work(n);
				due += is_due(event, starts[a], n);
				wrong += virtq_wants_interrupt(q) != is_due(event, starts[a], n);
				wrong += virtq_wants_interrupt(q);
			}
	ok(!wrong && due > 100, "an interrupt exactly at the event index");
	printf("# %u due, %u wrong\n", due, wrong);

	begin(DRIVER_EVENT_IDX, SIZE);
	driver_want_irq_at(&d, 0, 0xfffe);
	work(0xfffe);
	ok(!virtq_wants_interrupt(q), "not after 65534 of 65535");
	work(1);
	ok(virtq_wants_interrupt(q), "after the last");
	work(0x10000);
	ok(virtq_wants_interrupt(q), "after 65536 more, which are no fewer than none");
	driver_want_irq_at(&d, 0, 0x8000);
	work(0x10005);
	ok(virtq_wants_interrupt(q), "and after more than those");
	work(5);
	ok(!virtq_wants_interrupt(q), "then as before");
}

static void test_avail_event(void)
{
	static const uint16_t starts[] = { 0, 0x7fff, 0xfffd, 0xffff };
	unsigned a;

	for (a = 0; a < ARRAY_SIZE(starts); a++) {
		begin(DRIVER_EVENT_IDX, SIZE);
		jump(starts[a]);
		ok(!virtq_kicks_on(q), "from index %u: nothing waits", starts[a]);
		offer_one(buf, 1, 0, 0);
		ok(driver_wants_kick(&d, 0), "the first request kicks");
		offer_one(buf, 1, 0, 0);
		ok(!driver_wants_kick(&d, 0), "the second does not");
		ok(virtq_pop(q, &c) == 1 && virtq_kicks_on(q), "one taken: another waits");
		virtq_push(q, &c, 0);
		virtq_kicks_off(q);
		ok(virtq_pop(q, &c) == 1 && !virtq_kicks_on(q), "two taken: none");
		offer_one(buf, 1, 0, 0);
		offer_one(buf, 1, 0, 0);
		ok(driver_wants_kick(&d, 0), "two at a time kick, too");
		is_int(d.q[0].ring_used->flags, 0, "flags are left alone");
	}
}

int main(void)
{
	driver_memory(&d, 2 * MIB);
	virtio_init(&v, &idle_ops, &d.mem, driver_irq, &d);
	begin(DRIVER_ALL, SIZE);
	test_breaches();
	test_under_way();
	test_chain();
	test_table();
	test_long();
	test_4gib();
	test_bytes();
	test_unpop();
	test_reset_meanwhile();
	test_race();
	test_wrap(0, SIZE);
	test_wrap(DRIVER_ALL, SIZE);
	test_wrap(0, 1);
	test_wrap(DRIVER_ALL, 1);
	test_wrap(DRIVER_ALL, 256);
	test_out_of_order();
	test_push_all();
	test_push_all_around();
	test_flags();
	test_used_event();
	test_avail_event();
	virtio_fini(&v);
	driver_free(&d);
	return tap_done();
}
