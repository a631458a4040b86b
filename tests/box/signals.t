#!/bin/bash
# Signals to boxlite reach the command; and what is left when boxlite, the shim or the machine is killed at any moment.
. "$(dirname "$0")/common.sh"
make_home

# begin ARG...: boxlite run --name box ARG... in the background, up to the line "ready" of the box.
# Its pid is CLI, its output goes to out and err.
begin() {
	rm -f pipe out err; mkfifo pipe; : > out
	# A shell's background job begins with SIGINT ignored, and boxlite leaves ignored signals alone.
	env --default-signal=INT,QUIT "$B" run --name box "$@" > pipe 2> err < /dev/null &
	CLI=$!
	exec 8< pipe
	read -r -t "$LIMIT" -u 8 line
}
finish() { wait "$CLI"; ST=$?; OUT=$(cat <&8); ERR=$(cat err); exec 8<&-; }

# --- signals go to the command -----------------------------------------------------------------------------
trapper='trap "echo int" INT; trap "echo hup" HUP; trap "echo usr1" USR1; trap "echo term; exit 12" TERM; echo ready
while :; do sleep 0.1; done'
begin --rm bb sh -c "$trapper"
is "$line" ready "it runs"
for s in INT HUP USR1 TERM; do
	kill -$s $CLI
	read -r -t 30 -u 8 line
	is "$line" "$(tr A-Z a-z <<<$s)" "SIG$s reaches a trap"
done
finish
is "$ST $OUT$ERR" "12 " "and the trap decides"
nothing_left "--rm leaves nothing" now

# `tail -f` catches nothing, and as pid 1 the kernel would spare it.
for s in INT:130 TERM:143 HUP:129; do
	begin --rm bb tail -f /etc/group
	kill -"${s%:*}" $CLI
	finish
	is "$ST $ERR" "${s#*:} " "a plain program ends by SIG${s%:*}"
done
begin --rm bb sh -c 'trap "" TERM INT; echo ready; sleep 1.5; echo done'
kill -TERM $CLI; kill -INT $CLI
finish
is "$ST $OUT" "0 done" "a program that ignores them goes on"

# --- Ctrl-C while the machine boots ---------------------------------------------------------------------------
# Before main() has set anything up, in every tenth of a second of the boot, and some after.
for t in 0 0.001 0.002 0.003 0.005 0.01 0.02 0.1 0.2 0.3 0.4 0.6 0.8; do
	status=$("$TOP/tests/lib/signal-after.py" INT $t "$B" run --rm bb sleep 1000 2> err)
	echo "$status $(cat err)" >> early
done
# In a home that has no disk template yet: its making is interrupted, too.
for t in 0 0.005 0.01 0.02 0.05; do
	rm -rf "$BOXLITE_HOME/templates"
	status=$("$TOP/tests/lib/signal-after.py" INT $t "$B" run bb sleep 1000 2> err)
	echo "$status $(cat err)" >> early
done
is "$(sort -u early)" "130 " "Ctrl-C at any moment of the start ends it with 130 and no word"
nothing_left "and leaves nothing" now

# --- kill -9 boxlite -----------------------------------------------------------------------------------------
# With an input that has ended already: its end must not be told twice.
begin -i bb sh -c 'echo ready; echo kept > /kept; trap "echo asked > /asked; exit 0" TERM; while :; do sleep 0.1; done'
wait_for "$B" exec box test -s /kept
id=$(box_id box)
kill -KILL $CLI
finish 2>/dev/null
is "$ST" 137 "boxlite is killed"
wait_stopped "$id"; ok $? "its box stops by itself"
is "$(box_status box)" "exited 0" "in order: the command was asked to end and did"
e2fsck -fn "$BOXLITE_HOME/boxes/$id/disk.img" > fsck 2>&1
is $? 0 "its disk is clean" || diag "$(cat fsck)"
nothing=$("$TOP/tests/lib/reaper.py" --wait 10)
is "$nothing" "" "no process is left"
bl rm box; result 0 $'box\n' "rm"

begin --rm bb sh -c 'echo ready; trap "" TERM; while :; do sleep 0.1; done'
id=$(box_id box)
kill -KILL $CLI
finish 2>/dev/null
wait_stopped "$id"
bl ps -a -q; result 0 "" "a box with --rm is removed by whoever comes next"
nothing_left "nothing is left"

# Killed while it boots.
for t in 0 0.01 0.02 0.03 0.04 0.06 0.1 0.3 0.5; do
	"$B" run --rm bb sleep 1000 > out 2> err < /dev/null &
	sleep $t
	kill -KILL $!
	wait $! 2>/dev/null
done
bl ps -a -q; bl ps -a -q
nothing_left "kill -9 at any moment of the start leaves nothing"

# --- kill -9 the shim ------------------------------------------------------------------------------------------
begin bb sh -c 'echo ready; sleep 1000'
shim=$(pid_of boxlite-shim)
like "$shim $(machine_pid)" '^[0-9]+ [0-9]+$' "one shim and one machine run"
kill -KILL "$shim"
finish
is "$ST" 125 "the shim is killed: boxlite fails"
like "$ERR" "^boxlite: the box's shim was killed by signal 9; see its log/shim\.log$" "and says so"
is "$("$TOP/tests/lib/reaper.py" --wait 10)" "" "the machine ends with the shim"
# Nobody wrote down how it ended.
is "$(box_status box)" "failed 125" "ps knows that it does not run"
bl start -a box < /dev/null > /dev/null & 
wait_for is_running box; ok $? "it can be started again"
"$B" rm -f box > /dev/null; wait $!
nothing_left "and removed while it runs"

# --- kill -9 the machine -----------------------------------------------------------------------------------------
begin bb sh -c 'echo ready; sleep 1000'
kill -KILL "$(machine_pid)"
finish
is "$ST" 125 "the machine is killed: boxlite fails"
like "$ERR" '^boxlite: [^'$'\n'']*killed by signal 9' "and names the signal"
is "$(box_status box)" "failed 125" "ps says so, too"
bl start -a box < /dev/null > /dev/null &
wait_for is_running box; ok $? "it can be started again"
"$B" rm -f box > /dev/null; wait $!

nothing_left "nothing is left" now
box_done
