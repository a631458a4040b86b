/*
 * The header of a vsock packet (virtio 1.2, 5.10.6) in the host's integers. The payload follows it in the
 * chain. The constants are those of <linux/virtio_vsock.h>.
 */
#ifndef VMM_VSOCK_PACKET_H
#define VMM_VSOCK_PACKET_H

#include <linux/virtio_vsock.h>

#include "base/cursor.h"

#define VSOCK_HEADER_BYTES 44
#define VSOCK_SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

struct vsock_packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len; /* of the payload */
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
};

static inline struct vsock_packet vsock_packet_get(const uint8_t from[VSOCK_HEADER_BYTES])
{
	struct rd r = rd_over(from, VSOCK_HEADER_BYTES);
	struct vsock_packet p;

	p.src_cid = rd_u64(&r);
	p.dst_cid = rd_u64(&r);
	p.src_port = rd_u32(&r);
	p.dst_port = rd_u32(&r);
	p.len = rd_u32(&r);
	p.type = rd_u16(&r);
	p.op = rd_u16(&r);
	p.flags = rd_u32(&r);
	p.buf_alloc = rd_u32(&r);
	p.fwd_cnt = rd_u32(&r);
	return p;
}

static inline void vsock_packet_put(uint8_t to[VSOCK_HEADER_BYTES], const struct vsock_packet *p)
{
	struct wr w = wr_over(to, VSOCK_HEADER_BYTES);

	wr_u64(&w, p->src_cid);
	wr_u64(&w, p->dst_cid);
	wr_u32(&w, p->src_port);
	wr_u32(&w, p->dst_port);
	wr_u32(&w, p->len);
	wr_u16(&w, p->type);
	wr_u16(&w, p->op);
	wr_u32(&w, p->flags);
	wr_u32(&w, p->buf_alloc);
	wr_u32(&w, p->fwd_cnt);
}

#endif
