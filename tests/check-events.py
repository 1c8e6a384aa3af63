#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Checks that the events of the log, their catalog entries and their documents are the same set.

usage: check-events.py ROOT

Every event of daemon/event.c has an id of its own, an entry in systemd/pmemd.catalog that says something, is logged somewhere, and
is seen by tests/integration/test-log.py; no entry is left without event; journalctl takes the catalog. Prints TAP.
"""

import os
import re
import subprocess
import sys
import tempfile

ROW = re.compile(r'\[EVENT_(\w+)\] = \{\s*"([a-z-]+)",\s*"([0-9a-f]+)",\s*LOG_(\w+)\s*\}')


# What test-log.py cannot see, and why.
UNSEEN = {
    "internal-error": "stands for a defect that nobody knows of",
    "labels-not-whole": "label areas of DIMMs: the virtual machine's case hardware-labels sees it",
    "labels-repaired": "the same",
    "pool-lost": "pools in RAM, which the ndctl backend alone has",
    "persistence-unknown": "raw regions of the ndctl backend alone",
}


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def events(root):
    """[(constant, name, id, priority)] of the table."""
    return ROW.findall(read(root, "daemon/event.c"))


def entries(root):
    """{id: (headers, body)} of the catalog; a ValueError for an id that is there twice."""
    found = {}
    for part in re.split(r"^-- ", read(root, "systemd/pmemd.catalog"), flags=re.M)[1:]:
        head, _, body = part.partition("\n\n")
        message_id, _, lines = head.partition("\n")
        if message_id in found:
            raise ValueError(f"{message_id} has two entries")
        found[message_id] = (dict(line.split(": ", 1) for line in lines.splitlines()), body)
    return found


def check_table(root):
    constants = re.findall(r"^    EVENT_(\w+),", read(root, "daemon/event.h"), flags=re.M)
    table = events(root)
    assert [row[0] for row in table] == constants[1:], "event.h and the table of event.c differ"
    for column in (1, 2):
        values = [row[column] for row in table]
        assert len(set(values)) == len(values), f"twice in the table: {[v for v in values if values.count(v) > 1]}"
    for constant, name, message_id, priority in table:
        assert name == constant.lower().replace("_", "-"), name
        # An id of version 4, so that nobody made one up by hand.
        assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", message_id), message_id
        assert priority in ("CRIT", "ERR", "WARNING", "NOTICE"), priority


def check_entries(root):
    catalog, ids = entries(root), {row[2]: row[1] for row in events(root)}
    assert set(catalog) == set(ids), f"without counterpart: {set(catalog) ^ set(ids)}"
    for message_id, (headers, body) in catalog.items():
        assert set(headers) == {"Subject", "Defined-By", "Documentation"}, (ids[message_id], headers)
        assert len(body.split()) >= 12 and max(map(len, body.splitlines())) <= 90, ids[message_id]
        assert set(re.findall(r"@(\w*)@", body)) <= {"POOL", "REGION", "DEVICE", "ACTION", "CALLER", "CALLER_UID", "ERROR"}, body


def check_logged(root):
    text = "".join(read(root, "daemon/" + name) for name in sorted(os.listdir(os.path.join(root, "daemon")))
                   if name.endswith(".c") and name != "event.c")
    silent = [row[0] for row in events(root) if not re.search(rf"\bEVENT_{row[0]}\b", text)]
    assert not silent, f"nobody logs {silent}"


def check_seen(root):
    seen = set(re.findall(r'"([a-z-]+)"', read(root, "tests/integration/test-log.py")))
    names = {row[1] for row in events(root)}
    assert names - seen == set(UNSEEN) & names, f"test-log.py or UNSEEN: {names - seen ^ set(UNSEEN) & names}"


def check_journalctl(root):
    with tempfile.TemporaryDirectory() as image:
        folder = os.path.join(image, "usr/lib/systemd/catalog")
        os.makedirs(folder)
        os.makedirs(os.path.join(image, "var/lib/systemd/catalog"))
        with open(os.path.join(folder, "pmemd.catalog"), "w", encoding="utf-8") as file:
            file.write(read(root, "systemd/pmemd.catalog"))
        done = subprocess.run(["journalctl", "--update-catalog", "--root=" + image], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
        done = subprocess.run(["journalctl", "--list-catalog", "--root=" + image], capture_output=True, text=True, check=True)
        listed = {line.split()[0] for line in done.stdout.splitlines()}
        assert listed == {row[2] for row in events(root)}, done.stdout


def main():
    checks = [check_table, check_entries, check_logged, check_seen, check_journalctl]
    print(f"1..{len(checks)}")
    failed = 0
    for number, check in enumerate(checks, 1):
        try:
            check(sys.argv[1])
            print(f"ok {number} {check.__name__}")
        except (AssertionError, ValueError) as error:
            failed = 1
            print(f"not ok {number} {check.__name__}\n# " + str(error).replace("\n", "\n# "))
    return failed


if __name__ == "__main__":
    sys.exit(main())
