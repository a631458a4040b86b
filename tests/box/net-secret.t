#!/bin/bash
# A secret of a box: it uses the value and never has it, and nobody else does. A TLS client in a box, a TLS server in a
# world of its own.
MOUNTS=1
. "$TOP/tests/lib/world.sh"
. "$(dirname "$0")/common.sh"
. "$TOP/tests/lib/tls-world.sh"
for p in openssl dnsmasq; do command -v $p > /dev/null || skip_all "$p is not installed"; done
make_world
make_home
chmod 755 "$T"
HOST=api.example.test VALUE=v4lue-that-nobody-may-see-77

make_tls_world $HOST other.example.test

# An image with a client that checks certificates, and a bundle of its own.
mkdir -p layer/etc/ssl/certs
copy_programs layer openssl
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -out layer/etc/ssl/certs/ca-certificates.crt \
	-subj "/CN=another root" -days 30 2> /dev/null
tar -C layer -cf layer.tar .
image tls --layer layer.tar || diag "$(cat log 2> /dev/null)"

# In the box: a request with the variable in a header, in its path and in its body; what comes back.
cat > ask.sh <<'END'
to=$1 body="key=$KEY&more=1"
printf 'POST /echo?key=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
	"$KEY" "$to" "$KEY" ${#body} "$body" |
	timeout 20 /usr/bin/openssl s_client -quiet -verify_return_error -connect "$to:443" -servername "$to" 2> err
cat err >&2
END
ask() { bl run --rm "${@:2}" --secret "KEY=@$T/value,host=$HOST" tls sh -c "$(cat ask.sh)" - "$1"; }

echo "$VALUE" > value; chmod 600 value
: > seen
ask $HOST
is "$ST" 0 "a box that uses a secret" || diag "$OUT" "$ERR"
is "$(grep -c "$VALUE" seen)" 3 "the server has the value in path, header and body" || diag "$(cat -v seen | head -20)"
unlike "$OUT$ERR" "$VALUE" "the box has not got it back"
like "$OUT" "boxlite-secret-[0-9a-f]{32}" "but the placeholder"
: > seen
ask other.example.test; unlike "$(cat seen)" "$VALUE" "another name at the same address gets no value"
bl run --rm --secret "KEY=@$T/value,host=$HOST" tls env; unlike "$OUT" "$VALUE" "the environment has none"
like "$OUT" "KEY=boxlite-secret-[0-9a-f]{32}"$'\n' "but the placeholder"
: > seen
ask $HOST --allow-net "tcp:$HOST:443"; is "$ST $(grep -c "$VALUE" seen)" "0 3" "with rules that allow its host" || diag "$OUT" "$ERR"

cp "$T/etc/ssl/certs/ca-certificates.crt" bundle; cp others "$T/etc/ssl/certs/ca-certificates.crt"
ask $HOST; like "$OUT" "502 .*not trusted" "a server that this host does not trust gets nothing" || diag "$ST" "$ERR"
export SSL_CERT_FILE=$T/root.pem; : > seen; ask $HOST; unset SSL_CERT_FILE
is "$ST $(grep -c "$VALUE" seen)" "0 3" "unless SSL_CERT_FILE says so" || diag "$OUT" "$ERR"
cp bundle "$T/etc/ssl/certs/ca-certificates.crt"

# Where it is while the box runs: nowhere but in boxlite-net.
KEY=$VALUE "$B" create --name holder --secret "KEY,host=$HOST" tls sleep 1000 > /dev/null
bl start holder; fails 125 "secret KEY comes from the variable KEY, which is not set: set it" "it comes from where it came at each start"
bl ps -a --format '{{.Status}}' -f name=holder
like "$OUT" '^failed (now|[0-9].* ago)' "ps says when that was" || diag "$OUT"
bl inspect -f '{{.State.Error}}' holder; like "$OUT" "^secret KEY comes from the variable KEY" "and inspect why" || diag "$OUT"
KEY=$VALUE "$B" start holder > /dev/null; is $? 0 "it is there"
for p in $(pgrep -f 'boxlite-(shim|net|vmm)|qemu-system'); do
	tr '\0' '\n' < "/proc/$p/environ"; tr '\0' '\n' < "/proc/$p/cmdline"
done > looked 2> /dev/null
is "$(grep -c "$VALUE" looked)" 0 "in no environment and no command line"
for p in $(pgrep -f 'boxlite-(shim|net)'); do grep VmLck "/proc/$p/status"; done > locked
# (Sanitizers have an mlock(2) that does nothing.)
if [ "${V:-release}" = release ]; then
	is "$(grep -vc ' 0 kB' locked)" 2 "shim and boxlite-net hold it in locked memory" || diag "$(cat locked)"
fi
is "$(grep -rlaF "$VALUE" "$BOXLITE_HOME" | wc -l)" 0 "and in no file of the home" || diag "$(grep -rlaF "$VALUE" "$BOXLITE_HOME")"
for value in '' '\n' '\r\n' 'a\0b\n' '\377\376a\0b\0'; do
	printf "$value" > odd
	bl run --rm --secret "ODD=@$T/odd,host=$HOST" tls true
	case $value in *'\0'*) why="byte [24] is a NUL, .*as text" ;; *) why="is empty" ;; esac
	fails 125 "secret ODD comes from $T/odd, .*$why" "a value that no request can have: '$value'"
done
printf 'two\nlines\r\n' > odd
bl run --rm --secret "ODD=@$T/odd,host=$HOST" tls true; is "$ST$ERR" 0 "one of two lines is a value"
KEY= bl run --rm --secret "KEY,host=$HOST" tls true; fails 125 "variable KEY, which is empty" "nor is an empty variable one"
bl exec holder sh -c 'echo $KEY'; like "$OUT" "^boxlite-secret-" "an exec has the placeholder, too"
# A restart that would fail for want of it does not begin.
bl restart -t 0 holder; fails 125 "secret KEY comes from the variable KEY, which is not set" "restart wants the value, too"
bl exec holder echo here; result 0 $'here\n' "and leaves the box running until it has it"
KEY=$VALUE bl restart -t 0 holder; result 0 $'holder\n' "with it, it is started again"
bl stop -t 0 holder
bl restart holder; fails 125 "variable KEY, which is not set" "without it one that does not run stays so"
bl rm -f holder
for wrong in "KEY" "KEY,host=" "KEY,host=1.2.3.4" "1KEY,host=a.b" "KEY=@,host=a.b"; do
	bl create --secret "$wrong" tls true; is "$ST" 125 "refused: $wrong" || bl rm -f "$OUT"
done
for env in KEY KEY=x KEY=; do
	bl create -e OTHER=1 -e "$env" --secret "KEY2=KEY,host=$HOST" --secret "KEY,host=$HOST" tls true
	fails 125 "variable KEY is set twice, by --env and by --secret" "refused: -e $env beside a secret KEY"
done
bl create --name apart -e KE=1 -e KEYS=2 --secret "KEY,host=$HOST" tls true; is "$ST$ERR" 0 "names that only begin alike are others"
bl rm apart
bl run --rm --network none --secret "KEY,host=$HOST" tls true; fails 125 "no use for secrets" "without a network there is no use for one"
umount -l /etc
kill $(jobs -p); wait 2> /dev/null
nothing_left "nothing is left"
tap_done
