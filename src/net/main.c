/*
 * boxlite-net: the network of one box.
 *
 *	guest --frames--> link --> stack --> tcp, udp, echo --> sockets of the host
 *	                             |  asks policy: may it?  no: denied --> event
 *	                             +--> resolver: DNS at the gateway; what it answers, policy remembers
 *	                             +--> proxy: TLS to hosts that have a secret; the value is put in here
 *	published ports: sockets of the host that listen --> the guest
 *
 * The shim starts it with open files (enum net_fd), says on the control socket what network to be, and ends it by
 * closing that. It needs no privilege: the guest's connections are connections of this process.
 *
 * One thread, one loop; nothing here waits. What a guest can make it hold is bounded: NET_FLOWS_MAX flows,
 * TCP_HELD_ALL_MAX bytes, what the proxy may hold (proxy.c), and sockets of the host with the host's own bounds. For
 * what a library keeps by itself there is a limit of the whole (HEAP_MAX).
 *
 * Trust. The guest is hostile, and so is whoever it talks to. Restriction, in stages:
 *
 *   1. restrict_self(). Should: come before the first byte of the guest or of the network: no core dumps, no ptrace, no
 *      new privileges, no processes, not all memory. Mustn't: lower the number of files, which bounds connections.
 *   2. drop_rights(). Should: come after the ports are published, which may need the right to low ports: no
 *      capabilities, no file system at all (Landlock). Mustn't: forbid sockets, which are what it is for.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/net.h"

#define HEAP_MAX (1 * GIB) /* nearly twice what its own bounds were seen to come to (tests/net/limits.t) */
#define LANDLOCK_RIGHTS ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* all of ABI 1 */

static int restrict_self(struct error *err)
{
	const struct rlimit none = { 0, 0 }, heap = { HEAP_MAX, HEAP_MAX };
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* Its limit of cores stays as spawn_start() sets it: with 0 a kernel would still feed a program with one. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_NPROC, &none) < 0)
		return error_sys(err, "cannot restrict itself");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose shadow memory counts */
	if (setrlimit(RLIMIT_DATA, &heap) < 0)
		return error_sys(err, "cannot limit its memory");
#else
	(void)heap;
#endif
	return 0;
}

static int drop_rights(struct error *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	struct landlock_ruleset_attr all = { .handled_access_fs = LANDLOCK_RIGHTS };
	auto_fd int rules = -1;

	if (syscall(SYS_capset, &head, none) < 0)
		return error_sys(err, "cannot drop its capabilities");
	rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (rules < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
		log_warn("this kernel has no Landlock: boxlite-net keeps the user's view of the file system");
		return 0;
	}
	if (rules < 0 || syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return error_sys(err, "cannot restrict itself");
	return 0;
}

/* --- what the resolver says --- */

static void on_answer(void *ud, const struct resolver_client *c, const void *msg, size_t len)
{
	udp_answer(ud, &c->server, 53, c->port, msg, len);
}

static void on_name_denied(void *ud, const char *name, const char *reason)
{
	denied(ud, NET_UDP, NULL, 53, name, reason);
}

static void on_stale(void *ud)
{
	control_ask_resolv(ud);
}

static const struct resolver_ops resolver_ops = {
	.answer = on_answer, .denied = on_name_denied, .stale = on_stale,
};

/* --- */

static int open_parts(struct net *n, struct error *err)
{
	int r = denied_open(n);

	if (r < 0)
		return error_code(err, r, "cannot watch for refusals");
	n->policy = policy_new(&n->start.spec, err);
	if (!n->policy)
		return -ENOMEM;
	n->resolver = resolver_new(&n->loop, n->policy, n->start.resolv, &resolver_ops, n, err);
	if (!n->resolver)
		return -ENOMEM;
	r = flows_open(n, err);
	if (r == 0)
		r = tcp_open(n, err);
	if (r == 0)
		r = proxy_start(n, err);
	if (r == 0)
		r = publish_open(n, err);
	if (r == 0)
		r = drop_rights(err);
	if (r == 0)
		r = link_open(&n->link, &n->loop, NET_FD_LINK, n->start.headers, &stack_link_ops, n, err);
	if (r == 0)
		r = link_limit(&n->link, n->start.spec.rate, err);
	return r;
}

static void close_parts(struct net *n)
{
	flows_close(n);
	tcp_close(n);
	proxy_stop(n);
	publish_close(n);
	link_close(&n->link);
	resolver_free(n->resolver);
	policy_free(n->policy);
	denied_close(n);
	control_close(n);
	net_start_fini(&n->start);
	loop_fini(&n->loop);
}

/* 0: it was told to end. */
static int run(struct net *n, struct error *err)
{
	int r = restrict_self(err);

	if (r == 0)
		r = control_open(n, err);
	if (r == 0 && n->start.debug)
		log_init("boxlite-net", LOG_DEBUG);
	if (r == 0 && (r = loop_init(&n->loop)) < 0)
		error_code(err, r, "cannot make an event loop");
	if (r == 0)
		r = control_serve(n, err);
	if (r == 0)
		r = open_parts(n, err);
	if (r < 0)
		return r;
	n->now_ms = clock_ms();
	control_ready(n);
	r = loop_run(&n->loop);
	return r < 0 ? error_code(err, r, "cannot wait for events") : 0;
}

int main(int argc, char **argv)
{
	static struct net n = {
		.loop = { .epfd = -1 },
		.link = { .watch = { .fd = -1 }, .timer = { .fd = -1 }, .fd = -1 },
		.flows = { .tick = { .fd = -1 } },
		.control = { .fd = -1 },
		.dialler = -1,
		.control_watch = { .fd = -1 },
	};
	struct error err = { 0 };
	int status = 0;

	(void)argv;
	log_init("boxlite-net", LOG_WARN);
	if (argc != 1) {
		log_error("this program is started by boxlite");
		return 2;
	}
	if (run(&n, &err) < 0) {
		log_error("%s", err.text);
		control_failed(&n, &err);
		status = 1;
	}
	n.link.loop = &n.loop;
	close_parts(&n);
	return status;
}
