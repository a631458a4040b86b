#include "agent/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clean.h"

int tty_open(uint16_t rows, uint16_t cols, int *ret_master, int *ret_slave, struct error *err)
{
	/* A box may have put anything in this place: it must neither block nor pass for a terminal. */
	auto_fd int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	auto_fd int slave = -1;
	int unlock = 0;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return error_sys(err, "cannot open a terminal by /dev/pts/ptmx");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return error_sys(err, "cannot open the terminal's other side");
	tty_resize(master, rows, cols);
	*ret_master = take_fd(&master);
	*ret_slave = take_fd(&slave);
	return 0;
}

void tty_resize(int master, uint16_t rows, uint16_t cols)
{
	struct winsize size = { .ws_row = rows ? rows : 24, .ws_col = cols ? cols : 80 };

	/* Fails only when it is no terminal any more. */
	ioctl(master, TIOCSWINSZ, &size);
}

void tty_send_eof(int master)
{
	struct termios t;

	/* The queue to the terminal is empty here; if it takes no byte nobody reads it either. */
	if (tcgetattr(master, &t) == 0 && (t.c_lflag & ICANON))
		if (write(master, &t.c_cc[VEOF], 1) < 0)
			return;
}

int tty_signal_typed(int master, pid_t pgrp, const uint8_t *typed, size_t n)
{
	struct termios t;
	pid_t foreground;

	if (tcgetattr(master, &t) < 0 || !(t.c_lflag & ISIG) || ioctl(master, TIOCGPGRP, &foreground) < 0 ||
	    foreground != pgrp)
		return 0;
	/* A character of 0 is one that is switched off (_POSIX_VDISABLE). */
	if (t.c_cc[VINTR] && memchr(typed, t.c_cc[VINTR], n))
		return SIGINT;
	return t.c_cc[VQUIT] && memchr(typed, t.c_cc[VQUIT], n) ? SIGQUIT : 0;
}
