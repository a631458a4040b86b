#!/bin/bash
# A network that changes while it is used: ports, rules, and who dials.
. "$(dirname "$0")/common.sh"
mkfifo commands
export COMMANDS=$T/commands

# up SPEC KIND: a server in the box at port 5000, and its box (BOX).
up() {
	rm -f ports inside
	: > said
	printf %s "$1" > spec.json
	"$O/tests/net-tap" spec.json python3 -c '
import sys; sys.argv = ["peer.py"] + sys.argv[1:]
import socket
bind = socket.socket.bind
socket.socket.bind = lambda s, a: bind(s, (a[0], 5000))
exec(open("'"$PEER"'").read())' "$2" inside 0.0.0.0 2>> said & BOX=$!
	wait_for test -s inside || diag "$(cat said)"
}
down() { pkill -P $BOX -x python3; wait $BOX 2> /dev/null; }
# tell LINE: and its answer is in SAID.
tell() {
	local n
	n=$(grep -c ^done said)
	echo "$1" 1<> commands
	wait_for eval '[ $(grep -c ^done said) -gt '"$n"' ]'
	SAID=$(grep ^done said | tail -n 1)
}
port_of() { sed -E 's/.*:([0-9]+):[0-9]+.*/\1/' <<< "$1"; }

# --- ports -----------------------------------------------------------------------------------------------------
up '{}' serve
tell "publish 0:5000"
like "$SAID" "^done PUBLISH 0 127.0.0.1:[1-9][0-9]*:5000/tcp$" "a port is published later"
PORT=$(port_of "$SAID")
is "$("$PEER" upload 127.0.0.1 "$PORT" 1000000)" "" "and leads to the box"
tell "publish $PORT:5001"
like "$SAID" "^done PUBLISH -98 .*$PORT.* in use" "not twice"
tell "publish 81:5000"
like "$SAID" "^done PUBLISH -13 .*81.*low ports can only be published by a start" "its right to low ports is gone by now"
like "$SAID" "take one from 1024 on" "and from where on it needs none is said"
tell "publish 0:5001"
OTHER=$(port_of "$SAID")
python3 - "$PORT" > kept <<-'END' & KEPT=$!
	import socket, sys, time
	s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.settimeout(20)
	s.sendall(b'echo\nx'); assert s.recv(1) == b'x'
	print('open', flush=True)
	while True:
	    try: socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close()
	    except ConnectionRefusedError: break
	    time.sleep(0.05)
	s.sendall(b'y'); print(s.recv(1).decode())
END
wait_for test -s kept
tell "unpublish 5000"
is "$SAID" "done UNPUBLISH 0 -" "a port is taken away"
wait $KEPT
is "$(cat kept)" $'open\ny' "what was open stays, and nothing new comes in"
tell "publish 127.0.0.1:$PORT:5000"
is "$SAID" "done PUBLISH 0 127.0.0.1:$PORT:5000/tcp" "it is free, and can come back"
is "$("$PEER" download 127.0.0.1 "$PORT" 100000)" "" "and works"
tell "unpublish 9"
like "$SAID" "^done UNPUBLISH -2 " "one that there is not"
tell "unpublish $OTHER:5001"
is "$SAID" "done UNPUBLISH 0 -" "by its whole name"
tell "publish 127.0.0.1:$PORT:5000/udp"
is "$SAID" "done PUBLISH 0 127.0.0.1:$PORT:5000/udp" "UDP has numbers of its own"

# --- dialling --------------------------------------------------------------------------------------------------
tell "dial 5000"
is "$SAID" "done DIAL 0 -" "somebody dials"
wait_for grep -q ^heard said
is "$(grep ^heard said)" "heard hello" "and is heard"
tell "dial 5009"
like "$SAID" "^done DIAL -111 .*port 5009" "a port that nobody listens at"
kill -0 $BOX
ok $? "all goes on"
down
like "$(cat said)" "stats .* flows 0 " "nothing is left of it"

# Of an ordinary user no start could publish a low port either. (The setting is this namespace's.)
cat > net-of-user <<-END
	#!/bin/sh
	exec setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service $BOXLITE_NET
END
chmod 755 net-of-user
echo 300 > /proc/sys/net/ipv4/ip_unprivileged_port_start
NET=$BOXLITE_NET; BOXLITE_NET=$T/net-of-user
up '{}' serve
tell "publish 81:5000"
like "$SAID" "^done PUBLISH -13 .*:81:.*ports below 300 .*need a right that this user has not; take one from there on" \
  "who has no right to low ports is not sent to a start"
tell "publish 300:5000"
is "$SAID" "done PUBLISH 0 127.0.0.1:300:5000/tcp" "and what is said to need none needs none"
down
BOXLITE_NET=$NET
echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start

up '{"flows":1}' serve
tell "publish 0:5000"
PORT=$(port_of "$SAID")
exec 7<> "/dev/tcp/127.0.0.1/$PORT"
printf 'echo\nx' >&7; read -r -N 1 -u 7 x
is "$x" x "as many connections as the box may have"
tell "dial 5000"
like "$SAID" "^done DIAL -16 .*as many connections" "one too many"
exec 7>&-
down

# --- no memory -------------------------------------------------------------------------------------------------
# A question that comes to more than there is has that for its answer, and all goes on.
if sanitized; then
	skip "no memory" "a sanitizer's run time ends a program that has none"
else
	up '{}' serve
	NET=$(pgrep -P $BOX boxlite-net)
	rules=$(printf '"allow tcp:a-name-that-is-long-%d.example",' $(seq 900))
	data=$(awk '/^VmData/ { print $2 * 1024 }' /proc/$NET/status)
	prlimit --pid "$NET" --data="$data:$((1 << 30))"
	tell "rules {\"rules\":[${rules%,}]}"
	like "$SAID" "^done RULES -12 the network of this box has no memory left" "there is no memory for so many rules"
	tell "unpublish 9"
	like "$SAID" "^done UNPUBLISH -2 " "what needs little is answered"
	prlimit --pid "$NET" --data="$((1 << 30)):$((1 << 30))"
	tell "rules {\"rules\":[${rules%,}]}"
	is "$SAID" "done RULES 0 -" "and all, once there is some"
	tell "dial 5000"
	is "$SAID" "done DIAL 0 -" "it is as ever"
	down
fi

# --- rules -----------------------------------------------------------------------------------------------------
serve SERVER serve 0.0.0.0
# inside: connects to each address, and says for each what becomes of it when the rules have changed.
cat > inside.py <<-'END'
	import os, socket, sys, time
	port, wait = int(sys.argv[1]), sys.argv[2]
	open_ = []
	for a in sys.argv[3:]:
	    s = socket.create_connection((a, port)); s.settimeout(10)
	    s.sendall(b'echo\nx'); assert s.recv(1) == b'x', a
	    open_.append((a, s))
	open('connected', 'w').close()
	while not os.path.exists(wait): time.sleep(0.02)
	for a, s in open_:
	    try: s.sendall(b'y'); print(a, s.recv(1).decode() or 'end')
	    except ConnectionResetError: print(a, 'reset')
	    except BrokenPipeError: print(a, 'reset')
	    try: socket.create_connection((a, port), 5); print(a, 'again')
	    except ConnectionRefusedError: print(a, 'refused')
END
# changed SPEC RULES: what becomes of connections, in OUT.
changed() {
	rm -f connected go out
	: > said
	printf %s "$1" > spec.json
	"$O/tests/net-tap" spec.json python3 inside.py "$SERVER" go 203.0.113.10 203.0.113.11 > out 2>> said & BOX=$!
	wait_for test -e connected
	tell "rules $2"
	touch go
	wait $BOX
	OUT=$(cat out)
}
changed '{}' '{"rules":["deny 203.0.113.10"]}'
is "$SAID" "done RULES 0 -" "the rules are replaced"
is "$OUT" $'203.0.113.10 reset\n203.0.113.10 refused\n203.0.113.11 y\n203.0.113.11 again' "what they do not allow is cut off"
like "$(cat said)" "denied tcp 203.0.113.10 $SERVER - rule" "and that is told"
changed '{"rules":["allow 203.0.113.0/24"]}' '{"rules":["allow tcp:203.0.113.11:'"$SERVER"'"]}'
is "$OUT" $'203.0.113.10 reset\n203.0.113.10 refused\n203.0.113.11 y\n203.0.113.11 again' "less is allowed"
changed '{"rules":["allow 203.0.113.0/24"]}' '{}'
is "$OUT" $'203.0.113.10 y\n203.0.113.10 again\n203.0.113.11 y\n203.0.113.11 again' "more is"
changed '{"rules":["allow 203.0.113.0/24"]}' '{"rules":["allow 203.0.113.11", "deny evil.example"]}'
is "$OUT" $'203.0.113.10 reset\n203.0.113.10 refused\n203.0.113.11 y\n203.0.113.11 again' "an address that a rule allows needs no name"
changed '{}' '{"rules":["deny evil.example"]}'
is "$OUT" $'203.0.113.10 reset\n203.0.113.10 again\n203.0.113.11 reset\n203.0.113.11 again' \
  "where names matter now, what was not looked into begins anew"
changed '{"rules":["deny evil.example"]}' '{"rules":["deny bad.example"]}'
is "$OUT" $'203.0.113.10 y\n203.0.113.10 again\n203.0.113.11 y\n203.0.113.11 again' "what was looked into goes on"

# What the proxy has: a connection that is in the middle of its requests.
nsenter -t "$WORLD" -n python3 "$TOP/tests/net/echo-server.py" http 80 requests &
wait_for in_world bash -c 'exec 3<> /dev/tcp/203.0.113.10/80'
cat > keep.py <<-'END'
	import http.client, os, time
	c = http.client.HTTPConnection('203.0.113.10', 80, timeout=10)
	c.connect(); c.auto_open = False
	def ask():
	    c.request('GET', '/', headers={'Host': 'first.example'})
	    r = c.getresponse(); r.read()
	    return r.status
	print(ask())
	open('connected', 'w').close()
	while not os.path.exists('go'): time.sleep(0.02)
	try: print(ask())
	except OSError: print('cut')
END
# kept SPEC RULES: the same of one that has asked for first.example.
kept() {
	rm -f connected go out
	: > said
	printf %s "$1" > spec.json
	"$O/tests/net-tap" spec.json python3 keep.py > out 2>> said & BOX=$!
	wait_for test -e connected
	tell "rules $2"
	touch go
	wait $BOX
	OUT=$(cat out)
}
kept '{"rules":["deny evil.example"]}' '{"rules":["deny bad.example"]}'
is "$OUT" $'200\n200' "a connection for requests goes on" || diag "$(cat said)"
kept '{"rules":["deny evil.example"]}' '{"rules":["deny first.example"]}'
is "$OUT" $'200\ncut' "and is cut off, if its name is denied" || diag "$(cat said)"
is "$(grep -c '^denied tcp 203.0.113.10 80 first.example claim 1' said)" 1 "which is told once"
tap_done
