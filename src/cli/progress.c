/*
 * Progress of a pull on stderr: on a terminal one line that is drawn over;
 * otherwise a line when a layer comes to a phase, for logs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

#define ITEMS_MAX 512
#define REDRAW_NS 50000000LL

/* What was said of an item in lines. Several images of one load have each a first layer. */
struct told {
	char digest[16];
	unsigned phases; /* bits */
};

struct progress {
	const char *reference; /* borrowed */
	bool terminal, drawn;
	int phase;             /* last one drawn; -1: none */
	int64_t last_draw_ns;
	struct told told[ITEMS_MAX + 1]; /* by item; [0]: what is about no layer */
	uint64_t done[ITEMS_MAX], total[ITEMS_MAX]; /* of downloads, by layer */
};

struct progress *progress_new(const char *reference, bool quiet)
{
	const char *term = getenv("TERM");
	struct progress *p = quiet ? NULL : calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->reference = reference;
	p->phase = -1;
	p->terminal = isatty(STDERR_FILENO) && !str_eq(term, "dumb");
	return p;
}

static void sum(const struct progress *p, uint64_t *done, uint64_t *total)
{
	size_t i;

	*done = *total = 0;
	for (i = 0; i < ITEMS_MAX; i++) {
		*done += p->done[i];
		*total += p->total[i];
	}
}

static const char *verb(int phase)
{
	switch (phase) {
	case BOXLITE_RESOLVING: return "resolving";
	case BOXLITE_DOWNLOADING: return "downloading";
	case BOXLITE_CONVERTING: return "converting";
	case BOXLITE_COPYING: return "copying";
	default: return "waiting for another boxlite that does the same";
	}
}

/* Layers move side by side, so that the phase changes all the time: it is news once for each of them. */
static bool is_news(struct progress *p, const struct boxlite_progress *now)
{
	struct told *t = &p->told[MIN(now->item, (unsigned)ITEMS_MAX)];
	unsigned bit = 1U << now->phase;

	if (!str_eq(t->digest, now->digest)) {
		t->phases = 0;
		snprintf(t->digest, sizeof(t->digest), "%s", now->digest);
	}
	if (t->phases & bit)
		return false;
	t->phases |= bit;
	return true;
}

/* " layer 2/3", or "" when it is about no layer. */
static const char *layer_of(const struct boxlite_progress *now, char text[32])
{
	text[0] = 0;
	if (now->item)
		snprintf(text, 32, " layer %u/%u", now->item, now->items);
	return text;
}

static void draw(struct progress *p, const struct boxlite_progress *now)
{
	uint64_t done = now->done, total = now->total;
	char a[24], b[24], layer[32] = "";

	if (now->phase == BOXLITE_DOWNLOADING)
		sum(p, &done, &total);
	else
		layer_of(now, layer);
	fprintf(stderr, "\r%s: %s%s", p->reference, verb(now->phase), layer);
	if (total)
		fprintf(stderr, " %s / %s", str_format_size(done, a), str_format_size(total, b));
	else if (done)
		fprintf(stderr, " %s", str_format_size(done, a));
	fputs("\x1b[K", stderr); /* clears what a longer line left */
	p->drawn = true;
}

int progress_update(const struct boxlite_progress *now, void *ud)
{
	struct progress *p = ud;
	char layer[32];
	int64_t t;

	if (!p)
		return 0;
	if (now->phase == BOXLITE_DOWNLOADING && now->item >= 1 && now->item <= ITEMS_MAX) {
		p->done[now->item - 1] = now->done;
		p->total[now->item - 1] = now->total;
	}
	if (!p->terminal) {
		if (is_news(p, now))
			fprintf(stderr, "%s: %s%s\n", p->reference, verb(now->phase), layer_of(now, layer));
		return 0;
	}
	t = (int64_t)clock_ns();
	if (now->phase != p->phase || t - p->last_draw_ns > REDRAW_NS) {
		draw(p, now);
		p->last_draw_ns = t;
		p->phase = now->phase;
	}
	return 0;
}

void progress_end(struct progress *p)
{
	if (p && p->drawn)
		fputs("\r\x1b[K", stderr);
	free(p);
}
