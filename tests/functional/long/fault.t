#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Every single call that can fail, in the command and in the session; and many sessions.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from faults import Faults
from program import Scratch
from tap import Tap

# Seconds for the calls; each kind gets its share, and its test says how far it came.
SECONDS = int(os.environ.get("PLUCK_FAULT_SECONDS", "7200"))

with Tap() as tap, Scratch() as scratch:
    faults = Faults(tap, scratch, 1, SECONDS)
    faults.calls()
    faults.starting()
    faults.rounds(200)
