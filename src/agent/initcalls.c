/*
 * A kernel with initcall_debug on its command line says of each initcall that it begins and how long it took, in
 * records of /dev/kmsg (Documentation/ABI/testing/dev-kmsg):
 *
 *	7,217,54321,-;calling  inet_init+0x0/0x310 @ 1
 *	7,218,56012,c;initcall inet_init+0x0/0x310 returned 0 after 1690 usecs
 *
 * The third number is the time in us. Kept are what came before the first initcall, the longest ones, longest first,
 * and in the last place the sum of all others.
 */
#include "agent/initcalls.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/str.h"

#define BEFORE "(before the initcalls)"
#define OTHERS "(the other initcalls)"
#define US 1000ULL

static void name_part(struct timing_part *p, const char *name, int len)
{
	snprintf(p->name, sizeof(p->name), "%.*s", len, name);
}

/* parts: [0] BEFORE, then by length, and OTHERS in the last place there is. What falls out of the others' order goes
 * into it. */
static void add(struct timing_parts *t, const char *name, int len, uint64_t ns)
{
	struct timing_part *last = &t->part[TIMING_PARTS_MAX - 1], p = { .ns = ns };
	unsigned at;

	name_part(&p, name, len);
	for (at = 1; at < t->n && at < TIMING_PARTS_MAX - 1 && t->part[at].ns >= ns; at++)
		;
	if (t->n == TIMING_PARTS_MAX) {
		last->ns += at < TIMING_PARTS_MAX - 1 ? last[-1].ns : ns;
	} else if (t->n == TIMING_PARTS_MAX - 1) {
		*last = (struct timing_part){ .name = OTHERS, .ns = at < t->n ? last[-1].ns : ns };
		t->n++;
	} else {
		t->n++;
	}
	if (at == TIMING_PARTS_MAX - 1)
		return;
	memmove(&t->part[at + 1], &t->part[at], (MIN(t->n, TIMING_PARTS_MAX - 1) - at - 1) * sizeof(p));
	t->part[at] = p;
}

/* (Here and elsewhere in the agent no scanf(): it is 80 KiB of the program, which each boot copies.) */
static bool number_behind(const char *text, const char *word, unsigned long long *ret)
{
	const char *p = strstr(text, word);

	if (!p || !isdigit((unsigned char)p[strlen(word)]))
		return false;
	*ret = strtoull(p + strlen(word), NULL, 10);
	return true;
}

/* "7,218,54321,-": the third number, of a record's prefix. */
static bool time_of(const char *record, unsigned long long *ret)
{
	const char *p = strchr(record, ',');

	return p && isdigit((unsigned char)*record) && number_behind(p + 1, ",", ret);
}

void initcalls_add(struct timing_parts *t, const char *record)
{
	static const char initcall[] = "initcall ";
	const char *text = strchr(record, ';');
	char name[TIMING_PART_NAME] = "";
	unsigned long long at_us, took_us;

	if (!text || !time_of(record, &at_us))
		return;
	text++;
	if (t->n == 0 && strncmp(text, "calling  ", 9) == 0) {
		t->part[0] = (struct timing_part){ .name = BEFORE, .ns = at_us * US };
		t->n = 1;
	} else if (t->n && str_starts(text, initcall) && strstr(text, " returned ") &&
		   number_behind(text, " after ", &took_us)) {
		text += strlen(initcall);
		snprintf(name, sizeof(name), "%.*s", (int)MIN(strcspn(text, "+ "), sizeof(name) - 1), text);
		add(t, name, (int)strlen(name), took_us * US);
	}
}

void initcalls_read(struct timing_parts *t)
{
	auto_fd int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char record[8192 + 1];
	ssize_t n;

	/* One record a read. EPIPE: some were overwritten before. */
	while (fd >= 0 && ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE))) {
		if (n < 0)
			continue;
		record[n] = 0;
		initcalls_add(t, record);
	}
}
