/*
 * The guest under test: /init of the machines of machine.py. Words of the kernel's command line that the kernel does
 * not know arrive as arguments: the first is the test, see tests[].
 *
 * It reports to the host on the agent's channel, a line at a time: "ok NAME", "not ok NAME: why", other lines are
 * data, and "end" is the last one of a test that got to its end. Then it turns the machine off.
 *
 * On the host, `vmm-guest verify FILE` says whether FILE is what the test `disk` must have made of its disk: both go
 * through the same steps. `vmm-guest pattern` prints what the test `readonly` must find.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGENT_PORT 1

static int channel = STDOUT_FILENO;

static void say_line(const char *before, const char *fmt, va_list ap, const char *after)
{
	char text[512], line[1024];
	int n;

	vsnprintf(text, sizeof(text), fmt, ap);
	n = snprintf(line, sizeof(line), "%s%s%s\n", before, text, after);
	/* One write: several processes may report at once. */
	if (n > 0 && write(channel, line, (size_t)n) != n)
		_exit(1);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line("", fmt, ap, "");
	va_end(ap);
}

bool check(bool good, const char *fmt, ...)
{
	char why[128] = "";
	va_list ap;

	if (!good && errno)
		snprintf(why, sizeof(why), ": %s", strerror(errno));
	va_start(ap, fmt);
	say_line(good ? "ok " : "not ok ", fmt, ap, why);
	va_end(ap);
	return good;
}

/* Ends the machine. Without the "end", the host knows that this was not the test's. */
_Noreturn static void power_off(void)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 10 };

	if (getpid() != 1)
		_exit(1);
	/* What was written to a vsock is sent later. As src/agent/channel.c does it: wait for it. */
	if (setsockopt(channel, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0)
		close(channel);
	reboot(RB_AUTOBOOT);
	_exit(1);
}

_Noreturn void give_up(const char *fmt, ...)
{
	char why[128];
	va_list ap;

	snprintf(why, sizeof(why), ": %s", strerror(errno));
	va_start(ap, fmt);
	say_line("not ok ", fmt, ap, why);
	va_end(ap);
	power_off();
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dULL;
}

static uint64_t word_of(uint64_t key, size_t i)
{
	uint64_t x = (key + i) * 0x9e3779b97f4a7c15ULL;

	return (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
}

void fill_pattern(void *to, size_t bytes, uint64_t key)
{
	uint8_t *at = to;

	for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
		uint64_t word = word_of(key, i / sizeof(uint64_t));

		memcpy(at + i, &word, MIN(sizeof(word), bytes - i));
	}
}

bool is_pattern(const void *at, size_t bytes, uint64_t key)
{
	const uint8_t *p = at;

	for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
		uint64_t word = word_of(key, i / sizeof(uint64_t));

		if (memcmp(p + i, &word, MIN(sizeof(word), bytes - i)) != 0)
			return false;
	}
	return true;
}

const char *read_text(const char *path)
{
	static char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* --- ways to end ------------------------------------------------------------------------------ */

static void do_nothing(void)
{
}

/* The kernel panics when init does. */
static void exit_init(void)
{
	_exit(7);
}

/* This machine has no power to turn off, so its kernel halts the CPUs. */
static void halt(void)
{
	reboot(RB_POWER_OFF);
}

/* Until the host ends the machine. */
static void wait_for_end(void)
{
	for (;;)
		pause();
}

static void spin(void)
{
	for (;;)
		;
}

static void say_much(void)
{
	for (unsigned i = 0;; i++)
		say("%u", i);
}

/* --- main ------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(void);
	const char *first; /* said before: the host may be waiting for the machine to have come so far */
} tests[] = {
	{ "disk", test_disk, NULL },
	{ "disks", list_disks, NULL },
	{ "readonly", test_readonly, NULL },
	{ "files", test_files, NULL },
	{ "writer", write_until_killed, NULL },
	{ "written", check_written, NULL },
	{ "cpus", test_cpus, NULL },
	{ "memory", test_memory, NULL },
	{ "nothing", do_nothing, NULL },
	{ "exit", exit_init, "up" },
	{ "oom", run_out_of_memory, "up" },
	{ "halt", halt, "up" },
	{ "wait", wait_for_end, "up" },
	{ "spin", spin, "up" },
	{ "talk", say_much, "up" },
};

static void mount_or_die(const char *type, const char *at)
{
	mkdir(at, 0755);
	if (mount(type, at, type, 0, NULL) < 0)
		_exit(2);
}

/* What the kernel leaves undone for an init in an initramfs without device nodes. */
static void set_up(void)
{
	struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_port = AGENT_PORT, .svm_cid = VMADDR_CID_HOST };
	int console;

	mount_or_die("devtmpfs", "/dev");
	mount_or_die("proc", "/proc");
	mount_or_die("sysfs", "/sys");
	mkdir("/mnt", 0755);
	console = open("/dev/console", O_RDWR);
	for (int i = 0; console >= 0 && i < 3; i++)
		dup2(console, i);
	channel = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (channel < 0 || connect(channel, (struct sockaddr *)&to, sizeof(to)) < 0) {
		printf("no channel to the host: %s\n", strerror(errno));
		_exit(3);
	}
	signal(SIGPIPE, SIG_IGN);
}

static void run_test(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		if (strcmp(name, tests[i].name) == 0) {
			if (tests[i].first)
				say("%s", tests[i].first);
			tests[i].run();
			say("end");
			return;
		}
	say("not ok there is no test %s", name);
}

int main(int argc, char **argv)
{
	if (getpid() != 1) {
		if (argc == 3 && strcmp(argv[1], "verify") == 0)
			return verify_disk(argv[2]);
		if (argc == 2 && strcmp(argv[1], "pattern") == 0)
			return print_pattern();
		fprintf(stderr, "usage: vmm-guest verify FILE | vmm-guest pattern\n");
		return 2;
	}
	set_up();
	run_test(argc > 1 ? argv[1] : "");
	power_off();
}
