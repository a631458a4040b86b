# What the tests of the proxy share: a world that has the hosts of secrets, and a guest behind boxlite-net, each behind
# the kernel's own TCP.
#
#	guest --tap--> boxlite-net --veth--> servers at $SERVER, in namespace $B
#
# Sourced first of all: the test starts anew in a namespace of its own. NEEDS: programs it needs besides. NAMES: those of
# the server's certificate (root.pem, cert.pem, key.pem); the DNS server knows any name.
TOP=$(cd "$(dirname "$0")/../.." && pwd)
export O=${O:-$TOP/out}
[[ $O = /* ]] || O=$TOP/$O
if [ -z "${IN_NET:-}" ]; then
	user=$([ "$(id -u)" = 0 ] || echo -Ur)
	if ! unshare $user -n -m true 2> /dev/null; then
		echo "1..0 # SKIP no network namespaces for this user"
		exit 0
	fi
	IN_NET=1 exec unshare $user -n -m bash "$0" "$@"
fi
. "$TOP/tests/lib/tap.sh"
. "$TOP/tests/lib/certs.sh"
PATH=$PATH:/usr/sbin:/sbin
export PATH LC_ALL=C
cd "$T" || exit 1
for p in curl openssl python3 ip ${NEEDS:-}; do command -v $p > /dev/null || skip_all "$p is not installed"; done
(: <> /dev/net/tun) 2> /dev/null || skip_all "there is no /dev/net/tun for this user"

SERVER=203.0.113.10
unshare -n sleep 3600 &
B=$!
while [ "$(readlink /proc/$B/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
ip link set lo up
ip link add v0 type veth peer name v1 netns $B && ip addr add 203.0.113.1/24 dev v0 && ip link set v0 up
inside() { nsenter -t $B -n "$@"; }
inside sh -c "ip link set lo up; ip addr add $SERVER/24 dev v1; ip link set v1 up" || skip_all "no veth"
ip route add default via $SERVER

make_certs $NAMES
python3 "$TOP/tests/net/echo-server.py" dns 5300 $SERVER &

export BOXLITE_NET=${BOXLITE_NET:-$O/bin/boxlite-net} SSL_CERT_FILE=$T/root.pem
export RESOLV="nameserver [127.0.0.1]:5300"
# It is not dumpable, so the leak checker cannot look at it.
export ASAN_OPTIONS="${ASAN_OPTIONS:-exitcode=99}:detect_leaks=0"
echo "nameserver 192.168.127.1" > resolv.conf

# guest SCRIPT: runs it in the guest, whose network is spec.json; OUT, STATUS, and what boxlite-net says in LOG. The first
# host is $U.
guest() {
	OUT=$(timeout 60 "$O/tests/net-tap" --headers spec.json unshare -m bash -c "
		mount --bind $T/resolv.conf /etc/resolv.conf; unset SSL_CERT_FILE
		curl() { command curl -sS --max-time 30 --cacert ca.pem \"\$@\"; }; U=https://${NAMES%% *}; $1" 2> log)
	STATUS=$?
	LOG=$(cat log)
}
