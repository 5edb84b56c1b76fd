# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion of pluck. Commands, options and their values are those that "pluck help" tells.

# What option $2 of the command whose help is $1 takes: the word behind its name, nothing if it takes none.
_pluck_value()
{
	sed -n "s/^  \(-., \|    \)$2 \([^ ][^ ]*\).*/\2/p" <<<"$1"
}

_pluck()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} pluck=${COMP_WORDS[0]/#\~/$HOME} text value='' words=''
	COMPREPLY=()
	if [ "$cur" = = ]; then
		cur=''
	elif [ "$prev" = = ]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	if [ "$COMP_CWORD" -eq 1 ] || [ "${COMP_WORDS[1]}" = help ]; then
		words=$("$pluck" help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *.*/\1/p')
	else
		text=$("$pluck" help "${COMP_WORDS[1]}" 2>/dev/null) || return
		case $prev in
		--*) value=$(_pluck_value "$text" "$prev") ;;
		esac
		case $value in
		*\|*) words=${value//|/ } ;;
		*FILE|DIR|PEM) compopt -o default; return ;;
		?*) return ;;
		*)
			if [[ $cur == -* ]]; then
				words=$(sed -n 's/^  \(-., \|    \)\(--[a-z0-9-]*\).*/\2/p' <<<"$text"; echo --help)
			elif [ "$COMP_CWORD" -eq 2 ]; then
				words=$(sed -n '1s/usage: pluck [a-z-]*//p' <<<"$text" | tr ' |' '\n\n' | grep -x '[a-z][a-z-]*')
			fi
			[ -n "$words" ] || { compopt -o default; return; }
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _pluck pluck
