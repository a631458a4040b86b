/*
 * Theory of operation. The shim of a box that runs is asked first: what it refuses is refused. Then the description in
 * the database is brought in line, for the next start. Who starts the box meanwhile reads the description after it has
 * taken the lock (box_start()): so one that was not running when the description was changed is looked at once more,
 * and told if it runs by now.
 *
 * Several processes may change one description: each reads it, changes it and writes it if it is still what was read.
 */
#include "box/netchange.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/io.h"
#include "box/ask.h"
#include "box/box.h"

#define DIAL_SLACK_MS 5000 /* for shim and boxlite-net, which wait DIAL_WAIT_MS for the guest */
#define TRIES 100          /* as many others may be at it */

/* --- the description --- */

static bool same_port(const struct net_port *a, const struct net_port *b)
{
	return a->proto == b->proto && a->host_port == b->host_port && a->guest_port == b->guest_port &&
	       ip_eq(&a->host, &b->host);
}

static int remove_ports(struct net_spec *net, const struct net_spec *gone)
{
	size_t i, k;

	for (i = 0; i < gone->nports; i++) {
		for (k = 0; k < net->nports && !same_port(&net->ports[k], &gone->ports[i]); k++)
			;
		if (k == net->nports)
			continue; /* somebody else has taken it out */
		net->nports--;
		memmove(&net->ports[k], &net->ports[k + 1], (net->nports - k) * sizeof(net->ports[k]));
	}
	return 0;
}

/* gone: the ports that the running box has given up; NULL: it does not run, and c says all. */
static int change_spec(struct box_spec *spec, const struct net_change *c, const struct net_spec *gone,
		       struct error *err)
{
	if (spec->net.none)
		return error_set(err, -EOPNOTSUPP, "the box has no network (--network none)");
	if (c->type == FRAME_UNPUBLISH && gone)
		return remove_ports(&spec->net, gone);
	return net_spec_change(&spec->net, c, err);
}

/* 1: done; 0: another one has changed it meanwhile. */
static int try_description(struct home *h, const char *id, const struct net_change *c, const struct net_spec *gone,
			   struct error *err)
{
	auto_json json_t *j = NULL;
	auto_free char *text = NULL;
	struct box_spec spec = BOX_SPEC_INIT;
	struct db_box row = { 0 };
	int r = db_box_get(h->db, id, &row, err);

	if (r < 0)
		return r;
	r = box_spec_parse(row.spec, &spec, err);
	if (r == 0)
		r = change_spec(&spec, c, gone, err);
	if (r == 0) {
		j = box_spec_to_json(&spec);
		text = j ? json_dumps(j, JSON_COMPACT) : NULL;
		r = text ? db_box_set_spec(h->db, id, row.spec, text, err) : error_nomem(err);
	}
	box_spec_fini(&spec);
	db_box_fini(&row);
	return r;
}

static int change_description(struct home *h, const char *id, const struct net_change *c, const struct net_spec *gone,
			      struct error *err)
{
	int i, r = 0;

	for (i = 0; r == 0 && i < TRIES; i++)
		r = try_description(h, id, c, gone, err);
	if (r == 0)
		return error_set(err, -EBUSY, "others change box %s all the time", id);
	return r < 0 ? r : 0;
}

/* --- the box that runs --- */

static int ask_shim(struct home *h, const char *id, const struct net_change *c, struct net_spec *ret_ports,
		    struct error *err)
{
	auto_buf struct buf message = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct net_done done = { 0 };
	struct frame f;
	struct conn conn;
	int r = wire_put_net_change(&message, c);

	if (r < 0)
		return error_code(err, r, "cannot ask box %s", id);
	r = ask_start(h, id, &message, &conn, err);
	if (r < 0)
		return r;
	r = ask_await(&conn, id, c->type, &f, err);
	if (r == 0)
		r = wire_get_net_done(&f, &done, err);
	conn_fini(&conn);
	if (r == 0 && done.code)
		r = error_set(err, done.code, "box %s: %s", id, done.error);
	if (r == 0) {
		*ret_ports = done.ports;
		done.ports = (struct net_spec){ 0 };
	}
	net_done_fini(&done);
	return r;
}

/* Whoever started it may have read the description as it was before. */
static void tell_latecomer(struct home *h, const char *id, const struct net_change *c)
{
	struct net_spec ports = { 0 };

	/* A port with any number would be published twice. */
	if (box_is_running(h, id, NULL) != 1 || (c->type == FRAME_PUBLISH && !c->port.host_port))
		return;
	(void)!ask_shim(h, id, c, &ports, NULL); /* one that has read it as it is now refuses, or has it so */
	net_spec_fini(&ports);
}

int box_change_network(struct home *h, const char *id, const struct net_change *c, struct net_spec *ret_ports,
		       struct error *err)
{
	struct net_spec ports = { 0 };
	struct error why = { 0 };
	int r = ask_shim(h, id, c, &ports, &why);

	if (r == -ENOTCONN) {
		r = change_description(h, id, c, NULL, err);
		if (r == 0)
			tell_latecomer(h, id, c);
		return r;
	}
	if (r < 0)
		return error_set(err, r, "%s", why.text);
	r = change_description(h, id, c, &ports, &why);
	/* The description can have it already: of a box that has been started since. */
	if (r < 0 && r != -EEXIST && r != -ENOENT)
		r = error_set(err, r, "box %s is changed until it stops, but not its description: %s", id, why.text);
	else
		r = 1;
	if (r == 1 && ret_ports)
		*ret_ports = ports;
	else
		net_spec_fini(&ports);
	return r;
}

/* --- dialling --- */

/* The next frame and not a byte more, as what is behind the last is no frame. 0; -ETIMEDOUT, -EPIPE. */
static int read_frame(struct buf *in, int fd, uint64_t until_ms, struct frame *ret)
{
	size_t missing = FRAME_HEADER;
	ssize_t got;
	int r;

	while ((r = frame_peek(in, ret)) == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_ms();

		if (buf_len(in) >= FRAME_HEADER) {
			uint32_t len;

			memcpy(&len, buf_data(in), sizeof(len));
			missing = FRAME_HEADER + (size_t)le32toh(len);
		}
		if (now >= until_ms)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)(until_ms - now)) < 0 && errno != EINTR)
			return -errno;
		got = p.revents ? buf_read_fd(in, fd, missing - buf_len(in)) : -EAGAIN;
		if (got == 0 || got == -ECONNRESET)
			return -EPIPE;
		if (got < 0 && got != -EAGAIN)
			return (int)got;
	}
	return r < 0 ? r : 0;
}

static int await_dial(int fd, uint8_t type, struct error *err)
{
	auto_buf struct buf in = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	uint64_t until_ms = clock_ms() + DIAL_WAIT_MS + DIAL_SLACK_MS;
	struct net_done done;
	struct frame f;
	int r;

	while ((r = read_frame(&in, fd, until_ms, &f)) == 0 && f.type != type)
		buf_consume(&in, frame_size(&f));
	if (r == -EPIPE)
		return error_set(err, -ENOTCONN, "it does not run (any more)");
	if (r < 0)
		return error_code(err, r, "no answer of its shim");
	r = wire_get_net_done(&f, &done, err);
	if (r == 0 && done.code)
		r = error_set(err, done.code, "%s", done.error);
	if (r == 0)
		net_done_fini(&done);
	return r;
}

int box_dial(struct home *h, const char *id, uint16_t port, const char *path, struct error *err)
{
	const struct net_change c = { .type = FRAME_DIAL, .guest_port = port };
	auto_buf struct buf message = BUF_INIT(KIB + SOCKET_PATH_MAX);
	struct error why = { 0 };
	struct conn conn;
	auto_fd int fd = -1;
	int r = path ? wire_put_dial_unix(&message, 0, path) : wire_put_net_change(&message, &c);

	if (r < 0)
		return error_code(err, r, "cannot ask box %s", id);
	r = ask_start(h, id, &message, &conn, err);
	if (r < 0)
		return r;
	fd = take_fd(&conn.fd);
	r = conn_wants_write(&conn) ? -EAGAIN : 0;
	conn_fini(&conn);
	if (r < 0)
		return error_code(err, r, "cannot ask box %s", id);
	r = await_dial(fd, path ? FRAME_DIAL_UNIX : FRAME_DIAL, &why);
	if (r < 0)
		return error_set(err, r, "box %s: %s", id, why.text);
	r = io_set_nonblock(fd, false);
	return r < 0 ? error_code(err, r, "cannot use the connection to box %s", id) : take_fd(&fd);
}
