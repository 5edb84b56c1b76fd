#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run.sh [BUILD] [N]: compare pluck with its peers on the same work in one run, medians of N (5); the tables go to BUILD/bench*.txt, too
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${1:-$here/../../build} n=${2:-5}
python3 "$here/bench.py" "$build" "$n"
exec python3 "$here/archive.py" "$build" "$n"
