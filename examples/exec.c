/*
 * exec IMAGE COMMAND...: keeps one box, and runs each COMMAND in it with `sh -c`, one after the other, with the folder
 * /tmp of the box to share. Prints the status of each.
 *
 * This is how an agent or a build uses a box: it is made once, and each step costs milliseconds.
 */
#include <boxlite.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Gives the process its input: as much as it takes at a time, and end of file after the last byte. */
static void feed(struct boxlite_process *p, const char **input)
{
	if (!*input)
		return;
	*input += boxlite_process_write(p, *input, strlen(*input));
	if (**input)
		return;
	boxlite_process_close_stdin(p);
	*input = NULL;
}

static void show(struct boxlite_process *p, int channel, FILE *to)
{
	const void *data;
	size_t n = boxlite_process_output(p, channel, &data);

	fwrite(data, 1, n, to);
	fflush(to);
	boxlite_process_consume(p, channel, n);
}

/* One command: its status, or -1 with the reason. */
static int step(struct boxlite_box *box, const char *command, const char *input, struct boxlite_error *err)
{
	const char *const argv[] = { "sh", "-c", command, NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p;
	struct boxlite_exit end;

	o.argv = argv;
	o.workdir = "/tmp";
	o.stdin_open = 1;
	if (boxlite_box_exec(box, &o, &p, err) < 0)
		return -1;
	while (!boxlite_process_ended(p, &end)) {
		struct pollfd pfd = { boxlite_process_fd(p), 0, 0 };

		feed(p, &input);
		pfd.events = boxlite_process_events(p); /* after the last call that may have changed it */
		poll(&pfd, 1, -1);
		if (boxlite_process_dispatch(p, err) < 0) {
			boxlite_process_close(p);
			return -1;
		}
		show(p, BOXLITE_STDOUT, stdout);
		show(p, BOXLITE_STDERR, stderr);
	}
	boxlite_process_close(p); /* `end.error` is gone with it, `end.status` is not */
	return end.status;
}

static int steps(struct boxlite_box *box, int n, char **commands, struct boxlite_error *err)
{
	int i, status;

	for (i = 0; i < n; i++) {
		status = step(box, commands[i], "a line of input\n", err);
		if (status < 0)
			return -1;
		printf("-> %d\n", status);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_error err = { 0, "" };
	struct boxlite_process *life = NULL;
	struct boxlite_box *box = NULL;
	struct boxlite *b = NULL;
	int r = -1;

	if (argc < 3) {
		fprintf(stderr, "usage: exec IMAGE COMMAND...\n");
		return 125;
	}
	o.image = argv[1];
	o.idle = 1; /* no program of its own */
	o.auto_remove = 1;
	/* Started attached: closing `life`, or the end of this program however it comes, ends the box, and with
	 * auto_remove the next program that opens this home puts it away. In the ordinary case we do that ourselves. */
	if (boxlite_open(NULL, &b, &err) == 0 && boxlite_box_create(b, &o, &box, &err) == 0 &&
	    boxlite_box_start(box, NULL, &life, &err) == 0)
		r = steps(box, argc - 2, argv + 2, &err);
	if (r < 0)
		fprintf(stderr, "exec: %s\n", err.text);
	if (box && boxlite_box_remove(box, 1, &err) < 0)
		fprintf(stderr, "exec: %s\n", err.text);
	boxlite_process_close(life);
	boxlite_box_close(box);
	boxlite_close(b);
	return r < 0 ? 125 : 0;
}
