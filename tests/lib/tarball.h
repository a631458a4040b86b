/* Makes tar archives in memory, hostile ones included: ustar headers, pax records where needed. */
#ifndef TESTS_LIB_TARBALL_H
#define TESTS_LIB_TARBALL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct tarball {
	uint8_t *p; /* owned */
	size_t n, cap;
};

struct tar_entry {
	char type;         /* '0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' folder, '6' fifo */
	const char *name, *link;
	unsigned mode;
	unsigned long long uid, gid, mtime;
	unsigned major, minor;
	const void *data;
	size_t len;
	const char *pax;   /* records made by pax_record() */
	size_t pax_len;
};

__attribute__((unused)) static void tar_raw(struct tarball *t, const void *p, size_t n)
{
	if (t->n + n > t->cap) {
		t->cap = (t->n + n) * 2 + 4096;
		t->p = realloc(t->p, t->cap);
		if (!t->p)
			abort();
	}
	if (n)
		memcpy(t->p + t->n, p, n);
	t->n += n;
}

__attribute__((unused)) static void tar_pad(struct tarball *t)
{
	static const uint8_t zeros[512];

	tar_raw(t, zeros, (512 - t->n % 512) % 512);
}

/* "<length> <key>=<value>\n" into out; returns its length. */
__attribute__((unused)) static size_t pax_record(char *out, const char *key, const void *value, size_t n)
{
	size_t body = strlen(key) + n + 3, total = body + 1;
	char digits[24];
	int d;

	while ((d = snprintf(digits, sizeof(digits), "%zu", total)), (size_t)d + body != total)
		total = (size_t)d + body;
	d = snprintf(out, total, "%zu %s=", total, key);
	memcpy(out + d, value, n);
	out[total - 1] = '\n';
	return total;
}

__attribute__((unused)) static void tar_header(struct tarball *t, const struct tar_entry *e, char type,
					       size_t size)
{
	char h[513] = { 0 };
	unsigned sum = 0, i;

	memcpy(h, e->name, strnlen(e->name, 100));
	snprintf(h + 100, 8, "%07o", e->mode);
	snprintf(h + 108, 8, "%07o", (unsigned)(e->uid & 07777777));
	snprintf(h + 116, 8, "%07o", (unsigned)(e->gid & 07777777));
	snprintf(h + 124, 12, "%011llo", (unsigned long long)size);
	snprintf(h + 136, 12, "%011llo", e->mtime & 077777777777ULL);
	memset(h + 148, ' ', 8);
	h[156] = type;
	if (e->link)
		memcpy(h + 157, e->link, strnlen(e->link, 100));
	memcpy(h + 257, "ustar\00000", 8);
	snprintf(h + 329, 8, "%07o", e->major);
	snprintf(h + 337, 8, "%07o", e->minor);
	for (i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	tar_raw(t, h, 512);
}

__attribute__((unused)) static void tar_add(struct tarball *t, const struct tar_entry *e)
{
	size_t room = e->pax_len + strlen(e->name) + (e->link ? strlen(e->link) : 0) + 256, n = e->pax_len;
	char *pax = malloc(room), number[24];

	if (!pax)
		abort();
	if (n)
		memcpy(pax, e->pax, n);
	if (strlen(e->name) > 100)
		n += pax_record(pax + n, "path", e->name, strlen(e->name));
	if (e->link && strlen(e->link) > 100)
		n += pax_record(pax + n, "linkpath", e->link, strlen(e->link));
	if (e->uid > 07777777)
		n += pax_record(pax + n, "uid", number,
				(size_t)snprintf(number, sizeof(number), "%llu", e->uid));
	if (e->gid > 07777777)
		n += pax_record(pax + n, "gid", number,
				(size_t)snprintf(number, sizeof(number), "%llu", e->gid));
	if (n) {
		tar_header(t, &(struct tar_entry){ .name = "pax", .mode = 0644 }, 'x', n);
		tar_raw(t, pax, n);
		tar_pad(t);
	}
	free(pax);
	tar_header(t, e, e->type, e->len);
	tar_raw(t, e->data, e->len);
	tar_pad(t);
}

__attribute__((unused)) static void tar_end(struct tarball *t)
{
	static const uint8_t zeros[1024];

	tar_raw(t, zeros, sizeof(zeros));
}

__attribute__((unused)) static void tar_fini(struct tarball *t)
{
	free(t->p);
	*t = (struct tarball){ 0 };
}

/* Bytes as a file without a name. */
__attribute__((unused)) static int bytes_fd(const void *p, size_t n)
{
	int fd = memfd_create("bytes", MFD_CLOEXEC);
	const uint8_t *at = p;

	while (fd >= 0 && n) {
		ssize_t put = write(fd, at, n);

		if (put < 0)
			abort();
		at += put;
		n -= (size_t)put;
	}
	return fd;
}

/*
 * A whole archive in one line; entries are separated by spaces:
 *
 *     a/        a folder             a->b     a symlink
 *     a=text    a file               a=>b     a hard link
 *     a|        a fifo               a        an empty file (whiteouts)
 */
__attribute__((unused)) static struct tarball tar_of(const char *text)
{
	struct tarball t = { 0 };
	char *copy = strdup(text), *rest = copy, *word;

	while (*text && (word = strsep(&rest, " "))) {
		struct tar_entry e = { .type = '0', .name = word, .mode = 0644 };
		char *mark = word + strcspn(word, "=|"), *arrow = strstr(word, "->");

		if (arrow && arrow < mark) {
			*arrow = 0;
			e.type = '2';
			e.link = arrow + 2;
		} else if (mark[0] == '=' && mark[1] == '>') {
			*mark = 0;
			e.type = '1';
			e.link = mark + 2;
		} else if (mark[0] == '=') {
			*mark = 0;
			e.data = mark + 1;
			e.len = strlen(mark + 1);
		} else if (mark[0] == '|') {
			*mark = 0;
			e.type = '6';
		} else if (mark > word && mark[-1] == '/') {
			e.type = '5';
			e.mode = 0700;
		}
		tar_add(&t, &e);
	}
	free(copy);
	tar_end(&t);
	return t;
}

#endif
