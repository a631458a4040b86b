/* The tree by itself: canonical paths, and folders compared with a plain sorted list. */
#include <errno.h>

#include "lib/image_build.h"
#include "lib/tap.h"

static void path_is(const char *text, const char *want)
{
	struct path p;
	struct error err = { 0 };
	int r = tree_path(&p, text, &err);

	if (!want) {
		ok(r < 0 && err.text[0], "'%s' is refused", text);
		return;
	}
	ok(r == 0 && !strcmp(p.text, want) && p.len == strlen(want), "'%s' is '%s'", text, want);
}

static void test_paths(void)
{
	struct path p;

	path_is("", "");
	path_is("/", "");
	path_is(".", "");
	path_is("./", "");
	path_is("a", "a");
	path_is("a/", "a");
	path_is("./a//b/./c/", "a/b/c");
	path_is("/a", "a");
	path_is("a/..", "");
	path_is("a/../b", "b");
	path_is("a/b/../../c", "c");
	path_is("..a/...", "..a/...");
	path_is("..", NULL);
	path_is("a/../..", NULL);
	path_is("/../a", NULL);
	ok(tree_path(&p, "a/b/name", NULL) == 0 && p.base == 4, "where the last component begins");
	ok(tree_path(&p, "name", NULL) == 0 && p.base == 0, "alone");
}

#define NAMES 3000

static bool present[NAMES];

/* The folder's thread must hold just the names that are present, in order. */
static bool consistent(struct tree *t)
{
	aref at = tree_inode(t, t->root)->dir.first, prev = 0;
	char want[16];
	int i;

	for (i = 0; i < NAMES; i++) {
		struct dentry *d;

		if (!present[i])
			continue;
		snprintf(want, sizeof(want), "%05d", i);
		d = at ? tree_dentry(t, at) : NULL;
		if (!d || d->len != 5 || memcmp(d->name, want, 5) || d->prev != prev)
			return false;
		prev = at;
		at = d->next;
	}
	return at == 0;
}

static void test_folder(void)
{
	const struct meta m = { .mode = S_IFREG };
	struct tree t;
	struct path p;
	struct inode *inode;
	unsigned seed = 1, k;
	int dir = scratch_dir();
	bool good = tree_open(&t, dir, NULL) == 0;
	char name[16];

	tree_next_layer(&t);
	for (k = 0; k < 40000 && good; k++) {
		unsigned i = (seed = seed * 1103515245 + 12345) >> 8;

		i %= NAMES;
		snprintf(name, sizeof(name), "%05u", i);
		good = tree_path(&p, name, NULL) == 0 && !!tree_find(&t, name) == present[i];
		if (k / 4000 % 2)
			good = good && tree_remove(&t, &p, NULL) == 0;
		else
			good = good && tree_place(&t, &p, &m, &inode, NULL) == 0;
		present[i] = !(k / 4000 % 2);
		if (k % 500 == 0)
			good = good && consistent(&t);
	}
	ok(good && consistent(&t), "40000 random insertions and removals");
	tree_close(&t);
	close(dir);
}

static void test_arena(void)
{
	struct arena a;
	int dir = scratch_dir(), i;
	bool good = arena_open(&a, dir, NULL) == 0;
	aref at[2000];

	arena_set_window(&a, 0);
	for (i = 0; i < 2000 && good; i++) {
		size_t n = i % 100 ? 1 + (size_t)i % 4096 : 100000, k;
		uint8_t *p;

		good = arena_alloc(&a, i % 2 ? ARENA_NAMES : ARENA_REST, n, &at[i], NULL) == 0;
		p = arena_span(&a, at[i], n);
		for (k = 0; k < n && good; k++)
			good = p[k] == 0;
		memset(p, i, n);
	}
	for (i = 0; i < 2000 && good; i++)
		good = *(uint8_t *)arena_at(&a, at[i]) == (uint8_t)i;
	ok(good, "memory is zeroed, separate, and outlives trims");
	ok(arena_alloc(&a, ARENA_REST, ARENA_MAX, &at[0], NULL) == -E2BIG, "more than there is");
	arena_close(&a);
	close(dir);
}

int main(void)
{
	test_paths();
	test_folder();
	test_arena();
	return tap_done();
}
