# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Reads the table of mutants and their patches, and applies a patch in memory. For tests/mutants/run.

A hunk is found by its text, never by its line number: its lines must stand in the file exactly once. When they do not
stand there at all, context lines are left off from the outside in, so that a change nearby does no harm; two stay, so that
the same words elsewhere are not taken for it.
"""

import os
import re

CONTEXT = 2  # lines of a hunk's context that must stand in the file
HUNK = re.compile(r"^@@ -\d+(,\d+)? \+\d+(,\d+)? @@")


class Misfit(Exception):
    """Table, patch and source do not fit each other; says how."""


class Hunk:
    """A list of (' ', '-' or '+', line)."""

    def __init__(self):
        self.lines = []

    def context(self, backwards):
        """How many lines of context it has at its start or its end."""
        lines = self.lines[::-1] if backwards else self.lines
        return next((i for i, (sign, _) in enumerate(lines) if sign != " "), len(lines))

    def apply(self, text):
        before, after = self.context(False), self.context(True)
        most = max(before + after - CONTEXT, 0)
        left_off = [(b, a) for b in range(before + 1) for a in range(after + 1) if b + a <= most]
        for first, last in sorted(left_off, key=lambda pair: (sum(pair), abs(pair[0] - pair[1]))):
            lines = self.lines[first : len(self.lines) - last]
            old = "".join(line for sign, line in lines if sign != "+")
            new = "".join(line for sign, line in lines if sign != "-")
            # Whole lines only.
            places = [m.start() for m in re.finditer(re.escape(old), text) if m.start() == 0 or text[m.start() - 1] == "\n"]
            if len(places) > 1:
                raise Misfit(f"{len(places)} places look like its hunk; give it more context")
            if places:
                return text[: places[0]] + new + text[places[0] + len(old) :]
        first = next(line for sign, line in self.lines if sign != "+")
        raise Misfit(f"no place looks like its hunk that begins with: {first.strip()}")


class Mutant:
    def __init__(self, folder, name, what, killer):
        self.name = name
        self.what = what
        self.killer = killer
        self.test, _, self.subtest = killer.partition(" ")
        self.files = {}  # path: [Hunk]
        self._read(os.path.join(folder, name + ".patch"))

    def _read(self, path):
        hunks = None
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith("--- "):
                    continue
                if line.startswith("+++ b/"):
                    hunks = self.files.setdefault(line[6:].split("\t")[0].strip(), [])
                elif HUNK.match(line) and hunks is not None:
                    hunks.append(Hunk())
                elif line[0] in " -+" and hunks:
                    hunks[-1].lines.append((line[0], line[1:]))
                else:
                    raise Misfit(f"{path}: not a line of a unified diff: {line.rstrip()}")
        if not self.files or any(not found for found in self.files.values()):
            raise Misfit(f"{path}: changes nothing")

    def apply(self, root):
        """{path: text} of the files that it changes, as they are with the defect; nothing is written."""
        changed = {}
        for path, hunks in self.files.items():
            try:
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    text = file.read()
            except OSError as error:
                raise Misfit(f"{path}: {error.strerror}") from error
            for hunk in hunks:
                try:
                    text = hunk.apply(text)
                except Misfit as error:
                    raise Misfit(f"{path}: {error}") from error
            changed[path] = text
        return changed


def load(folder):
    """All mutants in the order of the table. Misfit: a row without a patch, a patch without a row, a bad line."""
    mutants = []
    with open(os.path.join(folder, "table"), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) != 3 or not all(cells):
                raise Misfit(f"table:{number}: not NAME | WHAT IS BROKEN | KILLER")
            if any(m.name == cells[0] for m in mutants):
                raise Misfit(f"table:{number}: {cells[0]} has a row already")
            if not os.path.exists(os.path.join(folder, cells[0] + ".patch")):
                raise Misfit(f"table:{number}: there is no {cells[0]}.patch")
            mutants.append(Mutant(folder, *cells))
    rows = {m.name + ".patch" for m in mutants}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".patch") and name not in rows:
            raise Misfit(f"{name} has no row in the table")
    if not mutants:
        raise Misfit("the table is empty")
    return mutants


def faults(mutants, root):
    """A line for each mutant that does not apply."""
    for one in mutants:
        try:
            one.apply(root)
        except Misfit as error:
            yield f"{one.name}: {error}"
