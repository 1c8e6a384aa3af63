#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""GetMetrics: the numbers agree with the lists and with what was asked for, and tell nobody what lists hide."""

import os
import re
import time
import unittest

import harness
import wire

NOBODY = 65534
FRAME = 4096
OPERATIONS = {"list", "create", "destroy", "mappers", "open-medium", "open-content", "lend", "renew", "zero"}
# What each name has for labels: a contract, names are added and never changed.
NAMES = {
    "state": {"state"}, "pool_state": {"pool", "state"}, "pools_read_only": set(),
    "raw_bytes": set(), "mgmt_bytes": set(), "data_bytes": set(), "free_bytes": set(),
    "raw_regions": set(), "mgmt_regions": set(), "data_regions": set(), "data_regions_in_state": {"state"}, "foreign_devices": set(),
    **{f"raw_{what}_bytes": {"raw", "node"} for what in ("capacity", "used", "free", "largest_gap", "bad")},
    **{f"node_{what}_bytes": {"node"} for what in ("capacity", "used", "free", "largest_gap")},
    "journal_area_bytes": {"pool"}, "journal_used_bytes": {"pool"},
    "pool_data_regions": {"pool"}, "pool_data_bytes": {"pool"}, "pool_free_mgmt_bytes": {"pool"},
    "data_regions_with_bad_frames": set(), "leases": set(), "leases_unconfirmed": set(),
    "erase_backlog_regions": set(), "erase_backlog_bytes": set(),
    "queued_requests": set(), "process_start_time_seconds": set(), "calls_total": {"method", "outcome"},
    "queue_wait_seconds_bucket": {"le"}, "queue_wait_seconds_sum": set(), "queue_wait_seconds_count": set(),
    "queue_wait_seconds_max": set(),
    "backend_operation_seconds_bucket": {"operation", "le"}, "backend_operation_seconds_sum": {"operation"},
    "backend_operation_seconds_count": {"operation"}, "backend_operation_seconds_max": {"operation"},
}


def ask(connection):
    """{(name, ((label, value), ...)): number}"""
    metrics = {}
    for name, labels, value in connection.manager("GetMetrics")[0]:
        key = name, tuple(sorted(labels.items()))
        if key in metrics:
            raise AssertionError(f"{key} is there twice")
        metrics[key] = value
    return metrics


def value(metrics, name, **labels):
    return metrics[name, tuple(sorted(labels.items()))]


class Metrics(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.connection = wire.Connection(self.host.bus.address)
        self.addCleanup(self.connection.close)

    def make(self):
        self.connection.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [("name", ("s", "pool0"))])
        return [self.connection.manager("AllocateData", "ta{sv}", 16 << 20, [])[0] for _ in range(3)]

    def test_names(self):
        """Every name with the labels it is known by, and no other."""
        self.make()
        metrics = ask(self.connection)
        self.assertEqual({name for name, _ in metrics}, set(NAMES))
        for name, labels in metrics:
            self.assertEqual({k for k, _ in labels}, NAMES[name], name)

    def test_what_there_is(self):
        self.make()
        metrics = ask(self.connection)
        properties = self.connection.get_all(harness.ROOT, harness.MANAGER)
        for name, wanted in (("raw_bytes", "RawBytes"), ("mgmt_bytes", "MgmtBytes"), ("data_bytes", "DataBytes"),
                             ("free_bytes", "FreeBytes"), ("raw_regions", "RawRegions"), ("mgmt_regions", "MgmtRegions"),
                             ("data_regions", "DataRegions"), ("foreign_devices", "ForeignDevices"),
                             ("queued_requests", "QueuedRequests")):
            self.assertEqual(value(metrics, name), properties[wanted], name)
        self.assertEqual({s: value(metrics, "state", state=s) for s in ("recovering", "ok", "degraded", "read-only")},
                         {"recovering": 0, "ok": 1, "degraded": 0, "read-only": 0})
        nodes = {}
        for row in self.connection.manager("ListRaw", "su", "", 0)[0]:
            labels = {"raw": row[0], "node": str(row[3])}
            capacity = (row[2] - row[1]) * FRAME
            self.assertEqual(value(metrics, "raw_capacity_bytes", **labels), capacity)
            self.assertEqual(value(metrics, "raw_free_bytes", **labels), row[8])
            self.assertEqual(value(metrics, "raw_used_bytes", **labels), capacity - row[8])
            self.assertEqual(value(metrics, "raw_largest_gap_bytes", **labels), row[9])
            sums = nodes.setdefault(row[3], [0, 0, 0])
            nodes[row[3]] = [sums[0] + capacity, sums[1] + row[8], max(sums[2], row[9])]
        for node, (capacity, free, gap) in nodes.items():
            self.assertEqual([value(metrics, f"node_{what}_bytes", node=str(node))
                              for what in ("capacity", "used", "free", "largest_gap")], [capacity, capacity - free, free, gap])
        (pool,) = self.connection.manager("ListMgmt", "su", "", 0)[0]
        self.assertEqual(value(metrics, "pool_data_regions", pool=pool[0]), 3)
        self.assertEqual(value(metrics, "pool_data_bytes", pool=pool[0]), 3 * (16 << 20))
        self.assertEqual(value(metrics, "pool_free_mgmt_bytes", pool=pool[0]), pool[5] * FRAME)
        self.assertEqual(value(metrics, "pool_state", pool=pool[0], state="ok"), 1)
        self.assertEqual(sum(v for (name, _), v in metrics.items() if name == "pool_state"), 1)

    def in_states(self):
        metrics = ask(self.connection)
        return {labels[0][1]: number for (name, labels), number in metrics.items() if name == "data_regions_in_state" and number}

    def test_regions_by_state(self):
        """Counted as they change, and counted anew at a start."""
        regions = self.make()
        self.assertEqual(self.in_states(), {"ok": 3})
        with open(os.path.join(self.host.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as file:
            file.write("[zero]\nError=EIO\n")
        self.connection.bus("AddMatch", "s", "type='signal',interface='org.pmemd1.Manager',member='JobRemoved'")
        self.connection.manager("ReleaseData", "oa{sv}", regions[0], [])
        self.connection.wait_signal("JobRemoved")
        self.assertEqual(self.in_states(), {"ok": 2, "quarantined": 1})
        # The start erases it again; what is missing is seen at the start alone.
        path = self.connection.get_all(regions[1], harness.REGION)["DevicePath"]
        device = os.path.join(os.path.dirname(path), re.search("data-(.*)\\.img", path)[1] + ".dev")
        self.host.daemon.stop()
        os.rename(device, device + ".away")
        self.connection.signals.clear()
        self.host.daemon.start()
        if "quarantined" in self.in_states():
            self.connection.wait_signal("JobRemoved")
        self.assertEqual(self.in_states(), {"ok": 1, "missing": 1})

    def test_journal_fills(self):
        self.make()
        (pool,) = self.connection.manager("ListMgmt", "su", "", 0)[0]
        before = ask(self.connection)
        self.connection.manager("AllocateData", "ta{sv}", 16 << 20, [])
        after = ask(self.connection)
        used = [value(m, "journal_used_bytes", pool=pool[0]) for m in (before, after)]
        self.assertTrue(0 < used[0] < used[1] < value(after, "journal_area_bytes", pool=pool[0]), used)

    def test_counted(self):
        """Calls by outcome; waits and operations as many as there were."""
        regions = self.make()
        for wanted in ("NoSuchRegion", "InvalidArgument"):
            with self.assertRaises(wire.Error) as caught:
                if wanted == "NoSuchRegion":
                    self.connection.manager("GetRegion", "s", "nobody")
                else:
                    self.connection.manager("AllocateData", "ta{sv}", 1 << 20, [("nonsense", ("s", ""))])
            self.assertEqual(caught.exception.name, "org.pmemd1.Error." + wanted)
        self.connection.bus("AddMatch", "s", "type='signal',interface='org.pmemd1.Manager',member='JobRemoved'")
        self.connection.manager("ReleaseData", "oa{sv}", regions[0], [])
        self.connection.wait_signal("JobRemoved")
        metrics = ask(self.connection)
        for method, outcome, count in (("AllocateData", "ok", 3), ("AllocateData", "InvalidArgument", 1), ("SetupMgmt", "ok", 1),
                                       ("GetRegion", "NoSuchRegion", 1), ("ReleaseData", "ok", 1)):
            self.assertEqual(value(metrics, "calls_total", method=method, outcome=outcome), count, (method, outcome))
        self.assertNotIn(("calls_total", (("method", "GetRegion"), ("outcome", "ok"))), metrics)
        self.assertEqual(value(metrics, "queue_wait_seconds_count"), 5)
        for operation, count in (("create", 4), ("destroy", 1), ("mappers", 1), ("open-medium", 1), ("open-content", 1), ("zero", 1)):
            self.assertEqual(value(metrics, "backend_operation_seconds_count", operation=operation), count, operation)
        self.assertEqual((value(metrics, "erase_backlog_regions"), value(metrics, "erase_backlog_bytes")), (0, 0))

    def test_histograms(self):
        self.make()
        metrics = ask(self.connection)
        for name, labels in [("queue_wait_seconds", {})] + [("backend_operation_seconds", {"operation": o}) for o in OPERATIONS]:
            buckets = [(float(dict(k[1])["le"]), v) for k, v in metrics.items()
                       if k[0] == name + "_bucket" and labels.items() <= dict(k[1]).items()]
            self.assertEqual(buckets, sorted(buckets), name)
            counts = [v for _, v in buckets]
            self.assertEqual(counts, sorted(counts), name)
            self.assertEqual(buckets[-1], (float("inf"), value(metrics, name + "_count", **labels)))
            total, longest = value(metrics, name + "_sum", **labels), value(metrics, name + "_max", **labels)
            self.assertLessEqual(longest, total)
            self.assertLessEqual(total, longest * counts[-1] + 1e-9)

    def backlog(self):
        metrics = ask(self.connection)
        return value(metrics, "erase_backlog_regions"), value(metrics, "erase_backlog_bytes")

    def test_backlog(self):
        """What was released and is not yet erased."""
        regions = self.make()
        folder = self.host.daemon.backend_folder
        with open(os.path.join(folder, "hold"), "wb"):
            pass
        with open(os.path.join(folder, "inject.conf"), "w", encoding="utf-8") as f:
            f.write("[zero]\nWaitFile=hold\n")
        self.connection.bus("AddMatch", "s", "type='signal',interface='org.pmemd1.Manager',member='JobRemoved'")
        for region in regions[:2]:
            self.connection.manager("ReleaseData", "oa{sv}", region, [])
        self.assertEqual(self.backlog(), (2, 32 << 20))
        os.unlink(os.path.join(folder, "hold"))
        for _ in range(2):
            self.assertEqual(self.connection.wait_signal("JobRemoved").body[2], "done")
        self.assertEqual(self.backlog(), (0, 0))

    def test_start_time(self):
        """Of this process, and all counts with it."""
        self.make()
        self.assertEqual(self.host.daemon.stop(), 0)
        before = time.time()
        self.host.daemon.start()
        metrics = ask(self.connection)
        self.assertTrue(before <= value(metrics, "process_start_time_seconds") <= time.time())
        self.assertNotIn(("calls_total", (("method", "SetupMgmt"), ("outcome", "ok"))), metrics)
        self.assertEqual(value(metrics, "data_regions"), 3)

    def test_everyone(self):
        """The unprivileged get the same series, and no text among them that lists hide from them."""
        self.make()
        ours = ask(self.connection)

        def theirs():
            with wire.Connection(self.host.bus.address) as c:
                return ask(c)

        got = wire.as_user(NOBODY, theirs)
        counted = ("calls_total",)
        self.assertEqual({k for k in got if k[0] not in counted}, {k for k in ours if k[0] not in counted})
        allowed = {"method", "outcome", "state", "le", "operation", "raw", "node", "pool"}
        for _, labels in got:
            self.assertLessEqual({k for k, _ in labels}, allowed)
            self.assertFalse(any("/" in v or v.startswith("0x") for _, v in labels), labels)


if __name__ == "__main__":
    harness.main()
