/* METRICS and TOP: what is written is read back, and what a guest may claim has bounds. */
#include "wire/metrics.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/tap.h"

/* A frame of that text. */
static struct frame frame_of(uint8_t type, const char *text)
{
	return (struct frame){ .type = type, .payload = (const uint8_t *)text, .len = (uint32_t)strlen(text) };
}

static void fill(void *p, size_t n)
{
	uint64_t v = 1000, *at = p;

	for (; n >= sizeof(v); n -= sizeof(v))
		*at++ = v++;
}

static void test_guest(void)
{
	struct guest_metrics m, got = { 0 };
	struct buf b = BUF_INIT(4 * KIB);
	struct frame f;

	fill(&m, sizeof(m));
	m.sent_bytes = UINT64_MAX;
	is_int(wire_put_guest_metrics(&b, &m), 0, "a guest's figures are written");
	is_int(frame_peek(&b, &f), 1, "as a frame");
	ok(f.type == FRAME_METRICS && f.stream == 0, "of the connection");
	is_int(wire_get_guest_metrics(&f, &got), 0, "and read");
	m.sent_bytes = INT64_MAX;
	ok(memcmp(&m, &got, sizeof(m)) == 0, "to the same; what JSON cannot say is its largest number");
	buf_fini(&b);
}

static void test_box(void)
{
	struct box_metrics m = { .engine = "qemu", .uptime_ns = 1, .execs_started = 2, .execs_running = 3,
				 .execs_failed = 4, .input_bytes = 5, .output_bytes = 6 }, got;
	struct buf b = BUF_INIT(8 * KIB);
	struct frame f;

	fill(&m.host, sizeof(m.host));
	m.timing.at[TIMING_MAIN] = 77;
	memset(&got, 0x5a, sizeof(got));
	ok(wire_put_metrics(&b, &m) == 0 && frame_peek(&b, &f) == 1 && wire_get_metrics(&f, &got) == 0, "a box's figures");
	ok(!got.has_guest && got.guest.memory_bytes == 0, "without the guest's");
	ok(!memcmp(&m.host, &got.host, sizeof(m.host)) && !strcmp(got.engine, "qemu") && got.uptime_ns == 1 &&
		   got.execs_started == 2 && got.execs_running == 3 && got.execs_failed == 4 && got.input_bytes == 5 &&
		   got.output_bytes == 6 && got.timing.at[TIMING_MAIN] == 77, "come back");
	buf_consume(&b, buf_len(&b));
	m.has_guest = true;
	fill(&m.guest, sizeof(m.guest));
	ok(wire_put_metrics(&b, &m) == 0 && frame_peek(&b, &f) == 1 && wire_get_metrics(&f, &got) == 0 &&
		   got.has_guest && !memcmp(&m.guest, &got.guest, sizeof(m.guest)), "with them");
	buf_fini(&b);
}

static void refused_guest(const char *text)
{
	struct guest_metrics got, before;
	struct frame f = frame_of(FRAME_METRICS, text);

	memset(&got, 0x5a, sizeof(got));
	before = got;
	ok(wire_get_guest_metrics(&f, &got) == -EBADMSG && !memcmp(&got, &before, sizeof(got)), "%s", text);
}

static void test_lies(void)
{
	struct guest_metrics got;
	struct frame f = frame_of(FRAME_METRICS, "{\"memory_bytes\": 5, \"more\": []}");
	struct box_metrics box;
	bool guest = true;

	ok(wire_get_guest_metrics(&f, &got) == 0 && got.memory_bytes == 5 && got.processes == 0,
	   "what is missing is 0, what is more is nothing");
	refused_guest("");
	refused_guest("[]");
	refused_guest("{\"memory_bytes\": -1}");
	refused_guest("{\"memory_bytes\": 1.5}");
	refused_guest("{\"memory_bytes\": \"5\"}");
	refused_guest("{\"sent_bytes\": 9223372036854775808}");
	f = frame_of(FRAME_METRICS, "{\"guest\": 1}");
	ok(wire_get_metrics_request(&f, &guest) == -EBADMSG && guest, "a request that asks for no boolean");
	f = frame_of(FRAME_METRICS, "{}");
	ok(wire_get_metrics_request(&f, &guest) == 0 && !guest, "or for nothing");
	f = frame_of(FRAME_METRICS, "{\"timing\": {}, \"engine\": \"12345678\"}");
	is_int(wire_get_metrics(&f, &box), -EBADMSG, "an engine with too long a name");
	f = frame_of(FRAME_METRICS, "{\"timing\": {}, \"guest\": {\"processes\": {}}}");
	is_int(wire_get_metrics(&f, &box), -EBADMSG, "a guest that says nonsense");
}

static void test_top(void)
{
	struct top_process v[2] = {
		{ .pid = 1, .uid = 0, .user = "root", .state = 'S', .cpu_ns = 7, .memory_bytes = 8, .command = "sh -c" },
		{ .pid = INT32_MAX, .ppid = 1, .uid = UINT32_MAX, .state = 'R' },
	};
	struct top_list l = { .v = v, .n = 2, .last = true, .truncated = true }, got = { 0 };
	struct buf b = BUF_INIT(8 * KIB);
	struct error err = { 0 };
	struct frame f;

	memset(v[1].command, 'x', TOP_COMMAND - 1);
	ok(wire_put_top(&b, &l) == 0 && frame_peek(&b, &f) == 1, "a list of processes");
	is_int(wire_get_top(&f, 2, &got, &err), 0, "is read");
	ok(got.n == 2 && got.last && got.truncated && !memcmp(&got.v[0], &v[0], sizeof(v[0])) &&
		   !memcmp(&got.v[1], &v[1], sizeof(v[1])), "to the same");
	top_list_fini(&got);
	is_int(wire_get_top(&f, 1, &got, &err), -EBADMSG, "one more than there may be");
	buf_consume(&b, buf_len(&b));
	l.n = 0;
	ok(wire_put_top(&b, &l) == 0 && frame_peek(&b, &f) == 1 && wire_get_top(&f, 0, &got, &err) == 0 && got.n == 0,
	   "an empty one");
	top_list_fini(&got);
	buf_consume(&b, buf_len(&b));
	ok(wire_put_top_error(&b, "no \xff") == 0 && frame_peek(&b, &f) == 1 && wire_get_top(&f, 9, &got, &err) == -EIO &&
		   !strcmp(err.text, "no ?"), "or why there is none");
	buf_fini(&b);
}

static void top_is(const char *process, int want, const char *what)
{
	struct top_list got = { 0 };
	char text[1024];
	struct frame f;

	snprintf(text, sizeof(text), "{\"processes\": [%s]}", process);
	f = frame_of(FRAME_TOP, text);
	is_int(wire_get_top(&f, 4, &got, NULL), want, what);
	top_list_fini(&got);
}

static void test_top_lies(void)
{
	struct top_list got = { 0 };
	struct frame f = frame_of(FRAME_TOP, "{\"processes\": [[1, 0, 0, \"a\\nb\", \"S\", 0, 0, \"\\u001b[2J\"]]}");

	ok(wire_get_top(&f, 1, &got, NULL) == 0 && !strcmp(got.v[0].user, "a?b") && !strcmp(got.v[0].command, "?[2J"),
	   "texts are made safe");
	top_list_fini(&got);
	top_is("[1, 0, 0, \"\", \"S\", 0, 0, \"\"]", 0, "a process");
	top_is("[0, 0, 0, \"\", \"S\", 0, 0, \"\"]", -EBADMSG, "pid 0");
	top_is("[2147483648, 0, 0, \"\", \"S\", 0, 0, \"\"]", -EBADMSG, "a pid that is none");
	top_is("[1, -1, 0, \"\", \"S\", 0, 0, \"\"]", -EBADMSG, "a parent that is none");
	top_is("[1, 0, 4294967296, \"\", \"S\", 0, 0, \"\"]", -EBADMSG, "a user that is none");
	top_is("[1, 0, 0, \"\", \"\", 0, 0, \"\"]", -EBADMSG, "no state");
	top_is("[1, 0, 0, \"\", \" \", 0, 0, \"\"]", -EBADMSG, "a state that is no letter");
	top_is("[1, 0, 0, \"\", \"S\", -1, 0, \"\"]", -EBADMSG, "less than no time");
	top_is("[1, 0, 0, \"\", \"S\", 0, 0]", -EBADMSG, "no command");
	top_is("[1, 0, 0, \"\", \"S\", 0, 0, \"\", 1]", -EBADMSG, "more than a process");
	top_is("1", -EBADMSG, "less");
	f = frame_of(FRAME_TOP, "{}");
	is_int(wire_get_top(&f, 4, &got, NULL), -EBADMSG, "no list");
	f = frame_of(FRAME_TOP, "{\"processes\": [], \"last\": 1}");
	is_int(wire_get_top(&f, 4, &got, NULL), -EBADMSG, "an end that is none");
}

static void test_long_texts(void)
{
	char command[TOP_COMMAND + 1], text[TOP_COMMAND + 128];

	memset(command, 'x', TOP_COMMAND);
	command[TOP_COMMAND] = 0;
	snprintf(text, sizeof(text), "[1, 0, 0, \"\", \"S\", 0, 0, \"%s\"]", command);
	top_is(text, -EBADMSG, "a command that is too long");
	command[TOP_COMMAND - 1] = 0;
	snprintf(text, sizeof(text), "[1, 0, 0, \"\", \"S\", 0, 0, \"%s\"]", command);
	top_is(text, 0, "the longest");
	command[TOP_USER] = 0;
	snprintf(text, sizeof(text), "[1, 0, 0, \"%s\", \"S\", 0, 0, \"\"]", command);
	top_is(text, -EBADMSG, "a user with too long a name");
}

int main(void)
{
	test_guest();
	test_box();
	test_lies();
	test_top();
	test_top_lies();
	test_long_texts();
	return tap_done();
}
