/*
 * Who a process runs as: "name|uid[:group|gid]" looked up in the passwd and
 * group files of the image, which are hostile bytes. Rules as docker's.
 */
#ifndef AGENT_USER_H
#define AGENT_USER_H

#include <limits.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/error.h"

#define USER_GROUPS_MAX 1024         /* supplementary groups of one user */
#define USER_FILE_MAX (4 * MIB)      /* of /etc/passwd, of /etc/group */

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS_MAX]; /* the primary group first */
	size_t ngroups;
	char home[PATH_MAX]; /* "/" when the files do not tell */
};

/* Bytes of a file; not terminated. */
struct text {
	const char *p;
	size_t n;
};

/*
 * spec: NULL or "" is uid 0. A number that the files do not know is itself; a name that they
 * do not know is -ENOENT. Supplementary groups are those that list the user's name, unless the
 * spec names a group: then only that one. Lines that are not well-formed do not exist.
 */
int user_resolve(const char *spec, struct text passwd, struct text group, struct user *ret,
		 struct error *err) MUST_CHECK;

/* The name of the first line with that uid: false when there is none, or it does not fit or is not printable. */
bool user_name(struct text passwd, uid_t uid, char *out, size_t size);

/* user_resolve() with /etc/passwd and /etc/group of the caller's root; a missing file is empty. */
int user_load(const char *spec, struct user *ret, struct error *err) MUST_CHECK;

#endif
