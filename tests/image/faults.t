#!/bin/bash
# Pulling from a registry that fails, lies and stalls; from two processes at once; killed in the middle.
. "$(dirname "$0")/common.sh"
export BOXLITE_PULL_STALL_SECONDS=1

mk_busybox_image "$T/img" 3 || { ok 1 "images are made"; tap_done; exit 1; }
layer=$(jq -r '.layers[0].digest | split(":")[1]' \
  "$T/img/blobs/sha256/$(jq -r '.manifests[0].digest | split(":")[1]' "$T/img/index.json")")

# try NAME FAULT... : a pull into a store of its own; status is the driver's.
try() {
	local name=$1 args=() f
	shift
	for f in "$@"; do args+=(--fault "$f"); done
	bad_registry_start "$name" "$T/img" "${args[@]}" || return 9
	fetch "$name" --plain-http --parallel 1 pull "$BAD/x"
	local status=$?
	stop_server "$BAD_PID"
	return $status
}
good() { ok $? "$1" || printf '# %s\n' "$OUT"; }

# --- what passes ------------------------------------------------------------------------------------
try e500 'manifests:status=503*2' 'layers:status=500*1'; good "server errors are tried again"
is "$(requests '.path | test("manifests")')" 3 "as often as needed"
try cut 'layers:cut*3'; good "cut transfers are tried again"
is "$(requests '.range != null')" 3 "and resumed where they stopped"
try cutnl 'layers:cut-no-length*1'; good "also when only the size can tell that it was cut"
try stall 'layers:stall*1'; good "a stalled transfer is tried again"
try norange 'layers:cut*1' 'layers:no-range*1'; good "a server that ignores Range sends all again"
try badrange 'layers:cut*1' 'layers:status=416*1'; good "a refused Range begins again"
try elsewhere 'layers:cut*1' 'layers:bad-range*1'; good "so does a resumption at the wrong place"
try rate 'manifests:status=429/1*1'; good "429 with a short Retry-After is waited out"
try past 'manifests:status=503/Wed, 21 Oct 2015 07:28:00 GMT*1'; good "a Retry-After that is over, by our clock"
is "$(litter rate)" "" "tmp/ is empty"

cp -r "$T/img" "$T/nothing" && add_empty_layer "$T/nothing" && bad_registry_start nothing "$T/nothing"
fetch nothing --plain-http pull "$BAD/x"; good "a layer of no bytes"
is "$(requests ".path | test(\"$EMPTY\")")" 0 "need not be asked for"
stop_server "$BAD_PID"

export BOXLITE_PULL_ATTEMPTS=2
# --- what does not ------------------------------------------------------------------------------------
fails() { # PATTERN NAME FAULT...
	local pattern=$1 name=$2
	shift 2
	if try "f$TAP_N" "$@"; then
		ok 1 "$name fails"
	else
		like "$OUT" "$pattern" "$name"
	fi
}
fails 'answers 500 TOOMANYREQUESTS' "a server that is broken for good" 'manifests:status=500'
fails 'rate limit of .* \(429\): try again in 3600 s' "429 for an hour is not waited for" 'manifests:status=429/3600'
is "$(requests true)" 1 "and asked only once"
fails 'stalled: nothing arrived for 1 s' "a server that stalls every time" 'layers:stall'
fails 'cut the transfer short' "a server that cuts every time" 'manifests:cut'
fails 'sent other content than the manifest promises' "a layer that is a lie" 'layers:lie'
is "$(litter "f$((TAP_N - 2))" | sed 's/HEX.partial//')" "" "is not kept"
fails 'not valid JSON|malformed|other content' "a manifest that is a lie" 'manifests:lie'
fails 'more than the [0-9]+ bytes announced' "a layer that is too long" 'layers:longer'
fails 'manifest is larger than 4194304 bytes' "a huge manifest" 'manifests:big=5'
fails 'resumed at the wrong place' "a wrong Content-Range" 'layers:cut*1' 'layers:bad-range'
is "$(litter "f$((TAP_N - 1))")" "" "leaves nothing for the next pull to resume in vain"
fails 'has no image x' "an error that does not end" 'manifests:endless=404'
fails 'has no image x' "an error that trickles" 'manifests:trickle=404'
fails 'answers 500' "a layer's error that does not end" 'layers:endless=500'
fails 'its answer 307 does not end' "a redirect that does not end" 'manifests:endless=307'
fails 'is too slow: its answer was not whole after 1 s' "a manifest that trickles" 'manifests:trickle=200'
fails 'too many redirects' "redirects in a circle" 'manifests:redirect='
fails 'not http or https' "a redirect to a file" 'manifests:redirect=file://'
fails 'wants a login of a kind' "a login that is no URL" 'manifests:realm='

# --- logins -------------------------------------------------------------------------------------------
bad_registry_start token "$T/img" --auth token --token-uses 2
fetch token --plain-http --parallel 1 --user tester --password s3cret-Passw0rd pull "$BAD/x"
good "a token, renewed as often as it expires"
[ "$(requests '.path | test("token")')" -ge 3 ]; ok $? "which was several times"
fetch token2 --plain-http --parallel 1 --identity-token s3cret-Passw0rd pull "$BAD/x"
good "an identity token instead of a password"
is "$(requests '.path | test("s3cret")')" 0 "is never in an address"
! fetch token3 --plain-http --user tester --password wr0ng pull "$BAD/x"
like "$OUT" 'login to .* failed: .* answers 401; `docker login' "a wrong password"
unlike "$OUT$ERR" 'wr0ng|d3Ivbmc' "is not repeated"
stop_server "$BAD_PID"

bad_registry_start token-slow "$T/img" --auth token --fault token:trickle=200
! fetch token-slow --plain-http --user tester --password s3cret-Passw0rd pull "$BAD/x"
like "$OUT" 'the login: .* is too slow' "a token that trickles"
stop_server "$BAD_PID"
for code in 500 503; do
	bad_registry_start "token$code" "$T/img" --auth token --fault "token:status=$code*1"
	fetch "token$code" --plain-http --user tester --password s3cret-Passw0rd pull "$BAD/x"
	good "a token server that answers $code is asked again"
	is "$(requests '.path | test("token")')" 2 "as often as needed"
	stop_server "$BAD_PID"
done
bad_registry_start token-down "$T/img" --auth token --fault token:status=503
! fetch token-down --plain-http --user tester --password s3cret-Passw0rd pull "$BAD/x"
like "$OUT" 'the login: .* answers 503' "one that is broken for good"
is "$(requests '.path | test("token")')" "$BOXLITE_PULL_ATTEMPTS" "is asked as often as a registry"
stop_server "$BAD_PID"
bad_registry_start token-later "$T/img" --auth token --fault token:status=503/3600
! fetch token-later --plain-http --user tester --password s3cret-Passw0rd pull "$BAD/x"
is "$(requests '.path | test("token")')" 1 "and not again when it says in an hour"
stop_server "$BAD_PID"

bad_registry_start cdn "$T/img"; cdn=$BAD cdn_pid=$BAD_PID cdn_log=$BAD_LOG
bad_registry_start front "$T/img" --auth basic --fault "blobs:redirect=http://$cdn"
fetch front --plain-http --user tester --password s3cret-Passw0rd pull "$BAD/x"
good "blobs may be on another host"
is "$(jq -s 'map(select(.authorization != null)) | length' "$cdn_log")" 0 "which gets no credentials"
stop_server "$BAD_PID"; stop_server "$cdn_pid"

# --- TLS ----------------------------------------------------------------------------------------------
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/key" -out "$T/crt" -days 2 -subj /CN=127.0.0.1 \
  -addext subjectAltName=IP:127.0.0.1 2>/dev/null
bad_registry_start plain "$T/img"; plain=$BAD plain_pid=$BAD_PID
bad_registry_start tls "$T/img" --tls "$T/crt" "$T/key"
! fetch tls pull "$BAD/x"
like "$OUT" 'certificate of .* is not trusted' "an unknown authority is refused"
SSL_CERT_FILE=$T/crt fetch tls pull "$BAD/x"; good "and accepted when SSL_CERT_FILE names it"
! fetch tls2 --plain-http pull "$BAD/x"
like "$OUT" 'it may want https, without --plain-http' "plain http to a TLS port fails"
stop_server "$BAD_PID"
bad_registry_start down "$T/img" --tls "$T/crt" "$T/key" --fault "blobs:redirect=http://$plain"
! SSL_CERT_FILE=$T/crt fetch down pull "$BAD/x"
like "$OUT" 'from https to http, which is refused' "a redirect from https to http is refused"
stop_server "$BAD_PID"
bad_registry_start realm "$T/img" --tls "$T/crt" "$T/key" --fault "manifests:realm=http://$plain/token"
! SSL_CERT_FILE=$T/crt fetch realm --user tester --password s3cret-Passw0rd pull "$BAD/x"
like "$OUT" 'sends logins to a server without https' "so is a login in clear for an https registry"
is "$(jq -s length "$T/bad-plain/requests")" 0 "and nothing was sent there"
stop_server "$BAD_PID"; stop_server "$plain_pid"

! fetch dns --plain-http pull "no-such-host.invalid/x"
like "$OUT" 'cannot find the host no-such-host.invalid' "a host that does not exist"

# --- interrupted, and two at once ------------------------------------------------------------------------
mkfifo "$T/gate"
bad_registry_start two "$T/img" --fault "layers:gate=$T/gate*1"
export BOXLITE_PULL_STALL_SECONDS=60
mkdir -p "$T/two"
drive() { "$TOP/tests/image/fetch-driver.py" --store "$T/two" --plain-http --parallel 1 "$@" pull "$BAD/x"; }
# until_phase FIFO PHASE: reads reports until this one.
until_phase() { local line; while read -r line <&"$1"; do [[ $line = *"$2"* ]] && return 0; done; return 1; }
exec {one}< <(drive --progress --pid-file "$T/pid1" 2>/dev/null)
until_phase "$one" '"phase": "downloading", "item": 1'; ok $? "the first pull downloads"
exec {other}< <(drive --progress --pid-file "$T/pid2" 2>/dev/null)
until_phase "$other" '"phase": "waiting"'; ok $? "the second waits for it"
: > "$T/gate"
until_phase "$one" '"rootfs"'; ok $? "the first ends well"
cat <&"$one" > /dev/null
OUT=$(tail -n1 <&"$other")
like "$OUT" '"rootfs"' "the second, too"
is "$(requests ".path | test(\"$layer\")")" 1 "the layer was sent once"
is "$(litter two)" "" "tmp/ is empty"
exec {one}<&- {other}<&-

rm -rf "$T/two"; mkdir "$T/two"
stop_server "$BAD_PID"
bad_registry_start kill "$T/img" --fault "layers:gate=$T/gate*3"
exec {one}< <(drive --progress --pid-file "$T/pid1" 2>/dev/null)
until_phase "$one" '"phase": "downloading", "item": 1'
exec {other}< <(drive --progress --pid-file "$T/pid2" 2>/dev/null)
until_phase "$other" '"phase": "waiting"'
kill -KILL "$(cat "$T/pid1")"; cat <&"$one" > /dev/null
until_phase "$other" '"phase": "downloading", "item": 1'; ok $? "when the first is killed the second takes over"
kill -INT "$(cat "$T/pid2")"
timeout 30 cat <&"$other" > /dev/null; ok $? "an interrupted pull ends"
unlike "$(litter two)" 'build|new|load' "and leaves only what can be resumed"
exec {one}<&- {other}<&-
drive --hang-up-at downloading 2>/dev/null; is $? 2 "hanging up ends a pull"
unlike "$(litter two)" 'build|new|load' "and leaves only what can be resumed"
stop_server "$BAD_PID"

# A partial download of another process is resumed, a damaged one noticed.
bad_registry_start resume "$T/img"
mkdir -p "$T/r/tmp" "$T/r2/tmp"
head -c 500000 "$T/img/blobs/sha256/$layer" > "$T/r/tmp/$layer.partial"
fetch r --plain-http pull "$BAD/x"; good "a partial download of an earlier process"
is "$(requests ".path | test(\"$layer\")")" 1 "is resumed"
is "$(jq -r 'select(.range) | .range' "$BAD_LOG")" "bytes=500000-" "with a Range"
head -c 500000 /dev/zero > "$T/r2/tmp/$layer.partial"
echo junk > "$T/r2/tmp/0123456789abcdef.new"; mkdir "$T/r2/tmp/x.load"; echo junk > "$T/r2/tmp/x.load/0"
echo old > "$T/r2/tmp/$(printf %064d 1).partial"; touch -d '8 days ago' "$T/r2/tmp/$(printf %064d 1).partial"
fetch r2 --plain-http pull "$BAD/x"; good "one that was damaged is noticed"
is "$(litter r2)" "" "the leftovers of killed processes are swept"
stop_server "$BAD_PID"

# A full disk, where a small one can be made.
if mkdir -p "$T/full" && mount -t tmpfs -o size=700k none "$T/full" 2>/dev/null; then
	bad_registry_start full "$T/img"
	! fetch full --plain-http pull "$BAD/x"
	like "$OUT" "the file system of $T/full is full" "a full disk is named"
	is "$(litter full)" "" "and not kept full"
	stop_server "$BAD_PID"
	umount "$T/full"
	# Two layers that do not fit, side by side, each begun by an earlier pull.
	mkdir "$T/noise" && head -c 900000 /dev/urandom > "$T/noise/noise"
	cp -r "$T/img" "$T/img2" && add_layer "$T/img2" "$T/noise"
	bad_registry_start full2 "$T/img2"
	mount -t tmpfs -o size=700k none "$T/full" && mkdir "$T/full/tmp"
	for blob in $(find "$T/img2/blobs" -size +800k -printf '%f\n'); do
		head -c 200000 "$T/img2/blobs/sha256/$blob" > "$T/full/tmp/$blob.partial"
	done
	is "$(litter full)" "HEX.partial HEX.partial " "two partial downloads"
	! fetch full --plain-http pull "$BAD/x"
	like "$OUT" "the file system of $T/full is full" "of which one fills the disk"
	is "$(litter full)" "" "do not keep it full"
	# The same while a small layer, complete since an earlier pull, is being synced.
	mkdir -p "$T/full/tmp"
	small=$(find "$T/img2/blobs" -size -2 -printf '%f\n' | grep -Ff <(jq -r '.layers[].digest[7:]' \
	  "$T/img2/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$T/img2/index.json")") | head -n1)
	cp "$T/img2/blobs/sha256/$small" "$T/full/tmp/$small.partial"
	rm -f "$T/full/blobs/sha256/$small"
	! hold_sync "$small.partial" full --plain-http pull "$BAD/x"
	like "$OUT" "the file system of $T/full is full" "a disk that fills up during a sync"
	is "$(litter full)" "" "is not kept full either"
	stop_server "$BAD_PID"
	umount "$T/full"
fi
tap_done
