/*
 * Image references as people type them, in docker's spelling:
 *
 *     [registry[:port]/]repository[:tag][@sha256:<64 hex digits>]
 *
 * "busybox" means docker.io/library/busybox:latest. The grammar and its limits
 * are those of the distribution project. Pure text; nothing is allocated.
 */
#ifndef WIRE_REF_H
#define WIRE_REF_H

#include "base/base.h"
#include "base/error.h"

#define IMAGE_NAME_MAX 255 /* registry '/' repository, bytes */
#define IMAGE_TAG_MAX 128
#define IMAGE_DIGEST_LEN 71 /* "sha256:" and 64 hex digits */
#define IMAGE_REF_MAX (IMAGE_NAME_MAX + 1 + IMAGE_TAG_MAX + 1 + IMAGE_DIGEST_LEN)

struct image_ref {
	char registry[IMAGE_NAME_MAX + 1];   /* "docker.io", "localhost:5000"; never empty */
	char repository[IMAGE_NAME_MAX + 1]; /* "library/busybox"; never empty */
	char tag[IMAGE_TAG_MAX + 1];         /* "" only when there is a digest */
	char digest[IMAGE_DIGEST_LEN + 1];   /* "sha256:..." or ""; when set it decides and the tag is a label */
};

/* Parses and normalises: 0, or -EINVAL with the reason. */
int image_ref_parse(const char *text, struct image_ref *ret, struct error *err) MUST_CHECK;

/* The one full spelling, "docker.io/library/busybox:latest"; parsing it gives the same reference.
 * Returns its length; it always fits for a reference that was parsed. */
int image_ref_format(const struct image_ref *ref, char out[IMAGE_REF_MAX + 1]);

/* host[:port] that speaks the registry protocol for this reference: "registry-1.docker.io" for docker.io. */
const char *image_ref_api_host(const struct image_ref *ref);

/* The name of this registry's entry in ~/.docker/config.json ("auths", "credHelpers"). */
const char *image_ref_config_key(const struct image_ref *ref);

/* Is this "sha256:" and 64 lower-case hex digits, and nothing more? */
bool image_digest_valid(const char *text);

#endif
