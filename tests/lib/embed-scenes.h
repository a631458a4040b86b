/* What programs of several scenes share: a home, a box that idles in it, checks. See embed-loop.c. */
#include <boxlite.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static struct boxlite *home;
static struct boxlite_box *box;
static struct boxlite_error err;

#define CHECK(what) \
	do { \
		if (!(what)) \
			printf("line %d: not %s\n", __LINE__, #what); \
	} while (0)

/* Returns an int; without that nothing else makes sense. */
#define OK(call) \
	do { \
		if ((call) < 0) { \
			printf("line %d: %s: %s\n", __LINE__, #call, err.text); \
			exit(1); \
		} \
	} while (0)

static inline struct boxlite_process *shell(const char *command, int stdin_open)
{
	const char *const argv[] = { "sh", "-c", command, NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p;

	o.argv = argv;
	o.stdin_open = stdin_open;
	OK(boxlite_box_exec(box, &o, &p, &err));
	return p;
}

static inline size_t swallow(struct boxlite_process *p, int channel)
{
	const void *data;
	size_t n = boxlite_process_output(p, channel, &data);

	boxlite_process_consume(p, channel, n);
	return n;
}

/* Waits for the home's fd, and dispatches: 0 if it does not become readable in that time. */
static inline int turn(int timeout_ms)
{
	struct pollfd p = { .fd = boxlite_get_fd(home), .events = POLLIN };

	if (poll(&p, 1, timeout_ms) != 1)
		return 0;
	if (boxlite_dispatch(home, &err) < 0)
		printf("boxlite_dispatch: %s\n", err.text);
	return 1;
}

struct scene {
	const char *name;
	void (*fn)(void);
	int needs_box;
};

static inline int play(const struct scene *scenes, size_t n, int argc, char **argv)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_process *life = NULL;
	size_t i;
	int a;

	setvbuf(stdout, NULL, _IOLBF, 0);
	o.image = "bb";
	o.idle = 1;
	OK(boxlite_open(NULL, &home, &err));
	for (a = 1; a < argc; a++)
		for (i = 0; i < n; i++) {
			if (strcmp(argv[a], scenes[i].name) != 0)
				continue;
			if (scenes[i].needs_box && !box) {
				OK(boxlite_box_create(home, &o, &box, &err));
				OK(boxlite_box_start(box, NULL, &life, &err));
			}
			scenes[i].fn();
			printf("%s\n", scenes[i].name);
		}
	if (box)
		OK(boxlite_box_remove(box, 1, &err));
	boxlite_process_close(life);
	boxlite_box_close(box);
	boxlite_close(home);
	return 0;
}
