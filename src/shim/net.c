/*
 * boxlite-net beside the machine: the guest's other end of the link (wire/netmsg.h).
 *
 *	engine  <-- link: frames -->  boxlite-net  <-- control: NET, NET_READY ... -->  here
 *
 * Theory of operation. Each machine has one of its own, started right behind the engine, while the guest boots; the
 * link is made before both. Nothing of the box runs before NET_READY: what is to be published is by then, or the start
 * fails. It ends with the machine. If it ends before, so does the machine: no other one can take up the connections
 * that the box has, and a box that has lost its network for good is no use to its owner.
 *
 *	net_start --NET--> waits --NET_READY--> ready --> net_stop (killed) --> net_close (reaped, before the lock goes)
 *	                     +--FAILED, its end--> life_fail
 *
 * Trust. It parses what the guest sends and what the internet answers: what it says is decoded with bounds, and
 * whatever breaks the protocol ends the box. The ports that it says it has published are the spec's, whatever it says:
 * only the numbers that it was to pick are taken from it.
 */
#include "shim/net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/newfile.h"
#include "base/sock.h"

#define CONTROL_OUT_MAX (FRAME_HEADER + FRAME_PAYLOAD_MAX)
#define DENIED_PER_SECOND 20 /* are told as events; the rest are counted only */
#define DENIED_LOGGED 200 /* lines of the log, which nothing cuts; events are cut */
#define DETAIL_MAX (NET_NAME_MAX + IP_TEXT_MAX + 96)

bool net_is_awaited(const struct shim *s)
{
	return s->net && !s->net->ready;
}

void net_broken(struct shim *s, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	life_fail(s, "boxlite-net broke the protocol: %s", text);
}

void net_flush(struct shim *s)
{
	struct net *n = s->net;

	/* That it has gone is seen by its process, which says more. */
	if (n->watch.fd < 0 || conn_write(&n->conn) < 0)
		return;
	loop_change(&s->loop, &n->watch, conn_wants_write(&n->conn) ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* --- resolv.conf ------------------------------------------------------------------------------------- */

/* The host's, as it is now: "" if there is none, or it is not a text. NULL: no memory. */
static char *read_resolv(void)
{
	auto_buf struct buf text = BUF_INIT(NET_RESOLV_MAX - 1);
	int r = io_read_file_at(SHIM_FD_ETC, "resolv.conf", &text);
	const char *s = r < 0 ? "" : buf_str(&text);
	char *copy;

	if (r < 0)
		log_debug("the host's resolv.conf cannot be read: %s", strerror(-r));
	copy = s ? strdup(s) : NULL;
	if (copy)
		json_scrub(copy);
	return copy;
}

static void answer_resolv(struct shim *s)
{
	struct net *n = s->net;
	char *now = read_resolv();

	if (!now || str_eq(now, n->resolv)) {
		free(now);
		return;
	}
	log_debug("the host's resolv.conf has changed");
	if (wire_put_net_resolv(&n->conn.out, now) < 0)
		log_warn("boxlite-net cannot be told of another resolv.conf");
	free(n->resolv);
	n->resolv = now;
	net_flush(s);
}

/* --- published ports --------------------------------------------------------------------------------- */

/* The first is not synced: it is of this run only. A reader sees it whole or not at all. */
int net_write_ports(const struct shim *s, const struct net_spec *ports)
{
	auto_json json_t *j = net_spec_to_json(ports);
	auto_free char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	struct newfile f;
	int r;

	if (text && s->net->ready) /* it is there */
		return newfile_write(s->box_fd, SPEC_PORTS_FILE, text, strlen(text));
	r = text ? newfile_open(&f, s->box_fd, SPEC_PORTS_FILE) : -ENOMEM;
	if (r < 0)
		return r;
	r = io_write_full(f.fd, text, strlen(text));
	if (r == 0)
		r = newfile_publish(&f, SPEC_PORTS_FILE);
	newfile_close(&f);
	return r;
}

bool net_is_published(const struct net_port *wanted, const struct net_port *said)
{
	return wanted->proto == said->proto && wanted->guest_port == said->guest_port &&
	       ip_eq(&wanted->host, &said->host) && said->host_port != 0 &&
	       (wanted->host_port == said->host_port || wanted->host_port == 0);
}

static bool are_published(const struct net_spec *wanted, const struct net_spec *said)
{
	size_t i;

	if (wanted->nports != said->nports)
		return false;
	for (i = 0; i < wanted->nports && net_is_published(&wanted->ports[i], &said->ports[i]); i++)
		;
	return i == wanted->nports;
}

/* It reads the rest of what it is told from here on. */
static void send_early(struct shim *s)
{
	struct net *n = s->net;

	if (buf_append(&n->conn.out, buf_data(&n->early), buf_len(&n->early)) < 0)
		life_fail(s, "boxlite-net cannot be told what has changed");
	buf_fini(&n->early);
	net_flush(s);
}

static void take_ready(struct shim *s, const struct frame *f)
{
	struct net_spec said = { 0 };
	struct error err = { 0 };
	int r = s->net->ready ? -EBADMSG : wire_get_net_ready(f, &said, &err);

	if (r < 0 || !are_published(&s->spec.net, &said)) {
		net_broken(s, "%s", s->net->ready ? "NET_READY twice" : r < 0 ? err.text : "NET_READY with other ports");
	} else if (s->spec.net.nsecrets && !s->net->ca) {
		net_broken(s, "NET_READY without NET_CA");
	} else if (said.nports && (r = net_write_ports(s, &said)) < 0) {
		life_fail(s, "cannot write " SPEC_PORTS_FILE ": %s", strerror(-r));
	} else {
		log_debug("the network is ready");
		s->net->ready = true;
		s->net->ports = said;
		said = (struct net_spec){ 0 };
		send_early(s);
		life_net_ready(s);
	}
	net_spec_fini(&said);
}

/* --- what was refused -------------------------------------------------------------------------------- */

/* "tcp 10.0.0.1:443 intranet.example (private)" */
static void describe(const struct net_denied *d, char out[DETAIL_MAX])
{
	static const struct ip_addr unset;
	char addr[IP_TEXT_MAX] = "", port[8] = "", times[24] = "";
	bool v6 = !ip_is_v4(&d->addr);

	if (!ip_eq(&d->addr, &unset))
		ip_format(&d->addr, addr);
	if (d->port)
		snprintf(port, sizeof(port), ":%u", d->port);
	if (d->count > 1)
		snprintf(times, sizeof(times), ", %u times", d->count);
	if (*addr)
		snprintf(out, DETAIL_MAX, "%s %s%s%s%s%s%s (%s%s)", net_proto_name(d->proto), v6 && d->port ? "[" : "",
			 addr, v6 && d->port ? "]" : "", port, *d->name ? " " : "", d->name, d->reason, times);
	else
		snprintf(out, DETAIL_MAX, "dns %s (%s%s)", d->name, d->reason, times);
	error_flatten(out);
}

/* A box that tries without end keeps neither the home's events nor its disk busy. */
static void say_denied(struct shim *s, const char *detail)
{
	struct net *n = s->net;
	uint64_t now = clock_ns();

	if (now - n->denied.since_ns >= 1000000000U) {
		n->denied.since_ns = now;
		n->denied.said = 0;
	}
	if (n->denied.said++ >= DENIED_PER_SECOND)
		return;
	events_action(s, "denied", detail);
	if (n->denied.logged++ < DENIED_LOGGED)
		log_info("refused: %s%s", detail,
			 n->denied.logged == DENIED_LOGGED ? "; no more of these are logged" : "");
}

static void take_denied(struct shim *s, const struct frame *f)
{
	struct error err = { 0 };
	char detail[DETAIL_MAX];
	struct net_denied d;

	if (wire_get_net_denied(f, &d, &err) < 0) {
		net_broken(s, "%s", err.text);
	} else {
		describe(&d, detail);
		say_denied(s, detail);
	}
}

/* --- figures ----------------------------------------------------------------------------------------- */

int net_ask_stats(struct shim *s)
{
	int r;

	if (!s->net || !s->net->ready || s->net->watch.fd < 0)
		return -ENOTCONN;
	r = wire_put_net_stats(&s->net->conn.out, NULL);
	if (r == 0)
		net_flush(s);
	return r;
}

static void take_stats(struct shim *s, const struct frame *f)
{
	struct error err = { 0 };
	struct net_stats stats;

	if (wire_get_net_stats(f, &stats, &err) < 0)
		net_broken(s, "%s", err.text);
	else
		query_from_net(s, &stats);
}

/* --- the certificate that secrets need -------------------------------------------------------------- */

static void take_ca(struct shim *s, const struct frame *f)
{
	struct error err = { 0 };

	if (s->net->ca || s->net->ready || !s->spec.net.nsecrets)
		net_broken(s, "NET_CA at a wrong time");
	else if (wire_get_net_ca(f, &s->net->ca, &err) < 0)
		net_broken(s, "%s", err.text);
}

const char *net_certificate(const struct shim *s)
{
	return s->net ? s->net->ca : NULL;
}

/* --- the control connection -------------------------------------------------------------------------- */

/* What cannot be published now cannot be in a moment: a box that has never run is not started again for it. */
static void take_failure(struct shim *s, const struct frame *f)
{
	char text[ERROR_TEXT_MAX];

	if (wire_get_error(f, text) < 0) {
		net_broken(s, "malformed FAILED");
		return;
	}
	s->net_refused = true;
	life_fail(s, "%s", text);
}

static void handle_frame(struct shim *s, const struct frame *f)
{
	if (f->stream != 0) {
		net_broken(s, "%s on stream %u", frame_name(f->type), f->stream);
		return;
	}
	switch ((enum frame_type)f->type) {
	case FRAME_NET_READY: take_ready(s, f); break;
	case FRAME_NET_DENIED: take_denied(s, f); break;
	case FRAME_NET_RESOLV: answer_resolv(s); break;
	case FRAME_NET_STATS: take_stats(s, f); break;
	case FRAME_NET_CA: take_ca(s, f); break;
	case FRAME_FAILED: take_failure(s, f); break;
	case FRAME_PUBLISH:
	case FRAME_UNPUBLISH:
	case FRAME_RULES: change_answered(s, f); break;
	default: net_broken(s, "unexpected %s", frame_name(f->type));
	}
}

/* The box may end by each of them; what this is about stays until net_close(). */
static void handle_frames(struct net *n)
{
	struct shim *s = n->shim;
	struct frame f;
	int r;

	while (s->life < LIFE_ENDING && (r = conn_peek(&n->conn, &f)) != 0) {
		if (r < 0) {
			net_broken(s, "not a frame");
			return;
		}
		handle_frame(s, &f);
		conn_next(&n->conn, &f);
	}
}

static void on_control(struct watch *w, uint32_t events)
{
	struct net *n = container_of(w, struct net, watch);
	ssize_t got = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		got = conn_read(&n->conn);
	handle_frames(n);
	if (got < 0) /* that it has gone is seen by its process */
		loop_remove(&n->shim->loop, &n->watch);
	else
		net_flush(n->shim);
}

static void on_end(struct watch *w, uint32_t events)
{
	struct net *n = container_of(w, struct net, child_watch);
	struct shim *s = n->shim;
	const char *last;
	int status = 0;

	(void)events;
	loop_remove(&s->loop, &n->child_watch);
	while (n->watch.fd >= 0 && conn_read(&n->conn) > 0)
		handle_frames(n);
	console_drain(s->console);
	(void)spawn_wait(&n->child, &status);
	last = console_last_of_net(s->console);
	if (status > 128)
		life_fail(s, "boxlite-net was killed by signal %d", status - 128);
	else
		life_fail(s, "boxlite-net ended%s%s", *last ? ": " : "", last);
}

/* --- its life ---------------------------------------------------------------------------------------- */

/*
 * The file with the values stays open for the next machine, and its pages could be swapped out: a mapping that is
 * locked keeps them in memory. It is of this process until its end; nothing reads through it.
 */
int net_lock_secrets(const struct shim *s, struct error *err)
{
	struct stat st;
	void *map;

	if (!net_is_wanted(s) || !s->spec.net.nsecrets)
		return 0;
	if (fstat(SHIM_FD_SECRETS, &st) < 0)
		return error_set(err, -EBADMSG, "secrets without their values");
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, SHIM_FD_SECRETS, 0);
	if (map == MAP_FAILED || mlock(map, (size_t)st.st_size) < 0)
		return error_sys(err, "cannot lock %lld bytes of memory for secrets (see ulimit -l)",
				 (long long)st.st_size);
	return 0;
}

static int spawn(struct shim *s, int control, int link, struct error *err)
{
	static const char *const argv[] = { "boxlite-net", NULL };
	auto_fd int complaints = console_open_net(s->console, s);
	struct spawn_fd fds[5] = {
		{ control, NET_FD_CONTROL }, { link, NET_FD_LINK }, { s->lock_fd, NET_FD_LOCK },
		{ complaints, STDERR_FILENO },
	};
	struct spawn spawn = {
		.path = s->spec.net_program, .argv = argv, .fds = fds, .nfds = 4, .die_with_parent = true,
	};

	if (complaints < 0)
		return error_code(err, complaints, "cannot open the log of boxlite-net");
	if (s->spec.net.nsecrets) {
		fds[spawn.nfds++] = (struct spawn_fd){ SHIM_FD_SECRETS, NET_FD_SECRETS };
		spawn.envp = (const char *const *)environ; /* where what it trusts is; there is nothing else */
	}
	if (!s->spec.net_program)
		return error_set(err, -EINVAL, "the box's description does not say where boxlite-net is");
	return spawn_start(&spawn, &s->net->child, err);
}

/* What it is to do borrows the box's own description. */
static int put_start(struct shim *s)
{
	struct net *n = s->net;
	struct net_start start = {
		.spec = s->spec.net, .headers = s->engine->net_headers, .debug = s->spec.debug,
	};

	n->resolv = start.resolv = read_resolv();
	return n->resolv ? wire_put_net(&n->conn.out, &start) : -ENOMEM;
}

static int open_control(struct shim *s, int fd, struct error *err)
{
	struct net *n = s->net;
	int r = conn_init(&n->conn, fd, CONTROL_OUT_MAX);

	if (r == 0)
		r = loop_add(&s->loop, &n->watch, n->conn.fd, EPOLLIN, on_control);
	if (r == 0)
		r = loop_add(&s->loop, &n->child_watch, n->child.pidfd, EPOLLIN, on_end);
	if (r == 0)
		r = put_start(s);
	if (r == 0)
		net_flush(s);
	return r < 0 ? error_code(err, r, "cannot speak to boxlite-net") : 0;
}

int net_start(struct shim *s, int link, struct error *err)
{
	auto_fd int near = -1, far = -1;
	int pair[2], r;

	if (!net_is_wanted(s))
		return 0;
	s->net = calloc(1, sizeof(*s->net));
	if (!s->net)
		return error_nomem(err);
	*s->net = (struct net){
		.shim = s, .child = CHILD_NONE, .child_watch = WATCH_NONE, .watch = WATCH_NONE, .conn.fd = -1,
		.early = BUF_INIT(NET_EARLY_MAX),
	};
	STAILQ_INIT(&s->net->asked);
	r = sock_pair(pair);
	if (r < 0)
		return error_code(err, r, "cannot make a connection to boxlite-net");
	near = pair[0];
	far = pair[1];
	r = spawn(s, far, link, err);
	return r < 0 ? r : open_control(s, take_fd(&near), err);
}

bool net_is_wanted(const struct shim *s)
{
	return !s->spec.net.none && !s->spec.no_main;
}

void net_stop(struct shim *s)
{
	struct net *n = s->net;

	if (!n)
		return;
	loop_remove(&s->loop, &n->child_watch);
	loop_remove(&s->loop, &n->watch);
	spawn_kill(&n->child, SIGKILL);
}

void net_close(struct shim *s)
{
	struct net *n = s->net;

	if (!n)
		return;
	net_stop(s);
	change_end(s);
	spawn_reap(&n->child);
	conn_fini(&n->conn);
	buf_fini(&n->early);
	net_spec_fini(&n->ports);
	unlinkat(s->box_fd, SPEC_PORTS_FILE, 0);
	free(n->resolv);
	free(n->ca);
	free(n);
	s->net = NULL;
	s->asked_net = false;
	s->net_stats = (struct net_stats){ 0 };
}
