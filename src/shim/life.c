/*
 * The life of a box: what each event means in each state. States only go
 * forward (enum life). Every path ends in life_machine_ended(), which writes
 * exit.json and tells the clients; then the shim waits only for clients that
 * still have bytes to read, and exits. The lock is given back before that:
 * no box runs for the sake of such a client (it may be stopped), and who sees
 * the end of its connection can start or remove the box. Last of all, with
 * the process, goes the machine's VM, whose end takes a while in the kernel.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/str.h"
#include "wire/machine.h"
#include "wire/record.h"

static void finish(struct shim *s, const struct proc_exit *end);

static void kill_machine(struct shim *s)
{
	if (s->life >= LIFE_ENDING)
		return;
	s->life = LIFE_ENDING;
	loop_timer_set(s->timer_watch.fd, 0);
	spawn_kill(&s->machine, SIGKILL);
	net_stop(s);
}

/* The agent's start, by what it says. A machine that was saved in between has no such time. */
static void stamp_ready(struct shim *s, uint64_t since_start)
{
	uint64_t *at = s->timing.at;

	at[TIMING_READY] = clock_ns();
	if (since_start < at[TIMING_READY] - at[TIMING_ENGINE])
		at[TIMING_AGENT] = at[TIMING_READY] - since_start;
}

/* All that it takes is there. */
static void run(struct shim *s)
{
	struct client *c, *next;

	s->life = LIFE_RUNNING;
	loop_timer_set(s->timer_watch.fd, 0);
	for (c = s->clients; c; c = next) {
		next = c->next;
		if (wire_put_empty(&c->conn.out, FRAME_READY, 0) < 0)
			client_drop(c);
		else
			client_flush(c);
	}
}

void life_ready(struct shim *s, uint64_t since_start)
{
	if (s->life != LIFE_BOOTING || s->agent_ready)
		return;
	log_debug("the guest is ready");
	stamp_ready(s, since_start);
	machine_is_ready(s);
	s->agent_ready = true;
	if (!net_is_awaited(s))
		run(s);
}

void life_net_ready(struct shim *s)
{
	agent_start_main(s);
	if (s->life == LIFE_BOOTING && s->agent_ready)
		run(s);
}

void life_main_ended(struct shim *s, const struct proc_exit *e)
{
	s->main_exit = *e;
	s->main_ended = true;
	s->timing.at[TIMING_EXIT] = clock_ns();
	log_info("the main process ended: status %d", proc_exit_status(e));
	life_stop(s, 0);
}

/* The name goes before the lock does: who finds the lock free finds no socket. */
static void stop_listening(struct shim *s)
{
	int fd = s->listen_watch.fd;

	loop_remove(&s->loop, &s->listen_watch);
	close_fd(&fd);
	unlinkat(s->box_fd, "run/box.sock", 0);
}

void life_stop(struct shim *s, uint32_t grace_ms)
{
	/* Who comes now for one more copy waits for the end and starts the box anew. */
	if (s->spec.no_main && s->life < LIFE_ENDING)
		stop_listening(s);
	/* A stop may become more urgent, never less. */
	if (s->life >= LIFE_ENDING || (s->life == LIFE_STOPPING && grace_ms >= s->grace_ms))
		return;
	/* Before READY nothing was written, and a disk that is thrown away needs no sync. */
	if (s->life == LIFE_BOOTING || (s->main_ended && !s->spec.keep_disk)) {
		kill_machine(s);
		return;
	}
	s->life = LIFE_STOPPING;
	s->grace_ms = grace_ms;
	loop_timer_set(s->timer_watch.fd, (uint64_t)grace_ms + STOP_SLACK_MS);
	if (wire_put_shutdown(agent_queue(s), grace_ms) < 0)
		kill_machine(s);
	else
		agent_flush(s);
}

void life_stop_for_good(struct shim *s, uint32_t grace_ms)
{
	if (!s->stop_asked && !s->main_ended && s->life != LIFE_DONE)
		events_action(s, "stop", NULL);
	s->stop_asked = true;
	if (s->life == LIFE_RESTING)
		finish(s, &s->last_end);
	else
		life_stop(s, grace_ms);
}

static bool is_watched(const struct shim *s)
{
	const struct stream *st = s->streams;

	while (st && !st->attachments)
		st = st->next;
	return st;
}

/* Copies that nobody waits for any more come to an order by themselves. A guest that lets them hang keeps nobody from
 * starting the box. */
void life_unwatched(struct shim *s)
{
	if (is_watched(s))
		return;
	if (!s->streams || s->life == LIFE_BOOTING)
		life_stop(s, 0);
	else if (s->life == LIFE_RUNNING)
		loop_timer_set(s->timer_watch.fd, STOP_SLACK_MS);
}

bool life_is_end(const struct shim *s, int signo)
{
	return signo == SIGKILL || signo == (s->spec.main.stop_signal ? s->spec.main.stop_signal : SIGTERM);
}

/* Nothing of it has run, so nothing has to come to an order: it ends as if the signal had met it at once. */
void life_interrupt(struct shim *s, struct stream *st, int signo)
{
	struct proc_exit e = { .kind = PROC_SIGNALLED, .signal = signo };

	e.again = restart_wanted(s, &e);
	stream_end(st, s, &e);
	life_main_ended(s, &e);
}

void life_bye(struct shim *s, const char *error)
{
	if (*error) {
		log_warn("the guest could not unmount: %s", error);
		if (s->spec.keep_disk)
			snprintf(s->failure, sizeof(s->failure), "the box's disk was not unmounted: %s", error);
	}
	kill_machine(s);
}

void life_fail(struct shim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->life >= LIFE_ENDING)
		return;
	va_start(ap, fmt);
	vsnprintf(s->failure, sizeof(s->failure), fmt, ap);
	va_end(ap);
	log_error("%s", s->failure);
	kill_machine(s);
}

void life_agent_gone(struct shim *s)
{
	loop_remove(&s->loop, &s->agent_watch);
	/* The machine's own end follows and says more. If only the channel broke, the end is made here. */
	if (s->life < LIFE_ENDING)
		loop_timer_set(s->timer_watch.fd, 1000);
}

/* The remedy of a failure that cannot be explained here. The folder of a box with --rm will be gone. */
static const char *where_console_is(const struct shim *s)
{
	return s->spec.keep_disk ? "its console is in log/console.log" : "--debug shows its console";
}

static void fail_boot(struct shim *s)
{
	if (s->agent_ready) {
		life_fail(s, "boxlite-net did not start within %d s", BOOT_TIMEOUT_MS / 1000);
		return;
	}
	machine_blames_template(s);
	life_fail(s, "the guest did not start within %d s; %s", BOOT_TIMEOUT_MS / 1000, where_console_is(s));
}

static void drop_slow_clients(struct shim *s)
{
	struct client *c, *next;

	for (c = s->clients; c; c = next) {
		next = c->next;
		if (!c->creator) {
			log_warn("a client does not read what it asked for");
			client_drop(c);
		}
	}
	dials_close(s);
}

void life_timeout(struct shim *s)
{
	if (s->life == LIFE_DONE)
		drop_slow_clients(s);
	else if (s->life == LIFE_RESTING)
		restart_now(s);
	else if (s->life == LIFE_BOOTING && s->way != WAY_BOOT)
		machine_give_up(s, "the machine is not used", "its agent does not answer");
	else if (s->agent_watch.fd < 0)
		life_fail(s, "the guest closed its channel");
	else if (s->life == LIFE_BOOTING)
		fail_boot(s);
	else if (s->life == LIFE_STOPPING)
		life_fail(s, "the guest did not stop in time and was killed");
	else if (s->life == LIFE_RUNNING && s->spec.no_main && !is_watched(s))
		life_stop(s, 0);
}

/* The socket's age is what others go by while the box runs. */
static int64_t started_at(const struct shim *s)
{
	struct stat st;

	return fstatat(s->box_fd, "run/box.sock", &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_mtime;
}

static void write_exit_record(struct shim *s, const struct proc_exit *e)
{
	struct exit_record record = {
		.exit = *e,
		.started_at = started_at(s),
		.finished_at = time(NULL),
		.timing = s->timing,
	};
	int r = exit_record_write(s->box_fd, &record);

	if (r < 0)
		log_error("cannot write exit.json: %s", strerror(-r));
}

/* boxlite-vmm says so; QEMU cannot tell it from the end of a guest that has done its work. */
static bool has_panicked(const struct shim *s, int status)
{
	if (status)
		return str_eq(console_last_complaint(s->console), VMM_PANICKED);
	return *console_panic(s->console);
}

/* Nobody has said why: what the guest was at may tell. */
static void say_killed(struct shim *s, int signo)
{
	const char *word = console_last_word(s->console);

	snprintf(s->failure, sizeof(s->failure), "the machine was killed by signal %d%s%s", signo,
		 *word ? "; its console ends with: " : "", word);
}

/* How the machine ended when nobody asked it to. */
static void explain_end(struct shim *s, int status)
{
	const char *complaint = console_last_complaint(s->console), *panic = console_panic(s->console);

	if (s->life >= LIFE_ENDING || s->failure[0])
		return;
	if (has_panicked(s, status))
		snprintf(s->failure, sizeof(s->failure), VMM_PANICKED "%s %s", *panic ? ":" : ";",
			 *panic ? panic : where_console_is(s));
	else if (*complaint)
		snprintf(s->failure, sizeof(s->failure), "%s", complaint);
	else if (status > 128)
		say_killed(s, status - 128);
	else
		snprintf(s->failure, sizeof(s->failure),
			 "the machine %s; %s", status ? "failed" : "stopped by itself", where_console_is(s));
	log_error("%s", s->failure);
}

/* How the box has ended, from the main process's end or without one. */
static struct proc_exit end_of(const struct shim *s)
{
	struct proc_exit e = { .kind = PROC_LOST };

	if (s->main_ended)
		return s->main_exit;
	/* Stopped on its way to a start by its policy: as it has ended before. */
	if (s->stop_asked && s->restarts && !s->failure[0] && !s->timing.at[TIMING_MAIN])
		return s->last_end;
	/* Nobody's failure: whoever stopped it has killed what was on its way to the main process. */
	if (s->stop_asked && !s->failure[0])
		e = (struct proc_exit){ .kind = PROC_SIGNALLED, .signal = SIGKILL };
	snprintf(e.error, sizeof(e.error), "%s", s->failure[0] ? s->failure : "the box was stopped");
	return e;
}

/* The status is the main process's. Of execs that are left nobody knows theirs. */
static void end_streams(struct shim *s, const struct proc_exit *e)
{
	struct proc_exit of_execs = { .kind = PROC_LOST, .error = "the box has ended" };
	struct stream *main = stream_of_agent(s, MAIN_STREAM);

	if (main)
		stream_end(main, s, e);
	streams_end(s, e->kind == PROC_LOST ? e : &of_execs);
}

void life_machine_ended(struct shim *s)
{
	struct proc_exit e;
	int status = 0;

	loop_remove(&s->loop, &s->machine_watch);
	s->timing.at[TIMING_END] = clock_ns();
	console_drain(s->console);
	(void)spawn_wait(&s->machine, &status);
	agent_drain(s);
	if (s->life == LIFE_BOOTING && !s->agent_hello && machine_boots_again(s))
		return;
	if (s->life == LIFE_BOOTING)
		machine_blames_template(s);
	explain_end(s, status);
	s->life = LIFE_ENDING;
	agent_close(s);
	net_close(s);
	health_stop(s);
	machine_read_report(s);
	e = end_of(s);
	e.again = restart_wanted(s, &e);
	if (!s->spec.no_main) /* how it ended is what it was */
		write_exit_record(s, &e);
	events_ended(s, &e);
	end_streams(s, &e);
	if (e.again)
		restart_rest(s, &e);
	else
		finish(s, &e);
}

/* The box is over: the last words to its clients. */
static void finish(struct shim *s, const struct proc_exit *end)
{
	struct client *c, *next;

	if (s->life == LIFE_RESTING) { /* It was written down as one that goes on. */
		s->last_end.again = false;
		write_exit_record(s, end);
	}
	s->life = LIFE_DONE;
	for (c = s->clients; c; c = next) {
		next = c->next;
		if ((s->failure[0] && wire_put_failed(&c->conn.out, s->failure) < 0) ||
		    (c->creator && wire_put_timing(&c->conn.out, &s->timing) < 0))
			client_drop(c);
		else
			client_flush(c);
	}
}

/* It never ran: the creator learns why in the way it learns of any other end. */
void life_failed_start(struct shim *s, const struct error *err)
{
	snprintf(s->failure, sizeof(s->failure), "%s", err->text);
	log_error("%s", err->text);
	spawn_kill(&s->machine, SIGKILL);
	life_machine_ended(s);
}

void life_release(struct shim *s)
{
	if (s->lock_fd < 0)
		return;
	stop_listening(s);
	if (s->spec.no_main)
		unlinkat(s->box_fd, SPEC_COPYING_FILE, 0);
	console_close(s->console);
	s->console = NULL;
	output_close(s);
	close_fd(&s->lock_fd);
}

void life_check_done(struct shim *s)
{
	struct client *c, *next;

	if (s->life != LIFE_DONE)
		return;
	if (s->lock_fd >= 0) {
		life_release(s);
		loop_timer_set(s->timer_watch.fd, LINGER_MS);
	}
	for (c = s->clients; c; c = next) {
		next = c->next;
		if (!conn_wants_write(&c->conn))
			client_drop(c);
	}
	if (!s->clients && !s->dials)
		loop_stop(&s->loop);
}
