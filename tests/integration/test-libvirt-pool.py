#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Which pools libvirt has: pmemctl pool and org.pmemd1.Libvirt against a real pmemd and a real pmemd-libvirt, whose libvirt is the test
driver of libvirt itself, on a bus with the rules of the system bus. What real libvirt does with the pools is tests/vm/cases/libvirt-*."""

import errno
import importlib.machinery
import importlib.util
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
import unittest

import harness
import jsonschema
import system_bus
import wire

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
NOBODY = 65534
TEST_DRIVER = "test:///default"


def load(name):
    """A module whose file's name is none of Python's."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), os.path.join(HERE, name + ".py"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


polkit = load("test-polkit")

with open(os.path.join(ROOT, "proto", "pmemctl.schema.json"), encoding="utf-8") as schema:
    VALIDATOR = jsonschema.Draft7Validator(json.load(schema))


def bus_config():
    """With the rules of both services, and polkit's."""
    rules = polkit.POLKIT_RULES
    for name in "org.pmemd1.conf", "org.pmemd1.Libvirt.conf":
        with open(os.path.join(ROOT, "policy", name), encoding="utf-8") as f:
            rules += re.search(r"<busconfig>(.*)</busconfig>", f.read(), re.S).group(1)
    return system_bus.CONFIG.replace("RULES", rules.replace('group="pmemd"', 'group="daemon"'))


class Case(unittest.TestCase):
    """A host with a pool, pool0, and pmemd-libvirt."""

    def setUp(self):
        self.host = harness.Host(bus_config=bus_config()).__enter__()
        self.addCleanup(self.host.__exit__)
        self.folder = self.host.folder
        self.pools = os.path.join(self.folder, "lv-pools")
        self.process = None
        self.addCleanup(self.stop)
        self.ctl("allocate-mgmt", "32M", "--name=pool0")
        self.start()

    def start(self, *options, **environment):
        path = os.path.join(self.folder, "lv-notify")
        if os.path.exists(path):
            os.unlink(path)
        names = {"run-dir": "lv-run", "pools-dir": "lv-pools", "state-dir": "lv-state", "device-dir": "lv-dev"}
        command = [os.environ["PMEMD_LIBVIRT_EXE"], "--bus=" + self.host.bus.address, "--qemu-uri=" + TEST_DRIVER,
                   "--storage-uri=" + TEST_DRIVER, *options]
        command += [f"--{name}={os.path.join(self.folder, folder)}" for name, folder in names.items()]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(os.path.join(self.folder, "lv.log"), "ab") as log:
            notify.bind(path)
            self.process = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": path, **environment}, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
            while select.select([notify], [], [], harness.PATIENCE)[0]:
                if b"READY=1" in notify.recv(65536).split(b"\n"):
                    return
        self.fail("pmemd-libvirt is not ready")

    def stop(self, number=signal.SIGTERM):
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(number)
        return harness.wait_exit(process)

    def ctl(self, *arguments, status=0, user=None):
        done = self.host.ctl(*arguments, user=user)
        self.assertEqual(done.status, status, done)
        return done.err if status else done.out

    def row(self, name="pool0"):
        document = json.loads(self.ctl("pool", "list", "--json"))
        VALIDATOR.validate(document)
        return next((row for row in document["pools"] if row["name"] == name), None)

    def until(self, condition):
        end = time.monotonic() + harness.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, "it does not come about")
            time.sleep(0.02)

    def assert_active(self, name="pool0"):
        directory = os.path.join(self.pools, name)
        self.until(lambda: (self.row(name) or {}).get("libvirt") == "active")
        row = self.row(name)
        self.assertEqual((row["enabled"], row["mounted"], row["directory"], row["problem"]), (True, True, directory, ""))
        self.assertTrue(os.path.ismount(directory))


class Pools(Case):
    def test_life(self):
        self.until(lambda: self.row() is not None)
        row = self.row()
        self.assertEqual((row["enabled"], row["mounted"], row["directory"], row["libvirt"], row["problem"]),
                         (False, False, "", "absent", ""))
        document = json.loads(self.ctl("pool", "enable", "pool0", "--json"))
        VALIDATOR.validate(document)
        self.assertEqual([(p["name"], p["enabled"], p["libvirt"]) for p in document["pools"]], [("pool0", True, "active")])
        self.assert_active()
        self.ctl("pool", "enable", row["uuid"].upper())
        self.ctl("rename", "pool0", "other")
        self.assert_active("other")
        self.assertFalse(os.path.ismount(os.path.join(self.pools, "pool0")))
        self.assertRegex(self.ctl("pool", "list", "--no-legend", "--columns=name,enabled,libvirt"), r"^other +yes +active\n$")
        self.ctl("pool", "disable", "other")
        self.ctl("pool", "disable", "other")
        row = self.row("other")
        self.assertEqual((row["enabled"], row["mounted"], row["directory"], row["libvirt"]), (False, False, "", "absent"))
        self.assertFalse(os.path.exists(os.path.join(self.pools, "other")))
        self.assertEqual(self.stop(), 0)

    def test_just_made(self):
        """A pool is enabled as soon as pmemd has answered for it, whenever its signal comes."""
        for number in range(5):
            self.ctl("allocate-mgmt", "8M", f"--name=new{number}")
            self.ctl("pool", "enable", f"new{number}")
        for number in range(5):
            self.assert_active(f"new{number}")

    def test_unknown(self):
        for name in "nothing", "x" * 4000, "a/b", "":
            for verb in "enable", "disable":
                message = self.ctl("pool", verb, name, status=1)
                self.assertIn("there is no pool", message)
                self.assertIn("'pmemctl pool list' shows the pools", message)
                self.assertLess(len(message), 250)

    def test_unknown_without_pmemd(self):
        """What pmemd would have to say is not guessed: it is not there."""
        self.host.daemon.kill()
        self.until(lambda: "pmemd is not running" in self.ctl("pool", "enable", "nothing", status=1))
        message = self.ctl("pool", "enable", "nothing", status=1)
        self.assertNotIn("there is no pool", message)
        self.assertIn("pool 'nothing' is not known here", message)
        self.host.daemon.start()
        self.until(lambda: "there is no pool" in self.ctl("pool", "enable", "nothing", status=1))

    def test_kept(self):
        """What is enabled is so after a restart, and after a crash."""
        self.ctl("pool", "enable", "pool0")
        for number, status in ((signal.SIGTERM, 0), (signal.SIGKILL, -9)):
            self.assertEqual(self.stop(number), status)
            self.start()
            self.assert_active()

    def test_session_bus(self):
        self.assertEqual(self.stop(), 0)
        self.start("--bus=session", DBUS_SESSION_BUS_ADDRESS=self.host.bus.address)
        self.ctl("pool", "enable", "pool0")
        self.assert_active()

    def test_gone(self):
        """A pool that is released, while it is enabled, says so; it can be disabled."""
        self.ctl("pool", "enable", "pool0")
        self.ctl("release", "pool0")
        self.until(lambda: not self.row()["mounted"])
        self.until(lambda: self.row()["libvirt"] == "inactive")
        self.assertIn("pmemd has no such pool any more: 'pmemctl pool disable'", self.row()["problem"])
        self.assertIn("there is no pool", self.ctl("pool", "enable", "pool0", status=1))
        self.ctl("pool", "disable", "pool0")
        self.until(lambda: self.row() is None)

    def test_refused(self):
        """The last refusal of a volume is the pool's problem, until one is made."""
        self.ctl("pool", "enable", "pool0")
        self.assert_active()
        path = os.path.join(self.pools, "pool0", "disk")
        for size, problem in ((1 << 50, "bytes"), (1 << 20, "")):
            with open(path, "xb", buffering=0) as file:
                try:
                    file.truncate(size)
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)
                    self.assertNotEqual(problem, "")
            self.assertIn(problem, self.row()["problem"])
            self.assertEqual(self.row()["problem"] == "", problem == "")
        with self.assertRaises(OSError) as caught:
            os.close(os.open(os.path.join(self.pools, "pool0", "a b"), os.O_RDWR | os.O_CREAT | os.O_EXCL))
        self.assertEqual(caught.exception.errno, errno.EINVAL)
        self.until(lambda: "'a b' is no name of a volume" in self.row()["problem"])

    def test_without_libvirt(self):
        self.stop()
        self.start("--no-libvirt")
        self.ctl("pool", "enable", "pool0")
        row = self.row()
        self.assertEqual((row["mounted"], row["libvirt"]), (True, "unreachable"))
        self.assertIn("--no-libvirt", row["problem"])
        self.ctl("pool", "disable", "pool0")
        self.until(lambda: not self.row()["mounted"])


class Authorization(Case):
    def setUp(self):
        super().setUp()
        self.polkit = polkit.Polkit(self.host.bus.address)
        self.addCleanup(lambda: self.polkit.stop())  # of the one that is there by then

    def test_others(self):
        """Everybody lists; only who polkit lets changes anything, and root without asking it."""
        for verb in "enable", "disable":
            message = self.ctl("pool", verb, "pool0", "--no-ask-password", status=1, user=NOBODY)
            self.assertIn("org.pmemd1.manage-libvirt", message)
        self.assertIn("pool0", self.ctl("pool", "list", user=NOBODY))
        self.assertFalse(self.row()["enabled"])
        self.polkit.calls()
        self.ctl("pool", "enable", "pool0")
        self.assertEqual(self.polkit.calls(), [])

        self.polkit.allow("manage-libvirt")
        self.ctl("pool", "disable", "pool0", user=NOBODY)
        _, action, details, _, _ = self.polkit.wait_asked()
        self.assertEqual((action, details), ("org.pmemd1.manage-libvirt", {"verb": "DisablePool", "subject": "pool0"}))
        self.assertFalse(self.row()["enabled"])

    def test_without_polkit(self):
        self.polkit.stop()
        self.polkit.stop = lambda: None
        self.assertIn("polkit did not say", self.ctl("pool", "enable", "pool0", status=1, user=NOBODY))
        self.ctl("pool", "enable", "pool0")

    def test_flood(self):
        """Who has polkit asked and nobody answer keeps out himself, and no one else."""
        arguments = ("org.pmemd1.Libvirt", "/org/pmemd1/Libvirt", "org.pmemd1.Libvirt1", "EnablePool", "sa{sv}", "pool0", [])
        stranger = system_bus.connect_as(self.host.bus.address, NOBODY)
        self.addCleanup(stranger.close)
        self.polkit.hang()
        serials = [stranger.send(*arguments) for _ in range(100)]
        for serial in serials[4:]:
            with self.assertRaises(wire.Error) as caught:
                stranger.wait(serial)
            self.assertEqual(caught.exception.name, "org.pmemd1.Error.LimitsExceeded", caught.exception)
        self.ctl("pool", "enable", "pool0")
        other = system_bus.connect_as(self.host.bus.address, 1)
        self.addCleanup(other.close)
        serial = other.send(*arguments)
        self.polkit.hang(False)
        self.polkit.answer()
        for connection, number in [(stranger, first) for first in serials[:4]] + [(other, serial)]:
            with self.assertRaises(wire.Error) as caught:
                connection.wait(number)
            self.assertEqual(caught.exception.name, "org.pmemd1.Error.NotAuthorized", caught.exception)

    def test_option(self):
        """There are none yet, and an unknown one is refused before anything is asked."""
        done = subprocess.run(
            ["busctl", "--address=" + self.host.bus.address, "call", "org.pmemd1.Libvirt", "/org/pmemd1/Libvirt", "org.pmemd1.Libvirt1",
             "EnablePool", "sa{sv}", "pool0", "1", "force", "b", "true"], capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("there is no option 'force'", done.stderr)
        self.assertFalse(self.row()["enabled"])

    def test_introspection(self):
        """The object says what the document of the interface says."""
        done = subprocess.run(
            ["busctl", "--address=" + self.host.bus.address, "introspect", "--xml-interface", "org.pmemd1.Libvirt", "/org/pmemd1/Libvirt"],
            capture_output=True, text=True, check=True)
        with open(os.path.join(ROOT, "proto", "org.pmemd1.Libvirt.xml"), encoding="utf-8") as f:
            document = f.read()

        def members(text):
            found = re.search(r'<interface name="org.pmemd1.Libvirt1">(.*?)</interface>', text, re.S)[1]
            return sorted(sorted(row) for row in re.findall(r'<(method|arg) (?:type="([^"]*)" )?name="(\w+)"(?: type="([^"]*)")?', found))

        self.assertEqual(members(done.stdout), members(document))


if __name__ == "__main__":
    harness.main()
