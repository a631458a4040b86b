/*
 * The converter as a process: compressions, damage, bombs, its death, its
 * memory. This program is its own child (`convert`).
 *
 * By hand:  t-image-convert run IMAGE BLOB DIFF_ID [BLOB DIFF_ID ...]
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/str.h"
#include "image/convert.h"
#include "lib/image_build.h"
#include "lib/tap.h"

#define RSS_MAX (64 * MIB)

struct blob {
	struct tarball bytes;
	uint8_t diff_id[32];
};

static void digest_raw(const void *p, size_t n, uint8_t out[32])
{
	char hex[DIGEST_HEX + 1];

	if (digest_of(p, n, hex) == 0)
		digest_bytes(hex, out);
}

/* --- compressing --------------------------------------------------------------------------------- */

static void put_gzip(struct tarball *out, const void *p, size_t n)
{
	size_t room = n + n / 100 + 1024;
	uint8_t *buf = malloc(room);
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)p, .avail_in = (uInt)n, .next_out = buf,
		       .avail_out = (uInt)room };

	deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	tar_raw(out, buf, z.total_out);
	deflateEnd(&z);
	free(buf);
}

/* window_log 0: the default. The frame does not say how long its content is. */
static void put_zstd(struct tarball *out, const void *p, size_t n, int window_log)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_inBuffer in = { .src = p, .size = n };
	uint8_t buf[65536];
	size_t left;
	bool ending;

	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
	/* Not the end in the first call, so that the encoder cannot know the size. */
	do {
		ZSTD_outBuffer o = { .dst = buf, .size = sizeof(buf) };

		ending = in.pos == n;
		left = ZSTD_compressStream2(c, &o, &in, ending ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			abort();
		tar_raw(out, buf, o.pos);
	} while (!ending || left);
	ZSTD_freeCCtx(c);
}

static struct blob plain(struct tarball t)
{
	struct blob b = { .bytes = t };

	digest_raw(t.p, t.n, b.diff_id);
	return b;
}

/* --- running ------------------------------------------------------------------------------------- */

struct result {
	struct error err;
	struct convert_event end;
	unsigned ready;        /* layers done */
	uint64_t progress;     /* events */
	bool bad_order;
};

static unsigned finished; /* conversions that gave an image */

/* Serves the converter until its end; the image's fd or -1. kill_at: SIGKILL after as many events. */
static int serve(struct convert *c, int out, struct result *res, unsigned kill_at)
{
	uint64_t last = 0;

	for (;;) {
		struct convert_event ev;
		struct pollfd p = { .fd = convert_fd(c), .events = POLLIN };
		int r = convert_event(c, &ev, &res->err);

		if (r < 0)
			break;
		if (r == 0) {
			poll(&p, 1, -1);
			continue;
		}
		if (kill_at && res->progress + res->ready == kill_at)
			kill(c->child.pid, SIGKILL);
		if (ev.kind == CONVERT_FINISHED) {
			res->end = ev;
			if (convert_finish(c, &res->err) < 0)
				break;
			finished++;
			return out;
		}
		res->bad_order |= ev.layer != res->ready || ev.consumed < last;
		last = ev.kind == CONVERT_LAYER_READY ? 0 : ev.consumed;
		res->ready += ev.kind == CONVERT_LAYER_READY;
		res->progress += ev.kind == CONVERT_AT_WORK;
	}
	convert_abort(c);
	close(out);
	return -1;
}

static int convert_blobs(const struct blob *blobs, size_t n, struct result *res, unsigned kill_at)
{
	static struct convert c;
	int dir = scratch_dir(), out = scratch_open(dir), r;
	size_t i;

	*res = (struct result){ 0 };
	r = convert_start(&c, "/proc/self/exe", out, dir, &res->err);
	close(dir);
	for (i = 0; i < n && r == 0; i++) {
		int fd = bytes_fd(blobs[i].bytes.p, blobs[i].bytes.n);

		r = convert_layer(&c, fd, blobs[i].diff_id, &res->err);
		close(fd);
	}
	if (r == 0)
		r = convert_end(&c, &res->err);
	if (r < 0) {
		convert_abort(&c);
		close(out);
		return -1;
	}
	return serve(&c, out, res, kill_at);
}

static bool same(int a, int b)
{
	struct efs x = efs_open(a), y = efs_open(b);
	bool equal = x.n == y.n && !memcmp(x.p, y.p, x.n);

	efs_close(&x);
	efs_close(&y);
	return equal;
}

static struct tarball sample(void)
{
	static uint8_t data[3 << 20];
	struct tarball t = { 0 };
	char name[32];
	unsigned i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 2654435761U >> 13);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "d%u/f%u", i % 7, i);
		tar_add(&t, &(struct tar_entry){ .type = '0', .name = name, .mode = 0644, .data = data + i * 100,
						 .len = i * 37 });
	}
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = "large", .data = data, .len = sizeof(data) });
	tar_end(&t);
	return t;
}

static void test_compressions(void)
{
	static const uint8_t skippable[] = { 0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z' };
	struct tarball tar = sample();
	struct blob b = plain(tar), packed = b;
	struct result res;
	size_t half = tar.n / 2 + 77;
	int first = convert_blobs(&b, 1, &res, 0), fd, k;

	ok(first >= 0 && res.ready == 1 && res.end.inodes == 300 + 1 + 7 + 1, "an uncompressed layer");
	for (k = 0; k < 6; k++) {
		static const char *const what[] = { "gzip", "gzip in two members", "gzip, then zeros",
						    "gzip, then garbage", "zstd in three frames",
						    "zstd with a window of 32 MiB" };

		packed.bytes = (struct tarball){ 0 };
		if (k < 4) {
			put_gzip(&packed.bytes, tar.p, k == 1 ? half : tar.n);
			if (k == 1)
				put_gzip(&packed.bytes, tar.p + half, tar.n - half);
			if (k >= 2)
				tar_raw(&packed.bytes, k == 2 ? "\0\0\0\0\0\0\0" : "\x1fgarbage", 7);
		} else {
			put_zstd(&packed.bytes, tar.p, half, k == 5 ? 25 : 0);
			tar_raw(&packed.bytes, skippable, sizeof(skippable));
			put_zstd(&packed.bytes, tar.p + half, tar.n - half, 0);
		}
		fd = convert_blobs(&packed, 1, &res, 0);
		ok(fd >= 0 && same(first, fd), "%s: the same image%s%s", what[k], fd < 0 ? ": " : "", res.err.text);
		close(fd);
		tar_fini(&packed.bytes);
	}
	close(first);
	tar_fini(&tar);
}

static void refuse(const char *what, struct blob *b, const char *why)
{
	struct result res;
	int fd = convert_blobs(b, 1, &res, 0);

	if (!ok(fd < 0 && strstr(res.err.text, why), "%s: refused", what))
		printf("# %s\n", res.err.text);
	close(fd);
	tar_fini(&b->bytes);
}

static void test_damage(void)
{
	struct tarball tar = sample();
	struct blob good = plain(tar), b;
	char got[65], want[80];
	struct result res;
	unsigned k;
	int fd;

	for (k = 0; k < 5; k++) {
		b = good;
		b.bytes = (struct tarball){ 0 };
		put_gzip(&b.bytes, tar.p, tar.n);
		b.bytes.n = k ? b.bytes.n * k / 5 : 5;
		refuse("gzip cut short", &b, "cut short");
	}
	b = good;
	b.bytes = (struct tarball){ 0 };
	put_zstd(&b.bytes, tar.p, tar.n, 0);
	b.bytes.n /= 2;
	refuse("zstd cut short", &b, "cut short");
	b.bytes = (struct tarball){ 0 };
	put_gzip(&b.bytes, tar.p, tar.n);
	memset(b.bytes.p + 5000, 0x55, 500);
	refuse("damaged gzip", &b, "layer 1: ");
	b.bytes = (struct tarball){ 0 };
	put_zstd(&b.bytes, tar.p, tar.n, 27);
	refuse("zstd with a window of 128 MiB", &b, "memory");

	b = good;
	str_hex(b.diff_id, 32, got);
	b.diff_id[0] ^= 1;
	str_hex(b.diff_id, 32, want);
	fd = convert_blobs(&b, 1, &res, 0);
	ok(fd < 0 && strstr(res.err.text, got) && strstr(res.err.text, want), "a wrong diff_id names both");
	tar_raw(&tar, "x", 1);
	b = good;
	b.bytes = tar;
	refuse("one byte behind the archive", &b, "the image says");
}

static void test_bombs(void)
{
	struct tarball t = { 0 };
	struct error err = { 0 };
	struct unpack u;
	const uint8_t *p;
	ssize_t n;
	uint8_t *zeros = calloc(1, 50 << 20);
	char pax[256];
	size_t len = 0, i;
	struct blob b;
	int fd;

	put_gzip(&t, zeros, 50 << 20);
	fd = bytes_fd(t.p, t.n);
	if (unpack_open(&u, fd, 10 << 20, &err) == 0) {
		while ((n = unpack_read(&u, &p, &err)) > 0)
			;
		ok(n == -EFBIG && strstr(err.text, "uncompressed"), "a bomb stops at the budget");
		unpack_close(&u);
	}
	close(fd);
	tar_fini(&t);

	/* A sparse map of ten million entries, which libarchive keeps in memory. */
	memcpy(zeros, "9999999\n", 8);
	for (i = 8; i + 4 <= 40 << 20; i += 4)
		memcpy(zeros + i, "0\n0\n", 4);
	len += pax_record(pax + len, "GNU.sparse.major", "1", 1);
	len += pax_record(pax + len, "GNU.sparse.minor", "0", 1);
	len += pax_record(pax + len, "GNU.sparse.realsize", "1000", 4);
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = "bomb", .data = zeros, .len = 40 << 20,
					 .pax = pax, .pax_len = len });
	tar_end(&t);
	b = plain(t);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	tar_fini(&b.bytes);
#else
	refuse("more memory than there is", &b, "memory");
#endif
	free(zeros);
}

static unsigned count_fds(void)
{
	auto_dir DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	return n;
}

static void test_death(void)
{
	struct tarball tar = sample();
	struct blob b[3] = { plain(tar), plain(tar), plain(tar) };
	struct result res;
	unsigned before = count_fds();
	int fd = convert_blobs(b, 3, &res, 0);

	ok(fd >= 0 && res.ready == 3 && !res.bad_order, "three layers, in order");
	close(fd);
	fd = convert_blobs(b, 3, &res, 2);
	ok(fd < 0 && strstr(res.err.text, "killed"), "a converter that is killed: %s", res.err.text);
	is_int(count_fds(), before, "nothing stays open");
	tar_fini(&tar);

	static struct convert c;
	int dir = scratch_dir();

	ok(convert_start(&c, "/no/such/program", dir, dir, &res.err) == -ENOENT, "no such program");
	convert_abort(&c);
	ok(count_fds() == before + 1, "nothing stays open then either");
	close(dir);
}

static bool write_line(const char *file, const char *line)
{
	FILE *f = fopen(file, "we");
	int r = f ? fputs(line, f) : -1;

	return f && fclose(f) == 0 && r >= 0;
}

/* Namespaces in which this user may mount, and its files are its own. */
static bool may_mount(void)
{
	uid_t uid = geteuid();
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1\n", uid);
	snprintf(groups, sizeof(groups), "0 %u 1\n", getegid());
	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) < 0)
		return false;
	return !uid || (write_line("/proc/self/setgroups", "deny\n") && write_line("/proc/self/uid_map", users) &&
			write_line("/proc/self/gid_map", groups));
}

/* A file system of 4 MiB, in a mount namespace of its own. */
static void test_full_disk(void)
{
	struct tarball tar = sample();
	struct blob b[2] = { plain(tar), plain(tar) };
	struct result res = { 0 };
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		if (!may_mount() || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("tmpfs", "/mnt", "tmpfs", 0, "size=4m") < 0)
			_exit(77);
		setenv("TMPDIR", "/mnt", 1);
		if (convert_blobs(b, 2, &res, 0) >= 0 || !strstr(res.err.text, "No space left"))
			printf("# %s\n", res.err.text);
		fflush(stdout);
		_exit(res.err.code == -ENOSPC ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		printf("ok %d - # SKIP no mount namespace\n", ++tap_count);
	else
		ok(status == 0, "a full disk is an error that says so");
	tar_fini(&tar);
}

/* A folder of very many files: the memory does not follow. BOXLITE_TEST_ENTRIES=1000000 for more. */
static void test_memory(void)
{
	const char *text = getenv("BOXLITE_TEST_ENTRIES");
	uint64_t count = 100000, i;
	struct tarball t = { 0 };
	struct result res;
	struct blob b;
	char name[40];
	int fd;

	if (text && str_parse_u64(text, 1 << 23, &count) < 0)
		count = 1000;
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "d/%07llu-file", (unsigned long long)(i * 7919 % count));
		tar_add(&t, &(struct tar_entry){ .type = '0', .name = name, .data = name, .len = 16 });
	}
	tar_end(&t);
	b.bytes = (struct tarball){ 0 };
	digest_raw(t.p, t.n, b.diff_id);
	put_zstd(&b.bytes, t.p, t.n, 25);
	tar_fini(&t);
	fd = convert_blobs(&b, 1, &res, 0);
	ok(fd >= 0 && res.end.inodes == count + 2, "%llu files in a folder", (unsigned long long)count);
	ok(fsck(fd) <= 0, "fsck.erofs");
	close(fd);
	tar_fini(&b.bytes);
}

/* --- what the children say of their memory ------------------------------------------------------- */

static int said = -1; /* a file that is the children's stderr */

static uint64_t peak_kib(void)
{
	struct buf b = BUF_INIT(65536);
	char *at = io_read_file_at(AT_FDCWD, "/proc/self/status", &b) == 0 ? buf_str(&b) : NULL;
	uint64_t kib = 0;

	at = at ? strstr(at, "VmHWM:") : NULL;
	if (at)
		kib = strtoull(at + strlen("VmHWM:"), NULL, 10);
	buf_fini(&b);
	return kib;
}

/* Instead of rusage, where the memory of the process that spawned it would count. */
static int child(void)
{
	int r = convert_main();

	dprintf(2, "peak %llu KiB\n", (unsigned long long)peak_kib());
	return r;
}

static void test_peaks(void)
{
	struct buf b = BUF_INIT(MIB);
	uint64_t most = 0;
	unsigned n = 0;
	char *at;

	lseek(said, 0, SEEK_SET);
	if (io_read_rest(said, &b) < 0)
		abort();
	for (at = buf_str(&b); (at = strstr(at, "peak ")); n++) {
		at += strlen("peak ");
		most = MAX(most, strtoull(at, NULL, 10));
	}
	buf_fini(&b);
	/* Those that failed may have been killed before they could say it. */
	ok(finished > 0 && n >= finished, "%u converters ended by themselves, %u with an image", n, finished);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	ok(most > 0 && most * KIB < RSS_MAX, "none had more than %llu MiB resident: %llu KiB", RSS_MAX / MIB,
	   (unsigned long long)most);
#endif
}

static int run_by_hand(int argc, char **argv)
{
	static struct convert c;
	struct result res = { 0 };
	int dir = scratch_dir(), i, r;
	int out = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	r = convert_start(&c, "/proc/self/exe", out, dir, &res.err);
	for (i = 3; i + 1 < argc && r == 0; i += 2) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		uint8_t id[32];

		if (fd < 0 || strlen(argv[i + 1]) != DIGEST_HEX || !str_is_hex(argv[i + 1], DIGEST_HEX))
			return 2;
		digest_bytes(argv[i + 1], id);
		r = convert_layer(&c, fd, id, &res.err);
		close(fd);
	}
	if (r == 0)
		r = convert_end(&c, &res.err);
	if (r < 0 || serve(&c, out, &res, 0) < 0) {
		fprintf(stderr, "%s\n", res.err.text);
		return 1;
	}
	printf("%llu bytes, %llu inodes\n", (unsigned long long)res.end.image_bytes,
	       (unsigned long long)res.end.inodes);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "convert"))
		return child();
	if (argc > 4 && !strcmp(argv[1], "run"))
		return run_by_hand(argc, argv);
	said = memfd_create("stderr", MFD_CLOEXEC);
	dup2(said, 2);
	test_memory();
	test_compressions();
	test_damage();
	test_bombs();
	test_death();
	test_full_disk();
	test_peaks();
	return tap_done();
}
