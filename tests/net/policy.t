#!/bin/bash
# What a guest may reach: classes, rules, names; TCP, UDP, ICMP and DNS alike. A guest that tries to get round them.
. "$(dirname "$0")/common.sh"
serve T serve
serve U serve-udp
serve PRIVATE serve 10.9.0.10
serve META serve 169.254.169.254
serve OTHER serve 203.0.113.11
"$PEER" serve port.loopback 127.0.0.1 & wait_for test -s port.loopback; LOOPBACK=$(cat port.loopback)
"$PEER" serve port.own 10.9.0.1 & wait_for test -s port.own; OWN=$(cat port.own)
"$PEER" serve port.six ::1 & wait_for test -s port.six; SIX=$(cat port.six)
world=203.0.113.10

# The host's server for names. The others must not be able to ask it.
cat > dns.conf <<-END
	no-resolv
	no-hosts
	port=53
	listen-address=127.0.0.1
	bind-interfaces
	no-daemon
	user=
	host-record=good.example,203.0.113.10,2001:db8::10,60
	host-record=sub.good.example,203.0.113.10,60
	host-record=deep.sub.good.example,203.0.113.10,60
	host-record=other.example,203.0.113.11,60
	host-record=inward.example,10.9.0.10,60
	host-record=loopback.example,127.0.0.1,60
	cname=alias.example,good.example
	cname=hop.example,alias.example
	address=/nowhere.example/
END
dnsmasq -C dns.conf > dnsmasq.log 2>&1 & DNS=$!
wait_for grep -q started dnsmasq.log

# get HOST PORT: "yes" if a byte comes back, else what connect says; never long.
cat > get.py <<'END'
import socket, sys, time
host, port = sys.argv[1], int(sys.argv[2])
begin = time.monotonic()
try:
    s = socket.create_connection((host, port), timeout=8)
    s.sendall(b'echo\nx'); s.shutdown(socket.SHUT_WR)
    print('yes' if s.recv(9) == b'x' else 'no')
except socket.gaierror: print('no name')
except ConnectionRefusedError: print('refused')
except ConnectionResetError: print('reset')
except OSError as e: print(e)
if time.monotonic() - begin > 1.5: print('and it took long')
END
get() { box "$1" -- python3 get.py "$2" "$3"; }
# A resolv.conf for the guest, which the host's is not: only a mount namespace can have it.
named() { box "$1" -- unshare --mount sh -c 'echo nameserver 192.168.127.1 > r; mount --bind r "$(readlink -f /etc/resolv.conf)"
	shift; exec "$@"' - - "${@:2}"; }
get_named() { named "$1" python3 get.py "$2" "$3"; }

# --- classes ----------------------------------------------------------------------------------------------------
get '{}' $world "$T"; is "$OUT" yes "the world is open"
get '{}' 10.9.0.10 "$PRIVATE"; is "$OUT" refused "a private address is not"
like "$(cat said)" "denied tcp 10.9.0.10 $PRIVATE - private 1" "and that is told"
get '{"open":["private"]}' 10.9.0.10 "$PRIVATE"; is "$OUT" yes "unless it is opened"
get '{"open":["private"]}' 10.9.0.1 "$OWN"; is "$OUT" refused "that does not open the host's own address"
like "$(cat said)" " host 1" "which is the host"
get '{}' 203.0.113.1 "$OWN"; is "$OUT" refused "nor does a public address of the host"
like "$(cat said)" " host 1" "which is the host, too"
get '{}' 169.254.169.254 "$META"; is "$OUT" refused "the cloud's data about the host are closed"
like "$(cat said)" " metadata 1" "by a switch of its own"
get '{"open":["link-local"]}' 169.254.169.254 "$META"; is "$OUT" refused "which that of link-local addresses is not"
get '{"open":["metadata"]}' 169.254.169.254 "$META"; is "$OUT" yes "but this one"
get '{}' 192.168.127.254 "$LOOPBACK"; is "$OUT" refused "the host is closed"
get '{"open":["host"]}' 192.168.127.254 "$LOOPBACK"; is "$OUT" yes "unless it is opened"
get '{"open":["host"]}' fd62:6f78:6c69:7465::fe "$SIX"; is "$OUT" yes "by IPv6, too"
get '{"open":["host"]}' 10.9.0.1 "$OWN"; is "$OUT" yes "with all its addresses"
get '{"rules":["allow 10.9.0.10"]}' 10.9.0.10 "$PRIVATE"; is "$OUT" yes "a rule opens a private address"
get '{"rules":["allow 10.0.0.0/8"]}' 10.9.0.1 "$OWN"; is "$OUT" refused "but not the host that is among them"
get '{"rules":["allow 0.0.0.0/0"]}' 10.9.0.10 "$PRIVATE"; is "$OUT" refused "nor does one for the whole world"

# The host's loopback by every spelling that a packet can have.
cat > raw.py <<'END'
"""Sends packets as no kernel would let one: to each address a SYN and a datagram, from the guest's own address."""
import socket, struct, sys
def csum(b):
    b += b'\0' * (len(b) % 2)
    s = sum(struct.unpack(f'!{len(b) // 2}H', b))
    while s >> 16: s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff
eth = bytes.fromhex('02626f780001' '02626f780002')
def ip4(dst, proto, data, src='192.168.127.2', options=b'', frag=0):
    h = struct.pack('!BBHHHBBH4s4s', 0x45 + len(options) // 4, 0, 20 + len(options) + len(data), 1, frag, 64, proto, 0,
                    socket.inet_aton(src), socket.inet_aton(dst)) + options
    return eth + b'\x08\0' + h[:10] + struct.pack('!H', csum(h)) + h[12:] + data
def ip6(dst, proto, data, src='fd62:6f78:6c69:7465::2'):
    return eth + b'\x86\xdd' + struct.pack('!IHBB', 6 << 28, len(data), proto, 64) + \
        socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + data
def syn(port): return struct.pack('!HHIIBBHHH', 40000, port, 1, 0, 0x50, 2, 65535, 0, 0)
def udp(port, data=b'leak'): return struct.pack('!HHHH', 40000, port, 8 + len(data), 0) + data
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(('eth0', 3))
s.settimeout(0.3)
what, port = sys.argv[1], int(sys.argv[2])
for dst in sys.argv[3:]:
    ip, t, u = (ip6 if ':' in dst else ip4), syn(port), udp(port)
    if what == 'plain': frames = [ip(dst, 6, t), ip(dst, 17, u)]
    elif what == 'spoof': frames = [ip4(dst, 6, t, '10.9.0.1'), ip4(dst, 17, u, '127.0.0.1'), ip4(dst, 17, u, '192.168.127.3')]
    elif what == 'route': frames = [ip4('203.0.113.10', 17, u, options=b'\x83\x07\x04' + socket.inet_aton(dst) + b'\0')]
    elif what == 'fragment': frames = [ip4(dst, 17, u[:8], frag=0x2000), ip4(dst, 17, u[8:] + b'xxxx', frag=1), ip4(dst, 6, t[:8], frag=0x2000), ip4(dst, 6, t[8:], frag=1)]
    elif what == 'short': frames = [ip(dst, 6, t)[:-n] for n in range(1, 54)] + [ip(dst, 17, u)[:-n] for n in range(1, 46)]
    for f in frames:
        if len(f) >= 14: s.send(f)
open_to = set()
try:
    while True:
        f = s.recv(2000)
        if f[12:14] == b'\x08\0' and f[23] == 6 and f[47] & 0x12 == 0x12: open_to.add(socket.inet_ntoa(f[26:30]))
        if f[12:14] == b'\x86\xdd' and f[20] == 6 and f[67] & 0x12 == 0x12: open_to.add(socket.inet_ntop(socket.AF_INET6, f[22:38]))
except TimeoutError: pass
print('open:', *sorted(open_to))
END
# heard PORT COMMAND...: whether a datagram or a connection arrives at any address of the host there meanwhile.
cat > ear.py <<'END'
import select, socket, sys
all = []
for family, any in (socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::'):
    for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
        s = socket.socket(family, kind)
        if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((any, int(sys.argv[1])))
        if kind == socket.SOCK_STREAM: s.listen()
        all.append(s)
print('listens', flush=True)
while True:
    for s in select.select(all, [], [])[0]:
        print('heard', s.accept()[1] if s.type == socket.SOCK_STREAM else s.recvfrom(100), flush=True)
END
python3 ear.py 7777 > heard & EAR=$!
in_world python3 ear.py 7777 > heard.world & EAR2=$!
wait_for grep -q listens heard; wait_for grep -q listens heard.world
spellings="127.0.0.1 127.1.2.3 0.0.0.0 0.1.2.3 255.255.255.255 203.0.113.1 203.0.113.255 10.9.0.1 169.254.0.1 192.168.127.1
	192.168.127.2 192.168.127.255 224.0.0.1 240.0.0.1 ::1 :: ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.9.0.1 64:ff9b::7f00:1
	64:ff9b::a09:1 2002:7f00:1::1 2002:a09:1::1 2001:db8::1 fe80::1 ff02::1 ff05::1 fd62:6f78:6c69:7465::1"
box '{}' -- python3 raw.py plain 7777 $spellings; is "$OUT" "open:" "no spelling of the host opens a connection"
box '{}' -- python3 raw.py spoof 7777 203.0.113.10 10.9.0.10; is "$OUT" "open:" "nor do packets of somebody else"
box '{}' -- python3 raw.py route 7777 10.9.0.10 127.0.0.1; is "$OUT" "open:" "nor source routes"
box '{}' -- python3 raw.py fragment 7777 203.0.113.10; is "$OUT" "open:" "nor fragments"
box '{}' -- python3 raw.py short 7777 203.0.113.10 2001:db8::10; is "$OUT" "open:" "nor packets cut short"
is "$(cat heard)" listens "and the host has heard nothing"
is "$(cat heard.world)" listens "nor has the world"
box '{}' -- python3 raw.py plain 7777 203.0.113.10; is "$OUT" "open: 203.0.113.10" "(an honest packet opens one)"
like "$(cat heard.world)" "b'leak'" "(and a datagram would have been heard)"
kill $EAR $EAR2; wait $EAR $EAR2 2> /dev/null

# --- rules ------------------------------------------------------------------------------------------------------
rules='{"rules":["allow 203.0.113.10"]}'
get "$rules" $world "$T"; is "$OUT" yes "an address that is allowed"
get "$rules" 203.0.113.11 "$OTHER"; is "$OUT" refused "and one that is not"
like "$(cat said)" " not-allowed 1" "for that reason"
get '{"rules":["deny 203.0.113.10"]}' $world "$T"; is "$OUT" refused "an address that is denied"
like "$(cat said)" " rule 1" "by a rule"
get '{"rules":["deny 203.0.113.10"]}' 203.0.113.11 "$OTHER"; is "$OUT" yes "and another one"
get "{\"rules\":[\"allow tcp:203.0.113.10:$T\"]}" $world "$T"; is "$OUT" yes "a port that is allowed"
get "{\"rules\":[\"allow tcp:203.0.113.10:1\"]}" $world "$T"; is "$OUT" refused "and another one"
get "{\"rules\":[\"deny 203.0.113.10:1\",\"allow 203.0.113.0/24\"]}" $world "$T"; is "$OUT" yes "rules are asked in order"
get "{\"rules\":[\"deny 203.0.113.0/24\",\"allow 203.0.113.10\"]}" $world "$T"; is "$OUT" refused "and the first decides"
rules="{\"rules\":[\"allow tcp:203.0.113.10\"]}"
box "$rules" -- "$PEER" udp-refused $world "$U"; passes "UDP is not TCP: refused at once"
like "$(cat said)" "denied udp 203.0.113.10 $U - not-allowed" "and told"
box '{"rules":["allow udp:203.0.113.10"]}' -- "$PEER" udp-echo $world "$U" 65000; passes "UDP that is allowed passes"
box "$rules" -- ping -c 1 -W 3 $world; like "$OUT" "Packet filtered" "nor is ICMP"
box '{}' -- ping -c 1 -W 3 -s 60000 $world; like "$OUT" " 1 received" "which passes otherwise"
box '{}' -- ping -c 1 -W 3 2001:db8::10; like "$OUT" " 1 received" "of both families"

# --- names ------------------------------------------------------------------------------------------------------
get_named '{}' good.example "$T"; is "$OUT" yes "a name is resolved"
get_named '{}' hop.example "$T"; is "$OUT" yes "through aliases"
get_named '{}' nowhere.example "$T"; is "$OUT" "no name" "one that there is not"
rules='{"rules":["allow good.example"]}'
get_named "$rules" good.example "$T"; is "$OUT" yes "a name that is allowed"
get_named "$rules" GOOD.example. "$T"; is "$OUT" yes "in any spelling"
get_named "$rules" other.example "$OTHER"; is "$OUT" "no name" "and one that is not, at once"
like "$(cat said)" "denied udp :: 53 other.example name" "which is told"
get_named "$rules" sub.good.example "$T"; is "$OUT" "no name" "a name below it is another"
get_named '{"rules":["allow *.good.example"]}' deep.sub.good.example "$T"; is "$OUT" yes "unless all below are allowed"
get_named '{"rules":["allow *.good.example"]}' good.example "$T"; is "$OUT" "no name" "but not itself"
get_named "$rules" $world "$T"; is "$OUT" refused "its address alone is not allowed, before it was asked for"
named "$rules" sh -c "python3 get.py good.example $T; python3 get.py $world $T; python3 get.py 203.0.113.11 $OTHER"
is "$OUT" $'yes\nyes\nrefused' "afterwards it is"
get_named '{"rules":["allow hop.example"]}' hop.example "$T"; is "$OUT" yes "an alias that is allowed leads where it does"
get_named '{"rules":["allow inward.example"]}' inward.example "$PRIVATE"; is "$OUT" refused "no name leads inward"
like "$(cat said)" "10.9.0.10 $PRIVATE inward.example private" "told with that name"
get_named '{"rules":["allow loopback.example"]}' loopback.example "$LOOPBACK"; unlike "$OUT" yes "nor to the loopback"
get_named '{"rules":["deny other.example"]}' other.example "$OTHER"; is "$OUT" "no name" "a name that is denied"
get_named '{"rules":["deny other.example"]}' good.example "$T"; is "$OUT" yes "and another one"
get_named '{"open":["host"]}' host.boxlite.internal "$LOOPBACK"; is "$OUT" yes "the host has a name"
get_named '{}' host.boxlite.internal "$LOOPBACK"; is "$OUT" "no name" "if it is open"

# Whom a connection comes for, which two names at one address have in common but this.
cat > record.py <<'END'
import socket, threading
l = socket.socket(); l.bind(('203.0.113.10', 443)); l.listen(); open('recording', 'w')
def one(s):
    s.settimeout(3)
    try:
        d = s.recv(65536)
        with open('recorded', 'ab') as f: f.write(d)
        s.sendall(b'HTTP/1.1 200 ok\r\nContent-Length: 0\r\n\r\n' if b'HTTP/1.' in d else b'ok')
    except OSError: pass
    s.close()
while True: threading.Thread(target=one, args=(l.accept()[0],)).start()
END
in_world python3 record.py &
cat > claim.py <<'END'
import socket, ssl, sys
socket.getaddrinfo('good.example', 443)
def send(*pieces):
    s = socket.create_connection(('203.0.113.10', 443), timeout=5)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for p in pieces: s.sendall(p)
        return s.recv(15).decode().removeprefix('HTTP/1.1 200 ') or 'end'
    except ConnectionError: return 'reset'
    except OSError as e: return str(e)
def tls(name):
    c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO(); t = c.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try: t.do_handshake()
    except ssl.SSLWantReadError: return out.read()
h = tls(sys.argv[2] if len(sys.argv) > 2 else None) if sys.argv[1].startswith('tls') else b''
http = lambda text: text.replace('\n', '\r\n').encode()
print({
    'tls': lambda: send(h),
    'tls-bytes': lambda: send(*(h[i:i + 1] for i in range(len(h)))),
    'tls-records': lambda: send(*(b'\x16\x03\x01\0\x40' + h[5:69], b'\x16\x03\x01' + (len(h) - 69).to_bytes(2) + h[69:])),
    'tls-alert': lambda: send(b'\x15\x03\x01\0\2\1\x5a' + h),
    'tls-again': lambda: send(tls('good.example') + h),
    'http': lambda: send(http(sys.argv[2].replace('|', '\n'))),
    'raw': lambda: send(sys.argv[2].encode()),
}[sys.argv[1]]())
END
claim() { : > recorded; named '{"rules":["allow good.example"]}' python3 claim.py "$@"; }
forged() { claim "${@:2}"; is "$OUT $(grep -c . recorded)" "reset 0" "$1"; }
wait_for test -e recording
claim tls good.example; is "$OUT" ok "TLS for the name that is allowed"
claim tls-bytes good.example; is "$OUT" ok "byte for byte"
claim tls-records good.example; is "$OUT" ok "in two records"
forged "TLS for another name reaches nothing" tls evil.example
like "$(cat said)" "denied tcp 203.0.113.10 443 evil.example claim 1" "which is told"
forged "nor in bytes" tls-bytes evil.example
forged "nor in records" tls-records evil.example
forged "nor does one without a name" tls
forged "nor one behind an alert" tls-alert evil.example
forged "nor one behind the right one, as if it was asked for" tls-again evil.example
claim http 'GET / HTTP/1.1|Host: good.example||'; is "$OUT" ok "HTTP for the name that is allowed"
claim http 'GET http://good.example/ HTTP/1.1|Host: good.example:443||'; is "$OUT" ok "spelled out"
forged "HTTP for another" http 'GET / HTTP/1.1|Host: evil.example||'
forged "of a method that nobody knows" http 'FROB / HTTP/1.1|Host: evil.example||'
forged "after an empty line" http '|GET / HTTP/1.1|Host: evil.example||'
forged "with two" http 'GET / HTTP/1.1|Host: good.example|Host: evil.example||'
forged "with a target that says another" http 'GET http://evil.example/ HTTP/1.1|Host: good.example||'
forged "with a space before the colon" http 'GET / HTTP/1.1|Host: good.example|Host : evil.example||'
forged "folded" http 'GET / HTTP/1.1|Host:| evil.example||'
forged "without any" http 'GET / HTTP/1.0||'
forged "of version 0.9" http 'GET /|'
forged "which has a name" http 'GET http://evil.example/|'
forged "with a name and a space behind it all" http 'GET http://evil.example/ HTTP/1.1 |Host: evil.example||'
forged "with tabs" http $'GET\t/\tHTTP/1.1|Host: evil.example||'
forged "with another name as a port" http 'GET / HTTP/1.1|Host: good.example:80@evil.example||'
forged "of version 2 in the clear" http 'PRI * HTTP/2.0||SM||'
claim http 'GET / HTTP/1.1|Host: evil.example|X: 1'; is "$(grep -c . recorded)" 0 "nor does one without an end"
claim raw $'SSH-2.0-x\r\n'; is "$OUT" ok "another protocol is not HTTP"
: > recorded; named '{"rules":["deny evil.example"]}' python3 claim.py tls evil.example
is "$OUT $(grep -c . recorded)" "reset 0" "a name that is denied is so at each address"
named '{"rules":["deny evil.example"]}' python3 claim.py tls good.example; is "$OUT" ok "and others are not"
named '{"rules":["allow 203.0.113.10","allow good.example"]}' python3 claim.py tls evil.example
is "$OUT" ok "an address that is allowed by itself may have any name"

# Each request of HTTP, not only the first: what goes behind it on the same connection.
nsenter -t "$WORLD" -n python3 "$TOP/tests/net/echo-server.py" http 80 requests &
wait_for in_world bash -c 'exec 3<> /dev/tcp/203.0.113.10/80'
cat > requests.py <<'END'
"""Each argument in turn: GOOD, EVIL and others send what they say, "<" reads an answer and prints its status."""
import socket, sys
for name in 'good.example', 'sub.good.example':
    try: socket.getaddrinfo(name, 80)
    except OSError: pass
s = socket.create_connection(('203.0.113.10', 80), timeout=10)
f = s.makefile('rb')
get = lambda host, more='': f'GET / HTTP/1.1\r\nHost: {host}\r\n{more}\r\n'.encode()
evil = get('evil.example')
chunks = b''.join(b'%x\r\n%s\r\n' % (len(evil[i:i + 7]), evil[i:i + 7]) for i in range(0, len(evil), 7)) + b'0\r\n\r\n'
big = bytes(range(256)) * 20000
post = lambda how, body: b'POST / HTTP/1.1\r\nHost: good.example\r\n' + how + b'\r\n\r\n' + body
sends = {
    'GOOD': get('good.example', 'Accept-Encoding: gzip\r\n'), 'EVIL': evil, 'OTHER': get('sub.good.example'),
    'H2C': get('good.example', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'),
    'LF': evil.replace(b'\r', b''), 'CONNECT': b'CONNECT evil.example:80 HTTP/1.1\r\nHost: good.example\r\n\r\n',
    'LENGTH': post(b'Content-Length: %d' % len(evil), evil), 'CHUNKS': post(b'Transfer-Encoding: chunked', chunks),
    'BIG': post(b'Content-Length: %d' % len(big), big), 'CUT': evil[:20],
    'BOTH': post(b'Content-Length: %d\r\nTransfer-Encoding: chunked' % len(evil), b'0\r\n\r\n' + evil),
    'WEBSOCKET': get('good.example', 'Upgrade: websocket\r\nConnection: Upgrade\r\n'),
}
def answer():
    status, length = f.readline().decode().split(), 0
    if not status: return 'end'
    while (line := f.readline().strip().lower()):
        if line.startswith(b'content-length:'): length = int(line[15:])
    body = f.read(length)
    if status[1] == '101':
        s.sendall(evil)
        return '101 ' + ('as it is' if f.read(len(evil)) == evil else 'otherwise')
    return status[1] + (' whole' if big in body else '')
said = []
for a in sys.argv[1:]:
    try:
        if a == '<': said.append(answer())
        else: s.sendall(b''.join(sends[x] for x in a.split('+')))
    except OSError as e: said.append(type(e).__name__)
print(*said)
END
requests() { : > requests; named "$1" python3 requests.py "${@:2}"; }
only_good() { ! grep -qi '^Host: evil' requests; ok $? "$1" || diag "$(cat requests)"; }
rules='{"rules":["allow good.example"]}'
requests "$rules" GOOD '<' GOOD '<'; is "$OUT" "200 200" "two requests on one connection"
like "$(cat requests)" "Accept-Encoding: gzip" "as they are"
requests "$rules" GOOD '<' EVIL '<' '<'; is "$OUT" "200 421 end" "a second one for another name is refused"
only_good "and does not arrive"
like "$(cat said)" "denied tcp 203.0.113.10 80 evil.example claim 1" "which is told"
requests "$rules" GOOD+EVIL+GOOD '<' '<' '<'; is "$OUT" "200 421 end" "sent together with a good one, too"
only_good "and does not arrive"
is "$(grep -c '^GET' requests)" 1 "nor does what comes behind it"
requests "$rules" GOOD+CUT '<'; only_good "nor does half of one"
requests "$rules" GOOD+LF '<' '<'; is "$OUT" "200 400" "nor one whose lines end in another way"
only_good "which is told here"
requests "$rules" GOOD+CONNECT '<' '<'; is "$OUT" "200 405" "nor CONNECT"
requests "$rules" GOOD+BOTH '<' '<'; is "$OUT" "200 400" "nor one of two lengths"
requests "$rules" LENGTH+GOOD '<' '<'; is "$OUT" "200 200" "what is within a body is no request"
like "$(cat requests)" "evil.example" "and arrives"
requests "$rules" CHUNKS '<' GOOD '<'; is "$OUT" "200 200" "nor within chunks"
like "$(cat requests)" "GET / HTTP/1.1.*Host: evil.example" "which arrive in one piece"
requests "$rules" BIG '<' GOOD '<'; is "$OUT" "200 whole 200" "a long body, there and back"
requests "$rules" WEBSOCKET '<'; is "$OUT" "101 as it is" "a WebSocket"
requests "$rules" H2C '<'; is "$OUT" 200 "no upgrade to HTTP/2"
unlike "$(cat requests)" h2c "which nobody hears of"
requests '{"rules":["allow good.example","allow *.good.example"]}' GOOD '<' OTHER '<'
is "$OUT" "200 200" "another name that is allowed there"
requests '{"rules":["allow good.example"]}' GOOD '<' OTHER '<'; is "$OUT" "200 421" "unless it is not"
requests '{}' GOOD '<' EVIL '<'; is "$OUT" "200 200" "where names have no say nothing is looked into"

# DNS that goes elsewhere, or carries something.
cat > query.py <<'END'
import socket, struct, sys
name, server, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
q = struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\0\0\x01\0\x01'
tcp = len(sys.argv) > 4
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM); s.settimeout(3)
try:
    s.connect((server, port)); s.sendall(struct.pack('!H', len(q)) + q if tcp else q)
    a = s.recv(4096)[2 * tcp:]
    print('rcode', a[3] & 15, 'answers', struct.unpack('!H', a[6:8])[0])
except OSError as e: print(type(e).__name__)
END
rules='{"rules":["allow good.example"]}'
box "$rules" -- python3 query.py good.example 192.168.127.1 53; is "$OUT" "rcode 0 answers 1" "the gateway answers"
box "$rules" -- python3 query.py good.example 192.168.127.1 53 tcp; is "$OUT" "rcode 0 answers 1" "by TCP, too"
in_world python3 - <<-'END' &
	import socket
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 53))
	while True:
	    d, a = s.recvfrom(999); open('tunnel', 'a').write('heard\n'); s.sendto(d, a)
END
box "$rules" -- python3 query.py good.example $world 53; is "$OUT" OSError "another server is not asked" || diag "$OUT"
like "$(cat said)" " dns-server 1" "and that is told"
box "$rules" -- python3 query.py good.example $world 853 tcp; is "$OUT" ConnectionRefusedError "nor by TLS"
box "$rules" -- python3 query.py c2VjcmV0.tunnel.example 192.168.127.1 53; is "$OUT" "rcode 3 answers 0" "no secret is a name"
[ ! -e tunnel ]; ok $? "nothing was heard"
box '{}' -- python3 query.py good.example $world 53; like "$(cat tunnel)" heard "(it would have been)"

kill $DNS; wait $DNS 2> /dev/null
get_named '{}' good.example "$T"; is "${OUT%%$'\n'*}" "no name" "without a server there is an answer all the same"
tap_done
