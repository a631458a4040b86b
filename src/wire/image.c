#include "wire/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

static const char *const op_names[] = { [IMAGE_PULL] = "pull", [IMAGE_LOAD] = "load" };
static const char *const phase_names[] = {
	[IMAGE_RESOLVING] = "resolving",
	[IMAGE_DOWNLOADING] = "downloading",
	[IMAGE_CONVERTING] = "converting",
	[IMAGE_WAITING] = "waiting",
};

#define ROOTFS_SUFFIX ".erofs"
#define ERRNO_MAX 4095 /* of Linux */

static void free_secret(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void image_request_fini(struct image_request *r)
{
	free(r->reference);
	free_secret(r->username);
	free_secret(r->password);
	free_secret(r->identity_token);
	free(r->architecture);
	*r = (struct image_request){ 0 };
}

void image_info_fini(struct image_info *i)
{
	free(i->reference);
	free(i->manifest_digest);
	free(i->config_digest);
	free(i->rootfs);
	strv_fini(&i->blobs);
	free(i->config_json);
	free(i->architecture);
	free(i->os);
	free(i->created);
	*i = IMAGE_INFO_INIT;
}

void image_result_fini(struct image_result *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		image_info_fini(&r->images[i]);
	free(r->images);
	*r = (struct image_result){ 0 };
}

int image_result_add(struct image_result *r, struct image_info *info)
{
	struct image_info *images;

	if (r->n >= IMAGE_LIST_MAX)
		return -E2BIG;
	images = realloc(r->images, (r->n + 1) * sizeof(*images));
	if (!images)
		return -ENOMEM;
	r->images = images;
	r->images[r->n++] = *info;
	*info = IMAGE_INFO_INIT;
	return 0;
}

/* --- encoding ------------------------------------------------------------------------------- */

int wire_put_image_request(struct buf *out, const struct image_request *r)
{
	json_t *j = json_pack("{s:s, s:b, s:I, s:b}", "op", op_names[r->op], "plain_http", r->plain_http, "parallel",
			      (json_int_t)r->parallel, "quiet", r->quiet);

	j = json_with_texts(j, "reference", r->reference, "username", r->username, "password", r->password,
			    "identity_token", r->identity_token, "architecture", r->architecture, NULL);
	return message_put(out, FRAME_IMAGE_REQUEST, 0, j);
}

int wire_put_image_progress(struct buf *out, const struct image_progress *p)
{
	return message_put(out, FRAME_IMAGE_PROGRESS, 0,
			json_pack("{s:s, s:I, s:I, s:s, s:I, s:I}", "phase", phase_names[p->phase], "item",
				  (json_int_t)p->item, "items", (json_int_t)p->items, "digest", p->digest,
				  "done", (json_int_t)p->done, "total", (json_int_t)p->total));
}

static json_t *info_to_json(const struct image_info *i)
{
	/* Travels as an object, not as text inside text: no escaping doubles its size. */
	json_t *config = json_loads(i->config_json, JSON_ALLOW_NUL, NULL);

	if (!config)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:s, s:s, s:s}", "reference", i->reference,
			 "manifest", i->manifest_digest, "config_digest", i->config_digest, "rootfs", i->rootfs,
			 "rootfs_bytes", (json_int_t)i->rootfs_bytes, "blob_bytes", (json_int_t)i->blob_bytes,
			 "blobs", json_from_strv(&i->blobs), "config", config, "architecture", i->architecture,
			 "os", i->os, "created", i->created);
}

int wire_put_image_done(struct buf *out, const struct image_result *r)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < r->n; i++)
		if (json_array_append_new(list, info_to_json(&r->images[i])) < 0) {
			json_decref(list);
			list = NULL;
		}
	return message_put(out, FRAME_IMAGE_DONE, 0, list ? json_pack("{s:o}", "images", list) : NULL);
}

int wire_put_image_failed(struct buf *out, const struct error *e)
{
	return message_put(out, FRAME_IMAGE_FAILED, 0,
			json_pack("{s:i, s:o}", "errno", -e->code, "error", message_text(e->text)));
}

/* --- decoding ------------------------------------------------------------------------------- */

/* A copy of an optional member of at most max bytes; *ret stays NULL when it is absent or *bad. */
static int copy_str(const json_t *j, const char *key, size_t max, char **ret, bool *bad)
{
	const char *s = json_get_str(j, key, NULL, bad);

	if (!s)
		return 0;
	if (strlen(s) > max) {
		*bad = true;
		return 0;
	}
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

/* Index of s in names, or -1. */
static int lookup(const char *const *names, size_t n, const char *s)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (str_eq(names[i], s))
			return (int)i;
	return -1;
}

int wire_get_image_request(const struct frame *f, struct image_request *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, NULL);
	struct image_request q = { 0 };
	bool bad = !j;
	int r, op = lookup(op_names, ARRAY_SIZE(op_names), json_get_str(j, "op", "", &bad));
	uint64_t parallel = json_get_u64(j, "parallel", 0, &bad);

	r = copy_str(j, "reference", IMAGE_REF_MAX, &q.reference, &bad);
	if (r == 0)
		r = copy_str(j, "username", IMAGE_SECRET_MAX, &q.username, &bad);
	if (r == 0)
		r = copy_str(j, "password", IMAGE_SECRET_MAX, &q.password, &bad);
	if (r == 0)
		r = copy_str(j, "identity_token", IMAGE_SECRET_MAX, &q.identity_token, &bad);
	if (r == 0)
		r = copy_str(j, "architecture", IMAGE_WORD_MAX, &q.architecture, &bad);
	q.plain_http = json_get_bool(j, "plain_http", false, &bad);
	q.quiet = json_get_bool(j, "quiet", false, &bad);
	if (r == 0 && (bad || op < 0 || parallel > IMAGE_PARALLEL_MAX || (op == IMAGE_PULL && !q.reference)))
		r = -EBADMSG;
	if (r < 0) {
		image_request_fini(&q);
		return error_set(err, r, r == -ENOMEM ? "out of memory" : "malformed image request");
	}
	q.op = (enum image_op)op;
	q.parallel = (uint32_t)parallel;
	*ret = q;
	return 0;
}

int wire_get_image_progress(const struct frame *f, struct image_progress *ret)
{
	auto_json json_t *j = message_get(f, NULL);
	struct image_progress p = { 0 };
	bool bad = !j;
	int phase = lookup(phase_names, ARRAY_SIZE(phase_names), json_get_str(j, "phase", "", &bad));
	uint64_t item = json_get_u64(j, "item", 0, &bad), items = json_get_u64(j, "items", 0, &bad);
	const char *digest = json_get_str(j, "digest", "", &bad);
	size_t n = strlen(digest);

	p.done = json_get_u64(j, "done", 0, &bad);
	p.total = json_get_u64(j, "total", 0, &bad);
	if (bad || phase < 0 || items > IMAGE_LAYERS_MAX || item > items ||
	    (n != 0 && (n != IMAGE_SHORT_DIGEST || !str_is_hex(digest, n))))
		return -EBADMSG;
	p.phase = (enum image_phase)phase;
	p.item = (uint32_t)item;
	p.items = (uint32_t)items;
	memcpy(p.digest, digest, n + 1);
	*ret = p;
	return 0;
}

static bool rootfs_valid(const char *s)
{
	char hex[65];

	if (strlen(s) != 64 + strlen(ROOTFS_SUFFIX) || !str_eq(s + 64, ROOTFS_SUFFIX))
		return false;
	memcpy(hex, s, 64);
	hex[64] = 0;
	return str_is_hex(hex, 64);
}

static bool reference_valid(const char *s)
{
	struct image_ref ref;
	char text[IMAGE_REF_MAX + 1];

	if (image_digest_valid(s))
		return true;
	if (image_ref_parse(s, &ref, NULL) < 0)
		return false;
	image_ref_format(&ref, text);
	return str_eq(s, text);
}

static bool info_valid(const struct image_info *i)
{
	size_t k;

	if (!i->reference || !i->manifest_digest || !i->config_digest || !i->rootfs || !i->config_json ||
	    !i->architecture || !i->os || !i->created)
		return false;
	for (k = 0; k < i->blobs.n; k++)
		if (!image_digest_valid(i->blobs.v[k]))
			return false;
	return reference_valid(i->reference) && image_digest_valid(i->manifest_digest) &&
	       image_digest_valid(i->config_digest) && rootfs_valid(i->rootfs);
}

/* The "config" object as text. */
static int copy_config(const json_t *j, char **ret, bool *bad)
{
	json_t *config = json_get_obj(j, "config", bad);
	char *text;

	if (!config)
		return 0;
	text = json_dumps(config, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	if (strlen(text) > IMAGE_CONFIG_TEXT_MAX) {
		*bad = true;
		free(text);
		return 0;
	}
	*ret = text;
	return 0;
}

/* Fills *i as far as it can; the caller releases it on failure. */
static int info_from_json(const json_t *j, struct image_info *i)
{
	bool bad = false;
	int r = copy_str(j, "reference", IMAGE_REF_MAX, &i->reference, &bad);

	if (r == 0)
		r = copy_str(j, "manifest", IMAGE_DIGEST_LEN, &i->manifest_digest, &bad);
	if (r == 0)
		r = copy_str(j, "config_digest", IMAGE_DIGEST_LEN, &i->config_digest, &bad);
	if (r == 0)
		r = copy_str(j, "rootfs", IMAGE_REF_MAX, &i->rootfs, &bad);
	if (r == 0)
		r = json_get_strv(j, "blobs", &i->blobs, &bad);
	if (r == 0)
		r = copy_config(j, &i->config_json, &bad);
	if (r == 0)
		r = copy_str(j, "architecture", IMAGE_WORD_MAX, &i->architecture, &bad);
	if (r == 0)
		r = copy_str(j, "os", IMAGE_WORD_MAX, &i->os, &bad);
	if (r == 0)
		r = copy_str(j, "created", IMAGE_WORD_MAX, &i->created, &bad);
	i->rootfs_bytes = json_get_u64(j, "rootfs_bytes", 0, &bad);
	i->blob_bytes = json_get_u64(j, "blob_bytes", 0, &bad);
	if (r == -ENOMEM)
		return r;
	return r < 0 || bad || !info_valid(i) ? -EBADMSG : 0;
}

int wire_get_image_done(const struct frame *f, struct image_result *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, NULL);
	struct image_result result = { 0 };
	struct image_info info = IMAGE_INFO_INIT;
	bool bad = !j;
	json_t *list = json_get_list(j, "images", &bad), *item;
	int r = bad || json_array_size(list) == 0 ? -EBADMSG : 0;
	size_t i;

	json_array_foreach(list, i, item) {
		if (r == 0)
			r = info_from_json(item, &info);
		if (r == 0)
			r = image_result_add(&result, &info);
		if (r < 0)
			break;
	}
	if (r < 0) {
		image_info_fini(&info);
		image_result_fini(&result);
		return error_set(err, r == -ENOMEM ? r : -EBADMSG,
				 r == -ENOMEM ? "out of memory" : "malformed reply of boxlite-image");
	}
	*ret = result;
	return 0;
}

int wire_get_image_failed(const struct frame *f, struct error *ret)
{
	auto_json json_t *j = message_get(f, NULL);
	bool bad = !j;
	uint64_t number = json_get_u64(j, "errno", 0, &bad);
	const char *text = json_get_str(j, "error", "", &bad);

	if (bad || number == 0 || number > ERRNO_MAX)
		return -EBADMSG;
	error_set(ret, -(int)number, "%s", text);
	return 0;
}
