#!/bin/bash
# The proxy when it is asked for all that it has: connections, and memory.
#
#	limits.py (guest) --tap--> boxlite-net --veth--> limits.py serve
HOST=api.example.test
NAMES="$HOST plain.example.test"
. "$(dirname "$0")/proxied.sh"
ulimit -n 4096 2> /dev/null || skip_all "there may be no 4096 open files"

nsenter -t $B -n python3 "$TOP/tests/net/limits.py" serve cert.pem key.pem > serves 2> serves.err &
until grep -q serves serves || ! kill -0 $! 2> /dev/null; do sleep 0.05; done

P=boxlite-secret-00000000000000000000000000000001
secrets=
for port in 443 2222 2223 2224 8001 8002; do
	secrets+=", {\"name\": \"KEY$port\", \"host\": \"$HOST:$port\", \"placeholder\": \"$P\", \"from\": \"env:KEY\"}"
	export SECRET_KEY$port=s3cretValue1234567890
done
echo "{\"secrets\": [${secrets#,}], \"rules\": [\"allow $HOST\", \"allow plain.example.test\"]}" > spec.json

limits() { guest "exec python3 $TOP/tests/net/limits.py $*"; }

# result TEXT NAME: what the guest has found out; figures are said.
result() {
	is "$STATUS $OUT" "0 $1" "$2" || diag "$LOG"
	sed -n '/ MiB\| KiB/s/^/# /p' log
}

# --- connections -------------------------------------------------------------------------------------------------------
limits full https 256
result "opened 256
one more https reset
still 256
then https works" "256 connections to hosts of secrets, and no more until one has ended"
like "$LOG" "denied tcp $SERVER 443 $HOST limit 1" "which is told"
limits full echo 700 http 324
result "opened 1024
one more echo refused
one more http reset
still 1024
then echo works
then http works" "1024 that are looked into, of both kinds"
like "$LOG" "denied tcp $SERVER 2222 - limit 1" "which is told of those to the port of a secret"
like "$LOG" "denied tcp $SERVER 80 - limit 1" "and of HTTP in the clear"

# --- memory ------------------------------------------------------------------------------------------------------------
# What RLIMIT_DATA counts, of which there may be 1 GiB (main.c). Each bound is half as much again as what was seen, or
# more, as that depends on who is quicker.
# greed MIB NAME KIND N...
greed() {
	local n=0 i most=$1
	for ((i = 4; i <= $#; i += 2)); do n=$((n + ${!i})); done
	sanitized && most=$((1 << 40)) # what its run time makes of memory
	limits greed $most "${@:3}"
	result "open $n besides works
then works works
little" "$2, take less than $1 MiB, and others go on"
}
# All windows full, a head of 60 KB without an end, and nothing taken: 265 MiB, a MiB each.
greed 400 "256 connections of HTTP/2 that ask for all, and take nothing" greedy 256
# 17 MiB; 117 when a head counted as the bytes of its text, with FLOOD of them each, and nine each with more.
greed 64 "32 of a host that sends interim answers without end" hints 32
# 560 MiB; those 760 alone had all that there was when their ducts were as wide as ever, and each of their steps.
greed 768 "250 of HTTP/2, and 760 that are passed as they are, of which both sides send and neither takes" endless 760 \
	greedy 250

# Memory that is refused: where in its work that is depends on how much there is, so there are several.
if sanitized; then
	skip "no memory" "a sanitizer's run time ends a program that has none"
	tap_done
	exit
fi
squeeze() { # KIND N NAME KIB...
	local more=("${@:4}")
	limits squeeze "$1" "$2" "${more[@]}"
	result "$(for m in "${more[@]}"; do echo "then works works"; done)" \
		"$3: with no memory left it goes on, and is as ever once there is"
	[ "$(grep -c ': refused' log)" = "${#more[@]}" ]; ok $? "(and memory was refused)" || diag "$LOG"
}
squeeze greedy 48 "HTTP/2" 500 1500 6000 17000
squeeze endless 120 "bytes as they are" 1000 8000
squeeze hints 32 "interim answers" 1000
tap_done
