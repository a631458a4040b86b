/* Heads: the fields of a request or an answer, as they come from one session, changed, and given to the other. */
#include "net/http2_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"

#define FIELDS_ROOM (2 * BODY_ROOM)
#define HEAD_COST 256 /* what nghttp2 needs for a head, besides its fields */

int fields_add(struct fields *f, const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len)
{
	uint8_t head[8];
	struct wr w = wr_over(head, sizeof(head));

	if (f->n == HEAD_FIELDS_MAX || name_len > HEAD_MAX || value_len > HEAD_MAX)
		return -E2BIG;
	wr_u32(&w, (uint32_t)name_len);
	wr_u32(&w, (uint32_t)value_len);
	if (!f->b.max)
		f->b = BUF_INIT(HEAD_MAX);
	if (8 + name_len + value_len > buf_room(&f->b) || buf_append(&f->b, head, sizeof(head)) < 0 ||
	    buf_append(&f->b, name, name_len) < 0 || buf_append(&f->b, value, value_len) < 0)
		return -E2BIG;
	f->n++;
	return 0;
}

void fields_clear(struct fields *f)
{
	wipe(&f->b);
	f->n = 0;
}

static bool next(struct rd *r, struct text *name, struct text *value)
{
	name->n = rd_u32(r);
	value->n = rd_u32(r);
	name->p = (const char *)rd_bytes(r, name->n);
	value->p = (const char *)rd_bytes(r, value->n);
	return !r->bad;
}

/* The first of that name; n 0: there is none. */
static struct text get(const struct buf *b, const char *want, size_t *times)
{
	struct rd r = rd_over(buf_data(b), buf_len(b));
	struct text name, value, first = { "", 0 };
	size_t n = 0;

	while (rd_left(&r) && next(&r, &name, &value))
		if (text_is(name, want) && n++ == 0)
			first = value;
	if (times)
		*times = n;
	return first;
}

/* Fields to be sent. Their texts lie in one buffer, which may move until all are there. */
struct sending {
	struct buf text;
	nghttp2_nv v[HEAD_FIELDS_MAX + 3];
	size_t at[HEAD_FIELDS_MAX + 3], n;
};

static void sending_init(struct sending *s)
{
	s->text = BUF_INIT(FIELDS_ROOM);
	s->n = 0;
}

/* A field of which the value is appended by who calls this, and then ended. */
static int begin(struct sending *s, const char *name, size_t n)
{
	s->at[s->n] = buf_len(&s->text);
	s->v[s->n] = (nghttp2_nv){ .namelen = n };
	return buf_append(&s->text, name, n);
}

static void end(struct sending *s, bool secret)
{
	nghttp2_nv *v = &s->v[s->n];

	v->valuelen = buf_len(&s->text) - s->at[s->n] - v->namelen;
	v->flags = secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
	s->n++;
}

static int put(struct sending *s, const char *name, const char *value)
{
	int r = begin(s, name, strlen(name));

	if (r == 0)
		r = buf_append(&s->text, value, strlen(value));
	end(s, false);
	return r;
}

/* In memory, until it goes. HPACK makes a byte of a field, and of a head that has but one: its text says little. */
static size_t cost(const struct sending *s)
{
	return HEAD_COST + s->n * (sizeof(nghttp2_nv) + 2) + buf_len(&s->text);
}

static nghttp2_nv *fields_of(struct sending *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		s->v[i].name = buf_data(&s->text) + s->at[i];
		s->v[i].value = s->v[i].name + s->v[i].namelen;
	}
	return s->v;
}

/* --- requests --------------------------------------------------------------------------------------------- */

/* The status of an answer of ours, or 0: it may pass. */
static unsigned judge(const struct http2 *h, const struct buf *b)
{
	size_t authorities, hosts, methods;
	struct text authority = get(b, ":authority", &authorities), host = get(b, "host", &hosts);
	struct text method = get(b, ":method", &methods), path = get(b, ":path", NULL);

	if (methods != 1 || text_is(method, "connect") || text_is(method, "trace"))
		return 405;
	if (authorities + hosts == 0 || authorities > 1 || hosts > 1)
		return 400;
	/* Else it could name another host, once a server makes HTTP/1.1 of it; nghttp2 asks so of two schemes. */
	if (!path.n || (*path.p != '/' && !text_is(path, "*")))
		return 400;
	if ((authorities && !field_is_authority(authority, h->name, h->port)) ||
	    (hosts && !field_is_authority(host, h->name, h->port)))
		return 421;
	return 0;
}

/* What it is about is in a field. */
int head_refuse(struct stream *s, unsigned status)
{
	struct sending out;
	char text[12];
	int r;

	snprintf(text, sizeof(text), "%u", status);
	sending_init(&out);
	r = put(&out, ":status", text) < 0 || put(&out, "server", "boxlite") < 0 ? NGHTTP2_ERR_NOMEM : 0;
	s->refused = true;
	s->server_closed |= s->server_id < 0;
	if (r == 0)
		r = nghttp2_submit_response(s->h->guest, s->guest_id, fields_of(&out), out.n, NULL);
	wipe(&out.text);
	return r;
}

int head_deny(struct stream *s, unsigned status)
{
	s->h->refused(s->h->ud, refusal_reason(status));
	return head_refuse(s, status);
}

/* A request without a body keeps its length of 0. */
static bool is_dropped(struct text name, bool last)
{
	if (text_is(name, "te") || text_is(name, "trailer")) /* "te: trailers" is how gRPC asks */
		return false;
	return field_is_dropped(name) && !(last && text_is(name, "content-length"));
}

/* length: to be told; < 0: none. */
static int change_request(const struct stream *s, bool last, int64_t length, struct sending *out)
{
	struct rd r = rd_over(buf_data(&s->from_guest.b), buf_len(&s->from_guest.b));
	const struct secret_set *set = s->h->set;
	struct text name, value;
	char text[24];
	int k = 0;

	while (k == 0 && rd_left(&r) && next(&r, &name, &value)) {
		size_t before;

		if (is_dropped(name, last))
			continue;
		k = begin(out, name.p, name.n);
		before = buf_len(&out->text);
		if (k == 0)
			k = text_is(name, ":path") ? swap_put(&set->url, value.p, value.n, &out->text) :
						     field_put(set, name, value, &out->text);
		end(out, k == 0 && (buf_len(&out->text) - before != value.n ||
				    (value.n && memcmp(buf_data(&out->text) + before, value.p, value.n) != 0)));
	}
	if (k == 0 && length >= 0) {
		snprintf(text, sizeof(text), "%lld", (long long)length);
		k = put(out, "content-length", text);
	}
	return k < 0 ? k : put(out, "accept-encoding", "identity");
}

/* Is there room for one more? There is for the first one. */
static bool heads_full(const struct http2 *h, size_t bytes)
{
	return h->heads && h->heads + bytes > HEADS_MAX;
}

static int keep_trailers(struct half *f, struct fields *from)
{
	struct stream *s = f->stream;
	size_t n = buf_len(&from->b);

	if (heads_full(s->h, n) || buf_append(&f->trailers, buf_data(&from->b), n) < 0)
		return nghttp2_submit_rst_stream(f->from, 0, f == &s->up ? s->guest_id : s->server_id,
						 NGHTTP2_ENHANCE_YOUR_CALM);
	s->h->heads += n;
	half_end(f);
	return 0;
}

static int send_request(struct stream *s, bool last, int64_t length)
{
	nghttp2_data_provider source = half_source(&s->up);
	struct sending out;
	int r = 0;

	sending_init(&out);
	if (change_request(s, last, length, &out) < 0) {
		r = head_deny(s, 431);
	} else if (heads_full(s->h, cost(&out))) {
		s->server_closed = true;
		r = nghttp2_submit_rst_stream(s->h->guest, 0, s->guest_id, NGHTTP2_REFUSED_STREAM);
	} else {
		half_queue(&s->up, cost(&out));
		s->server_id = nghttp2_submit_request(s->h->server, NULL, fields_of(&out), out.n,
						      last ? NULL : &source, s);
		if (s->server_id < 0) {
			s->server_closed = true;
			r = nghttp2_submit_rst_stream(s->h->guest, 0, s->guest_id, NGHTTP2_REFUSED_STREAM);
		}
	}
	wipe(&out.text);
	return r;
}

/* The length of its body, if that is told. */
static bool takes_length(const struct stream *s, uint64_t *ret)
{
	size_t times;
	struct text t = get(&s->from_guest.b, "content-length", &times);

	return times == 1 && text_length(t, ret) && *ret;
}

int head_go_on(struct stream *s)
{
	int64_t length = half_release(&s->up);
	int r = length == -ERANGE ? head_deny(s, 413) : send_request(s, false, length);

	fields_clear(&s->from_guest);
	return r;
}

int head_to_server(struct stream *s, bool last)
{
	uint64_t length;
	size_t expects;
	unsigned status;

	if (s->refused)
		return 0;
	if (s->up.hold) /* trailers before the body has come */
		return head_deny(s, 400);
	if (s->server_id >= 0)
		return keep_trailers(&s->up, &s->from_guest);
	status = judge(s->h, &s->from_guest.b);
	if (status)
		return head_deny(s, status);
	s->up.swaps = field_body_swaps(s->h->set, get(&s->from_guest.b, "content-type", NULL));
	s->up.over = last;
	if (last || !takes_length(s, &length))
		return send_request(s, last, -1);
	if (swaps_keep_length(s->up.swaps))
		return send_request(s, false, (int64_t)length);
	/* Who waits to be told to go on must be answered by the server, who needs the head for that. */
	(void)get(&s->from_guest.b, "expect", &expects);
	return half_hold(&s->up, length, !expects && !heads_full(s->h, buf_len(&s->from_guest.b))) ? 0 : head_go_on(s);
}

/* --- answers ---------------------------------------------------------------------------------------------- */

static int scrub(const struct stream *s, const struct buf *from, bool keep_length, struct sending *out)
{
	struct rd r = rd_over(buf_data(from), buf_len(from));
	struct text name, value;
	int k = 0;

	while (k == 0 && rd_left(&r) && next(&r, &name, &value)) {
		if ((!keep_length && text_is(name, "content-length")) || field_name_tells(s->h->set, name))
			continue;
		k = begin(out, name.p, name.n);
		if (k == 0)
			k = swap_put(&s->h->set->scrub, value.p, value.n, &out->text);
		end(out, false);
	}
	return k;
}

int head_to_guest(struct stream *s, bool last)
{
	const struct buf *from = &s->from_server.b;
	nghttp2_data_provider source = half_source(&s->down);
	struct text status = get(from, ":status", NULL);
	struct sending out;
	int r;

	if (s->guest_closed || s->refused)
		return 0;
	if (s->answered)
		return keep_trailers(&s->down, &s->from_server);
	sending_init(&out);
	if (scrub(s, from, last, &out) < 0 || heads_full(s->h, cost(&out))) {
		r = nghttp2_submit_rst_stream(s->h->guest, 0, s->guest_id, NGHTTP2_INTERNAL_ERROR);
	} else if (status.n == 3 && *status.p == '1' && !last) {
		half_queue(&s->down, cost(&out));
		r = nghttp2_submit_headers(s->h->guest, 0, s->guest_id, NULL, fields_of(&out), out.n, NULL);
	} else {
		s->answered = true;
		half_queue(&s->down, cost(&out));
		s->down.swaps = &s->h->set->scrub;
		s->down.over = last;
		r = nghttp2_submit_response(s->h->guest, s->guest_id, fields_of(&out), out.n, last ? NULL : &source);
	}
	wipe(&out.text);
	return r;
}

/* They are of the guest's if they go to the server. */
int trailers_send(struct half *f, int32_t id)
{
	struct stream *s = f->stream;
	struct rd r = rd_over(buf_data(&f->trailers), buf_len(&f->trailers));
	bool up = f == &s->up;
	struct text name, value;
	struct sending out;
	int k = 0;

	sending_init(&out);
	while (k == 0 && rd_left(&r) && next(&r, &name, &value)) {
		if (!up && field_name_tells(s->h->set, name))
			continue;
		k = begin(&out, name.p, name.n);
		if (k == 0)
			k = swap_put(up ? &s->h->set->header : &s->h->set->scrub, value.p, value.n, &out.text);
		end(&out, up);
	}
	s->h->heads -= buf_len(&f->trailers);
	wipe(&f->trailers);
	if (k == 0)
		half_queue(f, cost(&out));
	if (k == 0)
		k = nghttp2_submit_trailer(f->to, id, fields_of(&out), out.n);
	wipe(&out.text);
	return k;
}
