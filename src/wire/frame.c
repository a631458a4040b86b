#include "wire/frame.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

int frame_peek(const struct buf *in, struct frame *ret)
{
	struct rd r = rd_over(buf_data(in), MIN(buf_len(in), (size_t)FRAME_HEADER));
	uint32_t len = rd_u32(&r);
	struct frame f = { .len = len };

	f.type = rd_u8(&r);
	f.flags = rd_u8(&r);
	uint16_t zero = rd_u16(&r);
	f.stream = rd_u32(&r);
	if (r.bad)
		return 0;
	if (len > FRAME_PAYLOAD_MAX || zero != 0 || (f.flags & ~(FRAME_CHANNEL_MASK | FRAME_EOF)) ||
	    (f.flags & FRAME_CHANNEL_MASK) >= CHANNELS)
		return -EBADMSG;
	if (f.type == FRAME_DATA && len > FRAME_DATA_MAX)
		return -EBADMSG;
	if (buf_len(in) < frame_size(&f))
		return 0;
	f.payload = len ? buf_data(in) + FRAME_HEADER : NULL;
	*ret = f;
	return 1;
}

uint8_t *frame_reserve(struct buf *out, size_t n)
{
	uint8_t *at = buf_reserve(out, FRAME_HEADER + n);

	return at ? at + FRAME_HEADER : NULL;
}

void frame_head(void *to, uint8_t type, uint8_t flags, uint32_t stream, size_t len)
{
	struct wr w = wr_over(to, FRAME_HEADER);

	wr_u32(&w, (uint32_t)len);
	wr_u8(&w, type);
	wr_u8(&w, flags);
	wr_u16(&w, 0);
	wr_u32(&w, stream);
}

void frame_commit(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, size_t len)
{
	frame_head(out->mem + out->tail, type, flags, stream, len);
	buf_commit(out, FRAME_HEADER + len);
}

int frame_put(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
	      size_t len)
{
	uint8_t *at;

	if (len > FRAME_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (buf_room(out) < FRAME_HEADER + len)
		return -ENOBUFS;
	at = frame_reserve(out, len);
	if (!at)
		return -ENOMEM;
	if (len)
		memcpy(at, payload, len);
	frame_commit(out, type, flags, stream, len);
	return 0;
}

int frame_put_credit(struct buf *out, uint32_t stream, enum frame_channel ch, uint32_t bytes)
{
	uint8_t payload[4];
	struct wr w = wr_over(payload, sizeof(payload));

	wr_u32(&w, bytes);
	return frame_put(out, FRAME_CREDIT, (uint8_t)ch, stream, payload, sizeof(payload));
}

int frame_get_credit(const struct frame *f, uint32_t *ret)
{
	struct rd r = rd_over(f->payload, f->len);
	uint32_t v = rd_u32(&r);

	if (r.bad || rd_left(&r) || v == 0 || v > FRAME_WINDOW)
		return -EBADMSG;
	*ret = v;
	return 0;
}

int frame_put_close(struct buf *out, uint32_t stream, enum frame_channel ch)
{
	return frame_put(out, FRAME_CLOSE, (uint8_t)ch, stream, NULL, 0);
}

int frame_get_close(const struct frame *f, enum frame_channel *ret)
{
	if (f->len || (f->flags != CHANNEL_STDOUT && f->flags != CHANNEL_STDERR))
		return -EBADMSG;
	*ret = (enum frame_channel)f->flags;
	return 0;
}

const char *frame_name(uint8_t type)
{
	switch ((enum frame_type)type) {
	case FRAME_HELLO: return "HELLO";
	case FRAME_BOOT: return "BOOT";
	case FRAME_READY: return "READY";
	case FRAME_SHUTDOWN: return "SHUTDOWN";
	case FRAME_BYE: return "BYE";
	case FRAME_FAILED: return "FAILED";
	case FRAME_PARKED: return "PARKED";
	case FRAME_START: return "START";
	case FRAME_STARTED: return "STARTED";
	case FRAME_DATA: return "DATA";
	case FRAME_CREDIT: return "CREDIT";
	case FRAME_SIGNAL: return "SIGNAL";
	case FRAME_RESIZE: return "RESIZE";
	case FRAME_EXIT: return "EXIT";
	case FRAME_ATTACH: return "ATTACH";
	case FRAME_CLOSE: return "CLOSE";
	case FRAME_COPY: return "COPY";
	case FRAME_DIAL_UNIX: return "DIAL_UNIX";
	case FRAME_SPEC: return "SPEC";
	case FRAME_MACHINE: return "MACHINE";
	case FRAME_NET: return "NET";
	case FRAME_NET_READY: return "NET_READY";
	case FRAME_NET_DENIED: return "NET_DENIED";
	case FRAME_NET_STATS: return "NET_STATS";
	case FRAME_NET_RESOLV: return "NET_RESOLV";
	case FRAME_NET_SECRETS: return "NET_SECRETS";
	case FRAME_NET_CA: return "NET_CA";
	case FRAME_PUBLISH: return "PUBLISH";
	case FRAME_UNPUBLISH: return "UNPUBLISH";
	case FRAME_RULES: return "RULES";
	case FRAME_DIAL: return "DIAL";
	case FRAME_TIMING: return "TIMING";
	case FRAME_METRICS: return "METRICS";
	case FRAME_TOP: return "TOP";
	case FRAME_RENAME: return "RENAME";
	case FRAME_TRUST: return "TRUST";
	case FRAME_CLOCK: return "CLOCK";
	}
	return "unknown";
}
