/*
 * Manifests, indexes and configurations of images, OCI's and docker's: what
 * is believed of them and what is refused. Pure functions over hostile bytes.
 */
#ifndef IMAGE_MANIFEST_H
#define IMAGE_MANIFEST_H

#include "base/base.h"
#include "base/error.h"
#include "image/digest.h"

#define MANIFEST_MAX (4 * MIB)      /* bytes of a manifest or index */
#define CONFIG_MAX (8 * MIB)        /* bytes of a configuration */
#define MANIFEST_DEPTH_MAX 4        /* indexes within indexes */
#define LAYER_MAX (1024ULL * GIB)   /* bytes of one layer: keeps every sum far from overflow */

/* Accept header for manifests. */
#define MANIFEST_ACCEPT                                            \
	"application/vnd.oci.image.index.v1+json, "                \
	"application/vnd.docker.distribution.manifest.list.v2+json, " \
	"application/vnd.oci.image.manifest.v1+json, "             \
	"application/vnd.docker.distribution.manifest.v2+json"

/* A blob as something that points to it describes it. */
struct descriptor {
	char hex[DIGEST_HEX + 1];
	uint64_t size;
};

enum manifest_kind {
	MANIFEST_IMAGE, /* config and layers */
	MANIFEST_INDEX, /* manifests for several platforms */
};

struct manifest {
	struct descriptor config;
	struct descriptor *layers; /* owned; bottom first */
	size_t n;                  /* <= IMAGE_LAYERS_MAX, may be 0 */
};

void manifest_fini(struct manifest *m);

/* Can what an index calls so be an image or an index? "" can. */
bool manifest_type_known(const char *media_type);

/* What these bytes are: 0 or -errno; refuses docker's schema 1. -EMEDIUMTYPE, also from manifest_parse(): no image but
 * something else, such as a signature. */
int manifest_kind(const void *p, size_t n, enum manifest_kind *ret, struct error *err) MUST_CHECK;

int manifest_parse(const void *p, size_t n, struct manifest *ret, struct error *err) MUST_CHECK;

/* The entry of an index for linux on this architecture ("amd64", "arm/v7"), else one that is an index itself.
 * When there is none, -ENOENT, the error says what there is. */
int index_choose(const void *p, size_t n, const char *arch, struct descriptor *ret, struct error *err) MUST_CHECK;

struct image_config {
	uint8_t (*diff_ids)[32]; /* owned; one per layer, bottom first */
	size_t n;
	char *config_json;       /* owned; the "config" object, compact; "{}" if it has none */
	char *architecture;      /* owned */
	char *os;                /* owned */
	char *created;           /* owned; "" if not said */
};

void image_config_fini(struct image_config *c);

/* Parses the configuration of an image with n_layers layers, which must be for linux on this architecture: else
 * -ENOENT. */
int image_config_parse(const void *p, size_t n, const char *arch, size_t n_layers, struct image_config *ret,
		       struct error *err) MUST_CHECK;

/* How well an image for os/architecture/variant runs where `arch` is asked for: 0 = not at all. */
int platform_score(const char *arch, const char *os, const char *architecture, const char *variant);

#endif
