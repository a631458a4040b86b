/*
 * What changes the network of a box that runs: PUBLISH, UNPUBLISH, RULES, DIAL. A client says it to the shim, the shim
 * to boxlite-net; each is answered by a frame of the same type, in the order of the questions. All JSON, on stream 0.
 *
 *	client --PUBLISH--> shim --PUBLISH--> boxlite-net --PUBLISH: done--> shim --> client
 *	client --DIAL--> shim --DIAL, and the client's connection itself--> boxlite-net --DIAL: done, bytes--> client
 *
 * DIAL is the last that a client says as one: with it the shim passes its connection on, and boxlite-net answers there.
 * Once that has said that it went well, what flows is what the program in the box says and hears. So there is only one
 * fd that travels, and nothing between the two that copies.
 */
#ifndef WIRE_NETCHANGE_H
#define WIRE_NETCHANGE_H

#include "wire/frame.h"
#include "wire/netspec.h"

#define DIAL_WAIT_MS 5000 /* so long the guest has to accept */

/* Ports by what a person calls them: GUEST[/tcp|/udp], all that lead there; or the whole port. */
struct net_pick {
	bool whole;
	struct net_port port; /* whole or not: its proto and guest_port */
};

struct net_change {
	uint8_t type;          /* FRAME_PUBLISH ... FRAME_DIAL; the one of these that it says is set */
	struct net_port port;  /* PUBLISH */
	struct net_pick pick;  /* UNPUBLISH */
	struct net_spec rules; /* RULES; owned: its rules and open, nothing else */
	uint16_t guest_port;   /* DIAL */
};

/* The answer. */
struct net_done {
	int code;                   /* 0, or a negative errno and why */
	char error[ERROR_TEXT_MAX];
	struct net_spec ports;      /* owned: its ports. PUBLISH: the one, with its number; UNPUBLISH: those gone */
};

void net_change_fini(struct net_change *c);
void net_done_fini(struct net_done *d);
int net_done_failed(struct net_done *d, const struct error *err, int code); /* sets both; returns 0 */

/* 0, or -EINVAL with what is wrong. */
int net_pick_parse(const char *text, struct net_pick *ret, struct error *err) MUST_CHECK;

/* A port as it was asked for, and as it is, which has a number (the same one, if nothing has picked one). */
bool net_pick_matches(const struct net_pick *k, const struct net_port *asked, const struct net_port *real);

/* Is there one that matches? `real` (may be NULL): as below. 0, -ENOENT. */
int net_spec_find_ports(const struct net_spec *s, const struct net_spec *real, const struct net_pick *k,
			struct error *err) MUST_CHECK;

/* Takes out of s what matches, and of `real`, which has the same ports in the same order. Of s, they are in *ret. 0:
 * how many; -ENOENT, -ENOMEM. */
int net_spec_take_ports(struct net_spec *s, struct net_spec *real, const struct net_pick *k, struct net_spec *ret,
			struct error *err) MUST_CHECK;

/* Brings a description in line: all or nothing. PUBLISH: -EEXIST, -E2BIG; UNPUBLISH: -ENOENT; -ENOMEM. */
int net_spec_change(struct net_spec *s, const struct net_change *c, struct error *err) MUST_CHECK;
int net_spec_set_rules(struct net_spec *s, const struct net_spec *rules, struct error *err) MUST_CHECK;

int wire_put_net_change(struct buf *out, const struct net_change *c) MUST_CHECK;
int wire_get_net_change(const struct frame *f, struct net_change *ret, struct error *err) MUST_CHECK;
int wire_put_net_done(struct buf *out, uint8_t type, const struct net_done *d) MUST_CHECK;
int wire_get_net_done(const struct frame *f, struct net_done *ret, struct error *err) MUST_CHECK;

#endif
