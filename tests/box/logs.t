#!/bin/bash
# What is kept of the main process's output, and how it is read.
. "$(dirname "$0")/common.sh"
make_home
log() { echo "$BOXLITE_HOME/boxes/$(box_id "$1")/log/output.log"; }

# Between the two outputs there is no order but by time: the rest comes long after what is said on the second.
bl run --name a bb sh -c 'echo one; echo two >&2; sleep 1.5; printf "three\nfo"; sleep 0.3; echo ur; printf end'
is "$ST" 0 "a box that writes"
bl logs a
is "$OUT" $'one\nthree\nfour\nend' "its standard output"
is "$ERR" $'two\n' "and error, each on its own"
bl logs -n 2 a; is "$OUT$ERR" $'four\nend' "the last two lines, one of which has no end"
bl logs --tail 0 a; result 0 "" "none"
bl logs --tail all a; is "$OUT" $'one\nthree\nfour\nend' "all"
bl logs -t a
is "$(sed -E 's/^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z /T /' out)" $'T one\nT three\nT four\nT end' "when a line began"
bl logs --since 1h a; is "$OUT" $'one\nthree\nfour\nend' "since an hour ago"
bl logs --since 2100-01-01T00:00:00Z a; result 0 "" "since the next century"
bl logs --since yesterday a; fails 125 "'yesterday' is not a time" "no time"
bl logs -n x a; fails 125 "'x' is not a number" "no number"
bl logs nobody; fails 125 nobody "no box"
"$B" logs a 2> err | true; unlike "$(cat err)" boxlite: "nobody to read it is nothing to speak of"
bl start -a a > /dev/null; bl logs -n 3 a; is "$OUT$ERR" $'three\nfour\nend' "a second start is appended"

# --- bytes ---------------------------------------------------------------------------------------------------------
bl run --name bytes bb sh -c 'head -c 300000 /dev/urandom > /x; cat /x; md5sum < /x > /sum'
"$B" logs bytes > got
is "$(stat -c %s got)" 300000 "every byte is kept"
is "$(md5sum < got | cut -d' ' -f1)" "$(debugfs -R 'cat /upper/sum' "$BOXLITE_HOME/boxes/$(box_id bytes)/disk.img" 2> /dev/null | cut -d' ' -f1)" \
  "as it was written"

# --- follow ----------------------------------------------------------------------------------------------------------
bl run -d --name slow bb sh -c 'for i in 1 2 3 4 5; do echo $i; sleep 0.3; done'
bl logs -f slow; result 0 $'1\n2\n3\n4\n5\n' "logs -f to the end of the box"
bl logs -f slow; result 0 $'1\n2\n3\n4\n5\n' "of one that has ended"
bl run -d --name ever bb sh -c 'echo up; sleep 1000'
: > followed
timeout 60 "$B" logs -f ever > followed & pid=$!
wait_for grep -q up followed
kill -KILL $(pid_of boxlite-shim) && wait $pid; is $? 0 "logs -f ends when the shim is killed"

# --- bounded -----------------------------------------------------------------------------------------------------------
bl run --name much bb sh -c 'yes 0123456789abcdef | head -n 1200000; echo last'
is "$ST" 0 "a box that writes 20 MB"
size=$(($(stat -c %s "$(log much)") + $(stat -c %s "$(log much).1")))
ok $((size > 16 * 1024 * 1024 || size < 8 * 1024 * 1024)) "at most 16 MiB are kept ($size)"
bl logs -n 1 much; result 0 $'last\n' "the end is there"
"$B" logs much > got
ok $(($(stat -c %s got) < 8 * 1000 * 1000)) "and what was kept is read"
is "$(sort -u got | grep -cvx '0123456789abcdef\|last')" 1 "whole but for its first line" || diag "$(sort -u got | head -5)"

# --- trouble -------------------------------------------------------------------------------------------------------------
printf 'not a record at all, and long enough to be one' > "$(log a)"
bl logs a; fails 125 "the log of box $(box_id a) is damaged" "a damaged log"
bl start -a a > /dev/null; is "$ST" 0 "does not keep the box from starting"
bl logs a; is "$OUT" $'one\nthree\nfour\nend' "which begins the log anew"
truncate -s -3 "$(log a)"
bl logs a; ok "$([[ $ST = 0 && $'one\nthree\nfour\nend' = "$OUT"?* ]]; echo $?)" "a record that was cut is left out" || diag "$OUT"
# What was cut may have been more than the end's line: the next output follows whatever is left.
bl start -a a > /dev/null; bl logs a; like "$OUT" $'one\nthree\nfour\nend$' "and goes at the next start"
bl run -d --rm --name brief bb sh -c 'echo hi; sleep 1000'
is "$(ls "$BOXLITE_HOME/boxes/$(box_id brief)/log/output.log" | wc -l)" 1 "a detached one with --rm has a log"
: > up
"$B" run --rm --name attached bb sh -c 'echo up; sleep 1000' > up & pid=$!
wait_for grep -q up up
ls "$BOXLITE_HOME/boxes/$(box_id attached)/log/" > names; unlike "$(cat names)" output.log "an attached one has none"
kill -TERM $pid; wait $pid 2> /dev/null
bl rm -f a bytes slow ever much brief; is "$ST" 0 "rm" || diag "$ERR"
nothing_left "nothing is left"
box_done
