/*
 * The start of the machine (docs/decisions/009-start-from-a-snapshot.md).
 *
 *	WAY_BOOT     kernel, agent; the opening waits for it in the channel
 *	WAY_PARK     kernel, agent, PARKED --> save --> template file --> go on --> opening
 *	WAY_RESTORE  memory from the template --> QEMU takes up the devices; the opening wakes the agent
 *
 * The last two only save time. If anything of theirs goes wrong, the machine is killed and another one is booted in
 * its place; no client notices. That holds until HELLO: the agent says it before it looks at the opening, so nothing of
 * the box has run.
 *
 * The folder of the templates is closed before the opening goes out: from then on the guest runs what its owner says,
 * and nothing that it does can reach a template. The template that a machine came from is kept open, to be read only,
 * until READY: one whose machine does not come that far is spoilt, so that it fails once and not for ever.
 */
#include "shim/shim.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/sock.h"
#include "shim/template.h"

#define LINK_BYTES (4 * 1024 * 1024) /* of frames that are on their way to boxlite-net or from it */

static void on_machine(struct watch *w, uint32_t events)
{
	(void)events;
	life_machine_ended(container_of(w, struct shim, machine_watch));
}

void machine_give_up(struct shim *s, const char *what, const char *why)
{
	if (s->given_up)
		return;
	log_warn("%s: %s", what, why);
	s->given_up = true;
	spawn_kill(&s->machine, SIGKILL);
}

static void close_template(struct shim *s)
{
	if (s->has_template)
		close(SHIM_FD_TEMPLATE);
	s->has_template = false;
}

/* It is like any other machine from here. A template that it came from may still prove to be bad. */
static void arrive(struct shim *s)
{
	if (s->way == WAY_PARK)
		close_template(s);
	qmp_close(&s->monitor);
	close_fd(&s->memory_fd);
	close_fd(&s->state_fd);
	s->way = WAY_BOOT;
	loop_timer_set(s->timer_watch.fd, BOOT_TIMEOUT_MS);
}

void machine_is_ready(struct shim *s)
{
	close_template(s);
}

void machine_blames_template(struct shim *s)
{
	if (!s->has_template || !s->spec.from_template)
		return;
	if (template_spoil(SHIM_FD_TEMPLATE) == 0)
		log_warn("the machine template is not used again");
	close_template(s);
}

static void on_restored(struct qmp *q, const char *error)
{
	struct shim *s = container_of(q, struct shim, monitor);

	if (error)
		machine_give_up(s, "cannot start from the machine template", error);
	else
		qmp_close(q);
}

static int restore(struct shim *s, struct error *err)
{
	int r = template_load(SHIM_FD_TEMPLATE, s->memory_fd, s->state_fd, s->spec.memory_bytes, err);

	if (r < 0)
		return r;
	r = qmp_restore(&s->monitor, on_restored);
	return r < 0 ? error_code(err, r, "cannot speak to the machine's monitor") : 0;
}

/*
 * QEMU 7.2 says that a machine is saved a moment before it may go on; there is no event for that moment, but a refusal.
 * Each answer is an event of its own, and the number of them is bounded.
 */
#define NOT_YET "Migration is not finalized yet"
#define CONTINUES_MAX 10000

static void on_continued(struct qmp *q, const char *error)
{
	struct shim *s = container_of(q, struct shim, monitor);

	if (error && str_eq(error, NOT_YET) && s->continues++ < CONTINUES_MAX && qmp_continue(q, on_continued) == 0)
		return;
	if (error) {
		machine_give_up(s, "the saved machine does not go on", error);
		return;
	}
	arrive(s);
	agent_send_opening(s);
}

/* A template that cannot be written is no reason not to go on. */
static void write_template(struct shim *s)
{
	struct error err = { 0 };

	if (template_save(SHIM_FD_TEMPLATE, s->spec.template_key, s->memory_fd, s->spec.memory_bytes, s->state_fd,
			  &err) < 0)
		log_warn("%s", err.text);
	else
		log_info("a template was made of the machine");
}

static void on_saved(struct qmp *q, const char *error)
{
	struct shim *s = container_of(q, struct shim, monitor);

	if (s->life != LIFE_BOOTING || s->given_up)
		return;
	if (error) {
		machine_give_up(s, "cannot make a machine template", error);
		return;
	}
	write_template(s);
	if (qmp_continue(q, on_continued) < 0)
		machine_give_up(s, "the saved machine does not go on", "its monitor is gone");
}

void machine_parked(struct shim *s)
{
	int r;

	if (s->way != WAY_PARK || s->saving) {
		machine_give_up(s, "the guest broke the protocol", "PARKED without being asked");
		return;
	}
	s->saving = true;
	r = qmp_save(&s->monitor, s->state_fd, on_saved);
	if (r < 0)
		machine_give_up(s, "cannot make a machine template", strerror(-r));
}

void machine_has_agent(struct shim *s)
{
	enum way way = s->way;

	if (way == WAY_PARK && s->saving) {
		machine_give_up(s, "the guest broke the protocol", "HELLO while it is saved");
		return;
	}
	if (way == WAY_BOOT)
		return;
	arrive(s);
	if (way == WAY_RESTORE) {
		log_info("the machine goes on from a template");
		agent_release(s);
	} else { /* An agent that does not park (it is none of ours) is taken as it is. */
		agent_send_opening(s);
	}
}

/* The engine's ends of the machine's connections, and ours. */
struct ends {
	int agent, console, complaints, monitor, report, net;
	int near_agent, near_monitor, near_net;
};

static void close_ends(struct ends *e)
{
	close_fd(&e->agent);
	close_fd(&e->console);
	close_fd(&e->complaints);
	close_fd(&e->monitor);
	close_fd(&e->report);
	close_fd(&e->net);
	close_fd(&e->near_agent);
	close_fd(&e->near_monitor);
	close_fd(&e->near_net);
}

/* The link of a box for copies only has nobody at its other end: its machine is like the box's, without a network. */
static int open_link(const struct shim *s, struct ends *e)
{
	int pair[2], r = s->spec.net.none ? 0 : sock_pair_packets(pair, LINK_BYTES);

	if (r < 0 || s->spec.net.none)
		return r;
	e->near_net = pair[0];
	e->net = pair[1];
	return 0;
}

static int open_ends(struct shim *s, struct ends *e, struct error *err)
{
	int pair[2], r;

	s->console = console_open(s, &e->console, &e->complaints, err);
	if (!s->console)
		return -EIO;
	r = sock_pair(pair);
	if (r == 0) {
		e->near_agent = pair[0];
		e->agent = pair[1];
		r = sock_pair(pair);
	}
	if (r == 0) {
		close_fd(&s->report_fd);
		s->report_fd = pair[0];
		e->report = pair[1];
		if (s->way != WAY_BOOT)
			r = sock_pair(pair);
	}
	if (r == 0 && s->way != WAY_BOOT) {
		e->near_monitor = pair[0];
		e->monitor = pair[1];
	}
	if (r == 0)
		r = open_link(s, e);
	return r < 0 ? error_code(err, r, "cannot make the machine's channels") : 0;
}

static int start_engine(struct shim *s, const struct ends *e, struct error *err)
{
	struct machine m = {
		.cpus = s->spec.cpus,
		.memory_bytes = s->spec.memory_bytes,
		.memory_fd = s->memory_fd,
		.state_fd = s->way == WAY_RESTORE ? s->state_fd : -1,
		.monitor_fd = e->monitor,
		.kernel_fd = s->way == WAY_RESTORE ? -1 : SHIM_FD_KERNEL,
		.initrd_fd = s->way == WAY_RESTORE ? -1 : SHIM_FD_INITRD,
		.disks = { { .fd = SHIM_FD_IMAGE, .readonly = true }, { .fd = SHIM_FD_DISK } },
		.ndisks = 2,
		.agent_fd = e->agent,
		.console_fd = e->console,
		.stderr_fd = e->complaints,
		.lock_fd = s->lock_fd,
		.report_fd = e->report,
		.net_fd = e->net,
		.debug = s->spec.debug,
		.trace = s->spec.trace_kernel,
		.park = s->way == WAY_PARK,
	};
	int r = s->engine->start(&s->spec, &m, &s->machine, err);

	if (r < 0)
		return r;
	s->timing.at[TIMING_ENGINE] = clock_ns();
	metrics_of_machine(s);
	r = loop_add(&s->loop, &s->machine_watch, s->machine.pidfd, EPOLLIN, on_machine);
	return r < 0 ? error_code(err, r, "cannot watch the machine") : 0;
}

/* Our ends of the connections, in use. */
static int take_ends(struct shim *s, struct ends *e, struct error *err)
{
	int r = agent_open(s, take_fd(&e->near_agent), err);

	if (r < 0 || s->way == WAY_BOOT)
		return r;
	r = qmp_open(&s->monitor, &s->loop, take_fd(&e->near_monitor));
	return r < 0 ? error_code(err, r, "cannot open the machine's monitor") : 0;
}

static int open_memory(struct shim *s, struct error *err)
{
	s->memory_fd = template_memory(s->spec.memory_bytes);
	if (s->memory_fd < 0)
		return error_code(err, s->memory_fd, "cannot make a file for the guest's memory");
	s->state_fd = memfd_create("machine-state", MFD_CLOEXEC);
	return s->state_fd < 0 ? error_sys(err, "cannot make a file for the machine's state") : 0;
}

static int start(struct shim *s, struct error *err)
{
	struct ends e = { -1, -1, -1, -1, -1, -1, -1, -1, -1 };
	int r = open_ends(s, &e, err);

	loop_timer_set(s->timer_watch.fd, s->way == WAY_RESTORE ? RESTORE_TIMEOUT_MS : BOOT_TIMEOUT_MS);
	if (r == 0 && s->way != WAY_BOOT)
		r = open_memory(s, err);
	if (r == 0)
		r = start_engine(s, &e, err);
	if (r == 0)
		r = net_start(s, e.near_net, err);
	if (r == 0)
		r = take_ends(s, &e, err);
	close_ends(&e);
	if (r == 0 && s->way == WAY_RESTORE)
		r = restore(s, err);
	if (r == 0 && s->way != WAY_PARK)
		agent_send_opening(s);
	return r;
}

/* What the engine has said, if anything; its end is closed, so this waits for nothing. The times are only shown:
 * nothing depends on them. */
void machine_read_report(struct shim *s)
{
	struct machine_report r;
	size_t nfds = 0;

	if (s->report_fd < 0 || s->vm_fd >= 0 ||
	    sock_recv_fds(s->report_fd, &r, sizeof(r), &s->vm_fd, 1, &nfds) != sizeof(r))
		return;
	s->timing.at[TIMING_VMM] = r.main_ns;
	s->timing.at[TIMING_GUEST] = r.run_ns;
}

/* Boots a machine in the place of one that start() has made, as far as it came. */
static int start_again(struct shim *s, struct error *err)
{
	loop_remove(&s->loop, &s->machine_watch);
	spawn_reap(&s->machine);
	console_drain(s->console);
	/* The logs begin anew with the next one. */
	if (*console_last_complaint(s->console))
		log_warn("the engine says: %s", console_last_complaint(s->console));
	if (*console_last_word(s->console))
		log_warn("its console says: %s", console_last_word(s->console));
	log_warn("booting another machine");
	if (s->way == WAY_RESTORE)
		machine_blames_template(s);
	arrive(s);
	close_template(s);
	agent_close(s);
	net_close(s);
	console_close(s->console);
	s->console = NULL;
	s->given_up = s->saving = false;
	return start(s, err);
}

int machine_start(struct shim *s, struct error *err)
{
	int r;

	s->way = s->spec.template_key ? WAY_PARK : s->spec.from_template ? WAY_RESTORE : WAY_BOOT;
	s->has_template = s->way != WAY_BOOT;
	r = start(s, err);
	if (r == 0 || s->way == WAY_BOOT)
		return r;
	log_warn("%s", err->text);
	return start_again(s, err);
}

int machine_restart(struct shim *s, struct error *err)
{
	close_template(s);
	console_close(s->console);
	s->console = NULL;
	s->given_up = s->saving = false;
	s->way = WAY_BOOT;
	return start(s, err);
}

bool machine_boots_again(struct shim *s)
{
	struct error err = { 0 };

	if (s->way == WAY_BOOT)
		return false;
	if (start_again(s, &err) == 0)
		return true;
	snprintf(s->failure, sizeof(s->failure), "%s", err.text);
	return false;
}
