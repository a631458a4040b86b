#include "shim/engine.h"

#include <errno.h>

const struct engine *engine_find(const char *name, struct error *err)
{
	/* boxlite-vmm is not part of this build, so `auto` has one choice. */
	if (str_eq(name, "qemu") || str_eq(name, "auto"))
		return &engine_qemu;
	if (str_eq(name, "kvm"))
		error_set(err, -ENOTSUP, "engine kvm is not part of this build; use --engine qemu");
	else
		error_set(err, -EINVAL, "no engine is called '%s'; there are auto, kvm and qemu", name);
	return NULL;
}
