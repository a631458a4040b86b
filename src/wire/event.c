#include "wire/event.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static void put_text(struct wr *w, const char *member, const char *text)
{
	if (!text)
		return;
	wr_bytes(w, member, strlen(member));
	json_write_str(w, text);
}

static void put_number(struct wr *w, const char *member, uint64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

	wr_bytes(w, member, strlen(member));
	wr_bytes(w, text, (size_t)n);
}

/* Each exec writes two, so they are written without a tree. */
int event_append(int fd, const struct event *e)
{
	char line[EVENT_LINE_MAX];
	struct wr w = wr_over(line, sizeof(line));
	size_t n;
	ssize_t put;

	put_number(&w, "{\"time_ns\":", clock_wall_ns());
	put_text(&w, ",\"type\":", e->type);
	put_text(&w, ",\"action\":", e->action);
	put_text(&w, ",\"id\":", e->id);
	put_text(&w, ",\"name\":", e->name);
	put_text(&w, ",\"image\":", e->image);
	put_text(&w, ",\"detail\":", e->detail);
	if (e->exec)
		put_number(&w, ",\"exec\":", e->exec);
	if (e->status != EVENT_NO_STATUS)
		put_number(&w, ",\"status\":", (uint64_t)e->status);
	if (e->signal)
		put_number(&w, ",\"signal\":", (uint64_t)e->signal);
	wr_bytes(&w, "}\n", 2);
	if (w.bad)
		return -EMSGSIZE;
	n = (size_t)((char *)w.p - line);
	put = write(fd, line, n);
	if (put < 0)
		return -errno;
	return (size_t)put == n ? 0 : -ENOSPC; /* who reads it passes over half a line */
}

void event_trim(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_blocks * 512 <= EVENTS_MOST || st.st_size <= EVENTS_KEPT)
		return;
	(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (st.st_size - EVENTS_KEPT) & ~(off_t)4095);
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
