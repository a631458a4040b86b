#!/bin/bash
# Published ports: from the host to a server behind boxlite-net.
. "$(dirname "$0")/common.sh"

# up SPEC KIND ADDRESS: a server in the box, published at its port. PORT: where. The spec's "@" is the server's port, which
# is known before.
up() {
	rm -f ports spec.json inside
	printf %s "$1" > spec.json
	"$O/tests/net-tap" spec.json python3 -c '
import sys; sys.argv = ["peer.py"] + sys.argv[1:]
import socket
# The one thing that is known before: the port.
bind = socket.socket.bind
socket.socket.bind = lambda s, a: bind(s, (a[0], 5000))
exec(open("'"$PEER"'").read())' "$2" inside "$3" 2> said & BOX=$!
	wait_for test -s inside || diag "$(cat said)"
	PORT=$(sed -n '1s/.*:\([0-9]*\):.*/\1/p' ports)
}
down() { pkill -P $BOX -x python3; wait $BOX 2> /dev/null; }

up '{"ports":["0:5000"]}' serve 192.168.127.2
like "$(cat ports)" "^127.0.0.1:[1-9][0-9]*:5000/tcp$" "the system picks a port of the loopback"
is "$("$PEER" upload 127.0.0.1 "$PORT" 20000000)" "" "20 MB in, byte for byte"
is "$("$PEER" download 127.0.0.1 "$PORT" 20000000)" "" "and out"
is "$("$PEER" both 127.0.0.1 "$PORT" 5000000)" "" "both ways at once"
is "$("$PEER" slow-upload 127.0.0.1 "$PORT" 5000000)" "" "to a slow reader"
is "$("$PEER" slow-download 127.0.0.1 "$PORT" 5000000)" "" "as a slow reader"
is "$("$PEER" reset 127.0.0.1 "$PORT")" "" "a reset"
is "$("$PEER" in-turn 127.0.0.1 "$PORT" 100)" "" "a hundred in turn"
is "$("$PEER" many 127.0.0.1 "$PORT" 1000)" "open" "a thousand at once"
is "$(in_world "$PEER" refused 203.0.113.1 "$PORT")" "" "nobody else reaches it"
down
up '{"ports":["0.0.0.0:0:5000","[::]:0:5000","127.0.0.1:0:5001"]}' serve 192.168.127.2
is "$(in_world "$PEER" upload 203.0.113.1 "$PORT" 100000)" "" "unless an address is given"
is "$("$PEER" upload 127.0.0.1 "$PORT" 100000)" "" "which may be all of them"
V6=$(sed -n '2s/.*:\([0-9]*\):.*/\1/p' ports) NONE=$(sed -n '3s/.*:\([0-9]*\):.*/\1/p' ports)
python3 - "$NONE" "$V6" > got <<-'END'
	import socket, sys
	for family, host, port in (socket.AF_INET, '127.0.0.1', sys.argv[1]), (socket.AF_INET6, '::1', sys.argv[2]):
	    s = socket.socket(family); s.settimeout(5)
	    # The reset may be there before connect(2) has returned.
	    try: s.connect((host, int(port))); print('end' if s.recv(1) == b'' else 'data')
	    except ConnectionResetError: print('reset')
END
is "$(cat got)" $'reset\nreset' "a port that nobody in the box listens at resets at once"
down
up '{"ports":["[::1]:0:5000"]}' serve fd62:6f78:6c69:7465::2
is "$("$PEER" upload ::1 "$PORT" 100000)" "" "IPv6 leads to IPv6"
down
up '{"ports":["0.0.0.0:0:5000/udp"]}' serve-udp 192.168.127.2
is "$("$PEER" udp-echo 127.0.0.1 "$PORT" 60000)" "" "datagrams"
is "$(in_world "$PEER" udp-echo 203.0.113.1 "$PORT" 60000)" "" "of others"
down

# A host with several addresses, which answers by the one that was asked; and clients of its link only.
ip addr add 203.0.113.2/24 dev out; ip addr add 2001:db8::2/64 dev out nodad
wait_for eval 'ip -6 addr show dev out scope link | grep -q inet6'
LINK=$(ip -6 -o addr show dev out scope link | sed -E 's/.*inet6 ([^/]*).*/\1/')%in
up '{"ports":["0.0.0.0:0:5000/udp","[::]:0:5000/udp"]}' serve-udp ::
for at in 203.0.113.1 203.0.113.2; do is "$(in_world "$PEER" udp-echo $at "$PORT" 100)" "" "datagrams to $at"; done
V6=$(sed -n '2s/.*:\([0-9]*\):.*/\1/p' ports)
for at in 2001:db8::1 2001:db8::2 "$LINK"; do is "$(in_world "$PEER" udp-echo "$at" "$V6" 100)" "" "and to $at"; done
down
up '{"ports":["[::]:0:5000"]}' serve fd62:6f78:6c69:7465::2
is "$(in_world "$PEER" upload "$LINK" "$PORT" 100000)" "" "a connection by an address of the link"
down

# Two clients that the guest takes for one address, with the same port: it answers both after it has heard both.
cat > both.py <<'END'
import socket
s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('0.0.0.0', 5000))
open('inside', 'w').write('5000\n')
for got, who in [s.recvfrom(99) for _ in range(2)]: s.sendto(got, who)
END
rm -f inside ports; echo '{"ports":["127.0.0.1:0:5000/udp"]}' > spec.json
"$O/tests/net-tap" spec.json python3 both.py 2> said & BOX=$!
wait_for test -s inside; PORT=$(sed -n '1s/.*:\([0-9]*\):.*/\1/p' ports)
python3 - "$PORT" > got <<-'END'
	import socket, sys
	a, b = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
	a.bind(('127.0.0.3', 0)); b.bind(('127.0.0.4', a.getsockname()[1]))
	for s in a, b: s.settimeout(5); s.connect(('127.0.0.1', int(sys.argv[1])))
	a.send(b'a'); b.send(b'b')
	print(a.recv(9).decode() + b.recv(9).decode())
END
is "$(cat got)" ab "each of two clients has its own answer"
wait $BOX

# Who it is, to the guest.
cat > who.py <<'END'
import socket
l = socket.socket(); l.bind(('0.0.0.0', 5000)); l.listen()
open('inside', 'w').write('5000\n')
for _ in range(2):
    s, a = l.accept(); s.sendall(a[0].encode()); s.close()
END
rm -f inside ports; echo '{"ports":["0.0.0.0:0:5000"]}' > spec.json
"$O/tests/net-tap" spec.json python3 who.py 2> said & BOX=$!
wait_for test -s inside; PORT=$(sed -n '1s/.*:\([0-9]*\):.*/\1/p' ports)
ask() { python3 -c 'import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).recv(99).decode())' "$@"; }
is "$(ask 127.0.0.1 "$PORT")" 192.168.127.1 "the host is the gateway to it"
is "$(nsenter -t "$WORLD" -n python3 -c "$(declare -f ask | sed -n "s/.*-c '\(.*\)' \"\$@\".*/\1/p")" 203.0.113.1 "$PORT")" \
  203.0.113.10 "others are who they are"
wait $BOX

# What cannot be.
python3 -c '
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True)
s.accept()' > taken & TAKEN=$!
wait_for test -s taken; N=$(cat taken)
box "{\"ports\":[\"0:80\",\"$N:81\",\"0:82\"]}" -- true
is "$ST" 121 "a port that is taken is an error"
like "$(cat said)" "failed cannot publish 127.0.0.1:$N:81/tcp: Address already in use: .* take another port" "which says so"
kill $TAKEN
box '{"ports":["203.0.113.99:0:80"]}' -- true; like "$(cat said)" "failed cannot publish 203.0.113.99:0:80/tcp: Cannot assign .*: this host has no such address" "an address that is not here"
tap_done
