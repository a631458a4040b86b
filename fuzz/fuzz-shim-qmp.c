/* QEMU's end of the monitor (a guest may have broken it): a byte that chooses the errand, then what it says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "fuzz.h"
#include "shim/qmp.h"

struct errand {
	struct qmp q;
	unsigned calls;
	bool done, closes;
};

static void on_end(struct qmp *q, const char *error)
{
	struct errand *e = container_of(q, struct errand, q);

	e->calls++;
	e->done = !error;
	if (e->closes)
		qmp_close(q);
}

static int begin(struct errand *e, uint8_t how)
{
	static int state = -1;

	if (state < 0)
		state = memfd_create("state", MFD_CLOEXEC);
	e->closes = how & 4;
	switch (how & 3) {
	case 0: return qmp_save(&e->q, state, on_end);
	case 1: return qmp_continue(&e->q, on_end);
	default: return qmp_restore(&e->q, on_end);
	}
}

/* Nobody may hear it: the errand may be over and its connection closed. */
static void say(struct loop *l, int qemu, const uint8_t *data, size_t size)
{
	int r = size ? sock_send_fds(qemu, data, size, NULL, 0) : 0;

	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		abort();
	loop_once(l, 0);
}

/* Whether it has come to what all the lines together say. */
static bool is_right(const struct errand *e, uint8_t how, const uint8_t *data, size_t size)
{
	static const unsigned need[] = { 4, 1, 3, 3 };
	const uint8_t *at = data, *end;
	unsigned answers = 0;
	bool saved = false, failed = false, enough;

	while ((end = memchr(at, '\n', size - (size_t)(at - data)))) {
		char text[64];
		enum qmp_line line = qmp_parse((const char *)at, (size_t)(end - at), text, sizeof(text));

		if (line == QMP_ERROR && !memchr(text, 0, sizeof(text)))
			abort();
		answers += line == QMP_ANSWER;
		saved |= line == QMP_SAVED;
		failed |= line == QMP_ERROR || line == QMP_NOT_SAVED;
		at = end + 1;
	}
	enough = answers >= need[how & 3] && (saved || (how & 3));
	return e->calls == 1 && (e->done ? enough : failed || !enough);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct errand e = { .q = QMP_NONE };
	struct loop l;
	size_t half = size / 2;
	int fds[2];

	if (size < 1 || size > 64 * KIB)
		return 0;
	if (loop_init(&l) < 0 || sock_pair(fds) < 0 || qmp_open(&e.q, &l, fds[0]) < 0 || begin(&e, data[0]) < 0)
		abort();
	say(&l, fds[1], data + 1, half);
	say(&l, fds[1], data + 1 + half, size - 1 - half);
	close(fds[1]);
	loop_once(&l, 0);
	if (!is_right(&e, data[0], data + 1, size - 1))
		abort();
	qmp_close(&e.q);
	loop_fini(&l);
	return 0;
}
