# bash completion for boxlite. It asks boxlite itself, so it knows the commands and options of whatever version that is.

_boxlite() {
	local rest=${COMP_LINE:0:COMP_POINT} trimmed word cur keep line i
	local -a words=()

	# bash splits words at ":" and "=", which names of images and --option=value contain: glue together what no
	# blank divides. The last word ends at the cursor.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		trimmed=${rest#"${rest%%[![:blank:]]*}"}
		word=$trimmed
		[ "$i" = "$COMP_CWORD" ] || word=${COMP_WORDS[i]}
		if [ "$i" != 0 ] && [ "$trimmed" = "$rest" ]; then
			words[${#words[@]} - 1]+=$word
		else
			words+=("$word")
		fi
		rest=${trimmed#"$word"}
	done
	cur=${words[${#words[@]} - 1]}
	# Readline replaces what follows the last of those characters, and nothing before it.
	keep=${cur%"${cur##*["$COMP_WORDBREAKS"]}"}

	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:files)
			compopt -o filenames
			mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "${cur##*=}")
			;;
		:folders)
			compopt -o filenames
			mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "${cur##*=}")
			;;
		*)
			line=${line%%$'\t'*}
			[[ $line != *[:=] ]] || compopt -o nospace
			COMPREPLY+=("${line#"$keep"}")
			;;
		esac
	done < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2> /dev/null)
}

complete -F _boxlite boxlite
