#include "box/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "box/kvm.h"
#include "box/qemu.h"

static int set(char **at, const char *text, struct error *err)
{
	char *copy = strdup(text);

	if (!copy)
		return error_nomem(err);
	free(*at);
	*at = copy;
	return 0;
}

static int open_kvm(struct error *err)
{
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return error_set(err, -errno, "this machine has no /dev/kvm: load kvm_amd or kvm_intel, "
					      "or use --engine qemu");
	if (errno == EACCES || errno == EPERM)
		return error_set(err, -errno, "you may not open /dev/kvm: join its group (kvm), or use --engine qemu");
	return error_sys(err, "cannot open /dev/kvm");
}

static int prepare_kvm(const struct home *h, struct box_spec *spec, int *ret_kvm_fd, struct error *err)
{
	int r = open_kvm(err);

	if (r < 0)
		return r;
	free(spec->engine_program);
	if (asprintf(&spec->engine_program, "%s/boxlite-vmm", h->programs) < 0) {
		spec->engine_program = NULL;
		close(r);
		return error_nomem(err);
	}
	*ret_kvm_fd = r;
	return 0;
}

/* A device that opens proves nothing: its verdict counts. Without one, boxes run on what runs everywhere. */
static const char *decide(const struct home *h, char why[ERROR_TEXT_MAX])
{
	struct error err = { 0 };
	auto_fd int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	struct verdict v = { 0 };

	if (fd < 0) {
		snprintf(why, ERROR_TEXT_MAX, KVM_DEVICE " cannot be opened: %s", strerror(errno));
		return "qemu";
	}
	if (kvm_verdict(h, fd, &v, &err) < 0) {
		snprintf(why, ERROR_TEXT_MAX, "KVM could not be tried out: %.400s", err.text);
		return "qemu";
	}
	if (!v.works) {
		snprintf(why, ERROR_TEXT_MAX, "KVM is there but cannot run an ordinary kernel: %s: %s", v.step, v.reason);
		return "qemu";
	}
	snprintf(why, ERROR_TEXT_MAX, "KVM runs an ordinary kernel");
	return "kvm";
}

const char *engine_auto(const struct home *h, char why[ERROR_TEXT_MAX])
{
	if (!h->engine || str_eq(h->engine, "auto"))
		return decide(h, why);
	snprintf(why, ERROR_TEXT_MAX, "BOXLITE_ENGINE says so");
	return h->engine;
}

int engine_choose(const struct home *h, struct box_spec *spec, int *ret_kvm_fd, struct error *err)
{
	char why[ERROR_TEXT_MAX];
	int r = 0;

	if (str_eq(spec->engine, "auto"))
		r = set(&spec->engine, engine_auto(h, why), err);
	if (r < 0)
		return r;
	return str_eq(spec->engine, "kvm") ? prepare_kvm(h, spec, ret_kvm_fd, err)
					   : qemu_find(h, &spec->engine_program, err);
}
