#include "agent/known.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Two changes within a tick of the kernel's clock have one time. */
#define SETTLED_NS 1000000000ULL

static struct file_state state_of(const char *path)
{
	struct file_state f = { 0 };
	struct stat st;

	if (stat(path, &st) == 0)
		f = (struct file_state){ st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
	return f;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_state(const struct file_state *a, const struct file_state *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime);
}

static bool is_settled(const struct file_state *f)
{
	uint64_t changed = (uint64_t)f->ctime.tv_sec * 1000000000 + (uint64_t)f->ctime.tv_nsec;

	return changed + SETTLED_NS < clock_wall_ns();
}

static void recall(const struct known_user *k, struct user *ret)
{
	ret->uid = k->uid;
	ret->gid = k->gid;
	ret->ngroups = k->ngroups;
	memcpy(ret->groups, k->groups, k->ngroups * sizeof(*k->groups));
	snprintf(ret->home, sizeof(ret->home), "%s", k->home);
}

static void keep(const char *spec, const struct user *u, struct known_user *k)
{
	k->set = is_settled(&k->passwd) && is_settled(&k->group) && u->ngroups <= KNOWN_GROUPS_MAX &&
		 strlen(spec) < KNOWN_TEXT_MAX && strlen(u->home) < KNOWN_TEXT_MAX;
	if (!k->set)
		return;
	memcpy(k->spec, spec, strlen(spec) + 1);
	memcpy(k->home, u->home, strlen(u->home) + 1);
	k->uid = u->uid;
	k->gid = u->gid;
	k->ngroups = u->ngroups;
	memcpy(k->groups, u->groups, u->ngroups * sizeof(*u->groups));
}

int known_user_load(const char *spec, struct known_user *k, bool *ret_new, struct user *ret, struct error *err)
{
	/* Before they are read: a change meanwhile is then seen the next time. */
	struct file_state passwd = state_of("/etc/passwd"), group = state_of("/etc/group");
	int r;

	*ret_new = false;
	spec = spec ? spec : "";
	if (k->set && strcmp(k->spec, spec) == 0 && same_state(&k->passwd, &passwd) && same_state(&k->group, &group)) {
		recall(k, ret);
		return 0;
	}
	r = user_load(spec, ret, err);
	if (r < 0)
		return r;
	*ret_new = true;
	k->passwd = passwd;
	k->group = group;
	keep(spec, ret, k);
	return 0;
}
