#include "box/copier.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/sock.h"
#include "box/helper.h"

static int start_program(struct home *h, int control, int file, int tar, struct child *ret, struct error *err)
{
	static const char *const argv[] = { "boxlite-copy", NULL }, *const nothing[] = { NULL };
	const struct spawn_fd fds[] = { { control, COPY_FD_CONTROL }, { file, COPY_FD_FILE }, { tar, COPY_FD_TAR } };

	return helper_start(h, &(struct helper){ argv, nothing, fds, ARRAY_SIZE(fds) }, ret, err);
}

int copier_start(struct home *h, const struct copy_spec *s, int file, struct copier *ret, struct error *err)
{
	struct copier c = COPIER_NONE;
	int control[2] = { -1, -1 }, tar[2] = { -1, -1 };
	int r = sock_pair(control);

	if (r == 0)
		r = sock_pair(tar);
	if (r == 0)
		r = conn_init(&c.control, take_fd(&control[0]), 64 * KIB);
	if (r == 0)
		r = io_set_nonblock(tar[0], true);
	if (r == 0)
		r = wire_put_copy(&c.control.out, 0, s);
	if (r < 0)
		error_code(err, r, "cannot start boxlite-copy");
	c.tar = take_fd(&tar[0]);
	if (r == 0)
		r = start_program(h, control[1], file, tar[1], &c.child, err);
	/* It is small and fits into the socket at once. */
	if (r == 0)
		r = conn_write(&c.control) < 0 || conn_wants_write(&c.control)
			    ? error_set(err, -EIO, "boxlite-copy ended at once") : 0;
	close_fd(&control[0]);
	close_fd(&control[1]);
	close_fd(&tar[1]);
	if (r < 0) {
		copier_close(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void copier_dispatch(struct copier *c)
{
	ssize_t got = conn_read(&c->control);
	struct frame f;
	int r = conn_peek(&c->control, &f);

	if (c->answered)
		return;
	if (r == 1 && f.type == FRAME_EXIT && wire_get_exit(&f, &c->exit) == 0) {
		c->answered = true;
	} else if (r != 0 || got < 0) {
		c->answered = true;
		c->exit = (struct proc_exit){ .kind = PROC_EXITED, .code = EIO, .error = "boxlite-copy ended without a word" };
	}
}

void copier_finish(struct copier *c)
{
	int status;

	close_fd(&c->tar);
	(void)spawn_wait(&c->child, &status);
}

void copier_close(struct copier *c)
{
	close_fd(&c->tar);
	conn_fini(&c->control);
	if (c->child.pidfd >= 0)
		spawn_reap(&c->child);
	*c = COPIER_NONE;
}
