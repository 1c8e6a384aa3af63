#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemctl adopt, forget and journal on really damaged images, with the daemon and without it."""

import json
import os
import subprocess
import unittest

import harness
import jsonschema

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "..", "..", "proto", "pmemctl.schema.json"), encoding="utf-8") as f:
    VALIDATOR = jsonschema.Draft7Validator(json.load(f))
ERRORS = "org.pmemd1.Error."


class Repair(unittest.TestCase):
    def setUp(self):
        os.environ["PMEMD_LIBEXECDIR"] = os.path.dirname(os.environ["PMEMD_EXE"])
        self.host = harness.Host(harness.TWO_NODES).__enter__()
        self.addCleanup(lambda: self.host.__exit__())
        self.run_ok("setup-mgmt", "0x480000", "0x490000", "--name=pool0")
        self.run_ok("allocate-data", "4M", "--name=first")
        self.image = self.document("show", "pool0")["region"]["device_path"]

    def run_ok(self, *arguments):
        result = self.host.ctl(*arguments)
        self.assertEqual((result.status, result.err), (0, ""), result)
        return result.out

    def document(self, *arguments, status=0):
        result = self.host.ctl("--json", *arguments)
        self.assertEqual(result.status, status, result)
        document = json.loads(result.out if result.out else result.err)
        VALIDATOR.validate(document)
        return document

    def refused(self, error, *arguments):
        body = self.document(*arguments, status=1)["error"]
        self.assertEqual(body["name"], ERRORS + error, body)
        return body["message"]

    def restart(self, between=lambda: None):
        self.host.daemon.stop()
        between()
        self.host.daemon.start()

    def damage(self):
        """Makes two regions behind a mark, and then damages what was journalled at the mark."""
        at = os.path.getsize(self.image)
        before = self.document("journal", "show", self.image)["journal"]
        self.run_ok("allocate-data", "4M", "--name=later")
        self.run_ok("allocate-data", "4M", "--name=last")
        mark = before["next_seq"]

        def flip():
            with open(self.image, "r+b") as file:
                data = file.read(min(at, 16 << 20))
                # The record's own sequence number, behind a commit word that is not 0.
                found = [o for o in range(0, len(data) - 16, 64)
                         if data[o + 8:o + 16] == mark.to_bytes(8, "little") and data[o:o + 8] != bytes(8)]
                self.assertEqual(len(found), 1)
                file.seek(found[0] + 40)
                file.write(bytes([data[found[0] + 40] ^ 0x10]))
        self.restart(flip)
        self.assertEqual(self.document("show", "pool0")["region"]["state"], "corrupt")

    def test_journal(self):
        """Looked at while pmemd runs, by its pool; and without it, by its path."""
        for key in ("pool0", self.image):
            found = self.document("journal", "check", key)["journal"]
            self.assertEqual((found["verdict"], found["data_regions"]), ("whole", 1), found)
            self.assertNotIn("records", found)
        self.assertIn("whole", self.run_ok("journal", "check", "pool0"))
        records = self.document("journal", "show", "pool0")["journal"]["records"]
        self.assertIn("INTENT_CREATE", [r["type"] for r in records])
        self.assertTrue(any("name first" in r["text"] for r in records), records)
        self.host.daemon.stop()
        self.assertIn("name first", self.run_ok("journal", "show", self.image))
        report = self.host.ctl("journal", "check", self.host.daemon.backend_folder + "/regions.conf")
        self.assertEqual(report.status, 1, report)
        fifo = os.path.join(self.host.folder, "fifo")
        os.mkfifo(fifo)
        for path in fifo, self.host.folder:
            looked = subprocess.run([os.environ["PMEMD_LIBEXECDIR"] + "/pmemd-journal", "check", path], timeout=harness.PATIENCE,
                                    stderr=subprocess.PIPE, check=False)
            self.assertEqual(looked.returncode, 2, looked)
            self.assertIn(b"neither a file nor", looked.stderr)
        self.assertEqual(self.host.ctl("journal", "check", "/nowhere/x").status, 1)
        self.assertEqual(self.host.ctl("journal", "mend", "pool0").status, 2)
        self.assertEqual(self.host.ctl("journal", "check", "pool0", "--apply").status, 2)
        self.host.daemon.start()

    def test_repair(self):
        whole = self.document("journal", "repair", "pool0", "--apply")["repair"]
        self.assertEqual((whole["needed"], whole["applied"]), (False, False), whole)
        self.damage()
        self.assertIn("pmemctl journal repair", self.refused("Corrupt", "allocate-data", "4M"))
        self.assertEqual(self.document("journal", "check", "pool0", status=1)["journal"]["verdict"], "corrupt")
        look = self.document("journal", "repair", "pool0")["repair"]
        self.assertEqual((look["needed"], look["applied"], look["kept"], look["orphans"]), (True, False, 1, 2), look)
        self.assertEqual(self.document("show", "pool0")["region"]["state"], "corrupt")
        done = self.document("journal", "repair", "pool0", "--apply")["repair"]
        self.assertEqual((done["applied"], done["kept"], done["orphans"]), (True, 1, 2), done)
        # What was kept as evidence still says what was wrong, without pmemd.
        self.assertEqual(self.document("journal", "check", done["evidence"], status=1)["journal"]["verdict"], "corrupt")
        self.restart()
        self.assertEqual(self.document("show", "pool0")["region"]["state"], "ok")
        self.assertEqual(self.document("show", "pool0/first")["region"]["state"], "ok")
        self.assertEqual(self.document("journal", "check", "pool0")["journal"]["verdict"], "whole")

        keep, drop = [d["name"] for d in self.document("list", "--foreign")["foreign"]]
        adopted = self.document("adopt", keep, "--owner=nobody", "--name=later")["region"]
        self.assertEqual((adopted["state"], adopted["name"], adopted["owner"]), ("ok", "later", "nobody"), adopted)
        self.assertIn("--destroy", self.refused("InvalidArgument", "forget", drop))
        self.assertIn("/org/pmemd1/job/", self.document("forget", drop, "--destroy")["forget"]["job"])
        self.restart()
        self.assertEqual(self.document("show", "pool0/later")["region"]["state"], "ok")
        self.assertEqual(self.document("list", "--foreign")["foreign"], [])

    def test_forget(self):
        region = self.document("show", "pool0/first")["region"]
        self.assertIn("is there", self.refused("Busy", "forget", "pool0/first"))
        folder, name = os.path.split(region["device_path"])
        self.restart(lambda: [os.unlink(os.path.join(folder, n)) for n in (name, name[len("data-"):-len("img")] + "dev")])
        self.assertEqual(self.document("show", "pool0/first")["region"]["state"], "missing")
        self.assertIn("pmemctl forget", self.refused("Degraded", "release", "pool0/first"))
        self.assertEqual(self.run_ok("forget", "pool0/first"), "Forgot pool0/first\n")
        self.restart()
        self.assertEqual(self.document("list", "--data")["data"], [])
        self.refused("NoSuchRegion", "forget", "pool0/first")


if __name__ == "__main__":
    harness.main()
