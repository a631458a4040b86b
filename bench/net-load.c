/*
 * net-load ROLE...: both ends of the network's bench; static, so that it runs in any box.
 *
 *	net-load serve                      listens on 127.0.0.1, prints the port, serves until it is killed
 *	net-load up HOST PORT BYTES         sends, waits until all has arrived; prints MB/s
 *	net-load down HOST PORT BYTES       receives
 *	net-load trips HOST PORT COUNT      one byte there and back; prints the middle one in us
 *	net-load connects HOST PORT COUNT   connect, one byte there and back, close; prints how many a second
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char piece[256 * 1024];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put(int fd, const void *p, size_t n)
{
	ssize_t r;

	for (; n; p = (const char *)p + r, n -= (size_t)r)
		if ((r = write(fd, p, n)) < 0)
			die("write");
}

static void send_bytes(int fd, uint64_t n)
{
	for (; n; n -= n < sizeof(piece) ? n : sizeof(piece))
		put(fd, piece, n < sizeof(piece) ? n : sizeof(piece));
}

static void receive_bytes(int fd, uint64_t n)
{
	ssize_t r;

	for (; n; n -= (uint64_t)r)
		if ((r = read(fd, piece, n < sizeof(piece) ? n : sizeof(piece))) <= 0)
			die("read");
}

/* A request: what, how many. */
struct request {
	char what;
	uint64_t n;
} __attribute__((packed));

static void serve_one(int fd)
{
	struct request q;
	char c;

	if (read(fd, &q, sizeof(q)) != sizeof(q))
		return;
	if (q.what == 'u') {
		receive_bytes(fd, q.n);
		put(fd, "!", 1);
	} else if (q.what == 'd') {
		send_bytes(fd, q.n);
	} else {
		while (read(fd, &c, 1) == 1)
			put(fd, &c, 1);
	}
}

static int serve(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int on = 1, l = socket(AF_INET, SOCK_STREAM, 0), fd;

	if (bind(l, (struct sockaddr *)&a, len) < 0 || listen(l, 1024) < 0 || getsockname(l, (struct sockaddr *)&a, &len) < 0)
		die("listen");
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	signal(SIGPIPE, SIG_IGN);
	while ((fd = accept(l, NULL, NULL)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		serve_one(fd);
		close(fd);
	}
	die("accept");
	return 1;
}

static int connect_to(char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3])) };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (inet_aton(argv[2], &a.sin_addr) == 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static int by_size(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : 1;
}

static void trips(int fd, uint64_t n)
{
	double *t = calloc(n, sizeof(*t));
	uint64_t i;
	char c;

	for (i = 0; t && i < n; i++) {
		double begin = now();

		put(fd, "x", 1);
		if (read(fd, &c, 1) != 1)
			die("read");
		t[i] = (now() - begin) * 1e6;
	}
	qsort(t, n, sizeof(*t), by_size);
	printf("%.2f\n", t[n / 2]);
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 4 ? strtoull(argv[4], NULL, 10) : 0, i;
	struct request q = { .what = argc > 1 ? argv[1][0] : 0, .n = n };
	double begin;
	int fd;
	char c;

	if (argc == 2 && !strcmp(argv[1], "serve"))
		return serve();
	if (argc != 5 || !strchr("udtc", q.what))
		return 2;
	begin = now();
	if (q.what == 'c') {
		q.what = 't';
		for (i = 0; i < n; i++) {
			fd = connect_to(argv);
			put(fd, &q, sizeof(q));
			put(fd, "x", 1);
			if (read(fd, &c, 1) != 1)
				die("read");
			close(fd);
		}
		printf("%.1f\n", (double)n / (now() - begin));
		return 0;
	}
	fd = connect_to(argv);
	put(fd, &q, sizeof(q));
	if (q.what == 't') {
		trips(fd, n);
		return 0;
	}
	begin = now();
	if (q.what == 'u') {
		send_bytes(fd, n);
		n ? receive_bytes(fd, 1) : (void)0;
	} else {
		receive_bytes(fd, n);
	}
	printf("%.2f\n", (double)n / 1e6 / (now() - begin));
	return 0;
}
