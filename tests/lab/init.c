/*
 * PID 1 of the lab (see README.md): makes a host out of a bare kernel and runs one command in it.
 *
 * The root is the real machine's, read-only by 9p, under an overlay in memory. What to run is in the file
 * /request of the initramfs. The command's bytes and its status go over one virtio-serial port, as frames in
 * the order in which they were written, so the status comes after the last byte of output and nothing is lost
 * when the power goes off:
 *
 *	type (1 byte), length (4 bytes, little-endian), payload
 *	to the host	O output   E error output   X status (1 byte)
 *	from the host	I input; an empty one is its end
 *
 * Whatever fails before the command is told to the console, and the end without an X says that it failed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HEADER 5
#define CHUNK (32 * 1024)
#define GROUPS 256

struct request {
	char *cwd, **argv, **envp;
	uid_t uid;
	gid_t gid, groups[GROUPS];
	int ngroups;
	mode_t umask;
	struct rlimit nofile;
	bool input;
	struct timespec clock; /* when the host started the machine */
};

static int port = -1;

__attribute__((noreturn)) static void power_off(void)
{
	for (;;)
		reboot(RB_AUTOBOOT); /* QEMU has -no-reboot */
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	dprintf(STDERR_FILENO, "lab: ");
	vdprintf(STDERR_FILENO, format, args);
	dprintf(STDERR_FILENO, ": %s\n", strerror(error));
	va_end(args);
	power_off();
}

/* --- the request: strings that end with a NUL each ------------------------------------------------------- */

static char *at, *end;

static char *next_string(void)
{
	char *s = at, *nul = memchr(at, 0, (size_t)(end - at));

	if (!nul) {
		errno = EBADMSG;
		fail("/request");
	}
	at = nul + 1;
	return s;
}

static unsigned long long next_number(void)
{
	return strtoull(next_string(), NULL, 10);
}

static char **next_list(void)
{
	size_t n = next_number();
	char **list = calloc(n + 1, sizeof(*list));

	for (size_t i = 0; i < n; i++)
		list[i] = next_string();
	return list;
}

static void read_request(struct request *r)
{
	struct stat st;
	int fd = open("/request", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || !(at = malloc((size_t)st.st_size)) ||
	    read(fd, at, (size_t)st.st_size) != st.st_size)
		fail("/request");
	close(fd);
	end = at + st.st_size;
	r->clock.tv_sec = (time_t)next_number();
	r->clock.tv_nsec = (long)next_number();
	r->input = next_number();
	r->umask = (mode_t)next_number();
	r->nofile.rlim_cur = next_number();
	r->nofile.rlim_max = next_number();
	r->uid = (uid_t)next_number();
	r->gid = (gid_t)next_number();
	r->ngroups = (int)next_number();
	for (int i = 0; i < r->ngroups; i++)
		r->groups[i < GROUPS ? i : GROUPS - 1] = (gid_t)next_number();
	if (r->ngroups > GROUPS)
		r->ngroups = GROUPS;
	r->cwd = next_string();
	r->argv = next_list();
	r->envp = next_list();
}

/* --- the host -------------------------------------------------------------------------------------------- */

static void mount_at(const char *type, const char *where, unsigned long flags, const char *options)
{
	if (mkdir(where, 0755) < 0 && errno != EEXIST)
		fail("mkdir %s", where);
	if (mount(type, where, type, flags, options) < 0)
		fail("mount %s at %s", type, where);
}

static void mount_root(void)
{
	/* loose: files are read once and then come from the page cache. They do not change under a lab. */
	mkdir("/lower", 0755);
	if (mount("host", "/lower", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L,cache=loose,msize=512000") < 0)
		fail("mount this machine's root by 9p");
	mount_at("tmpfs", "/rw", 0, "size=75%,mode=755");
	mkdir("/rw/upper", 0755);
	mkdir("/rw/work", 0755);
	mount_at("overlay", "/root", 0, "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work");

	unsigned long safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	mount_at("proc", "/root/proc", safe, NULL);
	mount_at("sysfs", "/root/sys", safe, NULL);
	mount_at("cgroup2", "/root/sys/fs/cgroup", safe, NULL);
	mount_at("tmpfs", "/root/run", MS_NOSUID | MS_NODEV, "mode=755");
	mkdir("/root/dev", 0755);
	if (mount("/dev", "/root/dev", NULL, MS_MOVE, NULL) < 0 || chdir("/root") < 0 ||
	    mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		fail("change to the new root");
	mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
	mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_at("mqueue", "/dev/mqueue", safe, NULL);
}

/* What udev does elsewhere. A device that this kernel lacks is no failure: the command will say so. */
static void finish_dev(void)
{
	static const char *const open_to_all[] = {"/dev/kvm", "/dev/vhost-vsock", "/dev/vhost-net", "/dev/net/tun",
						  "/dev/fuse"};

	for (size_t i = 0; i < sizeof(open_to_all) / sizeof(*open_to_all); i++)
		(void)!chmod(open_to_all[i], 0666);
	(void)!symlink("/proc/self/fd", "/dev/fd");
	(void)!symlink("fd/0", "/dev/stdin");
	(void)!symlink("fd/1", "/dev/stdout");
	(void)!symlink("fd/2", "/dev/stderr");
}

static void set_clock(const struct request *r)
{
	struct timespec up, now = r->clock;

	clock_gettime(CLOCK_BOOTTIME, &up);
	now.tv_sec += up.tv_sec;
	if ((now.tv_nsec += up.tv_nsec) >= 1000000000) {
		now.tv_nsec -= 1000000000;
		now.tv_sec++;
	}
	if (clock_settime(CLOCK_REALTIME, &now) < 0)
		fail("set the clock");
}

static void start_network(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		fail("lo");
	close(fd);
	sethostname("lab", 3);
}

/* The device's folder is watched from before the first look, so that it cannot appear unseen. */
static int open_port(void)
{
	int watch = inotify_init1(IN_CLOEXEC);
	char event[4096];

	if (watch < 0 || inotify_add_watch(watch, "/dev", IN_CREATE | IN_ATTRIB) < 0)
		fail("watch /dev");
	for (;;) {
		DIR *dev = opendir("/dev");
		struct dirent *entry;

		while (dev && (entry = readdir(dev)))
			if (strncmp(entry->d_name, "vport", 5) == 0) {
				int fd = openat(dirfd(dev), entry->d_name, O_RDWR | O_CLOEXEC);

				if (fd < 0)
					fail("%s", entry->d_name);
				closedir(dev);
				close(watch);
				return fd;
			}
		if (dev)
			closedir(dev);
		if (read(watch, event, sizeof(event)) < 0)
			fail("watch /dev");
	}
}

/* --- the command ----------------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void run_command(const struct request *r)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	umask(r->umask);
	setrlimit(RLIMIT_NOFILE, &r->nofile);
	if (setgroups((size_t)r->ngroups, r->groups) < 0 || setgid(r->gid) < 0 || setuid(r->uid) < 0) {
		dprintf(STDERR_FILENO, "lab: cannot become user %u: %s\n", r->uid, strerror(errno));
		_exit(125);
	}
	if (chdir(r->cwd) < 0) {
		dprintf(STDERR_FILENO, "lab: %s: %s\n", r->cwd, strerror(errno));
		_exit(125);
	}
	clearenv();
	for (char **e = r->envp; *e; e++)
		putenv(*e);
	execvp(r->argv[0], r->argv);
	dprintf(STDERR_FILENO, "lab: %s: %s\n", r->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Starts it with pipes, of which `fds` gets this side: its input (-1 without), output, error output. */
static pid_t start_command(const struct request *r, int fds[3])
{
	int in[2] = {open("/dev/null", O_RDONLY | O_CLOEXEC), -1}, out[2], err[2];

	if (in[0] < 0 || (r->input && pipe2(in, O_CLOEXEC) < 0) || pipe2(out, O_CLOEXEC) < 0 ||
	    pipe2(err, O_CLOEXEC) < 0)
		fail("pipes");
	/* As a user, it may open /dev/stdout. */
	if (fchown(out[1], r->uid, r->gid) < 0 || fchown(err[1], r->uid, r->gid) < 0 ||
	    (r->input && fchown(in[0], r->uid, r->gid) < 0))
		fail("owner of the pipes");

	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		run_command(r);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	fds[0] = in[1], fds[1] = out[0], fds[2] = err[0];
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			fcntl(fds[i], F_SETFL, O_NONBLOCK);
	return pid;
}

/* --- the bytes ------------------------------------------------------------------------------------------- */

static void send_frame(uint8_t *frame, char type, size_t length)
{
	frame[0] = (uint8_t)type;
	for (int i = 0; i < 4; i++)
		frame[1 + i] = (uint8_t)(length >> (8 * i));
	length += HEADER;
	while (length > 0) {
		ssize_t n = write(port, frame, length);

		if (n < 0)
			fail("write to the port");
		frame += n;
		length -= (size_t)n;
	}
}

/* Passes on what is there. False at the end of the output, where the fd is closed. */
static bool pump_output(int *fd, char type)
{
	static uint8_t frame[HEADER + CHUNK];
	ssize_t n = read(*fd, frame + HEADER, CHUNK);

	if (n > 0) {
		send_frame(frame, type, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EAGAIN)
		return false;
	close(*fd);
	*fd = -1;
	return false;
}

/* One frame of input on its way to the command. The port is not read before it is empty. */
static struct {
	uint8_t header[HEADER], data[CHUNK];
	size_t have, length, written;
} input;

static void read_input(void)
{
	ssize_t n;

	if (input.have < HEADER)
		n = read(port, input.header + input.have, HEADER - input.have);
	else
		n = read(port, input.data + input.have - HEADER, HEADER + input.length - input.have);
	if (n <= 0) {
		errno = n < 0 ? errno : ECONNRESET;
		fail("read from the port");
	}
	input.have += (size_t)n;
	if (input.have == HEADER) {
		input.length = 0;
		for (int i = 0; i < 4; i++)
			input.length |= (size_t)input.header[1 + i] << (8 * i);
		if (input.length > CHUNK) {
			errno = EMSGSIZE;
			fail("a frame of input");
		}
	}
}

static bool input_is_whole(void)
{
	return input.have >= HEADER && input.have == HEADER + input.length;
}

/* A command that closed its input gets no more; the frames are read all the same. */
static void write_input(int *fd)
{
	ssize_t n = 0;

	if (*fd >= 0 && input.length > 0)
		n = write(*fd, input.data + input.written, input.length - input.written);
	if (n < 0 && errno == EAGAIN)
		return;
	if (*fd >= 0 && (n < 0 || input.length == 0)) {
		close(*fd);
		*fd = -1;
	}
	input.written += n > 0 ? (size_t)n : 0;
	if (*fd < 0 || input.written == input.length)
		input.have = input.length = input.written = 0;
}

/* True when `pid` has ended. Others are orphans. */
static bool reap(pid_t pid, int *ret_status)
{
	bool ended = false;
	int status;
	pid_t who;

	while ((who = waitpid(-1, &status, WNOHANG)) > 0)
		if (who == pid) {
			*ret_status = status;
			ended = true;
		}
	return ended;
}

static int serve(pid_t pid, int fds[3], int children)
{
	int status = 0;

	for (;;) {
		bool whole = input_is_whole();
		struct pollfd p[] = {
			{.fd = children, .events = POLLIN},
			{.fd = whole ? -1 : port, .events = POLLIN},
			{.fd = whole ? fds[0] : -1, .events = POLLOUT},
			{.fd = fds[1], .events = POLLIN},
			{.fd = fds[2], .events = POLLIN},
		};
		struct signalfd_siginfo info;

		/* Some timer is always set. With --icount a lab that waits for this machine only (a file, its bytes)
		 * has hung without any, once in a dozen runs: QEMU then lets the CPU run on without looking. */
		if (poll(p, sizeof(p) / sizeof(*p), 200) < 0)
			fail("poll");
		if (p[3].revents)
			pump_output(&fds[1], 'O');
		if (p[4].revents)
			pump_output(&fds[2], 'E');
		if (p[1].revents & POLLIN)
			read_input();
		if (input_is_whole())
			write_input(&fds[0]);
		if (p[0].revents && read(children, &info, sizeof(info)) > 0 && reap(pid, &status))
			return status;
	}
}

/* As 0, 1 and 2, whether or not the kernel did it already. */
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	for (int i = 0; i < 3; i++)
		if (fd < 0 || dup2(fd, i) < 0)
			power_off();
	if (fd > 2)
		close(fd);
}

int main(void)
{
	struct request r = {0};
	sigset_t chld;
	int fds[3];

	mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=755");
	open_console();
	read_request(&r);
	mount_root();
	finish_dev();
	set_clock(&r);
	start_network();
	port = open_port();

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	signal(SIGPIPE, SIG_IGN);

	int children = signalfd(-1, &chld, SFD_CLOEXEC);
	pid_t pid = start_command(&r, fds);
	int status = serve(pid, fds, children);

	/* Who still writes would keep the output from ever ending. */
	kill(-1, SIGKILL);
	while (fds[1] >= 0 && pump_output(&fds[1], 'O'))
		;
	while (fds[2] >= 0 && pump_output(&fds[2], 'E'))
		;

	uint8_t frame[HEADER + 1];

	frame[HEADER] = (uint8_t)(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	send_frame(frame, 'X', 1);
	for (;;)
		pause(); /* the host turns the power off when it has read the frame */
}
