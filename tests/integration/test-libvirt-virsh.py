#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What virsh's users see of a pool: a real libvirtd with its storage driver, in mounts of its own, over pmemd-libvirt and a real pmemd of the
file backend. Volumes made, listed, deleted; refusals and their texts; pmemd stopped; pmemd-libvirt killed."""

import os
import re
import signal
import subprocess
import sys
import time
import unittest

import harness

MIB = 1 << 20
QUICK = 5  # seconds that virsh may take for a list, whatever pmemd does
REGIONS = {"raw0": {"StartFrame": "0x480000", "Bytes": "1G", "Node": "0", "Alignment": "4K", "Lead": "0"}}


def own_mounts():
    """Starts the tests again where the folders of libvirt are their own."""
    if not os.environ.get("PMEMD_TEST_OWN_MOUNTS"):
        os.environ["PMEMD_TEST_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


class Pool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = harness.Host(REGIONS).__enter__()
        cls.addClassCleanup(cls.host.__exit__)
        cls.processes = {}
        cls.addClassCleanup(cls.end)
        for target in ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run"):
            os.makedirs(target, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", target], check=True)
        os.makedirs("/run/libvirt")
        os.makedirs("/run/lock")
        with open("/etc/libvirt/libvirtd.conf", "w", encoding="ascii") as f:
            f.write('auth_unix_rw = "none"\nauth_unix_ro = "none"\n')
        cls.run_program("libvirtd", "libvirtd")
        cls.wait(lambda: cls.virsh("pool-list")[0] == 0, "libvirtd")
        assert cls.host.ctl("allocate-mgmt", "32M", "--name=pool0", "--profile=none").status == 0
        cls.start_service()
        cls.wait(lambda: cls.enable() == 0, "pmemd-libvirt")
        cls.wait(cls.active, "the pool in libvirt")
        cls.empty = cls.numbers()

    def setUp(self):
        """What was before is erased, and both know."""
        self.wait(lambda: self.virsh("pool-refresh", "pool0")[0] == 0 and self.numbers() == self.empty, "an empty pool")

    @classmethod
    def run_program(cls, name, *command):
        with open(os.path.join(cls.host.folder, name + ".log"), "ab") as log:
            cls.processes[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @classmethod
    def start_service(cls):
        folder = cls.host.folder
        cls.run_program("pmemd-libvirt", os.environ["PMEMD_LIBVIRT_EXE"], "--bus=" + cls.host.bus.address,
                        "--run-dir=/run/pmemd-libvirt", "--state-dir=" + os.path.join(folder, "lv-state"),
                        "--device-dir=" + os.path.join(folder, "lv-dev"), "--qemu-uri=test:///default")

    @classmethod
    def enable(cls):
        return cls.host.ctl("pool", "enable", "pool0").status

    @classmethod
    def end(cls):
        for name in ("pmemd-libvirt", "libvirtd"):
            process = cls.processes.get(name)
            if process and process.poll() is None:
                process.terminate()
                harness.wait_exit(process)

    @classmethod
    def wait(cls, condition, what):
        deadline = time.monotonic() + harness.PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                logs = ""
                for name in cls.processes:
                    with open(os.path.join(cls.host.folder, name + ".log"), encoding="utf-8", errors="replace") as f:
                        logs += f"--- {name}\n{f.read()}"
                raise AssertionError(f"never came: {what}\n{logs}")
            time.sleep(0.05)

    @classmethod
    def virsh(cls, *arguments):
        done = subprocess.run(["virsh", "-q", "-c", "storage:///system", *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=harness.PATIENCE, check=False,
                              env={**os.environ, "LC_ALL": "C"})
        return done.returncode, done.stdout, done.stderr

    @classmethod
    def active(cls):
        return bool(re.search(r"pool0 +active", cls.virsh("pool-list", "--all")[1]))

    def fine(self, *arguments):
        status, out, err = self.virsh(*arguments)
        self.assertEqual(status, 0, err)
        return out

    def refused(self, text, *arguments):
        status, _, err = self.virsh(*arguments)
        self.assertNotEqual(status, 0)
        self.assertIn(text, err)

    def volumes(self):
        return sorted(line.split()[0] for line in self.fine("vol-list", "pool0").splitlines() if line.strip())

    def regions(self):
        rows = self.host.ctl("list", "--data", "--json").json()["data"]
        return sorted(row["name"] for row in rows if row["state"] == "ok")

    @classmethod
    def numbers(cls):
        info = cls.virsh("pool-info", "pool0", "--bytes")[1]
        return {key: int(value) for key, value in re.findall(r"(\w+): +(\d+)", info)}

    def tearDown(self):
        for name in self.volumes():
            self.virsh("vol-delete", name, "--pool", "pool0")

    def test_volume(self):
        before = self.numbers()
        self.assertEqual(before["Capacity"], 1 << 30)
        self.fine("vol-create-as", "pool0", "disk", str(10 * MIB + 1), "--format", "raw")
        self.assertEqual(self.volumes(), ["disk"])
        self.assertEqual(self.regions(), ["disk"])
        self.assertIn("/run/pmemd/pools/pool0/disk", self.fine("vol-path", "disk", "--pool", "pool0"))
        self.wait(lambda: self.fine("pool-refresh", "pool0") == "" and self.numbers() != before, "other numbers")
        info = self.fine("vol-info", "disk", "--pool", "pool0", "--bytes")
        self.assertEqual(re.findall(r"(\w+): +(\d+)", info),
                         [("Capacity", str(10 * MIB + 4096)), ("Allocation", str(10 * MIB + 4096))])
        after = self.numbers()
        self.assertEqual(after["Available"], before["Available"] - 10 * MIB - 4096)
        self.assertEqual(after["Allocation"], before["Allocation"] + 10 * MIB + 4096)
        self.fine("vol-delete", "disk", "--pool", "pool0")
        self.assertEqual(self.volumes(), [])
        self.assertEqual(self.regions(), [])

    def test_refusals(self):
        self.fine("vol-create-as", "pool0", "disk", "4MiB")
        self.refused("exists already", "vol-create-as", "pool0", "disk", "4MiB")
        self.refused("No space left on device", "vol-create-as", "pool0", "big", "64GiB")
        self.assertIn("bytes", self.host.ctl("pool", "list").out)
        self.refused("Invalid argument", "vol-create-as", "pool0", "a b", "4MiB")
        # As qemu-img says it, which libvirt runs.
        self.refused("Operation not supported", "vol-create-as", "pool0", "image", "4MiB", "--format", "qcow2")
        self.refused("Operation not supported", "vol-resize", "disk", "8MiB", "--pool", "pool0")
        self.refused("Operation not supported", "vol-wipe", "disk", "--pool", "pool0")
        self.refused("not supported", "vol-upload", "disk", "/etc/passwd", "--pool", "pool0")
        self.refused("Operation not supported", "vol-download", "disk", "/dev/null", "--pool", "pool0")
        self.refused("Operation not supported", "vol-clone", "disk", "copy", "--pool", "pool0")
        self.assertEqual(self.volumes(), ["disk"])
        self.assertEqual(self.regions(), ["disk"])
        self.assertEqual(self.host.ctl("attach", "pool0/disk", "--owner=guest1").status, 0)
        try:
            self.refused("Device or resource busy", "vol-delete", "disk", "--pool", "pool0")
        finally:
            self.assertEqual(self.host.ctl("detach", "pool0/disk", "--owner=guest1").status, 0)

    def test_stopped(self):
        """pmemd is stopped: lists are answered in time."""
        self.fine("vol-create-as", "pool0", "disk", "4MiB")
        os.kill(self.host.daemon.pid, signal.SIGSTOP)
        try:
            self.refused("Connection timed out", "vol-create-as", "pool0", "late", "4MiB")
            for command in (("pool-list", "--all"), ("vol-list", "pool0"), ("pool-info", "pool0"), ("pool-refresh", "pool0")):
                began = time.monotonic()
                self.fine(*command)
                self.assertLess(time.monotonic() - began, QUICK)
            self.refused("Input/output error", "vol-create-as", "pool0", "later", "4MiB")
            self.assertEqual(self.volumes(), ["disk"])
        finally:
            os.kill(self.host.daemon.pid, signal.SIGCONT)
        self.wait(lambda: self.virsh("vol-create-as", "pool0", "now", "4MiB")[0] == 0, "pmemd's return")
        self.wait(lambda: self.regions() == ["disk", "now"], "the end of what came too late")
        self.assertEqual(self.volumes(), ["disk", "now"])

    def test_killed(self):
        """pmemd-libvirt is killed: the pool comes back by itself."""
        self.fine("vol-create-as", "pool0", "disk", "4MiB")
        self.processes["pmemd-libvirt"].kill()
        harness.wait_exit(self.processes["pmemd-libvirt"])
        self.virsh("pool-refresh", "pool0")
        self.start_service()
        self.wait(lambda: self.active() and self.virsh("vol-list", "pool0")[1].split()[:1] == ["disk"], "the pool")

    def test_libvirt_restarts(self):
        self.fine("vol-create-as", "pool0", "disk", "4MiB")
        self.processes["libvirtd"].terminate()
        harness.wait_exit(self.processes["libvirtd"])
        self.run_program("libvirtd", "libvirtd")
        self.wait(lambda: self.active() and self.volumes() == ["disk"], "the pool")


if __name__ == "__main__":
    own_mounts()
    harness.main()
