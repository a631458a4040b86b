/* Pulls an image from a registry: manifest, configuration, then layers side by side while they are converted. */
#ifndef IMAGE_PULL_H
#define IMAGE_PULL_H

#include "image/fetch.h"

int pull_start(struct fetch *f, struct error *err) MUST_CHECK;

#endif
