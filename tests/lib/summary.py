#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What the proofs of one run of tests/all amount to, as a table.

usage: summary.py BUILDS STEP...
       summary.py --self-test

BUILDS is the folder with the builds and logs, each STEP one that was run: gcc, clang-sanitize, coverage (meson's
testlog.json), static, mutants, fuzz, vm (their logs). Exit status 1 when a step that was run shows no figure or a
failure: what is not counted is not proven.
"""

import json
import os
import re
import sys

TOTALS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
IMAGES = re.compile(r"^# .*?\b(\d+) images\b", re.M)
MODEL = re.compile(r"# model: (\d+) operations")
MUTANTS = re.compile(r"^(\d+) of (\d+) mutants killed", re.M)
FUZZ = re.compile(r"^(ok|FAIL)\s+(\S+): (\d+) runs", re.M)
LOGS = {
    "static": "static-checks.log",
    "package": "package.log",
    "mutants": "mutants.log",
    "fuzz": "fuzz-run.log",
    "vm": "vm.log",
}


def crash_programs(entries):
    """{program: (images, failures)}"""
    found = {}
    for entry in entries:
        name = entry["name"].split("/")[-1].strip()
        if name.startswith("crash-"):
            images = sum(int(number) for number in IMAGES.findall(entry.get("stdout") or ""))
            found[name] = (images, int(entry["result"] not in ("OK", "EXPECTEDFAIL")))
    return found


def rows_of_meson(step, text):
    entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    programs = crash_programs(entries)
    for name, (images, failed) in sorted(programs.items()):
        yield f"{name}, {step}", images, "images", failed
    yield (
        f"crash images, {step}",
        sum(images for images, _ in programs.values()) if all(i for i, _ in programs.values()) else 0,
        "images",
        sum(failed for _, failed in programs.values()),
    )
    played = [(int(n), entry) for entry in entries for n in MODEL.findall(entry.get("stdout") or "")]
    model = [entry for entry in entries if entry["name"].split("/")[-1].strip().startswith("model")]
    failed = sum(entry["result"] not in ("OK", "EXPECTEDFAIL") for entry in model)
    yield f"model, {step}", sum(n for n, _ in played), "operations", failed


def rows_of_log(step, text):
    totals = TOTALS.findall(text)
    passed, failed, _ = (int(word) for word in totals[-1]) if totals else (0, 1, 0)
    if step == "mutants":
        killed = MUTANTS.search(text)
        of = int(killed[2]) if killed else 0
        yield f"mutants killed, of {of}", int(killed[1]) if killed else 0, "mutants", failed + (
            of - int(killed[1]) if killed and not failed else 0
        )
    elif step == "fuzz":
        targets = FUZZ.findall(text)
        for state, name, runs in sorted(targets, key=lambda target: target[1]):
            yield f"fuzz {name}", int(runs), "executions", int(state != "ok")
        yield "fuzz runs", sum(int(runs) for _, _, runs in targets), "executions", failed
    elif step == "vm":
        yield "virtual machine", passed, "cases", failed
    else:
        yield "static checks", passed, "checks", failed


def rows_of(step, text):
    return list(rows_of_log(step, text) if step in LOGS else rows_of_meson(step, text))


def table(rows):
    """(lines, all good)"""
    width = max(len(name) for name, *_ in rows)
    lines = [f"{'proof':{width}}  {'number':>12}              failures"]
    for name, number, unit, failed in rows:
        missing = "" if number else "  NOT COUNTED"
        lines.append(f"{name:{width}}  {number:>12,} {unit:12} {failed:>8}{missing}")
    return lines, all(number and not failed for _, number, _, failed in rows)


def self_test():
    log = json.dumps({"name": "pmemd:crash / crash-a", "result": "OK", "stdout": "# x: 12 images\n# y: 30 images, 5 z\n"})
    bad = json.dumps({"name": "pmemd:crash / crash-a", "result": "FAIL", "stdout": ""})
    model = json.dumps({"name": "pmemd:model / model", "result": "OK", "stdout": "# model: 7 operations in 1 s\n"})
    cases = [
        ("gcc", f"{log}\n{model}\n", True, 42),
        ("gcc", f"{bad}\n{model}\n", False, 0),
        ("gcc", f"{log}\n", False, 42),  # the model told nothing
        ("mutants", "3 of 3 mutants killed in 1 s\n3 passed, 0 failed, 0 skipped\n", True, 3),
        ("mutants", "2 of 3 mutants killed in 1 s\n2 passed, 1 failed, 0 skipped\n", False, 2),
        ("fuzz", "ok   a: 5 runs, 1 edges\nok   b: 6 runs\n2 passed, 0 failed, 0 skipped\n", True, 5),
        ("fuzz", "ok   a: 5 runs, 1 edges\nFAIL b: 6 runs\n1 passed, 1 failed, 0 skipped\n", False, 5),
        ("vm", "4 passed, 0 failed, 0 skipped\n", True, 4),
        ("vm", "it ended\n", False, 0),
        ("static", "4 passed, 1 failed, 0 skipped\n", False, 4),
    ]
    for number, (step, text, good, first) in enumerate(cases):
        rows = rows_of(step, text)
        ok = table(rows)[1] == good and rows[0][1] == first
        print(f"{'ok' if ok else 'not ok'} {number + 1} - summary of {step}: {text.splitlines()[-1][:40]}")
    print(f"1..{len(cases)}")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    folder, steps = sys.argv[1], sys.argv[2:]
    rows = []
    for step in steps:
        path = os.path.join(folder, LOGS.get(step, os.path.join(step, "meson-logs", "testlog.json")))
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                rows += rows_of(step, file.read())
        except (OSError, ValueError, KeyError) as error:
            print(f"{step}: {error}")
            rows.append((step, 0, "", 1))
    lines, good = table(rows)
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
