/* The doctor's checks, each in doctor_<group>.c. All that they find goes through doctor_say(). */
#ifndef BOX_DOCTOR_CHECKS_H
#define BOX_DOCTOR_CHECKS_H

#include "box/doctor.h"
#include "box/home.h"

struct doctor {
	struct home *h; /* found, not opened; h->fd is open if the home exists */
	finding_fn *fn;
	void *ud;
	enum finding_level worst;
	bool stopped; /* fn wants no more */
	bool kvm_works;
};

/* One finding. remedy NULL: none is needed. */
void doctor_say(struct doctor *d, enum finding_level level, const char *id, const char *remedy,
		const char *fmt, ...) PRINTF_LIKE(5, 6);

void doctor_check_kvm(struct doctor *d); /* doctor_kvm.c; sets kvm_works */

/* doctor_host.c */
void doctor_check_namespaces(struct doctor *d);
void doctor_check_cgroup(struct doctor *d);

/* doctor_parts.c; after doctor_check_kvm() */
void doctor_check_programs(struct doctor *d);
void doctor_check_guest(struct doctor *d);
void doctor_check_qemu(struct doctor *d);
void doctor_check_e2fsprogs(struct doctor *d);

void doctor_check_home(struct doctor *d); /* doctor_home.c */

#endif
