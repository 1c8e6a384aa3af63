#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Each rule of SetupMgmt and SetupData by `busctl call`: an object, or the named error."""

import os
import re
import subprocess
import unittest

import harness
import wire

INVALID = (1 << 64) - 1
# Three raw regions on two nodes, all adjacent; the last has a lead and an alignment of 2 MiB.
REGIONS = {
    **harness.TWO_NODES,
    "raw2": {"StartFrame": "0x8c0000", "Bytes": "1G", "Node": "4", "Alignment": "2M", "Lead": "2M"},
}


class Rules(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host(REGIONS).__enter__()
        self.addCleanup(self.host.__exit__)

    def busctl(self, member, signature, *arguments):
        """Status and output of busctl; a long wait is an error of its own."""
        command = ["busctl", "--address=" + self.host.bus.address, "call", harness.NAME, harness.ROOT, harness.MANAGER,
                   member, signature]
        done = subprocess.run([*command, *[str(a) for a in arguments]], capture_output=True, text=True, check=False,
                              timeout=harness.PATIENCE)
        return done.returncode, done.stdout, done.stderr

    def made(self, member, signature, *arguments):
        status, out, err = self.busctl(member, signature, *arguments, 0)
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r'^o "/org/pmemd1/region/[0-9a-f]{8}(_[0-9a-f]{4}){3}_[0-9a-f]{12}"$')
        return out.split('"')[1]

    def refused(self, name, member, signature, *arguments):
        """busctl fails and shows a message; the error has that name. The message."""
        status, _, err = self.busctl(member, signature, *arguments, 0)
        self.assertEqual(status, 1, err)
        with wire.Connection(self.host.bus.address) as c, self.assertRaises(wire.Error) as caught:
            c.manager(member, signature, *arguments, [])
        self.assertEqual(caught.exception.name, "org.pmemd1.Error." + name, caught.exception.text)
        self.assertIn(caught.exception.text, err)
        return caught.exception.text

    def mgmt(self, *arguments):
        return self.made("SetupMgmt", "tta{sv}", *arguments)

    def data(self, *arguments):
        return self.made("SetupData", "tttta{sv}", *arguments)

    def mgmt_refused(self, name, *arguments):
        return self.refused(name, "SetupMgmt", "tta{sv}", *arguments)

    def data_refused(self, name, *arguments):
        return self.refused(name, "SetupData", "tttta{sv}", *arguments)

    def free_extent(self):
        """The frames of the pool that nothing has, as its mgmt region says."""
        with wire.Connection(self.host.bus.address) as c:
            entry = c.manager("ListMgmt", "su", "", 0)[0][0]
        return entry[2] + entry[4], entry[3] - 16

    def test_setup_mgmt_1_range(self):
        for smfn, emfn in ((INVALID, 0x490000), (0x480000, INVALID), (INVALID, INVALID), (0x490000, 0x480000),
                           (0x480000, 0x480000),
                           (0x480000, (1 << 40) + 1), (1 << 40, (1 << 40) + 16), (0, 0)):
            with self.subTest(smfn=hex(smfn), emfn=hex(emfn)):
                self.mgmt_refused("InvalidArgument", smfn, emfn)

    def test_setup_mgmt_2_one_raw_region(self):
        for smfn, emfn in ((0x47ffff, 0x490000), (0x4b0000, 0x4d0000), (0x100000, 0x110000), (0x8b0000, 0x8d0000)):
            with self.subTest(smfn=hex(smfn)):
                self.mgmt_refused("InvalidArgument", smfn, emfn)

    def test_setup_mgmt_3_device_range(self):
        """The lead does not fit, the size or the place is no multiple; the nearest valid ranges are named."""
        for smfn, emfn in ((0x8c0000, 0x8d0000), (0x8c0200 + 1, 0x8d0000), (0x8c0200, 0x8d0000 - 1)):
            with self.subTest(smfn=hex(smfn)):
                text = self.mgmt_refused("InvalidArgument", smfn, emfn)
                self.assertRegex(text, r"0x8c0[0-9a-f]{3}")
        self.mgmt(0x8c0200, 0x8d0000)

    def test_setup_mgmt_4_space(self):
        text = self.mgmt_refused("NoSpace", 0x480000, 0x480010)
        self.assertGreaterEqual(len(re.findall(r"0x[0-9a-f]+", text)), 2, text)

    def test_setup_mgmt_5_overlap(self):
        self.mgmt(0x490000, 0x4a0000)
        for smfn, emfn in ((0x490000, 0x4a0000), (0x480000, 0x4c0000), (0x494000, 0x498000), (0x480000, 0x490001),
                           (0x49ffff, 0x4b0000)):
            with self.subTest(smfn=hex(smfn)):
                self.assertIn("0x490000", self.mgmt_refused("Exists", smfn, emfn))
        self.mgmt(0x480000, 0x490000)
        self.mgmt(0x4a0000, 0x4c0000)

    def test_setup_data_1_to_3_range(self):
        self.mgmt(0x480000, 0x490000)
        start, end = self.free_extent()
        for smfn, emfn in ((INVALID, 0x4d0000), (0x4c0000, INVALID), (0x4d0000, 0x4c0000), (0x4c0000, 0x4c0000),
                           (0x4b0000, 0x4d0000),
                           (0x4c0000, (1 << 40) + 1), (0x8c0000, 0x8d0000)):
            with self.subTest(smfn=hex(smfn)):
                self.data_refused("InvalidArgument", smfn, emfn, start, end)
        for mgmt_smfn, mgmt_emfn in ((INVALID, end), (start, INVALID), (end, start), (start, start),
                                     (start, (1 << 40) + 1)):
            with self.subTest(mgmt_smfn=hex(mgmt_smfn)):
                self.data_refused("InvalidArgument", 0x4c0000, 0x4d0000, mgmt_smfn, mgmt_emfn)

    def test_setup_data_4_no_such_mgmt(self):
        self.mgmt(0x480000, 0x490000)
        start, end = self.free_extent()
        for mgmt_smfn, mgmt_emfn in ((0x4a0000, 0x4a1000), (0x48f000, 0x491000), (start, 0x490001), (0x47f000, end)):
            with self.subTest(mgmt_smfn=hex(mgmt_smfn)):
                self.data_refused("NoSuchMgmt", 0x4c0000, 0x4d0000, mgmt_smfn, mgmt_emfn)

    def test_setup_data_5_extent(self):
        self.mgmt(0x480000, 0x490000)
        start, end = self.free_extent()
        # 0x10000 frames take 0x200 + 0x80 of the profile xen.
        self.data_refused("NoSpace", 0x4c0000, 0x4d0000, start, start + 0x27f)
        self.data_refused("NoSpace", 0x4c0000, 0x4d0000, 0x480000, 0x490000)
        self.data_refused("NoSpace", 0x4c0000, 0x4d0000, start - 1, end)
        self.data(0x4c0000, 0x4d0000, start, start + 0x280)
        self.data_refused("NoSpace", 0x4d0000, 0x4e0000, start + 0x27f, end)
        self.data(0x4d0000, 0x4e0000, start + 0x280, end)

    def test_setup_data_6_overlap(self):
        self.mgmt(0x480000, 0x490000)
        start, end = self.free_extent()
        self.data(0x4d0000, 0x4e0000, start, end)
        start, end = self.free_extent()
        for smfn, emfn in ((0x4d0000, 0x4e0000), (0x4c0000, 0x4f0000), (0x4d1000, 0x4d2000), (0x4c0000, 0x4d0001),
                           (0x4dffff, 0x4f0000)):
            with self.subTest(smfn=hex(smfn)):
                self.assertIn("0x4d0000", self.data_refused("Exists", smfn, emfn, start, end))
        # Data over mgmt, and mgmt over data.
        self.assertIn("0x480000", self.data_refused("Exists", 0x48f000, 0x491000, start, end))
        self.assertIn("0x4d0000", self.mgmt_refused("Exists", 0x4c0000, 0x4f0000))

    def test_setup_data_6_quarantined(self):
        self.mgmt(0x480000, 0x490000)
        start, end = self.free_extent()
        region = self.data(0x4d0000, 0x4e0000, start, end)
        hold = os.path.join(self.host.daemon.backend_folder, "hold")
        with open(hold, "w", encoding="utf-8"), \
                open(os.path.join(self.host.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as inject:
            inject.write("[zero]\nWaitFile=hold\n")
        status, out, _ = self.busctl("ReleaseData", "oa{sv}", region, 0)
        self.assertEqual((status, out), (0, f'o "{region.replace("region", "job", 1)}"\n'))
        self.data_refused("Exists", 0x4d0000, 0x4e0000, *self.free_extent())
        self.refused("Busy", "ReleaseMgmt", "oa{sv}", self.pool())
        os.unlink(hold)

    def pool(self):
        with wire.Connection(self.host.bus.address) as c:
            uuid = c.manager("ListMgmt", "su", "", 0)[0][0][0]
        return harness.ROOT + "/region/" + uuid.replace("-", "_")

    def test_setup_data_8_keeps_what_it_needs(self):
        """What was offered beyond the extent stays free."""
        self.mgmt(0x480000, 0x490000)
        start, end = self.free_extent()
        self.data(0x4c0000, 0x4d0000, start, end)
        self.assertEqual(self.free_extent(), (start + 0x280, end))

    def test_release_and_allocate(self):
        self.mgmt(0x480000, 0x490000)
        region = self.made("AllocateData", "ta{sv}", 64 << 20)
        self.refused("Busy", "ReleaseMgmt", "oa{sv}", self.pool())
        self.refused("NoSpace", "AllocateData", "ta{sv}", 1 << 50)
        self.refused("NoSuchRegion", "ReleaseMgmt", "oa{sv}", region)
        self.refused("NoSuchRegion", "ReleaseData", "oa{sv}", self.pool())
        with wire.Connection(self.host.bus.address) as c:
            c.bus("AddMatch", "s", "type='signal',sender='org.pmemd1',member='JobRemoved'")
            self.busctl("ReleaseData", "oa{sv}", region, 0)
            c.wait_signal("JobRemoved")
        status, out, err = self.busctl("ReleaseMgmt", "oa{sv}", self.pool(), 0)
        self.assertEqual((status, out, err), (0, "", ""))


if __name__ == "__main__":
    harness.main()
