/* cp: files from a box and into it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

static const char cp_help[] =
	"One of the two is BOX:PATH; of a local path with a ':' in it write ./PATH.\n"
	"'-' is standard input or output: a tar of what is copied.\n\n"
	"If the target is a folder, the source comes into it; if it is not there, the source gets that name.\n"
	"FOLDER/. is what is in a folder. The box need not run.\n\n"
	"  -a, --archive       keep owners (here: as root); else files are root's in the box, and yours here\n"
	"  -L, --follow-link   copy what a link leads to, if SRC is one\n"
	"  -q, --quiet         no progress\n";

struct copy {
	struct boxlite_copy_options o;
	bool quiet;
	char *box;         /* owned; name */
	const char *inside, *outside;
	bool into;         /* the box */
	uint64_t bytes;    /* copied so far */
	struct progress *progress;
	char warning[BOXLITE_ERROR_MAX];
};

/* "BOX:PATH" as docker takes it: what begins with '/' or '.' is a local path, whatever it has in it. The length of BOX
 * or 0. */
static size_t box_part(const char *arg)
{
	const char *colon = strchr(arg, ':');

	return *arg == '/' || *arg == '.' || !colon ? 0 : (size_t)(colon - arg);
}

static int on_progress(const struct boxlite_progress *p, void *ud)
{
	struct copy *c = ud;

	c->bytes = p->done;
	return progress_update(p, c->progress);
}

/* Printed when the line of the progress is gone. */
static void on_warning(const char *text, void *ud)
{
	struct copy *c = ud;

	snprintf(c->warning, sizeof(c->warning), "%s", text);
}

static int copy_paths(struct copy *c, struct boxlite_box *box, const char *shown)
{
	bool terminal = isatty(STDERR_FILENO) && !c->quiet;
	uint64_t begun = clock_ns();
	struct boxlite_error err;
	char size[24];
	int r;

	c->o.progress = on_progress;
	c->o.warn = on_warning;
	c->o.ud = c;
	c->progress = progress_new(shown, !terminal);
	if (c->into)
		r = boxlite_box_copy_from_host(box, c->outside, c->inside, &c->o, &err);
	else
		r = boxlite_box_copy_to_host(box, c->inside, c->outside, &c->o, &err);
	progress_end(c->progress);
	if (c->warning[0])
		cli_failf("%s", c->warning);
	if (r == -ECANCELED)
		return EXIT_INTERRUPTED;
	if (r < 0)
		return cli_fail(&err);
	if (terminal)
		fprintf(stderr, "copied %s in %.1f s\n", str_format_size(c->bytes, size),
			(double)(clock_ns() - begun) / 1e9);
	return 0;
}

/* One end is a tar on a standard stream. */
static int copy_stream(struct copy *c, struct boxlite_box *box)
{
	struct boxlite_copy_stream_options o = BOXLITE_OPTIONS(boxlite_copy_stream_options);
	int signals = cli_signal_fd(), status, r;
	struct attach_how how;
	struct boxlite_process *p;
	struct boxlite_error err;

	if (isatty(c->into ? STDIN_FILENO : STDOUT_FILENO))
		return cli_failf("a tar archive is not for a terminal: give cp a pipe or a file for '-'");
	o.path = c->inside;
	o.follow_link = c->o.follow_link;
	r = c->into ? boxlite_box_copy_in(box, &o, &p, &err) : boxlite_box_copy_out(box, &o, &p, &err);
	if (r < 0)
		return cli_fail(&err);
	how = (struct attach_how){ .with_stdin = c->into, .signal_fd = signals };
	status = attach_run(p, &how);
	boxlite_process_close(p);
	/* What is no signal is an errno, and has been told. */
	return status > 128 || status == 0 ? status : EXIT_BOXLITE;
}

static int copy_files(struct copy *c, const struct global *g, const char *shown)
{
	struct boxlite_error err;
	struct boxlite_box *box;
	struct boxlite *b;
	bool stream = str_eq(c->outside, "-");
	int r;

	/* From the start: a signal that comes before the copy ends it, too. */
	if (!stream)
		c->o.cancel_fd = cli_cancel_fd();
	r = cli_open(g, &b);
	if (r)
		return r;
	if (boxlite_box_open(b, c->box, &box, &err) < 0) {
		r = cli_fail(&err);
	} else {
		r = stream ? copy_stream(c, box) : copy_paths(c, box, shown);
		boxlite_box_close(box);
	}
	boxlite_close(b);
	return r;
}

static int take_paths(struct copy *c, const char *from, const char *to)
{
	size_t n = box_part(from), m = box_part(to);

	if (n && m)
		return cli_usage("cp", "from one box to another is two copies, or 'boxlite cp A:PATH - | boxlite cp - B:PATH'");
	if (!n && !m)
		return cli_usage("cp", "neither %s nor %s is in a box: BOX:PATH", from, to);
	c->into = m > 0;
	c->box = n ? strndup(from, n) : strndup(to, m);
	c->inside = n ? from + n + 1 : to + m + 1;
	c->outside = n ? to : from;
	if (!c->box)
		return cli_failf("out of memory");
	if (!*c->inside || !*c->outside)
		return cli_usage("cp", "a path is empty");
	return 0;
}

int cmd_cp(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "archive", no_argument, NULL, 'a' }, { "follow-link", no_argument, NULL, 'L' },
		{ "quiet", no_argument, NULL, 'q' },   { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct copy c = { .o = BOXLITE_OPTIONS(boxlite_copy_options) };
	int opt, r;

	while ((opt = getopt_long(argc, argv, "aLqh", options, NULL)) != -1) {
		switch (opt) {
		case 'a': c.o.archive = 1; break;
		case 'L': c.o.follow_link = 1; break;
		case 'q': c.quiet = true; break;
		case 'h': return cli_help("cp", cp_help);
		default: return cli_usage("cp", "unknown option %s", argv[optind - 1]);
		}
	}
	if (argc - optind != 2)
		return cli_usage("cp", "from where, and to where?");
	r = take_paths(&c, argv[optind], argv[optind + 1]);
	if (r == 0)
		r = copy_files(&c, g, argv[optind]);
	free(c.box);
	return r;
}
