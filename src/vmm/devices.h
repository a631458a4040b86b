/*
 * The devices. Each is opened with fds that it owns from then on, also when that fails; serves its queues from
 * virtio_kick() and from the loop that it is given (one thread runs that loop), and is closed when no vCPU runs
 * any more and no thread serves it.
 *
 * `struct virtio *` is the device for the transport; x_close() takes the same.
 *
 * The process ignores SIGPIPE (a reader of the console leaves) and SIGXFSZ (a disk beyond RLIMIT_FSIZE): both
 * are errors of a write here.
 */
#ifndef VMM_DEVICES_H
#define VMM_DEVICES_H

#include "base/error.h"
#include "base/loop.h"
#include "vmm/virtio.h"

typedef void irq_fn(void *ud);

#define BLK_QUEUES_MAX 4

/* A raw file of whole sectors. Read-only is enforced here. Requests are done before virtio_kick() returns, or in
 * one that v->kick_again asks for; those of 1 to BLK_QUEUES_MAX queues side by side, by as many threads that kick. */
struct virtio *blk_open(int fd, bool readonly, unsigned queues, const struct memory *mem, irq_fn *irq, void *ud,
			struct error *err);
void blk_close(struct virtio *v);

/* hvc0: what the guest writes goes to fd (a stream socket, a pipe); never waits for it longer than the fd's buffer:
 * what does not fit is dropped and counted. No input. */
struct virtio *console_open(int fd, const struct memory *mem, irq_fn *irq, void *ud, struct error *err);
void console_close(struct virtio *v);

/* Random bytes from getrandom(2), a bounded number per request. */
struct virtio *rng_open(const struct memory *mem, irq_fn *irq, void *ud, struct error *err);
void rng_close(struct virtio *v);

/* Free-page reporting and inflate: pages go back to the host by MADV_DONTNEED. */
struct virtio *balloon_open(const struct memory *mem, irq_fn *irq, void *ud, struct error *err);
void balloon_close(struct virtio *v);

#define VSOCK_GUEST_CID 3
#define VSOCK_AGENT_PORT 1

/*
 * One stream: the guest connects from CID 3 to the host (CID 2), port VSOCK_AGENT_PORT, and is joined to fd, a stream
 * socket; anything else is refused with RST. Credit both ways: what the fd does not take is not credited, and what the
 * guest gives no credit for stays in the fd. Bounded buffers.
 */
struct virtio *vsock_open(int fd, struct loop *l, const struct memory *mem, irq_fn *irq, void *ud, struct error *err);
void vsock_close(struct virtio *v);

/*
 * A network card of that address whose cable is fd, a seqpacket socket: each message is a frame behind a struct
 * virtio_net_hdr_v1 (little-endian, num_buffers 0), with checksums and segmentation left to who reads it, if the
 * header says so. Both ends' headers are checked; frames with bad ones are dropped. Buffers nothing: the socket's
 * buffers, which whoever made it has set to hold a frame at least, stop whichever end is faster. When the peer goes,
 * the link goes down for good.
 */
struct virtio *net_open(int fd, const uint8_t mac[6], struct loop *l, const struct memory *mem, irq_fn *irq, void *ud,
			struct error *err);
void net_close(struct virtio *v);

#endif
