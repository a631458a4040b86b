/*
 * net-tap [--headers] [--drop N] SPEC.json PROGRAM [ARG...]: runs PROGRAM in a network namespace whose only way out is
 * boxlite-net.
 *
 *	PROGRAM --> kernel's own TCP/IP --> tap device <--> here <--> link, boxlite-net --> sockets of this namespace
 *
 * So boxlite-net is tested with a real peer, without a machine, at the speed of this host. With --headers messages have
 * the header of virtio, and the kernel leaves checksums and segmentation to it, as a guest of engine kvm does. With
 * --drop about one frame of N is lost, each way.
 *
 * Works as any user who may make a user namespace. What boxlite-net says is printed to standard error, a line each:
 * "ready PORT...", "denied PROTO ADDR PORT NAME REASON COUNT", "failed TEXT", at the end "stats ...". $RESOLV is the
 * text of resolv.conf; a line of the file ports is written when it is ready. The value of a secret NAME in the spec is
 * $SECRET_NAME; the file ca.pem is what the guest is to trust then. Exit status: that of PROGRAM; 120: the
 * harness failed; 121: boxlite-net did.
 *
 * $COMMANDS: a fifo, whose lines change the network: "publish PORT", "unpublish PORT", "rules JSON", "dial PORT". Each
 * is answered by a line "done WHAT CODE PORT|TEXT"; who has dialled says hello, and prints what comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/sock.h"
#include "base/spawn.h"
#include "wire/conn.h"
#include "wire/netchange.h"
#include "wire/netmsg.h"
#include "wire/proc.h"

#define FRAME_MAX (12 + 65550)

static bool headers;
static unsigned drop;

static void die(const char *what)
{
	fprintf(stderr, "net-tap: %s: %s\n", what, strerror(errno));
	exit(120);
}

static void put_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(name);
	close(fd);
}

/* --- inside --- */

static void become_guest(void)
{
	char map[64];
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET) < 0)
		die("unshare");
	if (!uid)
		return;
	put_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", gid);
	put_file("/proc/self/gid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", uid);
	put_file("/proc/self/uid_map", map);
}

static int open_tap(void)
{
	struct ifreq r = { .ifr_name = "eth0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), size = 12;

	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
		die("/dev/net/tun");
	if (headers && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		die("TUNSETOFFLOAD");
	return fd;
}

static void configure(void)
{
	static const char script[] =
		"set -e; ip link set lo up; ip link set eth0 address 02:62:6f:78:00:02 mtu 65520\n"
		"sysctl -qw net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.accept_ra=0\n"
		"ip link set eth0 up\n"
		"ip addr add " NET_V4_GUEST "/24 dev eth0; ip addr add " NET_V6_GUEST "/64 dev eth0 nodad\n"
		"ip route add default via " NET_V4_GATEWAY "; ip -6 route add default via " NET_V6_GATEWAY "\n"
		"sysctl -qw net.ipv4.ping_group_range='0 2147483647' 2> /dev/null || :\n";

	if (system(script) != 0) {
		errno = EIO;
		die("configuration");
	}
}

static pid_t start_program(char **argv, int *ret_tap)
{
	int pair[2], go[2];
	size_t n = 0;
	pid_t pid;
	char c;

	if (sock_pair(pair) < 0 || pipe(go) < 0)
		die("pairs");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		int tap;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become_guest();
		tap = open_tap();
		configure();
		if (sock_send_fds(pair[1], "x", 1, &tap, 1) < 0)
			die("tap");
		close(tap);
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			exit(121);
		close(go[0]);
		close(pair[0]);
		close(pair[1]);
		execvp(argv[0], argv);
		die(argv[0]);
	}
	close(go[0]);
	close(pair[1]);
	if (sock_recv_fds(pair[0], &c, 1, ret_tap, 1, &n) != 1 || n != 1) {
		waitpid(pid, NULL, 0);
		exit(120);
	}
	close(pair[0]);
	if (dup2(go[1], 100) < 0)
		die("dup2");
	close(go[1]);
	fcntl(100, F_SETFD, FD_CLOEXEC);
	return pid;
}

/* --- boxlite-net --- */

static struct child net;
static struct conn control;
static bool ready;

/* Their values, which are not passed on in the environment. */
static void put_secrets(const struct net_spec *spec, struct buf *out)
{
	struct net_secrets s = { .n = spec->nsecrets };
	char *values[SECRETS_MAX];
	size_t i;

	for (i = 0; i < s.n; i++) {
		const struct secret *from = &spec->secrets[i];
		char name[300];

		snprintf(name, sizeof(name), "SECRET_%s", from->name);
		values[i] = getenv(name) ? strdup(getenv(name)) : NULL;
		if (!values[i])
			die(name);
		unsetenv(name);
		s.v[i] = (struct net_secret){ from->name, from->host, from->placeholder, from->port,
					      (const uint8_t *)values[i], strlen(values[i]) };
	}
	if (s.n && wire_put_net_secrets(out, &s) < 0)
		die("secrets");
	for (i = 0; i < s.n; i++)
		free(values[i]);
}

/* As the library makes one. */
static int secrets_file(const struct net_spec *spec)
{
	struct buf out = BUF_INIT(4 * MIB);
	int fd = memfd_create("secrets", MFD_CLOEXEC);

	put_secrets(spec, &out);
	if (fd < 0 || io_pwrite_full(fd, buf_data(&out), buf_len(&out), 0) < 0)
		die("secrets");
	buf_fini(&out);
	return fd;
}

static void start_net(const char *spec_file, int *ret_link)
{
	struct buf text = BUF_INIT(1 * MIB);
	struct net_start start = { .headers = headers, .resolv = getenv("RESOLV") };
	int pair[2], link[2], bytes = 4 << 20;
	char path[4096];
	const char *const argv[] = { "boxlite-net", NULL };
	struct spawn_fd fds[3];
	struct spawn s = { .path = path, .argv = argv, .fds = fds, .nfds = 2, .die_with_parent = true,
			   .envp = (const char *const *)environ };
	struct error err = { 0 };
	json_t *j;
	int i;

	if (io_read_file_at(AT_FDCWD, spec_file, &text) < 0)
		die(spec_file);
	j = json_parse(buf_data(&text), buf_len(&text), spec_file, &err);
	if (!j || net_spec_from_json(j, &start.spec, &err) < 0) {
		fprintf(stderr, "net-tap: %s\n", err.text);
		exit(120);
	}
	if (start.spec.nsecrets)
		fds[s.nfds++] = (struct spawn_fd){ secrets_file(&start.spec), NET_FD_SECRETS };
	json_decref(j);
	buf_fini(&text);
	if (sock_pair(pair) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		die("socketpair");
	for (i = 0; i < 2; i++)
		if (setsockopt(link[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
			setsockopt(link[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	snprintf(path, sizeof(path), "%s", getenv("BOXLITE_NET") ? getenv("BOXLITE_NET") : "");
	fds[0] = (struct spawn_fd){ pair[1], NET_FD_CONTROL };
	fds[1] = (struct spawn_fd){ link[1], NET_FD_LINK };
	if (spawn_start(&s, &net, &err) < 0) {
		fprintf(stderr, "net-tap: %s\n", err.text);
		exit(120);
	}
	close(pair[1]);
	close(link[1]);
	if (conn_init(&control, pair[0], 4 * MIB) < 0 || wire_put_net(&control.out, &start) < 0 ||
	    conn_write(&control) < 0)
		die("control");
	net_spec_fini(&start.spec);
	*ret_link = link[0];
}

static void say_ready(const struct frame *f)
{
	char text[NET_RULE_TEXT_MAX];
	struct net_spec s = { 0 };
	FILE *to = fopen("ports", "we");
	size_t i;

	if (!to || wire_get_net_ready(f, &s, NULL) < 0)
		die("NET_READY");
	for (i = 0; i < s.nports; i++)
		fprintf(to, "%s\n", net_port_format(&s.ports[i], text));
	fclose(to);
	net_spec_fini(&s);
	ready = true;
	if (write(100, "g", 1) != 1)
		die("go");
}

static void save_ca(const struct frame *f)
{
	FILE *to = fopen("ca.pem", "we");
	char *pem;

	if (!to || wire_get_net_ca(f, &pem, NULL) < 0)
		die("NET_CA");
	fputs(pem, to);
	fclose(to);
	free(pem);
}

static void say_denied(const struct frame *f)
{
	char addr[IP_TEXT_MAX];
	struct net_denied d;

	if (wire_get_net_denied(f, &d, NULL) < 0)
		die("NET_DENIED");
	fprintf(stderr, "denied %s %s %u %s %s %" PRIu32 "\n", net_proto_name(d.proto), ip_format(&d.addr, addr), d.port,
		d.name[0] ? d.name : "-", d.reason, d.count);
}

static void say_stats(const struct frame *f)
{
	struct net_stats s;
	auto_json json_t *reasons = NULL;
	const char *reason;
	json_t *n;

	if (wire_get_net_stats(f, &s, NULL) < 0)
		die("NET_STATS");
	fprintf(stderr, "stats sent %" PRIu64 " received %" PRIu64 " connections %" PRIu64 " flows %" PRIu64
		" denied %" PRIu64, s.sent_bytes, s.received_bytes, s.connections, s.flows, s.denied);
	reasons = net_reasons_to_json(s.denied_for);
	json_object_foreach(reasons, reason, n)
		fprintf(stderr, " %s %" JSON_INTEGER_FORMAT, reason, json_integer_value(n));
	fputc('\n', stderr);
}

/* --- changes --- */

static void say_done(const struct frame *f)
{
	char text[NET_RULE_TEXT_MAX];
	struct net_done d;

	if (wire_get_net_done(f, &d, NULL) < 0)
		die("an answer");
	fprintf(stderr, "done %s %d %s\n", frame_name(f->type), d.code,
		d.code ? d.error : d.ports.nports ? net_port_format(&d.ports.ports[0], text) : "-");
	net_done_fini(&d);
}

/* In a process of its own: the answer is read to its last byte, as what follows is something else. */
static void talk(int fd)
{
	struct buf in = BUF_INIT(1 * MIB);
	struct frame f;
	char text[4096];
	ssize_t n;

	while (frame_peek(&in, &f) == 0)
		if (buf_read_fd(&in, fd, buf_len(&in) < FRAME_HEADER ? FRAME_HEADER - buf_len(&in) : 1) <= 0) {
			fprintf(stderr, "done DIAL hung up\n");
			_exit(1);
		}
	say_done(&f);
	if (send(fd, "echo\nhello", 10, MSG_NOSIGNAL) < 0)
		_exit(1);
	shutdown(fd, SHUT_WR);
	while ((n = read(fd, text, sizeof(text) - 1)) > 0) {
		text[n] = 0;
		fprintf(stderr, "heard %s\n", text);
	}
	_exit(0);
}

static void dial(const struct buf *message)
{
	int pair[2];

	if (sock_pair(pair) < 0 || conn_put_fd(&control, message, pair[1]) < 0)
		die("dial");
	close(pair[1]);
	if (fork() == 0)
		talk(pair[0]);
	close(pair[0]);
}

static int parse_command(const char *line, struct net_change *c)
{
	const char *what = strchr(line, ' ') ? strchr(line, ' ') + 1 : "";
	json_t *j;
	int r;

	if (!strncmp(line, "publish ", 8)) {
		c->type = FRAME_PUBLISH;
		return net_port_parse(what, &c->port, NULL);
	}
	if (!strncmp(line, "unpublish ", 10)) {
		c->type = FRAME_UNPUBLISH;
		return net_pick_parse(what, &c->pick, NULL);
	}
	if (!strncmp(line, "dial ", 5)) {
		c->type = FRAME_DIAL;
		c->guest_port = (uint16_t)atoi(what);
		return 0;
	}
	c->type = FRAME_RULES;
	j = json_parse(what, strlen(what), "rules", NULL);
	r = j ? net_spec_from_json(j, &c->rules, NULL) : -EINVAL;
	json_decref(j);
	return r;
}

static void on_command(int fd)
{
	static char line[65536];
	static size_t n;
	struct buf message = BUF_INIT(1 * MIB);
	struct net_change c = { 0 };
	char *end;
	ssize_t got = read(fd, line + n, sizeof(line) - 1 - n);

	n += got > 0 ? (size_t)got : 0;
	line[n] = 0;
	while ((end = strchr(line, '\n'))) {
		*end = 0;
		if (parse_command(line, &c) < 0 || wire_put_net_change(&message, &c) < 0) {
			fprintf(stderr, "net-tap: command '%s'\n", line);
			exit(120);
		}
		if (c.type == FRAME_DIAL)
			dial(&message);
		else if (buf_append(&control.out, buf_data(&message), buf_len(&message)) < 0 ||
			 conn_write(&control) < 0)
			die("command");
		buf_consume(&message, buf_len(&message));
		net_change_fini(&c);
		n -= (size_t)(end + 1 - line);
		memmove(line, end + 1, n + 1);
	}
	buf_fini(&message);
}

static void on_control(void)
{
	char why[ERROR_TEXT_MAX] = "?";
	struct frame f;
	ssize_t r;

	do
		r = conn_read(&control);
	while (r > 0);
	while (conn_peek(&control, &f) == 1) {
		if (f.type == FRAME_NET_READY)
			say_ready(&f);
		else if (f.type == FRAME_NET_CA)
			save_ca(&f);
		else if (f.type == FRAME_NET_DENIED)
			say_denied(&f);
		else if (f.type == FRAME_NET_STATS)
			say_stats(&f);
		else if (f.type == FRAME_FAILED)
			fprintf(stderr, "failed %s\n", wire_get_error(&f, why) < 0 ? "?" : why);
		else
			say_done(&f);
		conn_next(&control, &f);
	}
	if (r < 0) {
		int status;

		spawn_wait(&net, &status);
		fprintf(stderr, "net-tap: boxlite-net ended: %d\n", status);
		exit(121);
	}
}

/* --- between --- */

/* Always the same ones. */
static bool is_lost(void)
{
	static uint64_t x = 88172645463325252U;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return drop && x % drop == 0;
}

/* What one direction could not send yet. */
struct way {
	uint8_t frame[FRAME_MAX];
	size_t n;
};

static struct way out, in;

/* Moves one frame: false when there is none, or no room. */
static bool move(struct way *w, int from, int to, size_t skip_from, size_t skip_to)
{
	ssize_t r;

	if (!w->n) {
		memset(w->frame, 0, 12);
		r = read(from, w->frame + 12 - skip_from, sizeof(w->frame) - 12 + skip_from);
		if (r <= 0)
			return false;
		w->n = 12 - skip_from + (size_t)r;
		if (is_lost()) {
			w->n = 0;
			return true;
		}
	}
	r = write(to, w->frame + 12 - skip_to, w->n - 12 + skip_to);
	if (r < 0 && errno == EAGAIN)
		return false;
	w->n = 0;
	return true;
}

static void relay(pid_t pid, int tap, int link)
{
	size_t skip = headers ? 12 : 0;
	int status, i, commands = getenv("COMMANDS") ? open(getenv("COMMANDS"), O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1;

	fcntl(link, F_SETFL, O_NONBLOCK);
	for (;;) {
		struct pollfd p[4] = {
			{ tap, (short)((out.n ? 0 : POLLIN) | (in.n ? POLLOUT : 0)), 0 },
			{ link, (short)((in.n ? 0 : POLLIN) | (out.n ? POLLOUT : 0)), 0 },
			{ control.fd, POLLIN, 0 },
			{ ready ? commands : -1, POLLIN, 0 },
		};

		if (poll(p, 4, 100) < 0)
			die("poll");
		for (i = 0; i < 64 && move(&out, tap, link, 12, skip); i++)
			;
		for (i = 0; i < 64 && move(&in, link, tap, skip, 12); i++)
			;
		if (p[2].revents)
			on_control();
		if (p[3].revents)
			on_command(commands);
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	if (wire_put_net_stats(&control.out, NULL) == 0 && conn_write(&control) == 0) {
		struct pollfd p = { control.fd, POLLIN, 0 };

		if (poll(&p, 1, 5000) > 0)
			on_control();
	}
	conn_fini(&control);
	close(link);
	spawn_wait(&net, &i);
	if (i)
		fprintf(stderr, "net-tap: boxlite-net ended: %d\n", i);
	exit(i ? 121 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv)
{
	int tap, link, at = 1;
	pid_t pid;

	for (; argc > at && !strncmp(argv[at], "--", 2); at++) {
		if (!strcmp(argv[at], "--headers"))
			headers = true;
		else if (!strcmp(argv[at], "--drop") && argc > at + 1)
			drop = (unsigned)atoi(argv[++at]);
	}
	if (argc < at + 2) {
		fprintf(stderr, "usage: net-tap [--headers] [--drop N] SPEC.json PROGRAM [ARG...]\n");
		return 120;
	}
	signal(SIGPIPE, SIG_IGN);
	pid = start_program(argv + at + 1, &tap);
	start_net(argv[at], &link);
	relay(pid, tap, link);
	return 120;
}
