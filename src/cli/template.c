/*
 * Theory of operation. There is no tree: a template is short and run() walks its text anew for each value. A block is
 * what stands up to {{end}} or {{else}}; one that is not wanted is walked all the same, with `live` off, so that its
 * end is found and its syntax is checked. A range walks its block once for each element.
 *
 * Values are borrowed from what the template is about, or made by a function: then they are owned by the action that
 * made them (struct value).
 */
#include "cli/template.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define ARGS_MAX 8
#define WORD_MAX 64
#define FIELDS_MAX 400 /* bytes of their list in an error */

struct run {
	const char *text, *at; /* `at` walks in `text` */
	const json_t *root;
	bool plain;
	struct buf *out;
	struct error *err;
	unsigned depth;
};

/* How a block ended. */
enum stop { STOP_TEXT, STOP_END, STOP_ELSE };

static int wrong(struct run *r, const char *at, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int wrong(struct run *r, const char *at, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(r->err, -EINVAL, "the format, column %zu: %s", (size_t)(at - r->text) + 1, text);
}

/* --- fields ------------------------------------------------------------------------------------ */

/* "ExitCode" is "exit_code". */
static bool same_field(const char *key, const char *word, size_t n)
{
	const char *end = word + n;

	while (*key || word < end) {
		if (*key == '_')
			key++;
		else if (word < end && *word == '_')
			word++;
		else if (word < end && tolower((unsigned char)*key) == tolower((unsigned char)*word))
			key++, word++;
		else
			return false;
	}
	return true;
}

/* "exit_code" as docker would write it. */
static void add_name(char *list, size_t size, const char *key)
{
	size_t n = strlen(list);
	bool upper = true;

	if (n + strlen(key) + 4 > size)
		return;
	n += (size_t)snprintf(list + n, size - n, "%s.", n ? " " : "");
	if (str_eq(key, "id"))
		key = "ID";
	for (; *key; key++) {
		if (*key != '_')
			list[n++] = (char)(upper ? toupper((unsigned char)*key) : *key);
		upper = *key == '_';
	}
	list[n] = 0;
}

static int no_field(struct run *r, const char *at, const json_t *of, size_t n)
{
	char list[FIELDS_MAX] = "";
	const char *key;
	json_t *v;

	if (!json_is_object(of))
		return wrong(r, at, "'%.*s' is not a field: what stands before it has none", (int)MIN(n, 40), at);
	json_object_foreach((json_t *)of, key, v)
		add_name(list, sizeof(list), key);
	return wrong(r, at, "there is no field '%.*s'; there are %s", (int)MIN(n, 40), at, list);
}

static int get_field(struct run *r, const char *word, size_t n, const json_t **value)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)*value, key, v)
		if (same_field(key, word, n)) {
			*value = v;
			return 0;
		}
	return no_field(r, word, *value, n);
}

/* --- values ------------------------------------------------------------------------------------ */

struct value {
	const json_t *j;
	json_t *own; /* owned; j, or NULL if j is another's */
};

static void value_set(struct value *v, json_t *own)
{
	json_decref(v->own);
	v->j = v->own = own;
}

static bool is_true(const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_TRUE: return true;
	case JSON_STRING: return json_string_length(j) > 0;
	case JSON_INTEGER: return json_integer_value(j) != 0;
	case JSON_REAL: return json_real_value(j) != 0;
	case JSON_ARRAY: return json_array_size(j) > 0;
	case JSON_OBJECT: return json_object_size(j) > 0;
	default: return false;
	}
}

static int put_json(struct buf *out, const json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
	int r = text ? buf_append(out, text, strlen(text)) : -ENOMEM;

	free(text);
	return r;
}

/* error_flatten() makes '?' of what a terminal would obey. */
static int put_text(struct run *r, const char *text)
{
	char *copy;
	int e;

	if (!r->plain)
		return buf_append(r->out, text, strlen(text));
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	error_flatten(copy);
	e = buf_append(r->out, copy, strlen(copy));
	free(copy);
	return e;
}

static int put_value(struct run *r, const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_NULL: return 0;
	case JSON_STRING: return put_text(r, json_string_value(j));
	case JSON_INTEGER: return buf_printf(r->out, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
	case JSON_REAL: return buf_printf(r->out, "%g", json_real_value(j));
	default: return put_json(r->out, j);
	}
}

/* --- functions: v[0] is the result; `at` is where the call stands ------------------------------- */

static int fn_json(struct run *r, const char *at, struct value *v)
{
	char *text = json_dumps(v[1].j, JSON_COMPACT | JSON_ENCODE_ANY);

	(void)r, (void)at;
	if (text)
		value_set(&v[0], json_string(text));
	free(text);
	return v[0].j ? 0 : -ENOMEM;
}

static int fn_join(struct run *r, const char *at, struct value *v)
{
	struct buf whole = BUF_INIT(16 * MIB), *out = r->out;
	size_t i;
	int e = 0;

	if (!json_is_array(v[1].j) || !json_is_string(v[2].j))
		return wrong(r, at, "join wants a list and a text");
	r->out = &whole;
	for (i = 0; e == 0 && i < json_array_size(v[1].j); i++) {
		if (i)
			e = buf_append(&whole, json_string_value(v[2].j), json_string_length(v[2].j));
		if (e == 0)
			e = put_value(r, json_array_get(v[1].j, i));
	}
	r->out = out;
	if (e == 0)
		value_set(&v[0], json_stringn(buf_len(&whole) ? (char *)buf_data(&whole) : "", buf_len(&whole)));
	buf_fini(&whole);
	return e < 0 ? e : v[0].j ? 0 : -ENOMEM;
}

static int fn_len(struct run *r, const char *at, struct value *v)
{
	const json_t *j = v[1].j;

	if (!json_is_array(j) && !json_is_object(j) && !json_is_string(j))
		return wrong(r, at, "len wants a list, an object or a text");
	value_set(&v[0], json_integer((json_int_t)(json_is_array(j)    ? json_array_size(j)
						   : json_is_object(j) ? json_object_size(j)
								       : json_string_length(j))));
	return v[0].j ? 0 : -ENOMEM;
}

static int fn_index(struct run *r, const char *at, struct value *v)
{
	const json_t *of = v[1].j, *key = v[2].j;

	if (json_is_object(of) && json_is_string(key)) {
		v[0].j = json_object_get(of, json_string_value(key));
		return v[0].j ? 0 : wrong(r, at, "there is no '%.40s' in it", json_string_value(key));
	}
	if (!json_is_array(of) || !json_is_integer(key))
		return wrong(r, at, "index wants an object and a text, or a list and a number");
	v[0].j = json_array_get(of, (size_t)json_integer_value(key));
	return v[0].j ? 0 : wrong(r, at, "the list has %zu elements", json_array_size(of));
}

static int change_case(struct run *r, const char *at, struct value *v, int (*to)(int))
{
	char *copy, *p;

	if (!json_is_string(v[1].j))
		return wrong(r, at, "that is for texts only");
	copy = strdup(json_string_value(v[1].j));
	for (p = copy; p && *p; p++)
		if ((unsigned char)*p < 0x80)
			*p = (char)to(*p);
	if (copy)
		value_set(&v[0], json_string(copy));
	free(copy);
	return v[0].j ? 0 : -ENOMEM;
}

static int fn_upper(struct run *r, const char *at, struct value *v)
{
	return change_case(r, at, v, toupper);
}

static int fn_lower(struct run *r, const char *at, struct value *v)
{
	return change_case(r, at, v, tolower);
}

static const struct function {
	const char *name;
	unsigned args;
	int (*call)(struct run *r, const char *at, struct value *v);
} functions[] = {
	{ "json", 1, fn_json }, { "join", 2, fn_join },	  { "index", 2, fn_index },
	{ "len", 1, fn_len },	{ "upper", 1, fn_upper }, { "lower", 1, fn_lower },
};

/* --- expressions --------------------------------------------------------------------------------- */

static void skip_space(struct run *r)
{
	while (isspace((unsigned char)*r->at))
		r->at++;
}

static size_t word_length(const char *p)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || p[n] == '_')
		n++;
	return n;
}

/* The end of an action: "}}", perhaps with the '-' that trims. */
static bool at_close(const struct run *r)
{
	return !strncmp(r->at, "}}", 2) || !strncmp(r->at, "-}}", 3);
}

static int read_string(struct run *r, struct value *ret)
{
	auto_buf struct buf text = BUF_INIT(64 * KIB);
	const char *begin = r->at++;
	int e = 0;

	for (; e == 0 && *r->at && *r->at != '"'; r->at++) {
		char c = *r->at;

		if (c == '\\' && r->at[1]) {
			c = *++r->at;
			c = c == 't' ? '\t' : c == 'n' ? '\n' : c;
		}
		e = buf_append(&text, &c, 1);
	}
	if (e < 0)
		return e;
	if (*r->at != '"')
		return wrong(r, begin, "a text without its end");
	r->at++;
	value_set(ret, json_stringn(buf_len(&text) ? (char *)buf_data(&text) : "", buf_len(&text)));
	return ret->j ? 0 : wrong(r, begin, "a text that is not UTF-8");
}

/* ".A.B", "." or "$.A": dead code has no value to take them from. */
static int read_path(struct run *r, const json_t *dot, bool live, struct value *ret)
{
	const char *begin = r->at;
	const json_t *v = *r->at == '$' ? r->root : dot;
	size_t n;
	int e;

	if (*r->at == '$')
		r->at++;
	while (*r->at == '.') {
		n = word_length(++r->at);
		if (n == 0 && (v != (*begin == '$' ? r->root : dot) || begin[1] != *r->at))
			return wrong(r, r->at, "a '.' without the field behind it");
		if (n == 0)
			break;
		e = live ? get_field(r, r->at, n, &v) : 0;
		if (e < 0)
			return e;
		r->at += n;
	}
	ret->j = v;
	return 0;
}

static int read_number(struct run *r, struct value *ret)
{
	char word[24];
	size_t n = word_length(r->at);
	uint64_t v;

	snprintf(word, sizeof(word), "%.*s", (int)MIN(n, sizeof(word)), r->at);
	if (str_parse_u64(word, INT64_MAX, &v) < 0)
		return wrong(r, r->at, "'%s' is not a number", word);
	r->at += n;
	value_set(ret, json_integer((json_int_t)v));
	return ret->j ? 0 : -ENOMEM;
}

static int read_term(struct run *r, const json_t *dot, bool live, struct value *ret)
{
	if (*r->at == '"')
		return read_string(r, ret);
	if (*r->at == '.' || *r->at == '$')
		return read_path(r, dot, live, ret);
	if (isdigit((unsigned char)*r->at))
		return read_number(r, ret);
	return wrong(r, r->at, "'%.*s' is neither a field, a text nor a number", (int)MAX(word_length(r->at), 1), r->at);
}

/* "json .X" or a term; `piped`: the value before the '|', the last argument. */
static int read_command(struct run *r, const json_t *dot, bool live, const struct value *piped, struct value *ret)
{
	struct value v[ARGS_MAX] = { 0 };
	const char *at = r->at;
	size_t n = word_length(at), i, args = 0;
	const struct function *f = NULL;
	int e = 0;

	for (i = 0; n && i < ARRAY_SIZE(functions); i++)
		if (strlen(functions[i].name) == n && !strncmp(functions[i].name, at, n))
			f = &functions[i];
	if (!f && n && !isdigit((unsigned char)*at))
		return wrong(r, at, "no function is called '%.*s'; there are json, join, index, len, upper and lower",
			     (int)n, at);
	if (!f)
		return piped ? wrong(r, at, "only a function can follow '|'") : read_term(r, dot, live, ret);
	r->at += n;
	for (skip_space(r); e == 0 && *r->at && *r->at != '|' && !at_close(r); skip_space(r)) {
		if (args == f->args - !!piped)
			e = wrong(r, r->at, "that is too much for %s", f->name);
		else
			e = read_term(r, dot, live, &v[++args]);
	}
	if (e == 0 && piped)
		v[++args].j = piped->j;
	if (e == 0 && args != f->args)
		e = wrong(r, at, "%s wants %u argument%s", f->name, f->args, f->args == 1 ? "" : "s");
	if (e == 0 && live)
		e = f->call(r, at, v);
	/* A borrowed result (of index) may be part of an argument that was made here. */
	if (e == 0 && v[0].j)
		value_set(ret, v[0].own ? v[0].own : json_incref((json_t *)v[0].j));
	for (i = 1; i < ARGS_MAX; i++)
		json_decref(v[i].own);
	return e;
}

static int read_pipe(struct run *r, const json_t *dot, bool live, struct value *ret)
{
	int e;

	skip_space(r);
	e = read_command(r, dot, live, NULL, ret);
	for (skip_space(r); e == 0 && *r->at == '|'; skip_space(r)) {
		struct value next = { 0 };

		r->at++;
		skip_space(r);
		e = read_command(r, dot, live, ret, &next);
		json_decref(ret->own);
		*ret = next;
	}
	if (e == 0 && !at_close(r))
		e = *r->at ? wrong(r, r->at, "'%.*s' is too much", (int)MAX(word_length(r->at), 1), r->at)
			   : wrong(r, r->at, "an action without its }}");
	return e;
}

/* --- blocks --------------------------------------------------------------------------------------- */

static int run_block(struct run *r, const json_t *dot, bool live, enum stop *ret);

/* Behind "}}", and behind the space after it if "-}}" says so. */
static void close_action(struct run *r)
{
	bool trim = *r->at == '-';

	r->at += trim ? 3 : 2;
	if (trim)
		skip_space(r);
}

static int run_else(struct run *r, const json_t *dot, bool live, const char *begin, enum stop stop)
{
	int e = 0;

	if (stop == STOP_ELSE)
		e = run_block(r, dot, live, &stop);
	if (e == 0 && stop != STOP_END)
		e = stop == STOP_ELSE ? wrong(r, begin, "two {{else}} of one") : wrong(r, begin, "no {{end}}");
	return e;
}

static int run_if(struct run *r, const json_t *dot, bool live, const char *begin, const struct value *v)
{
	bool yes = live && v->j && is_true(v->j);
	enum stop stop;
	int e = run_block(r, dot, live && yes, &stop);

	return e < 0 ? e : run_else(r, dot, live && !yes, begin, stop);
}

static int run_range(struct run *r, const json_t *dot, bool live, const char *begin, const struct value *v)
{
	const char *block = r->at, *key;
	enum stop stop = STOP_END;
	size_t i, n = 0;
	json_t *member;
	int e = 0;

	if (live && !json_is_array(v->j) && !json_is_object(v->j) && !json_is_null(v->j))
		return wrong(r, begin, "range wants a list or an object");
	if (live && json_is_object(v->j))
		json_object_foreach((json_t *)v->j, key, member) {
			r->at = block;
			e = run_block(r, member, true, &stop);
			n++;
			if (e < 0)
				return e;
		}
	for (i = 0; live && e == 0 && i < json_array_size(v->j); i++, n++) {
		r->at = block;
		e = run_block(r, json_array_get(v->j, i), true, &stop);
	}
	if (e == 0 && n == 0)
		e = run_block(r, dot, false, &stop);
	return e < 0 ? e : run_else(r, dot, live && n == 0, begin, stop);
}

static bool take_word(struct run *r, const char *word)
{
	size_t n = strlen(word);

	if (word_length(r->at) != n || strncmp(r->at, word, n) != 0)
		return false;
	r->at += n;
	return true;
}

static int end_block(struct run *r, enum stop stop, enum stop *ret)
{
	skip_space(r);
	if (!at_close(r))
		return wrong(r, r->at, "'%.*s' is too much", (int)MAX(word_length(r->at), 1), r->at);
	if (r->depth == 0)
		return wrong(r, r->at, "{{%s}} of nothing", stop == STOP_END ? "end" : "else");
	close_action(r);
	*ret = stop;
	return 0;
}

/* What stands behind "{{": *ret is not STOP_TEXT if the block ends here. */
static int run_action(struct run *r, const json_t *dot, bool live, enum stop *ret)
{
	const char *begin = r->at;
	struct value v = { 0 };
	bool is_range, is_if;
	int e;

	skip_space(r);
	if (take_word(r, "end"))
		return end_block(r, STOP_END, ret);
	if (take_word(r, "else"))
		return end_block(r, STOP_ELSE, ret);
	is_range = take_word(r, "range");
	is_if = !is_range && take_word(r, "if");
	e = read_pipe(r, dot, live, &v);
	if (e == 0)
		close_action(r);
	if (e == 0 && (is_range || is_if)) {
		if (r->depth == TEMPLATE_DEPTH_MAX)
			e = wrong(r, begin, "more than %d blocks, one in the other", TEMPLATE_DEPTH_MAX);
		r->depth++;
		if (e == 0)
			e = is_range ? run_range(r, dot, live, begin, &v) : run_if(r, dot, live, begin, &v);
		r->depth--;
	} else if (e == 0 && live && v.j) {
		e = put_value(r, v.j);
	}
	json_decref(v.own);
	return e;
}

/* Text up to the next action, with its escapes. *trim: that begins with "{{-". */
static int run_text(struct run *r, bool live)
{
	const char *open = strstr(r->at, "{{"), *end = open ? open : r->at + strlen(r->at), *p = r->at;
	int e = 0;

	if (open && open[2] == '-' && isspace((unsigned char)open[3]))
		while (end > p && isspace((unsigned char)end[-1]))
			end--;
	for (; live && e == 0 && p < end; p++) {
		char c = *p;

		if (c == '\\' && p + 1 < end && (p[1] == 't' || p[1] == 'n'))
			c = *++p == 't' ? '\t' : '\n';
		e = buf_append(r->out, &c, 1);
	}
	r->at = open ? open : r->at + strlen(r->at);
	return e;
}

static int run_block(struct run *r, const json_t *dot, bool live, enum stop *ret)
{
	int e = 0;

	*ret = STOP_TEXT;
	while (e == 0 && *ret == STOP_TEXT && *r->at) {
		e = run_text(r, live);
		if (e < 0 || !*r->at)
			break;
		r->at += 2;
		if (r->at[0] == '-' && isspace((unsigned char)r->at[1]))
			r->at++;
		e = run_action(r, dot, live, ret);
	}
	return e;
}

int template_run(const char *text, const json_t *value, bool plain, struct buf *out, struct error *err)
{
	struct run r = { .text = text, .at = text, .root = value, .plain = plain, .out = out, .err = err };
	enum stop stop;
	int e = run_block(&r, value, true, &stop);

	if (e < 0 && e != -EINVAL)
		return error_code(err, e, "cannot fill in the format");
	return e;
}
