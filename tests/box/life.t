#!/bin/bash
# A box that outlives the command that made it, and what others do to it: create, start, stop, restart, kill, wait, rename.
. "$(dirname "$0")/common.sh"
make_home

# An idle one that says when a signal comes, and one that hears none.
polite='trap "echo term; exit 7" TERM; trap "echo usr1" USR1; echo up; while :; do sleep 0.1; done'
deaf='trap "" TERM; echo up; while :; do sleep 1; done'
has_said() { [[ $("$B" logs "$1") == *$2* ]]; }

# --- detached ------------------------------------------------------------------------------------------------
bl run -d --name one bb sh -c "$polite"
like "$OUT" $'^[0-9a-f]{12}\n$' "run -d prints the id"
is "$ST$ERR" 0 "and nothing else"
is "$(box_status one)" "running null" "the box runs on"
wait_for has_said one up; ok $? "and its output is kept"
bl exec one echo in; result 0 $'in\n' "exec into it"
bl start one; fails 125 "runs already" "it is started once"
bl run -d --name bad bb /no/such
is "$ST$OUT" 127 "run -d of what is not there"
like "$ERR" 'no such file' "says so"
is "$(box_id bad)" "" "and leaves no box"

# --- signals ---------------------------------------------------------------------------------------------------
bl kill -s USR1 one; result 0 $'one\n' "kill -s USR1"
wait_for has_said one usr1; ok $? "the command has got it"
bl kill -s sigusr1 one; result 0 $'one\n' "by its long name"
bl kill -s NONE one; fails 125 "no signal is called 'NONE'" "a signal that there is not"
bl kill -s 0 one; fails 125 "no signal" "0 is none"

# --- stop, start, wait -------------------------------------------------------------------------------------------
bl stop one; result 0 $'one\n' "stop"
is "$(box_status one)" "exited 7" "the command had its say"
ok "$(has_said one term; echo $?)" "and said it"
e2fsck -fn "$BOXLITE_HOME/boxes/$(box_id one)/disk.img" > fsck 2>&1; is $? 0 "its disk is clean" || diag "$(cat fsck)"
bl stop one; result 0 $'one\n' "stop of one that does not run"
bl kill one; fails 125 "box $(box_id one) does not run" "kill of one"
bl wait one; result 0 $'7\n' "wait prints the status"
bl start one; result 0 $'one\n' "start"
is "$(box_status one)" "running null" "it runs again"
bl restart one; result 0 $'one\n' "restart"
is "$(box_status one)" "running null" "and again"
timeout 60 "$B" wait one > waited & waiter=$!
bl kill one; result 0 $'one\n' "kill is SIGKILL"
is "$(box_status one)" "exited 137" "and the box is over when it returns"
wait $waiter; is "$(cat waited)" 137 "who waited knows"
bl restart one; result 0 $'one\n' "restart of one that does not run"

bl run -d --name deaf bb sh -c "$deaf"; is "$ST" 0 "one that does not hear SIGTERM"
wait_for has_said deaf up
start=$EPOCHREALTIME
bl stop -t 1 deaf; result 0 $'deaf\n' "stop -t 1"
is "$(box_status deaf)" "exited 137" "kills it"
ok "$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print (b - a < 1) }')" "after a second, no sooner"
bl start deaf; is "$ST" 0 "once more"
bl stop -t 0 deaf; result 0 $'deaf\n' "stop -t 0"
is "$(box_status deaf)" "exited 137" "kills it at once"
bl stop -t x deaf; fails 125 "'x' is not a number" "no number of seconds"

# --- several, names ------------------------------------------------------------------------------------------------
bl stop one nobody deaf
is "$ST$OUT" $'125one\ndeaf\n' "one that is not there stops nobody else"
like "$ERR" nobody "and is named"
bl rename one two; result 0 "" "rename"
is "$(box_id one)" "" "the old name is free"
bl rename two deaf; fails 125 "called 'deaf' already" "a name that is taken"
bl rename two -x; fails 125 "not a name" "one that is none"
bl rename "$(box_id two)" one; result 0 "" "by id"

# --- create --------------------------------------------------------------------------------------------------------
bl create --name made bb sh -c 'echo made; exit 4'
like "$ST$OUT" $'^0[0-9a-f]{12}\n$' "create prints the id"
is "$(box_status made)" "created null" "nothing has run"
bl wait made; result 0 $'0\n' "wait of it"
bl start -a made; result 4 $'made\n' "start -a: output and status"
bl start -a made one; fails 125 "one box at a time" "one terminal has one box"
bl create -d bb true; fails 125 "unknown option" "create has nothing to detach"
bl create --rm bb true; fails 125 "unknown option" "and nothing that goes"

# --- one that goes ---------------------------------------------------------------------------------------------------
bl run -d --rm --name gone bb sh -c "$polite"; is "$ST" 0 "run -d --rm"
bl start gone; fails 125 "runs already" "it runs"
bl stop gone; result 0 $'gone\n' "is stopped"
is "$(box_id gone)" "" "and is away for the next command"

bl run --rm --name owned bb true & wait $! # nothing of it is left for the next
"$B" run --rm --name owned bb sh -c "$polite" > /dev/null & pid=$!
wait_for is_running owned
bl restart owned; is "$ST$OUT" 125 "restart of one that goes with its command"
wait $pid; is "$(box_id owned)" "" "which it does"

# Who waits is not in the way of who starts.
bl run -d --name busy bb sh -c "$polite"
for i in 1 2 3 4 5 6; do timeout 60 "$B" wait busy > /dev/null & done
bl restart busy; result 0 $'busy\n' "restart beside those who wait"
bl kill busy; wait

# Its starter is killed at any moment: the box is none the worse.
for delay in 0 0.01 0.03 0.1; do
	"$B" run -d --name "cut$delay" bb sh -c "$polite" > /dev/null 2>&1 & pid=$!
	sleep $delay
	kill -KILL $pid
	wait $pid 2> /dev/null
done
bl rm -f $(box_ids); is "$ST" 0 "rm -f of all" || diag "$ERR"
nothing_left "nothing is left"
box_done
