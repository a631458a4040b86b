/*
 * boxlite-vmm: one machine on KVM.
 *
 * It is started by boxlite-shim with open files (enum vmm_fd), reads what machine to be from one of them, and runs it
 * until the guest powers off, the guest fails, or SIGTERM comes. Exit status: 0 the guest has powered off or SIGTERM;
 * 1 something failed, and the last line of standard error says what.
 *
 * Two questions are answered without a machine, each with a verdict (wire/verdict.h) and status 0, whatever it is:
 *
 *	boxlite-vmm --probe < /dev/kvm    can this KVM run an ordinary kernel?
 *	boxlite-vmm --probe-jail          may this program make the namespaces of a jail?
 *
 * Trust. The guest is hostile, and this is the program that it meets. It opens nothing by path, and what it was given
 * is all that it can reach.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/str.h"
#include "vmm/jail_probe.h"
#include "vmm/machine.h"
#include "vmm/probe.h"

struct vmm {
	struct loop loop;
	struct vmm_machine machine;
	struct watch ended, signals;
};

static int read_spec(struct machine_spec *ret, struct error *err)
{
	auto_buf struct buf in = BUF_INIT(64 * KIB);
	struct frame f;
	int r = io_read_rest(VMM_FD_SPEC, &in);

	if (r < 0)
		return error_code(err, r, "cannot read what machine to be");
	if (frame_peek(&in, &f) != 1)
		return error_set(err, -EBADMSG, "no description of a machine");
	return wire_get_machine(&f, ret, err);
}

static void on_ended(struct watch *w, uint32_t events)
{
	(void)events;
	loop_stop(&container_of(w, struct vmm, ended)->loop);
}

static void on_signal(struct watch *w, uint32_t events)
{
	struct vmm *v = container_of(w, struct vmm, signals);
	char info[128];

	(void)events;
	if (read(w->fd, info, sizeof(info)) > 0)
		vm_stop(&v->machine.vm);
}

static int watch_ends(struct vmm *v, struct error *err)
{
	sigset_t set;
	int fd, r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	fd = loop_signal_fd(&set);
	r = fd < 0 ? fd : loop_add(&v->loop, &v->signals, fd, EPOLLIN, on_signal);
	if (r == 0)
		r = loop_add(&v->loop, &v->ended, v->machine.vm.ended_fd, EPOLLIN, on_ended);
	return r < 0 ? error_code(err, r, "cannot watch the machine") : 0;
}

/* vCPU threads may be there still, and have reasons of their own to end. */
static int explain(struct vm *vm)
{
	enum vm_end end;

	pthread_mutex_lock(&vm->lock);
	end = vm->end;
	pthread_mutex_unlock(&vm->lock);
	switch (end) {
	case VM_PANICKED:
	case VM_TRIPLE_FAULT:
	case VM_CRASHED:
	case VM_FAILED:
		fprintf(stderr, "%s\n", vm->why);
		return 1;
	default:
		return 0;
	}
}

static int probe(const char *what)
{
	auto_buf struct buf out = BUF_INIT(VERDICT_LINE_MAX);
	struct verdict v = { 0 };
	struct error err = { 0 };
	int r;

	if (str_eq(what, "--probe")) {
		r = probe_kvm(STDIN_FILENO, &v, &err);
	} else if (str_eq(what, "--probe-jail")) {
		r = probe_jail(&v, &err);
	} else {
		log_error("this program is started by boxlite; by hand: boxlite-vmm --probe < /dev/kvm");
		return 2;
	}
	if (r == 0)
		r = verdict_put(&out, &v);
	if (r == 0)
		r = io_write_full(STDOUT_FILENO, buf_data(&out), buf_len(&out));
	if (r < 0)
		log_error("%s", err.code ? err.text : strerror(-r));
	return r < 0 ? 1 : 0;
}

static int run_machine(void)
{
	static struct vmm v = { .ended = { .fd = -1 }, .signals = { .fd = -1 } };
	struct machine_report report = { .main_ns = clock_ns() };
	struct machine_spec spec = { 0 };
	struct error err = { 0 };
	int r, status = 1;

	/* Its memory is the guest's memory: no core dump, no ptrace by others. */
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a disk file that may not grow is an I/O error of the guest */
	r = read_spec(&spec, &err);
	if (r == 0) {
		r = loop_init(&v.loop);
		if (r < 0)
			error_code(&err, r, "cannot make an event loop");
	}
	if (r == 0)
		r = machine_open(&v.machine, &spec, &v.loop, &err);
	/* Signals are blocked before there are threads that could take them. */
	if (r == 0)
		r = watch_ends(&v, &err);
	report.run_ns = clock_ns();
	if (r == 0) {
		/* Nobody depends on it, or listens, if a person starts this by hand. */
		(void)!sock_send_fds(VMM_FD_REPORT, &report, sizeof(report), &v.machine.vm.fd, 1);
		r = machine_start(&v.machine, &err);
	}
	if (r == 0) {
		r = loop_run(&v.loop);
		status = r < 0 ? 1 : explain(&v.machine.vm);
	} else {
		fprintf(stderr, "%s\n", err.text);
	}
	machine_spec_fini(&spec);
	machine_close(&v.machine);
	return status;
}

int main(int argc, char **argv)
{
	log_init("boxlite-vmm", LOG_WARN);
	return argc == 2 ? probe(argv[1]) : run_machine();
}
