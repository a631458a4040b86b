/*
 * What `docker save` writes and its kin: manifest.json, an array of {Config,
 * RepoTags, Layers} with paths of files. There are no digests, so they are
 * computed, and a manifest is written that a registry could have sent: the
 * image then has the same form in the store as one that was pulled.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/json.h"
#include "image/layout.h"

/* Config is named after its digest: "<hex>.json" or "blobs/sha256/<hex>". Other names promise nothing. */
static int check_config_name(const char *path, const char *hex, struct error *err)
{
	const char *base = strrchr(path, '/');
	char named[DIGEST_HEX + 1];

	base = base ? base + 1 : path;
	if (strcspn(base, ".") != DIGEST_HEX)
		return 0;
	memcpy(named, base, DIGEST_HEX);
	named[DIGEST_HEX] = 0;
	if (!str_is_hex(named, DIGEST_HEX) || str_eq(named, hex))
		return 0;
	return error_set(err, -EBADMSG, "%.200s does not have the content of its digest (it has sha256:%.12s)", path,
			 hex);
}

static int add_path(json_t *list, struct source *s, const char *path, const char *type, uint64_t max,
		    struct descriptor *ret, struct error *err)
{
	json_t *j;
	char digest[8 + DIGEST_HEX];
	int r = source_blob(s, path, NULL, max, ret, err);

	if (r < 0)
		return r;
	snprintf(digest, sizeof(digest), "sha256:%s", ret->hex);
	j = json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size", (json_int_t)ret->size);
	return json_array_append_new(list, j) < 0 ? error_nomem(err) : 0;
}

/* The manifest of one entry, as text; owned. */
static int build_manifest(json_t *entry, struct source *s, char **ret, struct error *err)
{
	auto_json json_t *layers = json_array();
	auto_json json_t *configs = json_array();
	auto_json json_t *manifest = NULL;
	bool bad = !json_is_object(entry);
	json_t *paths = json_get_list(entry, "Layers", &bad), *path;
	const char *config = json_get_str(entry, "Config", NULL, &bad);
	struct descriptor d;
	size_t i;
	int r;

	if (!layers || !configs)
		return error_nomem(err);
	if (bad || !config || json_array_size(paths) > IMAGE_LAYERS_MAX)
		return error_set(err, -EBADMSG, "malformed manifest.json");
	r = add_path(configs, s, config, "application/vnd.oci.image.config.v1+json", CONFIG_MAX, &d, err);
	if (r == 0)
		r = check_config_name(config, d.hex, err);
	json_array_foreach(paths, i, path) {
		if (r == 0 && !json_is_string(path))
			r = error_set(err, -EBADMSG, "malformed manifest.json");
		if (r < 0)
			return r;
		r = add_path(layers, s, json_string_value(path), "application/vnd.oci.image.layer.v1.tar",
			     LAYER_MAX, &d, err);
	}
	if (r < 0)
		return r;
	manifest = json_pack("{s:i, s:s, s:O, s:O}", "schemaVersion", 2, "mediaType",
			     "application/vnd.oci.image.manifest.v1+json", "config", json_array_get(configs, 0),
			     "layers", layers);
	*ret = manifest ? json_dumps(manifest, JSON_COMPACT) : NULL;
	return *ret ? 0 : error_nomem(err);
}

/* One image per name, or one without. `tag` may be NULL. */
static int add_image(struct layout *l, struct source *s, const char *arch, const char *hex,
		     const struct buf *text, const char *tag, struct error *err)
{
	struct layout_image *i = layout_add(l, err);
	char name[IMAGE_REF_MAX + 1];
	struct image_ref ref;
	int r;

	if (!i)
		return -ENOMEM;
	r = layout_use_manifest(i, s, arch, hex, text, err);
	if (r == 0 && tag)
		r = image_ref_parse(tag, &ref, err);
	if (r < 0)
		return r;
	if (tag)
		image_ref_format(&ref, name);
	else
		snprintf(name, sizeof(name), "sha256:%s", hex);
	i->reference = strdup(name);
	return i->reference ? 0 : error_nomem(err);
}

static int read_entry(struct layout *l, struct source *s, const char *arch, json_t *entry, struct error *err)
{
	auto_free char *manifest = NULL;
	auto_buf struct buf text = BUF_INIT(MANIFEST_MAX);
	char hex[DIGEST_HEX + 1];
	bool bad = false;
	json_t *tags, *tag;
	size_t i;
	int r = build_manifest(entry, s, &manifest, err);

	if (r < 0)
		return r;
	tags = json_get_list(entry, "RepoTags", &bad);
	r = buf_append(&text, manifest, strlen(manifest));
	if (r == 0)
		r = digest_of(manifest, strlen(manifest), hex);
	if (r < 0 || bad)
		return error_set(err, -EBADMSG, "malformed manifest.json");
	r = store_blob_write(&s->fetch->store, hex, manifest, strlen(manifest), err);
	if (r == 0 && json_array_size(tags) == 0)
		r = add_image(l, s, arch, hex, &text, NULL, err);
	json_array_foreach(tags, i, tag) {
		if (r == 0 && !json_is_string(tag))
			r = error_set(err, -EBADMSG, "malformed manifest.json");
		if (r == 0)
			r = add_image(l, s, arch, hex, &text, json_string_value(tag), err);
	}
	return r;
}

int docker_save_read(struct layout *l, struct source *s, const char *arch, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(MANIFEST_MAX);
	auto_json json_t *j = NULL;
	json_t *entry;
	size_t i;
	int r = source_read(s, "manifest.json", &text, err);

	if (r < 0)
		return r;
	j = json_parse(buf_data(&text), buf_len(&text), "manifest.json", err);
	if (!j)
		return -EBADMSG;
	if (!json_is_array(j) || json_array_size(j) == 0)
		return error_set(err, -EBADMSG, "manifest.json lists no image");
	json_array_foreach(j, i, entry) {
		r = read_entry(l, s, arch, entry, err);
		if (r < 0)
			return r;
	}
	return 0;
}
