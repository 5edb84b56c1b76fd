#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Calls that fail (every 7th of each kind; functional/long/fault.t takes all), targets and surroundings that fail.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from faults import Faults, check_surroundings, check_targets
from program import SANITIZED, Scratch
from tap import Tap

if SANITIZED:
    Tap.skip_all("a sanitizer's allocator and one that fails on purpose do not go together")
with Tap() as tap, Scratch() as scratch:
    faults = Faults(tap, scratch, 7, 60)
    faults.calls()
    check_targets(tap, faults)
    check_surroundings(tap, faults)
    faults.rounds(20)
