/*
 * vmm-boot [-c CPUS] [-m MIB] [-q] KERNEL INITRAMFS WORD...: boots a kernel in a machine without devices,
 * with the words as its command line, and prints what it says on the serial port; then, on standard error,
 * when what happened. -q: not what it says. Status 0: the guest powered itself off, as with the word reboot=k.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "vmm/vm.h"

#define OUTPUT_MAX MIB
#define INIT_LINE "init\r\n" /* what kernel/bench/init.c prints; the terminal adds the return */

struct boot {
	unsigned ncpus;
	uint64_t memory;
	bool quiet;
	const char *kernel, *initramfs;
	struct buf cmdline, said;
	double opened, loaded, first, init, ended; /* ms since the start of main() */
};

static struct timespec zero;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)(t.tv_sec - zero.tv_sec) * 1e3 + (double)(t.tv_nsec - zero.tv_nsec) / 1e6;
}

__attribute__((noreturn)) static void die(const struct error *err)
{
	fprintf(stderr, "vmm-boot: %s\n", err->text);
	exit(1);
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	struct error err = { 0 };

	if (fd < 0) {
		error_sys(&err, "%s", path);
		die(&err);
	}
	return fd;
}

static void parse(struct boot *b, int argc, char **argv)
{
	uint64_t n;
	int c;

	while ((c = getopt(argc, argv, "c:m:q")) != -1) {
		if (c == 'q')
			b->quiet = true;
		else if (c == '?' || str_parse_u64(optarg, 1 << 20, &n) < 0)
			exit(2);
		else if (c == 'c')
			b->ncpus = (unsigned)n;
		else
			b->memory = n * MIB;
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: vmm-boot [-c CPUS] [-m MIB] [-q] KERNEL INITRAMFS WORD...\n");
		exit(2);
	}
	b->kernel = argv[optind++];
	b->initramfs = argv[optind++];
	for (; optind < argc; optind++)
		if (buf_printf(&b->cmdline, "%s%s", buf_len(&b->cmdline) ? " " : "", argv[optind]) < 0)
			exit(2);
}

/* One piece of what the guest says. */
static void take(struct boot *b, int serial)
{
	size_t before = buf_len(&b->said);

	if (buf_read_fd(&b->said, serial, 4096) <= 0) {
		fprintf(stderr, "vmm-boot: the guest says more than a MiB\n");
		exit(1);
	}
	if (!b->first)
		b->first = now_ms();
	if (!b->init && buf_str(&b->said) && strstr(buf_str(&b->said), INIT_LINE))
		b->init = now_ms();
	if (!b->quiet && write(1, buf_data(&b->said) + before, buf_len(&b->said) - before) < 0)
		exit(1);
}

static void watch(struct boot *b, int serial, int ended_fd)
{
	struct pollfd p[] = { { .fd = serial, .events = POLLIN }, { .fd = ended_fd, .events = POLLIN } };

	while (!b->ended && poll(p, 2, -1) > 0) {
		if (p[0].revents)
			take(b, serial);
		else if (p[1].revents)
			b->ended = now_ms();
	}
}

static int boot(struct boot *b)
{
	struct error err = { 0 };
	struct loaded loaded;
	struct memory mem;
	struct vm vm;
	int serial[2], ended;

	if (pipe2(serial, O_CLOEXEC) < 0 || mem_open(&mem, b->memory, &err) < 0 ||
	    vm_open(&vm, open_or_die("/dev/kvm", O_RDWR), &mem, b->ncpus, &err) < 0)
		die(&err);
	b->opened = now_ms();
	if (load_files(&mem, open_or_die(b->kernel, O_RDONLY), open_or_die(b->initramfs, O_RDONLY), &loaded,
		       &err) < 0 ||
	    vm_boot(&vm, &loaded, buf_str(&b->cmdline), &err) < 0)
		die(&err);
	vm.serial_fd = serial[1];
	b->loaded = now_ms();
	if (vm_start(&vm, &err) < 0)
		die(&err);
	watch(b, serial[0], vm.ended_fd);
	ended = vm.end;
	fprintf(stderr, "end %d: %s\n", ended, vm.why);
	vm_close(&vm);
	mem_close(&mem);
	return ended == VM_SHUTDOWN ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct boot b = {
		.ncpus = 1,
		.memory = 256 * MIB,
		.cmdline = BUF_INIT(4096),
		.said = BUF_INIT(OUTPUT_MAX),
	};
	int status;

	clock_gettime(CLOCK_MONOTONIC, &zero);
	parse(&b, argc, argv);
	status = boot(&b);
	fprintf(stderr, "ms: machine made %.1f, loaded %.1f, first byte %.1f, init %.1f, end %.1f, closed "
		"%.1f\n", b.opened, b.loaded, b.first, b.init, b.ended, now_ms());
	buf_fini(&b.cmdline);
	buf_fini(&b.said);
	return status;
}
