/*
 * A hostile guest and a hostile server that speak HTTP/2: the input is records of a direction and a length (0: the
 * guest's; 1: the server's; more: their end), whose bytes come in this order.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "net/http1.h"
#include "net/http2.h"

static const struct secret_set *make_set(void)
{
	static struct secrets *s; /* what the set borrows from */
	struct net_secrets list = {
		.n = 1, .v = { { "K", "a.example", "boxlite1", 443, (const uint8_t *)"qZvalueZq", 9 } },
	};
	struct buf b = BUF_INIT(64 * KIB);

	if (wire_put_net_secrets(&b, &list) == 0)
		s = secrets_new(buf_data(&b) + FRAME_HEADER, buf_len(&b) - FRAME_HEADER, NULL);
	buf_fini(&b);
	return s ? secrets_of(s, "a.example", 443) : NULL;
}

static void on_refusal(void *ud, const char *reason)
{
	(void)ud, (void)reason;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct secret_set *set;
	struct buf in[2] = { BUF_INIT(1 * MIB), BUF_INIT(1 * MIB) };
	struct buf out[2] = { BUF_INIT(HTTP1_OUT_MAX), BUF_INIT(HTTP1_OUT_MAX) };
	struct rd r = rd_over(data, size);
	bool eof[2] = { false, false };
	struct http2 *h;
	int k = 0, turn;

	if (!set)
		set = make_set();
	h = set ? http2_new(set, "a.example", 443, size & 1, on_refusal, NULL) : NULL;
	if (!h)
		return 0;
	while (k == 0 && rd_left(&r)) {
		unsigned side = rd_u8(&r);
		size_t n = rd_u16(&r);
		const uint8_t *p;

		n = MIN(n, rd_left(&r));
		p = rd_bytes(&r, n);
		if (side < 2 && n && buf_append(&in[side], p, n) < 0)
			break;
		if (side >= 2)
			eof[side & 1] = true;
		for (turn = 0; k == 0 && turn < 2; turn++) {
			k = http2_move(h, &in[0], &out[0], &in[1], &out[1], eof[0], eof[1]);
			buf_consume(&out[0], buf_len(&out[0]));
			buf_consume(&out[1], buf_len(&out[1]));
		}
	}
	(void)http2_over(h);
	for (turn = 0; turn < 2; turn++) {
		buf_fini(&in[turn]);
		buf_fini(&out[turn]);
	}
	http2_free(h);
	return 0;
}
