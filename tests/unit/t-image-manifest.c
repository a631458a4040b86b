#include <errno.h>

#include "image/manifest.h"
#include "lib/tap.h"
#include "wire/image.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DESC(type, size) "{\"mediaType\":\"" type "\",\"digest\":\"sha256:" HEX64 "\",\"size\":" size "}"
#define OCI_CONFIG DESC("application/vnd.oci.image.config.v1+json", "5")
#define OCI_LAYER DESC("application/vnd.oci.image.layer.v1.tar+gzip", "7")
#define IMAGE(config, layers) "{\"schemaVersion\":2,\"config\":" config ",\"layers\":[" layers "]}"
#define ENTRY(os, arch, variant)                                                                              \
	"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:" HEX64 "\","      \
	"\"size\":9" variant ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}}"

static struct error err;

static int parse(const char *text, size_t *ret_n)
{
	struct manifest m = { 0 };
	int r = manifest_parse(text, strlen(text), &m, &err);

	*ret_n = m.n;
	manifest_fini(&m);
	return r;
}

static void manifests(void)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "{\"schemaVersion\":1}", "schema 1" },
		{ "{\"schemaVersion\":2}", "neither" },
		{ "{\"schemaVersion\":2,\"manifests\":[],\"config\":{}}", "neither" },
		{ "{\"schemaVersion\":2,\"mediaType\":\"text/x\"}", "text/x" },
		{ "{\"schemaVersion\":2,\"manifests\":[]}", "an index where" },
		{ "[]", "not a JSON object" },
		{ "{", "not valid JSON" },
		{ IMAGE(DESC("application/vnd.oci.empty.v1+json", "2"), OCI_LAYER), "an artifact" },
		{ IMAGE(OCI_CONFIG, "3"), "not an object" },
		{ IMAGE(OCI_CONFIG, DESC("application/vnd.oci.image.layer.nondistributable.v1.tar", "1")), "foreign" },
		{ IMAGE(OCI_CONFIG, DESC("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "1")), "foreign" },
		{ IMAGE(OCI_CONFIG, DESC("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "1")), "encrypted" },
		{ IMAGE(OCI_CONFIG, DESC("x/y", "1")), "not a container image (x/y)" },
		{ IMAGE(OCI_CONFIG, DESC("application/vnd.oci.image.layer.v1.tar+x", "1")), "unsupported type" },
		{ IMAGE(OCI_CONFIG, DESC("application/vnd.oci.image.layer.v1.tar", "-1")), "valid digest and size" },
		{ IMAGE(OCI_CONFIG, DESC("application/vnd.oci.image.layer.v1.tar", "0")), "valid digest and size" },
		{ IMAGE(OCI_CONFIG, DESC("application/vnd.oci.image.layer.v1.tar", "1e3")), "valid digest and size" },
		{ IMAGE(OCI_CONFIG, DESC("application/vnd.oci.image.layer.v1.tar", "99999999999999")), "more than" },
		{ IMAGE(DESC("application/vnd.oci.image.config.v1+json", "8388609"), OCI_LAYER), "more than" },
	};
	static char many[256 * KIB];
	size_t i, n, at;

	ok(parse(IMAGE(OCI_CONFIG, OCI_LAYER "," OCI_LAYER), &n) == 0 && n == 2, "an image of two layers");
	ok(parse(IMAGE(DESC("application/vnd.docker.container.image.v1+json", "1"),
		       DESC("application/vnd.docker.image.rootfs.diff.tar.gzip", "1")), &n) == 0, "docker's types");
	ok(parse(IMAGE(OCI_CONFIG, "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"sha256:"
		       DIGEST_OF_NOTHING "\",\"size\":0}"), &n) == 0 && n == 1, "a layer of no bytes");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		err.text[0] = 0;
		ok(parse(bad[i].text, &n) < 0 && strstr(err.text, bad[i].error), "refused: %s", bad[i].error);
	}
	ok(parse("{\"schemaVersion\":2,\"mediaType\":\"text/x\"}", &n) == -EMEDIUMTYPE &&
	   parse(IMAGE(DESC("application/vnd.oci.empty.v1+json", "2"), OCI_LAYER), &n) == -EMEDIUMTYPE &&
	   parse(IMAGE(OCI_CONFIG, DESC("x/y", "1")), &n) == -EMEDIUMTYPE, "what is no image has its own code");
	ok(parse(IMAGE(OCI_CONFIG, DESC("application/vnd.oci.image.layer.v1.tar+x", "1")), &n) == -ENOTSUP,
	   "which an image that is not supported has not");
	at = (size_t)snprintf(many, sizeof(many), "{\"schemaVersion\":2,\"config\":" OCI_CONFIG ",\"layers\":[" OCI_LAYER);
	for (i = 0; i < IMAGE_LAYERS_MAX; i++)
		at += (size_t)snprintf(many + at, sizeof(many) - at, "," OCI_LAYER);
	snprintf(many + at, sizeof(many) - at, "]}");
	ok(parse(many, &n) == -E2BIG, "refused: 513 layers");
}

static int choose(const char *entries, const char *arch)
{
	char text[4096];
	struct descriptor d = { 0 };
	int r, n = snprintf(text, sizeof(text), "{\"schemaVersion\":2,\"manifests\":[%s]}", entries);

	r = index_choose(text, (size_t)n, arch, &d, &err);
	return r < 0 ? r : (int)d.size;
}

static void platforms(void)
{
	is_int(platform_score("amd64", "linux", "amd64", ""), 4, "the plainest");
	is_int(platform_score("arm64", "linux", "arm64", "v8"), 3, "the usual variant");
	is_int(platform_score("amd64", "linux", "amd64", "v3"), 0, "a variant that might not run");
	is_int(platform_score("arm/v7", "linux", "arm", "v6"), 1, "a lower variant runs");
	is_int(platform_score("arm/v6", "linux", "arm", "v7"), 0, "a higher does not");
	is_int(platform_score("arm", "linux", "arm64", ""), 0, "a name is not a prefix");
	is_int(platform_score("amd64", "windows", "amd64", ""), 0, "linux only");
	is_int(choose(ENTRY("unknown", "unknown", "") "," ENTRY("linux", "amd64", ""), "amd64"), 9, "attestations aside");
	is_int(choose(ENTRY("windows", "amd64", "") "," ENTRY("linux", "s390x", ""), "amd64"), -ENOENT, "none");
	is_str(err.text, "no image for linux/amd64; there is windows/amd64, linux/s390x: choose one that is built for it",
	       "what there is");
	is_int(choose("", "amd64"), -ENOENT, "an empty index");
	is_int(choose(DESC("application/vnd.oci.image.index.v1+json", "11"), "amd64"), 11, "an index in an index");
	is_int(choose(DESC("application/vnd.oci.image.manifest.v1+json", "12"), "amd64"), 12, "an image without a platform");
	is_int(choose(DESC("application/vnd.oci.image.manifest.v1+json", "12") "," ENTRY("linux", "amd64", ""), "amd64"), 9,
	       "which comes after one that says its own");
	is_int(choose("4", "amd64"), -EBADMSG, "a number in an index");
}

static int config(const char *text, size_t layers, struct image_config *c)
{
	return image_config_parse(text, strlen(text), "amd64", layers, c, &err);
}

static void configs(void)
{
	struct image_config c = { 0 };

	ok(config("{\"architecture\":\"amd64\",\"os\":\"linux\",\"created\":\"2024\",\"config\":{\"A\": 1},"
		  "\"rootfs\":{\"diff_ids\":[\"sha256:" HEX64 "\"]}}", 1, &c) == 0, "a configuration");
	ok(c.n == 1 && c.diff_ids[0][0] == 0x01 && c.diff_ids[0][31] == 0xef, "its diff_id");
	is_str(c.config_json, "{\"A\":1}", "its config");
	is_str(c.created, "2024", "its date");
	image_config_fini(&c);
	ok(config("{\"rootfs\":{\"diff_ids\":[\"sha256:" HEX64 "\"]}}", 1, &c) == 0, "the least there can be");
	is_str(c.config_json, "{}", "an empty config");
	image_config_fini(&c);
	ok(config("{\"rootfs\":{\"diff_ids\":[\"sha256:" HEX64 "\"]}}", 2, &c) == -EBADMSG, "a layer too few");
	ok(config("{\"rootfs\":{\"diff_ids\":[]}}", 0, &c) == -EBADMSG, "no layers");
	ok(config("{}", 1, &c) == -EBADMSG, "no diff_ids");
	ok(config("{\"rootfs\":{\"diff_ids\":[\"sha256:x\"]}}", 1, &c) == -EBADMSG, "a bad diff_id");
	ok(config("{\"rootfs\":{\"diff_ids\":\"x\"}}", 1, &c) == -EBADMSG, "no list");
	ok(config("{\"architecture\":\"arm64\",\"rootfs\":{}}", 1, &c) == -ENOENT &&
	   strstr(err.text, "linux/arm64, not linux/amd64"), "another architecture");
	ok(config("{\"os\":\"windows\"}", 1, &c) == -ENOENT, "another system");
}

int main(void)
{
	manifests();
	platforms();
	configs();
	return tap_done();
}
