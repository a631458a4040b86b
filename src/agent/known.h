/*
 * Who the last exec ran as, and the state of the files that said so. To read passwd and group is a tenth of what an
 * exec costs, and mostly they are as they were.
 */
#ifndef AGENT_KNOWN_H
#define AGENT_KNOWN_H

#include <sys/stat.h>

#include "agent/user.h"

#define KNOWN_GROUPS_MAX 32
#define KNOWN_TEXT_MAX 128

/* Fixed in size, because it is sent from a child to the agent. */
struct known_user {
	bool set;
	char spec[KNOWN_TEXT_MAX], home[KNOWN_TEXT_MAX];
	struct file_state {
		dev_t dev;
		ino_t ino; /* all 0: there is no such file */
		off_t size;
		struct timespec mtime, ctime;
	} passwd, group;
	uid_t uid;
	gid_t gid, groups[KNOWN_GROUPS_MAX];
	size_t ngroups;
};

/*
 * user_load(), from `k` where that still holds. Otherwise k becomes what was found, or is not set if it cannot be kept:
 * too long, or of files so new that another change would not show. *ret_new: k has changed.
 */
int known_user_load(const char *spec, struct known_user *k, bool *ret_new, struct user *ret,
		    struct error *err) MUST_CHECK;

#endif
