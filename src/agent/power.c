#include "agent/power.h"

#include <sys/reboot.h>
#include <unistd.h>

/*
 * The machine has no ACPI, so it cannot be switched off. The host tells the kernel by "reboot=" how this kind of
 * machine is reset, and takes that as the end (-no-reboot in QEMU's words).
 */
_Noreturn void power_off(void)
{
	reboot(RB_AUTOBOOT);
	_exit(1); /* init has ended: the kernel panics, and reboots for that (panic=-1) */
}
