#!/bin/bash
# An installed boxlite, used by somebody who is not root: load, run, keep, exec, remove. As root the test becomes
# an ordinary user; otherwise it is one already.
. "$(dirname "$0")/common.sh"

cd "$TOP" || exit 1
make -s --no-print-directory install V="${V:-release}" TOP="${O%/"${V:-release}"}" DESTDIR="$T/root" PREFIX=/opt/boxlite > "$T/install" 2>&1
ok $? "make install" || { diag "$(tail -n 5 "$T/install")"; box_done; exit 1; }
cd "$T" || exit 1
is "$(cd root/opt/boxlite && find . ! -type d ! -path './share/man/*' | sort | xargs)" "./bin/boxlite ./include/boxlite.h \
./lib/libboxlite.a ./lib/libboxlite.so ./lib/libboxlite.so.0 ./lib/libboxlite.so.0.1.0 ./lib/pkgconfig/boxlite.pc \
./libexec/boxlite/boxlite-copy ./libexec/boxlite/boxlite-image ./libexec/boxlite/boxlite-net ./libexec/boxlite/boxlite-shim ./libexec/boxlite/boxlite-vmm \
./share/bash-completion/completions/boxlite ./share/boxlite/files ./share/boxlite/guest/initramfs \
./share/boxlite/guest/vmlinux ./share/fish/vendor_completions.d/boxlite.fish ./share/zsh/site-functions/_boxlite" \
  "what is installed, and where (and manual pages)"
is "$(cd root && find . -type f ! -perm -444; find . -type d ! -perm -555)" "" "everybody may read it"

"$TOP/scripts/mk-image" layout
mkdir user
chmod 711 "$T"
as=()
if [ "$(id -u)" = 0 ]; then
	chown 65534:65534 user
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs)
fi
# The programs of the build tree must not be needed, nor the environment, nor a writable current folder.
mv root/opt/boxlite "$T/moved"
B=$T/user/boxlite
printf '#!/bin/sh\ncd / && exec %s env -i HOME=%s PATH=/usr/bin:/bin %s/moved/bin/boxlite "$@"\n' \
  "${as[*]}" "$T/user" "$T" > "$B"
chmod 755 "$B"
export BOXLITE_HOME=$T/user/.boxlite # where $HOME leads it, for the checks here

bl --version; result 0 $'boxlite 0.1.0\n' "--version"
bl load -q --name mine "$T/layout"; result 0 $'docker.io/library/mine:latest\n' "load"
bl run --rm mine id -u; result 0 $'0\n' "run: root in the box"
bl run --name kept mine sh -c 'cat /f 2>/dev/null; echo more >> /f; chown 12:34 /f; stat -c %u:%g /f; exit 6'
result 6 $'12:34\n' "with all its ids"
bl cp kept:/f "$T/user/f"; result 0 "" "cp out of a stopped box"
is "$(cat "$T/user/f"; stat -c %u "$T/user/f")" "more"$'\n'"$(stat -c %u "$T/user")" "what it has written, as the user's own"
bl cp "$T/user/f" kept:/f; result 0 "" "and into it"
bl start -a kept; result 6 $'more\n12:34\n' "start"
e2fsck -fn "$BOXLITE_HOME/boxes/$(box_id kept)/disk.img" > fsck 2>&1; ok $? "its disk is clean"
"$B" run --name long mine sh -c 'echo ready; exec tail -f /etc/group' > long 2>&1 & pid=$!
wait_for grep -q staff long
bl exec long cat /proc/1/comm; result 0 $'tail\n' "exec"
is "$(ps -o user= -p "$("$TOP/tests/lib/reaper.py" --list | awk '{ print $1 }' | paste -sd,)" | sort -u | wc -l)" 1 \
  "all processes are of one user"
if [ "$(id -u)" = 0 ]; then
	is "$(ps -o uid= -p "$("$TOP/tests/lib/reaper.py" --list | awk '{ print $1 }' | paste -sd,)" | sort -u | xargs)" 65534 "who is not root"
fi
bl rm -f long; result 0 $'long\n' "rm -f"
wait $pid
is "$(stat -c %a "$BOXLITE_HOME" "$BOXLITE_HOME/boxes/$(box_id kept)" | xargs)" "700 700" "what is kept is the user's alone"
bl rm kept; result 0 $'kept\n' "rm"
bl rmi mine; result 0 $'mine\n' "rmi"
is "$(find user ! -user "$(stat -c %u user)" ! -name boxlite)" "" "every file is the user's"
nothing_left "nothing is left" now
box_done
