# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion of pluck; a unit test compares it with the command table.
_pluck()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words
	COMPREPLY=()
	case $prev in
	--output-format) words='text json json-pretty jsonl' ;;
	--format) words='plain tar zip pxar' ;;
	--overwrite) words='never always if-newer' ;;
	--backup-type) words='vm ct host' ;;
	--crypt-mode) words='none encrypt sign-only' ;;
	--lock) words='auto require none' ;;
	--jail) words='auto strict reduced' ;;
	--accel) words='auto kvm tcg' ;;
	--log-level) words='err warn info debug' ;;
	--kdf) words='scrypt pbkdf2 none' ;;
	--keyfile|--master-keyfile|--encrypted-keyfile) compopt -o default 2>/dev/null; return ;;
	--disk|--repository|--paths-from|--payload-input) compopt -o default 2>/dev/null; return ;;
	esac
	if [ -z "$words" ]; then
		if [ "$COMP_CWORD" -eq 1 ]; then
			words='list extract stat disks run status stop backup snapshots datastore catalog pxar key version help'
		elif [[ $cur == -* ]]; then
			local vm='--repository --ns --disk --keyfile --keyfd --crypt-mode --require-signature --memory --lock --jail --accel --log-level --idle-timeout --help'
			case ${COMP_WORDS[1]} in
			list) words="$vm --base64 --output-format --quiet --recursive --timeout" ;;
			extract) words="$vm --base64 --devices --format --keep-partial --null --overwrite --path --paths-from --quiet --report --skip-special --zstd" ;;
			stat) words="$vm --base64 --output-format" ;;
			disks) words="$vm --output-format" ;;
			run) words=$vm ;;
			status) words='--repository --ns --disk --output-format' ;;
			stop) words='--repository --ns --disk --all' ;;
			backup) words='--repository --ns --backup-id --backup-type --backup-time --keyfile --keyfd --crypt-mode --quiet --output-format' ;;
			snapshots) words='--repository --ns --output-format' ;;
			catalog) words="dump $vm" ;;
			pxar) words='list extract --payload-input --path --devices --output-format' ;;
			key) words='--kdf --hint --subject --master-keyfile --encrypted-keyfile --output-format' ;;
			version) words='--output-format' ;;
			esac
		else
			compopt -o default 2>/dev/null
			return
		fi
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _pluck pluck
