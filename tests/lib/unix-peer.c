/*
 * Servers at UNIX sockets, for tests: unix-peer FOLDER. Each has a socket there of its name and is a process of its
 * own, and so is each connection; what a connection has seen is appended to FOLDER/log.
 *
 *	echo    sends back what comes, until its end, and logs how many bytes
 *	count   reads to the end, then says how many bytes that were
 *	first   says "done" and that it says nothing more, then reads to the end, and logs how many bytes
 *	slam    closes at once
 *	deaf    reads nothing
 *	flood   writes until it cannot any more, and logs "flood ended"
 *	full    has a queue for one connection, which is its own, and accepts none
 *	dead    has ended: its socket is still there
 *	dgram   is of datagrams
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char data[65536];

static void say(const char *what, long long n)
{
	FILE *f = fopen("log", "a");

	fprintf(f, "%s %lld\n", what, n);
	fclose(f);
}

static int put(int fd, const char *p, ssize_t n)
{
	ssize_t r = 0;

	for (; n > 0; p += r, n -= r)
		if ((r = write(fd, p, (size_t)n)) < 0)
			return -1;
	return 0;
}

static long long count(int fd)
{
	long long all = 0;
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		all += n;
	return all;
}

static void serve(const char *name, int fd)
{
	long long all;
	ssize_t n;

	if (!strcmp(name, "echo")) {
		for (all = 0; (n = read(fd, data, sizeof(data))) > 0 && put(fd, data, n) == 0; all += n)
			;
		say(name, all);
	} else if (!strcmp(name, "count")) {
		all = count(fd);
		say(name, all);
		put(fd, data, snprintf(data, sizeof(data), "%lld\n", all));
	} else if (!strcmp(name, "first")) {
		put(fd, "done\n", 5);
		shutdown(fd, SHUT_WR);
		say(name, count(fd));
	} else if (!strcmp(name, "flood")) {
		while (put(fd, data, sizeof(data)) == 0)
			;
		say("flood ended", errno);
	} else if (!strcmp(name, "deaf")) {
		pause();
	}
	exit(0);
}

static void run(const char *name, int type, int backlog, int accepts)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0), c;

	strcpy(a.sun_path, name);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (backlog >= 0 && listen(fd, backlog) < 0)) {
		perror(name);
		exit(1);
	}
	if (backlog == 0 && connect(socket(AF_UNIX, type, 0), (struct sockaddr *)&a, sizeof(a)) < 0)
		perror(name);
	if (backlog < 0 || fork())
		return; /* who keeps no copy of it has ended */
	while (accepts && (c = accept(fd, NULL, NULL)) >= 0) {
		if (fork() == 0) {
			close(fd);
			serve(name, c);
		}
		close(c);
	}
	pause();
}

int main(int argc, char **argv)
{
	const char *const names[] = { "echo", "count", "first", "slam", "deaf", "flood" };
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	if (argc != 2 || chdir(argv[1]) < 0)
		return 2;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		run(names[i], SOCK_STREAM, 128, 1);
	run("full", SOCK_STREAM, 0, 0);
	run("dead", SOCK_STREAM, -1, 0);
	run("dgram", SOCK_DGRAM, -1, 0);
	say("ready", 0);
	pause();
}
