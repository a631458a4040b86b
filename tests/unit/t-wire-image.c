#include <errno.h>
#include <stdlib.h>

#include "lib/tap.h"
#include "wire/image.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX64

static struct frame frame_of(struct buf *b)
{
	struct frame f = { 0 };

	ok(frame_peek(b, &f) == 1, "a whole frame");
	return f;
}

static struct frame text(uint8_t type, const char *s)
{
	return (struct frame){ .type = type, .payload = (const uint8_t *)s, .len = (uint32_t)strlen(s) };
}

static void requests(void)
{
	struct image_request q = {
		.op = IMAGE_LOAD, .reference = strdup("x"), .username = strdup("u"), .password = strdup("p\"\n"),
		.identity_token = strdup("t"), .plain_http = true, .architecture = strdup("arm64"), .parallel = 7,
		.quiet = true,
	};
	struct image_request got = { 0 };
	struct buf out = BUF_INIT(MIB);
	struct error err = { 0 };
	struct frame f;

	ok(wire_put_image_request(&out, &q) == 0, "a request is encoded");
	f = frame_of(&out);
	is_int(f.type, FRAME_IMAGE_REQUEST, "its type");
	ok(wire_get_image_request(&f, &got, &err) == 0, "and decoded");
	is_str(got.password, "p\"\n", "the password");
	is_str(got.identity_token, "t", "the token");
	is_str(got.architecture, "arm64", "the architecture");
	ok(got.op == IMAGE_LOAD && got.plain_http && got.quiet && got.parallel == 7, "the rest");
	image_request_fini(&got);
	image_request_fini(&q);
	buf_fini(&out);

	f = text(FRAME_IMAGE_REQUEST, "{\"op\":\"pull\",\"password\":\"hunter2\"}");
	ok(wire_get_image_request(&f, &got, &err) == -EBADMSG, "a pull of nothing is refused");
	ok(!strstr(err.text, "hunter2"), "the error does not quote it");
	f = text(FRAME_IMAGE_REQUEST, "{\"op\":\"pull\",\"password\":\"hunter2");
	ok(wire_get_image_request(&f, &got, &err) == -EBADMSG && !strstr(err.text, "hunter2"), "nor bad JSON");
	f = text(FRAME_IMAGE_REQUEST, "{\"op\":\"load\",\"parallel\":33}");
	ok(wire_get_image_request(&f, &got, &err) == -EBADMSG, "too parallel");
	f = text(FRAME_IMAGE_REQUEST, "[]");
	ok(wire_get_image_request(&f, &got, &err) == -EBADMSG && !got.reference, "not an object");
}

static void progress(void)
{
	static const char *const bad[] = {
		"{\"phase\":\"sleeping\"}", "{}", "", "{\"phase\":\"waiting\",\"item\":2,\"items\":1}",
		"{\"phase\":\"waiting\",\"items\":513}", "{\"phase\":\"waiting\",\"digest\":\"0123456789AB\"}",
		"{\"phase\":\"waiting\",\"digest\":\"0123456789abc\"}", "{\"phase\":\"waiting\",\"done\":-1}",
	};
	struct image_progress p = { IMAGE_CONVERTING, 2, 3, "0123456789ab", 1ULL << 40, 1ULL << 41 }, got;
	struct buf out = BUF_INIT(MIB);
	struct frame f;
	size_t i;

	ok(wire_put_image_progress(&out, &p) == 0, "progress is encoded");
	f = frame_of(&out);
	ok(wire_get_image_progress(&f, &got) == 0 && got.phase == p.phase && got.item == 2 && got.items == 3 &&
	   got.done == p.done && got.total == p.total, "and decoded");
	is_str(got.digest, p.digest, "with the digest");
	buf_fini(&out);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		f = text(FRAME_IMAGE_PROGRESS, bad[i]);
		ok(wire_get_image_progress(&f, &got) == -EBADMSG, "refused: %s", bad[i]);
	}
}

static struct image_info sample(void)
{
	struct image_info i = IMAGE_INFO_INIT;

	i.reference = strdup("docker.io/library/x:latest");
	i.manifest_digest = strdup(DIGEST);
	i.config_digest = strdup(DIGEST);
	i.rootfs = strdup(HEX64 ".erofs");
	i.rootfs_bytes = 4096;
	i.blob_bytes = 77;
	i.config_json = strdup("{\"Env\":[\"A=b\"]}");
	i.architecture = strdup("amd64");
	i.os = strdup("linux");
	i.created = strdup("");
	ok(strv_add(&i.blobs, DIGEST) == 0, "a blob");
	return i;
}

/* Decodes a result of one image of which one member is replaced by text of the same kind. */
static int with(char **member, const char *value, struct image_info *i, struct image_result *r)
{
	struct buf out = BUF_INIT(MIB);
	struct image_result got = { 0 };
	char *old = *member;
	struct frame f;
	int status;

	*member = strdup(value);
	r->images = i;
	r->n = 1;
	ok(wire_put_image_done(&out, r) == 0, "a result with \"%s\"", value);
	f = frame_of(&out);
	status = wire_get_image_done(&f, &got, NULL);
	image_result_fini(&got);
	buf_fini(&out);
	free(*member);
	*member = old;
	return status;
}

static void results(void)
{
	struct image_info i = sample(), copy = sample();
	struct image_result r = { 0 }, got = { 0 }, odd;
	struct buf out = BUF_INIT(MIB);
	struct frame f;

	is_int(with(&i.rootfs, "../" HEX64 ".erofs", &i, &odd), -EBADMSG, "a path as root file system");
	is_int(with(&i.rootfs, "x", &i, &odd), -EBADMSG, "a short one");
	is_int(with(&i.manifest_digest, "sha256:0", &i, &odd), -EBADMSG, "a short digest");
	is_int(with(&i.reference, "x", &i, &odd), -EBADMSG, "a name not normalised");
	is_int(with(&i.reference, DIGEST, &i, &odd), 0, "a digest for a name");
	is_int(with(&i.config_json, "{}", &i, &odd), 0, "an empty configuration");
	is_int(with(&i.blobs.v[0], "sha256:../../x", &i, &odd), -EBADMSG, "a path as blob");

	ok(image_result_add(&r, &i) == 0 && !i.reference && image_result_add(&r, &copy) == 0, "two images");
	ok(wire_put_image_done(&out, &r) == 0, "are encoded");
	f = frame_of(&out);
	ok(wire_get_image_done(&f, &got, NULL) == 0 && got.n == 2, "and decoded");
	is_str(got.images[1].config_json, "{\"Env\":[\"A=b\"]}", "the configuration as it was");
	is_str(got.images[1].blobs.v[0], DIGEST, "the blobs");
	ok(got.images[0].rootfs_bytes == 4096 && got.images[0].blob_bytes == 77, "the sizes");
	image_result_fini(&got);
	image_result_fini(&r);
	buf_fini(&out);
	f = text(FRAME_IMAGE_DONE, "{\"images\":[]}");
	is_int(wire_get_image_done(&f, &got, NULL), -EBADMSG, "no image at all is no success");
}

static void failures(void)
{
	static const char *const bad[] = {
		"", "[]", "{\"error\":\"x\"}", "{\"errno\":0,\"error\":\"x\"}", "{\"errno\":-2,\"error\":\"x\"}",
		"{\"errno\":4096,\"error\":\"x\"}", "{\"errno\":2,\"error\":2}",
	};
	struct error e = { .code = -ENOSPC, .text = "no room for \xff" }, got = { 0 };
	struct buf out = BUF_INIT(MIB);
	struct frame f;
	size_t i;

	ok(wire_put_image_failed(&out, &e) == 0, "a failure is encoded, whatever its text");
	f = frame_of(&out);
	is_int(f.type, FRAME_IMAGE_FAILED, "its type");
	is_int(wire_get_image_failed(&f, &got), 0, "and decoded");
	is_int(got.code, -ENOSPC, "with its code");
	is_str(got.text, "no room for ?", "and text");
	buf_fini(&out);
	f = text(FRAME_IMAGE_FAILED, "{\"errno\":2,\"error\":\"a\\u001b[2J\\nb\"}");
	ok(wire_get_image_failed(&f, &got) == 0 && got.code == -ENOENT, "another");
	is_str(got.text, "a?[2J?b", "which is safe to print");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		f = text(FRAME_IMAGE_FAILED, bad[i]);
		got = (struct error){ .code = 1 };
		ok(wire_get_image_failed(&f, &got) == -EBADMSG && got.code == 1, "refused: %s", bad[i]);
	}
}

int main(void)
{
	failures();
	requests();
	progress();
	results();
	return tap_done();
}
