/*
 * An application that connects the streams of processes to its own fds: boxlite_process_connect(). Image bb is in the
 * home; the current folder is for files.
 *
 *	embed-connect SCENE...   prints what is not as it should be, and then the scenes' names
 */
#define _GNU_SOURCE
#include "embed-scenes.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define LENGTH 1500000 /* more than all buffers together */

static unsigned char noise[LENGTH], back[LENGTH + 1];

static int new_file(const char *name, size_t n)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, noise, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static int has_noise(int fd)
{
	return pread(fd, back, sizeof(back), 0) == LENGTH && memcmp(noise, back, LENGTH) == 0;
}

static void count(struct boxlite_process *p, void *ud)
{
	(void)p;
	++*(int *)ud;
}

static struct boxlite_exit loop_until_end(struct boxlite_process *p)
{
	struct boxlite_exit end = { .kind = -1 };

	while (boxlite_process_ended(p, &end) != 1)
		if (!turn(60000)) {
			printf("nothing happens any more\n");
			break;
		}
	return end;
}

/* A file through a box into a file: by the loop, and without one. */
static void files(void)
{
	int in = new_file("in", LENGTH), out = new_file("out", 0), by_wait, calls = 0;
	struct boxlite_process *p;
	struct boxlite_exit end;

	for (by_wait = 0; by_wait < 2; by_wait++) {
		CHECK(lseek(in, 0, SEEK_SET) == 0 && ftruncate(out, 0) == 0 && lseek(out, 0, SEEK_SET) == 0);
		p = shell("cat; exit 6", 1);
		OK(boxlite_process_connect(p, in, out, -1, &err));
		OK(boxlite_process_set_handler(p, count, &calls, &err));
		if (by_wait)
			OK(boxlite_process_wait(p, &end, &err));
		else
			end = loop_until_end(p);
		CHECK(end.kind == BOXLITE_EXITED && end.code == 6 && has_noise(out));
		CHECK(by_wait ? calls == 0 : calls >= 2 && calls < 10); /* it runs, it has ended; no word of streams */
		OK(boxlite_process_connect_status(p, &err));
		boxlite_process_close(p);
		calls = 0;
	}
	CHECK(fcntl(in, F_GETFL) == (O_RDWR | 0100000) && fcntl(out, F_GETFL) == (O_RDWR | 0100000)); /* O_LARGEFILE */
	close(in);
	close(out);
}

/* The application closes its fds, and does the other ends of the pipes itself, in the same thread. */
static void through_pipes(struct boxlite_process *p, int to, int from)
{
	struct pollfd fds[3];
	size_t put = 0, got = 0;
	ssize_t n;

	fcntl(to, F_SETFL, O_NONBLOCK);
	while (got < sizeof(back)) {
		fds[0] = (struct pollfd){ .fd = boxlite_get_fd(home), .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = from, .events = POLLIN };
		fds[2] = (struct pollfd){ .fd = put < LENGTH ? to : -1, .events = POLLOUT };
		if (poll(fds, 3, 60000) < 1)
			break;
		if (fds[0].revents)
			CHECK(boxlite_dispatch(home, &err) >= 0);
		if (fds[2].revents && (n = write(to, noise + put, LENGTH - put)) > 0 && (put += (size_t)n) == LENGTH)
			close(to);
		if (!fds[1].revents)
			continue;
		n = read(from, back + got, sizeof(back) - got);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	CHECK(got == LENGTH && memcmp(noise, back, LENGTH) == 0);
	CHECK(boxlite_process_ended(p, NULL) == 1);
}

static void pair(int fds[2], int sockets)
{
	CHECK((sockets ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) : pipe2(fds, O_CLOEXEC)) == 0);
	if (sockets) /* fds[1] is what is written to */
		shutdown(fds[0], SHUT_WR);
}

static void pipes_of(int sockets)
{
	struct boxlite_process *p = shell("cat", 1);
	struct boxlite_exit end;
	int in[2], out[2];

	pair(in, sockets);
	pair(out, sockets);
	OK(boxlite_process_connect(p, in[0], out[1], -1, &err));
	CHECK((fcntl(in[0], F_GETFL) & O_NONBLOCK) == 0 && (fcntl(out[1], F_GETFL) & O_NONBLOCK) == 0);
	close(in[0]);
	close(out[1]);
	through_pipes(p, in[1], out[0]);
	OK(boxlite_process_wait(p, &end, &err));
	CHECK(end.code == 0);
	boxlite_process_close(p);
	close(out[0]);
}

static void pipes(void)
{
	pipes_of(0);
}

static void sockets(void)
{
	pipes_of(1);
}

/* Until so many bytes are in the pipe, and nothing happens any more: how often the home's fd was readable. */
static int wakeups_until(int fd, int wanted)
{
	int n = 0, there;

	while (ioctl(fd, FIONREAD, &there) == 0 && turn(there < wanted ? 60000 : 500))
		n++;
	return n;
}

/* Nobody reads a pipe that blocks, for a while: neither a wait for it nor a busy loop. The other channel goes on. */
static void slow(void)
{
	struct boxlite_process *p = shell("echo both >&2; cat /dev/zero", 0);
	int out[2], other[2], wakeups;
	size_t before = 0;
	ssize_t n;

	pair(out, 0);
	pair(other, 0);
	OK(boxlite_process_connect(p, -1, out[1], other[1], &err));
	wakeups = wakeups_until(other[0], 5);
	CHECK(wakeups > 0);
	wakeups = wakeups_until(out[0], 32768);
	CHECK(wakeups < 300);
	CHECK(read(other[0], back, 100) == 5 && memcmp(back, "both\n", 5) == 0);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	while ((n = read(out[0], back, LENGTH)) > 0)
		before += (size_t)n;
	CHECK(before >= 32768 && before <= 65536); /* what a pipe holds */
	wakeups = wakeups_until(out[0], 32768); /* there is room again */
	CHECK(wakeups > 0 && wakeups < 300);
	CHECK(read(out[0], back, LENGTH) > 32768);
	close(out[1]);
	close(other[1]);
	boxlite_process_close_output(p, BOXLITE_STDERR);
	CHECK(read(other[0], back, 1) == 0); /* the library has let go of it */
	boxlite_process_close(p);
	CHECK(!turn(200));
	while ((n = read(out[0], back, LENGTH)) > 0)
		;
	CHECK(n == 0);
	close(out[0]);
	close(other[0]);
}

/* A pipe that others fill as well: what poll(2) says need not be so any more when it is written to. */
static void shared(void)
{
	struct boxlite_process *p[4];
	struct boxlite_exit end;
	size_t got = 0;
	int out[2], i;
	ssize_t n;

	pair(out, 0);
	for (i = 0; i < 4; i++) {
		p[i] = shell("head -c 200000 /dev/zero", 0);
		OK(boxlite_process_connect(p[i], -1, out[1], -1, &err));
	}
	close(out[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	do {
		n = read(out[0], back, 4096);
		got += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EAGAIN && turn(60000)));
	CHECK(n == 0 && got == 800000);
	for (i = 0; i < 4; i++) {
		OK(boxlite_process_wait(p[i], &end, &err));
		CHECK(end.code == 0);
		boxlite_process_close(p[i]);
	}
	close(out[0]);
}

/* A reader that leaves: no SIGPIPE here, one there. */
static void leaving(void)
{
	int out[2], kind, by_wait;
	struct boxlite_process *p;
	struct boxlite_exit end;

	for (kind = 0; kind < 2; kind++)
		for (by_wait = 0; by_wait < 2; by_wait++) {
			pair(out, kind);
			p = shell("while :; do echo 0123456789abcdef; done", 0);
			OK(boxlite_process_connect(p, -1, out[1], -1, &err));
			while (!by_wait && poll(&(struct pollfd){ out[0], POLLIN, 0 }, 1, 0) != 1 && turn(60000))
				;
			close(out[0]);
			if (by_wait)
				OK(boxlite_process_wait(p, &end, &err));
			else
				end = loop_until_end(p);
			CHECK(end.kind == BOXLITE_SIGNALLED && end.signal == SIGPIPE);
			OK(boxlite_process_connect_status(p, &err));
			boxlite_process_close(p);
			close(out[1]);
		}
}

static void devices(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), full = open("/dev/full", O_RDWR | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct boxlite_process *p = shell("cat; echo end; head -c 1000000 /dev/zero", 1);
	struct boxlite_exit end = { .kind = -1 };
	int n;

	OK(boxlite_process_connect(p, null, null, null, &err));
	end = loop_until_end(p);
	CHECK(end.kind == BOXLITE_EXITED && end.code == 0);
	boxlite_process_close(p);
	p = shell("head -c 1000000 | wc -c; exec sleep 1000", 1);
	OK(boxlite_process_connect(p, zero, -1, -1, &err));
	while (boxlite_process_output(p, BOXLITE_STDOUT, &(const void *){ NULL }) != 8 && turn(60000))
		;
	CHECK(swallow(p, BOXLITE_STDOUT) == 8);
	for (n = 0; turn(500); n++)
		;
	CHECK(n < 100); /* there is always input, and nobody who takes it */
	boxlite_process_close(p);
	/* What cannot be written is said. */
	p = shell("trap '' PIPE; echo lost; exit 3", 0);
	OK(boxlite_process_connect(p, -1, full, -1, &err));
	end.kind = 77;
	CHECK(boxlite_process_wait(p, &end, &err) == -ENOSPC && strstr(err.text, "standard output") && end.kind == 77);
	CHECK(boxlite_process_connect_status(p, &err) == -ENOSPC);
	CHECK(boxlite_process_ended(p, &end) == 1 && end.kind == BOXLITE_EXITED && end.code == 3);
	boxlite_process_close(p);
	close(null);
	close(full);
	close(zero);
}

static void terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct boxlite_process *p = shell("read line; echo got $line; head -c 20000 /dev/zero | tr '\\0' x", 1);
	struct boxlite_exit end;
	size_t x = 0;
	ssize_t n, i;

	CHECK(grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	OK(boxlite_process_connect(p, slave, slave, slave, &err));
	CHECK(fcntl(slave, F_GETFL) == (O_RDWR | 0100000));
	CHECK(write(master, "hello\n", 6) == 6);
	fcntl(master, F_SETFL, O_NONBLOCK);
	while (boxlite_process_ended(p, &end) != 1 && turn(60000)) /* the terminal holds less than all that */
		while ((n = read(master, back, LENGTH)) > 0)
			for (i = 0; i < n; i++)
				x += back[i] == 'x';
	CHECK(end.code == 0 && (n = read(master, back, LENGTH)) < LENGTH);
	for (i = 0; i < n; i++)
		x += back[i] == 'x';
	CHECK(x == 20000);
	boxlite_process_close(p);
	close(slave);
	close(master);
}

/* Who takes no input takes none away. */
static void no_input(void)
{
	static const char *const none[] = { "/no/such", NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p = shell("sleep 0.3; cat", 0);
	int in = new_file("in", 1000);
	struct boxlite_exit end;

	OK(boxlite_process_connect(p, in, -1, -1, &err));
	end = loop_until_end(p);
	CHECK(end.code == 0 && lseek(in, 0, SEEK_CUR) == 0);
	boxlite_process_close(p);
	o.argv = none;
	o.stdin_open = 1;
	OK(boxlite_box_exec(box, &o, &p, &err));
	OK(boxlite_process_connect(p, in, -1, -1, &err));
	OK(boxlite_process_wait(p, &end, &err));
	CHECK(end.kind == BOXLITE_NOT_FOUND && lseek(in, 0, SEEK_CUR) == 0);
	boxlite_process_close(p);
	close(in);
}

/* One after the other, and none: what was read of the first comes first. */
static void again(void)
{
	struct boxlite_process *p = shell("cat", 1);
	int a[2], b[2], out = new_file("out", 0), calls = 0;
	struct boxlite_exit end;

	pair(a, 0);
	pair(b, 0);
	CHECK(write(a[1], "one ", 4) == 4 && write(b[1], "two", 3) == 3);
	close(b[1]);
	OK(boxlite_process_connect(p, a[0], out, -1, &err));
	while (pread(out, back, 10, 0) != 4 && turn(60000))
		;
	OK(boxlite_process_connect(p, -1, -1, -1, &err));
	CHECK(write(a[1], "no", 2) == 2);
	CHECK(!turn(200)); /* as if it had never been */
	OK(boxlite_process_set_handler(p, count, &calls, &err));
	OK(boxlite_process_connect(p, b[0], out, -1, &err));
	end = loop_until_end(p);
	CHECK(end.code == 0 && calls > 0 && pread(out, back, 10, 0) == 7 && memcmp(back, "one two", 7) == 0);
	CHECK(read(a[0], back, 10) == 2);
	boxlite_process_close(p);
	close(a[0]), close(a[1]), close(b[0]), close(out);
}

/* Files as tars, both ways. */
static void copies(void)
{
	struct boxlite_copy_stream_options o = BOXLITE_OPTIONS(boxlite_copy_stream_options);
	struct boxlite_process *p = shell("head -c 1000000 /dev/zero > /one; mkdir /there", 0);
	int tar = new_file("tar", 0);
	struct boxlite_exit end;

	OK(boxlite_process_wait(p, &end, &err));
	boxlite_process_close(p);
	o.path = "/one";
	OK(boxlite_box_copy_out(box, &o, &p, &err));
	OK(boxlite_process_connect(p, -1, tar, -1, &err));
	OK(boxlite_process_wait(p, &end, &err));
	CHECK(end.status == 0 && lseek(tar, 0, SEEK_CUR) > 1000000 && lseek(tar, 0, SEEK_SET) == 0);
	boxlite_process_close(p);
	o.path = "/there";
	OK(boxlite_box_copy_in(box, &o, &p, &err));
	OK(boxlite_process_connect(p, tar, -1, -1, &err));
	end = loop_until_end(p);
	CHECK(end.status == 0);
	boxlite_process_close(p);
	p = shell("cmp /one /there/one", 0);
	OK(boxlite_process_wait(p, &end, &err));
	CHECK(end.status == 0);
	boxlite_process_close(p);
	close(tar);
}

static void wrong(void)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out = open("/dev/null", O_WRONLY | O_CLOEXEC), path;
	struct boxlite_process *p = shell("echo x; exit 5", 1);
	struct boxlite_exit end;

	path = open("/dev/null", O_PATH | O_CLOEXEC);
	CHECK(boxlite_process_connect(p, out, -1, -1, &err) == -EBADF && strstr(err.text, "standard input"));
	CHECK(boxlite_process_connect(p, -1, in, -1, &err) == -EBADF && strstr(err.text, "standard output"));
	CHECK(boxlite_process_connect(p, -1, -1, in, &err) == -EBADF && strstr(err.text, "standard error"));
	CHECK(boxlite_process_connect(p, path, -1, -1, &err) == -EBADF);
	CHECK(boxlite_process_connect(p, in, out, 1000000, &err) == -EBADF);
	CHECK(!turn(0)); /* as if it had never been */
	OK(boxlite_process_wait(p, &end, &err));
	CHECK(end.code == 5);
	OK(boxlite_process_connect(p, in, out, out, &err)); /* too late, and no harm */
	CHECK(boxlite_dispatch(home, &err) == 0);
	boxlite_process_close(p);
	close(in), close(out), close(path);
}

/* No fd that was made for all that is left. */
static int count_fds(void)
{
	int n = 0, i;

	for (i = 0; i < 1000; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static void nothing_open(void)
{
	int before, after;

	files();
	before = count_fds();
	files();
	pipes();
	sockets();
	leaving();
	no_input();
	again();
	wrong();
	after = count_fds();
	if (before != after)
		printf("%d fds, and %d before\n", after, before);
}

static const struct scene scenes[] = {
	{ "files", files, 1 },       { "pipes", pipes, 1 },     { "sockets", sockets, 1 },   { "slow", slow, 1 },
	{ "shared", shared, 1 },     { "leaving", leaving, 1 }, { "devices", devices, 1 },   { "terminal", terminal, 1 },
	{ "no-input", no_input, 1 }, { "again", again, 1 },     { "copies", copies, 1 },     { "wrong", wrong, 1 },
	{ "nothing-open", nothing_open, 1 },
};

int main(int argc, char **argv)
{
	struct timespec now;
	size_t i;

	clock_gettime(CLOCK_REALTIME, &now);
	srandom((unsigned)now.tv_nsec);
	for (i = 0; i < LENGTH; i++)
		noise[i] = (unsigned char)random();
	return play(scenes, sizeof(scenes) / sizeof(*scenes), argc, argv);
}
