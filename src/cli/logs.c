#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/clean.h"
#include "cli/cli.h"

#define TAIL (8 * KIB)

/* The guest writes to one of them: no byte of it may be an order to the terminal. */
static void print_safely(const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		putc((unsigned char)text[i] >= ' ' || text[i] == '\n' || text[i] == '\t' ? text[i] : '?', stderr);
	if (n && text[n - 1] != '\n')
		putc('\n', stderr);
}

static void print_tail(const char *folder, const char *name)
{
	char path[4096], text[TAIL];
	auto_file FILE *f = NULL;
	size_t n;

	snprintf(path, sizeof(path), "%s/log/%s.log", folder, name);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fseek(f, -(long)TAIL, SEEK_END) < 0)
		rewind(f);
	n = fread(text, 1, sizeof(text), f);
	if (n)
		fprintf(stderr, "--- %s.log\n", name);
	print_safely(text, n);
}

void logs_print(const char *folder)
{
	print_tail(folder, "console");
	print_tail(folder, "engine");
	print_tail(folder, "shim");
}
