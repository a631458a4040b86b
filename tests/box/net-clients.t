#!/bin/bash
# Programs that people run, in a box: those that check certificates trust the box's authority, each in its own way, and
# iperf3 gets its bytes through.
MOUNTS=1
. "$TOP/tests/lib/world.sh"
. "$(dirname "$0")/common.sh"
. "$TOP/tests/lib/tls-world.sh"
JRE=/usr/lib/jvm/java-17-openjdk-$(dpkg --print-architecture 2> /dev/null)
for p in openssl dnsmasq curl wget node iperf3 "$JRE/bin/keytool"; do command -v $p > /dev/null || skip_all "$p is not installed"; done
python3 -c 'import requests' 2> /dev/null || skip_all "python3-requests is not installed"
make_world
make_home
chmod 755 "$T"
HOST=api.example.test VALUE=v4lue-that-nobody-may-see-78
make_tls_world $HOST other.example.test

# As Debian has them. wget is of GnuTLS, curl of OpenSSL; node has roots of its own, requests what Debian's patch says,
# Java its keystore.
mkdir -p layer/etc/ssl/certs layer/usr/lib/python3/dist-packages layer/tmp
copy_programs layer /usr/bin/python3 curl wget node iperf3
cp -r /usr/lib/python3.* layer/usr/lib
rm -rf layer/usr/lib/python3.*/{config-*,idlelib,test,ensurepip,lib2to3,pydoc_data}
for m in requests urllib3 idna chardet certifi six.py; do cp -r "/usr/lib/python3/dist-packages/$m" layer/usr/lib/python3/dist-packages; done
mkdir -p layer$JRE layer/etc/ssl/certs/java
cp -rL "$JRE"/{bin,conf,lib} layer$JRE 2> java.log || true # (links into packages that are not installed)
ln -sf /etc/ssl/certs/java/cacerts layer$JRE/lib/security/cacerts
cp /etc/ssl/certs/java/cacerts layer/etc/ssl/certs/java
copy_libraries layer "$JRE"/bin/keytool "$JRE"/lib/*.so "$JRE"/lib/server/libjvm.so
copy_libraries layer /usr/lib/python3.*/lib-dynload/_{ssl,hashlib,bz2,lzma,ctypes}*.so
cp others layer/etc/ssl/certs/ca-certificates.crt
tar -C layer -cf layer.tar .
image clients --layer layer.tar || diag "$(cat log 2> /dev/null)"
rm -rf layer layer.tar

echo "$VALUE" > value; chmod 600 value
bl run -d --name box -e PATH=/usr/bin:/bin --memory 1g --secret "KEY=@$T/value,host=$HOST" --net-open host clients sleep 10000
is "$ST" 0 "a box with programs" || diag "$OUT" "$ERR"

# client NAME COMMAND: it gets its answer, and the server has got the value; it trusts no other authority than that.
client() {
	: > seen
	bl exec box sh -c "$2"
	is "$ST $(grep -c "Bearer $VALUE" seen)" "0 1" "$1" || diag "$OUT" "$ERR" "$(head -20 seen)"
	like "$OUT" "Bearer boxlite-secret-[0-9a-f]{32}" "and its answer has the placeholder"
}
client "curl, OpenSSL" "curl -sS -H \"Authorization: Bearer \$KEY\" https://$HOST/"
client "wget, GnuTLS" "/usr/bin/wget -nv -O - --header \"Authorization: Bearer \$KEY\" https://$HOST/"
client "python, ssl" "python3 -c '
import os, urllib.request as u
print(u.urlopen(u.Request(\"https://$HOST/\", headers={\"Authorization\": \"Bearer \" + os.environ[\"KEY\"]})).read().decode())'"
client "python, requests" "python3 -c '
import os, requests
print(requests.get(\"https://$HOST/\", headers={\"Authorization\": \"Bearer \" + os.environ[\"KEY\"]}).text)'"
client "node" "node -e '
require(\"https\").get(\"https://$HOST/\", {headers: {Authorization: \"Bearer \" + process.env.KEY}}, r => r.pipe(process.stdout))'"
# The one program of a JRE that fetches a URL: what it gets is no list of certificates, but it has asked for it.
java() { : > seen; bl exec box sh -c "$JRE/bin/keytool -printcrl -file https://$1/?key=\$KEY"; }
java $HOST; is "$(grep -c "key=$VALUE" seen)" 1 "Java" || diag "$OUT" "$ERR" "$(head -20 seen)"
java other.example.test; is "$(grep -c key= seen)" 0 "which trusts no other authority, either" || diag "$OUT" "$ERR"
bl exec box curl -sS https://other.example.test/; is "$ST" 60 "a name without a secret is not vouched for: its server's authority is not trusted here"

# iperf3 on the host's loopback.
measure() { # measure NAME ARG...
	local name=$1 port; shift
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	iperf3 --forceflush -s -1 -B 127.0.0.1 -p "$port" > server 2>&1 &
	wait_for grep -q listening server
	bl exec box iperf3 -4 -c host.boxlite.internal -p "$port" -J "$@"
	is "$(jq -rs '.[0] | .error // "fine"' out)" fine "iperf3 $name" || diag "$OUT" "$ERR"
}
# (iperf3 ends with what is on its way.)
measure "to the host" -n 64M; ok "$(jq -es '.[0].end.sum_received.bytes >= 60000000' out > /dev/null; echo $?)" "it arrives" ||
	diag "$(jq -c .end out)"
measure "from the host" -R -n 64M; ok "$(jq -es '.[0].end.sum_received.bytes >= 67108864' out > /dev/null; echo $?)" "all of it arrives"
measure "both ways, four at once" --bidir -P 4 -t 3
ok "$(jq -es '[.[0].end.streams[].receiver.bytes] | length == 8 and all(. > 0)' out > /dev/null; echo $?)" "each of them moves" || diag "$(jq -c .end.streams out)"
measure "of datagrams" -u -b 20M -l 1400 -t 3
ok "$(jq -es '.[0].end.sum | .packets > 1000 and .lost_percent < 50' out > /dev/null; echo $?)" "most arrive" || diag "$(jq -c .end.sum out)"
bl rm -f box
umount -l /etc
kill $(jobs -p) 2> /dev/null; wait 2> /dev/null
nothing_left "nothing is left"
tap_done
