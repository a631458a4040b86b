/*
 * Runs a fuzz target over a corpus without libFuzzer, as an ordinary test:
 * every file of the folders (or files) named on the command line. TAP.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/io.h"
#include "fuzz.h"

#include <fcntl.h>

static int count;

static void replay_file(const char *path)
{
	struct buf b = BUF_INIT(64 * MIB);
	uint8_t *exact;
	int r = io_read_file_at(AT_FDCWD, path, &b);

	if (r == 0) {
		/* A copy of exactly this size, so that a sanitizer sees a read past the end. */
		exact = malloc(buf_len(&b) ? buf_len(&b) : 1);
		if (!exact)
			abort();
		if (buf_len(&b))
			memcpy(exact, buf_data(&b), buf_len(&b));
		LLVMFuzzerTestOneInput(exact, buf_len(&b));
		free(exact);
	}
	printf("%sok %d - %s\n", r == 0 ? "" : "not ", ++count, path);
	fflush(stdout);
	buf_fini(&b);
}

static void replay(const char *path)
{
	struct dirent **names;
	char sub[4096];
	int i, n = scandir(path, &names, NULL, alphasort);

	if (n < 0) {
		replay_file(path);
		return;
	}
	for (i = 0; i < n; i++) {
		snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			replay_file(sub);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	static const uint8_t nothing[1];
	int i;

	LLVMFuzzerTestOneInput(nothing, 0);
	printf("ok %d - empty input\n", ++count);
	for (i = 1; i < argc; i++)
		replay(argv[i]);
	printf("1..%d\n", count);
	return 0;
}
