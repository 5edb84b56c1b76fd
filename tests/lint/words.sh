#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Nothing of one machine, no marks of unfinished work.
. "$(dirname "$0")/lib.sh"

mapfile -t all < <(files '*' | grep -vFx tests/lint/words.sh)
findings=0

# never TEXT REGEX
never() {
	local hits

	hits=$(grep -IHnE -- "$2" "${all[@]}" | cut -d: -f1,2) || return 0
	while read -r at; do
		echo "$at: $1"
	done <<<"$hits"
	findings=1
}

never 'path of one machine' '(^|[^[:alnum:]_.}-])/work/'
never 'mark of unfinished work' '(^|[^[:alnum:]_])(TODO|FIXME|XXX)([^[:alnum:]_]|$)'
never 'name of a package registry' \
	'(pypi|pythonhosted|crates|docker|ghcr|quay|npmjs|golang|rubygems|debian|ubuntu)\.(org|io|com)/(simple|packages|debian|dists|pool|ubuntu)|registry\.[a-z.]+\.[a-z]|deb\.debian\.org|security\.debian\.org|archive\.ubuntu\.com|proxy\.golang\.org|artifactory|nexus\.'
exit "$findings"
