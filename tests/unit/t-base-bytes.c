/* Buffers, cursors and text: the bounded containers of base. */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/ring.h"
#include "base/str.h"
#include "lib/tap.h"

static void test_buf(void)
{
	struct buf b = BUF_INIT(1000);
	char big[1001] = { 0 };
	int i, r = 0;

	is_int(buf_append(&b, big, 1001), -ENOBUFS, "more than the ceiling is refused");
	is_int(buf_len(&b), 0, "and nothing of it is kept");
	is_int(buf_append(&b, big, 1000), 0, "the ceiling itself fits");
	is_int(buf_append(&b, big, 1), -ENOBUFS, "not a byte more");
	buf_consume(&b, 1000);
	/* Many rounds of append and consume: content stays right while it slides. */
	for (i = 0; i < 10000 && r == 0; i++) {
		unsigned char c = (unsigned char)i, want = (unsigned char)(i - 500);

		r = buf_append(&b, &c, 1);
		if (r == 0 && i >= 500) {
			r = buf_data(&b)[0] == want ? 0 : -1;
			buf_consume(&b, 1);
		}
	}
	is_int(r, 0, "a queue keeps its order");
	is_int(buf_len(&b), 500, "and its length");
	ok(b.cap <= 2048, "and does not grow beyond its need (%zu)", b.cap);
	buf_fini(&b);
	is_int(buf_printf(&b, "%s-%d", "abc", 12), 0, "printf appends");
	is_str(buf_str(&b), "abc-12", "with a NUL behind");
	is_int(buf_len(&b), 6, "that does not count");
	is_int(buf_printf(&b, "%*d", 995, 1), -ENOBUFS, "printf keeps the ceiling");
	buf_fini(&b);
}

/* A queue of numbers, of which some wait: each byte is where it should be, however they lie. */
static void test_ring(void)
{
	struct ring r = RING_INIT(16384);
	uint8_t in[5000], out[5000];
	uint32_t put = 0, taken = 0;
	unsigned wrong = 0, split = 0, i, k, n, turn;
	struct iovec v[2];

	is_int(ring_look(&r, 0, 0, v), 0, "nothing lies nowhere");
	for (turn = 0; turn < 2000; turn++) {
		n = MIN(turn * 7919 % sizeof(in), (unsigned)ring_room(&r));
		for (i = 0; i < n; i++)
			in[i] = (uint8_t)((put + i) * 31 >> 3);
		wrong += ring_put(&r, in, n) != 0;
		put += n;
		n = MIN(turn * 104729 % sizeof(out), (unsigned)r.len);
		split += ring_look(&r, r.len - n, n, v) > 1;
		for (i = 0, k = 0; i < n; i++) {
			if (i == v[0].iov_len)
				k = 1;
			wrong += ((uint8_t *)v[k].iov_base)[k ? i - v[0].iov_len : i] !=
				 (uint8_t)((put - n + i) * 31 >> 3);
		}
		ring_copy(&r, out, n);
		for (i = 0; i < n; i++)
			wrong += out[i] != (uint8_t)((taken + i) * 31 >> 3);
		ring_drop(&r, n);
		taken += n;
	}
	is_int(wrong, 0, "a ring keeps each byte in its place");
	ok(split > 10, "also where it begins anew (%u times)", split);
	ok(put > 1000000 && r.cap == 16384, "and does not grow beyond its ceiling (%zu)", r.cap);
	ring_fini(&r);
	is_int(ring_put(&r, in, 1), 0, "it can be used again");
	ok(r.cap == 4096, "and is small then");
	ring_fini(&r);
}

static void test_cursor(void)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7 };
	struct rd r = rd_over(bytes, sizeof(bytes));
	uint8_t out[4];
	struct wr w = wr_over(out, sizeof(out));

	is_int(rd_u8(&r), 1, "u8");
	is_int(rd_u16(&r), 0x0302, "u16 is little-endian");
	is_int(rd_u32(&r), 0x07060504, "u32 is little-endian");
	ok(!r.bad, "all was there");
	is_int(rd_u8(&r), 0, "past the end reads zero");
	ok(r.bad, "and is remembered");
	r = rd_over(bytes, sizeof(bytes));
	is_int(rd_be16(&r), 0x0102, "or big-endian");
	is_int(rd_be32(&r), 0x03040506, "both");
	r = rd_over(bytes, 3);
	is_int(rd_u32(&r), 0, "a value cut in two reads zero");
	ok(r.bad && rd_left(&r) == 0, "and takes the rest with it");
	wr_u32(&w, 0x01020304);
	ok(!w.bad && out[0] == 4 && out[3] == 1, "writing is little-endian");
	w = wr_over(out, sizeof(out));
	wr_be32(&w, 0x01020304);
	ok(!w.bad && out[0] == 1 && out[3] == 4, "or big-endian");
	wr_u8(&w, 1);
	ok(w.bad, "writing past the end is refused");
}

static void size_is(const char *text, uint64_t unit, int want_r, uint64_t want)
{
	uint64_t v = 0;
	int r = str_parse_size(text, unit, &v);

	ok(r == want_r && (r < 0 || v == want), "size '%s': %d, %llu", text, r, (unsigned long long)v);
}

static void test_sizes(void)
{
	uint64_t v = 77;

	size_is("512", 1, 0, 512);
	size_is("512", MIB, 0, 512 * MIB);
	size_is("1k", 1, 0, 1024);
	size_is("1.5g", 1, 0, 1536 * MIB);
	size_is("2GiB", 1, 0, 2 * GIB);
	size_is("2gb", 1, 0, 2 * GIB);
	size_is("10b", MIB, 0, 10);
	size_is("", 1, -EINVAL, 0);
	size_is("-1", 1, -EINVAL, 0);
	size_is("1.", 1, -EINVAL, 0);
	size_is("1x", 1, -EINVAL, 0);
	size_is("1kk", 1, -EINVAL, 0);
	size_is("99999999999999999999", 1, -ERANGE, 0);
	size_is("18446744073709551615k", 1, -ERANGE, 0);
	is_int(str_parse_u64("18446744073709551616", UINT64_MAX, &v), -ERANGE, "2^64 does not fit");
	is_int(str_parse_u64("11", 10, &v), -ERANGE, "above the maximum");
	is_int((long long)v, 77, "and the result is untouched");
	is_int(str_parse_u64("+1", 10, &v), -EINVAL, "no signs");
}

static uint64_t duration(const char *text)
{
	uint64_t ms;

	return str_parse_duration(text, 10000000, &ms) < 0 ? UINT64_MAX : ms;
}

static void test_durations(void)
{
	static const char *const wrong[] = { "",   "s",	   "1x",  "-1",	  "1m30", " 1", "1 s",
					     "1.", ".5.5", "ms1", "1h1s1", "99999999999", "3h" };
	size_t i;

	is_int((long long)duration("90"), 90000, "a bare number is seconds");
	is_int((long long)duration("1.5"), 1500, "with a fraction");
	is_int((long long)duration("500ms"), 500, "ms");
	is_int((long long)duration("0.25s"), 250, "s");
	is_int((long long)duration("1h30m5s"), 5405000, "several");
	is_int((long long)duration("0"), 0, "none");
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		ok(duration(wrong[i]) == UINT64_MAX, "'%s' is no time", wrong[i]);
}

/* Against the C library, for each day of some centuries, at another time of day each. */
static void test_log_time(void)
{
	char ours[LOG_TIME_MAX], libc[64];
	unsigned wrong = 0;
	time_t at;
	struct tm tm;

	for (at = 0; at < (time_t)86400 * 366 * 900; at += 86400 - 7) {
		gmtime_r(&at, &tm);
		strftime(libc, sizeof(libc), "%Y-%m-%dT%H:%M:%S", &tm);
		wrong += log_time(at, ours) != strlen(libc) || strcmp(ours, libc) != 0;
	}
	ok(wrong == 0, "times of logs are those of the C library: %u are not", wrong);
}

static void test_hex(void)
{
	static const uint8_t bytes[] = { 0x00, 0x9a, 0xff };
	uint8_t got[4] = { 0xee, 0xee, 0xee, 0xee };
	char text[7];

	str_hex(bytes, 3, text);
	is_str(text, "009aff", "hex");
	is_int(str_unhex(text, got, 3), 0, "and back");
	ok(memcmp(got, bytes, 3) == 0 && got[3] == 0xee, "is the same, and no more");
	memset(got, 0xee, sizeof(got));
	is_int(str_unhex("", got, 0), 0, "nothing is nothing");
	is_int(str_unhex("009af", got, 3), -EINVAL, "a digit less is not enough");
	is_int(str_unhex("009aff0", got, 3), -EINVAL, "one more is too much");
	is_int(str_unhex("009aFF", got, 3), -EINVAL, "digits are lower-case");
	is_int(str_unhex("009ag0", got, 3), -EINVAL, "and end with f");
	is_int(str_unhex(" 09aff", got, 3), -EINVAL, "and are no spaces");
	ok(got[0] == 0xee && got[2] == 0xee, "and nothing is touched");
}

static void test_lists(void)
{
	struct strv s = STRV_INIT(3);

	is_int(strv_add(&s, "A=1"), 0, "one");
	is_int(strv_set_env(&s, "B=2"), 0, "a new variable is appended");
	is_int(strv_set_env(&s, "A=3"), 0, "a known one is replaced");
	is_int(s.n, 2, "in its place");
	is_str(strv_get_env(&s, "A"), "3", "with the new value");
	is_str(strv_get_env(&s, "AA"), NULL, "names are whole");
	is_int(strv_set_env(&s, "AA=4"), 0, "up to the ceiling");
	is_int(strv_add(&s, "D=5"), -E2BIG, "and no further");
	ok(s.v[3] == NULL, "the list ends with NULL");
	is_int(strv_set_env(&s, "A"), 0, "a name alone takes its variable away");
	ok(s.n == 2 && !strcmp(s.v[0], "B=2") && !strcmp(s.v[1], "AA=4") && s.v[2] == NULL, "and no other");
	is_int(strv_set_env(&s, "A"), 0, "which need not be there");
	strv_fini(&s);
}

int main(void)
{
	test_buf();
	test_ring();
	test_cursor();
	test_sizes();
	test_durations();
	test_log_time();
	test_hex();
	test_lists();
	return tap_done();
}
