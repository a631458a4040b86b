/*
 * boxlite-image: fetches images and makes root file systems of them. Started
 * by the library; the role is the only argument, the rest comes over fd 3.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "image/convert.h"
#include "image/fetch.h"

int main(int argc, char **argv)
{
	log_init("boxlite-image", LOG_INFO);
	if (argc == 2 && str_eq(argv[1], "fetch"))
		return fetch_main();
	if (argc == 2 && str_eq(argv[1], "convert"))
		return convert_main();
	fprintf(stderr, "boxlite-image is started by the boxlite library; see boxlite(1)\n");
	return 2;
}
