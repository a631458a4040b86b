/*
 * The start of the machine (docs/decisions/009-start-from-a-snapshot.md).
 *
 *	WAY_BOOT     kernel, agent; the opening waits for it in the channel
 *	WAY_PARK     kernel, agent, PARKED --> save --> template file --> go on --> opening
 *	WAY_RESTORE  memory from the template --> QEMU takes up the devices; the opening wakes the agent
 *
 * The last two only save time. If anything of theirs goes wrong, the machine is killed and another one is booted in
 * its place; no client notices. The folder of the templates is closed before the opening goes out: from then on the
 * guest runs what its owner says, and nothing that it does can reach a template.
 */
#include "shim/shim.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/sock.h"
#include "shim/template.h"

static void on_machine(struct watch *w, uint32_t events)
{
	(void)events;
	life_machine_ended(container_of(w, struct shim, machine_watch));
}

/* What follows is machine_boots_again(), when it has ended. */
static void give_up(struct shim *s, const char *what, const char *why)
{
	log_warn("%s: %s", what, why);
	spawn_kill(&s->machine, SIGKILL);
}

static void done_with_template(struct shim *s)
{
	qmp_close(&s->monitor);
	close_fd(&s->memory_fd);
	if (s->way != WAY_BOOT)
		close(SHIM_FD_TEMPLATE);
	s->way = WAY_BOOT;
}

static void on_restored(struct qmp *q, const char *error)
{
	struct shim *s = container_of(q, struct shim, monitor);

	if (error)
		give_up(s, "cannot start from the machine template", error);
	else
		qmp_close(q);
}

static int restore(struct shim *s, int memory_fd, struct error *err)
{
	int r = template_load(SHIM_FD_TEMPLATE, memory_fd, s->spec.memory_bytes, err);

	if (r < 0)
		return r;
	r = qmp_restore(&s->monitor, on_restored);
	return r < 0 ? error_code(err, r, "cannot speak to the machine's monitor") : 0;
}

static void on_continued(struct qmp *q, const char *error)
{
	struct shim *s = container_of(q, struct shim, monitor);

	if (error) {
		give_up(s, "the saved machine does not go on", error);
		return;
	}
	done_with_template(s);
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

	if (s->life != LIFE_BOOTING)
		return;
	if (!error)
		write_template(s);
	close_fd(&s->state_fd);
	if (error)
		give_up(s, "cannot make a machine template", error);
	else if (qmp_continue(q, on_continued) < 0)
		give_up(s, "the saved machine does not go on", "its monitor is gone");
}

void machine_parked(struct shim *s)
{
	if (s->way != WAY_PARK || s->state_fd >= 0) {
		life_fail(s, "the guest broke the protocol: PARKED without being asked");
		return;
	}
	s->state_fd = memfd_create("machine-state", MFD_CLOEXEC);
	if (s->state_fd < 0 || qmp_save(&s->monitor, s->state_fd, on_saved) < 0)
		give_up(s, "cannot make a machine template", strerror(errno));
}

void machine_has_agent(struct shim *s)
{
	/* An agent that does not park (it is none of ours) is taken as it is. */
	enum way way = s->way;

	done_with_template(s);
	if (way == WAY_PARK)
		agent_send_opening(s);
	if (way == WAY_RESTORE) {
		log_info("the machine goes on from a template");
		agent_release(s);
	}
}

/* The engine's ends of the machine's connections, and ours. */
struct ends {
	int agent, console, complaints, monitor;
	int near_agent, near_monitor;
};

static void close_ends(struct ends *e)
{
	close_fd(&e->agent);
	close_fd(&e->console);
	close_fd(&e->complaints);
	close_fd(&e->monitor);
	close_fd(&e->near_agent);
	close_fd(&e->near_monitor);
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
		if (s->way != WAY_BOOT)
			r = sock_pair(pair);
	}
	if (r == 0 && s->way != WAY_BOOT) {
		e->near_monitor = pair[0];
		e->monitor = pair[1];
	}
	return r < 0 ? error_code(err, r, "cannot make the machine's channels") : 0;
}

static int start_engine(struct shim *s, const struct ends *e, int memory_fd, struct error *err)
{
	struct machine m = {
		.cpus = s->spec.cpus,
		.memory_bytes = s->spec.memory_bytes,
		.memory_fd = memory_fd,
		.state_fd = s->way == WAY_RESTORE ? SHIM_FD_TEMPLATE : -1,
		.monitor_fd = e->monitor,
		.kernel_fd = SHIM_FD_KERNEL,
		.initrd_fd = SHIM_FD_INITRD,
		.disks = { { .fd = SHIM_FD_IMAGE, .readonly = true }, { .fd = SHIM_FD_DISK } },
		.ndisks = 2,
		.agent_fd = e->agent,
		.console_fd = e->console,
		.stderr_fd = e->complaints,
		.debug = s->spec.debug,
		.park = s->way == WAY_PARK,
	};
	int r = s->engine->start(&s->spec, &m, &s->machine, err);

	if (r < 0)
		return r;
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

static int start(struct shim *s, struct error *err)
{
	struct ends e = { -1, -1, -1, -1, -1, -1 };
	auto_fd int memory = -1;
	int r = open_ends(s, &e, err);

	if (r == 0 && s->way != WAY_BOOT) {
		r = memory = template_memory(s->spec.memory_bytes);
		r = r < 0 ? error_code(err, r, "cannot make a file for the guest's memory") : 0;
	}
	if (r == 0)
		r = start_engine(s, &e, memory, err);
	if (r == 0)
		r = take_ends(s, &e, err);
	close_ends(&e);
	if (r == 0 && s->way == WAY_RESTORE)
		r = restore(s, memory, err);
	if (r < 0)
		return r;
	if (s->way == WAY_PARK)
		s->memory_fd = take_fd(&memory);
	else
		agent_send_opening(s);
	loop_timer_set(s->timer_watch.fd, BOOT_TIMEOUT_MS);
	return 0;
}

/* Whatever start() has made of it is gone: another start is possible. */
static void clear(struct shim *s)
{
	loop_remove(&s->loop, &s->machine_watch);
	spawn_reap(&s->machine);
	done_with_template(s);
	close_fd(&s->state_fd);
	agent_close(s);
	console_close(s->console);
	s->console = NULL;
}

int machine_start(struct shim *s, struct error *err)
{
	int r;

	s->way = s->spec.template_key ? WAY_PARK : s->spec.from_template ? WAY_RESTORE : WAY_BOOT;
	r = start(s, err);
	if (r == 0 || s->way == WAY_BOOT)
		return r;
	log_warn("%s", err->text);
	clear(s);
	return start(s, err);
}

bool machine_boots_again(struct shim *s)
{
	struct error err = { 0 };

	if (s->way == WAY_BOOT)
		return false;
	log_warn("the machine ended before its agent was there: %s; booting another", console_last_complaint(s->console));
	clear(s);
	if (start(s, &err) < 0) {
		snprintf(s->failure, sizeof(s->failure), "%s", err.text);
		return false;
	}
	return true;
}
