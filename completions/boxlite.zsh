#compdef boxlite
# zsh completion for boxlite. It asks boxlite itself, so it knows the commands and options of whatever version that is.

_boxlite() {
	local line word
	local -a candidates places

	for line in "${(@f)$("${(Q)words[1]/#\~/$HOME}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2> /dev/null)}"; do
		case $line in
		'') ;;
		:files) _files ;;
		:folders) _files -/ ;;
		*)
			word=${line%%$'\t'*}
			line=${line#*$'\t'}
			line=${word//:/\\:}${line:+:$line}
			# A place in a box goes on after its colon.
			if [[ $word == *[:=] ]]; then
				places+=("$line")
			else
				candidates+=("$line")
			fi
			;;
		esac
	done
	((${#candidates})) && _describe -t values boxlite candidates
	((${#places})) && _describe -t places boxlite places -S ''
}

# As a file in $fpath this is the body of the function; read with `source` it defines it.
if [[ ${funcstack[1]} == _boxlite ]]; then
	_boxlite "$@"
else
	compdef _boxlite boxlite
fi
