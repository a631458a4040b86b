/* The messages of boxlite-image: what decodes can be encoded and decodes again. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/image.h"

/* Encodes r, decodes that. */
static void again(const struct image_result *r)
{
	struct buf out = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct image_result copy = { 0 };
	struct frame f;

	/* JSON may grow when it is written again (escapes), so it may not fit; else it must come back. */
	if (wire_put_image_done(&out, r) == 0 &&
	    (frame_peek(&out, &f) != 1 || wire_get_image_done(&f, &copy, NULL) < 0 || copy.n != r->n))
		abort();
	image_result_fini(&copy);
	buf_fini(&out);
}

/* A failure that decodes has a code and a line that can be printed. */
static void failure(const struct frame *f)
{
	struct buf out = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct error e = { 0 };

	if (wire_get_image_failed(f, &e) == 0 &&
	    (e.code >= 0 || strpbrk(e.text, "\n\x1b") || wire_put_image_failed(&out, &e) < 0))
		abort();
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f = { .payload = data, .len = (uint32_t)size };
	struct image_request request = { 0 };
	struct image_result result = { 0 };
	struct image_progress progress;
	struct buf out = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);

	f.type = FRAME_IMAGE_REQUEST;
	if (wire_get_image_request(&f, &request, NULL) == 0 && wire_put_image_request(&out, &request) < 0)
		abort();
	image_request_fini(&request);
	f.type = FRAME_IMAGE_PROGRESS;
	if (wire_get_image_progress(&f, &progress) == 0 && progress.item > progress.items)
		abort();
	f.type = FRAME_IMAGE_DONE;
	if (wire_get_image_done(&f, &result, NULL) == 0)
		again(&result);
	image_result_fini(&result);
	f.type = FRAME_IMAGE_FAILED;
	failure(&f);
	buf_fini(&out);
	return 0;
}
