/* Spawning, the event loop, sockets and files: the parts of base that touch the system. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/newfile.h"
#include "base/sock.h"
#include "base/spawn.h"
#include "lib/tap.h"

/* Runs `sh -c script` with fd 5 of the child on a pipe; returns its output there. */
static void run_shell(const char *script, const struct spawn *base, char *out, size_t n, int *status)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct spawn s = *base;
	struct child c = CHILD_NONE;
	int p[2];
	ssize_t got;

	if (pipe2(p, O_CLOEXEC) < 0)
		abort();
	struct spawn_fd fds[] = { { p[1], 5 } };
	s.path = "/bin/sh";
	s.argv = argv;
	s.fds = fds;
	s.nfds = 1;
	*status = -1;
	out[0] = 0;
	if (spawn_start(&s, &c, NULL) == 0) {
		close_fd(&p[1]);
		got = read(p[0], out, n - 1);
		out[got > 0 ? got : 0] = 0;
		spawn_wait(&c, status);
	}
	close_fd(&p[1]);
	close(p[0]);
}

static void test_spawn(void)
{
	struct spawn s = { 0 }, missing = { .path = "/nonexistent/program", .argv = (const char *const[]){ "x", NULL } };
	struct error err = { 0 };
	struct child c = CHILD_NONE;
	char out[256];
	int status, leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as an embedder might */

	run_shell("echo hi >&5; exit 3", &s, out, sizeof(out), &status);
	is_str(out, "hi\n", "a mapped fd arrives");
	is_int(status, 3, "and the exit code comes back");
	run_shell("kill -9 $$", &s, out, sizeof(out), &status);
	is_int(status, 128 + 9, "a signal is 128 and its number");
	run_shell("ls /proc/self/fd | tr '\\n' ' ' >&5", &s, out, sizeof(out), &status);
	ok(!strstr(out, "4 ") || leak != 4, "no other fd leaks in: %s", out);
	is_int(strlen(out) <= strlen("0 1 2 3 5 ") ? 1 : 0, 1, "just the standard ones, ours and ls's own");
	run_shell("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= >&5; :", &s, out, sizeof(out), &status);
	is_str(out, "", "the environment is empty unless given");
	is_int(spawn_start(&missing, &c, &err), -ENOENT, "a missing program is reported by the call");
	ok(strstr(err.text, "/nonexistent/program") != NULL, "by name: %s", err.text);
	is_int(waitpid(-1, &status, WNOHANG | __WALL), -1, "no child is left");
	close(leak);
}

static volatile sig_atomic_t handled;

static void on_usr1(int sig)
{
	handled = sig;
}

/* The child works in this process's memory: what libraries know about the process is not its to change. */
static void test_spawn_apart(void)
{
	const char *const argv[] = { "cat", NULL };
	struct spawn s = { 0 }, missing = { .path = "/nonexistent/program", .argv = argv };
	struct spawn cat = { .path = "/bin/cat", .argv = argv };
	struct sigaction sa = { .sa_handler = on_usr1 }, before;
	struct child c = CHILD_NONE;
	char out[256];
	int p[2], std, pending = -1, status;

	/* What its parent has still to write must come from the parent. */
	fflush(stdout);
	std = fcntl(1, F_DUPFD_CLOEXEC, 3);
	if (std < 0 || pipe2(p, O_CLOEXEC) < 0 || dup2(p[1], 1) < 0)
		abort();
	printf("x");
	status = spawn_start(&missing, &c, NULL);
	fflush(stdout);
	dup2(std, 1);
	close(std);
	is_int(status, -ENOENT, "a child that gives up");
	is_int(ioctl(p[0], FIONREAD, &pending), 0, "(what is in a pipe)");
	is_int(pending, 1, "leaves its parent what it has still to write");
	close(p[0]);
	close(p[1]);

	sigaction(SIGUSR1, &sa, &before);
	run_shell("exit 0", &s, out, sizeof(out), &status);
	raise(SIGUSR1);
	is_int(handled, SIGUSR1, "the parent's handlers are what they were");
	sigaction(SIGUSR1, &before, NULL);

	/* Of a parent that has closed it, the first file that is opened here would be 0. */
	std = fcntl(0, F_DUPFD_CLOEXEC, 3);
	close(0);
	status = spawn_start(&cat, &c, NULL);
	dup2(std, 0);
	close(std);
	is_int(status, 0, "a parent without a standard input");
	spawn_wait(&c, &status);
	is_int(status, 0, "has children with one");
}

static void test_capture(void)
{
	const char *const done[] = { "sh", "-c", "echo said; exit 3", NULL };
	const char *const hangs[] = { "sh", "-c", "echo said; exec >&-; exec sleep 60", NULL };
	struct spawn s = { .path = "/bin/sh", .argv = done };
	auto_buf struct buf out = BUF_INIT(64);
	struct error err = { 0 };
	int status = -1;

	is_int(spawn_capture(&s, 10000, &out, &status, &err), 0, "a program's output");
	ok(status == 3 && !strcmp(buf_str(&out), "said\n"), "comes with its status");
	s.argv = hangs;
	is_int(spawn_capture(&s, 200, &out, &status, &err), -ETIMEDOUT, "one that closes it and hangs is killed");
	ok(strstr(err.text, "/bin/sh") != NULL, "by name: %s", err.text);
	is_int(waitpid(-1, &status, WNOHANG | __WALL), -1, "no child is left");
}

struct ping {
	struct watch w;
	struct loop *l;
	struct ping *victim;
	int calls;
};

static void on_ping(struct watch *w, uint32_t events)
{
	struct ping *p = container_of(w, struct ping, w);

	(void)events;
	p->calls++;
	/* Whichever comes first removes the other, whose event is already in the batch. */
	loop_remove(p->l, &p->victim->w);
	loop_stop(p->l);
}

static void test_loop(void)
{
	struct loop l;
	struct ping a = { .l = &l }, b = { .l = &l };
	int pair[2], other[2];

	a.victim = &b;
	b.victim = &a;
	is_int(loop_init(&l), 0, "a loop");
	if (sock_pair(pair) < 0 || sock_pair(other) < 0)
		abort();
	if (write(pair[1], "x", 1) != 1 || write(other[1], "x", 1) != 1)
		abort();
	is_int(loop_add(&l, &a.w, pair[0], EPOLLIN, on_ping), 0, "one watch");
	is_int(loop_add(&l, &b.w, other[0], EPOLLIN, on_ping), 0, "another");
	is_int(loop_run(&l), 0, "runs");
	is_int(a.calls + b.calls, 1, "a removed watch is not called, even in the same batch");
	loop_remove(&l, &a.w);
	loop_remove(&l, &b.w);
	loop_fini(&l);
	close(pair[0]), close(pair[1]), close(other[0]), close(other[1]);
}

struct turn {
	struct later later;
	struct loop *l;
	struct turn *again, *not_that;
	int calls;
};

static void on_turn(struct later *t)
{
	struct turn *turn = container_of(t, struct turn, later);

	turn->calls++;
	if (turn->again)
		loop_later(turn->l, &turn->again->later);
	if (turn->not_that)
		loop_never(turn->l, &turn->not_that->later);
}

static void test_later(void)
{
	struct loop l;
	struct turn a = { .l = &l, .later.fn = on_turn }, b = a;
	int r = loop_init(&l);

	a.again = &a;
	loop_later(&l, &a.later);
	loop_later(&l, &a.later);
	loop_later(&l, &b.later);
	is_int(r == 0 ? loop_once(&l, -1) : r, 0, "what is to be done later lets no fd be waited for");
	is_int(a.calls, 1, "it is done once, also if it was asked for twice, or asks for itself");
	is_int(b.calls, 1, "so is the other one");
	is_int(loop_once(&l, -1), 0, "the next turn");
	is_int(a.calls * 10 + b.calls, 21, "has what was asked for meanwhile");
	a.again = NULL;
	a.not_that = &b;
	loop_later(&l, &b.later);
	is_int(loop_once(&l, -1), 0, "one that takes the other one back");
	is_int(a.calls * 10 + b.calls, 31, "which is not done");
	loop_never(&l, &a.later);
	is_int(loop_once(&l, 0), 0, "nothing is left");
	is_int(a.calls * 10 + b.calls, 31, "to be done");
	loop_fini(&l);
}

static void test_sockets(int dir)
{
	int pair[2], fds[2], got[2] = { -1, -1 };
	size_t n = 0;
	char byte = 0;
	uid_t uid;

	if (sock_pair(pair) < 0 || pipe2(fds, O_CLOEXEC) < 0)
		abort();
	is_int(sock_send_fds(pair[0], "x", 1, fds, 2), 0, "fds are sent");
	is_int(sock_recv_fds(pair[1], &byte, 1, got, 2, &n), 1, "with their byte");
	is_int(n, 2, "both arrive");
	is_int(fcntl(got[0], F_GETFD), FD_CLOEXEC, "close-on-exec");
	is_int(sock_send_fds(pair[0], "x", 1, fds, 2), 0, "again");
	is_int(sock_recv_fds(pair[1], &byte, 1, &(int){ -1 }, 1, &n), -EMSGSIZE, "more than expected is refused");
	is_int(sock_peer_uid(pair[0], &uid), 0, "the peer has a user");
	is_int(uid, geteuid(), "who is us");
	close(pair[1]);
	is_int(sock_send_fds(pair[0], "x", 1, NULL, 0), -EPIPE, "a closed peer is an error and no signal");
	close(pair[0]), close(fds[0]), close(fds[1]), close(got[0]), close(got[1]);

	int l = sock_listen_at(dir, "box.sock"), again, c;
	struct stat st;

	ok(l >= 0, "listens in a folder of any depth");
	is_int(fstatat(dir, "box.sock", &st, 0) == 0 ? st.st_mode & 0777 : 0, 0600, "for its owner only");
	c = sock_connect_at(dir, "box.sock");
	ok(c >= 0, "connects");
	close(c);
	close(l);
	is_int(sock_connect_at(dir, "box.sock"), -ECONNREFUSED, "a stale socket refuses");
	again = sock_listen_at(dir, "box.sock");
	ok(again >= 0, "and is replaced");
	close(again);
}

static void test_files(int dir)
{
	auto_buf struct buf b = BUF_INIT(10);
	char deep[] = "a/b/c";

	is_int(io_mkdirs_at(dir, deep, 0700), 0, "folders in a row");
	is_int(io_mkdirs_at(dir, deep, 0700), 0, "which may be there");
	is_int(newfile_write(dir, "f", "12345", 5), 0, "a file appears");
	is_int(newfile_write(dir, "f", "abcdefghij", 10), 0, "and is replaced");
	is_int(io_read_file_at(dir, "f", &b), 0, "reads up to the ceiling");
	ok(buf_len(&b) == 10 && memcmp(buf_data(&b), "abcdefghij", 10) == 0, "the new content");
	buf_consume(&b, 1);
	is_int(io_read_file_at(dir, "f", &b), -ENOBUFS, "and not beyond");
	is_int(symlinkat("/etc", dir, "a/b/link"), 0, "a link out of the tree");
	is_int(io_remove_tree_at(dir, "a"), 0, "a tree is removed");
	ok(access("/etc/passwd", F_OK) == 0, "but nothing behind the link");
	is_int(io_remove_tree_at(dir, "a"), 0, "what is gone is fine");
}

static int count_files(int dir)
{
	auto_dir DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;
	int n = 0;

	if (!d)
		abort();
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	return n;
}

/* Makes the file `name` of a text, and gives it its name if that is wanted. */
static int make_file(int dir, const char *name, const char *text, bool publish)
{
	struct newfile f;
	int r = newfile_open(&f, dir, name);

	if (r == 0) {
		r = io_write_full(f.fd, text, strlen(text));
		if (r == 0 && publish)
			r = newfile_publish(&f, name);
		newfile_close(&f);
	}
	return r;
}

static void test_newfile(int dir)
{
	auto_buf struct buf b = BUF_INIT(10);
	static const char name[] = "a-name-of-48-bytes-is-the-longest-there-may-be-x";
	struct newfile f;
	struct stat st = { 0 };

	is_int(newfile_open(&f, dir, name), 0, "a new file");
	is_int(fcntl(f.fd, F_GETFD), FD_CLOEXEC, "close-on-exec");
	is_int(fcntl(f.fd, F_GETFL) & O_ACCMODE, O_RDWR, "to be read and written");
	is_int(io_write_full(f.fd, "first", 5), 0, "is written");
	ok(faccessat(dir, name, F_OK, 0) < 0, "without being there");
	is_int(newfile_publish(&f, name), 0, "until it is published");
	is_int(fstatat(dir, name, &st, 0) == 0 ? st.st_mode : 0, S_IFREG | 0600, "as its owner's only");
	newfile_close(&f);
	is_int(f.fd, -1, "and closed");
	is_int(make_file(dir, name, "second", true), 0, "another of that name is no error");
	ok(io_read_file_at(dir, name, &b) == 0 && buf_len(&b) == 5 && memcmp(buf_data(&b), "first", 5) == 0,
	   "but the first stays");
	is_int(unlinkat(dir, name, 0), 0, "until it is removed");
	is_int(make_file(dir, name, "third", false), 0, "one that is never published");
	is_int(count_files(dir), 0, "is gone, and none of the others has left anything");
}

/* From here on, no file system knows files without a name. */
static bool forbid_tmpfile(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A process that is killed while it makes a file. */
static void die_making_file(int dir)
{
	struct newfile f;
	pid_t child = fork();

	if (child == 0 && newfile_open(&f, dir, "x") == 0)
		kill(getpid(), SIGKILL);
	if (child == 0)
		_exit(1);
	waitpid(child, NULL, 0);
}

static void test_sweep(int dir)
{
	struct newfile f;

	is_int(newfile_open(&f, dir, "x"), 0, "a file that is being made");
	die_making_file(dir);
	is_int(count_files(dir), 2, "beside one whose maker was killed");
	newfile_sweep(dir);
	ok(count_files(dir) == 1 && faccessat(dir, f.tmp, F_OK, 0) == 0, "only the latter is swept");
	newfile_close(&f);
	is_int(newfile_write(dir, ".x.0123456789abcde", "", 0), 0, "what has another kind of name");
	newfile_sweep(dir);
	is_int(unlinkat(dir, ".x.0123456789abcde", 0), 0, "stays");
}

/* The same where a file needs a name from the start. */
static void test_named_newfile(int dir)
{
	struct newfile f;

	if (!forbid_tmpfile()) {
		printf("ok %d - # SKIP no seccomp\n", ++tap_count);
		return;
	}
	is_int(newfile_open(&f, dir, "x"), 0, "a new file with a name of its own");
	ok(*f.tmp == '.' && faccessat(dir, f.tmp, F_OK, 0) == 0, "that is hidden: %s", f.tmp);
	newfile_close(&f);
	is_int(count_files(dir), 0, "is gone with it");
	test_newfile(dir);
	test_sweep(dir);
}

static void test_packets(void)
{
	int pair[2], size[2] = { 0 };
	socklen_t n = sizeof(size[0]);
	char got[8];

	is_int(sock_pair_packets(pair, 256 * 1024), 0, "a pair for packets");
	ok(send(pair[0], "one", 3, 0) == 3 && send(pair[0], "seven", 5, 0) == 5, "two are sent");
	ok(recv(pair[1], got, sizeof(got), 0) == 3 && recv(pair[1], got, sizeof(got), 0) == 5, "and come one by one");
	ok(getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size[0], &n) == 0 &&
		   getsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size[1], &n) == 0 &&
		   size[0] == size[1] && size[0] >= 128 * 1024,
	   "there is room for many");
	ok(fcntl(pair[0], F_GETFD) == FD_CLOEXEC && fcntl(pair[1], F_GETFD) == FD_CLOEXEC, "both go with an exec");
	close(pair[0]);
	is_int(recv(pair[1], got, sizeof(got), 0), 0, "the end is an empty one");
	close(pair[1]);
}

int main(void)
{
	test_packets();
	/* 200 bytes deep: longer than any sun_path. */
	char path[512] = "/tmp/boxlite-test.XXXXXX";
	size_t n;
	int dir, sub;

	if (!mkdtemp(path))
		abort();
	n = strlen(path);
	snprintf(path + n, sizeof(path) - n, "/%0200d", 1);
	dir = io_open_dir_at(AT_FDCWD, path, 0700);
	test_spawn_apart();
	test_spawn();
	test_capture();
	test_loop();
	test_later();
	test_sockets(dir);
	test_files(dir);
	sub = io_open_dir_at(dir, "new", 0700);
	test_newfile(sub);
	test_named_newfile(sub);
	close(sub);
	close(dir);
	path[n] = 0;
	io_remove_tree_at(AT_FDCWD, path);
	return tap_done();
}
