#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "image/store.h"
#include "lib/tap.h"

#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* of "abc" */

static struct store store;

static bool in_tmp(const char *name)
{
	return faccessat(store.tmp, name, F_OK, 0) == 0;
}

static void make(const char *name, const char *content, time_t age_s)
{
	int fd = openat(store.tmp, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - age_s } };

	ok(fd >= 0 && io_write_full(fd, content, strlen(content)) == 0 && futimens(fd, t) == 0, "%s is made", name);
	close(fd);
}

static void blobs(void)
{
	char hex[DIGEST_HEX + 1];
	struct buf b = BUF_INIT(2);
	struct error err;
	uint64_t size;

	ok(digest_of("abc", 3, hex) == 0, "a digest");
	is_str(hex, HEX, "is FIPS 180's example");
	is_int(store_blob_size(&store, hex, &size), -ENOENT, "not there yet");
	is_int(store_blob_write(&store, hex, "abc", 3, &err), 0, "written");
	ok(store_blob_size(&store, hex, &size) == 0 && size == 3, "and there");
	is_int(store_blob_write(&store, hex, "abc", 3, &err), 0, "written again");
	is_int(store_blob_read(&store, hex, &b, &err), -ENOBUFS, "too large for what was allowed");
	buf_fini(&b);
	is_int(store_sync_names(&store, &err), 0, "synced");
}

/* In a child process: takes the claim on HEX2, says so, waits to be told, then publishes or dies. */
#define HEX2 "0000000000000000000000000000000000000000000000000000000000000002"
static pid_t other_process(int said, int told, bool publish)
{
	pid_t pid = fork();
	struct claim c;
	char one;

	if (pid)
		return pid;
	claim_blob(&c, &store, HEX2);
	if (claim_try(&c) != CLAIM_HELD || io_write_full(c.fd, "xyz", 3) < 0)
		_exit(1);
	if (write(said, "h", 1) != 1 || read(told, &one, 1) != 1)
		_exit(2);
	_exit(!publish || claim_publish(&c) == 0 ? 0 : 3);
}

static void contention(bool publish)
{
	int said[2], told[2], status;
	struct claim c;
	struct stat st;
	char one;
	pid_t pid;

	ok(pipe2(said, O_CLOEXEC) == 0 && pipe2(told, O_CLOEXEC) == 0, "pipes");
	pid = other_process(said[1], told[0], publish);
	ok(read(said[0], &one, 1) == 1, "another process has the claim");
	claim_blob(&c, &store, HEX2);
	is_int(claim_try(&c), CLAIM_BUSY, "it is busy for us");
	store_sweep(&store);
	ok(in_tmp(HEX2 ".partial"), "a sweep leaves what is held");
	ok(write(told[1], "g", 1) == 1, "it goes on");
	if (publish) {
		is_int(claim_wait(&c), CLAIM_PRESENT, "when it is published there is nothing to do");
	} else {
		is_int(claim_wait(&c), CLAIM_HELD, "when it died the claim is ours");
		ok(fstat(c.fd, &st) == 0 && st.st_size == 3, "with what it had got");
		claim_drop(&c, true);
		ok(in_tmp(HEX2 ".partial"), "which may be kept");
	}
	ok(waitpid(pid, &status, 0) == pid && status == 0, "the other process ended well");
	close(said[0]);
	close(said[1]);
	close(told[0]);
	close(told[1]);
}

static void claims(void)
{
	struct claim c, d;

	claim_rootfs(&c, &store, HEX2 ".erofs");
	is_int(claim_try(&c), CLAIM_HELD, "a claim");
	claim_rootfs(&d, &store, HEX2 ".erofs");
	is_int(claim_try(&d), CLAIM_BUSY, "is exclusive, also in one process");
	claim_drop(&c, false);
	ok(!in_tmp(HEX2 ".erofs.build"), "dropping removes the file");
	is_int(claim_try(&d), CLAIM_HELD, "then another has it");
	is_int(claim_publish(&d), 0, "and publishes");
	is_int(claim_try(&c), CLAIM_PRESENT, "which others see");
	ok(!in_tmp(HEX2 ".erofs.build"), "nothing is left");
	contention(false);
	contention(true);
	ok(!in_tmp(HEX2 ".partial"), "nothing is left");
}

static void sweeping(void)
{
	make("a.partial", "fresh", 0);
	make("b.partial", "old", 8 * 24 * 3600);
	make("c.partial", "", 0);
	make("d.build", "x", 0);
	make("e.new", "x", 0);
	ok(mkdirat(store.tmp, "f.load", 0700) == 0, "a folder");
	make("f.load/0", "x", 0);
	store_sweep(&store);
	ok(in_tmp("a.partial"), "a fresh partial download stays");
	ok(!in_tmp("b.partial") && !in_tmp("c.partial"), "an old or empty one goes");
	ok(!in_tmp("d.build") && !in_tmp("e.new") && !in_tmp("f.load"), "everything else goes");
}

int main(void)
{
	char dir[] = "/tmp/t-image-store.XXXXXX";
	struct error err;
	int fd;

	ok(mkdtemp(dir) != NULL, "a folder");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(store_open(&store, fd, &err), 0, "a new store");
	blobs();
	claims();
	sweeping();
	store_close(&store);
	is_int(store_open(&store, fd, &err), 0, "opened again");
	store_close(&store);
	close(fd);
	io_remove_tree_at(AT_FDCWD, dir);
	return tap_done();
}
