#include "wire/ref.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define DOCKER_HUB "docker.io"
#define DIGEST_PREFIX "sha256:"
#define PORT_DIGITS 5

/* <ctype.h> follows the locale; references do not. */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_alnum(char c) { return is_digit(c) || is_lower(c) || is_upper(c); }
static bool is_name(char c) { return is_digit(c) || is_lower(c); }

bool image_digest_valid(const char *text)
{
	return strlen(text) == IMAGE_DIGEST_LEN && str_starts(text, DIGEST_PREFIX) &&
	       str_is_hex(text + strlen(DIGEST_PREFIX), 64);
}

/* Labels of letters, digits and inner hyphens, joined by dots. */
static bool host_valid(const char *s, size_t n)
{
	size_t i;

	if (n == 0)
		return false;
	for (i = 0; i < n; i++) {
		bool edge = i == 0 || i + 1 == n || s[i - 1] == '.' || s[i + 1] == '.';

		if (!is_alnum(s[i]) && (edge || (s[i] != '-' && s[i] != '.')))
			return false;
	}
	return true;
}

/* "[" hex digits and colons "]": whether it is an address is for the resolver to say. */
static bool ipv6_valid(const char *s, size_t n)
{
	size_t i;

	if (n < 4 || s[0] != '[' || s[n - 1] != ']')
		return false;
	for (i = 1; i + 1 < n; i++)
		if (!is_digit(s[i]) && s[i] != ':' && !(s[i] >= 'a' && s[i] <= 'f') &&
		    !(s[i] >= 'A' && s[i] <= 'F'))
			return false;
	return true;
}

static bool registry_valid(const char *s, size_t n)
{
	size_t host = n, i;

	while (host > 0 && is_digit(s[host - 1]))
		host--;
	if (host > 0 && s[host - 1] == ':') {
		uint64_t port = 0;

		if (n - host == 0 || n - host > PORT_DIGITS)
			return false;
		for (i = host; i < n; i++)
			port = port * 10 + (uint64_t)(s[i] - '0');
		if (port == 0 || port > UINT16_MAX)
			return false;
		n = host - 1;
	}
	return s[0] == '[' ? ipv6_valid(s, n) : host_valid(s, n);
}

/* Length of a separator inside a path component: ".", "_", "__" or hyphens; 0 = none of these. */
static size_t separator(const char *s)
{
	if (*s == '.')
		return 1;
	if (*s == '_')
		return s[1] == '_' ? 2 : 1;
	return strspn(s, "-");
}

/* Components of lower-case letters and digits with single separators inside, joined by '/'. */
static bool repository_valid(const char *s)
{
	for (;;) {
		if (!is_name(*s))
			return false;
		while (is_name(*s))
			s++;
		if (!*s)
			return true;
		s += *s == '/' ? 1 : separator(s);
		/* What follows a separator, or nothing of one, must be a letter or digit: checked at the top. */
	}
}

static bool tag_valid(const char *s)
{
	size_t n = strlen(s), i;

	if (n == 0 || n > IMAGE_TAG_MAX || s[0] == '.' || s[0] == '-')
		return false;
	for (i = 0; i < n; i++)
		if (!is_alnum(s[i]) && s[i] != '_' && s[i] != '.' && s[i] != '-')
			return false;
	return true;
}

/* Is what stands before the first '/' a registry, or the first part of a docker.io repository? */
static bool names_registry(const char *s, size_t n)
{
	size_t i;

	if (n == strlen("localhost") && memcmp(s, "localhost", n) == 0)
		return true;
	for (i = 0; i < n; i++)
		if (s[i] == '.' || s[i] == ':' || is_upper(s[i]))
			return true;
	return false;
}

/* Cuts "@digest" and ":tag" off the end of name (which has no other copy). */
static int take_suffixes(char *name, struct image_ref *ref, struct error *err)
{
	char *at = strchr(name, '@'), *slash, *colon;

	if (at) {
		*at++ = 0;
		if (!image_digest_valid(at))
			return error_set(err, -EINVAL,
					 "a digest is \"sha256:\" and 64 lower-case hex digits, not \"%.80s\"", at);
		memcpy(ref->digest, at, IMAGE_DIGEST_LEN + 1);
	}
	slash = strrchr(name, '/');
	colon = strrchr(slash ? slash : name, ':');
	if (colon) {
		*colon++ = 0;
		if (!tag_valid(colon))
			return error_set(err, -EINVAL,
					 "a tag has 1 to 128 letters, digits, '_', '.', '-' and does not begin "
					 "with '.' or '-': \"%.140s\"", colon);
		memcpy(ref->tag, colon, strlen(colon) + 1);
	}
	if (!at && !colon)
		memcpy(ref->tag, "latest", sizeof("latest"));
	return 0;
}

/* Splits name into registry and repository with docker's defaults. */
static int take_name(const char *name, struct image_ref *ref, struct error *err)
{
	const char *slash = strchr(name, '/'), *rest = name, *prefix = "";
	size_t n = slash ? (size_t)(slash - name) : 0;
	int len;

	memcpy(ref->registry, DOCKER_HUB, sizeof(DOCKER_HUB));
	if (slash && names_registry(name, n)) {
		if (n > IMAGE_NAME_MAX || !registry_valid(name, n))
			return error_set(err, -EINVAL, "\"%.*s\" is not a registry host", (int)MIN(n, 80U), name);
		memcpy(ref->registry, name, n);
		ref->registry[n] = 0;
		rest = slash + 1;
	}
	if (str_eq(ref->registry, "index.docker.io"))
		memcpy(ref->registry, DOCKER_HUB, sizeof(DOCKER_HUB));
	if (str_eq(ref->registry, DOCKER_HUB) && !strchr(rest, '/'))
		prefix = "library/";
	if (!repository_valid(rest))
		return error_set(err, -EINVAL,
				 "\"%.80s\" is not a repository name: lower-case letters and digits, joined by "
				 "'.', '_', '-' or '/'", rest);
	len = snprintf(ref->repository, sizeof(ref->repository), "%s%s", prefix, rest);
	if (len < 0 || strlen(ref->registry) + 1 + (size_t)len > IMAGE_NAME_MAX)
		return error_set(err, -EINVAL, "the name is longer than %d bytes", IMAGE_NAME_MAX);
	return 0;
}

int image_ref_parse(const char *text, struct image_ref *ret, struct error *err)
{
	struct image_ref ref = { 0 };
	char name[IMAGE_REF_MAX + 1];
	size_t n = strlen(text);
	int r;

	if (n == 0)
		return error_set(err, -EINVAL, "an empty image reference");
	if (n > IMAGE_REF_MAX)
		return error_set(err, -EINVAL, "image reference longer than %d bytes", IMAGE_REF_MAX);
	/* docker reserves these for image ids; a repository of that name could never be addressed there. */
	if (str_is_hex(text, 64))
		return error_set(err, -EINVAL, "64 hex digits are an image id, not a reference");
	memcpy(name, text, n + 1);
	r = take_suffixes(name, &ref, err);
	if (r == 0)
		r = take_name(name, &ref, err);
	if (r < 0) {
		error_prefix(err, "invalid image reference \"%.100s\"", text);
		return r;
	}
	*ret = ref;
	return 0;
}

int image_ref_format(const struct image_ref *ref, char out[IMAGE_REF_MAX + 1])
{
	return snprintf(out, IMAGE_REF_MAX + 1, "%s/%s%s%s%s%s", ref->registry, ref->repository,
			ref->tag[0] ? ":" : "", ref->tag, ref->digest[0] ? "@" : "", ref->digest);
}

const char *image_ref_api_host(const struct image_ref *ref)
{
	return str_eq(ref->registry, DOCKER_HUB) ? "registry-1.docker.io" : ref->registry;
}

const char *image_ref_config_key(const struct image_ref *ref)
{
	return str_eq(ref->registry, DOCKER_HUB) ? "https://index.docker.io/v1/" : ref->registry;
}
