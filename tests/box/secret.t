#!/bin/bash
# What may be a secret is where it has to be and nowhere else, also at the most verbose level: not in logs, not in what
# any user of the host can see of a process, not in core dumps. What a box was made with (its environment, its command,
# its health check) is in boxlite.db, as boxlite.h says; of a pull, of an exec and of any input nothing is kept at all.
. "$(dirname "$0")/common.sh"
. "$TOP/tests/lib/registry.sh"
export BOXLITE_DEBUG=1
umask 022
ulimit -c unlimited 2> /dev/null

# Every secret is "s3nt1nel-" and what it is. The registry knows a password and a token of its own.
secret() { echo "s3nt1nel-$1"; }
password=s3cret-Passw0rd token=t0ken-Value
basic=$(printf 'tester:%s' $password | base64)
# found FILE...: which of them are in there.
found() { grep -raohE "s3nt1nel-[a-z-]*|$password|$token|$basic" "$@" 2> /dev/null | sort -u | xargs; }

# helpers NAME: the processes of boxes, without those of the command line, whose arguments are the user's own words; what
# everybody sees of them has no secret, and they leave no core.
helpers() {
	local pid name seen=
	rm -rf proc; mkdir proc
	while read -r pid name; do
		[ "$name" != boxlite ] || { cat "/proc/$pid/cmdline" >> proc/typed; continue; }
		seen+=" $name"
		cat "/proc/$pid/cmdline" "/proc/$pid/environ" > "proc/$pid-$name"
		grep '^Max core file size' "/proc/$pid/limits" >> proc/core
	done < <("$TOP/tests/lib/reaper.py" --list)
	like "$(tr '\0' ' ' < proc/typed)" "$3" "$1: what the user has typed is found"
	like "$seen " "$2" "  and those who work for it"
	is "$(found proc/[0-9]*)" "" "  have none in their arguments and environment"
	is "$(tr -s ' ' < proc/core | sort -u)" "Max core file size 1 1 bytes " "  and leave no core"
}

found_in() { xargs -0r grep -raohE "s3nt1nel-[a-z-]*|$password|$token|$basic" | sort -u; } # the files named on standard input
# kept NAME WHAT: what is in the home, with what is removed of it: database, and anything else.
kept() {
	is "$(found "$BOXLITE_HOME"/boxlite.db*)" "$2" "$1: the database has what it should"
	# What was copied into the box is on its disk, sooner or later.
	is "$(find "$BOXLITE_HOME" -type f ! -name 'boxlite.db*' ! -name disk.img -print0 | found_in)" "" "  and no other file has any"
	is "$(find "$BOXLITE_HOME" -name disk.img -print0 | found_in | grep -vx "$(secret file)")" "" "  nor has its disk more than its files"
}

# --- a pull --------------------------------------------------------------------------------------------------------
export HOME=$T/user S3NT=$(secret own-env)
mkdir -p user/.docker
"$TOP/scripts/mk-image" image
mkfifo gate
bad_registry_start closed image --auth token --fault "layers:gate=$T/gate*1" || { ok 1 "a registry starts"; tap_done; exit 1; }
echo "{\"auths\": {\"$BAD\": {\"auth\": \"$basic\"}}}" > user/.docker/config.json
S3NT_PULL=$(secret pull-env) "$B" --debug pull --plain-http "$BAD/bb" > pulled 2>&1 & puller=$!
is_half() { compgen -G "$BOXLITE_HOME/images/tmp/*" > /dev/null && [ -n "$(pid_of boxlite-image)" ]; }
wait_for is_half; ok $? "a pull is half done"
helpers "it" ' boxlite-image ' "pull --plain-http $BAD/bb"
: > gate
wait $puller
is "$?" 0 "it is done" || diag "$(cat pulled)"
is "$(found pulled)" "" "and has printed no password"
kept "a pull" ""
"$B" rmi "$BAD/bb" > /dev/null
echo "{\"auths\": {\"$BAD\": {\"auth\": \"$(printf 'tester:%s' "$(secret wrong-password)" | base64 -w0)\"}}}" > user/.docker/config.json
bl --debug pull --plain-http "$BAD/bb"; is "$ST" 125 "a pull with a wrong password"
is "$(found out err)" "" "does not repeat it"
stop_server "$BAD_PID"

# --- a box -----------------------------------------------------------------------------------------------------------
make_home
mkfifo in.main in.exec
export BOX_ENV EXEC_ENV
BOX_ENV=$(secret box-env) EXEC_ENV=$(secret exec-env)
"$B" --debug run -i --name s --disk-size 64m -e BOX_ENV -e OWN="$(secret box-env-typed)" --health-cmd "true $(secret health)" --health-interval 1s \
  bb sh -c 'read -r line; test "$line" && echo up; exec sleep 100000' "$(secret box-argv)" < in.main > main.out 2> main.err & main=$!
exec 7> in.main
secret box-stdin >&7
wait_for grep -qs up main.out; ok $? "a box runs" || diag "$(cat main.err)"
"$B" --debug exec -i -e EXEC_ENV s sh -c 'read -r line; test "$line" && echo up; exec sleep 100000' "$(secret exec-argv)" \
  < in.exec > exec.out 2> exec.err & exec=$!
exec 8> in.exec
secret exec-stdin >&8
wait_for grep -qs up exec.out; ok $? "and an exec in it" || diag "$(cat exec.err)"
is "$("$B" exec s sh -c 'cat /proc/[0-9]*/environ' | tr '\0' '\n' | grep -ao 's3nt1nel-[a-z-]*' | sort -u | xargs)" \
  "s3nt1nel-box-env s3nt1nel-box-env-typed s3nt1nel-exec-env" "they have their secrets"
secret file > file; bl --debug cp file s:/tmp/file; result 0 "" "a file is copied into it"
is "$(timeout 60 "$B" --debug cp s:/tmp/file - 2> cp.err | tar -xO 2> /dev/null; found cp.err)" "$(secret file)" "and out of it"
bl --debug exec s /nonexistent "$(secret failed-argv)"; is "$ST $(found err)" "127 " "an exec that cannot run"
healthy() { [ "$("$B" ps --json | jq -r '.[].health')" = healthy ]; }
wait_for healthy; ok $? "its health check has run"
helpers "a box" ' boxlite-shim .*(qemu|boxlite-vmm)|(qemu|boxlite-vmm).* boxlite-shim ' 's3nt1nel-box-argv .*s3nt1nel-exec-argv '
made="s3nt1nel-box-argv s3nt1nel-box-env s3nt1nel-box-env-typed s3nt1nel-health"
kept "a box that runs" "$made"

# It crashes, at the most verbose level. What is said of that is for people to pass on.
kill -ABRT "$(machine_pid)"
wait $main; is $? 125 "its machine crashes"
wait $exec
exec 7>&- 8>&-
like "$(cat main.err)" "killed by signal 6.*--- shim.log" "with --debug that comes with its logs"
is "$(found main.err main.out exec.err exec.out)" "" "which have no secrets"
kept "a box that has crashed" "$made"
is "$(find "$T" -type f -name 'core*' ! -path "$T/moved/*" ! -path "$T/proc/*")" "" "it has left no core"
bl --debug start s < /dev/null; is "$ST $(found out err)" "0 " "it is started again"
kill -ABRT "$(pid_of boxlite-shim)"
gone() { [ -z "$("$TOP/tests/lib/reaper.py" --list)" ]; }
wait_for gone; ok $? "its shim crashes"
kept "after that" "$made"
is "$(find "$T" -type f -name 'core*' ! -path "$T/proc/*")" "" "it has left no core either"
bl --debug inspect s; like "$(found out) " "s3nt1nel-box-env " "inspect shows what it was made with"
bl rm s; result 0 $'s\n' "rm"

# --- other processes of the same user ----------------------------------------------------------------------------------
# Those who are not dumpable belong to root in /proc: their memory cannot be read, nor their environment.
as_user=()
if [ "$(id -u)" = 0 ]; then
	mkdir moved other; chmod 711 "$T"; chown 65534:65534 other
	cp -r "$O/bin" "$O/lib" "$O/guest" image moved
	chmod -R a+rX moved
	as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups env -u BOXLITE_LIBEXEC HOME="$T/other")
	export BOXLITE_HOME=$T/other/home B=$T/moved/bin/boxlite
	timeout 60 "${as_user[@]}" "$B" load -q --name bb moved/image > /dev/null 2> err || diag "$(cat err)"
fi
timeout 60 "${as_user[@]}" "$B" run -d --name u bb sleep 100000 > /dev/null 2> err; is "$? $(cat err)" "0 " "a box of an ordinary user"
shim=$(pid_of boxlite-shim)
is "$(stat -c %u "/proc/$shim/environ" "/proc/$shim/mem" | xargs)" "0 0" "nobody else reads its shim's memory"
isnt_mine() { [ "$(stat -c %u "/proc/$(machine_pid)/mem")" = 0 ]; }
if [ "$BOXLITE_ENGINE" = kvm ]; then isnt_mine; ok $? "nor its machine's"; fi
timeout 60 "${as_user[@]}" "$B" rm -f u > /dev/null
nothing_left "nothing is left" now
box_done
