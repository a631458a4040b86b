/*
 * The shim: it says what the network is to be, hears what was refused, and asks for counters. Its end is the box's end.
 * What is said to it waits in a bounded buffer; if that is full, refusals are not told (they are counted).
 *
 * Memory. A guest can have made this process take all that it may have (main.c), and that is no reason to end for who
 * asks. Questions are read into memory that is there from the beginning, and begun if there is some for what they come
 * to; else the answer is that there is none.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/net.h"
#include "wire/proc.h"

#define OUT_MAX (256 * KIB)
#define IN_FIRST (1 * MIB)    /* more than any question is long: as many rules as may be, all of them long */
#define ROOM_TIMES 16        /* its length: what a question comes to, as JSON and as what that says */

static void end(struct net *n)
{
	loop_stop(&n->loop);
}

static void flush(struct net *n)
{
	if (n->control.fd < 0)
		return;
	if (conn_write(&n->control) < 0)
		end(n);
	else
		loop_change(&n->loop, &n->control_watch, EPOLLIN | (conn_wants_write(&n->control) ? EPOLLOUT : 0));
}

static bool has_room(const struct frame *f)
{
	size_t n = ROOM_TIMES * (size_t)f->len + CHANGE_SPARE;
	auto_buf struct buf b = BUF_INIT(n);

	return buf_reserve(&b, n) != NULL;
}

/* The shim asks for counters again, and this process for another resolv.conf. */
static int refuse(struct net *n, const struct frame *f, struct error *err)
{
	log_warn("there is no memory left for %s of the shim", frame_name(f->type));
	switch (f->type) {
	case FRAME_NET_STATS:
	case FRAME_NET_RESOLV: return 0;
	default: return change_refuse(n, f->type, err);
	}
}

static int on_frame(struct net *n, const struct frame *f, struct error *err)
{
	auto_free char *resolv = NULL;
	int r;

	if (!has_room(f))
		return refuse(n, f, err);
	switch (f->type) {
	case FRAME_NET_STATS:
		r = wire_put_net_stats(&n->control.out, &n->stats);
		return r < 0 ? error_code(err, r, "cannot tell the counters") : 0;
	case FRAME_NET_RESOLV:
		r = wire_get_net_resolv(f, &resolv, err);
		if (r == 0)
			resolver_set_servers(n->resolver, resolv);
		return r;
	case FRAME_PUBLISH:
	case FRAME_UNPUBLISH:
	case FRAME_RULES:
	case FRAME_DIAL:
		return change_take(n, f, err);
	default:
		return error_set(err, -EBADMSG, "an unexpected message from the shim: %s", frame_name(f->type));
	}
}

static int on_frames(struct net *n)
{
	struct error err = { 0 };
	struct frame f;
	int r;

	while ((r = conn_peek(&n->control, &f)) == 1) {
		r = on_frame(n, &f, &err);
		conn_next(&n->control, &f);
		if (r < 0)
			break;
	}
	if (r < 0) {
		log_error("%s", err.code ? err.text : "the shim speaks another language");
		end(n);
	}
	return r;
}

static void on_control(struct watch *w, uint32_t events)
{
	struct net *n = container_of(w, struct net, control_watch);
	ssize_t got = 1;
	int fd;

	(void)events;
	n->now_ms = clock_ms();
	/* After each read: so the fd that came is that of the first DIAL. */
	while ((got = conn_read_fd(&n->control, &fd)) > 0) {
		if (fd >= 0) {
			close_fd(&n->dialler);
			n->dialler = fd;
		}
		if (on_frames(n) < 0)
			return;
	}
	if (got < 0)
		end(n);
	else
		flush(n);
}

/* The next frame, waited for. */
static int read_frame(struct buf *in, struct frame *f, struct error *err)
{
	int r;

	while ((r = frame_peek(in, f)) == 0) {
		ssize_t got = buf_read_fd(in, NET_FD_CONTROL, 64 * KIB);

		if (got <= 0)
			return error_code(err, got < 0 ? (int)got : -EPIPE, "no description of the network");
	}
	return r < 0 ? error_set(err, -EBADMSG, "no description of the network") : 0;
}

/* The values of secrets, from a file in memory that nobody else can change: copied into memory of their own. */
static int take_secrets(struct net *n, struct error *err)
{
	struct stat st;
	struct buf file;
	struct frame f;
	void *map;

	if (fstat(NET_FD_SECRETS, &st) < 0)
		return error_set(err, -EBADMSG, "secrets without their values");
	if (st.st_size <= 0 || st.st_size > (off_t)(FRAME_HEADER + FRAME_PAYLOAD_MAX))
		return error_set(err, -EBADMSG, "values of secrets of %lld bytes", (long long)st.st_size);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, NET_FD_SECRETS, 0);
	if (map == MAP_FAILED)
		return error_sys(err, "cannot read the secrets");
	file = (struct buf){ .mem = map, .tail = (size_t)st.st_size, .cap = (size_t)st.st_size, .max = SIZE_MAX };
	if (frame_peek(&file, &f) == 1 && f.type == FRAME_NET_SECRETS)
		n->secrets = secrets_new(f.payload, f.len, err);
	else
		error_set(err, -EBADMSG, "malformed values of secrets");
	munmap(map, (size_t)st.st_size);
	close(NET_FD_SECRETS);
	return n->secrets ? 0 : -EINVAL;
}

static int take_start(struct net *n, struct buf *in, struct error *err)
{
	struct frame f;
	int r = read_frame(in, &f, err);

	if (r < 0)
		return r;
	if (f.type != FRAME_NET)
		return error_set(err, -EBADMSG, "no description of the network");
	r = wire_get_net(&f, &n->start, err);
	return r < 0 || !n->start.spec.nsecrets ? r : take_secrets(n, err);
}

/* Reads until NET is complete. */
int control_open(struct net *n, struct error *err)
{
	struct buf in = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	int r = take_start(n, &in, err);

	buf_fini(&in);
	return r;
}

int control_serve(struct net *n, struct error *err)
{
	int r = conn_init(&n->control, NET_FD_CONTROL, OUT_MAX);

	if (r == 0 && (!buf_reserve(&n->control.in, IN_FIRST) || !buf_reserve(&n->control.out, OUT_MAX)))
		r = -ENOMEM;
	if (r == 0)
		r = loop_add(&n->loop, &n->control_watch, NET_FD_CONTROL, EPOLLIN, on_control);
	return r < 0 ? error_code(err, r, "cannot watch the shim's connection") : 0;
}

void control_ready(struct net *n)
{
	struct net_port ports[NET_PORTS_MAX];

	if (n->secrets && wire_put_net_ca(&n->control.out, proxies_ca(n->proxies)) < 0)
		end(n);
	if (wire_put_net_ready(&n->control.out, ports, publish_ports(n, ports, NET_PORTS_MAX)) < 0)
		end(n);
	flush(n);
}

void control_failed(struct net *n, const struct error *why)
{
	/* It is the last word, and short: there is room for it unless nobody reads. */
	if (n->control.fd >= 0 && wire_put_failed(&n->control.out, why->text) == 0)
		(void)!conn_write(&n->control);
}

void control_ask_resolv(struct net *n)
{
	if (wire_put_net_resolv(&n->control.out, NULL) == 0)
		flush(n);
}

void control_denied(struct net *n, const struct net_denied *d)
{
	if (wire_put_net_denied(&n->control.out, d) == 0)
		flush(n);
}

void control_close(struct net *n)
{
	loop_remove(&n->loop, &n->control_watch);
	conn_fini(&n->control);
	close_fd(&n->dialler);
}
