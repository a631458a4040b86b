#include "agent/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/root.h"
#include "base/buf.h"
#include "base/clean.h"
#include "base/io.h"
#include "base/log.h"

#define BUNDLE_MAX (400 * KIB) /* the agent's tmpfs has 1 MiB; Debian's has 220 KiB */

/* Debian, Alpine; Alpine's LibreSSL name; Fedora, as OpenSSL asks for it, and as p11-kit writes it. */
static const char *const known[TRUST_BUNDLES] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/ssl/cert.pem",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

/* OpenSSL and what uses it; Node, which adds to its own; Python's requests, which has its own; curl of its makers. */
static const char *const variables[] = {
	"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
};

static struct {
	const char *path[TRUST_BUNDLES]; /* in the box */
	char file[TRUST_BUNDLES][24];    /* in the agent's root */
	unsigned n;
} trust;

/* A bundle of the box, as the box would find it: fd; -ENOENT: there is none; -EINVAL: it is none of ours to change. */
static int open_bundle(const char *path, struct stat *st)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	auto_fd int box = open(ROOT_BOX, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd int fd = box < 0 ? -1 : (int)syscall(SYS_openat2, box, path, &how, sizeof(how));

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ENOENT : -EINVAL;
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode) || st->st_size > (off_t)BUNDLE_MAX)
		return -EINVAL;
	return take_fd(&fd);
}

/* What fd has (-1: nothing) and the certificate, as a file of the agent's. A file that cannot be made is none. */
static void add(const char *path, int fd, const char *pem)
{
	auto_buf struct buf bundle = BUF_INIT(2 * BUNDLE_MAX);
	char *file = trust.file[trust.n];
	auto_fd int to = -1;
	int r = fd < 0 ? 0 : io_read_rest(fd, &bundle);

	snprintf(file, sizeof(trust.file[0]), "/etc/trust-%u", trust.n);
	if (r == 0)
		r = buf_printf(&bundle, "\n%s", pem);
	to = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (r == 0)
		r = to < 0 ? -errno : io_write_full(to, buf_data(&bundle), buf_len(&bundle));
	if (r < 0) {
		log_warn("%s of the box does not get the network's certificate: %s", path, strerror(-r));
		unlink(file);
	} else {
		trust.path[trust.n++] = path;
	}
}

/* Another name for one that is there already. */
static bool add_again(const char *path, const struct stat *st, struct stat *seen, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (seen[i].st_dev == st->st_dev && seen[i].st_ino == st->st_ino) {
			memmove(trust.file[trust.n], trust.file[i], sizeof(trust.file[0]));
			trust.path[trust.n++] = path;
			return true;
		}
	return false;
}

void trust_set(const char *pem)
{
	struct stat seen[TRUST_BUNDLES] = { 0 };
	bool any = false;
	size_t i;

	trust.n = 0;
	for (i = 0; i < ARRAY_SIZE(known); i++) {
		struct stat st;
		auto_fd int fd = open_bundle(known[i], &st);
		unsigned n = trust.n;

		any |= fd != -ENOENT;
		if (fd < 0 || add_again(known[i], &st, seen, n))
			continue;
		add(known[i], fd, pem);
		if (trust.n > n)
			seen[n] = st;
	}
	/* An image without any: it could trust nobody so far. */
	if (!any)
		add(known[0], -1, pem);
}

bool trust_bundle(unsigned i, const char **ret_file, const char **ret_path)
{
	if (i >= trust.n)
		return false;
	*ret_file = trust.file[i];
	*ret_path = trust.path[i];
	return true;
}

int trust_env(struct strv *env)
{
	size_t i;

	for (i = 0; trust.n && i < ARRAY_SIZE(variables); i++)
		if (!strv_get_env(env, variables[i]) && strv_addf(env, "%s=%s", variables[i], trust.path[0]) < 0)
			return -ENOMEM;
	return 0;
}
