/* QEMU's monitor: the test plays QEMU, with the lines of a real one (7.2) and with nonsense. */
#include "shim/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/json.h"
#include "base/sock.h"
#include "lib/tap.h"

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, " \
	"\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define DONE "{\"return\": {}}\r\n"
#define REFUSED "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no file descriptor named state\"}}\r\n"
#define EVENT(name, data) "{\"timestamp\": {\"seconds\": 1795599619, \"microseconds\": 796573}, " \
	"\"event\": \"" name "\"" data "}\r\n"
#define MIGRATION(status) EVENT("MIGRATION", ", \"data\": {\"status\": \"" status "\"}")
#define SAVED MIGRATION("completed")
#define SAVE_ANSWERS GREETING DONE DONE DONE MIGRATION("setup") DONE \
	EVENT("MIGRATION_PASS", ", \"data\": {\"pass\": 1}") MIGRATION("active") EVENT("STOP", "")

struct rig {
	struct loop loop;
	struct qmp q;
	int qemu;            /* the other end */
	int state;           /* what is passed to it */
	unsigned calls;      /* of the function that is told the end */
	char error[256];     /* what it was told last, "" for success */
	qmp_fn *then;        /* what it does, once */
};

static void on_end(struct qmp *q, const char *error)
{
	struct rig *r = container_of(q, struct rig, q);
	qmp_fn *then = r->then;

	r->calls++;
	r->then = NULL;
	snprintf(r->error, sizeof(r->error), "%s", error ? error : "");
	if (then)
		then(q, error);
}

static void rig_open(struct rig *r)
{
	int fds[2];

	*r = (struct rig){ .q = QMP_NONE, .state = memfd_create("state", MFD_CLOEXEC) };
	if (r->state < 0 || loop_init(&r->loop) < 0 || sock_pair(fds) < 0 || qmp_open(&r->q, &r->loop, fds[0]) < 0)
		abort();
	r->qemu = fds[1];
	io_set_nonblock(r->qemu, true);
}

static void rig_close(struct rig *r)
{
	qmp_close(&r->q);
	loop_fini(&r->loop);
	close_fd(&r->qemu);
	close_fd(&r->state);
}

/* Delivers all that is there; false if there is no end to it. */
static bool spin(struct rig *r)
{
	int i;

	for (i = 0; i < 20; i++)
		loop_once(&r->loop, 0);
	return epoll_wait(r->loop.epfd, r->loop.batch, 1, 0) == 0;
}

static void say_bytes(struct rig *r, const char *text, size_t n)
{
	if (io_write_full(r->qemu, text, n) < 0)
		abort();
	spin(r);
}

static void say(struct rig *r, const char *text)
{
	say_bytes(r, text, strlen(text));
}

static void hang_up(struct rig *r)
{
	char byte;

	while (read(r->qemu, &byte, 1) > 0)
		;
	close_fd(&r->qemu);
}

/* A rig with a save on its way. */
static void rig_save(struct rig *r)
{
	rig_open(r);
	if (qmp_save(&r->q, r->state, on_end) < 0)
		abort();
}

/* Receives the commands that have been sent, as "name name ", and the fds that came with them. */
static void hear(struct rig *r, char *names, size_t size, int *fd, size_t *nfds)
{
	char text[4096], *at, *end;
	ssize_t got = sock_recv_fds(r->qemu, text, sizeof(text) - 1, fd, 1, nfds);

	names[0] = 0;
	if (got < 0)
		return;
	text[got] = 0;
	for (at = text; (end = strchr(at, '\n')); at = end + 1) {
		auto_json json_t *j = json_parse(at, (size_t)(end - at), "command", NULL);
		bool bad = false;

		snprintf(names + strlen(names), size - strlen(names), "%s ", json_get_str(j, "execute", "?", &bad));
	}
	snprintf(names + strlen(names), size - strlen(names), "%s", at);
}

static void line_is(const char *line, enum qmp_line want, const char *want_text)
{
	char text[32] = "-";

	ok(qmp_parse(line, strlen(line), text, sizeof(text)) == want && !strcmp(text, want_text), "'%.60s' is %d, '%s'",
	   line, want, want_text);
}

static void test_lines(void)
{
	line_is("{\"return\": {}}", QMP_ANSWER, "-");
	line_is("{\"return\": null, \"id\": 7}\r", QMP_ANSWER, "-");
	line_is("{\"error\": {\"class\": \"X\", \"desc\": \"it is broken\"}}", QMP_ERROR, "it is broken");
	line_is("{\"error\": {\"desc\": \"a text of more than thirty-two characters\"}}", QMP_ERROR,
		"a text of more than thirty-two ");
	line_is("{\"error\": {\"desc\": 7}}", QMP_ERROR, "an error");
	line_is("{\"error\": \"x\"}", QMP_ERROR, "an error");
	line_is("{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}", QMP_SAVED, "-");
	line_is("{\"event\": \"MIGRATION\", \"data\": {\"status\": \"failed\"}}", QMP_NOT_SAVED, "-");
	line_is("{\"event\": \"MIGRATION\", \"data\": {\"status\": \"active\"}}", QMP_OTHER, "-");
	line_is("{\"event\": \"MIGRATION\", \"data\": {\"status\": 1}}", QMP_OTHER, "-");
	line_is("{\"event\": \"MIGRATION\", \"data\": \"completed\"}", QMP_OTHER, "-");
	line_is("{\"event\": \"MIGRATION\"}", QMP_OTHER, "-");
	line_is("{\"event\": \"STOP\", \"data\": {\"status\": \"completed\"}}", QMP_OTHER, "-");
	line_is("{\"QMP\": {\"capabilities\": []}}", QMP_OTHER, "-");
	line_is("[{\"return\": {}}]", QMP_OTHER, "-");
	line_is("{\"return\": {}", QMP_OTHER, "-");
	line_is("{\"return\": {}} x", QMP_OTHER, "-");
	line_is("\"return\"", QMP_OTHER, "-");
	line_is("", QMP_OTHER, "-");
}

static void test_save(void)
{
	struct rig r;
	struct stat ours = { 0 }, theirs = { 0 };
	char names[256];
	int fd = -1;
	size_t nfds = 0;

	rig_open(&r);
	is_int(qmp_save(&r.q, r.state, on_end), 0, "a save begins");
	hear(&r, names, sizeof(names), &fd, &nfds);
	is_str(names, "qmp_capabilities migrate-set-capabilities getfd migrate ", "with these commands");
	is_int(nfds, 1, "and a file descriptor");
	ok(fstat(r.state, &ours) == 0 && fstat(fd, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
		   ours.st_dev == theirs.st_dev, "which is that of the state");
	close(fd);
	say(&r, GREETING DONE DONE DONE);
	say(&r, MIGRATION("setup"));
	is_int(r.calls, 0, "is not over with three answers");
	say(&r, DONE MIGRATION("active") EVENT("STOP", ""));
	is_int(r.calls, 0, "nor with the fourth");
	say(&r, SAVED);
	is_int(r.calls, 1, "but when it is said to be");
	is_str(r.error, "", "and is a success");
	say(&r, SAVED EVENT("RESUME", "") MIGRATION("failed") DONE REFUSED);
	is_int(r.calls, 1, "what is said later is nobody's");
	rig_close(&r);
}

static void test_order(void)
{
	struct rig r;

	rig_save(&r);
	say(&r, GREETING DONE DONE DONE SAVED);
	is_int(r.calls, 0, "saved before the last answer is not over");
	say(&r, DONE);
	ok(r.calls == 1 && !*r.error, "but with it");
	rig_close(&r);
}

static void test_pieces(void)
{
	static const char all[] = SAVE_ANSWERS SAVED;
	struct rig r;
	size_t i;

	rig_save(&r);
	for (i = 0; i < sizeof(all) - 2; i++)
		say_bytes(&r, all + i, 1);
	is_int(r.calls, 0, "byte by byte, all but the last");
	say_bytes(&r, all + i, 1);
	ok(r.calls == 1 && !*r.error, "and the last");
	rig_close(&r);
	rig_save(&r);
	say(&r, SAVE_ANSWERS SAVED EVENT("RESUME", "") DONE);
	ok(r.calls == 1 && !*r.error, "all at once and more");
	rig_close(&r);
}

static void test_continue(void)
{
	struct rig r;
	char names[256];
	size_t nfds = 0;
	int fd = -1;

	rig_save(&r);
	hear(&r, names, sizeof(names), &fd, &nfds);
	close(fd);
	say(&r, SAVE_ANSWERS SAVED);
	is_int(qmp_continue(&r.q, on_end), 0, "a saved machine is to go on");
	hear(&r, names, sizeof(names), &fd, &nfds);
	is_str(names, "cont ", "by a command");
	is_int(nfds, 0, "alone");
	is_int(r.calls, 1, "which is not over at once");
	say(&r, EVENT("RESUME", ""));
	is_int(r.calls, 1, "nor with an event");
	say(&r, DONE);
	ok(r.calls == 2 && !*r.error, "but with its answer");
	rig_close(&r);
}

static void test_restore(void)
{
	struct rig r;
	char text[1024] = "", uri[32];
	ssize_t got;

	rig_open(&r);
	is_int(qmp_restore(&r.q, on_end), 0, "a machine is to take up a state");
	got = read(r.qemu, text, sizeof(text) - 1);
	snprintf(uri, sizeof(uri), "\"fd:%d\"", QEMU_FD_STATE);
	ok(got > 0 && strstr(text, "migrate-incoming") && strstr(text, uri) && strstr(text, "x-ignore-shared"),
	   "from its fd and without the memory");
	say(&r, GREETING DONE DONE);
	is_int(r.calls, 0, "is not over with two answers");
	say(&r, MIGRATION("setup") DONE);
	ok(r.calls == 1 && !*r.error, "but with three");
	rig_close(&r);
}

static void test_errors(void)
{
	struct rig r;

	rig_save(&r);
	say(&r, GREETING DONE DONE REFUSED);
	is_int(r.calls, 1, "an error ends a save");
	is_str(r.error, "no file descriptor named state", "with QEMU's words");
	say(&r, REFUSED DONE DONE DONE DONE SAVED);
	is_int(r.calls, 1, "once");
	rig_close(&r);
	rig_save(&r);
	say(&r, SAVE_ANSWERS MIGRATION("failed"));
	ok(r.calls == 1 && *r.error, "so does a failure: %s", r.error);
	rig_close(&r);
}

static void test_end(void)
{
	struct rig r;

	rig_save(&r);
	say(&r, SAVE_ANSWERS "{\"event\": \"MIGR");
	hang_up(&r);
	ok(spin(&r) && r.calls == 1, "an end before the end is told once");
	is_str(r.error, "QEMU has closed its monitor", "as what it is");
	is_int(qmp_continue(&r.q, on_end), -EPIPE, "then nothing can be asked");
	spin(&r);
	is_int(r.calls, 1, "or told");
	rig_close(&r);
	rig_save(&r);
	close_fd(&r.qemu);
	ok(spin(&r) && r.calls == 1, "an end before the commands were read");
	is_str(r.error, "QEMU has closed its monitor", "is the same");
	rig_close(&r);
	rig_save(&r);
	say(&r, SAVE_ANSWERS SAVED);
	hang_up(&r);
	ok(spin(&r) && r.calls == 1 && !*r.error, "an end after the end is not told");
	rig_close(&r);
}

static void test_send_fails(void)
{
	struct rig r;

	rig_open(&r);
	close_fd(&r.qemu);
	is_int(qmp_save(&r.q, r.state, on_end), -EPIPE, "without QEMU no save begins");
	ok(spin(&r) && r.calls == 0, "and none ends");
	rig_close(&r);
}

static void test_long_lines(void)
{
	static char line[64 * KIB + 1];
	struct rig r;

	memset(line, ' ', sizeof(line));
	memcpy(line, DONE, strlen(DONE) - 2);
	line[64 * KIB - 1] = '\n';
	rig_save(&r);
	say(&r, GREETING DONE DONE DONE);
	say_bytes(&r, line, 64 * KIB);
	is_int(r.calls, 0, "a line of 64 KiB");
	say(&r, SAVED);
	ok(r.calls == 1 && !*r.error, "counts as any");
	rig_close(&r);
	line[64 * KIB - 1] = ' ';
	line[64 * KIB] = '\n';
	rig_save(&r);
	say_bytes(&r, line, sizeof(line));
	ok(spin(&r) && r.calls == 1, "one of a byte more ends it");
	is_str(r.error, "QEMU's monitor makes no sense", "as nonsense");
	say(&r, SAVE_ANSWERS SAVED);
	is_int(r.calls, 1, "and nothing more is heard");
	rig_close(&r);
}

static void close_it(struct qmp *q, const char *error)
{
	(void)error;
	qmp_close(q);
}

static void test_close_inside(void)
{
	struct rig r;
	char rest[4096];

	rig_save(&r);
	r.then = close_it;
	say(&r, SAVE_ANSWERS SAVED EVENT("RESUME", "") SAVED "{\"ev");
	ok(r.calls == 1 && !*r.error && r.q.fd < 0, "who is told the end may close the connection");
	while (read(r.qemu, rest, sizeof(rest)) > 0)
		;
	is_int(read(r.qemu, rest, 1), 0, "which QEMU sees");
	qmp_close(&r.q);
	is_int(qmp_continue(&r.q, on_end), -EPIPE, "and which is then of no more use");
	rig_close(&r);
	rig_save(&r);
	r.then = close_it;
	hang_up(&r);
	ok(spin(&r) && r.calls == 1 && *r.error && r.q.fd < 0, "also who is told of QEMU's end");
	rig_close(&r);
	rig_save(&r);
	r.then = close_it;
	say(&r, GREETING REFUSED REFUSED DONE DONE DONE);
	ok(r.calls == 1 && *r.error && r.q.fd < 0, "or of an error");
	rig_close(&r);
}

static void continue_it(struct qmp *q, const char *error)
{
	ok(!error && qmp_continue(q, on_end) == 0, "who is told that it is saved may let it go on");
}

static void test_continue_inside(void)
{
	struct rig r;

	rig_save(&r);
	r.then = continue_it;
	say(&r, SAVE_ANSWERS SAVED EVENT("RESUME", ""));
	is_int(r.calls, 1, "which is not over at once");
	say(&r, DONE);
	ok(r.calls == 2 && !*r.error, "but with its answer");
	rig_close(&r);
}

static void test_close(void)
{
	struct rig r;
	struct qmp none = QMP_NONE;

	qmp_close(&none);
	is_int(qmp_continue(&none, on_end), -EPIPE, "a connection that is not open is of no use");
	rig_save(&r);
	qmp_close(&r.q);
	is_int(r.q.fd, -1, "one is closed before its end");
	hang_up(&r);
	ok(spin(&r) && r.calls == 0, "which is then not told");
	is_int(qmp_open(&none, &r.loop, -1), -EBADF, "no file descriptor is no connection");
	qmp_close(&none);
	rig_close(&r);
}

int main(void)
{
	test_lines();
	test_save();
	test_order();
	test_pieces();
	test_continue();
	test_restore();
	test_errors();
	test_end();
	test_send_fails();
	test_long_lines();
	test_close_inside();
	test_continue_inside();
	test_close();
	return tap_done();
}
