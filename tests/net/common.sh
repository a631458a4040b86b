# What the tests of boxlite-net share: a "box" (net-tap), 192.168.127.2, behind it.
TUN=1
. "$TOP/tests/lib/world.sh"
. "$TOP/tests/lib/tap.sh"
cd "$T" || exit 1
PEER=$TOP/tests/net/peer.py
export BOXLITE_NET=$O/bin/boxlite-net
export RESOLV="nameserver 127.0.0.1"
# boxlite-net lets nobody look into it, as who looks for leaks would have to.
export ASAN_OPTIONS="${ASAN_OPTIONS:-exitcode=99}:detect_leaks=0"

make_world

# box SPEC [OPTION...] -- COMMAND...: ST, OUT; what was said of denials and counters in `said`.
box() {
	local spec=$1 options=()
	shift
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	printf %s "$spec" > spec.json
	OUT=$(timeout -k 5 "${LIMIT:-120}" "$O/tests/net-tap" "${options[@]}" spec.json "$@" 2> said)
	ST=$?
}

# passes NAME: the last box had nothing to say but "ok".
passes() {
	[ "$ST" = 0 ]
	ok $? "$1" || diag "status $ST" "$OUT" "$(cat said)"
}
