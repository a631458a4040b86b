/*
 * Starting a box once more when its command has ended or its machine has failed (--restart). It is the same shim with
 * the same lock, socket, disk and log, and another machine:
 *
 *	... LIFE_ENDING --the machine is gone--> LIFE_RESTING --the delay is over--> LIFE_BOOTING ...
 *
 * Only a box that was left to itself comes back: a detached one that nobody has told to stop. The delay doubles from
 * one failure to the next, and begins anew after a run that was long enough to be called one.
 */
#include "shim/shim.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"

#define DELAY_FIRST_MS 100
#define DELAY_MAX_MS 60000
#define LONG_RUN_NS (10 * 1000000000ULL)

bool restart_wanted(const struct shim *s, const struct proc_exit *e)
{
	bool never_ran = e->kind == PROC_NOT_FOUND || e->kind == PROC_CANNOT_RUN || e->kind == PROC_CANNOT_START ||
			 s->net_refused;

	if (s->spec.no_main || !s->spec.detached || s->stop_asked || (never_ran && s->restarts == 0))
		return false;
	switch (s->spec.restart) {
	case RESTART_ALWAYS: return true;
	case RESTART_ON_FAILURE:
		return proc_exit_status(e) != 0 && (s->spec.restart_max == 0 || s->failures < s->spec.restart_max);
	case RESTART_NO: break;
	}
	return false;
}

void restart_rest(struct shim *s, const struct proc_exit *e)
{
	uint64_t main_ns = s->timing.at[TIMING_MAIN];

	if (main_ns && clock_ns() - main_ns >= LONG_RUN_NS)
		s->failures = 0;
	s->delay_ms = s->failures == 0 ? DELAY_FIRST_MS : MIN(s->delay_ms * 2, (uint64_t)DELAY_MAX_MS);
	s->failures++;
	s->last_end = *e;
	s->life = LIFE_RESTING;
	log_info("starting again in %u ms", (unsigned)s->delay_ms);
	loop_timer_set(s->timer_watch.fd, s->delay_ms);
}

/* What belonged to the machine that is gone. */
static void forget_machine(struct shim *s)
{
	s->main_ended = false;
	s->main_exit = (struct proc_exit){ 0 };
	s->failure[0] = 0;
	s->agent_hello = s->net_refused = false;
	buf_fini(&s->early); /* bytes for the one that is gone */
	memset(&s->timing, 0, sizeof(s->timing));
	s->timing.at[TIMING_SHIM] = clock_ns();
	memset(s->asked, 0, sizeof(s->asked));
	top_list_fini(&s->top);
	close_fd(&s->vm_fd);
}

void restart_now(struct shim *s)
{
	struct error err = { 0 };
	int r;

	s->restarts++;
	forget_machine(s);
	unlinkat(s->box_fd, "exit.json", 0);
	utimensat(s->box_fd, "run/box.sock", NULL, AT_SYMLINK_NOFOLLOW); /* says since when it runs */
	s->life = LIFE_BOOTING;
	r = stream_add(s, &s->spec.main, true) ? machine_restart(s, &err) : error_nomem(&err);
	if (r < 0)
		life_failed_start(s, &err);
}
