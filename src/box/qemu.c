#include "box/qemu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int qemu_find(const struct home *h, char **ret, struct error *err)
{
	static const char *const places[] = {
		"/usr/bin/qemu-system-x86_64",
		"/usr/local/bin/qemu-system-x86_64",
		"/bin/qemu-system-x86_64",
	};
	const char *found = h->qemu;
	size_t i;

	if (h->qemu && access(h->qemu, X_OK) < 0)
		return error_sys(err, "cannot run %s (BOXLITE_QEMU)", h->qemu);
	for (i = 0; i < ARRAY_SIZE(places) && !found; i++)
		if (access(places[i], X_OK) == 0)
			found = places[i];
	if (!found)
		return error_set(err, -ENOENT, "qemu-system-x86_64 is not installed, and engine qemu needs it: "
					       "apt install qemu-system-x86");
	free(*ret);
	*ret = strdup(found);
	return *ret ? 0 : error_nomem(err);
}
