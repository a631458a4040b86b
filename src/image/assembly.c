#include "image/assembly.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/log.h"

/* What the rootfs file of given layers depends on besides them. Raise it when the writer's output changes
 * in a way that matters to a box; old files then stay with the images that use them. */
#define ROOTFS_GENERATION "boxlite rootfs 1\n"

static void finish(struct assembly *a, const struct error *err)
{
	a->on_done(a, err);
}

/* --- the result ----------------------------------------------------------------------------------- */

static bool is_listed(const struct strv *s, const char *text)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (str_eq(s->v[i], text))
			return true;
	return false;
}

static int add_blob(struct assembly *a, const struct descriptor *d)
{
	char text[8 + DIGEST_HEX];

	snprintf(text, sizeof(text), "sha256:%s", d->hex);
	if (is_listed(&a->blobs, text))
		return 0;
	a->blob_bytes += d->size;
	return strv_add(&a->blobs, text);
}

static char *prefixed(const char *hex)
{
	char *s = NULL;

	return asprintf(&s, "sha256:%s", hex) < 0 ? NULL : s;
}

/* Moves what the assembly owns into the result. */
static int add_result(struct assembly *a, struct error *err)
{
	struct image_info info = IMAGE_INFO_INIT;
	struct stat st;
	int r = add_blob(a, &a->manifest.config);
	size_t i;

	for (i = 0; r == 0 && i < a->manifest.n; i++)
		r = add_blob(a, &a->manifest.layers[i]);
	if (r < 0)
		return error_code(err, r, "cannot list the image's blobs");
	if (fstatat(a->fetch->store.rootfs, a->file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "the root file system has vanished");
	info.reference = take_ptr(&a->reference);
	info.manifest_digest = prefixed(a->manifest_hex);
	info.config_digest = prefixed(a->manifest.config.hex);
	info.rootfs = strdup(a->file);
	info.rootfs_bytes = (uint64_t)st.st_size;
	info.blob_bytes = a->blob_bytes;
	info.blobs = a->blobs;
	a->blobs = STRV_INIT(IMAGE_BLOBS_MAX);
	info.config_json = take_ptr(&a->config.config_json);
	info.architecture = take_ptr(&a->config.architecture);
	info.os = take_ptr(&a->config.os);
	info.created = take_ptr(&a->config.created);
	r = info.manifest_digest && info.config_digest && info.rootfs ? 0 : -ENOMEM;
	if (r == 0)
		r = image_result_add(&a->fetch->result, &info);
	image_info_fini(&info);
	return r < 0 ? error_code(err, r, "cannot report the image") : 0;
}

/* Ends if all is there. */
static void check_complete(struct assembly *a)
{
	struct error err = { 0 };

	if (!a->built || a->n_present < a->manifest.n)
		return;
	add_result(a, &err);
	finish(a, err.code ? &err : NULL);
}

/* --- converting --------------------------------------------------------------------------------- */

static void stop_watching(struct assembly *a)
{
	loop_remove(&a->fetch->loop, &a->watch);
}

/* Gives the converter all layers that are there, up to the first that is not. */
static int feed(struct assembly *a, struct error *err)
{
	while (a->fed < a->manifest.n && a->present[a->fed]) {
		auto_fd int fd = store_blob_open(&a->fetch->store, a->manifest.layers[a->fed].hex, err);
		int r;

		if (fd < 0)
			return fd;
		r = convert_layer(&a->convert, fd, a->config.diff_ids[a->fed], err);
		if (r < 0)
			return r;
		a->fed++;
	}
	return a->fed == a->manifest.n && !a->convert.ended ? convert_end(&a->convert, err) : 0;
}

static void tell(struct assembly *a, enum image_phase phase, uint32_t layer, uint64_t done)
{
	struct image_progress p = { .phase = phase, .items = (uint32_t)a->manifest.n };

	if (phase == IMAGE_CONVERTING) {
		p.item = layer + 1;
		p.done = done;
		p.total = a->manifest.layers[layer].size;
		fetch_short(p.digest, a->manifest.layers[layer].hex);
	}
	if (a->told_layer != layer)
		a->told_ms = 0;
	a->told_layer = layer;
	fetch_progress(a->fetch, &p, &a->told_ms);
}

static int publish_run(struct work *w)
{
	struct assembly *a = container_of(w, struct assembly, work);

	struct claim *c = &a->claim;
	int r = claim_publish(c);

	/* No one may change it again, not even this user by accident: boxes map it. Not before it is published:
	 * another process that waits for the claim opens the file for writing. */
	return r == 0 && fchmodat(c->final_dir, c->final, 0400, 0) < 0 ? -errno : r;
}

static void publish_done(struct work *w, int result)
{
	struct assembly *a = container_of(w, struct assembly, work);
	struct error err = { 0 };

	a->in_thread = false;
	if (result < 0) {
		store_write_error(&a->fetch->store, result, &err);
		finish(a, &err);
		return;
	}
	a->built = true;
	check_complete(a);
}

static int start_work(struct assembly *a, int (*run)(struct work *), void (*done)(struct work *, int),
		      struct error *err)
{
	int r;

	a->in_thread = true;
	r = work_start(&a->work, &a->fetch->loop, run, done);
	if (r == 0)
		return 0;
	a->in_thread = false;
	return error_code(err, r, "cannot start a thread");
}

/* The converter has said that the image is complete. */
static void converted(struct assembly *a)
{
	struct error err = { 0 };
	int r;

	stop_watching(a);
	a->converting = false;
	r = convert_finish(&a->convert, &err);
	if (r == 0)
		r = start_work(a, publish_run, publish_done, &err);
	if (r < 0)
		finish(a, &err);
}

static void on_convert(struct watch *w, uint32_t events)
{
	struct assembly *a = container_of(w, struct assembly, watch);
	struct convert_event e;
	struct error err = { 0 };
	int r;

	(void)events;
	while ((r = convert_event(&a->convert, &e, &err)) > 0) {
		if (e.kind == CONVERT_FINISHED) {
			converted(a);
			return;
		}
		if (e.layer < a->manifest.n)
			tell(a, IMAGE_CONVERTING, e.layer, e.consumed);
	}
	if (r == 0)
		return;
	stop_watching(a);
	if (r == -ENOSPC || r == -EDQUOT)
		store_write_error(&a->fetch->store, r, &err);
	finish(a, &err);
}

/* With the claim held: whatever a killed process left in the file is of no use. */
static int start_converter(struct assembly *a, struct error *err)
{
	int r;

	if (ftruncate(a->claim.fd, 0) < 0)
		return error_sys(err, "cannot truncate the root file system");
	r = convert_start(&a->convert, "/proc/self/exe", a->claim.fd, a->fetch->store.tmp, err);
	if (r < 0)
		return r;
	a->converting = true;
	r = loop_add(&a->fetch->loop, &a->watch, convert_fd(&a->convert), EPOLLIN, on_convert);
	return r < 0 ? error_code(err, r, "epoll") : feed(a, err);
}

/* --- beginning ---------------------------------------------------------------------------------- */

static int name_file(struct assembly *a)
{
	struct digest d = { 0 };
	char hex[DIGEST_HEX + 1];
	int r = digest_begin(&d);

	if (r == 0) {
		digest_add(&d, ROOTFS_GENERATION, strlen(ROOTFS_GENERATION));
		digest_add(&d, a->config.diff_ids, a->config.n * sizeof(*a->config.diff_ids));
		digest_end(&d, hex);
		snprintf(a->file, sizeof(a->file), "%s.erofs", hex);
	}
	digest_fini(&d);
	return r;
}

/* Acts on what became of the claim; may end the assembly. */
static int claimed(struct assembly *a, int state, struct error *err)
{
	if (state < 0)
		return store_write_error(&a->fetch->store, state, err);
	if (state == CLAIM_HELD)
		return start_converter(a, err);
	log_info("root file system %.12s is there already", a->file);
	a->built = true;
	check_complete(a);
	return 0;
}

static int wait_run(struct work *w)
{
	struct assembly *a = container_of(w, struct assembly, work);

	return claim_wait(&a->claim);
}

static void wait_done(struct work *w, int result)
{
	struct assembly *a = container_of(w, struct assembly, work);
	struct error err = { 0 };

	a->in_thread = false;
	if (claimed(a, result, &err) < 0)
		finish(a, &err);
}

int assembly_start(struct assembly *a, struct error *err)
{
	int r = name_file(a);

	if (r < 0)
		return error_code(err, r, "cannot name the root file system");
	claim_rootfs(&a->claim, &a->fetch->store, a->file);
	r = claim_try(&a->claim);
	if (r != CLAIM_BUSY)
		return claimed(a, r, err); /* cannot end it: no layer is present yet */
	tell(a, IMAGE_WAITING, 0, 0);
	return start_work(a, wait_run, wait_done, err);
}

void assembly_layer(struct assembly *a, size_t i)
{
	struct error err = { 0 };

	if (a->present[i])
		return;
	a->present[i] = true;
	a->n_present++;
	if (a->converting && feed(a, &err) < 0) {
		finish(a, &err);
		return;
	}
	check_complete(a);
}

void assembly_abandon(struct assembly *a)
{
	if (a->converting)
		convert_abort(&a->convert);
	/* While a thread owns the claim it waits for somebody else's file, or publishes ours: then only the name is
	 * taken away, unless it has become the final one. */
	if (!a->in_thread || work_ended(&a->work))
		claim_drop(&a->claim, false);
	else if (a->work.run == publish_run)
		unlinkat(a->fetch->store.tmp, a->claim.name, 0);
}

void assembly_fini(struct assembly *a)
{
	free(a->reference);
	manifest_fini(&a->manifest);
	image_config_fini(&a->config);
	strv_fini(&a->blobs);
	a->reference = NULL;
}
