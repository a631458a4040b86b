/* The serial port as Linux' 8250 driver uses it: it is found, it prints, its interrupt comes when it
 * should. */
#include "vmm/serial.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/tap.h"

static struct serial s;
static int out[2];

static bool put(unsigned reg, uint8_t v)
{
	return serial_write(&s, reg, &v, 1, out[1]);
}

static void test_registers(void)
{
	bool raised = put(1, 0xff);

	is_int(serial_read(&s, 1), 0x0f, "the four interrupts can be enabled");
	raised |= put(1, 0);
	is_int(serial_read(&s, 1), 0, "and disabled");
	raised |= put(7, 0xa5) | put(3, 0x80) | put(0, 1) | put(1, 2);
	is_int(serial_read(&s, 0) | serial_read(&s, 1) << 8, 0x201, "the divisor");
	raised |= put(3, 3);
	is_int(serial_read(&s, 3), 3, "the line's form");
	is_int(serial_read(&s, 1), 0, "the divisor is not the interrupts'");
	is_int(serial_read(&s, 7), 0xa5, "the scratch register");
	is_int(serial_read(&s, 5), 0x60, "the transmitter is empty, nothing is received");
	ok(!raised, "the interrupt is not connected yet");
}

static void test_interrupt(void)
{
	is_int(serial_read(&s, 2), 1, "no interrupt");
	ok(!put(0, 'a'), "sending raises none that is disabled");
	ok(!put(4, 0x0b), "connecting the line raises none");
	ok(put(1, 2), "enabling it with an empty transmitter does");
	ok(!put(1, 2), "once");
	is_int(serial_read(&s, 2), 2, "it is: transmitter empty");
	is_int(serial_read(&s, 2), 1, "which is so acknowledged");
	ok(put(0, 'b') && put(0, 'c'), "each byte sent raises it");
	ok(!put(1, 0), "disabling raises none");
	is_int(serial_read(&s, 2), 1, "and hides it");
	ok(put(1, 2), "enabling raises it again");
}

static void test_output(void)
{
	static uint8_t many[65536];
	char got[8] = "";

	ok(read(out[0], got, sizeof(got) - 1) == 3, "what was sent has arrived");
	is_str(got, "abc", "in order");
	(void)!serial_write(&s, 0, many, sizeof(many), out[1]);
	(void)!serial_write(&s, 0, many, 1, out[1]);
	ok(true, "a reader who does not read does not stop the guest");
	(void)!serial_write(&s, 0, many, 1, -1);
	ok(true, "nor does the lack of one");
}

int main(void)
{
	if (pipe2(out, O_CLOEXEC) < 0)
		abort();
	serial_init(&s);
	test_registers();
	test_interrupt();
	test_output();
	serial_fini(&s);
	return tap_done();
}
