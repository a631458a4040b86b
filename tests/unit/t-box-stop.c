/* A box is told to stop while its shim is just ending, or has too many clients: a shim of the test's own is in the way
 * in each manner once. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/sock.h"
#include "box/box.h"
#include "box/home.h"
#include "box/lock.h"
#include "lib/tap.h"
#include "wire/message.h"

#define ID "aa11"

static char path[] = "/tmp/boxlite-test.XXXXXX";

struct fake {
	int run, listening, lock;
};

/* What the shim does with who connects; it ends with the last step. */
enum step {
	END_WITH_QUEUE, /* nobody is taken any more, and the lock goes a moment later */
	REFUSE,         /* closes the connection without a word */
	SERVE,          /* greets, reads, ends in order */
	END
};

static int take_client(const struct fake *f)
{
	struct pollfd p = { .fd = f->listening, .events = POLLIN };

	if (poll(&p, 1, 10000) != 1)
		_exit(3);
	return accept4(f->listening, NULL, NULL, SOCK_CLOEXEC);
}

static void stop_listening(struct fake *f)
{
	close_fd(&f->listening);
	unlinkat(f->run, "box.sock", 0);
}

static void end_with_queue(struct fake *f)
{
	struct pollfd p = { .fd = f->listening, .events = POLLIN };

	if (poll(&p, 1, 10000) != 1)
		_exit(4);
	stop_listening(f);
	poll(NULL, 0, 300);
}

static void serve(struct fake *f)
{
	auto_buf struct buf out = BUF_INIT(KIB);
	auto_fd int client = take_client(f);
	char message[64];

	if (client < 0 || wire_put_hello(&out, "shim") < 0 ||
	    sock_send_fds(client, buf_data(&out), buf_len(&out), NULL, 0) < 0 ||
	    read(client, message, sizeof(message)) <= 0)
		_exit(5);
	stop_listening(f);
}

static pid_t begin(int boxes, const enum step *steps)
{
	auto_fd int box = openat(boxes, ID, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fake f = { .lock = box_lock_take(box, "lock", BOX_LOCK_CREATE) };
	pid_t child;

	f.run = openat(box, "run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f.listening = f.run < 0 ? -1 : sock_listen_at(f.run, "box.sock");
	if (f.lock < 0 || f.listening < 0 || (child = fork()) < 0)
		abort();
	if (child == 0) {
		for (; *steps != END; steps++) {
			if (*steps == END_WITH_QUEUE)
				end_with_queue(&f);
			else if (*steps == REFUSE)
				close(take_client(&f));
			else
				serve(&f);
		}
		_exit(0);
	}
	close(f.run);
	close(f.listening);
	close(f.lock);
	return child;
}

static void test(struct home *h, const enum step *steps, int want, const char *text, const char *what)
{
	pid_t child = begin(h->boxes_fd, steps);
	struct error err = { 0 };
	int status = -1;

	is_int(box_stop(h, ID, 0, &err), want, what);
	ok(strstr(err.text, text) != NULL, "and says so: %s", err.text);
	waitpid(child, &status, 0);
	is_int(status, 0, "as it was meant");
}

int main(void)
{
	static const enum step ends[] = { END_WITH_QUEUE, END }, one_too_many[] = { REFUSE, SERVE, END },
			       full[] = { REFUSE, REFUSE, REFUSE, END };
	struct home h = { 0 };

	if (!mkdtemp(path) || (h.boxes_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    mkdirat(h.boxes_fd, ID, 0700) < 0 || mkdirat(h.boxes_fd, ID "/run", 0700) < 0)
		abort();
	alarm(60);
	test(&h, ends, 0, "", "a box that is just ending is stopped");
	test(&h, one_too_many, 0, "", "one that has had too many clients is told again");
	test(&h, full, -EBUSY, "too many clients", "one that has too many is not stopped");
	close(h.boxes_fd);
	io_remove_tree_at(AT_FDCWD, path);
	return tap_done();
}
