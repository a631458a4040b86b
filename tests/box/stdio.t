#!/bin/bash
# Standard streams as bytes: much of it, out, in and through; ends of file; readers that stall or leave.
. "$(dirname "$0")/common.sh"
make_home

now() { local t=${EPOCHREALTIME/./}; echo $((t / 1000)); } # ms

# rss_kib NAME: of the largest process of that name below this test.
rss_kib() {
	local pid name most=0 kib
	while read -r pid name; do
		[ "$name" = "$1" ] || continue
		kib=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null)
		[ "${kib:-0}" -gt "$most" ] && most=$kib
	done < <("$TOP/tests/lib/reaper.py" --list)
	echo "$most"
}
# Programs with a sanitizer are larger by its shadow, and slower: what is left is still more than any buffer.
rss_limit=$((30 * 1024)) bytes=$((1024 * 1024 * 1024))
[ -d "$T/san" ] && rss_limit=$((300 * 1024)) bytes=$((256 * 1024 * 1024))

# --- much of it --------------------------------------------------------------------------------------------
# 64 MiB of noise made in the box, again and again. The noise itself comes along on stderr first, so
# that what was received can be computed here and does not rest on a sum of the same path.
bytes=${BOXLITE_TEST_BYTES:-$bytes}
times=$((bytes / 67108864))
[ "$times" -gt 0 ] || times=1
begin=$(now)
timeout 600 "$B" run --rm bb sh -c "cd /tmp; head -c 67108864 /dev/urandom > noise; cat noise >&2
  i=0; while [ \$i -lt $times ]; do cat noise; i=\$((i+1)); done" 2> noise | sha256sum > got
st=${PIPESTATUS[0]}
ms=$(($(now) - begin))
is "$st $(stat -c %s noise)" "0 67108864" "64 MiB of noise on standard error"
i=0
is "$(cut -d' ' -f1 got)" "$(while [ $i -lt $times ]; do cat noise; i=$((i + 1)); done | sha256sum | cut -d' ' -f1)" \
  "$((times * 64)) MiB come out as they went in"
diag "$((times * 64 + 64)) MiB in $ms ms with the boot and the making of the noise: $(((times * 64 + 64) * 1000 / ms)) MiB/s"

begin=$(now)
timeout 300 "$B" run --rm -i bb cat < noise | cmp - noise
is "${PIPESTATUS[*]}" "0 0" "64 MiB in and out again"
diag "$((64 * 1000 / ($(now) - begin))) MiB/s there and back"

# --- ends of file --------------------------------------------------------------------------------------------
printf 'no newline' > in
bl run --rm -i bb sh -c 'cat; echo "(end)"' < in; result 0 $'no newline(end)\n' "end of input arrives behind the last byte"
bl run --rm -i bb wc -c < /dev/null; result 0 $'0\n' "also when it comes first"
bl run --rm bb wc -c < in; result 0 $'0\n' "without -i there is no input"
head -c 200000 noise > in2
bl run --rm -i bb true < in2; result 0 "" "input that nobody wants"
bl run --rm -i bb sh -c 'exec 0<&-; echo closed; sleep 0.3' < in2; result 0 $'closed\n' "or that is refused"
bl run --rm -i bb wc -c <&-; result 0 $'0\n' "a closed standard input is an empty one"

# --- both streams at once ------------------------------------------------------------------------------------
timeout 120 "$B" run --rm bb sh -c '(i=0; while [ $i -lt 40 ]; do head -c 100000 /dev/zero | tr "\0" e; i=$((i+1)); done) >&2 &
  i=0; while [ $i -lt 40 ]; do head -c 100000 /dev/zero | tr "\0" o; i=$((i+1)); done; wait' > out1 2> err1
is "$? $(stat -c %s out1 err1 | xargs) $(tr -d o < out1 | wc -c) $(tr -d e < err1 | wc -c)" \
  "0 4000000 4000000 0 0" "4 MB on both at once, and neither gets what is the other's"

# --- a reader that stalls ------------------------------------------------------------------------------------
# The box writes numbered lines as fast as it can and puts the number into a file now and then, which `exec`
# reads: it must stand still while nobody reads here.
mkfifo slow
"$B" run --rm --name slow bb sh -c 'i=0; while [ $i -lt 3000000 ]; do
  echo "$i 0123456789012345678901234567890123456789012345678901234567890123456789"; i=$((i+1))
  [ $((i % 500)) = 0 ] && echo $i > /tmp/i; done' > slow 2> slow.err &
writer=$!
exec 7< slow
read -r -u 7 first
is "$first" "0 0123456789012345678901234567890123456789012345678901234567890123456789" "the first line"
position() { timeout 30 "$B" exec slow cat /tmp/i 2>/dev/null; }
# It stops when every buffer on the way is full: the same number twice, a second apart.
still() { local a; a=$(position); sleep 1; [ -n "$a" ] && [ "$a" = "$(position)" ]; }
wait_for still; ok $? "a reader that stalls stops the writer"
at=$(position)
# A window of 256 KiB and the pipes and sockets on the way.
[ "${at:-99999999}" -le $((4 * 1024 * 1024 / 72)) ]; ok $? "after line ${at:-unknown}: what is on the way is bounded"
sleep 2
is "$(position)" "$at" "and it stays so"
shim=$(rss_kib boxlite-shim) cli=$(rss_kib boxlite)
[ "$shim" -gt 0 ] && [ "$shim" -lt $rss_limit ] && [ "$cli" -gt 0 ] && [ "$cli" -lt $rss_limit ]
ok $? "and nothing grows: boxlite has $cli KiB, the shim $shim KiB"
# Reading on: all lines are there, in order.
head -n 100000 <&7 | awk '$1 != NR { print "line " NR " says " $1; exit 1 }' > gap
is "$(cat gap)" "" "100000 more lines without a gap"
kill -TERM $writer; cat <&7 > /dev/null; wait $writer
is $? 143 "and the end by a signal"
exec 7<&-

# --- a reader that leaves --------------------------------------------------------------------------------------
out=$(timeout 60 "$B" run --rm bb yes 2> err | head -n 1; echo "${PIPESTATUS[*]}")
like "$out" $'^y\n(141|0) 0$' "a reader that leaves ends the box"
is "$(cat err)" "" "without a word"
out=$(timeout 60 "$B" run --rm bb sh -c 'trap "" PIPE; while :; do echo y 2> /dev/null || exit 9; done' 2> err |
  head -n 1; echo "${PIPESTATUS[*]}")
is "$out$(cat err)" $'y\n9 0' "one that ignores SIGPIPE meets an error"
out=$(timeout 60 "$B" run --rm bb sh -c 'sh -c "trap \"\" PIPE; while echo y; do :; done; echo it ends >&2"; exit 7' 2> err |
  head -n 1; echo "${PIPESTATUS[*]}")
like "$out $(cat err)" $'^y\n(7|141) 0 (.*it ends|sh: write error: Broken pipe)?$' "and so does its child"
out=$(timeout 60 "$B" run --rm -t bb sh -c 'trap "" PIPE; while :; do echo y || exit 9; done' 2> err | head -n 1; echo "${PIPESTATUS[*]}")
like "$out$(cat err)" $'^y\r\n(9|129) 0$' "with a terminal it is hung up"
timeout 60 "$B" run --rm bb sh -c 'echo lost; exit 3' >&- 2> err
is $? 3 "a closed standard output does not change the status"
unlike "$(cat err)" $'\n.*\n' "and is worth one line at most"
timeout 60 "$B" run --rm bb sh -c 'i=0; while [ $i -lt 20 ]; do head -c 100000 /dev/zero; i=$((i+1)); done' > /dev/full 2> err
like "$? $(cat err)" '^125 boxlite: cannot write the output: No space left on device$' "a full disk under the output is told"
nothing_left "nothing is left" now
box_done
