#include "agent/initcalls.h"

#include <stdio.h>
#include <string.h>

#include "lib/tap.h"

static void call(struct timing_parts *t, const char *name, unsigned us)
{
	char record[256];

	snprintf(record, sizeof(record), "7,1,2000,-;initcall %s+0x0/0x310 returned 0 after %u usecs\n", name, us);
	initcalls_add(t, record);
}

static bool in_order(const struct timing_parts *t)
{
	for (unsigned i = 2; i < t->n && i < TIMING_PARTS_MAX - 1; i++)
		if (t->part[i].ns > t->part[i - 1].ns)
			return false;
	return true;
}

static uint64_t sum(const struct timing_parts *t)
{
	uint64_t s = 0;

	for (unsigned i = 1; i < t->n; i++)
		s += t->part[i].ns;
	return s;
}

int main(void)
{
	static const char *const none[] = {
		"", "7,1,2000,-", "7,1,2000,-;", "6,2,3000,-;Linux version 6.1", "x;calling  a+0x0/0x1 @ 1",
		"7,1,2000,-;initcall early+0x0/0x1 returned 0 after 7 usecs",
	};
	struct timing_parts t = { 0 };
	uint64_t total = 0;
	char name[32];
	unsigned i, us;

	for (i = 0; i < ARRAY_SIZE(none); i++)
		initcalls_add(&t, none[i]);
	ok(t.n == 0, "what says nothing of the first initcall is passed over");
	initcalls_add(&t, "7,217,54321,-;calling  inet_init+0x0/0x310 @ 1\n SUBSYSTEM=x\n");
	ok(t.n == 1 && t.part[0].ns == 54321000, "the first initcall ends what was before");
	initcalls_add(&t, "7,218,60000,-;calling  second+0x0/0x310 @ 1");
	ok(t.n == 1 && t.part[0].ns == 54321000, "and no other");
	initcalls_add(&t, "7,219,60000,-;initcall inet_init+0x0/0x310 returned");
	initcalls_add(&t, "7,219,60000,-;initcall inet_init+0x0/0x310 returned -19 after 12 usecs");
	ok(t.n == 2 && !strcmp(t.part[1].name, "inet_init") && t.part[1].ns == 12000, "an initcall that fails takes time");
	total = 12000;
	for (i = 0; i < 200; i++) {
		us = i * 7919 % 200; /* each number below 200 once */
		snprintf(name, sizeof(name), "f%u", us);
		call(&t, name, us);
		total += us * 1000;
		if (!in_order(&t) || sum(&t) != total || t.n != MIN(i + 3, TIMING_PARTS_MAX))
			break;
	}
	ok(i == 200, "longest first, and nothing is lost (%u)", i);
	ok(!strcmp(t.part[1].name, "f199") && !strcmp(t.part[14].name, "f186") && t.part[14].ns == 186000, "the longest");
	ok(t.part[15].name[0] == '(', "and the others");
	call(&t, "a_name_that_is_longer_than_the_place_for_it_which_no_function_has", 900);
	ok(strlen(t.part[1].name) == TIMING_PART_NAME - 1 && t.part[1].ns == 900000, "a name that is too long is cut");
	return tap_done();
}
