#!/bin/bash
# A guest that lies: whatever it says, the box ends with one clear line, and nothing is left.
# The guest is tests/lib/fake-engine.py in the place of the engine's program.
. "$(dirname "$0")/common.sh"
make_home

play() { # SCENARIO
	"$TOP/tests/lib/fake-engine.py" "$1" > "$T/engine-$1" && chmod +x "$T/engine-$1"
	with_engine "$T/engine-$1" bl run --rm bb true
}

# lies SCENARIO PATTERN NAME
lies() {
	play "$1"
	fails 125 "$2" "$3"
	nothing_left "$3: nothing is left" now
}

lies garbage 'the guest broke the protocol: not a frame' "bytes that are no frame"
lies too_long 'the guest broke the protocol: not a frame' "a frame that is too long"
lies generation 'protocol generation 99' "another protocol generation"
lies no_hello 'READY before HELLO' "no HELLO"
lies on_stdin 'the guest broke the protocol: DATA' "output on the input channel"
lies empty_data 'DATA on stream 1 without any' "output of no bytes, which costs no credit"
lies ends_twice 'DATA on stream 1 behind its end' "output that ends twice"
lies started_twice 'STARTED twice' "a process that starts twice"
lies strange_stream 'for a process that is not there' "a process that nobody started"
lies bad_exit 'malformed EXIT' "an end of no kind"
lies cut_exit 'malformed EXIT' "an exit that is cut off"
lies bad_credit 'wrong CREDIT' "credit that was never spent"
lies escapes 'a\?\[2Jb\?c' "an error text with terminal escapes"
lies hello_twice 'HELLO twice' "a second greeting"
lies long_exit 'EXIT of 100000 bytes' "a message that would take 30 MB to read"
for i in 1 2 3 4 5; do play last_words; echo "$ST $ERR"; done > words
is "$(sort -u words)" $'\n125 boxlite: the guest says: my last words' "the last words of a machine that ends are heard"
lies closes 'the guest closed its channel' "a channel that closes"
lies panics "^boxlite: the guest's kernel panicked: Fatal exception in interrupt"$'\n' "a panic of a box that runs"
lies complains 'it cannot be done' "an engine that fails says why"

# A guest that hangs in its boot: nothing of the box runs, so nothing needs to be waited for.
"$TOP/tests/lib/fake-engine.py" silent > engine-silent && chmod +x engine-silent
for s in INT:130 TERM:143 HUP:129 QUIT:131; do
	begin=$SECONDS
	st=$(with_engine "$T/engine-silent" "$TOP/tests/lib/signal-after.py" "${s%:*}" 0.5 "$B" run --rm bb true 2> err)
	is "$st $(cat err) $((SECONDS - begin < 20))" "${s#*:}  1" "SIG${s%:*} ends a box whose guest hangs in the boot"
done
with_engine "$T/engine-silent" "$B" run --name hangs bb true < /dev/null > hangs.out 2>&1 &
wait_for is_running hangs
bl rm -f hangs; result 0 $'hangs\n' "and so does rm -f"
wait $!
is "$? $(cat hangs.out)" "137 boxlite: the box was stopped" "which its owner learns"
# One that is stopped on its way has not failed.
with_engine "$T/engine-silent" "$B" run -d --name early bb true < /dev/null > early.out 2> early.err &
wait_for is_running early
bl stop early; result 0 $'early\n' "stop in the boot"
wait $!; is "$? $(cat early.err)" "137 boxlite: the box was stopped" "which who has started it learns"
is "$(cat early.out) $(box_status early)" "$(box_id early) exited 137" "is an end like any other"
bl stop early; bl rm early; result 0 $'early\n' "and it can be removed"
nothing_left "nothing is left"

# More output than there is credit for, while nobody reads ours.
"$TOP/tests/lib/fake-engine.py" too_much > "$T/engine" && chmod +x "$T/engine"
mkfifo "$T/pipe"
exec 9<> "$T/pipe"
with_engine "$T/engine" timeout 60 "$B" run --name greedy bb true > "$T/pipe" 2> "$T/err" 9>&- &
pid=$!
cut_off() { grep -qs 'beyond its credit' "$BOXLITE_HOME"/boxes/*/log/shim.log; }
wait_for cut_off
ok $? "output beyond the credit ends the box, though nobody reads it"
timeout 60 cat <&9 > "$T/got" &
cat=$!
wait $pid
is $? 125 "and boxlite says so when it is read"
kill $cat 2>/dev/null
exec 9>&-
like "$(cat "$T/err")" 'beyond its credit' "by name"
"$B" rm greedy > /dev/null
nothing_left "and nothing is left"

# A copy from a box that does not run, which the guest never answers: it keeps neither who asked for it nor the box.
"$TOP/tests/lib/fake-engine.py" idles > engine-idles && chmod +x engine-idles
bl create --name idle bb
mark=$BOXLITE_HOME/boxes/$(box_id idle)/run/copying
st=$(with_engine "$T/engine-idles" timeout 100 "$TOP/tests/lib/signal-after.py" INT 2 "$B" cp idle:/x . 2> err)
is "$st $(cat err)" "130 " "Ctrl-C ends it"
[ ! -e "$mark" ]; ok $? "and the box is free"
with_engine "$T/engine-idles" "$B" cp idle:/x . > cp.out 2>&1 & pid=$!
wait_for test -e "$mark"
sleep 1; kill -KILL "$(pgrep -P $pid)"; wait $pid 2> /dev/null # the guest is up by now
is_free() { [ ! -e "$mark" ]; }
WAIT_LIMIT=60 wait_for is_free; ok $? "so it is after one that was killed"
"$TOP/tests/lib/fake-engine.py" cancels > engine-cancels && chmod +x engine-cancels
with_engine "$T/engine-cancels" bl cp idle:/x .
fails 125 '^boxlite: not in the mood' "that it was cancelled is not for the guest to say"
"$B" rm idle > /dev/null
nothing_left "nothing is left"

# What is asked of it: an answer that nobody wanted ends the box, as does one that is none.
lies metrics_unasked 'METRICS that nobody asked for' "figures that nobody asked for"
lies top_unasked 'TOP that nobody asked for' "processes that nobody asked for"

# asked SCENARIO ARG...: a box of that name is asked by a command.
asked() {
	"$TOP/tests/lib/fake-engine.py" "$1" > "$T/engine-$1" && chmod +x "$T/engine-$1"
	with_engine "$T/engine-$1" "$B" run -d --name "$1" bb true > /dev/null
	bl "${@:2}"
}
# says NAME PATTERN TEXT: why that box has ended.
says() {
	wait_stopped "$(box_id "$1")"
	like "$("$B" inspect "$1" --format '{{.State.Error}}')" "$2" "$3"
	"$B" rm "$1" > /dev/null
}
asked bad_metrics stats --no-stream --format '{{.PIDs}}' bad_metrics; result 0 $'--\n' "figures that are malformed are none"
says bad_metrics 'METRICS that are malformed' "and end the box"
asked twice_metrics stats --no-stream --format '{{.PIDs}}' twice_metrics; is "$ST" 0 "figures twice"
says twice_metrics 'METRICS that nobody asked for' "end it as well"
asked large_metrics stats --no-stream --json large_metrics
is "$ST $(grep -o '"processes":[0-9]*' out)" '0 "processes":9223372036854775807' "any number is a number"
bl stats --no-stream large_metrics; like "$ST $OUT" '^0 .* large_metrics .* 9223372036854775807' "also in a table"
"$B" rm -f large_metrics > /dev/null
for scenario in bad_top empty_top long_top; do
	asked $scenario top $scenario; fails 125 "box [0-9a-f]* does not run" "$scenario: a list of processes that is none"
	says $scenario 'TOP that is malformed' "ends the box"
done
asked whole_top top whole_top; is "$ST $(wc -l < out) $ERR" $'0 1025 There are more processes than these.\n' "the longest list"
bl top whole_top; is "$ST" 0 "and again"
"$B" rm -f whole_top > /dev/null
nothing_left "nothing is left of these"

# A connection to a socket in it.
asked dial_early dial dial_early /x; fails 125 'DATA on stream 2 that is a connection' "bytes of a connection that is none yet"
says dial_early 'DATA on stream 2 that is a connection' "end the box"
for scenario in dial_errors dial_credits; do
	asked $scenario dial $scenario /x < /dev/null; is "$ST $OUT" "0 " "$scenario: the end of the box ends it"
done
says dial_errors 'DATA on stream 2 that is a connection' "it has no standard error"
says dial_credits 'wrong CREDIT' "nor more credit than a window"
mkfifo nobody
exec 9<> nobody
"$TOP/tests/lib/fake-engine.py" dial_floods > engine-floods && chmod +x engine-floods
with_engine "$T/engine-floods" "$B" run -d --name dial_floods bb true > /dev/null
timeout 60 "$B" dial dial_floods /x < /dev/null > nobody 2> /dev/null 9>&- & pid=$!
says dial_floods 'DATA on stream 2 beyond its credit' "more than its client takes ends the box"
exec 9>&-
wait $pid
asked dial_ends dial dial_ends /x; fails 125 "the connection was not made" "an end before the beginning"
asked dial_escapes dial dial_escapes /x; fails 125 'a\?\[2Jb\?c' "a reason with terminal escapes"
asked dial_silent dial dial_silent /x; fails 125 'no answer of its shim' "no answer"
"$B" rm -f dial_ends dial_escapes dial_silent > /dev/null
nothing_left "nothing is left of these"

# A console that never ends.
"$TOP/tests/lib/fake-engine.py" floods > "$T/engine"
with_engine "$T/engine" bl run --name loud bb true
is $ST 5 "a guest may print for ever"
size=$(stat -c %s "$BOXLITE_HOME"/boxes/*/log/console.log)
[ "$size" -le $((4 * 1024 * 1024 + 8192)) ]
ok $? "its log has a ceiling" || diag "$size bytes"
"$B" rm loud > /dev/null
nothing_left "and nothing is left"
box_done
