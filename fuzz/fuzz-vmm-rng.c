/* A hostile guest of the device of random bytes: it writes no byte that it was not given, and leaves no request. */
#include "vmm_guest.h"
#include "vmm/devices.h"

#define STEPS_MAX 100
#define LOW_BYTES (64 * KIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_over(data, size);
	struct hostile h;
	struct virtio *v;
	unsigned steps;

	hostile_open(&h, LOW_BYTES, false);
	v = rng_open(&h.d.mem, driver_irq, &h.d, NULL);
	must(v);
	hostile_start(&h, v, DRIVER_ALL, 64);
	for (steps = 0; rd_left(&r) && steps < STEPS_MAX; steps++) {
		hostile_turn(&h, &r);
		hostile_check_done(&h, 1);
	}
	rng_close(v);
	hostile_close(&h);
	return 0;
}
