/* health.json in the folder of a box that runs: {status, failing, checked_at, exit_code, output}. See shim/health.c. */
#ifndef WIRE_HEALTH_H
#define WIRE_HEALTH_H

#include "base/json.h"

#define HEALTH_FILE "health.json"
#define HEALTH_OUTPUT_MAX 4096

enum health_status { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };

struct health_state {
	enum health_status health;
	uint32_t failing;   /* checks in a row that have failed */
	int64_t checked_at; /* seconds since 1970; 0: no check is over yet */
	int exit_status;    /* of the last check, as a shell says it */
	char output[HEALTH_OUTPUT_MAX]; /* the end of what it printed; of a hostile box */
};

const char *health_name(enum health_status h); /* "starting", "healthy", "unhealthy" */
json_t *health_to_json(const struct health_state *s); /* new object or NULL */
int health_from_json(const json_t *j, struct health_state *ret) MUST_CHECK; /* 0 or -EBADMSG */

#endif
