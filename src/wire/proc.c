#include "wire/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "wire/message.h"

static const char *const end_names[] = {
	[PROC_EXITED] = "exited",
	[PROC_SIGNALLED] = "signalled",
	[PROC_NOT_FOUND] = "not-found",
	[PROC_CANNOT_RUN] = "cannot-run",
	[PROC_LOST] = "lost",
	[PROC_CANNOT_START] = "cannot-start",
};

void proc_spec_fini(struct proc_spec *s)
{
	strv_fini(&s->argv);
	strv_fini(&s->env);
	free(s->cwd);
	free(s->user);
	*s = PROC_SPEC_INIT;
}

json_t *proc_spec_to_json(const struct proc_spec *s)
{
	json_t *j = json_pack("{s:o, s:o, s:b, s:b, s:b, s:i, s:i, s:b, s:I, s:i}", "argv", json_from_strv(&s->argv),
			      "env", json_from_strv(&s->env), "tty", s->tty, "stdin", s->stdin_open, "main", s->main,
			      "rows", s->rows, "cols", s->cols, "detached", s->detached, "timeout_ms",
			      (json_int_t)s->timeout_ms, "stop_signal", s->stop_signal);

	return json_with_texts(j, "cwd", s->cwd, "user", s->user, NULL);
}

static int copy_str(const json_t *j, const char *key, char **ret, bool *bad)
{
	const char *s = json_get_str(j, key, NULL, bad);

	if (!s)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

static bool is_sound(const struct proc_spec *s)
{
	return (s->argv.n > 0 || s->main) && s->stop_signal <= 64;
}

static int refuse_spec(int r, struct error *err)
{
	return error_set(err, r, r == -EBADMSG ? "malformed process description"
					       : r == -E2BIG ? "too many arguments or variables" : "out of memory");
}

int proc_spec_from_json(const json_t *j, struct proc_spec *ret, struct error *err)
{
	struct proc_spec s = PROC_SPEC_INIT;
	bool bad = false;
	uint64_t rows, cols, timeout, stop;
	int r;

	r = json_get_strv(j, "argv", &s.argv, &bad);
	if (r == 0)
		r = json_get_strv(j, "env", &s.env, &bad);
	if (r == 0)
		r = copy_str(j, "cwd", &s.cwd, &bad);
	if (r == 0)
		r = copy_str(j, "user", &s.user, &bad);
	s.tty = json_get_bool(j, "tty", false, &bad);
	s.stdin_open = json_get_bool(j, "stdin", false, &bad);
	s.main = json_get_bool(j, "main", false, &bad);
	rows = json_get_u64(j, "rows", 0, &bad);
	cols = json_get_u64(j, "cols", 0, &bad);
	s.detached = json_get_bool(j, "detached", false, &bad);
	timeout = json_get_u64(j, "timeout_ms", 0, &bad);
	stop = json_get_u64(j, "stop_signal", 0, &bad);
	s.rows = (uint16_t)rows;
	s.cols = (uint16_t)cols;
	s.timeout_ms = (uint32_t)timeout;
	s.stop_signal = (uint8_t)MIN(stop, (uint64_t)UINT8_MAX);
	if (r == 0 && (bad || rows > UINT16_MAX || cols > UINT16_MAX || timeout > UINT32_MAX || !is_sound(&s)))
		r = -EBADMSG;
	if (r < 0) {
		proc_spec_fini(&s);
		return refuse_spec(r, err);
	}
	*ret = s;
	return 0;
}

int proc_exit_status(const struct proc_exit *e)
{
	if (e->timed_out)
		return 124;
	switch (e->kind) {
	case PROC_EXITED: return e->code;
	case PROC_SIGNALLED: return 128 + e->signal;
	case PROC_NOT_FOUND: return 127;
	case PROC_CANNOT_RUN: return 126;
	case PROC_LOST:
	case PROC_CANNOT_START: return 125;
	}
	return 125;
}

json_t *proc_exit_to_json(const struct proc_exit *e)
{
	return json_pack("{s:s, s:i, s:i, s:o, s:b, s:b, s:I}", "kind", end_names[e->kind], "code", e->code, "signal",
			 e->signal, "error", message_text(e->error), "timed_out", e->timed_out, "again", e->again, "duration_ns",
			 (json_int_t)e->duration_ns);
}

int proc_exit_from_json(const json_t *j, struct proc_exit *ret)
{
	struct proc_exit e = { 0 };
	bool bad = !j;
	const char *kind = json_get_str(j, "kind", "", &bad);
	uint64_t code = json_get_u64(j, "code", 0, &bad), sig = json_get_u64(j, "signal", 0, &bad);
	size_t i;

	snprintf(e.error, sizeof(e.error), "%s", json_get_str(j, "error", "", &bad));
	error_flatten(e.error);
	for (i = 0; i < ARRAY_SIZE(end_names); i++)
		if (str_eq(kind, end_names[i]))
			break;
	if (bad || i == ARRAY_SIZE(end_names) || code > UINT8_MAX || sig > 127)
		return -EBADMSG;
	e.kind = (enum proc_end)i;
	e.timed_out = json_get_bool(j, "timed_out", false, &bad);
	e.again = json_get_bool(j, "again", false, &bad);
	e.duration_ns = json_get_u64(j, "duration_ns", 0, &bad);
	if (bad)
		return -EBADMSG;
	e.code = (uint8_t)code;
	e.signal = (uint8_t)sig;
	*ret = e;
	return 0;
}

/* --- packed messages --------------------------------------------------------------------------- */

enum { FLAG_TTY = 1, FLAG_STDIN = 2, FLAG_MAIN = 4, FLAG_DETACHED = 8 };    /* of START and STARTED */
enum { FLAG_TIMED_OUT = 1, FLAG_AGAIN = 2 };                                /* of EXIT */

/* A line of text from anywhere, safe to print and to be put into JSON. */
static void take_line(const char *from, char to[ERROR_TEXT_MAX])
{
	snprintf(to, ERROR_TEXT_MAX, "%s", from);
	error_flatten(to);
	json_scrub(to);
}

/* A message whose size is known to fit the area. */
static int put(struct buf *out, enum frame_type type, uint32_t stream, const struct wr *w, const void *area)
{
	return w->bad ? -EMSGSIZE : frame_put(out, (uint8_t)type, 0, stream, area, (size_t)(w->p - (uint8_t *)area));
}

int wire_put_hello(struct buf *out, const char *role)
{
	uint8_t area[64];
	struct wr w = wr_over(area, sizeof(area));

	wr_u32(&w, WIRE_PROTOCOL);
	wr_str(&w, role);
	return put(out, FRAME_HELLO, 0, &w, area);
}

int wire_get_hello(const struct frame *f, struct error *err)
{
	struct rd r = rd_over(f->payload, f->len);
	uint32_t v = rd_u32(&r);

	if (r.bad || f->type != FRAME_HELLO)
		return error_set(err, -EBADMSG, "the peer did not say HELLO");
	/* What comes behind that is only known of one's own generation. */
	if (v != WIRE_PROTOCOL)
		return error_set(err, -EPROTO, "the peer speaks protocol generation %u, this program %d", v, WIRE_PROTOCOL);
	(void)rd_str(&r);
	return rd_done(&r) ? 0 : error_set(err, -EBADMSG, "malformed HELLO");
}

static size_t str_size(const char *s)
{
	return s ? strlen(s) + 1 : 1;
}

static size_t strv_size(const struct strv *s)
{
	size_t i, n = sizeof(uint32_t);

	for (i = 0; i < s->n; i++)
		n += str_size(s->v[i]);
	return n;
}

static void put_strv(struct wr *w, const struct strv *s)
{
	size_t i;

	wr_u32(w, (uint32_t)s->n);
	for (i = 0; i < s->n; i++)
		wr_str(w, s->v[i]);
}

static int get_strv(struct rd *r, struct strv *s)
{
	uint32_t n = rd_u32(r);
	int e = 0;

	while (e == 0 && !r->bad && n--)
		e = strv_add(s, rd_str(r));
	return e;
}

static int get_str(struct rd *r, char **ret)
{
	const char *s = rd_str(r);

	*ret = *s ? strdup(s) : NULL;
	return *s && !*ret ? -ENOMEM : 0;
}

#define START_FIXED (1 + 1 + 2 + 2 + 4) /* what is not text */

/* Written where it is sent from: an environment may have secrets, and so there is no other copy. */
int wire_put_start(struct buf *out, uint32_t stream, const struct proc_spec *s)
{
	size_t size = START_FIXED + str_size(s->cwd) + str_size(s->user) + strv_size(&s->argv) + strv_size(&s->env);
	uint8_t *at;
	struct wr w;

	if (size > FRAME_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (FRAME_HEADER + size > buf_room(out))
		return -ENOBUFS;
	at = frame_reserve(out, size);
	if (!at)
		return -ENOMEM;
	w = wr_over(at, size);
	wr_u8(&w, (s->tty ? FLAG_TTY : 0) | (s->stdin_open ? FLAG_STDIN : 0) | (s->main ? FLAG_MAIN : 0) |
			  (s->detached ? FLAG_DETACHED : 0));
	wr_u8(&w, s->stop_signal);
	wr_u16(&w, s->rows);
	wr_u16(&w, s->cols);
	wr_u32(&w, s->timeout_ms);
	wr_str(&w, s->cwd);
	wr_str(&w, s->user);
	put_strv(&w, &s->argv);
	put_strv(&w, &s->env);
	frame_commit(out, FRAME_START, 0, stream, size);
	return 0;
}

int wire_get_start(const struct frame *f, struct proc_spec *ret, struct error *err)
{
	struct rd r = rd_over(f->payload, f->len);
	struct proc_spec s = PROC_SPEC_INIT;
	uint8_t flags = rd_u8(&r);
	int e;

	s.tty = flags & FLAG_TTY;
	s.stdin_open = flags & FLAG_STDIN;
	s.main = flags & FLAG_MAIN;
	s.detached = flags & FLAG_DETACHED;
	s.stop_signal = rd_u8(&r);
	s.rows = rd_u16(&r);
	s.cols = rd_u16(&r);
	s.timeout_ms = rd_u32(&r);
	e = get_str(&r, &s.cwd);
	if (e == 0)
		e = get_str(&r, &s.user);
	if (e == 0)
		e = get_strv(&r, &s.argv);
	if (e == 0)
		e = get_strv(&r, &s.env);
	if (e == 0 && (!rd_done(&r) || !is_sound(&s)))
		e = -EBADMSG;
	if (e < 0) {
		proc_spec_fini(&s);
		return refuse_spec(e, err);
	}
	*ret = s;
	return 0;
}

int wire_put_started(struct buf *out, uint32_t stream, const struct proc_started *s)
{
	uint8_t area[9];
	struct wr w = wr_over(area, sizeof(area));

	wr_u32(&w, (uint32_t)s->pid);
	wr_u32(&w, s->exec);
	wr_u8(&w, (s->tty ? FLAG_TTY : 0) | (s->stdin_open ? FLAG_STDIN : 0));
	return put(out, FRAME_STARTED, stream, &w, area);
}

int wire_get_started(const struct frame *f, struct proc_started *ret)
{
	struct rd r = rd_over(f->payload, f->len);
	uint32_t pid = rd_u32(&r), exec = rd_u32(&r);
	uint8_t flags = rd_u8(&r);

	if (!rd_done(&r) || pid < 1 || pid > INT32_MAX)
		return -EBADMSG;
	*ret = (struct proc_started){ (int)pid, exec, flags & FLAG_TTY, flags & FLAG_STDIN };
	return 0;
}

int wire_put_attach(struct buf *out, uint32_t stream, uint32_t exec, bool input)
{
	uint8_t area[5];
	struct wr w = wr_over(area, sizeof(area));

	wr_u32(&w, exec);
	wr_u8(&w, input);
	return put(out, FRAME_ATTACH, stream, &w, area);
}

int wire_get_attach(const struct frame *f, uint32_t *ret_exec, bool *ret_input)
{
	struct rd r = rd_over(f->payload, f->len);
	uint32_t exec = rd_u32(&r);
	uint8_t input = rd_u8(&r);

	if (!rd_done(&r) || input > 1)
		return -EBADMSG;
	*ret_exec = exec;
	*ret_input = input;
	return 0;
}

int wire_put_signal(struct buf *out, uint32_t stream, int signo)
{
	uint8_t area = (uint8_t)signo;

	return frame_put(out, FRAME_SIGNAL, 0, stream, &area, sizeof(area));
}

int wire_get_signal(const struct frame *f, int *ret_signo)
{
	struct rd r = rd_over(f->payload, f->len);
	uint8_t signo = rd_u8(&r);

	if (!rd_done(&r) || signo < 1 || signo > 64)
		return -EBADMSG;
	*ret_signo = signo;
	return 0;
}

int wire_put_resize(struct buf *out, uint32_t stream, uint16_t rows, uint16_t cols)
{
	uint8_t area[4];
	struct wr w = wr_over(area, sizeof(area));

	wr_u16(&w, rows);
	wr_u16(&w, cols);
	return put(out, FRAME_RESIZE, stream, &w, area);
}

int wire_get_resize(const struct frame *f, uint16_t *ret_rows, uint16_t *ret_cols)
{
	struct rd r = rd_over(f->payload, f->len);
	uint16_t rows = rd_u16(&r), cols = rd_u16(&r);

	if (!rd_done(&r))
		return -EBADMSG;
	*ret_rows = rows;
	*ret_cols = cols;
	return 0;
}

int wire_put_shutdown(struct buf *out, uint32_t grace_ms)
{
	uint8_t area[4];
	struct wr w = wr_over(area, sizeof(area));

	wr_u32(&w, grace_ms);
	return put(out, FRAME_SHUTDOWN, 0, &w, area);
}

int wire_get_shutdown(const struct frame *f, uint32_t *ret_grace_ms)
{
	struct rd r = rd_over(f->payload, f->len);
	uint32_t grace_ms = rd_u32(&r);

	if (!rd_done(&r))
		return -EBADMSG;
	*ret_grace_ms = grace_ms;
	return 0;
}

int wire_put_exit(struct buf *out, uint32_t stream, const struct proc_exit *e)
{
	uint8_t area[4 + 8 + ERROR_TEXT_MAX];
	struct wr w = wr_over(area, sizeof(area));

	wr_u8(&w, (uint8_t)e->kind);
	wr_u8(&w, e->code);
	wr_u8(&w, e->signal);
	wr_u8(&w, (e->timed_out ? FLAG_TIMED_OUT : 0) | (e->again ? FLAG_AGAIN : 0));
	wr_u64(&w, e->duration_ns);
	wr_str(&w, e->error);
	return put(out, FRAME_EXIT, stream, &w, area);
}

int wire_get_exit(const struct frame *f, struct proc_exit *ret)
{
	struct rd r = rd_over(f->payload, f->len);
	uint8_t kind = rd_u8(&r), code = rd_u8(&r), sig = rd_u8(&r), flags = rd_u8(&r);
	struct proc_exit e = { .code = code, .signal = sig };

	e.timed_out = flags & FLAG_TIMED_OUT;
	e.again = flags & FLAG_AGAIN;
	e.duration_ns = rd_u64(&r);
	take_line(rd_str(&r), e.error);
	if (!rd_done(&r) || kind >= ARRAY_SIZE(end_names) || sig > 127 || e.duration_ns > INT64_MAX)
		return -EBADMSG;
	e.kind = (enum proc_end)kind;
	*ret = e;
	return 0;
}

/* BYE, FAILED */
static int put_error(struct buf *out, enum frame_type type, const char *error)
{
	uint8_t area[ERROR_TEXT_MAX];
	struct wr w = wr_over(area, sizeof(area));

	wr_str(&w, error);
	return put(out, type, 0, &w, area);
}

int wire_put_bye(struct buf *out, const char *error)
{
	return put_error(out, FRAME_BYE, error);
}

int wire_put_failed(struct buf *out, const char *error)
{
	return put_error(out, FRAME_FAILED, error);
}

int wire_put_rename(struct buf *out, const char *name)
{
	return frame_put(out, FRAME_RENAME, 0, 0, name, strlen(name) + 1);
}

int wire_get_rename(const struct frame *f, char **ret_name)
{
	struct rd r = rd_over(f->payload, f->len);
	const char *name = rd_str(&r);

	if (!rd_done(&r) || !*name || strlen(name) > BOX_NAME_MAX)
		return -EBADMSG;
	*ret_name = strdup(name);
	return *ret_name ? 0 : -ENOMEM;
}

int wire_put_dial_unix(struct buf *out, uint32_t stream, const char *path)
{
	return frame_put(out, FRAME_DIAL_UNIX, 0, stream, path, strlen(path) + 1);
}

int wire_get_dial_unix(const struct frame *f, char **ret_path)
{
	struct rd r = rd_over(f->payload, f->len);
	const char *path = rd_str(&r);

	if (!rd_done(&r) || *path != '/' || strlen(path) > SOCKET_PATH_MAX)
		return -EBADMSG;
	*ret_path = strdup(path);
	return *ret_path ? 0 : -ENOMEM;
}

int wire_get_error(const struct frame *f, char ret[ERROR_TEXT_MAX])
{
	struct rd r = rd_over(f->payload, f->len);
	const char *s = rd_str(&r);

	if (!rd_done(&r))
		return -EBADMSG;
	take_line(s, ret);
	return 0;
}

int wire_put_empty(struct buf *out, enum frame_type type, uint32_t stream)
{
	return frame_put(out, (uint8_t)type, 0, stream, "{}", 2);
}
