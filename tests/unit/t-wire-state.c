/* What shims and libraries leave in files for others: a line of events.log, health.json. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clean.h"
#include "lib/tap.h"
#include "wire/event.h"
#include "wire/health.h"

static json_t *parse(const char *text)
{
	return json_loads(text, 0, NULL);
}

static void test_event(void)
{
	struct event e = { .type = "box", .action = "die", .id = "0123456789ab", .name = "one", .image = "bb", .exec = 7,
			   .status = 0, .signal = 9, .detail = "why \"not\"\n" };
	struct event got = { 0 };
	char line[EVENT_LINE_MAX + 1] = "", line2[EVENT_LINE_MAX + 1], *end, longest[EVENT_LINE_MAX];
	auto_fd int fd = memfd_create("events", MFD_CLOEXEC);
	json_t *j;
	ssize_t n;

	is_int(event_append(fd, &e), 0, "an event is written");
	ok(pread(fd, line, EVENT_LINE_MAX, 0) > 0 && (end = strchr(line, '\n')) && !end[1], "as one line");
	j = parse(line);
	is_int(event_from_json(j, &got), 0, "and read");
	is_str(got.action, "die", "its action");
	is_str(got.name, "one", "its name");
	is_str(got.detail, e.detail, "its detail, whatever is in it");
	ok(got.exec == 7 && got.status == 0 && got.signal == 9 && got.time_ns > 1600000000000000000, "its numbers");
	json_decref(j);

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	e.detail = longest;
	is_int(event_append(fd, &e), -EMSGSIZE, "one that is too long is none");
	is_int(lseek(fd, 0, SEEK_END), (long long)strlen(line), "and leaves nothing");
	e.detail = "\xff";
	is_int(event_append(fd, &e), 0, "of one that is not UTF-8");
	n = pread(fd, line2, EVENT_LINE_MAX, (off_t)strlen(line));
	line2[n > 0 ? n : 0] = 0;
	j = parse(line2);
	ok(event_from_json(j, &got) == 0 && str_eq(got.detail, "?"), "the bytes are replaced");
	json_decref(j);

	j = parse("{\"time_ns\": 5, \"type\": \"image\", \"action\": \"pull\", \"more\": [1]}");
	is_int(event_from_json(j, &got), 0, "what is missing is not there, and what is new is passed over");
	ok(!got.id && !got.name && got.exec == 0 && got.status == EVENT_NO_STATUS, "so it has no status");
	json_decref(j);
}

static void test_bad_events(void)
{
	static const char *const bad[] = {
		"{}", "[]", "{\"type\": \"box\"}", "{\"type\": 1, \"action\": \"x\"}",
		"{\"type\": \"box\", \"action\": \"x\", \"status\": 256}", "{\"type\": \"box\", \"action\": \"x\", \"exec\": -1}",
		"{\"type\": \"box\", \"action\": \"x\", \"signal\": 128}", "{\"type\": \"box\", \"action\": \"x\", \"name\": 5}",
	};
	struct event got = { .exec = 99 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *j = parse(bad[i]);

		ok(event_from_json(j, &got) == -EBADMSG && got.exec == 99, "malformed: %s", bad[i]);
		json_decref(j);
	}
	is_int(event_from_json(NULL, &got), -EBADMSG, "nothing at all");
}

static void test_health(void)
{
	static struct health_state s = { HEALTH_UNHEALTHY, .failing = 3, .checked_at = 77, .exit_status = 124 }, got;
	json_t *j;

	memset(s.output, 'o', sizeof(s.output) - 1);
	s.output[3] = '\n';
	j = health_to_json(&s);
	is_int(health_from_json(j, &got), 0, "a health");
	ok(!memcmp(&s, &got, sizeof(s)), "comes through, with all of its output");
	json_decref(j);
	s.output[0] = '\x80'; /* cut in a character */
	j = health_to_json(&s);
	is_int(health_from_json(j, &got), 0, "output that is not UTF-8");
	ok(got.output[0] == '?' && got.output[3] == '\n' && strlen(got.output) == strlen(s.output),
	   "loses what it cannot have");
	json_decref(j);
	j = parse("{\"status\": \"well\"}");
	is_int(health_from_json(j, &got), -EBADMSG, "no such health");
	json_decref(j);
	j = parse("{\"status\": \"healthy\", \"exit_code\": 256}");
	is_int(health_from_json(j, &got), -EBADMSG, "no such status");
	json_decref(j);
	is_int(health_from_json(NULL, &got), -EBADMSG, "nothing");
}

int main(void)
{
	test_event();
	test_bad_events();
	test_health();
	return tap_done();
}
