/* boxlite-net, as the files that speak to it share it: net.c its life, netchange.c what changes meanwhile. */
#ifndef SHIM_NET_H
#define SHIM_NET_H

#include <sys/queue.h>

#include "shim/shim.h"
#include "wire/netchange.h"

#define NET_EARLY_MAX (FRAME_HEADER + FRAME_PAYLOAD_MAX)

/* What a client has asked of it, until it is answered: they are answered in turn. */
struct question {
	STAILQ_ENTRY(question) next;
	struct client *client; /* NULL: it has gone */
	struct net_change change;
};

struct net {
	struct shim *shim;
	struct child child;
	struct watch child_watch, watch;
	struct conn conn;
	bool ready;
	char *resolv; /* owned; the text that it was told last */
	char *ca;     /* owned; the certificate that the box is to trust, NULL: none */
	struct {
		uint64_t since_ns; /* the second that is counted */
		unsigned said, logged;
	} denied;
	struct net_spec ports; /* as published: the spec's, in their order, with their numbers */
	struct buf early;      /* what is for it once it is ready: before, it reads one message only */
	STAILQ_HEAD(, question) asked;
};

void net_broken(struct shim *s, const char *fmt, ...) PRINTF_LIKE(2, 3); /* the box ends */
void net_flush(struct shim *s);
int net_write_ports(const struct shim *s, const struct net_spec *ports);
bool net_is_published(const struct net_port *wanted, const struct net_port *said);

/* netchange.c */
void change_answered(struct shim *s, const struct frame *f); /* by boxlite-net */
void change_end(struct shim *s); /* nobody answers any more */

#endif
