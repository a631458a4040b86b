#!/bin/bash
# What a box has of a network, and the options for it.
. "$(dirname "$0")/common.sh"
make_home
ip() { run "$@" busybox sh -c 'for f in /sys/class/net/*; do echo "${f##*/}"; done; cat /etc/resolv.conf'; }

# --- the card --------------------------------------------------------------------------------------------------
ip --network none bb
result 0 $'lo\n' "--network none: no card, and no name server"
for words in "" "--network internet" "--network bridge" "--network default"; do
	ip $words bb
	result 0 $'eth0\nlo\nnameserver 192.168.127.1\n' "${words:-nothing said}: a card, and a name server"
done
run bb busybox sh -c 'ip -o addr show dev eth0 | sed "s/.*inet/inet/; s/ *brd.*//; s/ scope.*//"
	ip route | sed "s/ *$//"; ip -6 route | grep default | sed "s/  metric.*//"; cat /sys/class/net/eth0/mtu
	cat /sys/class/net/eth0/address /sys/class/net/eth0/carrier'
result 0 "inet 192.168.127.2/24
inet6 fd62:6f78:6c69:7465::2/64
default via 192.168.127.1 dev eth0
192.168.127.0/24 dev eth0 scope link  src 192.168.127.2
default via fd62:6f78:6c69:7465::1 dev eth0
65520
02:62:6f:78:00:02
1
" "its addresses, routes, MTU"
run bb busybox ip -o link show dev eth0
[[ $OUT == *"<BROADCAST,MULTICAST,UP,LOWER_UP>"* ]]
ok $? "the link is up, and its programs are told so at once" || diag "$OUT"
run bb busybox ip -o -6 addr show dev eth0
[[ $OUT != *tentative* && $OUT != *fe80* ]]
ok $? "no address is waited for" || diag "$OUT"
run bb cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start
result 0 $'0\t2147483647\n0\n' "everybody may ping, and listen below 1024"
run --network none bb cat /proc/sys/net/ipv4/ip_unprivileged_port_start
result 0 $'0\n' "without a network, too"

# --- options ---------------------------------------------------------------------------------------------------
refused() { # PATTERN ARG...
	local pattern=$1
	shift
	bl create "$@" bb true
	fails 125 "$pattern" "refused: $*"
}
refused "no network is called 'host'" --network host
refused "cannot publish ports" --network none -p 80:80
refused "nothing to allow or deny" --network none --allow-net example.com
refused "nothing to allow or deny" --network none --deny-net example.com
refused "nothing to allow or deny" --network none --net-open host
refused "no.* class .*link-local" --net-open host,all
refused "class" --net-open ''
refused "class" --net-open host,
refused "at character 1" --allow-net 10.0.0.1/8
refused "at character 6" --deny-net http://example.com
refused "at character 9" --allow-net tcp:x:1-0
refused "at character" -p 80
refused "at character 1" -p 99999:80
refused "at character" -p 80:80/sctp
refused "at character" -p example.com:80:80
refused "port number 2 \(-p\): 127.0.0.1:8123:81/tcp cannot .*127.0.0.1:8123:80/tcp is .* only once" -p 8123:80 -p 8123:81
refused "port number 3 \(-p\): 127.0.0.1:8123:80/tcp is published already" -p 0:80 -p 8123:80 -p 127.0.0.1:8123:80
refused "port number 2 \(-p\): 0.0.0.0:8123:81/tcp .* 127.0.0.1:8123:80/tcp" -p 8123:80 -p 0.0.0.0:8123:81
refused "port number 2 \(-p\): \[::1\]:8123:81/tcp .* \[::\]:8123:80/tcp" -p '[::]:8123:80' -p '[::1]:8123:81'
is "$("$B" ps -aq)" "" "and there is no box of these"

# --- what is known of it ---------------------------------------------------------------------------------------
bl create --name all --deny-net 10.0.0.1 --allow-net tcp:Example.com:443 --deny-net '*.org' --net-open private,host \
  --net-open metadata -p 127.0.0.2:8080:80 -p 0:53/udp bb true
bl inspect -f '{{json .Network}}' all
is "$(jq -c '.mode, .open, .rules, .ports' <<< "$OUT" | xargs)" \
  "$(xargs <<< '"internet" ["host","private","metadata"] ["deny 10.0.0.1","allow tcp:example.com:443","deny *.org"] ["127.0.0.2:8080:80/tcp","127.0.0.1:0:53/udp"]')" \
  "inspect: in the order in which it was given"
bl ps -a --format '{{.Names}}:{{.Ports}}'
result 0 $'all:\n' "ps: one that does not run publishes nothing"
bl port all
fails 125 "does not run" "nor does port know of it"
bl port
fails 125 "which box" "port wants to know of which"
bl rm all
echo v > token; bl create --name secret --secret TOKEN="@$T/token,host=Api.example.com" --secret HOME,host=*.org:8443 bb true
bl inspect -f '{{json .Network.Secrets}}' secret
result 0 "[\"TOKEN=@$T/token,host=api.example.com\",\"HOME=HOME,host=*.org:8443\"]"$'\n' "inspect: where secrets come from and go to"
bl rm secret
bl create --name none --network none bb true
bl inspect -f '{{.Network.Mode}} {{json .Network.Ports}}' none
result 0 $'none []\n' "inspect: none"
bl rm none

free=$(python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
run -p "$free:80" -p "127.0.0.2:$free:80" -p "$free:80/udp" -p 0:80 -p 0:80 -p :80 bb echo ran
result 0 $'ran\n' "one port of the box at many of the host, none in the way of another"

# --- published ports -------------------------------------------------------------------------------------------
bl run -d --name web -p 0:80 -p 0:53/udp -p 127.0.0.2:0:80 bb busybox sleep 1000
is "$ST" 0 "a box with three ports"
bl port web
[[ $OUT =~ ^80/tcp\ -\>\ 127.0.0.1:([1-9][0-9]*)$'\n'53/udp\ -\>\ 127.0.0.1:([1-9][0-9]*)$'\n'80/tcp\ -\>\ 127.0.0.2:([1-9][0-9]*)$'\n'$ ]]
ok $? "port: where the host listens, by the numbers that it has picked" || diag "$OUT"
first=${BASH_REMATCH[1]} second=${BASH_REMATCH[2]} third=${BASH_REMATCH[3]}
bl port web 80
result 0 "127.0.0.1:$first"$'\n'"127.0.0.2:$third"$'\n' "of one of its ports"
bl port web 53/udp
result 0 "127.0.0.1:$second"$'\n' "of one of UDP"
bl port web 53
fails 125 "does not publish 53/tcp" "TCP is meant where nothing is said"
for wrong in foo 0 65536 80x 80/sctp 80/ /tcp 00000000080 ""; do
	bl port web "$wrong"
	fails 125 "port: '$wrong' is not a port of the box: .* 80 or 53/udp" "no port: '$wrong'"
done
bl ps --format '{{.Ports}}'
result 0 "127.0.0.1:$first->80/tcp, 127.0.0.1:$second->53/udp, 127.0.0.2:$third->80/tcp"$'\n' "ps says it, too"
bl create --name late -p "$first:80" bb true
bl start late
fails 125 "$first" "what is taken cannot be published again: the box does not start"
bl logs late
result 0 "" "and its command has not run"
bl run -d --restart always -p "$first:80" bb true
fails 125 "$first" "nor does it with a policy"
is "$("$B" ps -q | wc -l)" 1 "and it is not tried again"
bl stop web
bl port web
fails 125 "does not run" "once it has stopped there are no ports"
bl start late
result 0 $'late\n' "and they are free"
bl rm -f late web
is "$("$B" ps -aq)" "" "nothing is left"

# --- when boxlite-net ends -------------------------------------------------------------------------------------
net_of() { # BOX: the pid of its boxlite-net
	local shim
	shim=$(awk '{ print $4 }' "/proc/$("$B" stats --no-stream --json "$1" | jq .host.pid)/stat")
	pgrep -P "$shim" -f boxlite-net
}
bl run -d --name lost bb busybox sleep 1000
kill -KILL "$(net_of lost)"
bl wait lost
is "$OUT" $'125\n' "a box whose boxlite-net was killed ends"
bl inspect -f '{{.State.Error}}' lost
result 0 $'boxlite-net was killed by signal 9\n' "and says why"
bl rm lost
bl run -d --name again --restart on-failure bb busybox sleep 1000
kill -KILL "$(net_of again)"
alive() { [ "$("$B" exec again echo yes 2> /dev/null)" = yes ]; }
wait_for alive
ok $? "one with a policy comes back"
ok $(($([ -n "$(net_of again)" ]; echo $?))) "with another boxlite-net"
bl rm -f again

# --- copies ----------------------------------------------------------------------------------------------------
bl create --name files -p 1:1 bb true
echo content > file
bl cp -q file files:/file
is "$ST $ERR" "0 " "files are copied into a box that does not run"
bl cp -q files:/file back
is "$(cat back)" content "and out of it, without a network"
bl rm files
box_done
