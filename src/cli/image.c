/* pull, load, images, rmi, prune */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/format.h"

/* A cancelled pull is the user's own Ctrl-C: no complaint. */
static int pull_failed(const struct boxlite_error *err)
{
	return err->code == -ECANCELED ? EXIT_INTERRUPTED : cli_fail(err);
}

int cli_pull(struct boxlite *b, const char *reference, bool quiet, bool plain_http)
{
	struct boxlite_pull_options o = BOXLITE_OPTIONS(boxlite_pull_options);
	struct progress *p = progress_new(reference, quiet);
	struct boxlite_error err;
	int signals = cli_cancel_fd(), r;

	o.progress = p ? progress_update : NULL;
	o.ud = p;
	o.plain_http = plain_http;
	o.cancel_fd = signals;
	r = boxlite_image_pull(b, reference, &o, &err);
	progress_end(p);
	if (signals >= 0)
		close(signals);
	return r < 0 ? pull_failed(&err) : 0;
}

int cmd_pull(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "quiet", no_argument, NULL, 'q' },
		{ "plain-http", no_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool quiet = false, plain_http = false;
	struct boxlite *b;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "+qh", options, NULL)) != -1) {
		switch (opt) {
		case 'q': quiet = true; break;
		case 'P': plain_http = true; break;
		case 'h': return cli_help("pull", "  -q, --quiet    no progress\n"
						  "  --plain-http   the registry speaks http, not https\n");
		default: return cli_usage("pull", "unknown option %s", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return cli_usage("pull", "which image?");
	r = cli_open(g, &b);
	if (r)
		return r;
	for (; r == 0 && optind < argc; optind++) {
		r = cli_pull(b, argv[optind], quiet, plain_http);
		if (r == 0)
			printf("%s\n", argv[optind]);
	}
	boxlite_close(b);
	return r;
}

static int print_loaded(const struct boxlite_image_info *i, void *ud)
{
	(void)ud;
	printf("%s\n", i->reference);
	return 0;
}

int cmd_load(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "quiet", no_argument, NULL, 'q' },
		{ "name", required_argument, NULL, 'n' },
		{ "input", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct boxlite_pull_options o = BOXLITE_OPTIONS(boxlite_pull_options);
	const char *name = NULL, *path = NULL;
	struct boxlite_error err;
	struct progress *p;
	struct boxlite *b;
	bool quiet = false;
	int opt, fd, r;

	while ((opt = getopt_long(argc, argv, "+qn:i:h", options, NULL)) != -1) {
		switch (opt) {
		case 'q': quiet = true; break;
		case 'n': name = optarg; break;
		case 'i': path = optarg; break;
		case 'h':
			return cli_help("load", "  PATH               a folder with an OCI layout, or a tar file; '-' or nothing: "
						"standard input\n"
						"  -i, --input PATH   the same as PATH\n"
						"  -n, --name NAME    the name to give the image\n"
						"  -q, --quiet        no progress\n");
		default: return cli_usage("load", "unknown option %s", argv[optind - 1]);
		}
	}
	if (optind < argc)
		path = argv[optind++];
	if (optind < argc)
		return cli_usage("load", "one path, please");
	if ((!path || str_eq(path, "-")) && isatty(STDIN_FILENO))
		return cli_usage("load", "give a path, or a tar on standard input");
	fd = !path || str_eq(path, "-") ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cli_failf("cannot open %s: %s", path ? path : "standard input", strerror(errno));
	r = cli_open(g, &b);
	if (r == 0) {
		p = progress_new(path ? path : "stdin", quiet);
		o.progress = p ? progress_update : NULL;
		o.ud = p;
		o.image = print_loaded;
		o.cancel_fd = cli_cancel_fd();
		r = boxlite_image_load(b, fd, name, &o, &err);
		progress_end(p);
		if (r < 0 && err.code != -ECANCELED)
			r = cli_failf("%s: %s", path ? path : "standard input", err.text);
		else
			r = r < 0 ? EXIT_INTERRUPTED : 0;
		boxlite_close(b);
	}
	close(fd);
	return r;
}

struct list {
	struct rows rows;
	bool quiet;
};

static const struct column image_columns[] = {
	{ "repository", "REPOSITORY" }, { "tag", "TAG" },		{ "id", "IMAGE ID" },	 { "digest", "DIGEST" },
	{ "reference", "REFERENCE" },	{ "created_since", "CREATED" }, { "created_at", "CREATED AT" },
	{ "pulled_at", "PULLED AT" },	{ "size", "SIZE" },		{ NULL, NULL },
};

#define IMAGES_TABLE "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"

/* Splits "docker.io/library/busybox:latest" for people: repository and tag. */
static void split(const char *reference, char repository[256], char tag[130])
{
	const char *at = strchr(reference, '@'), *slash = strrchr(reference, '/');
	const char *colon = strrchr(slash ? slash : reference, ':');
	const char *shown = table_reference(reference);
	size_t n;

	if (at)
		colon = NULL;
	n = at ? (size_t)(at - shown) : colon ? (size_t)(colon - shown) : strlen(shown);
	snprintf(repository, 256, "%.*s", (int)n, shown);
	snprintf(tag, 130, "%s", at ? "<none>" : colon ? colon + 1 : "<none>");
}

static json_t *image_row(const struct boxlite_image_info *i)
{
	char repository[256], tag[130], age[32], size[24], id[13];

	split(i->reference, repository, tag);
	table_age(i->created_at, age);
	str_format_size(i->bytes, size);
	snprintf(id, sizeof(id), "%s", i->config_digest + strlen("sha256:"));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "repository", json_text(repository), "tag",
			 json_text(tag), "id", json_text(id), "digest", json_text(i->digest), "reference",
			 json_text(i->reference), "created_since", json_text(age), "created_at",
			 json_time(i->created_at), "pulled_at", json_time(i->pulled_at), "size", json_text(size));
}

static json_t *image_json(const struct boxlite_image_info *i)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I}", "reference", json_text(i->reference), "digest",
			 json_text(i->digest), "id", json_text(i->config_digest), "created_at",
			 (json_int_t)i->created_at, "pulled_at", (json_int_t)i->pulled_at, "bytes", (json_int_t)i->bytes);
}

static int print_image(const struct boxlite_image_info *i, void *ud)
{
	struct list *l = ud;

	if (l->quiet)
		printf("%.12s\n", i->config_digest + strlen("sha256:"));
	else
		rows_add(&l->rows, l->rows.json ? image_json(i) : image_row(i));
	return l->rows.failed;
}

int cmd_images(const struct global *g, int argc, char **argv)
{
	struct list_options o = { 0 };
	struct boxlite_error err;
	struct list l = { 0 };
	struct boxlite *b;
	int r = table_options("images",
			      "  -q, --quiet   only ids\n"
			      "  --format table|json|TEMPLATE   how (--json is short for the second); such as\n"
			      "                '{{.ID}} {{.Repository}}:{{.Tag}}', or 'table TEMPLATE' with \\t between columns\n",
			      argc, argv, &o);

	if (r >= 0)
		return r;
	l.quiet = o.quiet && !o.format;
	r = l.quiet ? 0 : rows_begin(&l.rows, "images", o.format, IMAGES_TABLE, image_columns);
	if (r)
		return r;
	r = cli_open(g, &b);
	if (r == 0) {
		if (boxlite_image_list(b, print_image, &l, &err) < 0)
			r = cli_fail(&err);
		boxlite_close(b);
	}
	if (r)
		rows_drop(&l.rows);
	return r || l.quiet ? r : rows_end(&l.rows);
}

int cmd_rmi(const struct global *g, int argc, char **argv)
{
	struct boxlite_error err;
	struct boxlite *b;
	int i, r = cli_no_options("rmi", NULL, argc, argv);

	if (r >= 0)
		return r;
	if (optind == argc)
		return cli_usage("rmi", "which image?");
	r = cli_open(g, &b);
	if (r)
		return r;
	/* All are tried; one that fails makes the whole fail. */
	for (i = optind; i < argc; i++) {
		if (boxlite_image_remove(b, argv[i], &err) < 0)
			r = cli_fail(&err);
		else
			printf("%s\n", argv[i]);
	}
	boxlite_close(b);
	return r;
}

int cmd_prune(const struct global *g, int argc, char **argv)
{
	struct boxlite_error err;
	struct boxlite *b;
	uint64_t freed = 0;
	bool force = argc == 2 && (str_eq(argv[1], "-f") || str_eq(argv[1], "--force"));
	char size[24];
	int c, r;

	if (argc > 1 && (str_eq(argv[1], "--help") || str_eq(argv[1], "-h")))
		return cli_help("prune", "  -f, --force   do not ask\n");
	if (argc > 1 && !force)
		return cli_usage("prune", "unknown option %s", argv[1]);
	if (!force && isatty(STDIN_FILENO)) {
		fprintf(stderr, "This removes every image that no box was made from. Go on? [y/N] ");
		c = getchar();
		if (c != 'y' && c != 'Y')
			return 0;
	}
	r = cli_open(g, &b);
	if (r)
		return r;
	r = boxlite_image_prune(b, &freed, &err);
	boxlite_close(b);
	if (r < 0)
		return cli_fail(&err);
	printf("freed %s\n", str_format_size(freed, size));
	return 0;
}
