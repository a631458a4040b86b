/*
 * Cleanup by scope, for *values that a function owns*.
 *
 * A variable declared with one of these is initialised where it is declared
 * (-1 or NULL) and released when it goes out of scope. Ownership leaves only
 * through take_fd() / take_ptr(). Steps to *undo* (mounts, registrations) use
 * a goto ladder instead; never both in one function.
 */
#ifndef BASE_CLEAN_H
#define BASE_CLEAN_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void clean_free(void *p)
{
	free(*(void **)p);
}

static inline void clean_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void clean_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void clean_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define auto_free __attribute__((cleanup(clean_free)))
#define auto_fd __attribute__((cleanup(clean_fd)))
#define auto_file __attribute__((cleanup(clean_file)))
#define auto_dir __attribute__((cleanup(clean_dir)))

/* Moves an fd out of a variable, which is -1 afterwards. */
static inline int take_fd(int *fd)
{
	int out = *fd;

	*fd = -1;
	return out;
}

/* Closes an fd held in a structure and marks it closed; -1 is allowed. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Moves a pointer out of a variable, which is NULL afterwards. */
#define take_ptr(p)                  \
	({                           \
		__typeof__(*(p)) t_ = *(p); \
		*(p) = NULL;         \
		t_;                  \
	})

#endif
