#include "wire/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	return json_pack("{s:o, s:o, s:s*, s:s*, s:b, s:b, s:b, s:i, s:i, s:b, s:I, s:i}", "argv",
			 json_from_strv(&s->argv), "env", json_from_strv(&s->env), "cwd", s->cwd, "user", s->user,
			 "tty", s->tty, "stdin", s->stdin_open, "main", s->main, "rows", s->rows, "cols", s->cols,
			 "detached", s->detached, "timeout_ms", (json_int_t)s->timeout_ms, "stop_signal",
			 s->stop_signal);
}

static int copy_str(const json_t *j, const char *key, char **ret, bool *bad)
{
	const char *s = json_get_str(j, key, NULL, bad);

	if (!s)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
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
	if (r == 0 && (bad || (s.argv.n == 0 && !s.main) || rows > UINT16_MAX || cols > UINT16_MAX ||
		       timeout > UINT32_MAX || stop > 64))
		r = -EBADMSG;
	if (r < 0) {
		proc_spec_fini(&s);
		return error_set(err, r, r == -EBADMSG ? "malformed process description"
						       : r == -E2BIG ? "too many arguments or variables"
								     : "out of memory");
	}
	s.rows = (uint16_t)rows;
	s.cols = (uint16_t)cols;
	s.timeout_ms = (uint32_t)timeout;
	s.stop_signal = (uint8_t)stop;
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

int wire_put_hello(struct buf *out, const char *role)
{
	return message_put(out, FRAME_HELLO, 0,
			json_pack("{s:i, s:s}", "protocol", WIRE_PROTOCOL, "role", role));
}

int wire_put_start(struct buf *out, uint32_t stream, const struct proc_spec *s)
{
	return message_put(out, FRAME_START, stream, proc_spec_to_json(s));
}

int wire_put_started(struct buf *out, uint32_t stream, const struct proc_started *s)
{
	return message_put(out, FRAME_STARTED, stream,
			   json_pack("{s:i, s:I, s:b, s:b}", "pid", s->pid, "exec", (json_int_t)s->exec, "tty", s->tty,
				     "stdin", s->stdin_open));
}

int wire_put_attach(struct buf *out, uint32_t stream, uint32_t exec, bool input)
{
	return message_put(out, FRAME_ATTACH, stream,
			   json_pack("{s:I, s:b}", "exec", (json_int_t)exec, "input", input));
}

int wire_put_signal(struct buf *out, uint32_t stream, int signo)
{
	return message_put(out, FRAME_SIGNAL, stream, json_pack("{s:i}", "signal", signo));
}

int wire_put_resize(struct buf *out, uint32_t stream, uint16_t rows, uint16_t cols)
{
	return message_put(out, FRAME_RESIZE, stream, json_pack("{s:i, s:i}", "rows", rows, "cols", cols));
}

int wire_put_exit(struct buf *out, uint32_t stream, const struct proc_exit *e)
{
	return message_put(out, FRAME_EXIT, stream, proc_exit_to_json(e));
}

int wire_put_shutdown(struct buf *out, uint32_t grace_ms)
{
	return message_put(out, FRAME_SHUTDOWN, 0, json_pack("{s:I}", "grace_ms", (json_int_t)grace_ms));
}

int wire_put_bye(struct buf *out, const char *error)
{
	return message_put(out, FRAME_BYE, 0, json_pack("{s:o*}", "error", error ? message_text(error) : NULL));
}

int wire_put_failed(struct buf *out, const char *error)
{
	return message_put(out, FRAME_FAILED, 0, json_pack("{s:o}", "error", message_text(error)));
}

int wire_put_empty(struct buf *out, enum frame_type type, uint32_t stream)
{
	return frame_put(out, (uint8_t)type, 0, stream, "{}", 2);
}

int wire_get_hello(const struct frame *f, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	bool bad = false;
	uint64_t v = json_get_u64(j, "protocol", 0, &bad);

	if (!j)
		return -EBADMSG;
	if (bad || f->type != FRAME_HELLO)
		return error_set(err, -EBADMSG, "the peer did not say HELLO");
	if (v != WIRE_PROTOCOL)
		return error_set(err, -EPROTO, "the peer speaks protocol generation %llu, this program %d",
				 (unsigned long long)v, WIRE_PROTOCOL);
	return 0;
}

int wire_get_start(const struct frame *f, struct proc_spec *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);

	return j ? proc_spec_from_json(j, ret, err) : -EBADMSG;
}

/* One unsigned member of the payload, at most max. */
static int get_number(const struct frame *f, const char *key, uint64_t min, uint64_t max, uint64_t *ret)
{
	auto_json json_t *j = message_get(f, NULL);
	bool bad = !j;
	uint64_t v = json_get_u64(j, key, 0, &bad);

	if (bad || v < min || v > max)
		return -EBADMSG;
	*ret = v;
	return 0;
}

int wire_get_started(const struct frame *f, struct proc_started *ret)
{
	auto_json json_t *j = message_get(f, NULL);
	bool bad = !j;
	uint64_t pid = json_get_u64(j, "pid", 0, &bad), exec = json_get_u64(j, "exec", 0, &bad);
	bool tty = json_get_bool(j, "tty", false, &bad), in = json_get_bool(j, "stdin", false, &bad);

	if (bad || pid < 1 || pid > INT32_MAX || exec > UINT32_MAX)
		return -EBADMSG;
	*ret = (struct proc_started){ (int)pid, (uint32_t)exec, tty, in };
	return 0;
}

int wire_get_attach(const struct frame *f, uint32_t *ret_exec, bool *ret_input)
{
	auto_json json_t *j = message_get(f, NULL);
	bool bad = !j, input = json_get_bool(j, "input", false, &bad);
	uint64_t exec = json_get_u64(j, "exec", 0, &bad);

	if (bad || exec > UINT32_MAX)
		return -EBADMSG;
	*ret_exec = (uint32_t)exec;
	*ret_input = input;
	return 0;
}

int wire_get_signal(const struct frame *f, int *ret_signo)
{
	uint64_t v;
	int r = get_number(f, "signal", 1, 64, &v);

	if (r == 0)
		*ret_signo = (int)v;
	return r;
}

int wire_get_resize(const struct frame *f, uint16_t *ret_rows, uint16_t *ret_cols)
{
	uint64_t rows, cols;

	if (get_number(f, "rows", 0, UINT16_MAX, &rows) < 0 || get_number(f, "cols", 0, UINT16_MAX, &cols) < 0)
		return -EBADMSG;
	*ret_rows = (uint16_t)rows;
	*ret_cols = (uint16_t)cols;
	return 0;
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

int wire_get_exit(const struct frame *f, struct proc_exit *ret)
{
	auto_json json_t *j = message_get(f, NULL);

	return proc_exit_from_json(j, ret);
}

int wire_get_shutdown(const struct frame *f, uint32_t *ret_grace_ms)
{
	uint64_t v;
	int r = get_number(f, "grace_ms", 0, UINT32_MAX, &v);

	if (r == 0)
		*ret_grace_ms = (uint32_t)v;
	return r;
}

int wire_get_error(const struct frame *f, char ret[ERROR_TEXT_MAX])
{
	auto_json json_t *j = message_get(f, NULL);
	bool bad = !j;
	const char *s = json_get_str(j, "error", "", &bad);

	if (bad)
		return -EBADMSG;
	snprintf(ret, ERROR_TEXT_MAX, "%s", s);
	error_flatten(ret);
	return 0;
}
