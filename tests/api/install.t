#!/bin/bash
# The installed tree: programs built with its pkg-config file run boxes, `boxlite` does, and what was installed is found,
# wherever the tree is. (Under a sanitizer the programs would need its run time, too.)
. "$(dirname "$0")/../box/common.sh"
[ "${V:-release}" = release ] || skip_all "only in the release variant"
make_home

# Of the make that runs the tests this one is to know nothing.
unset MAKEFLAGS MFLAGS MAKELEVEL
# installed ARG...: make install (of what is built: -o all) or uninstall.
installed() { make --no-print-directory -C "$TOP" -o all O="$O" V=release DESTDIR="$T/dest" "$@" > "$T/log" 2>&1; }
files() { (cd "$T/dest" && find . ! -type d | sort); }

installed install
is "$? $(grep -v scripts/install "$T/log")" "0 " "make install"
tree=$T/dest/usr/local
is "$(readlink -f "$tree/lib/libboxlite.so")" "$(readlink -f "$tree/lib/libboxlite.so.0")" "the library has its links"
is "$(objdump -p "$tree/lib/libboxlite.so" | awk '$1 == "SONAME" { print $2 }')" libboxlite.so.0 "and its soname"
is "$(nm -D --defined-only "$tree/lib/libboxlite.so" | awk '$2 != "A" { print $3 }' | grep -vc '^boxlite_')" 0 \
  "it exports boxlite_* only"
is "$(nm -g --defined-only "$tree/lib/libboxlite.a" | awk 'NF == 3 { print $3 }' | grep -vc '^boxlite_')" 0 \
  "so does the static one"
is "$(find "$tree" -type f -perm /022)$(find "$tree" -type f ! -perm -444)" "" "readable by all, writable by the owner"
for page in man1/boxlite.1 man1/boxlite-run.1 man1/boxlite-create.1 man3/libboxlite.3 man3/boxlite_process_write.3; do
	# A page that is about several names has its text once.
	text=$(cd "$tree/share/man" && mandoc "$page" 2>&1 | col -b)
	like "$text" "NAME" "manual page $page"
done

# --- programs that use it ----------------------------------------------------------------------------------

export PKG_CONFIG_PATH=$tree/lib/pkgconfig
is "$(pkg-config --modversion boxlite)" "$("$B" --version | cut -d' ' -f2)" "pkg-config knows it"
make --no-print-directory -C "$TOP/examples" OUT="$T" CFLAGS='-O2 -Wall -Wextra -pedantic -Wshadow -Werror' > log 2>&1
is "$? $(grep -v ^cc log)" "0 " "the examples are built"
for e in "$TOP"/examples/*.c; do
	[ -x "$T/$(basename "$e" .c)" ]; ok $? "so is $(basename "$e")"
done
export LD_LIBRARY_PATH=$tree/lib

timeout 60 ./run bb sh -c 'echo out; echo err >&2; exit 3' > out 2> err
is "$? $(cat out) $(cat err)" "3 out err" "run"
timeout 60 ./run bb nonesuch > out 2> err
is "$? $(cat out)" "127 " "run: no such program"
like "$(cat err)" "nonesuch.*not found" "and it says so"
timeout 60 ./run nonesuch true > out 2> err
is "$? $(cat out)$(cat err)" "125 run: no image docker.io/library/nonesuch:latest here" "run: no such image"
nothing_left "run leaves nothing" now

is "$(timeout 60 ./exec bb 'cat > f; pwd' 'cat f; exit 4' true 2>&1)" $'/tmp\n-> 0\na line of input\n-> 4\n-> 0' "exec"
nothing_left "exec leaves nothing" now

timeout 120 ./epoll bb 3 'echo begin; sleep 0.5; echo end; exit 5' > out 2>&1
is "$?" 5 "epoll"
for i in 0 1 2; do
	is "$(grep -E "^$i: (begin|end|command)" out)" "$i: begin"$'\n'"$i: end"$'\n'"$i: command ended with 5" "its box $i"
done
is "$(grep -c 'hostname ended with 0' out) $(grep -cE '^[012]: [0-9a-f]{12}$' out)" "3 3" "and a second process in each"
nothing_left "epoll leaves nothing" now
env --default-signal=INT timeout --foreground 120 ./epoll bb 2 'trap "echo bye; exit 7" INT; echo ready; while :; do sleep 0.1; done' > out 2>&1 &
p=$!
wait_for grep -q "0: ready" out
wait_for grep -q "1: ready" out
pkill -INT -P $p
wait $p
is "$? $(grep -c bye out)" "7 2" "epoll: Ctrl-C reaches all"
nothing_left "and leaves nothing" now

cc "$TOP/examples/run.c" -I "$tree/include" "$tree/lib/libboxlite.a" $(pkg-config --static --libs-only-l boxlite | sed 's/-lboxlite//') \
  -o static > log 2>&1
is "$? $(cat log)" "0 " "a program with the static library is built"
is "$(env -u LD_LIBRARY_PATH BOXLITE_LIBEXEC="$tree/libexec/boxlite" BOXLITE_GUEST="$tree/share/boxlite/guest" \
  timeout 60 ./static bb echo hello 2>&1)" hello "and runs a box"
unset LD_LIBRARY_PATH

# --- the command -------------------------------------------------------------------------------------------

B=$tree/bin/boxlite
run bb echo hello; result 0 "hello"$'\n' "the installed boxlite runs a box"
for part in boxlite-shim boxlite-vmm kernel; do
	bl doctor --json
	like "$(jq -r ".[] | select(.id == \"$part\") | .what" <<< "$OUT")" "^$tree/" "with the installed $part"
done
mv dest/usr/local moved
B=$T/moved/bin/boxlite
run bb echo hello; result 0 "hello"$'\n' "also where the tree was moved to"
mv moved dest/usr/local
B=$tree/bin/boxlite

# --- once more, and away -----------------------------------------------------------------------------------

before=$(files)
echo /usr/local/bin/boxlite-old >> "$tree/share/boxlite/files"
touch "$tree/bin/boxlite-old"
installed install
is "$? $(files)" "0 $before" "installing over another version leaves nothing of that one"
echo keep > "$tree/bin/other"
installed uninstall
is "$? $(files)" "0 ./usr/local/bin/other" "make uninstall leaves nothing but what is not ours"
is "$(find "$T/dest" -name '*boxlite*')" "" "and no folder of ours"
installed uninstall
[ $? != 0 ] && grep -q "nothing is installed" "$T/log"
ok $? "there is nothing to uninstall then" || diag "$(cat "$T/log")"

triplet=/usr/lib/$(cc -dumpmachine)
rm -rf dest
installed install PREFIX=/usr LIBDIR="$triplet"
is "$?" 0 "in the folders of a distribution"
B=$T/dest/usr/bin/boxlite
run bb echo hello; result 0 "hello"$'\n' "boxlite runs a box there, too"
is "$(PKG_CONFIG_PATH=$T/dest$triplet/pkgconfig pkg-config --variable=libdir boxlite | xargs realpath)" "$T/dest$triplet" "pkg-config"
installed uninstall PREFIX=/usr LIBDIR="$triplet"
is "$? $(files)" "0 " "and away"
installed install LIBDIR=/opt/lib
like "$? $(cat "$T/log")" "^[^0].*LIBDIR=/opt/lib: the library would not find" "a LIBDIR that would not work is refused"
is "$(files)" "" "before anything is installed"
B=$O/bin/boxlite
nothing_left "nothing is left"
box_done
