#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Completions as installed, in real shells: they offer every command, option and value that help tells, and nothing else.
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from program import Pluck, Scratch
from tap import TOP, Tap

OPTION = re.compile(r"  (?:-(.), |    )--([a-z0-9-]+)(?: (\S+))?(?:  .*)?\n")


def help_of(pluck, *command):
    r = pluck.run("help", *command)
    if r.code:
        raise RuntimeError(str(r))
    return r.out.decode()


def commands_of(pluck):
    return re.findall(r"^  ([a-z-]+) ", help_of(pluck), re.M)


def options_of(text):
    """{"--name": what it takes or None}, and short forms."""
    long = {"--" + name: value or None for _, name, value in OPTION.findall(text)}
    return long, {"-" + brief for brief, _, _ in OPTION.findall(text) if brief}


class Terminal:
    """A shell on a terminal of its own, wide enough that no line is broken."""

    def __init__(self, argv, env):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 8000, 0, 0))
        self.child = subprocess.Popen(argv, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.master, self.seen = master, b""

    def send(self, text):
        os.write(self.master, text.encode())

    def wait(self, pattern, seconds=60):
        """Reads until the pattern appears; what came before it is dropped. Return: the match, or None."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.seen, re.S)
            if match:
                self.seen = self.seen[match.end():]
                return match
            if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
                return None
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                return None

    def close(self):
        self.child.kill()
        self.child.wait()
        os.close(self.master)


class Bash:
    """Readline puts all completions into the line; the line then prints its words."""

    def __init__(self, root, env):
        self.term = Terminal(["bash", "--norc", "--noprofile", "-i"],
                             dict(env, XDG_DATA_DIRS=os.path.join(root, "usr/share"), TERM="dumb", PS1="$ ", HISTFILE="/dev/null"))
        self.count = 0
        self.term.send("bind 'set enable-bracketed-paste off'; . /usr/share/bash-completion/bash_completion; printf 'r%sdy\\n' ea\n")
        self.ready = self.term.wait(rb"ready\r?\n") is not None

    def offered(self, line):
        self.count += 1
        self.term.send("%s\x1b*\x01printf '<%%s>' %d-begin \x05 %d-end; echo\n" % (line, self.count, self.count))
        got = self.term.wait(rb"<%d-begin>(.*?)<%d-end>" % (self.count, self.count))
        words = re.findall(r"<(.*?)>", got.group(1).decode()) if got else None
        fixed = line.split(" ")
        return words if words is None else words[len(fixed) - 1:]

    def close(self):
        self.term.close()


class Zsh:
    """What completion gives to compadd is written to a file."""

    SETUP = """PS1='$ '; unsetopt prompt_cr prompt_sp zle_bracketed_paste; unset zle_bracketed_paste
fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D
compadd() { local -a hits; builtin compadd -O hits "$@"; print -rl -- "${hits[@]}" >>$OFFERED; builtin compadd "$@" }
offer() { zle list-choices; print -r -- "<end>" >>$OFFERED; zle kill-whole-line }; zle -N offer; bindkey '^T' offer
zstyle ':completion:*' verbose no; bindkey -e; bindkey '^T' offer; print r"e"ady
"""

    def __init__(self, root, env, scratch):
        self.path = scratch.join("offered")
        functions = os.path.join(root, "usr/share/zsh/site-functions")
        self.term = Terminal(["zsh", "-f", "-i"], dict(env, OFFERED=self.path, TERM="dumb"))
        setup = scratch.join("setup.zsh")
        with open(setup, "w", encoding="utf-8") as f:
            f.write(self.SETUP % functions)
        self.term.send(". %s\n" % setup)
        self.ready = self.term.wait(rb"ready\r?\n") is not None

    def offered(self, line):
        with open(self.path, "w", encoding="utf-8"):
            pass
        self.term.send(line + "\x14")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self.term.wait(rb"^$", 0.05)
            with open(self.path, encoding="utf-8") as f:
                words = f.read().split("\n")
            if "<end>" in words:
                return [w for w in words[:words.index("<end>")] if w]
        return None

    def close(self):
        self.term.close()


def check_shell(tap, pluck, shell, name, files):
    tap.ok(shell.ready, name + " loads the completion")
    commands = commands_of(pluck)
    tap.equal(sorted(set(shell.offered("pluck ") or [])), sorted(commands), name + ": all commands")
    tap.equal(sorted(set(shell.offered("pluck st") or [])), ["stat", "status", "stop"], name + ": those that begin with st")
    for command in commands:
        if command == "help":
            tap.equal(sorted(set(shell.offered("pluck help ") or [])), sorted(commands), name + ": what there is help for")
            continue
        text = help_of(pluck, command)
        options, _ = options_of(text)
        tap.equal(sorted({w.rstrip("=") for w in shell.offered("pluck %s --" % command) or []}), sorted(list(options) + ["--help"]),
                  "%s: all options of %s" % (name, command))
        for option, value in options.items():
            if value and "|" in value:
                tap.equal(sorted(set(shell.offered("pluck %s %s " % (command, option)) or [])), sorted(value.split("|")),
                          "%s: values of %s %s" % (name, command, option))
    tap.equal(sorted({w.rpartition("=")[2] for w in shell.offered("pluck list --output-format=js") or []}), ["json", "json-pretty", "jsonl"],
              name + ": values behind an equals sign")
    tap.equal(sorted(set(shell.offered("pluck key ") or [])),
              ["change-passphrase", "create", "import-with-master-key", "info", "paper"], name + ": what key does")
    for line in ("pluck extract --report ", "pluck list --disk ", "pluck list --disk x="):
        seen = shell.offered(line + os.path.join(files, "disk"))
        tap.equal(sorted({os.path.basename(w) for w in seen or []} & set(os.listdir(files))), ["disk-a.img", "disk-b.img"], "%s: files behind '%s'" % (name, line))


def check_manual(tap, pluck, root):
    """The manual page renders without a warning, and names no option that is not there."""
    page = os.path.join(root, "usr/share/man/man1/pluck.1")
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    tap.ok(done.returncode == 0 and not done.stdout, "the manual page has no mistakes", done.stdout)
    done = subprocess.run(["groff", "-man", "-Tascii", "-P-c", "-rLL=1000n", page], stdout=subprocess.PIPE, check=True)
    text = re.sub(r".\x08", "", done.stdout.decode())
    prose, _, per_command = text.partition("\nOPTIONS OF EACH COMMAND\n")
    per_command, _, rest = per_command.partition("\nTHE OTHER NAME\n")
    known = {"--help", "--version", "--name"}			# the last stands for any
    for command in commands_of(pluck):
        options, _ = options_of(help_of(pluck, command))
        known |= set(options)
        tap.ok(re.search(r"^ +%s\b" % command, prose, re.M), "the manual page describes the command " + command)
        listed = re.search(r"^ {7}%s \[OPTIONS\].*?(?=^ {7}\S|\Z)" % command, per_command, re.M | re.S)
        seen = re.findall(r"(?<!\S)(--[a-z0-9-]+)", listed.group().split("\n", 1)[1]) if listed else None
        tap.equal(sorted(seen or []), sorted(options), "and lists its options")
    named = set(re.findall(r"--[a-z][a-z0-9-]+", prose + rest))
    tap.equal(sorted(known - named), [], "every option is described")
    tap.equal(sorted(named - known), [], "and no other")


with Tap() as tap, Scratch() as scratch, Pluck(scratch) as pluck:
    root = scratch.join("root")
    bin_dir = os.path.join(root, "usr/bin")
    subprocess.run(["make", "-C", TOP, "install-docs", "DESTDIR=" + root, "PREFIX=/usr"], check=True, stdout=subprocess.DEVNULL)
    os.makedirs(bin_dir)
    os.symlink(pluck.program, os.path.join(bin_dir, "pluck"))
    files = scratch.new_dir("files")
    for name in ("disk-a.img", "disk-b.img", "other"):
        with open(os.path.join(files, name), "wb"):
            pass
    env = dict(pluck.env, PATH=bin_dir + ":" + os.environ["PATH"], HOME=files)
    check_manual(tap, pluck, root)
    bash = Bash(root, env)
    check_shell(tap, pluck, bash, "bash", files)
    bash.close()
    if shutil.which("zsh"):
        zsh = Zsh(root, env, scratch)
        check_shell(tap, pluck, zsh, "zsh", files)
        zsh.close()
    else:
        tap.skip("zsh", "it is not installed")
