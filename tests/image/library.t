#!/bin/bash
# The error codes that boxlite.h promises of a pull, in a program that is not ours.
. "$(dirname "$0")/common.sh"
unset BOXLITE_LIBEXEC
export BOXLITE_HOME=$T/home

mk_busybox_image "$T/img" 2 || { ok 1 "images are made"; tap_done; exit 1; }
${CC:-cc} $SANITIZER -std=c99 -Wall -Wextra -pedantic -Werror -I "$TOP/include" "$TOP/tests/lib/pull.c" -o "$T/pull" \
  -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > "$T/log" 2>&1
is "$? $(cat "$T/log")" "0 " "a program is built with the header and the shared library"

number() { python3 -c 'import errno, sys; print(-getattr(errno, sys.argv[1]))' "$1"; }
# pull CODE PATTERN NAME REFERENCE: that the pull fails with this code and text.
pull() {
	local n
	n=$(number "$1")
	like "$("$T/pull" "$4")" "^$n $n .*$2" "$3"
}
# faulty CODE PATTERN NAME FAULT: the same for a registry with this fault.
faulty() {
	bad_registry_start "$1-$TAP_N" "$T/img" --fault "$4"
	pull "$1" "$2" "$3" "$BAD/x"
	stop_server "$BAD_PID"
}

pull EINVAL 'invalid image reference' "no reference is EINVAL" UPPER
faulty ENOENT 'has no image' "an image that is not there is ENOENT" manifests:status=404
faulty EACCES 'login' "401 is EACCES" manifests:status=401
faulty EACCES 'without a login' "403 is EACCES" manifests:status=403
faulty EBADMSG 'other content' "a layer that is a lie is EBADMSG" layers:lie
pull EHOSTUNREACH 'cannot find the host' "a host that does not exist is not taken for a missing image" no-such.invalid/x
if mkdir -p "$T/home/images" && mount -t tmpfs -o size=700k none "$T/home/images" 2>/dev/null; then
	bad_registry_start full "$T/img"
	pull ENOSPC "file system of $T/home/images is full" "a full disk is ENOSPC" "$BAD/x"
	stop_server "$BAD_PID"
	umount "$T/home/images"
else
	skip "a full disk is ENOSPC" "only root can make a small one"
fi
tap_done
