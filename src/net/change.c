/*
 * What is asked of a network that is there already (wire/netchange.h): ports come and go, the rules are replaced,
 * somebody of this host dials a port of the guest.
 *
 * Rules. The new ones are in force for all that begins before what has begun is gone through by them, questions of DNS
 * too, and that before the answer is sent: who has the answer knows that nothing goes on that they do not allow.
 *
 * Memory for the answer is taken before the change is made: what is done and not told would be done behind the shim's
 * back.
 *
 * Dialling. The connection of who dials came with the message, and becomes the host's socket of a connection that goes
 * in, like one that was accepted at a port. The guest's answer to the SYN is told there, in front of all that follows.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/log.h"
#include "net/net.h"

static void tell(int dialler, const struct error *why)
{
	auto_buf struct buf b = BUF_INIT(64 * KIB);
	struct net_done d = { 0 };

	if (why)
		net_done_failed(&d, why, why->code);
	/* Nothing has been written there before: it has room, or nobody reads. */
	if (wire_put_net_done(&b, FRAME_DIAL, &d) < 0 ||
	    send(dialler, buf_data(&b), buf_len(&b), MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)buf_len(&b))
		log_debug("who dialled is gone");
}

void change_dialled(int dialler, uint16_t guest_port, int code)
{
	struct error why = { 0 };

	if (code == -ETIMEDOUT)
		error_set(&why, code, "nothing in the box answers at port %u within %u s", guest_port,
			  DIAL_WAIT_MS / 1000);
	else if (code == -ECONNREFUSED)
		error_set(&why, code, "nothing in the box listens at port %u (of its address; 127.0.0.1 is for itself)",
			  guest_port);
	tell(dialler, code ? &why : NULL);
}

int change_refuse(struct net *n, uint8_t type, struct error *err)
{
	static const char text[] = "{\"code\":12,\"error\":\"the network of this box has no memory left: try again when it "
				   "has fewer connections\"}";
	uint8_t message[FRAME_HEADER + sizeof(text) - 1];
	int r = 0;

	_Static_assert(ENOMEM == 12, "as it is written there");
	frame_head(message, type, 0, 0, sizeof(text) - 1);
	memcpy(message + FRAME_HEADER, text, sizeof(text) - 1);
	if (type != FRAME_DIAL)
		r = buf_append(&n->control.out, message, sizeof(message));
	else if (n->dialler >= 0 && send(n->dialler, message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("who dialled is gone");
	if (type == FRAME_DIAL)
		close_fd(&n->dialler);
	return r < 0 ? error_code(err, r, "cannot answer %s", frame_name(type)) : 0;
}

static void dial(struct net *n, uint16_t guest_port)
{
	int fd = take_fd(&n->dialler), spare;
	struct error why = { 0 };

	if (fd < 0) {
		log_warn("somebody dials, and there is no file left for it");
		return;
	}
	/* What there is no room for is closed; it is to be told first. */
	spare = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (!tcp_dial(n, fd, guest_port) && spare >= 0) {
		error_set(&why, -EBUSY, "the box has as many connections as it may have");
		tell(spare, &why);
	}
	close_fd(&spare);
}

static int set_rules(struct net *n, const struct net_spec *rules, struct error *err)
{
	int r = policy_set_rules(n->policy, &n->start.spec, rules, err);

	if (r == 0) {
		flows_recheck(n);
		resolver_recheck(n->resolver);
	}
	return r;
}

static int answer(struct net *n, uint8_t type, int code, const struct net_port *port, struct error *why)
{
	struct net_done d = { .ports = { .ports = (struct net_port *)(uintptr_t)port, .nports = port != NULL } };
	int r;

	if (code < 0) {
		d.ports = (struct net_spec){ 0 };
		net_done_failed(&d, why, code);
	}
	r = wire_put_net_done(&n->control.out, type, &d);
	*why = (struct error){ 0 };
	return r < 0 ? error_code(why, r, "cannot answer %s", frame_name(type)) : 0;
}

int change_take(struct net *n, const struct frame *f, struct error *err)
{
	auto_buf struct buf spare = BUF_INIT(CHANGE_SPARE);
	const struct net_port *published = NULL;
	struct net_change c = { 0 };
	struct error why = { 0 };
	struct net_port real;
	int r;

	if (!buf_reserve(&spare, CHANGE_SPARE))
		return change_refuse(n, f->type, err);
	r = wire_get_net_change(f, &c, err);
	if (r < 0)
		return r;
	switch (c.type) {
	case FRAME_PUBLISH:
		r = publish_add(n, &c.port, &real, &why);
		published = &real;
		break;
	case FRAME_UNPUBLISH: r = publish_remove(n, &c.pick, &why); break;
	case FRAME_RULES: r = set_rules(n, &c.rules, &why); break;
	default:
		dial(n, c.guest_port); /* is answered elsewhere */
		net_change_fini(&c);
		return 0;
	}
	net_change_fini(&c);
	buf_fini(&spare);
	r = answer(n, f->type, r, published, &why);
	if (r < 0 && err)
		*err = why;
	return r;
}
