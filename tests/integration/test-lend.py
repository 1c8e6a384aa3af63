#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemctl attach, detach and leases against a real pmemd: commands that have a region, what the lists show, the JSON contract,
and libvirt's schema on the element that Attach gives."""

import json
import os
import re
import signal
import subprocess
import time
import unittest
import xml.etree.ElementTree as ET

import ctl_case
import harness

HERE = os.path.dirname(os.path.abspath(__file__))
RELAXNG = "/usr/share/libvirt/schemas/domain.rng"
NOBODY = 65534
MIB = 1 << 20
DOMAIN = "d5b0f9a6-53cb-4f5e-9c12-7a4bb37be3c0"

# What a command sees of its descriptor: it stores what it is told, and says what was there.
COMMAND = """
import mmap, os, sys
assert os.environ["PMEMD_FD"] == "3" and os.path.realpath("/proc/self/fd/3") == os.environ["PMEMD_PATH"]
memory = mmap.mmap(3, int(os.environ["PMEMD_BYTES"]), mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
print(bytes(memory[:8]).strip(bytes(1)).decode(), os.environ["PMEMD_REGION"])
memory[:8] = sys.argv[1].encode().ljust(8, bytes(1))
"""


class Lend(ctl_case.CtlCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.json("allocate-mgmt", "256M", "--name=pool0")
        self.region = self.json("allocate-data", "16M", "--name=vol0")["region"]

    def leases(self):
        return self.json("leases")["leases"]

    def run_command(self, owner, *command):
        return self.host.ctl("attach", "vol0", f"--owner={owner}", "--", *command)

    def start(self, *arguments):
        """pmemctl attach, which goes on; it has the region when this returns."""
        process = subprocess.Popen([os.environ["PMEMCTL_EXE"], "--bus=" + self.host.bus.address, "attach", "vol0", *arguments],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    # --- leases that stay ---

    def test_attach_and_detach(self):
        self.assertEqual(self.leases(), [])
        self.assertEqual(self.text("leases"), "Leases: none\n")
        self.assertEqual(self.text("attach", "vol0", "--owner=vm 1"), self.region["device_path"] + "\n")
        [lease] = self.leases()
        self.assertEqual({k: v for k, v in lease.items() if k != "since_usec"},
                         {"uuid": self.region["uuid"], "name": "vol0", "pool": self.region["pool"], "owner": "vm 1", "uid": os.getuid(),
                          "user": "root", "until": "detach", "confirmed": True, "guest_frame": -1})
        # Again is the same, and adds what it says.
        again = self.json("attach", "vol0", "--owner=vm 1", "--guest-frame=0x140000")["attach"]
        self.assertEqual((again["since_usec"], again["bytes"], again["device_path"], again["uuid"], again["owner"], again["confirmed"]),
                         (lease["since_usec"], 16 * MIB, self.region["device_path"], self.region["uuid"], "vm 1", True))
        self.assertEqual(self.leases()[0]["guest_frame"], 0x140000)
        # It shows wherever the region does.
        shown = self.json("show", "vol0")["region"]
        self.assertEqual((shown["lease_owner"], shown["lease_user"], shown["lease_since_usec"], shown["lease_guest_frame"]),
                         ("vm 1", "root", lease["since_usec"], 0x140000))
        self.assertRegex(self.text("show", "vol0"), r"(?m)^ *Lent to: vm 1$")
        self.assertEqual([r["lease_owner"] for r in self.json("list", "--data")["data"]], ["vm 1"])
        self.assertRegex(self.text("list", "--data", "--no-legend", "--columns=name,lease_owner"), r"^vol0 +vm 1\n$")
        self.assertRegex(self.text("leases"), r"LENT TO.*\n.*\bvol0 +vm 1 +root\b.* 0x140000\n$")
        self.assertEqual(self.text("leases", "--no-legend", "--columns=owner,until"), "vm 1  detach\n")
        # Refused to others; what holds it is named.
        message = self.refused("org.pmemd1.Error.Leased", "attach", "vol0", "--owner=vm2")
        self.assertRegex(message, r"vm 1.*root.*since \d{4}-")
        for arguments in ("release", "vol0"), ("set-owner", "vol0", "nobody"), ("detach", "vol0", "--owner=vm2"):
            self.assertIn("vm 1", self.refused("org.pmemd1.Error.Leased", *arguments))
        self.refused("org.pmemd1.Error.NotAuthorized", "attach", "vol0", "--owner=vm 1", user=NOBODY)
        self.refused("org.pmemd1.Error.NotAuthorized", "detach", "vol0", "--owner=vm 1", user=NOBODY)
        # Others see that it is lent, and not to whom.
        done = self.host.ctl("leases", "--json", user=NOBODY)
        ctl_case.valid(done.out)
        self.assertNotIn("vm 1", done.out)
        changed = self.json("detach", "vol0", "--owner=vm 1")["region"]
        self.assertEqual((changed["lease_owner"], changed["lease_guest_frame"]), ("", -1))
        self.json("detach", "vol0", "--owner=vm 1")  # as before
        self.assertEqual(self.leases(), [])
        self.json("release", "vol0", "--wait")

    def test_restart(self):
        self.text("attach", "vol0", "--owner=vm1")
        [before] = self.leases()
        self.host.daemon.kill()
        self.host.daemon.start()
        [after] = self.leases()
        self.assertEqual(after, {**before, "confirmed": False})
        self.assertRegex(self.text("leases", "--no-legend", "--columns=confirmed,name,owner"), "^no +vol0 +vm1\n$")
        self.assertTrue(self.json("attach", "vol0", "--owner=vm1")["attach"]["confirmed"])
        self.assertEqual(self.leases(), [before])

    def test_force(self):
        self.text("attach", "vol0", "--owner=vm1")
        self.refused("org.pmemd1.Error.Leased", "detach", "vol0", "--owner=vm2", "--force")
        self.json("detach", "vol0", "--force")
        self.assertEqual(self.leases(), [])

    # --- commands ---

    def test_command(self):
        for found, stored in ("", "first"), ("first", "second"):
            done = self.run_command("job", "python3", "-c", COMMAND, stored)
            self.assertEqual((done.status, done.out, done.err), (0, f"{found} {self.region['uuid']}\n", ""))
            self.assertEqual(self.leases(), [])

    def test_command_status(self):
        self.assertEqual(self.run_command("job", "sh", "-c", "exit 7").status, 7)
        self.assertEqual(self.run_command("job", "sh", "-c", "kill -9 $$").status, 128 + 9)
        self.assertEqual(self.leases(), [])
        done = self.run_command("job", "/nonexistent")
        self.assertEqual((done.status, done.out), (1, ""))
        self.assertRegex(done.err, "cannot run '/nonexistent': No such file")
        self.assertEqual(self.leases(), [])

    def test_command_of_a_holder(self):
        """Who had it before has it after."""
        self.text("attach", "vol0", "--owner=vm1")
        [before] = self.leases()
        self.assertEqual(self.run_command("vm1", "true").status, 0)
        self.assertEqual(self.leases(), [before])
        self.assertIn("vm1", self.run_command("vm2", "true").err)

    def test_command_hears_signals(self):
        process = self.start("--owner=job", "--", "sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done")
        self.assertEqual([(r["owner"], r["until"]) for r in self.leases()], [("job", "detach")])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(harness.wait_exit(process), 3)
        self.assertEqual(process.stdout.read(), "bye\n")
        self.assertEqual(self.leases(), [])

    def test_lease_of_a_killed_pmemctl(self):
        """Until it is detached the lease stays; until the connection ends it does not."""
        for options, left in ((), 1), (("--until-disconnect",), 0):
            process = self.start("--owner=job", *options, "--", "sh", "-c", "echo ready; exec cat <&3 >/dev/null")
            process.kill()
            harness.wait_exit(process)
            self.wait_for_leases(left)
            self.json("detach", "vol0", "--owner=job")

    def wait_for_leases(self, number):
        """The bus tells pmemd of the end of a connection; a client sees that in the list alone."""
        deadline = time.monotonic() + harness.PATIENCE
        while len(self.leases()) != number:
            self.assertLess(time.monotonic(), deadline)

    def test_command_outlives_pmemd(self):
        process = self.start("--owner=job", "--until-disconnect", "--", "sh", "-c",
                             "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done")
        self.host.daemon.kill()
        self.host.daemon.start()
        self.assertEqual([(r["owner"], r["confirmed"]) for r in self.leases()], [("job", False)])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(harness.wait_exit(process), 0, process.stderr.read())
        self.assertEqual(self.leases(), [])

    # --- guests ---

    def test_elements(self):
        """Attach's element is the one that domain-xml prints, and libvirt's schema takes it."""
        plain = self.text("domain-xml", "vol0")
        self.assertEqual(self.leases(), [])
        lent = self.json("domain-xml", "vol0", "--attach", "--owner=" + DOMAIN)["domain_xml"]
        self.assertEqual(lent["xml"], plain)
        self.assertEqual([r["owner"] for r in self.leases()], [DOMAIN])
        self.assertEqual(self.json("attach", "vol0", "--owner=" + DOMAIN)["attach"]["xml"], plain)
        self.assert_valid(plain)
        other = self.text("domain-xml", "vol0", "--attach", "--owner=" + DOMAIN, "--node=1", "--label-size=0")
        self.assertEqual(ET.fromstring(other).findtext("target/node"), "1")
        self.assert_valid(other)
        self.refused("org.pmemd1.Error.Leased", "domain-xml", "vol0", "--attach", "--owner=other")
        self.refused("org.pmemd1.Error.Leased", "qemu-args", "vol0", "--attach", "--owner=other")
        args = self.json("qemu-args", "vol0", "--attach", "--owner=" + DOMAIN, "--guest-frame=0x100000")["qemu_args"]
        self.assertEqual(args["args"], self.json("qemu-args", "vol0")["qemu_args"]["args"])
        self.assertEqual(self.leases()[0]["guest_frame"], 0x100000)

    def assert_valid(self, element):
        with open(os.path.join(HERE, "..", "..", "docs", "man", "pmemctl.1"), encoding="utf-8") as page:
            examples = re.findall(r"^\.EX\n(.*?)^\.EE$", page.read(), re.M | re.S)
        [domain] = [example for example in examples if example.startswith("<domain ")]
        domain = domain.replace(r"\-", "-").replace(r"\(aq", "'")
        done = subprocess.run(["xmllint", "--noout", "--relaxng", RELAXNG, "-"],
                              input=re.sub(r"<memory model.*</memory>\n", lambda _: element, domain, flags=re.S),
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_refused_elements_lend_nothing(self):
        """What is no guest's is not lent on the way."""
        self.json("allocate-data", "5M", "--name=odd")
        self.refused("org.pmemd1.Error.InvalidArgument", "domain-xml", "odd", "--attach", "--owner=vm1")
        self.assertEqual(self.leases(), [])

    def test_degraded(self):
        """A region with bad frames is lent to a guest when that is asked for, and only then."""
        raw = next(r for r in self.json("list", "--raw")["raw"]
                   if r["start_frame"] <= self.region["start_frame"] < r["end_frame"])
        self.host.daemon.stop()
        with open(os.path.join(self.host.daemon.backend_folder, "health.conf"), "w", encoding="utf-8") as f:
            f.write(f"[{raw['id']}]\nBadFrames={self.region['start_frame'] + 1}\n")
        self.host.daemon.start()
        for verb in "domain-xml", "qemu-args":
            with self.subTest(verb):
                self.refused("org.pmemd1.Error.Degraded", verb, "vol0")
                self.refused("org.pmemd1.Error.Degraded", verb, "vol0", "--attach", "--owner=vm1")
                self.assertEqual(self.leases(), [])
                self.assertIn(self.region["device_path"], self.text(verb, "vol0", "--attach", "--owner=vm1", "--allow-degraded"))
                self.assertEqual([r["owner"] for r in self.leases()], ["vm1"])
                self.text("detach", "vol0", "--owner=vm1")

    # --- the command line ---

    def test_usage(self):
        for arguments in ("attach", "vol0"), ("attach", "vol0", "--owner="), ("attach", "vol0", "true", "--owner=a"), ("attach",), \
                         ("attach", "vol0", "--owner=a", "--until-disconnect"), ("attach", "vol0", "--owner=a", "--guest-frame=x"), \
                         ("detach", "vol0"), ("leases", "vol0"), ("leases", "--columns=nothing"), ("leases", "--columns="), \
                         ("domain-xml", "vol0", "--attach"), ("domain-xml", "vol0", "--owner=a"), \
                         ("qemu-args", "vol0", "--allow-degraded"), ("attach", "vol0", "--owner=a", "--format=xen-ndctl"), \
                         ("attach", "vol0", "--owner=a", "--"), ("attach", "vol0", "--owner=a", "--json", "--", "true"):
            with self.subTest(arguments):
                result = self.host.ctl(*arguments)
                self.assertEqual((result.status, result.out), (2, ""), result)
        self.assertEqual(self.leases(), [])
        self.refused("org.pmemd1.Error.InvalidArgument", "attach", "vol0", "--owner= a")
        self.refused("org.pmemd1.Error.NoSuchRegion", "attach", "nothing", "--owner=a")
        self.refused("org.pmemd1.Error.InvalidArgument", "detach", "vol0", "--owner=a")
        self.refused("org.pmemd1.Error.NoSuchRegion", "attach", "pool0", "--owner=a")


if __name__ == "__main__":
    harness.main()
