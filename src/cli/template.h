/*
 * Docker's --format in the small: text with actions in double braces over one JSON value.
 *
 *	{{.}}  {{.Name}}  {{.State.ExitCode}}  {{$}}  {{"text"}}
 *	{{json .State}}  {{join .List ","}}  {{index .Map "key"}}  {{len .List}}  {{upper .Name}}  {{lower .Name}}
 *	{{range .List}}..{{else}}..{{end}}  {{if .Value}}..{{else}}..{{end}}  {{.A | json}}
 *
 * Outside of actions \t and \n are what they are in C; {{- and -}} take the space beside them away. A field is found
 * whatever its case and underscores: .ExitCode is exit_code. Lists and objects print as JSON, null as nothing.
 *
 * It is strict: what it does not know is an error that names the column and, for a field, those that there are.
 */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

#define TEMPLATE_DEPTH_MAX 16 /* range and if, one in the other */

/*
 * Appends the result to out: 0; -EINVAL the template is wrong, or not about such a value; -ENOMEM, -ENOBUFS. What was
 * appended before an error stays. `plain`: texts in values become one line without bytes that a terminal would obey.
 */
int template_run(const char *text, const json_t *value, bool plain, struct buf *out, struct error *err) MUST_CHECK;

#endif
