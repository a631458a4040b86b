#include "wire/logrec.h"

#include <errno.h>
#include <string.h>

#include "lib/tap.h"

int main(void)
{
	static const char good[] = "1764236000.123456789 o 00057\n";
	char h[LOGREC_HEADER + 1] = "";
	struct logrec r = { 1764236000123456789ULL, CHANNEL_STDOUT, 57 }, got;
	size_t i, bad;

	logrec_put(h, &r);
	is_str(h, good, "a header");
	ok(logrec_get(h, &got) == 0 && got.time_ns == r.time_ns && got.channel == r.channel && got.len == r.len, "and back");
	r = (struct logrec){ 5, CHANNEL_STDERR, LOGREC_DATA_MAX };
	logrec_put(h, &r);
	ok(logrec_get(h, &got) == 0 && got.time_ns == 5 && got.channel == CHANNEL_STDERR && got.len == LOGREC_DATA_MAX,
	   "the longest, soon after 1970");
	for (i = bad = 0; i < LOGREC_HEADER; i++) {
		memcpy(h, good, sizeof(h));
		h[i] = 'x';
		bad += logrec_get(h, &got) == -EBADMSG;
	}
	ok(bad == LOGREC_HEADER, "no byte of it may be another (%zu)", bad);
	ok(logrec_get("1764236000.123456789 o 99999\n", &got) == -EBADMSG, "nor may it be longer");
	return tap_done();
}
