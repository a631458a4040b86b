/*
 * Ports. A PC has many; a guest of ours needs the serial port while it is being debugged, and the keyboard
 * controller's reset line to turn itself off (reboot=k). What is not there reads as ones, as on a bus that nobody
 * drives, except where a kernel would wait for a bit to fall.
 *
 * A kernel that resets a PC first leaves a word for the firmware, whether it may skip its tests: a warm boot. With
 * "reboot=k,panic_warm" (kernel/cmdline) ours asks for that when it panics and never else. There is no firmware here
 * to read the word, so we do. A guest may lie in it about nothing but its own end.
 */
#include <endian.h>
#include <linux/kvm.h>
#include <string.h>

#include "vmm/layout.h"
#include "vmm/vcpu.h"
#include "wire/machine.h"

#define PORT_SPEAKER 0x61
#define SPEAKER_COUNTED 0x20 /* timer 2 has run out: who waits for it does not wait */
#define PORT_KEYBOARD 0x64
#define KEYBOARD_RESET 0xfe
#define KEYBOARD_IDLE 0 /* takes commands, has no data */
#define BOOT_WORD 0x472 /* in the BIOS data area of memory, 16 bits */
#define BOOT_WORD_WARM 0x1234
#define PORT_CMOS_DATA 0x71
#define CMOS_NOTHING 0 /* of any register: no update in progress */

static bool is_serial(uint16_t port)
{
	return port >= SERIAL_PORT && port < SERIAL_PORT + SERIAL_REGISTERS;
}

static uint8_t read_port(struct vm *vm, uint16_t port)
{
	if (is_serial(port))
		return serial_read(&vm->serial, port - SERIAL_PORT);
	switch (port) {
	case PORT_SPEAKER:
		return SPEAKER_COUNTED;
	case PORT_KEYBOARD:
		return KEYBOARD_IDLE;
	case PORT_CMOS_DATA:
		return CMOS_NOTHING;
	default:
		return 0xff;
	}
}

static void reset(struct vm *vm)
{
	uint16_t word = 0;

	if (mem_copy_in(vm->mem, &word, BOOT_WORD, sizeof(word)) == 0 && le16toh(word) == BOOT_WORD_WARM)
		vm_end(vm, VM_PANICKED, VMM_PANICKED);
	else
		vm_end(vm, VM_SHUTDOWN, "reset by the keyboard controller");
}

static void write_port(struct vm *vm, uint16_t port, const uint8_t *bytes, size_t n)
{
	if (is_serial(port)) {
		if (serial_write(&vm->serial, port - SERIAL_PORT, bytes, n, vm->serial_fd))
			vm_pulse_irq(vm, SERIAL_IRQ);
	} else if (port == PORT_KEYBOARD && n && bytes[n - 1] == KEYBOARD_RESET) {
		reset(vm);
	}
}

void vcpu_port_io(struct vcpu *c)
{
	/* "rep ins/outs" are many accesses in one exit; KVM keeps them within the shared page. */
	uint8_t *data = (uint8_t *)c->run + c->run->io.data_offset;
	size_t n = (size_t)c->run->io.count * c->run->io.size;
	uint16_t port = c->run->io.port;

	if (c->run->io.direction == KVM_EXIT_IO_OUT) {
		if (c->run->io.size == 1)
			write_port(c->vm, port, data, n);
		return;
	}
	memset(data, 0xff, n);
	if (c->run->io.size == 1)
		for (size_t i = 0; i < n; i++)
			data[i] = read_port(c->vm, port);
}
