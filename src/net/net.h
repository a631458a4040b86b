/*
 * What the files of boxlite-net share. Theory of operation: main.c; the way of a packet: stack.c.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "net/flow.h"
#include "net/link.h"
#include "net/policy.h"
#include "net/proxy.h"
#include "net/resolver.h"
#include "wire/conn.h"
#include "wire/netchange.h"
#include "wire/netmsg.h"

struct listener; /* publish.c */

struct net {
	struct loop loop;
	struct net_start start;
	struct link link;
	struct policy *policy;     /* owned */
	struct resolver *resolver; /* owned */
	struct secrets *secrets;   /* owned; NULL: the box has none */
	struct proxies *proxies;   /* owned */
	struct flows flows;
	struct listener *listeners; /* owned */
	bool low_ports;      /* it was started with the right to ports below the next one */
	unsigned first_port; /* that any user may listen at */
	struct net_stats stats;
	uint64_t now_ms; /* of this batch of events */

	struct conn control;
	struct watch control_watch;
	int dialler; /* owned; came with the control connection and waits for its DIAL; -1: none */
	struct denials *denials; /* owned; denied.c */
};

/* --- stack.c: frames and packets --- */

/* A packet of the guest: its addresses are right, its lengths are within the frame. */
struct packet {
	struct ip_addr src, dst;
	uint8_t proto;
	const uint8_t *ip; /* its beginning, for messages that quote it */
	size_t ip_len;
	const uint8_t *data; /* behind the IP header */
	size_t len;
};

extern const struct link_ops stack_link_ops; /* with a struct net */

/* How much the link's MTU leaves behind the IP header of a packet to or from this address. */
size_t stack_room(const struct ip_addr *a);

/* Room for the headers of a frame up to those of TCP with options. */
#define HEADERS_MAX (14 + 40 + 60)

/*
 * Begins a frame for the guest: Ethernet and IP headers for a packet of l4_len bytes behind them. Returns how long they
 * are, with *sum of TCP and UDP (the field still to be set to it) and ICMPv6; of ICMP it is 0.
 */
size_t stack_headers(uint8_t at[HEADERS_MAX], const struct ip_addr *src, uint8_t proto, size_t l4_len, uint16_t *sum);

/* Sends a packet of UDP, or of ICMP: `head` is its header, with a checksum of 0 at sum_offset. False: no room. */
bool stack_send(struct net *n, const struct ip_addr *src, uint8_t proto, const void *head, size_t head_len,
		uint16_t sum_offset, const void *data, size_t len);

enum unreachable { UNREACHABLE_HOST, UNREACHABLE_PORT, UNREACHABLE_PROHIBITED, UNREACHABLE_TOO_BIG };
/* Tells the guest that a packet of its own came to nothing: quotes it. */
void stack_unreachable(struct net *n, const struct packet *p, enum unreachable why);
/* The beginning of a packet that the guest must have sent for this flow, for when it is not at hand any more: what
 * is quoted of it. The last 8 bytes begin with its ports. Returns the length. */
#define QUOTE_BYTES 48
size_t stack_quote(uint8_t at[QUOTE_BYTES], const struct flow_key *k);

bool ip_is_gateway(const struct ip_addr *a);
struct ip_addr stack_gateway(bool v6);

/* Where a packet of the guest would go if it may: false if it may not, which is counted and told. The host's alias
 * becomes the loopback that it stands for. since_ms: of policy_check(). */
bool stack_may(struct net *n, enum net_proto proto, const struct ip_addr *dst, uint16_t port, uint64_t since_ms,
	       struct ip_addr *ret, bool *ret_by_name);
/* May a connection there go on, which comes for this name? Likewise. */
bool stack_may_claim(struct net *n, const struct ip_addr *dst, uint16_t port, uint64_t since_ms, const char *name);

/* --- tcp.c, tcp_open.c, udp.c, echo.c: one protocol each --- */

void tcp_packet(struct net *n, const struct packet *p);
void tcp_batch(struct net *n); /* after packets: acknowledgements that wait */
void tcp_room(void);           /* the link has room: those that found none */
/* A connection that was accepted for a published port: the fd is taken. */
void tcp_accepted(struct net *n, int fd, const struct ip_addr *from, uint16_t from_port, uint16_t guest_port);
/* One of who dials, over a connection of this host, which is taken: then change_dialled(). False: there is no room. */
bool tcp_dial(struct net *n, int fd, uint16_t guest_port);
int tcp_open(struct net *n, struct error *err) MUST_CHECK;
void tcp_close(struct net *n);

/* --- proxy_open.c: which connections are the proxy's --- */

int proxy_start(struct net *n, struct error *err) MUST_CHECK; /* while there is a file system */
void proxy_stop(struct net *n);
/* Is a connection there to be the proxy's, once it is one? `to`: as the host's kernel knows it. */
bool proxy_wants(struct net *n, const struct ip_addr *to, uint16_t port);

void udp_packet(struct net *n, const struct packet *p);
/* A datagram of the gateway's own. */
void udp_answer(struct net *n, const struct ip_addr *from, uint16_t from_port, uint16_t to, const void *data,
		size_t len);
/* A datagram for a published port. `to`: how to answer it. */
struct udp_peer {
	struct listener *listener; /* borrowed; outlives the flow */
	struct ip_addr addr;       /* of who has sent, as the host knows it */
	uint16_t port;
	unsigned device;           /* of a link-local address of IPv6 */
	struct ip_addr to;         /* the address of the host that it came to, from which its answers must come */
};
void udp_from_host(struct net *n, const struct udp_peer *peer, const struct ip_addr *shown, uint16_t guest_port,
		   const void *data, size_t len);

void echo_packet(struct net *n, const struct packet *p);

/* --- publish.c --- */

int publish_open(struct net *n, struct error *err) MUST_CHECK; /* all ports of the spec, or none */
void publish_close(struct net *n);
int publish_add(struct net *n, const struct net_port *p, struct net_port *ret, struct error *err) MUST_CHECK;
int publish_remove(struct net *n, const struct net_pick *k, struct error *err) MUST_CHECK; /* -ENOENT */
size_t publish_ports(const struct net *n, struct net_port *ret, size_t most); /* with their numbers */
void publish_answer(const struct udp_peer *to, const void *data, size_t len);

/* --- control.c --- */

int control_open(struct net *n, struct error *err) MUST_CHECK; /* takes what it needs to begin */
int control_serve(struct net *n, struct error *err) MUST_CHECK;
void control_ready(struct net *n);
void control_failed(struct net *n, const struct error *why); /* the last word */
void control_close(struct net *n);
void control_ask_resolv(struct net *n);
void control_denied(struct net *n, const struct net_denied *d);

/* --- change.c --- */

/* PUBLISH, UNPUBLISH, RULES, DIAL; answers. Negative: the shim speaks another language. */
int change_take(struct net *n, const struct frame *f, struct error *err) MUST_CHECK;
/* Answers one of these without any memory: there is none. */
int change_refuse(struct net *n, uint8_t type, struct error *err) MUST_CHECK;
#define CHANGE_SPARE (16 * KIB) /* of memory: that an answer takes, at most */
void change_dialled(int dialler, uint16_t guest_port, int code); /* 0: what flows from now on is the box's */

/* --- denied.c: reason is a word of reason.h --- */

int denied_open(struct net *n) MUST_CHECK;
void denied_close(struct net *n);
void denied(struct net *n, enum net_proto proto, const struct ip_addr *addr, uint16_t port, const char *name,
	    const char *reason);

#endif
