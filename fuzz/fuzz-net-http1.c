/*
 * A hostile guest and a hostile server: the input is records of a direction and a length (0: the guest's; 1: the
 * server's; more: their end), whose bytes come in this order. A first byte of 255: in the clear. What goes to the
 * server is then read by somebody else (inspect.h), who must find the name that is allowed, and no other.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "net/http1.h"

#define VALUE "qZvalueZq"

static const struct secret_set *make_set(void)
{
	struct net_secrets list = {
		.n = 1, .v = { { "K", "a.example", "boxlite1", 443, (const uint8_t *)VALUE, strlen(VALUE) } },
	};
	static struct secrets *s; /* what the set borrows from */
	struct buf b = BUF_INIT(64 * KIB);

	if (wire_put_net_secrets(&b, &list) == 0)
		s = secrets_new(buf_data(&b) + FRAME_HEADER, buf_len(&b) - FRAME_HEADER, NULL);
	buf_fini(&b);
	return s ? secrets_of(s, "a.example", 443) : NULL;
}

/* Everything that comes out is read at once. */
static void drain(struct buf *out, struct buf *all)
{
	size_t n = MIN(buf_len(out), buf_room(all));

	if (n && buf_append(all, buf_data(out), n) < 0)
		abort();
	if (buf_len(out))
		buf_consume(out, buf_len(out));
}

static bool may(void *ud, enum inspect what, const char *name)
{
	(void)ud;
	return what == INSPECT_HTTP && strcmp(name, "a.example") == 0;
}

static void check_first(const struct buf *sent)
{
	char name[NET_NAME_MAX + 1];
	enum inspect what = inspect_claim(buf_data(sent), buf_len(sent), name);

	if (what != INSPECT_MORE && (what != INSPECT_HTTP || strcmp(name, "a.example") != 0))
		abort();
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
	struct buf all[2] = { BUF_INIT(64 * KIB), BUF_INIT(64 * KIB) };
	struct rd r = rd_over(data, size);
	bool eof[2] = { false, false }, plain;
	struct http1 *h;
	int k = 0, turn;

	if (!set)
		set = make_set();
	plain = size && data[0] == 0xff;
	h = !set ? NULL : plain ? http1_new_plain(may, on_refusal, NULL) :
			  http1_new(set, "a.example", 443, on_refusal, NULL);
	if (!h)
		return 0;
	if (plain)
		rd_u8(&r);
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
		for (turn = 0; k == 0 && turn < 3; turn++) {
			k = http1_request(h, &in[0], &out[1], eof[0]);
			if (k == 0)
				k = http1_answer(h, &in[1], &out[0], eof[1]);
			drain(&out[0], &all[0]);
			drain(&out[1], &all[1]);
		}
	}
	if (plain)
		check_first(&all[1]);
	for (turn = 0; turn < 2; turn++) {
		buf_fini(&in[turn]);
		buf_fini(&out[turn]);
		buf_fini(&all[turn]);
	}
	http1_free(h);
	return 0;
}
