#include "cli/timing.h"

#include <stdio.h>

#include "base/base.h"
#include "base/clock.h"

static void row(const char *name, uint64_t ns, const char *what)
{
	fprintf(stderr, "%-8s %9.3f ms  %s\n", name, (double)ns / 1e6, what);
}

void timing_keep(struct run_timing *t, const struct boxlite_process *p)
{
	t->box = (struct boxlite_timing)BOXLITE_OPTIONS(boxlite_timing);
	t->complete = boxlite_process_timing(p, &t->box) == 0;
	for (t->nparts = 0; t->nparts < MIN(t->box.nparts, ARRAY_SIZE(t->part)); t->nparts++) {
		struct run_timing_part *to = &t->part[t->nparts];

		snprintf(to->name, sizeof(to->name), "%s", t->box.parts[t->nparts].name);
		to->ns = t->box.parts[t->nparts].ns;
	}
}

void timing_print(const struct run_timing *t)
{
	const struct boxlite_timing *b = &t->box;
	uint64_t end = clock_ns(), known;
	size_t i;

	row("open", t->opened - t->begin, "the home, its database, the image");
	row("create", t->created - t->opened, "the box: its row, its disk");
	if (t->complete) {
		row("set-up", b->setup, "until the engine's program starts");
		if (b->machine)
			row("machine", b->machine, "until the guest's first instruction");
		if (b->kernel)
			row("kernel", b->kernel, b->machine ? "until the agent's first" : "with the machine, until the agent's first instruction");
		for (i = 0; i < t->nparts; i++)
			row("  -", t->part[i].ns, t->part[i].name);
		row("agent", b->agent, b->kernel ? "until the command runs" : "with the machine and its template, until the command runs");
		row("command", b->process, "until it has ended");
		row("end", b->end, "until the machine is gone");
		known = b->setup + b->machine + b->kernel + b->agent + b->process + b->end;
		row("clean-up", end - t->created - known, "of the shim and of the box's files");
	}
	row("total", end - t->begin, "");
}
