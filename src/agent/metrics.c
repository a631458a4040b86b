#include "agent/metrics.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/str.h"

#define BOX "/cgroup/box/"
#define DISK "/disk"
#define FILE_MAX (64 * KIB)

/* The text of a file of the kernel; "" without it. Borrowed from b. */
static const char *read_text(const char *path, struct buf *b)
{
	const char *text;

	buf_consume(b, buf_len(b));
	if (io_read_file_at(AT_FDCWD, path, b) < 0)
		return "";
	text = buf_str(b);
	return text ? text : "";
}

static uint64_t number(const char *p)
{
	return isdigit((unsigned char)*p) ? strtoull(p, NULL, 10) : 0;
}

static const char *next_line(const char *line)
{
	line = strchr(line, '\n');
	return line ? line + 1 : NULL;
}

uint64_t metrics_value(const char *text, const char *name)
{
	const char *line, *p;
	size_t n = strlen(name);

	for (line = text; line; line = next_line(line)) {
		if (strncmp(line, name, n) != 0)
			continue;
		p = line + n;
		p += *p == ':';
		if (*p != ' ' && *p != '\t')
			continue;
		return number(p + strspn(p, " \t"));
	}
	return 0;
}

/* "254:16 rbytes=1 wbytes=2 rios=3 ...": a line for each device. */
void metrics_add_io(const char *io_stat, struct guest_metrics *m)
{
	const char *p;

	for (p = io_stat; (p = strstr(p, "rbytes=")); p += strlen("rbytes="))
		m->read_bytes += number(p + strlen("rbytes="));
	for (p = io_stat; (p = strstr(p, "wbytes=")); p += strlen("wbytes="))
		m->written_bytes += number(p + strlen("wbytes="));
}

/* "  eth0: <bytes> <packets> ... (8 numbers received) <bytes> ...", below two lines of titles. */
void metrics_add_net(const char *net_dev, struct guest_metrics *m)
{
	const char *line, *p;
	uint64_t v[9];
	size_t i;

	for (line = net_dev; line; line = next_line(line)) {
		char *end;

		p = line + strspn(line, " ");
		if (strchr(p, ':') == NULL || str_starts(p, "lo:"))
			continue;
		if (strcspn(p, ":") > strcspn(p, "|\n")) /* a title */
			continue;
		p += strcspn(p, ":") + 1;
		for (i = 0; i < ARRAY_SIZE(v); i++, p = end) {
			v[i] = strtoull(p, &end, 10);
			if (end == p)
				break;
		}
		if (i < ARRAY_SIZE(v))
			continue;
		m->received_bytes += v[0];
		m->sent_bytes += v[8];
	}
}

int metrics_answer(struct buf *out)
{
	auto_buf struct buf b = BUF_INIT(FILE_MAX);
	struct guest_metrics m = { 0 };
	struct statvfs fs;
	const char *text;

	text = read_text("/proc/meminfo", &b);
	m.memory_bytes = metrics_value(text, "MemTotal") * KIB;
	m.memory_available_bytes = metrics_value(text, "MemAvailable") * KIB;
	text = read_text(BOX "cpu.stat", &b);
	m.cpu_user_ns = metrics_value(text, "user_usec") * 1000;
	m.cpu_system_ns = metrics_value(text, "system_usec") * 1000;
	m.box_memory_bytes = number(read_text(BOX "memory.current", &b));
	m.processes = number(read_text(BOX "pids.current", &b));
	metrics_add_io(read_text(BOX "io.stat", &b), &m);
	metrics_add_net(read_text("/proc/net/dev", &b), &m);
	if (statvfs(DISK, &fs) == 0) {
		m.disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
		m.disk_used_bytes = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	}
	return wire_put_guest_metrics(out, &m);
}
