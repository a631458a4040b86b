/*
 * home/kvm holds two lines: what the verdict depends on, and the verdict as boxlite-vmm printed it.
 *
 * It depends on the boot of the host (kernel, firmware settings, where a cloud runs the host), on the
 * device node (it is made anew when the module is loaded anew, perhaps with other parameters; a container
 * may be given another), on the user, and on the version of the probe. Whether this process may open the
 * device is not in it: who asks has it open.
 */
#include "box/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/newfile.h"
#include "base/spawn.h"
#include "box/boot.h"

#define KEY_MAX 256

/* The probe ends by itself after 2 s (vmm/probe.h); whatever takes longer than this hangs in the kernel. */
#define PROBE_LIMIT_MS 5000

static int run_probe(const struct home *h, const char *option, const struct spawn_fd *fd, struct verdict *ret,
		     struct error *err)
{
	const char *const argv[] = { "boxlite-vmm", option, NULL };
	struct spawn s = { .argv = argv, .fds = fd, .nfds = fd ? 1 : 0, .new_session = true,
			   .die_with_parent = true };
	auto_buf struct buf out = BUF_INIT(VERDICT_LINE_MAX);
	auto_free char *path = NULL;
	int status = 0, r;

	if (asprintf(&path, "%s/boxlite-vmm", h->programs) < 0) {
		path = NULL;
		return error_nomem(err);
	}
	s.path = path;
	r = spawn_capture(&s, PROBE_LIMIT_MS, &out, &status, err);
	if (r < 0)
		return r;
	if (status != 0)
		return error_set(err, -EIO, "%s %s: status %d and no verdict", path, option, status);
	return verdict_get(buf_data(&out), buf_len(&out), ret, err);
}

/* What a verdict is tied to, in one line; -errno if that cannot be told. */
static int make_key(int kvm_fd, char key[KEY_MAX])
{
	char boot[BOOT_ID_LEN + 1];
	struct stat st;
	int r = boot_id(boot);

	if (r == 0 && fstat(kvm_fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return r;
	snprintf(key, KEY_MAX, "boot=%s device=%u:%u inode=%llx:%llu time=%lld.%09ld uid=%u probe=%d",
		 boot, major(st.st_rdev), minor(st.st_rdev),
		 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino, (long long)st.st_ctim.tv_sec,
		 st.st_ctim.tv_nsec, (unsigned)geteuid(), VERDICT_VERSION);
	return 0;
}

static int recall(const struct home *h, const char *key, struct verdict *ret)
{
	auto_buf struct buf text = BUF_INIT(KEY_MAX + VERDICT_LINE_MAX);
	size_t n = strlen(key);
	int r = io_read_file_at(h->fd, "kvm", &text);

	if (r < 0)
		return r;
	if (buf_len(&text) <= n || memcmp(buf_data(&text), key, n) != 0 || buf_data(&text)[n] != '\n')
		return -ESTALE;
	buf_consume(&text, n + 1);
	return verdict_get(buf_data(&text), buf_len(&text), ret, NULL);
}

/* Only a cache: if it cannot be written, the next one probes again. */
static void remember(const struct home *h, const char *key, const struct verdict *v)
{
	auto_buf struct buf text = BUF_INIT(KEY_MAX + VERDICT_LINE_MAX);

	if (buf_printf(&text, "%s\n", key) == 0 && verdict_put(&text, v) == 0)
		(void)!newfile_write(h->fd, "kvm", buf_data(&text), buf_len(&text));
}

int kvm_probe(const struct home *h, int kvm_fd, struct verdict *ret, struct error *err)
{
	const struct spawn_fd fd = { kvm_fd, STDIN_FILENO };
	char key[KEY_MAX];
	int r = run_probe(h, "--probe", &fd, ret, err);

	if (r == 0 && h->fd >= 0 && make_key(kvm_fd, key) == 0)
		remember(h, key, ret);
	return r;
}

int kvm_verdict(const struct home *h, int kvm_fd, struct verdict *ret, struct error *err)
{
	char key[KEY_MAX];

	if (make_key(kvm_fd, key) == 0 && recall(h, key, ret) == 0)
		return 0;
	return kvm_probe(h, kvm_fd, ret, err);
}

int kvm_probe_jail(const struct home *h, struct verdict *ret, struct error *err)
{
	return run_probe(h, "--probe-jail", NULL, ret, err);
}
