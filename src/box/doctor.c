#include "box/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clean.h"
#include "box/doctor_checks.h"

#define TEXT_MAX 1024

void doctor_say(struct doctor *d, enum finding_level level, const char *id, const char *remedy,
		const char *fmt, ...)
{
	char what[TEXT_MAX], how[TEXT_MAX];
	struct finding f = { .id = id, .level = level, .what = what, .remedy = remedy ? how : NULL };
	va_list ap;

	if (d->stopped)
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(how, sizeof(how), "%s", remedy ? remedy : "");
	error_flatten(what);
	error_flatten(how);
	d->worst = MAX(d->worst, level);
	d->stopped = d->fn(&f, d->ud) != 0;
}

/* A folder that is no home yet gets no file from us. */
static void open_existing(struct home *h)
{
	auto_fd int fd = open(h->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && faccessat(fd, "boxlite.db", F_OK, 0) == 0)
		h->fd = take_fd(&fd);
}

int doctor_run(const char *home, finding_fn *fn, void *ud, struct error *err)
{
	static void (*const checks[])(struct doctor * d) = {
		doctor_check_kvm,       doctor_check_programs,   doctor_check_guest,  doctor_check_qemu,
		doctor_check_e2fsprogs, doctor_check_namespaces, doctor_check_cgroup, doctor_check_home,
	};
	struct doctor d = { .fn = fn, .ud = ud };
	struct error why = { 0 };
	int r = home_find(home, &d.h, &why);
	size_t i;

	if (r == -ENOMEM)
		return error_nomem(err);
	if (r < 0) {
		doctor_say(&d, FINDING_FAIL, "settings", "correct the environment of boxlite", "%s",
			   why.text);
		return d.worst;
	}
	open_existing(d.h);
	for (i = 0; i < ARRAY_SIZE(checks) && !d.stopped; i++)
		checks[i](&d);
	home_close(d.h);
	return d.worst;
}
