/* info, version: what is here. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "cli/cli.h"
#include "cli/format.h"

/* One object as `format` says (NULL: not at all): 0, or the exit code; -1: it is for people. */
static int print_object(const char *command, const char *format, json_t *j)
{
	char *text = NULL;
	int r = -1;

	if (!j) {
		r = cli_failf("out of memory");
	} else if (format && str_eq(format, "json")) {
		text = json_dumps(j, JSON_INDENT(2));
		r = text ? 0 : cli_failf("out of memory");
		if (text)
			printf("%s\n", text);
	} else if (format) {
		r = format_print(command, format, j);
	}
	free(text);
	json_decref(j);
	return r;
}

static int take_options(const char *command, const char *help, int argc, char **argv, const char **format)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' }, { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },	    { 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "+f:h", options, NULL)) != -1) {
		switch (opt) {
		case 'f': *format = optarg; break;
		case 'j': *format = "json"; break;
		case 'h': return cli_help(command, help);
		default: return cli_usage(command, "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	return optind < argc ? cli_usage(command, "'%s' is too much", argv[optind]) : -1;
}

/* --- version ------------------------------------------------------------------------------------- */

int cmd_version(const struct global *g, int argc, char **argv)
{
	const char *format = NULL;
	int r = take_options("version", "  -f, --format json|TEMPLATE   such as '{{.Version}}'; --json is short for the first\n",
			     argc, argv, &format);

	struct utsname host = { 0 };

	(void)g;
	if (r >= 0)
		return r;
	uname(&host);
	r = print_object("version", format, json_pack("{s:s, s:s, s:s}", "version", boxlite_version(), "os",
						      host.sysname, "arch", host.machine));
	if (r < 0)
		printf("boxlite %s\n", boxlite_version());
	return r < 0 ? 0 : r;
}

/* --- info ---------------------------------------------------------------------------------------- */

static json_t *info_json(const struct boxlite_info *i)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I, s:I},"
			 " s:{s:I, s:I, s:I, s:I}}",
			 "version", json_text(i->version), "home", json_text(i->home), "engine", json_text(i->engine),
			 "engine_reason", json_text(i->engine_reason), "qemu", json_text(i->qemu), "programs",
			 json_text(i->programs), "guest", json_text(i->guest), "guest_kernel",
			 json_text(i->guest_kernel), "kernel", json_text(i->kernel), "arch", json_text(i->arch), "host",
			 "cpus", (json_int_t)i->cpus, "memory_bytes", (json_int_t)i->memory_bytes,
			 "memory_available_bytes", (json_int_t)i->memory_available_bytes, "disk", "images_bytes",
			 (json_int_t)i->images_bytes, "boxes_bytes", (json_int_t)i->boxes_bytes, "templates_bytes",
			 (json_int_t)i->templates_bytes, "bytes", (json_int_t)i->disk_bytes, "free_bytes",
			 (json_int_t)i->disk_free_bytes, "count", "boxes", (json_int_t)i->boxes, "running",
			 (json_int_t)i->boxes_running, "failed", (json_int_t)i->boxes_failed, "images",
			 (json_int_t)i->images);
}

static void print_info(const struct boxlite_info *i)
{
	char a[24], b[24], c[24];

	printf("version        %s\n", i->version);
	printf("home           %s\n", i->home);
	printf("engine         %s: %s\n", i->engine, i->engine_reason);
	printf("boxes          %u, of which %u run; of the others %u failed; %s on disk\n", i->boxes, i->boxes_running,
	       i->boxes_failed, str_format_size(i->boxes_bytes, a));
	printf("images         %u, %s on disk\n", i->images, str_format_size(i->images_bytes, a));
	printf("templates      %s on disk\n", str_format_size(i->templates_bytes, a));
	printf("disk           %s free of %s\n", str_format_size(i->disk_free_bytes, a), str_format_size(i->disk_bytes, b));
	printf("memory         %s available of %s\n", str_format_size(i->memory_available_bytes, b),
	       str_format_size(i->memory_bytes, c));
	printf("cpus           %u\n", i->cpus);
	printf("host kernel    %s, %s\n", i->kernel, i->arch);
	printf("guest kernel   %s\n", i->guest_kernel ? i->guest_kernel : "none: build it with make");
	printf("guest files    %s\n", i->guest);
	printf("programs       %s\n", i->programs);
	printf("qemu           %s\n", i->qemu ? i->qemu : "none");
}

static int on_info(const struct boxlite_info *i, void *ud)
{
	const char *format = ud;
	int r = print_object("info", format, info_json(i));

	if (r < 0)
		print_info(i);
	return r < 0 ? 0 : r;
}

int cmd_info(const struct global *g, int argc, char **argv)
{
	const char *format = NULL;
	struct boxlite_error err;
	struct boxlite *b;
	int r = take_options("info", "  -f, --format json|TEMPLATE   such as '{{.Engine}}'; --json is short for the first\n\n"
				     "What about this host is good or bad for boxes: boxlite doctor\n",
			     argc, argv, &format);

	if (r >= 0)
		return r;
	r = cli_open(g, &b);
	if (r)
		return r;
	r = boxlite_info(b, on_info, (void *)format, &err);
	boxlite_close(b);
	return r < 0 ? cli_fail(&err) : r;
}
