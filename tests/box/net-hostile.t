#!/bin/bash
# A boxlite-net that breaks the protocol, or ends: it parses what strangers send, so the shim takes it for one.
# It is tests/lib/fake-net.py in the place of the program.
. "$(dirname "$0")/common.sh"
make_home

with_net() { # SCENARIO COMMAND...
	local libexec=$T/net-$1
	mkdir -p "$libexec"
	ln -sf "${BOXLITE_LIBEXEC:-$O/bin}"/boxlite-{shim,image,copy,vmm} "$libexec"
	"$TOP/tests/lib/fake-net.py" "$1" > "$libexec/boxlite-net" && chmod +x "$libexec/boxlite-net"
	shift
	BOXLITE_LIBEXEC=$libexec "$@"
}

# Before its READY nothing runs.
lies() { # SCENARIO PATTERN NAME
	with_net "$1" run bb echo ran
	fails 125 "$2" "$3"
}
lies garbage "boxlite-net broke the protocol: not a frame" "garbage"
lies on_stream "broke the protocol: NET_READY on stream 1" "a stream"
lies other_kind "broke the protocol: unexpected READY" "another kind of message"
lies no_json "broke the protocol" "what is no JSON"
lies more_ports "broke the protocol: NET_READY with other ports" "ports that nobody has asked for"
lies fails "a reason \?\[31m\?of its own" "a failure, whose text is made safe"
lies ends "boxlite-net ended: .*last words" "its end, with its last words"

# After it the box runs.
with_net good run bb echo ran
result 0 $'ran\n' "one that does as it should"
with_net twice run bb sleep 10
fails 125 "NET_READY twice" "a second NET_READY ends the box"
with_net fails_late run bb sleep 10
fails 125 "of its own" "so does a failure"
with_net ends_late run bb sleep 10
fails 125 "boxlite-net ended" "and its end"
with_net closes run bb echo ran
result 0 $'ran\n' "one that closes its connection has no more to say"
with_net stats_unasked run bb echo ran
result 0 $'ran\n' "figures that nobody asked for are figures"
with_net asks_without_end run bb echo ran
result 0 $'ran\n' "questions without end are answered once"

with_net done_unasked run bb sleep 10
fails 125 "an answer that nobody asked for" "an answer to no question ends the box"
with_net refuses run -d --name asked bb sleep 1000
bl port add asked 8080:80
fails 125 "no\?\[31m\?reason" "a refusal, whose text is made safe"
bl inspect -f '{{json .Network.Ports}}' asked
result 0 $'[]\n' "changes nothing"
bl rm -f asked
with_net another_port bl run -d --name asked bb sleep 1000
bl port add asked 8080:80
result 0 "" "with another port than was asked for: only the description changes,"
bl wait asked
is "$OUT" $'125\n' "as the box ends"
bl inspect -f '{{.State.Error}}' asked
[[ $OUT == *"PUBLISH of another port"* ]]
ok $? "which says why" || diag "$OUT"
bl rm -f asked

with_net good run -d --name late bb sleep 1000
is "$("$B" stats --no-stream --json late | jq .guest.processes)" 1 "one that does not answer keeps nobody from figures"
bl rm -f late

with_net denies run bb sleep 1
is "$("$B" events --since 1h --until 0s --json | jq -r 'select(.action == "denied").detail')" \
  "tcp 10.0.0.1:443 (private)
tcp [2001:db8::1]:443 x.example (rule, 7 times)
dns bad.example (name)" "what was refused is told as events"
with_net floods run bb sleep 1
n=$("$B" events --since 1h --until 0s --json | jq -r 'select(.action == "denied").detail' | wc -l)
ok $((!(n >= 23 && n <= 63))) "20 of them in a second" || diag "$n"

# One that never says that it is ready: the box can be stopped.
with_net silent "$B" run --name never bb echo ran > out 2>&1 & pid=$!
box_there() { "$B" ps -q | grep -q .; }
wait_for box_there
bl ps --format '{{.Ports}}'
bl stop -t 1 never
is "$ST" 0 "a box whose network does not come is stopped"
wait $pid
is "$? $(grep -c ran out)" "137 0" "and its command has not run"
bl rm -f never
box_done
