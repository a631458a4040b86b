/* Java's keystores: what keytool has made gets our certificate, and keytool reads it again. */
#include "agent/trust_keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "lib/tap.h"

#define KEYTOOL "keytool -keystore store -storepass changeit -noprompt "
#define KEYTOOL_P12 KEYTOOL "-storetype PKCS12 "
#define NO_PASSWORD "-J-Dkeystore.pkcs12.macAlgorithm=NONE -J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE "

static const char ours[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBfDCCASGgAwIBAgIUdwuKehtjK5oyEB8ycD9vlP9b3rkwCgYIKoZIzj0EAwIw\n"
	"EjEQMA4GA1UEAwwHYm94bGl0ZTAgFw0yNjExMjgwMDI0MDBaGA8yMTI2MTEwNDAw\n"
	"MjQwMFowEjEQMA4GA1UEAwwHYm94bGl0ZTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
	"A0IABLfOJpgOYP6warS65U9GVYZUdVjJ9dREhoi4lXPbFxjALIN6xEsmphmDTKat\n"
	"uDqNg5Nv2xYRoi50KHEyGugePfujUzBRMB0GA1UdDgQWBBQhn/yQc6ZQni8t8KX5\n"
	"18TfBTet8zAfBgNVHSMEGDAWgBQhn/yQc6ZQni8t8KX518TfBTet8zAPBgNVHRMB\n"
	"Af8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCCnVzFrZFzLICGox8T5XDTiL4G\n"
	"iQ/l/qOo/H6Eo/eBWwIhAIXkk07IZpaFfhT/EISGdKnMrY/8oRStwd0l1WlIGYaZ\n"
	"-----END CERTIFICATE-----\n";

static const char old[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBdDCCARmgAwIBAgIUfdVBXftpLUOY5tnrmAdVWwhElfQwCgYIKoZIzj0EAwIw\n"
	"DjEMMAoGA1UEAwwDb2xkMCAXDTI2MTEyODAwMjQwMFoYDzIxMjYxMTA0MDAyNDAw\n"
	"WjAOMQwwCgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATCNQHD\n"
	"gOUyHojSN0CuO/pQfpPCKtNl3QHDXuBlrxSYX4KgYerTl2kg+UL/649cRotpL2/m\n"
	"JbgIuUrw1i+tLlLso1MwUTAdBgNVHQ4EFgQU+mzN5UK0KKNXilUQEJ+fI1I/jvww\n"
	"HwYDVR0jBBgwFoAU+mzN5UK0KKNXilUQEJ+fI1I/jvwwDwYDVR0TAQH/BAUwAwEB\n"
	"/zAKBggqhkjOPQQDAgNJADBGAiEAuCALC+Qb/QQFASXp5PbVa0o0pO0e6LDRsXyC\n"
	"//H8K/ICIQDsfoWG0DwvoXFKGXhuR/atcE+exrfA6Ka3zS6aGwAajA==\n"
	"-----END CERTIFICATE-----\n";

static struct buf der; /* ours */

static int run(const char *command)
{
	char text[1024];

	snprintf(text, sizeof(text), "{ %s; } >> log 2>&1 < /dev/null", command);
	return system(text);
}

static struct buf slurp(const char *name)
{
	struct buf b = BUF_INIT(1 * MIB);
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || io_read_rest(fd, &b) < 0)
		printf("# cannot read %s\n", name);
	close(fd);
	return b;
}

static void put(const char *name, const void *p, size_t n)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || io_write_full(fd, p, n) < 0)
		printf("# cannot write %s\n", name);
	close(fd);
}

static bool same(const char *name, const struct buf *want)
{
	struct buf got = slurp(name);
	bool is = buf_len(&got) == buf_len(want) && !memcmp(buf_data(&got), buf_data(want), buf_len(want));

	buf_fini(&got);
	return is;
}

static int add(const struct buf *store, size_t n)
{
	struct buf out = BUF_INIT(1 * MIB);
	int r = keystore_add(buf_data(store), n, &der, &out);

	if (r == 0)
		put("store", buf_data(&out), buf_len(&out));
	buf_fini(&out);
	return r;
}

/* A store of keytool's: ours is put in, those that it had are still there, and a damaged one is refused. */
static void test_kind(const char *kind, const char *make, const char *list)
{
	struct buf before, old_der = BUF_INIT(4 * KIB);
	size_t n;
	int taken = 0;

	unlink("store");
	if (run(make) != 0) {
		ok(false, "%s: keytool makes one", kind);
		return;
	}
	before = slurp("store");
	is_int(add(&before, buf_len(&before)), 0, kind);
	ok(run(list) == 0 && run("test \"$(grep -c 'trustedCertEntry' list)\" = 2") == 0, "keytool lists both");
	ok(run(KEYTOOL "-exportcert -alias boxlite -file out") == 0 && same("out", &der), "ours is in it");
	ok(keystore_der(old, &old_der) == 0 && run(KEYTOOL "-exportcert -alias old -file out") == 0 &&
	   same("out", &old_der), "and the old one");
	ok(run(KEYTOOL "-importcert -alias third -file old.pem") == 0, "it can be changed on");
	for (n = 0; n < buf_len(&before); n++)
		taken += add(&before, n) == 0;
	is_int(taken, 0, "one that is cut short is none");
	buf_fini(&before);
	buf_fini(&old_der);
}

static void refused(const char *what, const char *make)
{
	struct buf store;

	unlink("store");
	ok(run(make) == 0, "%s: keytool makes one", what);
	store = slurp("store");
	is_int(add(&store, buf_len(&store)), -EINVAL, what);
	buf_fini(&store);
}

static void test_damaged(void)
{
	struct buf store;

	unlink("store");
	ok(run(KEYTOOL "-storetype JKS -importcert -alias old -file old.pem") == 0, "a store");
	store = slurp("store");
	buf_data(&store)[buf_len(&store) / 2] ^= 1;
	is_int(add(&store, buf_len(&store)), -EINVAL, "a changed byte shows in the digest of JKS");
	buf_fini(&store);
}

static void test_pem(void)
{
	static const char *const bad[] = {
		"", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nAB?D\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nABCD",
	};
	struct buf b = BUF_INIT(64);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		is_int(keystore_der(bad[i], &b), -EINVAL, "no PEM");
	buf_fini(&b);
	is_int(keystore_der("-----BEGIN CERTIFICATE-----\nAAECAw==\n-----END CERTIFICATE-----\n", &b), 0, "PEM");
	ok(buf_len(&b) == 4 && !memcmp(buf_data(&b), "\0\1\2\3", 4), "and what it means");
	is_int(keystore_der(ours, &b), -ENOBUFS, "more than there is room for");
	buf_fini(&b);
}

int main(void)
{
	static char folder[] = "/tmp/t-agent-keystore-XXXXXX";

	test_pem();
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return 1;
	der = BUF_INIT(4 * KIB);
	is_int(keystore_der(ours, &der), 0, "our certificate");
	put("old.pem", old, strlen(old));
	if (run("command -v keytool") != 0) {
		printf("# keytool is not installed\n");
	} else {
		test_kind("JKS", KEYTOOL "-storetype JKS -importcert -alias old -file old.pem",
			  "keytool -list -keystore store -storepass changeit > list");
		test_kind("PKCS #12 without a password",
			  KEYTOOL_P12 NO_PASSWORD "-importcert -alias old -file old.pem",
			  "keytool -list -keystore store " NO_PASSWORD "> list");
		refused("PKCS #12 with a password", KEYTOOL_P12 "-importcert -alias old -file old.pem");
		refused("JKS with another password", "keytool -keystore store -storepass other-one -noprompt "
						     "-storetype JKS -importcert -alias old -file old.pem");
		test_damaged();
	}
	buf_fini(&der);
	if (tap_failed ? system("cat log >&2") != 0 : run("rm -rf \"$PWD\"") != 0)
		printf("# %s is left\n", folder);
	return tap_done();
}
