/* The console: what comes out of the fd, what is lost when nobody reads, and that nobody waits. */
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/log.h"
#include "lib/tap.h"
#include "unit/vring.h"
#include "vmm/devices.h"

#define TRANSMITQ 1

static struct driver d;
static struct virtio *v;
static int reader = -1;

static void open_pair(bool socket)
{
	int p[2];

	if (socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) < 0 : pipe2(p, O_CLOEXEC) < 0)
		abort();
	reader = p[0];
	fcntl(reader, F_SETFL, O_NONBLOCK);
	driver_memory(&d, 4 * MIB);
	v = console_open(p[1], &d.mem, driver_irq, &d, NULL);
	if (!v)
		abort();
	driver_start(&d, v, DRIVER_ALL);
}

static void close_pair(void)
{
	if (v)
		console_close(v);
	v = NULL;
	driver_free(&d);
	close_fd(&reader);
}

static int64_t say(uint64_t gpa, uint32_t len)
{
	return driver_do(&d, TRANSMITQ, &(struct seg){ gpa, len, false }, 1);
}

/* All that can be read now, as a string, its tail only if there is more. */
static const char *hear(size_t *ret_total)
{
	static char text[256 * 1024];
	size_t n = 0;
	ssize_t r;

	*ret_total = 0;
	while ((r = read(reader, text + n, sizeof(text) - 1 - n)) > 0) {
		n += (size_t)r;
		*ret_total += (size_t)r;
		if (n == sizeof(text) - 1) {
			memmove(text, text + n - 1000, 1000);
			n = 1000;
		}
	}
	text[n] = 0;
	return text;
}

static void test_output(void)
{
	static const char text[] = "hello, world\n";
	uint64_t gpa;
	size_t n;

	open_pair(true);
	is_int(driver_offered(&d) & 0xffffff, 0, "no feature of its own");
	gpa = driver_put(&d, text, strlen(text));
	is_int(say(gpa, sizeof(text) - 1), 0, "a line is taken, nothing is written to the guest");
	is_str(hear(&n), text, "and heard");
	is_int(driver_do(&d, TRANSMITQ, (struct seg[]){ { gpa, 5 }, { gpa + 12, 1 }, { gpa + 7, 5 } }, 3), 0, "in pieces");
	is_str(hear(&n), "hello\nworld", "in their order");
	driver_add_indirect(&d, TRANSMITQ, (struct seg[]){ { gpa, 5 }, { gpa + 12, 1 } }, 2);
	driver_kick(&d, TRANSMITQ);
	ok(driver_used(&d, TRANSMITQ, NULL, NULL), "indirect");
	is_str(hear(&n), "hello\n", "as well");
	is_int(driver_do(&d, TRANSMITQ, (struct seg[]){ { gpa, 5 }, { gpa + 100, 50, true } }, 2), 0,
	       "what may be written is not");
	is_str(hear(&n), "hello", "only what may be read");
	is_int(driver_do(&d, TRANSMITQ, (struct seg[]){ { gpa + 100, 50, true } }, 1), 0, "nothing to say");
	is_str(hear(&n), "", "says nothing");
	driver_irqs(&d);
	driver_want_irqs(&d, TRANSMITQ, false);
	say(gpa, 1);
	is_int(driver_irqs(&d), 0, "no interrupt when none is wanted");
	driver_want_irqs(&d, TRANSMITQ, true);
	say(gpa, 1);
	is_int(driver_irqs(&d), 1, "one when it is");
	close_pair();
}

static void test_input(void)
{
	uint64_t gpa;

	open_pair(true);
	gpa = driver_alloc(&d, 64);
	is_int(driver_do(&d, 0, (struct seg[]){ { gpa, 64, true } }, 1), -1, "a buffer for input stays with the device");
	if (write(reader, "typed", 5) != 5)
		abort();
	is_int(say(gpa, 3), 0, "output goes on");
	ok(!driver_used(&d, 0, NULL, NULL), "there is no input");
	close_pair();
}

/* How many bytes that were. */
static uint64_t say_often(uint64_t gpa, uint32_t len, unsigned times)
{
	uint64_t said = 0;
	unsigned i;

	for (i = 0; i < times; i++) {
		if (say(gpa, len) != 0)
			abort();
		said += len;
	}
	return said;
}

static void test_lost(bool socket)
{
	char note[64];
	uint64_t gpa, said, lost;
	const char *text;
	size_t heard, n;

	open_pair(socket);
	gpa = driver_alloc(&d, 4096);
	memset(driver_ptr(&d, gpa, 4096), '.', 4096);
	said = say_often(gpa, 4096, 1000);
	hear(&heard);
	lost = said - heard;
	ok(heard > 0 && lost > 0, "%s: of 4000 KiB that nobody reads some are kept and nobody waits",
	   socket ? "socket" : "pipe");
	memset(driver_ptr(&d, gpa, 4096), '!', 4096);
	say(gpa, 3);
	snprintf(note, sizeof(note), "\n[%llu bytes lost]\n!!!", (unsigned long long)lost);
	is_str(hear(&n), note, "then how many, then what comes next");
	say(gpa, 3);
	is_str(hear(&n), "!!!", "once");
	memset(driver_ptr(&d, gpa, 4096), '.', 4096);
	lost = say_often(gpa, 4096, 1000);
	hear(&heard);
	lost -= heard;
	console_close(v);
	v = NULL;
	snprintf(note, sizeof(note), "\n[%llu bytes lost]\n", (unsigned long long)lost);
	text = hear(&n);
	is_str(text, note, "the last ones are told of at the end");
	close_pair();
}

static void test_big(void)
{
	struct seg s[64];
	char note[64];
	uint64_t gpa;
	size_t heard;
	unsigned i;

	open_pair(true);
	gpa = driver_alloc(&d, MIB);
	for (i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = (struct seg){ gpa, MIB, false };
	is_int(driver_do(&d, TRANSMITQ, s, 64), 0, "one request of 64 MiB");
	hear(&heard);
	is_int(heard, 65536, "says 64 KiB");
	say(gpa, 1);
	snprintf(note, sizeof(note), "\n[%llu bytes lost]\n", 64 * MIB - 65536);
	is_str(hear(&heard), note, "the rest is lost");
	close_pair();
}

static void test_reader_gone(void)
{
	uint64_t gpa;

	open_pair(true);
	gpa = driver_alloc(&d, 4096);
	close_fd(&reader);
	is_int(say_often(gpa, 4096, 100), 409600, "nobody listens: the guest does not notice");
	ok(!driver_has_status(&d, VIRTIO_CONFIG_S_NEEDS_RESET), "nothing is broken");
	close_pair();
}

static void test_broken(void)
{
	struct error err = { 0 };
	int fd;

	open_pair(true);
	driver_desc(&d, TRANSMITQ, 0, 0xffffffff0000, 16, 0, 0);
	driver_offer(&d, TRANSMITQ, 0);
	driver_kick(&d, TRANSMITQ);
	ok(driver_has_status(&d, VIRTIO_CONFIG_S_NEEDS_RESET), "a buffer that is no memory breaks the device");
	driver_start(&d, v, DRIVER_ALL);
	is_int(say(driver_alloc(&d, 1), 1), 0, "a reset mends it");
	close_pair();
	driver_memory(&d, MIB);
	ok(!console_open(-1, &d.mem, driver_irq, &d, &err), "no fd, no console");
	is_str(err.text, "cannot use the console's output: Bad file descriptor", "and it is said why");
	fd = open("/", O_PATH | O_CLOEXEC);
	ok(fd >= 0 && !console_open(fd, &d.mem, driver_irq, &d, NULL), "nor with one that nothing can be written to");
	is_int(fcntl(fd, F_GETFD), -1, "which is closed all the same");
	driver_free(&d);
	console_close(NULL);
}

int main(void)
{
	log_init("t-vmm-console", LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	test_output();
	test_input();
	test_lost(true);
	test_lost(false);
	test_big();
	test_reader_gone();
	test_broken();
	return tap_done();
}
