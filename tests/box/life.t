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

# Whoever waits hears of the end of the run that there was, also if the box runs again before it can look.
waits() { # PID: in fcntl(2), for the lock
	local number
	{ read -r number _ < "/proc/$1/syscall"; } 2> /dev/null && [ "$number" = 72 ]
}
is_stopped() { grep -q '^State:.*stopped' "/proc/$1/status"; }
bl run -d --name again bb sleep 100000
"$B" wait again > waited & waiter=$!
wait_for waits $waiter; kill -STOP $waiter; wait_for is_stopped $waiter
bl stop -t 0 again; bl start again; result 0 $'again\n' "it is started again beside one who waits"
kill -CONT $waiter
WAIT_LIMIT=20 wait_for grep -q . waited; ok $? "who is not kept by that" || kill -KILL $waiter
wait $waiter; is "$(cat waited) $(box_status again)" "137 running null" "and has the status of the run that was waited for"
"$B" wait again > waited & waiter=$!
wait_for waits $waiter; kill -STOP $waiter; wait_for is_stopped $waiter
bl stop -t 0 again; bl start again; bl rm -f again; kill -CONT $waiter
wait $waiter; is "$(cat waited)" 137 "also of a box that is removed by then"

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

# --- a box without a command -------------------------------------------------------------------------------------
bl create --name idle --memory 256m bb; like "$ST$OUT" $'^0[0-9a-f]{12}\n$' "create without a command"
bl exec -i idle sh -c 'cat > /tmp/kept; cat /proc/1/comm; (sleep 0.1 &); sleep 0.5; grep -l "^State:.Z" /proc/[0-9]*/status' <<< words
is "$ST|$OUT|$ERR" $'1|boxlite-idle\n|' "exec starts it; it idles, and leaves no zombies"
bl exec -d -u 1000 idle sleep 100000
bl exec idle sh -c 'ls -l /proc/1/fd /proc/1/exe; cat /proc/1/environ | tr "\0" "\n" | grep -c HOSTNAME'
like "$OUT" $'-> /init\n.*\n1\n$' "and is a program like any other"
unlike "$OUT" 'socket|anon_inode|vport' "without a file of the agent"
bl stop -t 60 idle; result 0 $'idle\n' "it ends when it is asked to"
is "$(box_status idle)" "exited 0" "with status 0"
bl exec idle cat /tmp/kept; result 0 $'words\n' "and starts again"
bl exec idle sh -c 'for i in 1 2 3; do : > /tmp/now$i; done; touch -d "2100-01-02 03:04:05" /tmp/late'
bl stop -t 60 idle
bl exec idle sh -c 'date -u -r /tmp/late "+%F %T"; stat -c %y /tmp/now? | grep -cv "[.]000000000"'
result 0 $'2100-01-02 03:04:05\n3\n' "times keep their fractions, and go beyond 2038"
bl kill -s INT idle; "$B" wait idle > waited; is "$(cat waited)" 0 "SIGINT ends it, too"
bl rm idle; result 0 $'idle\n' "rm"
bl create --name img --image-command bb; is "$ST" 0 "--image-command"
bl exec img true; fails 125 "does not run" "is a box with a command"
bl rm img
bl run -d --name quit --stop-signal QUIT bb sh -c 'trap "echo quit; exit 8" QUIT; echo up; while :; do sleep 0.1; done'
wait_for has_said quit up
bl stop quit; is "$(box_status quit)" "exited 8" "--stop-signal"
bl run -d --name short --stop-timeout 1 bb sh -c "$deaf"
wait_for has_said short up
start=$EPOCHREALTIME
bl stop short; is "$(box_status short)" "exited 137" "--stop-timeout"
ok "$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print (b - a < 1 || b - a > 9) }')" "is the time that it has"
bl create --stop-signal NONE bb; fails 125 "no signal is called 'NONE'" "a stop signal that there is not"
bl create --stop-timeout 1s bb; fails 125 "'1s' is not a number" "no number of seconds"
"$B" rm quit short > /dev/null

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

# One who removes it is not kept by others who start it in the moment when it has stopped.
for i in 1 2 3; do
	bl run -d --name raced bb sh -c 'trap "" TERM; echo up; sleep 100000'
	wait_for sh -c '"$0" logs raced | grep -q up' "$B"
	for j in 1 2 3 4; do timeout 60 "$B" restart -t 60 raced > /dev/null 2>&1 & done
	sleep 0.3
	LIMIT=30 bl rm -f raced; result 0 $'raced\n' "rm -f beside those who restart it, $i"
	wait
done

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
