/* Machine templates (wire/template.h, docs/decisions/009): which one a box starts from, or makes. */
#ifndef BOX_TEMPLATE_H
#define BOX_TEMPLATE_H

#include "box/home.h"
#include "wire/spec.h"

/*
 * Sets spec.from_template or spec.template_key and *ret_fd (the template, or the folder in which the box's shim is to
 * make it), or leaves all as it is: then the box boots. Failures of the templates themselves are no error.
 */
int template_choose(const struct home *h, struct box_spec *spec, int kernel_fd, int initrd_fd, int *ret_fd,
		    struct error *err) MUST_CHECK;

#endif
