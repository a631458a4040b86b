#include "wire/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

void copy_spec_fini(struct copy_spec *s)
{
	free(s->path);
	free(s->name);
	free(s->leaf);
	memset(s, 0, sizeof(*s));
}

/* A new string, or NULL; s may be NULL: then *ret is, too. */
static bool to_hex(const char *s, char **ret)
{
	size_t n = s ? strlen(s) : 0;

	*ret = s ? malloc(2 * n + 1) : NULL;
	if (*ret)
		str_hex(s, n, *ret);
	return !s || *ret;
}

int wire_put_copy(struct buf *out, uint32_t stream, const struct copy_spec *s)
{
	char *path = NULL, *name = NULL, *leaf = NULL;
	json_t *j = NULL;

	if (to_hex(s->path, &path) && to_hex(s->name, &name) && to_hex(s->leaf, &leaf))
		j = json_pack("{s:s, s:b, s:b, s:b, s:b}", "op", s->op == COPY_GET ? "get" : "put", "follow", s->follow,
			      "place", s->place, "owners", s->owners, "leaf_is_folder", s->leaf_is_folder);
	j = json_with_texts(j, "path", path, "name", name, "leaf", leaf, NULL);
	free(path);
	free(name);
	free(leaf);
	return message_put(out, FRAME_COPY, stream, j);
}

static int get_hex(const json_t *j, const char *key, char **ret)
{
	bool bad = false;
	const char *hex = json_get_str(j, key, NULL, &bad);
	size_t n = hex ? strlen(hex) : 0;
	char *s;

	if (!hex)
		return bad ? -EBADMSG : 0;
	if (n == 0 || n % 2 || n / 2 > COPY_NAME_MAX)
		return -EBADMSG;
	s = calloc(1, n / 2 + 1);
	if (!s)
		return -ENOMEM;
	*ret = s;
	return str_unhex(hex, s, n / 2) < 0 || memchr(s, 0, n / 2) ? -EBADMSG : 0;
}

int wire_get_copy(const struct frame *f, struct copy_spec *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	struct copy_spec s = { 0 };
	bool bad = false;
	const char *op = json_get_str(j, "op", "", &bad);
	int r;

	if (!j)
		return -EBADMSG;
	s.op = str_eq(op, "put") ? COPY_PUT : COPY_GET;
	s.follow = json_get_bool(j, "follow", false, &bad);
	s.place = json_get_bool(j, "place", false, &bad);
	s.owners = json_get_bool(j, "owners", false, &bad);
	s.leaf_is_folder = json_get_bool(j, "leaf_is_folder", false, &bad);
	r = bad || (s.op == COPY_GET && !str_eq(op, "get")) ? -EBADMSG : get_hex(j, "path", &s.path);
	if (r == 0)
		r = get_hex(j, "name", &s.name);
	if (r == 0)
		r = get_hex(j, "leaf", &s.leaf);
	if (r < 0) {
		copy_spec_fini(&s);
		return error_set(err, r, r == -ENOMEM ? "out of memory" : "malformed description of a copy");
	}
	*ret = s;
	return 0;
}
