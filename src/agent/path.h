/* Which file argv[0] means. */
#ifndef AGENT_PATH_H
#define AGENT_PATH_H

#include "base/base.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/*
 * Takes the next folder from the head of *path (a PATH; an empty part is ".") and makes
 * "folder/name" in out. False when there is none left. What does not fit is skipped.
 */
bool path_next(const char **path, const char *name, char *out, size_t size);

#endif
