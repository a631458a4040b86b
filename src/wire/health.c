#include "wire/health.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"

static const char *const names[] = {
	[HEALTH_STARTING] = "starting",
	[HEALTH_HEALTHY] = "healthy",
	[HEALTH_UNHEALTHY] = "unhealthy",
};

const char *health_name(enum health_status h)
{
	return names[h];
}

json_t *health_to_json(const struct health_state *s)
{
	return json_pack("{s:s, s:I, s:I, s:i, s:o}", "status", names[s->health], "failing", (json_int_t)s->failing,
			 "checked_at", (json_int_t)s->checked_at, "exit_code", s->exit_status, "output",
			 json_clean(s->output, HEALTH_OUTPUT_MAX - 1));
}

int health_from_json(const json_t *j, struct health_state *ret)
{
	struct health_state s = { 0 };
	bool bad = !j;
	const char *status = json_get_str(j, "status", "", &bad);
	uint64_t failing = json_get_u64(j, "failing", 0, &bad), at = json_get_u64(j, "checked_at", 0, &bad);
	uint64_t code = json_get_u64(j, "exit_code", 0, &bad);
	size_t i;

	snprintf(s.output, sizeof(s.output), "%s", json_get_str(j, "output", "", &bad));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(status, names[i]))
			break;
	if (bad || i == ARRAY_SIZE(names) || failing > UINT32_MAX || code > 255)
		return -EBADMSG;
	s.health = (enum health_status)i;
	s.failing = (uint32_t)failing;
	s.checked_at = (int64_t)at;
	s.exit_status = (int)code;
	*ret = s;
	return 0;
}
