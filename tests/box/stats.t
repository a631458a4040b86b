#!/bin/bash
# What boxes use, and what runs in them: stats, top, and what is left of that when a guest does not answer.
. "$(dirname "$0")/common.sh"
printf 'root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n' > passwd
mkdir -p tree/etc && cp passwd tree/etc/passwd
tar -C tree --owner=0 --group=0 --sort=name --mtime=@1 -cf layer.tar etc
make_home --layer layer.tar
ms() { echo $(($(date +%s%N) / 1000000)); }
between() { ok $((!($1 >= $2 && $1 <= $3))) "$4" || diag "$1 is not between $2 and $3"; }

# One that spins, one that has written and sleeps, one that does not run.
"$B" run -d --name spins -m 256m bb sh -c 'while :; do :; done' > /dev/null
"$B" run -d --name sleeps bb sh -c 'dd if=/dev/zero of=/x bs=64k count=160 2> /dev/null; sync; echo done; sleep 1000 & wait' > /dev/null
"$B" create --name off bb true > /dev/null
spins=$(box_id spins) sleeps=$(box_id sleeps)
wait_for grep -qs done "$BOXLITE_HOME/boxes/$sleeps/log/output.log"
for i in 1 2; do "$B" exec sleeps true; done
"$B" exec sleeps no-such-program 2> /dev/null
echo input | "$B" exec -i sleeps cat > /dev/null
"$B" exec -d sleeps sleep 1000 > /dev/null
running_exec() { [ "$("$B" top sleeps | grep -c 'sleep 1000')" = 2 ]; }
wait_for running_exec

# --- figures ---------------------------------------------------------------------------------------------------
bl stats --no-stream --json; is "$ST $ERR $(wc -l < out)" "0  2" "stats: a line for each that runs"
s() { jq -r "select(.name == \"$1\") | $2" out; }
is "$(s sleeps '[.execs_started, .execs_running, .execs_failed, .input_bytes] | join(" ")')" "5 1 1 6" "execs, those that run and that failed, input"
is "$(s sleeps '.output_bytes')" 11 "output: 'done' of one and 'input' of the other"
is "$(s sleeps '.memory_limit_bytes') $(s spins '.memory_limit_bytes')" "1073741824 268435456" "their memory"
between "$(s sleeps '.guest.memory_bytes / 1048576 | floor')" 900 1024 "the guest's memory"
is "$(s sleeps '.guest | .memory_available_bytes < .memory_bytes and .memory_available_bytes > 0 and .box_memory_bytes > 0')" true "and how much of it is used"
between "$(s sleeps '.guest.written_bytes')" $((160 * 65536)) $((160 * 65536 + 4194304)) "what it has written"
between "$(s sleeps '.guest.disk_used_bytes')" $((160 * 65536)) $((160 * 65536 + 67108864)) "what that takes in its file system"
between "$(s sleeps '.host.disk_used_bytes')" $((160 * 65536)) $((160 * 65536 + 67108864)) "and of the host's disk"
between "$(s sleeps '.guest.processes')" 3 4 "processes"
is "$(s sleeps '.guest | [.received_bytes, .sent_bytes] | join(" ")')" "0 0" "no network"
between "$(s sleeps '.cpu_percent | floor')" 0 40 "one that sleeps uses little CPU"
between "$(s spins '.cpu_percent * 100 | floor')" 100 30000 "one that spins uses some"
pid=$(s spins .host.pid)
like "$(tr '\0' ' ' < "/proc/$pid/cmdline")" '^(qemu-system|boxlite-vmm)' "the process is the engine's own"
kib=$(sed -n 's/^VmRSS:\s*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
between "$(s spins '.host.memory_bytes / 1024 | floor')" $((kib * 8 / 10)) $((kib * 12 / 10)) "its memory is what /proc says"
ticks=$(awk '{ print $14 + $15 }' "/proc/$pid/stat") # of 10 ms, by now
between "$(s spins '(.host.cpu_user_ns + .host.cpu_system_ns) / 10000000 | floor')" 1 "$ticks" "and so is its CPU time"
is "$(s spins '.boot | .setup_ns > 0 and .agent_ns > 0')" true "where the time of its start went"
between "$(s spins '.uptime_ns / 1000000000 | floor')" 1 600 "how long ago that is"

# (The agent of a box that spins may be too late for one look, on a busy host.)
figures() { bl stats --no-stream; [[ $(grep " spins " out) != *--* ]]; }
wait_for figures; is "$ST $ERR $(wc -l < out)" "0  3" "stats as a table"
like "$OUT" $'^BOX ID +NAME +CPU % +MEM USAGE / LIMIT +MEM % +HOST MEM +NET I/O +BLOCK I/O +PIDS\n' "with docker's columns"
like "$OUT" "$spins  spins +[0-9.]+% +[0-9.]+MB / 268MB +[0-9.]+% +[0-9.]+MB +0B / 0B +[0-9.]+[kM]?B / [0-9.]+[kM]?B +1"$'\n' "and figures"
bl stats --no-stream --format '{{.Name}} {{.PIDs}}' spins off; result 0 $'spins 1\noff --\n' "those that are named, also one that does not run"
bl stats --no-stream nothere; fails 125 "no box is called 'nothere'" "or one that is not there"
bl stats --format '{{.Nope}}'; fails 125 "there is no field 'Nope'" "a field that is not there"
env --default-signal=INT "$B" stats --format '{{.Name}} {{.CPUPerc}}' spins > lines & stats=$!
three_lines() { [ "$(wc -l < lines)" -ge 3 ]; }
wait_for three_lines; is "$?" 0 "without --no-stream it goes on"
kill -INT $stats; wait $stats; is "$?" 0 "until it is told to stop"
like "$(cat lines)" $'^spins --\nspins [0-9.]+%\nspins [0-9.]+%' "with CPU from the second time on"
timeout 20 "$B" stats | head -n1 > out; is "$(wc -l < out)" 1 "until nobody reads it"

"$TOP/tests/lib/pty-drive.py" 'expect:spins  --' 'expect:spins  [0-9.]+%' 'send:\x03' -- "$B" stats spins > screen 2> modes
is "$?" 0 "on a terminal: Ctrl-C is its end"
is "$(grep -ac $'\e\\[H' screen)" "$(grep -ac 'BOX ID' screen)" "each table takes the place of the one before"
ok $(($(grep -ac 'BOX ID' screen) < 2)) "of which there were two or more"

# --- by a program ------------------------------------------------------------------------------------------------
${CC:-cc} $SANITIZER -std=c99 -Wall -Wextra -pedantic -Werror -I "$TOP/include" "$TOP/tests/lib/embed-metrics.c" -o embed \
  -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > log 2>&1
is "$? $(cat log)" "0 " "a program that looks at boxes"
is "$(timeout 60 ./embed spins off 2>&1)" "one host guest sum more list host-only shorter no-size off top no-top info " "sees all of it"

# --- top -------------------------------------------------------------------------------------------------------
"$B" exec -u web sleeps sh -c 'sleep 500; true' & web=$!
runs_web() { "$B" top sleeps | grep -q 'sleep 500$'; }
wait_for runs_web
bl top sleeps; is "$ST $ERR" "0 " "top"
like "$OUT" $'^USER +PID +PPID +STATE +TIME +RSS +COMMAND\nroot +1 +0 +S +0:[0-9.]+ +[0-9.]+[kM]?B +sh -c dd' "its main process"
like "$OUT" "web +([0-9]+) +0 +S .* sh -c sleep 500; true"$'\n' "a user by name, and no parent: that is outside"
parent=$(jq -r '.[] | select(.command | startswith("sh -c sleep 500")) | .pid' <("$B" top --json sleeps))
is "$(jq -c '.[] | select(.command == "sleep 500") | [.ppid, .uid, .user, .state]' <("$B" top --json sleeps))" "[$parent,1000,\"web\",\"S\"]" "a child of it"
is "$("$B" exec sleeps cat "/proc/$parent/comm")" sh "by the number that the box knows"
is "$("$B" top sleeps --format '{{.PID}}' | sort -n | head -n1)" 1 "behind the name as well"
"$B" top spins --json > out; is "$(jq -c '.[0] | .cpu_ns > 100000000' out)" true "CPU time"
bl top off; fails 125 "box $(box_id off) does not run; start it" "one that does not run"
bl top; fails 125 "which box" "none"
"$B" exec sleeps sh -c 'exec -a "$(printf "a\033[2J\nb")" sleep 600' 2> /dev/null & odd=$!
"$B" exec sleeps sh -c 'i=0; while [ $i -lt 40 ]; do sleep 700 & i=$((i + 1)); done; wait' & many=$!
all_there() { [ "$("$B" top sleeps | grep -c 'sleep 700')" = 41 ]; }
wait_for all_there; is "$?" 0 "more than fit one frame"
unlike "$("$B" top sleeps)" $'\e' "no byte that a terminal would obey"

# --- a guest that does not answer --------------------------------------------------------------------------------
kill -STOP "$pid"
begin=$(ms)
bl stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' spins
between $(($(ms) - begin)) 1900 20000 "it is waited for, not long"
result 0 $'spins -- --\n' "the guest's figures are missing"
bl stats --no-stream --json spins; is "$(jq -c '[.guest, .host.memory_bytes > 0]' out)" "[null,true]" "the host's are there"
begin=$(ms)
bl top spins; fails 125 "box $spins: the guest does not answer" "top says so"
between $(($(ms) - begin)) 900 10000 "in time"
bl inspect spins --format '{{.State.Status}}'; result 0 $'running\n' "inspect does not ask the guest"
kill -CONT "$pid"
answers() { [ "$("$B" stats --no-stream --format '{{.PIDs}}' spins)" = 1 ]; }
wait_for answers; is "$?" 0 "when it goes on, it answers again"
bl top spins; is "$ST" 0 "to both"

"$B" rm -f spins sleeps off > /dev/null
wait $web $odd $many 2> /dev/null
bl stats --no-stream --format '{{.Name}}'; result 0 "" "no box, no line"
nothing_left "nothing is left"
box_done
