# shellcheck shell=bash
# TAP for tests in shell, to be sourced: ok, fails_with, done_testing, and a directory $tmp that goes away at the end.
export LC_ALL=C
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
failed=0

# ok NAME COMMAND...: one test; the output of the command is shown when it fails
ok() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$tmp/out" 2>&1; then
		echo "ok $n - $name"
	else
		failed=1
		echo "not ok $n - $name"
		sed 's/^/# /' "$tmp/out"
	fi
}

# fails_with TEXT COMMAND...: it must fail, and say TEXT
fails_with() {
	local text=$1
	shift
	if ! "$@" >"$tmp/out.cmd" 2>&1 && grep -qF -- "$text" "$tmp/out.cmd"; then
		return 0
	fi
	cat "$tmp/out.cmd"
	return 1
}

done_testing() {
	echo "1..$n"
	exit "$failed"
}
