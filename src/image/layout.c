#include "image/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"

#define CANDIDATES_MAX IMAGE_LIST_MAX

/* An entry of index.json that is for the wanted platform. */
struct candidate {
	struct descriptor desc;
	char name[IMAGE_REF_MAX + 1]; /* normalised, "" = none */
	int score;                    /* of the platform; 0 = none is written */
};

static void image_fini(struct layout_image *i)
{
	free(i->reference);
	manifest_fini(&i->manifest);
	image_config_fini(&i->config);
	strv_fini(&i->blobs);
}

void layout_fini(struct layout *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		image_fini(&l->images[i]);
	free(l->images);
	*l = (struct layout){ 0 };
}

struct layout_image *layout_add(struct layout *l, struct error *err)
{
	struct layout_image *images;

	if (l->n >= IMAGE_LIST_MAX) {
		error_set(err, -E2BIG, "more than %d images at once", IMAGE_LIST_MAX);
		return NULL;
	}
	images = reallocarray(l->images, l->n + 1, sizeof(*images));
	if (!images) {
		error_nomem(err);
		return NULL;
	}
	l->images = images;
	images[l->n] = (struct layout_image){ .blobs = STRV_INIT(IMAGE_BLOBS_MAX) };
	return &images[l->n++];
}

/* --- one image ------------------------------------------------------------------------------------ */

static int take_blob(struct source *s, const struct descriptor *d, struct error *err)
{
	char path[16 + DIGEST_HEX];
	struct descriptor got;

	snprintf(path, sizeof(path), "blobs/sha256/%s", d->hex);
	return source_blob(s, path, d, d->size, &got, err);
}

static int list_blob(struct layout_image *i, const char *hex, uint64_t size, struct error *err)
{
	i->blob_bytes += size;
	return strv_addf(&i->blobs, "sha256:%s", hex) < 0 ? error_nomem(err) : 0;
}

static int use_config(struct layout_image *i, struct source *s, const char *arch, struct error *err)
{
	struct buf text = BUF_INIT(CONFIG_MAX);
	int r = store_blob_read(&s->fetch->store, i->manifest.config.hex, &text, err);

	if (r == 0)
		r = image_config_parse(buf_data(&text), buf_len(&text), arch, i->manifest.n, &i->config, err);
	buf_fini(&text);
	return r;
}

int layout_use_manifest(struct layout_image *i, struct source *s, const char *arch, const char *hex,
			const struct buf *text, struct error *err)
{
	int r = list_blob(i, hex, buf_len(text), err);
	size_t k;

	if (r == 0)
		r = manifest_parse(buf_data(text), buf_len(text), &i->manifest, err);
	if (r == 0)
		r = take_blob(s, &i->manifest.config, err);
	/* Before the layers: most of what can be wrong with an image is known by then. */
	if (r == 0)
		r = use_config(i, s, arch, err);
	for (k = 0; r == 0 && k < i->manifest.n; k++)
		r = take_blob(s, &i->manifest.layers[k], err);
	memcpy(i->manifest_hex, hex, DIGEST_HEX + 1);
	return r;
}

/* Follows a descriptor through indexes to the manifest for this platform. */
static int use_descriptor(struct layout_image *i, struct source *s, const char *arch, struct descriptor d,
			  struct error *err)
{
	unsigned depth;

	for (depth = 0; depth < MANIFEST_DEPTH_MAX; depth++) {
		auto_buf struct buf text = BUF_INIT(MANIFEST_MAX);
		enum manifest_kind kind;
		int r = take_blob(s, &d, err);

		if (r == 0)
			r = store_blob_read(&s->fetch->store, d.hex, &text, err);
		if (r == 0)
			r = manifest_kind(buf_data(&text), buf_len(&text), &kind, err);
		if (r < 0)
			return r;
		if (kind == MANIFEST_IMAGE)
			return layout_use_manifest(i, s, arch, d.hex, &text, err);
		r = list_blob(i, d.hex, d.size, err);
		if (r == 0)
			r = index_choose(buf_data(&text), buf_len(&text), arch, &d, err);
		if (r < 0)
			return r;
	}
	return error_set(err, -ELOOP, "too many indexes within each other");
}

/* --- index.json ------------------------------------------------------------------------------------- */

/* Writes the normalised name to out if text is a whole reference. A bare word is not taken for one: tools write
 * just the tag there. */
static bool take_name(const char *text, char out[IMAGE_REF_MAX + 1])
{
	struct image_ref ref;

	if (!strpbrk(text, "/:@") || image_ref_parse(text, &ref, NULL) < 0)
		return false;
	image_ref_format(&ref, out);
	return true;
}

/* Appends the entry if it is for this platform: 0 or -errno. */
static int consider(struct candidate *list, size_t *n, const json_t *entry, const char *arch, struct error *err)
{
	struct candidate c = { .score = 0 };
	bool bad = !json_is_object(entry);
	json_t *notes = json_get_obj(entry, "annotations", &bad), *plat = json_get_obj(entry, "platform", &bad);
	const char *digest = json_get_str(entry, "digest", "", &bad), *hex = digest_hex(digest);
	const char *architecture = json_get_str(plat, "architecture", "", &bad);
	size_t i;

	if (!manifest_type_known(json_get_str(entry, "mediaType", "", &bad)))
		return 0;
	c.desc.size = json_get_u64(entry, "size", 0, &bad);
	if (bad || !hex || c.desc.size == 0 || c.desc.size > MANIFEST_MAX)
		return error_set(err, -EBADMSG, "malformed index.json");
	memcpy(c.desc.hex, hex, DIGEST_HEX + 1);
	if (architecture[0]) {
		c.score = platform_score(arch, json_get_str(plat, "os", "linux", &bad), architecture,
					 json_get_str(plat, "variant", "", &bad));
		if (c.score == 0)
			return 0;
	}
	if (!take_name(json_get_str(notes, "io.containerd.image.name", "", &bad), c.name))
		take_name(json_get_str(notes, "org.opencontainers.image.ref.name", "", &bad), c.name);
	/* Two platforms of one image side by side: the better one. */
	for (i = 0; i < *n; i++)
		if (c.score && list[i].score && str_eq(c.name, list[i].name)) {
			if (c.score > list[i].score)
				list[i] = c;
			return 0;
		}
	if (*n >= CANDIDATES_MAX)
		return error_set(err, -E2BIG, "more than %d images at once", CANDIDATES_MAX);
	list[(*n)++] = c;
	return 0;
}

/* Fills list from index.json: their number or -errno. */
static int read_index(struct candidate *list, struct source *s, const char *arch, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(MANIFEST_MAX);
	auto_json json_t *j = NULL;
	json_t *entries, *entry;
	struct descriptor none;
	bool bad = false;
	size_t i, n = 0;
	int r = source_read(s, "index.json", &text, err);

	if (r < 0)
		return r;
	j = json_parse(buf_data(&text), buf_len(&text), "index.json", err);
	if (!j)
		return -EBADMSG;
	entries = json_get_list(j, "manifests", &bad);
	if (bad || !entries)
		return error_set(err, -EBADMSG, "malformed index.json");
	json_array_foreach(entries, i, entry) {
		r = consider(list, &n, entry, arch, err);
		if (r < 0)
			return r;
	}
	if (n)
		return (int)n;
	r = index_choose(buf_data(&text), buf_len(&text), arch, &none, err); /* says what there is */
	return r < 0 ? r : error_set(err, -ENOENT, "index.json lists no image for linux/%s", arch);
}

/* Newer `docker save` writes both forms, and the names of some only in manifest.json: the first name that
 * it has for this configuration, or NULL; owned. */
static char *docker_name(struct source *s, const char *config_hex)
{
	auto_buf struct buf text = BUF_INIT(MANIFEST_MAX);
	auto_json json_t *j = NULL;
	char wanted[16 + DIGEST_HEX], name[IMAGE_REF_MAX + 1];
	json_t *entry;
	size_t i;

	if (source_read(s, "manifest.json", &text, NULL) < 0)
		return NULL;
	snprintf(wanted, sizeof(wanted), "blobs/sha256/%s", config_hex);
	j = json_parse(buf_data(&text), buf_len(&text), "manifest.json", NULL);
	json_array_foreach(j, i, entry) {
		bool bad = false;
		const char *config = json_get_str(entry, "Config", "", &bad);
		const char *tag = json_string_value(json_array_get(json_get_list(entry, "RepoTags", &bad), 0));

		if (!bad && tag && str_eq(config, wanted) && take_name(tag, name))
			return strdup(name);
	}
	return NULL;
}

static int name_image(struct layout_image *i, struct source *s, const char *found, struct error *err)
{
	if (found[0])
		i->reference = strdup(found);
	else
		i->reference = docker_name(s, i->manifest.config.hex);
	if (!i->reference && asprintf(&i->reference, "sha256:%s", i->manifest_hex) < 0)
		i->reference = NULL;
	return i->reference ? 0 : error_nomem(err);
}

/* Adds the candidate's image. */
static int use_candidate(struct layout *l, struct source *s, const char *arch, const struct candidate *c,
			 struct error *err)
{
	struct layout_image *i = layout_add(l, err);
	int r = i ? use_descriptor(i, s, arch, c->desc, err) : -ENOMEM;

	if (r == 0)
		return name_image(i, s, c->name, err);
	return c->name[0] ? error_prefix(err, "%s", c->name) : error_prefix(err, "sha256:%.12s", c->desc.hex);
}

/* Is this the failure of something that may stand beside the images: for another platform, or a signature? */
static bool is_aside(int code)
{
	return code == -ENOENT || code == -EMEDIUMTYPE;
}

static int oci_read(struct layout *l, struct source *s, const char *arch, struct error *err)
{
	struct candidate *list = calloc(CANDIDATES_MAX, sizeof(*list));
	struct error why = { 0 };
	int k, n, r;

	if (!list)
		return error_nomem(err);
	n = r = read_index(list, s, arch, err);
	for (k = 0; k < n && r >= 0; k++) {
		r = use_candidate(l, s, arch, &list[k], &why);
		if (!is_aside(r))
			continue;
		log_info("left out: %s", why.text);
		image_fini(&l->images[--l->n]);
		r = 0;
	}
	free(list);
	/* With nothing left, the last reason is as good as any. */
	if (why.code && (r < 0 || l->n == 0))
		return error_set(err, why.code, "%s", why.text);
	return r < 0 ? r : 0;
}

int layout_read(struct layout *l, struct source *s, const char *arch, const char *name, struct error *err)
{
	int r;

	*l = (struct layout){ 0 };
	if (source_has(s, "index.json"))
		r = oci_read(l, s, arch, err);
	else if (source_has(s, "manifest.json"))
		r = docker_save_read(l, s, arch, err);
	else
		r = error_set(err, -EINVAL, "neither an OCI layout (it has no index.json) nor an archive of "
					    "`docker save` (it has no manifest.json)");
	if (r == 0 && name && l->n > 1)
		r = error_set(err, -EINVAL, "it holds %zu images, so none of them can be given the name %s", l->n, name);
	if (r == 0 && name) {
		free(l->images[0].reference);
		l->images[0].reference = strdup(name);
		r = l->images[0].reference ? 0 : error_nomem(err);
	}
	if (r < 0)
		layout_fini(l);
	return r;
}
