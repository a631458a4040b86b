/*
 * __complete: what could stand where the cursor is. The scripts in completions/ give it the words after "boxlite", the
 * last being the one that is typed now (and may be empty), and get a line for each candidate: the word, a tab, what it
 * is. A line ":files" or ":folders" asks the shell for those of its own.
 *
 * Nothing here knows a command. The commands are those of the table, and what follows one is read from its help:
 *
 *   usage: boxlite start [-ai] BOX...                    the operands; BOX, IMAGE, PATH ... say what they are
 *   -i, --interactive        the same, with input        an option
 *   --format table|json      how it is printed           one with a value, and the values there are
 *   --timing[=kernel]        where the time went         one whose value may be missing
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clean.h"
#include "base/str.h"
#include "cli/cli.h"

struct text { /* a part of a help text */
	const char *s;
	size_t n;
};

struct opt {
	char letter;       /* 0: none */
	struct text name;  /* empty: none */
	struct text value; /* empty: it has none */
	bool value_may_miss;
	struct text what;
};

/* The words before the cursor, read with the options of a help text. */
struct place {
	struct opt value_of; /* the cursor is at the value of this one; without name and letter: it is not */
	bool operands_only;  /* no options any more: one operand was there, or "--" */
	int operand;         /* which one comes next, from 0 */
	int first_operand;   /* its word; -1: there is none */
};

struct words {
	char **v; /* the last is the one at the cursor */
	int n;
};

static bool text_is(struct text t, const char *s)
{
	return strlen(s) == t.n && memcmp(t.s, s, t.n) == 0;
}

static bool text_has(struct text t, const char *s)
{
	return t.n && memmem(t.s, t.n, s, strlen(s)) != NULL;
}

static struct text text_until(const char *s, const char *stop)
{
	return (struct text){ s, strcspn(s, stop) };
}

/* --- help texts ------------------------------------------------------------------------------ */

/* "  -n, --name VALUE   what it is": false if the line is not of an option. */
static bool parse_option(const char *line, struct opt *ret)
{
	struct opt o = { 0 };
	const char *p = line;

	if (!str_starts(p, "  -"))
		return false;
	p += 2;
	if (p[1] != '-') {
		o.letter = p[1];
		p += str_starts(p + 2, ", --") ? 4 : 2;
	}
	if (str_starts(p, "--")) {
		o.name = text_until(p + 2, " [=\n");
		p += 2 + o.name.n;
	}
	if (str_starts(p, "[=")) {
		o.value = text_until(p + 2, "]\n");
		o.value_may_miss = true;
		p += 2 + o.value.n;
	} else if (*p == ' ' && p[1] != ' ') {
		o.value = text_until(p + 1, " \n");
		p += 1 + o.value.n;
	}
	p += strcspn(p, " \n");
	p += strspn(p, " ");
	o.what = text_until(p, "\n");
	*ret = o;
	return true;
}

static bool next_option(const char **at, struct opt *ret)
{
	while (**at) {
		bool found = parse_option(*at, ret);

		*at += strcspn(*at, "\n");
		*at += **at == '\n';
		if (found)
			return true;
	}
	return false;
}

static bool find_option(const char *help, char letter, struct text name, struct opt *ret)
{
	while (next_option(&help, ret)) {
		bool same = name.n && ret->name.n == name.n && memcmp(ret->name.s, name.s, name.n) == 0;

		if (letter ? ret->letter == letter : same)
			return true;
	}
	return false;
}

/* The n-th operand of a synopsis; the last one again if it may be repeated. Empty: no more are taken. */
static struct text find_operand(const char *synopsis, int n)
{
	const char *p = synopsis + strcspn(synopsis, " ");
	struct text last = { 0 };

	while (*(p += strspn(p, " []"))) {
		struct text t = text_until(p, " ");

		if (str_starts(p, "OPTIONS]") || *p == '-') {
			/* An option with its value ends where its bracket ends. */
			p += p[-1] == '[' || *p == 'O' ? strcspn(p, "]") : t.n;
			continue;
		}
		last = (struct text){ p, strcspn(p, " []") };
		p += t.n;
		if (n-- == 0)
			return last;
	}
	return last.n > 3 && memcmp(last.s + last.n - 3, "...", 3) == 0 ? last : (struct text){ 0 };
}

/* `boxlite ls` is ps under another name, and has its help. */
static const struct command *find_command(const char *name)
{
	const struct command *c = cli_find_command(name), *other;
	size_t i;

	for (i = 0; c && !c->summary && (other = cli_command(i)); i++)
		if (other->run == c->run && other->summary)
			c = other;
	return c;
}

/* What a command prints when it is asked for help; NULL: boxlite itself. */
static char *help_of(const struct global *g, const char *command)
{
	char help[] = "help", option[] = "--help", *argv[] = { help, command ? option : NULL, NULL };
	const struct command *c = find_command(command ? command : help);
	FILE *out = stdout;
	char *text = NULL;
	size_t n;

	if (!c || !c->summary)
		return NULL;
	stdout = open_memstream(&text, &n); /* a variable, in this C library */
	if (stdout) {
		optind = 0;
		c->run(g, command ? 2 : 1, argv);
		fclose(stdout);
	}
	stdout = out;
	return text;
}

/* --- where the cursor is --------------------------------------------------------------------- */

/* An option as it was typed: true if the next word is its value. */
static bool wants_next(const char *help, const char *word, struct opt *ret)
{
	const char *p;

	if (str_starts(word, "--"))
		return !strchr(word, '=') && find_option(help, 0, text_until(word + 2, ""), ret) && ret->value.n &&
		       !ret->value_may_miss;
	for (p = word + 1; *p; p++)
		if (find_option(help, *p, (struct text){ 0 }, ret) && ret->value.n)
			return !p[1];
	return false;
}

static struct place find_place(const char *help, const struct words *w)
{
	struct place at = { .first_operand = -1 };
	int i;

	for (i = 0; i + 1 < w->n; i++) {
		const char *word = w->v[i];

		if (at.operands_only || *word != '-' || !word[1]) {
			if (at.first_operand < 0)
				at.first_operand = i;
			at.operands_only = true;
			at.operand++;
		} else if (str_eq(word, "--")) {
			at.operands_only = true;
		} else if (wants_next(help, word, &at.value_of)) {
			i++; /* past the value, or at the cursor: then it is this one's */
			if (i + 1 < w->n)
				at.value_of = (struct opt){ 0 };
		} else {
			at.value_of = (struct opt){ 0 };
		}
	}
	return at;
}

/* --- candidates ------------------------------------------------------------------------------ */

struct asked {
	const char *begin; /* what of the word stands before the value: "--engine=" */
	size_t nbegin;
	const char *typed; /* of the value itself */
	const char *after; /* each candidate ends in this */
	bool outer;        /* it is before the command: a DIR is a folder of this host, not one in a box */
};

static void offer(const struct asked *a, struct text word, const char *what, size_t nwhat)
{
	size_t typed = strlen(a->typed);

	if (word.n >= typed && memcmp(word.s, a->typed, typed) == 0)
		printf("%.*s%.*s%s\t%.*s\n", (int)a->nbegin, a->begin, (int)word.n, word.s, a->after, (int)nwhat, what);
}

static void offer_word(const struct asked *a, const char *word, const char *what)
{
	offer(a, text_until(word, ""), what, strlen(what));
}

static int offer_box(const struct boxlite_box_info *i, void *ud)
{
	const struct asked *a = ud;
	char what[300];

	snprintf(what, sizeof(what), "%s, %s", table_reference(i->image), i->running ? "running" : "not running");
	if (i->name)
		offer_word(a, i->name, what);
	/* Ids are for those who have begun to type one. */
	if (!i->name || *a->typed)
		offer_word(a, i->id, what);
	return 0;
}

static int offer_image(const struct boxlite_image_info *i, void *ud)
{
	char size[24];

	offer_word(ud, table_reference(i->reference), str_format_size(i->bytes, size));
	return 0;
}

static bool home_exists(const struct global *g)
{
	const char *home = g->home ? g->home : getenv("BOXLITE_HOME"), *user = getenv("HOME");
	auto_free char *path = NULL;

	if (home && *home)
		return access(home, F_OK) == 0;
	if (!user || asprintf(&path, "%s/.boxlite", user) < 0)
		return false;
	return access(path, F_OK) == 0;
}

/* Who presses a key has not asked for a home to be made, nor for a reason why there is none. */
static void offer_kept(const struct global *g, struct asked *a, bool boxes)
{
	struct boxlite *b;

	if (!home_exists(g) || boxlite_open(g->home, &b, NULL) < 0)
		return;
	if (boxes)
		boxlite_box_list(b, offer_box, a, NULL);
	else
		boxlite_image_list(b, offer_image, a, NULL);
	boxlite_close(b);
}

static void offer_commands(const struct asked *a)
{
	const struct command *c;
	size_t i;

	for (i = 0; (c = cli_command(i)); i++)
		if (c->summary)
			offer_word(a, c->name, c->summary);
}

static void offer_signals(const struct asked *a)
{
	int i;

	for (i = 1; i < SIGRTMIN; i++)
		if (sigabbrev_np(i))
			offer_word(a, sigabbrev_np(i), sigdescr_np(i));
}

/* "table|json", "bash|zsh|fish" */
static void offer_choices(const struct asked *a, struct text kind)
{
	while (kind.n) {
		const char *bar = memchr(kind.s, '|', kind.n);
		struct text one = { kind.s, bar ? (size_t)(bar - kind.s) : kind.n };

		if (one.s[0] >= 'a' && one.s[0] <= 'z')
			offer(a, one, "", 0);
		kind.s += one.n + (bar != NULL);
		kind.n -= one.n + (bar != NULL);
	}
}

/* Of a kind that the help has a word for. */
static void offer_kind(const struct global *g, struct asked *a, struct text kind)
{
	bool of_box = text_has(kind, "BOX:"); /* a place in a box */

	if (text_has(kind, "BOX")) {
		a->after = of_box ? ":" : "";
		offer_kept(g, a, true);
		a->after = "";
	}
	if (text_has(kind, "IMAGE"))
		offer_kept(g, a, false);
	if (text_has(kind, "SIGNAL"))
		offer_signals(a);
	if (text_is(kind, "PATH") || text_has(kind, "|PATH") || text_has(kind, "PATH|") || text_has(kind, "FILE"))
		printf(":files\n");
	if (a->outer && text_is(kind, "DIR"))
		printf(":folders\n");
	offer_choices(a, kind);
}

static void offer_options(const struct asked *a, const char *help)
{
	const struct text help_name = { "--help", 6 };
	struct opt o;

	while (next_option(&help, &o)) {
		char letter[] = { '-', o.letter, 0 };

		if (o.name.n)
			offer(a, (struct text){ o.name.s - 2, o.name.n + 2 }, o.what.s, o.what.n);
		else
			offer(a, text_until(letter, ""), o.what.s, o.what.n);
	}
	offer(a, help_name, "explain the command", 19);
}

/* --engine=k: false if the word is no such thing. */
static bool offer_joined(const struct global *g, const char *help, const char *word, bool outer)
{
	const char *equals = strchr(word, '=');
	struct asked a = { .begin = word, .typed = equals ? equals + 1 : "", .after = "", .outer = outer };
	struct opt o;

	if (!equals || !str_starts(word, "--"))
		return false;
	a.nbegin = (size_t)(a.typed - word);
	if (find_option(help, 0, text_until(word + 2, "="), &o))
		offer_kind(g, &a, o.value);
	return true;
}

/* What both levels have: options and their values. false: it is an operand's turn. */
static bool complete_option(const struct global *g, const char *help, const struct place *at, const char *word,
			    bool outer)
{
	struct asked a = { .begin = "", .typed = word, .after = "", .outer = outer };

	if (at->value_of.value.n) {
		offer_kind(g, &a, at->value_of.value);
		return true;
	}
	if (at->operands_only || *word != '-')
		return false;
	if (!offer_joined(g, help, word, outer))
		offer_options(&a, help);
	return true;
}

static void complete_command(const struct global *g, const char *command, const struct words *w)
{
	auto_free char *help = help_of(g, command);
	struct asked a = { .begin = "", .typed = w->v[w->n - 1], .after = "" };
	struct place at;
	struct text kind;

	if (!help)
		return;
	at = find_place(help, w);
	if (complete_option(g, help, &at, a.typed, false))
		return;
	kind = find_operand(find_command(command)->synopsis, at.operand);
	/* After a box or an image it is a program in there, which nobody here knows. */
	if (text_is(kind, "COMMAND") && at.operand == 0)
		offer_commands(&a);
	else
		offer_kind(g, &a, kind);
}

/* Of the options before the command this one matters here, too. */
static const char *home_of(const struct words *w, int end)
{
	const char *home = NULL;
	int i;

	for (i = 0; i < end; i++) {
		if (str_eq(w->v[i], "--home") && i + 1 < end)
			home = w->v[++i];
		else if (str_starts(w->v[i], "--home="))
			home = w->v[i] + strlen("--home=");
	}
	return home;
}

int cmd_complete(const struct global *outer, int argc, char **argv)
{
	struct words w = { argv + 1, argc - 1 };
	struct global g = *outer;
	auto_free char *help = help_of(&g, NULL);
	struct asked a = { .begin = "", .typed = "", .after = "" };
	struct place at;

	if (w.n == 0 || !help)
		return EXIT_BOXLITE;
	at = find_place(help, &w);
	if (at.first_operand >= 0) {
		const char *home = home_of(&w, at.first_operand);
		struct words rest = { w.v + at.first_operand + 1, w.n - at.first_operand - 1 };

		if (home)
			g.home = home;
		complete_command(&g, w.v[at.first_operand], &rest);
		return 0;
	}
	a.typed = w.v[w.n - 1];
	if (!complete_option(&g, help, &at, a.typed, true))
		offer_commands(&a);
	return 0;
}
