#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Attach and Detach on a bus: the descriptor, one holder at a time (two clients race PMEMD_LEASE_RACES times), leases that end with a
connection, those that outlive pmemd, and callers who mean harm."""

import mmap
import os
import time
import unittest
import xml.etree.ElementTree as xml

import harness
import wire

RACES = int(os.environ.get("PMEMD_LEASE_RACES", "2000"))
ERRORS = "org.pmemd1.Error."
MIB = 1 << 20
PATIENCE = 30  # seconds
NOBODY = 65534
UNKNOWN = (1 << 64) - 1
FILLERS = 64  # answers of some KiB each: more than a socket holds
DESCRIPTORS = 64  # that wait to be read: a message bus takes nothing more from pmemd then
DISCONNECT = ("until", ("s", "disconnect"))


class Case(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.connection = self.connect()
        self.connection.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [("name", ("s", "pool0"))])

    def connect(self):
        connection = wire.Connection(self.host.bus.address, descriptors=True)
        self.addCleanup(connection.close)
        return connection

    def data(self, name, size=2 * MIB):
        """A data region that may be lent: its first erase has ended."""
        path, = self.connection.manager("AllocateData", "ta{sv}", size, [("name", ("s", name))])
        try:
            while self.facts(path)["Dirty"]:
                self.connection.get_all(path.replace("/region/", "/job/"), harness.JOB)
        except wire.Error:
            pass  # the job has ended
        return path

    def facts(self, region):
        return self.connection.get_all(region, harness.REGION)

    def lease(self, region):
        facts = self.facts(region)
        return tuple(facts["Lease" + k] for k in ("Owner", "Uid", "User", "Until", "Confirmed", "GuestFrame"))

    def leases(self, connection=None):
        return (connection or self.connection).manager("ListLeases", "su", "", 0)[0]

    def attach(self, region, owner, *options, connection=None):
        """Its details; the descriptor is closed."""
        descriptor, details = (connection or self.connection).attach(region, owner, *options)
        os.close(descriptor)
        return details

    def attach_when_free(self, region, owner, connection=None):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.attach(region, owner, connection=connection)
            except wire.Error as error:
                self.assertEqual(error.name, ERRORS + "Leased")
                self.assertLess(time.monotonic(), deadline, error.text)

    def detach(self, region, owner, *options, connection=None):
        (connection or self.connection).manager("Detach", "osa{sv}", region, owner, list(options))

    def refused(self, error, call, *arguments, **more):
        with self.assertRaises(wire.Error) as caught:
            call(*arguments, **more)
        self.assertEqual(caught.exception.name, ERRORS + error, caught.exception.text)
        return caught.exception.text

    def send(self, connection, member, region, owner, *options):
        return connection.send(harness.NAME, harness.ROOT, harness.MANAGER, member, "osa{sv}", region, owner, list(options))

    def inject(self, text):
        with open(os.path.join(self.host.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as file:
            file.write(text)

    def wait_ended(self, region):
        """The news of it says so, or it is a failure."""
        self.connection.socket.settimeout(PATIENCE)
        while self.lease(region)[0]:
            self.connection.wait_signal("PropertiesChanged")
        self.connection.socket.settimeout(None)


NO_LEASE = ("", UNKNOWN >> 32, "", "", False, UNKNOWN)


class Lend(Case):
    def test_descriptor(self):
        """It is the device: what is written by it is there for the next owner, by its path, too."""
        region = self.data("data0")
        facts = self.facts(region)
        self.assertEqual(self.lease(region), NO_LEASE)
        descriptor, details = self.connection.attach(region, "vm1", ("guest-frame", ("t", 0x100000)))
        self.assertEqual(set(details), {"path", "bytes", "alignment", "node", "since", "confirmed", "memory"})
        self.assertEqual((details["path"], details["bytes"], details["node"], details["confirmed"]),
                         (facts["DevicePath"], 2 * MIB, facts["Node"], True))
        self.assertEqual(details["alignment"] & (details["alignment"] - 1), 0)
        element = xml.fromstring(details["memory"])
        self.assertEqual((element.tag, element.get("model"), element.findtext("source/path"),
                          element.findtext("target/size")), ("memory", "nvdimm", details["path"], "2048"))
        self.assertTrue(os.path.samestat(os.fstat(descriptor), os.stat(details["path"])))
        with mmap.mmap(descriptor, 2 * MIB) as memory:
            self.assertEqual(memory[:], bytes(2 * MIB))
            memory[MIB:MIB + 5] = b"hello"
        os.close(descriptor)
        self.assertEqual(self.lease(region), ("vm1", 0, "root", "detach", True, 0x100000))
        uuid, pool = facts["Uuid"], facts["Pool"]
        self.assertEqual(self.leases(),
                         [(uuid, "data0", pool, "vm1", 0, "root", details["since"], "detach", True, 0x100000)])
        self.detach(region, "vm1")
        self.assertEqual(self.lease(region), NO_LEASE)
        self.assertEqual(self.leases(), [])
        descriptor, details = self.connection.attach(region, "vm2")
        with mmap.mmap(descriptor, 2 * MIB) as memory:
            self.assertEqual(memory[MIB:MIB + 5], b"hello")
        os.close(descriptor)
        self.assertEqual(self.lease(region)[-1], UNKNOWN)

    def test_odd_size(self):
        """libvirt would round it up: there is no element of it."""
        self.assertEqual(self.attach(self.data("odd", 2 * MIB + 65536), "vm1")["memory"], "")

    def test_locate(self):
        """Which guest a memory error hits, and where it lies there."""
        region = self.data("data0")
        start = self.facts(region)["StartFrame"]
        self.assertNotIn("LeaseOwner", self.connection.manager("Locate", "t", start + 3)[0][3])
        self.attach(region, "vm1", ("guest-frame", ("t", 0x100000)))
        details = self.connection.manager("Locate", "t", start + 3)[0][3]
        self.assertEqual((details["LeaseOwner"], details["LeaseUid"], details["LeaseUser"], details["GuestFrame"]),
                         ("vm1", 0, "root", 0x100003))
        other = self.data("data1")
        self.attach(other, "vm2")
        details, = [d for k, p, o, d in self.connection.manager("LocateList", "at", [self.facts(other)["StartFrame"]])[0]]
        self.assertEqual(details["LeaseOwner"], "vm2")
        self.assertNotIn("GuestFrame", details)

    def test_pages(self):
        """A lease that ends between two pages is no stumbling block, and one behind is not lost."""
        regions = [self.data(f"data{i}") for i in range(5)]
        for i in 0, 2, 3, 4:
            self.attach(regions[i], f"vm{i}")
        page, cursor = self.connection.manager("ListLeases", "su", "", 2)
        self.assertEqual([row[3] for row in page], ["vm0", "vm2"])
        self.detach(regions[2], "vm2")
        page, cursor = self.connection.manager("ListLeases", "su", cursor, 2)
        self.assertEqual(([row[3] for row in page], cursor), (["vm3", "vm4"], ""))

    def test_sight(self):
        """Who is neither the region's owner nor who has it learns nothing of it."""
        region = self.data("data0")
        self.attach(region, "vm1")

        def look():
            with wire.Connection(self.host.bus.address) as c:
                facts = c.get_all(region, harness.REGION)
                return {k: v for k, v in facts.items() if k.startswith("Lease")}, self.leases(c)

        free = {"LeaseOwner": "", "LeaseUid": UNKNOWN >> 32, "LeaseUser": "", "LeaseSinceUsec": 0, "LeaseUntil": "",
                "LeaseConfirmed": False, "LeaseGuestFrame": UNKNOWN}
        self.assertEqual(wire.as_user(NOBODY, look), (free, []))
        self.detach(region, "vm1")
        self.connection.manager("SetOwner", "oua{sv}", region, NOBODY, [])
        self.attach(region, "vm1")
        facts, leases = wire.as_user(NOBODY, look)
        self.assertEqual((facts["LeaseOwner"], facts["LeaseUser"], len(leases)), ("vm1", "root", 1))

    def test_news(self):
        self.connection.bus("AddMatch", "s", "type='signal',sender='org.pmemd1'")
        region = self.data("data0")
        # What changes before it is announced is in the announcement.
        while self.connection.wait_signal("InterfacesAdded").body[0] != region:
            pass
        for call in self.attach, self.detach:
            self.connection.signals.clear()
            call(region, "vm1")
            while "LeaseOwner" not in (body := self.connection.wait_signal("PropertiesChanged").body)[2]:
                pass
            _, changed, _ = body
            self.assertFalse([k for k in changed if k.startswith("Lease")])


class Race(Case):
    def test_two_clients(self):
        """Exactly one wins, every time; the other is told who."""
        regions = [self.data(f"data{i}") for i in range(20)]
        clients = {"a": self.connect(), "b": self.connect()}
        wins = dict.fromkeys(clients, 0)
        for batch in range((RACES + len(regions) - 1) // len(regions)):
            sent = {}
            for owner, c in clients.items():
                order = regions if (owner == "a") == (batch % 2 == 0) else regions[::-1]
                sent[owner] = {self.send(c, "Attach", region, owner): region for region in order}
            winners = {}
            for owner, serials in sent.items():
                for _ in range(len(regions)):
                    while (message := clients[owner].receive()).kind == wire.SIGNAL:
                        pass
                    region = serials.pop(message.reply_serial)
                    if message.kind == wire.ERROR:
                        self.assertEqual(message.error_name, ERRORS + "Leased", message.body)
                        self.assertIn(f"lent to '{'b' if owner == 'a' else 'a'}' of user root", message.body[0])
                    else:
                        self.assertNotIn(region, winners)
                        winners[region] = owner
                        self.assertEqual(len(message.descriptors), 1)
                    message.close()
            self.assertEqual(set(winners), set(regions))
            self.assertEqual({row[3] for row in self.leases()}, set(winners.values()))
            for region, owner in winners.items():
                wins[owner] += 1
                clients[owner].wait(self.send(clients[owner], "Detach", region, owner))
        self.assertTrue(all(wins.values()), wins)


class Ends(Case):
    """Leases that end with a connection, and those that outlive pmemd."""

    def setUp(self):
        super().setUp()
        self.region = self.data("data0")
        self.connection.bus("AddMatch", "s", f"type='signal',member='PropertiesChanged',path='{self.region}'")

    def test_disconnect(self):
        client = self.connect()
        self.attach(self.region, "vm1", DISCONNECT, connection=client)
        self.assertEqual(self.lease(self.region)[3], "disconnect")
        self.refused("Leased", self.attach, self.region, "vm2")
        # Another connection's end is nobody's but its own.
        self.connect().close()
        self.connection.bus("GetId")
        self.assertEqual(self.lease(self.region)[0], "vm1")
        client.close()
        self.wait_ended(self.region)
        self.attach(self.region, "vm2")

    def test_told_anew(self):
        """The same two may tie it to a connection, or take that back."""
        first, second = self.connect(), self.connect()
        since = self.attach(self.region, "vm1", DISCONNECT, connection=first)["since"]
        self.attach(self.region, "vm1", connection=second)  # what is not said stays, but for whose connection it is
        first.close()
        self.connect()
        details = self.attach(self.region, "vm1", ("until", ("s", "detach")), connection=second)
        self.assertEqual(details["since"], since)
        second.close()
        self.connect()
        self.assertEqual(self.lease(self.region)[:4], ("vm1", 0, "root", "detach"))

    def test_left_before_the_answer(self):
        hold = os.path.join(self.host.daemon.backend_folder, "hold")
        with open(hold, "w", encoding="utf-8"):
            self.inject("[lend]\nWaitFile=hold\n")
        client = self.connect()
        self.send(client, "Attach", self.region, "vm1", DISCONNECT)
        while os.path.exists(os.path.join(self.host.daemon.backend_folder, "inject.conf")):
            self.connection.manager("CountRegions", "s", "raw")
        client.close()
        os.unlink(hold)
        self.attach_when_free(self.region, "vm2")

    def test_restart(self):
        """Killed, pmemd finds its leases; none is confirmed until it is attached again, by the same two alone."""
        details = self.attach(self.region, "vm1", ("guest-frame", ("t", 7)))
        self.host.daemon.kill()
        self.host.daemon.start()
        self.assertEqual(self.lease(self.region), ("vm1", 0, "root", "detach", False, 7))
        message = self.refused("Leased", self.attach, self.region, "vm2")
        self.assertIn("is lent to 'vm1' of user root (uid 0) since ", message)
        self.assertIn("pmemctl detach --force", message)
        self.refused("Leased", self.connection.manager, "ReleaseData", "oa{sv}", self.region, [])
        again = self.attach(self.region, "vm1")
        self.assertEqual({**again, "confirmed": True}, details)
        self.assertTrue(self.lease(self.region)[4])

    def test_connections_of_before(self):
        """What left while pmemd was away has nothing when it is back; what is still there has its lease."""
        stays, leaves = self.connect(), self.connect()
        other = self.data("data1")
        self.attach(self.region, "vm1", DISCONNECT, connection=leaves)
        self.attach(other, "vm2", DISCONNECT, connection=stays)
        self.host.daemon.kill()
        leaves.close()
        self.host.daemon.start()
        self.attach_when_free(self.region, "vm3")
        self.assertEqual(self.lease(other), ("vm2", 0, "root", "disconnect", False, UNKNOWN))
        stays.close()
        while self.lease(other)[0]:
            self.connection.manager("CountRegions", "s", "raw")

    def test_another_run_of_the_bus(self):
        """Its names say nothing: a connection of today that has the name is another one."""
        client = self.connect()
        self.attach(self.region, "vm1", DISCONNECT, connection=client)
        self.host.daemon.stop()
        with harness.Host(start=False) as other:
            self.host.daemon.bus_address = other.bus.address
            self.host.daemon.start()
            connections = [wire.Connection(other.bus.address, descriptors=True) for _ in range(8)]
            self.assertIn(client.name, [c.name for c in connections])
            self.attach_when_free(self.region, "vm2", connections[0])
            for c in connections:
                c.close()
            self.host.daemon.stop()
        self.host.daemon.bus_address = self.host.bus.address
        self.host.daemon.start()


class Hostile(Case):
    def setUp(self):
        super().setUp()
        self.region = self.data("data0")

    def images_held(self):
        """Of data regions, by pmemd."""
        folder, held = f"/proc/{self.host.daemon.pid}/fd", []
        for number in os.listdir(folder):
            try:
                path = os.readlink(os.path.join(folder, number))
            except FileNotFoundError:
                continue
            if "/data-" in path:
                held.append(path)
        return held

    def test_owners(self):
        for owner in "", " ", " a", "a ", "a\nb", "a\tb", "\x7f", "ä", "a" * 128, "\u202e":
            with self.subTest(owner):
                self.refused("InvalidArgument", self.attach, self.region, owner)
                if owner:
                    self.refused("InvalidArgument", self.detach, self.region, owner, ("force", ("b", True)))
        self.refused("InvalidArgument", self.detach, self.region, "")
        self.assertEqual(self.leases(), [])
        for owner in "a" * 127, "%s%n%d", "'\"<&>\\", "../../x", "$(reboot)", "a b":
            with self.subTest(owner):
                self.attach(self.region, owner)
                self.assertIn(f"'{owner}'", self.refused("Leased", self.attach, self.region, "other"))
                self.assertEqual(self.leases()[0][3], owner)
                self.detach(self.region, owner)

    def test_options(self):
        for options in ([("colour", ("s", "blue"))], [("until", ("s", "doomsday"))], [("until", ("b", True))],
                        [("guest-frame", ("t", 1 << 40))], [("guest-frame", ("t", UNKNOWN))], [("guest-frame", ("u", 1))],
                        [("force", ("b", True))], [DISCONNECT, DISCONNECT], [("allow-degraded", ("s", "yes"))]):
            with self.subTest(options):
                self.refused("InvalidArgument", self.attach, self.region, "vm1", *options)
        self.refused("InvalidArgument", self.detach, self.region, "vm1", DISCONNECT)
        for path in harness.ROOT, harness.ROOT + "/region/x", self.region.replace("/region/", "/job/"):
            self.refused("NoSuchRegion", self.attach, path, "vm1")
        pool, = self.connection.manager("GetRegion", "s", "pool0")
        self.refused("NoSuchRegion", self.attach, pool, "vm1")
        self.assertEqual(self.leases(), [])

    def test_who_does_not_read(self):
        """Answers with descriptors that nobody reads are few, whoever asks and however often: others get theirs at once, and those who
        asked get all of theirs when they read."""
        other = self.data("data1")
        calls = 100  # the bus lets a connection wait for 128 answers
        readers = [self.connect() for _ in range(3)]
        for _ in range(FILLERS):  # what the bus says of itself fills the socket: what comes behind it waits in the bus
            readers[0].send("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Introspectable",
                            "Introspect")
        serials = [[self.send(c, "Attach", self.region, "vm1") for _ in range(calls if i == 0 else 20)]
                   for i, c in enumerate(readers)]
        self.connection.socket.settimeout(PATIENCE)
        for i in range(50):
            self.attach(other, "vm2")
            self.connection.manager("ListData", "su", "", 0)
        stats = [self.connection.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Debug.Stats",
                                      "GetConnectionStats", "s", c.name)[0].get("OutgoingFDs", 0) for c in readers]
        self.assertLess(sum(stats), DESCRIPTORS)
        for c, own in zip(readers, serials):
            for serial in own:
                message = c.wait_message(serial)
                self.assertEqual(len(message.descriptors), 1)
                message.close()
        while self.images_held():  # the last answers are on their way
            self.connection.manager("CountRegions", "s", "raw")

    def test_who_asks_on(self):
        """Calls that come while descriptors wait to be read are answered, too."""
        pmemd, = self.connection.bus("GetNameOwner", "s", "org.pmemd1")
        c, monitor = self.connect(), self.connect()
        rule = f"type='method_return',sender='org.freedesktop.DBus',destination='{pmemd}'"
        monitor.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Monitoring", "BecomeMonitor",
                     "asu", [rule], 0)
        for _ in range(FILLERS):  # as above
            c.send("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Introspectable", "Introspect")
        serials = [self.send(c, "Attach", self.region, "vm1") for _ in range(20)]
        told = 0
        while told < 8:  # the bus tells pmemd what c has not read
            body = monitor.receive().body
            told = body[0].get("OutgoingFDs", 0) if body and isinstance(body[0], dict) else 0
        self.connection.manager("CountRegions", "s", "raw")
        serials += [self.send(c, "Attach", self.region, "vm1") for _ in range(20)]
        for serial in serials:
            message = c.wait_message(serial)
            self.assertEqual(len(message.descriptors), 1)
            message.close()

    def test_who_leaves(self):
        """Hundreds of calls whose callers are gone leave neither a descriptor nor a lease that is tied to them."""
        for _ in range(10):
            with wire.Connection(self.host.bus.address, descriptors=True) as c:
                for _ in range(30):
                    self.send(c, "Attach", self.region, "vm1", DISCONNECT)
                c.bus("GetId")
        self.attach_when_free(self.region, "vm2")
        while self.images_held():  # the last answers are on their way
            self.connection.manager("CountRegions", "s", "raw")


if __name__ == "__main__":
    harness.main()
