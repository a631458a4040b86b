/* The transport of a device whose queues are apart: each under its own lock, all of them for a reset. */
#include <pthread.h>

#include "base/log.h"
#include "lib/tap.h"
#include "unit/gate.h"
#include "vmm/serve.h"

#define QUEUES 3

/* Each request of queue 0 passes the gate. */
struct dev {
	struct virtio v;
	atomic_uint served;
	unsigned starts, resets; /* change with all locks held */
};

static struct driver d;
static struct dev dev;
static struct gate gate = GATE_OPEN;
static uint64_t buf;

static uint32_t serve(struct virtio *v, const struct virtq_chain *c)
{
	struct dev *self = container_of(v, struct dev, v);

	/* Read without a lock of its own: a sanitizer would see a start at the same time. */
	if (!self->starts)
		abort();
	if (c->writable_bytes == 1)
		gate_pass(&gate);
	atomic_fetch_add(&self->served, 1);
	return (uint32_t)virtq_write(c, 0, "done", 4);
}

static void kick(struct virtio *v, unsigned queue)
{
	serve_queue(v, queue, serve);
}

static void start(struct virtio *v, uint64_t features)
{
	(void)features;
	container_of(v, struct dev, v)->starts++;
}

static void reset(struct virtio *v)
{
	container_of(v, struct dev, v)->resets++;
}

static void config_read(struct virtio *v, uint32_t offset, void *to, uint32_t n)
{
	(void)v;
	config_copy("config", 6, offset, to, n);
}

static const struct virtio_ops ops = {
	.id = 42, .nqueues = 4, .queue_size = 64, .queues_apart = true, .kick = kick, .start = start, .reset = reset,
	.config_read = config_read,
};

static void begin(void)
{
	driver_start(&d, &dev.v, 0);
	buf = driver_alloc(&d, 4096);
	dev.served = dev.resets = 0;
	driver_irqs(&d);
}

static bool answers(unsigned queue)
{
	return driver_do(&d, queue, (struct seg[]){ { buf, 16, true } }, 1) == 4;
}

/* One that passes the gate: it has room for a byte. */
static void add_slow(unsigned queue)
{
	driver_add(&d, queue, (struct seg[]){ { buf + 64, 1, true } }, 1);
}

static uint16_t used(unsigned queue)
{
	return __atomic_load_n(&d.q[queue].ring_used->idx, __ATOMIC_ACQUIRE);
}

static bool has_broken(void)
{
	return driver_has_status(&d, VIRTIO_CONFIG_S_NEEDS_RESET) && !virtio_running(&dev.v);
}

static void test_fewer(void)
{
	begin();
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, QUEUES);
	is_int(driver_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0, "a device may have fewer queues than its kind");
	virtio_kick(&dev.v, QUEUES);
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, QUEUES);
	is_int(dev.served, 0, "nothing is in one that is not there");
	ok(answers(0) && answers(1) && answers(2), "those that are there answer");
}

/* While a request of queue 0 waits, nothing else does. */
static void test_side_by_side(void)
{
	uint32_t generation;
	struct kicker k;

	begin();
	gate_set(&gate, true);
	add_slow(0);
	start_kick(&k, &dev.v, 0);
	gate_await(&gate);
	ok(answers(1) && answers(2) && answers(1), "a queue answers while another's request waits");
	is_int(driver_read(&d, VIRTIO_MMIO_STATUS), 15, "Status is read meanwhile");
	is_int(driver_config(&d, 0, 1), 'c', "and the configuration");
	generation = driver_read(&d, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_config_changed(&dev.v);
	ok(driver_read(&d, VIRTIO_MMIO_CONFIG_GENERATION) != generation && driver_ack(&d) == 3, "which may change");
	is_int(used(0), 0, "it waits still");
	gate_set(&gate, false);
	pthread_join(k.thread, NULL);
	ok(driver_used(&d, 0, NULL, NULL) && answers(0), "until it is done");
}

static void test_reset_waits(void)
{
	struct driver_queue was;
	struct kicker k;
	pthread_t resetter;

	begin();
	gate_set(&gate, true);
	add_slow(0);
	start_kick(&k, &dev.v, 0);
	gate_await(&gate);
	was = d.q[0];
	resetter = start_thread(gate_reset, &d);
	await_locked(&dev.v.lock);
	is_int(dev.resets, 0, "a reset waits for a request of any queue");
	is_int(was.ring_used->idx, 0, "# which is under way");
	gate_set(&gate, false);
	pthread_join(resetter, NULL);
	is_int(dev.resets, 1, "and comes when it is done");
	pthread_join(k.thread, NULL);
	is_int(was.ring_used->idx, 1, "it was answered before");

	d.q[0] = was;
	add_slow(0);
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	virtio_kick(&dev.v, 0);
	ok(was.ring_used->idx == 1 && dev.served == 1, "nothing is touched after it");
	begin();
	ok(answers(0) && answers(1) && answers(2), "the next driver is served");
}

/* Queue 0 has two requests, the first under way, when queue 1 breaks the device. */
static void test_broken(void)
{
	struct kicker k;

	begin();
	gate_set(&gate, true);
	add_slow(0);
	add_slow(0);
	start_kick(&k, &dev.v, 0);
	gate_await(&gate);
	driver_offer(&d, 1, 0xffff);
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	ok(has_broken(), "a queue breaks the device while another's request waits");
	ok(driver_irqs(&d) == 1 && driver_ack(&d) == VIRTIO_MMIO_INT_CONFIG, "the driver is told at once");
	gate_set(&gate, false);
	pthread_join(k.thread, NULL);
	is_int(dev.served, 1, "the other queue takes no more");
	ok(used(0) == 0 && !driver_irqs(&d), "and is silent");
	virtio_kick(&dev.v, 0);
	virtio_kick(&dev.v, 2);
	is_int(dev.served, 1, "all of them rest");
	begin();
	ok(answers(0) && answers(1) && answers(2), "until a reset");
}

/* All queues are found bad at the same time. */
static void test_broken_together(void)
{
	struct kicker k[QUEUES];
	unsigned i, q, before = dev.v.times_broken, told = 0;

	for (i = 0; i < 100; i++) {
		begin();
		for (q = 0; q < QUEUES; q++)
			driver_offer(&d, q, 0xffff);
		for (q = 0; q < QUEUES; q++)
			start_kick(&k[q], &dev.v, q);
		for (q = 0; q < QUEUES; q++)
			pthread_join(k[q].thread, NULL);
		told += driver_irqs(&d);
	}
	ok(told == i && dev.v.times_broken - before == i, "a device breaks once, whoever finds it");
}

/* --- all at once ----------------------------------------------------------------------------------- */

static atomic_bool stop;

static void *kick_on(void *ud)
{
	const struct kicker *k = ud;

	while (!atomic_load(&stop)) {
		virtio_kick(k->v, k->queue);
		sched_yield();
	}
	return NULL;
}

static void *read_on(void *ud)
{
	uint32_t value;

	while (!atomic_load(&stop)) {
		virtio_mmio_read(ud, VIRTIO_MMIO_STATUS, &value, 4);
		virtio_mmio_read(ud, VIRTIO_MMIO_CONFIG_GENERATION, &value, 4);
		virtio_mmio_read(ud, VIRTIO_MMIO_CONFIG, &value, 4);
		sched_yield();
	}
	return NULL;
}

static void test_threads(void)
{
	struct kicker k[QUEUES];
	pthread_t reader;
	unsigned i, q, done = 0;

	begin();
	for (q = 0; q < QUEUES; q++) {
		k[q] = (struct kicker){ .v = &dev.v, .queue = q };
		k[q].thread = start_thread(kick_on, &k[q]);
	}
	reader = start_thread(read_on, &dev.v);
	for (i = 0; i < 300; i++) {
		driver_start(&d, &dev.v, i % 2 ? DRIVER_ALL : 0);
		buf = driver_alloc(&d, 4096);
		for (q = 0; q < QUEUES; q++) {
			driver_add(&d, q, (struct seg[]){ { buf + 64 * q, 16, true } }, 1);
			driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, q);
			done += driver_used(&d, q, NULL, NULL);
		}
	}
	atomic_store(&stop, true);
	for (q = 0; q < QUEUES; q++)
		pthread_join(k[q].thread, NULL);
	pthread_join(reader, NULL);
	is_int(done, QUEUES * i, "a device is reset while its threads work");
}

int main(void)
{
	log_init("t-vmm-virtio-apart", LOG_ERROR); /* a guest that breaks its device is a warning */
	driver_memory(&d, 2 * MIB);
	virtio_init(&dev.v, &ops, &d.mem, driver_irq, &d);
	dev.v.nqueues = QUEUES;
	test_fewer();
	test_side_by_side();
	test_reset_waits();
	test_broken();
	test_broken_together();
	test_threads();
	virtio_fini(&dev.v);
	driver_free(&d);
	return tap_done();
}
