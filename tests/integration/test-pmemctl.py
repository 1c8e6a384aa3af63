#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemctl against a real pmemd: every verb, every format, exit status, bad usage, errors, the JSON contract."""

import errno
import json
import os
import re
import select
import signal
import subprocess
import time
import unittest
import uuid

import jsonschema

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMA = os.path.join(HERE, "..", "..", "proto", "pmemctl.schema.json")
VERBS = ["list", "show", "setup-mgmt", "setup-data", "allocate-mgmt", "allocate-data", "plan", "release", "rename",
         "set-owner", "attach", "detach", "leases", "pool", "domain-xml", "qemu-args", "locate", "dimms", "clear-bad-frames", "export",
         "import", "export-data", "import-data", "adopt", "forget", "journal", "labels",
         "map", "monitor", "metrics", "list-cmds", "help"]
NOBODY = 65534
MIB = 1 << 20
GIB = 1 << 30

with open(SCHEMA, encoding="utf-8") as f:
    VALIDATOR = jsonschema.Draft7Validator(json.load(f))


class Case(unittest.TestCase):
    """Each test has a host of its own, with the regions of harness.TWO_NODES unless the class says otherwise."""

    regions = harness.TWO_NODES
    daemon_options = {}

    def setUp(self):
        self.host = harness.Host(self.regions, **self.daemon_options).__enter__()
        self.addCleanup(self.host.__exit__)

    def ok(self, *arguments, **options):
        result = self.host.ctl(*arguments, **options)
        self.assertEqual(result.status, 0, result)
        self.assertNotIn("\033", result.out)
        self.assertEqual(result.err, "", result)
        return result

    def json(self, *arguments, **options):
        """The document of a successful run, checked against the contract."""
        return self.valid(self.ok("--json", *arguments, **options).out)

    def valid(self, text):
        document = json.loads(text)
        VALIDATOR.validate(document)
        return document

    def refused(self, name, *arguments, status=1, **options):
        """A run that fails with this error, the same in text and in JSON; its message."""
        text = self.host.ctl(*arguments, **options)
        self.assertEqual((text.status, text.out), (status, ""), text)
        self.assertTrue(text.err.startswith("pmemctl: "), text)
        result = self.host.ctl("--json", *arguments, **options)
        self.assertEqual((result.status, result.out), (status, ""), result)
        error = self.valid(result.err)["error"]
        self.assertEqual(error["name"], name, result)
        return error["message"]

    def daemon_refused(self, name, *arguments, **options):
        return self.refused("org.pmemd1.Error." + name, *arguments, **options)

    def pool(self, *options):
        """A pool of 256 MiB at the start of raw0; its region's document."""
        return self.json("setup-mgmt", "0x480000", "0x490000", "--name=pool0", *options)["region"]

    def data(self, start, end, *options):
        pool = self.json("show", "pool0")["region"]
        free = pool["start_frame"] + pool["used_frames"]
        return self.json("setup-data", hex(start), hex(end), hex(free), hex(pool["end_frame"]), *options)["region"]


class Lists(Case):
    def test_empty(self):
        document = self.json("list")
        self.assertEqual(set(document), {"version", "raw", "mgmt", "data", "foreign"})
        self.assertEqual([(r["id"], r["start_frame"], r["end_frame"], r["bytes"], r["node"]) for r in document["raw"]],
                         [("raw0", 0x480000, 0x4c0000, GIB, 3), ("raw1", 0x4c0000, 0x8c0000, 16 * GIB, 4)])
        self.assertEqual(document["mgmt"] + document["data"] + document["foreign"], [])
        self.assertEqual(document, self.json("list", "--all"))
        out = self.ok("list").out
        self.assertIn("Raw regions: 2\n", out)
        for title in "Management regions", "Data regions", "Foreign devices":
            self.assertIn(f"\n{title}: none\n", out)

    def test_one_kind(self):
        for kind in "raw", "mgmt", "data", "foreign":
            self.assertEqual(set(self.json("list", "--" + kind)), {"version", kind})
        self.assertEqual(set(self.json("list", "--raw", "--data")), {"version", "raw", "data"})

    def test_full(self):
        pool = self.pool()
        data = self.data(0x4c0000, 0x5c0000, "--name=guest0")
        document = self.json("list")
        [mgmt], [listed] = document["mgmt"], document["data"]
        for key in set(mgmt) & set(pool) - {"used_frames", "free_frames"}:
            self.assertEqual(mgmt[key], pool[key], key)
        for key in set(listed) & set(data):
            self.assertEqual(listed[key], data[key], key)
        self.assertEqual((listed["pool"], mgmt["data_regions"]), (mgmt["uuid"], 1))
        # 2^20 frames at 32 + 8 bytes.
        self.assertEqual(listed["extent_end"] - listed["extent_start"], 0x2000 + 0x800)
        self.assertEqual(document["raw"][1]["free_bytes"], 12 * GIB)

        lines = self.ok("list").out.splitlines()
        row = next(line for line in lines if data["uuid"] in line)
        for cell in "guest0", "0x4c0000", "0x5c0000", "4.0 GiB", hex(data["extent_start"]):
            self.assertIn(cell, row)
        head = lines[lines.index(row) - 1]
        # Aligned: numbers end where their heads end.
        for cell, title in ("0x4c0000", " START"), ("0x5c0000", " END"), ("4.0 GiB", " SIZE"):
            self.assertEqual(row.index(cell) + len(cell), head.index(title) + len(title))

    def test_width(self):
        """What fits a terminal of 120 columns: the rest is for --columns and show."""
        self.pool()
        self.data(0x4c0000, 0x4d0000, "--name=guest0")
        for kind in "raw", "mgmt", "data", "foreign":
            self.assertLessEqual(max(map(len, self.ok("list", "--" + kind).out.splitlines())), 120)

    def test_columns(self):
        self.pool()
        self.data(0x4c0000, 0x4d0000, "--name=guest0")
        self.data(0x4d0000, 0x4e0000)
        self.assertEqual(self.ok("list", "--mgmt", "--data", "--no-legend", "--columns=name").out,
                         "pool0\nguest0\n-\n")
        # A list that has none of the columns is left out.
        self.assertEqual(self.ok("list", "--all", "--no-legend", "--columns=data_regions,name").out.split(),
                         ["2", "pool0", "guest0", "-"])
        self.assertEqual(self.ok("list", "--data", "--columns=name,end_frame").out,
                         "Data regions: 2\n  NAME         END\n  guest0  0x4d0000\n  -       0x4e0000\n")

    def test_xen_ndctl(self):
        raw = "Raw PMEM regions:\n 0: MFN 0x480000 - 0x4c0000, PXM 3\n 1: MFN 0x4c0000 - 0x8c0000, PXM 4\n"
        empty = raw + "Management PMEM regions:\nData PMEM regions:\n"
        self.assertEqual(self.ok("list", "--format=xen-ndctl").out, empty)
        # Silent as xen-ndctl.
        self.assertEqual(self.ok("setup-mgmt", "0x480000", "0x4c0000", "--format=xen-ndctl").out, "")
        [mgmt] = self.json("list", "--mgmt")["mgmt"]
        start = 0x480000 + mgmt["used_frames"]
        silent = self.ok("setup-data", "0x4c0000", "0x8c0000", hex(start), "0x4c0000", "--format=xen-ndctl")
        self.assertEqual(silent.out, "")
        # 2^22 frames at 32 + 8 bytes.
        end = start + 0x8000 + 0x2000
        mgmt_lines = f"Management PMEM regions:\n 0: MFN 0x480000 - 0x4c0000, used {hex(end - 0x480000)}\n"
        data_lines = f"Data PMEM regions:\n 0: MFN 0x4c0000 - 0x8c0000, MGMT MFN {hex(start)} - {hex(end)}\n"
        self.assertEqual(self.ok("list", "--all", "--format=xen-ndctl").out, raw + mgmt_lines + data_lines)
        self.assertEqual(self.ok("--format=xen-ndctl", "list", "--mgmt").out, mgmt_lines)
        self.assertEqual(self.ok("--format=xen-ndctl", "list", "--data").out, data_lines)
        self.assertEqual(self.ok("--format=xen-ndctl", "list", "--raw").out, raw)
        self.assertEqual(self.ok("--format=xen-ndctl", "list", "--foreign").out, "")

    def test_show_daemon(self):
        daemon = self.json("show")["daemon"]
        self.assertEqual((daemon["backend"], daemon["raw_regions"], daemon["raw_bytes"]), ("file", 2, 17 * GIB))
        out = self.ok("show").out
        self.assertRegex(out, r"(?m)^ *State: ok$")
        self.assertRegex(out, r"(?m)^ *Raw: 17.0 GiB$")

    def test_unprivileged(self):
        self.pool()
        self.data(0x4c0000, 0x5c0000)
        document = self.json("list", user=NOBODY)
        for region in document["mgmt"] + document["data"]:
            self.assertEqual((region["start_frame"], region["end_frame"], region["owner"], region["device_path"]),
                             (0, 0, "", ""))
        self.assertEqual(len(document["mgmt"] + document["data"]), 2)
        self.assertNotIn("0x4", self.ok("list", user=NOBODY).out)
        self.daemon_refused("NotAuthorized", "map", user=NOBODY)
        self.daemon_refused("NotAuthorized", "allocate-data", "1G", user=NOBODY)


class Changes(Case):
    def test_setup_mgmt(self):
        region = self.json("setup-mgmt", "0x480000", "0x490000", "--name=pool0", "--profile=linux",
                           "--max-regions=16")["region"]
        self.assertEqual((region["kind"], region["name"], region["profile"], region["start_frame"], region["end_frame"],
                          region["bytes"], region["node"], region["state"], region["pool"]),
                         ("mgmt", "pool0", "linux", 0x480000, 0x490000, 256 * MIB, 3, "ok", region["uuid"]))
        text = self.ok("setup-mgmt", "0x490000", "0x4a0000").out
        self.assertRegex(text, r"(?m)^ *Start frame: 0x490000$")

    def test_setup_data_decimal(self):
        self.pool()
        region = self.data(4980736, 4984832)
        self.assertEqual((region["start_frame"], region["bytes"]), (0x4c0000, 16 * MIB))

    def test_allocate(self):
        self.assertEqual(self.json("allocate-mgmt", "256M", "--node=3", "--name=p")["region"]["node"], 3)
        region = self.json("allocate-data", "2GiB", "--mgmt=p", "--name=d", "--node=4", "--alignment=1G")["region"]
        self.assertEqual((region["bytes"], region["node"], region["start_frame"] % (GIB // 4096)), (2 * GIB, 4, 0))
        self.assertEqual(self.json("show", "p/d")["region"], region)

    def test_find(self):
        self.pool()
        region = self.data(0x4c0000, 0x4d0000, "--name=d")
        for key in region["uuid"], region["path"], region["device_path"], "d", "pool0/d":
            self.assertEqual(self.json("show", key)["region"], region, key)
        absent = str(uuid.uuid4())
        for key in absent, "nobody", "/dev/nothing", "/org/pmemd1/region/" + absent.replace("-", "_"):
            self.daemon_refused("NoSuchRegion", "show", key)

    def test_words(self):
        """What pmemd says of methods is said of verbs."""
        message = self.daemon_refused("NoSuchRegion", "show", "ListData")
        self.assertIn("no region is 'ListData': ", message)
        self.assertIn("as 'pmemctl list --mgmt' and 'pmemctl list --data' show them", message)

    def test_find_ambiguous(self):
        """What is told when a name is that of two regions can be given instead of it."""
        pool = self.pool()
        region = self.data(0x4c0000, 0x4d0000, "--name=pool0")
        error = self.daemon_refused("InvalidArgument", "show", "pool0")
        self.assertIn(f"{pool['uuid']} (the pool), pool0/pool0", error)
        self.assertEqual(self.json("show", pool["uuid"])["region"]["kind"], "mgmt")
        self.assertEqual(self.json("show", "pool0/pool0")["region"], region)

    def test_plan(self):
        plan = self.json("plan", "setup-mgmt", "0x480000", "0x490000")["plan"]
        self.assertEqual((plan["start_frame"], plan["end_frame"], plan["raw"]), (0x480000, 0x490000, "raw0"))
        self.assertNotIn("pool", plan)
        self.json("plan", "allocate-mgmt", "256M")
        pool = self.pool()
        plan = self.json("plan", "allocate-data", "1G", "--node=4")["plan"]
        self.assertEqual((plan["usable_bytes"], plan["requested_bytes"], plan["node"], plan["pool"]),
                         (GIB, GIB, 4, pool["uuid"]))
        self.assertEqual(self.json("list", "--data")["data"], [])
        region = self.json("allocate-data", "1G", "--node=4")["region"]
        for key in "start_frame", "end_frame", "extent_start", "extent_end":
            self.assertEqual(plan[key], region[key])
        plan = self.json("plan", "setup-data", "0x800000", "0x810000", hex(region["extent_end"]), "0x490000")["plan"]
        self.assertEqual(plan["extent_start"], region["extent_end"])
        self.assertRegex(self.ok("plan", "allocate-data", "1G").out, r"(?m)^ *Usable: 1.0 GiB$")
        self.daemon_refused("NoSpace", "plan", "allocate-data", "1T")

    def test_release(self):
        self.pool()
        region = self.data(0x4c0000, 0x4d0000)
        self.daemon_refused("Busy", "release", "pool0")
        done = self.json("release", region["uuid"], "--wait")["release"]
        self.assertEqual((done["uuid"], done["kind"], done["done"]), (region["uuid"], "data", True))
        self.assertEqual(self.json("list", "--data")["data"], [])
        again = self.data(0x4c0000, 0x4d0000)
        self.assertIn("job/", self.ok("release", again["path"]).out)
        # The second is quarantined or gone: wait for its end by releasing a third and by looking.
        deadline = time.monotonic() + harness.PATIENCE
        while self.json("list", "--data")["data"]:
            self.assertLess(time.monotonic(), deadline)
        done = self.json("release", "pool0")["release"]
        self.assertEqual((done["kind"], done["job"], done["done"]), ("mgmt", "", True))
        self.assertEqual(self.json("list", "--mgmt")["mgmt"], [])

    def test_rename(self):
        self.pool()
        self.data(0x4c0000, 0x4d0000, "--name=a")
        self.assertEqual(self.json("rename", "a", "b")["region"]["name"], "b")
        self.ok("rename", "pool0", "pool1")
        region = self.json("show", "pool1/b")["region"]
        self.assertEqual(self.json("rename", "b", "")["region"]["name"], "")
        self.daemon_refused("InvalidArgument", "rename", region["uuid"], "no spaces")
        self.daemon_refused("NoSuchRegion", "rename", "b", "c")

    def test_set_owner(self):
        self.pool()
        self.data(0x4c0000, 0x4d0000, "--name=a")
        region = self.json("set-owner", "a", "nobody")["region"]
        self.assertEqual((region["owner_uid"], region["owner"]), (NOBODY, "nobody"))
        self.assertEqual(self.json("set-owner", "a", "0")["region"]["owner_uid"], 0)
        for user in "no-such-user", "-1", "4294967295", "0x10":
            self.refused("org.pmemd1.Client.Usage", "set-owner", "--", "a", user, status=2)

    def test_request_id(self):
        self.pool()
        request = str(uuid.uuid4())
        first = self.json("allocate-data", "16M", "--request-id=" + request)["region"]
        self.assertEqual(self.json("allocate-data", "16M", "--request-id=" + request)["region"], first)
        self.assertEqual(len(self.json("list", "--data")["data"]), 1)
        self.daemon_refused("InvalidArgument", "allocate-data", "32M", "--request-id=" + request)

    def test_errors(self):
        self.pool()
        self.data(0x4c0000, 0x4d0000, "--name=d")
        free = "0x48f000"
        self.assertIn("0x4c0000", self.daemon_refused("Exists", "setup-data", "0x4c0000", "0x4d0000", free, "0x490000"))
        self.daemon_refused("Exists", "setup-mgmt", "0x480000", "0x490000")
        self.daemon_refused("InvalidArgument", "setup-mgmt", "0x490000", "0x480000")
        self.daemon_refused("InvalidArgument", "setup-mgmt", "0", "0xffffffffffffffff")
        self.daemon_refused("InvalidArgument", "allocate-data", "0")
        self.daemon_refused("InvalidArgument", "allocate-mgmt", "256M", "--profile=kvm")
        self.daemon_refused("InvalidArgument", "allocate-data", "1M", "--name=" + "x" * 4096)
        self.daemon_refused("InvalidArgument", "allocate-data", "1M", "--name=a\nb")
        self.daemon_refused("NoSuchMgmt", "setup-data", "0x4d0000", "0x4e0000", "0x4a0000", "0x4b0000")
        self.daemon_refused("NoSuchMgmt", "allocate-data", "1M", "--mgmt=nowhere")
        self.daemon_refused("NoSpace", "allocate-data", "1P")


class Page(Case):
    """What pmemctl(1) has a newcomer do, is done as it stands there."""

    def test_from_nothing_to_a_data_region(self):
        with open(os.path.join(HERE, "..", "..", "docs", "man", "pmemctl.1"), encoding="utf-8") as f:
            section = f.read().split("\n.SH FROM NOTHING TO A DATA REGION\n")[1].split("\n.SH ")[0]
        examples = "\n".join(re.findall(r"(?s)\n\.EX\n(.*?)\n\.EE", section)).replace("\\-", "-").splitlines()
        self.assertEqual([line.split()[1] for line in examples],
                         ["list", "map", "plan", "allocate-mgmt", "plan", "allocate-data", "show", "domain-xml",
                          "qemu-args", "leases", "detach", "release", "release"])
        for line in examples:
            command = line.split()
            self.assertEqual(command.pop(0), "pmemctl")
            out = self.ok(*command).out
            if command[0] == "show":
                self.assertRegex(out, r"(?m)^ *Device: /")
                self.assertRegex(out, r"(?m)^ *Size: 4.0 GiB$")
        self.assertEqual(self.json("list")["mgmt"] + self.json("list")["data"], [])


class Map(Case):
    def bars(self, *arguments, columns="42"):
        out = self.ok("map", *arguments, environment={"COLUMNS": columns}).out
        return [line[1:-1] for line in out.splitlines() if line.startswith("[")], out

    def test_empty(self):
        bars, out = self.bars()
        self.assertEqual(bars, ["." * 40] * 2)
        self.assertIn("raw0: frames 0x480000 - 0x4c0000, 1.0 GiB, node 3, 1.0 GiB free", out)
        self.assertIn("M management  D data", out.splitlines()[-1])

    def test_regions(self):
        pool = self.pool()
        first = self.data(0x4c0000, 0x6c0000)
        second = self.data(0x8bf000, 0x8c0000)
        bars, _ = self.bars()
        self.assertEqual(bars, ["M" + "m" * 9 + "." * 30, "D" + "d" * 19 + "." * 19 + "D"])
        [raw0, raw1] = self.json("map")["map"]
        self.assertEqual([(s["kind"], s["start_frame"], s["end_frame"], s["id"]) for s in raw0["spans"]],
                         [("mgmt", 0x480000, 0x490000, pool["uuid"]), ("free", 0x490000, 0x4c0000, "")])
        self.assertEqual([(s["kind"], s["start_frame"], s["end_frame"], s["id"]) for s in raw1["spans"]],
                         [("data", 0x4c0000, 0x6c0000, first["uuid"]), ("free", 0x6c0000, 0x8bf000, ""),
                          ("data", 0x8bf000, 0x8c0000, second["uuid"])])

    def test_width(self):
        for columns, width in ("", 78), ("0", 78), ("x", 78), ("80", 78), ("12", 10), ("1", 10), ("200", 198):
            self.assertEqual([len(bar) for bar in self.bars(columns=columns)[0]], [width] * 2)

    def test_more_regions_than_cells(self):
        self.pool()
        for i in range(25):
            self.data(0x4c0000 + 0x1000 * i, 0x4c1000 + 0x1000 * i)
        bars, _ = self.bars(columns="12")
        self.assertEqual(bars[1:], ["D" * 10, "D" * 10, "D" * 5])

    def test_colour(self):
        """Only on a terminal, and not with --no-color or NO_COLOR."""
        self.pool()

        def on_terminal(*options, **environment):
            master, slave = os.openpty()
            text = b""
            try:
                with os.fdopen(slave, "wb") as terminal:
                    subprocess.run([os.environ["PMEMCTL_EXE"], "--bus=" + self.host.bus.address, "map", *options],
                                   check=True, stdin=subprocess.DEVNULL, stdout=terminal,
                                   env={**os.environ, "COLUMNS": "40", **environment})
                # Line by line, as the terminal hands it on; EIO when nobody has the other end open any more.
                try:
                    while piece := os.read(master, 65536):
                        text += piece
                except OSError as e:
                    self.assertEqual(e.errno, errno.EIO)
                return text.decode()
            finally:
                os.close(master)

        coloured = on_terminal()
        self.assertIn("\033[0;97;44mM", coloured)
        for plain in on_terminal("--no-color"), on_terminal(NO_COLOR="1"):
            self.assertNotIn("\033", plain)
            self.assertEqual(re.sub(r"\033\[[0-9;]*m", "", coloured), plain)
        self.assertIn("\033", on_terminal(NO_COLOR=""))


class Locate(Case):
    def test_addresses(self):
        pool = self.pool()
        data = self.data(0x4c0000, 0x5c0000, "--name=guest0")
        asked = [0x4c0005123, 0x480000000, data["extent_start"] << 12, 0x5c0000fff, 0x1000]
        document = self.json("locate", *map(hex, asked))
        rows = document["locations"]
        self.assertEqual([r["address"] for r in rows], asked)
        self.assertEqual([r["frame"] for r in rows], [a >> 12 for a in asked])
        self.assertEqual([(r["kind"], r["part"], r["offset"]) for r in rows],
                         [("data", "usable", 0x5123), ("mgmt", "superblock", 0), ("mgmt", "extent", 0), ("raw", "", 0x100000fff), ("none", "", 0)])
        self.assertEqual((rows[0]["uuid"], rows[0]["name"], rows[0]["pool"], rows[0]["path"], rows[0]["owner"]),
                         (data["uuid"], "guest0", pool["uuid"], data["path"], "root"))
        self.assertEqual((rows[1]["uuid"], rows[2]["extent_of"]), (pool["uuid"], data["path"]))
        self.assertEqual((rows[3]["raw"], rows[3]["node"], rows[4]["node"], rows[4]["owner_uid"]), ("raw1", 4, -1, 0xffffffff))
        self.assertEqual(self.json("locate", "--frames", *(hex(a >> 12) for a in asked))["locations"][2], rows[2])
        self.assertEqual(self.json("locate", str(asked[0]))["locations"], rows[:1])
        table = self.ok("locate", hex(asked[0])).out.splitlines()
        self.assertEqual((table[0], len(table)), ("Addresses: 1", 3))
        for cell in "0x4c0005123", "data", "usable", "0x5123", "guest0", "root":
            self.assertIn(cell, table[2].split())
        self.assertEqual(self.ok("locate", "--no-legend", "--columns=kind,name,offset", hex(asked[0]), "0").out,
                         "data  guest0  0x5123\nnone  -          0x0\n")

    def test_standard_input(self):
        """Any number of addresses, more than one call takes, in their order."""
        command = [os.environ["PMEMCTL_EXE"], "--bus=" + self.host.bus.address, "--json", "locate", "0x1", "-"]
        asked = [0x480000000 + 4096 * i for i in range(2500)]
        done = subprocess.run(command, input=" ".join(map(hex, asked[:10])) + "\n\n" + "\n".join(map(hex, asked[10:])), check=False,
                              capture_output=True, text=True, timeout=harness.PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([r["address"] for r in self.valid(done.stdout)["locations"]], [1, *asked])
        done = subprocess.run(command, input="0x1000\n2c0001000h\x1b[2J\n", capture_output=True, text=True, check=False, timeout=harness.PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("'2c0001000h?[2J' is not an address", self.valid(done.stderr)["error"]["message"])

    def test_refused(self):
        self.assertIn("is no frame number", self.daemon_refused("InvalidArgument", "locate", "0x10000000000000"))
        self.assertIn("entry 1", self.daemon_refused("InvalidArgument", "locate", "--frames", "0", hex(1 << 40)))

    def test_not_root(self):
        self.pool()
        rows = self.json("locate", "0x480000000", "0x4c0000000", "0", user=NOBODY)["locations"]
        self.assertEqual([(r["kind"], r["offset"], r["path"], r["raw"]) for r in rows], [("hidden", 0, "", "")] * 3)


class Lead(Case):
    regions = {"raw0": {"StartFrame": "0x100000", "Bytes": "1G", "Node": "0", "Alignment": "2M", "Lead": "2M"}}

    def test_lead_is_shown(self):
        self.json("setup-mgmt", "0x100200", "0x110000", "--name=pool0")
        [raw] = self.json("map")["map"]
        self.assertEqual([(s["kind"], s["start_frame"], s["end_frame"]) for s in raw["spans"]],
                         [("lead", 0x100000, 0x100200), ("mgmt", 0x100200, 0x110000), ("free", 0x110000, 0x140000)])
        plan = self.json("plan", "allocate-data", "16M")["plan"]
        self.assertEqual((plan["device_start_frame"], plan["overhead_bytes"]), (plan["start_frame"] - 512, 2 * MIB))


class Monitor(Case):
    def start(self, *options):
        process = subprocess.Popen([os.environ["PMEMCTL_EXE"], "--bus=" + self.host.bus.address, "monitor", *options],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        process.pending = b""

        def stop():
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        self.addCleanup(stop)
        return process

    def lines(self, process, wanted):
        """Lines until one for which wanted(line) holds, which is the last."""
        seen = []
        while True:
            line, newline, rest = process.pending.partition(b"\n")
            if newline:
                process.pending = rest
                seen.append(line.decode())
                if wanted(seen[-1]):
                    return seen
                continue
            self.assertTrue(select.select([process.stdout], [], [], harness.PATIENCE)[0], f"nothing after {seen}")
            read = process.stdout.read(65536)
            self.assertTrue(read, f"it ended after {seen}")
            process.pending += read

    def test_json(self):
        process = self.start("--json")
        self.lines(process, lambda line: self.valid(line)["event"] == "daemon-up")
        self.pool()
        region = self.data(0x4c0000, 0x4d0000)
        events = [self.valid(line) for line in
                  self.lines(process, lambda line: region["path"] in line and json.loads(line)["event"] == "added")]
        self.assertEqual(events[-1]["interface"], harness.REGION)
        self.assertEqual((events[-1]["values"]["Kind"], events[-1]["values"]["Bytes"]), ("data", 256 * MIB))
        job = self.json("release", region["uuid"], "--wait")["release"]["job"]
        ended = self.valid(self.lines(process, lambda line: json.loads(line)["event"] == "job-removed")[-1])
        self.assertEqual((ended["path"], ended["values"]),
                         (job, {"Region": region["path"], "Result": "done", "Message": ""}))
        self.host.daemon.kill()
        self.lines(process, lambda line: json.loads(line)["event"] == "daemon-down")
        self.host.daemon.start()
        self.lines(process, lambda line: json.loads(line)["event"] == "daemon-up")

    def test_text(self):
        process = self.start()
        self.assertEqual(self.lines(process, lambda line: True), ["daemon-up"])
        pool = self.pool()
        line = self.lines(process, lambda line: line.startswith("added " + pool["path"]))[-1]
        self.assertIn(" Kind=mgmt ", line)
        self.assertIn(f" Bytes={256 * MIB} ", line)
        process.send_signal(signal.SIGINT)
        self.assertEqual(harness.wait_exit(process), -signal.SIGINT)

    def test_without_daemon(self):
        self.host.daemon.stop()
        process = self.start()
        self.assertEqual(self.lines(process, lambda line: True), ["daemon-down"])
        self.host.daemon.start()
        self.lines(process, lambda line: line == "daemon-up")

    def test_bus_lost(self):
        process = self.start()
        self.lines(process, lambda line: line == "daemon-up")
        self.host.bus.stop()
        self.assertEqual(harness.wait_exit(process), 1)
        self.assertIn(b"was lost", process.stderr.read())


class Lost(Case):
    def seen_on_bus(self, member):
        """A busctl that watches; wait() returns when a call of the member was on the bus."""
        process = subprocess.Popen(["busctl", "--address=" + self.host.bus.address, "monitor", "--json=short",
                                    f"--match=type='method_call',member='{member}'"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)

        def stop():
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        self.addCleanup(stop)
        self.assertIn(b"Monitoring", process.stderr.readline())
        return lambda: self.assertTrue(process.stdout.read(1))

    def test_asked_again(self):
        """pmemd dies while a change is on its way to it: pmemctl waits for the next one and asks again, once."""
        self.pool()
        seen = self.seen_on_bus("AllocateData")
        os.kill(self.host.daemon.pid, signal.SIGSTOP)
        command = [os.environ["PMEMCTL_EXE"], "--bus=" + self.host.bus.address, "--json", "allocate-data", "16M"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            seen()
            self.host.daemon.kill()
            self.host.daemon.start(settled=False)
            out, err = process.communicate(timeout=harness.PATIENCE)
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertEqual([region["uuid"] for region in self.json("list", "--data")["data"]],
                         [self.valid(out)["region"]["uuid"]])


class Absent(Case):
    daemon_options = {"start": False}

    def test_no_daemon(self):
        for arguments in ("list",), ("map",), ("show",), ("show", "x"), ("release", "x"), ("allocate-data", "1G"), \
                         ("plan", "allocate-mgmt", "1G"), ("rename", "x", "y"), ("set-owner", "x", "root"):
            message = self.refused("org.pmemd1.Client.Unreachable", *arguments)
            self.assertEqual(message, f"pmemd is not running on the bus at {self.host.bus.address}: start it with "
                                      f"'pmemd --bus={self.host.bus.address}'")

    def test_no_bridge(self):
        for arguments in ("pool", "list"), ("pool", "enable", "x"), ("pool", "disable", "x"):
            message = self.refused("org.pmemd1.Client.Unreachable", *arguments)
            self.assertEqual(message, f"pmemd-libvirt is not running on the bus at {self.host.bus.address}: start it with "
                                      f"'pmemd-libvirt --bus={self.host.bus.address}'")

    def test_no_bus(self):
        for address in "unix:path=/nonexistent", "unix:", "tcp:x":
            result = harness.run_ctl(address, "list")
            self.assertEqual((result.status, result.out), (1, ""), result)
            self.assertIn("cannot connect to the bus at " + address, result.err)

    def test_bus_from_environment(self):
        """PMEMCTL_BUS is what --bus= is, which overrides it; "session" and "system" are the usual addresses."""
        address = self.host.bus.address
        for arguments, environment in (((), {"PMEMCTL_BUS": address}),
                                       (("--bus=" + address,), {"PMEMCTL_BUS": "unix:path=/nonexistent"}),
                                       (("--bus=session",), {"DBUS_SESSION_BUS_ADDRESS": address}),
                                       (("--bus=system",), {"DBUS_SYSTEM_BUS_ADDRESS": address}),
                                       ((), {"DBUS_SYSTEM_BUS_ADDRESS": address, "PMEMCTL_BUS": ""})):
            result = harness.run_ctl(None, *arguments, "list", environment=environment)
            self.assertEqual(result.status, 1)
            self.assertIn("pmemd is not running", result.err)

    def test_usage(self):
        """Bad usage is 2, known without a bus, and says where help is."""
        def usage(*arguments):
            result = harness.run_ctl("unix:path=/nonexistent", *arguments)
            self.assertEqual((result.status, result.out), (2, ""), result)
            self.assertRegex(result.err, r"^pmemctl: .+\nTry 'pmemctl help.*'\.\n$", result)

        usage()
        usage("frobnicate")
        usage("list", "extra")
        usage("list", "--frobnicate")
        usage("list", "--name=x")
        usage("list", "--format=yaml")
        usage("list", "--format=json", "--format=yaml")
        usage("map", "--format=xen-ndctl")
        usage("help", "frobnicate")
        usage("list-cmds", "extra")
        usage("list", "--columns=nothing")
        usage("list", "--columns=")
        usage("list", "--raw", "--columns=uuid")
        usage("list", "--no-legend", "--format=xen-ndctl")
        usage("list", "--host=other", "--bus=system")
        usage("locate")
        usage("pool")
        usage("pool", "show")
        usage("pool", "enable")
        usage("pool", "list", "x")
        usage("pool", "list", "--columns=nothing")
        usage("locate", "0x1000", "--columns=nothing")
        usage("locate", "0x1000", "--format=xen-ndctl")
        usage("locate", "--frames", "0xffffffffffffffff")
        for address in "", "0x", "2c0001000h", "-1", "1.5", "4K", "0x10000000000000000":
            usage("locate", "--", address)
        usage("plan")
        usage("plan", "list")
        usage("plan", "plan", "setup-mgmt", "1", "2")
        usage("plan", "setup-data", "1", "2", "3")
        usage("plan", "allocate-data", "1G", "--wait")
        usage("release")
        usage("release", "a", "b")
        usage("rename", "a")
        usage("set-owner", "a")
        usage("setup-mgmt", "1")
        usage("setup-mgmt", "1", "2", "3")
        usage("allocate-data", "1G", "--request-id=5")
        usage("allocate-data", "1G", "--node=-1")
        usage("allocate-data", "1G", "--node=4294967296")
        usage("allocate-data", "1G", "--alignment=0")
        usage("allocate-data", "1G", "--max-regions=5")
        usage("allocate-mgmt", "1G", "--max-regions=0")
        usage("allocate-mgmt", "1G", "--max-regions=4294967296")
        for frame in "", "0x", "x", "-1", "0x10000000000000000", "18446744073709551616", "1.5", "4K", "0x1 ":
            usage("setup-mgmt", "--", frame, "2")
            usage("setup-mgmt", "--", "1", frame)
            usage("plan", "setup-data", "--", "1", "2", frame, "4")
        for size in "", "G", "1.5G", "1GB", "-4G", "16384P", "18446744073709551616", "4 G", "4e9":
            usage("allocate-data", "--", size)
            usage("plan", "allocate-mgmt", "--", size)
        result = subprocess.run([os.environ["PMEMCTL_EXE"], "show", b"\xff\xfe"], capture_output=True, check=False)
        self.assertEqual(result.returncode, 2)

    def test_usage_as_json(self):
        for option in "--json", "--format=json":
            result = harness.run_ctl(None, "list", "extra", option)
            self.assertEqual((result.status, self.valid(result.err)["error"]["name"]), (2, "org.pmemd1.Client.Usage"))
        result = harness.run_ctl(None, "list", "--json", "--columns=name")
        self.assertIn("for tables", self.valid(result.err)["error"]["message"])
        result = harness.run_ctl(None, "list", "--json", "--format=table")
        self.assertIn("contradict", self.valid(result.err)["error"]["message"])

    def test_help(self):
        """Each verb is explained with all its options, without a bus."""
        def out(*arguments):
            result = harness.run_ctl("unix:path=/nonexistent", *arguments)
            self.assertEqual((result.status, result.err), (0, ""), result)
            self.assertLessEqual(max(map(len, result.out.splitlines())), 90)
            return result.out

        self.assertEqual(out("list-cmds").splitlines(), VERBS)
        for verb in VERBS:
            explained = set(re.findall(r"(?m)^  (?:-\w, )?(--[\w-]+=?)", out("help", verb)))
            self.assertEqual({option for option in out("list-cmds", verb).split() if option.startswith("--")}, explained)
        self.assertRegex(out("--version"), r"^pmemctl \d+\.\d+\.\d+\n$")
        overview = out("help")
        self.assertEqual(overview, out("--help"))
        self.assertEqual(overview, out("-h"))
        for verb in VERBS:
            self.assertRegex(overview, rf"(?m)^  {verb}( |$)")
            self.assertTrue(out("help", verb).startswith(f"pmemctl {verb}"))
            self.assertEqual(out("help", verb), out(verb, "--help") if verb != "plan" else out("plan", "--help"))
        for option in "--name=", "--node=", "--mgmt=", "--alignment=":
            self.assertIn(option, out("help", "allocate-data"))
        for option in "--profile=", "--name=", "--max-regions=", "--init-labels":
            self.assertIn(option, out("help", "setup-mgmt"))

    def test_bus(self):
        """What is no bus is said to be none, wherever it is from."""
        for options in ({"bus": "foo"}, {"bus": "/run/x"}, {"bus": "foo=bar"}, {"bus": ":"},
                        {"bus": None, "environment": {"PMEMCTL_BUS": "foo"}}):
            result = harness.run_ctl(options["bus"], "list", environment=options.get("environment"))
            self.assertEqual((result.status, result.out), (2, ""), result)
            self.assertIn("is no bus: give system, session or an address such as unix:path=/run/bus", result.err)
        self.assertIn("PMEMCTL_BUS", result.err)
        result = harness.run_ctl("unix:path=/nonexistent", "list")
        self.assertEqual(result.status, 1, result)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([os.environ["PMEMCTL_EXE"], "help"], stdout=full, stderr=subprocess.PIPE, text=True,
                                    check=False, env=dict(os.environ, LC_ALL="C.UTF-8"))
        self.assertEqual((result.returncode, result.stderr),
                         (1, "pmemctl: cannot write the output: No space left on device\n"))


class Paging(Case):
    """More regions than tests usually have, so that lists are more than a handful of entries."""

    def test_many(self):
        self.json("setup-mgmt", "0x480000", "0x490000", "--name=pool0", "--max-regions=1024")
        manager = self.host.manager()
        for i in range(300):
            manager.AllocateData(harness.dbus.UInt64(4 * MIB), {"name": f"d{i}"}, signature="ta{sv}")
        data = self.json("list", "--data")["data"]
        self.assertEqual(len({region["uuid"] for region in data}), 300)
        self.assertEqual(sorted(region["start_frame"] for region in data), [region["start_frame"] for region in data])


if __name__ == "__main__":
    harness.main()
