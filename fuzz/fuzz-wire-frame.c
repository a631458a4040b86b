/* The host's view of a hostile guest, and the guest's of a broken host: any bytes as a stream of frames. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/boot.h"
#include "wire/copy.h"
#include "wire/machine.h"
#include "wire/proc.h"
#include "wire/spec.h"
#include "wire/timing.h"

static void decode(const struct frame *f)
{
	struct proc_spec spec;
	struct machine_spec machine;
	struct timing timing;
	struct copy_spec copy;
	struct box_spec box;
	struct boot_spec boot;
	struct proc_exit e;
	struct error err = { 0 };
	char text[ERROR_TEXT_MAX], *name;
	uint16_t rows, cols;
	uint64_t since;
	struct proc_started started;
	uint32_t n;
	bool input;
	int v;

	if (wire_get_start(f, &spec, &err) == 0)
		proc_spec_fini(&spec);
	if (wire_get_spec(f, &box, &err) == 0)
		box_spec_fini(&box);
	if (wire_get_copy(f, &copy, &err) == 0)
		copy_spec_fini(&copy);
	if (wire_get_machine(f, &machine, &err) == 0)
		machine_spec_fini(&machine);
	if (wire_get_boot(f, &boot, &err) == 0)
		boot_spec_fini(&boot);
	if (wire_get_exit(f, &e) == 0 && (proc_exit_status(&e) < 0 || proc_exit_status(&e) > 255))
		abort();
	if (wire_get_hello(f, &err) == 0 && f->type != FRAME_HELLO)
		abort();
	if (wire_get_signal(f, &v) == 0 && (v < 1 || v > 64))
		abort();
	if (frame_get_credit(f, &n) == 0 && (n == 0 || n > FRAME_WINDOW))
		abort();
	if (wire_get_timing(f, &timing) == 0 && timing.at[TIMING_END] > INT64_MAX)
		abort();
	if (wire_get_ready(f, &since, &timing.kernel) == 0 && (since > INT64_MAX || timing.kernel.n > TIMING_PARTS_MAX))
		abort();
	if (wire_get_attach(f, &n, &input) == 0 && f->len == 0)
		abort();
	if (wire_get_rename(f, &name) == 0) {
		if (!*name || strlen(name) > BOX_NAME_MAX)
			abort();
		free(name);
	}
	if (wire_get_dial_unix(f, &name) == 0) {
		if (*name != '/' || strlen(name) > SOCKET_PATH_MAX)
			abort();
		free(name);
	}
	if (wire_get_started(f, &started) < 0 && wire_get_resize(f, &rows, &cols) < 0 && wire_get_shutdown(f, &n) < 0 &&
	    wire_get_error(f, text) < 0)
		return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf in = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct frame f;

	if (size <= in.max && buf_append(&in, data, size) == 0)
		while (frame_peek(&in, &f) == 1) {
			if (frame_size(&f) > buf_len(&in))
				abort();
			decode(&f);
			buf_consume(&in, frame_size(&f));
		}
	buf_fini(&in);
	return 0;
}
