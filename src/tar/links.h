/* Files of several names: by what name each is in the archive already. */
#ifndef TAR_LINKS_H
#define TAR_LINKS_H

#include <sys/types.h>

#include "base/base.h"

struct link_name;

struct links {
	struct link_name **slots; /* owned; a hash table with chains */
	size_t nslots, n;
};

void links_fini(struct links *l);
const char *links_find(const struct links *l, dev_t dev, ino_t ino); /* borrowed, NULL: not there */
int links_add(struct links *l, dev_t dev, ino_t ino, const char *name) MUST_CHECK; /* copies; 0, -ENOMEM */

#endif
