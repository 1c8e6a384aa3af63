#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemd under callers that ask for more than it can do: 64 clients at once for PMEMD_FLOOD_SECONDS (10), more requests
than may wait, more calls than may join one request. Everyone is served, nothing grows.

How much slower one client gets is measured by tests/bench/run, not here."""

import json
import os
import subprocess
import unittest
import uuid

import harness
import wire

SECONDS = float(os.environ.get("PMEMD_FLOOD_SECONDS", "10"))
CLIENTS = 64
MAX_QUEUE, MAX_QUEUE_PER_USER = 256, 64  # what pmemd.conf has by default
REGIONS = 250
LIMITS = "org.pmemd1.Error.LimitsExceeded"
# Where data regions go; the last frames are for those that the flood's one client sets up.
SMFN = 0x4C0000


class Case(unittest.TestCase):
    def setUp(self):
        # A sanitizer keeps freed memory for a while: not for the memory of the daemon to be looked at.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
        self.host = harness.Host(environment={"ASAN_OPTIONS": asan}).__enter__()
        self.addCleanup(self.host.__exit__)
        self.connection = wire.Connection(self.host.bus.address)
        self.addCleanup(self.connection.close)
        self.connection.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [("profile", ("s", "none"))])

    def metrics(self):
        return {(name, *(v for _, v in sorted(labels.items()))): value for name, labels, value in self.connection.manager("GetMetrics")[0]}

    def resident(self):
        with open(f"/proc/{self.host.daemon.pid}/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) << 10 for line in f if line.startswith("RssAnon"))

    def lists(self):
        return [self.connection.manager(m, "su", "", 0) for m in ("ListRaw", "ListMgmt", "ListData", "ListForeign")]


class Full(Case):
    """With REGIONS data regions."""

    def setUp(self):
        super().setUp()
        (row,) = self.connection.manager("ListMgmt", "su", "", 0)[0]
        extent = row[2] + row[4]
        for i in range(REGIONS):
            smfn = SMFN + i * 8
            self.connection.manager("SetupData", "tttta{sv}", smfn, smfn + 4, extent + i, extent + i + 1, [])


class Flood(Full):
    def flood(self, seconds):
        done = subprocess.run([os.environ["FLOOD_EXE"], self.host.bus.address, str(seconds), "1"], capture_output=True,
                              text=True, timeout=seconds * 4 + 2 * harness.PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)["counts"]

    def test_everyone_is_served(self):
        # What is kept once (arenas, the callers' credentials) is there after a first round.
        self.flood(SECONDS / 5)
        lists, before, resident = self.lists(), self.metrics(), self.resident()
        counts = self.flood(SECONDS)
        after = self.metrics()
        print(f"# flood of {SECONDS:g} s: {counts}; longest wait in the queue {after['queue_wait_seconds_max', ] * 1e3:.3g} ms")

        # Each client got pages and refusals, none much less than the others; each change of the one came to its end.
        self.assertGreater(counts["changes"], 0)
        for kind in ("pages", "refused"):
            self.assertGreater(counts["least " + kind], counts[kind] / CLIENTS / 4, kind)
        # pmemd counted what they saw.
        grown = {key: value - before.get(key, 0) for key, value in after.items() if key[0] == "calls_total"}
        self.assertEqual(grown["calls_total", "ListData", "ok"], counts["pages"])
        self.assertEqual(sum(v for (_, method, outcome), v in grown.items() if method == "SetupData" and outcome != "ok"),
                         counts["refused"])
        self.assertEqual(grown["calls_total", "SetupData", "ok"], counts["changes"])
        # Half of the clients are nobody's.
        self.assertEqual(grown.get(("calls_total", "SetupData", "NotAuthorized"), 0) > 0, os.geteuid() == 0)
        self.assertEqual(after["queue_wait_seconds_count", ] - before["queue_wait_seconds_count", ],
                         sum(v for (_, method, outcome), v in grown.items()
                             if method in ("SetupData", "ReleaseData") and outcome not in ("NotAuthorized", "LimitsExceeded")))
        # And all is as it was.
        self.assertEqual(self.lists(), lists)
        self.assertLess(self.resident() - resident, harness.resident_slack())


class Unread(Full):
    """Callers that ask and do not read the answers: the bus keeps them, and takes no more than 127 MiB from pmemd."""

    UNREAD_MAX, CROWDED, ALL_MAX = 8 << 20, 32 << 20, 80 << 20  # daemon/bus-unread.h

    def stats(self, name):
        return dict(self.connection.call("org.freedesktop.DBus", "/org/freedesktop/DBus",
                                         "org.freedesktop.DBus.Debug.Stats", "GetConnectionStats", "s", name)[0])

    def kept(self):
        """Bytes that the bus has from pmemd and nobody read."""
        return self.stats(self.connection.bus("GetNameOwner", "s", "org.pmemd1")[0])["IncomingBytes"]

    def ask(self, connection, member="ListData", interface="org.pmemd1.Manager", arguments=("su", "", 0)):
        """Calls whose answers are not read, and one of another caller, which is answered."""
        for _ in range(16):
            connection.send("org.pmemd1", "/org/pmemd1", interface, member, *arguments)
        self.assertEqual(self.connection.manager("CountRegions", "s", "raw"), (2,))

    def fill(self, connection, *what):
        """Until it gets no more."""
        complaint = f"{connection.name} has not read "
        while complaint not in self.host.daemon.log():
            self.ask(connection, *what)
            self.assertLess(self.stats(connection.name)["OutgoingBytes"], 2 * self.UNREAD_MAX)

    def connect(self):
        c = wire.Connection(self.host.bus.address)
        self.addCleanup(c.close)
        return c

    def test_one(self):
        c = self.connect()
        self.fill(c)
        for _ in range(100):
            self.ask(c)
        self.assertLess(self.stats(c.name)["OutgoingBytes"], self.UNREAD_MAX * 5 // 4)
        # It reads at last: all that it still waits for is answered.
        serial = c.send("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId")
        c.wait(serial)
        while True:
            try:
                self.assertEqual(len(c.manager("ListData", "su", "", 0)[0]), REGIONS)
                break
            except wire.Error as e:  # of the bus: too many calls wait
                self.assertEqual(e.name, "org.freedesktop.DBus.Error.LimitsExceeded")

    def test_small_answers(self):
        """Not by lists alone."""
        c = self.connect()
        for _ in range(60):
            self.ask(c, "GetManagedObjects", "org.freedesktop.DBus.ObjectManager", ("",))
            self.ask(c, "Introspect", "org.freedesktop.DBus.Introspectable", ("",))
            self.ask(c, "GetMetrics", "org.pmemd1.Manager", ("",))
        self.assertLess(self.stats(c.name)["OutgoingBytes"], 3 * self.UNREAD_MAX)

    def test_many(self):
        """Together they have no more than that either, and who reads goes on in small pages meanwhile."""
        many = [self.connect() for _ in range(10)]
        for c in many:
            for _ in range(10):
                self.ask(c)
        self.assertGreater(self.kept(), self.CROWDED)
        self.assertLess(self.kept(), self.ALL_MAX)
        rows, page, next_page = [], [], ""
        while not rows or next_page:
            page, next_page = self.connection.manager("ListData", "su", next_page, 0)
            rows += page
        self.assertEqual(len(rows), REGIONS)
        self.assertLess(len(page), REGIONS)
        for c in many:
            c.close()
        while len(self.connection.manager("ListData", "su", "", 0)[0]) < REGIONS:
            pass
        self.assertLess(self.kept(), 1 << 20)


class Caps(Case):
    def hold(self):
        """The next device is not made before the file that is returned goes."""
        folder = self.host.daemon.backend_folder
        path = os.path.join(folder, "hold")
        with open(path, "wb"), open(os.path.join(folder, "inject.conf"), "w", encoding="utf-8") as f:
            f.write("[create]\nWaitFile=hold\n")
        self.holder = wire.Connection(self.host.bus.address)
        self.addCleanup(self.holder.close)
        self.held = self.holder.send("org.pmemd1", "/org/pmemd1", "org.pmemd1.Manager", "AllocateData", "ta{sv}",
                                         16 << 20, [])
        while os.path.exists(os.path.join(folder, "inject.conf")):  # gone: it is being made
            self.connection.manager("CountRegions", "s", "raw")
        return path

    def outcomes(self, connection, serials):
        """{error name, "" for none: how many} of the answers, in whatever order they come."""
        serials, counts = set(serials), {}
        while serials:
            message = connection.receive()
            if message.reply_serial in serials:
                serials.remove(message.reply_serial)
                counts[message.error_name or ""] = counts.get(message.error_name or "", 0) + 1
        return counts

    def send(self, connection, options=()):
        return connection.send("org.pmemd1", "/org/pmemd1", "org.pmemd1.Manager", "AllocateData", "ta{sv}", 4096, list(options))

    def test_total(self):
        """More than may wait in all: the first come first, the others are told at once."""
        resident = self.resident()
        path = self.hold()
        more = 100
        # The bus has a cap of its own, 128 calls of one connection.
        clients = [wire.Connection(self.host.bus.address) for _ in range(4)]
        serials = [[self.send(c) for _ in range(MAX_QUEUE // len(clients))] for c in clients]
        while self.metrics()["queued_requests", ] < MAX_QUEUE:
            pass
        self.assertEqual(self.outcomes(self.connection, [self.send(self.connection) for _ in range(more)]), {LIMITS: more})
        self.assertEqual(self.metrics()["queued_requests", ], MAX_QUEUE)
        os.unlink(path)
        for c, own in zip(clients, serials):
            self.assertEqual(self.outcomes(c, own), {"": MAX_QUEUE // len(clients)})
            c.close()
        metrics = self.metrics()
        self.assertEqual((metrics["queued_requests", ], metrics["data_regions", ]), (0, MAX_QUEUE + 1))
        self.assertEqual(metrics["calls_total", "AllocateData", "LimitsExceeded"], more)
        # Whoever waited that long is in the histogram.
        self.assertGreater(metrics["queue_wait_seconds_max", ], 0)
        self.assertLess(self.resident() - resident, harness.resident_slack())

    def test_joined(self):
        """Calls that wait for one request-id wait, too."""
        path = self.hold()
        options = [("request-id", ("s", str(uuid.uuid4())))]
        more = 10
        with wire.Connection(self.host.bus.address) as c:
            serials = [self.send(c, options) for _ in range(MAX_QUEUE_PER_USER + more)]
            self.assertEqual(self.outcomes(c, serials[MAX_QUEUE_PER_USER:]), {LIMITS: more})
            self.assertEqual(self.metrics()["queued_requests", ], 1)
            os.unlink(path)
            self.assertEqual(self.outcomes(c, serials[:MAX_QUEUE_PER_USER]), {"": MAX_QUEUE_PER_USER})
        self.holder.wait(self.held)
        self.assertEqual(self.metrics()["data_regions", ], 2)

    def test_descriptors(self):
        """Descriptors that come with calls are none of pmemd's. On a bus without the rules of policy/org.pmemd1.conf it gets them, and
        refuses calls before it has none left for its own work; with the limit that services have there are enough for all that may wait."""
        limit = 512
        self.assertEqual(self.host.daemon.stop(), 0)
        self.host.daemon.wrapper = ["prlimit", f"--nofile={limit}", "--"]
        self.host.daemon.start()
        path, null = self.hold(), os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, null)
        folder = f"/proc/{self.host.daemon.pid}/fd"
        before = len(os.listdir(folder))
        with wire.Connection(self.host.bus.address, descriptors=True) as c:
            serials = [c.send("org.pmemd1", "/org/pmemd1", "org.pmemd1.Manager", "AllocateData", "ta{sv}", 4096, [],
                              descriptors=[null] * 16) for _ in range(MAX_QUEUE_PER_USER)]
            self.assertEqual(self.outcomes(c, serials[limit // 2 // 16:]), {LIMITS: len(serials) - limit // 2 // 16})
            self.assertLess(len(os.listdir(folder)), limit // 2 + 16)
            os.unlink(path)
            self.assertEqual(self.outcomes(c, serials[:before // 16]).keys(), {""})
        self.holder.wait(self.held)
        while len(os.listdir(folder)) > before:
            self.connection.manager("CountRegions", "s", "raw")

    def test_gone(self):
        """Who leaves before the answer leaves nothing behind."""
        path = self.hold()
        with wire.Connection(self.host.bus.address) as c:
            for _ in range(10):
                self.send(c)
            c.bus("GetId")
        os.unlink(path)
        self.holder.wait(self.held)
        while self.metrics()["queued_requests", ] > 0:
            pass
        self.assertEqual(self.host.daemon.stop(), 0)


if __name__ == "__main__":
    harness.main()
