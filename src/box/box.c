#include "box/box.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/newfile.h"
#include "base/sock.h"
#include "box/disk.h"
#include "box/events.h"
#include "box/image.h"
#include "box/lock.h"
#include "box/merge.h"
#include "wire/conn.h"

#define BOXES_MAX 1000000
#define TELL_TRIES 3

int box_new_id(char out[BOX_ID_LEN + 1], struct error *err)
{
	uint8_t random[BOX_ID_LEN / 2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_sys(err, "no random numbers");
	str_hex(random, sizeof(random), out);
	return 0;
}

static bool name_is_valid(const char *name)
{
	size_t i, n = strlen(name);

	if (n == 0 || n > BOX_NAME_MAX)
		return false;
	for (i = 0; i < n; i++) {
		bool alnum = (name[i] >= '0' && name[i] <= '9') || ((name[i] | 32) >= 'a' && (name[i] | 32) <= 'z');

		if (!alnum && (i == 0 || !strchr("_.-", name[i])))
			return false;
	}
	return true;
}

static int open_box(struct home *h, const char *id)
{
	int fd = openat(h->boxes_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The folder with disk and subfolders, locked while it has no row (else it would look like a leftover). `mark`: with
 * the mark of its maker, which is locked as long as the maker may still start the box. */
static int make_folder(struct home *h, const struct box_spec *s, bool mark, int *ret_lock, int *ret_maker,
		       struct error *err)
{
	auto_fd int box = -1, lock = -1, maker = -1;
	const char *id = s->id;
	int r;

	if (mkdirat(h->boxes_fd, id, 0700) < 0)
		return error_sys(err, "cannot make a box in %s", h->path);
	box = open_box(h, id);
	lock = box < 0 ? box : box_lock_take(box, "lock", BOX_LOCK_CREATE);
	r = lock < 0 ? error_code(err, lock, "cannot lock the new box") : 0;
	if (r == 0 && (mkdirat(box, "run", 0700) < 0 || mkdirat(box, "log", 0700) < 0))
		r = error_sys(err, "cannot make the box's folders");
	if (r == 0 && mark) {
		maker = box_lock_take(box, "maker", BOX_LOCK_CREATE);
		r = maker < 0 ? error_code(err, maker, "cannot mark the new box") : 0;
	}
	if (r == 0)
		r = disk_create(h, box, "disk.img", s->disk_bytes, s->keep_disk, err);
	if (r < 0) {
		io_remove_tree_at(h->boxes_fd, id);
		return r;
	}
	*ret_lock = take_fd(&lock);
	*ret_maker = take_fd(&maker);
	return 0;
}

static int check_limits(const struct box_spec *s, struct error *err)
{
	uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	char want[24], have[24];

	if (s->cpus < 1 || s->cpus > SPEC_CPUS_MAX)
		return error_set(err, -EINVAL, "a box may have 1 to %d cpus, not %u", SPEC_CPUS_MAX, s->cpus);
	if (s->memory_bytes < SPEC_MEMORY_MIN)
		return error_set(err, -EINVAL, "a box needs at least %llu MiB of memory",
				 (unsigned long long)(SPEC_MEMORY_MIN / MIB));
	if (s->memory_bytes > host)
		return error_set(err, -EINVAL, "the box wants %s of memory and this host has %s: give less with --memory",
				 str_format_size(s->memory_bytes, want), str_format_size(host, have));
	if (s->disk_bytes < DISK_MIN || s->disk_bytes > DISK_MAX)
		return error_set(err, -EINVAL, "a box's disk may be 64 MiB to 16 TiB");
	return 0;
}

/* What a program of the box sees of its secrets; over a variable of the image. */
static int add_placeholders(const struct net_spec *net, struct strv *env, struct error *err)
{
	size_t i;

	for (i = 0; i < net->nsecrets; i++) {
		auto_free char *pair = NULL;

		if (asprintf(&pair, "%s=%s", net->secrets[i].name, net->secrets[i].placeholder) < 0) {
			pair = NULL;
			return error_nomem(err);
		}
		if (strv_set_env(env, pair) < 0)
			return error_nomem(err);
	}
	return 0;
}

/* Fills what only a box has, and what it runs. */
static int describe(const struct box_request *q, const struct db_image *image, const char *id,
		    struct error *err)
{
	struct merge_options m = *q->process;
	struct box_spec *s = q->spec;
	int r;

	s->id = strdup(id);
	s->hostname = strdup(id);
	s->image_digest = strdup(image->manifest);
	m.entrypoint_words = &s->entrypoint_words;
	if (!s->id || !s->hostname || !s->image_digest)
		return error_nomem(err);
	m.hostname = s->hostname;
	r = merge_health(image->config_json, q->no_health, &s->health, err);
	if (r == 0)
		r = merge_process(image->config_json, &m, &s->main, err);
	return r < 0 ? r : add_placeholders(&s->net, &s->main.env, err);
}

static int add_row(struct home *h, const struct box_request *q, const struct db_image *image,
		   struct db_box *row, struct error *err)
{
	auto_json json_t *j = box_spec_to_json(q->spec);

	row->id = strdup(q->spec->id);
	row->name = q->name ? strdup(q->name) : NULL;
	row->image = strdup(image->reference);
	row->rootfs = strdup(image->rootfs);
	row->spec = j ? json_dumps(j, JSON_COMPACT) : NULL;
	row->created_at = time(NULL);
	row->auto_remove = q->auto_remove;
	if (!row->id || (q->name && !row->name) || !row->image || !row->rootfs || !row->spec)
		return error_nomem(err);
	/* It must fit into a message to the shim, which has more to say. */
	if (strlen(row->spec) > FRAME_PAYLOAD_MAX - 64 * KIB)
		return error_set(err, -E2BIG, "the command and environment of a box may have 4 MB at most");
	return db_box_add(h->db, row, err);
}

static int check_name(const char *name, struct error *err)
{
	if (name_is_valid(name))
		return 0;
	return error_set(err, -EINVAL,
			 "'%s' is not a name: letters, digits, '_', '.', '-', at most 63, and the first a letter or digit", name);
}

/* What a box is called, for an event about it. */
static void say_of(struct home *h, const char *action, const struct db_box *b)
{
	events_say(h, &(struct event){ .type = "box", .action = action, .id = b->id, .name = b->name, .image = b->image,
				       .status = EVENT_NO_STATUS });
}

int box_create(struct home *h, const struct box_request *q, struct db_box *ret, int *ret_maker, struct error *err)
{
	struct db_image image = DB_IMAGE_INIT;
	struct db_box row = { 0 };
	char id[BOX_ID_LEN + 1];
	auto_fd int lock = -1, gc = -1, maker = -1;
	int r = 0;

	r = q->name ? check_name(q->name, err) : 0;
	if (r == 0)
		r = check_limits(q->spec, err);
	if (r < 0)
		return r;
	/* Shared: the image cannot be collected between the look-up and our row. */
	gc = home_lock_images(h, false, err);
	if (gc < 0)
		return gc;
	r = image_find(h, q->image, &image, err);
	if (r == 0)
		r = box_new_id(id, err);
	if (r == 0)
		r = describe(q, &image, id, err);
	if (r == 0)
		r = make_folder(h, q->spec, q->auto_remove, &lock, &maker, err);
	if (r == 0) {
		r = add_row(h, q, &image, &row, err);
		if (r < 0)
			io_remove_tree_at(h->boxes_fd, id);
	}
	db_image_fini(&image);
	if (r < 0) {
		db_box_fini(&row);
		return r;
	}
	say_of(h, "create", &row);
	*ret = row;
	*ret_maker = take_fd(&maker);
	return 0;
}

int box_is_running(struct home *h, const char *id, struct error *err)
{
	auto_fd int box = open_box(h, id);
	int r;

	if (box == -ENOENT)
		return 0;
	if (box < 0)
		return error_code(err, box, "cannot open box %s", id);
	r = box_lock_held(box, "lock");
	return r < 0 ? error_code(err, r, "cannot look at the lock of box %s", id) : r;
}

bool box_is_copying(struct home *h, const char *id)
{
	auto_fd int box = open_box(h, id);

	return box >= 0 && faccessat(box, SPEC_COPYING_FILE, F_OK, 0) == 0;
}

/* The run that there is: 1, 0 it does not run (any more), -errno. */
static int watch_run(struct home *h, const char *id, struct box_run *ret, struct error *err)
{
	auto_fd int box = open_box(h, id);
	int r = box < 0 ? box : box_lock_watch(box, "lock", ret);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? error_code(err, r, "cannot look at the lock of box %s", id) : r;
}

/* Until it is over. Closes it. */
static int await_run(struct box_run *run, const char *id, struct error *err)
{
	int r = box_run_await(run);

	close_fd(&run->fd);
	return r < 0 ? error_code(err, r, "cannot wait for box %s", id) : 0;
}

int box_wait(struct home *h, const char *id, struct error *err)
{
	struct box_run run = BOX_RUN_NONE;
	int r = watch_run(h, id, &run, err);

	return r == 1 ? await_run(&run, id, err) : r;
}

/* fd, or -ENOTCONN: there is no socket, or nobody listens. */
static int connect_once(int box)
{
	auto_fd int run = openat(box, "run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = run < 0 ? -errno : sock_connect_at(run, "box.sock");

	return fd == -ENOENT || fd == -ECONNREFUSED ? -ENOTCONN : fd;
}

/* Until the box has a socket: a socket shows in the folder, so that is watched; that the box ends does not, hence the
 * time limit of each wait. */
static int wait_connect(struct home *h, const char *id, int box)
{
	auto_fd int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[64], event[sizeof(struct inotify_event) + NAME_MAX + 1];
	struct pollfd p = { .fd = events, .events = POLLIN };

	snprintf(path, sizeof(path), "/proc/self/fd/%d/run", box);
	if (events < 0 || inotify_add_watch(events, path, IN_MOVED_TO | IN_DELETE) < 0)
		return errno == ENOENT ? -ENOTCONN : -errno;
	for (;;) {
		int r = connect_once(box);

		if (r != -ENOTCONN)
			return r;
		r = box_is_running(h, id, NULL);
		if (r <= 0)
			return r < 0 ? r : -ENOTCONN;
		if (poll(&p, 1, 250) > 0 && read(events, event, sizeof(event)) < 0 && errno != EAGAIN)
			return -errno;
	}
}

/*
 * A connection to a box that is locked, or -ENOTCONN once it is not. Locked and without a socket it starts or ends.
 * Nothing is watched where it need not be: to close an inotify takes the kernel some ms.
 */
int box_connect_locked(struct home *h, const char *id)
{
	auto_fd int box = open_box(h, id);
	int r;

	if (box < 0)
		return box == -ENOENT ? -ENOTCONN : box;
	r = connect_once(box);
	return r == -ENOTCONN ? wait_connect(h, id, box) : r;
}

int box_connect(struct home *h, const char *id, struct error *err)
{
	int fd = box_connect_locked(h, id);

	if (fd == -ENOTCONN)
		return error_set(err, fd, "box %s does not run; start it: boxlite start %s", id, id);
	return fd < 0 ? error_code(err, fd, "cannot reach box %s", id) : fd;
}

/* A shim greets whom it takes as a client: 1; with too many of them it closes the connection instead: 0. Or -errno. */
static int is_greeted(int fd)
{
	ssize_t got;
	char first;

	do
		got = recv(fd, &first, 1, MSG_PEEK);
	while (got < 0 && errno == EINTR);
	return got < 0 && errno != ECONNRESET ? -errno : got == 1;
}

/* Sends to the shim of a box: 1 and the fd; 0 it closes the connection unread, -ENOTCONN there is no shim, -errno. */
static int tell_once(struct home *h, const char *id, const struct buf *out, int *ret_fd)
{
	auto_fd int fd = box_connect_locked(h, id);
	int r;

	if (fd < 0)
		return fd;
	r = sock_send_fds(fd, buf_data(out), buf_len(out), NULL, 0);
	if (r == 0)
		r = is_greeted(fd);
	if (r == 1) {
		*ret_fd = fd;
		fd = -1;
	}
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

/* Sends one message to the shim of a box that runs, starts or ends: 1; 0 it does not run (any more), -errno. The
 * connection must live until the shim has read it: *ret_fd.
 * One that is closed unread was in the queue of a shim that has just ended, and then nobody listens the next time; or
 * the shim has too many clients, and then it says so again. */
static int tell_shim(struct home *h, const char *id, struct buf *message, int *ret_fd, struct error *err)
{
	auto_buf struct buf out = BUF_INIT(4 * KIB);
	int r = wire_put_hello(&out, "client");

	if (r == 0)
		r = buf_append(&out, buf_data(message), buf_len(message));
	if (r < 0)
		return error_nomem(err);
	for (int tries = 0; tries < TELL_TRIES; tries++) {
		r = tell_once(h, id, &out, ret_fd);
		if (r == 1 || r == -ENOTCONN)
			return MAX(r, 0);
		if (r < 0)
			return error_code(err, r, "cannot reach box %s", id);
	}
	return error_set(err, -EBUSY, "box %s has too many clients: try again", id);
}

/* Until the shim closes the connection: 0, or -errno. One that has died has not read all. */
static int read_to_end(int fd)
{
	char dropped[4096];
	ssize_t got;

	do
		got = read(fd, dropped, sizeof(dropped));
	while (got > 0 || (got < 0 && errno == EINTR));
	return got < 0 && errno != ECONNRESET ? -errno : 0;
}

/* Tells the shim something that the box does not survive, and waits for that: 1; 0 it did not run, -errno.
 * The end of the connection is that of the run that was told, which may have begun after the one that was found. A shim
 * that was killed leaves its machine for a moment, which has the lock, too. */
static int tell_to_end(struct home *h, const char *id, struct buf *message, struct error *err)
{
	struct box_run run = BOX_RUN_NONE;
	auto_fd int fd = -1;
	int r = watch_run(h, id, &run, err);

	if (r == 1)
		r = tell_shim(h, id, message, &fd, err);
	if (r == 1) {
		r = read_to_end(fd);
		if (r == 0) {
			r = await_run(&run, id, err);
			return r < 0 ? r : 1;
		}
		error_code(err, r, "cannot wait for the end of box %s", id);
	}
	close_fd(&run.fd);
	return r;
}

int box_stop(struct home *h, const char *id, uint32_t grace_ms, struct error *err)
{
	auto_buf struct buf message = BUF_INIT(KIB);
	int r = wire_put_shutdown(&message, grace_ms);

	r = r < 0 ? error_nomem(err) : tell_to_end(h, id, &message, err);
	return r < 0 ? r : 0;
}

/* The shim closes a connection whose end it sees after it has done what came before. */
static int wait_until_read(int fd)
{
	return shutdown(fd, SHUT_WR) < 0 ? -errno : read_to_end(fd);
}

int box_ask_to_stop(struct home *h, const char *id, uint32_t grace_ms, struct error *err)
{
	auto_buf struct buf message = BUF_INIT(KIB);
	auto_fd int fd = -1;
	int r = wire_put_shutdown(&message, grace_ms);

	if (r < 0)
		return error_nomem(err);
	r = tell_shim(h, id, &message, &fd, err);
	if (r == 1 && (r = wait_until_read(fd)) < 0)
		error_code(err, r, "cannot learn whether box %s was told to stop", id);
	return MIN(r, 0);
}

int box_signal(struct home *h, const char *id, int signo, struct error *err)
{
	auto_buf struct buf message = BUF_INIT(KIB);
	auto_fd int fd = -1;
	int r = wire_put_signal(&message, 0, signo);

	if (r < 0)
		return error_nomem(err);
	if (box_is_copying(h, id))
		r = 0;
	else if (signo == SIGKILL)
		r = tell_to_end(h, id, &message, err);
	else
		r = tell_shim(h, id, &message, &fd, err);
	if (r == 0)
		return error_set(err, -ENOTCONN, "box %s does not run", id);
	if (fd < 0)
		return r < 0 ? r : 0;
	r = wait_until_read(fd);
	return r < 0 ? error_code(err, r, "cannot learn whether box %s has got the signal", id) : 0;
}

/* The shim names the box in events. Who starts it now has the lock before it reads the name. */
static void tell_name(struct home *h, const char *id, const char *name)
{
	auto_buf struct buf message = BUF_INIT(KIB);
	auto_fd int fd = -1;

	if (box_is_running(h, id, NULL) == 1 && wire_put_rename(&message, name) == 0 &&
	    tell_shim(h, id, &message, &fd, NULL) == 1)
		wait_until_read(fd);
}

int box_rename(struct home *h, const char *id, const char *name, struct error *err)
{
	struct event e = { .type = "box", .action = "rename", .id = id, .name = name, .status = EVENT_NO_STATUS };
	int r = check_name(name, err);

	if (r == 0)
		r = db_box_rename(h->db, id, name, err);
	if (r < 0)
		return r;
	tell_name(h, id, name);
	events_say(h, &e);
	return 0;
}

/* Of two that remove a box at once, one says so. */
static int delete_row(struct home *h, const char *id, struct error *err)
{
	struct db_box row = { 0 };
	bool was = db_box_get(h->db, id, &row, NULL) == 0;
	int r = db_box_delete(h->db, id, err);

	if (r == 0 && was)
		say_of(h, "remove", &row);
	db_box_fini(&row);
	return r;
}

/* What is removed has another name first: cut off at any moment, it is a whole box or none. box_recover() goes on. */
#define DOOMED "."

/* The caller holds the box's lock. */
static int remove_folder(struct home *h, const char *id)
{
	char doomed[BOX_ID_LEN + 2];

	snprintf(doomed, sizeof(doomed), DOOMED "%.*s", BOX_ID_LEN, id);
	if (renameat(h->boxes_fd, id, h->boxes_fd, doomed) < 0)
		return errno == ENOENT ? 0 : -errno;
	return io_remove_tree_at(h->boxes_fd, doomed);
}

int box_remove(struct home *h, const char *id, bool force, struct error *err)
{
	auto_fd int box = open_box(h, id), lock = -1;
	int r;

	if (box < 0 && box != -ENOENT)
		return error_code(err, box, "cannot open box %s", id);
	if (box >= 0) {
		/* Once it has stopped, another process may be faster and start it again, or copy from it. */
		while ((lock = box_lock_take(box, "lock", 0)) == -EWOULDBLOCK) {
			if (!force)
				return error_set(err, -EBUSY, "box %s runs: with --force it is stopped first", id);
			r = box_stop(h, id, 0, err);
			if (r < 0)
				return r;
		}
		if (lock < 0 && lock != -ENOENT)
			return error_code(err, lock, "cannot lock box %s", id);
		/* -ENOENT: another process has just removed the files. */
		r = lock < 0 ? 0 : remove_folder(h, id);
		if (r < 0)
			return error_code(err, r, "cannot remove the files of box %s", id);
	}
	return delete_row(h, id, err);
}

/* --- recovery ------------------------------------------------------------------------------- */

/* Whether whoever made it is still there and may start it; also if that cannot be told now. */
static bool has_maker(struct home *h, const char *id)
{
	auto_fd int box = open_box(h, id);

	return box < 0 ? box != -ENOENT : box_lock_held(box, "maker") != 0;
}

struct recovery {
	struct home *h;
	struct strv folders; /* sorted; as they were before the rows were read */
	bool *has_row;       /* owned; of each of them */
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether the box has a folder, and then notes that this one has a row. */
static bool has_folder(struct recovery *v, const char *id)
{
	char **at = v->folders.n ? bsearch(&id, v->folders.v, v->folders.n, sizeof(char *), by_text) : NULL;

	if (!at) /* it may have been made meanwhile; and only what is not there is gone */
		return faccessat(v->h->boxes_fd, id, F_OK, 0) == 0 || errno != ENOENT;
	v->has_row[at - v->folders.v] = true;
	return true;
}

/* A row without a folder: its removal was cut off. A box that was to go when it ended: its starter did not live to
 * see to it. One of those that was never started (it has no log) is wanted as long as its maker is there. */
static int remove_ended(const struct db_box *b, void *ud)
{
	struct recovery *v = ud;
	struct home *h = v->h;
	char log[BOX_ID_LEN + 32];

	if (has_folder(v, b->id) && !b->auto_remove)
		return 0;
	snprintf(log, sizeof(log), "%.*s/log/shim.log", BOX_ID_LEN, b->id);
	if (faccessat(h->boxes_fd, log, F_OK, 0) < 0 && has_maker(h, b->id))
		return 0;
	/* -EBUSY: it runs. Anything else: the next open tries again. */
	if (box_remove(h, b->id, false, NULL) < 0)
		return 0;
	return 0;
}

static bool has_row(struct home *h, const char *id)
{
	struct db_box b = { 0 };
	int r = db_box_get(h->db, id, &b, NULL);

	db_box_fini(&b);
	return r != -ENOENT;
}

/* A box that is being made has a folder before it has a row; its maker holds gc.lock shared from
 * before the one until after the other. Who gets the lock alone sees no such folder. */
static void remove_if_orphan(struct home *h, const char *id)
{
	auto_fd int gc = -1, box = -1, lock = -1;

	if (has_row(h, id))
		return;
	gc = home_try_lock_images(h);
	/* Asked again: it may have got its row before we got gc.lock, and whoever made it is about to lock it. */
	if (gc < 0 || has_row(h, id))
		return;
	box = open_box(h, id);
	lock = box < 0 ? box : box_lock_take(box, "lock", 0);
	if (box >= 0 && (lock >= 0 || lock == -ENOENT))
		io_remove_tree_at(h->boxes_fd, id);
}

static int list_folders(struct recovery *v)
{
	int fd = openat(v->h->boxes_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		close_fd(&fd);
		return -ENOENT;
	}
	while (r == 0 && (e = readdir(d))) {
		size_t n = strlen(e->d_name);

		if (n == BOX_ID_LEN && str_is_hex(e->d_name, n))
			r = strv_add(&v->folders, e->d_name);
		else if (n == BOX_ID_LEN + 1 && e->d_name[0] == DOOMED[0] && str_is_hex(e->d_name + 1, n - 1))
			io_remove_tree_at(v->h->boxes_fd, e->d_name);
	}
	if (v->folders.n)
		qsort(v->folders.v, v->folders.n, sizeof(char *), by_text);
	v->has_row = calloc(v->folders.n + 1, sizeof(*v->has_row));
	return r < 0 || !v->has_row ? -ENOMEM : 0;
}

/* Every command begins with this: of a box that is in order it costs its share of two lists, and no call of its own. */
void box_recover(struct home *h)
{
	struct recovery v = { .h = h, .folders = STRV_INIT(BOXES_MAX) };
	size_t i;

	newfile_sweep(h->fd);
	newfile_sweep(h->templates_fd);
	if (list_folders(&v) == 0) {
		(void)db_box_each_id(h->db, remove_ended, &v, NULL);
		/* Those without a row are asked for again: one may have got it meanwhile. */
		for (i = 0; i < v.folders.n; i++)
			if (!v.has_row[i])
				remove_if_orphan(h, v.folders.v[i]);
	}
	free(v.has_row);
	strv_fini(&v.folders);
}
