#!/bin/bash
# What the shells offer at the end of a line. All of them ask boxlite, so most is tested there, and of each shell that it
# asks right and shows what it is told.
. "$(dirname "$0")/../box/common.sh"
make_home
"$B" create --name web bb > /dev/null
id=$(box_id web)
export PATH=$O/bin:$PATH
mkdir work work/folder
touch work/file.tar
cd work || exit 1

# asked WANTED WORD...: what boxlite says may stand in the place of the last word, without what it is.
asked() {
	local wanted=$1
	shift
	is "$("$B" __complete "$@" 2>&1 | cut -f1 | tr '\n' ' ')" "$wanted" "boxlite $* ..."
}
asked "start stop stats " st
asked "start stats " --debug sta
asked "--home --help " --h
asked ":folders " --home ""
asked ":folders " --home=/x
asked "web " start w
asked "$id " start "${id:0:5}"
asked "web " --home "$BOXLITE_HOME" rm ""
asked "" --home "$T/nowhere" rm ""
[ ! -e "$T/nowhere" ]; ok $? "and no home is made"
asked "bb:latest " run ""
asked "bb:latest " run -it --name x -m 1g --rm ""
asked "bb:latest " run --timing ""
asked "bb:latest " run -- ""
asked "" run bb ""
asked "" run bb -
asked "" run --name ""
asked "--env --entrypoint --engine " run --en
asked "auto kvm qemu " run --engine ""
asked "--engine=kvm " run --engine=k
asked "--timing=kernel " run --timing=
asked "web " exec -it -e A=b ""
asked "" exec web ""
asked "web " rename ""
asked "" rename web ""
asked "web " stop web web ""
asked "" stop -t ""
asked "HUP " kill -s H
asked ":files " load ""
asked ":files " load -i ""
asked "" load x ""
asked "bash zsh fish " completion ""
asked "start stop stats " help st
asked "" nonesuch ""
asked "--time --help " stop -
asked "--filter --format " ls --f
line=$("$B" __complete rm w)
is "$line" "web"$'\t'"bb:latest, not running" "with what it is"
"$B" __complete; is $? 125 "no word, no answer"

# --- the shells --------------------------------------------------------------------------------------------

# The words as readline has them, divided at ":" and "=", too; then the variables that a completion gets.
in_bash() {
	bash --norc -c 'source <(boxlite completion bash); compopt() { :; }
		mapfile -t COMP_WORDS < <(grep -oE "[:=]+|[^[:blank:]:=]+" <<< "$1")
		[[ $1 != *" " ]] || COMP_WORDS+=("")
		COMP_LINE=$1 COMP_POINT=${#1} COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		$(complete -p boxlite | sed "s/.*-F \([^ ]*\).*/\1/")
		echo "${COMPREPLY[*]}"' - "$1" 2>&1
}
# The functions with which zsh shows candidates print them here, with @ for a colon.
in_zsh() {
	zsh -f -c 'compdef() { :; }; _files() { print -r -- "files$1"; }
		_describe() { local -a c=("${(@P)4}"); c=("${(@)c//\\:/@}"); print -r -- "${(@)c%%:*}"; }
		source <(boxlite completion zsh)
		words=(${(z)1}); [[ $1 != *" " ]] || words+=(""); CURRENT=$#words PREFIX=$words[-1]; _boxlite' - "$1" 2>&1
}
in_fish() { fish --no-config -c 'boxlite completion fish | source; complete -C $argv[1]' "$1" 2>&1 | cut -f1 | sort | xargs; }

is "$(in_bash 'boxlite st')" "start stop stats" "bash: commands"
is "$(in_bash 'boxlite run --engine k')" kvm "bash: a value"
is "$(in_bash 'boxlite run --engine=k')" kvm "bash: a value after =, which readline leaves alone"
is "$(in_bash 'boxlite run b')" bb:latest "bash: an image"
is "$(in_bash 'boxlite run bb:')" latest "bash: an image with its colon"
is "$(in_bash 'boxlite  run   bb:la')" latest "bash: and more"
is "$(in_bash 'boxlite rm w')" web "bash: a box"
is "$(in_bash 'boxlite load fi')" file.tar "bash: a file"
is "$(in_bash 'boxlite --home f')" folder "bash: a folder"

is "$(in_zsh 'boxlite ren')" "rename" "zsh: a command"
is "$(in_zsh 'boxlite st')" "start stop stats" "zsh: commands"
is "$(in_zsh 'boxlite run --engine=k')" "--engine=kvm" "zsh: a value"
is "$(in_zsh 'boxlite run b')" "bb@latest" "zsh: an image with a colon"
is "$(in_zsh 'boxlite rm w')" "web" "zsh: a box"
is "$(in_zsh 'boxlite load f')" "files" "zsh: a file"
is "$(in_zsh 'boxlite --home f')" "files-/" "zsh: a folder"

is "$(in_fish 'boxlite st')" "start stats stop" "fish: commands"
is "$(in_fish 'boxlite run --engine=k')" "--engine=kvm" "fish: a value"
is "$(in_fish 'boxlite run bb:')" "bb:latest" "fish: an image"
is "$(in_fish 'boxlite rm w')" web "fish: a box"
is "$(in_fish 'boxlite load fi')" "file.tar" "fish: a file"
is "$(in_fish 'boxlite --home fo')" "folder/" "fish: a folder"

bl completion; fails 125 "which shell" "completion of nothing"
bl completion ksh; fails 125 "none for 'ksh'" "completion of a shell that has none"
for s in bash zsh fish; do
	"$B" completion $s | cmp - "$TOP/completions/boxlite.$s"
	ok $? "completion $s prints its script"
done
bl help; all=$OUT
is "$ST $(grep -c __complete <<< "$all")" "0 0" "help, without what is not for people"
bl --help; is "$OUT" "$all" "--help says the same"
bl help rename; one=$OUT; bl rename --help; is "$OUT" "$one" "help rename is rename --help"
bl help nonesuch; fails 125 "no command 'nonesuch'" "help of what there is not"
bl help a b; fails 125 "too much" "help of two"
box_done
