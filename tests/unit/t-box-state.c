/* The database and the disks of boxes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/spawn.h"
#include "box/db.h"
#include "box/disk.h"
#include "box/lock.h"
#include "lib/tap.h"

static char home_path[] = "/tmp/boxlite-test.XXXXXX";

/* Rows own their strings; these are only lent to a call that copies them. */
static char *lend(const char *s)
{
	return (char *)(uintptr_t)s;
}

static int add_box(struct db *db, const char *id, const char *name, struct error *err)
{
	struct db_box b = { .id = lend(id), .name = lend(name), .image = lend("i"),
			    .rootfs = lend("r"), .spec = lend("{}"), .created_at = 7, .auto_remove = true };

	return db_box_add(db, &b, err);
}

static int get_box(struct db *db, const char *what, char id[16])
{
	struct db_box b = { 0 };
	int r = db_box_get(db, what, &b, NULL);

	snprintf(id, 16, "%s", r == 0 ? b.id : "");
	db_box_fini(&b);
	return r;
}

static void test_boxes(struct db *db)
{
	struct error err = { 0 };
	char id[16];

	is_int(add_box(db, "aa11", "one", &err), 0, "a box");
	is_int(add_box(db, "aa22", NULL, &err), 0, "one without a name");
	is_int(add_box(db, "bb33", NULL, &err), 0, "another without a name");
	is_int(add_box(db, "cc44", "one", &err), -EEXIST, "a name is taken once");
	ok(strstr(err.text, "boxlite rm one") != NULL, "and the error says what to do: %s", err.text);
	is_int(add_box(db, "dd55", "bb33", &err), 0, "a name may look like an id");
	is_int(get_box(db, "one", id), 0, "found by name");
	is_str(id, "aa11", "the right one");
	is_int(get_box(db, "aa", id), -ENOTUNIQ, "a prefix of two is nobody");
	is_int(get_box(db, "aa2", id), 0, "a prefix of one is that one");
	is_str(id, "aa22", "by prefix");
	is_int(get_box(db, "zz", id), -ENOENT, "nobody is nobody");
	is_int(get_box(db, "", id), -ENOENT, "not even with an empty name");
	is_int(get_box(db, "%", id), -ENOENT, "and there are no wild cards");
	is_int(db_box_delete(db, "aa11", &err), 0, "removed");
	is_int(get_box(db, "one", id), -ENOENT, "is gone");
}

static void test_images(struct db *db)
{
	struct db_image i = { .reference = lend("r"), .manifest = lend("m"), .config = lend("c"),
			      .rootfs = lend("f"), .rootfs_bytes = 1,
			      .blob_bytes = 2, .blobs = STRV_INIT(4), .config_json = lend("{}"), .created_at = 3, .pulled_at = 4 };
	struct db_image got = DB_IMAGE_INIT;

	ok(strv_add(&i.blobs, "b1") == 0 && strv_add(&i.blobs, "b2") == 0, "an image");
	is_int(db_image_put(db, &i, NULL), 0, "is stored");
	i.manifest = lend("m2");
	is_int(db_image_put(db, &i, NULL), 0, "and replaced");
	is_int(db_image_get(db, "r", &got, NULL), 0, "and found");
	ok(!strcmp(got.manifest, "m2") && got.blobs.n == 2 && !strcmp(got.blobs.v[1], "b2") && got.rootfs_bytes == 1 &&
		   got.pulled_at == 4, "as it is now");
	db_image_fini(&got);
	strv_fini(&i.blobs);
	is_int(db_image_get(db, "x", &got, NULL), -ENOENT, "others are not");
}

/* Overwrites a part of the database file. */
static void damage(const char *bytes, off_t at)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/boxlite.db", home_path);
	fd = open(path, O_WRONLY);
	if (fd < 0 || pwrite(fd, bytes, 4, at) != 4)
		abort();
	close(fd);
}

static void test_open(void)
{
	char wal[64], shm[64];
	struct error err = { 0 };
	struct db *db, *second;

	is_int(db_open(home_path, &db, &err), 0, "a new database");
	is_int(db_open(home_path, &second, &err), 0, "and a second user of it");
	test_boxes(db);
	test_images(second);
	db_close(db);
	db_close(second);
	/* Offset 60 of the header is user_version; what is in the log would win over it. */
	snprintf(wal, sizeof(wal), "%s/boxlite.db-wal", home_path);
	snprintf(shm, sizeof(shm), "%s/boxlite.db-shm", home_path);
	unlink(wal);
	unlink(shm);
	damage("\0\0\0\x63", 60);
	is_int(db_open(home_path, &db, &err), -EPROTO, "a newer generation is refused");
	ok(strstr(err.text, "newer") != NULL, "clearly: %s", err.text);
	damage("nope", 0);
	is_int(db_open(home_path, &db, &err), -EBADMSG, "what is no database is refused");
	ok(strstr(err.text, "boxlite.db") != NULL, "by name: %s", err.text);
}

static int fsck(int dir, const char *name)
{
	const char *const argv[] = { "e2fsck", "-fn", "/proc/self/fd/3", NULL };
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), status = -1;
	struct spawn_fd fds[] = { { fd, 3 } };
	struct spawn s = { .path = "/sbin/e2fsck", .argv = argv, .fds = fds, .nfds = 1 };
	struct child c = CHILD_NONE;

	if (spawn_start(&s, &c, NULL) == 0)
		spawn_wait(&c, &status);
	close(fd);
	return status;
}

/* Commands are short: each opens, commits once and leaves. */
static void test_log(void)
{
	struct db *db, *other;
	char home[64], path[128], id[16];
	struct error err = { 0 };
	struct stat st;
	int i, r;

	snprintf(home, sizeof(home), "%s/log", home_path);
	r = mkdir(home, 0700);
	for (i = 0; r == 0 && i < 300; i++) {
		snprintf(id, sizeof(id), "%012x", i);
		r = db_open(home, &db, &err);
		if (r == 0) {
			r = add_box(db, id, NULL, &err);
			db_close(db);
		}
	}
	is_int(r, 0, "300 boxes, made by as many processes");
	snprintf(path, sizeof(path), "%s/boxlite.db-wal", home);
	ok(stat(path, &st) == 0 && st.st_size < 1024 * 1024, "leave no long log");
	ok(db_open(home, &db, &err) == 0 && db_open(home, &other, &err) == 0 &&
		   add_box(db, "aaaaaaaaaaaa", NULL, &err) == 0 && get_box(other, "aaaaaaaaaaaa", id) == 0,
	   "a log that two have open");
	db_close(db);
	is_int(get_box(other, "aaaaaaaaaaaa", id), 0, "serves the other when the first one leaves");
	is_int(add_box(other, "bbbbbbbbbbbb", NULL, &err), 0, "who can write");
	db_close(other);
	is_int(db_open(home, &db, &err), 0, "and all is there");
	is_int(get_box(db, "00000000012b", id), 0, "for the next one");
	db_close(db);
}

static void test_disks(void)
{
	struct home h = { .path = home_path };
	struct error err = { 0 };
	struct stat st;
	int dir = open(home_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	h.templates_fd = io_open_dir_at(dir, "templates", 0700);
	is_int(disk_create(&h, dir, "a.img", 2 * GIB, true, &err), 0, "a disk");
	ok(fstatat(dir, "a.img", &st, 0) == 0 && (uint64_t)st.st_size == 2 * GIB, "of the size that was asked for");
	ok(st.st_blocks * 512 < (off_t)MIB, "which costs less than a megabyte: %lld bytes", (long long)st.st_blocks * 512);
	is_int(fsck(dir, "a.img"), 0, "and is clean");
	is_int(disk_create(&h, dir, "a.img", 2 * GIB, true, &err), -EEXIST, "an existing one is not touched");
	is_int(disk_create(&h, dir, "b.img", 64 * MIB, false, &err), 0, "the smallest, without a journal");
	is_int(fsck(dir, "b.img"), 0, "is clean");
	is_int(disk_create(&h, dir, "c.img", 64 * MIB, false, &err), 0, "a second of its kind");
	is_int(fsck(dir, "c.img"), 0, "comes from the template");
	close(h.templates_fd);
	close(dir);
}

/* Waits for the end of the run that there is; stopped as soon as it has found that. */
static pid_t begin_waiter(int dir, int lock)
{
	int found[2], status;
	pid_t child;
	char c;

	if (pipe(found) < 0 || (child = fork()) < 0)
		abort();
	if (child == 0) {
		struct box_run run = BOX_RUN_NONE;

		close(lock);
		alarm(20);
		if (box_lock_watch(dir, "lock", &run) != 1 || write(found[1], "x", 1) != 1)
			_exit(1);
		_exit(box_run_await(&run) == 0 ? 0 : 2);
	}
	close(found[1]);
	if (read(found[0], &c, 1) != 1)
		abort();
	close(found[0]);
	kill(child, SIGSTOP);
	waitpid(child, &status, WUNTRACED);
	return child;
}

static void test_runs(int dir)
{
	struct box_run run = BOX_RUN_NONE;
	struct flock wide = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = INT64_MAX - 7 };
	int lock = box_lock_take(dir, "lock", BOX_LOCK_CREATE), status = -1;
	pid_t waiter;

	ok(lock >= 0 && box_lock_held(dir, "lock") == 1, "a lock is taken");
	is_int(box_lock_take(dir, "lock", 0), -EWOULDBLOCK, "once");
	waiter = begin_waiter(dir, lock);
	close(lock);
	is_int(box_lock_held(dir, "lock"), 0, "given back");
	is_int(box_lock_watch(dir, "lock", &run), 0, "there is nothing to wait for");
	lock = box_lock_take(dir, "lock", 0);
	ok(lock >= 0, "and taken again, before who waits has seen that");
	kill(waiter, SIGCONT);
	waitpid(waiter, &status, 0);
	is_int(status, 0, "who nevertheless hears of the end");
	is_int(box_lock_watch(dir, "lock", &run), 1, "the second run");
	close(lock);
	is_int(box_run_await(&run), 0, "ends as well");
	is_int(box_lock_held(dir, "lock"), 0, "who waits does not seem to run");
	if (fcntl(run.fd, F_OFD_SETLK, &wide) < 0)
		abort();
	lock = box_lock_take(dir, "lock", 0);
	ok(lock >= 0, "and is in nobody's way, whatever it has waited for");
	close(lock);
	close(run.fd);
	is_int(box_lock_take(dir, "none", 0), -ENOENT, "no new file");
	is_int(box_lock_watch(dir, "none", &run), -ENOENT, "not to wait for it either");
}

int main(void)
{
	int dir;

	if (!mkdtemp(home_path))
		abort();
	test_log();
	test_open();
	test_disks();
	dir = io_open_dir_at(AT_FDCWD, home_path, 0700);
	test_runs(dir);
	close(dir);
	io_remove_tree_at(AT_FDCWD, home_path);
	return tap_done();
}
