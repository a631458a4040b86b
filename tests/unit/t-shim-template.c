/* Template files: a machine's memory and state come back from one, and half of one is never seen. */
#include "shim/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "lib/tap.h"

#define PAGE ((uint64_t)TEMPLATE_PAGE)
#define MEMORY (4 * MIB)
#define PAGES (MEMORY / PAGE)
#define KEY "a machine"
#define STATE "what the devices say"
#define STATE_LEN (sizeof(STATE) - 1)

static int folder;

static void write_at(int fd, uint64_t at, const void *p, size_t n)
{
	if (io_pwrite_full(fd, p, n, at) < 0)
		abort();
}

/* A page of such bytes. */
static void put_page(int fd, uint64_t page, int byte)
{
	uint8_t bytes[TEMPLATE_PAGE];

	memset(bytes, byte, sizeof(bytes));
	write_at(fd, page * PAGE, bytes, sizeof(bytes));
}

static int new_memory(void)
{
	int fd = template_memory(MEMORY);

	if (fd < 0)
		abort();
	return fd;
}

/* Five pages in four runs, the first page and the last among them; between them are holes and pages of zeros. */
static int new_machine(void)
{
	int fd = new_memory();

	put_page(fd, 0, 1);
	put_page(fd, 10, 0);
	put_page(fd, 11, 2);
	put_page(fd, 12, 3);
	put_page(fd, 13, 0);
	put_page(fd, 14, 4);
	put_page(fd, PAGES - 1, 5);
	put_page(fd, 700, 0);
	return fd;
}

/* As QEMU leaves it: at its end. */
static int new_state(void)
{
	int fd = memfd_create("state", MFD_CLOEXEC);

	if (fd < 0 || io_write_full(fd, STATE, STATE_LEN) < 0)
		abort();
	return fd;
}

static int save(int at, int memory, struct error *err)
{
	auto_fd int state = new_state();

	return template_save(at, KEY, memory, MEMORY, state, err);
}

static int open_template(int flags)
{
	char name[TEMPLATE_NAME_MAX];

	template_name(KEY, name);
	return openat(folder, name, flags | O_CLOEXEC, 0600);
}

static void remove_template(void)
{
	char name[TEMPLATE_NAME_MAX];

	template_name(KEY, name);
	unlinkat(folder, name, 0);
}

static int count_files(void)
{
	int n = 0;
	DIR *d = fdopendir(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;

	if (!d)
		abort();
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static bool same_memory(int a, int b)
{
	void *p = mmap(NULL, MEMORY, PROT_READ, MAP_SHARED, a, 0);
	void *q = mmap(NULL, MEMORY, PROT_READ, MAP_SHARED, b, 0);
	bool same = p != MAP_FAILED && q != MAP_FAILED && memcmp(p, q, MEMORY) == 0;

	munmap(p, MEMORY);
	munmap(q, MEMORY);
	return same;
}

static void test_memory(void)
{
	auto_fd int fd = new_memory(), other = new_memory();
	struct stat st = { 0 };

	is_int(fstat(fd, &st) == 0 ? st.st_size : -1, MEMORY, "memory of the size that is asked for");
	is_int(st.st_blocks, 0, "uses none");
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC, "close-on-exec");
	put_page(fd, 0, 1);
	ok(!same_memory(fd, other), "and is nobody else's");
}

/* Whether it is a template's state and nothing else. */
static bool is_state(int fd)
{
	char got[STATE_LEN], more;

	return io_pread_full(fd, got, sizeof(got), 0) == 0 && memcmp(got, STATE, sizeof(got)) == 0 &&
	       pread(fd, &more, 1, sizeof(got)) == 0;
}

static int load(int fd, int memory, uint64_t bytes, struct error *err)
{
	auto_fd int state = memfd_create("state", MFD_CLOEXEC);
	int r = template_load(fd, memory, state, bytes, err);

	return r == 0 && !is_state(state) ? -EIO : r;
}

static void test_round_trip(void)
{
	auto_fd int memory = new_machine(), copy = new_memory(), before = new_machine(), fd = -1;
	struct template_head h = { .extents = 0 };
	uint8_t page[TEMPLATE_PAGE];
	struct stat st = { 0 };
	struct error err = { 0 };

	is_int(save(folder, memory, &err), 0, "a machine is saved");
	fd = open_template(O_RDONLY);
	is_int(count_files(), 1, "under one name");
	ok(io_pread_full(fd, page, sizeof(page), 0) == 0 && template_get_head(page, &h) == 0, "with a head");
	ok(!strcmp(h.key, KEY) && h.memory_bytes == MEMORY && h.state_len == STATE_LEN, "that says what it is");
	is_int(h.extents, 4, "four runs of pages");
	is_int(h.state_at, template_memory_at(4) + 5 * PAGE, "of those pages alone that are not zero");
	is_int(fstat(fd, &st) == 0 ? st.st_size : -1, h.state_at + STATE_LEN, "and then the state: that is all");
	is_int(load(fd, copy, MEMORY, &err), 0, "is loaded, with the same state");
	ok(same_memory(memory, copy), "with the same memory");
	ok(same_memory(memory, before), "which the saving left as it was");
	is_int(err.code, 0, "and no error is told");
	remove_template();
}

/* Saves the memory and loads it; the number of extents, or -1 if it is not the same. */
static int through_file(int memory)
{
	auto_fd int copy = new_memory(), fd = -1;
	struct template_head h;
	uint8_t page[TEMPLATE_PAGE];
	int r = save(folder, memory, NULL);

	fd = open_template(O_RDONLY);
	if (r == 0)
		r = load(fd, copy, MEMORY, NULL);
	if (r == 0)
		r = io_pread_full(fd, page, sizeof(page), 0);
	if (r == 0)
		r = template_get_head(page, &h);
	remove_template();
	return r == 0 && same_memory(memory, copy) ? (int)h.extents : -1;
}

static void test_patterns(void)
{
	auto_fd int none = new_memory(), all = new_memory(), other = new_memory(), zero = new_memory();
	uint64_t i;

	for (i = 0; i < PAGES; i++) {
		/* One byte in a page, at another place in each. */
		write_at(all, i * PAGE + i * 4 + i % 4, "\x80", 1);
		put_page(zero, i, 0);
		if (i % 2)
			put_page(other, i, (int)i | 1);
	}
	is_int(through_file(none), 0, "memory that was never used");
	is_int(through_file(zero), 0, "or is zero again");
	is_int(through_file(all), 1, "one that is used from end to end, if only a byte of each page");
	is_int(through_file(other), PAGES / 2, "every other page");
}

static void test_wrong_size(void)
{
	auto_fd int memory = new_machine(), copy = new_memory(), fd = -1;
	struct error err = { 0 };

	if (save(folder, memory, NULL) < 0)
		abort();
	fd = open_template(O_RDONLY);
	is_int(load(fd, copy, MEMORY - PAGE, &err), -EBADMSG, "for less memory than it has it is no use");
	ok(strstr(err.text, "machine template") != NULL, "says the error: %s", err.text);
	is_int(load(fd, copy, MEMORY + PAGE, &err), -EBADMSG, "nor for more");
	ok(lseek(copy, 0, SEEK_DATA) < 0 && errno == ENXIO, "and the memory is still not used");
	is_int(load(fd, copy, MEMORY, &err), 0, "for the same it is");
	remove_template();
}

/* What a template is worth of which only so much is there. */
static int load_cut(uint64_t size)
{
	auto_fd int fd = open_template(O_RDWR), copy = new_memory();

	if (ftruncate(fd, (off_t)size) < 0)
		abort();
	return load(fd, copy, MEMORY, NULL);
}

static void test_truncated(void)
{
	auto_fd int memory = new_machine();
	uint64_t memory_at = template_memory_at(4), state_at = memory_at + 5 * PAGE;

	if (save(folder, memory, NULL) < 0)
		abort();
	is_int(load_cut(state_at + STATE_LEN), 0, "a whole template is fine");
	is_int(load_cut(state_at + STATE_LEN - 1), -ENODATA, "one without the end of its state is not");
	is_int(load_cut(state_at), -ENODATA, "or without any");
	is_int(load_cut(state_at - 1), -ENODATA, "or without the end of its memory");
	is_int(load_cut(memory_at), -ENODATA, "or without any of it");
	is_int(load_cut(PAGE + 63), -ENODATA, "or without its last extent");
	is_int(load_cut(PAGE - 1), -ENODATA, "or without the end of its head");
	is_int(load_cut(0), -ENODATA, "or with nothing");
	is_int(load_cut(MEMORY), -EBADMSG, "or with zeros");
	remove_template();
}

static void test_spoilt(void)
{
	auto_fd int memory = new_machine(), copy = new_memory(), fd = -1;

	if (save(folder, memory, NULL) < 0)
		abort();
	fd = open_template(O_RDONLY);
	is_int(template_spoil(fd), 0, "a template is spoilt through an fd for reading");
	is_int(load(fd, copy, MEMORY, NULL), -EBADMSG, "and no machine starts from it");
	remove_template();
}

static void test_bad_extents(void)
{
	auto_fd int memory = new_machine(), copy = new_memory(), fd = -1;

	if (save(folder, memory, NULL) < 0)
		abort();
	fd = open_template(O_RDWR);
	write_at(fd, PAGE + 16 * 3 + 5, "\x01", 1);
	is_int(load(fd, copy, MEMORY, NULL), -EBADMSG, "an extent outside the memory is refused");
	remove_template();
}

static void test_existing(void)
{
	auto_fd int memory = new_machine(), fd = open_template(O_RDWR | O_CREAT | O_EXCL);
	auto_fd int after = -1;
	char got[8] = "";

	write_at(fd, 0, "another", 7);
	is_int(save(folder, memory, NULL), 0, "to save a machine that is there is no error");
	after = open_template(O_RDONLY);
	ok(read(after, got, sizeof(got)) == 7 && !strcmp(got, "another"), "and the one that is there stays");
	is_int(count_files(), 1, "alone");
	remove_template();
}

/* Saves a machine while no file may be longer. */
static int save_short(int memory, rlim_t bytes, struct error *err)
{
	struct rlimit old, now;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	auto_fd int state = new_state();
	int r;

	if (getrlimit(RLIMIT_FSIZE, &old) < 0)
		abort();
	now = (struct rlimit){ .rlim_cur = bytes, .rlim_max = old.rlim_max };
	if (setrlimit(RLIMIT_FSIZE, &now) < 0)
		abort();
	r = template_save(folder, KEY, memory, MEMORY, state, err);
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, handler);
	return r;
}

static void test_full_disk(void)
{
	auto_fd int memory = new_machine();
	uint64_t size = template_memory_at(4) + 5 * PAGE + STATE_LEN;
	struct error err = { 0 };

	is_int(save_short(memory, 3 * PAGE, &err), -EFBIG, "without room for the memory nothing is saved");
	ok(strstr(err.text, "machine template") != NULL, "says the error: %s", err.text);
	is_int(save_short(memory, size - 1, &err), -EFBIG, "nor without room for the end of the state");
	is_int(count_files(), 0, "and there is no file");
	is_int(save_short(memory, size, &err), 0, "with room for all there is");
	is_int(count_files(), 1, "one");
	remove_template();
}

static void test_bad_saves(void)
{
	auto_fd int memory = new_machine(), gone = -1, state = new_state();
	char key[TEMPLATE_KEY_MAX + 1];
	struct error err = { 0 };

	gone = io_open_dir_at(folder, "gone", 0700);
	if (unlinkat(folder, "gone", AT_REMOVEDIR) < 0)
		abort();
	ok(save(gone, memory, &err) < 0, "into a folder that is gone nothing is saved: %s", err.text);
	memset(key, 'k', TEMPLATE_KEY_MAX);
	key[TEMPLATE_KEY_MAX] = 0;
	is_int(template_save(folder, key, memory, MEMORY, state, &err), -E2BIG, "nor under a key that is too long");
	is_int(template_save(folder, KEY, memory, MEMORY, -1, &err), -EBADF, "nor without a state");
	is_int(template_save(folder, KEY, -1, MEMORY, state, &err), -EBADF, "nor without memory");
	is_int(count_files(), 0, "and there is no file");
}

int main(void)
{
	char path[] = "/tmp/boxlite-test.XXXXXX";

	if (!mkdtemp(path))
		abort();
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	test_memory();
	test_round_trip();
	test_patterns();
	test_wrong_size();
	test_truncated();
	test_spoilt();
	test_bad_extents();
	test_existing();
	test_full_disk();
	test_bad_saves();
	close(folder);
	io_remove_tree_at(AT_FDCWD, path);
	return tap_done();
}
