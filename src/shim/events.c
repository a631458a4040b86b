/* What happens to this box, in the home's events.log (wire/event.h), for who looks. The file may be missing or full:
 * no box fails for that. */
#include "shim/shim.h"

#include "wire/event.h"

#define TRIM_EVERY 512 /* events: 150 KB or so. The box may run for long without anybody who opens the home */

static void say(struct shim *s, struct event e)
{
	e.type = "box";
	e.id = s->spec.id;
	e.name = s->spec.name;
	e.image = s->spec.image;
	if (s->spec.no_main || !s->has_events)
		return;
	if (event_append(SHIM_FD_EVENTS, &e) < 0)
		log_debug("an event could not be written down");
	if (++s->events_said % TRIM_EVERY == 0)
		event_trim(SHIM_FD_EVENTS);
}

void events_action(struct shim *s, const char *action, const char *detail)
{
	say(s, (struct event){ .action = action, .detail = detail, .status = EVENT_NO_STATUS });
}

void events_signal(struct shim *s, int signo)
{
	say(s, (struct event){ .action = "kill", .signal = signo, .status = EVENT_NO_STATUS });
}

void events_ended(struct shim *s, const struct proc_exit *e)
{
	say(s, (struct event){ .action = "die", .status = proc_exit_status(e), .signal = e->signal,
			       .detail = *e->error ? e->error : NULL });
}

void events_exec(struct shim *s, const struct stream *st, const struct proc_exit *e)
{
	if (st->copies || st->connects || st->is_health || st->agent_id == MAIN_STREAM)
		return;
	say(s, (struct event){
		       .action = e ? "exec_die" : "exec_start",
		       .exec = st->agent_id,
		       .status = e ? proc_exit_status(e) : EVENT_NO_STATUS,
	       });
}
