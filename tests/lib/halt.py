# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts a command and halts a program that it starts, before that has run its first instruction: so a test can choose who is faster."""

import ctypes
import os
import signal

from program import cmdline

TRACEME, CONT, DETACH, SETOPTIONS = 0, 7, 17, 0x4200
TRACE_FORK_AND_EXEC = 0x02 | 0x04 | 0x10
EVENT_EXEC = 4
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(what, pid=0, data=0):
    if libc.ptrace(what, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def is_possible():
    """May we trace our own children?"""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if libc.ptrace(TRACEME, 0, None, None) == 0 else 1)
    return os.waitpid(pid, 0)[1] == 0


def release(pid):
    """A traced process goes on, untraced. It must stop for that, which is not seen by anybody."""
    os.kill(pid, signal.SIGSTOP)
    while True:
        try:
            _, status = os.waitpid(pid, WALL)
        except ChildProcessError:
            return
        if not os.WIFSTOPPED(status):
            return
        sig = os.WSTOPSIG(status)
        if status >> 16 == 0 and sig == signal.SIGSTOP:
            ptrace(DETACH, pid)
            return
        ptrace(CONT, pid, 0 if status >> 16 or sig == signal.SIGTRAP else sig)


def start(pluck, args, word, **kw):
    """
    A command, of which only the program with this word among its arguments does not run: it waits for SIGCONT.
    The caller has no other children that end meanwhile.
    Return: (the command, from popen(); pid of the program, None if the command ended without starting it)
    """
    child = pluck.popen(*args, preexec_fn=lambda: ptrace(TRACEME), **kw)
    traced, halted, begun = {child.pid}, None, False
    while traced and not halted:
        pid, status = os.waitpid(-1, WALL)
        if not os.WIFSTOPPED(status):
            traced.discard(pid)
            if pid == child.pid:
                child.returncode = os.waitstatus_to_exitcode(status)
            continue
        traced.add(pid)
        event, sig = status >> 16, os.WSTOPSIG(status)
        if not begun:
            ptrace(SETOPTIONS, pid, TRACE_FORK_AND_EXEC)
            begun = True
        if event == EVENT_EXEC and word in cmdline(pid).split():
            halted = pid
            # Pending when it is let go: nothing of the program runs.
            os.kill(pid, signal.SIGSTOP)
            ptrace(DETACH, pid)
        else:
            # New children and programs stop by themselves; that is no signal of theirs.
            ptrace(CONT, pid, 0 if event or sig in (signal.SIGTRAP, signal.SIGSTOP) else sig)
    for pid in traced - {halted}:
        release(pid)
    return child, halted
