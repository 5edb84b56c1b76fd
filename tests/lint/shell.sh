#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every script, looked at by shellcheck.
. "$(dirname "$0")/lib.sh"

command -v shellcheck >/dev/null || { echo 'shellcheck is not installed (scripts/deps.sh --install test)'; exit 1; }
mapfile -t scripts < <(files '*' | while read -r f; do
	if head -c 64 "$f" | head -n 1 | tr -d '\0' | grep -qE '^#!.*[/ ](ba)?sh( |$)'; then printf '%s\n' "$f"; fi
done)
shellcheck -x --severity=warning --exclude=SC1091 --format=gcc tests/lint/lib.sh tests/lib/tap.sh "${scripts[@]}"
