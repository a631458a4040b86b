#!/bin/bash
# Joining what runs: the command of a box and execs, from several programs at once, and again after the end.
. "$(dirname "$0")/common.sh"
make_home
pty="$TOP/tests/lib/pty-drive.py"

# --- watching ------------------------------------------------------------------------------------------------
"$B" run -d --name loud bb sh -c 'i=0; while :; do i=$((i + 1)); echo line $i; sleep 0.1; done' > /dev/null
wait_for sh -c '"$0" logs loud | grep -q "line 3"' "$B"
"$B" attach --no-stdin loud > w1 2>&1 & w1=$!
"$B" attach --no-stdin loud > w2 2>&1 & w2=$!
wait_for grep -q "line 9" w1; wait_for grep -q "line 9" w2
is "$(head -n 9 w1)" "$(for i in $(seq 9); do echo "line $i"; done)" "what was written before comes first, and nothing is missing"
kill -STOP $w2
is "$(timeout 60 "$B" attach --no-stdin loud 2>&1 | head -n 1)" "line 1" "one that reads a line only"
is "$(box_status loud)" "running null" "does not disturb the box"
kill -CONT $w2
bl stop -t 0 loud
wait $w1; s1=$?; wait $w2
is "$s1 $?" "137 137" "each watcher has the status of the end"
is "$(cmp w1 w2 2>&1)" "" "and has seen the same"
bl attach loud; fails 125 "box $(box_id loud) does not run" "attach to one that does not run"
"$B" rm loud > /dev/null

# --- input ---------------------------------------------------------------------------------------------------
"$B" run -di --name cat bb sh -c 'while read -r l; do echo "got $l"; [ "$l" != end ] || exit 3; done' > /dev/null
is "$(box_status cat)" "running null" "a detached box with -i goes on without who has started it"
mkfifo in; "$B" attach cat < in > a1 2>&1 & a1=$!
exec 9> in; echo one >&9
wait_for grep -q "got one" a1; ok $? "attach gives it an input"
bl attach cat < /dev/null; is "$ST$OUT" 125 "one at a time"
like "$ERR" 'another client gives its input' "and it says so"
"$B" attach --no-stdin cat > a2 2>&1 9>&- & a2=$!
wait_for grep -q "got one" a2; ok $? "others watch"
kill -KILL $a1; wait $a1 2> /dev/null; exec 9>&-
wait_for sh -c 'echo two | timeout 1 "$0" attach cat 2>&1 | grep -q "got two"' "$B"; ok $? "the next one gives it"
wait $a2; is "$? $(xargs < a2)" "0 got one got two" "its end is end of file, and the watcher has seen it all"
is "$(box_status cat)" "exited 0" "the box has ended"
"$B" rm cat > /dev/null

"$B" run -di --name over bb sh -c 'cat; echo end; sleep 100000' > /dev/null
echo one | timeout -s KILL 60 "$B" attach over > a1 2>&1 & a1=$!
wait_for grep -q end a1; kill -KILL "$(pgrep -P $a1)"; wait $a1 2> /dev/null
echo two | timeout -s KILL 60 "$B" attach over > a2 2>&1 & a2=$!
wait_for grep -q end a2; bl exec over kill -9 1; bl kill over
wait $a2; is "$? $(xargs < a2)" "137 one end" "an input that has ended takes nothing from the next one, which may watch"
"$B" rm over > /dev/null

# --- a terminal ----------------------------------------------------------------------------------------------
"$B" run -dit --name tty bb sh -c 'echo hello; while read -r l; do echo "got $l $(stty size)"; done; exit 4' > /dev/null
"$pty" --size 33x77 expect:hello raw: 'send:x\r' 'expect:got x 33 77' 'send:a\x10b\r' 'expect:got a.*b' 'send:\x10\x11' -- \
  "$B" attach tty > screen 2> modes
is "$? $(cat modes)" "0 modes restored" "^P ^Q leaves it"
is "$(box_status tty)" "running null" "and it goes on"
"$pty" expect:hello raw: 'send:again\r' 'expect:got again' 'send:\x10' 'send:\x11' -- "$B" attach tty > screen 2> modes
is "$? $(cat modes)" "0 modes restored" "the keys may come one after the other"
"$pty" expect:hello raw: 'send:\x04' -- "$B" attach tty > screen 2> modes
is "$? $(cat modes) $(box_status tty)" "4 modes restored exited 4" "its end is the end here"
"$B" rm tty > /dev/null

# --- execs ---------------------------------------------------------------------------------------------------
"$B" run -d --name main bb sleep 100000 > /dev/null
bl exec -d main sh -c 'echo begin; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo "$0"; exit 6' done
like "$OUT" $'^[0-9]+\n$' "exec -d prints a number"; n=${OUT%$'\n'}
"$B" attach --exec "$n" main > x1 2>&1 & x1=$!
wait_for grep -q begin x1; ok $? "attach --exec joins it"
bl exec main touch /tmp/go
wait $x1; is "$? $(xargs < x1)" "6 begin done" "to its end"
bl attach --exec "$n" main; fails 125 "there is no exec $n" "which is told once"
bl exec -d main sh -c 'echo out; echo err >&2; exit 9'; n=${OUT%$'\n'}
wait_for sh -c '! "$0" exec -u root main ps | grep -q "[e]xit 9"' "$B"
bl attach --exec "$n" main
is "$ST|$OUT|$ERR" $'9|out\n|err\n' "one that nobody has watched is kept for who asks"
bl exec -di main cat; n=${OUT%$'\n'}
head -c 3000000 /dev/urandom > noise
timeout 60 "$B" attach --exec "$n" main < noise | cmp - noise; is "${PIPESTATUS[*]}" "0 0" "input of an exec, 3 MB"
bl exec -d main sh -c 'head -c 1000000 /dev/zero | tr "\0" x; echo; seq 20000'; n=${OUT%$'\n'}
wait_for sh -c '! "$0" exec -u root main ps | grep -q "[s]eq 20000"' "$B"
timeout 60 "$B" attach --exec "$n" main > tail.out
is "$? $(tail -n 1 tail.out)" "0 20000" "of much output"
[ "$(wc -c < tail.out)" -le $((128 * 1024)) ] && [ "$(wc -c < tail.out)" -ge $((64 * 1024)) ]; ok $? "the last 128 KiB are kept"
for i in $(seq 70); do "$B" exec -d main sh -c "exit $((i % 50))"; done > numbers
is "$(sort -nu numbers | wc -l)" 70 "70 of them have numbers of their own"
wait_for sh -c '! "$0" exec -u root main ps | grep -q "[e]xit "' "$B"
bl attach --exec "$(head -n 1 numbers)" main; fails 125 'there is no exec' "the oldest of them is forgotten"
bl attach --exec "$(tail -n 1 numbers)" main; is "$ST$ERR" 20 "the newest is not"
bl attach --exec 0 main; fails 125 "'0' is not the number" "no exec has number 0"
bl exec -d main /no/such; is "$ST" 127 "exec -d of what is not there"
"$B" attach --no-stdin main > last 2>&1 & last=$!
wait_for sh -c '[ "$(ls /proc/'$last'/fd | wc -l)" -gt 4 ]'
"$B" rm -f main > /dev/null
wait $last; is $? 137 "rm -f ends it for who watches"
nothing_left "nothing is left"
box_done
