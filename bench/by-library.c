/*
 * What an application sees of a box that runs, for bench/kvm:
 *
 *	by-library BOX exec N ARG...   ns from boxlite_box_exec() to the exit code, the mean of N in a row
 *	by-library BOX output ARG...   bytes and ns of a command's output, from boxlite_box_exec() to its end
 *	by-library BOX stop            ns of boxlite_box_stop()
 */
#include <boxlite.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct boxlite_error err;

static void check(int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s\n", err.text);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Runs a command to its end; the bytes of its output. */
static uint64_t run(struct boxlite_box *box, const char *const *argv)
{
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p;
	struct boxlite_exit end;
	const void *data;
	uint64_t bytes = 0;
	size_t n;

	o.argv = argv;
	check(boxlite_box_exec(box, &o, &p, &err));
	while (!boxlite_process_ended(p, &end)) {
		struct pollfd f = { boxlite_process_fd(p), boxlite_process_events(p), 0 };

		poll(&f, 1, -1);
		check(boxlite_process_dispatch(p, &err));
		while ((n = boxlite_process_output(p, BOXLITE_STDOUT, &data)) > 0) {
			bytes += n;
			boxlite_process_consume(p, BOXLITE_STDOUT, n);
		}
	}
	if (end.status != 0) {
		fprintf(stderr, "%s: status %d %s\n", argv[0], end.status, end.error);
		exit(1);
	}
	boxlite_process_close(p);
	return bytes;
}

int main(int argc, char **argv)
{
	const char *const *command = (const char *const *)argv + 3;
	uint64_t begin, bytes;
	struct boxlite_box *box;
	struct boxlite *b;
	long i, n;

	if (argc < 3)
		return 2;
	check(boxlite_open(NULL, &b, &err));
	check(boxlite_box_open(b, argv[1], &box, &err));
	begin = now();
	if (strcmp(argv[2], "exec") == 0 && argc > 4) {
		n = atol(argv[3]);
		for (i = 0; i < n; i++)
			run(box, command + 1);
		printf("%llu\n", (unsigned long long)((now() - begin) / (uint64_t)n));
	} else if (strcmp(argv[2], "output") == 0 && argc > 3) {
		bytes = run(box, command);
		printf("%llu %llu\n", (unsigned long long)bytes, (unsigned long long)(now() - begin));
	} else if (strcmp(argv[2], "stop") == 0) {
		check(boxlite_box_stop(box, NULL, &err));
		printf("%llu\n", (unsigned long long)(now() - begin));
	}
	boxlite_box_close(box);
	boxlite_close(b);
	return 0;
}
