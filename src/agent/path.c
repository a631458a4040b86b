#include "agent/path.h"

#include <stdio.h>
#include <string.h>

bool path_next(const char **path, const char *name, char *out, size_t size)
{
	while (*path) {
		const char *dir = *path;
		size_t n = strcspn(dir, ":");
		int len;

		*path = dir[n] ? dir + n + 1 : NULL;
		if (n == 0) {
			dir = ".";
			n = 1;
		}
		if (n >= size)
			continue;
		len = snprintf(out, size, "%.*s/%s", (int)n, dir, name);
		if (len > 0 && (size_t)len < size)
			return true;
	}
	return false;
}
