/* --filter KEY=VALUE of the commands that list things: any value of a kind, and that for each kind asked for. */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#define FILTERS_MAX 64

struct filter_key {
	const char *name;
	bool (*has)(const void *item, const char *value);
};

struct filters {
	struct {
		const struct filter_key *key;
		const char *value; /* borrowed */
	} v[FILTERS_MAX];
	size_t n;
};

/* Takes "KEY=VALUE"; `keys` end with a NULL name, `names` are they for people. 0, or prints and returns the exit code. */
int filters_add(struct filters *f, const char *command, const struct filter_key *keys, const char *names,
		const char *text);

bool filters_have(const struct filters *f, const void *item);

#endif
