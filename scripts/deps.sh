#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# deps.sh [--check|--install] GROUP...: are the Debian packages of these groups (deps.txt) there?
#   --check    name the missing ones, exit 1 if there are any (the default)
#   --install  install them with apt-get, by sudo when not root; they are named first
set -euo pipefail

list=$(dirname "${BASH_SOURCE[0]}")/deps.txt
install='' groups=()

usage() {
	echo 'usage: deps.sh [--check|--install] GROUP...   groups: build run test fuzz bench' >&2
	exit 2
}

wanted_packages() {
	awk -v groups="$*" '
		BEGIN { n = split(groups, g, " "); for (i = 1; i <= n; i++) want[g[i]] = 1 }
		/^[[:space:]]*(#|$)/ { next }
		{ known[$2] = 1 }
		$2 in want { print $1 }
		END {
			for (w in want)
				if (!(w in known)) {
					print "deps: no group " w > "/dev/stderr"
					exit 2
				}
		}' "$list"
}

missing_packages() {
	local have

	# it fails when it does not know a package: that one is missing
	have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
	awk 'NR == FNR { if ($1 == "installed") have[$2] = 1; next } !($1 in have)' \
		<(printf '%s\n' "$have") <(printf '%s\n' "$@" | sort -u)
}

apt() {
	local as_root=()

	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || return 1
		as_root=(sudo)
		# nobody there to type a password
		[ -t 0 ] || as_root+=(-n)
	fi
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

install_packages() {
	local p known=1

	for p in "$@"; do
		apt-cache show --no-all-versions "$p" >/dev/null 2>&1 || known=''
	done
	# an index that lacks a package, or names a version that the mirror has replaced
	{ [ -n "$known" ] && apt install -y --no-install-recommends "$@"; } ||
		{ apt update && apt install -y --no-install-recommends "$@"; }
}

while [ $# -gt 0 ]; do
	case $1 in
	--check)   install='' ;;
	--install) install=1 ;;
	-*)        usage ;;
	*)         groups+=("$1") ;;
	esac
	shift
done
[ ${#groups[@]} -gt 0 ] || usage

wanted=$(wanted_packages "${groups[@]}") || exit 2
mapfile -t packages <<<"$wanted"
mapfile -t missing < <(missing_packages "${packages[@]}")
[ ${#missing[@]} -gt 0 ] || exit 0

echo "deps: missing: ${missing[*]}" >&2
if [ -n "$install" ]; then
	echo 'deps: installing them' >&2
	if install_packages "${missing[@]}"; then
		exit 0
	fi
	echo 'deps: that did not work' >&2
fi
echo "deps: install them with: apt-get install --no-install-recommends ${missing[*]}" >&2
exit 1
