/*
 * Execs that are asked for before the main process of their box runs: one that runs, one whose time is over, and one in
 * a box whose main process never runs.
 */
#include <boxlite.h>
#include <stdio.h>
#include <string.h>

static struct boxlite_error err;

static int start(struct boxlite *b, const char *const *command, struct boxlite_box **box, struct boxlite_process **p)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);

	o.image = "bb";
	o.command = command;
	o.auto_remove = 1;
	return boxlite_box_create(b, &o, box, &err) < 0 || boxlite_box_start(*box, NULL, p, &err) < 0;
}

static int exec(struct boxlite_box *box, const char *const *argv, unsigned timeout_ms, struct boxlite_exit *end,
		struct boxlite_process **p)
{
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);

	o.argv = argv;
	o.timeout_ms = timeout_ms;
	return boxlite_box_exec(box, &o, p, &err) < 0 || boxlite_process_wait(*p, end, &err) < 0;
}

int main(void)
{
	static const char *const idle[] = { "sleep", "100000", NULL }, *const none[] = { "/no/such", NULL };
	static const char *const three[] = { "sh", "-c", "exit 3", NULL };
	struct boxlite_process *p, *x;
	struct boxlite_box *box;
	struct boxlite_exit end;
	struct boxlite *b;

	if (boxlite_open(NULL, &b, &err) < 0 || start(b, idle, &box, &p))
		goto fail;
	if (exec(box, three, 0, &end, &x))
		goto fail;
	printf("%s %d\n", end.kind == BOXLITE_EXITED ? "exited" : "?", end.code);
	if (end.duration_ns == 0 || end.timed_out)
		printf("%d %llu\n", end.timed_out, (unsigned long long)end.duration_ns);
	boxlite_process_close(x);
	if (exec(box, idle, 1500, &end, &x))
		goto fail;
	printf("%d%s\n", end.status, end.timed_out && end.kind == BOXLITE_SIGNALLED && end.signal == 9 ? " timed out" : "");
	/* The limit counts from the request, the duration from when it runs; a start may be slow. */
	if (end.duration_ns / 1000000 < 500 || end.duration_ns / 1000000000 > 30)
		printf("after %llu ns\n", (unsigned long long)end.duration_ns);
	boxlite_process_close(x);
	if (boxlite_box_stop(box, NULL, &err) < 0)
		goto fail;
	boxlite_process_close(p);
	boxlite_box_close(box);

	if (start(b, none, &box, &p) || exec(box, three, 0, &end, &x))
		goto fail;
	printf("%s%s\n", end.kind == BOXLITE_LOST ? "lost: " : "? ", end.error);
	boxlite_process_close(x);
	if (boxlite_process_wait(p, &end, &err) < 0)
		goto fail;
	printf("%d\n", end.status);
	boxlite_process_close(p);
	boxlite_box_close(box);
	boxlite_close(b);
	return 0;
fail:
	fprintf(stderr, "%s\n", err.text);
	return 1;
}
