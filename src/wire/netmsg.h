/*
 * What shim and boxlite-net say to each other, in frames on NET_FD_CONTROL. All JSON, on stream 0. boxlite-net holds
 * host sockets and the policy and meets hostile frames: what it says is checked like any stranger's.
 */
#ifndef WIRE_NETMSG_H
#define WIRE_NETMSG_H

#include "wire/frame.h"
#include "wire/netspec.h"
#include "wire/reason.h"

/* The open files that boxlite-net is started with. It opens nothing by path. */
enum net_fd {
	NET_FD_CONTROL = 3, /* stream socket to the shim */
	NET_FD_LINK = 4,    /* seqpacket socket to the engine: one frame a message */
	NET_FD_LOCK = 5,    /* the box's lock, held as by the engine */
	NET_FD_SECRETS = 6, /* if there are any: a file in memory with one NET_SECRETS frame (wire/secret.h) */
};

#define NET_RESOLV_MAX (16 * KIB) /* of a resolv.conf */

/* NET, shim -> net, first. */
struct net_start {
	struct net_spec spec;
	bool headers; /* messages on the link begin with a struct virtio_net_hdr_v1 (engine kvm); QEMU's do not */
	bool debug;
	char *resolv; /* owned; text of the host's resolv.conf; "" if there is none */
};

void net_start_fini(struct net_start *s);
int wire_put_net(struct buf *out, const struct net_start *s) MUST_CHECK;
int wire_get_net(const struct frame *f, struct net_start *ret, struct error *err) MUST_CHECK;

/* NET_READY, net -> shim: all ports are published, with the host's port numbers where the system was to pick; in the
 * order of the spec. (FAILED, if one cannot be.) */
int wire_put_net_ready(struct buf *out, const struct net_port *ports, size_t n) MUST_CHECK;
int wire_get_net_ready(const struct frame *f, struct net_spec *ret, struct error *err) MUST_CHECK; /* its ports only */

/* NET_DENIED, net -> shim: something was refused. */
struct net_denied {
	enum net_proto proto;
	struct ip_addr addr;  /* where to; of a DNS question that was refused: unset, all 0 */
	uint16_t port;        /* 0: none */
	char name[NET_NAME_MAX + 1]; /* the name asked for, or that the address is known by; "" */
	char reason[32];      /* for machines: a word of reason.h */
	uint32_t count;       /* so many like it, since the last message of the kind; at least 1 */
};
int wire_put_net_denied(struct buf *out, const struct net_denied *d) MUST_CHECK;
int wire_get_net_denied(const struct frame *f, struct net_denied *ret, struct error *err) MUST_CHECK;

/* NET_STATS, shim -> net: {}; net -> shim: the counters. "sent" is of the guest. */
struct net_stats {
	uint64_t sent_bytes, received_bytes, sent_packets, received_packets; /* IP packets; bytes with IP headers */
	uint64_t connections; /* TCP, all that were made, both ways */
	uint64_t flows;       /* of all protocols, now */
	uint64_t denied;
	uint64_t denied_for[NET_REASONS]; /* the same by its reasons */
};
int wire_put_net_stats(struct buf *out, const struct net_stats *s) MUST_CHECK; /* NULL: the question */
int wire_get_net_stats(const struct frame *f, struct net_stats *ret, struct error *err) MUST_CHECK;

/* NET_RESOLV, net -> shim: {}, is there another resolv.conf?; shim -> net: its text, only if it has changed. */
int wire_put_net_resolv(struct buf *out, const char *text) MUST_CHECK; /* NULL: the question */
int wire_get_net_resolv(const struct frame *f, char **ret, struct error *err) MUST_CHECK; /* *ret is new */

#endif
