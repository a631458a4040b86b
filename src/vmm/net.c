/*
 * A network card (virtio 1.2, 5.1; section numbers are of that) with one pair of queues, whose cable is a seqpacket
 * socket to the program that is the network. "tx" and "rx" are the guest's.
 *
 *	guest --tx--> sendmsg --> fd --> peer
 *	guest <--rx-- recvmsg <-- fd <-- peer
 *
 * A message is a frame behind a struct virtio_net_hdr_v1, as in the queues: who sends may leave checksums and the
 * cutting into segments to the other end. Frames are not copied here, the kernel moves them between guest and socket.
 *
 * Headers. Both ends are strangers, and each would believe the other's header. So it is copied, checked against the
 * frame's length and against what the driver has negotiated, and what passes is a header with nothing in it but what
 * was checked: a field that means nothing is 0, a flag that nobody knows is gone (5.1.6.2.2). hdr_len is a hint that
 * may be wrong (5.1.6.2.2) and says for sure only that it is within the frame. A frame with a bad header is dropped
 * and counted, as cards do; a chain without room for a header breaks the device, for driver and device do not agree
 * on where frames begin.
 *
 * The peer is not told what the driver has negotiated. One that sends offloads counts on a driver that takes all that
 * is offered, as Linux does; with any other, these frames are dropped, and whole ones come.
 *
 * ECN with segmentation is not offered: it would be for a TCP connection that has ECN between guest and peer, and the
 * peer, which ends all connections, agrees to none. A guest that has one all the same cuts such frames itself.
 *
 * Receiving. A message is looked at first (MSG_PEEK), its length and header; then chains are taken for exactly that
 * length, one, or as many as it needs with VIRTIO_NET_F_MRG_RXBUF; then it is received right into them. The look
 * costs a system call (0.4 us, where receiving takes 0.8 us for a short frame and 3 us for a long one). For that a bad
 * message never touches the guest's memory, no chain is held from one frame to the next or goes back half used, and a
 * message that there is no room for stays where it is.
 *
 * Theory of operation. serve_rx() and serve_tx() move frames until something is lacking, and each thing that may lack
 * starts them again: a message or room in the socket (an edge of the fd), rx buffers or frames (a kick), the share of
 * a turn (a kick that they have asked for themselves, see serve.h). Whichever thread kicks serves, with the device's
 * lock, and nothing under it blocks.
 *
 * The fd is watched edge-triggered, so that one with messages that there are no buffers for, or that has hung up, does
 * not keep the loop busy. Room is watched for only while frames wait for it: else every frame that the peer takes
 * would wake the loop to no end. Between EAGAIN and the watch nothing is lost, for epoll looks when it is told what to
 * watch for.
 *
 * Bounds. There is no buffer here. Frames that the guest has no room for stay in the socket, whose size stops the
 * peer; frames that the socket has no room for stay in tx.
 *
 * The link's status is there to be read, but is no feature (VIRTIO_NET_F_STATUS): with it Linux takes each link for
 * down at first, and tells its programs after up to a second that it is not.
 *
 * When the peer goes, the link is down for good: rx rests, tx is dropped so that the driver gets its buffers back.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/log.h"
#include "vmm/devices.h"
#include "vmm/serve.h"

enum { QUEUE_RX, QUEUE_TX, NQUEUES }; /* 5.1.2 */

#define HEADER_BYTES sizeof(struct virtio_net_hdr_v1)
#define MTU 65520
#define FRAME_MAX 65550 /* 5.1.6.3: one to be segmented; others have MTU and ETH_HLEN */
#define PIECES_MAX 1024 /* UIO_MAXIOV, of a message */
#define NOTIFY_FRAMES 16 /* after as many the guest hears of them, though more follow */

#define IPV4_BYTES 20 /* of headers without options */
#define IPV6_BYTES 40
#define TCP_BYTES 20
#define TCP_CSUM_OFFSET 16
#define CSUM_BYTES 2

#define F(bit) (1ULL << (bit))

_Static_assert(HEADER_BYTES == 12, "the header of the specification");

struct net {
	struct virtio v;
	struct loop *loop; /* borrowed */
	struct watch watch;
	int fd;  /* owned */
	bool up; /* the peer has not gone */
	uint8_t mac[ETH_ALEN];
	uint64_t features; /* negotiated; good while the device runs */
	uint64_t dropped[NQUEUES];

	/* The frame being worked on. */
	struct virtq_chain first, more;          /* of tx: the first only */
	struct virtq_used used[VIRTQ_SIZE_MAX];  /* rx: its chains */
	unsigned nused, ndescs;
	struct iovec piece[PIECES_MAX];
	unsigned npieces;
};

static struct net *of(struct virtio *v)
{
	return container_of(v, struct net, v);
}

/* --- headers ------------------------------------------------------------------------------------- */

/* What the header of a frame of one direction may ask for. */
struct offloads {
	uint64_t csum, tso4, tso6; /* features that allow it */
	uint8_t flags;             /* that pass if csum was negotiated */
};

static const struct offloads of_guest = {
	.csum = F(VIRTIO_NET_F_CSUM),
	.tso4 = F(VIRTIO_NET_F_HOST_TSO4),
	.tso6 = F(VIRTIO_NET_F_HOST_TSO6),
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
};

static const struct offloads of_peer = {
	.csum = F(VIRTIO_NET_F_GUEST_CSUM),
	.tso4 = F(VIRTIO_NET_F_GUEST_TSO4),
	.tso6 = F(VIRTIO_NET_F_GUEST_TSO6),
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID,
};

/* A frame to be cut into segments: NULL, or what is wrong. Its checksum was looked at. */
static const char *check_segments(const struct virtio_net_hdr_v1 *h, uint64_t bytes, uint64_t features,
				  const struct offloads *o)
{
	bool v4 = h->gso_type == VIRTIO_NET_HDR_GSO_TCPV4, v6 = h->gso_type == VIRTIO_NET_HDR_GSO_TCPV6;
	uint32_t ip = v4 ? IPV4_BYTES : IPV6_BYTES, size = le16toh(h->gso_size), tcp = le16toh(h->csum_start);

	if (!(v4 && features & o->tso4) && !(v6 && features & o->tso6))
		return "a segmentation that was not negotiated";
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return "a segmentation without checksums";
	if (le16toh(h->csum_offset) != TCP_CSUM_OFFSET || tcp < ETH_HLEN + ip || tcp + TCP_BYTES > bytes)
		return "a segmentation of what is no TCP";
	if (!size || size > MTU - ip - TCP_BYTES)
		return "segments of an impossible size";
	if (le16toh(h->hdr_len) > bytes)
		return "headers longer than the frame";
	return NULL;
}

/* The header of a frame of so many bytes: NULL, and it has nothing but what was checked; or what is wrong. */
static const char *check_header(struct virtio_net_hdr_v1 *h, uint64_t bytes, uint64_t features,
				const struct offloads *o)
{
	uint32_t start = le16toh(h->csum_start), end = start + le16toh(h->csum_offset) + CSUM_BYTES;
	bool csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, whole = h->gso_type == VIRTIO_NET_HDR_GSO_NONE;
	const char *fault;

	if (bytes < ETH_HLEN)
		return "a frame without a whole Ethernet header";
	if (bytes > (whole ? MTU + ETH_HLEN : FRAME_MAX))
		return "a frame that is too long";
	if (csum && !(features & o->csum))
		return "a checksum left out, which was not negotiated";
	if (csum && (start < ETH_HLEN || end > bytes))
		return "a checksum outside of the frame";
	fault = whole ? NULL : check_segments(h, bytes, features, o);
	if (fault)
		return fault;
	h->flags &= features & o->csum ? o->flags : 0;
	if (!csum)
		h->csum_start = h->csum_offset = 0;
	if (whole)
		h->hdr_len = h->gso_size = 0;
	h->num_buffers = 0;
	return NULL;
}

/* --- what both directions need ------------------------------------------------------------------- */

/* Told at every power of two: neither end may fill the log. */
static void count_drop(struct net *n, unsigned queue, const char *why)
{
	uint64_t count = ++n->dropped[queue];

	if (!(count & (count - 1)))
		log_warn("network: %" PRIu64 " frames %s the guest were dropped, the last one: %s", count,
			 queue == QUEUE_TX ? "of" : "for", why);
}

/* What is still in the socket is lost, as it is in a cable. */
static void link_down(struct net *n)
{
	n->up = false;
	shutdown(n->fd, SHUT_RDWR);
	log_warn("network: the other end has gone, the guest's link is down");
	virtio_config_changed(&n->v);
}

/* Of the fd: messages always, room now and then. */
static void watch_for_room(struct net *n, bool on)
{
	loop_change(n->loop, &n->watch, EPOLLIN | EPOLLET | (on ? EPOLLOUT : 0));
}

/* The next chain of a queue. Where there is none, the driver will kick when there is. */
static bool next_chain(struct net *n, unsigned queue, struct virtq_chain *ret)
{
	struct virtq *q = &n->v.queue[queue];
	int r;

	virtq_kicks_off(q);
	while ((r = virtq_pop(q, ret)) == 0)
		if (!virtq_kicks_on(q))
			return false;
	if (r < 0)
		virtio_broken(&n->v, "a network queue that makes no sense");
	return r == 1;
}

/* Begins a message with its header, which is ours, not the guest's. */
static void begin_pieces(struct net *n, struct virtio_net_hdr_v1 *h)
{
	n->piece[0] = (struct iovec){ h, HEADER_BYTES };
	n->npieces = 1;
}

/* --- guest to peer ------------------------------------------------------------------------------- */

/* Sends a message of n->piece: false if the socket has no room now. */
static bool send_frame(struct net *n)
{
	struct msghdr m = { .msg_iov = n->piece, .msg_iovlen = n->npieces };
	ssize_t r;

	do
		r = sendmsg(n->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r >= 0)
		return true;
	if (errno == EAGAIN) {
		watch_for_room(n, true);
		return false;
	}
	if (errno == ENOBUFS || errno == ENOMEM || errno == EMSGSIZE)
		count_drop(n, QUEUE_TX, strerror(errno));
	else
		link_down(n);
	return true;
}

/* Does with n->first what is to be done: false if it is to come again, or the device is broken. */
static bool transmit(struct net *n)
{
	const struct virtq_chain *c = &n->first;
	struct virtio_net_hdr_v1 h;
	const char *fault;

	if (virtq_read(c, 0, &h, sizeof(h)) < sizeof(h)) {
		virtio_broken(&n->v, "a frame without room for its header");
		return false;
	}
	if (!n->up)
		return true;
	fault = check_header(&h, c->readable_bytes - sizeof(h), n->features, &of_guest);
	if (fault) {
		count_drop(n, QUEUE_TX, fault);
		return true;
	}
	begin_pieces(n, &h);
	n->npieces += iov_part(n->piece + 1, c->readable, c->nreadable, HEADER_BYTES, UINT64_MAX);
	if (send_frame(n))
		return true;
	virtq_unpop(&n->v.queue[QUEUE_TX]);
	return false;
}

static void serve_tx(struct net *n)
{
	struct share share = share_start();
	unsigned done = 0;

	while (next_chain(n, QUEUE_TX, &n->first) && transmit(n)) {
		virtq_push(&n->v.queue[QUEUE_TX], &n->first, 0);
		if (++done % NOTIFY_FRAMES == 0)
			virtio_notify_queue(&n->v, QUEUE_TX);
		if (share_spent(&share, &n->v, QUEUE_TX))
			break;
	}
	if (done % NOTIFY_FRAMES)
		virtio_notify_queue(&n->v, QUEUE_TX);
}

/* --- peer to guest ------------------------------------------------------------------------------- */

/* Receives once into n iovecs: bytes or -errno. */
static ssize_t receive_once(const struct net *n, struct iovec *v, unsigned nv, int flags)
{
	struct msghdr m = { .msg_iov = v, .msg_iovlen = nv };
	ssize_t r;

	do
		r = recvmsg(n->fd, &m, MSG_DONTWAIT | flags);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* An empty message is received like the end. */
static bool is_end(const struct net *n)
{
	struct pollfd p = { .fd = n->fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0;
}

/* The length of the next message, with header, and the header: false if there is none, now or ever. */
static bool look_at_message(struct net *n, struct virtio_net_hdr_v1 *h, uint64_t *ret_bytes)
{
	struct iovec v = { h, HEADER_BYTES };
	ssize_t r = receive_once(n, &v, 1, MSG_PEEK | MSG_TRUNC);

	*ret_bytes = r < 0 ? 0 : (uint64_t)r;
	if (r > 0 || (r == 0 && !is_end(n)))
		return true;
	if (r != -EAGAIN)
		link_down(n);
	return false;
}

static void drop_message(struct net *n, const char *why)
{
	receive_once(n, NULL, 0, 0);
	count_drop(n, QUEUE_RX, why);
}

static void give_back_chains(struct net *n)
{
	for (; n->nused; n->nused--)
		virtq_unpop(&n->v.queue[QUEUE_RX]);
}

/* Takes one more chain for what is left of a message: how many bytes of it; else as take_chains(). */
static int64_t take_chain(struct net *n, uint64_t left)
{
	struct virtq *q = &n->v.queue[QUEUE_RX];
	struct virtq_chain *c = n->nused ? &n->more : &n->first;
	uint64_t skip = n->nused ? 0 : HEADER_BYTES, bytes;

	if (n->nused && !(n->features & F(VIRTIO_NET_F_MRG_RXBUF)))
		return -ENOBUFS;
	if (!next_chain(n, QUEUE_RX, c)) {
		if (!virtio_running(&n->v))
			return -EBADMSG;
		return n->ndescs >= q->size ? -ENOBUFS : 0; /* a ring that is full does not become more */
	}
	bytes = MIN(c->writable_bytes, left);
	n->ndescs += c->nreadable + c->nwritable; /* or fewer, if they are in a table */
	n->used[n->nused++] = (struct virtq_used){ c->head, (uint32_t)bytes };
	if (c->writable_bytes < HEADER_BYTES) { /* 5.1.6.3.1, of each */
		virtio_broken(&n->v, "an rx buffer without room for a header");
		return -EBADMSG;
	}
	if (n->npieces + c->nwritable > PIECES_MAX)
		return -ENOBUFS;
	n->npieces += iov_part(n->piece + n->npieces, c->writable, c->nwritable, skip, bytes - skip);
	return (int64_t)bytes;
}

/*
 * Takes chains for a message of so many bytes, header included: into n->first and n->used, and the places of its frame
 * into n->piece. 1; 0 if there are not enough yet; -ENOBUFS if there never will be; -EBADMSG if the device is broken.
 * Unless 1, none is taken.
 */
static int take_chains(struct net *n, uint64_t bytes)
{
	int64_t r;

	for (n->nused = n->ndescs = 0; bytes; bytes -= (uint64_t)r) {
		r = take_chain(n, bytes);
		if (r <= 0) {
			give_back_chains(n);
			return (int)r;
		}
	}
	return 1;
}

/* Moves the next message to where it belongs: false if there is none, or no room for it. */
static bool receive(struct net *n)
{
	struct virtio_net_hdr_v1 h, unchecked;
	const char *fault;
	uint64_t bytes;
	int r;

	if (!look_at_message(n, &h, &bytes) || !virtio_running(&n->v))
		return false;
	fault = bytes < HEADER_BYTES ? "a message without a whole header" :
				       check_header(&h, bytes - HEADER_BYTES, n->features, &of_peer);
	begin_pieces(n, &unchecked);
	r = fault ? -EINVAL : take_chains(n, bytes);
	if (r == -EINVAL || r == -ENOBUFS) {
		drop_message(n, fault ? fault : "a frame that the guest's buffers cannot hold");
		return true;
	}
	if (r != 1)
		return false;
	/* The peer has gone meanwhile, or somebody else reads from the socket, which is as bad. */
	if (receive_once(n, n->piece, n->npieces, 0) != (ssize_t)bytes) {
		link_down(n); /* nobody needs the chains any more */
		return false;
	}
	h.num_buffers = htole16((uint16_t)n->nused);
	virtq_write(&n->first, 0, &h, sizeof(h));
	virtq_push_all(&n->v.queue[QUEUE_RX], n->used, n->nused);
	return true;
}

static void serve_rx(struct net *n)
{
	struct share share = share_start();
	unsigned done = 0;

	while (n->up && receive(n)) {
		if (++done % NOTIFY_FRAMES == 0)
			virtio_notify_queue(&n->v, QUEUE_RX);
		if (share_spent(&share, &n->v, QUEUE_RX))
			break;
	}
	if (done % NOTIFY_FRAMES)
		virtio_notify_queue(&n->v, QUEUE_RX);
}

/* --- the device ---------------------------------------------------------------------------------- */

static void on_fd(struct watch *w, uint32_t events)
{
	struct net *n = container_of(w, struct net, watch);
	bool room = events & ~(uint32_t)EPOLLIN; /* or the end */

	pthread_mutex_lock(&n->v.lock);
	/* First rx: sending may find the end before all that came ahead of it is received. */
	serve_rx(n);
	if (room)
		watch_for_room(n, false);
	if (room && virtio_running(&n->v))
		serve_tx(n);
	pthread_mutex_unlock(&n->v.lock);
}

static void net_kick(struct virtio *v, unsigned queue)
{
	if (queue == QUEUE_RX)
		serve_rx(of(v));
	else
		serve_tx(of(v));
}

static void net_start(struct virtio *v, uint64_t features)
{
	of(v)->features = features;
}

static uint64_t net_features(struct virtio *v)
{
	(void)v;
	return F(VIRTIO_NET_F_MAC) | F(VIRTIO_NET_F_MTU) | F(VIRTIO_NET_F_MRG_RXBUF) | of_guest.csum |
	       of_guest.tso4 | of_guest.tso6 | of_peer.csum | of_peer.tso4 | of_peer.tso6;
}

/* The fields that are not set belong to features that are not offered. */
static void net_config_read(struct virtio *v, uint32_t offset, void *to, uint32_t n)
{
	struct virtio_net_config c = {
		.status = htole16(of(v)->up ? VIRTIO_NET_S_LINK_UP : 0),
		.mtu = htole16(MTU),
	};

	memcpy(c.mac, of(v)->mac, sizeof(c.mac));
	config_copy(&c, sizeof(c), offset, to, n);
}

static const struct virtio_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.nqueues = NQUEUES,
	.queue_size = VIRTQ_SIZE_MAX,
	.features = net_features,
	.start = net_start,
	.kick = net_kick,
	.config_read = net_config_read,
};

/* Whether messages keep their bounds in it, and it takes the longest one. */
static int check_socket(int fd, struct error *err)
{
	int type, bytes;
	socklen_t n = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &n) < 0)
		return error_sys(err, "cannot use the network's socket");
	if (type != SOCK_SEQPACKET)
		return error_set(err, -EINVAL, "the network's socket is not of type seqpacket");
	/* The kernel counts its own memory, too, and says twice what was asked for (socket(7)). */
	if (bytes < 2 * (int)(HEADER_BYTES + FRAME_MAX))
		return error_set(err, -EINVAL, "the network's socket holds %d bytes, too few for a frame", bytes / 2);
	return 0;
}

struct virtio *net_open(int net_fd, const uint8_t mac[6], struct loop *l, const struct memory *mem, irq_fn *irq,
			void *ud, struct error *err)
{
	auto_fd int fd = net_fd;
	struct net *n;
	int r;

	if (check_socket(fd, err) < 0)
		return NULL;
	n = calloc(1, sizeof(*n));
	if (!n) {
		error_nomem(err);
		return NULL;
	}
	n->loop = l;
	n->watch = WATCH_NONE;
	n->up = true;
	memcpy(n->mac, mac, sizeof(n->mac));
	r = loop_add(l, &n->watch, fd, EPOLLIN | EPOLLET, on_fd);
	if (r < 0) {
		error_code(err, r, "cannot watch the network's socket");
		free(n);
		return NULL;
	}
	n->fd = take_fd(&fd);
	virtio_init(&n->v, &net_ops, mem, irq, ud);
	return &n->v;
}

void net_close(struct virtio *v)
{
	struct net *n;

	if (!v)
		return;
	n = of(v);
	loop_remove(n->loop, &n->watch);
	close_fd(&n->fd);
	virtio_fini(v);
	free(n);
}
