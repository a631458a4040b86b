/*
 * Whether this machine's KVM can run an ordinary kernel: found out by letting it run what one does
 * (probe_guest.c).
 */
#ifndef VMM_PROBE_H
#define VMM_PROBE_H

#include "base/error.h"
#include "wire/verdict.h"

struct kvm_run;

#define PROBE_LIMIT_S 2 /* a KVM that works is done in milliseconds */

/*
 * Runs the probe on an open /dev/kvm: 0 with the verdict, or -errno when the host is too short of something
 * (memory, fds) to tell. Takes PROBE_LIMIT_S at most unless the kernel itself hangs, for which the caller
 * needs a limit of its own. Uses alarm(2) and SIGALRM of the process: for a program that does nothing else.
 */
int probe_kvm(int kvm_fd, struct verdict *ret, struct error *err) MUST_CHECK;

/* --- for tests -------------------------------------------------------------------------------- */

/* What a step of the guest is called; for a number that is none, "an unknown step". */
const char *probe_step_name(unsigned step);

/* Why the guest came out, other than by telling how far it is. */
void probe_exit_text(const struct kvm_run *run, char out[VERDICT_REASON_MAX]);

/* Looks at one exit: true if the guest is to go on, false if *v is complete. `step`: the one that the guest
 * is at. */
bool probe_exit(const struct kvm_run *run, unsigned *step, struct verdict *v);

#endif
