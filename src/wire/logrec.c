#include "wire/logrec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECONDS_DIGITS 10
#define NS_DIGITS 9
#define LEN_DIGITS 5
#define NS_AT (SECONDS_DIGITS + 1)
#define CHANNEL_AT (NS_AT + NS_DIGITS + 1)
#define LEN_AT (CHANNEL_AT + 2)

_Static_assert(LEN_AT + LEN_DIGITS + 1 == LOGREC_HEADER, "the header's parts");
_Static_assert(LOGREC_DATA_MAX < 100000, "a length has five digits");

void logrec_put(char out[LOGREC_HEADER], const struct logrec *r)
{
	char text[LOGREC_HEADER + 32];

	snprintf(text, sizeof(text), "%010llu.%09llu %c %05u\n",
		 (unsigned long long)(r->time_ns / 1000000000 % 10000000000),
		 (unsigned long long)(r->time_ns % 1000000000), r->channel == CHANNEL_STDERR ? 'e' : 'o', r->len);
	memcpy(out, text, LOGREC_HEADER);
}

static bool digits(const char *p, int n, uint64_t *ret)
{
	for (*ret = 0; n--; p++) {
		if (*p < '0' || *p > '9')
			return false;
		*ret = *ret * 10 + (uint64_t)(*p - '0');
	}
	return true;
}

int logrec_get(const char in[LOGREC_HEADER], struct logrec *ret)
{
	char channel = in[CHANNEL_AT];
	uint64_t s, ns, len;

	if (!digits(in, SECONDS_DIGITS, &s) || !digits(in + NS_AT, NS_DIGITS, &ns) ||
	    !digits(in + LEN_AT, LEN_DIGITS, &len))
		return -EBADMSG;
	if (in[NS_AT - 1] != '.' || in[CHANNEL_AT - 1] != ' ' || (channel != 'o' && channel != 'e') ||
	    in[LEN_AT - 1] != ' ' || in[LOGREC_HEADER - 1] != '\n' || len > LOGREC_DATA_MAX)
		return -EBADMSG;
	ret->time_ns = s * 1000000000 + ns;
	ret->channel = channel == 'e' ? CHANNEL_STDERR : CHANNEL_STDOUT;
	ret->len = (uint32_t)len;
	return 0;
}
