#include "image/pull.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "image/assembly.h"
#include "image/blob.h"

#define PARALLEL_DEFAULT 4

struct pull {
	struct fetch *fetch;
	struct image_ref ref;
	const char *arch; /* borrowed */
	struct http http;
	struct registry registry;

	/* The manifest that is being read; indexes lead from one to the next. */
	struct registry_get get;
	struct buf body;
	struct descriptor wanted; /* hex "" = whatever the tag means; size 0 = unknown */
	unsigned depth;
	char what[IMAGE_REF_MAX + 8];

	struct assembly assembly;
	struct blob_get config;
	struct blob_get *layers; /* owned; one per different layer */
	size_t n_layers, next;   /* next to begin */
	unsigned active, parallel;
};

static int read_manifest(struct pull *p, struct error *err);
static int start_layers(struct pull *p, struct error *err);

static void fail(struct pull *p, const struct error *err)
{
	fetch_end(p->fetch, err);
}

/* --- manifests ---------------------------------------------------------------------------------- */

/* The result of a parser, which does not know whose bytes it reads: names the image in the error. */
static int named(const struct pull *p, int r, struct error *err)
{
	return r < 0 ? error_prefix(err, "%s", p->assembly.reference) : r;
}

static int add_blob(struct pull *p, const char *hex, uint64_t size, struct error *err)
{
	p->assembly.blob_bytes += size;
	return strv_addf(&p->assembly.blobs, "sha256:%s", hex) < 0 ? error_nomem(err) : 0;
}

static void config_done(struct blob_get *b, const struct error *err)
{
	struct pull *p = container_of(b, struct pull, config);
	struct error e = { 0 };

	if (err)
		fail(p, err);
	else if (start_layers(p, &e) < 0)
		fail(p, &e);
}

static int start_config(struct pull *p, struct error *err)
{
	struct blob_get *b = &p->config;
	int r;

	b->fetch = p->fetch;
	b->registry = &p->registry;
	b->desc = p->assembly.manifest.config;
	b->on_done = config_done;
	snprintf(b->what, sizeof(b->what), "configuration %.12s", b->desc.hex);
	r = blob_start(b, err);
	return r == 1 ? start_layers(p, err) : r;
}

/* Takes the verified manifest or index in p->body, which is known by `hex`. */
static int use_manifest(struct pull *p, const char *hex, struct error *err)
{
	const void *text = buf_data(&p->body);
	size_t n = buf_len(&p->body);
	enum manifest_kind kind;
	int r = named(p, manifest_kind(text, n, &kind, err), err);

	if (r == 0)
		r = add_blob(p, hex, n, err);
	if (r == 0 && kind == MANIFEST_INDEX) {
		if (++p->depth >= MANIFEST_DEPTH_MAX)
			return error_set(err, -ELOOP, "%s: too many indexes within each other", p->what);
		r = named(p, index_choose(text, n, p->arch, &p->wanted, err), err);
		return r < 0 ? r : read_manifest(p, err);
	}
	if (r == 0)
		r = named(p, manifest_parse(text, n, &p->assembly.manifest, err), err);
	if (r < 0)
		return r;
	memcpy(p->assembly.manifest_hex, hex, DIGEST_HEX + 1);
	return start_config(p, err);
}

/* The manifest in p->body came from the network: verifies and keeps it. */
static int accept_manifest(struct pull *p, struct error *err)
{
	const void *text = buf_data(&p->body);
	size_t n = buf_len(&p->body);
	char hex[DIGEST_HEX + 1];
	enum manifest_kind kind;
	int r = digest_of(text, n, hex);

	if (r < 0)
		return error_nomem(err);
	if (p->wanted.hex[0] && memcmp(hex, p->wanted.hex, DIGEST_HEX) != 0)
		return error_set(err, -EBADMSG, "%s: the registry sent other content than sha256:%.12s (got %.12s)",
				 p->what, p->wanted.hex, hex);
	if (p->wanted.size && p->wanted.size != n)
		return error_set(err, -EBADMSG, "%s: the index says %llu bytes, the manifest has %zu", p->what,
				 (unsigned long long)p->wanted.size, n);
	r = named(p, manifest_kind(text, n, &kind, err), err);
	if (r == 0)
		r = store_blob_write(&p->fetch->store, hex, text, n, err);
	return r < 0 ? r : use_manifest(p, hex, err);
}

static int manifest_restart(struct registry_get *get, struct error *err)
{
	struct pull *p = container_of(get, struct pull, get);

	(void)err;
	buf_fini(&p->body);
	return 0;
}

static int manifest_data(struct registry_get *get, const void *bytes, size_t n, struct error *err)
{
	struct pull *p = container_of(get, struct pull, get);
	int r = buf_append(&p->body, bytes, n);

	return r == -ENOBUFS ? error_set(err, -EFBIG, "%s: the manifest is larger than %llu bytes", p->what,
					 MANIFEST_MAX) : r;
}

static void manifest_done(struct registry_get *get, const struct error *err)
{
	struct pull *p = container_of(get, struct pull, get);
	struct error e = { 0 };

	if (err)
		fail(p, err);
	else if (accept_manifest(p, &e) < 0)
		fail(p, &e);
}

/* Reads p->wanted from the store if it is there, else from the registry. */
static int read_manifest(struct pull *p, struct error *err)
{
	struct registry_get *g = &p->get;
	uint64_t size;
	int r;

	buf_fini(&p->body);
	if (p->wanted.hex[0] && store_blob_size(&p->fetch->store, p->wanted.hex, &size) == 0) {
		char hex[DIGEST_HEX + 1];

		memcpy(hex, p->wanted.hex, sizeof(hex));
		r = store_blob_read(&p->fetch->store, hex, &p->body, err);
		return r < 0 ? r : use_manifest(p, hex, err);
	}
	g->accept = MANIFEST_ACCEPT;
	g->brief = true;
	g->what = p->what;
	g->size = p->wanted.size;
	g->offset = 0;
	g->on_restart = manifest_restart;
	g->on_data = manifest_data;
	g->on_done = manifest_done;
	if (p->wanted.hex[0])
		snprintf(g->path, sizeof(g->path), "manifests/sha256:%s", p->wanted.hex);
	else
		snprintf(g->path, sizeof(g->path), "manifests/%s", p->ref.tag);
	return registry_start(&p->registry, g, err);
}

/* --- layers ------------------------------------------------------------------------------------- */

/* Every layer of the image with this content is there. */
static void layer_present(struct pull *p, const struct blob_get *b)
{
	struct manifest *m = &p->assembly.manifest;
	size_t i;

	for (i = 0; i < m->n; i++)
		if (str_eq(m->layers[i].hex, b->desc.hex))
			assembly_layer(&p->assembly, i);
}

/* Begins downloads up to the limit. */
static int start_more(struct pull *p, struct error *err)
{
	while (p->active < p->parallel && p->next < p->n_layers && !p->fetch->ended) {
		struct blob_get *b = &p->layers[p->next++];
		int r = blob_start(b, err);

		if (r < 0)
			return r;
		if (r == 1)
			layer_present(p, b);
		else
			p->active++;
	}
	return 0;
}

static void layer_done(struct blob_get *b, const struct error *err)
{
	struct pull *p = b->owner;
	struct error e = { 0 };

	p->active--;
	if (err) {
		fail(p, err);
		return;
	}
	layer_present(p, b);
	if (start_more(p, &e) < 0)
		fail(p, &e);
}

/* The download of content `d` if it is listed already. */
static struct blob_get *find_layer(struct pull *p, const struct descriptor *d)
{
	size_t i;

	for (i = 0; i < p->n_layers; i++)
		if (str_eq(p->layers[i].desc.hex, d->hex))
			return &p->layers[i];
	return NULL;
}

/* Lists the different layers to get. */
static int list_layers(struct pull *p, struct error *err)
{
	struct manifest *m = &p->assembly.manifest;
	size_t i;

	p->layers = calloc(m->n, sizeof(*p->layers));
	if (!p->layers)
		return error_nomem(err);
	for (i = 0; i < m->n; i++) {
		struct blob_get *b = find_layer(p, &m->layers[i]);

		if (b && b->desc.size != m->layers[i].size)
			return error_set(err, -EBADMSG, "%s: two sizes for layer sha256:%.12s", p->what,
					 b->desc.hex);
		if (b)
			continue;
		b = &p->layers[p->n_layers++];
		b->fetch = p->fetch;
		b->registry = &p->registry;
		b->desc = m->layers[i];
		b->owner = p;
		b->on_done = layer_done;
		b->item = (uint32_t)i + 1;
		b->items = (uint32_t)m->n;
		snprintf(b->what, sizeof(b->what), "layer %.12s", b->desc.hex);
	}
	return 0;
}

/* The configuration is in the store: begins with everything else. */
static int start_layers(struct pull *p, struct error *err)
{
	struct manifest *m = &p->assembly.manifest;
	struct buf text = BUF_INIT(CONFIG_MAX);
	int r = store_blob_read(&p->fetch->store, m->config.hex, &text, err);

	if (r == 0)
		r = named(p, image_config_parse(buf_data(&text), buf_len(&text), p->arch, m->n, &p->assembly.config,
						err), err);
	buf_fini(&text);
	if (r == 0)
		r = list_layers(p, err);
	if (r == 0)
		r = assembly_start(&p->assembly, err);
	return r < 0 ? r : start_more(p, err);
}

static void assembly_done(struct assembly *a, const struct error *err)
{
	struct pull *p = container_of(a, struct pull, assembly);

	fetch_end(p->fetch, err);
}

/* --- begin and end ------------------------------------------------------------------------------ */

static void pull_abandon(struct fetch *f)
{
	struct pull *p = f->op;
	size_t i;

	assembly_abandon(&p->assembly);
	blob_abandon(&p->config);
	for (i = 0; i < p->n_layers; i++)
		blob_abandon(&p->layers[i]);
}

static void pull_free(struct fetch *f)
{
	struct pull *p = f->op;
	size_t i;

	if (!p)
		return;
	for (i = 0; i < p->n_layers; i++)
		blob_fini(&p->layers[i]);
	free(p->layers);
	blob_fini(&p->config);
	assembly_fini(&p->assembly);
	buf_fini(&p->body);
	registry_fini(&p->registry);
	http_fini(&p->http);
	free(p);
	f->op = NULL;
}

int pull_start(struct fetch *f, struct error *err)
{
	struct image_progress progress = { .phase = IMAGE_RESOLVING };
	struct pull *p = calloc(1, sizeof(*p));
	char name[IMAGE_REF_MAX + 1];
	uint64_t told = 0;
	int r;

	if (!p)
		return error_nomem(err);
	p->fetch = f;
	p->arch = f->req.architecture ? f->req.architecture : "amd64";
	p->parallel = f->req.parallel ? f->req.parallel : PARALLEL_DEFAULT;
	p->body = BUF_INIT(MANIFEST_MAX);
	p->assembly = ASSEMBLY_INIT;
	p->assembly.fetch = f;
	p->assembly.on_done = assembly_done;
	r = image_ref_parse(f->req.reference, &p->ref, err);
	if (r == 0)
		r = http_init(&p->http, &f->loop, err);
	if (r < 0) {
		free(p);
		return r;
	}
	f->op = p;
	f->abandon = pull_abandon;
	f->finish = pull_free;
	registry_init(&p->registry, &p->http, &p->ref, &f->req);
	image_ref_format(&p->ref, name);
	p->assembly.reference = strdup(name);
	if (!p->assembly.reference)
		return error_nomem(err);
	snprintf(p->what, sizeof(p->what), "image %s", name + strlen(p->ref.registry) + 1);
	if (p->ref.digest[0])
		memcpy(p->wanted.hex, digest_hex(p->ref.digest), DIGEST_HEX + 1);
	fetch_progress(f, &progress, &told);
	log_info("pulling %s", name);
	return read_manifest(p, err);
}
