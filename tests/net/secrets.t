#!/bin/bash
# Secrets: what a guest sends with a placeholder reaches the host with the value, and nobody else; what comes back has the
# placeholder. nginx is the host, curl the guest, each behind the kernel's own TCP.
#
#	curl --tap--> boxlite-net --veth--> nginx, echo-server.py
#
# SECRETS_SPEED=1 measures as well.
HOST=api.example.test
NAMES="$HOST plain.example.test six.example.test"
NEEDS=nginx
. "$(dirname "$0")/proxied.sh"

KEY=s3cret/Value+1234567890
P1=boxlite-secret-00000000000000000000000000000001
P2=boxlite-secret-00000000000000000000000000000002
P3=boxlite-secret-00000000000000000000000000000003

# --- the servers -------------------------------------------------------------------------------------------------------
head -c 3000000 /dev/urandom > file
truncate -s "${SECRETS_SPEED_BYTES:-1500M}" big
mkdir -p nginx
cat > nginx.conf <<E
daemon off; worker_processes 1; pid $T/nginx/pid; error_log $T/nginx/log;
events { worker_connections 256; }
http {
	access_log off; client_body_temp_path $T/nginx/1; proxy_temp_path $T/nginx/2; fastcgi_temp_path $T/nginx/3;
	uwsgi_temp_path $T/nginx/4; scgi_temp_path $T/nginx/5; client_max_body_size 64m; sendfile on;
	server {
		listen 443 ssl http2; ssl_certificate $T/cert.pem; ssl_certificate_key $T/key.pem; root $T;
		ssl_protocols TLSv1.2 TLSv1.3;
		location /small { client_max_body_size 1k; proxy_pass http://127.0.0.1:8000; }
		location /echo { proxy_pass http://127.0.0.1:8000; proxy_http_version 1.1; proxy_set_header Host \$host;
			proxy_set_header X-Length \$http_content_length; }
	}
}
E
chmod 755 "$T"
[ "$(id -u)" != 0 ] || sed -i '1i user root;' nginx.conf
nsenter -t $B -n nginx -c "$T/nginx.conf" 2> nginx.err &
nsenter -t $B -n python3 "$TOP/tests/net/echo-server.py" http 8000 seen &
nsenter -t $B -n python3 "$TOP/tests/net/echo-server.py" tls 8443 seen cert.pem key.pem &
nsenter -t $B -n openssl s_server -accept 9443 -cert cert.pem -key key.pem -alpn http/1.1 -quiet > /dev/null 2>&1 &
nsenter -t $B -n python3 "$TOP/tests/net/echo-server.py" first 2222 &
nsenter -t $B -n python3 "$TOP/tests/net/echo-server.py" late 7777 150 &
until inside curl -s -o /dev/null -k https://127.0.0.1/file && inside curl -s -o /dev/null -k https://127.0.0.1:8443/ &&
	inside curl -s -o /dev/null http://127.0.0.1:8000/; do sleep 0.1; done

cat > spec.json <<E
{"secrets": [
	{"name": "KEY", "host": "$HOST", "placeholder": "$P1", "from": "env:KEY"},
	{"name": "TOKEN", "host": "$HOST", "placeholder": "$P3", "from": "env:TOKEN"},
	{"name": "KEY6", "host": "six.example.test", "placeholder": "$P1", "from": "env:KEY"},
	{"name": "KEY22", "host": "$HOST:2222", "placeholder": "$P1", "from": "env:KEY"},
	{"name": "KEY77", "host": "$HOST:7777", "placeholder": "$P1", "from": "env:KEY"},
	{"name": "KEY99", "host": "$HOST:9999", "placeholder": "$P1", "from": "env:KEY"},
	{"name": "KEY9443", "host": "$HOST:9443", "placeholder": "$P1", "from": "env:KEY"},
	{"name": "KEY8443", "host": "$HOST:8443", "placeholder": "$P1", "from": "env:KEY"},
	{"name": "BAD", "host": "bad.example.test", "placeholder": "$P2", "from": "env:KEY"}]}
E
export SECRET_TOKEN=tok3nValue77 SECRET_KEY=$KEY SECRET_KEY8443=$KEY SECRET_KEY6=$KEY SECRET_KEY22=$KEY \
	SECRET_KEY77=$KEY SECRET_KEY99=$KEY SECRET_KEY9443=$KEY SECRET_BAD=$KEY

# sends SCRIPT NAME: the value has reached the server, and the guest sees the placeholder only.
sends() {
	: > seen
	guest "$1"
	[ $STATUS = 0 ] && grep -qF -- "${3:-$KEY}" seen && ! grep -qF "$P1" seen && [[ $OUT == *"$P1"* && $OUT != *"$KEY"* ]]
	ok $? "$2" || diag "status $STATUS" "$OUT" "$LOG" "seen: $(head -c 2000 seen)"
}

for v in --http1.1 --http2; do
	sends "curl $v -H 'X-Key: $P1' -i \$U/echo" "$v: in a header"
	like "${OUT,,}" "x-echo: $P1" "$v: and in one that comes back"
	guest "curl $v -H 'X-Key: $P3' -i \$U/echo/named"
	[ $STATUS = 0 ] && [[ $OUT == *"$P3"* ]] && ! grep -qi tok3nvalue77 <<< "$OUT"
	ok $? "$v: a field that is called like it does not come back" || diag "$OUT" "$LOG"
	sends "curl $v -H 'X-Key: $P1' \$U/echo/labelled" "$v: whatever encoding an answer claims"
	sends "curl $v -u user:$P1 \$U/echo; echo $P1" "$v: in Basic" "$(printf 'user:%s' $KEY | base64)"
	sends "curl $v \"\$U/echo/$P1?a=$P1\"" "$v: in path and query" "/echo/s3cret%2FValue%2B1234567890?a=s3cret%2FValue%2B1234567890"
	sends "curl $v -H 'Content-Type: text/plain' -d 'x${P1}y' \$U/echo" "$v: in a body" "x${KEY}y"
	sends "curl $v -d 'k=$P1' \$U/echo" "$v: in a form" "k=s3cret%2FValue%2B1234567890"
	sends "curl $v -H 'Content-Type: text/plain' -H 'Transfer-Encoding: chunked' -d 'x${P1}y' \$U/echo/chunks" "$v: in chunks"
	sends "{ echo x$P1; head -c 2000000 /dev/zero | tr '\\0' X; } > up
		curl $v -H Expect: -H 'Content-Type: text/plain' -T up \$U/echo | tr -d X" "$v: in a long body" "x$KEY"
	like "$(head -c 1000 seen)" "X-Length: $((2000002 + ${#KEY}))" "$v: which keeps a length"
	: > seen
	guest "{ head -c 2000000 /dev/zero | tr '\\0' X; echo $P1; head -c 70000 /dev/zero | tr '\\0' Y; } > up
		curl $v -H Expect: -H 'Content-Type: text/plain' -o /dev/null -w '%{http_code} ' -T up \$U/echo
		curl $v -H 'X-Key: $P1' -o /dev/null -w '%{http_code}' \$U/echo"
	is "$OUT" "413 200" "$v: behind what of it can be changed it is refused" || diag "$LOG"
	like "$LOG" "denied tcp $SERVER 443 $HOST secret-late 1" "$v: and told"
	[ "$(grep -c "$KEY" seen)" = 1 ] && ! grep -q "$P1" seen
	ok $? "$v: the server has not got it" || diag "$(head -c 300 seen)"
	sends "{ head -c 2000000 /dev/zero | tr '\\0' X; echo $P1; head -c 70000 /dev/zero | tr '\\0' Y; echo $P1; } |
		curl $v -H 'Content-Type: text/plain' -T - \$U/echo | tr -d XY" "$v: in a long body without a length" "X$KEY"
	guest "curl $v \$U/file | cmp - file && curl $v -w '%{http_version} %{num_connects}\n' -o x \$U/file -o y \$U/file"
	ok $STATUS "$v: a file comes as it is" || diag "$OUT" "$LOG"
	is "$OUT" "$([ $v = --http2 ] && echo $'2 1\n2 0' || echo $'1.1 1\n1.1 0')" "$v: by this version, on one connection" ||
		diag "$LOG"
done
sends "curl --http1.1 -H 'X-Key: $P1' -i https://$HOST:8443/close" "to the end of the connection, on another port"
guest "head -c 5000000 /dev/zero > up; for i in 1 2 3 4 5 6 7 8; do
	curl --http1.1 -H Expect: -H 'X-Key: $P1' -T up -w '%{http_code} ' https://$HOST:8443/early; done"
is "$OUT" "$(for i in 1 2 3 4 5 6 7 8; do printf 'too large, and not read\n%s\n413 ' $P1; done)" "an answer before the request is complete" ||
	diag "$LOG"
for v in --http1.1 --http2; do
	guest "head -c 5000000 /dev/zero > up; curl $v -H Expect: -T up -o /dev/null -w '%{http_code}' \$U/small"
	is "$OUT" 413 "$v: and nginx's" || diag "$LOG"
done
sends "curl --tls-max 1.2 -H 'X-Key: $P1' \$U/echo" "TLS 1.2"
guest "curl --http2 -Z --parallel-max 20 \$(for i in \$(seq 40); do echo -o p\$i \$U/file; done) &&
	for i in \$(seq 40); do cmp p\$i file || exit 1; done"
ok $STATUS "forty at once" || diag "$OUT" "$LOG"

: > seen
guest "python3 - <<'E'
import socket, ssl
c = ssl.create_default_context(cafile='ca.pem')
s = c.wrap_socket(socket.create_connection(('$HOST', 8443)), server_hostname='$HOST')
s.sendall(b'GET /$P1 HTTP/1.1\r\nHost: $HOST:8443\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
head = b''
while not head.endswith(b'\r\n\r\n'): head += s.recv(1)
s.sendall(b'\x81\x05hello')
print(head.split(b'\r\n')[0], s.recv(7))
E"
is "$OUT" "b'HTTP/1.1 101 Switching Protocols' b'\\x81\\x05hello'" "WebSocket" || diag "$LOG"
like "$(cat seen)" "s3cret%2FValue" "with the value in its request"

# --- who is not there, or speaks first ---------------------------------------------------------------------------------
guest "curl -v https://$HOST:9999/ 2>&1"
like "$OUT" "Connection refused" "a port that nobody listens at is refused" || diag "$LOG"
unlike "$OUT" "Connected to" "and was no connection before"
guest "curl -6 -v https://six.example.test/ 2>&1"
unlike "$OUT" "Connected to" "nor is an address that cannot be reached" || diag "$LOG"
sends "curl -H 'X-Key: $P1' -i https://six.example.test/echo" "and the other one works"
guest "timeout 20 python3 - <<'E'
import socket
s = socket.create_connection(('$HOST', 2222)); s.settimeout(5)
print(s.recv(99)); s.sendall(b'QUIT\\r\\n'); print(s.recv(99)); s.shutdown(socket.SHUT_WR); print(s.recv(99))
E"
is "$OUT" "b'220 hello\\n'"$'\n'"b'got QUIT\\r\\n'"$'\n'"b''" "who speaks first, in the clear, is heard" || diag "$LOG"

# --- who does not get it -----------------------------------------------------------------------------------------------
: > seen
guest "curl --http1.1 -H 'X-Key: $P2' https://bad.example.test/echo"
like "$OUT" "certificate of bad.example.test is not trusted" "a host that cannot prove its name: the guest is told"
like "$LOG" "denied tcp $SERVER 443 bad.example.test tls-verify 1" "and so is the shim"
is "$(cat seen)" "" "and the host has heard nothing"
guest "command curl -sS --cacert root.pem -H 'X-Key: $P1' https://plain.example.test/echo"
ok $STATUS "a host without a secret is as ever" || diag "$LOG"
like "$(cat seen)" "[xX]-[kK]ey: $P1" "and has the placeholder"
: > seen
guest "curl --http1.1 -o /dev/null -w '%{http_code} ' -H 'Host: other.test' -H 'X-Key: $P1' \$U/echo
	curl --http2 -o /dev/null -w '%{http_code} ' -H 'Host: other.test' -H 'X-Key: $P1' \$U/echo
	curl -X TRACE -o /dev/null -w '%{http_code}' -H 'X-Key: $P1' \$U/echo"
is "$OUT" "421 421 405" "a request for another host, or that asks to be shown, is refused" || diag "$LOG"
is "$(cat seen)" "" "and goes nowhere"
like "$LOG" "denied tcp $SERVER 443 $HOST authority 1.*denied tcp $SERVER 443 $HOST method 1" "and is told" || diag "$LOG"
like "$LOG" "stats .* denied 3 authority 2 method 1" "and counted by that" || diag "$LOG"
guest "python3 - <<'E'
import socket, ssl
c = ssl.create_default_context(cafile='ca.pem')
s = c.wrap_socket(socket.create_connection(('$HOST', 443)), server_hostname='$HOST')
s.sendall(b'GET / HTTP/1.1\r\nHost: $HOST\r\nX : y\r\n\r\n')
print(s.recv(12))
E"
is "$OUT" "b'HTTP/1.1 400'" "so is one that is not understood" || diag "$LOG"
like "$LOG" "denied tcp $SERVER 443 $HOST malformed 1" "and is told"
# alpn PORT OFFER: a client that speaks nothing but that.
alpn() {
	guest "python3 - <<'E'
import socket, ssl
c = ssl.create_default_context(cafile='ca.pem')
c.set_alpn_protocols(['$2'])
try:
    s = c.wrap_socket(socket.create_connection(('$HOST', $1)), server_hostname='$HOST')
    print(s.recv(12))
except OSError as e: print('no TLS')
E"
}
alpn 443 imap; is "$OUT" "no TLS" "a client that speaks no HTTP is refused"
like "$LOG" "denied tcp $SERVER 443 $HOST alpn 1" "and that is told"
alpn 8443 h2; is "$OUT" "b'HTTP/1.1 502'" "so is one of HTTP/2 only, of a server that does not choose"
like "$LOG" "denied tcp $SERVER 8443 $HOST alpn 1" "and that is told"
alpn 9443 h2; is "$OUT" "b'HTTP/1.1 502'" "so is one of HTTP/2 only, of a server that has it not"
like "$LOG" "denied tcp $SERVER 9443 $HOST alpn 1" "and that is told"
guest "command curl -sS \$U/echo 2>&1"
like "$OUT" "SSL certificate problem" "who does not know the box's CA does not trust it"
guest "openssl x509 -in ca.pem -noout -text | grep -E 'CA:TRUE|Public-Key'
	openssl s_client -connect $HOST:443 -servername $HOST -CAfile ca.pem < /dev/null 2>&1 | grep 'Verify return code'"
like "$OUT" "256 bit.*CA:TRUE.*Verify return code: 0" "the CA is one, and what it signs verifies" || diag "$LOG"

# --- where it is not ---------------------------------------------------------------------------------------------------
guest "p=\$(pgrep -P \$PPID boxlite-net); curl -o /dev/null -H 'X-Key: $P1' \$U/echo
	tr '\\0' '\\n' < /proc/\$p/environ | grep -c '$KEY'; tr '\\0' '\\n' < /proc/\$p/cmdline | grep -c '$KEY'
	grep -E '^VmLck' /proc/\$p/status | tr -s '\\t ' ' '"
locked='[1-9]'
sanitized && locked=0 # it locks nothing
like "$OUT" $'^0\n0\n.*VmLck: '$locked "not in environment and arguments, but in locked memory" || diag "$LOG"
unlike "$LOG" "$KEY" "nor in what boxlite-net says"

# --- memory ------------------------------------------------------------------------------------------------------------
# Connections that ask for much and take nothing: HTTP/2 without any window, and HTTP/1.1 that is not read.
cat > greedy.py <<'E'
import os, socket, ssl, struct, sys, time
host, n = sys.argv[1], int(sys.argv[2])
c = ssl.create_default_context(cafile='ca.pem')
all = []
def frame(kind, flags, stream, body): return struct.pack('!I', len(body))[1:] + bytes([kind, flags]) + struct.pack('!I', stream) + body
def text(first, t): return bytes([first, len(t)]) + t.encode()
for i in range(n):
    c.set_alpn_protocols(['h2' if i % 4 else 'http/1.1'])
    s = c.wrap_socket(socket.create_connection((host, 443)), server_hostname=host)
    if i % 4:
        head = b'\x82\x87' + text(4, '/file') + text(1, host)
        s.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0, struct.pack('!HI', 4, 0)) +
                  b''.join(frame(1, 5, 2 * k + 1, head) for k in range(8)))
    else:
        s.sendall(f'GET /file HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode() * 8)
    all.append(s)
time.sleep(1)
open('greedy', 'w').close()
time.sleep(100)
E
rm -f greedy
most=150000
sanitized && most=4000000 # what it makes of that memory
guest "p=\$(pgrep -P \$PPID boxlite-net); python3 greedy.py $HOST 160 & until [ -e greedy ] || ! kill -0 \$!; do sleep 0.1; done
	curl --http2 \$U/file | cmp - file && curl --http1.1 \$U/file | cmp - file && echo passes
	awk '/^RssAnon/ { print (\$2 < $most ? \"little\" : \"much\"), \$2 }' /proc/\$p/status; kill \$!"
like "$OUT" "^passes.*little" "160 that take nothing cost little, and others go on" || diag "$OUT" "$LOG"
diag "${OUT##* } KiB"

# More than all may hold is on its way to a server that takes none of it for a while.
guest "timeout 50 python3 - <<'E'
import socket, threading
said = []
def send(s):
    s.settimeout(30)
    try:
        s.sendall(bytes(1100000))
        s.shutdown(socket.SHUT_WR)
        said.append(s.recv(99))
    except OSError as e: said.append(str(e))
all = [threading.Thread(target=send, args=(socket.create_connection(('$HOST', 7777)),)) for i in range(150)]
for t in all: t.start()
for t in all: t.join()
print({x: said.count(x) for x in said})
E"
like "$OUT" "^.b'1100000': 150." "150 that send much to who takes nothing at first get there all the same" || diag "$LOG"

# --- how fast ----------------------------------------------------------------------------------------------------------
# Of the processor time of nginx and boxlite-net, which other work on this machine does not change, ticks.
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' /proc/$1/stat; }
speed() { awk "BEGIN { printf \"%.0f MB/s\", $1 / 1e6 }"; }
if [ -n "${SECRETS_SPEED:-}" ]; then
	w='-o /dev/null -w %{speed_download}'
	worker=$(pgrep -P "$(cat nginx/pid)")
	cat big > /dev/null
	measure() { # NAME HOW: what curl says, and ticks of nginx and boxlite-net for 100 MB
		local n0=$(ticks $worker) n
		guest "p=\$(pgrep -P \$PPID boxlite-net); $2; awk '{ sub(/.*\\) /, \"\"); print \" \" \$12 + \$13 }' /proc/\$p/stat"
		n=$(($(ticks $worker) - n0))
		diag "$1: $(speed ${OUT% *}), CPU ticks: nginx $n, boxlite-net ${OUT##* }"
	}
	n0=$(ticks $worker)
	d=$(curl -s --cacert root.pem --resolve $HOST:443:$SERVER --http1.1 $w https://$HOST/big)
	diag "nginx itself: $(speed $d), CPU ticks: nginx $(($(ticks $worker) - n0))"
	measure "through boxlite-net" "command curl -sS --cacert root.pem --http1.1 $w https://plain.example.test/big"
	measure "with a secret, HTTP/1.1" "curl --http1.1 $w \$U/big"
	measure "with a secret, HTTP/2" "curl --http2 $w \$U/big"
fi
tap_done
