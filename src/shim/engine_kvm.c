/*
 * Engine kvm: boxlite-vmm as a child. It gets fds only; what machine to be is a frame in one of them
 * (wire/machine.h).
 */
#include "shim/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"

/* The words of kernel/cmdline; where each is explained. A guest of KVM has its clocks: it is told no frequency. */
#define CMDLINE "console=hvc0 %s panic=-1 reboot=k,panic_warm noreplace-smp swiotlb=noforce dummy.numdummies=0 boxlite.channel=vsock:2:1%s%s"

static int put_spec(struct buf *out, const struct machine *m)
{
	struct machine_spec spec = {
		.cpus = m->cpus,
		.memory_bytes = m->memory_bytes,
		.serial = m->debug,
		.ndisks = (unsigned)m->ndisks,
		.net = m->net_fd >= 0,
		.mac = NET_GUEST_MAC,
	};
	size_t i;
	int r;

	for (i = 0; i < m->ndisks; i++)
		spec.readonly[i] = m->disks[i].readonly;
	if (asprintf(&spec.cmdline, CMDLINE, m->debug ? "loglevel=7 earlyprintk=serial,ttyS0" : "quiet",
		     m->debug ? " boxlite.debug" : "", m->trace ? " initcall_debug" : "") < 0)
		return -ENOMEM;
	r = wire_put_machine(out, &spec);
	machine_spec_fini(&spec);
	return r;
}

/* A file of the description: fd, at its beginning, or -errno. */
static int write_spec(const struct machine *m)
{
	auto_buf struct buf out = BUF_INIT(64 * KIB);
	auto_fd int fd = memfd_create("machine", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : put_spec(&out, m);

	if (r == 0)
		r = io_pwrite_full(fd, buf_data(&out), buf_len(&out), 0);
	return r < 0 ? r : take_fd(&fd);
}

static int kvm_start(const struct box_spec *s, const struct machine *m, struct child *ret, struct error *err)
{
	static const char *const argv[] = { "boxlite-vmm", NULL };
	auto_fd int spec = write_spec(m);
	struct spawn_fd fds[10 + MACHINE_DISKS_MAX] = {
		{ spec, VMM_FD_SPEC },          { SHIM_FD_KVM, VMM_FD_KVM },
		{ m->agent_fd, VMM_FD_AGENT },  { m->console_fd, VMM_FD_CONSOLE },
		{ m->kernel_fd, VMM_FD_KERNEL }, { m->initrd_fd, VMM_FD_INITRD },
		{ m->stderr_fd, STDERR_FILENO }, { m->report_fd, VMM_FD_REPORT },
		{ m->lock_fd, VMM_FD_LOCK },
	};
	struct spawn spawn = {
		.path = s->engine_program, .argv = argv, .fds = fds, .nfds = 9, .die_with_parent = true,
	};
	size_t i;

	if (spec < 0)
		return error_code(err, spec, "cannot describe the machine");
	if (!s->engine_program)
		return error_set(err, -EINVAL, "the box's description does not say where boxlite-vmm is");
	if (m->net_fd >= 0)
		fds[spawn.nfds++] = (struct spawn_fd){ m->net_fd, VMM_FD_NET };
	for (i = 0; i < m->ndisks; i++)
		fds[spawn.nfds++] = (struct spawn_fd){ m->disks[i].fd, VMM_FD_DISK0 + (int)i };
	return spawn_start(&spawn, ret, err);
}

const struct engine engine_kvm = { .name = "kvm", .net_headers = true, .start = kvm_start };
