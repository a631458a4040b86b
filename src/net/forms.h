/* The ways in which a server may write a value that it gives back. */
#ifndef NET_FORMS_H
#define NET_FORMS_H

#include "base/base.h"

/* The first two are also how a value is written for a server. */
enum { FORM_URL, FORM_JSON, FORMS = 25 };

/* Writes n bytes in way i, of FORMS; to NULL: only counts. Returns its length; 0: it is no other than they are, or too
 * short to be told from something else. Some ways may come to the same. */
size_t form_put(unsigned i, const uint8_t *p, size_t n, uint8_t *to);

#endif
