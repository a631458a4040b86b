#include "cli/filter.h"

#include <string.h>

#include "base/str.h"
#include "cli/cli.h"

int filters_add(struct filters *f, const char *command, const struct filter_key *keys, const char *names,
		const char *text)
{
	const char *equals = strchr(text, '=');

	if (f->n == FILTERS_MAX)
		return cli_usage(command, "more than %d filters", FILTERS_MAX);
	while (equals && keys->name && !(str_starts(text, keys->name) && text + strlen(keys->name) == equals))
		keys++;
	if (!equals || !keys->name)
		return cli_usage(command, "'%s' is not a filter; there are %s", text, names);
	f->v[f->n].key = keys;
	f->v[f->n++].value = equals + 1;
	return 0;
}

bool filters_have(const struct filters *f, const void *item)
{
	size_t i, j;

	for (i = 0; i < f->n; i++) {
		bool any = false;

		for (j = 0; j < f->n && !any; j++)
			any = f->v[j].key == f->v[i].key && f->v[j].key->has(item, f->v[j].value);
		if (!any)
			return false;
	}
	return true;
}
