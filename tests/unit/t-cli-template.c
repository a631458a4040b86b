/* --format templates: what they make of a value, and what they refuse, at which column. */
#include "cli/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/tap.h"

static const char value[] =
	"{\"id\": \"abc\", \"name\": \"web\", \"none\": null, \"exit_code\": 3, \"on\": true, \"off\": false, \"half\": 0.5,"
	" \"state\": {\"status\": \"exited\", \"oom_killed\": false}, \"env\": [\"A=1\", \"B=2\"], \"empty\": [],"
	" \"labels\": {\"x.y\": \"z\"}, \"bad\": \"a\\u001b[2J\\nb\", \"boxes\": [{\"id\": \"1\"}, {\"id\": \"2\"}]}";

static json_t *root;

static int run(const char *text, bool plain, char out[1024], struct error *err)
{
	struct buf b = BUF_INIT(1000);
	int r = template_run(text, root, plain, &b, err);

	snprintf(out, 1024, "%s", buf_str(&b));
	buf_fini(&b);
	return r;
}

static void gives(const char *text, const char *wanted)
{
	struct error err = { 0 };
	char out[1024];
	int r = run(text, false, out, &err);

	if (!ok(r == 0 && !strcmp(out, wanted), "%s", text))
		printf("# %d '%s', wanted '%s'; %s\n", r, out, wanted, err.text);
}

static void refuses(const char *text, const char *wanted)
{
	struct error err = { 0 };
	char out[1024], whole[600];
	int r = run(text, false, out, &err);

	snprintf(whole, sizeof(whole), "the format, column %s", wanted);
	if (!ok(r == -EINVAL && !strncmp(err.text, whole, strlen(whole)), "%s is refused", text))
		printf("# %d '%s', wanted '%s'\n", r, err.text, whole);
}

static void test_fields(void)
{
	gives("", "");
	gives("text } {", "text } {");
	gives("{{.ID}} {{.Name}}", "abc web");
	gives("{{.Id}}{{.id}}{{ .ID }}", "abcabcabc");
	gives("{{.ExitCode}} {{.exit_code}} {{.EXITCODE}}", "3 3 3");
	gives("{{.State.Status}}", "exited");
	gives("{{.State.OOMKilled}}", "false");
	gives("[{{.None}}]", "[]");
	gives("{{.Half}} {{.On}}", "0.5 true");
	gives("{{.Env}}", "[\"A=1\",\"B=2\"]");
	gives("{{$.Name}}", "web");
	gives("{{\"a\\tb\\\"\"}}", "a\tb\"");
	gives("{{.ID}}\\t{{.Name}}\\n\\x", "abc\tweb\n\\x");
	gives("a {{- .ID -}} b", "aabcb");
	gives("a {{ .ID }} b", "a abc b");
}

static void test_functions(void)
{
	gives("{{json .State}}", "{\"status\":\"exited\",\"oom_killed\":false}");
	gives("{{json .Name}} {{json .None}} {{json .ExitCode}}", "\"web\" null 3");
	gives("{{.Env | json}}", "[\"A=1\",\"B=2\"]");
	gives("{{.Name|upper|lower|json}}", "\"web\"");
	gives("{{upper .Name}}", "WEB");
	gives("{{join .Env \", \"}}|{{join .Empty \",\"}}", "A=1, B=2|");
	gives("{{len .Env}} {{len .Name}} {{len .Labels}}", "2 3 1");
	gives("{{index .Labels \"x.y\"}} {{index .Env 1}}", "z B=2");
	gives("{{index .Boxes 1 | json}}", "{\"id\":\"2\"}");
}

static void test_blocks(void)
{
	gives("{{range .Env}}<{{.}}>{{end}}", "<A=1><B=2>");
	gives("{{range .Boxes}}{{.ID}}{{$.Name}} {{end}}.", "1web 2web .");
	gives("{{range .Empty}}x{{else}}none{{end}}", "none");
	gives("{{range .None}}x{{end}}", "");
	gives("{{range .Labels}}{{.}}{{end}}", "z");
	gives("{{range .Boxes}}{{range $.Env}}{{.}};{{end}}|{{end}}", "A=1;B=2;|A=1;B=2;|");
	gives("{{if .On}}yes{{else}}no{{end}}{{if .Off}}yes{{else}}no{{end}}", "yesno");
	gives("{{if .Empty}}a{{end}}{{if .None}}b{{end}}{{if .ExitCode}}c{{end}}", "c");
	gives("{{if .Off}}{{range .Nothing}}{{.X}}{{end}}{{end}}-", "-");
}

static void test_refusals(void)
{
	refuses("{{.Foo}}", "4: there is no field 'Foo'; there are .ID .Name .None .ExitCode .On");
	refuses("{{.ID}} {{.State.Foo}}", "18: there is no field 'Foo'; there are .Status .OomKilled");
	refuses("{{.Name.Foo}}", "9: 'Foo' is not a field: what stands before it has none");
	refuses("{{.Name.}}", "9: a '.' without the field");
	refuses("x{{.ID", "7: an action without its }}");
	refuses("x{{", "4: '' is neither");
	refuses("{{.ID}", "6: '}' is too much");
	refuses("{{}}", "3: '}' is neither a field");
	refuses("{{foo .ID}}", "3: no function is called 'foo'");
	refuses("{{json}}", "3: json wants 1 argument");
	refuses("{{json .ID .ID}}", "12: that is too much for json");
	refuses("{{.ID .ID}}", "7: '.' is too much");
	refuses("{{.ID | .ID}}", "9: only a function");
	refuses("{{\"abc}}", "3: a text without its end");
	refuses("{{join .Name \",\"}}", "3: join wants a list and a text");
	refuses("{{upper .ExitCode}}", "3: that is for texts only");
	refuses("{{index .Env 2}}", "3: the list has 2 elements");
	refuses("{{index .Labels \"no\"}}", "3: there is no 'no' in it");
	refuses("{{range .Name}}{{end}}", "3: range wants a list");
	refuses("{{range .Env}}", "3: no {{end}}");
	refuses("{{if .On}}{{else}}", "3: no {{end}}");
	refuses("{{if .On}}{{else}}{{else}}{{end}}", "3: two {{else}}");
	refuses("{{end}}", "6: {{end}} of nothing");
	refuses("{{else}}", "7: {{else}} of nothing");
	refuses("{{range .Env}}{{end 1}}", "21: '1' is too much");
	/* What is not reached is checked all the same. */
	refuses("{{if .Off}}{{foo}}{{end}}", "14: no function");
	refuses("{{range .Empty}}{{.ID{{end}}", "22:");
}

static void test_bounds(void)
{
	struct error err = { 0 };
	char out[1024], deep[TEMPLATE_DEPTH_MAX * 32 + 64] = "", *p = deep;
	int i;

	for (i = 0; i < TEMPLATE_DEPTH_MAX; i++)
		p += snprintf(p, 16, "{{if .On}}");
	for (i = 0; i < TEMPLATE_DEPTH_MAX; i++)
		p += snprintf(p, 16, "{{end}}");
	is_int(run(deep, false, out, &err), 0, "blocks, one in the other");
	for (p = deep, i = 0; i <= TEMPLATE_DEPTH_MAX; i++)
		p += snprintf(p, 16, "{{if .On}}");
	is_int(run(deep, false, out, &err), -EINVAL, "too many of them");
	ok(strstr(err.text, "more than 16 blocks") != NULL, "are told");
	is_int(run("{{range .Env}}{{range $.Env}}{{range $.Env}}{{range $.Env}}{{range $.Env}}{{range $.Env}}{{range "
		   "$.Env}}{{range $.Env}}{{json $}}{{end}}{{end}}{{end}}{{end}}{{end}}{{end}}{{end}}{{end}}",
		   false, out, &err), -ENOBUFS, "what grows beyond its buffer ends");
}

static void test_plain(void)
{
	struct error err = { 0 };
	char out[1024];

	run("{{.Bad}}\\n{{.Name}}", false, out, &err);
	is_str(out, "a\033[2J\nb\nweb", "a text as it is");
	run("{{.Bad}}\\n{{.Name}}", true, out, &err);
	ok(!strchr(out, '\033') && strchr(out, '\n') == strrchr(out, '\n') && strstr(out, "\nweb"),
	   "a text for a terminal; the template's own line ends stay");
	run("{{json .Bad}}", true, out, &err);
	is_str(out, "\"a\\u001B[2J\\nb\"", "JSON needs nothing of that");
}

int main(void)
{
	root = json_loads(value, 0, NULL);
	ok(root != NULL, "the value");
	test_fields();
	test_functions();
	test_blocks();
	test_refusals();
	test_bounds();
	test_plain();
	json_decref(root);
	return tap_done();
}
