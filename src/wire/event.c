#include "wire/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static json_t *to_json(const struct event *e)
{
	json_t *j = json_pack("{s:I, s:s, s:s, s:s*, s:s*, s:s*, s:s*}", "time_ns", (json_int_t)e->time_ns, "type", e->type,
			      "action", e->action, "id", e->id, "name", e->name, "image", e->image, "detail", e->detail);
	int r = j ? 0 : -1;

	if (r == 0 && e->exec)
		r = json_object_set_new(j, "exec", json_integer((json_int_t)e->exec));
	if (r == 0 && e->status != EVENT_NO_STATUS)
		r = json_object_set_new(j, "status", json_integer(e->status));
	if (r == 0 && e->signal)
		r = json_object_set_new(j, "signal", json_integer(e->signal));
	if (r < 0) {
		json_decref(j);
		return NULL;
	}
	return j;
}

int event_append(int fd, const struct event *event)
{
	struct event e = *event;
	auto_json json_t *j = NULL;
	char line[EVENT_LINE_MAX];
	size_t n;
	ssize_t put;

	e.time_ns = clock_wall_ns();
	j = to_json(&e);
	if (!j)
		return -ENOMEM;
	n = json_dumpb(j, line, sizeof(line) - 1, JSON_COMPACT);
	if (n == 0 || n > sizeof(line) - 1)
		return -EMSGSIZE;
	line[n++] = '\n';
	put = write(fd, line, n);
	if (put < 0)
		return -errno;
	return (size_t)put == n ? 0 : -ENOSPC; /* who reads it passes over half a line */
}

int event_from_json(const json_t *j, struct event *ret)
{
	bool bad = !j;
	struct event e = {
		.time_ns = json_get_u64(j, "time_ns", 0, &bad),
		.type = json_get_str(j, "type", NULL, &bad),
		.action = json_get_str(j, "action", NULL, &bad),
		.id = json_get_str(j, "id", NULL, &bad),
		.name = json_get_str(j, "name", NULL, &bad),
		.image = json_get_str(j, "image", NULL, &bad),
		.detail = json_get_str(j, "detail", NULL, &bad),
		.status = EVENT_NO_STATUS,
	};
	uint64_t exec = json_get_u64(j, "exec", 0, &bad), signal = json_get_u64(j, "signal", 0, &bad);
	uint64_t status = json_get_u64(j, "status", 0, &bad);

	if (bad || !e.type || !e.action || exec > UINT32_MAX || signal > 127 || status > 255)
		return -EBADMSG;
	e.exec = (uint32_t)exec;
	e.signal = (int)signal;
	if (json_object_get(j, "status"))
		e.status = (int)status;
	*ret = e;
	return 0;
}
