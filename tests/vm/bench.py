# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What the case bench measured in the guest, as rows like those of tests/bench/run."""

import json
import os
import platform
import statistics

MARK = "@@bench "
GOAL_TIME, GOAL_WRITES = 0.6, 0.5


def figure(rounds, unit):
    def number(x):
        return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}"

    return f"{number(statistics.median(rounds))} {unit} ({number(min(rounds))} - {number(max(rounds))})"


def compare(figures, what, ours, theirs, key, unit, goal):
    a, b = figures[ours][key], figures[theirs][key]
    ratios = [x / y for x, y in zip(a, b)]
    note = ""
    if key == "ms":
        note = "; ".join(
            f"{name}: create {figure(figures[name]['create ms'], 'ms')}, destroy {figure(figures[name]['destroy ms'], 'ms')}"
            for name in (ours, theirs)
        )
    return {
        "what": what,
        "ours": figure(a, unit),
        "against": "ndctl create-namespace and destroy-namespace",
        "theirs": figure(b, unit),
        "ratio": figure(ratios, "x"),
        "goal": f"<= {goal} x",
        "met": statistics.median(ratios) <= goal,
        "note": note,
    }


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "virtual machine": "QEMU's software emulation, one emulated NVDIMM",
        "host": f"{os.cpu_count()} x {model}, Linux {platform.release()}",
        "load average": f"{os.getloadavg()[0]:.1f} after",
    }


def report_bench(log, path):
    """Prints the rows of this log of the case; to path as well, when it is given."""
    line = next(line for line in log.read_text(errors="replace").splitlines() if line.startswith(MARK))
    figures = json.loads(line[len(MARK) :])
    device = "create and destroy a device-dax namespace (virtual machine)"
    rows = [
        compare(figures, f"{device}: backend", "backend", "ndctl", "ms", "ms", GOAL_TIME),
        compare(figures, f"{device}: SetupData, ReleaseData with erase", "daemon", "ndctl beside", "ms", "ms", GOAL_TIME),
        compare(figures, f"{device}: label writes a DIMM, backend", "backend", "ndctl", "writes", "writes", GOAL_WRITES),
        compare(
            figures, f"{device}: label writes a DIMM, daemon", "daemon", "ndctl beside", "writes", "writes", GOAL_WRITES
        ),
    ]
    columns = ("what", "ours", "against", "theirs", "ratio", "goal", "met")
    titles = ("measured", "pmemd", "against", "peer", "ratio", "goal", "goal met")
    cells = [[("yes" if row["met"] else "NO") if key == "met" else row[key] for key in columns] for row in rows]
    widths = [max(len(line[i]) for line in (titles, *cells)) for i in range(len(columns))]
    for line in (titles, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for row in rows:
        if row["note"]:
            print(f"{row['what']}: {row['note']}")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(
                {"machine": machine(), "rounds": len(figures["ndctl"]["ms"]), "rows": rows, "contests": [], "curves": {}},
                file,
                indent=1,
            )
            file.write("\n")
