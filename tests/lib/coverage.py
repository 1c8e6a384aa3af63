#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Tells which lines and branches of the daemon its tests have run, and asks enough of the files that must not be wrong.

usage: coverage.py BUILD JSON

BUILD is a build directory with -Db_coverage=true whose tests have run; gcovr's report is kept in JSON. Prints a row for
each file of daemon/. STRICT files must reach LINES and BRANCHES, and each of their lines that no test runs must be in
tests/coverage-reasons, as must be no other; so must every other file that does not reach them. A STRICT file is one test:
last line `N passed, N failed, N skipped`.

Left out: branches of lines that hold g_assert() and the like, which no test can take and live; and branches that the
compiler makes without code (gcovr --exclude-unreachable-branches, --exclude-throw-branches).
"""

import fnmatch
import json
import os
import subprocess
import sys

STRICT = ("pair-tree.*", "region-map.*", "rules*.*", "journal*.*", "recovery.*")
LINES = 95.0
BRANCHES = 85.0
ASSERTS = r".*(g_assert|g_return_|G_STATIC_ASSERT|g_autoptr|g_autofree).*"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def reasons():
    """{(file, text of the line before, text of the line): reason}, and {pattern of files: reason}."""
    found, files = {}, {}
    with open(os.path.join(ROOT, "tests/coverage-reasons"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                name, *place, reason = (part.strip() for part in line.split(" | "))
                if place:
                    found[(name, *place)] = reason
                else:
                    files[name] = reason
    return found, files


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def main():
    if len(sys.argv) != 3:
        print(__doc__.split("\n\n", 2)[1], file=sys.stderr)
        return 2
    build, report = sys.argv[1:]
    subprocess.run(
        ["gcovr", "--root", ROOT, "--object-directory", build, "--filter", ROOT + "/daemon/", "--json", report,
         "--exclude-unreachable-branches", "--exclude-throw-branches", "--exclude-branches-by-pattern", ASSERTS, build],
        check=True, cwd=ROOT)
    with open(report, encoding="utf-8") as file:
        files = json.load(file)["files"]
    given, weak = reasons()
    used = set()
    passed = failed = 0
    sums = [0, 0, 0, 0]

    print(f"{'file':36} {'lines':>6} {'run':>6} {'branches':>9} {'taken':>6}")
    for entry in sorted(files, key=lambda entry: entry["file"]):
        path = entry["file"]
        lines = [line for line in entry["lines"] if not line.get("gcovr/noncode")]
        branches = [branch for line in lines for branch in line["branches"]]
        counts = (sum(line["count"] > 0 for line in lines), len(lines), sum(b["count"] > 0 for b in branches), len(branches))
        sums = [a + b for a, b in zip(sums, counts)]
        of_lines, of_branches = percent(*counts[:2]), percent(*counts[2:])
        strict = any(fnmatch.fnmatch(os.path.basename(path), pattern) for pattern in STRICT)
        enough = of_lines >= LINES and (of_branches >= BRANCHES or path.endswith(".h"))
        reason = next((weak[pattern] for pattern in weak if fnmatch.fnmatch(path, pattern)), None)
        note = "strict" if strict else "" if enough else reason or ""
        print(f"{path:36} {counts[1]:6} {of_lines:5.1f}% {counts[3]:9} {of_branches:5.1f}%  {note}".rstrip())
        if not strict:
            if not enough and not reason:
                failed += 1
                print(f"FAIL {path}: tests/coverage-reasons does not say why no more of it is run")
            continue
        faults = []
        if of_lines < LINES:
            faults.append(f"{of_lines:.1f} % of its lines are run, {LINES:.0f} % must be")
        # A header's few branches are those of its inline functions; they count with the tests of what includes it.
        if path.endswith(".c") and of_branches < BRANCHES:
            faults.append(f"{of_branches:.1f} % of its branches are taken, {BRANCHES:.0f} % must be")
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = file.read().split("\n")
        for line in lines:
            number = line["line_number"]
            key = (path, text[number - 2].strip(), text[number - 1].strip())
            if line["count"] > 0:
                continue
            if key in given:
                used.add(key)
            else:
                faults.append(f"line {number} is not run and tests/coverage-reasons does not say why: {key[2]}")
        failed, passed = failed + bool(faults), passed + (not faults)
        for fault in faults:
            print(f"FAIL {path}: {fault}")
    for path, _, text in sorted(set(given) - used):
        failed += 1
        print(f"FAIL {path}: tests/coverage-reasons excuses a line that is run or gone: {text}")
    if passed + failed < len(STRICT):
        failed += 1
        print("FAIL there are fewer files than names: this is no report of pmemd")
    print(f"{'all of daemon/':36} {sums[1]:6} {percent(*sums[:2]):5.1f}% {sums[3]:9} {percent(*sums[2:]):5.1f}%")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
