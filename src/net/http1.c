/*
 * Two streams, each message by message: a head, and a body (http1_body.h).
 *
 *	READ_HEAD --> HOLD --> BODY --> READ_HEAD		request and answer alike
 *	    |           (all of it is taken, or its beginning; then its new length is known)
 *	    +--> WAIT --> RAW or READ_HEAD		a request with Upgrade: websocket, until it is answered
 *
 * Requests may come before earlier ones are answered; how each of them is to be answered is kept in a ring (RFC 9112,
 * 9.3.2), and when that is full no more are read. Everything is bounded by the buffers: nothing is taken from one that
 * does not fit into the other.
 *
 * Strictness. The guest is hostile, and so may be a program in it that lets others write parts of a request. What two
 * readers could take differently is refused, and what goes out is written anew from what was understood: one framing,
 * our own chunks. A request for another host is refused as well (field_is_authority()).
 */
#include "net/http1.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/field.h"

#define PIPELINE_MAX 32

enum stage { READ_HEAD, HOLD, BODY, WAIT, RAW, STOP };

/* What is remembered of a request until it is answered. */
struct asked {
	bool head;    /* no body comes back */
	bool upgrade; /* to websocket */
	bool old;     /* HTTP/1.0: knows no chunks */
};

/* One of the two streams. */
struct stream {
	enum stage stage;
	struct body body;
	struct buf head; /* written, but for its length: while in HOLD */
	bool upgrades;   /* WAIT comes next */
};

struct http1 {
	const struct secret_set *set;
	const char *name;
	uint16_t port;
	http1_may *may; /* in the clear; NULL: to a secret's host */
	refusal_fn *refused;
	void *ud;       /* of both */
	struct stream request, answer;
	struct asked ring[PIPELINE_MAX];
	unsigned first, n;
	unsigned refuse; /* status of the answer of our own; 0: none */
	const char *why;
	bool over, closes; /* after this answer */
};

struct http1 *http1_new(const struct secret_set *set, const char *name, uint16_t port, refusal_fn *refused, void *ud)
{
	struct http1 *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	*h = (struct http1){ .set = set, .name = name, .port = port, .refused = refused, .ud = ud };
	body_init(&h->request.body);
	body_init(&h->answer.body);
	h->request.head = h->answer.head = BUF_INIT(BODY_ROOM);
	return h;
}

struct http1 *http1_new_plain(http1_may *may, refusal_fn *refused, void *ud)
{
	static struct secret_set none;
	struct http1 *h = http1_new(&none, NULL, 0, refused, ud);

	if (h)
		h->may = may;
	return h;
}

void http1_free(struct http1 *h)
{
	if (!h)
		return;
	body_fini(&h->request.body);
	body_fini(&h->answer.body);
	wipe(&h->request.head);
	wipe(&h->answer.head);
	free(h);
}

size_t http1_held(const struct http1 *h)
{
	return h->request.head.cap + h->answer.head.cap + body_held(&h->request.body) + body_held(&h->answer.body);
}

void http1_trim(struct http1 *h)
{
	if (!buf_len(&h->request.body.work))
		wipe(&h->request.body.work);
	if (!buf_len(&h->answer.body.work))
		wipe(&h->answer.body.work);
}

bool http1_over(const struct http1 *h)
{
	return h->over;
}

int http1_put_refusal(struct buf *guest, unsigned status, const char *why)
{
	return buf_printf(guest,
			  "HTTP/1.1 %u boxlite\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
			  "Connection: close\r\n\r\nboxlite: %s\n",
			  status, strlen(why) + strlen("boxlite: \n"), why);
}

/* The guest hears `why`, and who has made this the reason; NULL: it was told. */
static void refuse(struct http1 *h, unsigned status, const char *why, const char *reason)
{
	if (reason)
		h->refused(h->ud, reason);
	h->refuse = status;
	h->why = why;
	h->request.stage = STOP;
}

/* --- heads ------------------------------------------------------------------------------------------------ */

static int put_text(struct buf *out, const char *text)
{
	return buf_append(out, text, strlen(text));
}

/* Ends a head with how its body is framed. */
static int put_framing(struct buf *out, enum framing to, uint64_t length)
{
	if (to == FRAMING_LENGTH)
		return buf_printf(out, "Content-Length: %llu\r\n\r\n", (unsigned long long)length);
	return put_text(out, to == FRAMING_CHUNKED ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
}

static bool is_framing(struct text name)
{
	return text_is(name, "content-length") || text_is(name, "transfer-encoding");
}

static int put_field_name(struct buf *out, struct text name)
{
	int r = buf_append(out, name.p, name.n);

	return r < 0 ? r : put_text(out, ": ");
}

/* In the clear the server may answer in any coding. */
static bool is_dropped(const struct http1 *h, struct text name, bool websocket)
{
	if (h->may && text_is(name, "accept-encoding"))
		return false;
	return field_is_dropped(name) || (!websocket && text_is(name, "upgrade"));
}

static int put_request_head(const struct http1 *h, const struct head *head, bool websocket, struct buf *out)
{
	int r = buf_append(out, head->method.p, head->method.n);
	size_t i;

	if (r == 0)
		r = put_text(out, " ");
	if (r == 0)
		r = swap_put(&h->set->url, head->target.p, head->target.n, out);
	if (r == 0)
		r = put_text(out, head->minor ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
	for (i = 0; r == 0 && i < head->n; i++) {
		const struct head_field *f = &head->fields[i];

		if (is_dropped(h, f->name, websocket))
			continue;
		r = put_field_name(out, f->name);
		if (r == 0)
			r = h->may ? buf_append(out, f->value.p, f->value.n) :
				     field_put(h->set, f->name, f->value, out);
		if (r == 0)
			r = put_text(out, "\r\n");
	}
	return r < 0 || h->may ? r : put_text(out, "Accept-Encoding: identity\r\n");
}

/* keep: how the body is framed is said as it was. */
static int put_answer_head(const struct http1 *h, const struct head *head, bool keep, bool close, struct buf *out)
{
	const struct swaps *s = &h->set->scrub;
	int r = put_text(out, "HTTP/1.1"); /* whatever it was: what it has is ours */
	size_t i;

	if (r == 0)
		r = swap_put(s, head->status_line.p + 8, head->status_line.n - 8, out);
	if (r == 0)
		r = put_text(out, "\r\n");
	for (i = 0; r == 0 && i < head->n; i++) {
		const struct head_field *f = &head->fields[i];

		if ((!keep && is_framing(f->name)) || (close && text_is(f->name, "connection")) ||
		    text_is(f->name, "trailer") || field_name_tells(h->set, f->name))
			continue;
		r = put_field_name(out, f->name);
		if (r == 0)
			r = swap_put(s, f->value.p, f->value.n, out);
		if (r == 0)
			r = put_text(out, "\r\n");
	}
	if (r == 0 && close)
		r = put_text(out, "Connection: close\r\n");
	return r;
}

static struct text value_of(const struct head *head, const char *name)
{
	const struct head_field *f = head_get(head, name);

	return f ? f->value : (struct text){ "", 0 };
}

/*
 * How a body leaves, and whether it is held before (true). `fixable`, of requests: a long one keeps its length, for
 * there are servers that take no other (411), and who has much to send has mostly nothing to replace in it. A short one
 * that cannot be held keeps its values, and goes in chunks.
 */
static bool choose(struct body *b, bool chunks, bool may_hold, bool fixable)
{
	bool length = b->from == FRAMING_LENGTH;

	if (b->from == FRAMING_NONE || (length && !b->left))
		return false;
	if (b->from != FRAMING_CHUNKED && swaps_keep_length(b->swaps))
		return false;
	if (length && may_hold && body_hold(b))
		return true;
	if (length && fixable && b->left > BODY_WHOLE_MAX) {
		body_fix(b, may_hold);
		return may_hold;
	}
	b->to = chunks ? FRAMING_CHUNKED : FRAMING_CLOSE;
	return false;
}

/* The head that was held goes out, with the length that is known now. */
static int release_head(struct stream *s, struct buf *out)
{
	int64_t length = body_release(&s->body);
	int r = length < 0 ? -ENOBUFS : buf_append(out, buf_data(&s->head), buf_len(&s->head));

	if (r == 0)
		r = put_framing(out, FRAMING_LENGTH, (uint64_t)length);
	wipe(&s->head);
	s->stage = BODY;
	return r;
}

/* Whether a head goes to `out` at once, or waits for its length. */
static int put_head_end(struct stream *s, bool hold, uint64_t length)
{
	s->stage = hold ? HOLD : BODY;
	return hold ? 0 : put_framing(&s->head, s->body.to, length);
}

static int flush_head(struct stream *s, struct buf *out)
{
	int r = s->stage == HOLD ? 0 : buf_append(out, buf_data(&s->head), buf_len(&s->head));

	if (s->stage != HOLD)
		wipe(&s->head);
	return r;
}

/* --- requests --------------------------------------------------------------------------------------------- */

/* In the clear. `p`, `n`: the head as it came. What is wrong with it, or NULL. */
static const char *judge_plain(const struct http1 *h, const struct head *head, const uint8_t *p, size_t n,
			       unsigned *status, bool *told)
{
	char name[NET_NAME_MAX + 1] = "";
	enum inspect what = inspect_claim(p, n, name);

	*status = 405;
	if (text_is(head->method, "connect"))
		return "CONNECT is not for a connection in the clear";
	*status = what == INSPECT_HTTP ? 421 : 400;
	if (h->may(h->ud, what == INSPECT_HTTP ? what : INSPECT_BAD, name))
		return NULL;
	*told = true;
	return what == INSPECT_HTTP ? "the rules of this box do not allow this host here" :
				      "a request needs one Host";
}

/* Likewise, to a secret's host. */
static const char *judge(const struct http1 *h, const struct head *head, unsigned *status)
{
	const struct head_field *host = head_get(head, "host");
	size_t i, hosts = 0;

	for (i = 0; i < head->n; i++)
		hosts += text_is(head->fields[i].name, "host");
	*status = 400;
	if (hosts != 1)
		return "a request needs one Host";
	if (*head->target.p != '/' && !(head->target.n == 1 && *head->target.p == '*'))
		return "a request's target must be a path";
	*status = 405;
	if (text_is(head->method, "connect") || text_is(head->method, "trace"))
		return "this method is not for a host with a secret";
	*status = 421;
	return field_is_authority(host->value, h->name, h->port) ? NULL :
								   "this connection is for another host than the request";
}

/* And nothing else: a server could choose that, behind which nobody would ask about requests. */
static bool wants_websocket(const struct head *head)
{
	size_t i, upgrades = 0;

	for (i = 0; i < head->n; i++)
		upgrades += text_is(head->fields[i].name, "upgrade");
	return upgrades == 1 && text_is(value_of(head, "upgrade"), "websocket") && head->minor &&
	       text_has(value_of(head, "connection"), "upgrade") && head->framing == FRAMING_NONE;
}

static int begin_request(struct http1 *h, const struct head *head)
{
	struct asked *asked = &h->ring[(h->first + h->n) % PIPELINE_MAX];
	bool websocket = wants_websocket(head);
	const struct swaps *swaps = field_body_swaps(h->set, value_of(head, "content-type"));
	struct stream *s = &h->request;
	bool hold;
	int r;

	body_begin(&s->body, head->framing, head->length, head->framing, swaps);
	/* Who waits to be told to go on must be answered by the server, who needs the head for that. */
	hold = choose(&s->body, head->minor, !head_get(head, "expect"), true);
	if (s->body.to == FRAMING_CLOSE) {
		refuse(h, 413, "a body that long needs HTTP/1.1", refusal_reason(413));
		return 0;
	}
	*asked = (struct asked){ text_is(head->method, "head"), websocket, head->minor == 0 };
	h->n++;
	s->upgrades = websocket;
	r = put_request_head(h, head, websocket, &s->head);
	if (r == 0)
		r = put_head_end(s, hold, head->length);
	if (r == -ENOBUFS) {
		h->n--;
		refuse(h, 431, "a request's head is too long", refusal_reason(431));
		return 0;
	}
	return r;
}

/* Before a request, as some clients send them (RFC 9112, 2.2). */
static void skip_empty_lines(struct buf *guest)
{
	while (buf_len(guest) >= 2 && memcmp(buf_data(guest), "\r\n", 2) == 0)
		buf_consume(guest, 2);
}

/* As head_find(). In the clear, what other readers take for a whole head (their lines may end otherwise) is none. */
static ssize_t find_request(const struct http1 *h, const struct buf *guest)
{
	ssize_t n = head_find(buf_data(guest), buf_len(guest));
	char name[NET_NAME_MAX + 1];

	if (n == 0 && h->may && buf_len(guest) && inspect_claim(buf_data(guest), buf_len(guest), name) != INSPECT_MORE)
		return -EBADMSG;
	return n;
}

/* > 0: it went on. */
static int read_request(struct http1 *h, struct buf *guest, struct buf *server, bool eof)
{
	struct head head;
	const char *wrong = "a malformed request";
	unsigned status = 400;
	bool told = false;
	ssize_t n;
	int r;

	if (h->n == PIPELINE_MAX || buf_room(server) < BODY_ROOM)
		return 0;
	if (h->may)
		skip_empty_lines(guest);
	n = find_request(h, guest);
	if (n == 0 && eof)
		h->request.stage = STOP;
	if (n == 0)
		return 0;
	if (n > 0 && head_parse(buf_data(guest), (size_t)n, true, &head) == 0)
		wrong = h->may ? judge_plain(h, &head, buf_data(guest), (size_t)n, &status, &told) :
				 judge(h, &head, &status);
	else if (h->may)
		told = !h->may(h->ud, INSPECT_BAD, "");
	if (wrong) {
		refuse(h, status, wrong, told ? NULL : refusal_reason(status));
		return 0;
	}
	r = begin_request(h, &head);
	buf_consume(guest, (size_t)n);
	if (r == 0 && h->request.stage != STOP)
		r = flush_head(&h->request, server);
	return r < 0 ? r : 1;
}

static int move_raw(struct http1 *h, struct buf *in, struct buf *out, bool eof)
{
	size_t n = MIN(buf_len(in), buf_room(out));
	int r = buf_append(out, buf_data(in), n);

	if (r == 0 && n)
		buf_consume(in, n);
	h->over |= eof && !buf_len(in); /* either side ends a websocket */
	return r;
}

/* The body of either stream: > 0 it is over, or its head has gone; 0: more is needed. */
static int move_body(struct stream *s, struct buf *in, struct buf *out, bool eof)
{
	int r = body_take(&s->body, in, eof);

	if (r < 0)
		return r;
	if (s->stage == HOLD) {
		if (!body_is_held(&s->body) || buf_room(out) < BODY_ROOM)
			return 0;
		r = release_head(s, out);
		return r < 0 ? r : 1;
	}
	r = body_put(&s->body, out);
	return r < 0 ? r : s->body.over;
}

/* What its body still has cannot be replaced: the server gets no more of it, the guest an answer if there is none. */
static int give_up(struct http1 *h)
{
	h->refused(h->ud, "secret-late");
	if (!h->n || (h->n == 1 && h->answer.stage != READ_HEAD)) /* a server may answer before all has come */
		return -EPERM;
	h->n--;
	refuse(h, 413, "a placeholder behind the first MiB of a body with a length cannot be replaced", NULL);
	return 0;
}

int http1_request(struct http1 *h, struct buf *guest, struct buf *server, bool eof)
{
	struct stream *s = &h->request;
	int r = 1;

	while (r > 0) {
		switch (s->stage) {
		case READ_HEAD:
			r = read_request(h, guest, server, eof);
			break;
		case HOLD:
		case BODY:
			r = move_body(s, guest, server, eof);
			if (r == -EPERM)
				return give_up(h);
			if (r == -EBADMSG && buf_len(guest)) /* not cut short, but in chunks that are none */
				h->refused(h->ud, refusal_reason(400));
			if (r > 0 && s->body.over)
				s->stage = s->upgrades ? WAIT : READ_HEAD;
			break;
		case RAW:
			return move_raw(h, guest, server, eof);
		default:
			return 0;
		}
	}
	return r;
}

/* --- answers ---------------------------------------------------------------------------------------------- */

static bool has_body(const struct asked *asked, unsigned status)
{
	return !asked->head && status >= 200 && status != 204 && status != 304;
}

static bool server_closes(const struct head *head)
{
	struct text t = value_of(head, "connection");

	return text_has(t, "close") || (head->minor == 0 && !text_has(t, "keep-alive"));
}

/* 100, 103: the answer itself is still to come. */
static int pass_interim(struct http1 *h, const struct head *head)
{
	struct stream *s = &h->answer;
	int r = put_answer_head(h, head, true, false, &s->head);

	body_begin(&s->body, FRAMING_NONE, 0, FRAMING_NONE, &h->set->scrub);
	if (r == 0)
		r = put_text(&s->head, "\r\n");
	s->stage = READ_HEAD;
	return r;
}

static int switch_protocols(struct http1 *h, const struct head *head)
{
	int r = put_answer_head(h, head, true, false, &h->answer.head);

	if (r == 0)
		r = put_text(&h->answer.head, "\r\n");
	h->request.stage = h->answer.stage = RAW;
	h->n = 0;
	return r;
}

static int begin_answer(struct http1 *h, const struct head *head)
{
	const struct asked *asked = &h->ring[h->first];
	const struct swaps *swaps = &h->set->scrub;
	enum framing from = has_body(asked, head->status) ? head->framing : FRAMING_NONE;
	struct stream *s = &h->answer;
	bool hold;
	int r;

	if (head->status == 101)
		return asked->upgrade && h->n == 1 ? switch_protocols(h, head) : -EBADMSG;
	if (head->status < 200)
		return pass_interim(h, head);
	/* Whatever its Content-Encoding says, in which a guest may have a say: packed data have no value in them. */
	body_begin(&s->body, from, head->length, from, swaps);
	hold = choose(&s->body, !asked->old, true, false);
	h->closes = s->body.to == FRAMING_CLOSE || from == FRAMING_CLOSE || server_closes(head);
	r = put_answer_head(h, head, from == FRAMING_NONE, h->closes, &s->head);
	return r < 0 ? r : put_head_end(s, hold, head->length);
}

/* The server has said its last: so have we, and what was refused is told now. */
static int end_answers(struct http1 *h, struct buf *guest)
{
	int r = h->refuse && !h->n ? http1_put_refusal(guest, h->refuse, h->why) : 0;

	h->over = true;
	h->answer.stage = STOP;
	return r;
}

static int read_answer(struct http1 *h, struct buf *server, struct buf *guest, bool eof)
{
	struct head head;
	ssize_t n;
	int r;

	if (buf_room(guest) < BODY_ROOM)
		return 0;
	if (h->n == 0 && h->request.stage == STOP)
		return end_answers(h, guest);
	n = head_find(buf_data(server), buf_len(server));
	if (n == 0)
		return eof ? end_answers(h, guest) : 0;
	if (n < 0 || h->n == 0 || head_parse(buf_data(server), (size_t)n, false, &head) < 0)
		return -EBADMSG;
	r = begin_answer(h, &head);
	buf_consume(server, (size_t)n);
	if (r == 0)
		r = flush_head(&h->answer, guest);
	return r < 0 ? r : 1;
}

/* An answer is complete. */
static void next_answer(struct http1 *h)
{
	if (h->ring[h->first].upgrade && h->request.stage == WAIT) /* it was not wanted */
		h->request.stage = READ_HEAD;
	h->first = (h->first + 1) % PIPELINE_MAX;
	h->n--;
	h->answer.stage = READ_HEAD;
	if (h->closes) {
		h->over = true;
		h->request.stage = h->answer.stage = STOP;
	}
}

int http1_answer(struct http1 *h, struct buf *server, struct buf *guest, bool eof)
{
	struct stream *s = &h->answer;
	int r = 1;

	while (r > 0) {
		switch (s->stage) {
		case READ_HEAD:
			r = read_answer(h, server, guest, eof);
			break;
		case HOLD:
		case BODY:
			r = move_body(s, server, guest, eof);
			if (r > 0 && s->body.over)
				next_answer(h);
			break;
		case RAW:
			return move_raw(h, server, guest, eof);
		default:
			return 0;
		}
	}
	return r;
}
