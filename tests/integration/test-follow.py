#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What becomes of regions and pools whose files go away and come back while pmemd runs: told at once, never used, and as before then."""

import os
import shutil
import time
import unittest

import harness
import wire

MGMT = (0x480000, 0x490000)
OTHER = (0x490000, 0x4A0000)
REGION = "org.pmemd1.Region"
MIB = 1 << 20
PATIENCE = 20


class Follow(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.connection = wire.Connection(self.host.bus.address, descriptors=True)
        self.addCleanup(self.connection.close)
        self.connection.bus("AddMatch", "s", "type='signal',interface='org.pmemd1.Manager'")
        self.pool, = self.connection.manager("SetupMgmt", "tta{sv}", *MGMT, [("name", ("s", "pool"))])

    # --- helpers ---

    def allocate(self, name):
        return self.connection.manager("AllocateData", "ta{sv}", 2 * MIB, [("name", ("s", name))])[0]

    def get(self, path, name):
        return self.connection.get_all(path, REGION)[name]

    def wait_state(self, path, state):
        """Nobody asked for it: the file's own event has it looked at."""
        deadline = time.monotonic() + PATIENCE
        while (now := self.get(path, "State")) != state:
            self.assertLess(time.monotonic(), deadline, f"{path} is {now}: {self.get(path, 'StateReason')}")
            time.sleep(0.02)
        return self.get(path, "StateReason")

    def refused(self, name, *call):
        with self.assertRaises(wire.Error) as caught:
            self.connection.manager(*call)
        self.assertEqual(caught.exception.name, "org.pmemd1.Error." + name, caught.exception.text)
        return caught.exception.text

    def device(self, path):
        return self.get(path, "DevicePath")

    @staticmethod
    def away(path):
        """Where it is out of sight: another folder of the same file system."""
        folder = os.path.join(os.path.dirname(os.path.dirname(path)), "away")
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, os.path.basename(path))

    # --- data regions ---

    def test_region_goes_and_comes(self):
        """Missing by the event, lent and released to nobody, its lease kept; what it was when its file is back."""
        region, other = self.allocate("guest"), self.allocate("other")
        self.connection.manager("Attach", "osa{sv}", region, "guest1", [])
        file = self.device(region)
        with open(file, "r+b") as f:
            f.write(b"content")
        before = self.connection.get_all(region, REGION)
        self.connection.signals.clear()

        os.rename(file, self.away(file))
        reason = self.wait_state(region, "missing")
        self.assertIn("not whole", reason)
        self.assertEqual(self.get(other, "State"), "ok")
        self.refused("Degraded", "Attach", "osa{sv}", region, "guest1", [])
        self.refused("Degraded", "ReleaseData", "oa{sv}", region, [])
        self.assertEqual(len(self.connection.manager("ListLeases", "su", "", 0)[0]), 1)

        os.rename(self.away(file), file)
        self.wait_state(region, "ok")
        after = self.connection.get_all(region, REGION)
        self.assertEqual(after, before)
        with open(file, "rb") as f:
            self.assertEqual(f.read(7), b"content")
        self.connection.manager("Attach", "osa{sv}", region, "guest1", [])
        changes = [s.body[1:3] for s in self.connection.signals if s.member == "HealthChanged"]
        self.assertEqual([tuple(c) for c in changes], [("ok", "missing"), ("missing", "ok")])

    def test_own_changes_are_no_theft(self):
        """Nothing that pmemd does itself makes a region missing, however often it looks."""
        health = os.path.join(self.host.daemon.backend_folder, "health.conf")
        for turn in range(8):
            region = self.allocate(f"guest{turn}")
            self.connection.manager("Attach", "osa{sv}", region, "one", [])
            with open(health, "w", encoding="ascii"):
                pass
            self.connection.manager("Detach", "osa{sv}", region, "one", [])
            self.connection.manager("Attach", "osa{sv}", region, "two", [])
            self.connection.manager("Detach", "osa{sv}", region, "two", [])
            self.connection.manager("ReleaseData", "oa{sv}", region, [])
        self.assertEqual([s for s in self.connection.signals if s.member == "HealthChanged"
                          and "missing" in s.body[1:3]], [])

    # --- pools ---

    def check_lost_and_back(self, take, bring):
        region = self.allocate("guest")
        self.connection.manager("Attach", "osa{sv}", region, "guest1", [])
        before = self.connection.get_all(region, REGION)
        take()
        self.wait_state(self.pool, "read-only")
        text = self.refused("ReadOnly", "AllocateData", "ta{sv}", 2 * MIB, [])
        self.assertIn("journal", text)
        self.assertEqual(self.connection.get_all(region, REGION), before)
        bring()
        self.wait_state(self.pool, "ok")
        self.assertEqual(self.connection.get_all(region, REGION), before)
        new = self.allocate("new")
        self.connection.manager("Rename", "osa{sv}", region, "renamed", [])
        self.host.daemon.kill()
        self.host.daemon.start()
        self.assertEqual(self.get(region, "Name"), "renamed")
        self.assertEqual(self.get(new, "Name"), "new")

    def test_journal_moved_away_and_back(self):
        """The file itself comes back."""
        file = self.device(self.pool)
        self.check_lost_and_back(lambda: os.rename(file, self.away(file)), lambda: os.rename(self.away(file), file))

    def test_journal_removed_and_restored(self):
        """A copy of it comes back."""
        file = self.device(self.pool)

        def take():
            shutil.copy2(file, self.away(file))
            os.unlink(file)

        def bring():
            os.rename(self.away(file), file)

        self.check_lost_and_back(take, bring)

    def test_another_journal_is_not_taken(self):
        """What comes back must be this pool's; nothing is written to anything else."""
        file = self.device(self.pool)
        os.rename(file, self.away(file))
        self.wait_state(self.pool, "read-only")
        with open(self.away(file), "rb") as f:
            content = bytearray(f.read())
        stranger = file + ".new"
        with open(stranger, "wb") as f:
            f.write(bytes(len(content)))
        os.rename(stranger, file)
        deadline = time.monotonic() + PATIENCE
        while "no superblock" not in self.get(self.pool, "StateReason"):
            self.assertLess(time.monotonic(), deadline, self.get(self.pool, "StateReason"))
            time.sleep(0.02)
        with open(file, "rb") as f:
            self.assertEqual(f.read(), bytes(len(content)))
        os.rename(self.away(file), file)
        self.wait_state(self.pool, "ok")


if __name__ == "__main__":
    harness.main()
