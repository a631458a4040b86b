/* Whether the host's KVM can run our guests, and whether its kernel lets us make a jail. boxlite-vmm finds
 * it out. */
#ifndef BOX_KVM_H
#define BOX_KVM_H

#include "box/home.h"
#include "wire/verdict.h"

#define KVM_DEVICE "/dev/kvm"

/*
 * The verdict of this boot, this device and this user: what home/kvm says, else what a probe finds (and
 * then home/kvm says). kvm_fd is the open device. -errno when there is no verdict, which is not remembered.
 */
int kvm_verdict(const struct home *h, int kvm_fd, struct verdict *ret, struct error *err) MUST_CHECK;

/* The same, but it probes. With a home that is not open, nothing is remembered. */
int kvm_probe(const struct home *h, int kvm_fd, struct verdict *ret, struct error *err) MUST_CHECK;

/* Whether boxlite-vmm may make the namespaces of a jail. */
int kvm_probe_jail(const struct home *h, struct verdict *ret, struct error *err) MUST_CHECK;

#endif
