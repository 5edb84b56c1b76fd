#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs every check of this folder. Each finding is one line, FILE:LINE: what is wrong.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
failed=()

for check in *.sh; do
	case $check in run.sh|lib.sh) continue ;; esac
	"./$check" || failed+=("${check%.sh}")
done
if [ ${#failed[@]} -gt 0 ]; then
	echo "lint: failed: ${failed[*]}" >&2
	exit 1
fi
echo 'lint: clean'
