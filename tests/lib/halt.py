# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts a command and halts a process that it starts, before that has run its first instruction: so a test can choose who is faster."""

import ctypes
import os
import signal

from program import cmdline, parent_of

TRACEME, CONT, DETACH, SETOPTIONS = 0, 7, 17, 0x4200
TRACE_FORK_AND_EXEC = 0x02 | 0x04 | 0x10
EVENT_FORK, EVENT_EXEC = 1, 4
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


def release(pid, waits, stays):
    """A traced process goes on, untraced. It must stop for that, which nobody sees, unless it stays so. waits: it waits for us already."""
    os.kill(pid, signal.SIGSTOP)
    if waits:
        ptrace(CONT, pid)
    while True:
        try:
            _, status = os.waitpid(pid, WALL)
        except ChildProcessError:
            return
        if not os.WIFSTOPPED(status):
            return
        sig = os.WSTOPSIG(status)
        if status >> 16 == 0 and sig == signal.SIGSTOP:
            ptrace(DETACH, pid, sig if stays else 0)
            return
        ptrace(CONT, pid, 0 if status >> 16 or sig == signal.SIGTRAP else sig)


def is_role(role):
    """For start(): the program of this role."""
    return lambda words, born: not born and words[1:2] == [role]


def is_child_of(program):
    """For start(): what this program forks. The program itself is halted, too."""
    return lambda words, born: born and os.path.basename(words[0]) == program


def start(pluck, args, is_it, **kw):
    """
    A command, of which only the first process for which is_it(words of its command line, was it just forked?) is true does not run: it waits
    for SIGCONT. The caller has no other children that end meanwhile.
    Return: (the command, from popen(); pid of the process, None if the command ended without starting it)
    """
    child = pluck.popen(*args, preexec_fn=lambda: ptrace(TRACEME), **kw)
    traced, forking, halted, maker, begun = {child.pid}, set(), None, None, False
    while traced and not halted:
        pid, status = os.waitpid(-1, WALL)
        if not os.WIFSTOPPED(status):
            traced.discard(pid)
            if pid == child.pid:
                child.returncode = os.waitstatus_to_exitcode(status)
            continue
        event, sig, born = status >> 16, os.WSTOPSIG(status), pid not in traced
        traced.add(pid)
        if not begun:
            ptrace(SETOPTIONS, pid, TRACE_FORK_AND_EXEC)
            begun = True
        if event == EVENT_FORK and is_it(cmdline(pid).split() or [""], True):
            forking.add(pid)
        elif (born or event == EVENT_EXEC) and is_it(cmdline(pid).split() or [""], born):
            halted, maker = pid, parent_of(pid) if born else None
            # Pending when it is let go: nothing of it runs.
            os.kill(pid, signal.SIGSTOP)
            ptrace(DETACH, pid)
        else:
            # New children and programs stop by themselves; that is no signal of theirs.
            ptrace(CONT, pid, 0 if event or sig in (signal.SIGTRAP, signal.SIGSTOP) else sig)
    for pid in traced - {halted}:
        release(pid, pid in forking, pid == maker)
    return child, halted
