#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What an administrator must act on is logged once, with its MESSAGE_ID and the fields that name the region."""

import glob
import os
import re
import resource
import struct
import subprocess
import time
import unittest
import uuid
from xml.etree import ElementTree

import harness
import journal
import wire

MIB = 1 << 20
POOL = (0x480000, 0x490000)
NOBODY = 65534
HARDWARE = "org.pmemd1.Error.Hardware"


def event_ids():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../daemon/event.c")
    with open(path, encoding="utf-8") as file:
        return dict(re.findall(r'\{\s*"([a-z-]+)",\s*"([0-9a-f]{32})"', file.read()))


IDS = event_ids()
PRIORITY = {"crit": "2", "err": "3", "warning": "4", "notice": "5"}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Log(unittest.TestCase):
    """One pmemd whose stderr is a journal."""

    regions = harness.TWO_NODES

    def setUp(self):
        self.journal = journal.Journal().__enter__()
        self.addCleanup(self.journal.__exit__)
        self.host = harness.Host(regions=self.regions, start=False,
                                 wrapper=["env", "--ignore-signal=XFSZ"]).__enter__()
        self.addCleanup(self.host.__exit__)
        self.daemon = self.host.daemon
        self.daemon.environment = self.journal.environment(self.daemon.log_path)
        self.connection = wire.Connection(self.host.bus.address)
        self.addCleanup(self.connection.close)

    def pool(self, start=POOL[0], end=POOL[1], name="pool0"):
        path, = self.connection.manager("SetupMgmt", "tta{sv}", start, end, [("name", ("s", name))])
        return self.uuid(path)

    def data(self, name="guest0"):
        path, = self.connection.manager("AllocateData", "ta{sv}", 2 * MIB, [("name", ("s", name))])
        return self.uuid(path)

    @staticmethod
    def uuid(path):
        return path.rsplit("/", 1)[1].replace("_", "-")

    @staticmethod
    def region_path(region):
        return "/org/pmemd1/region/" + region.replace("-", "_")

    def file(self, pattern):
        path, = glob.glob(os.path.join(self.daemon.backend_folder, pattern))
        return path

    def event(self, name, priority, **fields):
        """Waits for it, checks that it is well formed and that it came once; the entry."""
        def fits(e):
            return e.get("MESSAGE_ID") == IDS[name] and all(e.get(k) == v for k, v in fields.items())

        self.journal.wait(fits)
        same = [e for e in self.journal.entries if fits(e)]
        self.assertEqual(len(same), 1, self.journal.entries)
        entry = same[0]
        self.assertEqual(entry["PRIORITY"], PRIORITY[priority])
        self.assertEqual(entry["SYSLOG_IDENTIFIER"], "pmemd")
        self.assertTrue(entry["MESSAGE"].isprintable(), entry)
        self.assertRegex(entry["CODE_FILE"], r"daemon/[a-z-]+\.c$")
        self.assertGreater(int(entry["CODE_LINE"]), 0)
        self.assertRegex(entry["CODE_FUNC"], r"^\w+$")
        return entry

    def names(self):
        known = {v: k for k, v in IDS.items()}
        return [known[e["MESSAGE_ID"]] for e in self.journal.entries if e.get("MESSAGE_ID") in known]

    def restart_without(self, *change):
        """Stops pmemd, makes the change, starts it again."""
        self.assertEqual(self.daemon.stop(), 0)
        self.journal.entries.clear()
        for step in change:
            step()
        self.daemon.start()


class Starts(Log):
    """pmemd that cannot start says why."""

    def ends(self, status, name, **options):
        for key, value in options.items():
            setattr(self.daemon, key, value)
        self.daemon.start(ready=False)
        self.assertEqual(self.daemon.wait(), status)
        self.assertEqual(self.daemon.log(), "")
        return self.event(name, "err")

    def write(self, name, text):
        path = os.path.join(self.host.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_configuration(self):
        path = self.write("bad.conf", "[pmemd]\nMaxQueue=many\n")
        self.assertIn("MaxQueue", self.ends(2, "configuration-bad", arguments=["--config=" + path])["MESSAGE"])

    def test_option(self):
        self.ends(2, "configuration-bad", arguments=["--colour"])

    def test_word(self):
        self.ends(2, "configuration-bad", arguments=["start"])

    def test_unknown_key(self):
        path = self.write("odd.conf", "[pmemd]\nMaxCue=1\n")
        self.daemon.arguments = ["--config=" + path]
        self.daemon.start()
        self.assertIn("MaxCue", self.event("configuration-ignored", "warning")["MESSAGE"])

    def test_backend(self):
        self.ends(3, "backend-unusable", backend="file:/nowhere")

    def test_state_directory(self):
        self.ends(4, "state-dir-unusable", state_folder=self.write("file", "") + "/state")

    def test_name_taken(self):
        self.daemon.start()
        other = harness.Daemon(self.host.bus, os.path.join(self.host.folder, "other"), regions=harness.TWO_NODES)
        other.environment = self.journal.environment(other.log_path)
        other.start(ready=False)
        self.assertEqual(other.wait(), 1)
        self.assertIn("org.pmemd1 is taken", self.event("start-failed", "err")["MESSAGE"])

    def test_bus_gone(self):
        self.daemon.start()
        self.host.bus.stop()
        self.assertEqual(self.daemon.wait(), 1)
        self.event("bus-lost", "err")

    def test_quiet_when_all_is_well(self):
        self.daemon.start()
        self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual((self.journal.entries, self.daemon.log()), ([], ""))

    def test_plain_when_stderr_is_no_journal(self):
        """Somebody else's JOURNAL_STREAM is inherited: lines go to stderr, one each, without a prefix."""
        path = self.write("odd.conf", "[pmemd]\nMaxCue=1\n")
        self.daemon.arguments = ["--config=" + path]
        self.daemon.environment = {"JOURNAL_STREAM": "1:1"}
        self.daemon.start()
        self.assertRegex(self.daemon.log(), r"\Apmemd: [^\n]*MaxCue[^\n]*\n\Z")
        self.assertEqual(self.journal.entries, [])

    def test_prefix_when_the_journal_takes_no_entries(self):
        """What reads the stream takes the prefix for the priority."""
        path = self.write("odd.conf", "[pmemd]\nMaxCue=1\n")
        os.rename(journal.PATH, journal.PATH + "-away")
        self.addCleanup(os.rename, journal.PATH + "-away", journal.PATH)
        self.daemon.arguments = ["--config=" + path]
        self.daemon.start()
        self.assertRegex(self.daemon.log(), r"\A<4>[^\n]*MaxCue[^\n]*\n\Z")


class Pools(Log):
    """Each way that a pool is lost to writing."""

    regions = {"raw0": {**harness.TWO_NODES["raw0"], "Medium": "file"},
               "raw1": {**harness.TWO_NODES["raw1"], "Medium": "mapped"}}

    def setUp(self):
        super().setUp()
        self.daemon.start()
        self.uuid0 = self.pool()

    def refused(self, name):
        with self.assertRaises(wire.Error) as caught:
            self.connection.manager("Rename", "osa{sv}", self.region_path(self.uuid0), name, [])
        return caught.exception.name

    def test_write_fails(self):
        before = resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        self.assertEqual(self.refused("other"), HARDWARE)
        self.refused("again")
        resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, before)
        entry = self.event("journal-write-failed", "crit", POOL=self.uuid0)
        self.assertEqual(entry["NAME"], "pool0")

    def gone(self, pool):
        """A change of a pool whose file is gone: refused with cause and remedy, and said in the log by its own id."""
        with self.assertRaises(wire.Error) as caught:
            self.connection.manager("Rename", "osa{sv}", self.region_path(pool), "other", [])
        # By the write that fails, or by the file's own event, which may come before it.
        self.assertIn(caught.exception.name, (HARDWARE, "org.pmemd1.Error.ReadOnly"))
        self.assertIn("removed or cut", str(caught.exception))
        self.assertIn("bring it back", str(caught.exception))
        self.event("journal-removed", "crit", POOL=pool)

    def test_file_removed(self):
        mapped = self.pool(0x4C0000, 0x4D0000, "pool1")
        for pool in mapped, self.uuid0:
            os.unlink(os.path.join(self.daemon.backend_folder, f"mgmt-{pool}.img"))
            self.gone(pool)

    def test_file_back(self):
        image, away = self.file("mgmt-*.img"), os.path.join(self.host.folder, "away.img")
        os.rename(image, away)
        self.event("journal-removed", "crit", POOL=self.uuid0)
        os.rename(away, image)
        self.assertEqual(self.event("journal-back", "notice", POOL=self.uuid0)["NAME"], "pool0")

    def test_file_cut(self):
        os.truncate(self.file("mgmt-*.img"), 4096)
        self.gone(self.uuid0)

    def damage(self, offset, length):
        with open(self.file("mgmt-*.img"), "r+b") as file:
            file.seek(offset)
            file.write(os.urandom(length))

    def test_corrupt(self):
        size = os.path.getsize(self.file("mgmt-*.img"))
        # Both copies of the roots, not of the superblock.
        self.restart_without(lambda: self.damage(4096, 61440), lambda: self.damage(size - 65536 + 4096, 61440))
        self.event("pool-corrupt", "crit", POOL=self.uuid0)

    def test_refused(self):
        size = os.path.getsize(self.file("mgmt-*.img"))
        self.restart_without(lambda: self.damage(64, 64), lambda: self.damage(size - 65536 + 64, 64),
                             lambda: self.damage(size - 4096 + 64, 64))
        self.event("pool-refused", "err", POOL=self.uuid0)
        self.event("unformatted-found", "warning", POOL=self.uuid0)

    def set_feature(self, offset):
        """A flag of a later format in the first copy of the superblock, which counts while its checksum is right."""
        with open(self.file("mgmt-*.img"), "r+b") as file:
            block = bytearray(file.read(508))
            struct.pack_into("<I", block, offset, 1)
            file.seek(0)
            file.write(block + struct.pack("<I", crc32c(block)))

    def test_newer_for_readers(self):
        self.restart_without(lambda: self.set_feature(72))
        self.event("pool-unsupported", "err", POOL=self.uuid0)

    def test_newer_for_writers(self):
        self.restart_without(lambda: self.set_feature(68))
        self.event("pool-read-only", "err", POOL=self.uuid0)
        self.assertEqual(self.refused("other"), "org.pmemd1.Error.ReadOnly")

    def test_other_machine(self):
        ident = os.path.join(self.host.folder, "machine-id")
        with open(ident, "w", encoding="utf-8") as file:
            file.write(uuid.uuid4().hex + "\n")
        subprocess.run(["mount", "--bind", ident, "/etc/machine-id"], check=True)
        self.addCleanup(subprocess.run, ["umount", "/etc/machine-id"], check=True)
        self.restart_without()
        self.event("pool-other-machine", "err", POOL=self.uuid0)

    def test_twins(self):
        first = self.file("mgmt-*.img")
        other = self.pool(0x4C0000, 0x4D0000, "pool1")
        second, = set(glob.glob(os.path.join(self.daemon.backend_folder, "mgmt-*.img"))) - {first}

        def copy():
            with open(first, "rb") as source, open(second, "r+b") as target:
                target.write(source.read(4096))
        self.restart_without(copy)
        self.event("pool-twins", "err", POOL=self.uuid0)
        self.event("pool-refused", "err", POOL=other)


class Regions(Log):
    """Each way that a data region gets an administrator's attention."""

    def setUp(self):
        super().setUp()
        self.daemon.start()
        self.uuid0 = self.pool()
        self.guest = self.data()

    def inject(self, operation, when, error):
        with open(os.path.join(self.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as file:
            file.write(f"[{operation}]\nWhen={when}\nError={error}\n")

    def record(self):
        """The description of the data region's device."""
        uuid_of_device = re.search(r"data-(.*)\.img", self.file("data-*.img"))[1]
        return os.path.join(self.daemon.backend_folder, uuid_of_device + ".dev")

    def test_missing(self):
        self.restart_without(lambda: os.unlink(self.record()))
        entry = self.event("region-missing", "err", REGION=self.guest, POOL=self.uuid0)
        self.assertEqual(entry["NAME"], "guest0")

    def test_missing_while_it_runs(self):
        image = self.file("data-*.img")
        away = os.path.join(self.host.folder, "away.img")
        os.rename(image, away)
        entry = self.event("region-displaced", "err", REGION=self.guest, POOL=self.uuid0)
        self.assertIn("is missing (was ok)", entry["MESSAGE"])
        os.rename(away, image)
        entry = self.event("region-back", "notice", REGION=self.guest, POOL=self.uuid0)
        self.assertEqual(entry["NAME"], "guest0")

    def test_displaced(self):
        path = self.record()

        def move():
            with open(path, encoding="utf-8") as file:
                text = file.read()
            start = int(re.search(r"StartFrame=(\w+)", text)[1], 0)
            with open(path, "w", encoding="utf-8") as file:
                file.write(re.sub(r"StartFrame=\w+", f"StartFrame={start + 0x10000:#x}", text))
        self.restart_without(move)
        self.event("region-displaced", "err", REGION=self.guest)
        self.event("orphan-found", "warning")

    def test_orphan(self):
        os.mkdir(os.path.join(self.host.folder, "away"))

        def hide():
            for name in (os.path.basename(image), self.uuid0 + ".dev"):
                os.rename(os.path.join(self.daemon.backend_folder, name), os.path.join(self.host.folder, "away", name))
        image = self.file("mgmt-*.img")
        self.restart_without(hide)
        entry = self.event("orphan-found", "warning")
        self.assertIn("DEVICE", entry)
        # Told once: what changes elsewhere is no news of it.
        self.pool()
        self.event("orphan-found", "warning")

    def health(self, text):
        path = os.path.join(self.daemon.backend_folder, "health.conf")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def test_bad_frames(self):
        """Found and cleared; whose the region is; told once."""
        start = self.connection.get_all(self.region_path(self.guest), "org.pmemd1.Region")["StartFrame"]
        raw = "raw1" if start >= 0x4C0000 else "raw0"
        text = f"[{raw}]\nBadFrames={start + 3:#x}\n[dimm d1]\nRegions={raw}\nState=fatal\n"
        self.restart_without(lambda: self.health(text))
        entry = self.event("bad-frames-found", "err", REGION=self.guest)
        self.assertEqual((entry["NAME"], entry["DEVICE"]), ("guest0", raw))
        self.assertIn(f"of user 0 (root) has 1 bad frames: {start + 3:#x}", entry["MESSAGE"])
        self.event("dimm-failing", "err", DEVICE=raw, NAME="d1")
        self.data("guest1")
        self.event("bad-frames-found", "err", REGION=self.guest)
        self.event("dimm-failing", "err", DEVICE=raw, NAME="d1")
        self.connection.manager("ClearBadFrames", "oa{sv}", self.region_path(self.guest), [])
        entry = self.event("bad-frames-cleared", "notice", REGION=self.guest)
        self.assertIn("the 4096 bytes that were there are lost", entry["MESSAGE"])

    def test_erase_fails(self):
        self.inject("zero", "before", "EIO")
        self.connection.manager("ReleaseData", "oa{sv}", self.region_path(self.guest), [])
        self.assertIn("quarantined", self.event("erase-failed", "err", REGION=self.guest)["MESSAGE"])

    def test_leases(self):
        """Whose guests may still be there after a start, and what is taken from one."""
        region = self.guest
        with wire.Connection(self.host.bus.address, descriptors=True) as connection:
            os.close(connection.attach(self.region_path(region), "vm1")[0])
            self.restart_without()
            entry = self.event("leases-unconfirmed", "notice")
            self.assertIn("1 data region was lent before this start", entry["MESSAGE"])
            connection.manager("Detach", "osa{sv}", self.region_path(region), "", [("force", ("b", True))])
        entry = self.event("lease-forced", "warning", REGION=region, NAME="guest0")
        self.assertIn("from 'vm1' of user root (uid 0)", entry["MESSAGE"])

    def test_erased_memory_is_not_zero(self):
        """Somebody writes to the image between its erase and the look at what was erased."""
        image = self.file("data-*.img")
        hold = os.path.join(self.daemon.backend_folder, "hold")
        with open(hold, "w", encoding="utf-8"):
            pass
        order = os.path.join(self.daemon.backend_folder, "inject.conf")
        with open(order, "w", encoding="utf-8") as file:
            file.write("[check]\nWaitFile=hold\n")
        self.connection.manager("ReleaseData", "oa{sv}", self.region_path(self.guest), [])
        deadline = time.monotonic() + harness.PATIENCE
        while os.path.exists(order):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        with open(image, "r+b") as file:
            file.write(b"x" * 4096)
        os.unlink(hold)
        self.assertIn("does not read as zero", self.event("erase-mismatch", "crit", REGION=self.guest)["MESSAGE"])
        self.assertIn("quarantined", self.event("erase-failed", "err", REGION=self.guest)["MESSAGE"])

    def test_leftover(self):
        """Killed half way, and what is there cannot be destroyed."""
        self.inject("create", "partial", "kill")
        with self.assertRaises((wire.Error, wire.Closed)):
            self.data("guest1")
        self.daemon.wait()
        self.inject("destroy", "before", "EBUSY")
        self.journal.entries.clear()
        self.daemon.start()
        self.event("leftover-stays", "warning")
        self.event("region-unsettled", "err", POOL=self.uuid0)

    def test_unreadable_platform(self):
        """Read once at the start, and not again after what was half made is gone."""
        self.inject("create", "partial", "kill")
        with self.assertRaises((wire.Error, wire.Closed)):
            self.data("guest1")
        self.daemon.wait()
        self.inject("list", "before", "EIO\nNth=2")
        self.journal.entries.clear()
        self.daemon.start()
        self.event("platform-unreadable", "warning")

    def test_unusable_raw_region(self):
        """A description that cannot be read: nobody knows where its device is, so nothing new is made anywhere."""
        def spoil():
            with open(self.record(), "w", encoding="utf-8") as file:
                file.write("no description")
        self.restart_without(spoil)
        for raw in self.regions:
            self.assertIn(self.record(), self.event("raw-unusable", "warning", DEVICE=raw)["MESSAGE"])

    def test_waits_for_its_raw_region(self):
        """Released and cut off; its raw region is not on the platform at the next start."""
        path, = self.connection.manager("AllocateData", "ta{sv}", 2 * MIB, [("node", ("i", 4))])
        self.inject("zero", "before", "kill")
        self.connection.manager("ReleaseData", "oa{sv}", path, [])
        self.daemon.wait()
        harness.write_regions(self.daemon.backend_folder, {"raw0": harness.TWO_NODES["raw0"]})
        for name in self.files_on_raw1():
            os.unlink(os.path.join(self.daemon.backend_folder, name))
        self.journal.entries.clear()
        self.daemon.start()
        self.event("release-waits", "warning", REGION=self.uuid(path))

    def files_on_raw1(self):
        """Description and image of the one device there."""
        folder = self.daemon.backend_folder
        for name in os.listdir(folder):
            if name.endswith(".dev"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    if "Raw=raw1" in file.read():
                        return [name, f"data-{name.removesuffix('.dev')}.img"]
        raise AssertionError(os.listdir(folder))

    def hold(self, operation):
        """The next one waits until the file whose path is returned is gone."""
        path = os.path.join(self.daemon.backend_folder, "hold")
        with open(path, "w", encoding="utf-8"), \
                open(os.path.join(self.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as inject:
            inject.write(f"[{operation}]\nWaitFile=hold\n")
        return path

    def send(self, member, signature, *body):
        return self.connection.send(harness.NAME, harness.ROOT, harness.MANAGER, member, signature, *body)

    def test_note_stays(self):
        """The state directory became read-only while a set-up ran: it is taken back, and refused."""
        hints = os.path.join(self.daemon.state_folder, "setup")
        hold = self.hold("create")
        serial = self.send("SetupMgmt", "tta{sv}", 0x4C0000, 0x4D0000, [])
        while not os.listdir(hints):
            time.sleep(0.01)
        subprocess.run(["mount", "--bind", "-o", "ro", hints, hints], check=True)
        self.addCleanup(subprocess.run, ["umount", hints], check=True)
        os.unlink(hold)
        with self.assertRaisesRegex(wire.Error, "ReadOnly.*setup"):
            self.connection.wait(serial)
        self.event("state-dir-failed", "warning")

    def test_stuck(self):
        self.assertEqual(self.daemon.stop(), 0)
        path = os.path.join(self.host.folder, "stuck.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("[pmemd]\nStuckAfterSec=1\n")
        self.daemon.arguments = ["--config=" + path]
        self.daemon.start()
        hold = self.hold("create")
        serial = self.send("AllocateData", "ta{sv}", 2 * MIB, [])
        self.event("worker-stuck", "err")
        os.unlink(hold)
        self.connection.wait(serial)


class Health(Log):
    """health.conf of the file backend is looked at when it changes, and not only then."""

    def setUp(self):
        super().setUp()
        self.daemon.start()

    def put(self, text):
        path = os.path.join(self.daemon.backend_folder, "health.conf")
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path + ".new", 0o600)
        os.rename(path + ".new", path)

    def test_seen(self):
        self.put("[dimm d1]\nRegions=raw1\nFlags=not-armed\n")
        self.assertIn("d1 is read-only", self.event("raw-unusable", "warning", DEVICE="raw1")["MESSAGE"])
        self.assertNotIn("raw0", str(self.journal.entries))

    def test_damaged(self):
        self.put("[raw0]\nBadFrames=many\n")
        self.assertIn("BadFrames=many", self.event("platform-unreadable", "warning")["MESSAGE"])
        self.put("[raw0]\nBadFrames=\n[dimm d1]\nRegions=raw0\nFlags=locked\n")
        self.assertIn("d1 is locked", self.event("raw-unusable", "warning", DEVICE="raw0")["MESSAGE"])


class Audit(Log):
    """Who did what to which region, and who was refused what."""

    def setUp(self):
        super().setUp()
        self.daemon.start()

    def records(self, kind="change-done"):
        return [e for e in self.journal.entries if e.get("MESSAGE_ID") == IDS[kind]]

    def record(self, action, kind="change-done", **fields):
        """The one entry of this action; who asked is always in it."""
        self.journal.wait(lambda e: e.get("MESSAGE_ID") == IDS[kind] and e["ACTION"] == action)
        entry, = [e for e in self.records(kind) if e["ACTION"] == action]
        fields = {"CALLER": self.connection.name, "CALLER_UID": str(os.geteuid()), "PRIORITY": "5", **fields}
        self.assertEqual({k: entry.get(k) for k in fields}, fields)
        return entry

    def test_a_life(self):
        pool = self.pool()
        self.record("SetupMgmt", REGION=pool, POOL=pool, NAME="pool0", START_FRAME="0x480000", END_FRAME="0x490000", ERROR=None)
        ident = str(uuid.uuid4())
        path, = self.connection.manager("AllocateData", "ta{sv}", 2 * MIB, [("name", ("s", "guest0")), ("request-id", ("s", ident))])
        region = self.uuid(path)
        entry = self.record("AllocateData", REGION=region, POOL=pool, NAME="guest0", REQUEST_ID=ident)
        frames = self.connection.get_all(path, harness.REGION)
        self.assertEqual((int(entry["START_FRAME"], 16), int(entry["END_FRAME"], 16)), (frames["StartFrame"], frames["EndFrame"]))
        self.connection.manager("Rename", "osa{sv}", path, "guest1", [])
        self.record("Rename", REGION=region, NAME="guest1")
        self.connection.manager("SetOwner", "oua{sv}", path, NOBODY, [])
        self.assertRegex(self.record("SetOwner", REGION=region)["MESSAGE"], r"now owned by \w+ \(uid 65534\)$")
        self.connection.manager("ReleaseData", "oa{sv}", path, [])
        self.record("ReleaseData", REGION=region, POOL=pool, NAME="guest1", START_FRAME=entry["START_FRAME"])
        self.event("region-freed", "notice", REGION=region)
        self.connection.manager("ReleaseMgmt", "oa{sv}", self.region_path(pool), [])
        # Gone when it is done, and told all the same.
        self.record("ReleaseMgmt", REGION=pool, NAME="pool0", START_FRAME="0x480000")
        # What only asks leaves no line.
        self.connection.manager("ListMgmt", "su", "", 0)
        self.assertEqual(len(self.records()), 6)
        self.assertEqual(self.records("change-refused"), [])

    def refused(self, member, signature, *body, connection=None):
        with self.assertRaises(wire.Error) as caught:
            (connection or self.connection).manager(member, signature, *body)
        return caught.exception

    def test_refusals(self):
        pool = self.pool()
        error = self.refused("SetupMgmt", "tta{sv}", *POOL, [])
        entry = self.record("SetupMgmt", "change-refused", ERROR="org.pmemd1.Error.Exists", REGION=None)
        self.assertIn(error.text, entry["MESSAGE"])
        self.refused("ReleaseMgmt", "oa{sv}", self.region_path(pool), [("colour", ("s", "blue"))])
        self.record("ReleaseMgmt", "change-refused", ERROR="org.pmemd1.Error.InvalidArgument", REGION=pool, NAME="pool0")
        absent = str(uuid.uuid4())
        self.refused("ReleaseData", "oa{sv}", self.region_path(absent), [])
        self.record("ReleaseData", "change-refused", ERROR="org.pmemd1.Error.NoSuchRegion", REGION=absent, POOL=None)
        # Words of a caller's come as one line.
        self.refused("Rename", "osa{sv}", self.region_path(pool), "a\nSetupMgmt done for root\x1b[2J", [])
        entry = self.record("Rename", "change-refused")
        self.assertTrue(entry["MESSAGE"].isprintable())
        # Asking and planning in vain is no change.
        self.refused("GetRegion", "s", "nobody")
        self.refused("Plan", "sa{sv}", "SetupMgmt", [])
        self.assertEqual(len(self.records("change-refused")), 4)

    def test_a_stranger(self):
        """Refused before anything was looked at, and recorded with the uid that the bus vouches for."""
        pool = self.pool()
        address = self.host.bus.address

        def ask():
            with wire.Connection(address) as connection:
                names = []
                for _ in range(30):
                    try:
                        connection.manager("ReleaseMgmt", "oa{sv}", self.region_path(pool), [])
                    except wire.Error as error:
                        names.append(error.name)
                return connection.name, names
        name, errors = wire.as_user(NOBODY, ask)
        self.assertEqual(errors, ["org.pmemd1.Error.NotAuthorized"] * 30)
        lines = self.records("change-refused")
        # A flood does not fill the log, and does not keep others' lines out of it.
        self.assertEqual(len(lines), 20)
        for entry in lines:
            self.assertEqual((entry["CALLER"], entry["CALLER_UID"], entry["REGION"], entry["ERROR"]),
                             (name, str(NOBODY), pool, "org.pmemd1.Error.NotAuthorized"))
        self.refused("SetupMgmt", "tta{sv}", *POOL, [])
        self.record("SetupMgmt", "change-refused")
        self.assertEqual(self.daemon.stop(), 0)
        entry = self.event("refusals-omitted", "warning", CALLER_UID=str(NOBODY))
        self.assertRegex(entry["MESSAGE"], r"^10 more refused requests of user 65534 ")

    def test_every_change_is_recorded(self):
        """The methods that take options, and those of jobs, are the ones that change something."""
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
        methods = {}
        for interface in ElementTree.parse(os.path.join(root, "proto/org.pmemd1.xml")).getroot():
            for method in interface.findall("method"):
                methods[method.get("name")] = (interface.get("name") == harness.JOB
                                               or any(a.get("name") == "options" for a in method.findall("arg")))
        with open(os.path.join(root, "daemon/bus-audit.c"), encoding="utf-8") as file:
            table = re.search(r"members\[\] = \{(.*?)\};", file.read(), re.S)[1]
        self.assertEqual({name for name, changes in methods.items() if changes}, set(re.findall(r'"(\w+)"', table)))


if __name__ == "__main__":
    journal.private_run()
    harness.main()
