#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Bad frames and the health of DIMMs, as health.conf has them: what is degraded, what is not given to anybody, what clearing loses."""

import os
import unittest

import harness
import wire

MGMT = (0x480000, 0x490000)
DATA = (0x4c0000, 0x4c0100)
EXTENT = (0x48c000, 0x48c100)
REGION = "org.pmemd1.Region"
FRAME = harness.FRAME
DIMMS = """
[dimm d1]
Regions=raw0 raw1
State={}
Spares=7
[dimm d2]
Regions=raw1
State=ok
Temperature=41
"""


class BadFrames(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.connection = wire.Connection(self.host.bus.address, descriptors=True)
        self.addCleanup(self.connection.close)
        self.connection.bus("AddMatch", "s", "type='signal',interface='org.pmemd1.Manager'")

    # --- helpers ---

    def write_health(self, raw0="", raw1="", more=""):
        """Of each raw region the frames, as health.conf has them."""
        text = more
        for group, frames in (("raw0", raw0), ("raw1", raw1)):
            if frames:
                text += f"[{group}]\nBadFrames={frames}\n"
        path = os.path.join(self.host.daemon.backend_folder, "health.conf")
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def restart_with(self, **health):
        self.host.daemon.stop()
        self.write_health(**health)
        self.host.daemon.start()
        self.connection.signals.clear()

    def setup_pool(self):
        return self.connection.manager("SetupMgmt", "tta{sv}", *MGMT, [("name", ("s", "pool"))])[0]

    def setup_data(self, frames=DATA, extent=EXTENT, options=()):
        return self.connection.manager("SetupData", "tttta{sv}", *frames, *extent, list(options))[0]

    def properties(self, path):
        return self.connection.get_all(path, REGION)

    def bad(self, path):
        """State, BadFrames and BadExtents of a region."""
        p = self.properties(path)
        return p["State"], p["BadFrames"], [tuple(e) for e in p["BadExtents"]]

    def states(self, method="ListData", column=9):
        return [row[column] for row in self.connection.manager(method, "su", "", 0)[0]]

    def refused(self, name, *call):
        with self.assertRaises(wire.Error) as caught:
            self.connection.manager(*call)
        self.assertEqual(caught.exception.name, "org.pmemd1.Error." + name, caught.exception.text)
        return caught.exception.text

    def clear(self, path, **options):
        kinds = {bool: "b", str: "s"}
        lost, = self.connection.manager("ClearBadFrames", "oa{sv}", path,
                                        [(k.replace("_", "-"), (kinds[type(v)], v)) for k, v in options.items()])
        return [tuple(row) for row in lost]

    def write_at(self, path, frame, byte):
        device = self.properties(path)["DevicePath"]
        with open(device, "r+b") as f:
            f.seek(frame * FRAME)
            f.write(bytes([byte]) * FRAME)

    def read_at(self, path, frame):
        with open(self.properties(path)["DevicePath"], "rb") as f:
            f.seek(frame * FRAME)
            return f.read(FRAME)

    # --- what is bad ---

    def test_degraded(self):
        """What was once bad stays so over restarts, also when the platform has forgotten it, until it is cleared."""
        self.setup_pool()
        path = self.setup_data()
        self.assertEqual(self.bad(path), ("ok", 0, []))
        self.restart_with(raw1="0x4c0000+2 0x4c0010 0x4c00f8+0x20")
        found = ("degraded", 11, [(0x4c0000, 0x4c0002), (0x4c0010, 0x4c0011), (0x4c00f8, 0x4c0100)])
        self.assertEqual(self.bad(path), found)
        self.assertEqual(self.states(), ["degraded"])
        self.assertIn("clear them", self.properties(path)["StateReason"])
        self.assertEqual(self.states("ListMgmt", 10), ["ok"])
        self.restart_with()
        self.assertEqual(self.bad(path), found)
        self.restart_with(raw1="0x4c0080")
        self.assertEqual(self.bad(path)[1], 12)
        self.host.daemon.kill()
        self.write_health()
        self.host.daemon.start()
        self.assertEqual(self.bad(path)[1], 12)
        self.assertIn("bad frames: 0x4c0000-0x4c0002", self.host.daemon.log())

    def test_not_given_to_anybody(self):
        """Free bad frames are not counted as free, not chosen, and not taken by exact frames unless that is asked for."""
        self.setup_pool()
        # Of raw1 one run of 0x200 frames can be read, and one of 0x100.
        self.restart_with(raw1="0x4c0000+0x1000 0x4c1200+0x100 0x4c1400+0x3fec00", raw0="0x490000+0x2ff80 0x4bff90+0x70")
        row = self.connection.manager("ListRaw", "su", "", 0)[0][1]
        self.assertEqual(row[8:10], (0x300 * FRAME, 0x200 * FRAME))
        totals = self.connection.get_all(harness.ROOT, harness.MANAGER)
        self.assertEqual(totals["FreeBytes"], 0x310 * FRAME)
        plan = self.connection.manager("Plan", "sa{sv}", "AllocateData", [("bytes", ("t", 0x100 * FRAME))])[0]
        self.assertEqual(plan["StartFrame"], 0x4c1300)
        small = self.connection.manager("AllocateData", "ta{sv}", 0x10 * FRAME, [])[0]
        self.assertEqual(self.properties(small)["StartFrame"], 0x4bff80)
        large = self.connection.manager("AllocateData", "ta{sv}", 0x101 * FRAME, [])[0]
        self.assertEqual(self.properties(large)["StartFrame"], 0x4c1000)
        text = self.refused("NoSpace", "AllocateData", "ta{sv}", 0x101 * FRAME, [])
        self.assertIn("bad frames", text)

        exact = (0x4c1300, 0x4c1401)
        text = self.refused("Degraded", "SetupData", "tttta{sv}", *exact, 0x48e000, 0x48e100, [])
        for part in ("0x4c1400", "allow-degraded", "clear-bad-frames"):
            self.assertIn(part, text)
        arguments = [("smfn", ("t", exact[0])), ("emfn", ("t", exact[1])), ("mgmt_smfn", ("t", 0x48e000)),
                     ("mgmt_emfn", ("t", 0x48e100))]
        self.refused("Degraded", "Plan", "sa{sv}", "SetupData", arguments)
        allowed = ("allow-degraded", ("b", True))
        plan = self.connection.manager("Plan", "sa{sv}", "SetupData", [*arguments, allowed])[0]
        self.assertEqual(plan["BadFrames"], 1)
        path = self.setup_data(exact, (0x48e000, 0x48e100), [allowed])
        self.assertEqual(self.bad(path), ("degraded", 1, [(0x4c1400, 0x4c1401)]))

    def test_management_regions(self):
        """No journal in bad frames, whatever is asked for; extents avoid them, and the pool says that it is degraded."""
        self.restart_with(raw0="0x480010 0x488000 0x48c000+0x10")
        self.refused("Degraded", "SetupMgmt", "tta{sv}", *MGMT, [])
        allowed = [("allow-degraded", ("b", True))]
        self.assertIn("journal", self.refused("Degraded", "SetupMgmt", "tta{sv}", *MGMT, allowed))
        self.restart_with(raw0="0x48c000+0x10")
        pool = self.connection.manager("SetupMgmt", "tta{sv}", *MGMT, allowed)[0]
        self.assertEqual(self.bad(pool), ("degraded", 16, [(0x48c000, 0x48c010)]))
        self.assertEqual(self.states("ListMgmt", 10), ["degraded"])
        self.assertEqual(self.connection.get_all(harness.ROOT, harness.MANAGER)["State"], "degraded")
        self.refused("Degraded", "SetupData", "tttta{sv}", *DATA, *EXTENT, [])
        path = self.setup_data(extent=(0x48c010, 0x48c100))
        self.assertEqual(self.bad(path), ("ok", 0, []))
        self.assertIn("pool", self.refused("NotSupported", "ClearBadFrames", "oa{sv}", pool, [])
                      .replace("management region", "pool"))
        self.restart_with()
        self.assertEqual(self.bad(pool)[0], "degraded")

    # --- clearing ---

    def test_clear(self):
        """It says what it loses, loses exactly that, and is remembered."""
        self.setup_pool()
        path = self.setup_data()
        for frame in (0x0f, 0x10, 0x11, 0x20):
            self.write_at(path, frame, 0xaa)
        self.restart_with(raw1="0x4c0010+2 0x4c0200")
        lost = [(path, 0x4c0010, 0x4c0012, 0x10 * FRAME)]
        self.assertEqual(self.clear(path, dry_run=True), lost)
        self.assertEqual(self.bad(path)[0], "degraded")
        self.assertEqual(self.clear(path), lost)
        signal = self.connection.wait_signal("HealthChanged")
        while signal.body[1] == "ok":  # of the start
            signal = self.connection.wait_signal("HealthChanged")
        self.assertEqual(signal.body, (path, "degraded", "ok", ""))
        self.assertEqual(self.bad(path), ("ok", 0, []))
        self.assertEqual([self.read_at(path, f)[0] for f in (0x0f, 0x10, 0x11, 0x20)], [0xaa, 0, 0, 0xaa])
        self.assertEqual(self.clear(path), [])
        self.host.daemon.kill()
        self.host.daemon.start()
        self.assertEqual(self.bad(path), ("ok", 0, []))

        # Nobody's frames are left.
        self.assertEqual(self.clear("/", raw="raw1", dry_run=True), [("/", 0x4c0200, 0x4c0201, 0x200 * FRAME)])
        self.assertEqual(len(self.clear("/", raw="raw1")), 1)
        self.assertEqual(self.clear("/", raw="raw1"), [])
        self.assertIn("bad frames of raw region raw1 were cleared: 0x4c0200", self.host.daemon.log())

    def test_clear_refused(self):
        self.refused("NoSuchRegion", "ClearBadFrames", "oa{sv}", "/", [("raw", ("s", "raw9"))])
        self.refused("InvalidArgument", "ClearBadFrames", "oa{sv}", "/", [])
        self.setup_pool()
        path = self.setup_data()
        self.refused("InvalidArgument", "ClearBadFrames", "oa{sv}", path, [("raw", ("s", "raw1"))])
        self.restart_with(raw1="0x4c0010")
        inject = os.path.join(self.host.daemon.backend_folder, "inject.conf")
        with open(inject, "w", encoding="utf-8") as f:
            f.write("[clear_bad]\nWhen=before\nError=EIO\n")
        text = self.refused("Hardware", "ClearBadFrames", "oa{sv}", path, [])
        self.assertIn("0 of 1 bad frames were cleared", text)
        self.assertEqual(self.bad(path)[:2], ("degraded", 1))
        self.assertEqual(len(self.clear(path)), 1)

    def test_clear_part(self):
        """The extents that could be cleared are; the others stay bad."""
        self.setup_pool()
        path = self.setup_data()
        self.restart_with(raw1="0x4c0010 0x4c0020 0x4c0030")
        inject = os.path.join(self.host.daemon.backend_folder, "inject.conf")
        with open(inject, "w", encoding="utf-8") as f:
            f.write("[clear_bad]\nWhen=before\nError=EIO\nNth=2\n")
        text = self.refused("Hardware", "ClearBadFrames", "oa{sv}", path, [])
        self.assertIn("2 of 3 bad frames were cleared", text)
        self.assertEqual(self.bad(path), ("degraded", 1, [(0x4c0020, 0x4c0021)]))
        self.restart_with()
        self.assertEqual(self.bad(path), ("degraded", 1, [(0x4c0020, 0x4c0021)]))

    def test_release(self):
        """A released region is made good before it is erased; where that fails its frames are not free."""
        self.setup_pool()
        path = self.setup_data()
        self.restart_with(raw1="0x4c0010")
        inject = os.path.join(self.host.daemon.backend_folder, "inject.conf")
        with open(inject, "w", encoding="utf-8") as f:
            f.write("[clear_bad]\nWhen=before\nError=EIO\n")
        self.connection.manager("ReleaseData", "oa{sv}", path, [])
        self.assertEqual(self.connection.wait_signal("JobRemoved").body[2], "failed")
        self.assertEqual(self.bad(path)[:2], ("quarantined", 1))
        self.assertIn("could not be cleared", self.properties(path)["StateReason"])
        self.connection.signals.clear()
        self.connection.manager("ReleaseData", "oa{sv}", path, [])
        self.assertEqual(self.connection.wait_signal("JobRemoved").body[2], "done")
        self.assertEqual(self.states(), [])
        self.assertEqual(self.connection.get_all(harness.ROOT, harness.MANAGER)["FreeBytes"],
                         (17 << 30) - (MGMT[1] - MGMT[0]) * FRAME)
        self.setup_data()

    # --- DIMMs ---

    def test_dimms(self):
        self.setup_pool()
        path = self.setup_data()
        self.assertEqual(self.connection.manager("ListDimms", ""), ([],))
        self.assertEqual(self.properties(path)["Health"], "")
        self.restart_with(more=DIMMS.format("critical"))
        rows = [tuple(r) for r in self.connection.manager("ListDimms", "")[0]]
        self.assertEqual([(r[0], r[1], r[3], r[5], r[7]) for r in rows],
                         [("raw0", "d1", "critical", 7, -2**31), ("raw1", "d1", "critical", 7, -2**31),
                          ("raw1", "d2", "ok", -1, 41)])
        self.assertEqual(self.properties(path)["Health"], "critical")
        self.assertEqual(self.properties(path)["State"], "ok")
        self.assertIn("DIMM d1", self.host.daemon.log())
        critical = [value for name, labels, value in self.connection.manager("GetMetrics", "")[0]
                    if name == "dimm_health" and labels["health"] == "critical"]
        self.assertEqual(sorted(critical), [0, 1, 1])

    # --- leases ---

    def test_lending(self):
        """A degraded region is lent only to who asks for it so; whoever has it may confirm; clearing waits for them."""
        self.setup_pool()
        path = self.setup_data()
        self.restart_with(raw1="0x4c0010")
        text = self.refused("Degraded", "Attach", "osa{sv}", path, "guest", [])
        self.assertIn("1 bad frames", text)
        self.assertIn("allow-degraded", text)
        self.connection.manager("Attach", "osa{sv}", path, "guest", [("allow-degraded", ("b", True))])
        self.connection.manager("Attach", "osa{sv}", path, "guest", [])
        self.assertIn("guest", self.refused("Leased", "ClearBadFrames", "oa{sv}", path, []))
        self.assertEqual(len(self.clear(path, force=True)), 1)
        self.connection.manager("Detach", "osa{sv}", path, "guest", [])
        self.connection.manager("Attach", "osa{sv}", path, "guest", [])
        self.connection.manager("Detach", "osa{sv}", path, "guest", [])
        self.restart_with(more=DIMMS.format("fatal"))
        self.assertIn("DIMM", self.refused("Degraded", "Attach", "osa{sv}", path, "guest", []))

    # --- pmemctl ---

    def test_pmemctl(self):
        """Without --yes nothing is done; RAW means what nobody has."""
        self.setup_pool()
        path = self.setup_data()
        self.restart_with(raw1="0x4c0010+2 0x4c0300", more=DIMMS.format("fatal"))
        uuid = path.rsplit("/", 1)[1].replace("_", "-")

        def clear(*arguments):
            return self.host.ctl("--json", "clear-bad-frames", *arguments).json()
        lost = {"path": path, "start_frame": 0x4c0010, "end_frame": 0x4c0012, "bytes": 2 * FRAME, "offset": 0x10 * FRAME}
        document = clear(uuid)
        self.assertEqual((document["done"], document["lost"]), (False, [lost]))
        self.assertEqual(self.bad(path)[0], "degraded")
        shown = self.host.ctl("--json", "show", uuid).json()["region"]
        self.assertEqual((shown["state"], shown["bad_frames"], shown["health"]), ("degraded", 2, "fatal"))
        self.assertIn("--yes", self.host.ctl("clear-bad-frames", uuid).out)
        document = clear(uuid, "--yes")
        self.assertEqual((document["done"], document["lost"]), (True, [lost]))
        self.assertEqual(self.bad(path)[0], "ok")
        self.assertEqual([row["start_frame"] for row in clear("raw1", "--yes")["lost"]], [0x4c0300])
        self.assertEqual(clear("raw1")["lost"], [])

        rows = self.host.ctl("--json", "dimms").json()["dimms"]
        self.assertEqual([(r["raw"], r["id"], r["health"], r["spares"]) for r in rows],
                         [("raw0", "d1", "fatal", 7), ("raw1", "d1", "fatal", 7), ("raw1", "d2", "ok", -1)])
        self.assertIn("fatal", self.host.ctl("dimms").out)
        self.assertEqual(self.host.ctl("setup-data", "0x4c1000", "0x4c1100", "0x48e000", "0x48e100",
                                       "--allow-degraded").status, 0)

    def test_metrics(self):
        self.setup_pool()
        path = self.setup_data()
        self.restart_with(raw1="0x4c0010+2 0x4d0000")
        metrics = {}
        for name, labels, value in self.connection.manager("GetMetrics", "")[0]:
            metrics[name, labels.get("raw")] = value
        self.assertEqual(metrics["raw_bad_bytes", "raw1"], 3 * FRAME)
        self.assertEqual(metrics["raw_bad_bytes", "raw0"], 0)
        self.assertEqual(metrics["region_bad_bytes", None], 2 * FRAME)
        self.assertEqual(metrics["data_regions_with_bad_frames", None], 1)
        self.assertEqual(metrics["raw_free_bytes", "raw1"], (16 << 30) - (DATA[1] - DATA[0] + 1) * FRAME)
        self.clear(path)


if __name__ == "__main__":
    harness.main()
