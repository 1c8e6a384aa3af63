#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""A release ends, wherever the removal of its device was cut off: at once, by another ReleaseData, or by the next start."""

import mmap
import os
import unittest

import harness
import wire

START, END = 0x4C0000, 0x4C0100


class Release(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.connection = wire.Connection(self.host.bus.address)
        self.addCleanup(self.connection.close)
        self.connection.bus("AddMatch", "s", "type='signal',interface='org.pmemd1.Manager',member='JobRemoved'")
        self.connection.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [])
        self.region, = self.connection.manager("AllocateData", "ta{sv}", (END - START) << 12, [])

    def inject(self, when, error):
        path = os.path.join(self.host.daemon.backend_folder, "inject.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"[destroy]\nWhen={when}\nError={error}\n")

    def release(self):
        """How its job ended; why is not for everyone who receives signals."""
        self.connection.manager("ReleaseData", "oa{sv}", self.region, [])
        result, why = self.connection.wait_signal("JobRemoved").body[2:]
        self.assertEqual(why, "")
        if result == "failed":
            self.assertIn("destroy", self.connection.get_all(self.region, "org.pmemd1.Region")["StateReason"])
        return result

    def test_announced_before_it_goes(self):
        """What comes and goes faster than signals are gathered is told of all the same, in order."""
        self.connection.bus("AddMatch", "s", "type='signal',sender='org.pmemd1'")
        for _ in range(20):
            region, = self.connection.manager("AllocateData", "ta{sv}", (END - START) << 12, [])
            job, = self.connection.manager("ReleaseData", "oa{sv}", region, [])
            told = list(self.connection.signals)
            while not any(m.member == "InterfacesRemoved" and m.body[0] == job for m in told):
                told.append(self.connection.receive())
            self.connection.signals.clear()
            order = {(m.member, m.body[0]): at for at, m in enumerate(told)
                     if m.member != "PropertiesChanged" and m.body[0] in (region, job)}
            self.assertEqual(sorted(order, key=order.get),
                             [("InterfacesAdded", region), ("InterfacesAdded", job), ("InterfacesRemoved", region),
                              ("JobRemoved", job), ("InterfacesRemoved", job)])

    def states(self):
        return [row[9] for row in self.connection.manager("ListData", "su", "", 0)[0]]

    def files(self):
        return [n for n in os.listdir(self.host.daemon.backend_folder) if n.startswith("data-")]

    def test_gone_though_it_failed(self):
        """The platform is asked what became of it: there is nothing left that could be erased again."""
        self.inject("after", "EIO")
        self.assertEqual(self.release(), "done")
        self.assertEqual((self.states(), self.files()), ([], []))

    def test_half_gone(self):
        self.inject("partial", "EIO")
        self.assertEqual(self.release(), "failed")
        self.assertEqual(self.states(), ["quarantined"])
        self.assertEqual(self.release(), "done")
        self.assertEqual(self.states(), [])

    def test_still_there(self):
        self.inject("before", "EBUSY")
        self.assertEqual(self.release(), "failed")
        self.assertEqual(self.states(), ["quarantined"])
        self.assertEqual(self.release(), "done")
        self.assertEqual((self.states(), self.files()), ([], []))

    def test_waited_for(self):
        """pmemctl asks the region why, which the owner may."""
        self.inject("before", "EBUSY")
        uuid = self.connection.manager("ListData", "su", "", 0)[0][0][0]
        result = self.host.ctl("release", uuid, "--wait")
        self.assertNotEqual(result.status, 0)
        self.assertIn("erasing it failed: before destroy: injected", result.err)

    def test_killed_half_way(self):
        for when in ("before", "partial", "after"):
            with self.subTest(when=when):
                self.inject(when, "kill")
                self.connection.manager("ReleaseData", "oa{sv}", self.region, [])
                self.host.daemon.wait()
                self.connection.signals.clear()
                self.host.daemon.start()
                if self.states():
                    self.assertEqual(self.connection.wait_signal("JobRemoved").body[2], "done")
                self.assertEqual((self.states(), self.files()), ([], []))
                self.region, = self.connection.manager("AllocateData", "ta{sv}", (END - START) << 12, [])


class Mapped(unittest.TestCase):
    """A region that a process uses is neither released nor erased, and who that is is said to those who may know."""

    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.connection = wire.Connection(self.host.bus.address)
        self.addCleanup(self.connection.close)
        self.connection.bus("AddMatch", "s", "type='signal',interface='org.pmemd1.Manager',member='JobRemoved'")
        self.connection.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [])
        self.region, = self.connection.manager("AllocateData", "ta{sv}", (END - START) << 12, [])
        self.path = self.properties()["DevicePath"]

    def properties(self):
        return self.connection.get_all(self.region, "org.pmemd1.Region")

    def state(self):
        rows = self.connection.manager("ListData", "su", "", 0)[0]
        return rows[0][9] if rows else "gone"

    def refusal(self):
        with self.assertRaises(wire.Error) as caught:
            self.connection.manager("ReleaseData", "oa{sv}", self.region, [])
        self.assertEqual(caught.exception.name, "org.pmemd1.Error.Busy")
        return caught.exception.text

    def release(self):
        self.connection.manager("ReleaseData", "oa{sv}", self.region, [])
        return self.connection.wait_signal("JobRemoved").body[2]

    def test_refused(self):
        with open(self.path, "rb+") as file, mmap.mmap(file.fileno(), 4096) as mapping:
            file.close()
            mapping[:5] = b"guest"
            self.assertIn(f"process {os.getpid()} (", self.refusal())
            self.assertIn("has it mapped", self.refusal())
            self.assertEqual(self.state(), "ok")
            # Nothing of it was journalled.
            self.host.daemon.kill()
            self.host.daemon.start()
            self.assertEqual(self.state(), "ok")
            self.assertEqual(mapping[:5], b"guest")
        self.assertEqual((self.release(), self.state()), ("done", "gone"))

    def test_waits(self):
        """Mapped after it was released: the erase waits, and the region says for whom; nothing was erased."""
        hold = os.path.join(self.host.daemon.backend_folder, "hold")
        with open(hold, "w", encoding="utf-8"), \
                open(os.path.join(self.host.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as f:
            f.write("[open_content]\nWaitFile=hold\n")
        self.connection.manager("ReleaseData", "oa{sv}", self.region, [])
        with open(self.path, "rb+") as file:
            file.write(b"late")
            file.flush()
            os.unlink(hold)
            self.assertEqual(self.connection.wait_signal("JobRemoved").body[2], "failed")
            reason = self.properties()["StateReason"]
            self.assertIn(f"process {os.getpid()} (", reason)
            self.assertEqual(self.state(), "quarantined")
            file.seek(0)
            self.assertEqual(file.read(4), b"late")
            # Asked again it waits again.
            self.assertEqual(self.release(), "failed")
            # As it does after a start.
            self.host.daemon.kill()
            self.connection.signals.clear()
            self.host.daemon.start()
            self.assertEqual(self.connection.wait_signal("JobRemoved").body[2], "failed")
            self.assertIn(f"process {os.getpid()} (", self.properties()["StateReason"])
            self.assertEqual(self.state(), "quarantined")
        self.assertEqual((self.release(), self.state()), ("done", "gone"))


if __name__ == "__main__":
    harness.main()
