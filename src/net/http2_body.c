/*
 * Bodies. What was received waits in `work` until the other session has asked for it (a data provider of nghttp2);
 * only then is it given back as window to who has sent it. So the windows bound what is held, and a side that does not
 * read stops the other one.
 */
#include "net/http2_impl.h"

#include <string.h>

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
	if (f->from && buf_len(&f->work))
		nghttp2_session_consume_connection(f->from, buf_len(&f->work));
	wipe(&f->work);
	wipe(&f->out);
	wipe(&f->trailers);
}

static void wake(struct half *f)
{
	if (f->waits)
		nghttp2_session_resume_data(f->to, id_at(f, f->to));
	f->waits = false;
}

int half_receive(struct half *f, const uint8_t *p, size_t n)
{
	if (f->stream->refused || f->stream->guest_closed || f->stream->server_closed)
		return nghttp2_session_consume(f->from, id_at(f, f->from), n);
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

/* Changes what is there. */
static int change(struct half *f)
{
	size_t before = buf_len(&f->work);

	if (!before)
		return 0;
	if (swap_move(f->swaps, &f->work, &f->out, BODY_ROOM, f->over) < 0)
		return -1;
	before -= buf_len(&f->work);
	return before ? nghttp2_session_consume(f->from, id_at(f, f->from), before) : 0;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
		       nghttp2_data_source *source, void *ud)
{
	struct half *f = source->ptr;
	size_t n;

	(void)session;
	(void)ud;
	if (!buf_len(&f->out) && change(f) < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = MIN(room, buf_len(&f->out));
	if (n) {
		memcpy(to, buf_data(&f->out), n);
		buf_consume(&f->out, n);
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
