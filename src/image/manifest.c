#include "image/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "wire/image.h"

#define INDEX_ENTRIES_MAX 4096

static const char *const index_types[] = {
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
};
static const char *const image_types[] = {
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
};
static const char *const config_types[] = {
	"application/vnd.oci.image.config.v1+json",
	"application/vnd.docker.container.image.v1+json",
};
/* Their compression is found out from their bytes, so it does not matter which of these it says. */
static const char *const layer_types[] = {
	"application/vnd.oci.image.layer.v1.tar",
	"application/vnd.oci.image.layer.v1.tar+gzip",
	"application/vnd.oci.image.layer.v1.tar+zstd",
	"application/vnd.docker.image.rootfs.diff.tar",
	"application/vnd.docker.image.rootfs.diff.tar.gzip",
	"application/vnd.docker.image.rootfs.diff.tar.zstd",
};

#define is_one_of(s, list) in_list(s, list, ARRAY_SIZE(list))

static bool in_list(const char *s, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (str_eq(s, list[i]))
			return true;
	return false;
}

bool manifest_type_known(const char *type)
{
	return !type[0] || is_one_of(type, index_types) || is_one_of(type, image_types);
}

/* Parses an object; what is not one is refused like what is not JSON. */
static json_t *parse_object(const void *p, size_t n, const char *what, struct error *err)
{
	json_t *j = json_parse(p, n, what, err);

	if (j && !json_is_object(j)) {
		error_set(err, -EBADMSG, "%s: not a JSON object", what);
		json_decref(j);
		return NULL;
	}
	return j;
}

static int parse_descriptor(const json_t *j, uint64_t max, struct descriptor *ret, struct error *err)
{
	bool bad = !json_is_object(j);
	const char *digest = json_get_str(j, "digest", "", &bad), *hex = digest_hex(digest);
	uint64_t size = json_get_u64(j, "size", 0, &bad);

	if (str_starts(digest, "sha512:") || str_starts(digest, "sha384:"))
		return error_set(err, -ENOTSUP, "the manifest names blobs by %.6s; only sha256 is supported", digest);
	/* A layer may have no bytes: docker saved such. With another digest 0 means that the size was not known. */
	if (bad || !hex || (size == 0 && !str_eq(hex, DIGEST_OF_NOTHING)))
		return error_set(err, -EBADMSG, "malformed manifest: an entry without a valid digest and size");
	if (size > max)
		return error_set(err, -EFBIG, "blob sha256:%.12s has %llu bytes, more than the %llu allowed", hex,
				 (unsigned long long)size, (unsigned long long)max);
	memcpy(ret->hex, hex, sizeof(ret->hex));
	ret->size = size;
	return 0;
}

/* --- manifests ------------------------------------------------------------------------------------ */

static int kind_of(const json_t *j, enum manifest_kind *ret, struct error *err)
{
	bool bad = false;
	uint64_t schema = json_get_u64(j, "schemaVersion", 0, &bad);
	const char *type = json_get_str(j, "mediaType", "", &bad);
	json_t *list = json_get_list(j, "manifests", &bad), *config = json_get_obj(j, "config", &bad);

	if (bad)
		return error_set(err, -EBADMSG, "malformed manifest");
	if (schema == 1 || str_starts(type, "application/vnd.docker.distribution.manifest.v1"))
		return error_set(err, -ENOTSUP, "the image has docker's old manifest schema 1, which is not supported: "
						"push it again with a newer docker");
	if (!manifest_type_known(type))
		return error_set(err, -EMEDIUMTYPE, "not a container image but %.100s: is the name right?", type);
	/* A document that is both could be read as one thing here and as another elsewhere. */
	if (schema != 2 || !list == !config || (type[0] && is_one_of(type, index_types) == !list))
		return error_set(err, -EBADMSG, "malformed manifest: neither an image nor an index");
	*ret = list ? MANIFEST_INDEX : MANIFEST_IMAGE;
	return 0;
}

int manifest_kind(const void *p, size_t n, enum manifest_kind *ret, struct error *err)
{
	auto_json json_t *j = parse_object(p, n, "manifest", err);

	return j ? kind_of(j, ret, err) : -EBADMSG;
}

void manifest_fini(struct manifest *m)
{
	free(m->layers);
	*m = (struct manifest){ 0 };
}

static int check_layer_type(const char *type, struct error *err)
{
	if (is_one_of(type, layer_types))
		return 0;
	if (strstr(type, "nondistributable") || strstr(type, ".foreign."))
		return error_set(err, -ENOTSUP, "the image has a foreign layer, which its registry does not hold (%.100s)",
				 type);
	if (strstr(type, "+encrypted"))
		return error_set(err, -ENOTSUP, "the image is encrypted, which is not supported (%.100s)", type);
	if (str_starts(type, "application/vnd.oci.image.layer.") || str_starts(type, "application/vnd.docker.image."))
		return error_set(err, -ENOTSUP, "the image has a layer of an unsupported type (%.100s)", type);
	/* Older signatures have the configuration of an image. */
	return error_set(err, -EMEDIUMTYPE, "an artifact, not a container image (%.100s): is the name right?", type);
}

static int parse_layers(json_t *list, struct manifest *m, struct error *err)
{
	json_t *item;
	size_t i;
	int r;

	if (json_array_size(list) > IMAGE_LAYERS_MAX)
		return error_set(err, -E2BIG, "the image has %zu layers, more than the %d allowed",
				 json_array_size(list), IMAGE_LAYERS_MAX);
	m->layers = calloc(json_array_size(list) + 1, sizeof(*m->layers));
	if (!m->layers)
		return error_nomem(err);
	json_array_foreach(list, i, item) {
		bool bad = !json_is_object(item);
		const char *type = json_get_str(item, "mediaType", "", &bad);

		if (bad)
			return error_set(err, -EBADMSG, "malformed manifest: a layer is not an object");
		r = check_layer_type(type, err);
		if (r == 0)
			r = parse_descriptor(item, LAYER_MAX, &m->layers[i], err);
		if (r < 0)
			return r;
		m->n++;
	}
	return 0;
}

int manifest_parse(const void *p, size_t n, struct manifest *ret, struct error *err)
{
	auto_json json_t *j = parse_object(p, n, "manifest", err);
	struct manifest m = { 0 };
	enum manifest_kind kind;
	bool bad = false;
	json_t *config;
	int r;

	if (!j)
		return -EBADMSG;
	r = kind_of(j, &kind, err);
	if (r < 0)
		return r;
	if (kind != MANIFEST_IMAGE)
		return error_set(err, -EBADMSG, "an index where the manifest of an image was expected");
	config = json_get_obj(j, "config", &bad);
	if (!is_one_of(json_get_str(config, "mediaType", "", &bad), config_types))
		return error_set(err, -EMEDIUMTYPE, "an artifact, not a container image (%.100s): is the name right?",
				 json_get_str(config, "mediaType", "no type", &bad));
	r = parse_descriptor(config, CONFIG_MAX, &m.config, err);
	if (r == 0)
		r = parse_layers(json_get_list(j, "layers", &bad), &m, err);
	if (r == 0 && bad)
		r = error_set(err, -EBADMSG, "malformed manifest");
	if (r < 0) {
		manifest_fini(&m);
		return r;
	}
	*ret = m;
	return 0;
}

/* --- platforms ------------------------------------------------------------------------------------ */

/* The variant that an architecture means when none is written. */
static const char *default_variant(const char *architecture)
{
	return str_eq(architecture, "arm64") ? "v8" : str_eq(architecture, "arm") ? "v7" :
	       str_eq(architecture, "amd64") ? "v1" : "";
}

int platform_score(const char *arch, const char *os, const char *architecture, const char *variant)
{
	size_t n = strcspn(arch, "/");
	const char *wanted = arch[n] ? arch + n + 1 : "", *usual = default_variant(architecture);

	if (!str_eq(os, "linux") || strlen(architecture) != n || strncmp(arch, architecture, n) != 0)
		return 0;
	if (!wanted[0])
		wanted = usual;
	if (str_eq(variant, wanted))
		return 3;
	if (!variant[0])
		return str_eq(wanted, usual) ? 4 : 2; /* nothing written is the plainest spelling of the usual one */
	/* A lower variant runs on a higher machine; a higher one might not. */
	return strlen(variant) == 2 && strlen(wanted) == 2 && variant[1] < wanted[1] ? 1 : 0;
}

struct platform {
	const char *os, *architecture, *variant; /* borrowed; "" = not said */
};

static struct platform platform_of(const json_t *entry, bool *bad)
{
	json_t *j = json_get_obj(entry, "platform", bad);

	return (struct platform){
		.os = json_get_str(j, "os", "", bad),
		.architecture = json_get_str(j, "architecture", "", bad),
		.variant = json_get_str(j, "variant", "", bad),
	};
}

/* Attestations and the like stand in an index as manifests for the platform unknown/unknown. */
static bool is_unknown(const struct platform *p)
{
	return str_eq(p->architecture, "unknown") || str_eq(p->os, "unknown");
}

/* The error for an index without what is wanted: names what it has. */
static int no_platform(json_t *list, const char *arch, struct error *err)
{
	char have[256] = "";
	size_t i, at = 0;
	json_t *item;

	json_array_foreach(list, i, item) {
		bool bad = false;
		struct platform p = platform_of(item, &bad);
		int n;

		if (bad || is_unknown(&p) || !p.architecture[0])
			continue;
		n = snprintf(have + at, sizeof(have) - at, "%s%.20s/%.20s%s%.10s", at ? ", " : "", p.os,
			     p.architecture, p.variant[0] ? "/" : "", p.variant);
		if (n < 0 || (size_t)n >= sizeof(have) - at) {
			have[at] = 0; /* no room: the rest is left out whole */
			break;
		}
		at += (size_t)n;
	}
	return error_set(err, -ENOENT, "no image for linux/%s; there is %s: choose one that is built for it", arch,
			 have[0] ? have : "none at all");
}

int index_choose(const void *p, size_t n, const char *arch, struct descriptor *ret, struct error *err)
{
	auto_json json_t *j = parse_object(p, n, "index", err);
	bool bad = false;
	json_t *list = json_get_list(j, "manifests", &bad), *item, *best = NULL;
	json_t *nested = NULL, *unnamed = NULL; /* entries without a platform, which is optional */
	int top = 0;
	size_t i;

	if (!j)
		return -EBADMSG;
	if (bad || !list || json_array_size(list) > INDEX_ENTRIES_MAX)
		return error_set(err, -EBADMSG, "malformed index");
	json_array_foreach(list, i, item) {
		struct platform plat = platform_of(item, &bad);
		const char *type = json_get_str(item, "mediaType", "", &bad);
		int score = platform_score(arch, plat.os, plat.architecture, plat.variant);

		if (!nested && !plat.architecture[0] && is_one_of(type, index_types))
			nested = item;
		if (!unnamed && !plat.architecture[0] && is_one_of(type, image_types))
			unnamed = item;
		if (score <= top || is_unknown(&plat))
			continue;
		best = item;
		top = score;
	}
	if (bad)
		return error_set(err, -EBADMSG, "malformed index");
	/* The image's own configuration says what it is for, and is checked. */
	best = best ? best : nested ? nested : unnamed;
	return best ? parse_descriptor(best, MANIFEST_MAX, ret, err) : no_platform(list, arch, err);
}

/* --- configurations --------------------------------------------------------------------------------- */

void image_config_fini(struct image_config *c)
{
	free(c->diff_ids);
	free(c->config_json);
	free(c->architecture);
	free(c->os);
	free(c->created);
	*c = (struct image_config){ 0 };
}

static int parse_diff_ids(json_t *list, size_t n_layers, struct image_config *c, struct error *err)
{
	json_t *item;
	size_t i;

	if (json_array_size(list) != n_layers)
		return error_set(err, -EBADMSG, "the manifest lists %zu layers, the configuration %zu", n_layers,
				 json_array_size(list));
	if (n_layers == 0)
		return error_set(err, -EBADMSG, "the image has no layers");
	c->diff_ids = calloc(n_layers, sizeof(*c->diff_ids));
	if (!c->diff_ids)
		return error_nomem(err);
	json_array_foreach(list, i, item) {
		const char *hex = json_is_string(item) ? digest_hex(json_string_value(item)) : NULL;

		if (!hex)
			return error_set(err, -EBADMSG, "malformed configuration: diff_id %zu is not a sha256 digest", i);
		digest_bytes(hex, c->diff_ids[i]);
	}
	c->n = n_layers;
	return 0;
}

static int check_platform(const json_t *j, const char *arch, struct image_config *c, struct error *err)
{
	bool bad = false;
	const char *os = json_get_str(j, "os", "linux", &bad), *variant = json_get_str(j, "variant", "", &bad);
	char plain[IMAGE_WORD_MAX];
	const char *architecture;

	snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(arch, "/"), arch);
	architecture = json_get_str(j, "architecture", plain, &bad);
	if (bad || strlen(os) >= IMAGE_WORD_MAX || strlen(architecture) >= IMAGE_WORD_MAX)
		return error_set(err, -EBADMSG, "malformed configuration: its platform");
	/* Docker images of old often say nothing of the variant, or something else than the index did. */
	if (!str_eq(os, "linux") || !str_eq(architecture, plain))
		return error_set(err, -ENOENT, "the image is for %s/%s%s%.10s, not linux/%s: choose one that is "
				 "built for it", os, architecture, variant[0] ? "/" : "", variant, arch);
	c->os = strdup(os);
	c->architecture = strdup(architecture);
	return c->os && c->architecture ? 0 : error_nomem(err);
}

static int copy_config(const json_t *j, struct image_config *c, struct error *err)
{
	bool bad = false;
	json_t *config = json_get_obj(j, "config", &bad);
	const char *created = json_get_str(j, "created", "", &bad);

	if (bad)
		return error_set(err, -EBADMSG, "malformed configuration");
	c->config_json = config ? json_dumps(config, JSON_COMPACT) : strdup("{}");
	c->created = strdup(strlen(created) < IMAGE_WORD_MAX ? created : "");
	if (!c->config_json || !c->created)
		return error_nomem(err);
	if (strlen(c->config_json) > IMAGE_CONFIG_TEXT_MAX)
		return error_set(err, -EFBIG, "the image's configuration is larger than %d bytes", IMAGE_CONFIG_TEXT_MAX);
	return 0;
}

int image_config_parse(const void *p, size_t n, const char *arch, size_t n_layers, struct image_config *ret,
		       struct error *err)
{
	auto_json json_t *j = parse_object(p, n, "image configuration", err);
	struct image_config c = { 0 };
	bool bad = false;
	json_t *rootfs;
	int r;

	if (!j)
		return -EBADMSG;
	rootfs = json_get_obj(j, "rootfs", &bad);
	r = check_platform(j, arch, &c, err);
	if (r == 0)
		r = parse_diff_ids(json_get_list(rootfs, "diff_ids", &bad), n_layers, &c, err);
	if (r == 0)
		r = copy_config(j, &c, err);
	if (r == 0 && bad)
		r = error_set(err, -EBADMSG, "malformed configuration");
	if (r < 0) {
		image_config_fini(&c);
		return r;
	}
	*ret = c;
	return 0;
}
