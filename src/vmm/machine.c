/*
 * Theory of operation. vCPU threads run the guest; a kick of a queue is an eventfd that KVM writes without leaving the
 * guest for long. An interrupt is two ioctls and no eventfd (irqfd): for a pin of the I/O APIC, KVM hands an irqfd
 * to a kernel thread, and at the machine's end waits for a grace period of SRCU for each, 5 ms times the devices
 * (docs/decisions/011-vmm.md). The main thread's loop serves socket, network, console, entropy and balloon; each
 * queue of a disk has a thread of its own, because its requests wait for the host's disk. A disk has as many queues as
 * the guest has CPUs, BLK_QUEUES_MAX at most.
 *
 * Order of the end: the disk threads first, whose interrupts need the VM; then the VM (no vCPU runs any more), then
 * devices, which close their files, then memory. vCPUs that run a little longer find nobody who answers.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/log.h"
#include "base/str.h"

/* The interrupt is an edge. One that is raised while another thread has the line up would be lost, and the guest may
 * have answered that other one already. */
static void raise_irq(void *ud)
{
	struct slot *s = ud;

	pthread_mutex_lock(&s->irq_lock);
	vm_pulse_irq(s->vm, s->irq);
	pthread_mutex_unlock(&s->irq_lock);
}

static void on_kick(struct watch *w, uint32_t events)
{
	struct kick *k = container_of(w, struct kick, watch);
	uint64_t count;

	(void)events;
	if (read(w->fd, &count, sizeof(count)) == sizeof(count))
		virtio_kick(k->slot->device, k->queue);
}

static void on_stop(struct watch *w, uint32_t events)
{
	(void)events;
	loop_stop(&container_of(w, struct disk_thread, stop)->loop);
}

static void on_mmio(void *ud, uint64_t gpa, void *data, uint32_t n, bool write)
{
	struct vmm_machine *m = ud;
	uint64_t index = (gpa - MMIO_BASE) / MMIO_STRIDE, offset = (gpa - MMIO_BASE) % MMIO_STRIDE;

	if (gpa < MMIO_BASE || index >= m->nslots || offset + n > MMIO_SIZE) {
		if (!write)
			memset(data, 0xff, n);
		return;
	}
	if (write)
		virtio_mmio_write(m->slot[index].device, offset, data, n);
	else
		virtio_mmio_read(m->slot[index].device, offset, data, n);
}

/* A queue whose share of a turn is used up: its own eventfd, which the loop looks at again after all others. */
static void kick_again(void *ud, unsigned queue)
{
	const struct slot *s = ud;
	uint64_t one = 1;

	if (write(s->kick[queue].watch.fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is kicked already */
}

/* --- devices ---------------------------------------------------------------------------------- */

static int new_eventfd(struct error *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? error_sys(err, "cannot make an eventfd") : fd;
}

/* The next free slot: its device is opened by the caller, with raise_irq() and the slot. */
static struct slot *new_slot(struct vmm_machine *m, struct loop *l, void (*close_device)(struct virtio *v),
			     struct error *err)
{
	struct slot *s = &m->slot[m->nslots];
	unsigned q;

	if (m->nslots == MMIO_DEVICES_MAX) {
		error_set(err, -ENOSPC, "more than %d devices", MMIO_DEVICES_MAX);
		return NULL;
	}
	*s = (struct slot){ .vm = &m->vm, .irq = MMIO_IRQ_FIRST + m->nslots, .close = close_device };
	pthread_mutex_init(&s->irq_lock, NULL);
	for (q = 0; q < VIRTIO_QUEUES_MAX; q++)
		s->kick[q] = (struct kick){ .watch = WATCH_NONE, .loop = l, .slot = s, .queue = q };
	m->nslots++;
	return s;
}

/* One word for each device: the kernel has no table to find it in. */
static int add_words(const struct vmm_machine *m, struct buf *cmdline)
{
	unsigned i;
	int r = 0;

	for (i = 0; r == 0 && i < m->nslots; i++)
		r = buf_printf(cmdline, " virtio_mmio.device=%llu@0x%llx:%u", (unsigned long long)MMIO_SIZE,
			       (unsigned long long)(MMIO_BASE + i * MMIO_STRIDE), MMIO_IRQ_FIRST + i);
	return r;
}

/* Connects a device's queues to the VM and to their loops. */
static int wire_slot(struct vmm_machine *m, struct slot *s, struct error *err)
{
	unsigned index = (unsigned)(s - m->slot), q;
	int r = 0;

	s->device->kick_again = kick_again;
	s->device->kick_again_ud = s;
	for (q = 0; r == 0 && q < s->device->nqueues; q++) {
		int fd = new_eventfd(err);

		if (fd < 0)
			return fd;
		r = loop_add(s->kick[q].loop, &s->kick[q].watch, fd, EPOLLIN, on_kick);
		if (r < 0) {
			close(fd);
			return error_code(err, r, "cannot watch a queue");
		}
		r = vm_ioeventfd(&m->vm, MMIO_BASE + index * MMIO_STRIDE + VIRTIO_MMIO_QUEUE_NOTIFY, q, fd, err);
	}
	return r;
}

/* The next thread for a queue of a disk, which is not started yet. */
static int new_disk_thread(struct vmm_machine *m, struct loop **ret, struct error *err)
{
	struct disk_thread *t = &m->disk_thread[m->ndisk_threads];
	int stop, r = loop_init(&t->loop);

	if (r < 0)
		return error_code(err, r, "cannot make an event loop");
	t->stop = WATCH_NONE;
	m->ndisk_threads++;
	stop = new_eventfd(err);
	if (stop < 0)
		return stop;
	r = loop_add(&t->loop, &t->stop, stop, EPOLLIN, on_stop);
	if (r < 0) {
		close(stop);
		return error_code(err, r, "cannot watch a disk's end");
	}
	*ret = &t->loop;
	return 0;
}

static int add_disk(struct vmm_machine *m, int fd, bool readonly, unsigned queues, struct error *err)
{
	struct slot *s = new_slot(m, NULL, blk_close, err);
	unsigned q;
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->device = blk_open(fd, readonly, queues, &m->mem, raise_irq, s, err);
	if (!s->device)
		return -EIO;
	for (q = 0; r == 0 && q < queues; q++)
		r = new_disk_thread(m, &s->kick[q].loop, err);
	return r;
}

static int add_net(struct vmm_machine *m, const uint8_t mac[MACHINE_MAC], struct error *err)
{
	struct slot *s = new_slot(m, m->loop, net_close, err);

	if (!s)
		return -ENOMEM;
	s->device = net_open(VMM_FD_NET, mac, m->loop, &m->mem, raise_irq, s, err);
	return s->device ? 0 : -EIO;
}

typedef struct virtio *open_fn(struct vmm_machine *m, struct slot *s, struct error *err);

static struct virtio *open_vsock(struct vmm_machine *m, struct slot *s, struct error *err)
{
	return vsock_open(VMM_FD_AGENT, m->loop, &m->mem, raise_irq, s, err);
}

static struct virtio *open_console(struct vmm_machine *m, struct slot *s, struct error *err)
{
	int fd = fcntl(VMM_FD_CONSOLE, F_DUPFD_CLOEXEC, 0); /* the serial port may use it, too */

	if (fd < 0) {
		error_sys(err, "no file for the console");
		return NULL;
	}
	return console_open(fd, &m->mem, raise_irq, s, err);
}

static struct virtio *open_rng(struct vmm_machine *m, struct slot *s, struct error *err)
{
	return rng_open(&m->mem, raise_irq, s, err);
}

static struct virtio *open_balloon(struct vmm_machine *m, struct slot *s, struct error *err)
{
	return balloon_open(&m->mem, raise_irq, s, err);
}

static int add_device(struct vmm_machine *m, open_fn *open_device, void (*close_device)(struct virtio *v),
		      struct error *err)
{
	struct slot *s = new_slot(m, m->loop, close_device, err);

	if (!s)
		return -ENOMEM;
	s->device = open_device(m, s, err);
	return s->device ? 0 : -EIO;
}

/* Disks first: the guest names them in the order in which it finds them. */
static int add_devices(struct vmm_machine *m, const struct machine_spec *spec, struct error *err)
{
	unsigned i;
	int r = 0;

	for (i = 0; r == 0 && i < spec->ndisks; i++)
		r = add_disk(m, VMM_FD_DISK0 + (int)i, spec->readonly[i], MIN(spec->cpus, BLK_QUEUES_MAX), err);
	if (r == 0)
		r = add_device(m, open_vsock, vsock_close, err);
	if (r == 0 && spec->net)
		r = add_net(m, spec->mac, err);
	if (r == 0)
		r = add_device(m, open_console, console_close, err);
	if (r == 0)
		r = add_device(m, open_rng, rng_close, err);
	if (r == 0)
		r = add_device(m, open_balloon, balloon_close, err);
	for (i = 0; r == 0 && i < m->nslots; i++)
		r = wire_slot(m, &m->slot[i], err);
	return r;
}

/* --- the machine ------------------------------------------------------------------------------ */

struct loader {
	pthread_t thread;
	const struct memory *mem;
	struct loaded loaded;
	struct error err;
	int result;
};

static void *load(void *ud)
{
	struct loader *l = ud;

	l->result = load_files(l->mem, VMM_FD_KERNEL, VMM_FD_INITRD, &l->loaded, &l->err);
	return NULL;
}

/* KVM_CREATE_VM waits for other CPUs of the host (a grace period of RCU): some 10 ms in which the memory is filled. */
static int make_and_load(struct vmm_machine *m, unsigned cpus, struct loaded *ret, struct error *err)
{
	struct loader l = { .mem = &m->mem };
	int r = -pthread_create(&l.thread, NULL, load, &l);

	if (r < 0)
		return error_code(err, r, "cannot start a thread");
	r = vm_open(&m->vm, VMM_FD_KVM, &m->mem, cpus, err);
	m->vm_is_open = r == 0;
	pthread_join(l.thread, NULL);
	if (r == 0 && l.result < 0) {
		*err = l.err;
		r = l.result;
	}
	if (r == 0)
		*ret = l.loaded;
	return r;
}

int machine_open(struct vmm_machine *m, const struct machine_spec *spec, struct loop *l, struct error *err)
{
	auto_buf struct buf cmdline = BUF_INIT(4096);
	struct loaded loaded;
	int r;

	*m = (struct vmm_machine){ .loop = l };
	r = mem_open(&m->mem, spec->memory_bytes, err);
	if (r == 0)
		r = make_and_load(m, spec->cpus, &loaded, err);
	if (r < 0)
		return r;
	m->vm.mmio = on_mmio;
	m->vm.mmio_ud = m;
	m->vm.serial_fd = spec->serial ? VMM_FD_CONSOLE : -1;
	r = add_devices(m, spec, err);
	if (r < 0)
		return r;
	if (buf_printf(&cmdline, "%s", spec->cmdline) < 0 || add_words(m, &cmdline) < 0 || !buf_str(&cmdline))
		return error_set(err, -E2BIG, "the kernel's command line is too long");
	return vm_boot(&m->vm, &loaded, buf_str(&cmdline), err);
}

static void *serve_disk(void *ud)
{
	struct disk_thread *t = ud;

	(void)loop_run(&t->loop);
	return NULL;
}

int machine_start(struct vmm_machine *m, struct error *err)
{
	unsigned i;

	for (i = 0; i < m->ndisk_threads; i++) {
		struct disk_thread *t = &m->disk_thread[i];
		int r = -pthread_create(&t->thread, NULL, serve_disk, t);

		if (r < 0)
			return error_code(err, r, "cannot start a thread");
		t->started = true;
	}
	return vm_start(&m->vm, err);
}

static void close_watch(struct loop *l, struct watch *w)
{
	int fd = w->fd;

	loop_remove(l, w);
	close_fd(&fd);
}

/* All are told before the first is waited for: what they are doing, they end together. */
static void stop_disks(struct vmm_machine *m)
{
	uint64_t one = 1;
	unsigned i;

	for (i = 0; i < m->ndisk_threads; i++)
		if (m->disk_thread[i].started && write(m->disk_thread[i].stop.fd, &one, sizeof(one)) < 0)
			abort(); /* cannot be: its counter is 0 */
	for (i = 0; i < m->ndisk_threads; i++)
		if (m->disk_thread[i].started)
			pthread_join(m->disk_thread[i].thread, NULL);
}

static void close_slot(struct slot *s)
{
	unsigned q;

	for (q = 0; q < VIRTIO_QUEUES_MAX; q++)
		close_watch(s->kick[q].loop, &s->kick[q].watch);
	if (s->device)
		s->close(s->device);
	pthread_mutex_destroy(&s->irq_lock);
}

void machine_close(struct vmm_machine *m)
{
	unsigned i;

	stop_disks(m);
	if (m->vm_is_open)
		vm_close(&m->vm);
	for (i = 0; i < m->nslots; i++)
		close_slot(&m->slot[i]);
	for (i = 0; i < m->ndisk_threads; i++) {
		close_watch(&m->disk_thread[i].loop, &m->disk_thread[i].stop);
		loop_fini(&m->disk_thread[i].loop);
	}
	mem_close(&m->mem);
}
