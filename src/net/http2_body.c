/*
 * Bodies. What was received waits in `work` until the other session has asked for it (a data provider of nghttp2);
 * only then, and as much as it asks for, is it changed and given back as window to who has sent it. So the windows
 * bound what is held, and a side that does not read stops the other one. Heads have no windows: HEADS_MAX bounds those.
 *
 * A request that tells its length is held as in HTTP/1.1 (http1_body.c), all of it or its first MiB, before its head
 * goes. What is held would be more than the windows: those bytes are given back at once, and counted by hold_take().
 */
#include "net/http2_impl.h"

#include <errno.h>
#include <string.h>

#define FEW 8

static int32_t id_at(const struct half *f, const nghttp2_session *s)
{
	return s == f->stream->h->guest ? f->stream->guest_id : f->stream->server_id;
}

void half_init(struct half *f, struct stream *s, nghttp2_session *from, nghttp2_session *to)
{
	*f = (struct half){ .stream = s, .from = from, .to = to, .work = BUF_INIT(STREAM_WINDOW),
			    .out = BUF_INIT(2 * BODY_ROOM), .trailers = BUF_INIT(HEAD_MAX) };
}

/* Bytes that nobody will send are given back as well: they are of the window of all. */
void half_fini(struct half *f)
{
	size_t n = buf_len(&f->work) - f->given;

	if (f->from && n)
		nghttp2_session_consume_connection(f->from, n);
	hold_give(&f->whole);
	wipe(&f->work);
	wipe(&f->out);
	f->stream->h->heads -= f->heads + f->head + buf_len(&f->trailers);
	wipe(&f->trailers);
}

void half_queue(struct half *f, size_t bytes)
{
	f->heads += bytes;
	f->nheads++;
	f->stream->h->heads += bytes;
}

/* Of several it is not known which; in the end all have gone. */
void half_sent(struct half *f)
{
	size_t bytes = f->nheads ? f->heads / f->nheads : 0;

	f->nheads -= f->nheads > 0;
	f->heads -= bytes;
	f->stream->h->heads -= bytes;
}

static void wake(struct half *f)
{
	if (f->waits)
		nghttp2_session_resume_data(f->to, id_at(f, f->to));
	f->waits = false;
}

bool half_hold(struct half *f, uint64_t length, bool may_hold)
{
	size_t n = (size_t)MIN(length, (uint64_t)BODY_WHOLE_MAX);

	f->length = length;
	f->fixed = length > BODY_WHOLE_MAX;
	if (!may_hold || !hold_take(&f->whole, n))
		return false;
	f->work.max = n + STREAM_WINDOW;
	f->hold = n;
	f->head = buf_len(&f->stream->from_guest.b);
	f->stream->h->heads += f->head;
	return true;
}

int64_t half_release(struct half *f)
{
	size_t n = buf_len(&f->work);
	ssize_t length;

	f->hold = 0;
	f->stream->h->heads -= f->head;
	f->head = 0;
	if (!f->fixed)
		return f->whole ? swap_length(f->swaps, buf_data(&f->work), n, 1 << 30) : -1;
	length = swap_length_begun(f->swaps, buf_data(&f->work), n, 1 << 30, &f->begin);
	return length < 0 ? length : (int64_t)(f->length - f->begin) + length;
}

static bool is_ended(const struct half *f)
{
	return f->stream->refused || f->stream->guest_closed || f->stream->server_closed;
}

/* Bytes that are held: 0 or an error of nghttp2. */
static int hold(struct half *f, const uint8_t *p, size_t n)
{
	size_t more = MIN(n, f->hold - MIN(f->hold, buf_len(&f->work)));
	int r = nghttp2_session_consume(f->from, id_at(f, f->from), more);

	f->given += more;
	if (r == 0 && buf_append(&f->work, p, n) < 0)
		r = NGHTTP2_ERR_CALLBACK_FAILURE;
	if (r == 0 && buf_len(&f->work) >= f->hold)
		r = head_go_on(f->stream);
	return r < 0 && nghttp2_is_fatal(r) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int half_receive(struct half *f, const uint8_t *p, size_t n)
{
	if (is_ended(f))
		return nghttp2_session_consume(f->from, id_at(f, f->from), n);
	if (f->hold)
		return hold(f, p, n);
	if (buf_append(&f->work, p, n) < 0) /* more than the window: nghttp2 would have said so */
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	wake(f);
	return 0;
}

void half_end(struct half *f)
{
	f->over = true;
	wake(f);
}

/* Bytes of `work` have gone on: the window of those that it is not so already of is given back. */
static int give_back(struct half *f, size_t n)
{
	size_t before = MIN(n, f->given);

	f->given -= before;
	if (f->whole && !buf_len(&f->work)) { /* what was held has gone */
		hold_give(&f->whole);
		wipe(&f->work);
	}
	return n > before ? nghttp2_session_consume(f->from, id_at(f, f->from), n - before) : 0;
}

/* With wide windows and few streams, buffers may be as long as is quick. */
static bool is_roomy(const struct half *f)
{
	return f->stream->h->window == SESSION_WINDOW && f->stream->h->n <= FEW;
}

/* What is left in many buffers must not hold as many times the memory: windows know of bytes only. */
static void shrink(const struct half *f, struct buf *b)
{
	struct buf small = BUF_INIT(b->max);

	if (is_roomy(f) || buf_len(b) >= b->cap / 4 || b->cap <= KIB)
		return;
	if (buf_append(&small, buf_data(b), buf_len(b)) < 0)
		return;
	wipe(b);
	*b = small;
}

/* Changes what there is; not much more than is asked for, as nobody may ask for the rest. 0, -EPERM, another error. */
static int change(struct half *f, size_t room)
{
	size_t most = is_roomy(f) ? BODY_ROOM : MAX(MIN(room, BODY_ROOM), f->swaps ? f->swaps->longest : 0);
	size_t before = buf_len(&f->work);
	ssize_t r;

	if (!before)
		return 0;
	r = f->fixed ? swap_move_fixed(f->swaps, &f->work, &f->begin, &f->out, most, f->over) :
		       swap_move(f->swaps, &f->work, &f->out, most, f->over);
	if (r < 0)
		return (int)r;
	before -= buf_len(&f->work);
	shrink(f, &f->work);
	return before ? give_back(f, before) : 0;
}

void half_drop(struct half *f)
{
	size_t n = buf_len(&f->work);

	if (n)
		buf_consume(&f->work, n);
	if (n && f->from)
		(void)!give_back(f, n);
}

/* What follows has a placeholder that cannot be replaced: the server's stream ends here, the guest gets an answer. */
static void give_up(struct half *f)
{
	struct stream *s = f->stream;

	s->h->refused(s->h->ud, "secret-late");
	if (!s->answered && !s->refused && !s->guest_closed)
		(void)!head_refuse(s, 413);
	half_drop(f);
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
		       nghttp2_data_source *source, void *ud)
{
	struct half *f = source->ptr;
	size_t n;
	int r = buf_len(&f->out) ? 0 : change(f, room);

	(void)session;
	(void)ud;
	if (r == -EPERM)
		give_up(f);
	if (r < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = MIN(room, buf_len(&f->out));
	if (n) {
		memcpy(to, buf_data(&f->out), n);
		buf_consume(&f->out, n);
		shrink(f, &f->out);
	}
	if (f->over && !buf_len(&f->out) && !buf_len(&f->work)) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (buf_len(&f->trailers)) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (trailers_send(f, id) < 0)
				return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		}
		return (ssize_t)n;
	}
	if (n)
		return (ssize_t)n;
	f->waits = true;
	return NGHTTP2_ERR_DEFERRED;
}

nghttp2_data_provider half_source(struct half *f)
{
	return (nghttp2_data_provider){ .source.ptr = f, .read_callback = on_read };
}
