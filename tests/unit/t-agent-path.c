#include "agent/path.h"

#include "lib/tap.h"

static void is_next(const char **path, const char *want)
{
	char out[32];
	bool more = path_next(path, "x", out, sizeof(out));

	is_str(more ? out : NULL, want, want ? want : "the end");
}

int main(void)
{
	const char *path = "/bin:/usr/bin";

	is_next(&path, "/bin/x");
	is_next(&path, "/usr/bin/x");
	is_next(&path, NULL);
	is_next(&path, NULL);

	path = ":/a::";
	is_next(&path, "./x");
	is_next(&path, "/a/x");
	is_next(&path, "./x");
	is_next(&path, "./x");
	is_next(&path, NULL);

	path = "";
	is_next(&path, "./x");
	is_next(&path, NULL);

	/* 29 characters, "/x" and the NUL just fit; one more is skipped. */
	path = "/23456789012345678901234567890:/2345678901234567890123456789:/b";
	is_next(&path, "/2345678901234567890123456789/x");
	is_next(&path, "/b/x");
	is_next(&path, NULL);
	return tap_done();
}
