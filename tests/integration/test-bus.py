#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What callers may send: malformed input of every kind, callers without privilege, cursors, retries, signals."""

import os
import unittest
import uuid

import harness
import wire

NOBODY = 65534
MIB = 1 << 20
U64 = (0, 1, (1 << 40) - 1, 1 << 40, (1 << 52) - 1, 1 << 52, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1)
ERRORS = "org.pmemd1.Error."
NO_REGION = harness.ROOT + "/region/00000000_0000_4000_8000_000000000000"


class Case(unittest.TestCase):
    """Each test has a host with TWO_NODES, a connection and, by pool(), a pool."""

    def setUp(self):
        # A sanitizer keeps freed memory for a while: not for the memory of the daemon to be looked at.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
        self.host = harness.Host(environment={"ASAN_OPTIONS": asan})
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.connection = wire.Connection(self.host.bus.address)
        self.addCleanup(self.connection.close)

    def pool(self, name="pool0"):
        return self.connection.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [("name", ("s", name))])[0]

    def data(self, name, size=16 * MIB):
        return self.connection.manager("AllocateData", "ta{sv}", size, [("name", ("s", name))])[0]

    def refused(self, error, member, signature, *body, connection=None):
        """The call is answered with that error of pmemd; its message."""
        with self.assertRaises(wire.Error) as caught:
            (connection or self.connection).manager(member, signature, *body)
        self.assertEqual(caught.exception.name, ERRORS + error, caught.exception.text)
        text = caught.exception.text
        self.assertTrue(0 < len(text.encode()) <= 1024, text)
        self.assertFalse(any(ord(c) < 32 for c in text), text)
        return text

    def lists(self):
        return [self.connection.manager(m, "su", "", 0) for m in ("ListRaw", "ListMgmt", "ListData", "ListForeign")]

    def descriptors(self):
        return sorted(os.listdir(f"/proc/{self.host.daemon.pid}/fd"))

    def resident(self):
        with open(f"/proc/{self.host.daemon.pid}/status", encoding="utf-8") as f:
            return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))


class Malformed(Case):
    OPTIONS = {
        "SetupMgmt": ("tta{sv}", (0x480000, 0x490000)),
        "SetupData": ("tttta{sv}", (0x4c0000, 0x4d0000, 0x480000, 0x490000)),
        "AllocateMgmt": ("ta{sv}", (32 * MIB,)),
        "AllocateData": ("ta{sv}", (32 * MIB,)),
        "Plan": ("sa{sv}", ("AllocateMgmt",)),
        "ReleaseData": ("oa{sv}", (NO_REGION,)),
        "ReleaseMgmt": ("oa{sv}", (NO_REGION,)),
        "Rename": ("osa{sv}", (NO_REGION, "name")),
        "SetOwner": ("oua{sv}", (NO_REGION, 0)),
        "ClearBadFrames": ("oa{sv}", (NO_REGION,)),
    }
    # key, a value of a wrong type, words that the answer must have
    WRONG_TYPES = [
        ("name", ("t", 1)), ("name", ("as", ["x"])), ("name", ("v", ("s", "x"))), ("name", ("o", "/x")),
                   ("name", ("ay", b"x")),
        ("request-id", ("t", 1)), ("request-id", ("(s)", ("x",))),
        ("profile", ("u", 1)), ("max-regions", ("t", 1)), ("max-regions", ("s", "1")), ("max-regions", ("i", 1)),
        ("init-labels", ("s", "true")), ("init-labels", ("u", 1)),
    ]

    def setUp(self):
        super().setUp()
        self.pool()
        self.data("data0")
        self.before = self.lists()
        self.descriptors_before = self.descriptors()
        # Whatever is kept once (caches, arenas) is there after a first round.
        self.torment()
        self.resident_before = self.resident()

    def tearDown(self):
        self.assertEqual(self.lists(), self.before)
        self.assertEqual(self.descriptors(), self.descriptors_before)
        self.assertLess(self.resident() - self.resident_before, harness.resident_slack())

    def torment(self):
        """Large things that are refused."""
        for options in ([(f"key{i}", ("s", "x" * 100)) for i in range(10000)],
                        [("name", ("s", "x" * (1 << 20)))],
                        [("name", ("a(ssss)", [("a", "b", "c", "d")] * 100000))],
                        [("x" * (1 << 20), ("s", ""))]):
            self.refused("InvalidArgument", "AllocateMgmt", "ta{sv}", 32 * MIB, options)

    def test_unknown_key(self):
        for member, (signature, arguments) in self.OPTIONS.items():
            with self.subTest(member):
                text = self.refused("InvalidArgument", member, signature, *arguments, [("nonsense", ("s", "x"))])
                self.assertIn("'nonsense'", text)
                self.assertRegex(text, "known here: .*(request-id|dry-run)|no options are known here")

    def test_key_of_another_method(self):
        self.assertIn("alignment", self.refused("InvalidArgument", "SetupMgmt", "tta{sv}", 0x490000, 0x4a0000,
                                                [("alignment", ("t", 4096))]))
        self.refused("InvalidArgument", "SetupData", "tttta{sv}", 0x4c0000, 0x4d0000, 0x480000, 0x490000,
                     [("profile", ("s", "xen"))])
        self.refused("InvalidArgument", "SetupMgmt", "tta{sv}", 0x490000, 0x4a0000, [("smfn", ("t", 4096))])

    def test_key_twice(self):
        for value in ("s", "x"), ("t", 1):
            text = self.refused("InvalidArgument", "AllocateMgmt", "ta{sv}", 32 * MIB,
                                [("name", ("s", "x")), ("name", value)])
            self.assertIn("'name' is given twice", text)

    def test_wrong_type(self):
        for key, value in self.WRONG_TYPES:
            with self.subTest(key=key, type=value[0]):
                text = self.refused("InvalidArgument", "SetupMgmt", "tta{sv}", 0x490000, 0x4a0000, [(key, value)])
                self.assertIn(f"'{key}' must be of type", text)
                self.assertIn(f"not '{value[0]}'", text)
        for key, value in ("node", ("u", 1)), ("alignment", ("i", 1)), ("mgmt", ("o", "/x")), ("node", ("t", 1)):
            with self.subTest(key=key, type=value[0]):
                self.assertIn(f"'{key}' must be of type",
                              self.refused("InvalidArgument", "AllocateData", "ta{sv}", 32 * MIB, [(key, value)]))

    def test_deep_variant(self):
        value = ("s", "x")
        for _ in range(30):
            value = ("v", value)
        for key in "name", "nonsense":
            self.refused("InvalidArgument", "AllocateMgmt", "ta{sv}", 32 * MIB, [(key, value)])
        deep, inner = [], "s"
        for _ in range(20):
            inner = "a" + inner
        self.refused("InvalidArgument", "AllocateMgmt", "ta{sv}", 32 * MIB, [("name", (inner, deep))])

    def test_wrong_signature(self):
        for member, signature, body in (("SetupMgmt", "", ()), ("SetupMgmt", "tt", (0, 1)),
                                        ("SetupMgmt", "iia{sv}", (0, 1, [])),
                                        ("SetupMgmt", "tta{ss}", (0, 1, [("name", "x")])), ("CountRegions", "u", (1,)),
                                        ("ListData", "s", ("",)), ("ReleaseData", "sa{sv}", (NO_REGION, [])),
                                        ("GetRegion", "ss", ("a", "b")), ("Locate", "i", (1,)), ("Locate", "at", ([1],)),
                                        ("LocateList", "t", (1,)), ("LocateList", "ai", ([1],))):
            with self.subTest(member=member, signature=signature), self.assertRaises(wire.Error) as caught:
                self.connection.manager(member, signature, *body)
            self.assertEqual(caught.exception.name, "org.freedesktop.DBus.Error.InvalidArgs")
        for path, interface, member, error in ((harness.ROOT, harness.MANAGER, "Nonsense", "UnknownMethod"),
                                               (harness.ROOT, "org.pmemd1.Nonsense", "SetupMgmt", "UnknownMethod"),
                                               ("/", harness.MANAGER, "SetupMgmt", "UnknownObject"),
                                               (NO_REGION, harness.MANAGER, "CountRegions", "UnknownObject"),
                                               (harness.ROOT + "/region/x", harness.REGION, "Kind", "UnknownObject")):
            with self.subTest(path=path, member=member), self.assertRaises(wire.Error) as caught:
                self.connection.call(harness.NAME, path, interface, member)
            self.assertEqual(caught.exception.name, "org.freedesktop.DBus.Error." + error)

    def test_properties_are_read_only(self):
        with self.assertRaises(wire.Error) as caught:
            self.connection.call(harness.NAME, harness.ROOT, "org.freedesktop.DBus.Properties", "Set", "ssv",
                                 harness.MANAGER,
                                 "State", ("s", "ok"))
        self.assertEqual(caught.exception.name, "org.freedesktop.DBus.Error.PropertyReadOnly")

    def test_names(self):
        for name in ("x" * 4096, "x" * 4097, "x" * 64, "a\nb", "\x01", "\x7f", "a\u0085b", "ü", "-a", "a b", "a/b",
                     ".", "\u2028",
                     str(uuid.uuid4())):
            with self.subTest(name=name[:70]):
                self.refused("InvalidArgument", "AllocateData", "ta{sv}", 32 * MIB, [("name", ("s", name))])
                region, = self.connection.manager("GetRegion", "s", "data0")
                self.refused("InvalidArgument", "Rename", "osa{sv}", region, name, [])
                self.refused("InvalidArgument", "CountRegions", "s", name)
                self.refused("InvalidArgument", "ListData", "su", name, 0)
                self.refused("InvalidArgument", "ListMgmt", "su", name, 0)
                self.refused("InvalidArgument", "ListRaw", "su", name, 0)
                self.refused("InvalidArgument", "ListForeign", "su", name, 0)
                self.refused("InvalidArgument", "Plan", "sa{sv}", name, [])
                self.refused("InvalidArgument", "AllocateData", "ta{sv}", 32 * MIB, [("profile", ("s", name))])
                with self.assertRaises(wire.Error) as caught:
                    self.connection.manager("GetRegion", "s", name)
                self.assertIn(caught.exception.name, (ERRORS + "InvalidArgument", ERRORS + "NoSuchRegion"))
                with self.assertRaises(wire.Error) as caught:
                    self.connection.manager("AllocateData", "ta{sv}", 32 * MIB, [("mgmt", ("s", name))])
                self.assertIn(caught.exception.name, (ERRORS + "InvalidArgument", ERRORS + "NoSuchMgmt"))

    def test_request_ids(self):
        fine = str(uuid.uuid4())
        for text in "", "x", "0" * 32, str(uuid.UUID(int=0)), "{" + fine + "}", fine + "\n", "x" * 5000:
            with self.subTest(text=text[:50]):
                self.assertIn("request-id", self.refused("InvalidArgument", "AllocateData", "ta{sv}", 32 * MIB,
                                                         [("request-id", ("s", text))]))

    def test_extremes(self):
        """Every 64-bit argument at every end of its range, others being valid; nothing of it may be done, or break."""
        for member, arguments in (("SetupMgmt", (0x490000, 0x4a0000)),
                                  ("SetupData", (0x4c0000, 0x4d0000, 0x480000, 0x490000)),
                                  ("AllocateMgmt", (1 << 60,)), ("AllocateData", (1 << 60,))):
            signature = "t" * len(arguments) + "a{sv}"
            for at in range(len(arguments)):
                for value in U64:
                    changed = list(arguments)
                    changed[at] = value
                    if member.startswith("Allocate") and value == 1:
                        continue  # a byte is a frame: a valid request
                    with self.subTest(member=member, arguments=changed), self.assertRaises(wire.Error) as caught:
                        self.connection.manager(member, signature, *changed, [])
                    self.assertIn(caught.exception.name, [ERRORS + e for e in ("InvalidArgument", "NoSpace",
                                                                               "NoSuchMgmt")])
        for value in U64:
            if value > 1:
                # No power of two, or one that no place in a raw region is a multiple of.
                error = "NoSpace" if value & (value - 1) == 0 else "InvalidArgument"
                self.refused(error, "AllocateData", "ta{sv}", 1 << 60, [("alignment", ("t", value))])
        for value in -1, -(1 << 31):
            self.assertIn("node", self.refused("InvalidArgument", "AllocateData", "ta{sv}", MIB,
                                               [("node", ("i", value))]))
        for value in (1 << 31) - 1, 99:
            self.assertIn(str(value), self.refused("InvalidArgument", "AllocateData", "ta{sv}", MIB,
                                                   [("node", ("i", value))]))
        for value in 0, (1 << 32) - 1:
            self.refused("InvalidArgument", "AllocateMgmt", "ta{sv}", 64 * MIB, [("max-regions", ("u", value))])
        self.refused("InvalidArgument", "SetOwner", "oua{sv}", self.connection.manager("GetRegion", "s", "data0")[0],
                     0xffffffff,
                     [])

    def test_pages_of_any_size(self):
        for member in "ListRaw", "ListMgmt", "ListData", "ListForeign":
            whole = self.connection.manager(member, "su", "", 0)
            self.assertEqual(whole[1], "")
            for size in 1000, (1 << 32) - 1:
                self.assertEqual(self.connection.manager(member, "su", "", size), whole)

    def test_objects(self):
        no_job = NO_REGION.replace("region", "job")
        for path in "/", harness.ROOT, harness.ROOT + "/region", NO_REGION, no_job, "/a" * 2000:
            for member in "ReleaseData", "ReleaseMgmt":
                with self.subTest(path=path[:60], member=member):
                    self.refused("NoSuchRegion", member, "oa{sv}", path, [])
            self.refused("NoSuchRegion", "Rename", "osa{sv}", path, "x", [])
            self.refused("NoSuchRegion", "SetOwner", "oua{sv}", path, 0, [])

    def test_plan_arguments(self):
        for operation, arguments, word in (("ReleaseData", [], "ReleaseData"), ("AllocateData", [], "bytes"),
                                           ("SetupMgmt", [("smfn", ("t", 1))], "emfn"),
                                           ("SetupData", [("bytes", ("t", 1))], "bytes"),
                                           ("SetupMgmt", [("smfn", ("u", 1)), ("emfn", ("t", 1))], "smfn")):
            with self.subTest(operation=operation):
                self.assertIn(word, self.refused("InvalidArgument", "Plan", "sa{sv}", operation, arguments))

    def test_no_reply_and_gone(self):
        """Calls that want no answer, and callers that do not wait for it."""
        for i in range(50):
            with wire.Connection(self.host.bus.address) as c:
                c.send(harness.NAME, harness.ROOT, harness.MANAGER, "ListData", "su", "", 0, flags=i & 1)
                c.send(harness.NAME, harness.ROOT, harness.MANAGER, "SetupMgmt", "tta{sv}", i, 0, [], flags=i & 1)
                c.send(harness.NAME, harness.ROOT, harness.MANAGER, "SetupData", "tttta{sv}", i, 0, 0, 0, [],
                       flags=i & 1)
        # The last call of a connection that is gone may still be on its way: this one comes after it.
        self.connection.manager("CountRegions", "s", "raw")

    def test_garbage_makes_no_garbage(self):
        """Thousands of refused calls: memory stays (tearDown looks)."""
        for i in range(3000):
            with self.assertRaises(wire.Error):
                self.connection.manager("AllocateMgmt", "ta{sv}", i, [("name", ("s", "x" * 4000))])
        for _ in range(10):
            self.torment()
        for _ in range(200):
            wire.Connection(self.host.bus.address).close()


class Unprivileged(Case):
    def setUp(self):
        super().setUp()
        self.pool_path = self.pool()
        self.data_path = self.data("data0")
        self.address = self.host.bus.address

    def as_nobody(self, function):
        def run():
            with wire.Connection(self.address) as c:
                return function(c)

        return wire.as_user(NOBODY, run)

    def test_changes_are_refused(self):
        calls = [("SetupMgmt", "tta{sv}", 0x490000, 0x4a0000, []),
                 ("SetupData", "tttta{sv}", 0x4c0000, 0x4d0000, 0x480000, 0x490000, []),
                 ("AllocateMgmt", "ta{sv}", 32 * MIB, []), ("AllocateData", "ta{sv}", 32 * MIB, []),
                 ("Plan", "sa{sv}", "AllocateData", [("bytes", ("t", MIB))]),
                 ("ReleaseData", "oa{sv}", self.data_path, []),
                 ("ReleaseMgmt", "oa{sv}", self.pool_path, []), ("Rename", "osa{sv}", self.data_path, "x", []),
                 ("SetOwner", "oua{sv}", self.data_path, NOBODY, [])]
        before = self.lists()
        for call in calls:
            with self.subTest(call[0]), self.assertRaises(wire.Error) as caught:
                self.as_nobody(lambda c, call=call: c.manager(*call))
            self.assertEqual(caught.exception.name, ERRORS + "NotAuthorized")
        self.assertEqual(self.lists(), before)

    def test_lists_are_redacted(self):
        raw, mgmt, data, foreign = self.as_nobody(
            lambda c: [c.manager(m, "su", "", 0)[0] for m in ("ListRaw", "ListMgmt", "ListData", "ListForeign")])
        full_raw, full_mgmt, full_data, _ = [entries for entries, _ in self.lists()]
        self.assertEqual([r[1:3] for r in raw], [(0, 0)] * 2)
        self.assertEqual([r[:1] + r[3:] for r in raw], [r[:1] + r[3:] for r in full_raw])
        self.assertEqual((mgmt[0][2:4], mgmt[0][11:]), ((0, 0), (0xffffffff, "", "")))
        self.assertEqual(mgmt[0][4:11], full_mgmt[0][4:11])
        self.assertEqual((data[0][2:4], data[0][5:7], data[0][11:]), ((0, 0), (0, 0), (0xffffffff, "", "")))
        self.assertEqual(data[0][:2] + data[0][7:11], full_data[0][:2] + full_data[0][7:11])
        self.assertEqual(foreign, [])
        self.assertEqual((full_mgmt[0][2:4], full_mgmt[0][11:13]), ((0x480000, 0x490000), (0, "root")))

    def test_objects_are_redacted(self):
        def look(c):
            managed, = c.call(harness.NAME, harness.ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
            return managed, c.get_all(self.data_path, harness.REGION), [
                c.call(harness.NAME, self.data_path, "org.freedesktop.DBus.Properties", "Get", "ss", harness.REGION,
                       name)[0]
                for name in ("StartFrame", "EndFrame", "ExtentStart", "ExtentEnd", "DevicePath", "OwnerUid", "Owner")]

        managed, properties, single = self.as_nobody(look)
        hidden = [0, 0, 0, 0, "", 0xffffffff, ""]
        self.assertEqual(single, hidden)
        for values in (properties, managed[self.pool_path][harness.REGION], managed[self.data_path][harness.REGION]):
            self.assertEqual([values[n] for n in ("StartFrame", "EndFrame", "ExtentStart", "ExtentEnd", "DevicePath",
                                                  "OwnerUid",
                                                  "Owner")], hidden)
        full = self.connection.get_all(self.data_path, harness.REGION)
        self.assertEqual((full["StartFrame"], full["OwnerUid"], full["Owner"]), (0x490000, 0, "root"))
        self.assertEqual(properties["Bytes"], full["Bytes"])

    def test_keys(self):
        path = self.connection.get_all(self.data_path, harness.REGION)["DevicePath"]
        self.assertEqual(self.connection.manager("GetRegion", "s", path), (self.data_path,))
        self.assertEqual(self.as_nobody(lambda c: c.manager("GetRegion", "s", "pool0/data0")), (self.data_path,))
        with self.assertRaises(wire.Error) as caught:
            self.as_nobody(lambda c: c.manager("GetRegion", "s", path))
        self.assertEqual(caught.exception.name, ERRORS + "NoSuchRegion")

    def test_locate(self):
        """No frame tells who is not root more than any other."""
        texts = set()
        for frame in 0, 0x480000, 0x490000, 0x4a0000, (1 << 40) - 1:
            with self.assertRaises(wire.Error) as caught:
                self.as_nobody(lambda c, frame=frame: c.manager("Locate", "t", frame))
            self.assertEqual(caught.exception.name, ERRORS + "NotAuthorized")
            texts.add(caught.exception.text.replace(hex(frame), "F"))
        self.assertEqual(len(texts), 1, texts)
        self.assertEqual(self.as_nobody(lambda c: c.manager("LocateList", "at", [0x480000, 0x490000, 1])[0]),
                         [("hidden", "/", 0, {})] * 3)

    def test_cursors(self):
        """Pages of one; a cursor holds no frame, and one with a frame is not taken."""
        for i in range(1, 5):
            self.data(f"data{i}")
        full = [entry[0] for entry in self.connection.manager("ListData", "su", "", 0)[0]]

        def walk(c):
            seen, after = [], ""
            while True:
                entries, after = c.manager("ListData", "su", after, 1)
                seen += [entry[0] for entry in entries]
                if not after:
                    return seen
                assert after == seen[-1], after

        self.assertEqual(self.as_nobody(walk), full)
        for member in "ListData", "ListMgmt", "ListRaw":
            with self.assertRaises(wire.Error) as caught:
                self.as_nobody(lambda c, member=member: c.manager(member, "su", f"{0x490000:016x}-{full[0]}", 1))
            self.assertEqual(caught.exception.name, ERRORS + "InvalidArgument")

    def test_signals_carry_no_frames(self):
        """On a bus without policy everyone gets the signals: so nobody gets frames or owners by them."""
        self.connection.bus("AddMatch", "s", "type='signal',sender='org.pmemd1'")
        region = self.data("data9")
        # Answers come before signals, so that of a region made earlier may still be under way.
        while (added := self.connection.wait_signal("InterfacesAdded").body)[0] != region:
            pass
        values = added[1][harness.REGION]
        hidden = {"StartFrame", "EndFrame", "ExtentStart", "ExtentEnd", "DevicePath", "GuestPath", "StateReason", "OwnerUid",
                  "Owner", "LeaseOwner", "LeaseUid", "LeaseUser", "LeaseSinceUsec", "LeaseUntil", "LeaseConfirmed",
                  "LeaseGuestFrame", "BadExtents"}
        self.assertEqual(set(self.connection.get_all(region, harness.REGION)) - set(values), hidden)
        self.assertEqual(values["Bytes"], 16 * MIB)
        self.connection.manager("SetOwner", "oua{sv}", region, NOBODY, [])
        while True:
            _, changed, invalidated = self.connection.wait_signal("PropertiesChanged").body
            self.assertFalse(hidden & set(changed))
            if "OwnerUid" in invalidated:
                break


class Paging(Case):
    def test_cursor_outlives_its_region(self):
        self.pool()
        regions = [self.data(f"d{i}") for i in range(6)]
        first, after = self.connection.manager("ListData", "su", "", 2)
        self.assertEqual(len(first), 2)
        self.connection.bus("AddMatch", "s", "type='signal',sender='org.pmemd1',member='JobRemoved'")
        self.connection.manager("ReleaseData", "oa{sv}", regions[1], [])
        self.connection.wait_signal("JobRemoved")
        second, after = self.connection.manager("ListData", "su", after, 0)
        self.assertEqual([e[1] for e in second], ["d2", "d3", "d4", "d5"])
        self.assertEqual(after, "")
        self.refused("InvalidArgument", "ListData", "su", str(uuid.uuid4()), 0)

    def test_raw_and_mgmt(self):
        self.pool()
        self.connection.manager("SetupMgmt", "tta{sv}", 0x4a0000, 0x4b0000, [])
        for member, full in ("ListRaw", 2), ("ListMgmt", 2):
            seen, after = [], ""
            while True:
                entries, after = self.connection.manager(member, "su", after, 1)
                seen += entries
                if not after:
                    break
            self.assertEqual((seen, ""), self.connection.manager(member, "su", "", 0))
            self.assertEqual(len(seen), full)


class Keys(Case):
    def test_get_region(self):
        pool, data = self.pool("a"), self.data("b")
        other, = self.connection.manager("SetupMgmt", "tta{sv}", 0x4a0000, 0x4b0000, [("name", ("s", "b"))])
        values = self.connection.get_all(data, harness.REGION)
        pool_uuid = self.connection.get_all(pool, harness.REGION)["Uuid"]
        for key, region in (("a", pool), ("a/b", data), (f"{pool_uuid}/b", data), (values["Uuid"], data),
                            (values["Uuid"].upper(), data), (values["DevicePath"], data), (data, data),
                            (pool_uuid, pool)):
            self.assertEqual(self.connection.manager("GetRegion", "s", key), (region,), key)
        self.assertIn("a/b", self.refused("InvalidArgument", "GetRegion", "s", "b"))
        for key in "", "c", "a/c", "c/b", "/dev/null", str(uuid.uuid4()), "a/", "/":
            self.refused("NoSuchRegion", "GetRegion", "s", key)
        self.assertNotEqual(other, data)

    def test_locate(self):
        """Every kind and part, offsets, limits."""
        host_frames = lambda path: self.connection.get_all(path, harness.REGION)
        one = lambda frame: self.connection.manager("Locate", "t", frame)[0]
        self.assertEqual(one(0), ("none", "/", 0, {}))
        self.assertEqual(one((1 << 40) - 1), ("none", "/", 0, {}))
        cookies = [one(frame)[3]["RawCookie"] for frame in (0x480000, 0x4c0000)]
        self.assertEqual(len({str(uuid.UUID(cookie)) for cookie in cookies}), 2)
        self.assertEqual(one(0x4c0003), ("raw", "/", 3 * 4096, {"Raw": "raw1", "RawCookie": cookies[1], "Node": 4}))
        pool = self.pool()
        region = self.data("data0")
        facts = host_frames(region)
        uuid_of = lambda path: host_frames(path)["Uuid"]
        kind, path, offset, details = one(facts["EndFrame"] - 1)
        self.assertEqual((kind, path, offset), ("data", region, facts["Bytes"] - 4096))
        self.assertEqual(details, {"Part": "usable", "Uuid": uuid_of(region), "Name": "data0", "State": "ok", "Pool": uuid_of(pool),
                                   "OwnerUid": 0, "Owner": "root", "Raw": "raw0", "RawCookie": cookies[0], "Node": 3})
        kind, path, offset, details = one(facts["ExtentEnd"] - 1)
        self.assertEqual((kind, path, details["Part"], details["ExtentOf"]), ("mgmt", pool, "extent", region))
        self.assertEqual(offset, (facts["ExtentEnd"] - 1 - facts["ExtentStart"]) * 4096)
        parts = {f: one(f)[3]["Part"] for f in (0x480000, 0x480200, facts["ExtentStart"] - 1, facts["ExtentEnd"], 0x48ffff)}
        self.assertEqual(list(parts.values()), ["superblock", "journal", "own", "free", "superblock"])
        frames = [facts["StartFrame"], 0, facts["StartFrame"], 0x480000, 0x4c0000]
        self.assertEqual(self.connection.manager("LocateList", "at", frames)[0], [one(f) for f in frames])
        self.assertEqual(self.connection.manager("LocateList", "at", [])[0], [])
        self.assertEqual(len(self.connection.manager("LocateList", "at", [0x4c0000] * 1024)[0]), 1024)
        text = self.refused("LimitsExceeded", "LocateList", "at", [0] * 1025)
        self.assertIn("more than 1024 frames", text)
        for frame in 1 << 40, 1 << 52, (1 << 64) - 1:
            self.refused("InvalidArgument", "Locate", "t", frame)
            self.assertIn("entry 1 of the list", self.refused("InvalidArgument", "LocateList", "at", [0, frame]))

    def test_what_makes_it_again(self):
        """The host, and of a pool the size of its journal: with them an export can be read on another host."""
        with open("/etc/machine-id", encoding="ascii") as f:
            self.assertEqual(self.connection.get_all(harness.ROOT, harness.MANAGER)["MachineId"], f.read().strip())
        make = lambda start, n: self.connection.manager("SetupMgmt", "tta{sv}", start, start + 0x8000,
                                                        [("max-regions", ("u", n))])[0]
        pools = [make(0x480000, 1), make(0x488000, 5000)]
        room = [self.connection.get_all(pool, harness.REGION)["MaxRegions"] for pool in pools]
        self.assertGreaterEqual(room[0], 1)
        self.assertGreaterEqual(room[1], 5000)
        again = make(0x490000, room[1])
        used = [self.connection.get_all(pool, harness.REGION)["UsedFrames"] for pool in (pools[1], again)]
        self.assertEqual(used[0], used[1])
        data = self.data("data0")
        self.assertEqual(self.connection.get_all(data, harness.REGION)["MaxRegions"], 0)

    def test_count(self):
        self.pool()
        self.data("x")
        self.assertEqual([self.connection.manager("CountRegions", "s", k)[0] for k in ("raw", "mgmt", "data",
                                                                                       "foreign")],
                         [2, 1, 1, 0])


class Retries(Case):
    def test_request_id(self):
        self.pool()
        request = ("request-id", ("s", str(uuid.uuid4())))
        options = [("name", ("s", "x")), ("node", ("i", 4)), request]
        first = self.connection.manager("AllocateData", "ta{sv}", 16 * MIB, options)
        self.assertEqual(self.connection.manager("AllocateData", "ta{sv}", 16 * MIB, options[::-1]), first)
        self.assertIn("request-id", self.refused("InvalidArgument", "AllocateData", "ta{sv}", 32 * MIB, options))
        self.refused("InvalidArgument", "AllocateData", "ta{sv}", 16 * MIB, options[1:])
        self.assertEqual(len(self.connection.manager("ListData", "su", "", 0)[0]), 1)

    def test_two_at_once(self):
        self.pool()
        options = [("request-id", ("s", str(uuid.uuid4())))]
        serials = [self.connection.send(harness.NAME, harness.ROOT, harness.MANAGER, "AllocateData", "ta{sv}",
                                        16 * MIB, options)
                   for _ in range(2)]
        replies = [self.connection.wait(s) for s in serials]
        self.assertEqual(replies[0], replies[1])


class Liveness(Case):
    def hold(self, operation):
        hold = os.path.join(self.host.daemon.backend_folder, "hold")
        with open(hold, "w", encoding="utf-8"), \
                open(os.path.join(self.host.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as inject:
            inject.write(f"[{operation}]\nWaitFile=hold\n")
        return hold

    def wait_taken(self):
        """Until the held operation has begun: its order is gone then."""
        while os.path.exists(os.path.join(self.host.daemon.backend_folder, "inject.conf")):
            self.connection.manager("CountRegions", "s", "raw")

    def test_lists_while_a_change_runs(self):
        self.pool()
        hold = self.hold("create")
        with wire.Connection(self.host.bus.address) as other:
            serial = other.send(harness.NAME, harness.ROOT, harness.MANAGER, "AllocateData", "ta{sv}", 16 * MIB, [])
            # Pipelined on the same connection: answered although the first is not.
            self.assertEqual(len(other.manager("ListRaw", "su", "", 0)[0]), 2)
            self.wait_taken()
            self.connection.manager("CountRegions", "s", "data")
            os.unlink(hold)
            self.assertTrue(other.wait(serial)[0].startswith(harness.ROOT + "/region/"))

    def test_stop_answers_what_waits(self):
        self.pool()
        hold = self.hold("create")
        serials = [self.connection.send(harness.NAME, harness.ROOT, harness.MANAGER, "AllocateData", "ta{sv}",
                                        16 * MIB, [])
                   for _ in range(3)]
        self.wait_taken()
        process = self.host.daemon.process
        process.terminate()
        os.unlink(hold)
        # Those that wait for the first, and those that were not yet let in, are answered in any order.
        names = {}
        while not set(serials[1:]) <= set(names):
            message = self.connection.receive()
            names[message.reply_serial] = message.error_name
        self.assertEqual([names[serial] for serial in serials[1:]], [ERRORS + "Busy"] * 2)
        self.assertEqual(self.host.daemon.wait(), 0)

    def test_stop_while_erasing(self):
        """Whatever the erase is at: the daemon ends in order, and the next one erases what was left."""
        self.pool()
        self.connection.bus("AddMatch", "s", "type='signal',sender='org.pmemd1',member='JobRemoved'")
        for operation in "open_content", "zero", "destroy":
            with self.subTest(operation):
                regions = [self.data(f"{operation}{i}") for i in range(3)]
                hold = self.hold(operation)
                self.connection.manager("ReleaseData", "oa{sv}", regions[0], [])
                self.wait_taken()
                # These may be done, or wait behind the first and be refused.
                for region in regions[1:]:
                    self.connection.send(harness.NAME, harness.ROOT, harness.MANAGER, "ReleaseData", "oa{sv}", region,
                                         [])
                self.connection.manager("CountRegions", "s", "raw")
                self.host.daemon.process.terminate()
                os.unlink(hold)
                self.assertEqual(self.host.daemon.wait(), 0, self.host.daemon.log())
                self.host.daemon.start()
                while "quarantined" in [e[9] for e in self.connection.manager("ListData", "su", "", 0)[0]]:
                    self.connection.wait_signal("JobRemoved")
                self.assertNotIn(f"{operation}0", [e[1] for e in self.connection.manager("ListData", "su", "", 0)[0]])

    def test_pause(self):
        self.pool()
        regions = [self.data(f"d{i}") for i in range(2)]
        hold = self.hold("zero")
        jobs = [self.connection.manager("ReleaseData", "oa{sv}", region, [])[0] for region in regions]
        self.connection.bus("AddMatch", "s", "type='signal',sender='org.pmemd1'")
        for _ in range(2):
            self.connection.call(harness.NAME, jobs[1], harness.JOB, "Pause")
        address = self.host.bus.address

        def resume():
            with wire.Connection(address) as c:
                c.call(harness.NAME, jobs[1], harness.JOB, "Resume")

        with self.assertRaises(wire.Error) as caught:
            wire.as_user(NOBODY, resume)
        self.assertEqual(caught.exception.name, ERRORS + "NotAuthorized")
        os.unlink(hold)
        self.assertEqual(self.connection.wait_signal("JobRemoved").body[:2], (jobs[0], regions[0]))
        self.assertEqual(self.connection.get_all(jobs[1], harness.JOB)["State"], "paused")
        resume()
        self.assertEqual(self.connection.wait_signal("JobRemoved").body, (jobs[1], regions[1], "done", ""))


if __name__ == "__main__":
    harness.main()
