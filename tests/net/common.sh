# What the tests of boxlite-net share. Each runs in namespaces of its own, so it needs no port and leaves nothing:
#
#	the "box"   (net-tap) 192.168.127.2 --- boxlite-net, in
#	the "host"  203.0.113.1, 2001:db8::1, 10.9.0.1 --- veth ---
#	the "world" 203.0.113.10 and .11, 2001:db8::10, 10.9.0.10, 169.254.169.254
#
# As root, and as anybody who may make user namespaces and open /dev/net/tun.
if [ -z "${NET_INSIDE:-}" ]; then
	user=()
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	if ! unshare "${user[@]}" --net sh -c ': <> /dev/net/tun' 2> /dev/null; then
		echo "1..0 # SKIP no network namespaces, or no /dev/net/tun, for this user"
		exit 0
	fi
	NET_INSIDE=1 exec unshare "${user[@]}" --net --pid --fork --mount-proc --kill-child bash "$0" "$@"
fi
. "$TOP/tests/lib/tap.sh"
cd "$T" || exit 1
PEER=$TOP/tests/net/peer.py
export BOXLITE_NET=$O/bin/boxlite-net
export RESOLV="nameserver 127.0.0.1"

ip link set lo up
unshare --net sleep 3600 & WORLD=$!
in_world() { nsenter -t "$WORLD" -n "$@"; }
until [ "$(readlink "/proc/$WORLD/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do :; done
ip link add name out type veth peer name in netns "$WORLD"
echo 0 > /proc/sys/net/ipv6/conf/out/accept_dad
in_world sh -e <<-'END'
	echo 0 > /proc/sys/net/ipv6/conf/in/accept_dad
	ip link set lo up; ip link set in up
	ip addr add 203.0.113.10/24 dev in; ip addr add 203.0.113.11/24 dev in
	ip addr add 10.9.0.10/24 dev in; ip addr add 169.254.169.254/16 dev in
	ip addr add 2001:db8::10/64 dev in nodad
	ip route add default via 203.0.113.1
END
ip link set out up
ip addr add 203.0.113.1/24 dev out; ip addr add 10.9.0.1/24 dev out; ip addr add 169.254.0.1/16 dev out
ip addr add 2001:db8::1/64 dev out nodad
ip route add default via 203.0.113.10
echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range

# wait_for COMMAND...: until it succeeds; at most 20 s.
wait_for() {
	local i
	for i in $(seq 400); do
		"$@" > /dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}

# serve NAME KIND [ADDRESS]: peer.py in the world; NAME is set to its port.
serve() {
	in_world "$PEER" "$2" "port.$1" "${3:-203.0.113.10}" & wait_for test -s "port.$1"
	printf -v "$1" %s "$(cat "port.$1")"
}

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
