/*
 * jansson with bounds: a parser for strangers' JSON and getters that check
 * types. A missing member gives the default; a member of the wrong type sets
 * *bad (never clears it), checked once at the end like a cursor.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/base.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/str.h"

static inline void clean_json(json_t **j)
{
	json_decref(*j);
}

#define auto_json __attribute__((cleanup(clean_json)))

/* Parses exactly one value from n bytes; duplicate keys are refused, nesting is bounded by jansson
 * (2048). NULL with err ("what: line 3: ...") on failure. */
json_t *json_parse(const void *p, size_t n, const char *what, struct error *err);

/* Members of an object; `o` may be NULL or not an object (then: default, and bad if not NULL). */
const char *json_get_str(const json_t *o, const char *key, const char *dflt, bool *bad); /* borrowed */
uint64_t json_get_u64(const json_t *o, const char *key, uint64_t dflt, bool *bad);
bool json_get_bool(const json_t *o, const char *key, bool dflt, bool *bad);
json_t *json_get_obj(const json_t *o, const char *key, bool *bad);  /* borrowed, NULL if absent or null */
json_t *json_get_list(const json_t *o, const char *key, bool *bad); /* borrowed, NULL if absent or null */

/* Appends an array of strings to s; an absent or null member is an empty list. 0, -ENOMEM, -E2BIG. */
int json_get_strv(const json_t *o, const char *key, struct strv *s, bool *bad) MUST_CHECK;

json_t *json_from_strv(const struct strv *s); /* new array; NULL when out of memory or not UTF-8 */

/* A text as a JSON string, written to w without a tree: for what is written often. Of one that is not UTF-8 what is not
 * ASCII is '?'. */
void json_write_str(struct wr *w, const char *text);

/* Adds members: key, text, key, text ..., NULL; none for a text that is NULL. Takes j, which may be NULL, and returns
 * it; NULL when out of memory or not UTF-8. (json_pack() leaves out an "s*" for which it has no memory.) */
json_t *json_with_texts(json_t *j, ...) __attribute__((sentinel));

/* Whether it is UTF-8, which all text in JSON must be. NULL is. */
bool json_can_have(const char *text);
bool json_can_have_all(const struct strv *s);

/* In a text that is not UTF-8 what is not ASCII becomes '?'. */
void json_scrub(char *text);

/* A text from anywhere as a new string; NULL: no memory. Of one that is not UTF-8, at most `most` bytes, and what is
 * not ASCII in them is '?'. */
json_t *json_clean(const char *text, size_t most);

#endif
