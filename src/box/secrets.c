#include "box/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"

/* A value and the place that it is in. */
struct value {
	uint8_t bytes[SECRET_VALUE_MAX];
	size_t len;
};

static int from_variable(const struct secret *s, const char *variable, struct value *ret, struct error *err)
{
	const char *value = getenv(variable);

	if (!value || !*value)
		return error_set(err, -ENOENT, "secret %s comes from the variable %s, which is %s: set it, and start the box again",
				 s->name, variable, value ? "empty" : "not set");
	ret->len = strlen(value);
	if (ret->len > SECRET_VALUE_MAX)
		return error_set(err, -E2BIG, "secret %s is longer than %llu bytes", s->name, SECRET_VALUE_MAX);
	memcpy(ret->bytes, value, ret->len);
	return 0;
}

/* Nothing in a request can be written with a NUL, so only the placeholder would ever be sent. (A variable has none.) */
static int check_text(const struct secret *s, const char *path, const struct value *v, struct error *err)
{
	const uint8_t *nul = memchr(v->bytes, 0, v->len);

	if (!v->len)
		return error_set(err, -ENOENT, "secret %s comes from %s, which is empty", s->name, path);
	if (nul)
		return error_set(err, -EINVAL, "secret %s comes from %s, whose byte %td is a NUL, which no request can "
				 "have: write the value as text, in ASCII or UTF-8", s->name, path, nul - v->bytes + 1);
	return 0;
}

/* Without the line's end that editors write behind it. */
static int from_file(const struct secret *s, const char *path, struct value *ret, struct error *err)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0)
		return error_sys(err, "secret %s comes from %s, which cannot be read", s->name, path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "secret %s comes from %s, which is not a file", s->name, path);
	if (st.st_size > (off_t)SECRET_VALUE_MAX)
		return error_set(err, -E2BIG, "secret %s is longer than %llu bytes", s->name, SECRET_VALUE_MAX);
	ret->len = (size_t)st.st_size;
	r = io_read_full(fd, ret->bytes, ret->len);
	if (r < 0)
		return error_code(err, r, "secret %s comes from %s, which cannot be read", s->name, path);
	if (ret->len && ret->bytes[ret->len - 1] == '\n')
		ret->len--;
	if (ret->len && ret->bytes[ret->len - 1] == '\r')
		ret->len--;
	return check_text(s, path, ret, err);
}

static int fetch(const struct secret *s, struct value *ret, struct error *err)
{
	if (str_starts(s->from, "env:"))
		return from_variable(s, s->from + strlen("env:"), ret, err);
	return from_file(s, s->from + strlen("file:"), ret, err);
}

/* All of them as a frame, in a buffer that does not move meanwhile: no copy stays behind. */
static int put_all(const struct net_spec *net, struct value *values, struct buf *out, struct error *err)
{
	struct net_secrets all = { .n = net->nsecrets };
	size_t i, size = FRAME_HEADER + sizeof(uint16_t);
	int r = 0;

	for (i = 0; r == 0 && i < net->nsecrets; i++) {
		const struct secret *s = &net->secrets[i];

		r = fetch(s, &values[i], err);
		all.v[i] = (struct net_secret){ s->name, s->host, s->placeholder, s->port, values[i].bytes,
						values[i].len };
		size += strlen(s->name) + strlen(s->host) + strlen(s->placeholder) + values[i].len + 16;
	}
	if (r < 0)
		return r;
	if (!buf_reserve(out, size))
		return error_nomem(err);
	r = wire_put_net_secrets(out, &all);
	return r < 0 ? error_code(err, r, "cannot describe the secrets") : 0;
}

int secrets_check(const struct net_spec *net, struct error *err)
{
	struct value *value = malloc(sizeof(*value));
	size_t i;
	int r = value ? 0 : error_nomem(err);

	for (i = 0; r == 0 && i < net->nsecrets; i++)
		r = fetch(&net->secrets[i], value, err);
	if (value)
		explicit_bzero(value, sizeof(*value));
	free(value);
	return r;
}

int secrets_open(const struct net_spec *net, struct error *err)
{
	auto_buf struct buf out = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	auto_fd int fd = memfd_create("secrets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct value *values = calloc(net->nsecrets, sizeof(*values));
	int r;

	if (fd < 0 || !values) {
		free(values);
		return fd < 0 ? error_sys(err, "cannot make a file for the secrets") : error_nomem(err);
	}
	r = put_all(net, values, &out, err);
	explicit_bzero(values, net->nsecrets * sizeof(*values));
	free(values);
	if (r == 0) {
		r = io_pwrite_full(fd, buf_data(&out), buf_len(&out), 0);
		if (r < 0)
			error_code(err, r, "cannot write the secrets");
	}
	if (out.mem)
		explicit_bzero(out.mem, out.cap);
	/* Nobody who is given it can change it. */
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		r = error_sys(err, "cannot seal the secrets");
	return r < 0 ? r : take_fd(&fd);
}
