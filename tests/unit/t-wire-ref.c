#include "base/base.h"
#include "lib/tap.h"
#include "wire/ref.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The normalised spelling, or the reason prefixed by "!". */
static const char *norm(const char *text)
{
	static char out[IMAGE_REF_MAX + 1 + ERROR_TEXT_MAX];
	struct error err = { 0 };
	struct image_ref ref;

	if (image_ref_parse(text, &ref, &err) < 0)
		snprintf(out, sizeof(out), "!%s", err.text);
	else
		image_ref_format(&ref, out);
	return out;
}

static void accepts(void)
{
	static const char *const t[][2] = {
		{ "busybox", "docker.io/library/busybox:latest" },
		{ "busybox:1.36", "docker.io/library/busybox:1.36" },
		{ "foo/bar", "docker.io/foo/bar:latest" },
		{ "docker.io/busybox", "docker.io/library/busybox:latest" },
		{ "index.docker.io/foo/bar:x", "docker.io/foo/bar:x" },
		{ "localhost/x", "localhost/x:latest" },
		{ "localhost:5000/x:y", "localhost:5000/x:y" },
		{ "localhost:5000", "docker.io/library/localhost:5000" },
		{ "ghcr.io/a/b/c:v1.2-x_Y", "ghcr.io/a/b/c:v1.2-x_Y" },
		{ "Host/x", "Host/x:latest" },
		{ "[::1]:5000/x", "[::1]:5000/x:latest" },
		{ "a-b__c/e---f.g", "docker.io/a-b__c/e---f.g:latest" },
		{ "x@sha256:" HEX64, "docker.io/library/x@sha256:" HEX64 },
		{ "x:t@sha256:" HEX64, "docker.io/library/x:t@sha256:" HEX64 },
		{ "a:_", "docker.io/library/a:_" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		is_str(norm(t[i][0]), t[i][1], t[i][0]);
		is_str(norm(t[i][1]), t[i][1], "... and that again");
	}
}

static void refuses(void)
{
	static const char *const t[] = {
		"", " ", "Busybox", "a-b.c__d/e", "a//b", "/a", "a/", "-a", "a-", "a..b", "a___b", "a_-b", "a:", "a:.x", "a:-x",
		"a:b:c", "a@sha256:12", "a@sha512:" HEX64 HEX64, "a@sha256:" HEX64 "0", "a@", "a b", "a\nb",
		"host.:5000/a", "-h.io/a", "h:0/a", "h:65536/a", "h:/a", "[::1/a", "[x]/a", HEX64, "../a", "a/../b",
		"http://a/b", "a?b", "caf\xc3\xa9", "a:caf\xc3\xa9",
	};
	char longest[IMAGE_REF_MAX + 2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		ok(norm(t[i])[0] == '!', "refused: \"%s\"", t[i][0] == 'a' && t[i][1] == '\n' ? "a\\nb" : t[i]);
	memset(longest, 'a', sizeof(longest));
	longest[IMAGE_NAME_MAX - strlen("docker.io/library/")] = 0;
	ok(norm(longest)[0] != '!', "a name of 255 bytes");
	longest[IMAGE_NAME_MAX - strlen("docker.io/library/")] = 'a';
	longest[IMAGE_NAME_MAX - strlen("docker.io/library/") + 1] = 0;
	ok(norm(longest)[0] == '!', "refused: one of 256");
	memset(longest, 'a', sizeof(longest));
	longest[1] = ':';
	longest[2 + IMAGE_TAG_MAX] = 0;
	ok(norm(longest)[0] != '!', "a tag of 128 bytes");
	longest[2 + IMAGE_TAG_MAX] = 'a';
	longest[3 + IMAGE_TAG_MAX] = 0;
	ok(norm(longest)[0] == '!', "refused: one of 129");
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	ok(norm(longest)[0] == '!', "refused: the longest of all");
}

int main(void)
{
	struct image_ref ref = { .registry = "untouched" };

	accepts();
	refuses();
	ok(image_ref_parse("NO", &ref, NULL) < 0 && !strcmp(ref.registry, "untouched"), "untouched on failure");
	ok(image_ref_parse("x", &ref, NULL) == 0, "a reference");
	is_str(image_ref_api_host(&ref), "registry-1.docker.io", "docker.io is served by another host");
	is_str(image_ref_config_key(&ref), "https://index.docker.io/v1/", "and has an odd name in config.json");
	ok(image_ref_parse("h:1/x", &ref, NULL) == 0, "another");
	is_str(image_ref_api_host(&ref), "h:1", "others are served by themselves");
	is_str(image_ref_config_key(&ref), "h:1", "and stand there under their name");
	return tap_done();
}
