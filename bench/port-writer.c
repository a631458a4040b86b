/*
 * The init of bench/run's floor for output: writes BYTES zeros to the virtio-serial port, waits for
 * the reader to say that it has them and ends the machine. No libc (see kernel/bench-floor).
 */
#include <fcntl.h>
#include <linux/reboot.h>
#include <sys/syscall.h>

#define BYTES (256UL << 20)

static long
call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

__attribute__((noreturn)) void
_start(void)
{
	static char zeros[1 << 16];
	unsigned long left = BYTES;
	long fd, n = 0;

	(void)call(SYS_mkdir, (long)"/dev", 0755, 0, 0, 0);
	(void)call(SYS_mount, (long)"dev", (long)"/dev", (long)"devtmpfs", 0, 0);
	/* The driver learns of its ports a moment after boot. */
	while ((fd = call(SYS_open, (long)"/dev/vport0p1", O_RDWR, 0, 0, 0)) < 0)
		(void)call(SYS_sched_yield, 0, 0, 0, 0, 0);
	for (; left && n >= 0; left -= (unsigned long)n)
		n = call(SYS_write, fd, (long)zeros, sizeof(zeros), 0, 0);
	/* What is still in the queue when the machine ends is lost. */
	(void)call(SYS_read, fd, (long)zeros, 1, 0, 0);
	for (;;)
		(void)call(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0, 0);
}
