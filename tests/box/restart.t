#!/bin/bash
# Boxes that come back by themselves, and those that say whether they are well.
. "$(dirname "$0")/common.sh"
make_home
starts() { "$B" logs "$1" 2> /dev/null | grep -c start; }
state() { "$B" ps -a --json | jq -r ".[] | select(.name == \"$1\") | .status"; }
health() { "$B" ps -a --json | jq -r ".[] | select(.name == \"$1\") | .health"; }
is_state() { [ "$(state "$1")" = "$2" ]; }
is_health() { [ "$(health "$1")" = "$2" ]; }
has_starts() { [ "$(starts "$1")" -ge "$2" ]; }

# --- restart -------------------------------------------------------------------------------------------------
bl run -d --name three --restart on-failure:2 bb sh -c 'touch n; echo start $(cat n); echo x >> n; exit 5'
is "$ST" 0 "a box that fails"
WAIT_LIMIT=120 wait_for is_state three exited; ok $? "comes to its end"
is "$("$B" logs three | xargs)" "start start x start x x" "after two more tries, with the disk that it had"
is "$(box_status three)" "exited 5" "as it ended last"
bl start three; WAIT_LIMIT=120 wait_for is_state three exited
"$B" run -d --name follow --restart on-failure:1 bb sh -c 'echo start; sleep 0.3; exit 2' > /dev/null
is "$(timeout 100 "$B" logs -f follow | paste -sd' ')" "start start" "logs -f goes on from one start to the next"
bl rm follow
is "$(starts three)" 6 "a start by hand is the first of three again"
"$B" run -d --name well --restart on-failure bb sh -c 'echo start; exit 0' > /dev/null
wait_for is_state well exited; is "$? $(starts well)" "0 1" "on-failure: not if it did not fail"

bl run -d --name always --restart always bb sh -c 'echo start; sleep 0.2'
WAIT_LIMIT=120 wait_for has_starts always 3; ok $? "always: whatever its status"
WAIT_LIMIT=60 wait_for is_state always restarting; ok $? "between two of them it is restarting"
ended_before() { "$B" ps --json | jq -e '.[] | select(.status == "restarting") | .exit_code == 0' > /dev/null; }
WAIT_LIMIT=60 wait_for ended_before; ok $? "and has the status of its end"
shows_end() { "$B" ps -a | grep -q 'restarting (0)'; }
WAIT_LIMIT=60 wait_for shows_end; ok $? "and ps says how it ended"
bl stop always; is "$ST$ERR" 0 "stop ends that"
is "$(state always)" exited "and it stays so"
"$B" run -d --name killed --restart always bb sh -c 'echo start; sleep 100000' > /dev/null
wait_for has_starts killed 1
timeout -s KILL 60 "$B" attach --no-stdin killed > seen 2>&1 & watcher=$!
wait_for grep -qs start seen
kill -KILL "$(machine_pid)"
wait $watcher; is $? 125 "a watcher learns that its machine has failed, and is not kept"
WAIT_LIMIT=120 wait_for has_starts killed 2; ok $? "always: a machine that is killed, too"
is "$(state killed)" running "and it runs"
bl exec killed echo in; result 0 $'in\n' "with all that belongs to it"
"$B" attach --no-stdin killed > watch 2>&1 & watcher=$!
wait_for grep -q start watch
bl exec killed kill -15 -1
bl kill killed; wait $watcher; is $? 137 "kill is for good; a watcher has the status"
is "$(state killed)" exited "and it stays so"
for signal in KILL TERM; do
	bl run -d --name rests --restart always bb sh -c 'exit 3'
	WAIT_LIMIT=60 wait_for grep -q 'again in 1600 ms' "$BOXLITE_HOME/boxes/$(box_id rests)/log/shim.log"
	LIMIT=30 bl kill -s $signal rests; result 0 $'rests\n' "SIG$signal between two starts"
	wait_stopped "$(box_id rests)"
	is "$(box_status rests)" "exited 3" "is for good, too"
	bl rm rests
done
"$B" run -d --name asked --restart always bb sh -c 'trap "exit 7" TERM; echo start; while :; do sleep 0.1; done' > /dev/null
"$B" attach --no-stdin asked > asked.out 2>&1 & watcher=$! # without timeout(1), which passes a signal on twice
wait_for grep -qs start asked.out
kill -TERM $watcher; wait $watcher; is $? 7 "the stop signal, passed on by attach"
wait_stopped "$(box_id asked)"; is "$(box_status asked)" "exited 7" "is for good as well"
"$B" rm asked > /dev/null
bl create --name broken --restart always bb true
with_engine /bin/false bl start broken; is "$ST" 125 "one whose machine always fails"
WAIT_LIMIT=60 wait_for grep -q 'again in 3200 ms' "$BOXLITE_HOME/boxes/$(box_id broken)/log/shim.log"
bl attach broken; fails 125 '^boxlite: the machine failed.*; in a moment it is started again' "attach between two starts says so"
bl stop broken; bl rm broken; result 0 $'broken\n' "which goes on until it is stopped"
bl run -d --name never --restart always bb /no/such; is "$ST$(box_id never)" 127 "what never ran is not tried again"
bl run --restart always bb true; fails 125 'add -d' "not without -d"
bl run -d --rm --restart always bb true; fails 125 'cannot start again' "not with --rm"
bl create --restart sometimes bb; fails 125 "no restart policy is called 'sometimes'" "no such policy"
bl create --restart on-failure:x bb; fails 125 "no restart policy is called" "no such number"
"$B" rm three well always killed > /dev/null

# --- health --------------------------------------------------------------------------------------------------
bl run -d --name soon --health-cmd false --health-interval 1h bb sleep 100000
is "$(health soon)" starting "before a check it is starting"
"$B" rm -f soon > /dev/null
bl run -d --name sick --health-cmd 'echo looked; test -e /tmp/well' --health-interval 200ms --health-retries 2 bb sleep 100000
wait_for is_health sick unhealthy; ok $? "after two failures it is unhealthy"
like "$("$B" ps)" '\(unhealthy\)' "ps says so"
like "$("$B" inspect sick)" '"output": "looked\\n"' "inspect has what the check has said"
bl exec sick touch /tmp/well
wait_for is_health sick healthy; ok $? "one success and it is healthy"
bl stop -t 0 sick; is "$(health sick)" null "one that does not run has no health"
bl run -d --name slow --health-cmd 'sleep 100' --health-interval 100ms --health-timeout 300ms --health-retries 1 bb sleep 100000
wait_for is_health slow unhealthy; ok $? "a check that takes too long has failed"
bl exec -u root slow sh -c 'ps | grep -c "[s]leep 100$"'; [ "${OUT%?}" -le 1 ]; ok $? "and is gone"
bl run -d --name early --health-cmd 'false' --health-interval 100ms --health-start-period 1h --health-retries 1 bb sleep 100000
wait_for sh -c '"$0" inspect early | jq -e ".[0].state.health.output != null" > /dev/null' "$B"
sleep 1
is "$(health early)" starting "failures in the beginning do not count"
bl create --health-interval 1y bb; fails 125 "'1y' is not a time" "no such time"
bl create --health-retries x bb; fails 125 "'x' is not a number" "no such number"
"$B" rm -f sick slow early > /dev/null
nothing_left "nothing is left"
box_done
