#include "box/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/io.h"
#include "box/dockercfg.h"
#include "box/events.h"
#include "lib/lib.h"

#define CONFIG_MAX MIB

struct report {
	const struct boxlite_pull_options *o;
	struct home *home;
	const char *action; /* "pull", "load" */
};

static void describe(const struct db_image *i, struct boxlite_image_info *out)
{
	*out = (struct boxlite_image_info){
		.reference = i->reference,
		.digest = i->manifest,
		.config_digest = i->config,
		.created_at = i->created_at,
		.pulled_at = i->pulled_at,
		.bytes = i->rootfs_bytes + i->blob_bytes,
		.config = i->config_json,
	};
}

static int on_progress(const struct image_progress *p, void *ud)
{
	const struct report *rep = ud;
	struct boxlite_progress out = {
		.phase = (int)p->phase,
		.item = p->item,
		.items = p->items,
		.digest = p->digest,
		.done = p->done,
		.total = p->total,
	};

	return rep->o->progress ? rep->o->progress(&out, rep->o->ud) : 0;
}

static void on_added(const struct db_image *i, void *ud)
{
	const struct report *rep = ud;
	struct boxlite_image_info info;

	events_say(rep->home, &(struct event){ .type = "image", .action = rep->action, .id = i->reference,
					       .status = EVENT_NO_STATUS });
	describe(i, &info);
	if (rep->o->image)
		rep->o->image(&info, rep->o->ud);
}

/* home/config.json: {"registries": {"localhost:5000": {"plain_http": true}}}. */
static int configured_plain_http(struct home *h, const char *registry, bool *ret, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(CONFIG_MAX);
	auto_json json_t *j = NULL;
	bool bad = false;
	int r = io_read_file_at(h->fd, "config.json", &text);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_code(err, r, "cannot read %s/config.json", h->path);
	j = json_parse(buf_data(&text), buf_len(&text), "config.json", err);
	if (!j)
		return -EBADMSG;
	*ret |= json_get_bool(json_get_obj(json_get_obj(j, "registries", &bad), registry, &bad), "plain_http", false,
			      &bad);
	return bad ? error_set(err, -EBADMSG, "%s/config.json: 'registries' is malformed", h->path) : 0;
}

/* $BOXLITE_PLAIN_HTTP: registries, separated by commas. */
static bool environment_plain_http(const char *registry)
{
	const char *list = getenv("BOXLITE_PLAIN_HTTP");
	size_t n = strlen(registry);

	while (list && *list) {
		if (!strncasecmp(list, registry, n) && (list[n] == ',' || list[n] == 0))
			return true;
		list = strchr(list, ',');
		if (list)
			list++;
	}
	return false;
}

static int copy(const char *text, char **ret, struct error *err)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? error_nomem(err) : 0;
}

static int fill_credentials(struct image_request *q, const struct image_ref *ref,
			    const struct boxlite_pull_options *o, struct error *err)
{
	struct credentials c = { 0 };
	int r;

	if (o->username) {
		r = copy(o->username, &q->username, err);
		return r < 0 ? r : copy(o->password ? o->password : "", &q->password, err);
	}
	r = dockercfg_find(image_ref_config_key(ref), &c, err);
	q->username = c.username;
	q->password = c.password;
	q->identity_token = c.identity_token;
	return r;
}

static int run(struct boxlite *b, struct image_request *q, int source_fd, const struct boxlite_pull_options *o,
	       struct error *err)
{
	struct report rep = { .o = o, .home = b->home, .action = q->op == IMAGE_PULL ? "pull" : "load" };
	struct image_job job = {
		.progress = on_progress,
		.added = on_added,
		.ud = &rep,
		.source_fd = source_fd,
		.cancel_fd = o->cancel_fd > 0 ? o->cancel_fd : -1,
	};

	q->parallel = o->parallel;
	q->quiet = !o->progress;
	return image_run(b->home, q, &job, err);
}

PUBLIC int boxlite_image_pull(struct boxlite *b, const char *reference, const struct boxlite_pull_options *opts,
			      struct boxlite_error *err)
{
	struct boxlite_pull_options none = BOXLITE_OPTIONS(boxlite_pull_options), o;
	struct image_request q = { .op = IMAGE_PULL };
	struct image_ref ref;
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	r = b && reference ? image_ref_parse(reference, &ref, &e) : lib_missing(&e);
	if (r == 0) {
		q.plain_http = o.plain_http || environment_plain_http(ref.registry);
		r = configured_plain_http(b->home, ref.registry, &q.plain_http, &e);
	}
	if (r == 0)
		r = copy(reference, &q.reference, &e);
	if (r == 0)
		r = fill_credentials(&q, &ref, &o, &e);
	if (r == 0)
		r = run(b, &q, -1, &o, &e);
	image_request_fini(&q);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC int boxlite_image_load(struct boxlite *b, int fd, const char *name,
			      const struct boxlite_pull_options *opts, struct boxlite_error *err)
{
	struct boxlite_pull_options none = BOXLITE_OPTIONS(boxlite_pull_options), o;
	struct image_request q = { .op = IMAGE_LOAD };
	struct image_ref ref;
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	r = b ? copy(name, &q.reference, &e) : lib_missing(&e);
	if (r == 0 && name)
		r = image_ref_parse(name, &ref, &e);
	if (r == 0 && fcntl(fd, F_GETFL) < 0)
		r = error_sys(&e, "cannot read an image from fd %d", fd);
	if (r == 0)
		r = run(b, &q, fd, &o, &e);
	image_request_fini(&q);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC int boxlite_image_exists(struct boxlite *b, const char *reference, struct boxlite_error *err)
{
	struct db_image i = DB_IMAGE_INIT;
	struct error e = { 0 };
	int r = b && reference ? image_find(b->home, reference, &i, &e) : lib_missing(&e);

	db_image_fini(&i);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? lib_fail(err, &e, r) : 1;
}

struct list {
	boxlite_image_fn *fn;
	void *ud;
};

static int on_image(const struct db_image *i, void *ud)
{
	const struct list *l = ud;
	struct boxlite_image_info info;

	describe(i, &info);
	return l->fn(&info, l->ud);
}

PUBLIC int boxlite_image_info(struct boxlite *b, const char *reference, boxlite_image_fn *fn, void *ud,
			      struct boxlite_error *err)
{
	struct db_image i = DB_IMAGE_INIT;
	struct list l = { .fn = fn, .ud = ud };
	struct error e = { 0 };
	int r = b && reference && fn ? image_find(b->home, reference, &i, &e) : lib_missing(&e);

	if (r < 0)
		return lib_fail(err, &e, r);
	r = on_image(&i, &l);
	db_image_fini(&i);
	return r;
}

PUBLIC int boxlite_image_list(struct boxlite *b, boxlite_image_fn *fn, void *ud, struct boxlite_error *err)
{
	struct list l = { .fn = fn, .ud = ud };
	struct error e = { 0 };
	int r = b && fn ? db_image_each(b->home->db, on_image, &l, &e) : lib_missing(&e);

	return r < 0 ? lib_fail(err, &e, r) : r;
}

PUBLIC int boxlite_image_remove(struct boxlite *b, const char *reference, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r = b && reference ? image_remove(b->home, reference, &e) : lib_missing(&e);

	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC int boxlite_image_prune(struct boxlite *b, uint64_t *freed, struct boxlite_error *err)
{
	struct error e = { 0 };
	uint64_t bytes = 0;
	int r = b ? image_prune(b->home, &bytes, &e) : lib_missing(&e);

	if (r < 0)
		return lib_fail(err, &e, r);
	if (freed)
		*freed = bytes;
	return 0;
}
