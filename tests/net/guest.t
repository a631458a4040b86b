#!/bin/bash
# Guests and peers that are not like the others: old TCP, keepalives, urgent bytes, ends that nobody hears of, floods.
. "$(dirname "$0")/common.sh"
serve A serve

cat > guest.py <<'END'
import os, resource, socket, sys, time
what, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def connect(): return socket.create_connection((host, port), timeout=20)
def vanish(s):
    s.setsockopt(socket.IPPROTO_TCP, 19, 1) # TCP_REPAIR: closed without a word
    s.close()
if what == 'keepalive': # three seconds without an answer are the end of it
    s = connect(); s.sendall(b'hang\n')
    for name, n in (socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2):
        s.setsockopt(socket.IPPROTO_TCP, name, n)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    s.settimeout(6)
    try: print('ended', s.recv(1))
    except OSError as e:
        if e.errno: print('ended', e) # not because of settimeout()
elif what == 'urgent':
    s = connect(); s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    s.sendall(b'go'); got = b''
    while d := s.recv(1 << 16): got += d
    want = b''.join(b'%05d' % i * 200 + b'!' for i in range(500))
    if got != want: print(len(got), 'bytes of', len(want), 'or others')
elif what in ('vanish', 'vanish-udp'):
    all = [connect() for _ in range(5)]
    for s in all: s.sendall(b'hang\n')
    time.sleep(0.5) # nothing is under way by then
    for s in all: vanish(s)
    end = time.monotonic() + 20
    while True:
        try:
            if what == 'vanish': connect(); break
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.connect((host, 9)); s.send(b'.')
            s.recv(1)
        except OSError as e:
            if what == 'vanish-udp' and e.errno == 111: break # it came to the port, which nobody has
            assert time.monotonic() < end, 'no room for ever'
        time.sleep(0.1)
elif what == 'prohibited': # by the host, after the first datagram
    def new():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.connect((host, port))
        return s
    def answer(s):
        s.send(b'.')
        try: s.recv(1)
        except OSError as e: return e.errno
    s = new(); print(answer(s), file=open('first', 'w'))
    while not os.path.exists('prohibited'): time.sleep(0.05)
    print(answer(s), answer(new()))
elif what == 'ping':
    v6 = ':' in host
    s = socket.socket(*((socket.AF_INET6, socket.SOCK_DGRAM, 58) if v6 else (socket.AF_INET, socket.SOCK_DGRAM, 1)))
    s.settimeout(10); s.sendto(bytes([128 if v6 else 8, 0, 0, 0, 0, 0, 0, 1]), (host, 0))
    print(s.recv(99)[8:].decode())
END
cat > forger.py <<'END'
# Answers a ping twice: by another address, then by the one that was asked.
import socket, sys
asked, other = sys.argv[1:]
v6 = ':' in asked
def raw(at):
    s = socket.socket(*((socket.AF_INET6, socket.SOCK_RAW, 58) if v6 else (socket.AF_INET, socket.SOCK_RAW, 1)))
    s.bind((at, 0))
    return s
s, t = raw(asked), raw(other)
open('listens', 'w').write('.')
while True:
    got, peer = s.recvfrom(99)
    if not v6: got = got[(got[0] & 15) * 4:]
    if got[0] != (128 if v6 else 8): continue
    for by, text in (t, b'forged'), (s, b'proper'):
        a = bytearray([129 if v6 else 0, 0, 0, 0]) + got[4:8] + text
        n = sum(a[i] << 8 | a[i + 1] for i in range(0, len(a), 2)); n = (n & 0xffff) + (n >> 16); n = ~(n + (n >> 16)) & 0xffff
        if not v6: a[2:4] = n.to_bytes(2, 'big') # of ICMPv6 the kernel makes it
        by.sendto(a, peer[:2])
    break
END
cat > urgent.py <<'END'
import os, socket
l = socket.create_server(('203.0.113.10', 0))
with open('port.new', 'w') as f: f.write(f'{l.getsockname()[1]}\n')
os.rename('port.new', 'port.urgent')
while True:
    s, _ = l.accept(); s.recv(2)
    for i in range(500):
        s.sendall(b'%05d' % i * 200); s.send(b'!', socket.MSG_OOB)
    s.close()
END
in_world python3 urgent.py & wait_for test -s port.urgent

box '{}' -- sh -c 'sysctl -qw net.ipv4.tcp_window_scaling=0; "$@"' - "$PEER" both 203.0.113.10 "$A" 3000000
passes "a guest whose windows are not scaled"
box '{}' -- python3 guest.py keepalive 203.0.113.10 "$A"; is "$ST$OUT" 0 "its keepalives are answered" || diag "$(cat said)"
box '{}' -- python3 guest.py urgent 203.0.113.10 "$(cat port.urgent)"
is "$ST$OUT" 0 "urgent bytes keep their place" || diag "$(cat said)"
box '{"flows":5}' -- python3 guest.py vanish 203.0.113.10 "$A"
passes "connections that the guest has forgotten make room" || diag "$(cat said)"
box '{"flows":5}' -- python3 guest.py vanish-udp 203.0.113.10 "$A"
passes "also for datagrams" || diag "$(cat said)"

(wait_for test -s first; ip route add prohibit 203.0.113.10; : > prohibited) &
box '{}' -- python3 guest.py prohibited 203.0.113.10 9; wait $!
ip route del prohibit 203.0.113.10
is "$(cat first) $OUT" "111 113 113" "datagrams that the host does not let through are refused" || diag "$ST" "$(cat said)"

# Pings. The world's kernel is not to answer them itself.
in_world sh -c 'sysctl -qw net.ipv4.icmp_echo_ignore_all=1 net.ipv6.icmp.echo_ignore_all=1; ip addr add 2001:db8::11/64 dev in nodad'
for at in "203.0.113.10 203.0.113.11" "2001:db8::10 2001:db8::11"; do
	rm -f listens
	in_world python3 forger.py $at & wait_for test -s listens
	box '{}' -- python3 guest.py ping "${at% *}" 0
	is "$ST$OUT" 0proper "an echo of another one than ${at% *} is not its answer" || diag "$(cat said)"
done

# What comes from outside: connections that nobody in the box takes, more than there are places for.
cat > full.py <<'END'
import os, socket, subprocess, sys, time
l = socket.create_server(('192.168.127.2', 5000), backlog=1000)
open('inside', 'w').write('.')
while not os.path.exists('go'): time.sleep(0.05)
if sys.argv[1] == 'close': l.close()
for _ in range(50):
    if subprocess.call(sys.argv[2:], stdout=subprocess.DEVNULL) == 0: sys.exit(0)
    time.sleep(0.1)
sys.exit(1)
END
# flood SPEC FILES WHAT: a box where 200 have come in. N: its boxlite-net.
flood() {
	local upload=("$PEER" upload 203.0.113.10 "$A" 100000)
	rm -f ports inside go flooded; printf %s "$1" > spec.json
	(ulimit -n "$2" && exec "$O/tests/net-tap" spec.json python3 full.py "$3" "${upload[@]}" 2> said) & BOX=$!
	wait_for test -s inside; N=$(pgrep -x boxlite-net)
	python3 - "$(sed -n '1s/.*:\([0-9]*\):.*/\1/p' ports)" <<-'END' &
		import socket, sys, time
		all = [socket.create_connection(('127.0.0.1', int(sys.argv[1]))) for i in range(200)]
		open('flooded', 'w').write('.'); time.sleep(1000)
	END
	CLIENT=$!
	wait_for test -s flooded
}
ticks() { awk '{ print $14 + $15 }' "/proc/$N/stat"; }
flood '{"ports":["0:5000"]}' 128 close
sleep 0.5; before=$(ticks); sleep 2; used=$(($(ticks) - before))
[ "$used" -lt 40 ]; ok $? "a listener without files left to take them with rests: $used ticks in 2 s"
kill $CLIENT; wait $CLIENT; touch go; wait $BOX; is $? 0 "and the box has its network again when they have gone" || diag "$(cat said)"
flood '{"ports":["0:5000"],"flows":20}' 1000 keep
touch go; wait $BOX; is $? 0 "those from outside leave the box room for its own" || diag "$(cat said)"
kill $CLIENT; wait $CLIENT
tap_done
