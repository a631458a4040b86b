#include "image/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/log.h"
#include "image/assembly.h"
#include "image/heap.h"
#include "image/layout.h"

#define FD_SOURCE 5

/* First all blobs of all images are brought into the store, then the images are assembled one by one. */
struct load {
	struct fetch *fetch;
	struct source source;
	struct layout layout;
	size_t at; /* image being assembled */
	struct assembly assembly;
};

static int assemble_next(struct load *l, struct error *err);

static void assembly_done(struct assembly *a, const struct error *err)
{
	struct load *l = container_of(a, struct load, assembly);
	struct error e = { 0 };

	if (err) {
		fetch_end(l->fetch, err);
		return;
	}
	assembly_fini(a);
	l->at++;
	if (assemble_next(l, &e) < 0)
		fetch_end(l->fetch, &e);
}

/* Begins with image l->at, or ends. An image whose root file system exists is complete at once, and
 * assembly_layer() then comes back in here for the next: no deeper than IMAGE_LIST_MAX. */
static int assemble_next(struct load *l, struct error *err)
{
	struct assembly *a = &l->assembly;
	struct layout_image *i;
	size_t at = l->at, k, n;
	int r;

	if (at == l->layout.n) {
		fetch_end(l->fetch, NULL);
		return 0;
	}
	i = &l->layout.images[at];
	*a = ASSEMBLY_INIT;
	a->fetch = l->fetch;
	a->on_done = assembly_done;
	a->reference = take_ptr(&i->reference);
	memcpy(a->manifest_hex, i->manifest_hex, sizeof(a->manifest_hex));
	a->manifest = i->manifest;
	i->manifest = (struct manifest){ 0 };
	a->config = i->config;
	i->config = (struct image_config){ 0 };
	a->blobs = i->blobs;
	i->blobs = STRV_INIT(IMAGE_BLOBS_MAX);
	a->blob_bytes = i->blob_bytes;
	r = assembly_start(a, err);
	n = a->manifest.n;
	for (k = 0; r == 0 && k < n && l->at == at && !l->fetch->ended; k++)
		assembly_layer(a, k);
	return r;
}

static void load_abandon(struct fetch *f)
{
	struct load *l = f->op;

	assembly_abandon(&l->assembly);
	source_close(&l->source);
}

static void load_free(struct fetch *f)
{
	struct load *l = f->op;

	source_close(&l->source);
	layout_fini(&l->layout);
	assembly_fini(&l->assembly);
	free(l);
	f->op = NULL;
}

/* The name to give, normalised; *ret stays NULL when none was asked for. */
static int wanted_name(const struct fetch *f, char **ret, struct error *err)
{
	char text[IMAGE_REF_MAX + 1];
	struct image_ref ref;
	int r;

	if (!f->req.reference)
		return 0;
	r = image_ref_parse(f->req.reference, &ref, err);
	if (r < 0)
		return r;
	image_ref_format(&ref, text);
	*ret = strdup(text);
	return *ret ? 0 : error_nomem(err);
}

int load_start(struct fetch *f, struct error *err)
{
	struct image_progress progress = { .phase = IMAGE_RESOLVING };
	const char *arch = f->req.architecture ? f->req.architecture : "amd64";
	struct load *l = calloc(1, sizeof(*l));
	auto_free char *name = NULL;
	uint64_t told = 0;
	int r;

	if (!l)
		return error_nomem(err);
	l->fetch = f;
	l->source = SOURCE_NONE;
	l->assembly = ASSEMBLY_INIT;
	f->op = l;
	f->abandon = load_abandon;
	f->finish = load_free;
	fetch_progress(f, &progress, &told);
	r = heap_limit(LOAD_HEAP_MAX, err);
	if (r == 0)
		r = wanted_name(f, &name, err);
	if (r == 0)
		r = source_open(&l->source, f, FD_SOURCE, err);
	if (r == 0)
		r = layout_read(&l->layout, &l->source, arch, name, err);
	if (r < 0)
		return r;
	source_close(&l->source); /* all that the images need is in the store */
	return assemble_next(l, err);
}
