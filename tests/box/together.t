#!/bin/bash
# Several processes in one home at once.
. "$(dirname "$0")/common.sh"

# --- a new home, opened by many at the same time
for i in 1 2 3 4 5 6 7 8; do "$B" images -q >> first 2>&1 & pids[i]=$!; done
bad=0
for p in "${pids[@]}"; do wait "$p" || bad=1; done
is "$bad $(cat first)" "0 " "eight first users of a home"

make_home

# --- the first box of a size makes the disk's template: here four do at once
pids=()
for i in 1 2 3 4; do "$B" run --rm bb true >> made 2>&1 < /dev/null & pids[i]=$!; done
bad=0
for p in "${pids[@]}"; do wait "$p" || bad=1; done
is "$bad $(cat made)" "0 " "four first boxes of a home"

# --- listing while boxes are made and removed
: > stop
look() { while [ -e stop ]; do "$B" ps -aq > /dev/null 2>> looked; done; }
look & one=$!
look & two=$!
bad=0
for ((i = 0; i < 20; i++)); do "$B" run --rm bb true 2>> ran < /dev/null || bad=1; done
rm stop
wait $one $two
is "$bad $(cat ran looked)" "0 " "ps is in nobody's way"
nothing_left "and brings no box back" now

# --- rm -f of a box that is about to start
bl run --name b bb true < /dev/null; result 0 "" "a box"
bad=
for ((i = 0; i < 8; i++)); do
	"$B" start b > /dev/null 2>&1 < /dev/null & p=$!
	sleep 0.0$i
	timeout 30 "$B" rm -f b > /dev/null 2> removed || bad+=" $? $(cat removed)"
	wait $p
	"$B" run --name b bb true < /dev/null || bad+=" run"
done
is "$bad" "" "rm -f at any moment of a start ends it"
bl rm b; result 0 $'b\n' "rm"

# --- a terminal's new size is no reason to give up a load
mkfifo input
"$B" load -q --name piped - < input > loaded 2>&1 & p=$!
exec 7> input
loading() { compgen -G "$BOXLITE_HOME/images/tmp/*.load" > /dev/null; }
wait_for loading; ok $? "a load waits for its input"
kill -WINCH $p
"$TOP/scripts/mk-image" layout && tar -C layout -cf - . >&7
exec 7>&-
wait $p
is "$? $(cat loaded)" "0 docker.io/library/piped:latest" "a resized terminal cancels no load"

nothing_left "nothing is left" now
box_done
