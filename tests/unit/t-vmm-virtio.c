/* The registers of virtio-mmio: what a driver reads, may set and when, and a device that is broken or reset. */
#include <pthread.h>

#include "base/log.h"
#include "lib/tap.h"
#include "unit/vring.h"

#define FEATURE (1ULL << 5) /* of the device below */
#define CONFIG_BYTES 12

/* A device that answers at once, and counts what it is told. */
struct echo {
	struct virtio v;
	unsigned starts, kicks, resets;
	uint64_t features; /* of the last start */
	bool deaf;         /* leaves requests in the queue */
	bool beyond;       /* was asked for what is beyond any configuration */
	uint8_t config[CONFIG_BYTES];
};

static uint64_t echo_features(struct virtio *v)
{
	(void)v;
	return FEATURE;
}

static void echo_start(struct virtio *v, uint64_t features)
{
	struct echo *e = container_of(v, struct echo, v);

	e->starts++;
	e->features = features;
}

static void echo_kick(struct virtio *v, unsigned queue)
{
	static struct virtq_chain c;
	struct echo *e = container_of(v, struct echo, v);
	struct virtq *q = &v->queue[queue];
	int r = 0;

	e->kicks++;
	if (e->deaf)
		return;
	do {
		while ((r = virtq_pop(q, &c)) == 1)
			virtq_push(q, &c, (uint32_t)virtq_write(&c, 0, "echo", 4));
	} while (r == 0 && virtq_kicks_on(q));
	if (r < 0)
		virtio_broken(v, "a bad request");
	virtio_notify_queue(v, queue);
}

static void echo_reset(struct virtio *v)
{
	container_of(v, struct echo, v)->resets++;
}

static void echo_config_read(struct virtio *v, uint32_t offset, void *to, uint32_t n)
{
	struct echo *e = container_of(v, struct echo, v);

	e->beyond |= offset + n > MMIO_SIZE - VIRTIO_MMIO_CONFIG;
	if (offset < CONFIG_BYTES)
		memcpy(to, e->config + offset, MIN(n, CONFIG_BYTES - offset));
}

static void echo_config_write(struct virtio *v, uint32_t offset, const void *from, uint32_t n)
{
	struct echo *e = container_of(v, struct echo, v);

	e->beyond |= offset + n > MMIO_SIZE - VIRTIO_MMIO_CONFIG;
	if (offset < CONFIG_BYTES)
		memcpy(e->config + offset, from, MIN(n, CONFIG_BYTES - offset));
}

static const struct virtio_ops echo_ops = {
	.id = 42, .nqueues = 2, .queue_size = 64, .features = echo_features, .start = echo_start, .kick = echo_kick,
	.reset = echo_reset, .config_read = echo_config_read, .config_write = echo_config_write,
};

static void bare_kick(struct virtio *v, unsigned queue)
{
	(void)v;
	(void)queue;
}

/* As little as a device may be. */
static const struct virtio_ops bare_ops = { .id = 4, .nqueues = 1, .queue_size = 8, .kick = bare_kick };

static struct driver d;
static struct echo e;
static uint64_t buf;

static void begin(uint64_t features)
{
	driver_start(&d, &e.v, features);
	buf = driver_alloc(&d, 4096);
	e.starts = e.kicks = e.resets = 0;
	e.deaf = false;
	driver_irqs(&d);
}

static bool has_broken(void)
{
	return driver_has_status(&d, VIRTIO_CONFIG_S_NEEDS_RESET) && !virtio_running(&e.v);
}

static bool answers(unsigned queue)
{
	return driver_do(&d, queue, (struct seg[]){ { buf, 16, true } }, 1) == 4;
}

/* --- identity, features, status ------------------------------------------------------------------- */

static void test_identity(void)
{
	d.v = &e.v;
	is_int(driver_read(&d, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976, "MagicValue");
	is_int(driver_read(&d, VIRTIO_MMIO_VERSION), 2, "Version");
	is_int(driver_read(&d, VIRTIO_MMIO_DEVICE_ID), 42, "DeviceID");
	ok(driver_read(&d, VIRTIO_MMIO_VENDOR_ID), "VendorID");
	is_int(driver_read(&d, VIRTIO_MMIO_STATUS), 0, "Status");
	is_int(driver_read(&d, VIRTIO_MMIO_SHM_LEN_LOW), 0xffffffff, "SHMLen of no region");
	is_int(driver_read(&d, VIRTIO_MMIO_SHM_LEN_HIGH), 0xffffffff, "its upper half");
	is_int(driver_read(&d, 0x0c0), 0, "QueueReset is not offered");
	ok(driver_offered(&d) == (FEATURE | DRIVER_VERSION_1 | DRIVER_INDIRECT | DRIVER_EVENT_IDX), "DeviceFeatures");
	driver_write(&d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	is_int(driver_read(&d, VIRTIO_MMIO_DEVICE_FEATURES), 0, "no features beyond 64");
}

static void test_features(void)
{
	unsigned i;

	for (i = 0; i < 64; i++) {
		uint64_t f = DRIVER_VERSION_1 | 1ULL << i;
		bool offered = driver_offered(&d) & 1ULL << i;

		if (driver_accept(&d, &e.v, f) != offered || driver_has_status(&d, VIRTIO_CONFIG_S_NEEDS_RESET))
			break;
	}
	ok(i == 64, "a feature is accepted if it was offered (not: %u)", i);
	ok(!driver_accept(&d, &e.v, 0), "VERSION_1 must be");
	ok(!driver_accept(&d, &e.v, FEATURE | DRIVER_EVENT_IDX), "whatever else");
	driver_write(&d, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	driver_status(&d, VIRTIO_CONFIG_S_FEATURES_OK);
	ok(driver_has_status(&d, VIRTIO_CONFIG_S_FEATURES_OK), "a driver may think again after a refusal");

	ok(driver_accept(&d, &e.v, DRIVER_VERSION_1 | FEATURE), "accepted");
	driver_write(&d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	driver_write(&d, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
	e.starts = 0;
	driver_status(&d, VIRTIO_CONFIG_S_DRIVER_OK);
	ok(e.starts == 1 && e.features == (DRIVER_VERSION_1 | FEATURE), "features are frozen at FEATURES_OK");

	driver_reset(&d);
	driver_write(&d, VIRTIO_MMIO_STATUS, 11);
	ok(!driver_has_status(&d, VIRTIO_CONFIG_S_FEATURES_OK), "and forgotten by a reset");
	driver_write(&d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	driver_write(&d, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	driver_write(&d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 7);
	driver_write(&d, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
	driver_write(&d, VIRTIO_MMIO_STATUS, 15);
	ok(e.starts == 2 && e.features == DRIVER_VERSION_1, "nothing is beyond 64 features");
}

static void test_status(void)
{
	begin(DRIVER_ALL);
	ok(driver_read(&d, VIRTIO_MMIO_STATUS) == 15 && virtio_running(&e.v), "it runs");
	driver_write(&d, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	is_int(driver_read(&d, VIRTIO_MMIO_STATUS), 15, "bits do not go away");
	driver_write(&d, VIRTIO_MMIO_STATUS, 0xffffff00 | 15 | VIRTIO_CONFIG_S_NEEDS_RESET | 0x30);
	is_int(driver_read(&d, VIRTIO_MMIO_STATUS), 15, "nor do those come that a driver has not");
	driver_status(&d, VIRTIO_CONFIG_S_DRIVER_OK);
	ok(!e.starts && answers(0), "DRIVER_OK again is nothing");
	driver_status(&d, VIRTIO_CONFIG_S_FAILED);
	ok(driver_has_status(&d, VIRTIO_CONFIG_S_FAILED), "a driver may give up");
	driver_reset(&d);
	ok(!driver_read(&d, VIRTIO_MMIO_STATUS) && e.resets == 1 && !virtio_running(&e.v), "a 0 resets");

	e.starts = 0;
	driver_write(&d, VIRTIO_MMIO_STATUS, 7);
	ok(has_broken() && !e.starts, "DRIVER_OK before FEATURES_OK breaks it");
	driver_write(&d, VIRTIO_MMIO_STATUS, 15);
	ok(has_broken() && !e.starts, "for good");
	driver_reset(&d);
	driver_accept(&d, &e.v, 0);
	driver_write(&d, VIRTIO_MMIO_STATUS, 15);
	ok(has_broken() && !e.starts && !driver_has_status(&d, VIRTIO_CONFIG_S_FEATURES_OK),
	   "also where FEATURES_OK comes at the same time and is refused");
	driver_accept(&d, &e.v, DRIVER_VERSION_1);
	driver_irqs(&d);
	virtio_broken(&e.v, "before it began");
	ok(has_broken() && !driver_irqs(&d), "a device may break before DRIVER_OK, without an interrupt");
	driver_status(&d, VIRTIO_CONFIG_S_DRIVER_OK);
	ok(has_broken() && !e.starts, "and is not started then");
	begin(DRIVER_ALL);
	ok(!has_broken() && answers(0), "a reset mends it");
}

/* --- queues ------------------------------------------------------------------------------------------ */

static void test_queue_registers(void)
{
	driver_accept(&d, &e.v, DRIVER_VERSION_1);
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, 1);
	ok(driver_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX) == 64 && !driver_read(&d, VIRTIO_MMIO_QUEUE_READY),
	   "a queue that is there");
	driver_write(&d, VIRTIO_MMIO_QUEUE_READY, 1);
	is_int(driver_read(&d, VIRTIO_MMIO_QUEUE_READY), 1, "QueueReady reads what was written");
	driver_write(&d, VIRTIO_MMIO_QUEUE_READY, 0);
	is_int(driver_read(&d, VIRTIO_MMIO_QUEUE_READY), 0, "also 0");
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, 2);
	driver_write(&d, VIRTIO_MMIO_QUEUE_NUM, 8);
	driver_write(&d, VIRTIO_MMIO_QUEUE_READY, 1);
	ok(!driver_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX) && !driver_read(&d, VIRTIO_MMIO_QUEUE_READY) &&
	   !e.v.queue[2].ready, "one that is not");
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, 0xffffffff);
	driver_write(&d, VIRTIO_MMIO_QUEUE_READY, 1);
	ok(!driver_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX) && !driver_read(&d, VIRTIO_MMIO_QUEUE_READY), "one far away");
}

/* Ends a set-up that was begun: whether the device runs. */
static bool runs(void)
{
	driver_place_queue(&d, 0);
	driver_status(&d, VIRTIO_CONFIG_S_DRIVER_OK);
	return virtio_running(&e.v) && !has_broken();
}

static void set_up(uint16_t size)
{
	driver_accept(&d, &e.v, DRIVER_VERSION_1);
	d.next_gpa = DRIVER_FIRST_GPA;
	driver_make_queue(&d, 0, size);
}

static void test_queue_setup(void)
{
	static const uint16_t sizes[] = { 0, 3, 63, 65, 128, 0x8000, 0xffff };
	uint64_t end = d.mem.region[0].size, avail_bytes = 6 + 2 * 8, used_bytes = 6 + 8 * 8;
	struct driver_queue *q = &d.q[0];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		set_up(64);
		q->size = sizes[i];
		ok(!runs() && has_broken(), "no queue of %u", sizes[i]);
	}
	set_up(8);
	driver_irqs(&d);
	driver_place_queue(&d, 0);
	driver_write(&d, VIRTIO_MMIO_QUEUE_NUM, 0x10008);
	driver_status(&d, VIRTIO_CONFIG_S_DRIVER_OK);
	ok(has_broken(), "nor of 65544, which is not 8");
	ok(driver_irqs(&d) == 1 && driver_ack(&d) == VIRTIO_MMIO_INT_CONFIG, "the driver is told by an interrupt");
	set_up(1);
	ok(runs(), "one of 1");

#define REFUSED(assign, name) (set_up(8), assign, ok(!runs() && has_broken(), "%s", name))
#define ACCEPTED(assign, name) (set_up(8), assign, ok(runs(), "%s", name))
	REFUSED(q->desc += 8, "descriptors that are not aligned");
	REFUSED(q->avail += 1, "an available ring that is not aligned");
	REFUSED(q->used += 2, "a used ring that is not aligned");
	ACCEPTED(q->avail += 2, "an available ring that is aligned to 2");
	ACCEPTED(q->used += 4, "a used ring that is aligned to 4");
	REFUSED(q->desc = LOW_MEMORY_END, "descriptors in the hole");
	REFUSED(q->avail = 1ULL << 63, "an available ring nowhere");
	REFUSED(q->used = UINT64_MAX - 3, "a used ring at the end of all");
	ACCEPTED(q->desc = end - 128, "descriptors at the end of memory");
	REFUSED(q->desc = end - 112, "descriptors over the end");
	ACCEPTED(q->avail = end - avail_bytes, "an available ring at the end of memory");
	REFUSED(q->avail = end - avail_bytes + 2, "its event index over the end");
	ACCEPTED(q->used = end - ALIGN_UP(used_bytes, 4ULL), "a used ring at the end of memory");
	REFUSED(q->used = end - ALIGN_UP(used_bytes, 4ULL) + 4, "its event index over the end");
	ACCEPTED(q->desc = HIGH_MEMORY, "descriptors in high memory");
}

static bool is_set_up(const struct virtq *q, const struct driver_queue *dq)
{
	return q->size == dq->size && q->ready && q->desc == dq->desc && q->avail == dq->avail && q->used == dq->used;
}

static void test_frozen(void)
{
	static const uint32_t regs[] = {
		VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
		VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH, 0x0c0,
	};
	unsigned i;

	begin(DRIVER_ALL);
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, 1);
	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		driver_write(&d, regs[i], 0);
		driver_write(&d, regs[i], 0x4000);
	}
	ok(is_set_up(&e.v.queue[1], &d.q[1]) && driver_read(&d, VIRTIO_MMIO_QUEUE_READY) == 1 && answers(1),
	   "nothing of a queue changes while the device runs");
	begin(DRIVER_ALL);
	driver_offer(&d, 0, 0xffff);
	driver_kick(&d, 0);
	for (i = 0; i < ARRAY_SIZE(regs); i++)
		driver_write(&d, regs[i], 0);
	ok(has_broken() && is_set_up(&e.v.queue[0], &d.q[0]), "nor when it is broken");
	driver_reset(&d);
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, 1);
	ok(!driver_read(&d, VIRTIO_MMIO_QUEUE_READY) && !e.v.queue[1].desc && !e.v.queue[1].size,
	   "a reset forgets the set-up");
}

static void test_queue_off(void)
{
	driver_accept(&d, &e.v, DRIVER_VERSION_1);
	d.next_gpa = DRIVER_FIRST_GPA;
	driver_make_queue(&d, 1, 8);
	driver_place_queue(&d, 1);
	driver_status(&d, VIRTIO_CONFIG_S_DRIVER_OK);
	e.kicks = 0;
	buf = driver_alloc(&d, 64);
	ok(answers(1), "a device may run with some of its queues");
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 0xffffffff);
	virtio_kick(&e.v, 7);
	is_int(e.kicks, 1, "kicks of others are not passed on");
	driver_reset(&d);
	virtio_kick(&e.v, 1);
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	is_int(e.kicks, 1, "nor of a device that was reset");
}

/* --- interrupts, breaking, resetting ----------------------------------------------------------------- */

static void test_interrupts(void)
{
	uint32_t generation;

	begin(0);
	ok(answers(0) && driver_irqs(&d) == 1, "an interrupt for an answer");
	is_int(driver_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING, "InterruptStatus says why");
	driver_write(&d, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	is_int(driver_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING, "another's ACK leaves it");
	generation = driver_read(&d, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_config_changed(&e.v);
	ok(driver_irqs(&d) == 1 && driver_ack(&d) == 3, "both causes");
	is_int(driver_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS), 0, "acknowledged");
	ok(driver_read(&d, VIRTIO_MMIO_CONFIG_GENERATION) != generation, "another ConfigGeneration");
	driver_want_irqs(&d, 0, false);
	ok(answers(0) && !driver_irqs(&d) && !driver_ack(&d), "none that is not wanted");
	driver_want_irqs(&d, 0, true);
	answers(0);
	driver_irqs(&d);
	driver_reset(&d);
	is_int(driver_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS), 0, "a reset acknowledges");
	virtio_config_changed(&e.v);
	ok(!driver_irqs(&d) && !driver_ack(&d), "a device that does not run is silent");
}

static void test_broken(void)
{
	static struct virtq_chain c;

	begin(DRIVER_ALL);
	ok(answers(0), "all is well");
	driver_add(&d, 1, (struct seg[]){ { buf, 16, true } }, 1);
	is_int(virtq_pop(&e.v.queue[1], &c), 1, "another queue's request is under way");
	virtq_push(&e.v.queue[1], &c, 0);
	driver_irqs(&d);
	driver_ack(&d);
	driver_offer(&d, 0, 0xffff);
	ok(driver_kick(&d, 0) && has_broken(), "a bad request breaks the device");
	ok(driver_irqs(&d) == 1 && driver_ack(&d) == VIRTIO_MMIO_INT_CONFIG, "the driver is told");
	e.kicks = 0;
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	virtio_kick(&e.v, 1);
	is_int(e.kicks, 0, "it rests, with all its queues");
	virtio_broken(&e.v, "again");
	virtio_notify_queue(&e.v, 1);
	is_int(driver_irqs(&d), 0, "and is silent");
	begin(DRIVER_ALL);
	ok(answers(0) && answers(1), "until it is reset");
}

/* Requests are under way, and a driver takes its memory away: nothing of it is touched any more. */
static void test_reset_meanwhile(void)
{
	static struct virtq_chain c;
	uint16_t *idx;

	begin(0);
	e.deaf = true;
	driver_add(&d, 0, (struct seg[]){ { buf, 16, true } }, 1);
	driver_add(&d, 0, (struct seg[]){ { buf, 16, true } }, 1);
	driver_kick(&d, 0);
	idx = &d.q[0].ring_used->idx;
	ok(e.kicks == 1 && virtq_pop(&e.v.queue[0], &c) == 1, "a request is under way");
	driver_reset(&d);
	ok(e.resets == 1, "a reset");
	virtq_push(&e.v.queue[0], &c, 16);
	virtio_notify_queue(&e.v, 0);
	ok(*idx == 0 && !driver_irqs(&d) && !virtq_kicks_on(&e.v.queue[0]), "its answer goes nowhere");
	begin(DRIVER_ALL);
	ok(answers(0) && answers(1), "the next driver is served");
}

/* --- widths, configuration --------------------------------------------------------------------------- */

static void test_widths(void)
{
	uint64_t word;
	uint32_t off, n, wrong = 0;

	begin(DRIVER_ALL);
	for (off = 0; off < VIRTIO_MMIO_CONFIG; off++)
		for (n = 1; n <= 8; n *= 2) {
			if (n == 4 && off % 4 == 0)
				continue;
			word = UINT64_MAX;
			virtio_mmio_read(d.v, off, &word, n);
			wrong += word != (n == 8 ? 0 : UINT64_MAX << (8 * n));
			word = 0;
			virtio_mmio_write(d.v, off, &word, n);
		}
	ok(!wrong && !e.resets && driver_read(&d, VIRTIO_MMIO_STATUS) == 15,
	   "registers have 32 bits at multiples of 4");
	wrong = 0;
	for (off = MMIO_SIZE - 7; off < MMIO_SIZE + 64; off++)
		for (n = 1; n <= 8; n *= 2) {
			word = UINT64_MAX;
			virtio_mmio_read(d.v, off, &word, n);
			wrong += word != (n == 8 ? 0 : UINT64_MAX << (8 * n));
			virtio_mmio_write(d.v, off, &word, n);
		}
	ok(!wrong && !e.beyond, "there is nothing at the end and beyond it");
	word = 0;
	virtio_mmio_read(d.v, UINT64_MAX - 3, &word, 8);
	virtio_mmio_write(d.v, UINT64_MAX - 3, &word, 8);
	ok(!word, "nor far away");
}

static void test_config(void)
{
	uint64_t word;

	memcpy(e.config, "abcdefghijkl", CONFIG_BYTES);
	begin(DRIVER_ALL);
	ok(driver_config(&d, 0, 1) == 'a' && driver_config(&d, 1, 1) == 'b' && driver_config(&d, 2, 2) == 0x6463 &&
	   driver_config(&d, 4, 4) == 0x68676665 && driver_config(&d, 0, 8) == 0x6867666564636261ULL, "all widths");
	ok(driver_config(&d, 8, 8) == 0x6c6b6a69 && driver_config(&d, 12, 4) == 0 && driver_config(&d, 0xff, 1) == 0,
	   "zeros beyond");
	word = UINT64_MAX;
	virtio_mmio_write(d.v, VIRTIO_MMIO_CONFIG + 10, &word, 8);
	virtio_mmio_write(d.v, VIRTIO_MMIO_CONFIG + 12, &word, 8);
	virtio_mmio_write(d.v, VIRTIO_MMIO_CONFIG, "XY", 2);
	ok(!memcmp(e.config, "XYcdefghij\xff\xff", CONFIG_BYTES), "written, nothing beyond");
}

static void test_bare(void)
{
	struct virtio v;
	uint64_t word = 1;

	virtio_init(&v, &bare_ops, &d.mem, driver_irq, &d);
	driver_start(&d, &v, DRIVER_ALL);
	ok(virtio_running(&v) && d.features == (DRIVER_VERSION_1 | DRIVER_INDIRECT | DRIVER_EVENT_IDX),
	   "a device with a kick alone");
	virtio_mmio_write(&v, VIRTIO_MMIO_CONFIG, &word, 8);
	is_int(driver_config(&d, 0, 8), 0, "has no configuration");
	driver_reset(&d);
	ok(!virtio_running(&v), "and is reset");
	virtio_fini(&v);
}

/* --- threads ------------------------------------------------------------------------------------------- */

/* The thread of the device kicks and acknowledges while a vCPU resets: for the sanitizers. */
static atomic_bool stop;

static void *serve(void *ud)
{
	struct virtio *v = ud;
	uint32_t isr;

	while (!atomic_load(&stop)) {
		virtio_kick(v, 0);
		virtio_mmio_read(v, VIRTIO_MMIO_INTERRUPT_STATUS, &isr, 4);
		virtio_mmio_write(v, VIRTIO_MMIO_INTERRUPT_ACK, &isr, 4);
	}
	return NULL;
}

static void test_threads(void)
{
	unsigned i, used = 0;
	pthread_t thread;

	begin(0);
	if (pthread_create(&thread, NULL, serve, &e.v))
		driver_die("no thread");
	for (i = 0; i < 500; i++) {
		driver_start(&d, &e.v, i % 2 ? DRIVER_ALL : 0);
		buf = driver_alloc(&d, 4096);
		driver_add(&d, 0, (struct seg[]){ { buf, 16, true } }, 1);
		driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		used += driver_used(&d, 0, NULL, NULL);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	ok(used == i, "a device is reset while its thread works");
}

int main(void)
{
	log_init("t-vmm-virtio", LOG_ERROR); /* a guest that breaks its device is a warning */
	driver_memory(&d, 2 * MIB);
	virtio_init(&e.v, &echo_ops, &d.mem, driver_irq, &d);
	test_identity();
	test_features();
	test_status();
	test_queue_registers();
	test_queue_setup();
	test_frozen();
	test_queue_off();
	test_interrupts();
	test_broken();
	test_reset_meanwhile();
	test_widths();
	test_config();
	test_bare();
	test_threads();
	virtio_fini(&e.v);
	driver_free(&d);
	return tap_done();
}
