#include "agent/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
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

/* A bundle of the box, as the box would find it; whatever is not a file of a likely size is none. 0, -ENOENT. */
static int read_bundle(const char *path, struct buf *out)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	auto_fd int box = open(ROOT_BOX, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd int fd = box < 0 ? -1 : (int)syscall(SYS_openat2, box, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)BUNDLE_MAX)
		return -ENOENT;
	return io_read_rest(fd, out) < 0 ? -ENOENT : 0;
}

static int add(const char *path, struct buf *bundle, const char *pem, struct error *err)
{
	char *file = trust.file[trust.n];
	auto_fd int fd = -1;
	int r;

	snprintf(file, sizeof(trust.file[0]), "/etc/trust-%u", trust.n);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	r = fd < 0 ? -errno : buf_printf(bundle, "\n%s", pem);
	if (r == 0)
		r = io_write_full(fd, buf_data(bundle), buf_len(bundle));
	if (r < 0)
		return error_code(err, r, "cannot write a bundle of certificates for %s of the box", path);
	trust.path[trust.n++] = path;
	return 0;
}

int trust_set(const char *pem, struct error *err)
{
	size_t i;
	int r = 0;

	trust.n = 0;
	for (i = 0; r == 0 && i < ARRAY_SIZE(known); i++) {
		auto_buf struct buf bundle = BUF_INIT(2 * BUNDLE_MAX);

		if (read_bundle(known[i], &bundle) == 0)
			r = add(known[i], &bundle, pem, err);
	}
	/* An image without any: it could trust nobody so far. */
	if (r == 0 && trust.n == 0) {
		auto_buf struct buf bundle = BUF_INIT(2 * BUNDLE_MAX);

		r = add(known[0], &bundle, pem, err);
	}
	return r;
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
