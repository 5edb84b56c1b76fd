#!/bin/sh
# Runs the unit test programs and replays the fuzz corpora. usage: run-unit.sh BUILD
set -u
build=$1
top=$(cd "$(dirname "$0")" && pwd)
passed=0
failed=0

run() {
	if "$@" >"$build/unit.log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $*"
		cat "$build/unit.log"
	fi
}

for t in "$build"/unit/test_*; do
	[ -x "$t" ] && [ -f "$top/unit/$(basename "$t").c" ] && run "$t"
done
for t in "$build"/fuzz/replay_*; do
	name=${t##*/replay_}
	[ -f "$top/fuzz/fuzz_$name.c" ] || continue
	run "$t" "$top/fuzz/corpus/$name"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
