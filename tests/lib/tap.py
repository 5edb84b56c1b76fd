# SPDX-License-Identifier: GPL-2.0-or-later
"""TAP output for the functional tests: prove reads it."""

import os
import sys
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tap:
    """Numbers the tests of one script. Use as a context: an exception inside becomes a failed test."""

    def __init__(self):
        self.count = 0
        self.failed = 0
        self.start = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is SystemExit:
            return False
        if kind is not None:
            self.ok(False, "the script runs to its end")
            self.diag("".join(traceback.format_exception(kind, value, trace)))
        print("1..%d" % self.count, flush=True)
        if kind is KeyboardInterrupt:
            sys.exit(130)
        sys.exit(1 if self.failed else 0)

    @staticmethod
    def diag(text):
        for line in str(text).splitlines():
            print("# " + printable(line), flush=True)

    def ok(self, good, name, *notes):
        """One test. Notes are printed when it fails."""
        self.count += 1
        if not good:
            self.failed += 1
        print("%sok %d - %s" % ("" if good else "not ", self.count, printable(name).replace("#", "\\#")), flush=True)
        if not good:
            for note in notes:
                self.diag(note)
        return bool(good)

    def equal(self, seen, want, name, *notes):
        return self.ok(seen == want, name, "seen: %r" % (seen,), "want: %r" % (want,), *notes)

    def skip(self, name, reason):
        self.count += 1
        print("ok %d - %s # SKIP %s" % (self.count, printable(name), printable(reason)), flush=True)

    @staticmethod
    def skip_all(reason):
        print("1..0 # SKIP %s" % printable(reason), flush=True)
        sys.exit(0)


def printable(text):
    """Text that cannot upset a terminal: foreign names appear in notes."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def test_data(variable, name):
    """Directory of optional test data, or None: $VARIABLE, else ../shared/NAME beside the project."""
    path = os.environ.get(variable) or os.path.join(os.path.dirname(TOP), "shared", name)
    return path if os.path.isdir(path) else None
