/*
 * A virtio socket device (virtio 1.2, 5.10; section numbers are of that) for exactly one stream: the guest's
 * agent connects to the host's VSOCK_AGENT_PORT, and is joined to fd. "tx" and "rx" are the guest's: it sends
 * to us on tx, we send to it on rx.
 *
 *	guest --tx--> [ out, at most WINDOW ] --send--> fd
 *	guest <--rx-- straight into its buffers <--recv-- fd
 *
 * Theory of operation. There is one function, serve(), that moves everything as far as it goes in both
 * directions. It runs when anything may have changed: a kick of tx or rx, or an edge of the fd. It stops
 * where one of three is lacking, and each of them has something that starts it again: the fd (an edge), the
 * guest's rx buffers (a kick of rx), credit (a packet, hence a kick of tx). And it stops when it has done its
 * share of a turn (serve.h), one for each direction; then it has asked for a kick itself.
 *
 * The fd is watched edge-triggered, once, for good. `readable` and `writable` are what we know of it: set by
 * an edge, cleared by EAGAIN only. So an fd with bytes that the guest gives no credit for does not keep the
 * loop busy, nor does one that has hung up (a level-triggered watch of no events would spin on EPOLLHUP). And
 * the loop's functions, which are its thread's own, are called by vsock_open() and vsock_close() alone:
 * whichever thread kicks may serve(), with the device's lock, and nothing under it blocks.
 *
 * The connection. CONN_NONE until the guest's REQUEST, CONN_OPEN, then CONN_OVER for good: fd is one
 * conversation without a mark where it begins, so a second connection would come in the middle of it. For the
 * same reason a reset of the device leads back to CONN_NONE only if the fd is `unspoilt`: no byte has passed,
 * no half was shut. Before the connection, bytes wait in the fd. After it, what was taken from the guest
 * still goes to the fd, and then the fd is shut: whether the guest closed, broke the rules or was reset, the
 * other end gets all that was sent and then the end.
 *
 * Shutdown. An end of stream at the fd becomes SHUTDOWN with SEND; one that takes nothing any more, SHUTDOWN
 * with RCV. The guest's SHUTDOWN shuts the halves of the fd; with both flags it is answered with RST, and the
 * connection is over. After a SHUTDOWN of ours with both, 5.10.6.5 has us send RST if the guest does not
 * "within an implementation-specific amount of time". Ours is for ever: the one connection holds nothing that
 * another one needs.
 *
 * Interrupts. That tx packets were taken is no news that anybody waits for: the driver only frees them. An interrupt is
 * two exits to us and a worker in the guest, so it comes with the next one of rx, or after LATE_PACKETS of them (a
 * quarter of the queue, if that is less), or LATE_MS.
 *
 * Bounds. The guest may have sent no more than `out` holds (5.10.6.3); one that sends more has its connection
 * reset (its packets are well formed, so the queue goes on), because a byte left out would spoil the stream
 * unseen. What we owe the guest is not queued but derived from the state when there is an rx buffer (owed()),
 * except for the RST that answer packets which are not of the connection. These are at most RESETS_MAX, and
 * while there are as many, tx rests: those are the "additional resources" of 5.10.6.1.
 *
 * A chain that does not hold the packet that it says, or an rx buffer without room for one, means that driver
 * and device do not agree on where packets begin. The device is broken then.
 */
#include "vmm/devices.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clean.h"
#include "vmm/serve.h"
#include "vmm/vsock_packet.h"

enum { QUEUE_RX, QUEUE_TX, QUEUE_EVENT, NQUEUES }; /* 5.10.2 */

#define QUEUE_SIZE 128
#define HOST_CID 2
#define WINDOW (256 * KIB)      /* our buf_alloc */
#define CREDIT_STEP (WINDOW / 4) /* as many bytes taken are told without being asked */
#define PAYLOAD_MAX (64 * KIB)  /* of a packet to the guest */
#define RESETS_MAX 64
#define NOTIFY_PACKETS 32 /* after as many the guest hears of them, though more follow */
#define LATE_PACKETS 16
#define LATE_MS 50

enum conn { CONN_NONE, CONN_OPEN, CONN_OVER };

struct vsock {
	struct virtio v;
	struct loop *loop; /* borrowed */
	struct watch watch, late_watch;
	int late;                 /* owned; the timer of LATE_MS */
	bool late_is_set;
	unsigned untold;          /* tx packets that were taken and the guest was not told of */
	int fd;                   /* owned */
	bool readable, writable;  /* until EAGAIN */
	bool unspoilt;
	uint32_t host_down; /* VIRTIO_VSOCK_SHUTDOWN_*: what the fd's other end does not do any more */
	uint32_t fd_down;   /* halves that we have shut, as the guest's: SEND is SHUT_WR */

	/* The connection. The rest of it means nothing unless it is open. Counters are modulo 2^32. */
	enum conn conn;
	uint32_t guest_port;
	uint32_t guest_down, told_down; /* flags of the guest's SHUTDOWN packets, and of ours */
	uint32_t tx_cnt, peer_fwd_cnt;  /* bytes that we sent, and of those that the guest is done with */
	uint32_t peer_buf_alloc;
	uint32_t fwd_cnt, told_fwd_cnt; /* bytes of the guest that we are done with, and as it knows */
	bool owe_response, owe_credit;

	struct buf out; /* from the guest, for the fd */

	struct vsock_packet resets[RESETS_MAX]; /* a ring of RST for strangers */
	unsigned first_reset, nresets;

	struct virtq_chain chain; /* the one being worked on */
};

static struct vsock *of(struct virtio *v)
{
	return container_of(v, struct vsock, v);
}

/* --- the connection's ends ------------------------------------------------------------------- */

/* Queues RST in answer to p (5.10.6.4: also for an unknown type), never to an RST. serve_tx() saw to room. */
static void refuse(struct vsock *s, const struct vsock_packet *p)
{
	if (p->op == VIRTIO_VSOCK_OP_RST)
		return;
	s->resets[(s->first_reset + s->nresets++) % RESETS_MAX] = (struct vsock_packet){
		.src_cid = p->dst_cid,
		.dst_cid = p->src_cid,
		.src_port = p->dst_port,
		.dst_port = p->src_port,
		.type = p->type,
		.op = VIRTIO_VSOCK_OP_RST,
	};
}

/* The connection ends with this packet of the guest: answered with RST unless it is one. */
static void end_with(struct vsock *s, const struct vsock_packet *p)
{
	s->conn = CONN_OVER;
	refuse(s, p);
}

/* The queues are gone, and the guest's socket with them. */
static void forget(struct vsock *s)
{
	if (s->conn == CONN_OPEN)
		s->conn = s->unspoilt ? CONN_NONE : CONN_OVER;
	s->first_reset = s->nresets = 0;
	s->untold = 0;
}

static void break_device(struct vsock *s, const char *why)
{
	virtio_broken(&s->v, why);
	forget(s);
}

/* Shuts the halves of the fd that the guest does not use any more, but not before it has all bytes. */
static void shut_fd(struct vsock *s)
{
	uint32_t down = s->conn == CONN_OVER ? VSOCK_SHUTDOWN_BOTH : s->conn == CONN_OPEN ? s->guest_down : 0;

	if (buf_len(&s->out))
		down &= ~(uint32_t)VIRTIO_VSOCK_SHUTDOWN_SEND;
	down &= ~s->fd_down;
	if (!down)
		return;
	if (down & VIRTIO_VSOCK_SHUTDOWN_RCV)
		shutdown(s->fd, SHUT_RD);
	if (down & VIRTIO_VSOCK_SHUTDOWN_SEND)
		shutdown(s->fd, SHUT_WR);
	s->fd_down |= down;
	s->unspoilt = false;
}

/* --- guest to fd ----------------------------------------------------------------------------- */

static bool fd_takes(const struct vsock *s)
{
	return s->writable && !(s->host_down & VIRTIO_VSOCK_SHUTDOWN_RCV);
}

/* Sends once: the bytes taken, 0 when it takes none now or ever (fd_takes() tells). */
static size_t send_once(struct vsock *s, struct iovec *v, unsigned nv)
{
	struct msghdr m = { .msg_iov = v, .msg_iovlen = nv };
	ssize_t n;

	do
		n = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		s->fwd_cnt += (uint32_t)n;
		return (size_t)n;
	}
	if (errno == EAGAIN)
		s->writable = false;
	else
		s->host_down |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	return 0;
}

/* Bytes that nobody will take are done with: the guest is told by SHUTDOWN and may still receive. */
static void drop_out(struct vsock *s)
{
	s->fwd_cnt += (uint32_t)buf_len(&s->out);
	buf_consume(&s->out, buf_len(&s->out));
}

static void send_out(struct vsock *s)
{
	while (buf_len(&s->out) && fd_takes(s)) {
		struct iovec v = { .iov_base = buf_data(&s->out), .iov_len = buf_len(&s->out) };

		buf_consume(&s->out, send_once(s, &v, 1));
	}
	if (s->host_down & VIRTIO_VSOCK_SHUTDOWN_RCV)
		drop_out(s);
}

/* RW. To the fd directly while it takes bytes, then to `out`. */
static void take_data(struct vsock *s, const struct vsock_packet *p)
{
	struct iovec v[VIRTQ_CHAIN_MAX];
	size_t done = 0;
	uint8_t *to;

	if (p->len > buf_room(&s->out) || s->guest_down & VIRTIO_VSOCK_SHUTDOWN_SEND) {
		end_with(s, p);
		return;
	}
	if (!p->len)
		return;
	s->unspoilt = false;
	while (done < p->len && !buf_len(&s->out) && fd_takes(s)) {
		unsigned nv = iov_part(v, s->chain.readable, s->chain.nreadable, VSOCK_HEADER_BYTES + done,
				       p->len - done);

		done += send_once(s, v, nv);
	}
	if (done == p->len)
		return;
	to = buf_reserve(&s->out, p->len - done);
	if (!to) {
		end_with(s, p); /* no memory */
		return;
	}
	buf_commit(&s->out, virtq_read(&s->chain, VSOCK_HEADER_BYTES + done, to, p->len - done));
	if (s->host_down & VIRTIO_VSOCK_SHUTDOWN_RCV)
		drop_out(s);
}

/*
 * buf_alloc and fwd_cnt of any packet of the connection (5.10.6.3). False if it is done with bytes that were
 * never sent. A driver may fill in the headers of two packets in one order and send them in the other, so a
 * fwd_cnt that has gone back is an old header and says nothing new. The two cannot be confused: there are
 * never more than INT32_MAX under way, see credit().
 */
static bool take_credit(struct vsock *s, const struct vsock_packet *p)
{
	uint32_t under_way = s->tx_cnt - p->fwd_cnt;

	if (under_way > INT32_MAX)
		return false;
	if (under_way <= s->tx_cnt - s->peer_fwd_cnt) {
		s->peer_fwd_cnt = p->fwd_cnt;
		s->peer_buf_alloc = p->buf_alloc;
	}
	return true;
}

/* Bytes that the guest has room for, which may be less than are under way: it may make its buffer smaller. */
static uint32_t credit(const struct vsock *s)
{
	uint32_t under_way = s->tx_cnt - s->peer_fwd_cnt;
	uint32_t window = MIN(s->peer_buf_alloc, (uint32_t)INT32_MAX);

	return window > under_way ? window - under_way : 0;
}

static void take_request(struct vsock *s, const struct vsock_packet *p)
{
	if (s->conn != CONN_NONE || p->fwd_cnt) {
		refuse(s, p);
		return;
	}
	s->conn = CONN_OPEN;
	s->guest_port = p->src_port;
	s->guest_down = s->told_down = 0;
	s->tx_cnt = s->peer_fwd_cnt = 0;
	s->peer_buf_alloc = p->buf_alloc;
	s->fwd_cnt = s->told_fwd_cnt = 0;
	s->owe_response = true;
	s->owe_credit = false;
}

/* A packet of the open connection. */
static void take_ours(struct vsock *s, const struct vsock_packet *p)
{
	if (!take_credit(s, p)) {
		end_with(s, p);
		return;
	}
	switch (p->op) {
	case VIRTIO_VSOCK_OP_RW:
		take_data(s, p);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		s->owe_credit = true;
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		s->guest_down |= p->flags & VSOCK_SHUTDOWN_BOTH; /* 5.10.6.5: never taken back */
		if (s->guest_down == VSOCK_SHUTDOWN_BOTH)
			end_with(s, p);
		break;
	default: /* RST; what is unknown; REQUEST and RESPONSE: the guest takes this for another connection */
		end_with(s, p);
	}
}

static void take_packet(struct vsock *s, const struct vsock_packet *p)
{
	bool addressed = p->src_cid == VSOCK_GUEST_CID && p->dst_cid == HOST_CID &&
			 p->dst_port == VSOCK_AGENT_PORT && p->type == VIRTIO_VSOCK_TYPE_STREAM;

	if (addressed && s->conn == CONN_OPEN && p->src_port == s->guest_port)
		take_ours(s, p);
	else if (addressed && p->op == VIRTIO_VSOCK_OP_REQUEST)
		take_request(s, p);
	else
		refuse(s, p);
}

/* The next chain of a queue into s->chain. Where there is none, the driver will kick when there is. */
static bool next_chain(struct vsock *s, unsigned queue)
{
	struct virtq *q = &s->v.queue[queue];
	int r;

	virtq_kicks_off(q);
	while ((r = virtq_pop(q, &s->chain)) == 0)
		if (!virtq_kicks_on(q))
			return false;
	if (r < 0)
		break_device(s, "a vsock queue that makes no sense");
	return r == 1;
}

static void tell(struct vsock *s, unsigned queues)
{
	if (s->untold)
		queues |= 1U << QUEUE_TX;
	s->untold = 0;
	virtio_notify_queues(&s->v, queues);
}

/* True if there may be more to do: it has not asked for another kick. */
static bool serve_tx(struct vsock *s, struct share *share)
{
	struct virtq *q = &s->v.queue[QUEUE_TX];
	unsigned most = MIN(LATE_PACKETS, MAX(q->size / 4U, 1U));
	bool more = true;

	/* A packet is answered with one RST at most. */
	while (more && s->nresets < RESETS_MAX && next_chain(s, QUEUE_TX)) {
		uint8_t header[VSOCK_HEADER_BYTES];
		struct vsock_packet p;

		if (virtq_read(&s->chain, 0, header, sizeof(header)) < sizeof(header)) {
			break_device(s, "a vsock packet without a whole header");
			return false;
		}
		p = vsock_packet_get(header);
		if (p.len > s->chain.readable_bytes - sizeof(header)) {
			break_device(s, "a vsock packet that is longer than its chain");
			return false;
		}
		take_packet(s, &p);
		virtq_push(q, &s->chain, 0);
		if (++s->untold >= most)
			tell(s, 0);
		more = !share_spent(share, &s->v, QUEUE_TX);
	}
	return more;
}

/* --- fd to guest ----------------------------------------------------------------------------- */

/* The operation of the next packet without payload that the guest is to get, INVALID: none. */
static uint16_t owed(const struct vsock *s)
{
	if (s->nresets)
		return VIRTIO_VSOCK_OP_RST;
	if (s->conn != CONN_OPEN)
		return VIRTIO_VSOCK_OP_INVALID;
	if (s->owe_response)
		return VIRTIO_VSOCK_OP_RESPONSE;
	if (s->host_down != s->told_down)
		return VIRTIO_VSOCK_OP_SHUTDOWN;
	if (s->owe_credit || s->fwd_cnt - s->told_fwd_cnt >= CREDIT_STEP)
		return VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	return VIRTIO_VSOCK_OP_INVALID;
}

static bool may_receive(const struct vsock *s)
{
	return s->conn == CONN_OPEN && s->readable && !(s->host_down & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(s->guest_down & VIRTIO_VSOCK_SHUTDOWN_RCV) && credit(s);
}

/* Hands s->chain, which has its payload, back with its header. */
static void push_packet(struct vsock *s, const struct vsock_packet *p)
{
	uint8_t header[VSOCK_HEADER_BYTES];

	vsock_packet_put(header, p);
	virtq_write(&s->chain, 0, header, sizeof(header));
	virtq_push(&s->v.queue[QUEUE_RX], &s->chain, (uint32_t)sizeof(header) + p->len);
}

static void push_ours(struct vsock *s, uint16_t op, uint32_t flags, uint32_t len)
{
	struct vsock_packet p = {
		.src_cid = HOST_CID,
		.dst_cid = VSOCK_GUEST_CID,
		.src_port = VSOCK_AGENT_PORT,
		.dst_port = s->guest_port,
		.len = len,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.flags = flags,
		.buf_alloc = WINDOW,
		.fwd_cnt = s->fwd_cnt,
	};

	push_packet(s, &p);
	s->told_fwd_cnt = s->fwd_cnt;
	s->owe_credit = false;
}

static void push_owed(struct vsock *s, uint16_t op)
{
	switch (op) {
	case VIRTIO_VSOCK_OP_RST:
		push_packet(s, &s->resets[s->first_reset]);
		s->first_reset = (s->first_reset + 1) % RESETS_MAX;
		s->nresets--;
		return;
	case VIRTIO_VSOCK_OP_RESPONSE:
		s->owe_response = false;
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		s->told_down = s->host_down;
		push_ours(s, op, s->host_down, 0);
		return;
	}
	push_ours(s, op, 0, 0);
}

/* Receives once into s->chain. False if it was not used: the fd has no bytes, now or ever. */
static bool receive(struct vsock *s)
{
	size_t most = MIN(MIN(credit(s), PAYLOAD_MAX), s->chain.writable_bytes - VSOCK_HEADER_BYTES);
	struct iovec v[VIRTQ_CHAIN_MAX];
	struct msghdr m = { .msg_iov = v };
	ssize_t n;

	m.msg_iovlen = iov_part(v, s->chain.writable, s->chain.nwritable, VSOCK_HEADER_BYTES, most);
	do
		n = recvmsg(s->fd, &m, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		s->unspoilt = false;
		s->tx_cnt += (uint32_t)n;
		push_ours(s, VIRTIO_VSOCK_OP_RW, 0, (uint32_t)n);
		return true;
	}
	if (n < 0 && errno == EAGAIN)
		s->readable = false;
	else
		s->host_down |= n < 0 ? VSOCK_SHUTDOWN_BOTH : VIRTIO_VSOCK_SHUTDOWN_SEND;
	return false;
}

/* As serve_tx(). */
static bool serve_rx(struct vsock *s, struct share *share)
{
	bool more = true;
	unsigned n = 0;
	uint16_t op;

	while (more && ((op = owed(s)) != VIRTIO_VSOCK_OP_INVALID || may_receive(s)) && next_chain(s, QUEUE_RX)) {
		if (s->chain.writable_bytes <= VSOCK_HEADER_BYTES) {
			break_device(s, "a vsock rx buffer without room for a packet");
			return false;
		}
		if (op != VIRTIO_VSOCK_OP_INVALID)
			push_owed(s, op);
		else if (!receive(s)) {
			virtq_unpop(&s->v.queue[QUEUE_RX]);
			continue;
		}
		if (++n % NOTIFY_PACKETS == 0)
			tell(s, 1U << QUEUE_RX);
		more = !share_spent(share, &s->v, QUEUE_RX);
	}
	if (n % NOTIFY_PACKETS)
		tell(s, 1U << QUEUE_RX);
	return more;
}

static void serve(struct vsock *s)
{
	struct share tx = share_start(), rx = share_start();
	bool rested, more;

	send_out(s);
	do {
		if (!virtio_running(&s->v))
			break;
		more = serve_tx(s, &tx);
		rested = s->nresets == RESETS_MAX;
		more &= serve_rx(s, &rx);
	} while (more && rested && s->nresets < RESETS_MAX);
	shut_fd(s);
	if (s->untold && !s->late_is_set) {
		loop_timer_set(s->late, LATE_MS);
		s->late_is_set = true;
	}
}

/* --- the device ------------------------------------------------------------------------------ */

static void on_late(struct watch *w, uint32_t events)
{
	struct vsock *s = container_of(w, struct vsock, late_watch);
	uint64_t n;

	(void)events;
	pthread_mutex_lock(&s->v.lock);
	(void)!read(s->late, &n, sizeof(n));
	s->late_is_set = false;
	tell(s, 0);
	pthread_mutex_unlock(&s->v.lock);
}

static void on_fd(struct watch *w, uint32_t events)
{
	struct vsock *s = container_of(w, struct vsock, watch);

	pthread_mutex_lock(&s->v.lock);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		s->readable = true;
	if (events & EPOLLOUT)
		s->writable = true;
	/* It may have bytes for us; it takes none. */
	if (events & (EPOLLHUP | EPOLLERR))
		s->host_down |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	serve(s);
	pthread_mutex_unlock(&s->v.lock);
}

static uint64_t vsock_features(struct virtio *v)
{
	(void)v;
	return 0; /* no bit set: streams only (5.10.3) */
}

/* The event queue's buffers wait for a transport reset (5.10.6.7), which this device never has. */
static void vsock_kick(struct virtio *v, unsigned queue)
{
	if (queue != QUEUE_EVENT)
		serve(of(v));
}

static void vsock_reset(struct virtio *v)
{
	forget(of(v));
	shut_fd(of(v));
}

static void vsock_config_read(struct virtio *v, uint32_t offset, void *to, uint32_t n)
{
	uint8_t config[sizeof(struct virtio_vsock_config)];
	struct wr w = wr_over(config, sizeof(config));

	(void)v;
	wr_u64(&w, VSOCK_GUEST_CID);
	config_copy(config, sizeof(config), offset, to, n);
}

static const struct virtio_ops vsock_ops = {
	.id = VIRTIO_ID_VSOCK,
	.nqueues = NQUEUES,
	.queue_size = QUEUE_SIZE,
	.features = vsock_features,
	.kick = vsock_kick,
	.reset = vsock_reset,
	.config_read = vsock_config_read,
};

struct virtio *vsock_open(int agent_fd, struct loop *l, const struct memory *mem, irq_fn *irq, void *ud,
			  struct error *err)
{
	auto_fd int fd = agent_fd;
	struct vsock *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		error_nomem(err);
		return NULL;
	}
	s->loop = l;
	s->watch = s->late_watch = WATCH_NONE;
	s->readable = s->writable = s->unspoilt = true;
	r = s->late = loop_timer_fd();
	if (r >= 0)
		r = loop_add(l, &s->late_watch, s->late, EPOLLIN, on_late);
	if (r >= 0)
		r = loop_add(l, &s->watch, fd, EPOLLIN | EPOLLOUT | EPOLLET, on_fd);
	if (r < 0) {
		error_code(err, r, "cannot watch the agent's socket");
		loop_remove(l, &s->late_watch);
		close_fd(&s->late);
		free(s);
		return NULL;
	}
	s->fd = take_fd(&fd);
	buf_init(&s->out, WINDOW);
	virtio_init(&s->v, &vsock_ops, mem, irq, ud);
	return &s->v;
}

void vsock_close(struct virtio *v)
{
	struct vsock *s;

	if (!v)
		return;
	s = of(v);
	loop_remove(s->loop, &s->watch);
	loop_remove(s->loop, &s->late_watch);
	close_fd(&s->late);
	close_fd(&s->fd);
	buf_fini(&s->out);
	virtio_fini(v);
	free(s);
}
