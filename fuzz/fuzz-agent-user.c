/* "spec\0passwd\0group" */
#include <stdlib.h>
#include <string.h>

#include "agent/user.h"
#include "fuzz.h"

static struct text part(const uint8_t **p, size_t *n)
{
	const uint8_t *end = *n ? memchr(*p, 0, *n) : NULL;
	struct text t = { (const char *)*p, end ? (size_t)(end - *p) : *n };

	*n -= end ? t.n + 1 : t.n;
	*p += end ? t.n + 1 : t.n;
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct user u;
	struct text spec = part(&data, &size), passwd = part(&data, &size);
	struct text group = { (const char *)data, size };
	struct error err = { 0 };
	char *s = strndup(spec.n ? spec.p : "", spec.n);

	if (!s)
		return 0;
	if (user_resolve(s, passwd, group, &u, &err) == 0) {
		if (u.ngroups == 0 || u.ngroups > USER_GROUPS_MAX || u.groups[0] != u.gid || !*u.home)
			abort();
	} else if (!*err.text) {
		abort();
	}
	free(s);
	return 0;
}
