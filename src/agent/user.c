#include "agent/user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clean.h"
#include "base/io.h"

#define ID_MAX (UINT32_MAX - 1) /* the last is "no id" to the kernel */
#define FIELDS_MAX 7

/* Takes what stands before `sep` from the head of t: false when t is used up. */
static bool next_part(struct text *t, char sep, struct text *ret)
{
	const char *at;

	if (!t->p)
		return false;
	at = memchr(t->p, sep, t->n);
	*ret = (struct text){ t->p, at ? (size_t)(at - t->p) : t->n };
	if (at)
		*t = (struct text){ at + 1, t->n - ret->n - 1 };
	else
		t->p = NULL;
	return true;
}

/* The fields of a line; the last one holds the rest. */
static size_t split(struct text line, struct text *field, size_t most)
{
	size_t n = 0;

	while (n + 1 < most && next_part(&line, ':', &field[n]))
		n++;
	if (n + 1 == most && line.p)
		field[n++] = line;
	return n;
}

static bool text_is(struct text t, struct text other)
{
	return t.n == other.n && (t.n == 0 || memcmp(t.p, other.p, t.n) == 0);
}

static bool parse_id(struct text t, uint32_t *ret)
{
	uint64_t v = 0;
	size_t i;

	if (t.n == 0 || t.n > 10)
		return false;
	for (i = 0; i < t.n; i++) {
		if (t.p[i] < '0' || t.p[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(t.p[i] - '0');
	}
	if (v > ID_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

struct passwd_line {
	struct text name, home;
	uint32_t uid, gid;
};

/* name:password:uid:gid:comment:home:shell */
static bool parse_passwd(struct text line, struct passwd_line *ret)
{
	struct text f[FIELDS_MAX] = { 0 }; /* fields that a line lacks are empty */

	if (split(line, f, 7) < 6 || f[0].n == 0 || !parse_id(f[2], &ret->uid) || !parse_id(f[3], &ret->gid))
		return false;
	ret->name = f[0];
	ret->home = f[5];
	return true;
}

/* The first line of that name or of that uid written out (an empty `who`: of uid 0). */
static bool find_user(struct text passwd, struct text who, struct passwd_line *ret)
{
	struct text line;
	uint32_t uid = 0;
	bool numeric = who.n == 0 || parse_id(who, &uid);

	while (next_part(&passwd, '\n', &line)) {
		struct passwd_line p;

		if (!parse_passwd(line, &p) || !(text_is(p.name, who) || (numeric && p.uid == uid)))
			continue;
		*ret = p;
		return true;
	}
	return false;
}

bool user_name(struct text passwd, uid_t uid, char *out, size_t size)
{
	struct passwd_line p;
	struct text line;
	size_t i;

	while (next_part(&passwd, '\n', &line)) {
		if (!parse_passwd(line, &p) || p.uid != uid)
			continue;
		if (p.name.n >= size)
			return false;
		for (i = 0; i < p.name.n; i++)
			if (p.name.p[i] <= ' ' || p.name.p[i] > '~')
				return false;
		memcpy(out, p.name.p, p.name.n);
		out[p.name.n] = 0;
		return true;
	}
	return false;
}

struct group_line {
	struct text name, members; /* "a,b,c" */
	uint32_t gid;
};

/* name:password:gid:members */
static bool parse_group(struct text line, struct group_line *ret)
{
	struct text f[FIELDS_MAX] = { 0 }; /* fields that a line lacks are empty */

	if (split(line, f, 4) < 3 || f[0].n == 0 || !parse_id(f[2], &ret->gid))
		return false;
	ret->name = f[0];
	ret->members = f[3];
	return true;
}

static bool has_member(struct text members, struct text name)
{
	struct text one;

	while (next_part(&members, ',', &one))
		if (text_is(one, name))
			return true;
	return false;
}

static int add_group(struct user *u, gid_t gid, struct error *err)
{
	size_t i;

	for (i = 0; i < u->ngroups; i++)
		if (u->groups[i] == gid)
			return 0;
	if (u->ngroups == USER_GROUPS_MAX)
		return error_set(err, -E2BIG, "the user is in more than %d groups", USER_GROUPS_MAX);
	u->groups[u->ngroups++] = gid;
	return 0;
}

/* The groups that list the user. */
static int add_memberships(struct user *u, struct text group, struct text name, struct error *err)
{
	struct group_line g;
	struct text line;
	int r;

	while (next_part(&group, '\n', &line)) {
		if (!parse_group(line, &g) || !has_member(g.members, name))
			continue;
		r = add_group(u, g.gid, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int find_group(struct text group, struct text who, gid_t *ret, struct error *err)
{
	struct group_line g;
	struct text line;
	uint32_t gid = 0;
	bool numeric = parse_id(who, &gid);

	while (next_part(&group, '\n', &line)) {
		if (!parse_group(line, &g))
			continue;
		if (text_is(g.name, who) || (numeric && g.gid == gid)) {
			*ret = g.gid;
			return 0;
		}
	}
	if (!numeric)
		return error_set(err, -ENOENT, "unable to find group %.*s: no matching entries in group file",
				 (int)MIN(who.n, (size_t)128), who.p);
	*ret = gid;
	return 0;
}

static int set_home(struct user *u, struct text home, struct error *err)
{
	if (home.n == 0)
		home = (struct text){ "/", 1 };
	if (home.n >= sizeof(u->home) || memchr(home.p, 0, home.n))
		return error_set(err, -EINVAL, "the user's home folder in the passwd file is not a path");
	memcpy(u->home, home.p, home.n);
	u->home[home.n] = 0;
	return 0;
}

int user_resolve(const char *spec, struct text passwd, struct text group, struct user *ret,
		 struct error *err)
{
	struct text rest = { spec ? spec : "", spec ? strlen(spec) : 0 }, who, in = { "", 0 };
	struct passwd_line p = { 0 };
	bool known;
	int r;

	next_part(&rest, ':', &who);
	if (rest.p)
		in = rest;
	known = find_user(passwd, who, &p);
	if (!known && who.n && !parse_id(who, &p.uid))
		return error_set(err, -ENOENT, "unable to find user %.*s: no matching entries in passwd file",
				 (int)MIN(who.n, (size_t)128), who.p);
	*ret = (struct user){ .uid = p.uid, .gid = p.gid };
	r = set_home(ret, p.home, err);
	if (r == 0 && in.n)
		r = find_group(group, in, &ret->gid, err);
	if (r == 0)
		r = add_group(ret, ret->gid, err);
	if (r == 0 && known && !in.n)
		r = add_memberships(ret, group, p.name, err);
	return r;
}

/* A regular file of bounded size; whatever else has the name is an error and does not block. */
static int read_file(const char *path, struct buf *b, struct error *err)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : error_sys(err, "cannot open %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s is not a file", path);
	r = io_read_rest(fd, b);
	if (r == -ENOBUFS)
		return error_set(err, r, "%s is larger than 4 MB", path);
	return r < 0 ? error_code(err, r, "cannot read %s", path) : 0;
}

int user_load(const char *spec, struct user *ret, struct error *err)
{
	auto_buf struct buf passwd = BUF_INIT(USER_FILE_MAX), group = BUF_INIT(USER_FILE_MAX);
	int r = read_file("/etc/passwd", &passwd, err);

	if (r == 0)
		r = read_file("/etc/group", &group, err);
	if (r < 0)
		return r;
	return user_resolve(spec, (struct text){ (char *)buf_data(&passwd), buf_len(&passwd) },
			    (struct text){ (char *)buf_data(&group), buf_len(&group) }, ret, err);
}
