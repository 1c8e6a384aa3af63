#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemctl export and import: the same host emptied, other hardware, a killed import, owners, conflicts, files that are none."""

import json
import os
import pwd
import signal
import stat
import subprocess
import unittest

import dbus

import ctl_case
import harness

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "golden", "export-1.json")
NOBODY = 65534
CLIENT = "org.pmemd1.Client."


class Case(ctl_case.CtlCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.file = os.path.join(self.host.folder, "export.json")

    def plan(self, *arguments, status=0, file=None):
        """What import says, by uuid of the export."""
        result = self.host.ctl("--json", "import", file or self.file, *arguments)
        self.assertEqual(result.status, status, result)
        document = ctl_case.valid(result.out)
        if status:
            error = ctl_case.valid(result.err)
            self.assertEqual(error["error"]["name"], CLIENT + "Incomplete", result)
        return {region["uuid"]: region for region in document["import"]["regions"]}

    def results(self, *arguments, **options):
        return [(region["name"], region["result"]) for region in self.plan(*arguments, **options).values()]

    def fill(self):
        """Two pools with three data regions, one of them nobody's, one without name."""
        for arguments in ("setup-mgmt", "0x480000", "0x490000", "--name=pool0", "--max-regions=3000"), \
                         ("setup-mgmt", "0x4c0000", "0x4c8000", "--profile=none"), \
                         ("allocate-data", "16M", "--name=guest0", "--node=3", "--mgmt=pool0"), \
                         ("allocate-data", "32M", "--node=3", "--mgmt=pool0"), \
                         ("allocate-data", "64M", "--name=guest1", "--node=4", "--mgmt=pool0"), \
                         ("set-owner", "guest0", str(NOBODY)):
            self.text(*arguments)
        self.text("export", "--output=" + self.file)
        self.exported = self.read()

    def read(self):
        with open(self.file, encoding="utf-8") as f:
            document = json.load(f)
        ctl_case.VALIDATOR.validate(document)
        return document["export"]

    def write(self, export):
        with open(self.file, "w", encoding="utf-8") as f:
            json.dump({"version": 1, "export": export}, f)

    def empty(self):
        lists = self.json("list")
        for region in lists["data"]:
            self.text("release", region["uuid"], "--wait")
        for region in lists["mgmt"]:
            self.text("release", region["uuid"])

    def facts(self, *keys):
        """What the export says again, without what is new for each region."""
        self.text("export", "--output=" + self.file + ".now")
        with open(self.file + ".now", encoding="utf-8") as f:
            export = json.load(f)["export"]
        regions = [r for pool in export["pools"] for r in [pool, *pool["data"]]]
        return sorted(tuple(r.get(key) for key in keys) for r in regions)

    def restart_with(self, regions):
        """Other hardware: nothing is left of the pools."""
        self.host.daemon.stop()
        backend = self.host.daemon.backend_folder
        for name in os.listdir(backend):
            os.unlink(os.path.join(backend, name))
        harness.write_regions(backend, regions)
        self.host.daemon.start()


KEYS = "name", "start_frame", "end_frame", "extent_start", "extent_end", "owner_uid", "owner", "profile", "max_regions"


class SameHost(Case):
    def test_export(self):
        self.fill()
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        self.assertEqual([raw["id"] for raw in self.exported["raw"]], ["raw0", "raw1"])
        pool, other = self.exported["pools"]
        self.assertEqual((pool["name"], pool["profile"], other["profile"], len(pool["data"])), ("pool0", "xen", "none", 3))
        self.assertEqual((pool["data"][0]["owner_uid"], pool["data"][0]["owner"]), (NOBODY, pwd.getpwuid(NOBODY).pw_name))
        with open("/etc/machine-id", encoding="ascii") as f:
            self.assertEqual(self.exported["machine_id"], f.read().strip())
        # The same to the letter, and the file keeps its time until something changes.
        text = self.text("export")
        with open(self.file, encoding="utf-8") as f:
            self.assertEqual(f.read(), text)
        before = os.stat(self.file)
        self.text("export", "--output=" + self.file)
        self.assertEqual(os.stat(self.file).st_ino, before.st_ino)
        self.text("rename", "guest1", "guest2")
        self.text("export", "--output=" + self.file)
        self.assertNotEqual(os.stat(self.file).st_ino, before.st_ino)
        # One pool alone, by any name it has.
        self.assertEqual(len(json.loads(self.text("export", "pool0"))["export"]["pools"]), 1)
        result = self.host.ctl("export", "guest0")
        self.assertEqual(result.status, 2, result)
        self.assertIn("a pool is exported as a whole", result.err)

    def test_restore(self):
        self.fill()
        before = self.facts(*KEYS)
        self.assertEqual({r["result"] for r in self.plan().values()}, {"there"})
        self.empty()
        self.assertEqual(self.facts("name"), [])
        # A plan changes nothing.
        self.assertEqual({r["result"] for r in self.plan().values()}, {"same"})
        self.assertEqual(self.facts("name"), [])
        done = self.plan("--apply")
        self.assertEqual({r["result"] for r in done.values()}, {"same"})
        self.assertEqual(self.facts(*KEYS), before)
        self.assertEqual({r["now_uuid"] for r in done.values()}, {u for u, in self.facts("uuid")})
        self.assertFalse({r["now_uuid"] for r in done.values()} & set(done))
        # Again: nothing is made twice.
        self.assertEqual({r["result"] for r in self.plan("--apply").values()}, {"there"})
        self.assertEqual(self.facts(*KEYS), before)
        # Released and made again, though the request-ids of the first time were answered.
        self.text("release", "pool0/guest0", "--wait")
        again = self.plan("--apply")
        self.assertEqual(sorted(r["result"] for r in again.values()), ["same", "there", "there", "there", "there"])
        self.assertEqual(self.facts(*KEYS), before)

    def test_table(self):
        self.fill()
        self.empty()
        out = self.text("import", self.file)
        self.assertIn("Nothing was done: --apply does it. Content does not come back", out)
        self.assertRegex(out, r"raw0 +0x480000 +0x4c0000 +raw0 +0x480000 +0x4c0000 +cookie\n")
        self.assertRegex(out, r"data +pool0 +guest0 +0x490000 +0x491000 +16.0 MiB +same +0x490000 +0x491000 +nobody")
        self.assertEqual(self.text("import", self.file, "--no-legend", "--columns=name,result").split(),
                         ["pool0", "same", "guest0", "same", "-", "same", "guest1", "same", "-", "same"])
        out = self.text("import", self.file, "--apply")
        old = self.exported["pools"][0]["data"][0]["uuid"]
        new = self.json("show", "guest0")["region"]["uuid"]
        self.assertIn(f"data region {old} guest0 is made: {new}\ndata region {old} guest0 is given to nobody\n", out)
        self.assertIn("5 made at their places, 0 made elsewhere, 0 there before, 0 impossible, 0 failed\n", out)

    def test_killed(self):
        """A killed import says what it did; the next one goes on from there. pmemd is killed, too."""
        self.fill()
        before = self.facts(*KEYS)
        self.empty()
        command = [os.environ["PMEMCTL_EXE"], "--bus=" + self.host.bus.address, "import", self.file, "--apply"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as importing:
            for line in importing.stdout:
                if " is made: " in line:
                    importing.send_signal(signal.SIGKILL)
                    made = line.split()[-1]
                    break
        self.host.daemon.kill()
        self.host.daemon.start()
        self.assertIn(made, self.text("list", "--mgmt"))
        results = [r["result"] for r in self.plan("--apply").values()]
        self.assertIn("there", results)
        self.assertEqual(set(results), {"there", "same"})
        self.assertEqual(self.facts(*KEYS), before)

    def test_owner_after_a_crash(self):
        """Made, and not yet given away when the import ended."""
        self.fill()
        self.text("set-owner", "guest0", "0")
        region = self.plan()[self.exported["pools"][0]["data"][0]["uuid"]]
        self.assertEqual((region["result"], region["owner"]), ("there", "nobody"))
        self.plan("--apply")
        self.assertEqual(self.json("show", "guest0")["region"]["owner_uid"], NOBODY)

    def test_owners(self):
        self.fill()
        data = self.exported["pools"][0]["data"]
        data[0]["owner"] = "alice"
        data[1] |= {"owner_uid": 4000000000, "owner": "gone"}
        self.write(self.exported)
        self.empty()
        done = self.plan("--apply")
        self.assertIn("user 65534 was alice and is nobody now", done[data[0]["uuid"]]["note"])
        self.assertIn("there is no user 4000000000 (gone) any more", done[data[1]["uuid"]]["note"])
        self.assertEqual({r["owner_uid"] for r in self.json("list")["data"]}, {0})
        self.empty()
        self.exported["machine_id"] = "0123456789abcdef0123456789abcdef"
        data[0]["owner"] = "nobody"
        self.write(self.exported)
        self.assertIn("was a user of another host", self.plan("--apply")[data[0]["uuid"]]["note"])
        self.assertEqual({r["owner_uid"] for r in self.json("list")["data"]}, {0})

    def test_conflicts(self):
        self.fill()
        data = self.exported["pools"][0]["data"]
        self.empty()
        # Somebody else's region where guest0 was, and the name of guest1 taken by a smaller one.
        self.plan("--apply")
        self.text("release", "guest0", "--wait")
        self.text("release", "guest1", "--wait")
        self.text("allocate-data", "4M", "--name=other", "--node=3")
        self.text("allocate-data", "4M", "--name=guest1", "--mgmt=pool0", "--node=4")
        self.assertEqual(self.json("show", "other")["region"]["start_frame"], data[0]["start_frame"])
        out = self.plan(status=1)
        guest0, guest1 = out[data[0]["uuid"]], out[data[2]["uuid"]]
        self.assertEqual((guest0["result"], guest1["result"]), ("moved", "impossible"))
        self.assertIn('0x490000 - 0x491000 is taken by data region', guest0["note"])
        self.assertIn('"other"', guest0["note"])
        self.assertIn("the name is that of data region", guest1["note"])
        # What can be done is done, and the rest said.
        out = self.plan("--apply", status=1)
        self.assertEqual(self.json("show", "guest0")["region"]["start_frame"], out[data[0]["uuid"]]["now_start_frame"])
        self.assertEqual(out[data[1]["uuid"]]["result"], "there")
        result = self.host.ctl("import", self.file)
        self.assertIn("pmemctl: 1 of 5 regions cannot be made: see their notes\n", result.err)
        self.assertEqual(self.results(status=1).count(("guest0", "there")), 1)

    def test_refused_by_pmemd(self):
        """A pool that the journal does not fit is refused by pmemd: its regions are not tried."""
        self.fill()
        self.empty()
        self.exported["pools"][0]["max_regions"] = 1048576
        self.write(self.exported)
        out = self.plan("--apply", status=1)
        results = [(r["result"], r["note"]) for r in out.values()]
        self.assertEqual(results[0][0], "failed")
        self.assertIn("max-regions 1048576", results[0][1])
        self.assertEqual(results[1:4], [("failed", "its pool was not made")] * 3)
        self.assertEqual(results[4][0], "same")

    def test_unprivileged(self):
        self.fill()
        for arguments in ("export",), ("import", "-"):
            with open(self.file, "rb") as f:
                done = subprocess.run([os.environ["PMEMCTL_EXE"], "--bus=" + self.host.bus.address, *arguments], stdin=f,
                                      capture_output=True, text=True, check=False, user=NOBODY, group=NOBODY, extra_groups=[])
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertIn("run this as root", done.stderr)


class OtherHardware(Case):
    def two(self, first, second):
        return {name: {"Alignment": "4K", "Lead": "0", **keys} for name, keys in (("nvdimm0", first), ("nvdimm1", second))}

    def test_moved(self):
        """Of the same nodes and sizes, elsewhere in the address space."""
        self.fill()
        self.restart_with(self.two({"StartFrame": "0x1000000", "Bytes": "1G", "Node": "3"},
                                   {"StartFrame": "0x2000000", "Bytes": "16G", "Node": "4"}))
        self.assertEqual({r["result"] for r in self.plan("--apply").values()}, {"moved"})
        shift = 0x1000000 - 0x480000
        pool, guest0 = (self.json("show", name)["region"] for name in ("pool0", "guest0"))
        self.assertEqual(pool["start_frame"], 0x480000 + shift)
        was = self.exported["pools"][0]["data"][0]
        self.assertEqual([guest0[k] for k in ("start_frame", "extent_start", "extent_end")],
                         [was[k] + shift for k in ("start_frame", "extent_start", "extent_end")])
        self.assertEqual(guest0["owner_uid"], NOBODY)
        self.assertEqual({r["result"] for r in self.plan("--apply").values()}, {"there"})
        self.assertEqual(len(self.json("list")["data"]), 3)

    def test_smaller(self):
        """What does not fit any more goes elsewhere on its node, or nowhere."""
        self.fill()
        self.restart_with(self.two({"StartFrame": "0x480000", "Bytes": "264M", "Node": "3"},
                                   {"StartFrame": "0x600000", "Bytes": "1G", "Node": "4"}))
        out = self.plan("--map=raw0=nvdimm0,raw1=nvdimm1", status=1)
        self.assertEqual([(r["name"], r["result"]) for r in out.values()],
                         [("pool0", "same"), ("guest0", "impossible"), ("", "impossible"), ("guest1", "moved"), ("", "moved")])
        self.assertIn("no gap of 16777216 bytes on node 3", out[self.exported["pools"][0]["data"][0]["uuid"]]["note"])
        self.plan("--map=raw0=nvdimm0,raw1=nvdimm1", "--apply", status=1)
        self.assertEqual([r["name"] for r in self.json("list")["data"]], ["guest1"])

    def test_another_node(self):
        self.fill()
        self.restart_with(self.two({"StartFrame": "0x480000", "Bytes": "1G", "Node": "3"},
                                   {"StartFrame": "0x2000000", "Bytes": "16G", "Node": "7"}))
        out = self.plan(status=1)
        [note] = {r["note"] for r in out.values() if r["result"] == "impossible"}
        self.assertIn("raw region raw1 is not here, nor one of its node and size: give one by --map=raw1=ID", note)
        self.assertEqual([r["result"] for r in self.plan("--map=raw1=nvdimm1", "--apply").values()],
                         ["same", "same", "same", "moved", "moved"])
        self.assertEqual(self.json("show", "guest1")["region"]["node"], 7)
        result = self.host.ctl("import", self.file, "--map=raw1=raw9")
        self.assertEqual(result.status, 2, result)
        self.assertIn("there is no raw region 'raw9' here", result.err)


class Files(Case):
    def refused(self, *arguments, **options):
        result = self.host.ctl(*arguments, **options)
        self.assertEqual((result.status, result.out), (2, ""), result)
        return result.err

    def test_no_export(self):
        self.assertIn("cannot be opened: No such file", self.refused("import", self.file))
        self.assertIn("cannot be read", self.refused("import", self.host.folder))
        self.assertIn("is no JSON object", self.refused("import", "-"))
        for text in "[" * 100000, '{"version":1}', "\x00", '{"version":1,"export":{"raw":[],"pools":[{}]}}':
            with open(self.file, "w", encoding="utf-8") as f:
                f.write(text)
            self.assertIn("pmemctl: the export cannot be used: ", self.refused("import", self.file))
        # Endless ones end.
        self.assertIn("more than 67108864 bytes", self.refused("import", "/dev/zero"))
        # Nobody was asked.
        self.assertEqual(harness.run_ctl("unix:path=/nonexistent", "import", self.file).status, 2)

    def test_first_version(self):
        """The first version is read for ever. It is of another machine whose raw regions are not here."""
        with open(GOLDEN, encoding="utf-8") as f:
            ctl_case.VALIDATOR.validate(json.load(f))
        out = self.plan(status=1, file=GOLDEN)
        self.assertEqual({r["result"] for r in out.values()}, {"impossible"})
        out = self.plan("--map=region0=raw0,region1=raw1", "--apply", file=GOLDEN)
        self.assertEqual({r["result"] for r in out.values()}, {"moved"})
        self.assertEqual({r["result"] for r in self.plan("--map=region0=raw0,region1=raw1", file=GOLDEN).values()}, {"there"})

    def test_output(self):
        result = self.host.ctl("export", "--output=/nonexistent/file")
        self.assertEqual(result.status, 1, result)
        self.assertIn("cannot write the export", result.err)
        result = self.host.ctl("import", GOLDEN, "--columns=nothing")
        self.assertEqual(result.status, 2, result)


class Content(Case):
    """export-data and import-data."""

    SIZE = 8 << 20

    def setUp(self):
        super().setUp()
        self.text("allocate-mgmt", "64M", "--name=pool0")
        self.text("allocate-data", str(self.SIZE), "--name=guest0")
        self.text("allocate-data", str(self.SIZE), "--name=guest1")
        # A page at the start, one in the middle, one at the end; else zeros.
        self.content = bytearray(self.SIZE)
        for at in 0, 3 << 20, self.SIZE - 4096:
            self.content[at:at + 4096] = os.urandom(4096)

    def write_content(self, content):
        with open(self.file, "wb") as f:
            f.write(content)

    def pipe(self, *arguments, stdin=b""):
        return subprocess.run([os.environ["PMEMCTL_EXE"], "--bus=" + self.host.bus.address, *arguments], input=stdin,
                              capture_output=True, check=False)

    def content_of(self, name):
        done = self.pipe("export-data", name, "-")
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stderr)
        return done.stdout

    def test_there_and_back(self):
        self.assertEqual(self.content_of("guest0"), bytes(self.SIZE))
        self.write_content(self.content)
        done = self.json("import-data", "guest0", self.file)["content"]
        self.assertEqual((done["bytes"], done["written_bytes"]), (self.SIZE, 3 << 20))
        self.assertEqual(self.content_of("guest0"), self.content)
        # By a file, which has holes, into another region through a pipe.
        copy = os.path.join(self.host.folder, "copy")
        self.text("export-data", "guest0", copy)
        with open(copy, "rb") as f:
            self.assertEqual(f.read(), self.content)
        self.assertLess(os.stat(copy).st_blocks * 512, self.SIZE // 2)
        self.assertEqual(stat.S_IMODE(os.stat(copy).st_mode), 0o600)
        self.assertEqual([n for n in os.listdir(self.host.folder) if n.startswith("copy.")], [])
        self.assertEqual(self.pipe("import-data", "guest1", "-", stdin=self.content).returncode, 0)
        self.assertEqual(self.content_of("guest1"), self.content)
        # The old content goes where the new one has zeros, also after a crash of pmemd.
        self.host.daemon.kill()
        self.host.daemon.start()
        self.assertEqual(self.pipe("import-data", "guest1", "-", stdin=bytes(self.SIZE)).returncode, 0)
        self.assertEqual(self.content_of("guest1"), bytes(self.SIZE))
        # No lease is left.
        for name in "guest0", "guest1":
            self.text("release", name, "--wait")

    def test_sizes(self):
        self.write_content(self.content)
        self.text("import-data", "guest0", self.file)
        for wrong in self.content[:-1], self.content + b"x":
            self.write_content(wrong)
            message = self.refused(CLIENT + "Input", "import-data", "guest0", self.file)
            self.assertIn(f"has {len(wrong)} bytes, the region {self.SIZE}: nothing was written", message)
        self.assertEqual(self.content_of("guest0"), self.content)
        # Of a pipe it is known when it ends: what was done is said.
        done = self.pipe("import-data", "guest0", "-", stdin=bytes(5 << 20))
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"has the new content up to byte 5242880, and the old behind: the content ends after 5242880 bytes", done.stderr)
        self.assertEqual(self.content_of("guest0"), bytes(5 << 20) + self.content[5 << 20:])
        done = self.pipe("import-data", "guest0", "-", stdin=self.content + b"x")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"has more than the 8388608 bytes of the region", done.stderr)

    def test_bad_frames(self):
        """What can be read is saved: bad frames are zeros in the copy, and are told."""
        self.write_content(self.content)
        self.text("import-data", "guest0", self.file)
        start = self.json("show", "guest0")["region"]["start_frame"]
        raw = next(r for r in self.json("list", "--raw")["raw"] if r["start_frame"] <= start < r["end_frame"])
        bad = [(3 << 8, 1), (self.SIZE // 4096 - 1, 1), (600, 100)]
        self.host.daemon.stop()
        with open(os.path.join(self.host.daemon.backend_folder, "health.conf"), "w", encoding="utf-8") as f:
            f.write(f"[{raw['id']}]\nBadFrames=" + " ".join(f"{start + at}+{n}" for at, n in bad) + "\n")
        self.host.daemon.start()
        copy = os.path.join(self.host.folder, "copy")
        self.refused("org.pmemd1.Error.Degraded", "export-data", "guest0", copy)
        result = self.host.ctl("--json", "export-data", "guest0", copy, "--allow-degraded")
        self.assertEqual(result.status, 0, result)
        document = ctl_case.valid(result.out)
        self.assertEqual(document["content"]["unreadable_bytes"], 102 * 4096)
        self.assertEqual(len(result.err.splitlines()), 3, result)
        self.assertIn(f"4096 bytes at offset 0x{3 << 20:x} cannot be read", result.err)
        expected = bytearray(self.content)
        for at, n in bad:
            expected[at * 4096:(at + n) * 4096] = bytes(n * 4096)
        with open(copy, "rb") as f:
            self.assertEqual(f.read(), expected)
        done = self.pipe("export-data", "guest0", "-", "--allow-degraded")
        self.assertEqual((done.returncode, done.stdout), (0, bytes(expected)), done.stderr)
        self.assertEqual(self.json("leases")["leases"], [])

    def test_refused(self):
        self.write_content(self.content)
        self.refused("org.pmemd1.Error.NoSuchRegion", "import-data", "guest9", self.file)
        self.refused(CLIENT + "Input", "import-data", "guest0", "/nonexistent")
        self.assertIn("is a folder", self.refused(CLIENT + "Input", "import-data", "guest0", self.host.folder))
        self.refused(CLIENT + "Output", "export-data", "guest0", "/nonexistent/file")
        self.assertIn("is no ordinary file", self.refused(CLIENT + "Output", "export-data", "guest0", "/dev/null"))
        # A pool has no content, and another user no right to any.
        self.assertEqual(self.host.ctl("export-data", "pool0", self.file + ".x").status, 1)
        self.refused("org.pmemd1.Error.NotAuthorized", "export-data", "guest0", "/tmp/x", user=NOBODY)
        self.assertFalse(os.path.exists(self.file + ".x"))
        # Who has the region is named, and it stays as it was.
        connection = self.host.bus.connect()
        path = self.json("show", "guest0")["region"]["path"]
        self.host.manager(connection).Attach(dbus.ObjectPath(path), "somebody",
                                              dbus.Dictionary({"until": "disconnect"}, signature="sv"))
        for verb in "export-data", "import-data":
            self.assertIn("somebody", self.refused("org.pmemd1.Error.Leased", verb, "guest0", self.file))
        connection.close()
        with open(self.file, "rb") as f:
            self.assertEqual(f.read(), self.content)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([os.environ["PMEMCTL_EXE"], "--bus=" + self.host.bus.address, "export-data", "guest1", "-"],
                                  stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left on device", done.stderr)


if __name__ == "__main__":
    harness.main()
