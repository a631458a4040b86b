/*
 * boxlite-agent: PID 1 of the guest and the only program of its initramfs.
 *
 * Theory of operation. The machine exists for one box. The agent mounts the
 * box's root, tells the host, and starts processes in it as the host asks,
 * carrying their bytes. One thread, one event loop, no waiting but in it.
 *
 *	 main.c       boot, in the order that gets an answer to the host first; the end
 *	 session.c    the host's messages
 *	 proc.c       processes, from START to EXIT      launch.c     the child's side: stages to exec
 *	 stream.c     their bytes, with credit           container.c  what a box sees around it
 *	 channel.c    the connection                     user.c       passwd and group
 *	 root.c       the agent's file systems           cgroup.c     how whole trees are killed
 *	 metrics.c    what the box uses                  top.c        what runs in it
 *	 dial.c       connections to its sockets
 *
 * Time to the first process is what a user waits for, and a system call of a
 * software CPU costs tens of microseconds: so nothing is done that a box does
 * not need, and HELLO goes out before all that can wait, so that the host's
 * BOOT has arrived when it is needed. The disks are not mounted before it: the
 * guest has no clock of its own, and a file that is deleted in the first
 * second of 1970 is an error to e2fsck.
 *
 * Trust. The box is root in this guest and can take it over; the virtual
 * machine is the wall, not this program. Still no byte of the box or of the
 * host is trusted: a box must not end up without its agent by accident.
 *
 * Whatever fails after HELLO is said to the host by FAILED, and the power goes off. If the
 * agent dies, the kernel panics, which is the same to the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/idle.h"
#include "agent/initcalls.h"
#include "agent/launch.h"
#include "agent/net.h"
#include "agent/park.h"
#include "agent/power.h"
#include "agent/root.h"
#include "agent/session.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"

#define CMDLINE_MAX 4096
#define CHANNEL_DEFAULT "/dev/vport0p1"

/*
 * 0, 1 and 2 must be taken, so that no other file gets those numbers; the kernel opens
 * none of them in an initramfs without device nodes. The log goes to the console.
 */
static int open_standard_fds(struct error *err)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0)
		return error_sys(err, "cannot open /dev/null");
	while (null < STDERR_FILENO - 1)
		if ((null = dup(null)) < 0)
			return error_sys(err, "cannot open /dev/null");
	if (open("/dev/console", O_WRONLY | O_NOCTTY) < 0 && open("/dev/kmsg", O_WRONLY) < 0 && dup(0) < 0)
		return error_sys(err, "cannot open a log");
	return 0;
}

/* The value of "name=value" among the words of the kernel's command line; NULL if there is none. */
static char *option(char *cmdline, const char *name, char *ret, size_t size)
{
	size_t len = strlen(name);
	char *at = cmdline;

	while ((at = strstr(at, name))) {
		if ((at == cmdline || at[-1] == ' ') && (at[len] == '=' || strchr(" \n", at[len]))) {
			at += len + (at[len] == '=');
			snprintf(ret, size, "%.*s", (int)strcspn(at, " \n"), at);
			return ret;
		}
		at += len;
	}
	return NULL;
}

/* Settings that every process of the box inherits from here. */
static int set_limits(struct error *err)
{
	const struct rlimit files = { 1048576, 1048576 }, procs = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_NPROC, &procs) < 0)
		return error_sys(err, "cannot raise the limits");
	/* A copy of the agent that enters the box stays closed to it until its exec. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_sys(err, "cannot protect the agent's memory");
	return 0;
}

/* The command line says where. *ret_park: this machine is to be saved before it becomes a box. */
static int open_channel(struct session *s, bool *ret_park, struct error *err)
{
	auto_buf struct buf cmdline = BUF_INIT(CMDLINE_MAX);
	char where[128], flag[8], *text;
	int r = io_read_file_at(AT_FDCWD, "/proc/cmdline", &cmdline);

	text = r < 0 ? NULL : buf_str(&cmdline);
	if (!text)
		return error_code(err, r < 0 ? r : -ENOMEM, "cannot read /proc/cmdline");
	log_init("boxlite-agent", option(text, "boxlite.debug", flag, sizeof(flag)) ? LOG_DEBUG : LOG_WARN);
	log_debug("started");
	*ret_park = option(text, "boxlite.park", flag, sizeof(flag));
	if (option(text, "initcall_debug", flag, sizeof(flag)))
		initcalls_read(&s->kernel);
	if (!option(text, "boxlite.channel", where, sizeof(where)))
		memcpy(where, CHANNEL_DEFAULT, sizeof(CHANNEL_DEFAULT));
	return channel_open(&s->channel, where, err);
}

static int say_hello(struct session *s, struct error *err)
{
	int r = wire_put_hello(&s->channel.out, "agent");

	if (r == 0)
		r = channel_write_all(&s->channel);
	log_debug("said HELLO");
	return r < 0 ? error_code(err, r, "cannot write to the channel") : 0;
}

/* What the host's answer is not needed for. */
static int prepare(struct session *s, struct error *err)
{
	int r = cgroup_init(err);

	if (r == 0)
		r = net_up_loopback(err);
	if (r == 0)
		r = net_set_defaults(err);
	if (r == 0)
		r = set_limits(err);
	if (r == 0)
		r = launch_bound_capabilities(err);
	if (r == 0)
		r = session_init(s, err);
	return r;
}

/* HELLO first: the host's answer travels meanwhile. */
static int start_at_once(struct session *s, struct error *err)
{
	int r = say_hello(s, err);

	return r < 0 ? r : prepare(s, err);
}

/* All that can be done before the copy is taken: what comes after it, each box pays. */
static int start_parked(struct session *s, struct error *err)
{
	int r = prepare(s, err);

	if (r == 0)
		r = park(&s->channel, err);
	if (r == 0)
		return say_hello(s, err);
	/* Before HELLO nobody would understand FAILED. A machine that just ends makes the host boot another one. */
	channel_close(&s->channel);
	return r;
}

/* Last words, and the end. err: why the session did not come to its proper end, or NULL. */
static _Noreturn void finish(struct session *s, const struct error *err)
{
	struct error disk = { 0 };
	int r;

	if (err)
		log_error("%s", err->text);
	if (err && err->code != -EPIPE && s->channel.fd >= 0) {
		r = wire_put_failed(&s->channel.out, err->text);
		if (r == 0)
			r = channel_write_all(&s->channel);
	}
	r = root_close_disk(&disk);
	if (r < 0)
		sync();
	if (!err && !s->channel.lost) {
		r = wire_put_bye(&s->channel.out, r < 0 ? disk.text : NULL);
		if (r == 0)
			r = channel_write_all(&s->channel);
	}
	channel_deliver(&s->channel);
	power_off();
}

int main(int argc, char **argv)
{
	static struct session s;
	struct error err = { 0 };
	bool will_park = false;
	unsigned seed;
	int r;

	if (argc == 1 && strcmp(argv[0], IDLE_NAME) == 0)
		idle_run();
	s.started_ns = clock_ns();
	s.channel.fd = -1;
	/* The kernel has put 16 random bytes here: jansson need not open /dev/urandom for its hash. */
	memcpy(&seed, (void *)getauxval(AT_RANDOM), sizeof(seed));
	json_object_seed(seed);
	r = root_init(&err);
	if (r == 0)
		r = open_standard_fds(&err);
	if (r == 0)
		r = open_channel(&s, &will_park, &err);
	if (r == 0)
		r = will_park ? start_parked(&s, &err) : start_at_once(&s, &err);
	if (r == 0)
		r = session_run(&s, &err);
	finish(&s, r < 0 ? &err : NULL);
}
