/* The verdict on KVM: asked once for a boot, a device and a user, with a boxlite-vmm that counts how often
 * it is asked. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/newfile.h"
#include "box/kvm.h"
#include "lib/tap.h"

static char folder[] = "/tmp/boxlite-test.XXXXXX";
static int dir;

static void program(const char *script)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "#!/bin/sh\necho x >> %s/asked\n%s\n", folder, script);

	if (newfile_write(dir, "boxlite-vmm", text, (size_t)n) < 0 ||
	    fchmodat(dir, "boxlite-vmm", 0700, 0) < 0)
		abort();
}

static int times_asked(void)
{
	struct stat st;

	return fstatat(dir, "asked", &st, 0) < 0 ? 0 : (int)st.st_size / 2;
}

/* Changes the remembered text: from -> to, of one length. */
static void tamper(const char *from, const char *to)
{
	auto_buf struct buf b = BUF_INIT(4 * KIB);
	char *at;

	if (io_read_file_at(dir, "kvm", &b) < 0 || !buf_str(&b) || !(at = strstr(buf_str(&b), from)))
		abort();
	memcpy(at, to, strlen(to));
	if (newfile_write(dir, "kvm", buf_data(&b), buf_len(&b)) < 0)
		abort();
}

static void test_remembered(const struct home *h, int device)
{
	struct verdict v = { 0 };
	int other = open("/dev/zero", O_RDWR | O_CLOEXEC);

	program("echo '{\"works\":false,\"step\":\"int3\",\"reason\":\"it cannot\",\"create_us\":7,"
		"\"run_us\":8}'");
	is_int(kvm_verdict(h, device, &v, NULL), 0, "a verdict");
	ok(!v.works && !strcmp(v.step, "int3") && !strcmp(v.reason, "it cannot") && v.create_us == 7,
	   "as it was given");
	is_int(times_asked(), 1, "was asked for");
	program("echo '{\"works\":true}'");
	is_int(kvm_verdict(h, device, &v, NULL), 0, "and the next time");
	ok(!v.works && times_asked() == 1 && !strcmp(v.step, "int3") && v.run_us == 8, "is remembered");
	is_int(kvm_verdict(h, other, &v, NULL), 0, "another device");
	ok(v.works && times_asked() == 2, "is another matter");
	is_int(kvm_probe(h, device, &v, NULL), 0, "who wants to know");
	ok(v.works && times_asked() == 3, "asks again");
	is_int(kvm_verdict(h, device, &v, NULL), 0, "which is remembered");
	ok(v.works && times_asked() == 3, "as well");
	tamper("boot=", "boot-");
	is_int(kvm_verdict(h, device, &v, NULL), 0, "another boot");
	is_int(times_asked(), 4, "is another matter");
	tamper("{", "[");
	is_int(kvm_verdict(h, device, &v, NULL), 0, "a file that is damaged");
	is_int(times_asked(), 5, "is as none");
	close(other);
}

static void test_failures(const struct home *h, int device)
{
	struct verdict v = { .run_us = 42 };
	struct error err = { 0 };

	unlinkat(dir, "kvm", 0);
	program("exit 1");
	is_int(kvm_verdict(h, device, &v, &err), -EIO, "a probe that could not be made");
	ok(strstr(err.text, "boxlite-vmm --probe: status 1 and no") != NULL, "is told: %s", err.text);
	program("echo nonsense");
	is_int(kvm_verdict(h, device, &v, &err), -EBADMSG, "so is nonsense");
	program("exec yes");
	is_int(kvm_verdict(h, device, &v, &err), -ENOBUFS, "and too much of it");
	program("exec sleep 60");
	is_int(kvm_verdict(h, device, &v, &err), -ETIMEDOUT, "one that hangs");
	ok(strstr(err.text, "killed after 5000 ms") != NULL, "is killed: %s", err.text);
	unlinkat(dir, "boxlite-vmm", 0);
	is_int(kvm_verdict(h, device, &v, &err), -ENOENT, "and one that is not there");
	is_int(v.run_us, 42, "gives nothing");
	is_int(faccessat(dir, "kvm", F_OK, 0), -1, "none of which is remembered");
}

int main(void)
{
	struct home h = { .path = folder, .programs = folder };
	int device = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (!mkdtemp(folder) || device < 0)
		abort();
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	h.fd = dir;
	test_remembered(&h, device);
	test_failures(&h, device);
	close(dir);
	close(device);
	io_remove_tree_at(AT_FDCWD, folder);
	return tap_done();
}
