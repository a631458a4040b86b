#!/bin/bash
# The network of a box that is there: ports and rules that change, connections that are dialled, limits.
. "$(dirname "$0")/common.sh"
make_home
answers_http() { fetch "http://127.0.0.1:$port/page" > /dev/null; }
fetch() { timeout 10 curl -s --max-time 8 "$@"; }

# --- ports -----------------------------------------------------------------------------------------------------
bl run -d --name web bb busybox sh -c 'mkdir /w; echo page > /w/page; exec busybox httpd -f -p 80 -h /w'
is "$ST" 0 "a box with a server, and without ports"
bl port add web 0:80
[[ $OUT =~ ^80/tcp\ -\>\ 127.0.0.1:([1-9][0-9]*)$'\n'$ ]]
ok $? "port add: where the host listens from now on" || diag "$OUT" "$ERR"
port=${BASH_REMATCH[1]}
wait_for answers_http
is "$(fetch "http://127.0.0.1:$port/page")" page "and it leads to the box"
bl port web
result 0 "80/tcp -> 127.0.0.1:$port"$'\n' "port shows it"
bl port add web "$port:81"
fails 125 "127.0.0.1:$port:81/tcp cannot .* 127.0.0.1:$port:80/tcp is published already" "what is taken is taken"
bl port add web "0.0.0.0:$port:81"
fails 125 "0.0.0.0:$port:81/tcp cannot .* 127.0.0.1:$port:80/tcp is published already" "also from all addresses"
bl port add web 80x
fails 125 "at character" "no port"
bl port add web
fails 125 "a box and a port.*port -- add" "add wants to know which"
bl port -- rm # which no id begins with
fails 125 "no box is called 'rm'" "a box may be called rm"
bl port add web "$((port > 60000 ? 30001 : port + 1)):53/udp"
is "$ST" 0 "one of UDP" || diag "$ERR"
bl inspect -f '{{json .Network.Ports}}' web
is "$(jq length <<< "$OUT")" 2 "inspect shows both"
bl port rm web 53/udp
bl port rm web 80
result 0 "" "port rm"
fetch "http://127.0.0.1:$port/page" > /dev/null
is $? 7 "nobody listens there any more"
bl port rm web 80
fails 125 "80/tcp .*not published" "twice is once too often"
bl port add web "$port:80"
result 0 "80/tcp -> 127.0.0.1:$port"$'\n' "it can come back"
bl stop -t 0 web
bl port add web "127.0.0.2:$port:80"
result 0 "" "of one that does not run the description changes"
bl port add web "0.0.0.0:$port:81"
fails 125 "0.0.0.0:$port:81/tcp cannot .* is published already" "but for what could not start"
bl port add web "$port:80"
fails 125 "127.0.0.1:$port:80/tcp is published already" "or is there"
bl start web
wait_for answers_http
is "$(fetch "http://127.0.0.1:$port/page" "http://127.0.0.2:$port/page" | xargs)" "page page" \
  "and both are there when it is started again"
bl port rm web "127.0.0.1:$port:80"
bl port web
result 0 "80/tcp -> 127.0.0.2:$port"$'\n' "one of two, in full"

# --- dialling --------------------------------------------------------------------------------------------------
dial() { bl dial web "$2" < <(printf "$1"); }
dial 'GET /page HTTP/1.0\r\n\r\n' 80
[[ $ST = 0 && $OUT == *200*page* ]]
ok $? "dial: a port that need not be published" || diag "$OUT" "$ERR"
dial '' 81
fails 125 "listens at port 81" "a port that nobody listens at"
dial '' 0
fails 125 "'0' is not a port" "no port"
bl exec -d web busybox nc -ll -p 5000 -e busybox cat
head -c 3000000 /dev/urandom > big
answers() { [ "$(echo x | timeout 10 "$B" dial "$1" 5000 2> /dev/null)" = x ]; }
wait_for answers web
timeout 60 "$B" dial web 5000 < big > back
cmp big back
ok $? "3 MB there and back, byte for byte"

# --- rules -----------------------------------------------------------------------------------------------------
python3 "$TOP/tests/net/peer.py" serve server & SERVER_PID=$!
wait_for test -s server
server=$(cat server)
bl network web
result 0 $'network internet\n' "network: what it may reach"
try() { bl exec web busybox sh -c "echo | busybox nc -w 5 192.168.127.254 $server < /dev/null"; }
try
isnt() { [ "$1" != "$2" ]; ok $? "$3" || diag "got: $1"; }
isnt "$ST" 0 "the host is closed"
bl inspect -f '{{.Network.Denied}} {{.Network.Made}}' web
[[ $OUT =~ ^([1-9][0-9]*)\ ([1-9][0-9]*)$'\n'$ ]]
ok $? "inspect counts what was refused, and what was made" || diag "$OUT"
bl network --net-open host --deny-net 203.0.113.9 web
result 0 "" "it is opened"
bl network web
result 0 $'network internet\nopen host\ndeny 203.0.113.9\n' "which is shown"
try
is "$ST" 0 "and can be reached" || diag "$OUT" "$ERR"
# One that stays until it is cut: the server hangs.
bl exec -d web busybox sh -c "(echo hang; sleep 60) | busybox nc 192.168.127.254 $server; echo over > /over"
conns() { "$B" exec web busybox sh -c 'busybox netstat -tn | grep -c "192.168.127.254:.*ESTABLISHED"'; }
wait_for eval '[ "$(conns)" = 1 ]'
is "$(conns)" 1 "a connection"
bl network --clear web
result 0 "" "all is closed again"
is "$(conns)" 0 "and the connection is gone"
try
isnt "$ST" 0 "and no other one begins"
bl network web
result 0 $'network internet\n' "as it was"
bl network --deny-net 10.0.0.1/8 web
fails 125 "at character 1" "no rule"
bl network --clear --net-open host web
fails 125 "--clear leaves no rules" "all or nothing"
bl network --allow-net example.com web
bl stop -t 0 web
bl start web
bl network web
result 0 $'network internet\nallow example.com\n' "a restart keeps them"
bl exec web busybox sh -c 'busybox nc -w 3 203.0.113.1 80 < /dev/null'
isnt "$ST" 0 "and they are in force"

# --- a machine that is started again --------------------------------------------------------------------------
net_of() { # BOX: the pid of its boxlite-net
	local shim
	shim=$(awk '{ print $4 }' "/proc/$("$B" stats --no-stream --json "$1" | jq .host.pid)/stat")
	pgrep -P "$shim" -f boxlite-net
}
bl run -d --name again --restart always bb busybox sleep 1000
bl port add again "127.0.0.3:$port:80"
bl network --deny-net 203.0.113.9 again
before=$(net_of again)
kill -KILL "$before"
another() { local now; now=$(net_of again 2> /dev/null); [ -n "$now" ] && [ "$now" != "$before" ]; }
published() { [ "$("$B" port again 2> /dev/null)" = "80/tcp -> 127.0.0.3:$port" ]; }
wait_for another
wait_for published
ok $? "it has the ports that were added" || diag "$("$B" port again 2>&1)"
bl rm -f again

# --- limits, and boxes without a network -----------------------------------------------------------------------
bl create --name slow --net-rate 1m --net-connections 5 bb true
bl inspect -f '{{.Network.Rate}} {{.Network.Connections}}' slow
result 0 $'1048576 5\n' "limits are kept"
for words in "--net-rate 1" "--net-rate x" "--net-connections 0" "--net-connections 5000" "--network none --net-rate 1m"; do
	bl create $words bb true
	is "$ST" 125 "refused: $words"
done
bl run -d --name few --net-connections 1 bb busybox nc -ll -p 5000 -e busybox cat
wait_for answers few
# One that stays; the one before may not quite be over.
HOLDER=
held() {
	[ -s held ] && return
	[ -n "$HOLDER" ] && kill -0 $HOLDER 2> /dev/null || { (echo x; sleep 30) | timeout 30 "$B" dial few 5000 > held 2> err & HOLDER=$!; }
	return 1
}
wait_for held
ok $? "one connection" || diag "$(cat err)"
busy() { ! timeout 10 "$B" dial few 5000 < /dev/null 2> err && grep -q "as many connections" err; }
wait_for busy
ok $? "and no more than it may have" || diag "$(cat err)"
kill $HOLDER
bl run -d --name lone --network none bb busybox sleep 1000
bl port add lone 0:80
fails 125 "no network" "a box without a network publishes nothing"
bl dial lone 80
fails 125 "no network" "nor can it be dialled"
bl network --net-open host lone
fails 125 "no network" "nor has it rules"
bl network lone
result 0 $'network none\n' "which is said"
bl dial slow 80
fails 125 "does not run" "one that does not run cannot be dialled"
kill $SERVER_PID
bl rm -f web slow few lone
is "$("$B" ps -aq)" "" "nothing is left"
box_done
