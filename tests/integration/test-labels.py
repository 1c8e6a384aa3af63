#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemctl labels on copies of label areas: what it says, writes and refuses, and how it ends."""

import json
import os
import struct
import subprocess
import tempfile
import unittest
import uuid

import harness
import jsonschema

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "..", "..", "proto", "pmemctl.schema.json"), encoding="utf-8") as f:
    VALIDATOR = jsonschema.Draft7Validator(json.load(f))
AREA = 8192
SLOTS = (AREA - 512) // 256
COOKIE = 0x0123456789ABCDEF
UPDATING = 8
OURS = "pmemd:data:11223344:55667788"


def fletcher(data):
    low = high = 0
    for (word,) in struct.iter_unpack("<I", data):
        low = (low + word) & 0xFFFFFFFF
        high += low
    return high << 32 & 0xFFFFFFFFFFFFFFFF | low


def sealed(data, at):
    return data[:at] + struct.pack("<Q", fletcher(data[:at] + bytes(8) + data[at + 8 :])) + data[at + 8 :]


def index(used, number, sequence):
    free = bytearray(23 * 8)
    for slot in range(SLOTS):
        if slot not in used:
            free[slot // 8] |= 1 << slot % 8
    head = b"NAMESPACE_INDEX\0" + bytes([0, 0, 0, 1])
    head += struct.pack("<IQQQQIHHQ", sequence, number * 256, 256, (1 - number) * 256, 512, SLOTS, 1, 2, 0)
    return sealed(head + bytes(free), 64)


def label(key, name, position, slot, flags=0, ways=2):
    data = key.bytes + name.encode().ljust(64, b"\0")
    data += struct.pack("<IHHQQQQII", flags, ways, position, COOKIE, 0, 64 * slot, 64, slot, 0) + bytes(120)
    return sealed(data + bytes(8), 248)


def area(labels, used):
    """labels: {slot: bytes}"""
    slots = b"".join(labels.get(slot, bytes(256)) for slot in range(SLOTS))
    return index(set(), 0, 1) + index(used, 1, 2) + slots


class Labels(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.victim, self.foreign = uuid.uuid4(), uuid.uuid4()

    def images(self, *areas):
        paths = [os.path.join(self.folder.name, f"dimm{number}") for number in range(len(areas))]
        for path, data in zip(paths, areas):
            with open(path, "wb") as file:
                file.write(data)
        return paths

    def ctl(self, *arguments, folder=os.path.dirname(os.environ["PMEMD_EXE"])):
        environment = {**os.environ, "PMEMD_LIBEXECDIR": folder}
        return subprocess.run([os.environ["PMEMCTL_EXE"], *arguments], env=environment, capture_output=True, text=True,
                              timeout=60, check=False)

    def document(self, *arguments, status):
        done = self.ctl("--json", "labels", *arguments)
        self.assertEqual((done.returncode, done.stderr), (status, ""), done.stdout)
        document = json.loads(done.stdout)
        VALIDATOR.validate(document)
        return document["labels"]

    def half_made(self, name=OURS):
        """Made on the first DIMM alone, beside a foreign one on both."""
        both = [{0: label(self.foreign, "database", position, 0)} for position in (0, 1)]
        both[0][1] = label(self.victim, name, 0, 1, UPDATING)
        return area(both[0], {0, 1}), area(both[1], {0})

    def test_whole(self):
        both = [area({0: label(self.foreign, "database", position, 0)}, {0}) for position in (0, 1)]
        found = self.document("check", "--image", *self.images(*both), status=0)
        self.assertEqual((found["repaired"], found["findings"]), (False, []))
        self.assertEqual([d["in_use"] for d in found["dimms"]], [1, 1])
        self.assertEqual((found["sets"][0]["cookie"], found["sets"][0]["whole"]), (f"{COOKIE:#018x}", 1))
        self.assertIn("all labels are whole", self.ctl("labels", "check", "--image", *self.images(*both)).stdout)

    def test_half_made(self):
        areas = self.half_made()
        paths = self.images(*areas)
        for words in (("check",), ("repair", "--dry-run")):
            found = self.document(*words, "--image", *paths, status=1)
            self.assertEqual([(f["uuid"], f["remedy"], f["missing"]) for f in found["findings"]],
                             [(str(self.victim), "drop", [paths[1]])])
        for path, data in zip(paths, areas):
            with open(path, "rb") as file:
                self.assertEqual(file.read(), data)
        self.assertTrue(self.document("repair", "--image", *paths, status=0)["repaired"])
        with open(paths[0], "rb") as file:
            now = file.read()
        # The other index block alone was written: what the foreign label says and where it is is as before.
        self.assertEqual(now[256:], areas[0][256:])
        self.assertEqual(now[:256], index({0}, 0, 3))
        self.assertEqual(self.document("check", "--image", *paths, status=0)["sets"][0]["whole"], 1)

    def test_half_deleted(self):
        both = [{1: label(self.victim, OURS, position, 1)} for position in (0, 1)]
        paths = self.images(area(both[0], set()), area(both[1], {1}))
        found = self.document("repair", "--image", *paths, status=0)
        self.assertEqual([f["remedy"] for f in found["findings"]], ["finish"])
        self.assertEqual(self.document("check", "--image", *paths, status=0)["sets"][0]["whole"], 1)

    def test_left(self):
        """What is not pmemd's, also by force; what lost its label, but by force."""
        for name, flags, forced in (("database", UPDATING, 1), (OURS, 0, 0)):
            areas = [area({1: label(self.victim, name, 0, 1, flags)}, {1}), area({0: label(self.foreign, "x", 1, 0)}, set())]
            paths = self.images(*areas)
            found = self.document("repair", "--image", *paths, status=1)
            self.assertEqual([(f["remedy"], f["ours"]) for f in found["findings"]], [("leave", name == OURS)])
            self.document("repair", "--force", "--image", *paths, status=forced)

    def test_not_readable(self):
        paths = self.images(self.half_made()[0], bytes(AREA))
        found = self.document("check", "--image", *paths, status=1)
        self.assertIn("no signature", found["dimms"][1]["fault"])
        self.assertEqual({f["remedy"] for f in found["findings"]}, {"leave"})
        for areas, unreadable in ((self.half_made()[:1] + (bytes(AREA),), "1 of 2"), ((bytes(AREA), bytes(64)), "2 of 2")):
            done = self.ctl("labels", "check", "--image", *self.images(*areas))
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"the labels of {unreadable} DIMMs cannot be read", done.stdout)
            self.assertNotIn("all labels are whole", done.stdout)
        for path in (self.folder.name, "/nowhere/x", "/dev/zero"):
            done = self.ctl("labels", "check", "--image", path)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done)

    def test_same_file(self):
        paths = self.images(*self.half_made())
        linked = os.path.join(self.folder.name, "linked")
        os.symlink(paths[0], linked)
        before = [open(path, "rb").read() for path in paths]
        for again in (paths[0], linked):
            done = self.ctl("labels", "repair", "--force", "--image", paths[0], paths[1], again)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done)
            self.assertIn(f"{paths[0]} and {again} are the same file", done.stderr)
        self.assertEqual([open(path, "rb").read() for path in paths], before)

    def test_no_program(self):
        for words in (("labels", "check"), ("journal", "check", "/dev/null")):
            done = self.ctl(*words, folder=self.folder.name)
            self.assertEqual(done.returncode, 1, done)
            self.assertRegex(done.stderr, f"cannot run {self.folder.name}/pmemd-[a-z]*: No such file.*PMEMD_LIBEXECDIR")

    def test_usage(self):
        for words in (["mend"], ["check", "--force"], ["check", "--dry-run"], ["check", "--image"], ["check", "a", "b"],
                      ["check", "--host=x"], []):
            self.assertEqual(self.ctl("labels", *words).returncode, 2, words)
        self.assertEqual(self.ctl("labels", "check", "--image", "--", "--json").returncode, 2)
        for verb, words in (("labels", "of repair: give up"), ("journal", "as evidence"), ("detach", "somebody else holds")):
            force = [line for line in self.ctl("help", verb).stdout.splitlines() if line.startswith("  --force ")]
            self.assertEqual((len(force), words in force[0]), (1, True), force)

    def test_hostile_names(self):
        paths = self.images(*self.half_made("pmemd:data:1\033[2J\n\""))
        done = self.ctl("labels", "check", "--image", *paths)
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("\033", done.stdout)
        self.document("check", "--image", *paths, status=1)


if __name__ == "__main__":
    harness.main()
