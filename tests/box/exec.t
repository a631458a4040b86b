#!/bin/bash
# boxlite exec: one more process in a running box.
. "$(dirname "$0")/common.sh"
make_home

export FROM_HERE='of this shell'
mkfifo hold
"$B" run --name main -i -e BOX=yes -w /tmp -u user bb sh -c 'echo ready; cat > /tmp/got; echo "$(cat /tmp/got)"; exit 5' \
  < hold > main.out 2> main.err &
main=$!
exec 9> hold
wait_for grep -q ready main.out; ok $? "a box runs"

# ex ARG...: boxlite exec main ARG... with its options in front
bl exec main sh -c 'echo out; echo err >&2; exit 7'
is "$ST|$OUT|$ERR" $'7|out\n|err\n' "output and status"
bl exec main sh -c 'cat /proc/1/comm; [ $$ != 1 ] && echo not the first; hostname; set -- /proc/[0-9]*; echo $#'
is "$OUT" "sh
not the first
$(box_id main)
3
" "it sees the box's processes: its own shell beside the two of the box"
bl exec main sh -c 'for n in pid mnt ipc uts cgroup net user; do a=$(readlink /proc/self/ns/$n)
  b=$(readlink /proc/1/ns/$n); [ -n "$a" ] && [ "$a" = "$b" ] || echo "$n: $a $b"; done'
result 0 "" "it is in all the namespaces of pid 1"
bl exec -u root main grep CapEff /proc/self/status; result 0 $'CapEff:\t00000000a80425fb\n' "as root it has the box's capabilities"

# --- options -------------------------------------------------------------------------------------------------
bl exec main sh -c 'echo $(id -un) $(pwd) $BOX $HOME'; result 0 $'user /tmp yes /home\n' "user, folder and variables are the box's"
bl exec -u 4242:7 -w /etc -e A=1 -e BOX=no -e FROM_HERE main sh -c 'echo $(id -u):$(id -g) $(pwd) $A $BOX $FROM_HERE'
result 0 $'4242:7 /etc 1 no of this shell\n' "or as given"
bl exec -e $'B=\xff=\xc3' main sh -c 'printf "%s %s" "$B" "$1" | od -An -tx1' - $'a\xfe'
result 0 $' ff 3d c3 20 61 fe\n' "arguments and variables that are not UTF-8"
bl exec -i main sh -c 'cat; echo " end"' < <(printf 'bytes'); result 0 $'bytes end\n' "standard input, and its end"
bl exec main cat < <(echo unwanted); result 0 "" "no input without -i"
head -c 8388608 /dev/urandom > noise
timeout 60 "$B" exec -i main cat < noise | cmp - noise; is "${PIPESTATUS[*]}" "0 0" "8 MiB through it"
"$TOP/tests/lib/pty-drive.py" --size 30x90 -- "$B" exec -it main sh -c 'tty; stty size; exit 3' > screen 2> modes
is "$? $(tr -d '\r' < screen | xargs) $(cat modes)" "3 /dev/pts/0 30 90 modes restored" "a terminal"
bl exec -it main true < /dev/null; fails 125 '-t wants a terminal' "-it without one"

# --- how it ends -------------------------------------------------------------------------------------------------
bl exec main nosuch; fails 127 '"nosuch": executable file not found' "127"
bl exec main /etc/passwd; fails 126 'permission denied' "126"
bl exec -u nobody main id; fails 126 'unable to find user nobody' "a user that is unknown: 126 as by docker, whose run says 125"
bl exec main sh -c 'kill -9 $$'; result 137 "" "128 + 9"
"$B" exec main sh -c 'echo $$ > /tmp/pid; exec tail -f /etc/group' > tail.out 2>&1 &
wait_for grep -q staff tail.out
kill -TERM $!; wait $!
is $? 143 "SIGTERM goes to the process"
bl exec main sh -c 'kill -0 $(cat /tmp/pid) 2>&1 && echo lives'
unlike "$OUT" lives "which is gone"
"$B" exec main sh -c 'echo $$ > /tmp/pid2; exec sleep 1000' & killed=$!
wait_for "$B" exec main test -s /tmp/pid2
kill -KILL $killed; wait $killed 2>/dev/null
bl exec main true; result 0 "" "the box survives a killed exec"

# --- limits ---------------------------------------------------------------------------------------------------
start=$EPOCHREALTIME
bl exec --timeout 500ms main sh -c 'trap "" TERM; sleep 1002 & (sleep 1002; echo no) & echo out; sleep 1002'
result 124 $'out\n' "--timeout"
ok "$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print (b - a < 0.5 || b - a > 20) }')" "after half a second"
bl exec -u root main ps; unlike "$OUT" 'sleep 1002' "takes all that it has started"
bl exec --timeout 1m main sh -c 'exit 4'; result 4 "" "one that is in time"
bl exec --timeout 60 main sh -c 'kill -9 $$'; result 137 "" "or killed by another"
bl exec --timeout 0 main true; fails 125 "'0' is not a time" "0 seconds are none"
bl exec --timeout 1x main true; fails 125 "'1x' is not a time" "nor 1x"
bl exec main sh -c 'sleep 1003 & echo started'; result 0 $'started\n' "what goes on in the background holds up nobody"
bl exec -u root main pkill -f 'sleep 1003'

# --- many at once -------------------------------------------------------------------------------------------------
for i in $(seq 16); do
	{ timeout 60 "$B" exec main sh -c "echo $i; exit $i" > out$i 2> err$i; echo "$? $(cat out$i err$i)" > st$i; } &
	pids[i]=$!
done
wait "${pids[@]}"
is "$(cat st? st?? | sort -n | tr '\n' ',')" "$(for i in $(seq 16); do printf '%s %s,' "$i" "$i"; done)" "16 at once"

# --- the end of the box ------------------------------------------------------------------------------------------
"$B" exec main sleep 1001 > last.out 2> last.err 9>&- & last=$!
wait_for sh -c '"$0" exec -u root main ps | grep -q "sleep 1001"' "$B"
"$TOP/tests/lib/deaf-client.py" "$BOXLITE_HOME/boxes/$(box_id main)/run" yes > deaf 9>&- & deaf=$!
wait_for sh -c '"$0" exec -u root main ps | grep -q "[y]es"' "$B"
echo bye >&9; exec 9>&-
wait $main
is "$? $(xargs < main.out)" "5 ready bye" "the main process ends"
is "$(box_status main)" "exited 5" "and the box, though a client reads nothing"
kill -KILL $deaf; wait $deaf 2> /dev/null
wait $last; st=$?
like "$st $(cat last.err)" '^(137 |125 boxlite: .*)$' "and takes the others with it"
bl exec main true; fails 125 "box $(box_id main) does not run; start it: boxlite start" "exec into a stopped box"
bl exec nothere true; fails 125 "no box is called 'nothere'; 'boxlite ps -a' lists them" "or one that is not there"
bl exec main; fails 125 'which box, and which command\?' "or without a command"
"$B" rm main > /dev/null
nothing_left "nothing is left" now
box_done
