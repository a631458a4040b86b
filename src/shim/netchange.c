/*
 * PUBLISH, UNPUBLISH, RULES and DIAL of clients (wire/netchange.h).
 *
 * Theory of operation. The shim passes each on to boxlite-net, which does it, and answers in turn; then the box's
 * description here is brought in line, so that a machine that is started again has what the one before had, and the
 * client is answered. In the database it is the client itself that brings it in line: the shim has none.
 *
 *	client --change--> asked --> boxlite-net --done--> s->spec.net, ports.json --done--> client
 *
 * Between two machines there is no boxlite-net: then only the description changes. A client has one question at a
 * time, so CLIENTS_MAX bounds them.
 *
 * Who dials gives its connection away: boxlite-net answers on it, and the client is none any more.
 *
 * Trust. That boxlite-net says that it is done is believed, as it is what has the policy; what the description and
 * ports.json say comes from the question, and from its answer nothing but the number of a port that it was to pick.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "shim/net.h"

static void tell(struct client *c, uint8_t type, const struct net_done *d)
{
	c->changing = false;
	if (wire_put_net_done(&c->conn.out, type, d) < 0)
		client_drop(c);
	else
		client_flush(c);
}

int change_refuse(struct client *c, uint8_t type, int code, const char *why)
{
	struct net_done d = { 0 };
	struct error err = { 0 };

	error_set(&err, code, "%s", why);
	net_done_failed(&d, &err, code);
	tell(c, type, &d);
	return 0;
}

/* --- done ----------------------------------------------------------------------------------------------- */

static int note_published(struct shim *s, const struct net_change *c, const struct net_done *said, struct error *err)
{
	int r;

	if (said->ports.nports != 1 || !net_is_published(&c->port, &said->ports.ports[0]))
		return error_set(err, -EBADMSG, "PUBLISH of another port");
	r = net_spec_push_port(&s->spec.net, &c->port, err);
	return r < 0 ? r : net_spec_push_port(&s->net->ports, &said->ports.ports[0], err);
}

/* Brings in line what this box is, and says in *ret what the client is to know. */
static int note(struct shim *s, const struct net_change *c, const struct net_done *said, struct net_done *ret,
		struct error *err)
{
	int r;

	if (c->type == FRAME_RULES)
		return net_spec_set_rules(&s->spec.net, &c->rules, err);
	if (c->type == FRAME_UNPUBLISH)
		r = net_spec_take_ports(&s->spec.net, &s->net->ports, &c->pick, &ret->ports, err);
	else
		r = note_published(s, c, said, err);
	if (r == 0 && c->type == FRAME_PUBLISH)
		r = net_spec_push_port(&ret->ports, &said->ports.ports[0], err);
	if (r == 0 && (r = net_write_ports(s, &s->net->ports)) < 0)
		error_code(err, r, "cannot write " SPEC_PORTS_FILE);
	return r;
}

void change_answered(struct shim *s, const struct frame *f)
{
	struct question *q = STAILQ_FIRST(&s->net->asked);
	struct net_done said = { 0 }, done = { 0 };
	struct error err = { 0 };
	int r = wire_get_net_done(f, &said, &err);

	if (r < 0 || !q || q->change.type != f->type) {
		net_broken(s, "%s", r < 0 ? err.text : "an answer that nobody asked for");
		net_done_fini(&said);
		return;
	}
	STAILQ_REMOVE_HEAD(&s->net->asked, next);
	if (said.code == 0)
		r = note(s, &q->change, &said, &done, &err);
	if (r < 0) /* what it is and what is written of it are two things now */
		net_broken(s, "%s", err.text);
	else if (q->client)
		tell(q->client, f->type, said.code ? &said : &done);
	net_done_fini(&said);
	net_done_fini(&done);
	net_change_fini(&q->change);
	free(q);
}

void change_end(struct shim *s)
{
	struct question *q;

	while ((q = STAILQ_FIRST(&s->net->asked))) {
		STAILQ_REMOVE_HEAD(&s->net->asked, next);
		if (q->client)
			change_refuse(q->client, q->change.type, -EAGAIN, "the box has ended before that was done");
		net_change_fini(&q->change);
		free(q);
	}
}

void change_forget(struct client *c)
{
	struct question *q;

	if (!c->changing || !c->shim->net)
		return;
	STAILQ_FOREACH(q, &c->shim->net->asked, next)
		if (q->client == c)
			q->client = NULL;
}

/* --- asked ---------------------------------------------------------------------------------------------- */

/* Between two machines. The number of a port that the system picks is not known before the next one. */
static int change_later(struct client *c, struct net_change *change)
{
	struct net_spec *net = &c->shim->spec.net;
	struct net_done d = { 0 };
	struct error err = { 0 };
	int r;

	if (change->type == FRAME_UNPUBLISH)
		r = net_spec_take_ports(net, NULL, &change->pick, &d.ports, &err);
	else
		r = net_spec_change(net, change, &err);
	if (r == 0 && change->type == FRAME_PUBLISH)
		r = net_spec_push_port(&d.ports, &change->port, &err);
	if (r < 0)
		net_done_failed(&d, &err, r);
	tell(c, change->type, &d);
	net_done_fini(&d);
	return 0;
}

/* What the description says already, boxlite-net need not be asked. */
static int check(const struct shim *s, const struct net_change *c, struct error *err)
{
	const struct net_spec *net = &s->spec.net;
	int r;

	if (c->type == FRAME_UNPUBLISH && s->net->ready)
		return net_spec_find_ports(net, &s->net->ports, &c->pick, err);
	if (c->type != FRAME_PUBLISH)
		return 0;
	if (net->nports >= NET_PORTS_MAX)
		return error_set(err, -E2BIG, "a box publishes %d ports at most", NET_PORTS_MAX);
	r = net_spec_check_port(net, &c->port, err);
	/* A number that the system has picked is in the other list only. */
	return r < 0 || !s->net->ready ? r : net_spec_check_port(&s->net->ports, &c->port, err);
}

static int pass_on(struct client *c, struct question *q)
{
	struct net *n = c->shim->net;
	struct error err = { 0 };
	int r = check(c->shim, &q->change, &err);

	if (r < 0)
		return change_refuse(c, q->change.type, r, err.text);
	if (wire_put_net_change(n->ready ? &n->conn.out : &n->early, &q->change) < 0)
		return change_refuse(c, q->change.type, -EBUSY, "the box has too much to do");
	q->client = c;
	c->changing = true;
	STAILQ_INSERT_TAIL(&n->asked, q, next);
	if (n->ready)
		net_flush(c->shim);
	return 1;
}

int change_from_client(struct client *c, const struct frame *f)
{
	struct shim *s = c->shim;
	struct question *q;
	int r;

	if (f->stream != 0 || c->changing)
		return -EBADMSG;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	r = wire_get_net_change(f, &q->change, NULL);
	if (r == 0 && s->spec.no_main)
		r = change_refuse(c, f->type, -ENOTCONN, "the box does not run");
	else if (r == 0 && s->spec.net.none)
		r = change_refuse(c, f->type, -EOPNOTSUPP, "the box has no network (--network none)");
	else if (r == 0 && s->life >= LIFE_RESTING && s->life < LIFE_DONE)
		r = change_later(c, &q->change);
	else if (r == 0 && (!s->net || s->net->watch.fd < 0 || s->life >= LIFE_ENDING))
		r = change_refuse(c, f->type, -ENOTCONN, "the box is just ending");
	else if (r == 0)
		r = pass_on(c, q);
	if (r == 1)
		return 0;
	net_change_fini(&q->change);
	free(q);
	return r;
}

/* --- dialling ------------------------------------------------------------------------------------------- */

static int hand_over(struct client *c, const struct net_change *change)
{
	auto_buf struct buf message = BUF_INIT(KIB);
	struct net *n = c->shim->net;
	int r;

	/* What it is still to hear goes first; there is no more than a greeting. */
	if (conn_write(&c->conn) < 0 || conn_wants_write(&c->conn)) {
		client_drop(c);
		return 0;
	}
	r = wire_put_net_change(&message, change);
	if (r == 0)
		r = conn_put_fd(&n->conn, &message, c->conn.fd);
	if (r < 0)
		return change_refuse(c, FRAME_DIAL, r == -EAGAIN ? -EBUSY : r, r == -EAGAIN ? "the box has too much to do"
											      : strerror(-r));
	net_flush(c->shim);
	client_drop(c);
	return 0;
}

int dial_from_client(struct client *c, const struct frame *f)
{
	struct shim *s = c->shim;
	struct net_change change = { 0 };

	if (!client_only_asks(c, f) || wire_get_net_change(f, &change, NULL) < 0)
		return -EBADMSG;
	if (s->spec.net.none && !s->spec.no_main)
		return change_refuse(c, f->type, -EOPNOTSUPP, "the box has no network (--network none)");
	if (!s->net || !s->net->ready || s->net->watch.fd < 0 || s->life != LIFE_RUNNING)
		return change_refuse(c, f->type, -ENOTCONN, s->life == LIFE_BOOTING ? "the box is just starting"
										   : "the box is just ending");
	return hand_over(c, &change);
}
