#include "shim/engine.h"

#include <errno.h>

const struct engine *engine_find(const char *name, struct error *err)
{
	/* `auto` was decided before: by who opened what the engine needs. */
	if (str_eq(name, "qemu"))
		return &engine_qemu;
	if (str_eq(name, "kvm"))
		return &engine_kvm;
	error_set(err, -EINVAL, "no engine is called '%s'; there are auto, kvm and qemu", name);
	return NULL;
}
