/*
 * run IMAGE COMMAND [ARG...]: runs a command in a box of its own, shows its output, and ends as it did.
 *
 * The least that a program has to do. The image must be here: boxlite pull IMAGE.
 */
#include <boxlite.h>
#include <poll.h>
#include <stdio.h>

/* Moves what has arrived on a channel to a stream of ours. */
static void show(struct boxlite_process *p, int channel, FILE *to)
{
	const void *data;
	size_t n = boxlite_process_output(p, channel, &data);

	fwrite(data, 1, n, to);
	fflush(to);
	boxlite_process_consume(p, channel, n); /* makes room for more: what is left there stops the command */
}

static int run(struct boxlite_process *p, struct boxlite_exit *end, struct boxlite_error *err)
{
	while (!boxlite_process_ended(p, end)) {
		struct pollfd pfd = { boxlite_process_fd(p), boxlite_process_events(p), 0 };

		poll(&pfd, 1, -1);
		if (boxlite_process_dispatch(p, err) < 0)
			return -1;
		show(p, BOXLITE_STDOUT, stdout);
		show(p, BOXLITE_STDERR, stderr);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_error err = { 0, "" };
	struct boxlite_process *p = NULL;
	struct boxlite_box *box = NULL;
	struct boxlite *b = NULL;
	struct boxlite_exit end;
	int status = 125;

	if (argc < 3) {
		fprintf(stderr, "usage: run IMAGE COMMAND [ARG...]\n");
		return 125;
	}
	o.image = argv[1];
	o.command = (const char *const *)(argv + 2);
	o.auto_remove = 1; /* the box goes when its command has ended */

	/* Each step fails with a line that is worth showing; whatever was made is closed, and NULL is fine. */
	if (boxlite_open(NULL, &b, &err) < 0 || boxlite_box_create(b, &o, &box, &err) < 0 ||
	    boxlite_box_start(box, NULL, &p, &err) < 0 || run(p, &end, &err) < 0) {
		fprintf(stderr, "run: %s\n", err.text);
	} else {
		if (*end.error) /* no such program, the box failed ... */
			fprintf(stderr, "run: %s\n", end.error);
		status = end.status;
	}
	boxlite_process_close(p);
	boxlite_box_close(box);
	boxlite_close(b);
	return status;
}
