/*
 * The memory of a machine that waits for its box is mostly zero; what is not (about 50 MB: the kernel, its table of
 * pages, the agent) is kept as extents. A box gets a copy in a file of its own, not a view of the template's: no
 * machine can then change what the next one starts from, and memory that it uses is not there twice.
 */
#include "shim/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/newfile.h"

#define ROOM_FACTOR 4 /* a template may take a quarter of what is free */

int template_memory(uint64_t bytes)
{
	auto_fd int fd = memfd_create("guest-memory", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		return -errno;
	return take_fd(&fd);
}

static uint8_t *map(int fd, uint64_t bytes, int protection)
{
	void *p = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int read_extents(int fd, const struct template_head *h, struct template_extent **ret)
{
	auto_free uint8_t *raw = malloc((size_t)h->extents * 16 + 1);
	auto_free struct template_extent *list = calloc((size_t)h->extents + 1, sizeof(*list));
	int r = raw && list ? io_pread_full(fd, raw, (size_t)h->extents * 16, TEMPLATE_PAGE) : -ENOMEM;

	if (r == 0)
		r = template_get_extents(raw, h->extents, h->memory_bytes, list);
	if (r == 0)
		*ret = take_ptr(&list);
	return r;
}

static int fill(int fd, const struct template_head *h, int memory_fd)
{
	auto_free struct template_extent *list = NULL;
	uint64_t at = template_memory_at(h->extents);
	int r = read_extents(fd, h, &list);
	uint8_t *memory = r < 0 ? NULL : map(memory_fd, h->memory_bytes, PROT_READ | PROT_WRITE);
	uint32_t i;

	if (!memory)
		return r < 0 ? r : -errno;
	for (i = 0; r == 0 && i < h->extents; i++) {
		r = io_pread_full(fd, memory + list[i].at, list[i].len, at);
		at += list[i].len;
	}
	munmap(memory, h->memory_bytes);
	return r;
}

/* The head of a file that is as long as it says. */
static int read_head(int fd, struct template_head *ret)
{
	uint8_t page[TEMPLATE_PAGE];
	struct template_head h;
	struct stat st;
	int r = io_pread_full(fd, page, sizeof(page), 0);

	if (r == 0)
		r = template_get_head(page, &h);
	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0 && (uint64_t)st.st_size < h.state_at + h.state_len)
		r = -ENODATA;
	if (r == 0)
		*ret = h;
	return r;
}

static int copy_state(int from, uint64_t at, int to, uint64_t len, uint64_t to_at)
{
	auto_free uint8_t *state = malloc(len + 1);
	int r = state ? io_pread_full(from, state, len, at) : -ENOMEM;

	return r < 0 ? r : io_pwrite_full(to, state, len, to_at);
}

int template_load(int template_fd, int memory_fd, int state_fd, uint64_t bytes, struct error *err)
{
	struct template_head h;
	int r = read_head(template_fd, &h);

	if (r == 0 && h.memory_bytes != bytes)
		r = -EBADMSG;
	if (r == 0)
		r = fill(template_fd, &h, memory_fd);
	if (r == 0)
		r = copy_state(template_fd, h.state_at, state_fd, h.state_len, 0);
	return r < 0 ? error_code(err, r, "cannot read the machine template") : 0;
}

int template_spoil(int template_fd)
{
	static const uint8_t nothing[TEMPLATE_PAGE];
	char self[32];
	auto_fd int fd = -1;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", template_fd);
	fd = open(self, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : io_pwrite_full(fd, nothing, sizeof(nothing), 0);
}

static bool is_zero(const uint8_t *page)
{
	const uint64_t *at = (const uint64_t *)(const void *)page;
	size_t i;

	for (i = 0; i < TEMPLATE_PAGE / 8; i += 8)
		if (at[i] | at[i + 1] | at[i + 2] | at[i + 3] | at[i + 4] | at[i + 5] | at[i + 6] | at[i + 7])
			return false;
	return true;
}

/* Appends the runs of pages that are not zero between from and to. */
static int find_extents(const uint8_t *memory, uint64_t from, uint64_t to, struct buf *out, uint32_t *n)
{
	struct template_extent e = { .len = 0 };
	uint64_t at;
	int r = 0;

	for (at = from; r == 0 && at <= to; at += TEMPLATE_PAGE) {
		bool used = at < to && !is_zero(memory + at);

		if (used && !e.len)
			e.at = at;
		if (used) {
			e.len += TEMPLATE_PAGE;
		} else if (e.len) {
			r = ++*n > TEMPLATE_EXTENTS_MAX ? -E2BIG : template_put_extent(out, &e);
			e.len = 0;
		}
	}
	return r;
}

/* What the guest has never touched is a hole of the file: that is not even looked at. */
static int find_all_extents(const uint8_t *memory, int memory_fd, uint64_t bytes, struct buf *out, uint32_t *n)
{
	off_t at = 0, end;
	int r = 0;

	while (r == 0 && (uint64_t)at < bytes && (at = lseek(memory_fd, at, SEEK_DATA)) >= 0) {
		end = lseek(memory_fd, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		r = find_extents(memory, (uint64_t)at, (uint64_t)end, out, n);
		at = end;
	}
	return r == 0 && at < 0 && errno != ENXIO ? -errno : r;
}

/* Boxes that run must not meet a full disk for it. */
static int check_room(int fd, uint64_t bytes)
{
	struct statvfs v;

	if (fstatvfs(fd, &v) < 0)
		return -errno;
	return (uint64_t)v.f_bavail * v.f_frsize / ROOM_FACTOR < bytes ? -ENOSPC : 0;
}

static int write_memory(int fd, const uint8_t *memory, const struct template_head *h, const uint8_t *extents,
			uint64_t *ret_end)
{
	auto_free struct template_extent *list = calloc((size_t)h->extents + 1, sizeof(*list));
	uint64_t at = template_memory_at(h->extents), end = at;
	uint32_t i;
	int r = list ? template_get_extents(extents, h->extents, h->memory_bytes, list) : -ENOMEM;

	for (i = 0; r == 0 && i < h->extents; i++)
		end += list[i].len;
	if (r == 0)
		r = check_room(fd, end);
	if (r == 0)
		r = io_pwrite_full(fd, extents, (size_t)h->extents * 16, TEMPLATE_PAGE);
	for (i = 0; r == 0 && i < h->extents; i++) {
		r = io_pwrite_full(fd, memory + list[i].at, list[i].len, at);
		at += list[i].len;
	}
	*ret_end = at;
	return r;
}

static int write_template(int fd, const char *key, const uint8_t *memory, int memory_fd, uint64_t bytes, int state_fd)
{
	auto_buf struct buf extents = BUF_INIT(TEMPLATE_EXTENTS_MAX * 16);
	struct template_head h = { .memory_bytes = bytes };
	uint8_t page[TEMPLATE_PAGE];
	struct stat st;
	int r = strlen(key) < sizeof(h.key) ? find_all_extents(memory, memory_fd, bytes, &extents, &h.extents) : -E2BIG;

	if (r == 0)
		r = write_memory(fd, memory, &h, buf_data(&extents), &h.state_at);
	if (r == 0 && fstat(state_fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return r;
	h.state_len = (uint64_t)st.st_size;
	memcpy(h.key, key, strlen(key));
	r = copy_state(state_fd, 0, fd, h.state_len, h.state_at);
	if (r == 0)
		r = template_put_head(page, &h);
	return r < 0 ? r : io_pwrite_full(fd, page, sizeof(page), 0);
}

/* Not synced: the key has the host's boot in it, and until the next one the page cache is what counts. */
int template_save(int folder_fd, const char *key, int memory_fd, uint64_t bytes, int state_fd, struct error *err)
{
	char name[TEMPLATE_NAME_MAX];
	struct newfile f;
	uint8_t *memory = map(memory_fd, bytes, PROT_READ);
	int r;

	if (!memory)
		return error_sys(err, "cannot map the guest's memory");
	template_name(key, name);
	r = newfile_open(&f, folder_fd, name);
	if (r == 0) {
		r = write_template(f.fd, key, memory, memory_fd, bytes, state_fd);
		if (r == 0)
			r = newfile_publish(&f, name);
		newfile_close(&f);
	}
	munmap(memory, bytes);
	return r < 0 ? error_code(err, r, "cannot write the machine template") : 0;
}
