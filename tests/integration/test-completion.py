#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Completion of pmemctl's command lines in real shells, against a real pmemd."""

import errno
import json
import os
import pty
import re
import select
import subprocess
import unittest

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
COMPLETION = os.path.join(HERE, "..", "..", "client", "completion")

# What readline does before it calls the function, and after: words are broken, what is put in follows the last break.
BASH = r"""
source "$1" || exit 1
COMP_LINE=$2 COMP_POINT=${#2}
complete -p pmemctl >/dev/null || exit 1
function=$(complete -p pmemctl | sed 's/.*-F \([^ ]*\) .*/\1/')
"$function" pmemctl
printf '%s\n' "${COMPREPLY[@]}"
"""

# The matches that are added, as zsh filters them; then the line as it became.
ZSH = r"""
PS1='' PS2='' fpath=($1 $fpath)
autoload -Uz compinit && compinit -u -D
compadd() { local -a found; builtin compadd -O found "$@"; print -rl -- $found >>$2; builtin compadd "$@" }
finish() { zle complete-word; print -r -- "LINE $BUFFER" >>$2; exit }
zle -N finish
bindkey "^I" finish
print rea""dy
"""


def read_until(terminal, pattern):
    """All that the terminal shows up to the pattern; None: to its end."""
    text = b""
    while pattern is None or not re.search(pattern, text):
        if not select.select([terminal], [], [], harness.PATIENCE)[0]:
            raise harness.HarnessError(f"nothing more after {text}")
        try:
            piece = os.read(terminal, 4096)
        except OSError as e:
            # What a terminal says when nobody has it open any more.
            if e.errno != errno.EIO or pattern is not None:
                raise
            piece = b""
        if not piece:
            break
        text += piece
    return text


class Completion(unittest.TestCase):
    """The same in both shells: complete(line) gives what may stand for the last word."""

    @classmethod
    def setUpClass(cls):
        cls.host = host = harness.Host().__enter__()
        cls.addClassCleanup(host.__exit__)
        for arguments in ("allocate-mgmt", "256M", "--name=pool0"), ("allocate-data", "16M", "--name=guest0"), \
                         ("allocate-data", "16M", "--name=guest1"), ("allocate-data", "16M"):
            assert host.ctl(*arguments).status == 0
        cls.lists = host.ctl("list", "--json").json()
        cls.uuids = {region["uuid"] for region in cls.lists["mgmt"] + cls.lists["data"]}
        # Found by its name, as users have it.
        cls.environment = {**os.environ, "PMEMCTL_BUS": host.bus.address,
                           "PATH": os.path.dirname(os.environ["PMEMCTL_EXE"]) + ":" + os.environ["PATH"]}

    def check(self, line, *expected):
        self.assertEqual(set(self.complete(line)), set(expected), line)

    def verbs(self):
        return self.host.ctl("list-cmds").out.split()

    def options(self, verb):
        return self.host.ctl("list-cmds", verb).out.split()


class Both:
    def test_verbs(self):
        self.check("pmemctl ", *self.verbs())
        self.check("pmemctl set", "setup-mgmt", "setup-data", "set-owner")
        self.check("pmemctl --json --bus=system rel", "release")
        self.check("pmemctl help allo", "allocate-mgmt", "allocate-data")
        self.check("pmemctl plan ", "setup-mgmt", "setup-data", "allocate-mgmt", "allocate-data")
        self.check("pmemctl nothing ")

    def test_options(self):
        self.check("pmemctl allocate-data -", *self.options("allocate-data"))
        self.check("pmemctl plan allocate-data --a", "--alignment=")
        self.check("pmemctl -", *self.options("help"))
        self.check("pmemctl list --no", "--no-legend", "--no-color", "--no-ask-password")

    def test_regions(self):
        self.check("pmemctl release ", "pool0", "guest0", "guest1", "pool0/guest0", "pool0/guest1", *self.uuids)
        self.check("pmemctl show gu", "guest0", "guest1")
        self.check("pmemctl show " + sorted(self.uuids)[0][:12], sorted(self.uuids)[0])
        data = {region["uuid"] for region in self.lists["data"]}
        self.check("pmemctl domain-xml ", "guest0", "guest1", "pool0/guest0", "pool0/guest1", *data)
        self.check("pmemctl show pool0/", "pool0/guest0", "pool0/guest1")
        self.check("pmemctl show pool0/guest1", "pool0/guest1")
        self.check("pmemctl qemu-args --label-size=0 gu", "guest0", "guest1")
        self.check("pmemctl release guest0 --wait ")
        self.check("pmemctl rename guest0 ")
        self.check("pmemctl set-owner guest0 nobo", "nobody")
        self.check(f"pmemctl --bus={self.host.bus.address} show po", "pool0", "pool0/guest0", "pool0/guest1")
        self.check(f"pmemctl --bus {self.host.bus.address} show po", "pool0", "pool0/guest0", "pool0/guest1")
        # Nobody is asked where nobody is, or where ssh might ask back.
        self.check("pmemctl --bus=unix:path=/nonexistent show ")
        self.check("pmemctl -H somewhere show ")

    def test_values(self):
        self.check("pmemctl list --format=", *self.values("--format=", "table", "json", "xen-ndctl"))
        self.check("pmemctl list --format x", "xen-ndctl")
        self.check("pmemctl metrics --format o", "openmetrics")
        self.check("pmemctl setup-mgmt 1 2 --profile=l", *self.values("--profile=", "linux"))
        pool = self.lists["mgmt"][0]["uuid"]
        self.check("pmemctl allocate-data 1G --mgmt=", *self.values("--mgmt=", "pool0", pool))
        self.check("pmemctl allocate-data 1G --node ", "3", "4")
        self.check("pmemctl adopt x --owner nobo", "nobody")
        self.check("pmemctl attach guest0 --owner nobo")
        self.check("pmemctl domain-xml guest0 --node ")
        self.check("pmemctl list --columns=name,extent_s", *self.values("--columns=name,", "extent_start"))

    def test_columns_of_locate(self):
        keys = set(json.loads(self.host.ctl("--json", "locate", "0").out)["locations"][0])
        self.assertEqual(keys, set(self.complete("pmemctl locate 0 --columns ")))
        self.check("pmemctl locate --fr", "--frames")

    def test_pool(self):
        self.check("pmemctl pool ", "disable", "enable", "list")
        self.check("pmemctl pool enable ", "pool0", self.lists["mgmt"][0]["uuid"])
        with open(os.path.join(HERE, "..", "..", "proto", "pmemctl.schema.json"), encoding="utf-8") as file:
            keys = set(json.load(file)["definitions"]["libvirt-pool"]["required"])
        self.assertEqual(keys, set(self.complete("pmemctl pool list --columns ")))

    def test_export(self):
        pool = self.lists["mgmt"][0]["uuid"]
        self.check("pmemctl export ", "pool0", pool)
        self.check("pmemctl import --a", "--apply")
        path = os.path.join(self.host.folder, "backup.json")
        self.assertEqual(self.host.ctl("export", "--output=" + path).status, 0)
        self.assertIn(path if isinstance(self, Bash) else os.path.basename(path), self.complete(f"pmemctl import {path[:-5]}"))
        self.check("pmemctl import x --map raw0=", "raw0", "raw1")
        keys = set(json.loads(self.host.ctl("--json", "import", path).out)["import"]["regions"][0])
        self.assertEqual(keys, set(self.complete("pmemctl import x --columns ")))

    def test_columns_are_those_of_lists(self):
        keys = set()
        for rows in "raw", "mgmt", "data":
            keys |= set(self.lists[rows][0])
        self.assertEqual(keys | {"mode", "raw"}, set(self.complete("pmemctl list --columns ")))


class Bash(Completion, Both):
    """Readline has what follows the last '=' replaced."""

    def complete(self, line):
        done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", os.path.join(COMPLETION, "pmemctl.bash"), line],
                              env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=harness.PATIENCE, check=True)
        self.assertEqual(done.stderr, "", line)
        return done.stdout.split()

    @staticmethod
    def values(prefix, *values):
        # 'name,' is after the '=' and has to be there again.
        return [prefix.partition("=")[2] + value for value in values]

    def test_interactive(self):
        """In a bash that somebody types in."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(self.environment, PS1="", INPUTRC="/dev/null", TERM="dumb")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        try:
            os.write(terminal, f"stty -echo; source {COMPLETION}/pmemctl.bash; echo rea''dy\n".encode())
            read_until(terminal, rb"ready\r?\n")
            os.write(terminal, b"pmemctl list --mgmt --no-leg\t--colu\tna\t\n")
            read_until(terminal, rb"(^|\n)pool0\r?\n")
        finally:
            os.write(terminal, b"\nexit\n")
            os.waitpid(pid, 0)
            os.close(terminal)


class Zsh(Completion, Both):
    def complete(self, line):
        folder = os.path.join(self.host.folder, "zsh")
        os.makedirs(folder, exist_ok=True)
        function = os.path.join(folder, "_pmemctl")
        if not os.path.exists(function):
            os.symlink(os.path.join(COMPLETION, "pmemctl.zsh"), function)
        out = os.path.join(folder, "out")
        with open(out, "w", encoding="utf-8"):
            pass
        pid, terminal = pty.fork()
        if pid == 0:
            script = ZSH.replace("$1", folder).replace("$2", out)
            os.environ.update(self.environment, TERM="dumb", SETUP=script)
            os.execvp("zsh", ["zsh", "-f", "-i"])
        try:
            os.write(terminal, b'eval "$SETUP"\n')
            read_until(terminal, rb"ready\r?\n")
            os.write(terminal, line.encode() + b"\t")
            text = read_until(terminal, None)
        finally:
            os.waitpid(pid, 0)
            os.close(terminal)
        with open(out, encoding="utf-8") as f:
            lines = f.read().splitlines()
        self.assertTrue(any(found.startswith("LINE ") for found in lines), text)
        return [found for found in lines if found and not found.startswith("LINE ")]

    @staticmethod
    def values(prefix, *values):
        return values


if __name__ == "__main__":
    harness.main()
