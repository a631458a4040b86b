/* Loads images from a folder or archive (fd 5) into the store. */
#ifndef IMAGE_LOAD_H
#define IMAGE_LOAD_H

#include "image/fetch.h"

int load_start(struct fetch *f, struct error *err) MUST_CHECK;

#endif
