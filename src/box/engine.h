/* Which engine runs a box, and what it needs. */
#ifndef BOX_ENGINE_H
#define BOX_ENGINE_H

#include "box/home.h"
#include "wire/spec.h"

/*
 * Decides `auto` and sets spec.engine, spec.engine_program and, for kvm, *ret_kvm_fd (an open /dev/kvm).
 * -errno with the remedy when the engine that was asked for is not to be had.
 */
int engine_choose(const struct home *h, struct box_spec *spec, int *ret_kvm_fd, struct error *err) MUST_CHECK;

/* What `auto` means here ("kvm", "qemu") and, in one line, why. It may probe KVM, which takes two seconds at most. */
const char *engine_auto(const struct home *h, char why[ERROR_TEXT_MAX]);

#endif
