/* How many names a folder has; -1 if it cannot be looked at. */
#ifndef TESTS_LIB_COUNT_H
#define TESTS_LIB_COUNT_H

#include <dirent.h>
#include <string.h>

static inline long count_in(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	long n = 0;

	if (!d)
		return -1;
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

#endif
