/*
 * Theory of operation. All commands of an errand are sent at once (they fit any socket buffer) and QEMU takes
 * them in order; then the answers are counted. An error ends the errand, whatever else is on its way. QEMU sends
 * events, too, and may send many: the connection is closed as soon as nothing more is asked.
 */
#include "shim/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/json.h"
#include "base/sock.h"

#define LINE_MAX_BYTES (64 * KIB)

enum qmp_line qmp_parse(const char *line, size_t len, char *text, size_t size)
{
	struct error err;
	auto_json json_t *j = json_parse(line, len, "QMP", &err);
	bool bad = false;
	const char *event = json_get_str(j, "event", "", &bad), *status;

	if (json_object_get(j, "return"))
		return QMP_ANSWER;
	if (json_object_get(j, "error")) {
		snprintf(text, size, "%s", json_get_str(json_object_get(j, "error"), "desc", "an error", &bad));
		return QMP_ERROR;
	}
	if (!str_eq(event, "MIGRATION"))
		return QMP_OTHER;
	status = json_get_str(json_object_get(j, "data"), "status", "", &bad);
	return str_eq(status, "completed") ? QMP_SAVED : str_eq(status, "failed") ? QMP_NOT_SAVED : QMP_OTHER;
}

/* The errand is over. Only now is a new one possible: fn may start it. */
static void finish(struct qmp *q, const char *error)
{
	qmp_fn *fn = q->fn;

	q->fn = NULL;
	if (fn)
		fn(q, error);
}

static void take_line(struct qmp *q, enum qmp_line line, const char *text)
{
	switch (line) {
	case QMP_ANSWER:
		if (q->answers)
			q->answers--;
		break;
	case QMP_SAVED: q->until_saved = false; break;
	case QMP_NOT_SAVED: finish(q, "QEMU could not save it"); return;
	case QMP_ERROR: finish(q, text); return;
	case QMP_OTHER: return;
	}
	if (!q->answers && !q->until_saved)
		finish(q, NULL);
}

static void on_input(struct watch *w, uint32_t events)
{
	struct qmp *q = container_of(w, struct qmp, watch);
	ssize_t got = buf_read_fd(&q->in, q->fd, LINE_MAX_BYTES);
	char text[256], *at, *end;

	(void)events;
	if (got == -EAGAIN)
		return;
	/* A line may close the connection: look at it again for each. */
	while (q->fd >= 0 && (at = (char *)buf_data(&q->in)) && (end = memchr(at, '\n', buf_len(&q->in)))) {
		enum qmp_line line = qmp_parse(at, (size_t)(end - at), text, sizeof(text));

		buf_consume(&q->in, (size_t)(end - at) + 1);
		take_line(q, line, text);
	}
	if (q->fd >= 0 && got <= 0) {
		loop_remove(q->loop, w);
		/* A reset: it has ended before it read the commands. */
		finish(q, got == 0 || got == -ECONNRESET ? "QEMU has closed its monitor"
							  : "QEMU's monitor makes no sense");
	}
}

static int send_commands(struct qmp *q, const char *text, unsigned answers, const int *fd, qmp_fn *fn)
{
	int r = q->watch.fd < 0 ? -EPIPE : sock_send_fds(q->fd, text, strlen(text), fd, fd ? 1 : 0);

	q->answers = answers;
	q->fn = r < 0 ? NULL : fn; /* who is told of the failure here is not told again */
	return r;
}

int qmp_open(struct qmp *q, struct loop *l, int fd)
{
	int r = io_set_nonblock(fd, true);

	*q = (struct qmp){ .loop = l, .fd = fd, .watch = WATCH_NONE, .in = BUF_INIT(LINE_MAX_BYTES) };
	return r < 0 ? r : loop_add(l, &q->watch, fd, EPOLLIN, on_input);
}

void qmp_close(struct qmp *q)
{
	if (q->fd < 0)
		return;
	loop_remove(q->loop, &q->watch);
	close_fd(&q->fd);
	buf_fini(&q->in);
	q->fn = NULL;
}

#define HANDSHAKE "{\"execute\":\"qmp_capabilities\"}\n"
/* x-ignore-shared: memory that is a shared file is not part of the state. */
#define CAPABILITIES "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":[" \
	"{\"capability\":\"x-ignore-shared\",\"state\":true},{\"capability\":\"events\",\"state\":true}]}}\n"

int qmp_save(struct qmp *q, int state_fd, qmp_fn *fn)
{
	q->until_saved = true;
	return send_commands(q, HANDSHAKE CAPABILITIES
				"{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"state\"}}\n"
				"{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"fd:state\"}}\n",
			     4, &state_fd, fn);
}

int qmp_continue(struct qmp *q, qmp_fn *fn)
{
	q->until_saved = false;
	return send_commands(q, "{\"execute\":\"cont\"}\n", 1, NULL, fn);
}

int qmp_restore(struct qmp *q, qmp_fn *fn)
{
	char text[1024];

	snprintf(text, sizeof(text), HANDSHAKE CAPABILITIES
		 "{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"fd:%d\"}}\n", QEMU_FD_STATE);
	return send_commands(q, text, 3, NULL, fn);
}
