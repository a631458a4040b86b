#!/bin/bash
# boxlite cp: files from a box and into it, while it runs and while it does not.
. "$(dirname "$0")/common.sh"
make_home
tree=$TOP/tests/lib/tree.py
root=$([ "$(id -u)" = 0 ] && echo yes)
a=(); list=("$tree" list --no-owners)
if [ "$root" ]; then a=(-a) list=("$tree" list); fi

in_box() { bl exec -u root box sh -c "$1"; } # whatever the box's user is
# same DIR NAME: it is a copy of `src` to the last bit; but for the attributes if there is a third argument.
same() {
	"${list[@]}" src > want; "${list[@]}" "$1" > got
	[ -z "${3:-}" ] || sed -i "s/ [\"']\[[^]]*\][\"']//" want got
	cmp -s want got; ok $? "$2" || diag "$(diff want got | head -n 20)"
}

"$tree" make src
"$B" run -d --name box bb sleep 100000 > /dev/null; ok $? "a box runs"

# --- there and back ----------------------------------------------------------------------------------------------
bl cp "${a[@]}" src box:/tmp/tree; result 0 "" "a tree into the box"
bl cp "${a[@]}" box:/tmp/tree back; result 0 "" "and out of it"
same back "is the same: modes, times, links, holes, names"
in_box 'cd /tmp/tree && ls -ln one | cut -c1-12 && stat -c "%h %s" one holes && [ $(du -k holes | cut -f1) -lt 1000 ] &&
  readlink dangling && cat sub/deeper/other* && tail -c 3 many'
result 0 $'-rw-r-----  \n2 1\n1 1073741824\n/nowhere/at all\n1end' "in the box, too, and 1 GiB of holes takes no place there"
bl cp "${a[@]}" src box:/dev/shm/exact; bl cp "${a[@]}" box:/dev/shm/exact exact
list+=(--exact)
same exact "in a tmpfs, which has no attributes, times are to the nanosecond" -
unset 'list[-1]'
in_box 'rm -r /dev/shm/exact'
bl cp src/many box:/tmp/; bl cp -q box:/tmp/many many; result 0 "" "a file"
cmp -s src/many many; ok $? "is the same"
in_box 'stat -c "%u:%g %a" /tmp/many'; result 0 $'0:0 600\n' "without -a it is root's there"
is "$(stat -c "%u:%g %a" many)" "$(id -u):$(id -g) 600" "and ours here"
bl cp src/suid box:/tmp/; in_box 'stat -c %a /tmp/suid'; like "$OUT" '^7[15][15]' "without the right to run as its owner"
bl exec -u root box sh -c 'cp /bin/busybox /tmp/evil; chmod 6755 /tmp/evil; chown 1000 /tmp/evil'
bl cp box:/tmp/evil .; is "$(stat -c "%u %a" evil)" "$(id -u) 755" "which a program of the box does not get here, either"
head -c 20000000 /dev/urandom > noise
bl cp noise box:/tmp/noise; bl cp box:/tmp/noise noise2; cmp noise noise2; ok $? "20 MB of noise"
bl cp $'src/sub/bad \xff\xfe utf-8' box:/tmp/; bl cp $'box:/tmp/bad \xff\xfe utf-8' name; is "$ST$ERR$(cat name)" "0b" "a name that is not UTF-8"

"$TOP/tests/lib/pty-drive.py" -- "$B" cp noise box:/tmp/noise > screen 2> modes; st=$?
like "$st $(cat screen)" '^0 .*noise: copying .*copied 20.0MB in [0-9.]+ s' "a terminal shows how far it is"
"$TOP/tests/lib/pty-drive.py" -- "$B" cp -q noise box:/tmp/noise > screen 2> modes; is "$?$(cat screen)" 0 "unless it is to be quiet"
"$TOP/tests/lib/pty-drive.py" -- "$B" cp box:/tmp/noise - > screen 2> modes; st=$?
like "$st $(cat screen)" '^125 boxlite: a tar archive is not for a terminal' "and gets no archive"

# --- where it goes ----------------------------------------------------------------------------------------------
mkdir d; echo 1 > d/f; echo 2 > g
in_box 'mkdir /w /w/there; echo old > /w/file; ln -s there /w/link; ln -s nothing /w/soon; ln -s /w/there /abs'
bl cp d box:/w/new; in_box 'cat /w/new/f'; result 0 $'1\n' "a folder gets the name that was not there"
bl cp d box:/w/new; in_box 'cat /w/new/d/f'; result 0 $'1\n' "comes into the folder that is"
bl cp d/. box:/w/there; in_box 'ls /w/there'; result 0 $'f\n' "or only what is in it does"
bl cp d/ box:/w/slash/; in_box 'ls /w/slash'; result 0 $'f\n' "a folder may end with a slash before it is there"
bl cp g box:/w/file; in_box 'cat /w/file'; result 0 $'2\n' "a file replaces a file"
bl cp g box:/w/link; in_box 'cat /w/there/g; readlink /w/link'; result 0 $'2\nthere\n' "a link to a folder is the folder"
bl cp g box:/w/soon; in_box 'cat /w/nothing; readlink /w/soon'; result 0 $'2\nnothing\n' "a link to nothing yet is what will be there"
bl cp g box:/abs/h; in_box 'cat /w/there/h'; result 0 $'2\n' "an absolute link is one of the box"
bl cp g box:w/relative; in_box 'cat /w/relative'; result 0 $'2\n' "a relative path is one of its root"
bl cp box:/w/there/. d2; is "$(cd d2 && echo *)" "f g h" "what is in a folder, to a name that was not there"
bl cp box:/w/there d2; is "$(cd d2 && echo *)" "f g h there" "a folder, into one that is"
mkdir -p 'a:b'; bl cp box:/w/file './a:b/x:y'; is "$(cat 'a:b/x:y')" 2 "a local path with a colon begins with ./"
bl cp g box:/nowhere/g; fails 125 'cannot copy to /nowhere/g: there is no folder /nowhere/?; make it first' "a folder on the way is missing"
bl cp g box:/nowhere/; fails 125 'there is no folder nowhere to copy a file into' "or the one that it is to go to"
bl cp d box:/w/file; fails 125 'cannot copy to /w/file of the box: file is not a folder' "a folder does not replace a file"
in_box 'mkdir -p /w/g/x'; bl cp g box:/w; fails 125 'g is a folder and is not replaced' "nor a file a folder"
bl cp g box:/w/file/; fails 125 'file/: it is not a folder' "a file is no folder"
bl cp box:/w/file nowhere/x; fails 125 'cannot copy to nowhere/x: there is no folder nowhere/?; make it first' "the same here"
bl cp box:/w/there g; fails 125 'g is not a folder and is not replaced by one' "and here"
bl cp nothing box:/w; fails 125 'cannot copy nothing: No such file' "a source that is not there"
bl cp box:/nothing .; fails 125 'cannot copy /nothing: No such file' "nor in the box"
bl cp g/ box:/w; fails 125 'g/: it is not a folder' "a source that is no folder"
bl cp g h; fails 125 'neither g nor h is in a box' "no box"
bl cp box:/a box:/b; fails 125 'two copies' "two boxes"
bl cp nobox:/a .; fails 125 "no box is called 'nobox'" "one that is not there"
bl cp box:/w; fails 125 'from where, and to where' "half a command"

# --- links -------------------------------------------------------------------------------------------------------
ln -s g link
bl cp link box:/w/l1; in_box 'readlink /w/l1'; result 0 $'g\n' "a link is copied as a link"
bl cp -L link box:/w/l2; in_box 'cat /w/l2; stat -c %F /w/l2'; result 0 $'2\nregular file\n' "with -L what it leads to"
bl cp box:/abs l3; is "$(readlink l3)" /w/there "a link of the box as well"
bl cp -L box:/abs l4; is "$(cd l4 && echo *)" "f g h" "with -L what it leads to in the box"
bl cp box:/abs/ l5; is "$(cd l5 && echo *)" "f g h" "or with a slash"
in_box 'ln -s ../../../../../../../../etc/passwd /w/up; ln -s / /w/root'
bl cp -L box:/w/up up; bl exec box cat /etc/passwd; is "$(cat up)" "${OUT%$'\n'}" "no link of it leads out of it"
echo mine > /tmp/boxlite-cp.$$
bl cp box:/w/root/tmp/boxlite-cp.$$ x; fails 125 'No such file' "an absolute one, neither"
rm /tmp/boxlite-cp.$$
mkdir hit target; ln -s "$T/hit" target/evil
in_box 'mkdir -p /w/target/evil; echo x > /w/target/evil/x'
bl cp box:/w/target/. target; fails 125 'evil is not a folder and is not replaced by one' "and none here is followed"
is "$(ls hit)" "" "so that nothing comes to where it leads"
# What a box could say instead of an honest tar, to the program that reads it.
python3 - hostile <<'PY'
import io, sys, tarfile
with tarfile.open(sys.argv[1], "w") as t:
    def add(name, **k):
        i = tarfile.TarInfo(name)
        for key, v in k.items():
            setattr(i, key, v)
        t.addfile(i, io.BytesIO(b"x" * i.size))
    add("d", type=tarfile.DIRTYPE, mode=0o755)
    add("d/l", type=tarfile.SYMTYPE, linkname="../../hit")
    add("d/l/x", size=1)
PY
mkdir unpacked
python3 - "${BOXLITE_LIBEXEC:-$O/bin}/boxlite-copy" unpacked hostile > answer <<'PY'
import os, socket, subprocess, sys
sys.path.insert(0, os.environ["TOP"] + "/tests/lib")
from wire import COPY, EXIT, frame, unpack
control, theirs = socket.socketpair()
tar, their_tar = socket.socketpair()
folder = os.open(sys.argv[2], os.O_PATH)
def setup():
    for fd, to in ((theirs.fileno(), 13), (folder, 14), (their_tar.fileno(), 15)):
        os.dup2(fd, to)
    for to in (3, 4, 5):
        os.dup2(to + 10, to)
p = subprocess.Popen([sys.argv[1]], preexec_fn=setup, pass_fds=(3, 4, 5), env={})
theirs.close(); their_tar.close()
control.send(frame(COPY, {"op": "put", "place": True, "name": b"d".hex()}))
tar.sendall(open(sys.argv[3], "rb").read()); tar.close()
answer = control.recv(65536)
print(p.wait(), unpack(EXIT, answer[12:])["error"])
PY
is "$(cat answer; ls hit)" "1 d/l is not a folder, and the archive wants to put something into it" "a hostile tar"

# --- a tar -------------------------------------------------------------------------------------------------------
"$B" cp box:/tmp/tree - | { mkdir t1; tar --xattrs -xpf - -C t1 2> /dev/null; }
is "${PIPESTATUS[*]}" "0 0" "GNU tar reads what cp writes"
[ ! "$root" ] || same t1/tree "and finds the same"
is "$("$B" cp box:/w/file - | tar t)" file "of a file"
is "$("$B" cp box:/w/there/. - | tar t | sort | xargs)" "./ ./f ./g ./h" "of what is in a folder"
for format in v7 ustar oldgnu gnu posix; do
	what=(-S .)
	case $format in v7 | ustar) what=(empty one block many dangling sub/deeper);; esac # which have no holes, nor long names
	in_box "mkdir /tmp/$format"
	tar -c --format=$format -C src "${what[@]}" 2> /dev/null | "$B" cp - box:/tmp/$format
	is "${PIPESTATUS[1]}" 0 "a tar of format $format"
done
bl cp "${a[@]}" box:/tmp/posix t2; touch -d @1600000000 t2 # which was there when the tar came
same t2 "is unpacked as it is" -
in_box 'cmp /tmp/gnu/many /tmp/tree/many && stat -c %s /tmp/gnu/holes && [ $(du -k /tmp/gnu/holes | cut -f1) -lt 1000 ]'
result 0 $'1073741824\n' "and GNU's format with its holes"
in_box 'stat -c %u:%g /tmp/v7/many'; is "$OUT" "$(stat -c %u:%g src/many)"$'\n' "owners as the tar says"
gzip -c hostile > hostile.gz; bl cp - box:/tmp < hostile.gz; fails 125 'the archive is compressed' "a compressed one"
bl cp - box:/tmp < g; fails 125 'not a tar archive|ends before' "what is none"
head -c 3000 hostile | cat - > cut; bl cp - box:/nofolder < hostile; fails 125 'there is no such folder' "a folder that is not there"
tar c noise | head -c 5000000 > cut; bl cp - box:/w < cut; fails 125 'the archive ends before its end' "one that is cut off"
in_box 'ls /w/noise'; is "$ST" 1 "leaves no part of a file"
"$B" cp box:/tmp/noise - | head -c 1000 > /dev/null; is "${PIPESTATUS[0]}" 141 "a reader that goes away"

# --- what is mounted in a box --------------------------------------------------------------------------------------
bl cp g box:/dev/shm/; in_box 'cat /dev/shm/g; grep -c /dev/shm /proc/mounts'; result 0 $'2\n1\n' "into a tmpfs"
bl cp box:/dev/shm/g shm; is "$(cat shm)" 2 "and out of it"
bl cp box:/proc/version v; like "$(cat v)" '^Linux version' "a file of the kernel's, which says that it is empty"
bl cp box:/etc/hostname h; is "$(cat h)" "$(box_id box)" "a file that is mounted"
echo 1.2.3.4 far >> h; bl cp h box:/etc/hosts; in_box 'tail -n 1 /etc/hosts'; result 0 $'1.2.3.4 far\n' "is written into"
bl cp box:/ whole; st=$ST
like "$st $ERR" '^0 boxlite: [0-9]+ device files were left out: whole/dev/' "the whole box: no devices here"
is "$(ls whole/proc whole/sys; cmp whole/bin/busybox /bin/busybox; ls whole/tmp/tree | wc -l)" $'whole/proc:\n\nwhole/sys:\n'"$(ls src | wc -l)" \
  "and nothing of /proc and /sys"

# --- when it fails ---------------------------------------------------------------------------------------------------
head -c 5000000 noise > five
in_box 'dd if=/dev/zero of=/dev/shm/fill bs=1M count=62 2> /dev/null'
bl cp five box:/dev/shm; fails 125 'five: No space left on device' "a full disk in the box"
in_box 'ls /dev/shm; rm /dev/shm/fill'; result 0 $'fill\ng\n' "leaves no part of a file"
(ulimit -f 1000; bl cp box:/tmp/noise big; echo "$ST $ERR" > st; ls big >> st 2>&1)
like "$(cat st)" '^125 boxlite: cannot copy to big: cannot write big: File too large'$'\n.*No such file' "one that cannot grow here"
if [ "$root" ]; then
	skip "what may not be read" "root may"
else
	mkdir -m 0 closed; bl cp closed box:/w; fails 125 'closed: Permission denied' "what may not be read"
	bl cp box:/w/file closed/x; fails 125 'Permission denied' "nor written"
fi
mkfifo pipe
head -c 400000000 /dev/zero > zeros # more than goes through in the time until the signal
like "$("$TOP/tests/lib/signal-after.py" INT 0.5 "$B" cp zeros box:/w/int 2> err; cat err)" '^130$' "Ctrl-C"
rm zeros
in_box 'ls /w/int'; is "$ST" 1 "leaves no part of a file in the box"
like "$("$TOP/tests/lib/signal-after.py" TERM 0.1 "$B" cp box:/tmp interrupted 2> err; cat err)" '^(130|143)$' "SIGTERM"
in_box true; result 0 "" "the box goes on"
"$B" cp - box:/tmp < pipe 9>&- & p=$!; exec 9> pipe
wait_for in_box 'grep -l "populated 1" /sys/fs/cgroup/exec-*/cgroup.events | wc -l | grep -q 2'
kill -KILL $p; wait $p 2> /dev/null; exec 9>&-
wait_for in_box 'grep -l "populated 1" /sys/fs/cgroup/exec-*/cgroup.events | wc -l | grep -q 1'
ok $? "a cp that is killed leaves nothing in the box"

# --- a box that does not run ------------------------------------------------------------------------------------------
in_box 'echo keep > /w/keep; sync'
"$B" kill box > /dev/null; was=$(box_status box)
cp "$BOXLITE_HOME/boxes/$(box_id box)/exit.json" exit.was
bl cp box:/w/keep k; result 0 "" "out of a stopped box"
is "$(cat k)" keep "what it has written"
bl cp "${a[@]}" src box:/tmp/again; result 0 "" "and into it"
bl cp "${a[@]}" box:/tmp/again again; same again "a tree there and back"
bl cp box:/nothing .; fails 125 'cannot copy /nothing: No such file' "what is not there"
is "$(box_status box)" "$was" "it is as it was"
cmp "$BOXLITE_HOME/boxes/$(box_id box)/exit.json" exit.was; ok $? "and so is the record of its end"
nothing_runs() { [ -z "$("$TOP/tests/lib/reaper.py" --list)" ]; }
wait_for nothing_runs; ok $? "no machine is left"
# A copy that takes its time, with others beside it.
"$B" cp - box:/tmp < pipe > held.out 2>&1 & held=$!; exec 9> pipe
wait_for test -e "$BOXLITE_HOME/boxes/$(box_id box)/run/box.sock"
is "$(box_status box)" "$was" "during a copy it does not run, either"
bl start box 9>&-; fails 125 "files are being copied from or to box $(box_id box): try again when that is done" "nor is it started"
bl kill box 9>&-; fails 125 "box $(box_id box) does not run" "or killed"
bl exec box true 9>&-; fails 126 'only started to be copied' "nothing can be run in it"
bl rm box 9>&-; fails 125 'runs: with --force' "nor is it removed"
bl cp box:/w/keep k2 9>&-; is "$ST$(cat k2)" 0keep "but copied from"
tar c g >&9; exec 9>&-
wait $held; is "$?$(cat held.out)" 0 "the first copy ends well"
"$B" start box > /dev/null; ok $? "it starts at once after that"
in_box 'cat /tmp/g; ls /tmp/again | wc -l'; result 0 "2"$'\n'"$(ls src | wc -l)"$'\n' "and has it all"
"$B" kill box > /dev/null
"$B" cp - box:/tmp < pipe > held.out 2>&1 & held=$!; exec 9> pipe
wait_for test -e "$BOXLITE_HOME/boxes/$(box_id box)/run/box.sock"
"$B" stop box > /dev/null 9>&-; wait $held; st=$?; exec 9>&-
like "$st $(cat held.out)" '^(125|137) boxlite: .' "a box that is stopped under a copy"
"$B" cp - box:/tmp < pipe > held.out 2>&1 & held=$!; exec 9> pipe
wait_for test -e "$BOXLITE_HOME/boxes/$(box_id box)/run/box.sock"
kill -KILL $held; wait $held 2> /dev/null; exec 9>&-
wait_for nothing_runs; ok $? "a cp that is killed takes its machine with it"
is "$(box_status box)" "$was" "and the box is as it was"
"$B" create --name fresh bb sh -c 'cat /hello' > /dev/null
bl cp g fresh:/hello; result 0 "" "into a box that was never started"
is "$(box_status fresh)" "created null" "which stays so" || diag "$("$B" ps -a)"
bl start -a fresh; result 0 $'2\n' "and finds it when it starts"
"$B" cp - box:/tmp < pipe > held.out 2>&1 & held=$!; exec 9> pipe
wait_for test -e "$BOXLITE_HOME/boxes/$(box_id box)/run/box.sock"
"$B" rm -f box fresh > /dev/null 9>&-; wait $held; st=$?; exec 9>&-
like "$st $(cat held.out)" '^(125|137) boxlite: .' "a box that is removed under a copy"
nothing_left "nothing is left" now
box_done
