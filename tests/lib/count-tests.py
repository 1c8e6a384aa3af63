#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Counts the tests of one step of tests/all.

usage: count-tests.py LABEL LOG STATUS

LOG is meson's testlog.json, or the output of a program whose last line is `N passed, N failed, N skipped`. STATUS is
the exit status of the step. Prints `FAIL LABEL: NAME` and `SKIP LABEL: NAME: REASON` lines, then `N N N` (passed,
failed, skipped). Each TAP line of a test counts as a test. A log without counts, a bad status without a failed test, and
a test that crashed after its last good line are one failure each, so that nothing fails in silence. With CI=true a skip
that tests/expected-skips does not name is a failure.
"""

import json
import os
import re
import sys

TAP = re.compile(r"^(not )?ok\b\s*\d*\s*-?\s*(.*?)\s*(?:#\s*(SKIP|TODO)\b\s*(.*))?$", re.I)
TOTALS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")


def expected_skips():
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "expected-skips")
    with open(path, encoding="utf-8") as file:
        return {name for line in file if (name := line.split("#", 1)[0].strip())}


class Counter:
    def __init__(self, label):
        self.label = label
        self.passed = self.failed = self.skipped = 0
        self.expected = expected_skips()
        self.strict = os.environ.get("CI", "").lower() in ("true", "1", "yes")

    def ok(self):
        self.passed += 1

    def fail(self, name):
        self.failed += 1
        print(f"FAIL {self.label}: {name}")

    def skip(self, name, reason):
        known = f"{self.label}: {name}" in self.expected
        print(f"SKIP {self.label}: {name}: {reason or 'no reason given'}")
        if self.strict and not known:
            self.fail(f"{name} was skipped, which tests/expected-skips does not allow")
        else:
            self.skipped += 1

    def test(self, entry):
        """One test of meson: its TAP lines if it has some, else itself."""
        name, result, failed, lines = entry["name"], entry["result"], 0, 0
        for line in (entry.get("stdout") or "").split("\n"):
            match = TAP.match(line)
            if not match:
                continue
            lines += 1
            sub = f"{name} {match.group(2)}".strip()
            if (match.group(3) or "").upper() == "SKIP":
                self.skip(sub, match.group(4))
            elif match.group(1):
                failed += 1
                self.fail(sub)
            else:
                self.ok()
        if lines == 0 and result == "SKIP":
            self.skip(name, (entry.get("stdout") or "").strip().split("\n")[-1])
        elif result not in ("OK", "SKIP", "EXPECTEDFAIL"):
            if failed == 0:
                self.fail(f"{name} ({result.lower()}, exit status {entry.get('returncode')})")
        elif lines == 0:
            self.ok()

    def totals(self, text):
        lines = [line for line in text.split("\n") if line.strip()]
        match = TOTALS.match(lines[-1]) if lines else None
        if not match:
            self.fail("ended without counts")
            return
        passed, failed, skipped = (int(n) for n in match.groups())
        skip_lines = [line[5:] for line in lines if line.startswith("SKIP ")]
        self.passed += passed
        self.failed += failed
        for i in range(skipped):
            name, _, reason = (skip_lines[i] if i < len(skip_lines) else "unnamed").partition(":")
            self.skip(name.strip(), reason.strip())


def main():
    label, log, status = sys.argv[1], sys.argv[2], int(sys.argv[3])
    counter = Counter(label)
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            if log.endswith(".json"):
                entries = [json.loads(line) for line in file if line.strip()]
                for entry in entries:
                    counter.test(entry)
                if not entries:
                    counter.fail("ran no test")
            else:
                counter.totals(file.read())
    except (OSError, ValueError, KeyError) as error:
        counter.fail(f"left no readable log: {error}")
    if status != 0 and counter.failed == 0:
        counter.fail(f"ended with status {status} though no test failed")
    print(counter.passed, counter.failed, counter.skipped)


if __name__ == "__main__":
    main()
