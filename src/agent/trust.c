#include "agent/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/root.h"
#include "agent/trust_keystore.h"
#include "base/buf.h"
#include "base/clean.h"
#include "base/io.h"
#include "base/log.h"
#include "wire/boot.h"

#define FILE_MAX (400 * KIB) /* the agent's tmpfs has 2 MiB; Debian's bundle has 220 KiB, its keystore 160 */
#define NAMES_MAX 64         /* of a folder that are looked at */

/* Debian, Alpine; Alpine's LibreSSL name; Fedora, as OpenSSL asks for it, and as p11-kit writes it. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/ssl/cert.pem",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

/* Keystores: Debian and Alpine; Fedora; images of Temurin. */
static const char *const keystores[] = {
	"/etc/ssl/certs/java/cacerts",
	"/etc/pki/ca-trust/extracted/java/cacerts",
	"/etc/pki/java/cacerts",
	"/opt/java/openjdk/lib/security/cacerts",
	"/opt/java/openjdk/jre/lib/security/cacerts",
};

/* Folders of Javas, and how their names begin: distributions; older official images. */
static const struct {
	const char *path, *name;
} javas[] = { { "/usr/lib/jvm", "" }, { "/usr/local", "openjdk-" } };

/* Where it is below a Java: of 9 and later, and before. */
static const char *const in_java[] = { "lib/security/cacerts", "jre/lib/security/cacerts" };

/* OpenSSL and what uses it; Node, which adds to its own; Python's requests, which has its own; curl of its makers. */
static const char *const variables[] = {
	"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
};

struct trusted {
	char path[256]; /* in the box */
	char file[24];  /* in the agent's root */
	dev_t dev;      /* which file of the box it is */
	ino_t ino;
};

static struct {
	struct trusted v[TRUST_FILES];
	unsigned n;
	bool bundle; /* the first one is a bundle */
} trust;

/* Something of the box, as the box would find it: fd; -ENOENT: it is not there; -EINVAL: it cannot be opened. */
static int open_in_box(const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned)(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	auto_fd int box = open(ROOT_BOX, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = box < 0 ? -1 : (int)syscall(SYS_openat2, box, path, &how, sizeof(how));

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ENOENT : -EINVAL;
	return fd;
}

static int open_file(const char *path, struct stat *st)
{
	auto_fd int fd = open_in_box(path, 0);

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode) || st->st_size > (off_t)FILE_MAX)
		return -EINVAL;
	return take_fd(&fd);
}

/* What is in fd (-1: nothing) with the certificate. */
static int make_bundle(int fd, const char *pem, struct buf *out)
{
	int r = fd < 0 ? 0 : io_read_rest(fd, out);

	return r < 0 ? r : buf_printf(out, "\n%s", pem);
}

static int make_keystore(int fd, const char *pem, struct buf *out)
{
	auto_buf struct buf old = BUF_INIT(FILE_MAX), der = BUF_INIT(TRUST_PEM_MAX);
	int r = keystore_der(pem, &der);

	if (r == 0)
		r = io_read_rest(fd, &old);
	return r < 0 ? r : keystore_add(buf_data(&old), buf_len(&old), &der, out);
}

typedef int make_fn(int fd, const char *pem, struct buf *out);

/* A file of the agent's for this path of the box. One that cannot be made is none. */
static void add(const char *path, int fd, const struct stat *st, make_fn *make, const char *pem)
{
	auto_buf struct buf made = BUF_INIT(2 * FILE_MAX);
	struct trusted *t = &trust.v[trust.n];
	auto_fd int to = -1;
	int r = make(fd, pem, &made);

	snprintf(t->file, sizeof(t->file), "/etc/trust-%u", trust.n);
	if (r == 0)
		to = open(t->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (r == 0)
		r = to < 0 ? -errno : io_write_full(to, buf_data(&made), buf_len(&made));
	if (r < 0) {
		log_warn("%s of the box does not get the network's certificate: %s", path,
			 r == -EINVAL ? "it is damaged, or of a kind that is not known" : strerror(-r));
		unlink(t->file);
		return;
	}
	snprintf(t->path, sizeof(t->path), "%s", path);
	t->dev = st->st_dev;
	t->ino = st->st_ino;
	trust.n++;
}

/* One that has been seen has its file already, for this name as well. */
static void add_once(const char *path, int fd, const struct stat *st, make_fn *make, const char *pem)
{
	struct trusted *t = &trust.v[trust.n];
	unsigned i;

	if (trust.n == TRUST_FILES || strlen(path) >= sizeof(t->path)) {
		log_warn("%s of the box does not get the network's certificate: there are too many", path);
		return;
	}
	for (i = 0; i < trust.n; i++)
		if (trust.v[i].dev == st->st_dev && trust.v[i].ino == st->st_ino) {
			if (str_eq(trust.v[i].path, path))
				return;
			*t = trust.v[i];
			snprintf(t->path, sizeof(t->path), "%s", path);
			trust.n++;
			return;
		}
	add(path, fd, st, make, pem);
}

static void add_bundles(const char *pem)
{
	struct stat none = { 0 };
	bool any = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bundles); i++) {
		struct stat st;
		auto_fd int fd = open_file(bundles[i], &st);

		any |= fd != -ENOENT;
		if (fd >= 0)
			add_once(bundles[i], fd, &st, make_bundle, pem);
	}
	/* An image without any: it could trust nobody so far. */
	if (!any)
		add(bundles[0], -1, &none, make_bundle, pem);
	trust.bundle = trust.n > 0;
}

/* Many names lead to one keystore: it is known by what they lead to. */
static void add_keystore(const char *path, const char *pem)
{
	char link[32], real[sizeof(ROOT_BOX) + sizeof(trust.v[0].path)];
	struct stat st;
	auto_fd int fd = open_file(path, &st);
	ssize_t n;

	if (fd == -EINVAL)
		log_warn("%s of the box does not get the network's certificate: it is no file, or a long one", path);
	if (fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, real, sizeof(real) - 1);
	if (n < 0)
		return;
	real[n] = 0;
	if (str_starts(real, ROOT_BOX "/"))
		add_once(real + strlen(ROOT_BOX), fd, &st, make_keystore, pem);
}

static void add_java(const char *home, const char *pem)
{
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(in_java); i++)
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", home, in_java[i]) < sizeof(path))
			add_keystore(path, pem);
}

static void add_javas(const char *folder, const char *name, const char *pem)
{
	auto_fd int fd = open_in_box(folder, O_DIRECTORY);
	auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	unsigned seen;

	if (!d)
		return;
	fd = -1; /* d's */
	for (seen = 0; seen < NAMES_MAX && (e = readdir(d)); seen++) {
		char home[PATH_MAX];

		if (*e->d_name == '.' || !str_starts(e->d_name, name))
			continue;
		snprintf(home, sizeof(home), "%s/%s", folder, e->d_name);
		add_java(home, pem);
	}
}

void trust_set(const char *pem, const char *java_home)
{
	size_t i;

	trust.n = 0;
	add_bundles(pem);
	for (i = 0; i < ARRAY_SIZE(keystores); i++)
		add_keystore(keystores[i], pem);
	if (java_home && *java_home == '/')
		add_java(java_home, pem);
	for (i = 0; i < ARRAY_SIZE(javas); i++)
		add_javas(javas[i].path, javas[i].name, pem);
}

bool trust_file(unsigned i, const char **ret_file, const char **ret_path)
{
	if (i >= trust.n)
		return false;
	*ret_file = trust.v[i].file;
	*ret_path = trust.v[i].path;
	return true;
}

int trust_env(struct strv *env)
{
	size_t i;

	for (i = 0; trust.bundle && i < ARRAY_SIZE(variables); i++)
		if (!strv_get_env(env, variables[i]) && strv_addf(env, "%s=%s", variables[i], trust.v[0].path) < 0)
			return -ENOMEM;
	return 0;
}
