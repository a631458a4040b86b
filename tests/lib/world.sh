# Namespaces for tests of the network, so that they need no port and leave nothing:
#
#	the "host"   203.0.113.1, 2001:db8::1, 10.9.0.1: this namespace, from here on
#	  | veth
#	the "world"  203.0.113.10 and .11, 2001:db8::10, 10.9.0.10, 169.254.169.254
#
# Sourced first of all: the test starts anew inside. As root, and as anybody who may make user namespaces. A test that sets
# MOUNTS has mounts of its own, too; one that sets TUN needs /dev/net/tun.
if [ -z "${NET_INSIDE:-}" ]; then
	user=()
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	if ! unshare "${user[@]}" --net sh -c ": ${TUN:+<> /dev/net/tun}" 2> /dev/null; then
		echo "1..0 # SKIP no network namespaces${TUN:+, or no /dev/net/tun,} for this user"
		exit 0
	fi
	NET_INSIDE=1 exec unshare "${user[@]}" ${MOUNTS:+--mount} --net --pid --fork --mount-proc --kill-child bash "$0" "$@"
fi

# After tap.sh.
make_world() {
	ip link set lo up
	unshare --net sleep 3600 & WORLD=$!
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
}

in_world() { nsenter -t "$WORLD" -n "$@"; }

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
	nsenter -t "$WORLD" -n "$PEER" "$2" "port.$1" "${3:-203.0.113.10}" & wait_for test -s "port.$1"
	printf -v "$1" %s "$(cat "port.$1")"
}
