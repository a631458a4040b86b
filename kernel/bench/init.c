/*
 * The smallest init: say that user space was reached, then end the machine. No libc, so that the
 * floor is the kernel's and QEMU's alone.
 */
#include <linux/reboot.h>
#include <sys/syscall.h>

static long
call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

__attribute__((noreturn)) void
_start(void)
{
	static const char line[] = "init\n";

	(void)call(SYS_write, 1, (long)line, sizeof line - 1);
	for (;;)
		(void)call(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			   LINUX_REBOOT_CMD_RESTART);
}
