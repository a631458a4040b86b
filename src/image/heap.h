/* A ceiling on what a process that reads strangers' bytes may allocate. */
#ifndef IMAGE_HEAP_H
#define IMAGE_HEAP_H

#include <sys/resource.h>

#include "base/error.h"

/* From now on malloc(3) and private mappings together have at most so many bytes: what a library keeps in memory for a
 * bomb (a window, a sparse map) ends in an error, not in the OOM killer. */
static inline int heap_limit(uint64_t bytes, struct error *err)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose shadow memory counts */
	const struct rlimit l = { bytes, bytes };

	if (setrlimit(RLIMIT_DATA, &l) < 0)
		return error_sys(err, "cannot limit the memory of boxlite-image");
#else
	(void)bytes;
	(void)err;
#endif
	return 0;
}

#endif
