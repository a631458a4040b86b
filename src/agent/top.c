/*
 * Theory of operation.
 *
 * The agent's /proc shows every process of the guest: kernel threads, the agent, the box. Those of the box have a pid
 * in a namespace below the agent's: the second number of NSpid, which is the one that the box knows it by. A process
 * that goes while it is looked at is left out.
 *
 * The box decides how many processes there are and what they are called: both are cut.
 */
#include "agent/top.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/root.h"
#include "agent/user.h"
#include "base/clean.h"
#include "base/io.h"
#include "base/str.h"

#define STATUS_MAX (16 * KIB)

/* One process, and what it is called in the agent's namespace. */
struct entry {
	struct top_process p;
	int pid, parent;
};

struct scan {
	struct entry *v; /* owned; of TOP_MAX */
	size_t n;
	bool truncated;
	struct buf passwd; /* of the box */
};

/* What stands behind "Name:" and its white space; NULL without such a line. */
static const char *value_of(const char *status, const char *name)
{
	size_t n = strlen(name);

	for (; status; status = strchr(status, '\n'), status = status ? status + 1 : NULL)
		if (!strncmp(status, name, n) && status[n] == ':')
			return status + n + 1 + strspn(status + n + 1, " \t");
	return NULL;
}

static bool number_at(const char **p, long *ret)
{
	char *end;

	if (!*p || !isdigit((unsigned char)**p))
		return false;
	*ret = strtol(*p, &end, 10);
	*p = end + strspn(end, " \t");
	return *ret >= 0 && *ret <= UINT32_MAX;
}

bool top_parse_status(const char *status, struct top_process *ret, int *ret_parent)
{
	const char *ids = value_of(status, "NSpid"), *parent = value_of(status, "PPid"), *uid = value_of(status, "Uid"),
		   *rss = value_of(status, "VmRSS"), *state = value_of(status, "State"), *name = value_of(status, "Name");
	long outer, inner, up, user, kib = 0;

	if (!number_at(&ids, &outer) || !number_at(&ids, &inner) || inner < 1 || inner > INT32_MAX)
		return false;
	if (!number_at(&parent, &up) || up > INT32_MAX || !number_at(&uid, &user) || !state || !name ||
	    !isalpha((unsigned char)*state))
		return false;
	if (rss)
		number_at(&rss, &kib);
	*ret = (struct top_process){ .pid = (int32_t)inner, .uid = (uint32_t)user, .state = *state,
				     .memory_bytes = (uint64_t)kib * KIB };
	/* In brackets, as ps(1) shows one without a command line. */
	snprintf(ret->command, sizeof(ret->command), "[%.*s]", (int)MIN(strcspn(name, "\n"), 64), name);
	error_flatten(ret->command);
	*ret_parent = (int)up;
	return true;
}

/* "12 (a name) S 1 ...": the name may hold anything; after its last ')' the 12th and 13th words are the times. */
uint64_t top_parse_ticks(const char *stat)
{
	const char *p = strrchr(stat, ')');
	unsigned long long user;
	char *end;
	int i;

	for (i = 0; p && i < 12; i++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	if (!p || !isdigit((unsigned char)*p))
		return 0;
	user = strtoull(p, &end, 10);
	return *end == ' ' && isdigit((unsigned char)end[1]) ? user + strtoull(end, NULL, 10) : 0;
}

static const char *read_text(int dirfd, const char *name, struct buf *b)
{
	buf_consume(b, buf_len(b));
	return io_read_file_at(dirfd, name, b) < 0 ? NULL : buf_str(b);
}

/* The command line, its words separated by spaces; one that is too long is cut between characters. */
static void read_command(int dirfd, char out[TOP_COMMAND])
{
	auto_fd int fd = openat(dirfd, "cmdline", O_RDONLY | O_CLOEXEC);
	char text[TOP_COMMAND];
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text)), i;

	if (got <= 0)
		return;
	if (got == (ssize_t)sizeof(text))
		for (got--; got && ((unsigned char)text[got] & 0xc0) == 0x80; got--)
			;
	while (got && !text[got - 1])
		got--;
	for (i = 0; i < got; i++)
		out[i] = text[i] ? text[i] : ' ';
	if (got == 0)
		return;
	out[got] = 0;
	error_flatten(out);
}

/* False: it is not the box's, or is gone. */
static bool look_at(struct scan *s, const char *pid, struct buf *text, struct entry *ret)
{
	auto_fd int dir = -1;
	char path[32];
	const char *status, *stat;

	snprintf(path, sizeof(path), "/proc/%.16s", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	status = dir < 0 ? NULL : read_text(dir, "status", text);
	if (!status || !top_parse_status(status, &ret->p, &ret->parent))
		return false;
	stat = read_text(dir, "stat", text);
	ret->p.cpu_ns = stat ? top_parse_ticks(stat) * (1000000000U / (unsigned)sysconf(_SC_CLK_TCK)) : 0;
	read_command(dir, ret->p.command);
	user_name((struct text){ (char *)buf_data(&s->passwd), buf_len(&s->passwd) }, ret->p.uid, ret->p.user,
		  sizeof(ret->p.user));
	ret->pid = (int)strtol(pid, NULL, 10);
	return true;
}

/* The image's: whatever its path leads to, it is in the box, and no device. */
static void read_passwd(struct buf *b)
{
	auto_fd int box = open(ROOT_BOX, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	struct stat st;

	if (box >= 0)
		fd = (int)syscall(SYS_openat2, box, "etc/passwd", &how, sizeof(how));
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || io_read_rest(fd, b) < 0)
		buf_consume(b, buf_len(b)); /* then numbers are all that is known */
}

static int by_pid(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->p.pid < y->p.pid ? -1 : x->p.pid > y->p.pid;
}

static int by_outer_pid(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int scan(struct scan *s)
{
	auto_dir DIR *d = opendir("/proc");
	auto_buf struct buf text = BUF_INIT(STATUS_MAX);
	struct dirent *e;
	size_t i;

	if (!d)
		return -errno;
	while (!s->truncated && (e = readdir(d))) {
		struct entry one = { 0 };

		if (!isdigit((unsigned char)e->d_name[0]) || !look_at(s, e->d_name, &text, &one))
			continue;
		s->truncated = s->n == TOP_MAX;
		if (!s->truncated)
			s->v[s->n++] = one;
	}
	qsort(s->v, s->n, sizeof(*s->v), by_outer_pid);
	for (i = 0; i < s->n; i++) {
		struct entry parent = { .pid = s->v[i].parent }, *at;

		at = bsearch(&parent, s->v, s->n, sizeof(*s->v), by_outer_pid);
		s->v[i].p.ppid = at ? at->p.pid : 0;
	}
	qsort(s->v, s->n, sizeof(*s->v), by_pid);
	return 0;
}

static int put(struct buf *out, const struct scan *s)
{
	struct top_process v[TOP_PER_FRAME];
	struct top_list l = { .v = v, .truncated = s->truncated };
	size_t at = 0;
	int r = 0;

	while (r == 0 && !l.last) {
		for (l.n = 0; l.n < TOP_PER_FRAME && at < s->n; at++)
			v[l.n++] = s->v[at].p;
		l.last = at == s->n;
		r = wire_put_top(out, &l);
	}
	return r;
}

int top_answer(struct buf *out)
{
	struct scan s = { .passwd = BUF_INIT(USER_FILE_MAX) };
	int r;

	s.v = calloc(TOP_MAX, sizeof(*s.v));
	if (!s.v)
		return -ENOMEM;
	read_passwd(&s.passwd);
	r = scan(&s);
	if (r == 0)
		r = put(out, &s);
	buf_fini(&s.passwd);
	free(s.v);
	return r;
}
