/* What a guest says of itself and of its processes: what is understood is in its bounds and safe to print. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/metrics.h"

static void check_text(const char *text, size_t size)
{
	size_t n = strnlen(text, size), i;

	if (n == size)
		abort();
	for (i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			abort();
}

/* What was read can be written, and is then the same. */
static void check_top(const struct top_list *l)
{
	struct buf out = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct top_list again = { 0 };
	struct frame f;
	size_t i;

	if (l->n > TOP_PER_FRAME)
		abort();
	for (i = 0; i < l->n; i++) {
		check_text(l->v[i].user, TOP_USER);
		check_text(l->v[i].command, TOP_COMMAND);
		if (l->v[i].pid < 1 || l->v[i].ppid < 0)
			abort();
	}
	if (wire_put_top(&out, l) < 0 || frame_peek(&out, &f) != 1 || wire_get_top(&f, l->n, &again, NULL) < 0)
		abort();
	if (again.n != l->n || (l->n && memcmp(again.v, l->v, l->n * sizeof(*l->v)) != 0))
		abort();
	top_list_fini(&again);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f = { .type = FRAME_METRICS, .payload = size ? data : NULL, .len = (uint32_t)size };
	struct guest_metrics m;
	struct box_metrics box;
	struct top_list l = { 0 };
	struct error err = { 0 };
	bool guest;

	if (size > FRAME_PAYLOAD_MAX)
		return 0;
	if (wire_get_guest_metrics(&f, &m) == 0 && (m.memory_bytes > INT64_MAX || m.sent_bytes > INT64_MAX))
		abort();
	if (wire_get_metrics(&f, &box) == 0)
		check_text(box.engine, sizeof(box.engine));
	if (wire_get_metrics_request(&f, &guest) == 0 && guest != true && guest != false)
		abort();
	if (wire_get_top(&f, TOP_PER_FRAME, &l, &err) == 0)
		check_top(&l);
	top_list_fini(&l);
	return 0;
}
