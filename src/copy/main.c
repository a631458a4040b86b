/*
 * boxlite-copy: files of this host into a tar, or a tar into files of this host.
 *
 * The library starts it for a copy into or out of a box, with open files (enum
 * copy_fd) and the description in one COPY frame; it opens nothing by a path but
 * below the folder it was given. The tar of a box is a stranger's, so:
 *
 *   1. no_new_privs, no core dumps, no processes, and with Landlock nothing of
 *      the file system but that folder. Should: come before the first byte of
 *      the tar. Mustn't: forbid what unpacking needs, renaming across folders
 *      (hard links) included: where Landlock cannot allow that, it is not used.
 *   2. tar/unpack.h: names are walked below the folder, links never followed.
 *
 * It ends when the tar does, when an error occurs, or when the library is gone,
 * which shows as the end of the tar before its own, or as a broken pipe.
 */
#include <errno.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <signal.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/log.h"
#include "tar/pack.h"
#include "tar/unpack.h"
#include "wire/copy.h"
#include "wire/proc.h"

#define LANDLOCK_ABI_NEEDED 2 /* REFER: hard links from one folder to another */
#define RIGHTS_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* all of ABI 1 */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

/* Nothing but what is below the folder, there no programs and no devices. Without Landlock there is step 2. */
static int stay_below(int folder, struct error *err)
{
	const uint64_t never = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
			       LANDLOCK_ACCESS_FS_MAKE_BLOCK;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr all = { .handled_access_fs = RIGHTS_1 | LANDLOCK_ACCESS_FS_REFER };
	struct landlock_path_beneath_attr below = { .parent_fd = folder };
	auto_fd int rules = -1;

	if (abi < LANDLOCK_ABI_NEEDED)
		return 0;
	if (abi > 2)
		all.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	below.allowed_access = all.handled_access_fs & ~never;
	rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all.handled_access_fs), 0);
	if (rules < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return error_sys(err, "boxlite-copy cannot restrict itself");
	return 0;
}

static int restrict_self(const struct copy_spec *s, struct error *err)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit files;

	signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error like a full disk */
	signal(SIGPIPE, SIG_IGN);
	/* One file for each level of a tree that is packed. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_sys(err, "boxlite-copy cannot restrict itself");
	return s->op == COPY_PUT ? stay_below(COPY_FD_FILE, err) : 0;
}

static int read_request(struct copy_spec *ret, struct error *err)
{
	auto_buf struct buf in = BUF_INIT(64 * KIB);
	struct frame f;
	int r;

	while ((r = frame_peek(&in, &f)) == 0) {
		ssize_t got = buf_read_fd(&in, COPY_FD_CONTROL, 16 * KIB);

		if (got <= 0)
			return error_code(err, got < 0 ? (int)got : -EPIPE, "boxlite-copy got no description");
	}
	if (r == 1 && f.type == FRAME_COPY)
		return wire_get_copy(&f, ret, err);
	return error_set(err, -EBADMSG, "boxlite-copy got no description");
}

static ssize_t fill(void *ud, void *p, size_t n)
{
	ssize_t got;

	(void)ud;
	do
		got = read(COPY_FD_TAR, p, n);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static int put(void *ud, const void *p, size_t n)
{
	(void)ud;
	return io_write_full(COPY_FD_TAR, p, n);
}

static int pack(const struct copy_spec *s, struct error *err)
{
	const struct pack_options o = { .fd = COPY_FD_FILE, .name = s->name ? s->name : "." };

	return pack_tree(&o, put, NULL, err);
}

static int unpack(const struct copy_spec *s, struct unpack_result *res, struct error *err)
{
	const struct unpack_options o = {
		.dir = COPY_FD_FILE,
		.place = s->place,
		.leaf = s->leaf,
		.name = s->name,
		.leaf_is_folder = s->leaf_is_folder,
		.owners = s->owners,
	};

	umask(0);
	return unpack_tree(&o, fill, NULL, res, err);
}

/* What was left out is no error, and yet there is something to say. */
static void answer(int r, const struct error *err, const struct unpack_result *res)
{
	auto_buf struct buf out = BUF_INIT(16 * KIB);
	struct proc_exit e = { .kind = PROC_EXITED, .code = (uint8_t)MIN(-r, 255) };

	if (r < 0)
		snprintf(e.error, sizeof(e.error), "%s", err->text);
	else if (res->left_out)
		snprintf(e.error, sizeof(e.error), "%llu device file%s left out: %s%s",
			 (unsigned long long)res->left_out, res->left_out > 1 ? "s were" : " was",
			 res->first_left_out, res->left_out > 1 ? " and others" : "");
	error_flatten(e.error);
	if (wire_put_exit(&out, 0, &e) < 0 || io_write_full(COPY_FD_CONTROL, buf_data(&out), buf_len(&out)) < 0)
		log_warn("nobody wants to know how the copy ended");
}

int main(void)
{
	struct unpack_result res = { 0 };
	struct copy_spec s = { 0 };
	struct error err = { 0 };
	struct stat st;
	int r;

	log_init("boxlite-copy", LOG_INFO);
	if (fstat(COPY_FD_CONTROL, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		fprintf(stderr, "boxlite-copy is started by the boxlite library; see boxlite(1)\n");
		return 2;
	}
	r = read_request(&s, &err);
	if (r == 0)
		r = restrict_self(&s, &err);
	if (r == 0)
		r = s.op == COPY_GET ? pack(&s, &err) : unpack(&s, &res, &err);
	answer(r, &err, &res);
	copy_spec_fini(&s);
	return r < 0;
}
